"""Does a generator copy its training set? Samples, training set and held-out data by their nearest neighbours."""

from typing import NamedTuple

import torch
from torch import Tensor

from adversarium.metrics._check import check_pair
from adversarium.metrics._nearest import nearest
from adversarium.metrics.metric import Estimate
from adversarium.metrics.neighbours import CHUNK


class Memorisation(NamedTuple):
    """What ``memorisation`` measures.

    Attributes:
        share: the share of fake samples nearer to the training set than to held-out data, as if both were of equal
            size. 1/2 if nothing is memorised; its standard error is that of such a sampler.
        closer: how probably a fake sample is closer to the training set than a held-out sample is. 1/2 if nothing is
            memorised, below 1/2 if samples are far from all data.
        copies: the share of fake samples nearer to a training sample than its own nearest training neighbour is.
        held_out_copies: the same share of held-out samples: what a sampler that memorises nothing scores.
    """

    share: Estimate
    closer: Estimate
    copies: Estimate
    held_out_copies: Estimate


@torch.no_grad()
def memorisation(train: Tensor, held_out: Tensor, fake: Tensor, *, chunk: int = CHUNK) -> Memorisation:
    """Memorisation: are samples nearer to the data that were trained on than to data that were not?

    Formula:
        d(y, S) = distance of y to its nearest neighbour in S; n training samples, m held out; ties count one half
        s = mean over fakes y of 1[d(y, train) < d(y, held_out)], share = s·m / (s·m + (1 - s)·n)
        closer = mean over fakes y and held-out z of 1[d(y, train) < d(z, train)]
        copies = mean over fakes y of 1[d(y, x) < d(x, train without x)], x the training sample nearest to y
    Convention:
        A sampler of the data's distribution has s = n/(n + m) on average, whatever the dimension: its nearest
        neighbour is each of the n + m with equal probability. ``share`` divides the odds of s by n/m, so that this is
        1/2 and a copying generator's is 1 at any sizes. Its standard error holds for such a sampler: with a share w_c
        of the fakes nearest to c of the n + m, and all ways to say which n of them were trained on equally likely,
        (n + m) / (4·√(n·m)) · √((n + m) / (n + m - 1) · (Σ w_c² - 1/(n + m))). The other standard errors are those of
        drawing fakes and held-out data anew for the same training set. ``copies`` has no constant to be compared
        with: compare it with ``held_out_copies``. A generator far from all data has a share of about 1/2 too: read
        it beside a measure of quality.
    Elsewhere:
        ``closer`` is ``scipy.stats.mannwhitneyu`` on the two sets of distances, over N·m: the test of Meehan et al.
        with one cell. Theirs weighs the z-scores of the cells of a k-means clustering; here, take it per class.
        1 - ``copies`` is the authenticity of Alaa et al.
    Use when:
        Samples look too good, data are few or training was long. Give at least as much held-out data as it takes for
        the standard error; features in which near copies are near.
    Paper:
        ``closer``: Meehan, Chaudhuri and Dasgupta 2020, "A Non-Parametric Test to Detect Data-Copying in Generative
        Models", arXiv:2004.05675; ``copies``: Alaa et al. 2021, "How Faithful is your Synthetic Data? Sample-level
        Metrics for Evaluating and Auditing Generative Models", arXiv:2102.08921.

    Raises:
        InputError: not three sets of rows of one width, or fewer than two samples in one.
    """
    train, held_out = check_pair(train, held_out, least=2, names=("train", "held_out"))
    train, fake = check_pair(train, fake, least=2, names=("train", "fake"))
    held_out, fake = check_pair(held_out, fake, least=2, names=("held_out", "fake"))

    to_train, source = (each.squeeze(1) for each in nearest(fake, train, 1, chunk))
    to_held_out, other_source = (each.squeeze(1) for each in nearest(fake, held_out, 1, chunk))
    held_out_to_train, held_out_source = (each.squeeze(1) for each in nearest(held_out, train, 1, chunk))
    # only training samples that are somebody's nearest need their own neighbour
    wanted, place = torch.cat([source, held_out_source]).unique(return_inverse=True)
    own = nearest(train[wanted], train, 1, chunk, own=wanted)[0].squeeze(1)[place]

    pooled = torch.where(to_train <= to_held_out, source, other_source + len(train))
    return Memorisation(
        share=_share(_less(to_train, to_held_out).mean(), pooled.bincount(), len(train), len(held_out)),
        closer=_closer(to_train, held_out_to_train),
        copies=_proportion(_less(to_train, own[: len(fake)])),
        held_out_copies=_proportion(_less(held_out_to_train, own[len(fake) :])),
    )


def _less(one: Tensor, other: Tensor) -> Tensor:
    """Return 1 where ``one`` is less, 1/2 where they agree to rounding, in float64."""
    same = torch.isclose(one, other, rtol=1e-12, atol=0)
    return torch.where(same, 0.5, (one < other).double())


def _share(found: Tensor, visits: Tensor, n: int, m: int) -> Estimate:
    total = n + m
    weights = visits.double() / visits.sum()
    spread = (weights.square().sum() - 1 / total) * total / (total - 1)
    error = total / (4 * (n * m) ** 0.5) * spread.clamp_min(0).sqrt()
    return Estimate(found * m / (found * m + (1 - found) * n), error)


def _closer(fake: Tensor, held_out: Tensor) -> Estimate:
    """Return P(fake < held_out) with the standard error of a U-statistic of two samples."""

    def above(values: Tensor, others: Tensor) -> Tensor:
        """Return the share of others that each value is below, ties one half."""
        ordered = others.sort().values
        either = torch.searchsorted(ordered, values) + torch.searchsorted(ordered, values, right=True)
        return 1 - either.double() / (2 * len(others))

    of_fake, of_held_out = above(fake, held_out), above(held_out, fake)
    variance = of_fake.var() / len(fake) + of_held_out.var() / len(held_out)
    return Estimate(of_fake.mean(), variance.sqrt())


def _proportion(hits: Tensor) -> Estimate:
    return Estimate(hits.mean(), hits.std() / len(hits) ** 0.5)
