"""Streaming metrics: any split and order gives what the pure function gives of the whole, in one process or in two."""

import subprocess
import sys
import warnings

import pytest
import torch

from adversarium.errors import InputError
from adversarium.metrics.discrepancy import energy_distance
from adversarium.metrics.frechet import frechet_distance
from adversarium.metrics.kernel import kernel_distance
from adversarium.metrics.metric import MetricWarning
from adversarium.metrics.neighbours import neighbour_scores
from adversarium.metrics.score import inception_score

pytest.importorskip("torchmetrics")
from adversarium.metrics import streaming

PAIRS = {
    "frechet": (lambda **options: streaming.FrechetDistance(5, **options), frechet_distance),
    "kernel": (streaming.KernelDistance, kernel_distance),
    "neighbours": (streaming.NeighbourScores, neighbour_scores),
    "any": (lambda **options: streaming.RowsMetric(energy_distance, **options), energy_distance),
}


def sets(seed=0, n=83, m=61):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, 5, generator=rng) + 3, 1.3 * torch.randn(m, 5, generator=rng) + 3.2


def same(value, expected):
    for a, b in zip(value, expected, strict=True) if isinstance(expected, tuple) else ((value, expected),):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def feed(metric, real, fake, seed, sizes=(1, 30)):
    """Update in batches of random sizes, real and fake mixed."""
    rng = torch.Generator().manual_seed(seed)
    batches = []
    for rows, flag in ((real, True), (fake, False)):
        while len(rows):
            size = int(torch.randint(*sizes, (), generator=rng))
            batches.append((rows[:size], flag))
            rows = rows[size:]
    for place in torch.randperm(len(batches), generator=rng):
        metric.update(batches[place][0], real=batches[place][1])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", PAIRS)
def test_any_batches_give_the_whole(name, seed):
    build, function = PAIRS[name]
    metric = build()
    real, fake = sets(seed)
    feed(metric, real, fake, seed)
    value = metric.compute()
    same(value, function(real, fake))
    assert type(value) is type(function(real, fake))
    assert all(each.dtype == torch.float64 for each in (value if isinstance(value, tuple) else (value,)))


@pytest.mark.parametrize("name", PAIRS)
def test_reset_forgets_and_may_keep_the_real_rows(name):
    build, function = PAIRS[name]
    (real, fake), (other_real, other_fake) = sets(0), sets(1)
    for keep_real in (False, True):
        metric = build(keep_real=keep_real)
        feed(metric, real, fake, 0)
        metric.compute()
        metric.reset()
        if keep_real:
            metric.update(other_fake, real=False)
            same(metric.compute(), function(real, other_fake))
            metric.reset()
            metric.update(fake, real=False)
            same(metric.compute(), function(real, fake))
        else:
            feed(metric, other_real, other_fake, 0)
            same(metric.compute(), function(other_real, other_fake))


@pytest.mark.parametrize("name", PAIRS)
def test_states_are_saved_and_go_on(name):
    build, function = PAIRS[name]
    real, fake = sets()
    metric, later = build(), build()
    feed(metric, real[:40], fake[:30], 0)
    saved = metric.state_dict()
    later.load_state_dict(saved)
    same(later.compute(), function(real[:40], fake[:30]))
    feed(later, real[40:], fake[30:], 1)
    same(later.compute(), function(real, fake))
    # what went on is not in what was saved
    again = build()
    again.load_state_dict(saved)
    same(again.compute(), function(real[:40], fake[:30]))


@pytest.mark.parametrize("name", PAIRS)
def test_two_processes_states_together(name):
    # as torchmetrics reduces them: sums are added, lists joined
    build, function = PAIRS[name]
    real, fake = sets()
    parts = [build(), build()]
    feed(parts[0], real[:50], fake[:20], 0)
    feed(parts[1], real[50:], fake[20:], 1)
    whole = build()
    for state, reduction in whole._reductions.items():
        one, other = (getattr(part, state) for part in parts)
        joined = [*one, *other] if isinstance(one, list) else reduction(torch.stack([one, other]))
        setattr(whole, state, joined)
    whole._update_count = 1
    same(whole.compute(), function(real, fake))


def test_inception_score():
    rng = torch.Generator().manual_seed(0)
    rows = (2 * torch.randn(90, 6, generator=rng)).softmax(1)
    metric = streaming.InceptionScore(6)
    for part in rows.split(17):
        metric.update(part)
    same(metric.compute(), inception_score(rows))
    later = streaming.InceptionScore(6)
    later.load_state_dict(metric.state_dict())
    later.update(rows[:30])
    same(later.compute(), inception_score(torch.cat([rows, rows[:30]])))
    metric.reset()
    metric.update(torch.eye(6))
    assert metric.compute().value == pytest.approx(6)
    metric.reset()
    with pytest.raises(InputError, match="probabilities has 6 columns: wanted 5"):
        streaming.InceptionScore(5).update(rows)
    with pytest.raises(InputError, match="wanted class probabilities"):
        metric.update(rows * 2)


def test_the_moments_keep_their_digits_far_from_the_origin():
    real, fake = (rows.double() + 300 for rows in sets())
    metric = PAIRS["frechet"][0]()
    feed(metric, real, fake, 0)
    torch.testing.assert_close(metric.compute(), frechet_distance(real, fake), rtol=1e-8, atol=0)


def test_kernel_options():
    real, fake = sets()
    metric = streaming.KernelDistance(degree=2, subsets=4, subset_size=20, seed=3)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    rng = torch.Generator().manual_seed(3)
    same(metric.compute(), kernel_distance(real, fake, degree=2, subsets=4, subset_size=20, rng=rng))


@pytest.mark.parametrize("build", [streaming.KernelDistance, streaming.NeighbourScores])
def test_at_most_so_many_rows(build):
    real, fake = sets()
    metric, expected = build(most=30), build()
    metric.update(real[:20], real=True)
    with pytest.warns(MetricWarning, match="real has more than most = 30 rows: those that came later are left out"):
        metric.update(real[20:], real=True)
    metric.update(fake[:30], real=False)
    expected.update(real[:30], real=True)
    expected.update(fake[:30], real=False)
    same(metric.compute(), expected.compute())
    assert sum(len(rows) for rows in metric.real_rows) == 30


def test_a_batch_that_changes_later_does_not_change_the_metric():
    real, fake = sets()
    metric = streaming.KernelDistance()
    batch = real.clone()
    metric.update(batch, real=True)
    batch.zero_()
    metric.update(fake, real=False)
    same(metric.compute(), kernel_distance(real, fake))


@pytest.mark.parametrize("name", PAIRS)
def test_bad_input(name):
    metric = PAIRS[name][0]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torchmetrics': compute before update
        with pytest.raises(InputError, match="real has 0 samples"):
            metric.compute()
    real, fake = sets()
    metric.update(real, real=True)
    with pytest.raises(InputError, match="fake has 0 samples"):
        metric.compute()
    with pytest.raises(InputError, match="real has 4 columns: wanted 5"):
        metric.update(real[:, :4], real=True)
    with pytest.raises(InputError, match="fake has NaN or infinity"):
        metric.update(fake / 0, real=False)


def test_few_samples_warn():
    metric = PAIRS["frechet"][0]()
    real, fake = sets(0, 83, 4)
    feed(metric, real, fake, 0)
    with pytest.warns(MetricWarning, match="fake has 4 samples in 5 columns.* biased upwards"):
        value = metric.compute()
    with pytest.warns(MetricWarning):
        torch.testing.assert_close(value, frechet_distance(real, fake), rtol=1e-6, atol=0)


def test_without_torchmetrics_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    monkeypatch.delitem(sys.modules, "adversarium.metrics.streaming")
    with pytest.raises(InputError, match=r"pip install 'adversarium\[torchmetrics\]'"):
        import adversarium.metrics.streaming  # noqa: F401


PROCESS = """
import sys, warnings
import torch
import torch.distributed as dist
from adversarium.metrics import energy_distance, streaming

rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
rng = torch.Generator().manual_seed(rank)
found = {}
for name, metric in (("frechet", streaming.FrechetDistance(5)), ("kernel", streaming.KernelDistance()),
                     ("neighbours", streaming.NeighbourScores()), ("any", streaming.RowsMetric(energy_distance))):
    rng.manual_seed(rank)
    for size in (20 + rank, 10):
        metric.update(torch.randn(size, 5, generator=rng), real=True)
        metric.update(torch.randn(size + 3, 5, generator=rng) + 0.3, real=False)
    found[name] = metric.compute()
if rank == 1:
    torch.save({name: list(value) if isinstance(value, tuple) else [value] for name, value in found.items()}, out)
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_in_two_processes(tmp_path):
    arguments = [str(tmp_path / "store"), str(tmp_path / "out")]
    processes = [subprocess.Popen([sys.executable, "-c", PROCESS, str(rank), *arguments]) for rank in (0, 1)]
    assert [process.wait(110) for process in processes] == [0, 0]
    found = torch.load(tmp_path / "out")
    real, fake = [], []
    for rank in (0, 1):
        rng = torch.Generator().manual_seed(rank)
        for size in (20 + rank, 10):
            real.append(torch.randn(size, 5, generator=rng))
            fake.append(torch.randn(size + 3, 5, generator=rng) + 0.3)
    for name, (_, function) in PAIRS.items():
        expected = function(torch.cat(real), torch.cat(fake))
        same(tuple(found[name]), tuple(expected) if isinstance(expected, tuple) else (expected,))
