"""What a person sees while a run trains: a live bar in a terminal, a line now and then in a file."""

import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from adversarium.data import ArraySource

SECONDS_BETWEEN_LINES = 15.0


class Display:
    """An observer that shows kimg, images per second, time left, both losses and the score gap."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr, highlight=False)
        self._live = self._console.is_terminal
        columns = (TextColumn("{task.fields[left]}"), BarColumn(bar_width=24), TextColumn("{task.fields[right]}"))
        self._progress = Progress(*columns, console=self._console, auto_refresh=False, disable=not self._live)
        self._task = self._progress.add_task("train", total=1.0, left="starting", right="")
        self._last_line = 0.0

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
            f"{config.preset} on {source.name} ({count} of {shape}), network {config.network}: generator "
            f"{weights[0]:,} weights, critic {weights[1]:,}; {config.device} in {config.precision}; run {folder.path}",
            soft_wrap=True,
        )
        for note in source.notes if isinstance(source, ArraySource) else ():
            self._console.print(f"data: {note}")
        self._progress.start()

    def decoding(self, done: int, total: int) -> None:
        """Show how far the decoding of image files is."""
        if self._live:
            self._progress.start()
            self._progress.update(self._task, completed=done / total, left="decoding", right=f"{done:,} of {total:,}")
            self._progress.refresh()
        elif done == total:
            self._console.print(f"decoded {total:,} image files")

    def warn(self, message: str) -> None:
        """Print a warning."""
        self._console.print(f"warning: {message}")

    def __call__(self, record: dict[str, float]) -> None:
        """Show a record."""
        progress = record["progress"]
        left = f"{record['kimg']:7.1f} kimg"
        remaining = record["seconds"] * (1 - progress) / max(progress, 1e-9)
        right = (
            f"{100 * progress:3.0f}%  {record['images_per_second']:5.0f} img/s  ETA {_clock(remaining)}  "
            f"critic {record['critic_loss']:6.3f}  generator {record['generator_loss']:6.3f}  "
            f"gap {record['score_gap']:6.2f}"
        )
        if self._live:
            self._progress.update(self._task, completed=progress, left=left, right=right, refresh=True)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES or progress >= 1:
            self._last_line = time.monotonic()
            self._console.print(f"{left}  {right}", soft_wrap=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
