"""Every preset trains, and is what its paper says."""

from pathlib import Path

import pytest

from adversarium.config import TrainConfig
from adversarium.errors import InputError
from adversarium.losses import LOSSES
from adversarium.penalties import PENALTIES
from adversarium.presets import PRESETS
from adversarium.spec import written
from adversarium.train import train


@pytest.mark.parametrize("data", ["mnist", "ring"])
@pytest.mark.parametrize("preset", PRESETS)
def test_two_hundred_steps_without_a_warning(tmp_path: Path, preset: str, data: str) -> None:
    # pytest turns warnings into errors
    run = train(TrainConfig(data=data, preset=preset, steps=200, width=12, batch_size=12, out=str(tmp_path / "run")))
    assert run.steps == 200
    assert run.images == 200 * 12 * PRESETS[preset].rule.critic_evaluations
    assert (run.path / "samples.png").stat().st_size > 1000
    assert (run.path / "curves.png").stat().st_size > 1000


@pytest.mark.parametrize("preset", PRESETS)
def test_entries_name_their_members(preset: str) -> None:
    entry = PRESETS[preset]
    assert entry.objective.loss.name in LOSSES
    assert all(term.name in PENALTIES for term in entry.objective.critic_terms)
    assert "arXiv:" in entry.paper
    # whoever excludes a part says why; a penalised critic excludes batch norm
    assert bool(entry.why_without) == bool(entry.critic_without | entry.generator_without)
    if entry.objective.critic_terms:
        assert "batch_norm" in entry.critic_without


@pytest.mark.parametrize(("preset", "network"), [("ebgan", "dcgan"), ("nsgan", "autoencoder")])
def test_a_critic_of_the_wrong_kind_is_refused(tmp_path: Path, preset: str, network: str) -> None:
    with pytest.raises(InputError, match=f"{preset} wants one of kind '{PRESETS[preset].objective.loss.critic_kind}'"):
        train(TrainConfig(preset=preset, network=network, steps=1, out=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("preset", "rate", "betas", "game"),
    [
        ("wgan-div", 1e-4, (0.0, 0.9), "alternating(n_critic=5, n_generator=1)"),
        ("gan", 2e-4, (0.5, 0.999), "alternating(n_critic=1, n_generator=1)"),
        ("wgan-gp", 1e-4, (0.0, 0.9), "alternating(n_critic=5, n_generator=1)"),
        ("wgan-gp-extraadam", 5e-4, (0.5, 0.9), "extragradient"),
        ("sngan", 2e-4, (0.0, 0.9), "alternating(n_critic=5, n_generator=1)"),
    ],
)
def test_published_settings(preset: str, rate: float, betas: tuple[float, float], game: str) -> None:
    entry = PRESETS[preset]
    for settings in (entry.critic_optimizer, entry.generator_optimizer):
        assert (settings.learning_rate, (settings.beta1, settings.beta2)) == (rate, betas)
    assert written(entry.rule) == game


@pytest.mark.parametrize("preset", [name for name, entry in PRESETS.items() if entry.critic_without])
def test_batch_norm_in_such_a_critic_is_refused_with_the_reason(tmp_path: Path, preset: str) -> None:
    with pytest.raises(InputError, match="must not contain batch norm") as caught:
        train(TrainConfig(preset=preset, steps=1, critic_batch_norm=True, out=str(tmp_path / "run")))
    assert PRESETS[preset].why_without in str(caught.value)
    assert not (tmp_path / "run").exists()
