"""A study's database: how it is opened, its tables and its clock, and what is tried again when it is away."""

import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from adversarium.errors import InputError, require

try:
    from sqlalchemy import (
        Column,
        Connection,
        Double,
        Integer,
        MetaData,
        String,
        Table,
        Text,
        create_engine,
        event,
        inspect,
        literal_column,
        update,
    )
    from sqlalchemy.dialects import postgresql, sqlite
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "sqlalchemy":
        raise
    raise InputError("a study needs an extra: pip install 'adversarium[study]'") from error

Value = TypeVar("Value")

VERSION = 1
"""Of the tables. Another one is another study's."""

WANTED = "wanted sqlite:///FOLDER/study.db (a file), or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"

TABLES = MetaData()

STUDIES = Table(
    "adversarium_studies",
    TABLES,
    Column("name", String, primary_key=True),
    Column("plan", Text, nullable=False),
    Column("version", Integer, nullable=False),
)

JOBS = Table(
    "adversarium_jobs",
    TABLES,
    Column("study", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("job_group", String, nullable=False),
    Column("after_group", String, nullable=False),
    Column("payload", Text, nullable=False),
    Column("cost", Double, nullable=False),
    Column("together", Integer, nullable=False),
    Column("state", String, nullable=False, default="waiting"),
    Column("worker", String, nullable=False, default=""),
    Column("attempt", Integer, nullable=False, default=0),
    Column("errors", Integer, nullable=False, default=0),
    Column("deaths", Integer, nullable=False, default=0),  # of its workers, since it got further than ever
    Column("furthest", Double, nullable=False, default=0.0),  # that the workers got that died
    Column("progress", Double, nullable=False, default=0.0),
    Column("before", Double, nullable=False, default=0.0),  # the progress that this attempt began with
    Column("began", Double),  # seconds of the database's clock
    Column("beat", Double),
    Column("ended", Double),
    Column("result", Text),
)

_CLOCKS = {
    "sqlite": ("(julianday('now') - 2440587.5) * 86400.0", "0.0"),
    "postgresql": tuple(
        f"CAST(EXTRACT(EPOCH FROM {each}()) AS DOUBLE PRECISION)"
        for each in ("statement_timestamp", "pg_postmaster_start_time")
    ),
}

_RESTARTING = ("starting up", "shutting down", "too many clients", "connection slots", "recovery mode")
_STATES = ("40001", "40P01", "53300", "55P03", "57P01", "57P02", "57P03", "57P05")
"""PostgreSQL's codes of what passes: a deadlock, a lock, too many connections, a server that goes or comes."""


class StudyStoppedError(RuntimeError):
    """A study stopped before its end; the message says why. What is done is kept, and it can be gone on with."""


class Database:
    """A database that holds this package's tables, and is asked again where trouble may pass.

    Args:
        url: as :class:`~adversarium.study.jobs.Jobs` takes it.
        wait_seconds: how long a server may be away when it is opened.
        retry_seconds: how long it may be away later.
        tell: told when it is away, and when it is back.
        stop: asked while it is away; then it is waited for 5 seconds only.

    Attributes:
        shown: its name without its password.
        now: its clock, in seconds, as a column; one value in a statement.
        up: since when it is up, likewise.
    """

    def __init__(
        self,
        url: str,
        *,
        wait_seconds: float,
        retry_seconds: float,
        tell: Callable[[str], None],
        stop: Callable[[], bool],
    ) -> None:
        parsed = _parsed(url)
        self.shown = _hidden(parsed.render_as_string(hide_password=True))
        self.dialect = parsed.get_backend_name()
        self.stop = stop
        self._password = str(parsed.password or "")
        self._retry_seconds, self._tell = wait_seconds, tell
        self._opened = False
        self._pauses = random.Random()
        now, up = _CLOCKS[self.dialect]
        self.now: Any = literal_column(f"({now})", Double())
        self.up: Any = literal_column(f"({up})", Double())
        settings = {name: value for name, value in _SETTINGS[self.dialect].items() if name not in parsed.query}
        try:
            self._engine = create_engine(parsed, isolation_level="AUTOCOMMIT", connect_args=settings)
        except ImportError as error:
            raise InputError(
                f"{self.shown}: needs an extra: pip install 'adversarium[postgresql]' ({error})"
            ) from error
        if self.dialect == "sqlite":
            event.listen(self._engine, "connect", _set_up_sqlite)
        try:
            self.ask(self._prepare)
        except BaseException:
            self.close()
            raise
        self._opened, self._retry_seconds = True, retry_seconds

    def insert(self, table: Table) -> Any:
        """Return a statement that inserts what is not there yet."""
        kind = sqlite.insert if self.dialect == "sqlite" else postgresql.insert
        return kind(table).on_conflict_do_nothing()

    def ask(self, work: Callable[[Connection], Value], *, whole: bool = False) -> Value:
        """Return what ``work`` does with a connection; done again from its start where trouble may pass.

        Args:
            work: statements that may be repeated after the answer to one of them was lost.
            whole: whether all of them count or none does.

        Raises:
            InputError: the database cannot be used at all (while it is opened).
            StudyStoppedError: likewise, later; or it was away for too long.
        """

        def once() -> Value:
            with self._engine.connect() as connection:
                if not whole:
                    return work(connection)
                with connection.execution_options(isolation_level="SERIALIZABLE").begin():
                    return work(connection)

        return self.repeat(once)

    def repeat(self, work: Callable[[], Value]) -> Value:
        """Return what ``work`` does, whatever it asks this database by; done again as in :meth:`ask`."""
        began, pause, told = time.monotonic(), 0.05, False
        while True:
            try:
                value = work()
            except Exception as raised:
                error = raised if isinstance(raised, DBAPIError) else raised.__cause__
                if not isinstance(error, DBAPIError):
                    raise
                waited = time.monotonic() - began
                if not self._may_pass(error, waited):
                    raise self._named(error, waited) from raised
                if waited + pause > 1.0 and not told:
                    told = True
                    minutes = self._retry_seconds / 60
                    self._tell(
                        f"{self.shown}: {self._said(error)}; it is asked again, for up to {minutes:.2g} minutes"
                    )
                time.sleep(pause * self._pauses.uniform(0.5, 1.0))
                pause = min(2 * pause, 5.0)
            else:
                if told:
                    self._tell(f"{self.shown}: is back")
                return value

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()

    def _prepare(self, connection: Connection) -> None:
        """Make the tables where there are none, and see that they can be written."""
        if self.dialect == "sqlite":
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")  # readers and a writer at once
        for table in TABLES.sorted_tables:
            if not inspect(connection).has_table(table.name):
                try:
                    table.create(connection)
                except DBAPIError:
                    if not inspect(connection).has_table(table.name):
                        raise  # not another process that was faster
            connection.execute(update(table).where(literal_column("1") == 0).values({table.c[0]: ""}))

    def _may_pass(self, error: DBAPIError, waited: float) -> bool:
        text, code = str(error.orig), getattr(error.orig, "sqlstate", None)
        if waited > (min(5.0, self._retry_seconds) if self.stop() else self._retry_seconds):
            # what passes by itself in a moment is waited for when a database is opened, too
            return not self._opened and waited < 10.0 and not self.stop() and _is_short(text, code)
        if self.dialect == "sqlite":
            return _is_short(text, code)
        if code is not None:
            return code[:2] == "08" or code in _STATES
        away = isinstance(error, OperationalError | InterfaceError)
        final = not self._opened and ("does not exist" in text or "password" in text or "resolve" in text)
        return away and not final

    def _named(self, error: DBAPIError, waited: float) -> Exception:
        said = self._said(error)
        if not self._opened:
            return InputError(f"{self.shown}: cannot be used ({said}): {WANTED} that can be written")
        if "disk is full" in said or getattr(error.orig, "sqlstate", None) == "53100":
            return StudyStoppedError(f"{self.shown}: no space is left ({said}): free some, then go on")
        after = f" after {waited:.0f} seconds of trying" if waited > 1 else ""
        return StudyStoppedError(f"{self.shown}: cannot be used any more{after} ({said})")

    def _said(self, error: DBAPIError) -> str:
        """Return the driver's words in a line, without the password."""
        text = " ".join(str(error.orig).split())
        return text.replace(self._password, "***") if self._password else text


def _is_short(text: str, code: str | None) -> bool:
    """Return whether this passes by itself in a moment: a lock of SQLite's, a server that is just starting."""
    return "locked" in text or "busy" in text or code in _STATES or any(each in text for each in _RESTARTING)


_SETTINGS: dict[str, dict[str, Any]] = {
    "sqlite": {"timeout": 30.0},  # for a lock, in the driver; after that it is asked again from here
    "postgresql": {
        "connect_timeout": 10,
        "keepalives_idle": 30,  # a cable that was pulled is noticed within a minute or so
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
        "application_name": "adversarium",
    },
}


def _parsed(text: str) -> URL:
    """Return the URL of one of the two kinds of databases.

    Raises:
        InputError: another kind, another driver, no URL at all, a folder that is missing.
    """
    shown = _hidden(re.sub(r"://([^:/@]*):.*@", r"://\1:***@", text))
    try:
        url = make_url(text)
        kind, driver = url.get_backend_name(), url.drivername.partition("+")[2]
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise InputError(f"database {shown!r}: is not the URL of one: {WANTED}") from None
    if url.drivername == "postgres":  # as some tools write it
        kind, driver = "postgresql", ""
    if kind == "postgresql":
        require(driver in ("", "psycopg"), f"database {shown!r}: driver {driver!r}: {WANTED}")
        require(bool(url.database), f"database {shown!r}: names no database: {WANTED}")
        given = url.query.get("password")  # counts for more than the one before the host
        if given is not None:
            url = url.set(password=given if isinstance(given, str) else given[-1])
        return url.difference_update_query(["password"]).set(drivername="postgresql+psycopg")
    require(kind == "sqlite" and driver in ("", "pysqlite"), f"database {shown!r}: is of another kind: {WANTED}")
    name = url.database or ""
    memory = name in ("", ":memory:") or "mode=memory" in name or url.query.get("mode") == "memory"
    require(not memory, f"database {shown!r}: is in memory, where no other process sees it: {WANTED}")
    if not name.startswith("file:"):
        path = Path(name).absolute()
        require(path.parent.is_dir(), f"database {shown!r}: there is no folder {path.parent}: {WANTED}")
        require(not path.is_dir(), f"database {shown!r}: {path} is a folder: {WANTED}")
    return url


def _hidden(text: str) -> str:
    """Return a URL without the passwords in its query."""
    return re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", text)


def _set_up_sqlite(connection: Any, record: object) -> None:
    # a power cut may take the last commits back, never half of one; such a job goes on from its checkpoint
    connection.execute("PRAGMA synchronous=NORMAL").close()
