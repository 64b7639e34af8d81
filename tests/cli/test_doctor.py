"""``adversarium doctor``: what it prints and writes, what it refuses, and commands that work when they are pasted."""

import dataclasses
import io
import json
import shlex
import sys
from pathlib import Path

import pytest

import adversarium.train
import adversarium.train.diagnosis
from adversarium import errors
from adversarium.cli import main
from adversarium.config import TrainConfig
from adversarium.data import Codec
from adversarium.diagnostics import Circumstances, page
from adversarium.diagnostics.plots import BLOCKS, PLAIN_BLOCKS
from adversarium.diagnostics.remedies import method
from adversarium.diagnostics.report import command
from adversarium.presets import PRESETS
from adversarium.train.resolve import resolve

IMAGE, VECTOR = Codec((1, 28, 28)), Codec((2,), (0.0, 0.0), (1.0, 1.0))


def bad_records(count: int = 60) -> str:
    """Return logs of a run whose critic is far ahead, and whose samples are all one."""
    lines = []
    for index in range(count):
        lines.append(
            {
                "step": 20 * (index + 1), "kimg": 1.28 * (index + 1), "seconds": index,
                "progress": (index + 1) / count,
                "images_per_second": 1000.0, "critic_learning_rate": 0.05, "generator_learning_rate": 2e-4,
                "critic_loss": 1e-6, "generator_loss": 15.0, "real_score": 15.0, "fake_score": -15.0,
                "score_gap": 30.0, "critic_gradient_norm": 1e-5, "generator_gradient_norm": 1e-6,
                "probe_auc": 1.0, "probe_diversity": 0.01, "probe_modes": 0.125, "probe_distance": 0.9,
                "probe_coverage": 0.0, "probe_precision": 0.0, "probe_high_quality": 0.0, "probe_far": 0.0,
                "probe_generator_signal": 1e-6, "probe_critic_signal": 1e-6, "probe_sample_gradient": 1e-6,
                "probe_critic_gain": 0.999, "probe_slope_real": 1.0, "probe_slope_fake": 1.0,
                "probe_slope_between": 1.0, "probe_slope_max": 1.0, "probe_critic_update": 1e-3,
                "probe_generator_update": 1e-3,
            }
        )  # fmt: skip
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "bad"
    tiny = ["--steps", "3", "--width", "4", "--batch-size", "16", "--device", "cpu"]
    assert main(["train", "ring", *tiny, "--critic-learning-rate", "0.05", "--out", str(folder)]) == 0
    (folder / "metrics.jsonl").write_text(bad_records())
    return folder


@pytest.fixture
def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes the longest."""
    monkeypatch.setattr(page, "plot", lambda finding, records: None)


def test_it_prints_and_writes_the_diagnosis(capsys: pytest.CaptureFixture[str], trained: Path, tmp_path: Path):
    out, data = tmp_path / "deep" / "report.html", tmp_path / "report.json"
    arguments = ["doctor", str(trained), "--out", str(out), "--json", str(data), "--device", "cpu"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert said.startswith(str(trained))
    assert f"{out} and {data}: the whole of it" in said
    found = json.loads(data.read_text())
    assert found["findings"]
    written = out.read_text(encoding="utf-8")
    for finding in found["findings"]:
        assert finding["kind"].replace("_", " ") in said
        assert any(f"\n         {each['command']}\n" in said for each in finding["remedies"] if each["command"])
        assert finding["kind"].replace("_", " ").capitalize() in written
    assert not (trained / "doctor.html").exists()

    assert main(arguments) == 2
    assert "exists already; take another name, or --force" in capsys.readouterr().err
    out.write_text("old")
    assert main([*arguments, "--force"]) == 0
    assert out.read_text(encoding="utf-8") == written


@pytest.mark.usefixtures("without_plots")
def test_a_run_that_cannot_be_written_to_is_refused_at_once(
    capsys: pytest.CaptureFixture[str], trained: Path, monkeypatch: pytest.MonkeyPatch
):
    def never(*_: object, **__: object) -> None:
        raise AssertionError("diagnosed")

    def refused(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(errors.tempfile, "TemporaryFile", refused)
    monkeypatch.setattr(adversarium.train.diagnosis, "diagnose_run", never)
    assert main(["doctor", str(trained)]) == 2
    said = capsys.readouterr().err
    assert f"{trained / 'doctor.html'}: cannot be written (Read-only file system)" in said


def test_the_page_lies_in_the_run_and_is_replaced(capsys: pytest.CaptureFixture[str], trained: Path):
    for _ in range(2):
        assert main(["doctor", str(trained), "--device", "cpu"]) == 0
        assert f"{trained / 'doctor.html'}: the whole of it" in capsys.readouterr().out
        assert (trained / "doctor.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
        (trained / "doctor.html").write_text("old")
    (trained / "doctor.html").unlink()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone"], "gone: no such folder"),
        (["RUN", "--out", "report.pdf"], "--out report.pdf: wanted a name that ends in .html"),
        (["RUN", "--json", "report.txt"], "--json report.txt: wanted a name that ends in .json"),
        (["RUN", "--forse"], "did you mean '--force'"),
        (["RUN", "--device", "gpu7"], "device is 'gpu7'"),
        ([], "RUN"),
    ],
)
def test_what_it_refuses(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    trained: Path,
    tmp_path: Path,
    arguments: list[str],
    words: str,
):
    monkeypatch.chdir(tmp_path)
    given = [str(trained) if each == "RUN" else each for each in arguments]
    assert main(["doctor", *given]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("encoding", "blocks", "others"), [("ascii", PLAIN_BLOCKS, BLOCKS), ("utf-8", BLOCKS, "@?")])
@pytest.mark.usefixtures("without_plots")
def test_a_terminal_without_unicode(
    monkeypatch: pytest.MonkeyPatch, trained: Path, tmp_path: Path, encoding: str, blocks: str, others: str
):
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding=encoding, write_through=True))
    assert main(["doctor", str(trained), "--out", str(tmp_path / "report.html"), "--device", "cpu"]) == 0
    lines = printed.getvalue().decode(encoding).splitlines()
    curves = [line for line in lines if " to " in line and 8 * blocks[0] in line]
    assert curves
    assert not any(other in curve for curve in curves for other in others)


@pytest.mark.parametrize(("columns", "width"), [(30, 60), (75, 75), (400, 110)])
@pytest.mark.usefixtures("without_plots")
def test_text_is_wrapped_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    trained: Path,
    tmp_path: Path,
    columns: int,
    width: int,
):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["doctor", str(trained), "--out", str(tmp_path / "report.html"), "--device", "cpu"]) == 0
    text = capsys.readouterr().out.partition("   Cause\n")[2].split("\n\n")[0]
    lines = [line for line in text.splitlines() if "adversarium train" not in line]
    assert width - 15 < max(map(len, lines)) <= width


# the commands


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[TrainConfig]:
    """Return the configurations that ``adversarium train`` would have trained."""
    found: list[TrainConfig] = []

    def start(config: TrainConfig, **_: object) -> adversarium.train.Run:
        found.append(config)
        return adversarium.train.Run(Path("run"), 0, 0, None)

    monkeypatch.setattr(adversarium.train, "train", start)
    return found


@pytest.mark.usefixtures("without_plots")
def test_the_printed_commands_train_with_the_options_of_the_remedies(
    trained: Path, tmp_path: Path, started: list[TrainConfig]
):
    data = tmp_path / "report.json"
    out = tmp_path / "report.html"
    assert main(["doctor", str(trained), "--out", str(out), "--json", str(data), "--device", "cpu"]) == 0
    own = TrainConfig(**json.loads((trained / "config.json").read_text()))
    remedies = [each for finding in json.loads(data.read_text())["findings"] for each in finding["remedies"]]
    assert any(each["options"] for each in remedies)
    for remedy in remedies:
        assert bool(remedy["command"]) == bool(remedy["options"])
        if remedy["command"]:
            program, *arguments = shlex.split(remedy["command"])
            assert program == "adversarium"
            assert main(arguments) == 0
            wanted = dataclasses.replace(own, **remedy["options"])
            assert_trains_alike(started[-1], wanted, VECTOR)
            assert not Path(started[-1].out or ".").exists()


def assert_trains_alike(one: TrainConfig, other: TrainConfig, codec: Codec) -> None:
    one, other = (dataclasses.replace(resolve(each, codec), out=None) for each in (one, other))
    assert one == other


@pytest.mark.parametrize("old", PRESETS)
@pytest.mark.parametrize("codec", [IMAGE, VECTOR], ids=["image", "vector"])
def test_a_command_changes_to_any_method(tmp_path: Path, started: list[TrainConfig], old: str, codec: Codec):
    objective = PRESETS[old].objective
    scaled = {"penalty_scale": 1e4, "penalty_fraction": 0.5} if objective.critic_terms else {}
    config = resolve(TrainConfig(preset=old, hold_out=0.0, device="cpu", steps=9, **scaled), codec)
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    (tmp_path / "run.json").write_text("{}")
    for new in PRESETS:
        options = method(Circumstances(config=config, preset=PRESETS[old]), new)
        assert main(shlex.split(command(tmp_path, tmp_path / "new", options))[1:]) == 0
        assert started[-1].out == str(tmp_path / "new")
        assert_trains_alike(started[-1], dataclasses.replace(config, **options), codec)


@pytest.mark.usefixtures("without_plots")
def test_decoding_is_shown(monkeypatch: pytest.MonkeyPatch, trained: Path, capsys: pytest.CaptureFixture[str]):
    from adversarium.train import diagnosis

    real = diagnosis.open_data

    def slow(*arguments: object, progress: object, **options: object) -> object:
        progress(3, 3)
        return real(*arguments, progress=progress, **options)

    monkeypatch.setattr(diagnosis, "open_data", slow)
    assert main(["doctor", str(trained), "--device", "cpu"]) == 0
    assert "decoded 3 image files" in capsys.readouterr().err
    (trained / "doctor.html").unlink()
