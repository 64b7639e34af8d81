"""Output files: refused before anything is computed where they cannot be written, and named as the user named them."""

import errno
import os
from pathlib import Path

import pytest

from adversarium import files
from adversarium.cli import main
from adversarium.errors import InputError, output_file
from adversarium.files import atomic_write

NOWHERE = Path("/proc/x.png")  # root too can write nothing there, whatever the permissions say
IN_PROC = pytest.mark.skipif(not NOWHERE.parent.is_dir(), reason="there is no /proc")


@IN_PROC
@pytest.mark.parametrize("path", [NOWHERE, NOWHERE.parent / "new" / "folder" / "x.png"])
def test_a_place_where_nothing_can_be_written(path: Path):
    with pytest.raises(InputError, match=rf"^--out {path}: cannot be written \(.+\)$"):
        output_file("--out", path, ".png", force=True)


def test_a_file_in_place_of_a_folder_a_folder_in_place_of_a_file_and_a_long_name(tmp_path: Path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match=r"file/x.png: cannot be written \(Not a directory\)"):
        output_file("--out", tmp_path / "file" / "x.png", ".png", force=False)
    with pytest.raises(InputError, match=r"folder.png: is a folder; wanted a file"):
        output_file("--out", tmp_path / "folder.png", ".png", force=True)
    with pytest.raises(InputError, match=r"cannot be written \(File name too long\)"):
        output_file("--out", tmp_path / f"{'x' * 300}.png", ".png", force=False)


def test_looking_leaves_nothing(tmp_path: Path):
    for path in (tmp_path / "a.png", tmp_path / "new" / "folder" / "a.png"):
        assert output_file("--out", path, ".png", force=False) == path
    assert not list(tmp_path.iterdir())


def test_a_relative_path_is_looked_at_where_it_will_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert output_file("--out", "a.png", ".png", force=False) == Path("a.png")


@IN_PROC
@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "{run}", "--out", "/proc/x.png", "--json", "{run}/q.json"],
        ["evaluate", "{run}", "--json", "/proc/x.json"],
        ["doctor", "{run}", "--out", "/proc/x.html"],
        ["doctor", "{run}", "--json", "/proc/x.json"],
        ["sample", "{run}", "--out", "/proc/x.png"],
    ],
    ids=lambda command: " ".join(command),
)
def test_commands_refuse_it_before_they_look_at_the_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: list[str]
):
    # there is no such run: what is refused first is the output
    assert main([each.format(run=tmp_path / "none") for each in command]) == 2
    said = capsys.readouterr()
    assert "/proc/x." in said.err
    assert ": cannot be written (" in said.err
    assert ".part" not in said.err
    assert said.out == ""


@IN_PROC
def test_an_error_in_writing_names_the_file_and_the_reason():
    said = rf"^{NOWHERE}: cannot be written \(No such file or directory\)$"
    with pytest.raises(OSError, match=said) as caught, atomic_write(NOWHERE):
        pass
    assert caught.value.errno == errno.ENOENT


@pytest.mark.parametrize("when", ["in between", "at the end"])
def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, when: str):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "a.png"
    path.write_text("old")
    if when == "at the end":
        monkeypatch.setattr(files.os, "fsync", full)
    write = full if when == "in between" else str
    said = rf"^{path}: cannot be written \(No space left on device\)$"
    with pytest.raises(OSError, match=said), atomic_write(path):
        write()
    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]


def test_an_error_in_what_is_written_stays_what_it_is(tmp_path: Path):
    with pytest.raises(ConnectionResetError), atomic_write(tmp_path / "a.bin"):
        raise ConnectionResetError(errno.ECONNRESET, "the other side hung up")
    assert not list(tmp_path.iterdir())
