"""The inception score: how sure a classifier is of each sample, and how many classes the samples take."""

from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from adversarium.errors import InputError, require
from adversarium.metrics._check import check_rows
from adversarium.metrics.metric import Estimate

SUM = 1e-3
"""How far from 1 a row of probabilities may sum: half precision's rounding."""


def inception_score(probabilities: Tensor, *, splits: int = 1) -> Estimate:
    """The inception score: the exponential of the mutual information of sample and class.

    Formula:
        exp(E KL(p(y | x) ‖ p(y))), with p(y) = E p(y | x); with ``splits``, the mean of that over parts of the samples
    Convention:
        From 1 (every sample has the same p(y | x), of whatever quality) to K (each sure, the K classes equally
        often). It sees no real data. Natural logarithms, in float64. Biased upwards, more so in smaller parts. The
        parts are consecutive: shuffle samples that are sorted by class. The standard error is that of the draw of
        the samples, to first order (the delta method); at 1 it is 0. Differentiable.
    Elsewhere:
        Published scores are of ``splits=10`` parts of 5,000 samples and state the standard deviation over the
        parts, which is about ``sqrt(10)`` times this standard error. ``torchmetrics``' InceptionScore is that on
        shuffled samples, and takes logits.
    Use when:
        Comparing with published values. A generator of one perfect image per class scores K: look at
        ``frechet_distance`` or recall as well.
    Paper:
        Salimans et al. 2016, "Improved Techniques for Training GANs", arXiv:1606.03498.

    Raises:
        InputError: no probabilities (negative, or a row that does not sum to 1), or fewer than two samples a part.
    """
    require(splits >= 1, f"splits is {splits}: wanted at least 1")
    rows = check_probabilities(probabilities, least=2 * splits)
    parts = [information(*sums(part)) for part in rows.tensor_split(splits)]
    scores = torch.stack([part.mean.exp() for part in parts])
    errors = torch.stack([part.variance.sqrt() for part in parts]) * scores.detach()
    return Estimate(scores.mean(), errors.square().sum().sqrt() / splits)


class Sums(NamedTuple):
    """Sums over samples, of class probabilities p ``[K]`` and of h = Σ p·log p: what the score is made of."""

    number: Tensor
    p: Tensor  # [K]
    h: Tensor
    pp: Tensor  # [K, K]
    hp: Tensor  # [K]
    hh: Tensor


class Information(NamedTuple):
    """The mean divergence of the samples' probabilities from their mean, in nats, and the variance of its estimate."""

    mean: Float64[Tensor, ""]
    variance: Float64[Tensor, ""]


def check_probabilities(probabilities: Tensor, *, least: int = 1) -> Float64[Tensor, "n classes"]:
    """Return class probabilities in float64, each row with the sum 1.

    Raises:
        InputError: as ``inception_score``.
    """
    rows = check_rows("probabilities", probabilities, least=least).double()
    totals = rows.sum(dim=1, keepdim=True)
    lowest = rows.detach().amin(dim=1)
    bad = (lowest < 0) | ((totals.detach()[:, 0] - 1).abs() > SUM)
    if bad.any():
        first = int(bad.nonzero()[0])
        raise InputError(
            f"probabilities: {int(bad.sum())} of {len(rows)} rows are negative somewhere or do not sum to 1 (row "
            f"{first} sums to {float(totals[first].detach()):.4g}): wanted class probabilities; of logits, their "
            "softmax"
        )
    return rows / totals


def sums(rows: Float64[Tensor, "n classes"]) -> Sums:
    """Return the sums over rows of probabilities."""
    # the gradient of p·log p is infinite at 0: here it is large
    h = (rows * rows.clamp(min=torch.finfo(rows.dtype).tiny).log()).sum(dim=1)
    p, fixed, h_fixed = rows.sum(dim=0), rows.detach(), h.detach()
    return Sums(
        torch.tensor(len(rows), device=rows.device),
        p,
        h.sum(),
        fixed.T @ fixed,
        h_fixed @ fixed,
        h_fixed @ h_fixed,
    )


def information(number: Tensor, p: Tensor, h: Tensor, pp: Tensor, hp: Tensor, hh: Tensor) -> Information:
    """Return the information from the sums.

    The divergences are d = h - pᵀ·l, l the logarithms of the mean of p; to first order, their mean varies as if l were
    known: p's mean minimises it.
    """
    log_mean = (p / number).clamp(min=torch.finfo(p.dtype).tiny).log()
    mean = h / number - p @ log_mean / number
    fixed = log_mean.detach()
    square = (hh - 2 * hp @ fixed + fixed @ pp @ fixed) / number
    # rounding may leave the variance of equal divergences below 0
    variance = (square - mean.detach() ** 2).clamp(min=0) / (number - 1)
    return Information(mean, variance)
