"""``--loss`` and ``--penalties``: another loss, or other penalties, in place of a preset's."""

from pathlib import Path

import pytest
import torch
from small_runs import config, tensors

from adversarium.cli import main
from adversarium.config import TrainConfig
from adversarium.errors import InputError
from adversarium.train import resume, train
from adversarium.train.terms import based, played


def weights(path: Path) -> dict[str, torch.Tensor]:
    return {name: value for name, value in tensors(path).items() if name.startswith(("generator.", "critic."))}


SAME = [
    ({"preset": "gan", "loss": "nonsaturating"}, {"preset": "nsgan"}),
    ({"preset": "nsgan", "loss": "least_squares"}, {"preset": "lsgan"}),
    ({"preset": "wgan-gp", "penalties": "wgan_gp(weight=10)"}, {"preset": "wgan-gp"}),
    ({"preset": "wgan-gp", "penalties": "none"}, {"preset": "wgan-gp", "penalty_scale": 0.0}),
    ({"preset": "nsgan", "penalties": "r1(gamma=0.5)"}, {"preset": "nsgan", "terms": "r1(gamma=0.5)"}),
]


@pytest.mark.parametrize(("one", "other"), SAME, ids=lambda options: " ".join(map(str, options.values())))
def test_the_same_method_by_two_names(tmp_path: Path, one: dict[str, object], other: dict[str, object]) -> None:
    first, second = (train(config(tmp_path / str(n), steps=6, **each)) for n, each in enumerate((one, other)))
    found, expected = weights(first.path), weights(second.path)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-7)


def test_only_what_is_asked_for_changes() -> None:
    own = based(TrainConfig(preset="wgan-gp"))
    other = played(TrainConfig(preset="wgan-gp", loss="hinge", penalties="r1(gamma=2.0), r2(gamma=2.0)"))
    assert other.objective.loss.name == "hinge"
    assert [term.name for term in other.objective.critic_terms] == ["r1", "r2"]
    assert (other.rule, other.critic_optimizer) == (own.rule, own.critic_optimizer)


def test_a_run_keeps_them(tmp_path: Path) -> None:
    options = {"preset": "wgan-gp", "loss": "hinge", "penalties": "r1(gamma=1.0)"}
    whole = train(config(tmp_path / "whole", steps=6, **options))
    train(config(tmp_path / "part", steps=3, **options))
    resume(tmp_path / "part", budget={"steps": 6})
    for name, value in weights(whole.path).items():
        assert torch.equal(weights(tmp_path / "part")[name], value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--loss", "hing"], "unknown loss 'hing' (did you mean 'hinge'?)"),
        (["--loss", "hinge(margin="], "loss is"),
        (["--penalties", "r1(gama=1.0)"], "r1 has no argument 'gama' (did you mean 'gamma'?)"),
        (["--penalties", "r1(gamma=1.0), r1(gamma=2.0)"], "terms name r1 twice"),
        (["--penalties", "none", "--penalty-scale", "2"], "penalty_scale is 2.0, and rsgan has no penalty"),
        (["--penalties", "r1(gamma=1.0)", "--terms", "r1(gamma=2.0)"], "terms name r1 twice"),
        (["--loss", "realness"], "of scores that are vectors"),
    ],
)
def test_bad_ones_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], words: str
) -> None:
    out = tmp_path / "run"
    assert main(["train", "ring", "--steps", "2", "--out", str(out), *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert not out.exists()


def test_a_penalised_critic_of_images_has_no_batch_norm() -> None:
    from adversarium.data import open_data
    from adversarium.train.resolve import resolve

    codec = open_data("mnist").codec
    assert resolve(TrainConfig(preset="nsgan", device="cpu"), codec).critic_batch_norm
    assert not resolve(TrainConfig(preset="nsgan", penalties="r1(gamma=1.0)", device="cpu"), codec).critic_batch_norm
    with pytest.raises(InputError, match="batch norm with the term r1"):
        resolve(TrainConfig(preset="nsgan", penalties="r1(gamma=1.0)", critic_batch_norm=True, device="cpu"), codec)
