"""What a member does on the smallest games, for its page: measured from its own code, or why it has no part there."""

import textwrap
from functools import partial

import torch
from torch import Tensor

from adversarium.games.dirac import dirac_verdict
from adversarium.games.dynamics import descent, predict
from adversarium.games.toys import bilinear
from adversarium.types import Anneal, Critic, GameRule, Loss, Penalty, Preset, Term, at

_STEP = 0.1  # of plain gradient descent, both players'

_NOT_PLAYED = {
    **dict.fromkeys(
        ("acgan_critic", "contrastive_critic"), "it asks what a sample is of, and this game has no labels"
    ),
    **dict.fromkeys(("cr", "bcr"), "it compares images with altered ones, and this game's samples are numbers"),
    "noise_r1": "it draws noise, and this game is played without chance; r1 is its mean over the noise",
    "noise_r2": "it draws noise, and this game is played without chance; r2 is its mean over the noise",
}
"""Penalties that have no part in the Dirac game, and why."""


def loss_on_the_dirac_game(loss: Loss, penalty: Penalty | None = None, note: str = "") -> list[str]:
    """Return what a loss does near the equilibrium of the Dirac game, ``note`` after it, or why it is not played."""
    if loss.score_width is not None:
        return _lines("not played: its scores are vectors, and this game's critic returns a number")
    if loss.critic_kind != "score":  # ψ·x is no reconstruction error
        return _lines(f"not played: its critic is an {loss.critic_kind}, and this game's is a straight line")
    return _lines(dirac_verdict(loss, penalty) + note)


def wrapper_on_the_dirac_game(wrapped: Loss) -> list[str]:
    """Return what a wrapped non-saturating loss does there."""
    if wrapped.halves is None:
        return _lines("not played: its labels are random, and this game is played without chance")
    return loss_on_the_dirac_game(wrapped, note=" (around the non-saturating loss)")


def penalty_on_the_dirac_game(name: str, penalty: Penalty, loss: Loss) -> list[str]:
    """Return what a penalty does there to the non-saturating loss."""
    if name in _NOT_PLAYED:
        return _lines(f"not played: {_NOT_PLAYED[name]}")
    return loss_on_the_dirac_game(loss, penalty, " (with the non-saturating loss)")


def preset_on_the_dirac_game(preset: Preset) -> list[str]:
    """Return what a preset's loss and penalties do there, at the weights of the start."""
    objective, terms = preset.objective, preset.objective.critic_terms
    changing = [each.name for each in preset.constraints if each.when == "build"]
    if changing:
        return _lines(f"not played: {', '.join(changing)} makes another function of its critic, a straight line")
    if objective.critic_latent_terms or objective.generator_terms:
        return _lines("not played: a term looks at the generator's codes, and this game's generator has none")
    for term in terms:
        if term.name in _NOT_PLAYED:
            return _lines(f"not played, for {term.name}: {_NOT_PLAYED[term.name]}")
    annealed = any(isinstance(term.weight, Anneal) for term in terms)
    # a partial, not a closure: the game copies the penalties, so that their moving averages stay as they are
    penalty = partial(_weighted_sum, terms) if terms else None
    return loss_on_the_dirac_game(objective.loss, penalty, " (at the weights of the start)" if annealed else "")


def rule_on_the_bilinear_game(rule: GameRule) -> str:
    """Return what a rule does around the equilibrium of min_x max_y x·y, measured from its own update."""
    found = predict(rule, bilinear(), descent(_STEP))
    return f"On the bilinear game, by steps of {_STEP:g}: spectral radius {found.radius:.6g} per step: {found.verdict}"


def _weighted_sum(
    terms: tuple[Term[Penalty], ...], critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator | None
) -> Tensor:
    return torch.stack([at(term.weight, 0) * term.penalty(critic, real, fake, rng) for term in terms]).sum(0)


def _lines(verdict: str) -> list[str]:
    return textwrap.wrap(f"On the Dirac game: {verdict}", width=110, subsequent_indent=" " * 4)
