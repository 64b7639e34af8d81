"""Divergences where the densities are known: by Monte Carlo with standard errors, and exactly between histograms."""

from collections.abc import Callable
from math import log

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from adversarium.errors import InputError
from adversarium.metrics._check import check_pair, check_rows
from adversarium.metrics.metric import Estimate

LogDensity = Callable[[Tensor], Tensor]
"""Rows ``[N, D]`` to log densities ``[N]``, normalised; -infinity where the density is 0."""


def kl_divergence(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Estimate:
    """The Kullback-Leibler divergence of two known densities, by Monte Carlo.

    Formula:
        KL(p ‖ q) = E_p log(p/q), the mean of log p(x) - log q(x) over samples x from p
    Convention:
        In nats. Both densities have to be normalised. For the reverse one swap the densities and pass samples from
        q. Unbiased, so that it may be negative where p is close to q; the standard error is that of the mean.
        Infinite, with standard error 0, where a sample of p has density 0 under q. The rows are scored in the dtype
        that they have, float32 at least: pass float64 for more digits.
    Elsewhere:
        ``torch.distributions.kl_divergence`` has closed forms for many pairs.
    Use when:
        A generator's density is known (flows, toys), and missing modes of p should weigh heavily.
    Paper:
        Sason and Verdú 2015, "f-Divergence Inequalities", arXiv:1508.00335.

    Raises:
        InputError: bad rows, fewer than 2, log densities that are not ``[N]``, NaN or +infinity, or samples of
            density 0 under p.
    """
    gaps = _log_ratios(log_p, log_q, "x", check_rows("x", x, least=2))
    if gaps.isinf().any():
        return Estimate(gaps.new_tensor(float("inf")), gaps.new_zeros(()))
    return _mean(gaps)


def js_divergence(log_p: LogDensity, log_q: LogDensity, x: Tensor, y: Tensor) -> Estimate:
    """The Jensen-Shannon divergence of two known densities, by Monte Carlo.

    Formula:
        JS(p, q) = ½·E_p log(2p/(p + q)) + ½·E_q log(2q/(p + q)), over samples x from p and y from q
    Convention:
        In nats: from 0 to log 2. It is no distance; its square root is. Both densities have to be normalised.
        Unbiased, with the standard error of the two means. Symmetric. Zero densities are no trouble.
    Elsewhere:
        ``scipy.spatial.distance.jensenshannon`` is the square root, for histograms.
    Use when:
        A bounded number is wanted, also for densities that hardly overlap. It is what the original GAN minimises.
    Paper:
        Goodfellow et al. 2014, "Generative Adversarial Networks", arXiv:1406.2661.

    Raises:
        InputError: as ``kl_divergence``, and for y and q as for x and p.
    """
    rows, others = check_pair(x, y, least=2, names=("x", "y"))
    at_x = log(2) - softplus(-_log_ratios(log_p, log_q, "x", rows))
    at_y = log(2) - softplus(-_log_ratios(log_q, log_p, "y", others))
    return _half_of_each(at_x, at_y)


def total_variation(log_p: LogDensity, log_q: LogDensity, x: Tensor, y: Tensor) -> Estimate:
    """The total variation distance of two known densities, by Monte Carlo.

    Formula:
        TV(p, q) = ½·∫ |p - q| = ½·E_p max(0, 1 - q/p) + ½·E_q max(0, 1 - p/q), over samples x from p and y from q
    Convention:
        From 0 to 1 (with the ½). Both expectations are the same number, and their mean is taken. Both densities
        have to be normalised. Unbiased, with the standard error of the two means. Symmetric.
    Use when:
        The best accuracy of telling real from fake is the question: it is (1 + TV)/2.
    Paper:
        Sason and Verdú 2015, "f-Divergence Inequalities", arXiv:1508.00335 (whose |P - Q| is without the ½).

    Raises:
        InputError: as ``js_divergence``.
    """
    rows, others = check_pair(x, y, least=2, names=("x", "y"))
    # max(0, 1 - e^-d); a density of 0 under the other gives 1
    at_x = -torch.expm1(-_log_ratios(log_p, log_q, "x", rows).clamp(min=0))
    at_y = -torch.expm1(-_log_ratios(log_q, log_p, "y", others).clamp(min=0))
    return _half_of_each(at_x, at_y)


def histogram_kl(p: Tensor, q: Tensor) -> Float[Tensor, ""]:
    """Return Σ p·log(p/q) in nats, of shares or counts ``[K]`` divided by their sums; infinite where only q is 0.

    Where p are the relative frequencies of N samples from q, its mean is about (K - 1)/(2N), not 0.

    Raises:
        InputError: not two vectors of one length of numbers that are finite, not negative and not all 0.
    """
    p, q = _shares(p, q)
    return _relative_entropy(p, q).sum()


def histogram_js(p: Tensor, q: Tensor) -> Float[Tensor, ""]:
    """Return the Jensen-Shannon divergence in nats, 0 to log 2, of shares or counts ``[K]`` divided by their sums.

    Raises:
        InputError: as :func:`histogram_kl`.
    """
    p, q = _shares(p, q)
    middle = (p + q) / 2
    return (_relative_entropy(p, middle) + _relative_entropy(q, middle)).sum() / 2


def histogram_total_variation(p: Tensor, q: Tensor) -> Float[Tensor, ""]:
    """Return ½·Σ |p - q|, 0 to 1, of shares or counts ``[K]`` divided by their sums.

    Raises:
        InputError: as :func:`histogram_kl`.
    """
    p, q = _shares(p, q)
    return (p - q).abs().sum() / 2


def _log_ratios(log_own: LogDensity, log_other: LogDensity, name: str, rows: Tensor) -> Tensor:
    """Return the log density that the rows were drawn from, less the other, in float64."""
    densities = "log_p", "log_q"
    own, other = (
        _logs(which, each, name, rows)
        for which, each in zip(densities if name == "x" else densities[::-1], (log_own, log_other), strict=True)
    )
    if (impossible := own == float("-inf")).any():
        raise InputError(
            f"{name} has {int(impossible.sum())} of {len(rows)} samples of density 0: wanted samples of "
            f"{'log_p' if name == 'x' else 'log_q'}"
        )
    return own - other


def _logs(which: str, log_density: LogDensity, name: str, rows: Tensor) -> Tensor:
    found = log_density(rows)
    if not isinstance(found, Tensor) or found.shape != (len(rows),):
        got = f"of shape {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise InputError(f"{which}({name}) is {got}: wanted one log density for each of the {len(rows)} rows")
    found = found.double()
    if not (found < float("inf")).all():  # NaN compares as false
        raise InputError(f"{which}({name}) has NaN or +infinity: wanted log densities, or -infinity")
    return found


def _mean(values: Tensor) -> Estimate:
    return Estimate(values.mean(), values.detach().std() / len(values) ** 0.5)


def _half_of_each(at_x: Tensor, at_y: Tensor) -> Estimate:
    one, other = _mean(at_x), _mean(at_y)
    return Estimate((one.value + other.value) / 2, torch.hypot(one.standard_error, other.standard_error) / 2)


def _shares(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    for name, counts in (("p", p), ("q", q)):
        if not isinstance(counts, Tensor) or counts.dim() != 1 or len(counts) == 0 or counts.is_complex():
            got = f"of shape {list(counts.shape)}" if isinstance(counts, Tensor) else type(counts).__name__
            raise InputError(f"{name} is {got}: wanted shares or counts [K]")
        if not counts.isfinite().all() or (counts < 0).any() or not (counts > 0).any():
            raise InputError(
                f"{name} wanted finite numbers that are not negative and not all 0: {counts.tolist()[:8]}"
            )
    if p.shape != q.shape:
        raise InputError(f"p has {len(p)} shares and q {len(q)}: wanted the same classes of both")
    p, q = p.double(), q.double()
    return p / p.sum(), q / q.sum()


def _relative_entropy(p: Tensor, q: Tensor) -> Tensor:
    """Return p·log(p/q), 0 where p is (with gradient 0 there), infinite where only q is."""
    some = p > 0
    return torch.where(some, p * (torch.where(some, p, 1).log() - torch.where(some, q, 1).log()), 0)
