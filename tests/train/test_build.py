"""What the options of a run change, and nothing else."""

import dataclasses
import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest

from adversarium.config import DEFAULT_KIMG, TrainConfig
from adversarium.data import open_data
from adversarium.errors import InputError
from adversarium.presets import PRESETS
from adversarium.train.build import Training, build, resolve
from adversarium.train.optimizers import set_progress
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
    assert (vector.network, vector.latent_dim, vector.precision, vector.n_critic) == ("vector-mlp", 2, "fp32", 5)
    assert (vector.kimg, vector.steps) == (None, 7)
    # resolving twice changes nothing: a saved configuration is the run's
    assert resolve(image, open_data("mnist").codec) == image


@pytest.mark.parametrize(
    ("preset", "critic", "generator"),
    [("gan", True, True), ("wgan-gp", False, True), ("sngan", False, True), ("r3gan", False, False)],
)
def test_what_a_preset_excludes_is_left_out(preset: str, critic: bool, generator: bool) -> None:
    config = resolve(TrainConfig(preset=preset), open_data("mnist").codec)
    assert (config.critic_batch_norm, config.generator_batch_norm) == (critic, generator)


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
