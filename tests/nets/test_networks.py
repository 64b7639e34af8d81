"""Shapes, initial weights as published, and the global random state left alone."""

import pytest
import torch
from torch import nn

from adversarium.errors import InputError
from adversarium.nets import NETWORKS, dcgan, parts_of

IMAGES = [(1, 28, 28), (3, 32, 32), (2, 64, 64), (4, 128, 128)]


def pair(name: str, shape: tuple[int, ...], *, batch_norm: bool, seed: int = 0) -> tuple[nn.Module, nn.Module]:
    rng = torch.Generator().manual_seed(seed)
    family = NETWORKS[name]
    return (
        family.generator(shape, 6, width=4, batch_norm=batch_norm, rng=rng),
        family.critic(shape, width=4, batch_norm=batch_norm, rng=rng),
    )


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize(
    ("name", "shape"),
    [*(("dcgan", shape) for shape in IMAGES), ("mlp", (1, 28, 28)), ("mlp", (3, 32, 32)), ("vector-mlp", (5,))],
)
def test_shapes_range_and_parts(name: str, shape: tuple[int, ...], batch_norm: bool) -> None:
    generator, critic = pair(name, shape, batch_norm=batch_norm)
    samples = generator(torch.randn(3, 6))
    assert samples.shape == (3, *shape)
    assert critic(samples).shape == (3,)
    if len(shape) == 3:
        assert samples.abs().max() <= 1
    assert parts_of(generator) == parts_of(critic) == ({"batch_norm"} if batch_norm else frozenset())
    # no sigmoid inside a critic: scores are unbounded
    assert not any(isinstance(module, nn.Sigmoid) for module in critic.modules())


def test_the_papers_sizes() -> None:
    """InfoGAN's critic for 28 pixels has 64 and 128 filters; DCGAN's width doubles at each halving."""
    rng = torch.Generator().manual_seed(0)
    convolutions = [m for m in dcgan.critic((1, 28, 28), width=64, rng=rng).modules() if isinstance(m, nn.Conv2d)]
    assert [(m.out_channels, m.kernel_size, m.stride) for m in convolutions] == [
        (64, (4, 4), (2, 2)),
        (128, (4, 4), (2, 2)),
    ]
    mlp = NETWORKS["mlp"].critic((1, 28, 28), width=NETWORKS["mlp"].width, rng=rng)
    assert [m.in_features for m in mlp.modules() if isinstance(m, nn.Linear)] == [784, 1024, 512, 256]


def test_weights_are_drawn_as_published_from_the_generator_given() -> None:
    before = torch.get_rng_state()
    one, two, other = (
        dcgan.generator((3, 64, 64), 64, width=32, rng=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(next(one.parameters()), next(other.parameters()))
    for module in one.modules():
        if isinstance(module, nn.Linear | nn.ConvTranspose2d):
            count = module.weight.numel()
            # mean and standard deviation of N(0, 0.02²), within five standard errors
            assert abs(module.weight.mean()) < 5 * 0.02 / count**0.5
            assert abs(module.weight.std() - 0.02) < 5 * 0.02 / (2 * count) ** 0.5
        elif isinstance(module, nn.BatchNorm2d):
            assert abs(module.weight.mean() - 1) < 5 * 0.02 / module.weight.numel() ** 0.5
            assert not module.bias.any()


def test_linear_weights_are_uniform_within_the_fan_in() -> None:
    generator = NETWORKS["vector-mlp"].generator((2,), 16, width=256, rng=torch.Generator().manual_seed(0))
    for module in generator.modules():
        if isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            assert module.weight.abs().max() <= bound
            assert abs(module.weight.std() - bound / 3**0.5) < 0.05 * bound


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("dcgan", (3, 48, 48), "28, 32, 64, 128"),
        ("dcgan", (3, 32, 64), r"\[3, 32, 64\]"),
        ("dcgan", (7,), "--network vector-mlp"),
        ("mlp", (7,), "take vector-mlp"),
        ("vector-mlp", (3, 32, 32), "take dcgan or mlp"),
    ],
)
def test_samples_that_do_not_fit(name: str, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        pair(name, shape, batch_norm=False)
