"""Numbers that say how good samples are: pure functions of rows, streaming classes over them, named protocols.

The streaming classes are in ``metrics.streaming``, which needs the extra ``torchmetrics``.
"""

from adversarium.metrics.classes import per_class
from adversarium.metrics.cost import Cost, estimate_cost
from adversarium.metrics.discrepancy import energy_distance, median_distance, mmd
from adversarium.metrics.divergences import (
    histogram_js,
    histogram_kl,
    histogram_total_variation,
    js_divergence,
    kl_divergence,
    total_variation,
)
from adversarium.metrics.diversity import diversity, mean_pairwise_distance, vendi_score
from adversarium.metrics.dual import Dual, dual_estimate
from adversarium.metrics.frechet import frechet_distance, gaussian_distance
from adversarium.metrics.kernel import kernel_distance
from adversarium.metrics.line import wasserstein_line
from adversarium.metrics.measurement import Measurement, measure
from adversarium.metrics.measuring import Draw, Floor, Measuring, Number
from adversarium.metrics.memorisation import Memorisation, memorisation
from adversarium.metrics.metric import Better, Estimate, Metric, MetricWarning, Reads, Sets
from adversarium.metrics.modes import (
    Ceilings,
    ModeScores,
    StackedScores,
    ceilings,
    mode_scores,
    stacked_mode_scores,
    stacked_probabilities,
)
from adversarium.metrics.neighbours import NeighbourScores, expected_coverage, nearest_neighbours, neighbour_scores
from adversarium.metrics.protocols import Protocol, Split, seed_of
from adversarium.metrics.references import Order, Plan, References
from adversarium.metrics.score import inception_score
from adversarium.metrics.sliced import max_sliced_wasserstein, sliced_wasserstein
from adversarium.metrics.table import METRICS
from adversarium.metrics.transport import sinkhorn_divergence, wasserstein

__all__ = [
    "METRICS",
    "Better",
    "Ceilings",
    "Cost",
    "Draw",
    "Dual",
    "Estimate",
    "Floor",
    "Measurement",
    "Measuring",
    "Memorisation",
    "Metric",
    "MetricWarning",
    "ModeScores",
    "NeighbourScores",
    "Number",
    "Order",
    "Plan",
    "Protocol",
    "Reads",
    "References",
    "Sets",
    "Split",
    "StackedScores",
    "ceilings",
    "diversity",
    "dual_estimate",
    "energy_distance",
    "estimate_cost",
    "expected_coverage",
    "frechet_distance",
    "gaussian_distance",
    "histogram_js",
    "histogram_kl",
    "histogram_total_variation",
    "inception_score",
    "js_divergence",
    "kernel_distance",
    "kl_divergence",
    "max_sliced_wasserstein",
    "mean_pairwise_distance",
    "measure",
    "median_distance",
    "memorisation",
    "mmd",
    "mode_scores",
    "nearest_neighbours",
    "neighbour_scores",
    "per_class",
    "seed_of",
    "sinkhorn_divergence",
    "sliced_wasserstein",
    "stacked_mode_scores",
    "stacked_probabilities",
    "total_variation",
    "vendi_score",
    "wasserstein",
    "wasserstein_line",
]
