"""The cache: an entry is there whole, or not at all."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from adversarium.data import cache
from adversarium.errors import InputError

ROWS = np.arange(12, dtype=np.uint8).reshape(4, 3)


def write(folder: Path) -> None:
    assert cache.write_rows(folder / "samples.npy", iter((ROWS[:3], ROWS[3:])), "|u1", (3,)) == 4
    cache.write_meta(folder, labels=np.arange(4), notes=["é", "two"])


def test_stored_and_loaded(tmp_path: Path):
    entry = tmp_path / "deep" / "entry"
    assert cache.load(entry) is None
    made = cache.store(entry, 12, write)
    again = cache.load(entry)
    assert again is not None
    for found in (made, again):
        np.testing.assert_array_equal(found.samples, ROWS)
        assert isinstance(found.samples, np.memmap)
        assert found.labels is not None
        assert found.labels.tolist() == [0, 1, 2, 3]
        assert found.meta["notes"] == ["é", "two"]
    assert [path.name for path in entry.parent.iterdir()] == ["entry"]


@pytest.mark.parametrize("rows", [1, 9, 10, 99, 12345, 100_000])
def test_the_header_is_final_whatever_the_number_of_rows(tmp_path: Path, rows: int):
    chunks = iter(np.arange(rows, dtype=np.float32)[:, None] for _ in range(1))
    cache.write_rows(tmp_path / "x.npy", chunks, "=f4", (1,))
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy")[:, 0], np.arange(rows, dtype=np.float32))


def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("ADVERSARIUM_CACHE", raising=False)
    assert cache.entry_path(None, 1).parent == tmp_path / ".cache" / "adversarium"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.entry_path(None, 1).parent == tmp_path / "xdg" / "adversarium"
    monkeypatch.setenv("ADVERSARIUM_CACHE", "~/own")
    assert cache.entry_path(None, 1).parent == tmp_path / "own"
    assert cache.entry_path(tmp_path / "given", 1).parent == tmp_path / "given"
    assert cache.entry_path(None, "a", 1) == cache.entry_path(None, "a", 1)
    assert len({cache.entry_path(None, *parts) for parts in (("a", 1), ("a1",), ("a", "1"), (["a"], 1))}) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "samples.npy").write_bytes((entry / "samples.npy").read_bytes()[:-1]),
        lambda entry: (entry / "samples.npy").write_bytes(b""),
        lambda entry: (entry / "samples.npy").unlink(),
        lambda entry: (entry / "labels.npy").unlink(),
        lambda entry: (entry / "labels.npy").write_bytes(b""),
        lambda entry: (entry / "meta.json").write_text("{"),
        lambda entry: (entry / "meta.json").write_text("[]"),
        lambda entry: (entry / "meta.json").unlink(),
    ],
)
def test_a_damaged_entry_is_made_anew(tmp_path: Path, damage: Callable[[Path], None]):
    entry = tmp_path / "entry"
    cache.store(entry, 12, write)
    damage(entry)
    assert cache.load(entry) is None
    np.testing.assert_array_equal(cache.store(entry, 12, write).samples, ROWS)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), InputError("bad data"), RuntimeError()])
def test_an_interrupted_write_leaves_nothing(tmp_path: Path, error: BaseException):
    def interrupted(folder: Path) -> None:
        write(folder)
        raise error

    with pytest.raises(type(error)):
        cache.store(tmp_path / "entry", 12, interrupted)
    assert list(tmp_path.iterdir()) == []


def test_of_two_writers_both_get_a_whole_entry(tmp_path: Path):
    entry = tmp_path / "entry"

    def overtaken(folder: Path) -> None:
        write(folder)
        cache.store(entry, 12, write)  # the other process, which finishes first

    np.testing.assert_array_equal(cache.store(entry, 12, overtaken).samples, ROWS)
    assert list(tmp_path.iterdir()) == [entry]


def test_a_disk_that_will_be_too_small_is_found_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=3_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    words = rf"disk of the cache {tmp_path} is too full: 5.0 MB are needed in all, 3.0 MB are free.*ADVERSARIUM_CACHE"
    with pytest.raises(InputError, match=words):
        cache.store(tmp_path / "entry", 5_000_000, lambda _: pytest.fail("it was tried"))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up(tmp_path: Path):
    def full(folder: Path) -> None:
        write(folder)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match=rf"disk of the cache {tmp_path} is too full.* MB are free"):
        cache.store(tmp_path / "entry", 12, full)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/sub cannot be written: .* set ADVERSARIUM_CACHE to another folder"):
        cache.store(tmp_path / "file" / "sub" / "entry", 12, write)


def test_only_what_killed_runs_left_behind_is_swept(tmp_path: Path):
    old, busy = tmp_path / "a.1.partial", tmp_path / "b.2.partial"
    for folder in (old, busy):
        folder.mkdir()
        (folder / "samples.npy").write_bytes(b"half")
        os.utime(folder, (1, 1))
    os.utime(old / "samples.npy", (1, 1))
    cache.store(tmp_path / "entry", 12, write)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.2.partial", "entry"]


SLOW = """
import sys, time
from pathlib import Path
from adversarium.data import cache
from test_data_cache import ROWS, write

def rows():
    for _ in range(1000):
        yield ROWS.repeat(10_000, axis=0)
        print("written", flush=True)
        time.sleep(0.05)

def slow(folder):
    cache.write_rows(folder / "samples.npy", rows(), "|u1", (3,))
    cache.write_meta(folder)

cache.store(Path(sys.argv[1]), 12, slow)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills with a signal")
def test_a_killed_writer_leaves_no_entry(tmp_path: Path):
    entry = tmp_path / "entry"
    command = [sys.executable, "-c", SLOW, str(entry)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as process:
        assert process.stdout is not None
        for _ in range(3):
            assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    assert cache.load(entry) is None
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".partial")
    assert (left / "samples.npy").stat().st_size > 0
    np.testing.assert_array_equal(cache.store(entry, 12, write).samples, ROWS)
    # its remains go once they are old
    for path in (left / "samples.npy", left):
        os.utime(path, (time.time() - 2 * cache.STALE_SECONDS,) * 2)
    cache.store(tmp_path / "other", 12, write)
    assert not left.exists()
