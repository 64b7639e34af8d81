"""``adversarium sample`` of conditional runs."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from adversarium.cli import main
from adversarium.config import TrainConfig
from adversarium.data import open_data
from adversarium.train import load_generator, sample_run, train, write_samples


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("by-class") / "run"
    options = {"data": "mnist", "width": 8, "steps": 3, "conditional": "projection", "drop_condition": 0.2}
    return train(TrainConfig(**options, generator_batch_norm=False, generator_learning_rate=0.05, out=str(out))).path


def drawn(*arguments: object) -> dict[str, np.ndarray]:
    *rest, out = arguments
    assert main(["sample", *map(str, rest), "--out", str(out), "--force"]) == 0
    with np.load(str(out)) as found:
        return dict(found)


def test_labels_are_asked_for_and_kept(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.npz"
    sevens = drawn(run, "-n", 6, "--label", "7", out)
    assert sevens["labels"].tolist() == [7] * 6
    assert drawn(run, "-n", 5, "--label", "1,9", out)["labels"].tolist() == [1, 9, 1, 9, 1]
    every = drawn(run, "-n", 20, out)
    assert every["labels"].tolist() == [label for label in range(10) for _ in range(2)]
    nothing = drawn(run, "-n", 6, "--no-label", out)
    ones = drawn(run, "-n", 6, "--label", "1", out)
    assert not np.array_equal(sevens["images"], ones["images"])  # of the same codes
    assert not np.array_equal(sevens["images"], nothing["images"])
    plain, guided = (drawn(run, "-n", 6, "--label", "1", "--guidance", scale, out)["images"] for scale in (1.0, 0.0))
    assert np.array_equal(plain, ones["images"])
    assert np.array_equal(guided, nothing["images"])  # nothing of what was asked for is left
    again = open_data(str(out))
    assert again.classes


def test_a_run_is_sampled_as_often_of_each_class_as_the_data_are(run: Path) -> None:
    trained = load_generator(run, device="cpu")
    counts = np.array(trained.feed.conditions.counts)
    assert counts.tolist() == np.bincount(open_data("mnist").labels).tolist()
    assert len(sample_run(trained, 300, 0)) == 300
    assert np.array_equal(sample_run(trained, 300, 0)[:40], sample_run(trained, 40, 0))
    ones, sevens = torch.ones(300, dtype=torch.int64), torch.full((300,), 7)
    mixed = sample_run(trained, 300, 0, condition=torch.cat([ones[:270], sevens[270:]]))
    assert np.array_equal(mixed[:270], sample_run(trained, 300, 0, condition=ones)[:270])
    assert np.array_equal(mixed[270:], sample_run(trained, 300, 0, condition=sevens)[270:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label", "10"], "label is '10'"),
        (["--label", "seven"], "wanted 0 to 9"),
        (["--conditions", "a.npy"], "generates by labels: give --label"),
        (["--guidance", "nan"], "guidance is nan"),
        (
            ["--no-label", "--guidance", "2"],
            "--no-label and --guidance 2: .*give --label instead, or --no-label alone",
        ),
        (["--no-label", "--guidance", "0.5"], "--no-label and --guidance 0.5"),
    ],
)
def test_what_it_cannot_be_asked_for(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["sample", str(run), *arguments, "--out", str(tmp_path / "a.npz")]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "a.npz").exists()


@pytest.mark.parametrize(
    ("folders", "asked", "labels"),
    [
        (("1", "2", "3"), "2,1,3", [1, 0, 2]),  # the name, not the label
        (("1", "10", "2"), "10,2", [1, 2]),  # in the order of their names
        (("cat", "dog", "owl"), "2,dog,0", [2, 1, 0]),
        (("2", "a", "b"), "2,b,a", [0, 2, 1]),
    ],
)
def test_the_name_of_a_class_goes_before_its_number(
    folders: tuple[str, ...], asked: str, labels: list[int], tmp_path: Path
) -> None:
    for number, name in enumerate(folders):
        (tmp_path / "data" / name).mkdir(parents=True)
        for shade in range(20):
            Image.new("L", (16, 16), 80 * number + shade).save(tmp_path / "data" / name / f"{shade}.png")
    options = {"data": str(tmp_path / "data"), "width": 8, "network": "mlp", "steps": 1, "batch_size": 8}
    run = train(TrainConfig(**options, conditional="projection", out=str(tmp_path / "run"))).path
    found = drawn(run, "-n", len(labels), "--label", asked, tmp_path / "a.npz")
    assert found["labels"].tolist() == labels
    # where a class is named by a number, no number is a label
    out = tmp_path / "b.npz"
    refused = main(["sample", str(run), "--label", "0", "--out", str(out)]) == 2
    assert refused == any(name.isdecimal() for name in folders)
    assert refused != out.exists()


def test_an_unconditional_run_makes_what_it_likes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train(TrainConfig(data="ring", width=8, steps=2, out=str(tmp_path / "run"))).path
    for arguments in (["--label", "1"], ["--no-label"], ["--conditions", "a.npy"]):
        assert main(["sample", str(run), *arguments, "--out", str(tmp_path / "a.npz")]) == 2
        assert "not conditional" in capsys.readouterr().err


def test_vectors_are_taken_by_turns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = np.random.default_rng(0)
    vectors, conditions = numbers.normal(size=(64, 2)).astype("f4"), numbers.normal(size=(64, 3)).astype("f4")
    np.savez(tmp_path / "data.npz", vectors=vectors, conditions=conditions)
    options = {"data": str(tmp_path / "data.npz"), "width": 8, "steps": 2, "batch_size": 16}
    run = train(TrainConfig(**options, conditional="projection", out=str(tmp_path / "run"))).path
    np.save(tmp_path / "asked.npy", conditions[:3])
    found = drawn(run, "-n", 5, "--conditions", tmp_path / "asked.npy", tmp_path / "a.npz")
    np.testing.assert_array_equal(found["conditions"], conditions[[0, 1, 2, 0, 1]])
    assert main(["sample", str(run), "--out", str(tmp_path / "b.npz")]) == 2
    assert "--conditions FILE.npy" in capsys.readouterr().err
    np.save(tmp_path / "odd.npy", conditions[:, :2])
    arguments = ["sample", str(run), "--conditions", str(tmp_path / "odd.npy"), "--out", str(tmp_path / "b.npz")]
    assert main(arguments) == 2
    assert "wanted float [B, 3]" in capsys.readouterr().err


def test_a_category_that_infogan_found_can_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"data": "mnist", "width": 16, "network": "mlp", "steps": 2, "conditional": "infogan(categories=4)"}
    run = train(TrainConfig(**options, out=str(tmp_path / "run"))).path
    found = drawn(run, "-n", 6, "--label", "3,1", tmp_path / "a.npz")
    assert found["labels"].tolist() == [3, 1, 3, 1, 3, 1]
    others = drawn(run, "-n", 6, "--label", "1", tmp_path / "b.npz")
    assert [np.array_equal(*pair) for pair in zip(found["images"], others["images"], strict=True)] == [False, True] * 3
    assert main(["sample", str(run), "--label", "4", "--out", str(tmp_path / "c.npz")]) == 2
    assert "wanted 0 to 3" in capsys.readouterr().err


def test_a_picture_has_a_row_for_each_class(run: Path, tmp_path: Path) -> None:
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 28, 28), np.uint8)
    write_samples(tmp_path / "a.png", images, condition=torch.tensor([0, 0, 0, 4, 4]))
    with Image.open(tmp_path / "a.png") as picture:
        width, height = picture.size
        assert width / height == pytest.approx(92 / 62)  # three columns, two rows
        middle = [[picture.getpixel((int((column + 0.5) * width / 3), int(y * height))) for column in range(3)]
                  for y in (0.25, 0.75)]  # fmt: skip
    assert middle == [[0, 1, 2], [3, 4, 255]]
