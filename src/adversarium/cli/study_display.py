"""What a person sees while a study runs: a row for each method, a cell for each run, and when it will be done."""

import math
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from adversarium.study.wording import duration, plural

if TYPE_CHECKING:
    from adversarium.study.conduct import Study
    from adversarium.study.jobs import JobState
    from adversarium.study.outlook import Outlook
    from adversarium.study.progress import Progress

SECONDS_BETWEEN_LINES = 15.0

_DONE, _FAILED, _RUNNING, _WAITING, _TRIED = "■", "×", "◧", "·", "▪"
_PLAIN = str.maketrans({_DONE: "#", _FAILED: "x", _RUNNING: ">", _WAITING: ".", _TRIED: "+"})


class Display:
    """Shows a study: in a terminal a table that moves, elsewhere a line now and then.

    Args:
        console: where to (default: standard error).
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr, highlight=False, markup=False)
        self._plain = not self._console.encoding.startswith("utf")
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._study: Study | None = None
        self._last_line, self._last_text = -math.inf, ""
        self._failed: dict[str, bool] = {}
        self._methods: list[str] = []
        self._decodes = False

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._live.stop()

    def tell(self, message: str) -> None:
        """Print a sentence."""
        self._console.print(message, soft_wrap=True)

    def doing(self, what: str) -> None:
        """Show in a terminal what is being done, until the next is said or :meth:`done`."""
        if self._console.is_terminal:
            self._live.start()
            self._live.update(Text(what, "dim", no_wrap=True, overflow="ellipsis"), refresh=True)

    def done(self) -> None:
        """Show no more what is being done."""
        self._live.stop()

    def decoding(self, done: int, total: int) -> None:
        """Show how many image files are decoded; where there is no terminal, say once that they will be."""
        self.doing(f"decoding image files: {done:,} of {total:,}")
        if not self._console.is_terminal and not self._decodes:
            self.tell(f"decoding {total:,} image files")
        self._decodes = True

    def trial(self, methods: Sequence[str]) -> None:
        """Say that methods will be tried out."""
        self._methods = list(methods)
        self.tell(f"trying each of {plural(len(methods), 'method')} for a moment")

    def trying(self, method: str) -> None:
        """Show which method is tried out."""
        where = f" ({self._methods.index(method) + 1} of {len(self._methods)})" if method in self._methods else ""
        self.doing(f"a few steps of {method}{where}")

    def outlook(self, study: "Study", data: str, outlook: "Outlook") -> None:
        """Say what will be done, what cannot come of it, and about how long it will take."""
        from adversarium.study.outlook import too_few_seeds

        self.done()
        plan = study.plan
        runs = len(plan.methods) * len(plan.seeds)
        trials = f" after {plan.trials} trials of each" if plan.trials else ""
        self.tell(
            f"{plural(len(plan.methods), 'method')} on {data}, {plural(len(plan.seeds), 'seed')}, {plan.budget} each"
            f"{trials}: {plural(runs, 'run')}, ranked by {plan.protocol}; folder {study.folder}"
        )
        stacked = [each for each in outlook.prospects if each.together > 1]
        if stacked:
            self.tell(
                f"runs are trained together: {stacked[0].together} seeds at once of {plural(len(stacked), 'method')}"
            )
        wanted = too_few_seeds(plan)
        if wanted:
            self.tell(
                f"with {plural(len(plan.seeds), 'seed')} no two of {len(plan.methods)} methods can be told apart, "
                f"whatever their numbers: that takes {wanted}"
            )
        self.tell(f"{_about(outlook.seconds)} with {plural(outlook.workers, 'worker')}")

    @contextmanager
    def running(self, study: "Study") -> Iterator[None]:
        """Show a study while it runs."""
        self._study = study
        if self._console.is_terminal:
            self._live.start()
        try:
            yield
        finally:
            self._live.stop()

    def progress(self, progress: "Progress") -> None:
        """Show how far it is."""
        assert self._study is not None
        left = "" if progress.eta_seconds is None else f", {_about(progress.eta_seconds)} left"
        failed = f" ({progress.failed} failed)" if progress.failed else ""
        now = [f"{len(progress.running)} running"] if progress.running or not progress.starting else []
        now += [f"starting {plural(progress.starting, 'worker')}"] if progress.starting else []
        if progress.done == progress.jobs:
            now, left = [], "; writing the report"
        standing = ", ".join([f"{progress.done} of {progress.jobs} done{failed}", *now])
        text = f"{standing}; {_time(progress.elapsed_seconds)}{left}"
        if self._console.is_terminal:
            # padded by nothing: a bar alone does not end its line
            bar = Padding(ProgressBar(total=1.0, completed=progress.share, width=max(10, self._console.width - 2)), 0)
            states = self._study.jobs.standings(results=False)
            self._live.update(Group(self._table(states), bar, Text(text)), refresh=True)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES or progress.done == progress.jobs:
            self._last_line = time.monotonic()
            if text != self._last_text:
                self.tell(text)
            self._last_text = text

    def _failures(self, states: Sequence["JobState"]) -> set[str]:
        """Return the keys of jobs that failed: a result is long, and read once."""
        assert self._study is not None
        new = [each.job.key for each in states if each.state == "done" and each.job.key not in self._failed]
        if new:
            self._failed |= {key: bool(found.get("why")) for key, found in self._study.jobs.results(new).items()}
        return {key for key, failed in self._failed.items() if failed}

    def _table(self, states: Sequence["JobState"]) -> Table:
        failed = self._failures(states)
        rows: dict[str, list[tuple[str, str]]] = {}
        for each in states:
            rows.setdefault(each.job.payload["method"], []).append(_cell(each, each.job.key in failed))
        width = min(max(map(len, rows), default=0), max(10, self._console.width // 3))
        table = Table.grid(padding=(0, 1))
        table.add_column(width=width, no_wrap=True, overflow="ellipsis")
        table.add_column(no_wrap=True)
        room = self._console.width - width - 1
        for method, cells in rows.items():
            table.add_row(Text(method, overflow="ellipsis", no_wrap=True), self._row(cells, room))
        return table

    def _row(self, cells: Sequence[tuple[str, str]], room: int) -> Text:
        """Return a cell for each job, or where there is no room how many there are of each kind."""
        if len(cells) > room:
            counts = Counter(cells)
            cells = [(f"{mark}{count} ", style) for (mark, style), count in counts.items()]
        text = Text(no_wrap=True, overflow="ellipsis")
        for mark, style in cells:
            text.append(mark.translate(_PLAIN) if self._plain else mark, style)
        return text


def _time(seconds: float) -> str:
    """Return a time that one may watch go by: ``1 min 40 s`` below ten minutes, and then ``12 min``."""
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02} s" if 60 <= whole < 600 else duration(seconds, rough=True)


def _about(seconds: float) -> str:
    """Return an estimate: from a minute on in tens of seconds, for no more is known."""
    return f"about {_time(seconds if seconds < 60 else 10 * round(seconds / 10))}"


def _cell(state: "JobState", failed: bool) -> tuple[str, str]:
    if state.state == "waiting":
        return _WAITING, "dim"
    if state.state == "running":
        return _RUNNING, "yellow"
    if state.job.payload["kind"] == "trial":
        return _TRIED, "cyan"
    return (_FAILED, "bold red") if failed else (_DONE, "green")
