"""How different samples are from each other: mean pairwise distance and the Vendi score."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from adversarium.errors import InputError, lookup, require
from adversarium.losses._samples import power_of_distances, squared_distances
from adversarium.metrics._check import check_pair, check_rows, product_dtype

LARGEST = 10_000
"""The Vendi score of a kernel without features needs all eigenvalues of an N×N matrix: no larger N than this."""

Number = Float[Tensor, ""]
Kernel = Callable[[Tensor, Tensor], Tensor]


def mean_pairwise_distance(x: Tensor, *, chunk: int = 1024) -> Number:
    """Return the mean Euclidean distance between two different samples, in x's units (float64, differentiable in x).

    Unbiased: a sample's distance to itself is left out. 0 if all samples are equal. Distances come from products of
    centred rows: those below a thousandth of the rows' norms count as 0.

    Raises:
        InputError: no rows, or fewer than 2.
    """
    x = check_rows("x", x, least=2)
    require(chunk >= 1, f"chunk is {chunk}: wanted at least 1")
    x = x.to(torch.promote_types(x.dtype, product_dtype()))
    x = x - x.detach().mean(0, dtype=torch.float64).to(x.dtype)
    size = x.detach().abs().amax()
    size = torch.where(size > 0, size, 1)  # so that no square overflows
    x = x / size
    total = x.new_zeros((), dtype=torch.float64)
    with torch.autocast(x.device.type, enabled=False):
        for start in range(0, len(x), chunk):
            one = x[start : start + chunk]
            for index, other in enumerate(x[start:].split(chunk)):
                distances = power_of_distances(squared_distances(one, other), 1).sum(dtype=torch.float64)
                # each pair once; the first square has its pairs twice
                total = total + (distances / 2 if index == 0 else distances)
    return total * size.double() / (len(x) * (len(x) - 1) / 2)


def diversity(real: Tensor, fake: Tensor, *, chunk: int = 1024) -> Number:
    """Diversity: how far samples are apart, compared with how far the data are apart.

    Formula:
        (mean of ‖y - y'‖ over pairs of fake samples) / (mean of ‖x - x'‖ over pairs of real ones)
    Convention:
        1: as diverse as the data; 0: all samples are equal. Pairs of different samples, so that neither mean depends
        on the number of samples. Above 1 samples are spread too far, which noise does too: it is no measure of
        quality, and modes that are missing symmetrically around the centre can leave it at 1.
    Use when:
        A quick sign of collapse, in any feature space, from a few hundred samples.
    Paper:
        The mean distance, in learnt features and without the ratio: Zhu et al. 2017, "Toward Multimodal
        Image-to-Image Translation", arXiv:1711.11586.

    Raises:
        InputError: not two sets of rows of one width, fewer than 2 samples in one, or real samples all equal.
    """
    real, fake = check_pair(real, fake, least=2)
    reference = mean_pairwise_distance(real, chunk=chunk)
    require(bool(reference > 0), f"real has {len(real)} equal samples: wanted data that differ")
    return mean_pairwise_distance(fake, chunk=chunk) / reference


def vendi_score(
    x: Tensor,
    *,
    kernel: Literal["cosine", "gaussian"] | Kernel = "cosine",
    bandwidth: float | None = None,
    chunk: int = 4096,
) -> Number:
    """The Vendi score: how many entirely different samples would be as diverse as these.

    Formula:
        exp(-Σ λ log λ) over the eigenvalues λ of K/N, K_ij = k(x_i, x_j), 0·log 0 = 0
        cosine: k = xᵀy / ‖x‖‖y‖; gaussian: k = exp(-‖x - y‖² / 2h²), h = ``bandwidth``
    Convention:
        1 (all samples are alike) to N (none is like another, k = 0). A kernel of one's own takes ``[N, D]`` and
        ``[M, D]`` to ``[N, M]``, is positive semi-definite and has k(x, x) = 1. Cosines see directions from 0 only:
        features that are all positive are all alike, so centre them if that is not meant; their score is at most D,
        and is found from a D×D matrix if D < N, in chunks. Other kernels take N×N matrices, up to
        N = 10,000. The score grows with N: compare at equal N. Float64.
    Elsewhere:
        ``vendi_score.vendi.score_dual(x, normalize=True)`` for cosine, ``vendi_score.vendi.score_K(K)`` for a matrix.
    Use when:
        The number of kinds of samples matters and no classes are known. No reference is needed: beside the score of
        as many real samples it says which share of the data's diversity is there.
    Paper:
        Friedman and Dieng 2022, "The Vendi Score: A Diversity Evaluation Metric for Machine Learning",
        arXiv:2210.02410.

    Raises:
        InputError: no rows, an unknown kernel, a bandwidth that the kernel lacks or needs, a row of zeros (cosine),
            more than 10,000 rows where K is needed, or a kernel whose k(x, x) is not 1.
    """
    x = check_rows("x", x)
    require(chunk >= 1, f"chunk is {chunk}: wanted at least 1")
    if isinstance(kernel, str):
        lookup("kernel", kernel, {"cosine": None, "gaussian": None})
    if kernel == "gaussian":
        given = bandwidth is not None and 0 < bandwidth < float("inf")
        require(given, f"bandwidth is {bandwidth}: the gaussian kernel wants a positive number")
    else:
        require(bandwidth is None, f"bandwidth is {bandwidth}: only the gaussian kernel has one")
    with torch.autocast(x.device.type, enabled=False):
        return _effective_number(_normed_gram(x, kernel, bandwidth, chunk))


def _normed_gram(x: Tensor, kernel: str | Kernel, bandwidth: float | None, chunk: int) -> Tensor:
    """Return a matrix with the eigenvalues of K/N, but for zeros."""
    if kernel == "cosine":
        norms: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float64)
        zeros = int((norms == 0).sum())
        require(
            zeros == 0, f"x has {zeros} rows of zeros, which have no direction: leave them out, or centre elsewhere"
        )
        if len(x) > x.shape[1]:
            gram = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64, device=x.device)
            for rows, sizes in zip(x.split(chunk), norms.split(chunk), strict=True):
                unit = rows.double() / sizes
                gram = gram + unit.T @ unit
            return gram / len(x)
    if len(x) > LARGEST:
        raise InputError(
            f"x has {len(x)} samples: this score needs the eigenvalues of a matrix of that size, wanted at most "
            f"{LARGEST}; take a subset"
        )
    if kernel == "cosine":
        unit = x.double() / norms
        return unit @ unit.T / len(x)
    if kernel == "gaussian":
        assert bandwidth is not None
        x = (x.double() - x.detach().mean(0, dtype=torch.float64)) / bandwidth
        similar: Tensor = torch.exp(-torch.cdist(x, x).square() / 2)
        return similar / len(x)
    assert callable(kernel)
    gram = kernel(x.double(), x.double())
    size = [len(x), len(x)]
    require(list(gram.shape) == size, f"the kernel returned shape {list(gram.shape)}: wanted {size}")
    diagonal = gram.diagonal()
    ones = bool(torch.isclose(diagonal, torch.ones_like(diagonal), atol=1e-6).all())
    require(ones, f"the kernel's k(x, x) is {float(diagonal.min()):.4g} to {float(diagonal.max()):.4g}: wanted 1")
    return gram.double() / len(x)


def _effective_number(normed: Tensor) -> Tensor:
    values: Tensor = torch.linalg.eigvalsh(normed)
    # rounding leaves small values where there is 0, whose logarithm has no derivative
    least = len(normed) * torch.finfo(torch.float64).eps
    values = torch.where(values > least, values, 1)
    score: Tensor = torch.exp(-(values * values.log()).sum())
    return score
