"""Penalties that keep the graph to the generator, for rules and fields that differentiate across the players."""

from dataclasses import replace
from functools import partial

from adversarium.penalties.fraction import OnFraction
from adversarium.penalties.gradient import GradientPenalty
from adversarium.penalties.matching import FeatureMatching
from adversarium.penalties.scores import FromScores, call_with_attached_scores
from adversarium.types import Penalty


def attached(penalty: Penalty) -> Penalty:
    """Return a penalty on the critic that keeps the graph of the fake samples, which the plain one cuts.

    Its values and its derivatives by the critic's weights are the same. It is differentiable by the generator's
    weights as well, and as often as the critic is: these derivatives stand in the Jacobian of the game's field, beside
    its diagonal, so second-order rules and ``games.Field`` want them. Never descend by them: the critic's penalty is
    no part of the generator's objective. A function of your own comes back as it is: it keeps the graph unless it cuts
    it itself. Feature matching, on the generator's side, keeps the graph of the real features to the critic's weights.
    """
    if isinstance(penalty, OnFraction):
        return replace(penalty, penalty=attached(penalty.penalty))
    if isinstance(penalty, GradientPenalty | FeatureMatching):
        return replace(penalty, attached=True)
    if isinstance(penalty, FromScores):
        return partial(call_with_attached_scores, penalty)
    return penalty
