"""A study in a folder and a database: begun, gone on with, joined from another machine, and reported."""

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from adversarium.data import DATASETS, Source, splits
from adversarium.data.source import some_of
from adversarium.errors import InputError, require
from adversarium.files import atomic_write
from adversarium.metrics.protocols import Protocol
from adversarium.study.compare import compare
from adversarium.study.comparison import Comparison
from adversarium.study.jobs import Jobs
from adversarium.study.material import open_source
from adversarium.study.outlook import Outlook, jobs_of
from adversarium.study.perform import Performer
from adversarium.study.plan import Plan
from adversarium.study.record import Record
from adversarium.study.report import write_report
from adversarium.study.run import IMAGES, POINTS, trial_key
from adversarium.study.search import Search
from adversarium.study.wording import plural

STORAGE = "ADVERSARIUM_STORAGE"
"""The environment variable that tells workers a database's address, which may hold a password."""


class Study:
    """A study.

    Args:
        folder: where its runs and its report go.
        plan: what it compares.
        url: its database.
        name: its name there.
        wait_seconds: how long a database that does not answer is waited for.
        stop: asked meanwhile, as :class:`~adversarium.study.jobs.Jobs` has it.

    Raises:
        InputError: the database cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        url: str,
        name: str,
        *,
        wait_seconds: float = 0.0,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.folder, self.plan, self.name = folder, plan, name
        self.jobs = Jobs(url, name, wait_seconds=wait_seconds, stop=stop)
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
            name: its name there (default: the folder's, or that of the study in it).

        Raises:
            InputError: the folder holds something else, or a study of another plan, another name or another database;
                the database cannot be used.
        """
        name = name or name_of(folder)
        refuse_other(folder, plan, name=name, own_database=url is None)
        made = [each for each in (folder, *folder.absolute().parents) if not each.exists()]
        try:
            if url is None:
                folder.mkdir(parents=True, exist_ok=True)
            study = cls(folder, plan, url or _own_database(folder), name)
            if plan.trials:
                for method in plan.methods:  # before workers are, who would all make them at once
                    if method.search:
                        Search(study.url, name, plan, method, again=study.jobs.repeat)
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
    def open(
        cls,
        folder: Path,
        *,
        url: str | None = None,
        wait_seconds: float = 0.0,
        stop: Callable[[], bool] = lambda: False,
    ) -> "Study":
        """Open the study in a folder.

        Args:
            folder: its own.
            url: its database, where that is not in the folder.
            wait_seconds: how long a database that does not answer is waited for.
            stop: asked meanwhile.

        Raises:
            InputError: there is none; its database is elsewhere and its address is not given.
        """
        values = _read(folder)
        if url is None:
            url = _own_database(folder) if values["own_database"] else os.environ.get(STORAGE)
        require(url is not None, f"{folder}: its database is not in it: add --storage URL")
        assert url is not None
        plan = Plan.from_dict(values["plan"])
        study = cls(folder, plan, url, values["name"], wait_seconds=wait_seconds, stop=stop)
        require(study.jobs.plan() is not None, f"{study.jobs.url}: holds no study {study.name!r}: its runs are lost")
        return study

    @classmethod
    def join(cls, folder: Path, *, url: str, name: str) -> "Study":
        """Open a study that was begun elsewhere, with a folder here for the runs that are done here.

        Raises:
            InputError: the database has no such study; its data are not here; the folder holds something else.
        """
        found = Jobs(url, name).plan()
        require(found is not None, f"the database has no study {name!r}")
        assert found is not None
        plan = Plan.from_dict(found)
        refuse_other(folder, plan, name=name, own_database=False)
        here = plan.data in DATASETS or Path(plan.data).exists()
        require(here, f"the study's data are {plan.data}, which is not here: wanted the same data at the same path")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write_json(folder / "study.json", {"name": name, "own_database": False, "plan": plan.as_dict()})
        except OSError as error:
            raise InputError(f"--out {folder}: cannot be made ({error.strerror or error})") from None
        return cls(folder, plan, url, name)

    def performer(self, *, device: str = "auto") -> Performer:
        """Return what does its jobs in this process."""
        return Performer(
            self.plan,
            self.folder,
            url=self.url,
            name=self.name,
            chosen=self.trials,
            again=self.jobs.repeat,
            device=device,
        )

    @property
    def go_on(self) -> str:
        """The command that goes on with it; without the password of a shared database."""
        shared = "" if self.url == _own_database(self.folder) else f" --storage {shlex.quote(self.jobs.url)}"
        return f"adversarium study --resume {shlex.quote(str(self.folder))}{shared}"

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
        methods, runs = {each.method for each in records}, len(self.plan.methods) * len(self.plan.seeds)
        require(
            len(methods) > 1,
            f"{self.folder}: {len(records)} of {runs} runs are done, of {plural(len(methods), 'method')}: too few to "
            f"compare; go on with: {self.go_on}",
        )
        return compare(
            records,
            protocol=self.plan.protocol,
            better=metric.better,
            level=self.plan.level,
            floor=next((each.floor for each in records if each.floor is not None), None),
            plan=self.plan,
        )

    def report(self, source: Source | None = None, *, tell: Callable[[str], None] = lambda message: None) -> Path:
        """Write the report of the runs that have ended; return its page.

        Args:
            source: the data, where they are open already.
            tell: told where they are not here, so that the report has no real samples.

        Raises:
            InputError: too few of them have.
        """
        compared = self.compared()
        try:
            real = real_samples(self.plan, source if source is not None else open_source(self.plan))
        except InputError as error:
            real = None
            tell(f"the report is without real samples: {error}")
        chosen = {method.name: self.trials(method.name) for method in self.plan.methods if method.search}
        return write_report(self.folder, self.plan, self.records(), compared, chosen=chosen, real=real)


def real_samples(plan: Plan, source: Source) -> npt.NDArray[Any] | None:
    """Return a few real samples that no run was trained on, as a record keeps samples; ``None`` where there are none.

    Raises:
        InputError: the data cannot be read.
    """
    _, test = splits(source, plan.hold_out)
    if test is None:
        return None
    if source.codec.is_image:
        return some_of(test, IMAGES, seed=0).numpy()
    return some_of(test, POINTS, seed=0).float().numpy()


def name_of(folder: Path) -> str:
    """Return the name of the study in a folder, or that which a new one has there."""
    if (folder / "study.json").is_file():
        return str(_read(folder)["name"])
    return folder.resolve().name


def try_database(url: str, name: str, plan: Plan) -> None:
    """Refuse a database that cannot be used, or that has another study of this name: before anything is tried.

    Raises:
        InputError: as said.
    """
    jobs = Jobs(url, name)
    if jobs.plan() is not None:
        jobs.begin(plan.as_dict(), [])  # says what differs
    jobs.close()


def refuse_other(folder: Path, plan: Plan, *, name: str, own_database: bool) -> None:
    """Refuse a folder that holds anything but this study.

    Args:
        folder: where the study is to be.
        plan: its plan.
        name: its name.
        own_database: whether its database is in the folder.

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
    values = _read(folder)
    theirs, ours = Plan.from_dict(values["plan"]).as_dict(), plan.as_dict()
    theirs |= {"name": values["name"], "own_database": bool(values["own_database"])}
    ours |= {"name": name, "own_database": own_database}
    odd = [each for each in ours if ours[each] != theirs[each]]
    if odd:
        raise InputError(
            f"--out {folder}: holds another study: {'; '.join(_differs(each, theirs, ours) for each in odd)}. "
            f"Go on with that one: adversarium study --resume {folder}; or give another --out"
        )


def _differs(name: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    if name == "methods":
        there, here = ({each["name"]: each for each in values[name]} for values in (theirs, ours))
        odd = [each for each in {**there, **here} if there.get(each) != here.get(each)]
        return f"methods ({', '.join(odd)})" if odd else "the methods' order"
    if name == "own_database":
        words = ["in its folder" if values[name] else "elsewhere (--storage)" for values in (theirs, ours)]
        return f"the database is {words[0]} there, and {words[1]} here"
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
