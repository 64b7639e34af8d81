"""A study on a PostgreSQL server: shared by processes, whatever happens to them and to it."""

import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from job_model import follow
from sqlalchemy import create_engine, text

from adversarium.errors import InputError
from adversarium.study.jobs import Claim, Job, Jobs, StudyStoppedError

PROGRAMS = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4])) or [
    os.path.dirname(shutil.which("initdb") or "")
]

pytestmark = [
    pytest.mark.skipif(not PROGRAMS[-1], reason="there is no PostgreSQL server (Debian: apt install postgresql)"),
    pytest.mark.skipif(os.name != "posix", reason="the server is started as POSIX systems do"),
]


class Server:
    """A server on a free port of this machine, in a folder of its own, as a user who is not root."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="adversarium-"))
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        if os.geteuid() == 0:
            shutil.chown(self.folder, "nobody")
        self._run("initdb", "-U", "owner", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
        rules = self.folder / "data" / "pg_hba.conf"
        rules.write_text("host all member 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [f"{PROGRAMS[-1]}/{program}", "-D", str(self.folder / "data"), *arguments]
        if os.geteuid() == 0:  # which the server refuses to be
            command = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]
        ran = subprocess.run(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert ran.returncode == 0, ran.stderr

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=60"
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, how: str = "fast") -> None:
        self._run("pg_ctl", "-w", "-m", how, "stop")

    def url(self, database: str = "postgres", user: str = "owner") -> str:
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/{database}"

    def do(self, statement: str, database: str = "postgres") -> list[Any]:
        engine = create_engine(self.url(database), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                found = connection.execute(text(statement))
                return list(found) if found.returns_rows else []
        finally:
            engine.dispose()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.stop("immediate")
    shutil.rmtree(found.folder)


@pytest.fixture
def database(server: Server, request: pytest.FixtureRequest) -> str:
    """A database that is empty."""
    name = f"d{abs(hash(request.node.name))}"
    server.do(f"CREATE DATABASE {name}")
    return name


@pytest.fixture
def opened(server: Server, database: str) -> Iterator[Callable[..., Jobs]]:
    found: list[Jobs] = []

    def open_one(**options: Any) -> Jobs:
        found.append(Jobs(server.url(database), "toy", **options))
        return found[-1]

    yield open_one
    for jobs in found:
        jobs.close()


def singles(count: int) -> list[Job]:
    return [Job(key=f"job{index}", group="all") for index in range(count)]


def until(holds: Callable[[], Any], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.02)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_any_history_is_that_of_the_model(
    server: Server, database: str, opened: Callable[..., Jobs], seed: int
) -> None:
    def silence(worker: str) -> None:
        with engine.connect() as connection:
            connection.execute(text("UPDATE adversarium_jobs SET beat = beat - 100 WHERE worker = :w"), {"w": worker})

    engine = create_engine(server.url(database), isolation_level="AUTOCOMMIT")
    jobs = opened(patience_seconds=50.0)
    # the time while a server was not there does not count: let this one be there for long
    jobs._database.up = jobs._database.up - 1e6
    follow(jobs, silence, seed, turns=100)
    engine.dispose()


def test_the_time_while_the_server_was_away_is_not_silence(
    server: Server, database: str, opened: Callable[..., Jobs]
) -> None:
    jobs = opened(patience_seconds=1e5)
    jobs.begin({}, singles(1))
    jobs.claim("elsewhere")
    server.do("UPDATE adversarium_jobs SET beat = beat - 1e6", database)
    up = server.do("SELECT EXTRACT(EPOCH FROM now() - pg_postmaster_start_time())::float8")[0][0]
    assert up < 1e5
    assert jobs.claim("me") == []


@pytest.mark.parametrize("most", [1, 3])
def test_four_threads_that_claim_at_once_get_each_job_once(opened: Callable[..., Jobs], most: int) -> None:
    count = 36
    opened().begin({}, [Job(key=str(index), group=str(index // 9), together=3) for index in range(count)])
    claimed: list[str] = []
    finished: list[bool] = []
    start = threading.Barrier(4)

    def claim_all(name: str, jobs: Jobs) -> None:
        start.wait()
        while claims := jobs.claim(name, most=most):
            claimed.extend(claim.job.key for claim in claims)
            finished.extend(jobs.finish(claim, {"by": name}) for claim in claims)

    threads = [threading.Thread(target=claim_all, args=(f"w{index}", opened())) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(claimed) == Counter(map(str, range(count)))
    assert finished == [True] * count


def test_many_may_begin_a_study_at_once(opened: Callable[..., Jobs]) -> None:
    errors: list[BaseException] = []
    start = threading.Barrier(8)

    def begin() -> None:
        start.wait()
        try:
            opened().begin({"toy": 1}, singles(30))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert opened().left() == 30


def test_servers_that_cannot_be_used_are_named(server: Server, database: str, opened: Callable[..., Jobs]) -> None:
    opened().begin({}, singles(1))
    server.do("DROP ROLE IF EXISTS member")
    server.do("CREATE ROLE member LOGIN PASSWORD 'right-word'")
    member = server.url(database, "member")
    read_only = server.url(database) + "?options=-c%20default_transaction_read_only%3Don"
    for url, said in [
        (member.replace("member@", "member:wrong-word@"), 'password authentication failed for user "member"'),
        (member, "no password supplied"),
        (member.replace("member@", "member:right-word@"), "permission denied"),
        (server.url("no_such_name"), 'database "no_such_name" does not exist'),
        (server.url(database, "stranger"), 'role "stranger" does not exist'),
        (read_only, "read-only transaction"),
    ]:
        with pytest.raises(InputError, match=said) as caught:
            Jobs(url, "toy", wait_seconds=20.0 if "wrong" in url else 0.0)
        assert "wanted sqlite:///" in str(caught.value)
        assert "-word" not in str(caught.value)
    server.do("GRANT ALL ON adversarium_jobs, adversarium_studies TO member", database)
    jobs = Jobs(member.replace("member@", "member:right-word@").replace("+psycopg", ""), "toy")
    assert "-word" not in jobs.url
    assert jobs.left() == 1
    jobs.close()
    server.do("DROP OWNED BY member", database)
    server.do("DROP ROLE member")


def test_lost_connections_and_a_server_that_restarts_are_survived(server: Server, opened: Callable[..., Jobs]) -> None:
    told: list[str] = []
    jobs = opened(tell=told.append)
    jobs.begin({}, singles(6))
    (first,) = jobs.claim("me")
    server.do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'adversarium'")
    assert jobs.finish(first, {})
    assert told == []
    (second,) = jobs.claim("me")
    server.stop("immediate")
    timer = threading.Timer(1.5, server.start)
    timer.start()
    assert jobs.finish(second, {"n": 2})
    timer.join()
    assert len(told) == 2
    assert "is asked again, for up to 10 minutes" in told[0]
    assert told[1].endswith("is back")
    assert [state.state for state in jobs.standings()] == ["done"] * 2 + ["waiting"] * 4


def test_a_server_that_stays_away_ends_the_study_for_now(server: Server, opened: Callable[..., Jobs]) -> None:
    jobs = opened(retry_seconds=0.5)
    jobs.begin({}, singles(1))
    server.stop()
    try:
        with pytest.raises(StudyStoppedError, match="cannot be used any more"):
            jobs.claim("me")
        with pytest.raises(InputError, match="refused"):
            opened()
        timer = threading.Timer(0.5, server.start)
        timer.start()
        patient = opened(wait_seconds=20.0)
        timer.join()
    except BaseException:
        server.start()
        raise
    assert patient.left() == 1
    assert [claim.job.key for claim in jobs.claim("me")] == ["job0"]


WORKER = """
    import os, sys, time
    from pathlib import Path
    from adversarium.study.jobs import Jobs
    from adversarium.study.worker import asked_to_stop, work

    url, log, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])

    def perform(claims, report):
        print("begin", claims[0].job.key, claims[0].attempt, flush=True)
        for step in range(20):
            time.sleep(seconds / 20)
            report(claims[0].job.key, step / 20)
        with open(log, "a") as stream:
            stream.write(f"{claims[0].job.key} {os.getpid()}\\n")
        return {claims[0].job.key: {"by": os.getpid()}}

    with asked_to_stop() as stop:
        jobs = Jobs(url, "toy", stop=stop)
        work(jobs, perform, folder=Path("."), go_on="GO ON", stop=stop, beat_seconds=0.1, poll_seconds=0.1)
"""


def test_two_processes_share_a_study_and_one_that_is_killed_is_replaced(
    server: Server, database: str, opened: Callable[..., Jobs], tmp_path: Path
) -> None:
    jobs = opened()
    jobs.begin({}, singles(10))
    (tmp_path / "worker.py").write_text(textwrap.dedent(WORKER))
    command = [sys.executable, "worker.py", server.url(database), "log", "0.4"]
    pair = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        # both have done something, and the first is in the middle of something
        until(lambda: len({state.worker for state in jobs.standings() if state.state == "done"}) == 2)
        victim = str(pair[0].pid)
        held: list[str] = []

        def is_busy() -> bool:
            held[:] = [
                state.job.key
                for state in jobs.standings()
                if state.state == "running" and state.worker.split("/")[-3] == victim and state.progress < 0.5
            ]
            return bool(held)

        until(is_busy)
        pair[0].send_signal(signal.SIGKILL)
        # and the server goes and comes
        time.sleep(0.2)
        server.stop("immediate")
        time.sleep(0.5)
        server.start()
        said = pair[1].communicate(timeout=60)[0]
        assert pair[1].returncode == 0
    finally:
        for process in pair:
            process.kill()
            process.communicate()
    found = {state.job.key: state for state in jobs.standings()}
    assert {state.state for state in found.values()} == {"done"}
    done = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert Counter(key for key, _ in done) == Counter(list(found))
    assert dict(done) == {key: str((state.result or {})["by"]) for key, state in found.items()}
    assert f"begin {held[0]} 2" in said
    assert [key for key, state in found.items() if state.attempt != 1] == held


def test_claims_that_wait_for_each_other_are_asked_again(opened: Callable[..., Jobs]) -> None:
    """Beats and take-overs of the same jobs, all at once, in any order: deadlocks pass."""
    jobs = opened(patience_seconds=1e-3)
    jobs.begin({}, [Job(key=str(index), group="all", together=20) for index in range(20)])
    errors: list[BaseException] = []

    def struggle(name: str, mine: Jobs) -> None:
        try:
            held: list[Claim] = []
            for turn in range(15):
                held = mine.claim(name, most=20) or held
                shares = {claim.job.key: (turn + index) % 3 / 3 for index, claim in enumerate(reversed(held))}
                mine.beat(held, shares)
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=struggle, args=(f"w{index}", opened(patience_seconds=1e-3))) for index in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert jobs.left() == 20
