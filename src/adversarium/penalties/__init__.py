"""Penalties: functions of a critic and samples, ``(critic, real, fake, rng) -> [B]``, weight included.

Those on the generator (and zCR's critic term, which needs the codes) are
``(generator, critic, codes, fake, rng) -> [B]``. Some on the generator's side look at its samples through the critic
only, and have the first form; they keep the graph of the fake samples.
"""

from collections.abc import Callable

from adversarium.penalties._values import per_sample, wide
from adversarium.penalties.attach import attached
from adversarium.penalties.classes import (
    acgan_critic,
    acgan_generator,
    condition_of,
    contrastive_critic,
    contrastive_generator,
)
from adversarium.penalties.consistency import bcr, cr, shift_and_flip, zcr_critic, zcr_generator
from adversarium.penalties.fraction import OnFraction, on_fraction, on_whole, random_rows, rows_of
from adversarium.penalties.generator import Encodes, PathLength, mode_seeking, path_length, pulling_away
from adversarium.penalties.gradient import (
    GradientPenalty,
    dragan,
    max_gradient,
    r1,
    r2,
    wgan_div,
    wgan_gp,
    zero_centred,
)
from adversarium.penalties.history import (
    GeneratorHistoricalAveraging,
    HistoricalAveraging,
    PastWeights,
    generator_historical_averaging,
    historical_averaging,
)
from adversarium.penalties.information import information
from adversarium.penalties.lecam import LeCam, lecam
from adversarium.penalties.matching import (
    FeatureMatching,
    MatchingNorm,
    feature_matching,
    match_features,
)
from adversarium.penalties.noise import noise_r1, noise_r2
from adversarium.penalties.points import around, at_fake, at_real, between
from adversarium.penalties.scores import FromScores, Scored, ScorePenalty, call_with_scores
from adversarium.penalties.second_order import SecondOrder
from adversarium.penalties.slope import (
    METHODS,
    Method,
    check_samples,
    refuse_batch_norm,
    scores_and_slope,
    slope,
    slope_of,
)
from adversarium.penalties.weights import orthogonal_regularisation, spectral_regularisation
from adversarium.types import GeneratorPenalty, Penalty

PENALTIES: dict[str, Callable[..., Penalty]] = {
    "wgan_gp": wgan_gp,
    "zero_centred": zero_centred,
    "r1": r1,
    "r2": r2,
    "dragan": dragan,
    "max_gradient": max_gradient,
    "wgan_div": wgan_div,
    "noise_r1": noise_r1,
    "noise_r2": noise_r2,
    "lecam": lecam,
    "cr": cr,
    "bcr": bcr,
    "spectral_regularisation": spectral_regularisation,
    "orthogonal_regularisation": orthogonal_regularisation,
    "historical_averaging": historical_averaging,
    "acgan_critic": acgan_critic,
    "contrastive_critic": contrastive_critic,
}
"""Name to factory: penalties on the critic."""

GENERATOR_PENALTIES: dict[str, Callable[..., GeneratorPenalty]] = {
    "path_length": path_length,
    "mode_seeking": mode_seeking,
    "pulling_away": pulling_away,
    "zcr_generator": zcr_generator,
    "zcr_critic": zcr_critic,
    "generator_historical_averaging": generator_historical_averaging,
    "information": information,
}
"""Name to factory: penalties that need the generator and its codes."""

SAMPLE_PENALTIES: dict[str, Callable[..., Penalty]] = {
    "feature_matching": feature_matching,
    "acgan_generator": acgan_generator,
    "contrastive_generator": contrastive_generator,
}
"""Name to factory: penalties on the generator that look at its samples through the critic."""

BATCH_STATISTICS = frozenset(
    {
        "dragan",
        "max_gradient",
        "lecam",
        "path_length",
        "mode_seeking",
        "pulling_away",
        "contrastive_critic",
        "feature_matching",
        "contrastive_generator",
    }
)
"""Members of these dicts whose values, with their defaults, depend on the rest of the batch: see their Convention."""

WANTED_METHODS: dict[str, str] = {
    "pulling_away": "encode",
    "feature_matching": "features",
    "acgan_critic": "classify",
    "acgan_generator": "classify",
    "contrastive_critic": "contrast",
    "contrastive_generator": "contrast",
    "information": "recognise",
}
"""Members that look at more than the critic's scores, and the method that they want it to have.

Those that want ``classify`` or ``contrast`` also want it bound to a condition, by ``nets.Conditioned``.
"""

WITH_BATCH_NORM = frozenset(
    {
        "feature_matching",
        "acgan_critic",
        "acgan_generator",
        "contrastive_critic",
        "contrastive_generator",
        "information",
    }
)
"""Members that look at samples through the critic, and that batch norm in it does not contradict.

They name a sample's class or code (InfoGAN's authors have batch norm in both players), or compare two batches. All
others that look at samples through the critic say something of each on its own (its slope, its score, that the score
stays when the sample is changed a little), which batch norm mixes with the rest of the batch.
"""

__all__ = [
    "BATCH_STATISTICS",
    "GENERATOR_PENALTIES",
    "METHODS",
    "PENALTIES",
    "SAMPLE_PENALTIES",
    "WANTED_METHODS",
    "WITH_BATCH_NORM",
    "Encodes",
    "FeatureMatching",
    "FromScores",
    "GeneratorHistoricalAveraging",
    "GeneratorPenalty",
    "GradientPenalty",
    "HistoricalAveraging",
    "LeCam",
    "MatchingNorm",
    "Method",
    "OnFraction",
    "PastWeights",
    "PathLength",
    "Penalty",
    "ScorePenalty",
    "Scored",
    "SecondOrder",
    "acgan_critic",
    "acgan_generator",
    "around",
    "at_fake",
    "at_real",
    "attached",
    "bcr",
    "between",
    "call_with_scores",
    "check_samples",
    "condition_of",
    "contrastive_critic",
    "contrastive_generator",
    "cr",
    "dragan",
    "feature_matching",
    "generator_historical_averaging",
    "historical_averaging",
    "information",
    "lecam",
    "match_features",
    "max_gradient",
    "mode_seeking",
    "noise_r1",
    "noise_r2",
    "on_fraction",
    "on_whole",
    "orthogonal_regularisation",
    "path_length",
    "per_sample",
    "pulling_away",
    "r1",
    "r2",
    "random_rows",
    "refuse_batch_norm",
    "rows_of",
    "scores_and_slope",
    "shift_and_flip",
    "slope",
    "slope_of",
    "spectral_regularisation",
    "wgan_div",
    "wgan_gp",
    "wide",
    "zcr_critic",
    "zcr_generator",
    "zero_centred",
]
