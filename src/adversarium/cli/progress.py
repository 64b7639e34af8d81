"""What a person sees while a run trains: a live bar in a terminal, a line now and then in a file."""

import shlex
import sys
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column
from rich.text import Text

from adversarium.config import TrainConfig
from adversarium.data import ArraySource
from adversarium.diagnostics.finding import FINDING, looked_at, words

SECONDS_BETWEEN_LINES = 15.0

NARROWEST_BAR, WIDEST_BAR = 10, 24
"""Cells of the bar; below the least the numbers beside it give way."""


class _Bar(Progress):
    """A progress bar with a line under it, which is cut off where the terminal ends."""

    line = Text()

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.line:
            yield self.line


class Display:
    """An observer that shows kimg, images per second, time left, both losses and the score gap, and what is wrong.

    The first of a record's findings, the most severe one or what causes it, stands in one line under the bar, with
    the number of the others. Where there is no terminal, a line tells of each finding when it appears, and when it
    is gone.
    """

    def __init__(self) -> None:
        # names of runs and data are no markup, whatever brackets there are in them
        self._console = Console(file=sys.stderr, highlight=False, markup=False)
        self._live = self._console.is_terminal
        left = TextColumn("{task.fields[left]}", markup=False, table_column=Column(no_wrap=True, min_width=12))
        right = TextColumn("{task.fields[right]}", markup=False, table_column=Column(no_wrap=True))
        self._bar = BarColumn(bar_width=WIDEST_BAR)
        columns = (left, self._bar, right)
        self._progress = _Bar(*columns, console=self._console, auto_refresh=False, disable=not self._live)
        self._task = self._progress.add_task("train", total=1.0, left="starting", right="")
        self._last_line = 0.0
        self._since: dict[str, float] = {}
        self._protocol = self._quality = ""
        self._hint = ""

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._progress.stop()

    def start(self, folder: Any, training: Any, source: Any) -> None:
        """Say what will be trained, and begin the bar."""
        config, step = training.config, training.step
        count = f"{len(source):,} samples" if isinstance(source, ArraySource) else "endless samples"
        shape = "×".join(str(size) for size in source.codec.sample_shape)
        weights = [sum(p.numel() for p in net.parameters()) for net in (step.generator, step.critic)]
        self._console.print(
            f"{_method(config)} on {source.name} ({count} of {shape}), network {config.network}: generator "
            f"{weights[0]:,} weights, critic {weights[1]:,}; {config.device} in {config.precision}; run {folder.path}",
            soft_wrap=True,
        )
        for note in source.notes if isinstance(source, ArraySource) else ():
            self._console.print(f"data: {note}")
        if config.evaluate is not None:
            from adversarium.metrics.protocols import Protocol

            self._protocol = Protocol.parse(config.evaluate).name
        self._hint = f"adversarium doctor {shlex.quote(str(folder.path))}"
        self._progress.start()

    def decoding(self, done: int, total: int) -> None:
        """Show how far the decoding of image files is."""
        if self._live:
            self._progress.start()
            self._progress.update(self._task, completed=done / total, left="decoding", right=f"{done:,} of {total:,}")
            self._progress.refresh()
        elif done == total:
            self._console.print(f"decoded {total:,} image files")

    def tell(self, message: str) -> None:
        """Print a sentence."""
        self._console.print(message, soft_wrap=True)

    def warn(self, message: str) -> None:
        """Print a warning."""
        self._console.print(f"warning: {message}")

    def __call__(self, record: dict[str, float]) -> None:
        """Show a record."""
        self._show_findings(record)
        progress = record["progress"]
        left = f"{record['kimg']:7.1f} kimg"
        self._quality = _quality(record, self._protocol) or self._quality
        right = "  ".join(_parts(record, self._quality).values())
        if self._live:
            right = _fitting(
                _parts(record, self._quality), self._console.width - max(len(left), 12) - NARROWEST_BAR - 2
            )
            room = self._console.width - max(len(left), 12) - cell_len(right) - 2
            self._bar.bar_width = min(max(room, NARROWEST_BAR), WIDEST_BAR)
            self._progress.update(self._task, completed=progress, left=left, right=right, refresh=True)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES or progress >= 1:
            self._last_line = time.monotonic()
            self._console.print(f"{left}  {right}", soft_wrap=True)

    def _show_findings(self, record: Mapping[str, float]) -> None:
        """Tell what is wrong, and since which record: most records come between two looks, and change nothing."""
        if not looked_at(record):
            return
        found = {name.removeprefix(FINDING): value for name, value in record.items() if name.startswith(FINDING)}
        new, gone = found.keys() - self._since.keys(), self._since.keys() - found.keys()
        self._since = {kind: self._since.get(kind, record["kimg"]) for kind in found}
        if self._live:
            self._progress.line = _line(found, self._since, self._hint, self._console.width)
            return
        for kind in (each for each in found if each in new):
            self._say(record, f"found: {words(kind)} (severity {found[kind]:.2f}); more: {self._hint}")
        for kind in sorted(gone):
            self._say(record, f"gone: {words(kind)}")

    def _say(self, record: Mapping[str, float], text: str) -> None:
        self._console.print(f"{record['kimg']:7.1f} kimg  {text}", soft_wrap=True)


def _method(config: TrainConfig) -> str:
    """Return the preset, and what a resolved configuration adds to it."""
    parts = {
        "loss {}": config.loss,
        "penalties {}": config.penalties,
        "conditional {}": config.conditional,
        "{}": config.augment,
        "packing {}": config.packing if config.packing > 1 else None,
        "with {}": config.terms,
        "minibatch layer {}": config.minibatch,
        "replay pool {}": config.replay_pool,
        "top-k {:g}": config.top_k if config.top_k < 1 else None,
        "from {}": config.from_run,
    }
    return ", ".join([config.preset, *(text.format(value) for text, value in parts.items() if value is not None)])


def _parts(record: Mapping[str, float], quality: str) -> dict[str, str]:
    """Return what a record says, in the order in which it is shown."""
    progress = record["progress"]
    remaining = record["seconds"] * (1 - progress) / max(progress, 1e-9)
    parts = {
        "progress": f"{100 * progress:3.0f}%",
        "speed": f"{record['images_per_second']:5.0f} img/s",
        "remaining": f"ETA {_clock(remaining)}",
        "losses": f"critic {record['critic_loss']:6.3f}  generator {record['generator_loss']:6.3f}",
        "gap": f"gap {record['score_gap']:6.2f}",
        "quality": quality,
    }
    return {name: text for name, text in parts.items() if text}


def _fitting(parts: Mapping[str, str], room: int) -> str:
    """Return as many of the parts as there is room for, the most wanted ones."""
    kept = dict(parts)
    for name in ("gap", "speed", "quality", "losses", "remaining"):
        if len("  ".join(kept.values())) <= room:
            break
        kept.pop(name, None)
    return "  ".join(kept.values())


def _quality(record: Mapping[str, float], protocol: str) -> str:
    return f"{protocol} {record[protocol]:.4g}" if protocol in record else ""


def _line(found: Mapping[str, float], since: Mapping[str, float], hint: str, width: int) -> Text:
    """Return the first finding, the number of the others, and, if there is room, the command that explains."""
    line = Text(no_wrap=True, overflow="ellipsis")
    if found:
        first = next(iter(found))
        line.append(f"{words(first)} since {since[first]:.1f} kimg", "bold red" if found[first] >= 0.5 else "yellow")
        others = len(found) - 1
        line.append(f"  and {others} other{'s' * (others > 1)}" if others else "")
        if line.cell_len + 2 + cell_len(hint) <= width:
            line.append(f"  {hint}", "dim")
    return line


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
