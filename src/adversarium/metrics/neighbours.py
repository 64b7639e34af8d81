"""Precision, recall, density and coverage, by the balls that reach to each sample's k-th nearest neighbour."""

import warnings
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from adversarium.errors import require
from adversarium.metrics._check import check_pair
from adversarium.metrics._nearest import nearest, points, within
from adversarium.metrics.metric import MetricWarning

CHUNK = 1024
"""How many rows and columns of a distance matrix are held at a time: 4 MB of float32, which fits a cache."""

Number = Float[Tensor, ""]


class NeighbourScores(NamedTuple):
    """What ``neighbour_scores`` measures, each a float64 number.

    Attributes:
        precision: the share of fake samples within a ball of a real one, 0 to 1.
        recall: the share of real samples within a ball of a fake one, 0 to 1.
        density: how many real balls hold a fake sample, over k, on average: 0 to N/k, 1 for equal distributions.
        coverage: the share of real balls that hold a fake sample, 0 to 1.
    """

    precision: Number
    recall: Number
    density: Number
    coverage: Number


@torch.no_grad()
def neighbour_scores(real: Tensor, fake: Tensor, *, k: int = 5, chunk: int = CHUNK) -> NeighbourScores:
    """Precision, recall, density and coverage: are samples like the data, and are the data like samples?

    Formula:
        B(x) = {y: ‖x - y‖ < distance of x to its k-th nearest neighbour in its own set, itself not counted}
        precision = mean over fakes y of 1[y in any B(real)], recall = mean over reals x of 1[x in any B(fake)]
        density = mean over fakes y of #{reals x: y in B(x)} / k, coverage = mean over reals x of 1[B(x) has a fake]
    Convention:
        The balls are open: at a distance equal to the radius (to float64's rounding) a sample is outside, so that a
        sample with k copies or more in its own set has an empty ball. Comparisons are those of float64 distances.
        Equal distributions score density 1 and the coverage of ``expected_coverage`` (0.969 at k = 5 and many
        samples); precision and recall have no such constant, and fall with the dimension. All four depend on the
        number of samples: compare them at equal numbers only.
    Elsewhere:
        ``prdc.compute_prdc(real, fake, nearest_k=k)``, whose defining comparisons are of float32 distances for
        float32 rows: its scores may differ by a pair or two that lie within 1e-7 of a radius, and where samples
        coincide. The paper of precision and recall has k = 3 and closed balls.
    Use when:
        One number (a Fréchet distance) is worse and the question is why: low precision and density are bad samples,
        low recall and coverage missing ones. Density and coverage mind outliers less.
    Paper:
        Kynkäänniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models",
        arXiv:1904.06991; Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for Generative Models",
        arXiv:2002.09797.

    Warns:
        MetricWarning: real samples that have k copies or more.

    Raises:
        InputError: not two sets of rows of one width, k below 1, or a set of k samples or fewer.
    """
    _check_size("k", k)
    _check_size("chunk", chunk)
    real, fake = check_pair(real, fake, least=k + 1)
    of_real, of_fake = (_squared_radii(rows, k, chunk) for rows in (real, fake))
    empty = int((of_real == 0).sum())
    if empty:
        warnings.warn(
            MetricWarning(
                f"{empty} of {len(real)} real samples have {k} copies or more, and so an empty ball: leave "
                "duplicates out, or take a larger k"
            ),
            stacklevel=2,
        )
    x, y = points(real, fake)
    balls_per_fake = torch.zeros(len(fake), dtype=torch.int64, device=real.device)
    covered = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    recalled = torch.zeros_like(covered)
    for which, i, j, inside in within(x, y, (of_real[:, None], of_fake[None]), chunk):
        i, j = i[inside], j[inside]
        if which == 0:
            covered[i] = True
            balls_per_fake += j.bincount(minlength=len(fake))
        else:
            recalled[i] = True
    return NeighbourScores(
        precision=(balls_per_fake > 0).double().mean(),
        recall=recalled.double().mean(),
        density=balls_per_fake.double().mean() / k,
        coverage=covered.double().mean(),
    )


def expected_coverage(real: int, fake: int, *, k: int = 5) -> float:
    """Return the mean coverage of ``fake`` samples of the very distribution of the ``real`` ones, without ties.

    A ball is missed if its centre's k nearest of the N - 1 other reals and M fakes are all real:
    ``1 - (N-1)···(N-k) / (N+M-1)···(N+M-k)``, which tends to ``1 - 2^-k`` for N = M (Naeem et al. 2020,
    arXiv:2002.09797).

    Raises:
        InputError: k below 1, k real samples or fewer, or no fake ones.
    """
    _check_size("k", k)
    require(real > k and fake >= 1, f"real is {real} and fake {fake}: wanted more than k = {k}, and at least 1")
    missed = 1.0
    for step in range(1, k + 1):
        missed *= (real - step) / (real + fake - step)
    return 1 - missed


@torch.no_grad()
def nearest_neighbours(
    queries: Tensor, rows: Tensor, k: int = 1, *, chunk: int = CHUNK
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Return each query's k nearest rows: Euclidean distances (float64, ascending) and indices, both ``[N, k]``.

    A query that is itself among the rows is its own nearest neighbour, at distance 0. Exact: the products that find
    candidates are settled by float64 differences. Equal distances come in any order. Takes the memory of both sets
    once more, and of the square of ``chunk`` distances.

    Raises:
        InputError: not two sets of rows of one width, or k not between 1 and the number of rows.
    """
    _check_size("k", k)
    _check_size("chunk", chunk)
    queries, rows = check_pair(queries, rows, names=("queries", "rows"))
    require(k <= len(rows), f"k is {k} and there are {len(rows)} rows: wanted at most as many neighbours as rows")
    squared, indices = nearest(queries, rows, k, chunk)
    return squared.sqrt(), indices


def _squared_radii(rows: Tensor, k: int, chunk: int) -> Tensor:
    own = torch.arange(len(rows), device=rows.device)
    return nearest(rows, rows, k, chunk, own=own)[0][:, -1]


def _check_size(name: str, size: int) -> None:
    require(size >= 1, f"{name} is {size}: wanted at least 1")
