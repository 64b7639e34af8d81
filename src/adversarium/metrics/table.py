"""The metrics by name, as protocols write them."""

from typing import NamedTuple

import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.metrics.discrepancy import energy_distance, median_distance, mmd
from adversarium.metrics.diversity import diversity, vendi_score
from adversarium.metrics.frechet import frechet_distance
from adversarium.metrics.kernel import kernel_distance
from adversarium.metrics.memorisation import Memorisation, memorisation
from adversarium.metrics.metric import Estimate, Metric, Sets
from adversarium.metrics.modes import mode_scores
from adversarium.metrics.neighbours import NeighbourScores, neighbour_scores
from adversarium.metrics.score import inception_score
from adversarium.metrics.sliced import sliced_wasserstein
from adversarium.metrics.transport import wasserstein


class _Modes(NamedTuple):
    modes: Tensor
    high_quality: Tensor
    reverse_kl: Tensor
    std_ratio: Tensor


def _neighbours(sets: Sets) -> NeighbourScores:
    return neighbour_scores(sets.real, sets.fake)


def _memorisation(sets: Sets) -> Memorisation:
    if sets.held_out is None:
        raise InputError("held_out is missing: memorisation compares with data that were not trained on")
    return memorisation(sets.real, sets.held_out, sets.fake)


def _modes(sets: Sets) -> _Modes:
    if sets.density is None:
        raise InputError("density is missing: wanted the distribution whose modes are counted")
    if sets.density.modes is None:
        raise InputError(f"{sets.density.name} has no modes to count; {without_modes()}")
    found = mode_scores(sets.fake, sets.density.modes, sets.density.std)
    measured = found.std_ratio[found.counts > 1]  # it is NaN of the other modes, and the mean of none is NaN too
    width = measured.mean() if len(measured) else torch.full_like(found.reverse_kl, torch.nan)
    return _Modes(found.modes, found.high_quality, found.reverse_kl, width)


def _mmd(sets: Sets) -> Estimate:
    # of the reference alone: a bandwidth that followed the samples would put each generator on a scale of its own
    return mmd(sets.real, sets.fake, bandwidth=median_distance(sets.real))


def _inception_score(sets: Sets) -> Estimate:
    if sets.fake_probabilities is None:
        raise InputError("fake_probabilities is missing: wanted features that give class probabilities")
    return inception_score(sets.fake_probabilities)


METRICS: dict[str, Metric] = {
    "fd": Metric(
        function=frechet_distance, measure=lambda sets: frechet_distance(sets.real, sets.fake), better="lower"
    ),
    "kid": Metric(
        function=kernel_distance, measure=lambda sets: kernel_distance(sets.real, sets.fake), better="lower", least=4
    ),
    "is": Metric(function=inception_score, measure=_inception_score, better="higher", reads="probabilities"),
    "precision": Metric(
        function=neighbour_scores,
        measure=_neighbours,
        field="precision",
        what="the share of generated samples that are like real ones",
        better="higher",
        least=6,
    ),
    "recall": Metric(
        function=neighbour_scores,
        measure=_neighbours,
        field="recall",
        what="the share of real samples that are like generated ones",
        better="higher",
        least=6,
    ),
    "density": Metric(
        function=neighbour_scores,
        measure=_neighbours,
        field="density",
        what="how many real neighbourhoods hold a generated sample, against equal distributions",
        better=1.0,
        least=6,
    ),
    "coverage": Metric(
        function=neighbour_scores,
        measure=_neighbours,
        field="coverage",
        what="the share of real samples' neighbourhoods that hold a generated one",
        better="higher",
        least=6,
    ),
    "diversity": Metric(function=diversity, measure=lambda sets: diversity(sets.real, sets.fake), better=1.0),
    "vendi": Metric(function=vendi_score, measure=lambda sets: vendi_score(sets.fake), better="higher", least=1),
    "memorisation": Metric(
        function=memorisation,
        measure=_memorisation,
        field="share",
        what="the share of generated samples nearer to training than to held-out data",
        better=0.5,
        reads="held_out",
    ),
    "w2": Metric(
        function=wasserstein,
        measure=lambda sets: wasserstein(sets.real, sets.fake, order=2.0),
        better="lower",
        least=1,
    ),
    "sw2": Metric(
        function=sliced_wasserstein,
        measure=lambda sets: sliced_wasserstein(sets.real, sets.fake, order=2.0, rng=sets.rng),
        better="lower",
        least=1,
    ),
    "energy": Metric(
        function=energy_distance, measure=lambda sets: energy_distance(sets.real, sets.fake), better="lower", least=3
    ),
    "mmd": Metric(function=mmd, measure=_mmd, better="lower", least=3),
    "modes": Metric(
        function=mode_scores,
        measure=_modes,
        field="modes",
        what="how many known modes have a sample",
        better="higher",
        reads="density",
        least=1,
    ),
    "high_quality": Metric(
        function=mode_scores,
        measure=_modes,
        field="high_quality",
        what="the share of samples within three standard deviations of a known mode",
        better="higher",
        reads="density",
        least=1,
    ),
    "reverse_kl": Metric(
        function=mode_scores,
        measure=_modes,
        field="reverse_kl",
        what="how unevenly samples share the known modes",
        better="lower",
        reads="density",
        least=1,
    ),
    "std_ratio": Metric(
        function=mode_scores,
        measure=_modes,
        field="std_ratio",
        what="how wide the modes with two samples or more are, against their true width, on average",
        better=1.0,
        reads="density",
        least=2,
    ),
}
"""The metrics by name. A protocol's name begins with one: ``fd10k_lenet_test``."""


def without_modes() -> str:
    """Return which metrics compare samples alone, and so do where there are no modes."""
    return (
        f"take one that compares samples: {', '.join(name for name, each in METRICS.items() if each.reads == 'rows')}"
    )
