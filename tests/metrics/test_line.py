"""Transport on the line: closed forms, scipy and POT, the properties of a distance, refusals."""

import math

import ot
import pytest
import scipy.stats
import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.metrics.line import wasserstein_line

every_seed = pytest.mark.parametrize("seed", range(4))
every_order = pytest.mark.parametrize("order", [1.0, 1.5, 2.0, 7.0])


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(n: int, seed: int) -> Tensor:
    return torch.randn(n, generator=rng(seed), dtype=torch.float64)


def weights(n: int, seed: int) -> Tensor:
    return torch.rand(n, generator=rng(seed), dtype=torch.float64)


def quantiles(n: int) -> Tensor:
    """N(0, 1) without the luck of a draw: its quantiles at the middles of n equal shares."""
    return torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n)


@every_seed
def test_gaussians_have_their_closed_forms(seed: int):
    shift, scale = normal(2, seed).mul(2).tolist()
    scale = math.exp(scale / 2)
    z = quantiles(20_000)
    for order in (1.0, 2.0, 3.0):
        assert wasserstein_line(z, z + shift, order=order).item() == pytest.approx(abs(shift), rel=1e-12)
    expected = abs(scale - 1) * math.sqrt(2 / math.pi)
    assert wasserstein_line(z, scale * z).item() == pytest.approx(expected, rel=1e-3)
    both = wasserstein_line(z, scale * z + shift, order=2).item()
    assert both == pytest.approx(math.hypot(shift, scale - 1), rel=2e-3)


def test_independent_draws_of_gaussians_are_within_standard_errors():
    shift, draws = 1.3, 40
    # a shift well above the draws' own distance: W1 is the difference of the means but for exponentially few
    found = torch.stack([wasserstein_line(normal(900, i), normal(700, 99 + i) + 4 * shift) for i in range(draws)])
    assert abs(found.mean() - 4 * shift) < 4 * found.std() / math.sqrt(draws)


@every_seed
def test_equals_scipy_with_weights_and_different_sizes(seed: int):
    x, y, own, other = normal(13, seed), normal(9, seed + 50) + 0.5, weights(13, seed), weights(9, seed + 50)
    assert wasserstein_line(x, y).item() == pytest.approx(scipy.stats.wasserstein_distance(x, y), rel=1e-12)
    found = wasserstein_line(x, y, x_weights=own, y_weights=other).item()
    assert found == pytest.approx(scipy.stats.wasserstein_distance(x, y, own, other), rel=1e-12)
    found = wasserstein_line(x, y, y_weights=other).item()
    assert found == pytest.approx(scipy.stats.wasserstein_distance(x, y, None, other), rel=1e-12)


@every_seed
@every_order
def test_equals_the_linear_programme(order: float, seed: int):
    x, y, own, other = normal(11, seed), normal(8, seed + 50) + 0.5, weights(11, seed), weights(8, seed + 50)
    cost = (x[:, None] - y).abs() ** order
    plan = ot.emd2((own / own.sum()).numpy(), (other / other.sum()).numpy(), cost.numpy())
    found = wasserstein_line(x, y, order=order, x_weights=own, y_weights=other)
    assert found.item() == pytest.approx(plan ** (1 / order), rel=1e-9)
    plan = ot.emd2([], [], cost.numpy())
    assert wasserstein_line(x, y, order=order).item() == pytest.approx(plan ** (1 / order), rel=1e-9)


@every_seed
@every_order
def test_whole_weights_count_repetitions(order: float, seed: int):
    x, y = normal(7, seed), normal(5, seed + 50)
    times = torch.randint(0, 4, (7,), generator=rng(seed)).clamp(min=torch.tensor([1, 0, 0, 0, 0, 0, 0]))
    repeated = wasserstein_line(x.repeat_interleave(times), y, order=order)
    assert wasserstein_line(x, y, order=order, x_weights=times).item() == pytest.approx(repeated.item(), rel=1e-12)


@every_seed
@every_order
def test_is_a_distance(order: float, seed: int):
    x, y, z = normal(12, seed), normal(10, seed + 10), 2 * normal(8, seed + 20) + 1
    own = weights(12, seed)
    shuffle = torch.randperm(12, generator=rng(seed))

    def between(a: Tensor, b: Tensor) -> float:
        return wasserstein_line(a, b, order=order).item()

    assert between(x, x[shuffle]) == 0
    assert wasserstein_line(x, x[shuffle], order=order, x_weights=own, y_weights=8 * own[shuffle]) == 0
    assert between(x.repeat(3), x) == 0
    assert between(x, y) == between(y, x) > 0
    assert between(x, z) <= between(x, y) + between(y, z)
    assert between(3 * x + 5, 3 * y + 5) == pytest.approx(3 * between(x, y), rel=1e-12)
    assert between(-x, -y) == pytest.approx(between(x, y), rel=1e-12)
    assert between(x, y) <= wasserstein_line(x, y, order=order + 1).item()  # Jensen


@every_order
def test_grows_as_modes_are_dropped(order: float):
    modes = torch.arange(5).repeat_interleave(200).double()
    real, fake = modes + 0.1 * normal(1000, 0), modes + 0.1 * normal(1000, 1)
    found = [wasserstein_line(real, fake[modes < kept], order=order).item() for kept in (5, 4, 3, 2, 1)]
    assert found == sorted(found)
    assert found[0] < 0.1 < found[1]


@every_order
def test_a_high_order_tends_to_the_largest_gap(order: float):
    x, y = normal(20, 0), normal(20, 1)
    largest = (x.sort().values - y.sort().values).abs().max().item()
    assert wasserstein_line(x, y, order=5000).item() == pytest.approx(largest, rel=1e-3)
    assert wasserstein_line(1e200 * x, 1e200 * y, order=order) > 1e198  # no overflow


@every_order
@pytest.mark.parametrize("size", [6, 4])
@pytest.mark.parametrize("with_weights", [False, True])
def test_gradients(order: float, size: int, with_weights: bool):
    x, y = normal(6, 0).requires_grad_(), normal(size, 1).requires_grad_()
    given = {"x_weights": weights(6, 0), "y_weights": weights(size, 1)} if with_weights else {}
    assert torch.autograd.gradcheck(lambda a, b: wasserstein_line(a, b, order=order, **given), (x, y))
    same = wasserstein_line(x, x.detach().clone(), order=order)
    (gradient,) = torch.autograd.grad(same, x)
    assert torch.equal(gradient, torch.zeros(6, dtype=torch.float64))


def test_half_precision_is_compared_in_double():
    x, y = normal(9, 0).bfloat16(), normal(9, 1).float()
    found = wasserstein_line(x, y)
    assert found.dtype == torch.float64
    assert torch.equal(found, wasserstein_line(x.double(), y.double()))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"order": 0.5}, "order is 0.5: wanted"),
        ({"order": math.inf}, "order is inf: wanted"),
        ({"order": math.nan}, "order is nan: wanted"),
        ({"x": torch.zeros(3, 2)}, r"x is of shape \[3, 2\]: wanted"),
        ({"x": torch.zeros(0)}, "x has 0 samples"),
        ({"y": torch.zeros(2, dtype=torch.int64)}, "y is torch.int64"),
        ({"y": torch.tensor([0.0, math.nan])}, "y has NaN or infinity in 1 of 2 rows, the first of them row 1"),
        ({"x_weights": torch.ones(2)}, r"x_weights is of shape \[2\]: wanted a tensor \[3\]"),
        ({"x_weights": torch.tensor([1.0, -1.0, 1.0])}, "x_weights has negative"),
        ({"y_weights": torch.tensor([1.0, math.nan])}, "y_weights has negative, NaN"),
        ({"y_weights": torch.zeros(2)}, "y_weights is 0 everywhere"),
    ],
)
def test_bad_input_is_named(arguments: dict[str, object], words: str):
    with pytest.raises(InputError, match=words):
        wasserstein_line(**{"x": torch.zeros(3), "y": torch.zeros(2), **arguments})
