"""What the options of a run change, and nothing else."""

import dataclasses
import inspect
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from adversarium.config import DEFAULT_KIMG, TrainConfig
from adversarium.data import open_data
from adversarium.errors import InputError
from adversarium.games import GAMES
from adversarium.presets import PRESETS
from adversarium.spec import make
from adversarium.train.build import Training, build
from adversarium.train.optimizers import set_progress, settings_of
from adversarium.train.resolve import resolve
from adversarium.types import Anneal, at


def training(**options: object) -> Training:
    source = open_data("ring")
    return build(resolve(TrainConfig(data="ring", width=4, batch_size=4, **options), source.codec), source)


def test_resolved_defaults_of_images_and_vectors() -> None:
    image = resolve(TrainConfig(data="mnist", preset="lsgan", device="cpu"), open_data("mnist").codec)
    assert (image.network, image.width, image.latent_dim) == ("dcgan", 32, 64)
    assert (image.critic_batch_norm, image.generator_batch_norm) == (True, True)
    assert (image.kimg, image.steps, image.seconds) == (DEFAULT_KIMG, None, None)
    vector = resolve(TrainConfig(data="ring", preset="wgan", steps=7, device="cpu"), open_data("ring").codec)
    assert (vector.network, vector.latent_dim, vector.precision) == ("vector-mlp", 2, "fp32")
    assert vector.game == "alternating(n_critic=5, n_generator=1)"
    assert (vector.kimg, vector.steps) == (None, 7)


@pytest.mark.parametrize(
    ("preset", "critic", "generator"),
    [("gan", True, True), ("wgan-gp", False, True), ("sngan", False, True), ("r3gan", False, False)],
)
def test_what_a_preset_excludes_is_left_out(preset: str, critic: bool, generator: bool) -> None:
    config = resolve(TrainConfig(preset=preset), open_data("mnist").codec)
    assert (config.critic_batch_norm, config.generator_batch_norm) == (critic, generator)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_critic": 3},
        {"game": "lookahead(k=3, inner=alternating(n_critic=2))"},
        {"optimizer": "sgd", "beta1": -0.5, "critic_learning_rate": 0.1, "generator_learning_rate": 0.1},
        {"optimizer": "rmsprop"},
        {"optimizer": "amsgrad", "beta2": 0.9, "clip_gradient_norm": 1.0},
        {"decay": "linear", "critic_learning_rate": 0.1, "generator_learning_rate": 0.2},
        {"average": "uniform", "average_from_kimg": 3.0},
    ],
    ids=str,
)
def test_resolving_twice_changes_nothing(preset: str, options: dict[str, object]) -> None:
    """A saved configuration is the run's."""
    if "n_critic" in options and PRESETS[preset].rule.name != "alternating":
        return
    codec = open_data("mnist").codec
    once = resolve(TrainConfig(preset=preset, **options), codec)
    assert resolve(once, codec) == once
    assert settings_of(once, PRESETS[preset]) == settings_of(
        dataclasses.replace(TrainConfig(preset=preset, **options), decay_kimg=once.decay_kimg), PRESETS[preset]
    )


@pytest.mark.parametrize(
    ("options", "game"),
    [
        ({}, "alternating(n_critic=1, n_generator=1)"),
        ({"preset": "wgan-gp"}, "alternating(n_critic=5, n_generator=1)"),
        # as versions saved it that knew one rule
        ({"preset": "wgan-gp", "n_critic": 2}, "alternating(n_critic=2, n_generator=1)"),
        ({"game": "alternating(n_generator=2)", "n_critic": 4}, "alternating(n_critic=4, n_generator=2)"),
        ({"preset": "wgan-gp", "game": "alternating"}, "alternating(n_critic=1, n_generator=1)"),
        ({"preset": "wgan-gp-extraadam"}, "extragradient"),
        ({"game": "lookahead(k=3)"}, "lookahead(k=3, alpha=0.5, inner=alternating(n_critic=1, n_generator=1))"),
    ],
)
def test_the_game_of_a_run(options: dict[str, object], game: str) -> None:
    found = training(**options)
    assert (found.config.game, found.config.n_critic) == (game, None)
    before = found.step.critic_steps
    found.move(0)
    assert found.step.critic_steps - before == make(game, "game", GAMES).critic_evaluations


RATES = {"critic_learning_rate": 0.1, "generator_learning_rate": 0.1}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"game": "extragradeint"}, "unknown game 'extragradeint' (did you mean 'extragradient'?)"),
        ({"game": "extragradient", "n_critic": 5}, "n_critic is 5, and the game is extragradient"),
        ({"preset": "wgan-gp-extraadam", "n_critic": 5}, "n_critic is 5, and the game is extragradient"),
        ({"game": "lookahead", "n_critic": 5}, "--game 'lookahead(inner=alternating(n_critic=5))'"),
        ({"game": "alternating(n_critic=5)", "n_critic": 5}, "give it in one place"),
        ({"game": "proximal_point"}, "wants one fixed batch"),
        ({"game": "competitive"}, "wanted --optimizer sgd with a beta1 of 0"),
        (
            {"game": "competitive", "optimizer": "sgd", "beta1": 0.5, **RATES},
            "wanted --optimizer sgd with a beta1 of 0",
        ),
        ({"game": "consensus", "compile": True}, "leave --compile out"),
        ({"optimizer": "sgd", "beta2": 0.9, **RATES}, "beta2 is 0.9, and sgd has none: leave --beta2 out"),
        ({"optimizer": "rmsprop", "beta1": 0.9}, "beta1 is 0.9, and rmsprop has none: leave --beta1 out"),
        (
            {"optimizer": "sgd", "critic_learning_rate": 0.1},
            "rsgan's learning rates are for adam: add --critic-learning",
        ),
        (
            {"average": "uniform", "average_from_kimg": 9.0, "kimg": 9.0},
            "average_from_kimg is 9.0, and the run ends at 9.0",
        ),
        ({"average": "none", "ema_rampup": 0.5}, "ema_rampup is 0.5, and average is 'none': it has none"),
        ({"decay": "cosine", "kimg": 9.0, "decay_kimg": 8.0}, "nothing would move between the two"),
        (
            {"optimizer": "adma"},
            "optimizer is 'adma' (did you mean 'adam'?): wanted one of sgd, adam, amsgrad, rmsprop",
        ),
        ({"beta1": -1.0}, "beta1 is -1.0: wanted a number above -1 and below 1"),
        ({"beta2": 1.0}, "beta2 is 1.0: wanted a number from 0 to below 1"),
        ({"decay": "cosine", "steps": 9}, "the budget is not in kimg: add --decay-kimg"),
        ({"decay_kimg": 9.0}, "decay_kimg is 9.0, and there is no decay"),
        ({"decay": "cosine", "preset": "r3gan"}, "r3gan anneals the critic's learning rate already"),
        ({"average_from_kimg": 9.0}, "average_from_kimg is 9.0, and average is 'ema'"),
        ({"clip_gradient_norm": 0.0}, "clip_gradient_norm is 0.0: wanted a positive number"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as caught:
        training(**options)
    assert words in str(caught.value)


def test_two_learning_rates_decay_to_nothing_over_the_budget() -> None:
    options = {"decay": "cosine", "critic_learning_rate": 0.4, "kimg": 2.0}
    found = training(**options)
    assert found.config.decay_kimg == 2.0
    players = list(zip((found.step.critic_optimizer, found.step.generator_optimizer), (0.4, 2e-4), strict=True))
    for images in (0, 500, 1000, 2000, 3000):
        for (optimizer, rate), settings in zip(players, found.settings, strict=True):
            set_progress(optimizer, settings, images)
            share = (1 + math.cos(math.pi * min(images / 2000, 1))) / 2
            assert optimizer.param_groups[0]["lr"] == pytest.approx(rate * share, abs=1e-12)
    # a longer budget, asked for later, would change no schedule, and train at a rate of 0
    longer = dataclasses.replace(found.config, kimg=5.0)
    with pytest.raises(InputError, match=r"decay_kimg is 2\.0, and the run ends at 5\.0 kimg: nothing would move"):
        resolve(longer, found.codec)
    assert resolve(dataclasses.replace(found.config, kimg=1.0), found.codec).decay_kimg == 2.0


@pytest.mark.parametrize("game", ["alternating", "consensus"])
def test_gradients_are_clipped_player_by_player(game: str) -> None:
    found = training(clip_gradient_norm=1e-3, game=game)
    found.move(0)
    for network in (found.step.critic, found.step.generator):
        norm = torch.linalg.vector_norm(torch.cat([each.grad.flatten() for each in network.parameters()]))
        assert float(norm) == pytest.approx(1e-3, rel=1e-2)
    measured = found.step.measurements()
    # what is logged is the norm as it was
    assert min(measured["critic_gradient_norm"], measured["generator_gradient_norm"]) > 2e-3


def test_learning_rates() -> None:
    found = training(preset="r3gan", critic_learning_rate=0.5)
    for optimizer, settings in zip(
        (found.step.critic_optimizer, found.step.generator_optimizer), found.settings, strict=True
    ):
        set_progress(optimizer, settings, 10_000_000)
    assert found.step.critic_optimizer.param_groups[0]["lr"] == 0.5
    # the generator's is still the preset's: half way along the cosine
    assert found.step.generator_optimizer.param_groups[0]["lr"] == pytest.approx((2e-4 + 5e-5) / 2)
    assert found.step.generator_optimizer.param_groups[0]["betas"] == pytest.approx((0.0, (0.9 + 0.99) / 2))


def test_rmsprop_reads_its_smoothing_constant() -> None:
    found = training(preset="wgan")
    set_progress(found.step.critic_optimizer, dataclasses.replace(found.settings[0], beta2=0.7), 0)
    assert found.step.critic_optimizer.param_groups[0]["alpha"] == 0.7


def test_penalties_are_scaled_and_paced() -> None:
    published = {term.name: term.weight for term in PRESETS["r3gan"].objective.critic_terms}
    found = training(preset="r3gan", penalty_scale=20.0, anneal_kimg=100.0).step.objective
    for term in found.critic_terms:
        weight = published[term.name]
        assert isinstance(weight, Anneal)
        assert at(term.weight, 0) == pytest.approx(20 * weight.start)
        assert at(term.weight, 100_000) == pytest.approx(20 * weight.stop)
    (term,) = training(preset="wgan-gp", penalty_scale=0.01).step.objective.critic_terms
    assert at(term.weight, 123) == pytest.approx(0.1)


def test_a_longer_budget_changes_no_schedule(tmp_path: Path) -> None:
    weights = [
        [at(term.weight, 640) for term in training(preset="r3gan", steps=steps).step.objective.critic_terms]
        for steps in (10, 10_000)
    ]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "nsgan", "penalty_scale": 2.0}, "penalty_scale is 2.0, and nsgan has no penalty"),
        ({"preset": "wgan-gp", "anneal_kimg": 2.0}, "wgan-gp anneals nothing"),
    ],
)
def test_options_that_would_change_nothing_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        training(**options)


def test_batch_norm_needs_a_batch() -> None:
    source = open_data("mnist")
    with pytest.raises(InputError, match="batch norm needs at least 2"):
        build(resolve(TrainConfig(batch_size=1, width=4), source.codec), source)


def test_a_whole_number_of_samples_is_wanted_and_a_whole_rate_will_do() -> None:
    with pytest.raises(InputError, match="batch_size is 2.5: wanted a whole number"):
        inspect.unwrap(TrainConfig.__post_init__)(SimpleNamespace(**{**vars(TrainConfig()), "batch_size": 2.5}))
    resolved = resolve(TrainConfig(data="ring", critic_learning_rate=1), open_data("ring").codec)
    assert resolved.critic_learning_rate == 1
