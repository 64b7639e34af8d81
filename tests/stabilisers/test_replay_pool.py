"""The replay pool against a readable one that takes samples one by one, its shares, and its checkpoint."""

import copy
import random
from pathlib import Path

import pytest
import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.stabilisers import ReplayPool, _draw
from adversarium.train import checkpoint

SHAPES = [(), (2,), (3, 4, 4)]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batches(count: int, size: int, *shape: int) -> list[Tensor]:
    """Return batches of samples that are all different."""
    numbers = torch.arange(count * size, dtype=torch.float32).view(count, size, *[1] * len(shape))
    return list(numbers.expand(count, size, *shape).clone())


class OneByOne:
    """What the pool does, with lists: no batch, no tensors of indices."""

    def __init__(self, capacity: int, share: float, exact: bool, independent: bool) -> None:
        self.capacity, self.share, self.exact, self.independent = capacity, share, exact, independent
        self.kept: list[Tensor] = []

    def __call__(self, fake: Tensor, source: torch.Generator) -> Tensor:
        chances, leaving, entering = _draw.uniform(3, fake, source).T.tolist()
        chosen = [chance < self.share for chance in chances]
        if self.exact:
            lowest = sorted(range(len(fake)), key=chances.__getitem__)[: round(self.share * len(fake))]
            chosen = [row in lowest for row in range(len(fake))]
        shown = []
        for row, sample in enumerate(fake):
            if len(self.kept) < self.capacity:
                self.kept.append(sample)
                shown.append(sample)
            elif chosen[row]:
                shown.append(self.kept[int(leaving[row] * self.capacity)])
                place = (entering if self.independent else leaving)[row]
                self.kept[int(place * self.capacity)] = sample
            else:
                shown.append(sample)
        return torch.stack(shown)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("capacity", [1, 3, 10, 64])
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("independent", [False, True])
def test_it_does_what_one_does_that_takes_samples_one_by_one(
    shape: tuple[int, ...], capacity: int, exact: bool, independent: bool
):
    share = (capacity * 7 % 10) / 10
    pool = ReplayPool(capacity, share, exact=exact, independent=independent)
    twin = OneByOne(capacity, share, exact, independent)
    ours, theirs = rng(capacity), rng(capacity)
    for fake in batches(12, 10, *shape):
        assert torch.equal(pool(fake, ours), twin(fake, theirs))
        assert int(pool.count) == len(twin.kept)
        assert torch.equal(pool.images[: len(twin.kept)], torch.stack(twin.kept))


def test_like_cyclegans_pool_each_sample_is_shown_or_kept_and_comes_out_at_most_once():
    pool, source = ReplayPool(20, 0.5), rng(1)
    shown = torch.cat([pool(fake, source) for fake in batches(50, 8, 1)])
    given = torch.cat(batches(50, 8, 1))
    # the first 20 are both kept and shown; after that nothing doubles, and nothing is lost
    assert torch.equal(shown[:20], given[:20])
    times = torch.cat([shown, pool.images]).flatten().long().bincount(minlength=400)
    assert times[:20].tolist() == [2] * 20
    assert times[20:].tolist() == [1] * 380
    ages = given - shown
    assert (ages >= 0).all()
    assert 0.4 < float((ages[20:] > 0).double().mean()) < 0.6
    assert float(ages.max()) > 40


def test_the_place_of_a_kept_sample_is_uniform_and_its_age_geometric():
    pool, source = ReplayPool(10, 1.0), rng(2)
    ages = torch.cat([fake - pool(fake, source) for fake in batches(400, 25, 1)])[500:].flatten()
    # each one that enters leaves at each turn with probability 1/10: its mean age is 10, its standard deviation √90
    assert abs(float(ages.mean()) - 10) < 4 * 90**0.5 / len(ages) ** 0.5
    assert abs(float((ages == 1).double().mean()) - 0.1) < 0.015


@pytest.mark.parametrize("size", [1, 5, 8])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_an_exact_share_is_exact(size: int, share: float):
    pool, source = ReplayPool(64, share, exact=True), rng(3)
    filler, *rest = batches(10, 64, 1)
    pool(filler, source)
    for fake in rest:
        few = fake[:size]
        old = int((pool(few, source) != few).sum())
        assert old == int(share * size + 0.5)


def test_a_pool_that_keeps_apart_shows_samples_again():
    pool, source = ReplayPool(10, 0.5, independent=True), rng(4)
    shown = torch.cat([pool(fake, source) for fake in batches(100, 8, 1)]).flatten().long().bincount(minlength=800)
    assert shown.max() >= 4
    assert (shown == 0).sum() > 50


def test_new_ones_keep_their_graph_and_kept_ones_have_none():
    pool, source = ReplayPool(6, 0.5), rng(5)
    for fake in batches(3, 6, 2):
        pool(fake, source)
    weight = torch.tensor(2.0, requires_grad=True)
    new = torch.full((12, 2), 100.0) * weight
    shown = pool(new, source)
    ours = shown.eq(200).all(1)
    assert 0 < int(ours.sum()) < 12
    assert not pool.images.requires_grad
    shown.sum().backward()
    # those that a later row of the batch got from the pool count as new, and have no graph
    assert weight.grad is not None
    fresh = int(weight.grad) // 200
    assert 0 < fresh <= int(ours.sum())
    before = pool.images.clone()
    pool(torch.zeros(1, 2, requires_grad=True) * 1.0, source)
    assert not pool.images.requires_grad
    assert (pool.images != before).any(1).sum() <= 1


def test_which_ones_change_places_is_the_generators_draw_alone():
    fakes = batches(6, 8, 2)
    state = torch.get_rng_state(), random.getstate()
    one, two, other = ReplayPool(10), ReplayPool(10), ReplayPool(10)
    shown = [
        torch.stack([pool(fake, source) for fake in fakes])
        for pool, source in zip((one, two, other), (rng(0), rng(0), rng(1)), strict=True)
    ]
    assert torch.equal(shown[0], shown[1])
    assert not torch.equal(shown[0], shown[2])
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1] == random.getstate()


def test_it_neither_changes_the_fakes_nor_keeps_in_eval_mode():
    pool, source = ReplayPool(4), rng()
    for fake in batches(3, 6, 2):
        copied = fake.clone()
        pool(fake, source)
        assert torch.equal(fake, copied)
    kept = pool.images.clone()
    pool.eval()
    assert torch.equal(pool(fake, source), fake)
    assert torch.equal(pool.images, kept)


def test_half_precision_is_shown_as_it_came():
    pool, source = ReplayPool(4), rng()
    for fake in batches(4, 6, 2):
        assert pool(fake.bfloat16(), source).dtype == torch.bfloat16
    assert pool.images.dtype == torch.bfloat16
    assert pool(torch.zeros(6, 2), source).dtype == torch.float32  # another precision later on


@pytest.mark.parametrize("seen", [0, 1, 5])
def test_a_fresh_pool_goes_on_from_a_checkpoint_as_if_nothing_had_happened(seen: int, tmp_path: Path):
    pool, source = ReplayPool(10), rng(6)
    fakes = batches(9, 6, 3, 2, 2)
    for fake in fakes[:seen]:
        pool(fake, source)
    path = checkpoint.save(tmp_path, {f"pool.{k}": v for k, v in pool.state_dict().items()}, {"step": 1}, keep=1)
    fresh, again = ReplayPool(10), rng()
    again.set_state(source.get_state())
    checkpoint.restore_module(fresh, checkpoint.load(path).part("pool"), "pool", path)
    for fake in fakes[seen:]:
        assert torch.equal(pool(fake, source), fresh(fake, again))
    assert torch.equal(pool.images, fresh.images)
    assert int(fresh.count) == 10


def test_a_pool_in_use_can_be_emptied_and_filled_again():
    pool, source = ReplayPool(4), rng()
    empty = copy.deepcopy(pool.state_dict())
    pool(batches(1, 6, 2)[0], source)
    full = copy.deepcopy(pool.state_dict())
    pool.load_state_dict(empty)
    assert int(pool.count) == 0
    pool(batches(1, 6, 3, 3)[0], source)  # samples of any shape
    pool.load_state_dict(empty)
    pool.load_state_dict(full)
    assert torch.equal(pool.images, full["images"])
    assert full.keys() == {"images", "count"}


def test_what_does_not_fit_is_named():
    for arguments, words in (
        ({"capacity": 0}, "capacity is 0"),
        ({"share": -0.1}, "share is -0.1"),
        ({"share": 1.5}, "share is 1.5"),
        ({"capacity": -1}, "capacity is -1: wanted a whole number"),
    ):
        with pytest.raises(InputError, match=words):
            ReplayPool(**arguments)
    pool = ReplayPool(4)
    pool(torch.zeros(6, 2), rng())
    with pytest.raises(InputError, match=r"fakes have shape \[3\], and the pool keeps \[2\]"):
        pool(torch.zeros(6, 3), rng())
    with pytest.raises(InputError, match="capacity is 5, and the saved pool's was 4"):
        ReplayPool(5).load_state_dict(pool.state_dict())
