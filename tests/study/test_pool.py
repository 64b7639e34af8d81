"""Workers and the pool that runs them: nothing is lost, done twice or left behind, and the time left is credible."""

import contextlib
import errno
import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from adversarium.errors import InputError
from adversarium.study.jobs import Claim, Job, Jobs, JobState, StudyStoppedError
from adversarium.study.pool import run_pool
from adversarium.study.progress import Progress, progress_of, seconds_left
from adversarium.study.worker import ClaimLostError, Report, Stop, asked_to_stop, is_disk_full, work

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def jobs(folder: Path) -> Iterator[Jobs]:
    found = Jobs(f"sqlite:///{folder}/study.db", "toy")
    yield found
    found.close()


def begin(jobs: Jobs, count: int, **options: Any) -> None:
    jobs.begin({"toy": 1}, [Job(key=f"job{index}", group="all", **options) for index in range(count)])


def silence(folder: Path) -> None:
    with sqlite3.connect(folder / "study.db") as connection:
        connection.execute("UPDATE adversarium_jobs SET beat = beat - 1e6 WHERE worker = 'me'")
    connection.close()


def until(holds: Callable[[], Any], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.01)


# one worker, in this process


def do(jobs: Jobs, folder: Path, perform: Any, stop: Stop | None = None, **options: Any) -> tuple[int, list[str]]:
    told: list[str] = []
    options = {"beat_seconds": 0.02, "poll_seconds": 0.02, "pause_seconds": 0.02, "worker": "me", **options}
    done = work(jobs, perform, folder=folder, go_on="GO ON", stop=stop or Stop(), tell=told.append, **options)
    return done, told


def states(jobs: Jobs) -> list[tuple[str, int]]:
    return [(state.state, state.attempt) for state in jobs.standings()]


def test_a_worker_does_all_jobs_and_ends(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 7, together=3)
    sizes = []

    def perform(claims: Sequence[Claim], report: Report) -> Mapping[str, Mapping[str, Any]]:
        sizes.append(len(claims))
        return {claim.job.key: {"attempt": claim.attempt} for claim in claims}

    assert do(jobs, folder, perform) == (7, [])
    assert sizes == [3, 3, 1]
    assert states(jobs) == [("done", 1)] * 7
    assert do(jobs, folder, perform) == (0, [])


def test_a_worker_waits_while_others_do_what_gates_its_jobs(folder: Path, jobs: Jobs) -> None:
    jobs.begin({}, [Job(key="trial", group="trial"), Job(key="run", group="run", after="trial")])
    (gate,) = jobs.claim("another")
    found: list[int] = []
    thread = threading.Thread(
        target=lambda: found.append(do(jobs, folder, lambda claims, report: {claims[0].job.key: {}})[0])
    )
    thread.start()
    time.sleep(0.2)
    assert found == []
    jobs.finish(gate, {})
    thread.join()
    assert found == [1]


def test_what_is_not_done_when_asked_to_stop_is_given_back(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 4, together=3)
    stop = Stop()

    def perform(claims: Sequence[Claim], report: Report) -> Mapping[str, Mapping[str, Any]]:
        assert not report.stopping
        stop.ask(signal.SIGINT)
        stop.ask(signal.SIGTERM)
        assert report.stopping
        return {claims[1].job.key: {}}

    assert do(jobs, folder, perform, stop) == (1, [])
    assert stop.signal == signal.SIGINT
    assert states(jobs) == [("waiting", 0), ("done", 1), ("waiting", 0), ("waiting", 0)]


def test_progress_is_written_while_jobs_are_done(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 1)

    def perform(claims: Sequence[Claim], report: Report) -> Mapping[str, Mapping[str, Any]]:
        report("job0", 0.25)
        until(lambda: jobs.standings()[0].progress == 0.25)
        return {"job0": {}}

    assert do(jobs, folder, perform) == (1, [])


def test_a_worker_that_was_thought_dead_learns_it(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 2, together=2)
    taken: list[Claim] = []

    def perform(claims: Sequence[Claim], report: Report) -> Mapping[str, Mapping[str, Any]]:
        if claims[0].worker != "me" or taken:
            return {claim.job.key: {} for claim in claims}
        while len(taken) < 2:  # one, then the other
            silence(folder)
            taken.extend(jobs.claim("another", most=1))
            if taken:
                until(lambda: taken[0].job.key in report.lost)
        with pytest.raises(ClaimLostError):
            until(lambda: report("job0", 0.5), seconds=5.0)
        jobs.finish(taken[0], {"by": "another"})
        jobs.finish(taken[1], {"by": "another"})
        raise ClaimLostError("as the report says")

    done, told = do(jobs, folder, perform, beat_seconds=0.1)
    assert done == 0
    assert told == ["job0, job1: as the report says"]
    assert [state.result for state in jobs.standings()] == [{"by": "another"}] * 2


def test_a_result_that_comes_too_late_does_not_count(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 1)

    def perform(claims: Sequence[Claim], report: Report) -> Mapping[str, Mapping[str, Any]]:
        silence(folder)
        jobs.finish(jobs.claim("another")[0], {"by": "another"})
        return {"job0": {"by": "me"}}

    done, told = do(jobs, folder, perform, beat_seconds=100.0)
    assert (done, len(told)) == (0, 1)
    assert "another worker took it over" in told[0]
    assert jobs.standings()[0].result == {"by": "another"}


def test_errors_of_the_program_end_the_study_at_the_third_time(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 1)
    calls = []

    def perform(claims: Sequence[Claim], report: Report) -> Mapping[str, Mapping[str, Any]]:
        calls.append(claims[0].attempt)
        raise ZeroDivisionError("of all things")

    told: list[str] = []
    for expected in ([1, 2, 3], [1, 2, 3, 3]):  # going on tries once more
        with pytest.raises(StudyStoppedError, match="ZeroDivisionError: of all things.*go on with: GO ON") as caught:
            work(jobs, perform, folder=folder, go_on="GO ON", stop=Stop(), tell=told.append, pause_seconds=0.01)
        assert calls == expected
        path = folder / "errors" / "job0-3.txt"
        assert str(path) in str(caught.value)
        assert 'raise ZeroDivisionError("of all things")' in path.read_text()
    assert len(told) == 2
    assert all("it is tried again" in line for line in told)
    assert states(jobs) == [("waiting", 2)]


def test_deaths_are_no_errors(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 1)
    for _ in range(5):
        assert jobs.claim("me")
        silence(folder)

    def perform(claims: Sequence[Claim], report: Report) -> Mapping[str, Mapping[str, Any]]:
        if claims[0].errors < 2:
            raise ZeroDivisionError("for the moment")
        return {"job0": {"deaths": claims[0].deaths}}

    done, told = do(jobs, folder, perform)
    assert (done, len(told)) == (1, 2)
    assert jobs.results(["job0"]) == {"job0": {"deaths": 5}}
    assert states(jobs) == [("done", 8)]


def test_after_an_error_nobody_tries_it_at_once(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 1)
    tried: list[float] = []
    held: list[bool] = []

    def perform(claims: Sequence[Claim], report: Report) -> Mapping[str, Mapping[str, Any]]:
        tried.append(time.monotonic())
        threading.Timer(0.1, lambda: held.append(not jobs.claim("you"))).start()
        if len(tried) < 3:
            raise ZeroDivisionError("for the moment")
        time.sleep(0.3)
        return {"job0": {}}

    do(jobs, folder, perform, pause_seconds=0.4)
    first, second = (after - before for before, after in itertools.pairwise(tried))
    assert first >= 0.4
    assert second >= 0.8
    assert held == [True] * 3


def test_a_performer_that_returns_nothing_is_an_error_of_the_program(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 1)
    with pytest.raises(StudyStoppedError, match="nothing came of job0"):
        do(jobs, folder, lambda claims, report: {})
    assert do(jobs, folder, lambda claims, report: {claims[0].job.key: {}})[0] == 1


def test_a_result_that_json_cannot_hold_is_an_error_of_the_program(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 2, together=2)
    with pytest.raises(StudyStoppedError, match="not JSON compliant"):
        do(jobs, folder, lambda claims, report: {"job0": {"fine": 1}, "job1": {"value": float("inf")}})
    assert states(jobs) == [("done", 1), ("waiting", 2)]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_gives_the_jobs_back_and_says_how_to_go_on(folder: Path, jobs: Jobs, code: int) -> None:
    begin(jobs, 2, together=2)

    def perform(claims: Sequence[Claim], report: Report) -> Mapping[str, Mapping[str, Any]]:
        try:
            raise OSError(code, os.strerror(code), "checkpoint")
        except OSError as error:
            raise RuntimeError("stopped at step 7") from error

    with pytest.raises(StudyStoppedError, match=r"no space is left \(stopped at step 7\).*go on with: GO ON"):
        do(jobs, folder, perform)
    assert states(jobs) == [("waiting", 0)] * 2
    assert not (folder / "errors").exists()
    assert is_disk_full(RuntimeError("PytorchStreamWriter failed: No space left on device"))
    assert not is_disk_full(OSError(errno.EACCES, "no"))


def test_a_database_that_is_gone_reaches_the_performer(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 1)

    def perform(claims: Sequence[Claim], report: Report) -> Mapping[str, Mapping[str, Any]]:
        with sqlite3.connect(folder / "study.db") as connection:
            connection.execute("DROP TABLE adversarium_jobs")
        connection.close()
        while True:
            report("job0", 0.5)
            time.sleep(0.01)

    with pytest.raises(StudyStoppedError, match="no such table"):
        do(jobs, folder, perform)


def test_an_interrupt_gives_the_jobs_back(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 1)

    def perform(claims: Sequence[Claim], report: Report) -> Mapping[str, Mapping[str, Any]]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        do(jobs, folder, perform)
    assert states(jobs) == [("waiting", 0)]


def test_a_signal_is_seen_though_something_else_handles_it() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with asked_to_stop() as stop:
        caught: list[int] = []
        inner = signal.signal(signal.SIGTERM, lambda number, frame: caught.append(number))
        os.kill(os.getpid(), signal.SIGTERM)
        until(stop)
        signal.signal(signal.SIGTERM, inner)
        assert caught == [signal.SIGTERM]
        assert stop.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


# processes

WORKER = """
    import os, sys, time
    from pathlib import Path
    from adversarium.study.jobs import Jobs, StudyStoppedError
    from adversarium.study.worker import asked_to_stop, work

    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])

    def perform(claims, report):
        for step in range(10):
            if report.stopping:
                return {}
            time.sleep(seconds / 10)
            for claim in claims:
                report(claim.job.key, (step + 1) / 10)
        return {claim.job.key: {"by": os.getpid(), "threads": os.environ["OMP_NUM_THREADS"]} for claim in claims}

    with asked_to_stop() as stop:
        with open(folder / "pids", "a") as stream:
            stream.write(f"{os.getpid()}\\n")
        jobs = Jobs(f"sqlite:///{folder}/study.db", "toy", stop=stop)
        try:
            work(jobs, perform, folder=folder, go_on="GO ON", stop=stop, beat_seconds=0.1, poll_seconds=0.1)
        except StudyStoppedError as error:
            print(error, file=sys.stderr)
            sys.exit(2)
    sys.exit(0 if stop.signal is None else 128 + stop.signal)
"""

PARENT = """
    import sys
    from pathlib import Path
    from adversarium.study.jobs import Jobs
    from adversarium.study.pool import run_pool

    folder = Path(sys.argv[1])
    jobs = Jobs(f"sqlite:///{folder}/study.db", "toy")
    sys.exit(run_pool([sys.executable, str(folder / "worker.py"), *sys.argv[1:]], 2, jobs, lambda progress: None,
                      logs=folder / "logs", go_on="GO ON", tell=lambda text: print(text, flush=True),
                      poll_seconds=0.1))
"""


def write_toys(folder: Path) -> None:
    (folder / "worker.py").write_text(textwrap.dedent(WORKER))
    (folder / "parent.py").write_text(textwrap.dedent(PARENT))


def start(folder: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, str(folder / "parent.py"), str(folder), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def workers_of(folder: Path) -> list[int]:
    path = folder / "pids"
    return [pid for pid in map(int, path.read_text().split()) if is_alive(pid)] if path.exists() else []


def pool(jobs: Jobs, folder: Path, command: list[str], workers: int = 2, **options: Any) -> tuple[int, list[Progress]]:
    seen: list[Progress] = []
    options = {"poll_seconds": 0.1, **options}
    code = run_pool(command, workers, jobs, seen.append, logs=folder / "logs", go_on="GO ON", **options)
    return code, seen


def test_a_pool_does_a_study_and_tells_how_far_it_is(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 6)
    write_toys(folder)
    told: list[str] = []
    code, seen = pool(
        jobs, folder, [sys.executable, str(folder / "worker.py"), str(folder), "0.3"], cores=6, tell=told.append,
        failed=lambda result: result["by"] > 0,
    )  # fmt: skip
    assert (code, told) == (0, [])
    assert {state.result["threads"] for state in jobs.standings() if state.result} == {"3"}
    assert (seen[0].done, seen[0].waiting, seen[0].jobs, seen[0].eta_seconds) == (0, 6, 6, None)
    assert [each.done for each in seen] == sorted(each.done for each in seen)
    first = next(number for number, each in enumerate(seen) if each.running)
    assert [each.starting for each in seen] == [2] * first + [0] * (len(seen) - first)
    assert first > 0
    last = seen[-1]
    assert (last.done, last.failed, last.share, last.eta_seconds) == (6, 6, 1.0, 0.0)
    assert any(0 < fraction < 1 for each in seen for fraction in each.running.values())
    assert any(each.eta_seconds for each in seen)
    assert pool(jobs, folder, ["/no/such/command"])[0] == 0  # all is done: nothing is started


def test_jobs_that_others_hold_are_no_sign_that_workers_here_have_begun(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 3)
    (held,) = jobs.claim("another", most=1)
    write_toys(folder)
    seen: list[Progress] = []

    def look(progress: Progress) -> None:
        seen.append(progress)
        if not progress.starting and held.job.key in progress.running:
            jobs.finish(held, {})

    command = [sys.executable, str(folder / "worker.py"), str(folder), "0.5"]
    assert run_pool(command, 2, jobs, look, logs=folder / "logs", go_on="GO ON", poll_seconds=0.1) == 0
    waited = [each for each in seen if each.starting]
    assert len(waited) > 1
    assert all((each.starting, set(each.running)) == (2, {"job0"}) for each in waited)
    assert seen[len(waited)].running.keys() & {"job1", "job2"}


def test_workers_that_cannot_begin_end_the_study_with_their_last_words(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 2)
    told: list[str] = []
    command = [sys.executable, "-S", "-c", "raise SystemExit('no good')"]
    with pytest.raises(StudyStoppedError, match="workers die.*ended with code 1.*no good.*go on with: GO ON"):
        pool(jobs, folder, command, workers=2, tell=told.append)
    assert len(told) == 4
    assert all("another one takes its place" in line for line in told)


def test_last_words_are_a_workers_own(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 1)
    (folder / "logs").mkdir(exist_ok=True)
    (folder / "logs" / "worker1.log").write_text("what another said long ago\n")
    with pytest.raises(StudyStoppedError, match="^it said nothing; go on with: GO ON$"):
        pool(jobs, folder, [sys.executable, "-S", "-c", "raise SystemExit(2)"], workers=1)


def test_a_worker_that_says_why_the_study_cannot_go_on_is_quoted(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 2)
    code = "import sys, time; print('adversarium: the moon is full', file=sys.stderr); sys.exit(2)"
    with pytest.raises(StudyStoppedError, match="^the moon is full; go on with: GO ON$"):
        pool(jobs, folder, [sys.executable, "-S", "-c", code])
    with pytest.raises(InputError, match="workers is 0"):
        pool(jobs, folder, [sys.executable], workers=0)


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_pool_with_nothing_lost(folder: Path, jobs: Jobs, number: signal.Signals) -> None:
    begin(jobs, 4)
    write_toys(folder)
    with start(folder, 5.0) as parent:
        until(lambda: sum(state.state == "running" for state in jobs.standings()) == 2)
        parent.send_signal(number)
        said = parent.communicate()[0]
    assert parent.returncode == 128 + number
    assert said.endswith("stopped; go on with: GO ON\n")
    assert workers_of(folder) == []
    assert states(jobs) == [("waiting", 0)] * 4


@linux
def test_a_parent_that_is_killed_leaves_no_orphans_and_its_jobs_are_given_back(folder: Path, jobs: Jobs) -> None:
    begin(jobs, 4)
    write_toys(folder)
    with start(folder, 5.0) as parent:
        until(lambda: sum(state.state == "running" for state in jobs.standings()) == 2)
        parent.kill()
        until(lambda: not workers_of(folder), seconds=15.0)
    assert states(jobs) == [("waiting", 0)] * 4


def _storm(folder: Path, jobs: Jobs, kills: int, seed: int, seconds: float) -> None:
    """Kill workers and the parent at random moments; look at what the table says in the end."""
    draw = random.Random(seed)
    write_toys(folder)
    with sqlite3.connect(folder / "study.db") as connection:  # every result that was ever written leaves a trace
        connection.execute("CREATE TABLE trace (key TEXT, worker TEXT)")
        connection.execute(
            "CREATE TRIGGER trace AFTER UPDATE OF result ON adversarium_jobs "
            "BEGIN INSERT INTO trace VALUES (new.key, new.worker); END"
        )
    connection.close()
    parent = start(folder, seconds)
    for number in range(kills):
        until(lambda: workers_of(folder))
        time.sleep(draw.uniform(0.0, 2 * seconds))
        if number % 4 == 1:
            parent.kill()
            parent.communicate()
            parent = start(folder, seconds)
        elif workers := workers_of(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(draw.choice(workers), signal.SIGKILL)
    said = parent.communicate()[0]
    assert parent.returncode == 0, said
    until(lambda: not workers_of(folder), seconds=15.0)
    with sqlite3.connect(folder / "study.db") as connection:
        trace = connection.execute("SELECT key, worker FROM trace").fetchall()
    connection.close()
    found = jobs.standings()
    assert {state.state for state in found} == {"done"}
    assert sorted(trace) == sorted((state.job.key, state.worker) for state in found)
    for state in found:
        assert state.result is not None
        assert state.worker.split("/")[-3] == str(state.result["by"])
    assert sum(state.attempt - 1 for state in found) <= 2 * kills


@linux
def test_ten_kills_lose_nothing_and_do_nothing_twice(folder: Path, jobs: Jobs) -> None:
    jobs.begin(
        {"toy": 1},
        [Job(key=f"trial{index}", group="trial") for index in range(4)]
        + [Job(key=f"run{index}", group="run", after="trial", together=2) for index in range(20)],
    )
    _storm(folder, jobs, kills=10, seed=0, seconds=0.3)


@linux
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_forty_kills_lose_nothing_and_do_nothing_twice(folder: Path, jobs: Jobs, seed: int) -> None:
    begin(jobs, 60)
    _storm(folder, jobs, kills=40, seed=seed, seconds=0.5)


# the time that is left


class Played:
    """A study that was played through: which job began and ended when."""

    def __init__(self, jobs: list[Job], lasts: Mapping[str, float], workers: int) -> None:
        self.jobs = jobs
        self.spans: dict[str, tuple[float, float, int, int]] = {}  # began, ended, worker, together
        free = [0.0] * workers
        now = 0.0
        while len(self.spans) < len(jobs):
            undone = {job.group for job in jobs if job.key not in self.spans or self.spans[job.key][1] > now}
            ready = [job for job in jobs if job.key not in self.spans and job.after not in undone]
            idle = [worker for worker in range(workers) if free[worker] <= now]
            if ready and idle:
                lot = [job for job in ready if job.group == ready[0].group][: ready[0].together]
                end = now + max(lasts[job.key] for job in lot) * len(lot) ** 0.5
                for job in lot:
                    self.spans[job.key] = (now, end, idle[0], len(lot))
                free[idle[0]] = end
            else:
                now = min(end for _, end, _, _ in self.spans.values() if end > now)
        self.ends = max(end for _, end, _, _ in self.spans.values())

    def at(self, now: float) -> list[JobState]:
        found = []
        for job in self.jobs:
            began, ended, worker, together = self.spans[job.key]
            state = "waiting" if now < began else "running" if now < ended else "done"
            progress = min(max((now - began) / (ended - began), 0.0), 1.0)
            seconds = min(max(now - began, 0.0), ended - began)
            found.append(
                JobState(
                    job=job, state=state, worker=str(worker), attempt=1, progress=progress, seconds=seconds,
                    result=None, together=together if state != "waiting" else 1,
                )
            )  # fmt: skip
        return found


def _schedule(kind: str, seed: int, workers: int) -> Played:
    draw = random.Random(seed)
    speed = {f"m{method}": draw.uniform(1.0, 3.0) if kind == "misjudged" else 1.0 for method in range(6)}
    cost = {method: draw.uniform(10.0, 60.0) for method in speed}
    found, lasts = [], {}
    if kind == "gated":
        for method in speed:
            found += [Job(key=f"t/{method}/{n}", group=f"t/{method}", cost=cost[method] / 3) for n in range(4)]
    for run in range(8):
        for method in speed:
            after = f"t/{method}" if kind == "gated" else ""
            together = 4 if kind == "stacked" else 1
            found.append(Job(key=f"r/{method}/{run}", group=f"r/{method}", after=after, cost=cost[method],
                             together=together))  # fmt: skip
    if kind == "one long":
        found.append(Job(key="long", group="long", cost=300.0))
    for job in found:
        lasts[job.key] = job.cost * speed.get(job.group.split("/")[-1], 1.0) * 0.7 * draw.lognormvariate(0.0, 0.1)
    return Played(found, lasts, workers)


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("kind", ["even", "misjudged", "gated", "stacked", "one long"])
def test_the_time_left_is_credible_after_a_third(kind: str, workers: int) -> None:
    """Half of 20 studies are told within 6 % of their whole time, and all within 20 %, a third to nine tenths in."""
    for share in (1 / 3, 1 / 2, 0.9):
        errors = []
        for seed in range(20):
            played = _schedule(kind, seed, workers)
            now = share * played.ends
            left = seconds_left(played.at(now), workers)
            assert left is not None
            errors.append(abs(now + left - played.ends) / played.ends)
        errors.sort()
        assert errors[len(errors) // 2] < 0.06
        assert errors[-1] < 0.2


def test_no_time_is_told_before_something_was_seen() -> None:
    played = _schedule("even", 0, 2)
    assert seconds_left(played.at(0.0), 2) is None
    assert seconds_left(played.at(0.01 * played.ends), 2) is None
    assert seconds_left(played.at(0.2 * played.ends), 2) is not None
    assert seconds_left(played.at(played.ends), 2) == 0.0
    assert seconds_left([], 2) == 0.0


def state(key: str, kind: str, progress: float = 0.0, seconds: float = 0.0, **options: Any) -> JobState:
    cost, group = options.pop("cost", 1.0), options.pop("group", "all")
    return JobState(
        job=Job(key=key, group=group, cost=cost), state=kind, worker=options.pop("worker", key), attempt=1,
        progress=progress, seconds=seconds, result=None, **options,
    )  # fmt: skip


def test_time_left_in_cases_that_can_be_worked_out() -> None:
    done = state("a", "done", 1.0, 10.0)
    waiting = [state(f"w{index}", "waiting") for index in range(5)]
    assert seconds_left([done, *waiting], 1) == pytest.approx(50.0)
    assert seconds_left([done, *waiting], 2) == pytest.approx(30.0)
    assert seconds_left([done, *waiting], 99) == pytest.approx(10.0)  # no job is faster than one worker
    # half a job in 20 seconds is slower than its group, and its own pace counts
    assert seconds_left([done, state("b", "running", 0.5, 20.0)], 1) == pytest.approx(20.0)
    # two jobs in 10 seconds took 5 each
    lot = [state(f"l{index}", "done", 1.0, 10.0, together=2) for index in range(2)]
    assert seconds_left([*lot, *waiting], 1) == pytest.approx(25.0)
    # gone on with at 0.6, and done 4 seconds later: 10 seconds for a whole one
    assert seconds_left([state("c", "done", 1.0, 4.0, before=0.6), *waiting], 1) == pytest.approx(50.0)
    assert seconds_left([done, state("d", "waiting", 0.75)], 1) == pytest.approx(2.5)
    # a job that says nothing of its progress
    assert seconds_left([done, state("e", "running", 0.0, 4.0)], 1) == pytest.approx(6.0)
    assert seconds_left([done, state("e", "running", 0.0, 400.0)], 1) == pytest.approx(1.0)
    # what waits for a group waits, though a worker is free
    gate = state("h", "running", 0.5, 5.0, group="gate")
    gated = [JobState(job=Job(key=key, group="run", after="gate"), state="waiting", worker="", attempt=0, progress=0.0,
                      seconds=0.0, result=None) for key in "i"]  # fmt: skip
    assert seconds_left([done, gate, *gated], 2) == pytest.approx(15.0)
    # another group has its own speed, once something was seen of it
    other = [state("f", "done", 1.0, 40.0, group="slow"), state("g", "waiting", group="slow")]
    assert seconds_left([done, *other, waiting[0]], 1) == pytest.approx(50.0)


def test_progress_counts() -> None:
    found = progress_of(
        [state("a", "done", 1.0, 1.0), state("b", "running", 0.5, 1.0, cost=2.0), state("c", "waiting")],
        workers=2, failed=1, elapsed_seconds=3.0,
    )  # fmt: skip
    assert (found.done, found.running, found.waiting, found.failed, found.jobs) == (1, {"b": 0.5}, 1, 1, 3)
    assert found.share == pytest.approx(0.5)
    assert found.elapsed_seconds == 3.0
