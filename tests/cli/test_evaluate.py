"""``adversarium evaluate``: a table, numbers and a picture; one clear sentence where that cannot be."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from adversarium import files
from adversarium.cli import evaluate, main
from adversarium.metrics import METRICS, Measurement, Protocol
from adversarium.metrics.measuring import Measuring
from adversarium.train import evaluation_picture

PROTOCOLS = "modes60_raw_test,sw2_40_raw_test"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate") / "run"
    assert main(["train", "ring", "--steps", "2", "--width", "8", "--batch-size", "8", "--out", str(folder)]) == 0
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["evaluate", *arguments]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("adversarium: ")
    assert "Traceback" not in said.err
    assert said.out == ""
    return said.err


def test_the_table_the_numbers_and_the_picture(capsys: pytest.CaptureFixture[str], run: Path):
    capsys.readouterr()
    assert main(["evaluate", str(run), "--protocols", PROTOCOLS, "--repeats", "3"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].split() == ["protocol", "value", "real", "samples", "better", "seconds"]
    assert lines[1].startswith("modes60_raw_test ")
    assert " higher " in lines[1]
    assert lines[2].startswith("sw2_40_raw_test ")
    assert " ± " in lines[2]
    assert len({len(line) for line in lines[:3]}) == 1  # columns stand below one another
    # the cost stands before the work
    assert "2 protocols, 3 draws of up to 60 samples, about " in said.err
    numbers = run / "evaluation" / f"step-00000002-{PROTOCOLS.replace(',', '+')}.json"
    found = json.loads(numbers.read_text())
    assert [each["protocol"] for each in found["measurements"]] == PROTOCOLS.split(",")
    assert len(found["measurements"][0]["draws"]) == 3
    with Image.open(numbers.with_suffix(".png")) as picture:
        assert picture.size[0] > 1000
    assert set(numbers.parent.iterdir()) == {numbers, numbers.with_suffix(".png")}
    # a second time: not without being asked
    both = f"{numbers.with_suffix('.png')} and {numbers}: exist already; take other names (--out, --json), or --force"
    assert both in refused(capsys, str(run), "--protocols", PROTOCOLS)
    out = ["--out", str(run / "other.png")]
    one = f"{numbers}: exists already; take another name (--json), or --force"
    assert one in refused(capsys, str(run), "--protocols", PROTOCOLS, *out)
    assert main(["evaluate", str(run), "--protocols", PROTOCOLS, "--repeats", "1", "--force"]) == 0
    assert len(json.loads(numbers.read_text())["measurements"][0]["draws"]) == 1


def test_other_protocols_stand_beside_and_replace_nothing(run: Path):
    numbers = run / "evaluation" / "step-00000002-energy40_raw_test.json"
    before = {path: path.read_bytes() for path in (run / "evaluation").iterdir()}
    assert main(["evaluate", str(run), "--protocols", "energy40_raw_test,,", "--repeats", "1"]) == 0
    assert set((run / "evaluation").iterdir()) == {*before, numbers, numbers.with_suffix(".png")}
    assert all(path.read_bytes() == content for path, content in before.items())


def test_names_of_files():
    assert evaluate.named("step-1", []) == "step-1"
    assert evaluate.named("step-1", ["a", "b"]) == "step-1-a+b"
    many = [f"fd{n}k_lenet_test" for n in range(1, 20)]
    long, other = evaluate.named("step-1", many), evaluate.named("step-1", many[:-1])
    assert long.startswith("step-1-fd1k_lenet_test+18-")
    assert len(long) < 60
    assert long != other


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (119.4, "119 s"),
        (121, "2.02 min"),
        (7300, "2.03 h"),
        (86_400 * 2.5, "2.5 days"),
        (583371812827, "6,751,989 days"),
    ],
)
def test_a_time_is_told_in_the_unit_that_suits_it(seconds: float, said: str):
    assert evaluate.duration(seconds) == said


def made(value: float, error: float | None, own: float | None, name: str = "memorisation50_raw_train") -> Measurement:
    return Measurement(
        protocol=Protocol.parse(name),
        mean=value,
        standard_error=error,
        draws=(value,),
        own_error=own,
        floor=0.5,
        floor_standard_error=0.01,
        floor_samples=20,
        reference_samples=50,
        seconds=1.0,
    )


@pytest.mark.parametrize(
    ("error", "own", "told"),
    [(0.0, 1.1, "1.0 ± 1.1"), (0.0, 0.0, "1 ± 0"), (0.01, 0.02, "1.000 ± 0.010"), (0.01, None, "1.000 ± 0.010")],
)
def test_an_error_of_nothing_is_not_told_where_the_metric_knows_better(error: float, own: float | None, told: str):
    line = evaluate.table([made(1.0, error, own)]).splitlines()[1]
    assert f" {told} " in line
    assert " 0.500 ± 0.010 (of 20: not comparable) " in line


def test_a_run_whose_name_has_brackets(capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path):
    place = tmp_path / "z[/x] q"
    shutil.copytree(run, place)
    (place / "checkpoints" / "step-00000009.safetensors").write_bytes(b"no")
    places = ["--out", str(tmp_path / "a.png"), "--json", str(tmp_path / "a.json")]
    capsys.readouterr()
    assert main(["evaluate", str(place), "--protocols", "energy40_raw_test", "--repeats", "1", *places]) == 0
    said = capsys.readouterr().err
    assert f"{place}: 1 protocol, 1 draw of up to 40 samples, about " in said
    assert f"warning: {place}/checkpoints/step-00000009.safetensors" in said


def test_own_places_and_the_generator_as_trained(run: Path, tmp_path: Path):
    out, numbers = tmp_path / "new" / "picture.png", tmp_path / "numbers.json"
    places = ["--out", str(out), "--json", str(numbers)]
    assert main(["evaluate", str(run), "--raw", "--protocols", PROTOCOLS, "--repeats", "1", *places]) == 0
    assert out.is_file()
    assert json.loads(numbers.read_text())["generator"] == "trained"
    assert not (run / "evaluation" / "step-00000002-raw.json").exists()


def test_of_a_given_checkpoint(run: Path, tmp_path: Path):
    given = run / "checkpoints" / "step-00000002.safetensors"
    places = ["--out", str(tmp_path / "a.png"), "--json", str(tmp_path / "a.json")]
    assert main(["evaluate", str(run), "--checkpoint", str(given), "--protocols", PROTOCOLS, *places]) == 0
    assert json.loads((tmp_path / "a.json").read_text())["checkpoint"] == given.name


def test_notes_name_their_protocols(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    import numpy as np

    np.save(tmp_path / "few.npy", np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32))
    folder = str(tmp_path / "run")
    options = ["--steps", "1", "--width", "4", "--batch-size", "4", "--hold-out", "0.2", "--out", folder]
    assert main(["train", str(tmp_path / "few.npy"), *options]) == 0
    capsys.readouterr()
    assert main(["evaluate", folder, "--protocols", "fd30_raw_train,w2_30_raw_train", "--repeats", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "fd30_raw_train, w2_30_raw_train: the floor is of 20 real samples: the reference leaves no more" in lines
    assert "(of 20: not comparable)" in lines[1]


def test_a_note_of_all_protocols_does_not_name_them(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    import numpy as np

    np.save(tmp_path / "few.npy", np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32))
    folder = str(tmp_path / "run")
    options = ["--steps", "1", "--width", "4", "--batch-size", "4", "--hold-out", "0.2", "--out", folder]
    assert main(["train", str(tmp_path / "few.npy"), *options]) == 0
    capsys.readouterr()
    names = "fd30_raw_train,w2_30_raw_train,energy30_raw_train"
    assert main(["evaluate", folder, "--protocols", names, "--repeats", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "all: the floor is of 20 real samples: the reference leaves no more" in lines


REFUSED = {
    "did you mean 'modes60_raw_test'?": ["--protocols", "mods60_raw_test"],
    "repeats is 0: wanted at least 1": ["--protocols", PROTOCOLS, "--repeats", "0"],
    "--weights inception: wanted FEATURES=FILE": ["--weights", "inception"],
    "adversarium: --weights inception=/nope: there is no such file": ["--weights", "inception=/nope"],
    "which no protocol looks at": ["--protocols", PROTOCOLS, "--weights", f"inception={__file__}"],
    "take fewer": ["--protocols", "fd1000000000000_raw_test"],
    "wanted VALUE, SAMPLES": ["--protocols", "fd"],
    "--out picture.jpg: wanted a name that ends in .png": ["--out", "picture.jpg"],
    "--json numbers.txt: wanted a name that ends in .json": ["--json", "numbers.txt"],
    "precision needs at least 6 samples": ["--protocols", "precision5_raw_test"],
    "nothing to memorise": ["--protocols", "memorisation50_raw_train"],
    "lenet features: samples are vectors of": ["--protocols", "fd50_lenet_test"],
    "nowhere.safetensors: no such file": ["--checkpoint", "nowhere.safetensors"],
    "unknown option '--repeat'": ["--repeat", "3"],
    "--protocols is empty": ["--protocols", ","],
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused_with_one_sentence(capsys: pytest.CaptureFixture[str], run: Path, message: str):
    assert message in refused(capsys, str(run), *REFUSED[message])


def test_a_run_that_is_none_or_has_no_checkpoint(capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path):
    assert "no such folder" in refused(capsys, str(tmp_path / "nowhere"))
    assert "holds no run" in refused(capsys, str(tmp_path))
    bare = tmp_path / "bare"
    (bare / "checkpoints").mkdir(parents=True)
    for name in ("config.json", "data.json"):
        (bare / name).write_bytes((run / name).read_bytes())
    said = refused(capsys, str(bare))
    assert "no usable checkpoint" in said
    assert "none is written yet" in said


@pytest.mark.parametrize("during", ["measuring", "drawing"])
def test_ctrl_c_ends_it_at_once_and_nothing_is_half_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, run: Path, tmp_path: Path, during: str
):
    def interrupted(*arguments: Any, **named: Any) -> Any:
        calls.append(0)
        os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments, **named)

    calls: list[int] = []
    where, name = (Measuring, "compute") if during == "measuring" else (evaluation_picture, "evaluation_figure")
    real = getattr(where, name)
    monkeypatch.setattr(where, name, interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    capsys.readouterr()
    places = ["--out", str(tmp_path / "new" / "a.png"), "--json", str(tmp_path / "a.json")]
    try:
        code = main(["evaluate", str(run), "--protocols", PROTOCOLS, "--repeats", "3", *places])
    finally:
        signal.signal(signal.SIGINT, before)
    assert (code, len(calls)) == (130, 1)
    said = capsys.readouterr().err
    assert said.splitlines()[-1] == "interrupted before the end: nothing was written"
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_leaves_neither_file(monkeypatch: pytest.MonkeyPatch, run: Path, tmp_path: Path):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    places = ["--out", str(tmp_path / "a.png"), "--json", str(tmp_path / "a.json")]
    monkeypatch.setattr(files.os, "fsync", full)
    assert main(["evaluate", str(run), "--protocols", PROTOCOLS, "--repeats", "1", *places]) == 2
    assert not list(tmp_path.iterdir())


LONG_CALL = """
import hashlib, threading
from adversarium.cli.interrupt import ended_at_once
with ended_at_once("in a long call", lambda: print("tidy", flush=True)):
    # said by a thread, once the call is under way: before it, Python itself would end at the signal
    ready = threading.Timer(1.0, lambda: print("ready", flush=True))
    ready.daemon = True
    ready.start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 200_000_000)  # minutes in one step of Python
"""


@pytest.mark.skipif(os.name != "posix", reason="the signal is sent to another process")
def test_ctrl_c_does_not_wait_for_compiled_code():
    ready = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", ready + LONG_CALL]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
            said, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, said, errors) == (130, "tidy\n", "interrupted in a long call\n")


def test_help_list_and_explain(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="0"):
        main(["evaluate", "--help"])
    assert "fd10k_lenet_test" in capsys.readouterr().out
    assert main(["list", "metrics"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(METRICS)
    assert main(["list", "features"]) == 0
    assert "lenet" in capsys.readouterr().out
    assert main(["explain", "fd"]) == 0
    said = capsys.readouterr().out
    assert "lower is better" in said
    assert "Measure with: adversarium evaluate RUN --protocols fd2500_lenet_test" in said
