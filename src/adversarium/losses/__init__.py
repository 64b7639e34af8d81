"""Adversarial losses: pure functions of scores, unreduced, up = real.

``LOSSES`` maps a name to the factory of a :class:`~adversarium.types.Loss`; a factory's arguments are the choices
that its family offers. ``DISTANCES`` does so for the losses that need no critic,
``CLASS_LOSSES`` for losses of class scores, and ``MISPRINTS`` for formulas that tutorials print wrongly.
``WRAPPERS`` make a loss of a loss.
"""

from collections.abc import Callable

from adversarium.losses.attention import attention_relativistic
from adversarium.losses.classic import hinge, least_squares, minimax, nonsaturating
from adversarium.losses.energy_based import Equilibrium, began, ebgan
from adversarium.losses.fdivergence import DIVERGENCES, Divergence, f_divergence
from adversarium.losses.integral import energy, mmd, sinkhorn, sliced_wasserstein
from adversarium.losses.misprints import (
    epsilon_log,
    flipped_critic,
    half_average,
    minimax_l1_gap,
    minimax_with_real_term,
    unscaled_least_squares,
)
from adversarium.losses.multiclass import multiclass_hinge
from adversarium.losses.realness import realness
from adversarium.losses.relativistic import relativistic
from adversarium.losses.wasserstein import wasserstein
from adversarium.losses.wrappers import flip_labels, smooth_labels
from adversarium.types import ClassLoss, Distance, Loss

LOSSES: dict[str, Callable[..., Loss]] = {
    "minimax": minimax,
    "nonsaturating": nonsaturating,
    "least_squares": least_squares,
    "hinge": hinge,
    "wasserstein": wasserstein,
    "relativistic": relativistic,
    "f_divergence": f_divergence,
    "attention_relativistic": attention_relativistic,
    "realness": realness,
    "ebgan": ebgan,
    "began": began,
}
"""Name to factory: losses of two players that read scores."""

CLASS_LOSSES: dict[str, Callable[..., ClassLoss]] = {
    "multiclass_hinge": multiclass_hinge,
}
"""Name to factory: losses of class scores, of a critic that is a classifier too."""

MISPRINTS: dict[str, Callable[..., Loss]] = {
    "minimax_l1_gap": minimax_l1_gap,
    "flipped_critic": flipped_critic,
    "minimax_with_real_term": minimax_with_real_term,
    "half_average": half_average,
    "unscaled_least_squares": unscaled_least_squares,
    "epsilon_log": epsilon_log,
}
"""Name to factory: formulas that tutorials print, each with its defect. Not for training."""

WRAPPERS: dict[str, Callable[..., Loss]] = {
    "smooth_labels": smooth_labels,
    "flip_labels": flip_labels,
}
"""Name to factory: losses made of a loss, their first argument."""

DISTANCES: dict[str, Callable[..., Distance]] = {
    "mmd": mmd,
    "energy": energy,
    "sinkhorn": sinkhorn,
    "sliced_wasserstein": sliced_wasserstein,
}
"""Name to factory: losses without a critic, between two sets of samples."""

__all__ = [
    "CLASS_LOSSES",
    "DISTANCES",
    "DIVERGENCES",
    "LOSSES",
    "MISPRINTS",
    "WRAPPERS",
    "ClassLoss",
    "Distance",
    "Divergence",
    "Equilibrium",
    "Loss",
    "attention_relativistic",
    "began",
    "ebgan",
    "energy",
    "epsilon_log",
    "f_divergence",
    "flip_labels",
    "flipped_critic",
    "half_average",
    "hinge",
    "least_squares",
    "minimax",
    "minimax_l1_gap",
    "minimax_with_real_term",
    "mmd",
    "multiclass_hinge",
    "nonsaturating",
    "realness",
    "relativistic",
    "sinkhorn",
    "sliced_wasserstein",
    "smooth_labels",
    "unscaled_least_squares",
    "wasserstein",
]
