"""Transport in any dimension: closed forms, scipy and POT, the properties of a distance, refusals and warnings."""

import math
import sys
import warnings
from collections.abc import Callable

import ot
import pytest
import scipy.optimize
import scipy.stats
import torch
from torch import Tensor

from adversarium import losses
from adversarium.errors import InputError
from adversarium.metrics import transport
from adversarium.metrics.line import wasserstein_line
from adversarium.metrics.metric import MetricWarning
from adversarium.metrics.sliced import max_sliced_wasserstein, sliced_wasserstein
from adversarium.metrics.transport import sinkhorn_divergence, wasserstein

every_seed = pytest.mark.parametrize("seed", range(3))
every_order = pytest.mark.parametrize("order", [1.0, 1.5, 2.0, 4.0])
every_norm = pytest.mark.parametrize("norm", [1.0, 2.0, 3.0, math.inf])

FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "exact": wasserstein,
    "exact of order 2": lambda x, y: wasserstein(x, y, order=2, norm=1),
    "sinkhorn": lambda x, y: sinkhorn_divergence(x, y, blur=0.5),
    "sinkhorn of order 1": lambda x, y: sinkhorn_divergence(x, y, order=1, blur=0.5),
    "sliced": sliced_wasserstein,
    "sliced of order 1": lambda x, y: sliced_wasserstein(x, y, order=1, projections=50),
    "max-sliced": max_sliced_wasserstein,
}
every_function = pytest.mark.parametrize("name", FUNCTIONS)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=torch.float64)


def weights(n: int, seed: int) -> Tensor:
    return torch.rand(n, generator=rng(seed), dtype=torch.float64)


def brute_cost(x: Tensor, y: Tensor, norm: float, order: float) -> Tensor:
    return torch.linalg.vector_norm(x[:, None] - y, ord=norm, dim=2) ** order


# --- exact -------------------------------------------------------------------------------------------


@every_seed
@every_order
@every_norm
def test_exact_equals_scipys_assignment(order: float, norm: float, seed: int):
    x, y = normal(12, 3, seed=seed), normal(12, 3, seed=seed + 50) + 0.3
    cost = brute_cost(x, y, norm, order)
    expected = cost[scipy.optimize.linear_sum_assignment(cost)].mean() ** (1 / order)
    assert wasserstein(x, y, order=order, norm=norm).item() == pytest.approx(expected.item(), rel=1e-9)


@every_seed
@every_order
def test_exact_with_weights_solves_the_linear_programme(order: float, seed: int):
    x, y, own, other = normal(5, 2, seed=seed), normal(4, 2, seed=seed + 9), weights(5, seed), weights(4, seed + 9)
    own[1] = 0
    cost = brute_cost(x, y, 2, order)
    rows, columns = torch.eye(5).repeat_interleave(4, 1), torch.eye(4).repeat(1, 5)
    sums = torch.cat([own / own.sum(), other / other.sum()])
    solved = scipy.optimize.linprog(cost.flatten().numpy(), A_eq=torch.cat([rows, columns]).numpy(), b_eq=sums.numpy())
    found = wasserstein(x, y, order=order, x_weights=7 * own, y_weights=other)
    assert found.item() == pytest.approx(solved.fun ** (1 / order), rel=1e-7)
    nothing = x.clone()
    nothing[1] = 1e6  # where there is no weight nothing is moved
    assert wasserstein(nothing, y, order=order, x_weights=own, y_weights=other).item() == pytest.approx(found.item())


@every_seed
def test_exact_equals_scipy_in_several_dimensions(seed: int):
    x, y, own, other = normal(8, 3, seed=seed), normal(6, 3, seed=seed + 9), weights(8, seed), weights(6, seed + 9)
    expected = scipy.stats.wasserstein_distance_nd(x, y, own, other)
    assert wasserstein(x, y, x_weights=own, y_weights=other).item() == pytest.approx(expected, rel=1e-8)


@every_seed
@every_order
def test_exact_on_a_line_in_space_is_that_of_the_line(order: float, seed: int):
    x, y, own = normal(30, seed=seed), normal(20, seed=seed + 9), weights(30, seed)
    along = torch.nn.functional.normalize(normal(5, seed=seed), dim=0)
    expected = wasserstein_line(x, y, order=order, x_weights=own).item()
    in_space = wasserstein(x[:, None] * along, y[:, None] * along, order=order, x_weights=own)
    assert in_space.item() == pytest.approx(expected, rel=1e-9)
    assert wasserstein(x[:, None], y[:, None], order=order, x_weights=own) == expected


@every_seed
def test_exact_of_gaussians_has_its_closed_form(seed: int):
    # an affine map that is the gradient of a convex function moves optimally, whatever it moves
    x, factor, shift = normal(200, 4, seed=seed), normal(4, 4, seed=seed + 9), normal(4, seed=seed + 20)
    matrix = factor @ factor.T
    expected = (x @ matrix + shift - x).square().sum(1).mean().sqrt()
    assert wasserstein(x, x @ matrix + shift, order=2).item() == pytest.approx(expected.item(), rel=1e-9)
    mean, covariance = x.mean(0), x.T.cov(correction=0)  # and W2 of Gaussians is that of such a map
    bures = (matrix @ covariance @ matrix + covariance - 2 * matrix @ covariance).trace()
    assert expected.square().item() == pytest.approx((bures + (mean @ matrix + shift - mean).square().sum()).item())


def test_exact_of_distributions_far_apart_is_the_shift_within_standard_errors():
    shift, draws = 30.0, 30
    found = []
    for i in range(draws):
        y = normal(60, 2, seed=1000 + i)
        y[:, 0] += shift
        found.append(wasserstein(normal(80, 2, seed=i), y))
    values = torch.stack(found)
    # ‖(s + a, b)‖ has mean s + E b²/2s + O(s⁻²), b the second column's displacement, of variance below 2
    assert (
        -4 * values.std() / math.sqrt(draws) < values.mean() - shift < 4 * values.std() / math.sqrt(draws) + 1 / shift
    )


@every_norm
@pytest.mark.parametrize("order", [1.0, 2.0, 2.5])
@pytest.mark.parametrize("given", [{}, {"x_weights": weights(5, 0)}], ids=["uniform", "weighted"])
def test_gradients_of_exact(given: dict[str, Tensor], order: float, norm: float):
    x, y = normal(5, 3, seed=0).requires_grad_(), normal(5, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: wasserstein(a, b, order=order, norm=norm, **given), (x, y))
    same = wasserstein(x, x.detach().flip(0), order=order, norm=norm)
    assert same == 0
    assert not torch.autograd.grad(same, x)[0].any()


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_exact_at_any_scale(scale: float):
    x, y = normal(40, 3, seed=0), normal(30, 3, seed=1)
    assert wasserstein(scale * x, scale * y).item() == pytest.approx(scale * wasserstein(x, y).item(), rel=1e-9)


def test_numbers_without_a_distance_are_refused():
    far = torch.tensor([[-1e140, 0], [1e140, 0]], dtype=torch.float64)
    with pytest.raises(InputError, match="too far apart for float64"):
        wasserstein(far, far.flip(1), norm=3)
    for function in (wasserstein, sliced_wasserstein, max_sliced_wasserstein, sinkhorn_divergence):
        with pytest.raises(InputError, match=r"y is as large as 1e\+160: wanted numbers .* below 1e\+150"):
            function(far, 1e20 * far)
    x, y = normal(9, 2, seed=0), normal(9, 2, seed=1)
    assert wasserstein(1e30 * x, 1e30 * y, order=50).item() == pytest.approx(1e30 * wasserstein(x, y, order=50).item())


def test_exact_without_pot(monkeypatch: pytest.MonkeyPatch):
    x, y = normal(12, 3, seed=0), normal(12, 3, seed=1)
    expected = wasserstein(x, y, order=2).item()
    monkeypatch.setitem(sys.modules, "ot", None)
    assert wasserstein(x, y, order=2).item() == pytest.approx(expected, rel=1e-12)
    for given in ({"y": y[:5]}, {"x_weights": weights(12, 0)}):
        with pytest.raises(InputError, match=r"pip install 'adversarium\[transport\]'"):
            wasserstein(x, **{"y": y, **given})
    assert wasserstein(x[:, :1], y[:5, :1]) > 0  # on a line nothing is needed


def test_a_plan_that_was_not_found_is_no_number(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transport, "ITERATIONS", 3)
    with pytest.raises(InputError, match="no exact plan for 30 and 20 samples in 3 steps"):
        wasserstein(normal(30, 2, seed=0), normal(20, 2, seed=1))


@pytest.mark.parametrize(("spoil", "words"), [("flip", "not certainly optimal"), ("half", "misplaces 5.0e")])
def test_a_wrong_plan_is_seen(monkeypatch: pytest.MonkeyPatch, spoil: str, words: str):
    solve = ot.emd

    def spoilt(*arguments: object, **options: object) -> object:
        plan, log = solve(*arguments, **options)
        return (plan[::-1].copy() if spoil == "flip" else 0.5 * plan), log

    monkeypatch.setattr(ot, "emd", spoilt)
    with pytest.warns(MetricWarning, match=words):
        wasserstein(normal(20, 2, seed=0), normal(20, 2, seed=1))


# --- Sinkhorn ----------------------------------------------------------------------------------------


@every_seed
@pytest.mark.parametrize("order", [1.0, 2.0])
def test_sinkhorn_tends_to_the_exact_distance(order: float, seed: int):
    x, y = normal(15, 2, seed=seed), normal(12, 2, seed=seed + 9) + 0.5
    found = sinkhorn_divergence(x, y, order=order, blur=0.02, iterations=1000)
    assert found.item() == pytest.approx(wasserstein(x, y, order=order).item(), rel=2e-2)


@every_seed
def test_sinkhorn_with_a_large_blur_is_the_distance_of_the_means(seed: int):
    x, y = normal(25, 2, seed=seed), normal(20, 2, seed=seed + 9)
    found = sinkhorn_divergence(x, y, blur=1e3)
    assert found.item() == pytest.approx((x.mean(0) - y.mean(0)).norm().item(), rel=1e-3)


def test_sinkhorn_says_when_it_has_not_converged():
    x, y = normal(40, 3, seed=0), normal(30, 3, seed=1) + 0.4
    with pytest.warns(MetricWarning, match="after 10 iterations and .* after 20: it has not converged"):
        sinkhorn_divergence(x, y, blur=0.01, iterations=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        converged = sinkhorn_divergence(x, y, blur=0.3, iterations=100)
    assert converged.item() == pytest.approx(sinkhorn_divergence(x, y, blur=0.3, iterations=1000).item(), rel=1e-2)


@pytest.mark.parametrize("order", [1.0, 1.5, 2.0])
def test_gradients_of_sinkhorn(order: float):
    # those of the loss, which has no root, by the chain rule
    x, y = normal(5, 3, seed=0).requires_grad_(), normal(4, 3, seed=1).requires_grad_()
    value, power = sinkhorn_divergence(x, y, order=order, blur=0.7), losses.sinkhorn(order, 0.7)(x, y)
    assert value.item() ** order == pytest.approx(power.item(), rel=1e-12)
    for found, inner in zip(torch.autograd.grad(value, (x, y)), torch.autograd.grad(power, (x, y)), strict=True):
        torch.testing.assert_close(found, inner * value.item() ** (1 - order) / order)


# --- sliced ------------------------------------------------------------------------------------------


@every_seed
def test_sliced_has_its_closed_forms_for_a_shift(seed: int):
    d, count = 2 + 3 * seed, 2000
    shift = normal(d, seed=seed)
    x = normal(20, d, seed=seed + 9)
    size = shift.norm().item()
    # (θ·m)²/‖m‖² has mean 1/d and the variance of a Beta(1/2, (d-1)/2)
    error = math.sqrt(2 * (d - 1) / (d**2 * (d + 2)) / count)
    found = sliced_wasserstein(x, x + shift, projections=count, rng=rng(seed)).item()
    assert abs((found / size) ** 2 - 1 / d) < 4 * error
    expected = math.gamma(d / 2) / (math.sqrt(math.pi) * math.gamma((d + 1) / 2))
    error = math.sqrt((1 / d - expected**2) / count)
    found = sliced_wasserstein(x, x + shift, order=1, projections=count, rng=rng(seed)).item()
    assert abs(found / size - expected) < 4 * error


def test_sliced_of_independent_gaussians_within_standard_errors():
    d, size, draws = 3, 9.0, 12
    shift = torch.tensor([size, 0, 0], dtype=torch.float64)
    found = torch.stack(
        [
            sliced_wasserstein(normal(300, d, seed=i), normal(200, d, seed=500 + i) + shift, rng=rng(i)).square()
            for i in range(draws)
        ]
    )
    floor = sliced_wasserstein(normal(300, d, seed=1), normal(200, d, seed=2)).square().item()
    error = found.std().item() / math.sqrt(draws)
    assert -4 * error < found.mean().item() - size**2 / d < 4 * error + 2 * floor


def test_sliced_equals_pot_along_the_same_lines():
    x, y = normal(30, 4, seed=0), normal(20, 4, seed=1) + 0.5
    for order in (1.0, 2.0, 3.0):
        # 32 at a time, from one stream
        stream = rng(5)
        directions = torch.cat([torch.randn(4, k, generator=stream, dtype=torch.float64) for k in (32, 32, 6)], dim=1)
        directions = directions / directions.norm(dim=0)
        expected = ot.sliced_wasserstein_distance(x, y, projections=directions, p=order)
        found = sliced_wasserstein(x, y, order=order, projections=70, rng=rng(5))
        assert found.item() == pytest.approx(expected.item(), rel=1e-12)


@every_order
@pytest.mark.parametrize("size", [5, 4])
def test_gradients_of_sliced(size: int, order: float):
    x, y = normal(5, 3, seed=0).requires_grad_(), normal(size, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: sliced_wasserstein(a, b, order=order, projections=10), (x, y))


def test_gradients_of_max_sliced():
    # where one matching is the best around the best direction; at order 1, of sets apart, any is
    x, y = normal(4, 3, seed=0).requires_grad_(), (normal(5, 3, seed=1) + 5).requires_grad_()

    def climbed(a: Tensor, b: Tensor) -> Tensor:
        return max_sliced_wasserstein(a, b, order=1, starts=2, steps=20)

    assert torch.autograd.gradcheck(climbed, (x, y), rtol=1e-5)


@every_function
def test_a_graph_is_built_only_where_one_is_wanted(name: str):
    x, y = normal(6, 3, seed=0), normal(5, 3, seed=1)
    assert not FUNCTIONS[name](x, y).requires_grad
    assert FUNCTIONS[name](x, y.requires_grad_()).requires_grad


@every_seed
def test_max_sliced_of_a_shift_is_its_length(seed: int):
    d = 2 + 3 * seed
    x, shift = normal(30, d, seed=seed), normal(d, seed=seed + 9)
    for order in (1.0, 2.0, 3.0):
        found = max_sliced_wasserstein(x, x + shift, order=order).item()
        assert found == pytest.approx(shift.norm().item(), rel=1e-9)


@every_seed
def test_max_sliced_finds_what_a_search_of_the_plane_finds(seed: int):
    x, y = normal(40, 2, seed=seed), normal(30, 2, seed=seed + 9) * torch.tensor([1.0, 1.5])
    y = y - y.mean(0) + x.mean(0)  # the means say nothing
    angles = torch.linspace(0, math.pi, 3601, dtype=torch.float64)
    plane = torch.stack([angles.cos(), angles.sin()])
    for order in (1.0, 2.0, 4.0):
        best = ot.wasserstein_1d(x @ plane, y @ plane, p=order).max().item() ** (1 / order)
        found = max_sliced_wasserstein(x, y, order=order).item()
        assert best * (1 - 1e-9) <= found <= best * (1 + 2e-3)  # the plane is searched in steps


@every_seed
def test_max_sliced_finds_one_direction_of_many(seed: int):
    x, y = normal(300, 40, seed=seed), normal(300, 40, seed=seed + 9)
    along = torch.nn.functional.normalize(normal(40, seed=seed), dim=0)
    y = y + 4 * (y @ along)[:, None] * along  # five times as wide along one direction
    there = wasserstein_line(x @ along, y @ along, order=2).item()
    assert max_sliced_wasserstein(x, y).item() >= there
    draws = ot.max_sliced_wasserstein_distance(x.numpy(), y.numpy(), n_projections=500, seed=seed)
    assert max_sliced_wasserstein(x, y).item() >= 1.5 * draws
    assert max_sliced_wasserstein(x, y, steps=0, starts=1).item() < there


# --- all of them -------------------------------------------------------------------------------------


@every_seed
@every_function
def test_is_a_distance(name: str, seed: int):
    between = FUNCTIONS[name]
    x, y = normal(30, 3, seed=seed), normal(30, 3, seed=seed + 9) + 0.4
    shuffled = x[torch.randperm(30, generator=rng(seed))]
    assert between(x, x) == 0
    assert between(x, shuffled).item() == pytest.approx(0, abs=1e-7)
    assert between(x, y).item() == pytest.approx(between(y, x).item(), rel=1e-3 if name == "max-sliced" else 1e-9)
    shift = normal(3, seed=seed + 20)
    assert between(x + shift, y + shift).item() == pytest.approx(between(x, y).item(), rel=1e-7)
    if "sinkhorn" not in name:  # whose blur is a length
        assert between(3 * x, 3 * y).item() == pytest.approx(3 * between(x, y).item(), rel=1e-7)


@every_seed
def test_order_among_the_distances(seed: int):
    x, y = normal(30, 3, seed=seed), normal(25, 3, seed=seed + 9) + 0.4
    exact = wasserstein(x, y, order=2).item()
    assert wasserstein(x, y, order=1).item() <= exact
    assert sliced_wasserstein(x, y).item() <= max_sliced_wasserstein(x, y).item() <= exact
    assert wasserstein(x, y, norm=math.inf) <= wasserstein(x, y, norm=2) <= wasserstein(x, y, norm=1)


@every_function
def test_grows_as_modes_are_dropped(name: str):
    modes = torch.arange(4).repeat_interleave(30)
    centres = torch.tensor([[0.0, 0], [4, 0], [8, 0], [12, 0]]).double()
    real, fake = centres[modes] + 0.1 * normal(120, 2, seed=0), centres[modes] + 0.1 * normal(120, 2, seed=1)
    found = [FUNCTIONS[name](real, fake[modes < kept]).item() for kept in (4, 3, 2, 1)]
    assert found == sorted(found)
    assert found[0] < 0.2 < found[1]


@every_function
def test_streams_and_dtypes(name: str):
    x, y = normal(20, 3, seed=0).float(), normal(15, 3, seed=1).bfloat16()
    before = torch.get_rng_state()
    first = FUNCTIONS[name](x, y)
    assert torch.equal(before, torch.get_rng_state())
    assert first.dtype == torch.float64
    assert first.shape == ()
    assert torch.equal(first, FUNCTIONS[name](x.double(), y.double()))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(first, FUNCTIONS[name](x, y))


@every_function
def test_bad_rows_are_named(name: str):
    rows = torch.zeros(3, 2)
    for x, y, words in (
        (rows, torch.zeros(3, 4), "x has 2 columns and y 4"),
        (torch.zeros(3), rows, r"x is torch.float32 of shape \[3\]"),
        (rows, torch.zeros(0, 2), "y has 0 samples: wanted at least 1"),
        (rows, torch.full((3, 2), math.nan), "y has NaN or infinity in 3 of 3 rows"),
        (rows.int(), rows, "x is torch.int32"),
    ):
        with pytest.raises(InputError, match=words):
            FUNCTIONS[name](x, y)


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        *((f, {"order": order}, f"order is {order}") for f in (wasserstein, sliced_wasserstein, max_sliced_wasserstein)
          for order in (0.9, math.inf, math.nan)),
        (sinkhorn_divergence, {"order": 3.0}, "order is 3.0"),
        (sinkhorn_divergence, {"blur": 0.0}, "blur is 0.0"),
        (sinkhorn_divergence, {"iterations": 3}, "iterations is 3"),
        (wasserstein, {"norm": 0.5}, "norm is 0.5"),
        (wasserstein, {"norm": math.nan}, "norm is nan"),
        (wasserstein, {"x_weights": torch.ones(4)}, r"x_weights is of shape \[4\]: wanted a tensor \[3\]"),
        (wasserstein, {"y_weights": -torch.ones(3)}, "y_weights has negative"),
        (wasserstein, {"y_weights": torch.zeros(3)}, "y_weights is 0 everywhere"),
        (sliced_wasserstein, {"projections": 0}, "projections is 0"),
        (max_sliced_wasserstein, {"starts": 0}, "starts is 0"),
        (max_sliced_wasserstein, {"steps": -1}, "steps is -1"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(function: Callable[..., Tensor], arguments: dict[str, object], words: str):
    with pytest.raises(InputError, match=words):
        function(torch.zeros(3, 2), torch.ones(3, 2), **arguments)


def test_a_plan_too_large_for_memory_is_refused_before_it_is_made():
    rows = torch.zeros(15_001, 2)
    with pytest.raises(InputError, match=r"about 11 GB; wanted at most 225,000,000, or sliced_wasserstein"):
        wasserstein(rows, rows)
    assert wasserstein(rows[:, :1], rows[:, :1]) == 0  # sorting solves the line
