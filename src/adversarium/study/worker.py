"""A process that does jobs of a study: it claims them, says that it lives, writes results, gives back the rest."""

import errno
import os
import re
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adversarium.study.jobs import Claim, Jobs, StudyStoppedError, worker_name

PARENT = "ADVERSARIUM_PARENT"
"""Set in the environment of a worker whose standard input ends with the process that started it."""

MOST_ERRORS = 3
"""Errors of one job before it is not tried again, and the study ends."""

MOST_DEATHS = 4
"""Workers that die of one job, none of which got further than those before, until it counts as failed."""

_GRACE_SECONDS = 20.0


class ClaimLostError(RuntimeError):
    """Other workers took over all that this one held: nobody waits for its results."""


class Stop:
    """Whether a worker was asked to end.

    Attributes:
        signal: the number of the signal that asked, or ``None``.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        """Return whether it was."""
        return self.signal is not None

    def ask(self, number: int = signal.SIGTERM) -> None:
        """Ask it to end; the first signal counts."""
        if self.signal is None:
            self.signal = int(number)

    def wait(self, seconds: float) -> None:
        """Wait so long, or until it is asked."""
        until = time.monotonic() + seconds
        while not self() and (rest := until - time.monotonic()) > 0:
            time.sleep(min(rest, 0.1))


class Report:
    """What a performer tells of jobs in hand, and what it is told.

    Attributes:
        lost: keys of jobs that another worker took over: their results would not count.
    """

    def __init__(self, stop: Callable[[], bool]) -> None:
        self.lost: frozenset[str] = frozenset()
        self._stop = stop
        self._progress: dict[str, float] = {}
        self._error: Exception | None = None

    @property
    def progress(self) -> dict[str, float]:
        """How far the jobs are, as far as it was said."""
        return dict(self._progress)

    @property
    def stopping(self) -> bool:
        """Whether to save what there is and return soon, with the results of what is done."""
        return self._stop()

    def __call__(self, key: str, progress: float) -> None:
        """Say how far a job is, from 0 to 1.

        Raises:
            ClaimLostError: all jobs in hand were taken over.
            StudyStoppedError: the database cannot be used any more.
        """
        if self._error is not None:
            raise self._error
        self._progress[key] = progress

    def lose(self, keys: Sequence[str]) -> None:
        """Say that other workers took jobs over."""
        self.lost |= frozenset(keys)

    def fail(self, error: Exception) -> None:
        """Have the next call raise an error."""
        self._error = error


Perform = Callable[[Sequence[Claim], Report], Mapping[str, Mapping[str, Any]]]
"""Does jobs of one group and returns results by key. It calls the report often (or looks at it), returns early when it
is stopping, and leaves what it has not done out of what it returns; another call may go on with that."""


def work(
    jobs: Jobs,
    perform: Perform,
    *,
    folder: Path,
    go_on: str,
    stop: Callable[[], bool],
    most: int = 64,
    worker: str | None = None,
    tell: Callable[[str], None] = lambda message: None,
    beat_seconds: float = 5.0,
    poll_seconds: float = 1.0,
    pause_seconds: float = 5.0,
) -> int:
    """Do jobs of a study until none is left, or until asked to stop; return how many were done here.

    Args:
        jobs: the study's.
        perform: does them, in this thread. What it raises is an error of the program: the job is tried again, here or
            elsewhere, and the study ends at the third time. (What training may come to is a result.)
        folder: where errors are written down, under ``errors/``.
        go_on: the command that goes on with the study, for messages.
        stop: asked between jobs, and through the report.
        most: how many jobs of a group to claim at once; their ``together`` may say fewer.
        worker: its name.
        tell: told what went wrong and what becomes of it.
        beat_seconds: between signs of life.
        poll_seconds: between looks whether a job can be done now that others gated.
        pause_seconds: from an error until its job is tried again; longer each time.

    Raises:
        StudyStoppedError: a job failed for the third time, a disk is full, or the database cannot be used any more.
    """
    name, done = worker or worker_name(), 0
    jobs.stop = stop
    while not stop():
        claims = jobs.claim(name, most=most)
        if claims:
            done += _do(jobs, perform, claims, Report(stop), folder, go_on, tell, beat_seconds, pause_seconds)
            continue
        if not jobs.left():
            break
        _wait(poll_seconds, stop)
    return done


def _do(
    jobs: Jobs,
    perform: Perform,
    claims: Sequence[Claim],
    report: Report,
    folder: Path,
    go_on: str,
    tell: Callable[[str], None],
    beat_seconds: float,
    pause_seconds: float,
) -> int:
    """Do jobs that were claimed, and leave none of them held."""
    keys = ", ".join(claim.job.key for claim in claims)
    done = 0
    try:
        with _heart(jobs, claims, report, beat_seconds):
            results = perform(claims, report)
            if not results and not report.stopping and not report.lost:
                raise RuntimeError(f"nothing came of {keys}")
        for claim in claims:
            if claim.job.key in results:
                counts = jobs.finish(claim, results[claim.job.key])
                done += counts
                if not counts:
                    tell(f"{claim.job.key}: another worker took it over; this result does not count")
    except ClaimLostError as error:
        tell(f"{keys}: {error}")
    except StudyStoppedError:  # no database, so nothing can be given back: it is taken over
        raise
    except KeyboardInterrupt:
        jobs.give_back(claims)
        raise
    except Exception as error:
        full = is_disk_full(error)
        errors = 1 + max(claim.errors for claim in claims)
        last = errors >= MOST_ERRORS
        if full or last:  # the last error is not counted: whoever mended the program, and goes on, has one more
            jobs.give_back(claims)
        if full:
            raise StudyStoppedError(f"no space is left ({error}): free some, then go on with: {go_on}") from error
        said = f"{keys}: {type(error).__name__}: {error} ({_written(folder, claims[0], error)})"
        if last:
            raise StudyStoppedError(f"{said}; that was the last attempt; once mended, go on with: {go_on}") from error
        tell(f"{said}; it is tried again")
        with _heart(jobs, claims, report, beat_seconds):  # held meanwhile, so that nobody tries it at once
            _wait(errors * pause_seconds, lambda: report.stopping)
        jobs.give_back(claims, counted=True)
    else:
        jobs.give_back([claim for claim in claims if claim.job.key not in results])
    return done


def _wait(seconds: float, stop: Callable[[], bool]) -> None:
    """Wait so long, or until asked to stop."""
    until = time.monotonic() + seconds
    while (rest := until - time.monotonic()) > 0 and not stop():
        time.sleep(min(rest, 0.1))


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error says, or follows from one that says, that no space is left."""
    said: BaseException | None = error
    while said is not None:
        if isinstance(said, OSError) and said.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "No space left on device" in str(said) or "Disk quota exceeded" in str(said):  # by libraries in C++ or Rust
            return True
        said = said.__cause__ or said.__context__
    return False


@contextmanager
def asked_to_stop() -> Iterator[Stop]:
    """Turn SIGINT, SIGTERM and the end of the parent process into a request; a second signal ends this one at once.

    The request is seen whatever else in this process handles the signals meanwhile (a run that saves its checkpoint,
    say). The parent is watched where it set ``ADVERSARIUM_PARENT``: standard input ends with it.
    """
    stop, left = Stop(), threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread gets signals
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def watch_signals() -> None:
        while caught := os.read(reader, 1):  # nothing once the other end is closed
            if caught[0] not in (signal.SIGINT, signal.SIGTERM):
                continue
            if stop():
                os._exit(128 + caught[0])
            stop.ask(caught[0])

    def watch_parent() -> None:
        while os.read(0, 1024):
            pass
        if not left.is_set() and not stop():
            os.kill(os.getpid(), signal.SIGTERM)
        if not left.wait(_GRACE_SECONDS):
            os._exit(128 + signal.SIGTERM)

    watcher = threading.Thread(target=watch_signals, daemon=True)
    watcher.start()
    old = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    if PARENT in os.environ:
        threading.Thread(target=watch_parent, daemon=True).start()
    try:
        yield stop
    finally:
        left.set()
        signal.set_wakeup_fd(before)
        for number, handler in old.items():
            signal.signal(number, handler)
        os.close(writer)
        watcher.join()
        os.close(reader)


@contextmanager
def _heart(jobs: Jobs, claims: Sequence[Claim], report: Report, seconds: float) -> Iterator[None]:
    """Say in a thread that this worker lives, and pass on what it lost."""
    ended = threading.Event()

    def beat() -> None:
        held = list(claims)
        while held and not ended.wait(seconds):
            try:
                report.lose(jobs.beat(held, report.progress))
            except Exception as error:  # raised again where the work is done
                report.fail(error)
                return
            held = [claim for claim in held if claim.job.key not in report.lost]
        if not held:
            report.fail(ClaimLostError("another worker took it over"))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _written(folder: Path, claim: Claim, error: BaseException) -> str:
    """Write down how an error came about; return where."""
    path = folder / "errors" / f"{re.sub(r'[^A-Za-z0-9._-]', '_', claim.job.key)}-{claim.attempt}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    return str(path)
