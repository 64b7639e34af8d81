"""The digits' classifier: how well it reads, and whether its distances order samples as people would."""

import numpy as np
import pytest
import safetensors
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, pad

from adversarium.data import open_data
from adversarium.errors import InputError
from adversarium.features import extract, lenet, open_features
from adversarium.features.lenet import WEIGHTS


@pytest.fixture(scope="module")
def digits() -> Tensor:
    return torch.tensor(open_data("mnist").samples)


@pytest.fixture(scope="module")
def labels() -> Tensor:
    return torch.tensor(open_data("mnist").labels)


@pytest.fixture(scope="module")
def seen(digits: Tensor):
    return extract(lenet(), digits, batch_size=500)


def test_it_reads_the_embedded_digits(seen, labels: Tensor):
    probabilities = seen.probabilities
    accuracy = float((probabilities.argmax(1) == labels).double().mean())
    assert accuracy >= 0.99
    with safetensors.safe_open(WEIGHTS, framework="pt") as file:
        metadata = file.metadata()
    assert float(metadata["accuracy"]) == pytest.approx(accuracy, abs=2e-4)  # processors round differently
    assert {"seed", "trained_on", "licence", "script"} <= metadata.keys()
    assert WEIGHTS.stat().st_size < 300_000
    torch.testing.assert_close(probabilities.sum(1), torch.ones(10_000))
    # a digit that it gets right half the time should be one that it is half sure of (expected calibration error)
    sure = probabilities.amax(1)
    bins = (sure * 10).long().clamp(max=9)
    right = (probabilities.argmax(1) == labels).float()
    gaps = [float((right[bins == k] - sure[bins == k]).sum().abs()) for k in range(10)]
    assert sum(gaps) / 10_000 < 0.02


def test_rows_have_no_constant_column_and_the_stated_scale(seen):
    rows = seen.rows.double()
    assert rows.shape == (10_000, 84)
    assert float(rows.var(dim=0).mean()) == pytest.approx(1, abs=0.05)  # 1 over the training digits
    assert float(rows.std(dim=0).min()) > 0.05
    assert int(torch.linalg.matrix_rank(rows.T.cov())) == 84
    assert float(torch.pdist(seen.rows[:1500]).mean()) == pytest.approx(168**0.5, rel=0.1)
    assert float(rows.min()) < 0  # before the ReLU


@pytest.mark.parametrize("shift", [(-2, 1), (2, 2)])
def test_slightly_odd_digits_are_still_read(digits: Tensor, labels: Tensor, shift: tuple[int, int]):
    rng = torch.Generator().manual_seed(1)
    moved = torch.roll(digits[:2000], shift, (2, 3)).float()
    odd = (0.8 * moved + 15 * torch.randn(moved.shape, generator=rng)).clamp(0, 255)
    probabilities = extract(lenet(), odd, batch_size=500).probabilities
    assert probabilities is not None
    assert float((probabilities.argmax(1) == labels[:2000]).double().mean()) > 0.97


def frechet(x: Tensor, y: Tensor) -> float:
    a, b = x.double().numpy(), y.double().numpy()
    first, second = np.cov(a.T), np.cov(b.T)
    cross = np.sqrt(np.linalg.eigvals(first @ second).real.clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first) + np.trace(second) - 2 * cross)


def blurred(images: Tensor, std: float) -> Tensor:
    weights = torch.exp(-(torch.arange(-4, 5.0) ** 2) / (2 * std**2))
    weights = weights / weights.sum()
    return conv2d(images.float(), (weights[:, None] * weights)[None, None], padding=4)


@pytest.mark.parametrize("name", ["lenet", "random_conv"])
def test_the_frechet_distance_orders_samples_as_people_do(digits: Tensor, labels: Tensor, name: str):
    features, rng = open_features(name), torch.Generator().manual_seed(2)
    reference = extract(features, digits[:2500], batch_size=500).rows
    others = digits[5000:7500]

    def distance(samples: Tensor) -> float:
        return frechet(reference, extract(features, samples, batch_size=500).rows)

    real = distance(others)
    slight, strong = distance(blurred(others, 0.8)), distance(blurred(others, 1.2))
    noise = distance(torch.randint(0, 256, others.shape, generator=rng, dtype=torch.uint8))
    speckled = distance((others.float() + 60 * torch.randn(others.shape, generator=rng)).clamp(0, 255))
    coarse = distance(avg_pool2d(others.float(), 4).repeat_interleave(4, 2).repeat_interleave(4, 3))
    fewer = distance(others[labels[5000:7500] != 7])
    assert 0 <= real < slight < strong < noise
    assert strong > 2 * real
    assert real < speckled < noise
    assert real < coarse < noise
    assert real < fewer < noise
    if name == "lenet":  # what a classifier sees and texture alone does not
        assert fewer > 1.3 * real


@pytest.mark.parametrize("shape", [(4, 3, 28, 28), (4, 1, 32, 32), (4, 1, 28, 27)])
def test_other_images_are_refused(shape: tuple[int, ...]):
    with pytest.raises(InputError, match=r"lenet sees images \[B, 1, 28, 28\]: .* random_conv, which see .* any size"):
        lenet().see(torch.zeros(shape))


def test_the_formula(digits: Tensor):
    with safetensors.safe_open(WEIGHTS, framework="np") as file:
        tensors = {name: file.get_tensor(name).astype(np.float64) for name in file.keys()}  # noqa: SIM118

    def convolved(maps: Tensor, layer: int) -> Tensor:
        weight, bias = (torch.from_numpy(tensors[f"convolutions.{layer}.{part}"]) for part in ("weight", "bias"))
        windows = maps.unfold(2, 5, 1).unfold(3, 5, 1)
        full = torch.einsum("bchwij,ocij->bohw", windows, weight) + bias[:, None, None]
        return full.clamp(min=0).unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5))

    hidden = convolved(convolved(digits[:5].double() / 255, 0), 3).flatten(1).numpy()
    rows = hidden @ tensors["hidden.weight"].T + tensors["hidden.bias"]
    logits = rows.clip(0) @ tensors["classifier.weight"].T + tensors["classifier.bias"]
    found = lenet().see(digits[:5])
    assert np.allclose(found.rows.numpy(), rows, atol=1e-4)
    assert np.allclose(found.probabilities.numpy(), torch.from_numpy(logits).softmax(1).numpy(), atol=1e-5)
    assert lenet().classes == tuple("0123456789")
    assert not torch.equal(lenet().see(pad(digits[:5], (1, -1, 0, 0))).rows, found.rows)
