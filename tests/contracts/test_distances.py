"""The contract of every member of DISTANCES: shapes, numerics, invariances, declared refusals, and its mathematics.

A new member runs through the suite by being in the dict; a variant of a factory is one line in VARIANTS.
"""

import functools
import inspect
import math
from collections.abc import Callable

import pytest
import scipy.optimize
import scipy.stats
import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.losses import DISTANCES
from adversarium.losses.integral import ALPHAS
from adversarium.types import Distance

KERNELS = ("gaussian", "laplace", "rational_quadratic", "imq", "polynomial")
VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    **{f"mmd({kernel})": ("mmd", {"kernel": kernel}) for kernel in KERNELS},
    **{
        f"mmd({kernel},{bandwidth})": ("mmd", {"kernel": kernel, "bandwidth": bandwidth})
        for kernel, bandwidth in (
            ("gaussian", 1.5),
            ("gaussian", (0.5, 2, 4.0)),
            ("laplace", 1.5),
            ("rational_quadratic", 1.0),
            ("imq", (1.0, 3.0)),
        )
    },
    "mmd(biased)": ("mmd", {"unbiased": False}),
    "mmd(laplace,biased)": ("mmd", {"kernel": "laplace", "bandwidth": 2.0, "unbiased": False}),
    "mmd(polynomial,biased)": ("mmd", {"kernel": "polynomial", "unbiased": False}),
    "energy(0.5)": ("energy", {"exponent": 0.5}),
    "energy(1.5)": ("energy", {"exponent": 1.5}),
    "energy(biased)": ("energy", {"unbiased": False}),
    "sinkhorn(1)": ("sinkhorn", {"order": 1.0, "blur": 0.3}),
    "sinkhorn(1.5)": ("sinkhorn", {"order": 1.5, "blur": 0.5}),
    "sliced_wasserstein(1)": ("sliced_wasserstein", {"order": 1.0}),
    "sliced_wasserstein(3)": ("sliced_wasserstein", {"order": 3.0, "projections": 16}),
}
CASES: dict[str, tuple[str, dict[str, object]]] = {name: (name, {}) for name in DISTANCES} | VARIANTS


@functools.cache  # under the import hook a factory compiles its type checks at each call
def make(name: str, **arguments: object) -> Distance:
    member, defaults = CASES[name]
    return DISTANCES[member](**{**defaults, **arguments})


def is_u_statistic(name: str) -> bool:
    member, arguments = CASES[name]
    return member in ("mmd", "energy") and bool(arguments.get("unbiased", True))


def samples(*shape: int, seed: int = 0, shift: float = 0.0, dtype: torch.dtype = torch.float64) -> Tensor:
    return (torch.randn(*shape, generator=rng(seed), dtype=torch.float64) + shift).to(dtype)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


every_distance = pytest.mark.parametrize("name", CASES)
every_seed = pytest.mark.parametrize("seed", range(2))


def gradients(value: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(value, inputs, materialize_grads=True, allow_unused=True)


def within_standard_errors(values: Tensor, expected: float, errors: float = 4.0) -> bool:
    return bool(abs(values.mean() - expected) < errors * values.std() / len(values) ** 0.5)


# --- shapes, dtypes, extreme samples, bad input ----------------------------------------------------


@every_distance
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_number_with_finite_gradients(name: str, dtype: torch.dtype):
    for axes in ((), (3,), (20,), (2, 3, 3)):
        real = samples(7, *axes, dtype=dtype).requires_grad_()
        fake = samples(5, *axes, seed=1, dtype=dtype).requires_grad_()
        value = make(name)(real, fake, rng())
        assert value.shape == ()
        assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        for side, gradient in zip((real, fake), gradients(value, real, fake), strict=True):
            assert gradient.shape == side.shape
            assert gradient.dtype == dtype
            assert gradient.isfinite().all()
            assert gradient.any()


@every_distance
def test_half_precision_samples_are_compared_in_full_precision(name: str):
    real, fake = samples(7, 20, dtype=torch.bfloat16), samples(5, 20, seed=1, dtype=torch.bfloat16)
    expected = make(name)(real.float(), fake.float(), rng())
    assert torch.equal(make(name)(real, fake, rng()), expected)
    assert torch.equal(make(name)(real, fake.float(), rng()), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(make(name)(real.float(), fake.float(), rng()), expected)


@every_distance
def test_samples_are_flattened(name: str):
    real, fake = samples(6, 2, 3, 3), samples(4, 2, 3, 3, seed=1)
    assert torch.equal(make(name)(real, fake, rng()), make(name)(real.flatten(1), fake.flatten(1), rng()))


@every_distance
@pytest.mark.parametrize("width", [2, 20])
def test_finite_for_coincident_constant_and_extreme_samples(name: str, width: int):
    for scale in (0.0, 1e-4, 1e4):
        real = (scale * samples(6, width, dtype=torch.float32)).requires_grad_()
        for fake in (real.detach().clone(), -real.detach(), real.detach()[[0, 0, 1, 1]], torch.zeros_like(real)):
            fake.requires_grad_()
            value = make(name)(real, fake, rng())
            assert all(tensor.isfinite().all() for tensor in (value, *gradients(value, real, fake)))


@every_distance
def test_bad_samples_are_named(name: str) -> None:
    for real, fake, named, got, wanted in (
        (torch.zeros(3, 2), torch.zeros(3, 4), "real", "[3, 2]", "the same axes"),
        (torch.zeros(3, 1), torch.zeros(3), "real", "[3, 1]", "the same axes"),
        (torch.zeros(3, 4), torch.zeros(3, 2, 2), "real", "[3, 4]", "the same axes"),
        (torch.zeros(3, 2), torch.zeros(3, 2, dtype=torch.int64), "fake", "int64", "floating point"),
        (torch.zeros(3, 2, dtype=torch.complex64), torch.zeros(3, 2), "real", "complex64", "floating point"),
        (torch.zeros(0, 2), torch.zeros(3, 2), "real", "[0, 2]", "B at least 1"),
        (torch.zeros(3, 2), torch.zeros(0, 2), "fake", "[0, 2]", "B at least 1"),
        (torch.zeros(3, 0), torch.zeros(3, 0), "real", "[3, 0]", "B at least 1"),
        (torch.zeros(()), torch.zeros(3), "real", "[]", "[B]"),
    ):
        with pytest.raises(InputError) as error:
            make(name)(real, fake, rng())
        for part in (named, got, wanted):
            assert part in str(error.value)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("mmd", {"kernel": "gausian"}, "did you mean 'gaussian'"),
        ("mmd", {"kernel": "polynomial", "bandwidth": 1.0}, "bandwidth is 1.0"),
        *(("mmd", {"bandwidth": width}, "bandwidth") for width in (0.0, -1.0, math.inf, math.nan, (), (1.0, 0.0))),
        *(("energy", {"exponent": exponent}, "exponent") for exponent in (0.0, 2.0, -1.0, math.nan)),
        *(("sinkhorn", {"order": order}, "order") for order in (0.5, 3.0, math.nan)),
        *(("sinkhorn", {"blur": blur}, "blur") for blur in (0.0, -1.0, math.nan)),
        ("sinkhorn", {"iterations": 1}, "iterations"),
        *(("sliced_wasserstein", {"order": order}, "order") for order in (0.9, math.nan, math.inf)),
        ("sliced_wasserstein", {"projections": 0}, "projections"),
    ],
)
def test_bad_arguments_are_named(name: str, arguments: dict[str, object], words: str):
    with pytest.raises(InputError, match=words):
        inspect.unwrap(DISTANCES[name])(**arguments)  # past the type checker, as without it


@every_distance
def test_a_batch_of_one_is_refused_or_right(name: str):
    real, fake = samples(1, 3), samples(1, 3, seed=1).requires_grad_()
    if is_u_statistic(name):
        for pair in ((real, fake), (samples(4, 3), fake), (real, samples(4, 3))):
            with pytest.raises(InputError, match="at least 2 a side"):
                make(name)(*pair)
        return
    member, arguments = CASES[name]
    gap = (real - fake).square().sum().sqrt()
    value = make(name)(real, fake, rng())
    if member == "sinkhorn":  # there is one plan
        torch.testing.assert_close(value, gap ** arguments.get("order", 2.0))
    elif member == "sliced_wasserstein":
        order, directions = arguments.get("order", 2.0), unit_directions(3, arguments.get("projections", 128))
        torch.testing.assert_close(value, ((real - fake) @ directions).abs().pow(order).mean())
    else:
        torch.testing.assert_close(value, twin(name, real, fake))
    assert gradients(value, fake)[0].isfinite().all()


# --- invariances -----------------------------------------------------------------------------------


@every_distance
@every_seed
def test_symmetric(name: str, seed: int):
    x, y = samples(9, 3, seed=seed), samples(6, 3, seed=seed + 50, shift=0.5)
    torch.testing.assert_close(make(name)(x, y, rng()), make(name)(y, x, rng()), rtol=1e-9, atol=1e-12)


@every_distance
@every_seed
def test_the_order_of_samples_does_not_matter(name: str, seed: int):
    x, y = samples(9, 3, seed=seed), samples(6, 3, seed=seed + 50)
    shuffled = x[torch.randperm(9, generator=rng(seed))], y[torch.randperm(6, generator=rng(seed))]
    torch.testing.assert_close(make(name)(*shuffled, rng()), make(name)(x, y, rng()), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in CASES if "sliced" not in name and "polynomial" not in name])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_neither_a_shift_nor_empty_axes_matter(name: str, dtype: torch.dtype):
    """Above 16 features distances come from a matrix product: it must agree with the differences."""
    real, fake = samples(9, 3, dtype=dtype), samples(6, 3, seed=1, dtype=dtype).requires_grad_()
    wide = [torch.nn.functional.pad(side, (0, 21)) + 30.0 for side in (real, fake)]
    values = make(name)(real, fake), make(name)(*wide)
    exact = dtype == torch.float64
    torch.testing.assert_close(values[0], values[1], rtol=1e-9 if exact else 2e-3, atol=1e-9 if exact else 1e-5)
    slopes = [gradients(value, fake)[0] for value in values]
    torch.testing.assert_close(*slopes, rtol=1e-6 if exact else 1e-2, atol=1e-8 if exact else 2e-4)


def test_rows_that_coincide_are_found_in_a_matrix_product():
    """Rounding alone puts equal rows 1e-4 of their norm apart: in float32 the value would be 4e-4 off."""
    real = samples(30, 3000, dtype=torch.float32)
    fake = real[:10].clone().requires_grad_()
    value, exact = (make("energy(biased)")(real.to(dtype), fake.to(dtype)) for dtype in (torch.float32, torch.float64))
    torch.testing.assert_close(value.double(), exact, rtol=0, atol=5e-5)
    torch.testing.assert_close(gradients(value, fake), gradients(exact, fake), rtol=0, atol=1e-5)


@every_distance
def test_equal_sets(name: str):
    if is_u_statistic(name):
        return
    real = samples(8, 3)
    fake = real[torch.randperm(8, generator=rng())].requires_grad_()
    value = make(name)(real, fake, rng())
    assert abs(value) < 1e-9
    assert gradients(value, fake)[0].abs().max() < 1e-8
    torch.testing.assert_close(make(name)(real, real[[*range(8), *range(8)]], rng()), value, rtol=0, atol=1e-9)


@every_distance
@every_seed
def test_only_a_u_statistic_goes_negative(name: str, seed: int):
    values = [
        make(name)(samples(4, 3, seed=k), samples(4, 3, seed=k + 500), rng()) for k in range(20 * seed, 20 * seed + 20)
    ]
    assert (min(values) < 0) == is_u_statistic(name)


@every_distance
@every_seed
def test_the_gradient_moves_fakes_towards_the_data(name: str, seed: int):
    real, fake = samples(12, 2, seed=seed), samples(10, 2, seed=seed + 50, shift=2.5).requires_grad_()
    start = make(name)(real, fake, rng())
    (gradient,) = gradients(start, fake)
    assert (gradient.mean(0) > 0).all()  # the data are at lower coordinates
    step = 1e-3 / gradient.norm()
    assert make(name)(real, fake - step * gradient, rng()) < start


@every_distance
def test_randomness_comes_from_the_generator_alone(name: str):
    real, fake = samples(6, 3), samples(6, 3, seed=1)
    before = torch.get_rng_state()
    draws = [make(name)(real, fake, rng(seed)) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(draws[0], draws[1])
    assert torch.equal(draws[0], draws[2]) == ("sliced" not in name)
    make(name)(real, fake)  # without one: the global state, where any is needed
    assert torch.equal(torch.get_rng_state(), before) == ("sliced" not in name)


@pytest.mark.parametrize("name", [name for name in CASES if name != "energy(0.5)"])
def test_gradients_are_those_of_the_value(name: str):
    """The median bandwidth is held constant: there the gradient is that of the same bandwidth, given."""
    real, fake = samples(5, 2).requires_grad_(), samples(4, 2, seed=1).requires_grad_()
    member, arguments = CASES[name]
    if member == "mmd" and "bandwidth" not in arguments and arguments.get("kernel") != "polynomial":
        given = make(name, bandwidth=median_distance(real.detach(), fake.detach()))
        pairs = zip(
            gradients(make(name)(real, fake), real, fake), gradients(given(real, fake), real, fake), strict=True
        )
        for ours, expected in pairs:
            torch.testing.assert_close(ours, expected)
        return
    distance = make(name, blur=0.8, iterations=80) if member == "sinkhorn" else make(name)
    assert torch.autograd.gradcheck(lambda x, y: distance(x, y, rng()), (real, fake), atol=1e-6)


# --- slow readable twins ---------------------------------------------------------------------------


def median_distance(x: Tensor, y: Tensor) -> float:
    pooled = [*x, *y]
    gaps = [float((a - b).norm()) for i, a in enumerate(pooled) for b in pooled[:i]]
    return sorted(gaps)[(len(gaps) - 1) // 2]


def twin(name: str, x: Tensor, y: Tensor) -> Tensor:
    """Return an MMD or an energy distance, pair by pair."""
    x, y = x.detach(), y.detach()
    member, arguments = CASES[name]
    if member == "energy":
        kernels = [lambda a, b: -((a - b).norm() ** arguments.get("exponent", 1.0))]
    else:
        given = arguments.get("bandwidth", median_distance(x, y))
        radial = {
            "gaussian": lambda d, h: math.exp(-(d**2) / (2 * h**2)),
            "laplace": lambda d, h: math.exp(-d / h),
            "rational_quadratic": lambda d, h: sum((1 + d**2 / (2 * a * h**2)) ** -a for a in ALPHAS),
            "imq": lambda d, h: 1 / math.sqrt(1 + d**2 / h**2),
        }
        kind = arguments.get("kernel", "gaussian")
        if kind == "polynomial":
            kernels = [lambda a, b: (a @ b / len(a) + 1) ** 3]
        else:
            kernels = [
                lambda a, b, h=h: radial[kind](float((a - b).norm()), h)
                for h in (given if isinstance(given, tuple) else [given])
            ]

    def mean(left: Tensor, right: Tensor, skip_diagonal: bool) -> float:
        values = [
            sum(float(kernel(a, b)) for kernel in kernels)
            for i, a in enumerate(left)
            for j, b in enumerate(right)
            if not (skip_diagonal and i == j)
        ]
        return sum(values) / len(values)

    unbiased = is_u_statistic(name)
    return torch.tensor(mean(x, x, unbiased) + mean(y, y, unbiased) - 2 * mean(x, y, False), dtype=torch.float64)


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][0] in ("mmd", "energy")])
@pytest.mark.parametrize("width", [1, 3, 20])
@every_seed
def test_averages_over_pairs(name: str, width: int, seed: int):
    x, y = samples(6, width, seed=seed), samples(5, width, seed=seed + 50, shift=0.7)
    torch.testing.assert_close(make(name)(x, y), twin(name, x, y), rtol=1e-9, atol=1e-12)


def unit_directions(width: int, projections: int, seed: int = 0) -> Tensor:
    directions = torch.randn(width, projections, generator=rng(seed), dtype=torch.float64)
    return directions / directions.norm(dim=0)


@pytest.mark.parametrize(("n", "m"), [(5, 5), (4, 6), (7, 3), (1, 4)])
@pytest.mark.parametrize("order", [1.0, 2.0, 3.0])
@every_seed
def test_sliced_is_the_mean_of_transport_on_lines(n: int, m: int, order: float, seed: int):
    x, y = samples(n, 3, seed=seed), samples(m, 3, seed=seed + 50, shift=0.7)
    total = 0.0
    for direction in unit_directions(3, 8).T:
        left, right = (x @ direction).sort().values, (y @ direction).sort().values
        # n·m equal pieces of mass: x_i owns m of them, y_j owns n
        total += sum(float((left[k // m] - right[k // n]).abs() ** order) for k in range(n * m)) / (n * m) / 8
        if order == 1:
            expected = scipy.stats.wasserstein_distance(left, right)
            assert float(make_sliced(1.0, 1)(left[:, None], right[:, None], rng())) == pytest.approx(expected)
    assert float(make_sliced(order, 8)(x, y, rng())) == pytest.approx(total, rel=1e-9)


@functools.cache
def make_sliced(order: float, projections: int) -> Distance:
    return DISTANCES["sliced_wasserstein"](order=order, projections=projections)


@functools.cache
def make_sinkhorn(order: float, blur: float, iterations: int) -> Distance:
    return DISTANCES["sinkhorn"](order=order, blur=blur, iterations=iterations)


@pytest.mark.parametrize("order", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("blur", [0.5, 1.3])
@every_seed
def test_sinkhorn_is_the_debiased_entropic_cost(order: float, blur: float, seed: int):
    """By alternate scaling of exp(-C/ε) to its marginals, with the value of the primal problem."""
    epsilon = order * blur**order

    def entropic(a: Tensor, b: Tensor) -> Tensor:
        cost = torch.tensor([[float((u - v).norm() ** order) for v in b] for u in a], dtype=torch.float64)
        plan = torch.exp(-cost / epsilon)
        for _ in range(500):
            plan = plan / plan.sum(1, keepdim=True) / len(a)
            plan = plan / plan.sum(0, keepdim=True) / len(b)
        return (plan * cost).sum() + epsilon * (plan * (plan * len(a) * len(b)).log()).sum()

    x, y = samples(6, 2, seed=seed), samples(4, 2, seed=seed + 50, shift=0.7)
    expected = entropic(x, y) - entropic(x, x) / 2 - entropic(y, y) / 2
    torch.testing.assert_close(make_sinkhorn(order, blur, 200)(x, y), expected, rtol=1e-6, atol=1e-9)


# --- closed forms ----------------------------------------------------------------------------------


def batches(distance: Distance, draw: Callable[[int], tuple[Tensor, Tensor]], count: int = 400) -> Tensor:
    return torch.stack([distance(*draw(k)) for k in range(count)])


@every_seed
def test_gaussian_mmd_of_gaussians(seed: int):
    """Unbiased: over small batches its mean is the closed form, at equality 0."""
    h, s, shift = (0.5 + 2 * torch.rand(3, generator=rng(seed), dtype=torch.float64)).tolist()
    width, distance = 1 + seed, DISTANCES["mmd"](bandwidth=h)
    expected = 2 * (h**2 / (h**2 + 2 * s**2)) ** (width / 2)
    expected *= 1 - math.exp(-(shift**2) * width / (2 * (h**2 + 2 * s**2)))
    for offset, closed_form in ((shift, expected), (0.0, 0.0)):
        values = batches(
            distance, lambda k, by=offset: (s * samples(3, width, seed=k), s * samples(5, width, seed=k + 5000) + by)
        )
        assert within_standard_errors(values, closed_form)


@every_seed
def test_polynomial_mmd_from_moments(seed: int):
    """On the line E (x·x' + 1)³ = Σ binom(3, k)·(E xᵏ)²."""
    mean, s = (0.3 + torch.rand(2, generator=rng(seed), dtype=torch.float64)).tolist()

    def moments(mu: float, sigma: float) -> list[float]:
        return [1, mu, mu**2 + sigma**2, mu**3 + 3 * mu * sigma**2]

    p, q = moments(0.0, 1.0), moments(mean, s)
    expected = sum(math.comb(3, k) * (p[k] - q[k]) ** 2 for k in range(4))
    draws = batches(
        make("mmd(polynomial)"), lambda k: (samples(5, 1, seed=k), s * samples(5, 1, seed=k + 5000) + mean)
    )
    assert within_standard_errors(draws, expected)


@every_seed
def test_energy_distance_of_gaussians(seed: int):
    shift = 2 * float(torch.rand((), generator=rng(seed)))
    expected = 2 * (2 * math.exp(-(shift**2) / 4) / math.sqrt(math.pi) + shift * math.erf(shift / 2))
    expected -= 4 / math.sqrt(math.pi)
    for offset, closed_form in ((shift, expected), (0.0, 0.0)):
        values = batches(make("energy"), lambda k, by=offset: (samples(4, seed=k), samples(3, seed=k + 5000) + by))
        assert within_standard_errors(values, closed_form)


@every_seed
def test_energy_is_twice_the_squared_cramer_distance_on_the_line(seed: int):
    x, y = samples(9, seed=seed), samples(6, seed=seed + 50, shift=0.5)
    ends = torch.cat([x, y]).sort().values
    gap = (x[:, None] <= ends).double().mean(0) - (y[:, None] <= ends).double().mean(0)  # F - G from each end on
    value = make("energy(biased)")(x, y)
    torch.testing.assert_close(value, 2 * (gap[:-1].square() * ends.diff()).sum())
    assert float(value) == pytest.approx(scipy.stats.energy_distance(x, y) ** 2)


@pytest.mark.parametrize(("order", "width"), [(1.0, 2), (1.0, 5), (2.0, 2), (2.0, 5)])
def test_sliced_distance_of_shifted_gaussians(order: float, width: int):
    """A set and its shift by m are |m·θ| apart along θ, as N(0, I) and N(m, I) are: only the directions vary."""
    shift = samples(width, seed=3)
    length = float(shift.norm())
    expected = {
        1.0: length * math.gamma(width / 2) / (math.sqrt(math.pi) * math.gamma((width + 1) / 2)),
        2.0: length**2 / width,
    }[order]
    x = samples(20, width)
    values = torch.stack([make_sliced(order, 64)(x, x + shift, rng(seed)) for seed in range(200)])
    assert within_standard_errors(values, expected)


def test_sinkhorn_tends_to_w1_and_w2_on_the_line():
    x, y = samples(12), 1.5 * samples(8, seed=50, shift=0.5)
    w1 = scipy.stats.wasserstein_distance(x, y)
    assert float(make_sinkhorn(1.0, 2e-3, 1000)(x, y)) == pytest.approx(w1, rel=5e-3)
    same = y.repeat_interleave(3), x.repeat_interleave(2)
    w2 = (same[0].sort().values - same[1].sort().values).square().mean()
    assert float(make_sinkhorn(2.0, 2e-2, 1000)(x, y)) == pytest.approx(float(w2), rel=5e-3)


def test_sinkhorn_tends_to_the_frechet_distance_of_gaussians():
    """W2² = Δμ² + Δσ² between N(0, 1) and N(μ, σ²), here their quantiles at the middles of 200 equal steps."""
    grid = torch.special.ndtri((torch.arange(200, dtype=torch.float64) + 0.5) / 200)
    value = make_sinkhorn(2.0, 0.1, 300)(grid, 0.7 * grid + 1.2)
    assert float(value) == pytest.approx(1.2**2 + 0.3**2, rel=0.01)


def test_sinkhorn_tends_to_the_best_assignment():
    x, y = samples(8, 2), samples(8, 2, seed=50, shift=0.5)
    cost = torch.cdist(x, y) ** 2
    best = cost[scipy.optimize.linear_sum_assignment(cost)].mean()
    assert float(make_sinkhorn(2.0, 2e-2, 1000)(x, y)) == pytest.approx(float(best), rel=5e-3)


@every_seed
def test_sinkhorn_tends_to_half_the_energy_distance_as_blur_grows(seed: int):
    x, y = samples(7, 2, seed=seed), samples(5, 2, seed=seed + 50, shift=0.5)
    torch.testing.assert_close(make_sinkhorn(1.0, 1e5, 20)(x, y), make("energy(biased)")(x, y) / 2, rtol=1e-4, atol=0)
    means = (x.mean(0) - y.mean(0)).square().sum()
    torch.testing.assert_close(make_sinkhorn(2.0, 1e3, 20)(x, y), means, rtol=1e-4, atol=0)


def test_too_few_iterations_underestimate_transport():
    x, y = samples(30, 2), samples(30, 2, seed=50, shift=0.5)
    few, more, most = (float(make_sinkhorn(2.0, 0.05, count)(x, y)) for count in (10, 100, 1000))
    assert few < more <= most
    assert more == pytest.approx(most, rel=0.03)


def test_sinkhorn_records_no_graph_of_its_iterations():
    def nodes(value: Tensor) -> int:
        seen, waiting = set(), [value.grad_fn]
        while waiting:
            node = waiting.pop()
            if node is not None and node not in seen:
                seen.add(node)
                waiting += [parent for parent, _ in node.next_functions]
        return len(seen)

    x, y = samples(5, 2), samples(4, 2, seed=1).requires_grad_()
    assert nodes(make_sinkhorn(2.0, 0.5, 4)(x, y)) == nodes(make_sinkhorn(2.0, 0.5, 40)(x, y))


@every_seed
def test_sinkhorn_in_single_precision_far_from_its_blur(seed: int):
    """ε is 1e-11 of the largest cost: float32 raises it to what it resolves."""
    x, y = 1e4 * samples(8, 2, seed=seed), 1e4 * samples(8, 2, seed=seed + 50, shift=0.5)
    exact = make("sinkhorn")(x, y)
    torch.testing.assert_close(make("sinkhorn")(x.float(), y.float()).double(), exact, rtol=0.03, atol=0)


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("width", [2, 64])
def test_a_sample_that_is_not_a_number_is_not_hidden(name: str, width: int):
    torch.manual_seed(0)
    real, fake = torch.randn(8, width), torch.randn(8, width)
    fake[3, 1] = float("nan")
    assert DISTANCES[name]()(real, fake).isnan()
    assert DISTANCES[name]()(fake, real).isnan()
