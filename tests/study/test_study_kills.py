"""A real study, killed ten times at random moments: every run is done once, and none is lost."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [
    *(sys.executable, "-m", "adversarium", "study", "ring", "--seeds", "5", "--budget", "30kimg", "--width", "16"),
    *("--measurements", "4", "--workers", "2"),
]


def _processes(folder: Path) -> list[int]:
    """Return the study's processes: its parent and its workers, which have its folder in their command."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:  # it has just ended
                continue
            if str(folder).encode() in words and b"adversarium" in words:
                found.append(int(entry.name))
    return found


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are found in /proc")
def test_ten_kills_lose_no_run_and_repeat_none(tmp_path: Path) -> None:
    """Six presets times five seeds; a trigger in the database keeps every result that was ever written."""
    folder, rng = tmp_path / "study", random.Random(7)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start() -> "subprocess.Popen[bytes]":
        with open(tmp_path / "log", "ab") as log:
            return subprocess.Popen([*COMMAND, "--out", str(folder)], stdout=log, stderr=log, env=environment)

    kills, watched = 0, False
    study = start()
    while kills < 10:
        time.sleep(rng.uniform(2.0, 6.0))
        if study.poll() is not None:
            assert study.returncode in (0, -signal.SIGKILL), (tmp_path / "log").read_text()[-2000:]
            if study.returncode == 0:
                break
            study = start()
            continue
        if (folder / "study.json").exists() and not watched:
            with sqlite3.connect(folder / "study.db", timeout=30) as database:
                database.execute("CREATE TABLE written (key TEXT)")
                database.execute(
                    "CREATE TRIGGER keep AFTER UPDATE OF result ON adversarium_jobs WHEN NEW.result IS NOT NULL "
                    "BEGIN INSERT INTO written VALUES (NEW.key); END"
                )
            watched = True
        if watched and (running := _processes(folder)):
            os.kill(rng.choice(running), signal.SIGKILL)
            kills += 1
    assert kills == 10, f"the study was done after {kills} kills: give it more to do"
    while study.poll() is None or study.returncode == -signal.SIGKILL:
        if study.poll() is not None:
            study = start()
        time.sleep(0.5)
    assert study.returncode == 0, (tmp_path / "log").read_text()[-2000:]
    with sqlite3.connect(folder / "study.db", timeout=30) as database:
        written = [key for (key,) in database.execute("SELECT key FROM written")]
        states = dict(database.execute("SELECT key, state FROM adversarium_jobs"))
    assert len(states) == 30
    assert set(states.values()) == {"done"}
    assert sorted(written) == sorted(states)
    assert (folder / "report.html").stat().st_size > 50_000
    while _processes(folder):  # none of its processes outlives it
        time.sleep(0.5)
