"""Further terms of an objective, as they are typed: ``feature_matching(weight=10.0), r1(gamma=1.0, every=16)``."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from adversarium.conditionals import CONDITIONALS
from adversarium.config import TrainConfig
from adversarium.errors import InputError, lookup, require
from adversarium.losses import LOSSES
from adversarium.penalties import GENERATOR_PENALTIES, PENALTIES, SAMPLE_PENALTIES
from adversarium.presets import PRESETS
from adversarium.spec import make, split
from adversarium.types import SLOTS, Objective, Preset, Term

_SLOTS: dict[str, Mapping[str, Callable[..., Any]]] = {
    "critic_terms": PENALTIES,
    "generator_sample_terms": SAMPLE_PENALTIES,
    "critic_latent_terms": {"zcr_critic": GENERATOR_PENALTIES["zcr_critic"]},
    "generator_terms": {
        name: make
        for name, make in GENERATOR_PENALTIES.items()
        # of infogan both players have it, and the codes have to be made for it
        if name not in ("zcr_critic", "information")
    },
}
_OF_A_METHOD = {
    term.name: name for name, make in CONDITIONALS.items() for slot in SLOTS for term in getattr(make(), slot)
}
"""Terms that belong to a way of being conditional."""


def with_terms(objective: Objective, text: str | None) -> Objective:
    """Return an objective with the terms that a text names added to it.

    Raises:
        InputError: an unknown term or argument (names the nearest), a term that is there already, or one that belongs
            to a way of being conditional.
    """
    for slot, term in parse_terms(text):
        there = getattr(objective, slot)
        if any(each.name == term.name for each in there):
            raise InputError(f"terms name {term.name}, which the preset has already: set --penalty-scale for it")
        added: dict[str, Any] = {slot: (*there, term)}
        objective = dataclasses.replace(objective, **added)
    return objective


def based(config: TrainConfig) -> Preset:
    """Return a configuration's method before its further terms: its preset, with another loss where one is given.

    Where other penalties are given the preset's are left out; the others are among the :func:`further` terms.

    Raises:
        InputError: no such preset or loss, or a loss that no packaged critic has scores for.
    """
    preset = lookup("preset", config.preset, PRESETS)
    changes: dict[str, Any] = {}
    if config.loss is not None:
        loss = make(config.loss, "loss", LOSSES)
        require(
            loss.score_width is None,
            f"loss is {config.loss}, of scores that are vectors: no packaged critic has those (in a loop of your own, "
            "with a critic of your own, losses.LOSSES has it)",
        )
        changes["loss"] = loss
    if config.penalties is not None:
        changes["critic_terms"] = ()
    return dataclasses.replace(preset, objective=dataclasses.replace(preset.objective, **changes))


def further(config: TrainConfig) -> str | None:
    """Return a configuration's further terms as one text: the penalties in place of its preset's, and others."""
    penalties = None if config.penalties == "none" else config.penalties
    return ", ".join(filter(None, [penalties, config.terms])) or None


def played(config: TrainConfig) -> Preset:
    """Return a configuration's method with its further terms: what is really played."""
    preset = based(config)
    return dataclasses.replace(preset, objective=with_terms(preset.objective, further(config)))


def parse_terms(text: str | None) -> list[tuple[str, Term[Any]]]:
    """Return the terms that a text names, each with the slot of the objective where it belongs.

    Raises:
        InputError: as :func:`with_terms`.
    """
    found: list[tuple[str, Term[Any]]] = []
    for each in split(text) if text else []:
        name = each.partition("(")[0].strip()
        if (method := _OF_A_METHOD.get(name)) is not None:
            raise InputError(f"terms name {name}, which belongs to a way of being conditional: --conditional {method}")
        term = make(each, "term", _TERMS)
        require(all(term.name != other.name for _, other in found), f"terms name {term.name} twice")
        found.append((next(slot for slot, members in _SLOTS.items() if term.name in members), term))
    return found


def _term(name: str, factory: Callable[..., Any]) -> Callable[..., Term[Any]]:
    """Return a factory of a term: the penalty's arguments, and how often and on what fraction of the batch."""

    def build(every: int = 1, fraction: float = 1.0, **arguments: Any) -> Term[Any]:
        return Term(name=name, penalty=factory(**arguments), every=every, fraction=fraction)

    own = [
        inspect.Parameter("every", inspect.Parameter.KEYWORD_ONLY, default=1, annotation=int),
        inspect.Parameter("fraction", inspect.Parameter.KEYWORD_ONLY, default=1.0, annotation=float),
    ]
    theirs = list(inspect.signature(factory).parameters.values())
    build.__signature__ = inspect.Signature([*theirs, *own])  # type: ignore[attr-defined]
    return build


_TERMS = {name: _term(name, factory) for members in _SLOTS.values() for name, factory in members.items()}
