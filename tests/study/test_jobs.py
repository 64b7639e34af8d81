"""The jobs of a study: each done once, whoever claims, dies, comes back or is silent."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from job_model import follow
from sqlalchemy import create_engine, event
from sqlalchemy.exc import OperationalError

from adversarium.errors import InputError
from adversarium.study._identity import is_gone
from adversarium.study.jobs import Claim, Job, Jobs, StudyStoppedError, worker_name


@contextmanager
def study(folder: Path, jobs: list[Job] | None = None, **options: Any) -> Iterator[Jobs]:
    found = Jobs(f"sqlite:///{folder}/study.db", "toy", **options)
    if jobs is not None:
        found.begin({"toy": 1}, jobs)
    yield found
    found.close()


def singles(count: int, **options: Any) -> list[Job]:
    return [Job(key=f"job{index}", group=f"group{index}", **options) for index in range(count)]


def silence(folder: Path, worker: str = "%", seconds: float = 1e6) -> None:
    """Let it be long ago that a worker was heard of."""
    with sqlite3.connect(folder / "study.db") as connection:
        connection.execute("UPDATE adversarium_jobs SET beat = beat - ? WHERE worker LIKE ?", (seconds, worker))
    connection.close()


def keys(claims: list[Claim]) -> list[str]:
    return [claim.job.key for claim in claims]


# claims


def test_jobs_and_plan_come_back_as_they_were_written(tmp_path: Path) -> None:
    plan = {"seeds": [0, 1], "level": 0.05, "deep": {"ä": None}}
    written = [
        Job(key="b", group="x", payload={"n": 1.5, "text": "\0 ü"}, cost=2.5, together=3),
        Job(key="a", group="y", after="x"),
    ]
    with study(tmp_path) as jobs:
        assert jobs.plan() is None
        assert jobs.claim("me") == []
        jobs.begin(plan, written)
    with study(tmp_path) as jobs:
        assert jobs.plan() == plan
        assert [state.job for state in jobs.standings()] == written
        (claim,) = jobs.claim("me")
        assert claim == Claim(job=written[0], worker="me", attempt=1)
        result = {"value": 1 / 3, "curve": [1, None]}
        assert jobs.finish(claim, result)
        done = jobs.standings()[0]
        assert (done.state, done.worker, done.result, done.progress) == ("done", "me", result, 1.0)
        assert jobs.standings(results=False)[0].result is None
        assert jobs.results(["a", "b", "c"]) == {"b": result}
        assert jobs.left() == 1


def test_two_studies_share_a_database(tmp_path: Path) -> None:
    with study(tmp_path, singles(1)) as jobs:
        other = Jobs(f"sqlite:///{tmp_path}/study.db", "another")
        other.begin({"another": 1}, singles(2))
        (claim,) = jobs.claim("me")
        assert jobs.left() == 1
        assert other.left() == 2
        assert keys(other.claim("me")) == ["job0"]
        assert jobs.finish(claim, {})
        assert other.left() == 2
        assert jobs.left() == 0
        other.close()


def test_beginning_again_changes_nothing_and_another_plan_is_refused(tmp_path: Path) -> None:
    with study(tmp_path, singles(3)) as jobs:
        jobs.finish(jobs.claim("me")[0], {"n": 1})
        before = jobs.standings()
        jobs.begin({"toy": 1}, singles(3))
        assert jobs.standings() == before
        jobs.begin({"toy": 1}, singles(4))  # killed when it had written three, say
        assert [state.job.key for state in jobs.standings()] == ["job0", "job1", "job2", "job3"]
        with pytest.raises(
            InputError, match="another plan: seeds is None there, and 2 here; toy is 1 there, and 3 here"
        ):
            jobs.begin({"toy": 3, "seeds": 2}, singles(9))
        assert len(jobs.standings()) == 4


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ([Job(key="a", group="x"), Job(key="a", group="y")], "two jobs have the key 'a'"),
        ([Job(key="a", group="x", cost=0.0)], "cost is 0"),
        ([Job(key="a", group="x", cost=float("nan"))], "cost is nan"),
        ([Job(key="a", group="x", together=0)], "together is 0"),
        ([Job(key="a", group="x", after="x")], "jobs of x wait for each other"),
        (
            [Job(key="a", group="x", after="y"), Job(key="b", group="y", after="x"), Job(key="c", group="z")],
            "jobs of x, y wait for each other",
        ),
    ],
)
def test_jobs_that_could_not_be_done_are_refused(tmp_path: Path, written: list[Job], said: str) -> None:
    with study(tmp_path) as jobs:
        with pytest.raises(InputError, match=said):
            jobs.begin({}, written)
        assert jobs.plan() is None


def test_jobs_of_one_group_are_claimed_together_and_in_order(tmp_path: Path) -> None:
    written = [Job(key=f"{group}{seed}", group=group, together=3) for seed in range(4) for group in "ab"]
    with study(tmp_path, written) as jobs:
        taken = [keys(jobs.claim(worker, most=most)) for worker, most in [("v", 9), ("w", 2), ("x", 9), ("y", 9)]]
        assert taken == [["a0", "a1", "a2"], ["b0", "b1"], ["b2", "b3"], ["a3"]]
        assert jobs.claim("z") == []
        assert {state.job.key: state.together for state in jobs.standings()} == {
            **dict.fromkeys(["a0", "a1", "a2"], 3), "a3": 1, **dict.fromkeys(["b0", "b1", "b2", "b3"], 2),
        }  # fmt: skip


def test_a_group_waits_for_all_jobs_of_the_one_before(tmp_path: Path) -> None:
    written = [Job(key=f"trial{index}", group="trial") for index in range(3)]
    written += [Job(key=f"run{index}", group="run", after="trial", together=2) for index in range(2)]
    written += [Job(key="free", group="free", after="nothing of this name")]
    with study(tmp_path, written) as jobs:
        held = [jobs.claim(f"w{index}", most=9)[0] for index in range(4)]
        assert keys(held) == ["trial0", "trial1", "trial2", "free"]
        for claim in held[:2]:
            jobs.finish(claim, {})
            assert jobs.claim("x") == []
        jobs.give_back([held[2]])
        assert keys(jobs.claim("x", most=9)) == ["trial2"]
        assert jobs.claim("y") == []
        silence(tmp_path)
        again = jobs.claim("y", most=9)
        assert keys(again) == ["trial2"]
        jobs.finish(again[0], {})
        assert keys(jobs.claim("z", most=9)) == ["run0", "run1"]


def gone_worker() -> str:
    """Return the name of a worker of this machine whose process is gone."""
    machine, process, began, drawn = worker_name().rsplit("/", 3)
    return f"{machine}/{process}/{int(began or 1) - 1}/{drawn}"


@pytest.mark.parametrize("died", [False, True])
@pytest.mark.parametrize("most", [1, 3])
def test_eight_threads_that_claim_at_once_get_each_job_once(tmp_path: Path, most: int, died: bool) -> None:
    count, together = 72, 3
    written = [Job(key=str(index), group=str(index // 9), together=together) for index in range(count)]
    with study(tmp_path, written, patience_seconds=1e5) as jobs:
        while died and jobs.claim("another", most=3):
            pass
    if died:  # seen at once on Linux, and by its silence elsewhere
        silence(tmp_path)
        with sqlite3.connect(tmp_path / "study.db") as connection:
            connection.execute("UPDATE adversarium_jobs SET worker = ?", (gone_worker(),))
        connection.close()
    claimed: list[str] = []
    finished: list[bool] = []
    start = threading.Barrier(8)

    def claim_all(name: str) -> None:
        with study(tmp_path, patience_seconds=1e5) as jobs:
            start.wait()
            while claims := jobs.claim(name, most=most):
                assert len(claims) <= most
                assert len({claim.job.group for claim in claims}) == 1
                claimed.extend(keys(claims))
                finished.extend(jobs.finish(claim, {"by": name}) for claim in claims)

    threads = [threading.Thread(target=claim_all, args=(f"w{index}",)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(claimed) == Counter(map(str, range(count)))
    assert finished == [True] * count


@pytest.mark.slow
def test_eight_processes_that_claim_at_once_get_each_job_once(tmp_path: Path) -> None:
    with study(tmp_path, singles(400)) as jobs:
        code = f"""
            from adversarium.study.jobs import Jobs, worker_name
            jobs, me = Jobs("sqlite:///{tmp_path}/study.db", "toy"), worker_name()
            while claims := jobs.claim(me):
                print(claims[0].job.key, jobs.finish(claims[0], {{}}), flush=True)
        """
        command = [sys.executable, "-c", textwrap.dedent(code)]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
        lines = [line for process in processes for line in process.communicate()[0].splitlines()]
        assert Counter(lines) == Counter(f"job{index} True" for index in range(400))
        assert jobs.left() == 0


# random histories


@pytest.mark.parametrize("seed", range(6))
def test_any_history_is_that_of_the_model(tmp_path: Path, seed: int) -> None:
    with study(tmp_path) as jobs:
        follow(jobs, lambda worker: silence(tmp_path, worker), seed)


# workers that die, are silent, or were thought dead


def _claimer(folder: Path) -> subprocess.Popen[str]:
    code = f"""
        import time
        from adversarium.study.jobs import Jobs, worker_name
        jobs = Jobs("sqlite:///{folder}/study.db", "toy")
        jobs.claim(worker_name())
        print("claimed", flush=True)
        time.sleep(100)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    return process


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process is known by its silence only")
def test_jobs_of_a_process_that_was_killed_are_taken_over_at_once(tmp_path: Path) -> None:
    with (
        study(tmp_path, singles(1), patience_seconds=1e9) as jobs,
        study(tmp_path, patience_seconds=1.0) as impatient,
        _claimer(tmp_path) as process,
    ):
        silence(tmp_path)
        assert impatient.claim("me") == []  # it lives, however silent it is
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # nobody has looked yet: there is a zombie
        (claim,) = jobs.claim("me")
        assert claim.attempt == 2


def test_a_worker_elsewhere_is_waited_for(tmp_path: Path) -> None:
    elsewhere = "far away:boot:1:0/17/23/0123abcd"
    with study(tmp_path, singles(1), patience_seconds=60.0) as jobs:
        (lost,) = jobs.claim(elsewhere)
        silence(tmp_path, seconds=55.0)
        assert jobs.claim("me") == []
        jobs.beat([lost], {})
        silence(tmp_path, seconds=55.0)
        assert jobs.claim("me") == []
        silence(tmp_path, seconds=6.0)
        (claim,) = jobs.claim("me")
        assert claim.attempt == 2
        assert jobs.beat([lost], {"job0": 0.9}) == ["job0"]
        jobs.give_back([lost])
        assert not jobs.finish(lost, {"late": 1})
        assert jobs.finish(claim, {"n": 1})
        assert jobs.standings()[0].result == {"n": 1}


def test_processes_are_known_by_when_they_began() -> None:
    me = worker_name()
    assert worker_name() != me
    assert is_gone("somebody") is None
    assert is_gone(me) in (False, None)
    machine, process, began, drawn = me.rsplit("/", 3)
    assert is_gone(f"other{machine}/{process}/{began}/{drawn}") is None
    if sys.platform == "linux":
        assert is_gone(me) is False
        assert is_gone(f"{machine}/{process}/{int(began) - 1}/{drawn}") is True  # the number was used again
        ended = subprocess.Popen(["true"])
        ended.wait()
        assert is_gone(f"{machine}/{ended.pid}/{began}/{drawn}") is True


def test_attempts_count_deaths_and_not_what_was_given_back(tmp_path: Path) -> None:
    with study(tmp_path, singles(1)) as jobs:
        for _ in range(3):
            (claim,) = jobs.claim("me")
            assert claim.attempt == 1
            jobs.give_back([claim])
        for died in range(3):
            (claim,) = jobs.claim("me")
            assert claim.attempt == died + 1
            silence(tmp_path)
        (claim,) = jobs.claim("me")
        assert claim.attempt == 4
        assert (claim.deaths, claim.errors) == (3, 0)
        jobs.give_back([claim], counted=True)
        (claim,) = jobs.claim("me")
        assert (claim.attempt, claim.deaths, claim.errors) == (5, 3, 1)


def test_deaths_count_until_a_worker_gets_further(tmp_path: Path) -> None:
    with study(tmp_path, singles(1)) as jobs:
        found = []
        for progress in (0.0, 0.0, 0.3, 0.3, 0.2, 0.3, 0.31, 0.1):
            (claim,) = jobs.claim("me")
            found.append(claim.deaths)
            jobs.beat([claim], {"job0": progress})
            silence(tmp_path)
        assert found == [0, 1, 2, 0, 1, 2, 3, 0]
        assert jobs.claim("me")[0].deaths == 1


def test_a_job_that_kills_its_workers_is_soon_held_alone(tmp_path: Path) -> None:
    with study(tmp_path, [Job(key=f"job{index}", group="all", together=3) for index in range(3)]) as jobs:
        for _ in range(2):
            assert len(jobs.claim("me", most=3)) == 3
            silence(tmp_path)
        assert [len(jobs.claim(name, most=3)) for name in ("me", "you", "they")] == [1] * 3
        assert {state.job.key for state in jobs.standings() if state.state == "running"} == {"job0", "job1", "job2"}


def test_progress_is_kept_and_an_attempt_knows_where_it_began(tmp_path: Path) -> None:
    def now(jobs: Jobs) -> tuple[float, float]:
        (state,) = jobs.standings()
        return state.progress, state.before

    with study(tmp_path, singles(1)) as jobs:
        claims = jobs.claim("me")
        jobs.beat(claims, {"job0": 0.5, "another": 0.1})
        jobs.beat(claims, {})
        assert now(jobs) == (0.5, 0.0)
        jobs.give_back(claims)
        assert jobs.standings()[0].seconds == 0.0
        claims = jobs.claim("me")
        assert now(jobs) == (0.5, 0.5)
        jobs.beat(claims, {"job0": 0.4})  # its checkpoint was older than the last sign of life
        jobs.beat(claims, {"job0": 0.7})
        assert now(jobs) == (0.7, 0.4)
        jobs.beat(claims, {"job0": 1.7})
        assert now(jobs) == (1.0, 0.4)


def test_seconds_are_those_of_the_attempt(tmp_path: Path) -> None:
    with study(tmp_path, singles(1)) as jobs:
        began = time.monotonic()
        claims = jobs.claim("me")
        time.sleep(0.2)
        assert 0.2 <= jobs.standings()[0].seconds + 0.01 <= time.monotonic() - began + 0.02
        jobs.finish(claims[0], {})
        ended = time.monotonic()
        time.sleep(0.2)
        assert jobs.standings()[0].seconds <= ended - began + 0.02


def test_results_that_json_cannot_hold_are_refused(tmp_path: Path) -> None:
    with study(tmp_path, singles(1)) as jobs:
        (claim,) = jobs.claim("me")
        with pytest.raises(ValueError, match="not JSON compliant"):
            jobs.finish(claim, {"value": float("nan")})
        assert jobs.standings()[0].state == "running"


# trouble


def test_a_statement_whose_answer_got_lost_counts_once(tmp_path: Path) -> None:
    lose: list[str] = []

    def after(*arguments: Any) -> None:
        if lose and arguments[2].startswith(lose[0]):
            lose.pop()
            raise OperationalError(arguments[2], {}, sqlite3.OperationalError("database is locked, for a test"))

    with study(tmp_path, [Job(key=f"job{n}", group="one", together=2) for n in range(3)]) as jobs:
        event.listen(jobs._database._engine, "after_cursor_execute", after)
        for statement in ("UPDATE", "SELECT"):
            lose.append(statement)
            claims = jobs.claim("me", most=2)
            assert [claim.attempt for claim in claims] == [1, 1]
            assert not lose
            lose.append("UPDATE")
            jobs.give_back(claims)
        assert [state.attempt for state in jobs.standings()] == [0, 0, 0]
        claims = jobs.claim("me", most=2)
        lose.append("UPDATE")
        assert jobs.beat(claims, {"job0": 0.25, "job1": 0.5}) == []
        lose.append("UPDATE")
        assert jobs.finish(claims[0], {"n": 1})
        assert not jobs.finish(claims[0], {"n": 2})
        lose.append("UPDATE")
        silence(tmp_path)
        assert keys(jobs.claim("you")) == ["job1"]
        lose.append("UPDATE")
        assert not jobs.finish(claims[1], {"n": 1})
        lose.append("INSERT")
        jobs.begin({"toy": 1}, singles(5))
        assert len(jobs.standings()) == 5
        assert not lose


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    connection = sqlite3.connect(folder / "study.db", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.close()


def test_a_database_that_is_locked_for_a_while_is_waited_for(tmp_path: Path) -> None:
    told: list[str] = []
    with study(tmp_path, singles(1)):
        pass
    url = f"sqlite:///{tmp_path}/study.db?timeout=0.01"
    jobs = Jobs(url, "toy", tell=told.append)
    found: list[list[Claim]] = []
    claimer = threading.Thread(target=lambda: found.append(jobs.claim("me")))
    with _locked(tmp_path):
        claimer.start()
        time.sleep(1.3)
        assert found == []
    claimer.join()
    assert keys(found[0]) == ["job0"]
    assert len(told) == 2
    assert "database is locked; it is asked again, for up to 10 minutes" in told[0]
    assert told[1].endswith("is back")
    jobs.close()


def test_work_of_another_library_is_repeated_too(tmp_path: Path) -> None:
    """It asks the same database, and what it raises follows from what the driver raised."""
    engine = create_engine(f"sqlite:///{tmp_path}/study.db", connect_args={"timeout": 0.01})
    tries = []

    def write() -> int:
        tries.append(0)
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql("UPDATE adversarium_jobs SET progress = 0.5")
        except OperationalError as error:
            raise LookupError("as it names it") from error
        return 3

    with study(tmp_path, singles(1), retry_seconds=0.2) as jobs:
        with _locked(tmp_path), pytest.raises(StudyStoppedError, match="cannot be used any more.*database is locked"):
            jobs.repeat(write)
        assert len(tries) > 1
        assert jobs.repeat(write) == 3
        with pytest.raises(ZeroDivisionError):
            jobs.repeat(lambda: 1 // 0)
    engine.dispose()


@pytest.mark.parametrize("stopped", [False, True])
def test_a_database_that_stays_locked_ends_the_study_for_now(tmp_path: Path, stopped: bool) -> None:
    with study(tmp_path, singles(1)):
        pass
    options: dict[str, Any] = {"retry_seconds": 0.3} if not stopped else {"stop": lambda: True, "retry_seconds": 0.3}
    jobs = Jobs(f"sqlite:///{tmp_path}/study.db?timeout=0.01", "toy", **options)
    with _locked(tmp_path), pytest.raises(StudyStoppedError, match="cannot be used any more.*database is locked"):
        jobs.claim("me")
    assert keys(jobs.claim("me")) == ["job0"]
    jobs.close()


def test_who_is_asked_to_stop_does_not_wait_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with study(tmp_path, singles(1)):
        pass
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    jobs = Jobs(f"sqlite:///{tmp_path}/study.db?timeout=0.0", "toy", retry_seconds=600.0)
    for limit, stop in [(600.0, lambda: False), (5.0, lambda: True), (105.0, lambda: clock[0] > 100)]:
        clock[0] = 0.0
        jobs.stop = stop
        with _locked(tmp_path), pytest.raises(StudyStoppedError):
            jobs.claim("me")
        assert limit - 5 <= clock[0] <= limit + 5
    jobs.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("study.db", "'study.db': is not the URL of one"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:////no/such/folder/study.db", "no folder /no/such/folder"),
        ("sqlite:///{folder}", "is a folder"),
        ("sqlite:///{folder}/text.db", "file is not a database"),
        ("sqlite:///file:{folder}/study.db?mode=ro&uri=true", "readonly database"),
        ("mysql://me:pass-word@host/name", "is of another kind"),
        ("nothing+such://me:pass-word@host/name", "is of another kind"),
        ("postgresql+psycopg2://me:pass-word@host/name", "driver 'psycopg2'"),
        ("postgresql://me:pass-word@host", "names no database"),
        ("postgresql://me:pass-word@host:port/name", "is not the URL of one"),
        ("postgresql://me:pass-word@127.0.0.1:1/name", "refused"),
        ("postgres://me:pass-word@no.such.host.invalid/name", "no.such.host.invalid"),
        ("postgresql://127.0.0.1:1/name?user=me&password=pass-word", "refused"),
        ("postgresql://127.0.0.1:1/name?sslpassword=pass-word&user=me", "refused"),
        ("mysql://host/name?user=me&password=pass-word", "is of another kind"),
    ],
)
def test_databases_that_cannot_be_used_are_named(tmp_path: Path, url: str, said: str) -> None:
    (tmp_path / "text.db").write_text("a text\n" * 100)
    with study(tmp_path, singles(1)):
        pass
    with pytest.raises(InputError, match=said) as caught:
        Jobs(url.format(folder=tmp_path), "toy")
    assert "sqlite:///FOLDER/study.db" in str(caught.value)
    assert "postgresql+psycopg://USER:PASSWORD@HOST/DATABASE" in str(caught.value)
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize("name", ["study.db", "new.db"])
def test_folders_that_cannot_be_written_are_named(tmp_path: Path, name: str) -> None:
    with study(tmp_path, singles(1)):
        pass
    for path in [*tmp_path.iterdir(), tmp_path, *tmp_path.parents]:
        if str(path).startswith("/tmp/") and os.getuid() == path.stat().st_uid:
            path.chmod(0o555 if path.is_dir() else 0o444)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)  # permissions do not hold root back
    try:
        with pytest.raises(InputError, match="readonly database|unable to open"):
            Jobs(f"sqlite:///{tmp_path}/{name}", "toy")
    finally:
        if root:
            os.seteuid(0)
        tmp_path.chmod(0o755)


def test_tables_of_another_version_are_refused(tmp_path: Path) -> None:
    with study(tmp_path, singles(1)) as jobs:
        with sqlite3.connect(tmp_path / "study.db") as connection:
            connection.execute("UPDATE adversarium_studies SET version = 99")
        connection.close()
        with pytest.raises(InputError, match="tables of version 99"):
            jobs.plan()
        with pytest.raises(InputError, match="tables of version 99"):
            jobs.begin({"toy": 1}, [])


def test_a_database_that_is_gone_ends_the_study(tmp_path: Path) -> None:
    with study(tmp_path, singles(1)) as jobs:
        with sqlite3.connect(tmp_path / "study.db") as connection:
            connection.execute("DROP TABLE adversarium_jobs")
        connection.close()
        with pytest.raises(StudyStoppedError, match="no such table"):
            jobs.claim("me")


@pytest.mark.parametrize(
    ("missing", "url", "extra"),
    [("sqlalchemy", "sqlite:///study.db", "study"), ("psycopg", "postgresql://127.0.0.1:1/x", "postgresql")],
)
def test_an_extra_that_is_missing_is_named(tmp_path: Path, missing: str, url: str, extra: str) -> None:
    code = f"""
        import sys
        sys.modules[{missing!r}] = None
        from adversarium.errors import InputError
        try:
            from adversarium.study.jobs import Jobs
            Jobs({url!r}, "toy")
        except InputError as error:
            print(error)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert f"pip install 'adversarium[{extra}]'" in ran.stdout


@pytest.mark.parametrize("turn", range(4))
def test_tables_are_made_once_by_many(tmp_path: Path, turn: int) -> None:
    errors: list[BaseException] = []
    start = threading.Barrier(8)

    def open_one() -> None:
        start.wait()
        try:
            with study(tmp_path, singles(3)):
                pass
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with study(tmp_path) as jobs:
        assert jobs.left() == 3


def test_a_writer_that_was_killed_leaves_a_database_that_works(tmp_path: Path) -> None:
    with study(tmp_path, singles(50)):
        pass
    code = f"""
        from adversarium.study.jobs import Jobs, worker_name
        jobs, me = Jobs("sqlite:///{tmp_path}/study.db", "toy"), worker_name()
        print("on", flush=True)
        while True:
            claims = jobs.claim(me)
            jobs.beat(claims, {{}})
            jobs.give_back(claims)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    with study(tmp_path, patience_seconds=1e-9) as jobs:
        while claims := jobs.claim("me"):
            assert jobs.finish(claims[0], {})
        assert jobs.left() == 0
