"""Memorisation: a sampler that memorises nothing scores 1/2 within its standard error, one that copies scores 1."""

import pytest
import torch
from scipy.stats import mannwhitneyu
from torch import Tensor

from adversarium.errors import InputError
from adversarium.metrics.memorisation import memorisation


def draw(source: torch.Generator, *sizes: int, dimension: int) -> list[Tensor]:
    return [torch.randn(size, dimension, generator=source) for size in sizes]


@pytest.mark.parametrize(
    ("n", "m", "fakes", "dimension"),
    [(80, 80, 60, 2), (60, 60, 300, 12), (200, 30, 80, 3), (30, 120, 80, 8)],
)
def test_an_honest_sampler_scores_one_half_within_the_standard_error(n: int, m: int, fakes: int, dimension: int):
    source = torch.Generator().manual_seed(n * fakes + m)
    runs = 60
    found = [memorisation(*draw(source, n, m, fakes, dimension=dimension)) for _ in range(runs)]
    for field in ("share", "closer"):
        values = torch.stack([getattr(each, field).value for each in found])
        errors = torch.stack([getattr(each, field).standard_error for each in found])
        assert abs(float(values.mean()) - 0.5) < 4 * float(values.std()) / runs**0.5, field
        # a standard deviation from 60 runs is known to 9 %
        assert 0.72 < float(errors.square().mean().sqrt() / values.std()) < 1.4, field
    copies, expected = (torch.stack([getattr(each, f).value for each in found]) for f in ("copies", "held_out_copies"))
    assert abs(float((copies - expected).mean())) < 4 * float((copies - expected).std()) / runs**0.5


@pytest.mark.parametrize(("n", "m"), [(100, 100), (300, 50), (50, 300)])
def test_copies_are_seen(n: int, m: int):
    source = torch.Generator().manual_seed(n)
    train, held_out, honest = draw(source, n, m, 200, dimension=6)
    noise = 0.02 * torch.randn(200, 6, generator=source)
    copied = train[torch.randint(n, (200,), generator=source)] + noise
    found = memorisation(train, held_out, copied)
    for value in (found.share.value, found.closer.value, found.copies.value):
        assert float(value) > 0.95
    # the more of them, the more
    mixed = [
        memorisation(train, held_out, torch.cat([copied[:part], honest[part:]])) for part in (0, 50, 100, 150, 200)
    ]
    for field in ("share", "closer", "copies"):
        values = [float(getattr(each, field).value) for each in mixed]
        assert values == sorted(values), field
    # held-out data copied instead: the mirror image
    assert float(memorisation(held_out, train, copied).share.value) == pytest.approx(1 - float(found.share.value))


def test_equals_the_definitions():
    source = torch.Generator().manual_seed(5)
    train, held_out, fake = (each.double() for each in draw(source, 70, 40, 90, dimension=4))
    fake[:9] = train[:9] + 0.01  # some copies
    to_train, to_held_out = torch.cdist(fake, train), torch.cdist(fake, held_out)
    own = torch.cdist(train, train).fill_diagonal_(torch.inf).min(dim=1).values
    s = float((to_train.min(1).values < to_held_out.min(1).values).double().mean())
    found = memorisation(train, held_out, fake, chunk=32)
    # the odds, over the ratio of the sizes
    odds = float(found.share.value / (1 - found.share.value))
    assert odds == pytest.approx(s / (1 - s) / (70 / 40), rel=1e-12)
    nearest = to_train.min(1)
    assert float(found.copies.value) == pytest.approx(float((nearest.values < own[nearest.indices]).double().mean()))
    held_out_to_train = torch.cdist(held_out, train).min(1).values
    u = mannwhitneyu(held_out_to_train.numpy(), nearest.values.numpy()).statistic
    assert float(found.closer.value) == pytest.approx(u / (40 * 90), rel=1e-12)


def test_the_standard_error_is_that_of_all_ways_to_say_which_were_trained_on():
    # at equal sizes the share is linear in who was trained on, so relabelling tells its exact standard deviation
    source = torch.Generator().manual_seed(2)
    pooled, fake = draw(source, 60, 150, dimension=3)
    shares, errors = [], []
    for _ in range(120):
        order = torch.randperm(60, generator=source)
        found = memorisation(pooled[order[:30]], pooled[order[30:]], fake)
        shares.append(found.share.value)
        errors.append(found.share.standard_error)
    torch.testing.assert_close(torch.stack(errors), errors[0].expand(120), rtol=1e-9, atol=0)
    assert float(torch.stack(shares).std()) == pytest.approx(float(errors[0]), rel=0.25)


def test_ties_count_one_half():
    # data on a lattice: the same points everywhere
    x = torch.cartesian_prod(torch.arange(5.0), torch.arange(5.0))
    found = memorisation(x, x, x)
    assert [float(found.share.value), float(found.closer.value)] == [0.5, 0.5]
    assert float(found.copies.value) == 1  # a copy is nearer than the next lattice point
    assert float(found.held_out_copies.value) == 1


def test_far_from_all_data_is_no_memory():
    train, held_out, fake = draw(torch.Generator().manual_seed(0), 50, 50, 30, dimension=3)
    found = memorisation(train, held_out, fake + 40)
    assert float(found.closer.value) == 0
    assert float(found.copies.value) == 0


def test_bad_input():
    train, held_out, fake = draw(torch.Generator().manual_seed(0), 20, 20, 20, dimension=3)
    with pytest.raises(InputError, match="held_out has 1 samples: wanted at least 2"):
        memorisation(train, held_out[:1], fake)
    with pytest.raises(InputError, match="train has 3 columns and fake 2"):
        memorisation(train, held_out, fake[:, :2])
    with pytest.raises(InputError, match="fake has NaN or infinity"):
        memorisation(train, held_out, fake.log())
