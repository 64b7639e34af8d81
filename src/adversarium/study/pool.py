"""The processes that do a study on this machine: started, watched, restarted, and never left behind."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adversarium.errors import require
from adversarium.study._identity import process_of
from adversarium.study.jobs import Jobs, JobState, StudyStoppedError
from adversarium.study.progress import Progress, progress_of
from adversarium.study.worker import PARENT, Stop

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")

_QUICK_SECONDS = 10.0  # a worker that dies so soon could not begin
_QUICK_DEATHS = 5  # in a row, before the study stops

_STOPPED = 2  # the exit code of a worker that says why the study cannot go on


def run_pool(
    command: Sequence[str],
    workers: int,
    jobs: Jobs,
    on_progress: Callable[[Progress], None],
    *,
    logs: Path,
    go_on: str,
    tell: Callable[[str], None] = lambda message: None,
    failed: Callable[[Mapping[str, Any]], bool] = lambda result: bool(result.get("why")),
    cores: int | None = None,
    poll_seconds: float = 1.0,
    grace_seconds: float = 60.0,
) -> int:
    """Run workers until all jobs are done; return 0, or 128 + n where signal n ended it early.

    SIGINT and SIGTERM are passed on: workers give back what they have not done. A second one ends them at once. Where
    this process is killed, its workers notice, and end within seconds.

    Args:
        command: of a worker. It has to be inside :func:`~adversarium.study.worker.asked_to_stop`, and to exit with 0
            once nothing is left, and with 2 and a last line on standard error where the study cannot go on.
        workers: how many to run; fewer, where fewer jobs are left.
        jobs: the study's.
        on_progress: called about once in ``poll_seconds``, and at the end.
        logs: a folder for what workers print.
        go_on: the command that goes on with the study, for messages.
        tell: told about workers that died, and about the end.
        failed: whether a job's result says that it failed.
        cores: to divide among workers (default: those that this process may use).
        poll_seconds: between looks at the jobs.
        grace_seconds: for workers to end, once asked.

    Raises:
        InputError: fewer than one worker.
        StudyStoppedError: the study cannot go on: a worker said so, or one after the other died.
    """
    require(workers >= 1, f"workers is {workers}: wanted at least 1")
    stop, began = Stop(), time.monotonic()
    threads = max(1, (cores or cores_here()) // workers)
    logs.mkdir(parents=True, exist_ok=True)
    jobs.stop = stop
    count = _Failures(jobs, failed)
    pool = _Pool(command, threads, logs, go_on, tell)

    starts = _Starts()

    def look(wanted: int) -> int:
        states, own = jobs.standings(results=False), pool.alive()
        progress = progress_of(
            states,
            workers=_working(states, own),
            failed=count.among(states),
            elapsed_seconds=time.monotonic() - began,
            starting=0 if starts.over(states, own) else wanted,
        )
        on_progress(progress)
        return progress.done

    with _signals(stop, pool):
        try:
            while (left := jobs.left()) and not stop():
                wanted = min(workers, left)
                pool.keep(wanted, done=look(wanted))
                stop.wait(poll_seconds)
            if stop():
                tell(
                    f"stopping: workers save and give back what they have in hand, for up to {grace_seconds:g} seconds"
                )
                pool.ask()
            if not pool.wait(grace_seconds):
                tell("workers that did not end were killed; what they had in hand is done again")
        finally:
            pool.kill()
        if not stop():
            look(0)
    if stop.signal is None:
        return 0
    tell(f"stopped; go on with: {go_on}")
    return 128 + stop.signal


class _Worker:
    """A process, and how long it lives."""

    def __init__(self, command: Sequence[str], threads: int, log: Path) -> None:
        self.log, self.began = log, time.monotonic()
        self._said = log.stat().st_size if log.exists() else 0  # by those before it
        settings = {name: str(threads) for name in _THREADS} | {PARENT: str(os.getpid())}
        with open(log, "ab") as stream:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # never written to: it ends when this process does, however that happens
                stdout=stream,
                stderr=stream,
                env={**os.environ, **settings},
                start_new_session=True,  # Ctrl-C reaches this process alone, which passes it on once
            )

    @property
    def age(self) -> float:
        return time.monotonic() - self.began

    def last_words(self) -> str:
        lines = self.log.read_bytes()[self._said :].decode("utf-8", errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "it said nothing"

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()


class _Pool:
    """Workers by number, and the deaths among them since a job was last done."""

    def __init__(
        self, command: Sequence[str], threads: int, logs: Path, go_on: str, tell: Callable[[str], None]
    ) -> None:
        self._command, self._threads, self._logs, self._go_on, self._tell = command, threads, logs, go_on, tell
        self._workers: dict[int, _Worker] = {}
        self._not_before: dict[int, float] = {}
        self._done = self._deaths = self._quick = 0

    def alive(self) -> list[int]:
        """Return the numbers of the processes that run."""
        return [each.process.pid for each in self._workers.values() if each.process.poll() is None]

    def keep(self, workers: int, *, done: int) -> None:
        """Have so many workers run.

        Args:
            workers: how many.
            done: how many jobs are done by now.

        Raises:
            StudyStoppedError: one said that the study cannot go on, or they die and nothing gets done.
        """
        if done > self._done:
            self._done, self._deaths, self._quick = done, 0, 0
        for number, worker in list(self._workers.items()):
            code = worker.process.poll()
            if code is not None:
                del self._workers[number]
                worker.close()
                self._bury(number, worker, code, workers)
        for number in range(1, workers + 1):
            due = time.monotonic() >= self._not_before.get(number, 0.0)
            if number not in self._workers and due and len(self._workers) < workers:
                self._workers[number] = _Worker(self._command, self._threads, self._logs / f"worker{number}.log")

    def _bury(self, number: int, worker: _Worker, code: int, workers: int) -> None:
        if code == _STOPPED:
            said = worker.last_words().removeprefix("adversarium: ")
            raise StudyStoppedError(said if self._go_on in said else f"{said}; go on with: {self._go_on}")
        self._deaths += 1
        if code == 0:  # it saw the last job done, which the next look here will see, too
            self._not_before[number] = time.monotonic() + 1.0
            return
        self._quick += worker.age < _QUICK_SECONDS
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        what = f"worker {number} {how} after {worker.age:.0f} seconds"
        if self._quick >= _QUICK_DEATHS or self._deaths > 3 * (workers + 1):
            raise StudyStoppedError(
                f"workers die and no job gets done: {what}; its last words: {worker.last_words()} ({worker.log}); "
                f"once mended, go on with: {self._go_on}"
            )
        pause = min(2.0 ** (self._quick - 1) - 1, 30.0) if worker.age < _QUICK_SECONDS else 0.0
        self._not_before[number] = time.monotonic() + pause
        self._tell(f"{what} ({worker.log}); another one takes its place")

    def ask(self) -> None:
        """Ask all to end."""
        for worker in self._workers.values():
            if worker.process.poll() is None:
                worker.process.terminate()

    def wait(self, seconds: float) -> bool:
        """Return whether all ended by themselves; those that did not within this time are killed."""
        until = time.monotonic() + seconds
        while (alive := self.alive()) and time.monotonic() < until:
            time.sleep(0.05)
        self.kill()
        return not alive

    def kill(self, *, wait: bool = True) -> None:
        """End all that still run."""
        for worker in self._workers.values():
            worker.process.kill()
        for worker in self._workers.values() if wait else ():
            worker.process.wait()
            worker.close()
        self._workers.clear()


class _Failures:
    """How many jobs failed: a result is read once."""

    def __init__(self, jobs: Jobs, failed: Callable[[Mapping[str, Any]], bool]) -> None:
        self._jobs, self._failed = jobs, failed
        self._known: dict[str, bool] = {}

    def among(self, states: Sequence[JobState]) -> int:
        new = [state.job.key for state in states if state.state == "done" and state.job.key not in self._known]
        if new:
            self._known |= {key: self._failed(result) for key, result in self._jobs.results(new).items()}
        return sum(self._known.values())


class _Starts:
    """Whether one of the processes here has claimed a job since they were started."""

    def __init__(self) -> None:
        self._over = False
        self._done: int | None = None

    def over(self, states: Sequence[JobState], own: Sequence[int]) -> bool:
        """Return whether one has: it holds a job, or one was done between two looks."""
        done = sum(state.state == "done" for state in states)
        self._done = done if self._done is None else self._done
        holds = any(state.state == "running" and process_of(state.worker) in own for state in states)
        self._over = self._over or holds or done > self._done
        return self._over


def _working(states: Sequence[JobState], own: Sequence[int]) -> int:
    """Return how many processes work on the study: these, and all others that hold jobs."""
    holders = {state.worker for state in states if state.state == "running"}
    return len(own) + sum(process_of(holder) not in own for holder in holders)


def cores_here() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _signals(stop: Stop, pool: _Pool) -> Iterator[None]:
    """Ask to stop at the first SIGINT or SIGTERM, and end all at once at a second."""

    def catch(number: int, frame: object) -> None:
        if stop():
            pool.kill(wait=False)
            os._exit(128 + number)
        stop.ask(number)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    old = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
