"""What to change in a run: options of ``adversarium train`` that are worked out from its own.

Each replaces options of a *resolved* configuration, the one that a run keeps beside its results, and leaves a valid
one: ``dataclasses.replace(config, **remedy.options)``.
"""

import math
from collections.abc import Mapping
from typing import Any

from adversarium.config import BUDGETS
from adversarium.diagnostics.finding import Circumstances, Remedy
from adversarium.games import GAMES, alternating
from adversarium.presets import PRESETS
from adversarium.spec import make, written
from adversarium.types import Anneal, GameRule, Preset, Scheduled

ROBUST = "r3gan"
"""The method to change to where nothing else helps: it converges locally, and keeps modes."""

_ROBUST_SCALE = 20.0  # of its published gamma, which is for 20 million images
_ROBUST_RATE = {True: 5e-4, False: 1e-3}  # for images, for vectors: LOG.md, 2026-11-20 and 2026-11-21


def first(value: Scheduled) -> float:
    """Return a value as it is at the start of a run."""
    return value.start if isinstance(value, Anneal) else value


def rates(circumstances: Circumstances) -> tuple[float, float]:
    """Return the critic's and the generator's learning rate, at the start where they move."""
    config, preset = circumstances.config, circumstances.preset
    critic, generator = config.critic_learning_rate, config.generator_learning_rate
    return (
        first(preset.critic_optimizer.learning_rate) if critic is None else critic,
        first(preset.generator_optimizer.learning_rate) if generator is None else generator,
    )


def rule(circumstances: Circumstances) -> GameRule:
    """Return the rule by which the players move."""
    game = circumstances.config.game
    return circumstances.preset.rule if game is None else make(game, "game", GAMES)


def critic_steps(steps: int) -> dict[str, Any]:
    """Return the option that gives the critic so many steps for each of the generator's."""
    return {"game": written(alternating(steps))}


def longer(circumstances: Circumstances, times: float) -> dict[str, Any]:
    """Return the options that make a run so many times as long as its budget is now, and its decay with it."""
    config = circumstances.config
    spent = {name: value for name in (*BUDGETS, "decay_kimg") if (value := getattr(config, name)) is not None}
    return {name: round(times * value) if name == "steps" else times * value for name, value in spent.items()}


def has_penalty(preset: Preset) -> bool:
    """Return whether a method has a penalty that ``penalty_scale`` scales."""
    objective = preset.objective
    return bool(objective.critic_terms or objective.critic_latent_terms or objective.generator_terms)


def rounded(value: float) -> float:
    """Return a number with two digits, as people write it."""
    return float(f"{value:.2g}") if math.isfinite(value) and value else value


def towards_generator(circumstances: Circumstances) -> dict[str, Any]:
    """Return what to put back where a run gives the critic more than its method does, or the generator less."""
    return _put_back(circumstances, critic=1)


def towards_critic(circumstances: Circumstances) -> dict[str, Any]:
    """Return what to put back where a run gives the critic less than its method does, or the generator more."""
    return _put_back(circumstances, critic=-1)


def slower(circumstances: Circumstances) -> dict[str, Any]:
    """Return what to put back where a run's steps are larger, or its batches smaller, than its method's."""
    config, preset = circumstances.config, circumstances.preset
    changed: dict[str, Any] = {}
    for player, rate, published in _rates(circumstances):
        if rate > 1.5 * published:
            changed[f"{player}_learning_rate"] = published
    kinds = {preset.critic_optimizer.kind, preset.generator_optimizer.kind}
    momenta = {preset.critic_optimizer.beta1, preset.generator_optimizer.beta1}
    if len(kinds) == 1 and config.optimizer not in (None, *kinds):
        changed["optimizer"] = next(iter(kinds))
        changed |= {f"{player}_learning_rate": published for player, _, published in _rates(circumstances)}
        changed["beta1"] = next(iter(momenta)) if len(momenta) == 1 else 0.0
    elif len(momenta) == 1 and config.beta1 is not None and config.beta1 > max(momenta) + 0.1:
        changed["beta1"] = next(iter(momenta))
    if config.batch_size < 32:
        changed["batch_size"] = 64
    return changed


def _put_back(circumstances: Circumstances, critic: int) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for player, rate, published in _rates(circumstances):
        sign = critic if player == "critic" else -critic
        if sign * math.log(rate / published) > math.log(1.5):
            changed[f"{player}_learning_rate"] = published
    moves, published_moves = rule(circumstances), circumstances.preset.rule
    if moves.name == published_moves.name == "alternating":
        per_step = moves.critic_evaluations / moves.generator_evaluations
        published_steps = published_moves.critic_evaluations / published_moves.generator_evaluations
        if critic * (per_step - published_steps) > 0:
            changed |= critic_steps(published_moves.critic_evaluations)
    return changed


def _rates(circumstances: Circumstances) -> list[tuple[str, float, float]]:
    """Return each player with its learning rate and its method's."""
    preset = circumstances.preset
    published = (first(preset.critic_optimizer.learning_rate), first(preset.generator_optimizer.learning_rate))
    return list(zip(("critic", "generator"), rates(circumstances), published, strict=True))


def method(circumstances: Circumstances, name: str, **options: Any) -> dict[str, Any]:
    """Return what makes a run one of another published method: every option in which the two differ.

    Nothing where the change cannot be written in options.
    """
    config, new = circumstances.config, PRESETS[name]
    annealed = [new.critic_optimizer.learning_rate, new.critic_optimizer.beta2, new.generator_optimizer.beta2]
    annealed += [term.weight for term in new.objective.critic_terms]
    if config.anneal_kimg is not None and not any(isinstance(value, Anneal) for value in annealed):
        return {}
    critic, generator = new.critic_optimizer, new.generator_optimizer
    found: dict[str, Any] = {
        "preset": name,
        "game": written(new.rule),
        "optimizer": critic.kind,
        "beta1": critic.beta1,
    }
    if critic.kind != "sgd":
        found["beta2"] = first(critic.beta2)
    found["critic_learning_rate"] = first(critic.learning_rate)
    found["generator_learning_rate"] = first(generator.learning_rate)
    if circumstances.preset.objective.loss.critic_kind != new.objective.loss.critic_kind:
        found["network"] = "auto"
    for player, without in (("critic", new.critic_without), ("generator", new.generator_without)):
        if "batch_norm" in without and getattr(config, f"{player}_batch_norm"):
            found[f"{player}_batch_norm"] = False
    for option in ("penalty_scale", "penalty_fraction"):
        if getattr(config, option) != 1:
            found[option] = 1.0
    if config.terms:
        found["terms"] = ""  # the other method has its own, which may be the same
    return found | options


def robust(circumstances: Circumstances) -> Remedy | None:
    """Return the change to the method that keeps modes, or ``None`` for a run of it already."""
    if circumstances.config.preset == ROBUST:
        return None
    rate = _ROBUST_RATE[not of_vectors(circumstances)]
    options = method(
        circumstances,
        ROBUST,
        critic_learning_rate=rate,
        generator_learning_rate=rate,
        penalty_scale=_ROBUST_SCALE,
    )
    text = (
        "Train by a method whose game converges near its equilibrium and that keeps modes: relativistic scores, and a "
        "penalty on the critic's slope at data and fakes."
    )
    return Remedy(text=text, options=options) if options else None


def best_first(circumstances: Circumstances, put_back: Remedy | None) -> list[Remedy | None]:
    """Return two ways out, the one first that more often is one.

    On images the published settings of most methods work. On the small networks of vectors few do.
    """
    both = [put_back, robust(circumstances)]
    return both[::-1] if of_vectors(circumstances) else both


def of_vectors(circumstances: Circumstances) -> bool:
    """Return whether the networks make vectors, not images."""
    return circumstances.config.network.startswith("vector")


def collect(*remedies: Remedy | None) -> list[Remedy]:
    """Return the remedies that there are, each once."""
    found: list[Remedy] = []
    for remedy in remedies:
        if remedy is not None and all(remedy.options != other.options or not remedy.options for other in found):
            found.append(remedy)
    return found


def of(text: str, options: Mapping[str, Any]) -> Remedy | None:
    """Return a remedy, or ``None`` where there is no option to set."""
    return Remedy(text=text, options=dict(options)) if options else None
