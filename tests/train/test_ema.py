import pytest
import torch
from torch import nn

from adversarium.train import Ema


def test_half_life_in_images() -> None:
    module = nn.Linear(3, 2)
    ema = Ema(module, half_life_images=1000, rampup=1e9)
    start = ema.module.weight.clone()
    with torch.no_grad():
        module.weight.copy_(torch.randn(2, 3))
    images = 0
    for batch in (100, 250, 650):  # one half-life in all, in unequal steps
        images += batch
        ema.update(images, batch)
    torch.testing.assert_close(ema.module.weight, (start + module.weight) / 2)


@pytest.mark.parametrize("images", [64, 1000])
def test_rampup_bounds_the_memory_by_a_share_of_the_run(images: int) -> None:
    module = nn.Linear(2, 2)
    ema = Ema(module, half_life_images=1e9, rampup=0.05)
    start = ema.module.weight.clone()
    with torch.no_grad():
        module.weight.add_(1.0)
    ema.update(images, 64)
    kept = 0.5 ** (64 / (0.05 * images))
    torch.testing.assert_close(ema.module.weight, start + (1 - kept))


def test_buffers_are_averaged_and_counters_copied() -> None:
    module = nn.BatchNorm1d(4)
    ema = Ema(module, half_life_images=64, rampup=1e9)
    module(torch.randn(32, 4) * 3 + 1)
    before = ema.module.running_mean.clone()
    ema.update(64, 64)
    torch.testing.assert_close(ema.module.running_mean, (before + module.running_mean) / 2)
    assert ema.module.num_batches_tracked == module.num_batches_tracked == 1


def test_no_memory_is_a_copy() -> None:
    module = nn.Linear(2, 2)
    ema = Ema(module, half_life_images=0, rampup=0.05)
    with torch.no_grad():
        module.weight.normal_()
    ema.update(64, 64)
    assert torch.equal(ema.module.weight, module.weight)
    assert not any(parameter.requires_grad for parameter in ema.module.parameters())
    assert not ema.module.training
