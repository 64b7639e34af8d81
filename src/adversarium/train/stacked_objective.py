"""Several games' objectives as one, on batches in which the games take turns by row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from adversarium.nets.stacked import StackedNetwork
from adversarium.penalties import BATCH_STATISTICS, FromScores, GradientPenalty, Scored, ScorePenalty
from adversarium.tensors import Generators
from adversarium.types import SLOTS, Loss, Objective, ScoreFunction, Term, at


@dataclass(frozen=True)
class ByGame:
    """A function of rows, one for each game, that sees the rows, the network and the generator of its game alone."""

    each: Sequence[Callable[..., Tensor]]

    def __call__(self, *arguments: Any) -> Tensor:
        """Return the values of all rows, in which the games take turns as ever."""
        values = [
            function(*(_own(argument, index, len(self.each)) for argument in arguments))
            for index, function in enumerate(self.each)
        ]
        return torch.stack(values, 1).flatten(0, 1)


def _own(argument: Any, index: int, count: int) -> Any:
    if isinstance(argument, Tensor):
        return argument[index::count]
    if isinstance(argument, StackedNetwork):
        return argument.network(index)
    return argument.each[index] if isinstance(argument, Generators) else argument


class StackedObjective:
    """The objectives of games that differ in the weights of their terms, and in what the parts remember.

    Losses and penalties see all rows at once where each value depends on its own row. Where values depend on the
    rest of the batch, or on what earlier batches left, each game's own part sees its own rows.

    Attributes:
        whole: the objective on all rows; its means are to be taken by :meth:`mean`.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self._count = len(objectives)
        stacked: dict[str, Any] = {"loss": _stacked_loss([each.loss for each in objectives])}
        self._weights: dict[str, tuple[Term[Any], ...]] = {}
        for slot in SLOTS:
            player = slot.partition("_")[0]
            groups = list(zip(*(getattr(each, slot) for each in objectives), strict=True))
            stacked[slot] = tuple(_stacked_term(group) for group in groups)
            self._weights |= {f"{player}_{group[0].name}": group for group in groups if _weights_differ(group)}
        self.whole = Objective(**stacked)

    def mean(self, values: Tensor) -> Tensor:
        """Return each game's mean over its own rows, ``[K]``."""
        by_game: Tensor = values.unflatten(0, (-1, self._count)).transpose(0, 1).flatten(1).mean(1)
        return by_game

    def weighted(self, player: str, parts: dict[str, Tensor], images: int) -> dict[str, Tensor]:
        """Return a player's parts, ``[K]`` each, under the names of their records, with each game's own weight."""
        named = {f"{player}_{name}": values for name, values in parts.items()}
        for name, terms in self._weights.items():
            if name in named:
                named[name] = named[name] * named[name].new_tensor([at(term.weight, images) for term in terms])
        return named


def _weights_differ(terms: Sequence[Term[Any]]) -> bool:
    return any(term.weight != terms[0].weight for term in terms)


def _stacked_term(terms: Sequence[Term[Any]]) -> Term[Any]:
    first = terms[0]
    penalty = first.penalty
    if isinstance(penalty, nn.Module) or first.name in BATCH_STATISTICS:
        penalty = _by_game([term.penalty for term in terms])
    return replace(first, penalty=penalty, weight=1.0 if _weights_differ(terms) else first.weight)


def _by_game(penalties: Sequence[Any]) -> Any:
    first = penalties[0]
    if isinstance(first, GradientPenalty):
        values, points = (ByGame([getattr(each, name) for each in penalties]) for name in ("value", "points"))
        return replace(first, value=values, points=points)
    if isinstance(first, FromScores):
        apart = ByGame([each.from_scores for each in penalties])

        def value(batch: Scored) -> Tensor:
            return apart(batch.critic, batch.real, batch.fake, batch.rng, batch.real_scores, batch.fake_scores)

        return ScorePenalty(reads=first.reads, value=value)
    return ByGame(penalties)


def _stacked_loss(losses: Sequence[Loss]) -> Loss:
    first = losses[0]
    sides = {name: _stacked_side([getattr(each, name) for each in losses], first) for name in ("critic", "generator")}
    return replace(first, **cast(dict[str, Any], sides))


def _stacked_side(sides: Sequence[ScoreFunction], loss: Loss) -> ScoreFunction:
    if isinstance(sides[0], nn.Module):
        return cast(ScoreFunction, ByGame(sides))
    if loss.coupling in ("none", "paired"):
        return sides[0]
    count = len(sides)

    def coupled(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        fake = fake_scores.unflatten(0, (-1, count))
        if real_scores is None:
            return torch.vmap(lambda s: sides[0](None, s), 1, 1)(fake).flatten(0, 1)
        real = real_scores.unflatten(0, (-1, count))
        values: Tensor = torch.vmap(sides[0], 1, 1)(real, fake)
        return values.flatten(0, 1)

    return coupled
