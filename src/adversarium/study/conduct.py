"""A study in a folder and a database: begun, gone on with, joined from another machine, and reported."""

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adversarium.errors import InputError, require
from adversarium.files import atomic_write
from adversarium.metrics.protocols import Protocol
from adversarium.study.compare import Comparison, compare
from adversarium.study.jobs import Jobs
from adversarium.study.outlook import Outlook, jobs_of
from adversarium.study.plan import Plan
from adversarium.study.record import Record
from adversarium.study.report import write_report
from adversarium.study.run import Performer, trial_key
from adversarium.study.search import Search

STORAGE = "ADVERSARIUM_STORAGE"
"""The environment variable that tells workers a database's address, which may hold a password."""


class Study:
    """A study.

    Args:
        folder: where its runs and its report go.
        plan: what it compares.
        url: its database.
        name: its name there.

    Raises:
        InputError: the database cannot be used.
    """

    def __init__(self, folder: Path, plan: Plan, url: str, name: str) -> None:
        self.folder, self.plan, self.name = folder, plan, name
        self.jobs = Jobs(url, name)
        # for Optuna too, which would take another driver
        self.url = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)

    @classmethod
    def begin(
        cls,
        folder: Path,
        plan: Plan,
        outlook: Outlook,
        *,
        url: str | None = None,
        name: str | None = None,
    ) -> "Study":
        """Begin a study, or go on with the same one.

        Args:
            folder: its own.
            plan: what it compares.
            outlook: what is known of its methods.
            url: a database that several machines reach (default: a file in the folder).
            name: its name there (default: the folder's).

        Raises:
            InputError: the folder holds something else, or a study of another plan; the database cannot be used.
        """
        refuse_other(folder, plan)
        name = name or folder.resolve().name
        made = [each for each in (folder, *folder.absolute().parents) if not each.exists()]
        try:
            if url is None:
                folder.mkdir(parents=True, exist_ok=True)
            study = cls(folder, plan, url or _own_database(folder), name)
            if plan.trials:
                for method in plan.methods:  # before workers are, who would all make them at once
                    if method.search:
                        Search(study.url, name, plan, method)
            study.jobs.begin(plan.as_dict(), jobs_of(plan, outlook.prospects))
            folder.mkdir(parents=True, exist_ok=True)
            _write_json(folder / "study.json", {"name": name, "own_database": url is None, "plan": plan.as_dict()})
        except BaseException as error:
            for each in made:
                if each.is_dir() and not any(each.iterdir()):
                    each.rmdir()
            if isinstance(error, OSError):
                raise InputError(f"--out {folder}: cannot be made ({error.strerror or error})") from None
            raise
        return study

    @classmethod
    def open(cls, folder: Path, *, url: str | None = None) -> "Study":
        """Open the study in a folder.

        Raises:
            InputError: there is none; its database is elsewhere and its address is not given.
        """
        values = _read(folder)
        if url is None:
            url = _own_database(folder) if values["own_database"] else os.environ.get(STORAGE)
        require(url is not None, f"{folder}: its database is not in it: add --storage URL")
        assert url is not None
        study = cls(folder, Plan.from_dict(values["plan"]), url, values["name"])
        require(study.jobs.plan() is not None, f"{study.jobs.url}: holds no study {study.name!r}: its runs are lost")
        return study

    @classmethod
    def join(cls, folder: Path, *, url: str, name: str) -> "Study":
        """Open a study that was begun elsewhere, with a folder here for the runs that are done here.

        Raises:
            InputError: the database has no such study; the folder holds something else.
        """
        found = Jobs(url, name).plan()
        require(found is not None, f"the database has no study {name!r}")
        assert found is not None
        plan = Plan.from_dict(found)
        refuse_other(folder, plan)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write_json(folder / "study.json", {"name": name, "own_database": False, "plan": plan.as_dict()})
        except OSError as error:
            raise InputError(f"--out {folder}: cannot be made ({error.strerror or error})") from None
        return cls(folder, plan, url, name)

    def performer(self, *, device: str = "auto") -> Performer:
        """Return what does its jobs in this process."""
        return Performer(self.plan, self.folder, url=self.url, name=self.name, chosen=self.trials, device=device)

    @property
    def go_on(self) -> str:
        """The command that goes on with it."""
        return f"adversarium study --resume {shlex.quote(str(self.folder))}"

    def command(self, *, device: str = "auto") -> list[str]:
        """Return the command of a worker, who finds the address of a shared database in :data:`STORAGE`."""
        return [sys.executable, "-m", "adversarium", "study", "--work", str(self.folder), "--device", device]

    def trials(self, method: str) -> list[Mapping[str, Any]]:
        """Return the results of a method's trials so far, in their order."""
        keys = [trial_key(method, number) for number in range(self.plan.trials)]
        found = self.jobs.results(keys)
        return [found[key] for key in keys if key in found]

    def records(self) -> list[Record]:
        """Return the runs that have ended, by method in the plan's order, then by seed."""
        found = [
            Record.from_dict(each.result)
            for each in self.jobs.standings()
            if each.result is not None and each.job.payload["kind"] == "run"
        ]
        order = {method.name: number for number, method in enumerate(self.plan.methods)}
        return sorted(found, key=lambda record: (order[record.method], record.seed))

    def compared(self) -> Comparison:
        """Compare the runs that have ended.

        Raises:
            InputError: too few of them have.
        """
        metric, records = Protocol.parse(self.plan.protocol).metric, self.records()
        return compare(
            records,
            protocol=self.plan.protocol,
            better=metric.better,
            level=self.plan.level,
            floor=next((each.floor for each in records if each.floor is not None), None),
        )

    def report(self) -> Path:
        """Write the report of the runs that have ended; return its page.

        Raises:
            InputError: too few of them have.
        """
        chosen = {method.name: self.trials(method.name) for method in self.plan.methods if method.search}
        return write_report(self.folder, self.plan, self.records(), self.compared(), chosen=chosen)


def refuse_other(folder: Path, plan: Plan) -> None:
    """Refuse a folder that holds anything but this study.

    Raises:
        InputError: as said; names what differs from the study that it holds.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder}: is a file; wanted a new or empty folder")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / "study.json").is_file():
        if all(each.name.startswith("study.db") for each in folder.iterdir()):
            return  # of a study that was killed before its first run
        raise InputError(f"--out {folder}: holds something that is no study; wanted a new or empty folder")
    theirs, ours = Plan.from_dict(_read(folder)["plan"]).as_dict(), plan.as_dict()
    odd = [name for name in ours if ours[name] != theirs[name]]
    if odd:
        raise InputError(
            f"--out {folder}: holds another study: {'; '.join(_differs(name, theirs, ours) for name in odd)}. "
            f"Go on with that one: adversarium study --resume {folder}; or give another --out"
        )


def _differs(name: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    if name == "methods":
        there, here = ({each["name"]: each for each in values[name]} for values in (theirs, ours))
        odd = [each for each in {**there, **here} if there.get(each) != here.get(each)]
        return f"methods ({', '.join(odd)})" if odd else "the methods' order"
    return f"{name} is {theirs[name]!r} there, and {ours[name]!r} here"


def _own_database(folder: Path) -> str:
    return f"sqlite:///{(folder / 'study.db').resolve()}"


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "study.json"
    if not path.is_file():
        raise InputError(f"{folder}: holds no study (there is no study.json)")
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        missing = {"name", "own_database", "plan"} - values.keys()
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: cannot be read as a study: {error}") from None
    require(not missing, f"{path}: lacks {', '.join(sorted(missing))}")
    return values


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    with atomic_write(path) as stream:
        stream.write(json.dumps(values, indent=2).encode() + b"\n")
