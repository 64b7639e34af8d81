"""What a person sees while a study runs: a row for each method, a cell for each run, and when it will be done."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from adversarium.data import Source
    from adversarium.study.conduct import Study
    from adversarium.study.jobs import JobState
    from adversarium.study.outlook import Prospect
    from adversarium.study.plan import Plan
    from adversarium.study.progress import Progress

SECONDS_BETWEEN_LINES = 15.0

_DONE, _FAILED, _RUNNING, _WAITING = "■", "×", "◧", "·"


class Display:
    """Shows a study: in a terminal a table that moves, elsewhere a line now and then."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr, highlight=False, markup=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._study: Study | None = None
        self._last_line = 0.0

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._live.stop()

    def tell(self, message: str) -> None:
        """Print a sentence."""
        self._console.print(message, soft_wrap=True)

    def decoding(self, done: int, total: int) -> None:
        """Say that image files were decoded."""
        if done == total:
            self.tell(f"decoded {total:,} image files")

    def trying(self, method: str) -> None:
        """Show which method is tried out."""
        if self._console.is_terminal:
            self._live.start()
            self._live.update(Text(f"trying a few steps of {method}", "dim"), refresh=True)

    def outlook(
        self, plan: "Plan", source: "Source", prospects: Sequence["Prospect"], workers: int, folder: Path
    ) -> None:
        """Say what will be done, and how long it will take."""
        self._live.stop()
        runs = len(plan.methods) * len(plan.seeds)
        # runs that are trained stacked take about as long as one of them
        seconds = sum(each.seconds * len(plan.seeds) / each.together for each in prospects)
        seconds += sum(each.seconds * plan.trials for each in prospects if plan.trials)
        stacked = [each for each in prospects if each.together > 1]
        trials = f" after {plan.trials} trials of each" if plan.trials else ""
        self.tell(
            f"{len(plan.methods)} methods on {source.name}, {len(plan.seeds)} seeds, {plan.budget} each{trials}: "
            f"{runs} runs, ranked by {plan.protocol}; folder {folder}"
        )
        if stacked:
            self.tell(f"runs are trained together: {stacked[0].together} seeds of {len(stacked)} methods")
        busy = min(workers, sum(-(-len(plan.seeds) // each.together) for each in prospects))
        self.tell(f"about {clock(seconds / busy)} with {busy} worker{'s' * (busy > 1)}")

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
        left = "" if progress.eta_seconds is None else f", about {clock(progress.eta_seconds)} left"
        failed = f" ({progress.failed} failed)" if progress.failed else ""
        text = (
            f"{progress.done} of {progress.jobs} done{failed}, {len(progress.running)} running; "
            f"{clock(progress.elapsed_seconds)}{left}"
        )
        if self._console.is_terminal:
            bar = ProgressBar(total=1.0, completed=progress.share, width=max(10, self._console.width - 2))
            states = self._study.jobs.standings()
            self._live.update(Group(self._table(states), bar, Text(text)), refresh=True)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES or progress.done == progress.jobs:
            self._last_line = time.monotonic()
            self.tell(text)

    def _table(self, standings: Sequence["JobState"]) -> Table:
        table = Table.grid(padding=(0, 1))
        rows: dict[str, Text] = {}
        for each in standings:
            cells = rows.setdefault(each.job.payload["method"], Text(overflow="ellipsis", no_wrap=True))
            cells.append(*_cell(each))
        for method, cells in rows.items():
            table.add_row(Text(method), cells)
        return table


def _cell(standing: "JobState") -> tuple[str, str]:
    if standing.state == "waiting":
        return _WAITING, "dim"
    if standing.state == "running":
        return _RUNNING, "yellow"
    result: Any = standing.result or {}
    if standing.job.payload["kind"] == "trial":
        return "▪", "cyan"
    return (_DONE, "green") if result.get("value") is not None else (_FAILED, "bold red")


def clock(seconds: float) -> str:
    """Return a duration as people say it."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min"
