"""The Fréchet distance against closed forms, matrix roots, and torchmetrics."""

import warnings

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

from adversarium.errors import InputError
from adversarium.metrics.frechet import fast_moments, frechet_distance, gaussian_distance, moments, products
from adversarium.metrics.metric import MetricWarning


def draws(seed, *shapes):
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=rng, dtype=torch.float64) for shape in shapes]


def mixed(rows, seed):
    (mix,) = draws(seed, (rows.shape[1], rows.shape[1]))
    return rows @ mix


def plain(real, fake):
    """As the code of the paper does it: numpy's moments, scipy's root of the product."""
    x, y = (np.asarray(rows, dtype=np.float64) for rows in (real, fake))
    one, other = (np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (x, y))
    root = scipy.linalg.sqrtm(one @ other)
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(one + other - 2 * root.real))


def root(matrix):
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def twin(real, fake):
    """The formula as it is written, with eigenvalues for roots."""
    one, other = torch.cov(real.T), torch.cov(fake.T)
    inner = root(root(one) @ other @ root(one))
    return (real.mean(0) - fake.mean(0)).square().sum() + (one + other - 2 * inner).trace()


@pytest.mark.parametrize("seed", range(5))
def test_gaussian_distance_of_commuting_covariances(seed):
    mean, other, spread, other_spread, turn = draws(seed, (6,), (6,), (6,), (6,), (6, 6))
    turn, _ = torch.linalg.qr(turn)
    one, two = ((turn * sides.square()) @ turn.T for sides in (spread, other_spread))
    expected = (mean - other).square().sum() + (spread.abs() - other_spread.abs()).square().sum()
    torch.testing.assert_close(gaussian_distance(mean, one, other, two), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_gaussian_distance_in_two_dimensions(seed):
    # tr (S T)^½ = √(tr ST + 2·√(det S · det T))
    a, b = draws(seed, (2, 2), (2, 2))
    s, t = a @ a.T, b @ b.T
    zero = torch.zeros(2, dtype=torch.float64)
    overlap = ((s @ t).trace() + 2 * (s.det() * t.det()).sqrt()).sqrt()
    expected = s.trace() + t.trace() - 2 * overlap
    torch.testing.assert_close(gaussian_distance(zero, s, zero, t), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_gaussian_distance_equals_that_of_pot(seed):
    ot = pytest.importorskip("ot")
    a, b, mean, other = draws(seed, (5, 5), (5, 5), (5,), (5,))
    value = gaussian_distance(mean, a @ a.T, other, b @ b.T)
    expected = ot.gaussian.bures_wasserstein_distance(mean, other, a @ a.T, b @ b.T) ** 2
    torch.testing.assert_close(value, expected.squeeze(), rtol=1e-8, atol=0)


@pytest.mark.parametrize("seed", range(3))
def test_a_linear_map_of_gaussians_costs_what_it_moves(seed):
    # x -> A·x with A symmetric and positive is optimal: the cost is tr (A - 1) S (A - 1)
    a, b, mean = draws(seed, (5, 5), (5, 5), (5,))
    s, move = a @ a.T, b @ b.T + 0.1 * torch.eye(5, dtype=torch.float64)
    rest = move - torch.eye(5, dtype=torch.float64)
    value = gaussian_distance(mean, s, move @ mean, move @ s @ move)
    torch.testing.assert_close(value, (rest @ mean).square().sum() + (rest @ s @ rest).trace())


@pytest.mark.parametrize("seed", range(3))
def test_it_tends_to_the_distance_of_the_distributions(seed):
    # N(0, 1) against N(m, s²·1): ‖m‖² + D·(s - 1)²; the moments' own errors are of the order √(D/N)
    x, y, mean = draws(seed, (40000, 4), (40000, 4), (4,))
    value = frechet_distance(x, 1.7 * y + mean)
    expected = mean.square().sum() + 4 * 0.7**2
    # 5 standard errors: of ‖m‖², √(4‖m‖²·(1 + s²)/N), and of the spreads
    spread = (4 * mean.square().sum() * (1 + 1.7**2) / 40000 + 4 * 4 * 0.7**2 * (1 + 1.7**2) / 80000).sqrt()
    assert abs(value - expected) < 5 * spread


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "m", "width"), [(300, 200, 20), (2500, 100, 9), (5, 4, 1)])
def test_it_equals_the_way_of_the_paper(n, m, width, dtype):
    x, y = draws(n, (n, width), (m, width))
    x, y = mixed(x, 1).to(dtype), (mixed(y, 2) + 0.3).to(dtype)
    value = frechet_distance(x, y)
    assert value.dtype == torch.float64
    assert value.shape == ()
    assert float(value) == pytest.approx(plain(x, y), rel=1e-9)


@pytest.mark.parametrize("offset", [0, 100])
@pytest.mark.parametrize(("n", "m"), [(3000, 2500), (3000, 40)])
def test_fast_keeps_seven_digits(n, m, offset):
    x, y = draws(n + m, (n, 60), (m, 60))
    x, y = (mixed(x, 1) + offset).float(), (mixed(y, 2) + 0.3 + offset).float()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MetricWarning)
        value, expected = frechet_distance(x, y, fast=True), frechet_distance(x, y)
    assert value != expected
    torch.testing.assert_close(value, expected, rtol=1e-7, atol=0)
    torch.testing.assert_close(fast_moments(x).covariance, torch.cov(x.double().T), rtol=0, atol=1e-4)
    assert frechet_distance(x, x, fast=True) < 1e-12 * x.var(0).sum()


def test_fast_has_the_same_gradient():
    x, y = draws(0, (2500, 30), (2300, 30))
    x, y = mixed(x, 1).float(), mixed(y, 2).float().requires_grad_()
    slopes = [torch.autograd.grad(frechet_distance(x, y, fast=fast), y)[0] for fast in (False, True)]
    torch.testing.assert_close(slopes[1], slopes[0], rtol=1e-4, atol=1e-4 * float(slopes[0].abs().max()))


def test_fast_goes_back_where_columns_are_nearly_collinear():
    x, y, noise = draws(0, (500, 10), (400, 10), (500, 1))
    x = torch.cat([x, x.sum(dim=1, keepdim=True) + 1e-4 * noise], dim=1).float()
    y = torch.cat([y, y.sum(dim=1, keepdim=True)], dim=1).float()
    torch.testing.assert_close(frechet_distance(x, y, fast=True), frechet_distance(x, y), rtol=1e-9, atol=0)


def test_fast_goes_back_where_float32_does_not_do(monkeypatch):
    x, y = draws(0, (300, 5), (200, 5))
    # squares that overflow or vanish in float32, and their squares in float64
    for scale in (1e30, 1e100, 1e-100):
        found = frechet_distance(scale * x, scale * y, fast=True)
        torch.testing.assert_close(found, frechet_distance(scale * x, scale * y), rtol=1e-9, atol=0)
    x, y = x.float(), y.float()
    assert frechet_distance(x, y, fast=True) != frechet_distance(x, y)
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    assert frechet_distance(x, y, fast=True) == frechet_distance(x, y)


@pytest.mark.parametrize(("n", "m"), [(7, 9), (7, 40), (40, 7), (12, 12), (12, 13), (2, 2)])
def test_few_samples_give_the_right_number_and_a_warning(n, m):
    x, y = draws(0, (n, 12), (m, 12))
    x, y = mixed(x, 1), mixed(y, 2) + 0.3
    with pytest.warns(MetricWarning, match="rank-deficient .* biased upwards") as seen:
        value = frechet_distance(x, y)
    assert len(seen) == 1
    for name, number in (("real", n), ("fake", m)):
        assert (f"{name} has {number}" in str(seen[0].message)) == (number <= 12)
    # the twin's roots lose half of the digits where eigenvalues are 0
    torch.testing.assert_close(value, twin(x, y), rtol=1e-6, atol=0)


def test_one_sample_more_than_columns_is_enough():
    x, y = draws(0, (13, 12), (13, 12))
    torch.testing.assert_close(frechet_distance(x, y), twin(x, y), rtol=1e-8, atol=0)


def test_it_is_biased_upwards_and_less_with_more_samples():
    x, y = draws(0, (4000, 10), (4000, 10))
    parts = [
        torch.stack([frechet_distance(*pair) for pair in zip(x.split(n), y.split(n), strict=True)]) for n in (100, 400)
    ]
    assert (torch.cat(parts) > 0).all()
    assert 2.5 < parts[0].mean() / parts[1].mean() < 6  # as 1/N


@pytest.mark.filterwarnings("ignore::adversarium.metrics.metric.MetricWarning")
@pytest.mark.parametrize("width", [3, 50, 300])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_zero_of_identical_sets_and_symmetric(width, offset):
    x, y = draws(width, (120, width), (80, width))
    x, y = mixed(x, 1) + offset, mixed(y, 2) + offset
    trace = x.var(dim=0).sum()
    assert 0 <= frechet_distance(x, x) < 1e-12 * trace
    assert frechet_distance(x, x[torch.randperm(120, generator=torch.Generator().manual_seed(0))]) < 1e-12 * trace
    torch.testing.assert_close(frechet_distance(x, y), frechet_distance(y, x), rtol=1e-12, atol=0)


@pytest.mark.parametrize("seed", range(3))
def test_rotations_shifts_and_scales(seed):
    x, y, turn, shift = draws(seed, (60, 8), (50, 8), (8, 8), (8,))
    turn, _ = torch.linalg.qr(turn)
    y = mixed(y, seed)
    value = frechet_distance(x, y)
    torch.testing.assert_close(frechet_distance(x @ turn + shift, y @ turn + shift), value)
    torch.testing.assert_close(frechet_distance(3 * x, 3 * y), 9 * value)


def test_it_grows_as_modes_are_dropped():
    (noise, centres) = draws(0, (8, 200, 6), (8, 1, 6))
    modes = 4 * centres + 0.1 * noise
    values = [frechet_distance(modes.flatten(0, 1), modes[:kept].flatten(0, 1)) for kept in (8, 7, 5, 3, 1)]
    assert values == sorted(values)
    assert values[1] > values[0] + 0.1


@pytest.mark.parametrize(("n", "m"), [(30, 25), (4, 3), (4, 25), (25, 4)])
@pytest.mark.filterwarnings("ignore::adversarium.metrics.metric.MetricWarning")
def test_gradients(n, m):
    x, y = draws(n + m, (n, 5), (m, 5))
    x, y = (2 * x).requires_grad_(), (y + 0.5).requires_grad_()
    if min(n, m) > 5:
        assert torch.autograd.gradcheck(frechet_distance, (x, y))
        return
    # without full rank only some directions are smooth: linear maps, and moving all rows at once
    slopes = torch.autograd.grad(frechet_distance(x, y), (x, y))
    assert all(slope.isfinite().all() for slope in slopes)
    push = torch.linspace(-1, 1, 5, dtype=torch.float64)
    (turn,) = draws(0, (5, 5))
    flat = [x.detach(), y.detach()]
    directions = [(side, rows @ turn) for side, rows in enumerate(flat)]
    directions += [(side, push.expand(len(rows), 5)) for side, rows in enumerate(flat)]
    for side, direction in directions:
        step = 1e-5
        ends = [[x.detach().clone(), y.detach().clone()] for _ in range(2)]
        ends[0][side] += step * direction
        ends[1][side] -= step * direction
        measured = (frechet_distance(*ends[0]) - frechet_distance(*ends[1])) / (2 * step)
        torch.testing.assert_close((slopes[side] * direction).sum(), measured, rtol=1e-6, atol=1e-8)


def test_gradients_where_columns_depend_on_each_other():
    x, y, turn = draws(0, (40, 5), (30, 5), (5, 5))
    y[:, 4] = y[:, 0] - y[:, 1]
    fake = y.clone().requires_grad_()
    (slope,) = torch.autograd.grad(frechet_distance(x, fake), fake)
    step = 1e-5
    measured = frechet_distance(x, y + step * y @ turn) - frechet_distance(x, y - step * y @ turn)
    torch.testing.assert_close((slope * (y @ turn)).sum(), measured / (2 * step), rtol=1e-6, atol=0)


def test_the_gradient_at_a_kink_is_the_shortest():
    one = torch.tensor([1.0, 2.0, 0.0, 0.0], dtype=torch.float64).diag().requires_grad_()
    other = torch.tensor([1.0, 0.0, 3.0, 0.0], dtype=torch.float64).diag()
    mean = torch.zeros(4, dtype=torch.float64)
    (slope,) = torch.autograd.grad(gaussian_distance(mean, one, mean, other), one)
    # 1 - √(t/s) where both have extent, and no direction preferred where one has none
    torch.testing.assert_close(slope, torch.tensor([0.0, 1.0, 1.0, 1.0], dtype=torch.float64).diag())


def test_fast_moments_far_from_the_origin():
    (x,) = draws(0, (3000, 5))
    rows = (0.1 * x + 1e4 + torch.linspace(0, 3e-3, 5, dtype=torch.float64)).float()
    rows[:2048] += 0.2  # the first rows need not be like the others
    expected = torch.cov(rows.double().T)
    torch.testing.assert_close(fast_moments(rows).mean, rows.double().mean(dim=0), rtol=0, atol=1e-8)
    torch.testing.assert_close(fast_moments(rows).covariance, expected, rtol=0, atol=2e-8)
    # with a gradient it takes another way to the products, which a single column sums less well
    torch.testing.assert_close(fast_moments(rows.requires_grad_()).covariance, expected, rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore::adversarium.metrics.metric.MetricWarning")
@pytest.mark.parametrize("n", [40, 4])
def test_the_gradient_of_identical_sets_is_zero(n):
    (x,) = draws(0, (n, 6))
    x[:, 3] = 1
    fake = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(frechet_distance(x, fake), fake)
    assert slope.abs().max() < 1e-10


def test_the_gradient_of_constant_and_equal_columns_is_that_of_the_others():
    # a factorisation's own derivative is infinite at such covariances
    x, y = draws(0, (40, 4), (50, 4))
    whole = [
        torch.cat([rows, rows[:, :1], torch.full((len(rows), 1), level)], dim=1)
        for rows, level in ((x, 2.0), (y, 3.0))
    ]
    # the doubled column is the first one, √2 as wide; the constants differ by 1
    wide = [torch.cat([rows[:, :1] * 2**0.5, rows[:, 1:]], dim=1) for rows in (x, y)]
    fake, short = whole[1].requires_grad_(), wide[1].requires_grad_()
    with pytest.warns(MetricWarning, match="1 of 6 columns of (real|fake) are constant"):
        value = frechet_distance(whole[0], fake)
    expected = frechet_distance(wide[0], short)
    torch.testing.assert_close(value, expected + 1)
    (slope,), (wanted,) = torch.autograd.grad(value, fake), torch.autograd.grad(expected, short)
    torch.testing.assert_close(slope[:, 1:4], wanted[:, 1:])
    torch.testing.assert_close(slope[:, 0], wanted[:, 0] / 2**0.5)
    torch.testing.assert_close(slope[:, 0], slope[:, 4])
    torch.testing.assert_close(slope[:, 5], torch.full((50,), 2 / 50, dtype=torch.float64))


def test_descending_the_distance_arrives():
    x, start = draws(0, (60, 3), (50, 3))
    fake = (3 * start).float().requires_grad_()
    optimizer = torch.optim.Adam([fake], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        value = frechet_distance(x, fake)
        value.backward()
        optimizer.step()
    assert fake.grad.dtype == torch.float32
    assert value < 0.05


def test_gradients_of_gaussian_distance():
    a, b, mean, other = draws(3, (4, 4), (4, 4), (4,), (4,))

    def of_factors(a, b, mean, other):
        return gaussian_distance(mean, a @ a.T, other, b @ b.T)

    assert torch.autograd.gradcheck(of_factors, tuple(each.requires_grad_() for each in (a, b, mean, other)))


def test_chunks_and_dtypes_of_the_moments():
    (rows,) = draws(0, (5000, 37))
    rows = mixed(rows, 1) + 1000
    found = moments(rows)
    assert found.number == 5000
    torch.testing.assert_close(found.mean, rows.mean(0))
    torch.testing.assert_close(found.covariance, torch.cov(rows.T), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found.covariance, found.covariance.T, rtol=0, atol=0)
    torch.testing.assert_close(products(rows), rows.T @ rows)
    half = rows.half()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert moments(half).covariance.dtype == torch.float64
        torch.testing.assert_close(moments(half).covariance, torch.cov(half.double().T), rtol=1e-8, atol=1e-8)


class Flat(nn.Module):
    num_features = 7

    def forward(self, images):
        return images.flatten(1)


@pytest.mark.parametrize("seed", range(3))
def test_it_equals_torchmetrics(seed):
    fid = pytest.importorskip("torchmetrics.image.fid")
    x, y = draws(seed, (90, 7), (60, 7))
    y = mixed(y, seed) + 0.2
    metric = fid.FrechetInceptionDistance(feature=Flat()).set_dtype(torch.float64)
    metric.update(x[:, :, None, None], real=True)
    metric.update(y[:, :, None, None], real=False)
    torch.testing.assert_close(frechet_distance(x, y), metric.compute(), rtol=1e-9, atol=0)


def test_constant_columns_are_told():
    x, y = draws(0, (50, 5), (50, 5))
    y[:, 1:3] = 0.1
    with pytest.warns(MetricWarning, match="2 of 5 columns of fake are constant") as seen:
        value = frechet_distance(x, y)
    assert len(seen) == 1
    kept = [0, 3, 4]
    others = (x[:, 1:3].mean(0) - 0.1).square().sum() + x[:, 1:3].var(0).sum()
    covariance = torch.cov(x.T)
    # the Gaussian of y has no extent there: what x has in these columns, given the others, is lost whole
    expected = twin(x, y)
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-6)
    assert value > frechet_distance(x[:, kept], y[:, kept]) + 0.5 * others
    assert covariance.det() > 0


def test_no_warning_where_there_is_nothing_to_tell():
    x, y = draws(0, (50, 5), (50, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frechet_distance(x + 1e3, y)


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (torch.zeros(1, 2), torch.zeros(3, 2), "real has 1 samples: wanted at least 2"),
        (torch.zeros(3, 2), torch.zeros(3, 4), "real has 2 columns and fake 4"),
        (torch.zeros(3, 2), torch.full((3, 2), float("nan")), "fake has NaN or infinity in 3 of 3 rows"),
        (torch.zeros(3, 2), torch.full((3, 2), 1e200, dtype=torch.float64), "fake is as large as"),
    ],
)
def test_bad_rows(real, fake, message):
    with pytest.raises(InputError, match=message):
        frechet_distance(real, fake)


def test_bad_covariances():
    mean, good = torch.zeros(2), torch.eye(2)
    for bad, message in (
        (torch.tensor([[1.0, 0.5], [0.0, 1.0]]), "other_covariance is not symmetric: .* up to 0.5"),
        (torch.tensor([[1.0, 2.0], [2.0, 1.0]]), "other_covariance has the eigenvalue -1: wanted none below 0"),
        (-good, "other_covariance has the eigenvalue -1"),
        (good * float("inf"), "other_covariance has NaN or infinity"),
    ):
        with pytest.raises(InputError, match=message):
            gaussian_distance(mean, good, mean, bad)
