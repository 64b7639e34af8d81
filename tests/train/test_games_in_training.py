"""Every rule trains, counts its images, and goes on exactly where it was stopped, its memory in the optimizers."""

import dataclasses
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from adversarium.cli import main
from adversarium.config import TrainConfig
from adversarium.data import open_data
from adversarium.errors import InputError
from adversarium.games import GAMES
from adversarium.presets import PRESETS
from adversarium.spec import make
from adversarium.train import build_optimizer, checkpoint, resume, train
from adversarium.train.build import Training, build
from adversarium.train.resolve import resolve
from adversarium.types import OptimizerSettings

TINY: dict[str, Any] = {"width": 4, "batch_size": 4}
TRAINABLE = [name for name in GAMES if not GAMES[name]().fixed_batch]
NESTED = [
    "alternating(n_critic=2, n_generator=2)",
    "lookahead(k=3, inner=lookahead(k=2))",
    "lookahead(k=4, inner=extrapolation_from_the_past)",
    "lookahead(k=4, inner=optimistic)",
]


def fitting(game: str) -> dict[str, Any]:
    """Return the options that a rule needs besides its name."""
    rates = {"critic_learning_rate": 0.01, "generator_learning_rate": 0.01}
    return {"game": game, **({"optimizer": "sgd", **rates} if make(game, "game", GAMES).plain_descent else {})}


def training(**options: Any) -> Training:
    source = open_data(options.setdefault("data", "ring"))
    return build(resolve(TrainConfig(**{**TINY, **options}), source.codec), source)


def moved(found: Training, images: int, steps: int) -> int:
    for _ in range(steps):
        images = found.move(images)
    return images


@pytest.mark.parametrize("game", TRAINABLE)
def test_thirty_steps_without_a_warning(game: str) -> None:
    # pytest turns warnings into errors
    found, rule = training(**fitting(game)), make(game, "game", GAMES)
    assert moved(found, 0, 30) == 30 * rule.critic_evaluations * TINY["batch_size"]
    assert found.step.steps == 30
    measured = found.step.measurements()  # refuses what is not finite
    assert min(measured["critic_gradient_norm"], measured["generator_gradient_norm"]) > 0


@pytest.mark.parametrize("game", ["extragradient", "consensus(gamma=0.5)"])
def test_a_whole_run(tmp_path: Path, game: str) -> None:
    config = TrainConfig(**TINY, game=game, data="ring", steps=30, log_every_steps=10, out=str(tmp_path / "run"))
    run, rule = train(config), make(game, "game", GAMES)
    assert (run.steps, run.images) == (30, 30 * rule.critic_evaluations * TINY["batch_size"])
    records = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [10, 20, 30]
    assert json.loads((run.path / "config.json").read_text())["game"] == game


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["--width", "4", "--batch-size", "4", "--steps", "4", "--out", str(tmp_path / "run")]
    options = {
        **{"game": "lookahead(k=3, inner=extragradient)", "optimizer": "sgd", "beta1": "-0.5"},
        **{"critic-learning-rate": "0.02", "generator-learning-rate": "0.01", "decay": "linear", "decay-kimg": "1"},
        **{"clip-gradient-norm": "2", "average": "uniform", "average-from-kimg": "0.008"},
    }
    typed = [word for name, value in options.items() for word in (f"--{name}", value)]
    assert main(["train", "ring", *typed, *tiny]) == 0
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert saved["game"] == "lookahead(k=3, alpha=0.5, inner=extragradient)"
    assert (saved["beta1"], saved["decay_kimg"], saved["average"]) == (-0.5, 1.0, "uniform")
    assert main(["train", "--resume", str(tmp_path / "run"), "--steps", "6"]) == 0
    capsys.readouterr()
    assert main(["train", "ring", "--game", "extragradeint", *tiny[:-1], str(tmp_path / "other")]) == 2
    assert "unknown game 'extragradeint' (did you mean 'extragradient'?)" in capsys.readouterr().err


@pytest.mark.parametrize("game", [*TRAINABLE, *NESTED])
def test_images_are_those_that_the_critics_closure_draws(monkeypatch: pytest.MonkeyPatch, game: str) -> None:
    found = training(**fitting(game), preset="rsgan")
    drawn: list[int] = []
    real = found.stream.next
    monkeypatch.setattr(type(found.stream), "next", lambda stream, n: (drawn.append(n), real(n))[1])
    images = found.move(found.move(0))
    assert images == sum(drawn) == 2 * make(game, "game", GAMES).critic_evaluations * TINY["batch_size"]


@pytest.mark.parametrize("game", TRAINABLE)
def test_both_players_move(game: str) -> None:
    found = training(**fitting(game), preset="nsgan")  # losses of score differences leave the critic's last bias
    before = [each.clone() for network in (found.step.critic, found.step.generator) for each in network.parameters()]
    found.move(0)
    after = [each for network in (found.step.critic, found.step.generator) for each in network.parameters()]
    assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def stopped_and_continued(folder: Path, options: dict[str, Any], steps: int) -> list[str]:
    """Return which tensors end otherwise in a run that is stopped half way, read from disk, and continued."""
    whole, first = training(**options), training(**options)
    images = moved(whole, 0, steps)
    half = moved(first, 0, steps // 2 + 1)
    counters = {**first.identity(), "step": first.step.steps, "critic_steps": first.step.critic_steps}
    saved = checkpoint.save(folder, first.tensors(), counters, keep=1)
    second = training(**options)
    second.restore(checkpoint.load(saved))
    assert moved(second, half, steps - steps // 2 - 1) == images
    ends = [found.tensors() for found in (whole, second)]
    assert ends[0].keys() == ends[1].keys()
    return [name for name, value in ends[0].items() if not torch.equal(value, ends[1][name])]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("game", [*TRAINABLE, *NESTED])
def test_stopped_in_the_middle_of_a_period_and_continued_is_bit_equal(
    tmp_path: Path, game: str, precision: str
) -> None:
    rule = make(game, "game", GAMES)
    assert rule.period == 1 or 7 % rule.period
    # images, for the sake of convolutions and batch norm
    options = {**fitting(game), "data": "mnist", "precision": precision}
    assert stopped_and_continued(tmp_path, options, steps=13 if rule.period > 1 else 5) == []


@pytest.mark.parametrize(
    "options",
    [
        {
            "optimizer": "sgd",
            "beta1": -0.5,
            "clip_gradient_norm": 0.1,
            "critic_learning_rate": 1e-3,
            "generator_learning_rate": 2e-3,
        },
        {"optimizer": "amsgrad", "beta1": -0.3, "decay": "linear", "kimg": 0.05},
        {"optimizer": "rmsprop", "decay": "cosine", "kimg": 0.04},
        {"average": "uniform", "average_from_kimg": 0.01, "preset": "wgan-gp-extraadam"},
        {"average": "none", "preset": "wgan-gp", "game": "extragradient"},
    ],
    ids=str,
)
def test_other_options_continue_bit_equal_too(tmp_path: Path, options: dict[str, Any]) -> None:
    assert stopped_and_continued(tmp_path, options, steps=13) == []


def assert_same_end(one: Path, other: Path) -> None:
    a, b = (checkpoint.load_newest(path / "checkpoints")[0].tensors for path in (one, other))
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_a_run_with_a_rule_is_stopped_by_a_signal_and_resumed_bit_equal(tmp_path: Path) -> None:
    config = {**TINY, "game": "lookahead", "data": "mnist", "steps": 13, "log_every_steps": 2}
    whole = train(TrainConfig(**config, out=str(tmp_path / "whole")))

    def interrupt(record: dict[str, float]) -> None:
        if record["step"] == 6:  # it is followed by one whole step, and by a checkpoint
            os.kill(os.getpid(), signal.SIGINT)

    first = train(TrainConfig(**config, out=str(tmp_path / "halves")), observers=[interrupt])
    assert first.steps == 7
    assert_same_end(whole.path, resume(first.path).path)


def test_a_decay_ends_where_the_budget_did_when_the_run_is_given_more(tmp_path: Path) -> None:
    config = TrainConfig(**TINY, data="ring", decay="linear", kimg=0.04, log_every_steps=5, out=str(tmp_path / "run"))
    run = resume(train(config).path, budget={"steps": 15})
    rates = [
        json.loads(line)["critic_learning_rate"] for line in (run.path / "metrics.jsonl").read_text().splitlines()
    ]
    # those of the steps 5, 10 and 15, which began after 16, 36 and 56 images
    assert rates == pytest.approx([2e-4 * (1 - 16 / 40), 2e-4 * (1 - 36 / 40), 0.0])


def test_a_run_of_a_version_that_knew_one_rule_resumes(tmp_path: Path) -> None:
    config = {**TINY, "data": "ring", "preset": "wgan-gp", "n_critic": 3, "steps": 8}
    whole = train(TrainConfig(**config, out=str(tmp_path / "whole")))
    old = train(TrainConfig(**{**config, "steps": 5}, out=str(tmp_path / "old")))
    path = old.path / "config.json"
    saved = {**json.loads(path.read_text()), "n_critic": 3}
    late = (
        *("game", "optimizer", "beta1", "beta2", "decay", "decay_kimg", "clip_gradient_norm"),
        *("average", "average_from_kimg"),
    )
    path.write_text(json.dumps({name: value for name, value in saved.items() if name not in late}))
    newest = checkpoint.newest_first(old.path / "checkpoints")[0]
    found = checkpoint.load(newest)
    counters = {name: value for name, value in found.counters.items() if name not in (*late, "format")}
    checkpoint.save(newest.parent, found.tensors, counters, keep=1)
    assert resume(old.path, budget={"steps": 8}).images == whole.images
    assert_same_end(whole.path, old.path)


@pytest.mark.parametrize(("key", "value"), [("game", "extragradient"), ("optimizer", "amsgrad")])
def test_a_checkpoint_of_another_game_is_refused(tmp_path: Path, key: str, value: str) -> None:
    run = train(TrainConfig(**TINY, data="ring", steps=2, out=str(tmp_path / "run")))
    path = run.path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(InputError, match=f"holds another run: {key} is '(alternating|adam).*', and here '{value}'"):
        resume(run.path)


def test_what_is_averaged(tmp_path: Path) -> None:
    """The generator in a checkpoint's average, for the three kinds, against the run's own weights."""
    for kind in ("ema", "uniform", "none"):
        found = training(average=kind, **({"average_from_kimg": 0.004} if kind == "uniform" else {}))
        weights, images = [], 0
        for _ in range(5):
            images = found.move(images)
            weights.append(next(found.step.generator.parameters()).detach().clone())
        average = next(found.average.module.parameters())
        expected = {"uniform": torch.stack(weights[1:]).mean(0), "none": weights[-1]}
        if kind in expected:
            torch.testing.assert_close(average, expected[kind])
        else:
            assert not torch.equal(average, weights[-1])


def test_a_rule_on_channels_last_weights_moves_as_on_others() -> None:
    """Gradients made of second derivatives may lie otherwise in memory than their weights."""
    ends = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        critic = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Softplus(), nn.Conv2d(3, 1, 2), nn.Flatten(0)).double()
        generator = nn.Sequential(nn.Unflatten(1, (4, 1, 1)), nn.ConvTranspose2d(4, 2, 4)).double()
        critic, generator = (each.to(memory_format=layout) for each in (critic, generator))
        real, codes = torch.randn(5, 2, 4, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
        settings = OptimizerSettings(kind="sgd", learning_rate=0.05)
        optimizers = [build_optimizer(settings, each.parameters()) for each in (critic, generator)]

        def critic_loss(critic=critic, generator=generator, real=real, codes=codes) -> torch.Tensor:
            return critic(generator(codes)).mean() - critic(real).mean() + critic(real).square().mean()

        def generator_loss(critic=critic, generator=generator, codes=codes) -> torch.Tensor:
            return -critic(generator(codes)).mean()

        for _ in range(3):
            GAMES["competitive"]()(critic_loss, generator_loss, *optimizers)
        ends.append([each.detach() for network in (critic, generator) for each in network.parameters()])
    for one, other in zip(*ends, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


def test_presets_hold_rules_that_train() -> None:
    for name, preset in PRESETS.items():
        assert dataclasses.is_dataclass(preset.rule)
        assert resolve(TrainConfig(preset=name), open_data("mnist").codec).game is not None
