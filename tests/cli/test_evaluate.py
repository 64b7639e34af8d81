"""``adversarium evaluate``: a table, numbers and a picture; one clear sentence where that cannot be."""

import json
from pathlib import Path

import pytest
from PIL import Image

from adversarium.cli import main
from adversarium.metrics import METRICS

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
    numbers = run / "evaluation" / "step-00000002.json"
    found = json.loads(numbers.read_text())
    assert [each["protocol"] for each in found["measurements"]] == PROTOCOLS.split(",")
    assert len(found["measurements"][0]["draws"]) == 3
    with Image.open(numbers.with_suffix(".png")) as picture:
        assert picture.size[0] > 1000
    assert {path.name for path in numbers.parent.iterdir()} == {"step-00000002.json", "step-00000002.png"}
    # a second time: not without being asked
    assert "exists already; take another name (--" in refused(capsys, str(run), "--protocols", PROTOCOLS)
    assert main(["evaluate", str(run), "--protocols", PROTOCOLS, "--repeats", "1", "--force"]) == 0
    assert len(json.loads(numbers.read_text())["measurements"][0]["draws"]) == 1


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
    assert "(20)" in lines[1]


REFUSED = {
    "did you mean 'modes60_raw_test'?": ["--protocols", "mods60_raw_test"],
    "repeats is 0: wanted at least 1": ["--protocols", PROTOCOLS, "--repeats", "0"],
    "--weights inception: wanted FEATURES=FILE": ["--weights", "inception"],
    "which no protocol looks at": ["--protocols", PROTOCOLS, "--weights", "inception=x.safetensors"],
    "--out picture.jpg: wanted a name that ends in .png": ["--out", "picture.jpg"],
    "--json numbers.txt: wanted a name that ends in .json": ["--json", "numbers.txt"],
    "precision needs at least 6 samples": ["--protocols", "precision5_raw_test"],
    "nothing to memorise": ["--protocols", "memorisation50_raw_train"],
    "lenet features: samples are vectors": ["--protocols", "fd50_lenet_test"],
    "nowhere.safetensors: no such file": ["--checkpoint", "nowhere.safetensors"],
    "unknown option '--repeat'": ["--repeat", "3"],
    "--protocols is empty": ["--protocols", ""],
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
    assert "no usable checkpoint" in refused(capsys, str(bare))


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
