"""What a user may name, and what an unknown name is answered with."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from adversarium.data import DATASETS, ArraySource, Density, open_data
from adversarium.errors import InputError


@pytest.mark.parametrize("name", DATASETS)
def test_builtins(name: str):
    source = open_data(name)
    assert source.name == name
    assert isinstance(source, (ArraySource, Density))
    if isinstance(source, ArraySource):
        assert source.samples.shape == (len(source), *source.codec.sample_shape)


def test_a_builtin_wins_over_a_folder_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "ring").mkdir()
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_data("ring"), Density)
    with pytest.raises(InputError, match=r"^\./ring has no images"):
        open_data("./ring")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("mnsit", r"unknown data 'mnsit' \(did you mean 'mnist'\?\); there is no such file or folder; give a builtin"),
        (
            "Ring",
            r"did you mean 'ring'\?.*\(mnist, ring, grid, gaussians8, .*\), a folder of images.*IDX.*\.npz or \.npy",
        ),
        ("zzzzzzz", "unknown data 'zzzzzzz'; there is no such"),
        ("", "unknown data ''"),
        ("no/such/folder", "there is no such file or folder"),
        ("a\0b", "unknown data"),
        ("x" * 5000, "cannot be opened|unknown data"),
    ],
)
def test_unknown(spec: str, words: str):
    with pytest.raises(InputError, match=words):
        open_data(spec)


def test_a_file_of_another_kind(tmp_path: Path):
    file = tmp_path / "x.csv"
    file.write_text("1,2\n")
    with pytest.raises(InputError, match=r"x.csv' is a file of a kind that cannot be read; give .* \.npz or \.npy"):
        open_data(str(file))


def test_home_is_expanded_and_suffixes_may_shout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with (tmp_path / "X.NPY").open("wb") as file:
        np.save(file, np.eye(3))
    source = open_data("~/X.NPY")
    assert source.name == "~/X.NPY"
    assert source.codec.sample_shape == (3,)


def test_size_of_builtins():
    assert open_data("mnist", size=28).codec.sample_shape == (1, 28, 28)
    with pytest.raises(InputError, match="'mnist' holds images of 28x28"):
        open_data("mnist", size=32)
    with pytest.raises(InputError, match="'grid' holds vectors"):
        open_data("grid", size=32)


def test_the_import_is_light():
    code = "import sys, adversarium.data; print(sorted({'PIL', 'matplotlib', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
