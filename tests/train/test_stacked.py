"""Runs that are moved together are what they are when moved alone: weights, averages, optimizers, streams, numbers.

In float64: a critic of a loss of score differences has a bias without a gradient, whose rounding Adam blows up to
whole steps, and two orders of summation then part in float32.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import adversarium.train.build as built
from adversarium.config import TrainConfig
from adversarium.data import Batch, Latent, Stream, open_data, open_stream
from adversarium.errors import InputError
from adversarium.train import checkpoint
from adversarium.train.build import Training, build
from adversarium.train.resolve import resolve
from adversarium.train.stacked import StackedTraining, stackable
from adversarium.train.step import NonFiniteError


class WideStream:
    def __init__(self, inner: Stream) -> None:
        self.inner = inner
        self.state, self.restore = inner.state, inner.restore

    def next(self, n: int) -> Batch:
        return Batch(self.inner.next(n).samples.double(), None)


class WideLatent(Latent):
    def next(self, n: int) -> Tensor:
        return super().next(n).double()


def configs(count: int = 3, **options: object) -> list[TrainConfig]:
    """Return runs that differ in their seeds, learning rates and, where there are penalties, their scale."""
    defaults: dict[str, object] = {"data": "ring", "width": 8, "batch_size": 8, "steps": 100, "device": "cpu"}
    made = []
    for seed in range(count):
        rates = {"critic_learning_rate": 3e-4 * (1 + seed), "generator_learning_rate": 2e-4 / (1 + seed)}
        if options.get("scaled"):
            rates["penalty_scale"] = 0.5 + seed
        own = {name: value for name, value in options.items() if name != "scaled"}
        config = TrainConfig(**{**defaults, "seed": seed, **rates, **own})  # type: ignore[arg-type]
        made.append(resolve(config, open_data(str(config.data)).codec))
    return made


def trainings(monkeypatch: pytest.MonkeyPatch, made: list[TrainConfig]) -> list[Training]:
    """Return runs in float64."""
    with monkeypatch.context() as patch:
        patch.setattr(built, "open_stream", lambda *args, **options: WideStream(open_stream(*args, **options)))
        patch.setattr(built, "Latent", WideLatent)
        runs = [build(config, open_data(config.data)) for config in made]
    for run in runs:
        step = run.step
        for module in (step.generator, step.critic, run.average.module, *step.stateful().values()):
            module.double()
        run.average.follow(step.generator)
    return runs


def play(alone: list[Training], stack: StackedTraining, steps: int, images: int = 0) -> int:
    now = images
    for _ in range(steps):
        later = [run.move(now) for run in alone]
        now = stack.move(now)
        assert later == [now] * len(alone)
    return now


def assert_same(
    alone: list[Training], together: list[Training], tolerance: float = 1e-8, measured: bool = True
) -> None:
    for one, other in zip(alone, together, strict=True):
        expected, found = one.tensors(), other.tensors()
        assert set(found) == set(expected)
        for name, value in expected.items():
            assert found[name].dtype == value.dtype, name
            torch.testing.assert_close(
                found[name],
                value,
                rtol=tolerance,
                atol=tolerance,
                equal_nan=True,
                msg=lambda m, name=name: f"{name}: {m}",
            )
        if measured:
            wanted, numbers = one.step.measurements(), other.step.measurements()
            assert list(numbers) == list(wanted)
            for name, number in wanted.items():
                assert numbers[name] == pytest.approx(number, rel=1e-5, abs=1e-7), name
        rates = [run.step.critic_optimizer.param_groups[0]["lr"] for run in (one, other)]
        assert rates[0] == rates[1]
        assert (one.step.steps, one.step.critic_steps) == (other.step.steps, other.step.critic_steps)


METHODS = [
    *({"preset": name} for name in ("gan", "wgan", "lsgan", "rsgan", "rasgan", "ebgan", "wgan-gp-extraadam")),
    *({"preset": name, "scaled": True} for name in ("wgan-gp", "r3gan")),
    {"preset": "nsgan", "penalties": "lecam()", "scaled": True},
]


@pytest.mark.slow
@pytest.mark.parametrize("data", ["ring", "grid"])
@pytest.mark.parametrize("method", METHODS, ids=lambda method: str(method["preset"]))
def test_a_hundred_steps(monkeypatch: pytest.MonkeyPatch, data: str, method: dict[str, object]) -> None:
    made = configs(data=data, **method)
    alone, together = (trainings(monkeypatch, made) for _ in range(2))
    play(alone, StackedTraining(together), 100)
    assert_same(alone, together)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["gan", "lsgan"])
def test_a_hundred_steps_in_float32(preset: str) -> None:
    made = configs(preset=preset, width=32)
    alone, together = ([build(config, open_data("ring")) for config in made] for _ in range(2))
    play(alone, StackedTraining(together), 100)
    assert_same(alone, together, tolerance=1e-5)


@pytest.mark.parametrize("preset", ["wgan", "wgan-gp", "rsgan", "rasgan", "r3gan"])
def test_of_score_differences_only_biases_without_gradient_part_at_first_in_float32(preset: str) -> None:
    made = configs(preset=preset, width=32)
    alone, together = ([build(config, open_data("ring")) for config in made] for _ in range(2))
    play(alone, StackedTraining(together), 4)
    for one, other in zip(alone, together, strict=True):
        found = other.tensors()
        for name, value in one.tensors().items():
            player, _, rest = name.partition(".")
            if player in ("generator", "ema") or (player == "critic" and rest.endswith("weight")):
                torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: str(method["preset"]))
def test_a_few_steps(monkeypatch: pytest.MonkeyPatch, method: dict[str, object]) -> None:
    made = configs(2, data="grid", **method)
    alone, together = (trainings(monkeypatch, made) for _ in range(2))
    play(alone, StackedTraining(together), 4)
    assert_same(alone, together)


OPTIONS = [
    {"penalties": "max_gradient()", "scaled": True},
    {"penalties": "dragan(), noise_r1(), noise_r2(), wgan_div(every=2)", "scaled": True},
    {"terms": "zero_centred(), zcr_critic(), zcr_generator(), mode_seeking(), path_length()", "scaled": True},
    {"preset": "ebgan", "loss": "began"},
    {"loss": "relativistic(pairing=all_pairs)"},
    {"game": "simultaneous"},
    {"game": "extragradient", "penalties": "r1(every=2)", "scaled": True},
    {"game": "optimistic", "clip_gradient_norm": 0.05},
    {"game": "extrapolation_from_the_past"},
    {"game": "lookahead(k=2, inner=lookahead(k=2))", "freeze": "critic.1"},
    {
        "game": "alternating(n_critic=2, n_generator=2)",
        "penalties": "r1(every=2)",
        "optimizer": "sgd",
        "beta1": -0.3,
        "average": "uniform",
    },
    {"optimizer": "amsgrad", "decay": "linear", "decay_kimg": 0.06, "average": "none"},
    {"optimizer": "rmsprop", "preset": "wgan", "game": "extragradient"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options(monkeypatch: pytest.MonkeyPatch, options: dict[str, object]) -> None:
    made = configs(2, **options)
    alone, together = (trainings(monkeypatch, made) for _ in range(2))
    play(alone, StackedTraining(together), 5)
    assert_same(alone, together)


def test_in_float32_too() -> None:
    made = configs(preset="lsgan", data="grid")
    alone, together = ([build(config, open_data(config.data)) for config in made] for _ in range(2))
    play(alone, StackedTraining(together), 100)
    assert_same(alone, together, tolerance=1e-5)


def saved(run: Training, folder: Path, images: int) -> Path:
    counters = {"step": run.step.steps, "critic_steps": run.step.critic_steps, "images": images}
    return checkpoint.save(folder, run.tensors(), {**run.identity(), **counters}, keep=1)


@pytest.mark.parametrize("game", [None, "lookahead(k=3)"])
def test_checkpoints_go_both_ways(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, game: str | None) -> None:
    made = configs(preset="nsgan", penalties="lecam()", game=game)
    alone, together = (trainings(monkeypatch, made) for _ in range(2))
    stack = StackedTraining(together)
    images = play(alone, stack, 5)
    files = [saved(run, tmp_path / f"{index}", images) for index, run in enumerate(together)]
    # a run that was saved in the stack goes on alone
    later = trainings(monkeypatch, made)
    for run, file in zip(later, files, strict=True):
        run.restore(checkpoint.load(file))
    play([*alone, *later], stack, 5, images)
    assert_same(alone, together)
    assert_same(alone, later, measured=False)
    # back where they were, inside the stack and in a new one
    for run, file in zip(together, files, strict=True):
        run.restore(checkpoint.load(file))
    fresh = trainings(monkeypatch, made)
    for run, file in zip(fresh, files, strict=True):
        run.restore(checkpoint.load(file))
        run.step.measurements()
    other = StackedTraining(fresh)
    for now in range(images, images + 5 * 8, 8):
        assert stack.move(now) == other.move(now)
    assert_same(alone, fresh, measured=False)
    assert_same(alone, together, measured=False)
    together[0].restore(checkpoint.load(files[0]))
    with pytest.raises(InputError, match="at step 10 and another at 5"):
        stack.move(images)


def test_a_game_that_diverges_leaves_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made = configs(preset="lsgan", optimizer="sgd", critic_learning_rate=0.1, generator_learning_rate=0.1)
    made[1] = replace(made[1], critic_learning_rate=1e15)
    alone, together = (trainings(monkeypatch, made) for _ in range(2))
    stack = StackedTraining(together)

    def until_it_stops(now: int = 0) -> None:
        while now < 100:
            now = alone[1].move(now)

    with pytest.raises(NonFiniteError) as caught:
        until_it_stops()
    images = play([alone[0], alone[2]], stack, 12)
    assert list(stack.errors) == [1]
    assert str(stack.errors[1]) == str(caught.value)
    assert stack.playing == (0, 2)
    assert_same([alone[0], alone[2]], [together[0], together[2]])
    for name in ("critic", "generator"):  # as it was before the step
        expected, found = (getattr(run.step, name).state_dict() for run in (alone[1], together[1]))
        torch.testing.assert_close(found, expected)
    # one that is let go moves alone, and the last one in the stack
    stack.leave(0)
    alone[0].move(images)
    together[0].move(images)
    alone[2].move(images)
    stack.move(images)
    assert_same([alone[0], alone[2]], [together[0], together[2]])
    stack.leave(2)
    with pytest.raises(InputError, match="every training has left"):
        stack.move(images)
    with pytest.raises(InputError, match="number is 2"):
        stack.leave(2)


REFUSED = {
    "conditional": {"conditional": "infogan"},
    "packing": {"packing": 2},
    "augment": {"augment": "apa"},
    "replay_pool": {"replay_pool": 50},
    "minibatch": {"minibatch": "minibatch_std"},
    "critic_batch_norm": {"critic_batch_norm": True},
    "precision": {"precision": "bf16"},
    "compile": {"compile": True},
    "top_k": {"top_k": 0.5},
    "penalty_fraction": {"preset": "wgan-gp", "penalty_fraction": 0.5},
    "fraction": {"terms": "r1(fraction=0.5)"},
    "spectral_norm": {"preset": "sngan"},
    "consensus": {"game": "consensus"},
    "orthogonal_regularisation": {"terms": "orthogonal_regularisation()"},
    "historical_averaging": {"terms": "historical_averaging()"},
    "feature_matching": {"terms": "feature_matching()"},
}


@pytest.mark.parametrize("named", REFUSED)
def test_what_is_not_stacked_is_named(named: str) -> None:
    config = configs(1, **REFUSED[named])[0]
    assert named in stackable(config)


def test_what_must_agree_is_named() -> None:
    one, other = configs(1)[0], configs(1, width=9)[0]
    assert stackable(one, one) == ""
    assert stackable(one, other) == "width differs: 9 and 8"
    runs = [build(config, open_data("ring")) for config in (one, other)]
    with pytest.raises(InputError, match="width differs.*one after another"):
        StackedTraining(runs)
    with pytest.raises(InputError, match="no trainings"):
        StackedTraining([])
    later = [build(one, open_data("ring")) for _ in range(2)]
    later[0].move(0)
    with pytest.raises(InputError, match="at step"):
        StackedTraining(later).move(0)
