"""The work of a study, in a database that any number of processes on any number of machines share."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

# first: it says which extra is missing
from adversarium.study._database import JOBS, STUDIES, VERSION, Database, StudyStoppedError  # isort: split

from sqlalchemy import Connection, and_, case, func, or_, select, true, update

from adversarium.errors import InputError, require
from adversarium.study._identity import is_gone, worker_name

__all__ = ["Claim", "Job", "JobState", "Jobs", "State", "StudyStoppedError", "worker_name"]

State = Literal["waiting", "running", "done"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """Something to do once.

    Attributes:
        key: unique in its study: ``run/wgan-gp/3``.
        group: jobs of one group may be done together by one worker: ``run/wgan-gp``.
        after: a group that has to be done first, or ``""``.
        payload: what to do, as JSON holds it.
        cost: about how much work it is, against the others (any unit).
        together: how many jobs of its group one worker may hold at once.
    """

    key: str
    group: str
    after: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    cost: float = 1.0
    together: int = 1


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A job that a worker holds.

    Attributes:
        job: which.
        worker: who holds it.
        attempt: how often it was claimed by now, from 1: more than once where a worker died.
        errors: how often it ended with an error that counted.
        deaths: how many workers died of it or with it, one after the other, none of which got further than those
            before.
    """

    job: Job
    worker: str
    attempt: int
    errors: int = 0
    deaths: int = 0


@dataclass(frozen=True, kw_only=True)
class JobState:
    """How a job stands.

    Attributes:
        job: which.
        state: ``waiting``, ``running`` or ``done``.
        worker: who holds it or did it.
        attempt: how often it was claimed.
        progress: 0 to 1.
        seconds: how long it is being done, or was, in this attempt.
        result: what came of it, once it is done.
        before: the progress that this attempt began with: above 0 where it went on with another's work.
        together: how many jobs its worker claimed at once, in those seconds.
    """

    job: Job
    state: State
    worker: str
    attempt: int
    progress: float
    seconds: float
    result: Mapping[str, Any] | None
    before: float = 0.0
    together: int = 1


_DEATHS = case(
    (JOBS.c.state == "waiting", JOBS.c.deaths), (JOBS.c.progress > JOBS.c.furthest, 0), else_=JOBS.c.deaths + 1
)
"""How many workers died of a job, once it is claimed: whoever claims it from another one finds that one dead."""


class Jobs:
    """The jobs of one study in a database.

    A job is claimed by one worker at a time and done once: a claim, a heartbeat and a result are single statements
    that change nothing where another worker was first. A worker on this machine whose process is gone has its jobs
    taken over at once, and one elsewhere when it was silent for ``patience_seconds`` of the database's clock (the time
    while its server was down does not count). A worker on this machine that lives keeps its jobs, however silent.

    Where trouble may pass (a lock, a lost connection, a server that restarts) a statement is repeated, with growing
    pauses. Several threads may share one object.

    Args:
        url: the database, as SQLAlchemy names it: ``sqlite:////abs/study.db``, ``postgresql+psycopg://user@host/name``;
            ``postgresql://`` means psycopg. A file is made where there is none. SQLite is for the processes of one
            machine: files on network drives are not locked reliably.
        study: the study's name in it.
        patience_seconds: how long a worker on another machine may be silent.
        wait_seconds: how long a server that does not answer is waited for now.
        retry_seconds: how long it may be away later.
        tell: told, in a sentence, that it is away and that it is back.
        stop: asked while it is away; once true, it is waited for 5 seconds only. May be set later.

    Raises:
        InputError: the database cannot be reached, or not be written; says which, and what would work.
        StudyStoppedError: from the methods: the database was away for longer than ``retry_seconds``, its disk is full,
            or it cannot be used any more.
    """

    def __init__(
        self,
        url: str,
        study: str,
        *,
        patience_seconds: float = 60.0,
        wait_seconds: float = 0.0,
        retry_seconds: float = 600.0,
        tell: Callable[[str], None] = lambda message: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        require(bool(study), "study is '': wanted a name")
        fits = math.isfinite(patience_seconds) and patience_seconds > 0
        require(fits, f"patience_seconds is {patience_seconds:g}: wanted a positive number")
        self.study = study
        self.patience_seconds = patience_seconds
        self._database = Database(url, wait_seconds=wait_seconds, retry_seconds=retry_seconds, tell=tell, stop=stop)
        self._mine = JOBS.c.study == study

    @property
    def url(self) -> str:
        """The database's, with ``***`` for a password."""
        return self._database.shown

    @property
    def stop(self) -> Callable[[], bool]:
        """Asked while the database is away; once true, it is waited for 5 seconds only."""
        return self._database.stop

    @stop.setter
    def stop(self, value: Callable[[], bool]) -> None:
        self._database.stop = value

    def close(self) -> None:
        """Close the connections to the database."""
        self._database.close()

    def begin(self, plan: Mapping[str, Any], jobs: Iterable[Job]) -> None:
        """Write the study's plan and its jobs, once; those that are there already stay as they are.

        Raises:
            InputError: the database holds a study of this name with another plan; or two jobs have one key, a cost is
                not positive, or jobs wait for each other.
        """
        jobs = list(jobs)
        _check(jobs)
        text = _json(plan)

        def write(connection: Connection) -> None:
            connection.execute(self._database.insert(STUDIES), {"name": self.study, "plan": text, "version": VERSION})
            there = self._plan(connection)
            if there is not None and _json(there) != text:
                raise InputError(f"{self.url}: holds a study {self.study!r} with another plan: {_other(there, plan)}")
            first = connection.scalar(select(func.count()).select_from(JOBS).where(self._mine)) or 0
            rows = [
                {
                    "study": self.study,
                    "key": job.key,
                    "position": first + index,
                    "job_group": job.group,
                    "after_group": job.after,
                    "payload": _json(job.payload),
                    "cost": float(job.cost),
                    "together": job.together,
                }
                for index, job in enumerate(jobs)
            ]
            if rows:
                connection.execute(self._database.insert(JOBS), rows)

        self._database.ask(write, whole=True)

    def plan(self) -> dict[str, Any] | None:
        """Return the study's plan; ``None`` where the database has no such study.

        Raises:
            InputError: another version of adversarium wrote it.
        """
        return self._database.ask(self._plan)

    def _plan(self, connection: Connection) -> dict[str, Any] | None:
        row = connection.execute(select(STUDIES).where(STUDIES.c.name == self.study)).first()
        if row is None:
            return None
        require(
            row.version == VERSION,
            f"{self.url}: study {self.study!r} has tables of version {row.version}, of another version of "
            f"adversarium: this one reads version {VERSION}",
        )
        found: dict[str, Any] = json.loads(row.plan)
        return found

    def claim(self, worker: str, *, most: int = 1) -> list[Claim]:
        """Return up to ``most`` jobs of one group, now held by this worker; none where nothing can be done now.

        They are taken in the order in which they were written, once the group that they come after is done, and no
        more than any of them may have beside it (``Job.together``). A job whose worker died is handed out again, as
        often as it takes, and alone from the second such death on: ``Claim.deaths`` says how many there were, and
        whoever performs the job decides when that is its result.

        Args:
            worker: a name that no other worker has, of :func:`worker_name`.
            most: how many at once.
        """
        require(most >= 1, f"most is {most}: wanted at least 1")
        groups: dict[str, list[Any]] = {}
        for row in self._claimable():
            groups.setdefault(row.job_group, []).append(row)
        lots = [lot for rows in groups.values() for lot in _lots(rows, most)]
        for lot in sorted(lots, key=lambda lot: lot[0].position):
            if claims := self._take(worker, lot):
                return claims
        return []

    def _claimable(self) -> list[Any]:
        database = self._database
        later = case((JOBS.c.beat > database.up, JOBS.c.beat), else_=database.up)
        columns = (
            _DEATHS.label("deaths"),
            JOBS.c.position,
            JOBS.c.key,
            JOBS.c.job_group,
            JOBS.c.after_group,
            JOBS.c.state,
            JOBS.c.worker,
            JOBS.c.attempt,
        )
        query = (
            select(*columns, JOBS.c.together, (database.now - later).label("silence"))
            .where(self._mine, JOBS.c.state != "done")
            .order_by(JOBS.c.position)
        )
        rows: Sequence[Any] = database.ask(lambda connection: connection.execute(query).all())
        gone = {row.worker: is_gone(row.worker) for row in rows if row.state == "running"}
        unfinished = {row.job_group for row in rows}

        def is_free(row: Any) -> bool:
            if row.state == "waiting" or gone[row.worker]:
                return True
            return gone[row.worker] is None and row.silence > self.patience_seconds

        return [row for row in rows if row.after_group not in unfinished and is_free(row)]

    def _take(self, worker: str, rows: Sequence[Any]) -> list[Claim]:
        """Claim those of these jobs that are still as they were seen."""
        silent = JOBS.c.beat < self._database.now - self.patience_seconds
        as_seen = [
            and_(
                *(JOBS.c.key == row.key, JOBS.c.state == row.state),
                *(JOBS.c.worker == row.worker, JOBS.c.attempt == row.attempt),
                true() if row.state == "waiting" or is_gone(row.worker) else silent,
            )
            for row in rows
        ]
        taken = update(JOBS).where(self._mine, or_(*as_seen))
        taken = taken.values(
            state="running",
            worker=worker,
            attempt=JOBS.c.attempt + 1,
            deaths=_DEATHS,
            furthest=case((JOBS.c.progress > JOBS.c.furthest, JOBS.c.progress), else_=JOBS.c.furthest),
            before=JOBS.c.progress,
            began=self._database.now,
            beat=self._database.now,
        )
        attempts = {row.key: row.attempt + 1 for row in rows}
        held = select(JOBS).where(
            self._mine, JOBS.c.key.in_(list(attempts)), JOBS.c.state == "running", JOBS.c.worker == worker
        )

        def take(connection: Connection) -> Sequence[Any]:
            connection.execute(taken)
            # not the number of rows: where the answer got lost, the statement is repeated and finds none
            return connection.execute(held.order_by(JOBS.c.position)).all()

        found = self._database.ask(take)
        return [
            Claim(job=_job(row), worker=worker, attempt=row.attempt, errors=row.errors, deaths=row.deaths)
            for row in found
            if row.attempt == attempts[row.key]
        ]

    def beat(self, claims: Sequence[Claim], progress: Mapping[str, float]) -> list[str]:
        """Say that the worker lives and how far it is; return the keys of jobs that it no longer holds.

        Args:
            claims: what it holds.
            progress: from 0 to 1, by the jobs' keys; of those that are not in it, what was said before stays.
        """
        by_progress: dict[float | None, list[Claim]] = {}
        for claim in claims:
            share = progress.get(claim.job.key)
            by_progress.setdefault(None if share is None else min(max(share, 0.0), 1.0), []).append(claim)

        def write(connection: Connection) -> list[str]:
            beaten = 0
            for share, held in by_progress.items():
                values: dict[str, Any] = {"beat": self._database.now}
                if share is not None:  # an attempt may begin before where the one before it was seen last
                    before = case((JOBS.c.before > share, share), else_=JOBS.c.before)
                    values |= {"progress": share, "before": before}
                beaten += connection.execute(update(JOBS).where(self._held(held)).values(**values)).rowcount
            if beaten == len(claims):
                return []
            kept = set(connection.scalars(select(JOBS.c.key).where(self._held(claims))))
            return [claim.job.key for claim in claims if claim.job.key not in kept]

        return self._database.ask(write)

    def finish(self, claim: Claim, result: Mapping[str, Any]) -> bool:
        """Write a result; return whether it counts (it does not where another worker took the job over).

        Raises:
            ValueError: JSON cannot hold the result: it has a number that is not finite, say.
        """
        text, tries = _json(result), 0
        done = update(JOBS).where(self._held([claim]))
        done = done.values(state="done", result=text, progress=1.0, beat=self._database.now, ended=self._database.now)

        def write(connection: Connection) -> bool:
            nonlocal tries
            tries += 1
            if connection.execute(done).rowcount == 1:
                return True
            if tries == 1:
                return False
            # the answer to an earlier try may have got lost
            return (
                connection.scalar(select(JOBS.c.key).where(self._is(claim, "done"), JOBS.c.result == text)) is not None
            )

        return self._database.ask(write)

    def give_back(self, claims: Sequence[Claim], *, counted: bool = False) -> None:
        """Return jobs that were not done to those that wait.

        Args:
            claims: what the worker holds; jobs that it lost stay as they are.
            counted: whether the attempt counts, as one with an error.
        """
        if not claims:
            return
        values: dict[str, Any] = {"state": "waiting", "worker": ""}
        if counted:
            values["errors"] = JOBS.c.errors + 1
        else:
            values["attempt"] = JOBS.c.attempt - 1
        back = update(JOBS).where(self._held(claims)).values(**values)
        self._database.ask(lambda connection: connection.execute(back).rowcount)

    def standings(self, *, results: bool = True) -> list[JobState]:
        """Return how all jobs stand, in the order in which they were written.

        Args:
            results: whether with their results, which are long; without, ``result`` is ``None``.
        """
        ended = case((JOBS.c.state == "done", JOBS.c.ended), else_=self._database.now)
        columns = [each for each in JOBS.c if results or each.name != "result"]
        query = select(*columns, (ended - JOBS.c.began).label("seconds")).where(self._mine).order_by(JOBS.c.position)
        rows: Sequence[Any] = self._database.ask(lambda connection: connection.execute(query).all())
        claimed = Counter((row.worker, row.began) for row in rows if row.state != "waiting")
        return [
            JobState(
                job=_job(row),
                state=row.state,
                worker=row.worker,
                attempt=row.attempt,
                progress=row.progress,
                seconds=0.0 if row.state == "waiting" else max(row.seconds, 0.0),
                result=json.loads(row.result) if results and row.result is not None else None,
                before=row.before,
                together=max(claimed[row.worker, row.began], 1),
            )
            for row in rows
        ]

    def results(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the results of those of these jobs that are done, by key."""
        query = select(JOBS.c.key, JOBS.c.result).where(self._mine, JOBS.c.key.in_(list(keys)), JOBS.c.state == "done")
        rows = self._database.ask(lambda connection: connection.execute(query).all())
        return {row.key: json.loads(row.result) for row in rows}

    def repeat(self, work: Callable[[], Any]) -> Any:
        """Return what ``work`` does, which another library asks this database by; done again as every statement is."""
        return self._database.repeat(work)

    def left(self) -> int:
        """Return how many jobs are not done."""
        query = select(func.count()).select_from(JOBS).where(self._mine, JOBS.c.state != "done")
        return self._database.ask(lambda connection: connection.scalar(query)) or 0

    def _is(self, claim: Claim, state: State) -> Any:
        """Return the condition of a job that this very claim holds, or did."""
        who = (JOBS.c.worker == claim.worker, JOBS.c.attempt == claim.attempt)
        return and_(self._mine, JOBS.c.key == claim.job.key, JOBS.c.state == state, *who)

    def _held(self, claims: Sequence[Claim]) -> Any:
        """Return the condition of jobs that are still held by these very claims."""
        return or_(*(self._is(claim, "running") for claim in claims))


def _lots(rows: Sequence[Any], most: int) -> Iterator[list[Any]]:
    """Cut jobs of a group into lots of which each may be held at once."""
    lot: list[Any] = []
    for row in rows:
        if lot and len(lot) >= min(most, *(_together(each) for each in [*lot, row])):
            yield lot
            lot = []
        lot.append(row)
    if lot:
        yield lot


def _together(row: Any) -> int:
    """Return how many jobs may be held beside this one: none, where one of them keeps killing their worker."""
    return 1 if row.deaths >= 2 else int(row.together)


def _job(row: Any) -> Job:
    return Job(
        key=row.key,
        group=row.job_group,
        after=row.after_group,
        payload=json.loads(row.payload),
        cost=row.cost,
        together=row.together,
    )


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _other(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Name what differs between two plans."""
    plain = json.loads(_json(here))
    names = [name for name in sorted({*there, *plain}) if there.get(name) != plain.get(name)]
    return "; ".join(f"{name} is {there.get(name)!r} there, and {plain.get(name)!r} here" for name in names)


def _check(jobs: Sequence[Job]) -> None:
    keys: set[str] = set()
    for job in jobs:
        require(job.key not in keys, f"two jobs have the key {job.key!r}: wanted one each")
        keys.add(job.key)
        fits = math.isfinite(job.cost) and job.cost > 0
        require(fits, f"job {job.key!r}: cost is {job.cost:g}: wanted a positive number")
        require(job.together >= 1, f"job {job.key!r}: together is {job.together}: wanted at least 1")
    left, groups = jobs, {job.group for job in jobs}
    while groups:
        stuck = {job.group for job in left if job.after in groups}
        require(stuck != groups, f"jobs of {', '.join(sorted(groups))} wait for each other: none could begin")
        left, groups = [job for job in left if job.group in stuck], stuck
