"""Precision, recall, density and coverage against a readable twin, closed forms and hard sets of rows."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from adversarium.errors import InputError
from adversarium.metrics import _nearest
from adversarium.metrics._check import product_dtype
from adversarium.metrics.metric import MetricWarning
from adversarium.metrics.neighbours import expected_coverage, nearest_neighbours, neighbour_scores


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def distances(x: Tensor, y: Tensor) -> Tensor:
    """By differences in float64, a row at a time."""
    return torch.stack([(row - y.double()).square().sum(1) for row in x.double()])


def twin(real: Tensor, fake: Tensor, k: int) -> list[float]:
    """The definitions, on full matrices of squared distances."""
    radii = []
    for rows in (real, fake):
        own = distances(rows, rows)
        own.fill_diagonal_(torch.inf)
        radii.append(own.sort(dim=1).values[:, k - 1])
    across = distances(real, fake)
    in_real, in_fake = across < radii[0][:, None], across < radii[1][None]
    found = (in_real.any(0), in_fake.any(1), in_real.double().sum(0) / k, in_real.any(1))
    return [float(each.double().mean()) for each in found]


def check(real: Tensor, fake: Tensor, k: int, chunk: int) -> None:
    found = [float(each) for each in neighbour_scores(real, fake, k=k, chunk=chunk)]
    assert found == pytest.approx(twin(real, fake, k), rel=1e-13, abs=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("seed", range(6))
def test_equals_the_definitions(seed: int, dtype: torch.dtype):
    source = rng(seed)
    draw = [int(torch.randint(low, high, (), generator=source)) for low, high in ((2, 9), (40, 200), (40, 200))]
    k, n, m = draw
    dimension = (1, 3, 17, 100, 64, 2)[seed]
    real = torch.randn(n, dimension, generator=source).to(dtype)
    fake = (0.8 * torch.randn(m, dimension, generator=source) + 0.1).to(dtype)
    check(real, fake, k, chunk=37)


@pytest.mark.filterwarnings("ignore:.*copies or more:adversarium.metrics.metric.MetricWarning")
@pytest.mark.parametrize("name", ["lattice", "copies", "shared", "collapsed", "two_points", "far", "outlier", "tight"])
def test_equals_the_definitions_on_sets_that_products_get_wrong(name: str):
    source = rng(3)
    real = torch.randn(150, 24, generator=source)
    fake = {
        # ties everywhere
        "lattice": torch.randint(0, 3, (130, 24), generator=source).float(),
        # every distance to the data is a distance within the data, up to the radius itself
        "copies": real.clone(),
        "shared": torch.cat([real[:70], torch.randn(60, 24, generator=source)]),
        # one point, as full mode collapse leaves it
        "collapsed": real[:1].repeat(90, 1),
        "two_points": real[:2].repeat(60, 1),
        # norms far above distances
        "far": 1000 + torch.randn(80, 24, generator=source),
        "outlier": torch.cat([torch.randn(80, 24, generator=source), torch.full((1, 24), 1e8)]),
        "tight": real[:1] + 1e-6 * torch.randn(100, 24, generator=source),
    }[name]
    if name == "lattice":
        real = torch.randint(0, 3, (150, 24), generator=source).float()
    for chunk in (1000, 41):
        check(real, fake, 5, chunk)
        check(fake, real, 5, chunk)
        check(1e3 + real, 1e3 + fake, 3, chunk)


@pytest.mark.filterwarnings("ignore:.*copies or more:adversarium.metrics.metric.MetricWarning")
@pytest.mark.parametrize(("n", "m", "dimension", "k"), [(300, 200, 3, 5), (150, 250, 64, 3)])
def test_equals_prdc_where_it_is_installed(n: int, m: int, dimension: int, k: int):
    prdc = pytest.importorskip("prdc")
    # on a lattice its products are exact, ties included; elsewhere there are none
    lattice = [torch.randint(0, 4, (size, dimension), generator=rng(size)).double() for size in (n, m)]
    spread = [torch.randn(size, dimension, generator=rng(size), dtype=torch.float64) for size in (n, m)]
    for real, fake in (lattice, spread):
        theirs = prdc.compute_prdc(real.numpy(), fake.numpy(), k)
        for name, value in neighbour_scores(real, fake, k=k)._asdict().items():
            assert float(value) == pytest.approx(float(theirs[name]), rel=1e-13), name


@pytest.mark.parametrize("size", [1e-25, 1e25])
def test_does_not_depend_on_the_units(size: float):
    real, fake = torch.randn(90, 20, generator=rng(0)), torch.randn(80, 20, generator=rng(1))
    # float32 rows whose squares are no float32 numbers; a power of two, so that rows are the same
    factor = 2.0 ** round(math.log2(size))
    assert neighbour_scores(real * factor, fake * factor) == neighbour_scores(real, fake)


def test_identical_sets_and_separate_sets():
    x = torch.randn(200, 10, generator=rng(0))
    same = neighbour_scores(x, x.flip(0), k=3)
    assert float(same.coverage) == float(same.precision) == float(same.recall) == 1  # each is in its own ball
    # x itself and the k - 1 neighbours before the one on the sphere
    assert float(same.density) == 1
    apart = neighbour_scores(x, x + 100)
    assert [float(each) for each in apart] == [0, 0, 0, 0]


def test_precision_of_one_is_recall_of_the_other():
    x, y = torch.randn(120, 6, generator=rng(0)), 1.2 * torch.randn(150, 6, generator=rng(1))
    one, other = neighbour_scores(x, y), neighbour_scores(y, x)
    assert one.precision == other.recall
    assert one.recall == other.precision


@pytest.mark.parametrize(("n", "m", "k"), [(60, 60, 5), (60, 25, 3), (30, 80, 2)])
def test_equal_distributions_score_what_the_paper_expects(n: int, m: int, k: int):
    source = rng(n + m)
    draws = [
        neighbour_scores(torch.randn(n, 3, generator=source), torch.randn(m, 3, generator=source), k=k)
        for _ in range(150)
    ]
    for field, expected in (("density", 1.0), ("coverage", expected_coverage(n, m, k=k))):
        values = torch.stack([getattr(draw, field) for draw in draws])
        assert abs(float(values.mean()) - expected) < 4 * float(values.std()) / 150**0.5, field


def test_expected_coverage():
    # the formula of the paper at N = M, and its limit
    n, k = 50, 4
    product = math.prod(n - s for s in range(1, k + 1)) / math.prod(2 * n - s for s in range(1, k + 1))
    assert expected_coverage(n, n, k=k) == pytest.approx(1 - product, rel=1e-14)
    assert expected_coverage(10**9, 10**9) == pytest.approx(1 - 2**-5, rel=1e-8)


def test_falls_when_a_mode_is_dropped():
    modes = 20 * torch.randn(6, 4, generator=rng(0))
    real = modes[torch.arange(300) % 6] + torch.randn(300, 4, generator=rng(1))
    noise = torch.randn(300, 4, generator=rng(2))
    found = [neighbour_scores(real, modes[torch.arange(300) % kept] + noise) for kept in (6, 5, 4, 3, 2, 1)]
    for field in ("recall", "coverage"):
        values = [float(getattr(each, field)) for each in found]
        assert values == sorted(values, reverse=True), field
        assert values[0] > 0.8, field
        assert values[-1] < 0.2, field
    assert float(found[-1].precision) > 0.8


@pytest.mark.parametrize(("n", "m", "dimension", "k"), [(50, 300, 3, 4), (200, 40, 30, 40), (30, 90, 1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_neighbours_equal_a_tree_search(n: int, m: int, dimension: int, k: int, dtype: torch.dtype):
    queries = torch.randn(n, dimension, generator=rng(0), dtype=dtype)
    rows = torch.randn(m, dimension, generator=rng(1), dtype=dtype)
    wanted, where = cKDTree(rows.double().numpy()).query(queries.double().numpy(), k=k)
    found, indices = nearest_neighbours(queries, rows, k, chunk=33)
    assert found.shape == indices.shape == (n, k)
    np.testing.assert_allclose(found.numpy(), wanted.reshape(n, k), rtol=1e-13)
    np.testing.assert_array_equal(indices.numpy(), where.reshape(n, k))


def test_neighbours_in_clusters_that_float32_cannot_see():
    # 1e-6 apart at norms of 1: the products say 0; the distances, and who is nearest, are right all the same
    centres = torch.randn(4, 40, generator=rng(0), dtype=torch.float64)
    rows = (centres[torch.arange(200) % 4] + 1e-7 * torch.randn(200, 40, generator=rng(1))).float()
    found, indices = nearest_neighbours(rows, rows, 3)
    exact = distances(rows, rows).sort(dim=1, stable=True)
    torch.testing.assert_close(found, exact.values[:, :3].sqrt(), rtol=1e-12, atol=0)
    torch.testing.assert_close(distances(rows, rows).gather(1, indices).sqrt(), found, rtol=1e-12, atol=0)


@pytest.mark.parametrize("k", [1, 6])
def test_neighbours_in_clusters_that_float64_products_cannot_see(k: int):
    centres = torch.randn(4, 40, generator=rng(0), dtype=torch.float64)
    rows = centres[torch.arange(200) % 4] + 1e-11 * torch.randn(200, 40, generator=rng(1), dtype=torch.float64)
    exact = distances(rows, rows)
    found, indices = nearest_neighbours(rows, rows, k, chunk=33)
    torch.testing.assert_close(found, exact.sort(dim=1).values[:, :k].sqrt(), rtol=1e-12, atol=0)
    torch.testing.assert_close(exact.gather(1, indices).sqrt(), found, rtol=1e-12, atol=0)
    # without the rows themselves
    exact.fill_diagonal_(torch.inf)
    squared, indices = _nearest.nearest(rows, rows, k, 33, own=torch.arange(200))
    torch.testing.assert_close(squared, exact.sort(dim=1).values[:, :k], rtol=1e-12, atol=0)
    torch.testing.assert_close(exact.gather(1, indices), squared, rtol=1e-12, atol=0)


@pytest.mark.parametrize("searched", [True, False])
def test_ties_take_no_more_memory_than_a_tile(monkeypatch: pytest.MonkeyPatch, searched: bool):
    pairs, taken = [0], _nearest._differences

    def counted(x: _nearest.Points, i: Tensor, y: _nearest.Points, j: Tensor) -> Tensor:
        if i.dim() == 1:  # not the candidates' own
            pairs.append(len(i))
        return taken(x, i, y, j)

    monkeypatch.setattr(_nearest, "_differences", counted)
    if searched:
        monkeypatch.setattr(_nearest, "TIED", 0)
    # all pairs are equally far apart
    rows = torch.eye(300)
    found, indices = nearest_neighbours(rows[:150], rows[150:], 3, chunk=32)
    assert torch.equal(found, torch.full((150, 3), 2.0, dtype=torch.float64).sqrt())
    assert all(len(set(each.tolist())) == 3 for each in indices)
    assert max(pairs) == (32**2 if searched else 0)


def test_a_row_is_its_own_neighbour():
    rows = torch.randn(60, 5, generator=rng(0))
    found, indices = nearest_neighbours(rows, rows)
    assert not found.any()
    assert indices.squeeze(1).tolist() == list(range(60))


def test_products_that_torch_may_round_are_not_used(monkeypatch: pytest.MonkeyPatch):
    assert product_dtype() == torch.float32
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    assert product_dtype() == torch.float64
    check(torch.randn(50, 8, generator=rng(0)), torch.randn(50, 8, generator=rng(1)), 3, 20)


def test_is_the_same_under_autocast_and_needs_no_gradient():
    x, y = torch.randn(50, 30, generator=rng(0), requires_grad=True), torch.randn(60, 30, generator=rng(1))
    alone = neighbour_scores(x, y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert neighbour_scores(x, y) == alone
    assert not alone.density.requires_grad


def test_distances_that_differ_by_rounding_alone_are_equal():
    # the same numbers in another order: the same distance, but not the same rounding
    x = torch.randn(1, 99, generator=rng(0), dtype=torch.float64)
    turned = torch.cat([x[:, torch.randperm(99, generator=rng(seed))] for seed in range(50)])
    origin, points = _nearest.points(torch.zeros_like(x), turned)
    limit = x.square().sum(1, keepdim=True)
    assert len(turned.square().sum(1).unique()) > 1
    ((_, i, _, less),) = _nearest.within(origin, points, (limit,), 1000)
    assert len(i) == 50
    assert not less.any()


def test_duplicates_among_the_data_are_said():
    real = torch.cat([torch.randn(30, 4, generator=rng(0)), torch.zeros(6, 4)])
    with pytest.warns(MetricWarning, match="6 of 36 real samples have 5 copies or more"):
        neighbour_scores(real, real)
    neighbour_scores(real, real, k=6)
    neighbour_scores(torch.randn(30, 4, generator=rng(0)), torch.zeros(30, 4))  # collapse: a finding, not bad data


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: neighbour_scores(x[:5], x), "real has 5 samples: wanted at least 6"),
        (lambda x: neighbour_scores(x, x[:3], k=3), "fake has 3 samples: wanted at least 4"),
        (lambda x: neighbour_scores(x, x[:, :2]), "real has 4 columns and fake 2"),
        (lambda x: neighbour_scores(x, x, k=0), "k is 0: wanted at least 1"),
        (lambda x: neighbour_scores(x, x / 0), "fake has NaN or infinity in 20 of 20 rows"),
        (lambda x: neighbour_scores(x, x, chunk=0), "chunk is 0"),
        (lambda x: nearest_neighbours(x, x[:2], 3), "k is 3 and there are 2 rows"),
        (lambda x: nearest_neighbours(x.double() * 1e200, x), "queries is as large as"),
        (lambda x: neighbour_scores(x, x / x.abs().max() * 3e38), r"fake is as large as 3e\+38: .* below 9e\+37"),
        (lambda x: expected_coverage(5, 5), "wanted more than k = 5"),
    ],
)
def test_bad_input(call, message: str):
    with pytest.raises(InputError, match=message):
        call(torch.randn(20, 4, generator=rng(0)))
