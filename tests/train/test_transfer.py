"""Runs that begin with the networks of another one, and layers that do not learn."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import config as small
from small_runs import tensors

from adversarium.cli import main
from adversarium.config import TrainConfig
from adversarium.data import open_data
from adversarium.errors import InputError
from adversarium.train import resume, train
from adversarium.train.build import build
from adversarium.train.checkpoint import load, newest_first, save
from adversarium.train.folder import RunFolder
from adversarium.train.resolve import conditions_for, resolve
from adversarium.train.transfer import begin_with, like_run


def config(out: Path, **options: object) -> TrainConfig:
    """Return a small run's options that say nothing of its networks."""
    return small(out, **{"width": None, **options})


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("taught") / "run"
    return train(config(out, data="mnist", width=8, steps=3, conditional="projection", ema_rampup=10.0)).path


def digits(path: Path, classes: int) -> str:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (64, 28, 28), dtype=np.uint8)
    np.savez(path, images=images, labels=np.arange(64) % classes)
    return str(path)


def colours(path: Path) -> str:
    np.savez(path, images=np.zeros((40, 32, 32, 3), dtype=np.uint8), labels=np.arange(40) % 10)
    return str(path)


def test_a_run_begins_where_another_ended(tmp_path: Path, taught: Path) -> None:
    still = {"critic_learning_rate": 1e-30, "generator_learning_rate": 1e-30}
    run = train(config(tmp_path / "run", data="mnist", steps=1, from_run=str(taught), **still))
    before, after = tensors(taught), tensors(run.path)
    for name, value in before.items():
        if name.startswith("critic.") and value.is_floating_point() and "running" not in name:
            torch.testing.assert_close(after[name], value, msg=name)
        if name.startswith("ema.") and value.is_floating_point() and "running" not in name:
            torch.testing.assert_close(after[name.replace("ema.", "generator.", 1)], value, msg=name)
    kept = RunFolder.open(run.path).config()
    assert (kept.width, kept.conditional, kept.from_run) == (8, "projection", str(taught.resolve()))


def test_other_classes_begin_anew_and_it_is_said(tmp_path: Path, taught: Path) -> None:
    said: list[str] = []
    data = digits(tmp_path / "three.npz", 3)
    run = train(config(tmp_path / "run", data=data, steps=1, from_run=str(taught)), tell=said.append)
    (sentence,) = [each for each in said if "begin anew" in each]
    assert "critic.embedding.rows.weight" in sentence
    assert tensors(run.path)["critic.embedding.rows.weight"].shape[0] == 3 + 1


def test_other_networks_are_refused(tmp_path: Path, taught: Path) -> None:
    for options, message in (
        ({"width": 9}, "another critic: that run has --width 8, this one --width 9: leave --width out"),
        (
            {"latent_dim": 5, "minibatch": "minibatch_std"},
            "that run has --latent-dim 64, no --minibatch, this one --latent-dim 5, --minibatch minibatch_std: "
            "leave --latent-dim, --minibatch out",
        ),
        ({"generator_batch_norm": False}, "another generator: that run has --generator-batch-norm, this one --no-gen"),
        ({"preset": "sngan"}, "rsgan gives the critic no constraint, and sngan spectral_norm"),
        ({"data": colours(tmp_path / "rgb.npz")}, "have shape [1, 28, 28], and here [3, 32, 32]: wanted data of the"),
    ):
        asked = {"data": "mnist", "steps": 1, "from_run": str(taught), **options}
        if options.get("preset") == "sngan":  # it excludes what the other has
            asked["critic_batch_norm"] = False
        with pytest.raises(InputError, match=re.escape(message)):
            train(config(tmp_path / "run", **asked))
        assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="no such folder"):
        train(config(tmp_path / "run", data="mnist", from_run=str(tmp_path / "nowhere")))


def test_a_weight_is_named_where_no_option_differs(tmp_path: Path, taught: Path) -> None:
    path = newest_first(taught / "checkpoints")[0]
    whole = load(path)
    other = shutil.copytree(taught, tmp_path / "other")
    (other / "checkpoints" / path.name).unlink()
    odd = {**whole.tensors, "critic.body.0.weight": torch.zeros(2, 3)}
    save(other / "checkpoints", odd, whole.counters, keep=1)
    with pytest.raises(
        InputError, match=r"another critic: body\.0\.weight has shape \[2, 3\], and here \[8, 1, 4, 4\]"
    ):
        train(config(tmp_path / "run", data="mnist", steps=1, from_run=str(other)))


def test_it_is_said_what_was_taken_over(tmp_path: Path, taught: Path) -> None:
    codec = open_data("mnist").codec
    said: list[str] = []

    def taken(*given: str, **options: object) -> tuple[TrainConfig, list[str]]:
        said.clear()
        found = like_run(
            config(tmp_path / "run", data="mnist", from_run=str(taught), **options), codec, given, said.append
        )
        return found, said

    # network, code and batch norms are those that digits have anyway
    found, sentences = taken()
    assert sentences == [f"from {taught}: --width 8, --conditional projection"]
    assert (found.network, found.width, found.latent_dim, found.conditional) == ("dcgan", 8, 64, "projection")
    # what was asked for is not taken over: another value than its default's, or that value itself if it was given
    assert taken(conditional="none", width=8)[1] == []
    found, sentences = taken("conditional", "width", "packing")
    assert (found.conditional, found.width, found.packing, sentences) == (None, None, 1, [])
    assert taken("width")[1] == [f"from {taught}: --conditional projection"]
    with pytest.raises(InputError, match="unknown option 'widht' \\(did you mean 'width'"):
        taken("widht")


def test_batch_norms_and_networks_of_their_own_are_said(tmp_path: Path) -> None:
    options = {"network": "mlp", "width": 4, "generator_batch_norm": True, "packing": 2, "latent_dim": 3}
    first = train(config(tmp_path / "first", data="mnist", steps=1, **options)).path
    said: list[str] = []
    run = train(config(tmp_path / "run", data="mnist", steps=1, from_run=str(first)), tell=said.append)
    assert said == [f"from {first}: --network mlp, --width 4, --latent-dim 3, --generator-batch-norm, --packing 2"]
    # what the other run worked out for its own network is what this one would
    assert main(["train", "mnist", "--from", str(run.path), "--steps", "1", "--out", str(tmp_path / "again")]) == 0
    assert RunFolder.open(tmp_path / "again").config().packing == 2


def test_an_option_on_the_command_line_wins_though_it_is_the_default(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, taught: Path
) -> None:
    first = train(config(tmp_path / "first", data="mnist", steps=1, network="mlp", width=4)).path
    begin = ["train", "mnist", "--from", str(first), "--steps", "1", "--out", str(tmp_path / "run")]
    assert main([*begin, "--network", "auto"]) == 2
    said = capsys.readouterr().err
    assert f"from {first}: --width 4, --no-critic-batch-norm, --no-generator-batch-norm\n" in said
    assert "that run has --network mlp, this one --network dcgan: leave --network out" in said
    # a file says it as well
    (tmp_path / "options.json").write_text('{"network": "auto"}')
    assert main([*begin, "--config", str(tmp_path / "options.json")]) == 2
    assert "this one --network dcgan" in capsys.readouterr().err
    assert main(begin) == 0
    assert f"from {first}: --network mlp, --width 4\n" in capsys.readouterr().err


def test_frozen_layers_stay_and_others_move(tmp_path: Path, taught: Path) -> None:
    options = {"data": "mnist", "steps": 2, "from_run": str(taught), "freeze": "critic.body.0, generator.layers.0"}
    run = train(config(tmp_path / "run", **options))
    before, after = tensors(taught), tensors(run.path)
    for name in ("critic.body.0.weight", "critic.body.0.bias"):
        assert torch.equal(before[name], after[name])
    assert torch.equal(before["ema.layers.0.weight"], after["generator.layers.0.weight"])
    assert not torch.equal(before["critic.body.2.weight"], after["critic.body.2.weight"])


def test_a_resumed_run_does_not_begin_again(tmp_path: Path, taught: Path) -> None:
    first = train(config(tmp_path / "run", data="mnist", steps=2, from_run=str(taught)))
    whole = train(config(tmp_path / "whole", data="mnist", steps=4, from_run=str(taught)))
    resume(first.path, budget={"steps": 4})
    ours, theirs = tensors(whole.path), tensors(first.path)
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def test_the_average_begins_with_the_generator(tmp_path: Path, taught: Path) -> None:
    source = open_data("mnist")
    options = like_run(config(tmp_path / "run", data="mnist", from_run=str(taught)), source.codec)
    conditions = conditions_for(options, source)
    assert conditions is not None
    training = build(resolve(options, source.codec, conditions.condition), source)
    begin_with(training, taught, lambda message: None)
    ours, averaged = training.step.generator.state_dict(), training.average.module.state_dict()
    assert all(torch.equal(ours[name], averaged[name]) for name in ours)


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_with_the_other_again(
    tmp_path: Path, taught: Path
) -> None:
    options = {"data": "mnist", "steps": 2, "from_run": str(taught)}
    whole = train(config(tmp_path / "whole", **options))
    killed = train(config(tmp_path / "killed", **options))
    for file in (killed.path / "checkpoints").iterdir():
        file.unlink()
    resume(killed.path)
    ours, theirs = tensors(whole.path), tensors(killed.path)
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


@pytest.mark.parametrize(("method", "layer"), [("acgan", "critic.classes"), ("contrastive", "critic.proxies")])
def test_what_knows_the_classes_begins_anew(tmp_path: Path, method: str, layer: str) -> None:
    first = train(config(tmp_path / "first", data="mnist", width=4, steps=1, conditional=method))
    said: list[str] = []
    train(
        config(tmp_path / "next", data=digits(tmp_path / "three.npz", 3), steps=1, from_run=str(first.path)),
        tell=said.append,
    )
    assert any("begin anew" in each and layer in each for each in said)
