"""What an objective holds: its terms in their slots, when each is due, how much it counts, and what has state."""

from typing import Any

from torch import Tensor, nn

from adversarium.penalties import WANTED_METHODS, WITH_BATCH_NORM, FromScores, on_whole, rows_of
from adversarium.types import SLOTS, AnyPenalty, Objective, Term, at


def terms_of(objective: Objective) -> list[Term[Any]]:
    """Return all terms of an objective, the critic's first."""
    return [term for slot in SLOTS for term in getattr(objective, slot)]


def terms_on_single_samples(objective: Objective) -> list[str]:
    """Return the names of the critic's terms that say something of each sample on its own: batch norm excludes them.

    Not those on weights alone, nor those of :data:`~adversarium.penalties.WITH_BATCH_NORM`.
    """
    terms: tuple[Term[Any], ...] = (*objective.critic_terms, *objective.critic_latent_terms)
    return [term.name for term in terms if term.name not in WITH_BATCH_NORM and not _on_weights(term)]


def _on_weights(term: Term[Any]) -> bool:
    """Whether a term takes neither scores nor anything else that the critic shows of samples."""
    penalty = on_whole(term.penalty)
    return isinstance(penalty, FromScores) and not penalty.reads and term.name not in WANTED_METHODS


def modules_of(objective: Objective) -> dict[str, nn.Module]:
    """Return the parts of an objective that have state, by a name to save them under."""
    named: dict[str, object] = {
        "loss.critic": objective.loss.critic,
        "loss.generator": objective.loss.generator,
        **{f"critic.{term.name}": term.penalty for term in objective.critic_terms},
        **{f"critic.{term.name}": term.penalty for term in objective.critic_latent_terms},
        **{f"generator.{term.name}": term.penalty for term in objective.generator_terms},
        **{f"generator.{term.name}": term.penalty for term in objective.generator_sample_terms},
    }
    parts = {name: on_whole(part) for name, part in named.items()}
    return {name: part for name, part in parts.items() if isinstance(part, nn.Module)}


def due(terms: tuple[Term[AnyPenalty], ...], step: int) -> list[Term[AnyPenalty]]:
    """Return the terms that are evaluated at a step."""
    return [term for term in terms if step % term.every == 0]


def weight_of(term: Term[Any], images: int) -> float:
    """Return a term's weight at a step at which it is due."""
    # every k-th step, k times the weight: the mean gradient is that of a penalty at every step
    return at(term.weight, images) * term.every


def rows_for(term: Term[Any], samples: Tensor) -> int:
    """Return how many of the samples a term sees, the first ones."""
    return rows_of(term.fraction, len(samples))
