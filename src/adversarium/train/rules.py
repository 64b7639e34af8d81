"""The game rule of a run: the one it names, or the preset's, where a training can play it."""

from adversarium.config import TrainConfig
from adversarium.errors import require
from adversarium.games import GAMES, alternating
from adversarium.spec import make, written
from adversarium.types import GameRule, OptimizerSettings, Preset


def rule_of(config: TrainConfig, preset: Preset, settings: tuple[OptimizerSettings, OptimizerSettings]) -> GameRule:
    """Return the rule by which a configuration's players move, with these optimizer settings.

    Raises:
        InputError: no such rule; ``n_critic`` for a rule that has none; a rule that cannot be trained with, or not
            with these optimizers.
    """
    rule = preset.rule if config.game is None else make(config.game, "game", GAMES)
    if config.n_critic is not None:
        rule = _with_n_critic(rule, config.n_critic, config.game)
    text = written(rule)
    require(
        not rule.fixed_batch,
        f"game is {text}: it wants one fixed batch for all its evaluations of a step, and training draws new ones",
    )
    plain = all(each.kind == "sgd" and each.beta1 == 0 for each in settings)
    require(
        plain or not rule.plain_descent,
        f"game is {text}: it solves for the step of plain gradient descent; wanted --optimizer sgd with a beta1 of 0, "
        "and learning rates to suit it",
    )
    require(
        not (rule.second_order and config.compile),
        f"game is {text}: it differentiates twice, which compiled passes cannot; leave --compile out",
    )
    return rule


def _with_n_critic(rule: GameRule, n_critic: int, game: str | None) -> GameRule:
    require(
        rule.name == "alternating",
        f"n_critic is {n_critic}, and the game is {written(rule)}: that is an option of the rule alternating; leave "
        "it out, or give the whole rule, as in --game 'lookahead(inner=alternating(n_critic=5))'",
    )
    twice = game is not None and "n_critic" in game
    require(not twice, f"n_critic is {n_critic}, and the game is {game}: give it in one place")
    return alternating(n_critic, rule.generator_evaluations)
