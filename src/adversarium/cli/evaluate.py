"""``adversarium evaluate``."""

import hashlib
import json
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from adversarium.cli.interrupt import ended_at_once
from adversarium.cli.parser import Parser
from adversarium.errors import output_file, require

if TYPE_CHECKING:
    from adversarium.metrics import Measurement

SECONDS_BETWEEN_LINES = 10.0

LONGEST_NAME = 100
"""Characters of a file's name that its protocols may take."""


def run(arguments: Sequence[str]) -> int:
    """Measure a run's generator; print a table, write the numbers and a picture."""
    options = _parser().parse(arguments)
    names = (
        None
        if options.protocols is None
        else [name for each in options.protocols.split(",") if (name := each.strip())]
    )
    require(names is None or bool(names), "--protocols is empty: wanted fd2500_lenet_test, say")
    weights = _weights(options.weights)
    for flag, suffix, given in (("--out", ".png", options.out), ("--json", ".json", options.json)):
        if given is not None:
            output_file(flag, given, suffix, force=options.force)
    progress = _Progress()
    with ended_at_once("before the end: nothing was written", progress.stop):
        files = _evaluated(options, names, weights, progress)
    _write(files)
    print("\n".join(map(str, files)))
    return 0


def _evaluated(
    options: Any, names: Sequence[str] | None, weights: Mapping[str, Path], progress: "_Progress"
) -> dict[Path, bytes]:
    """Print the numbers, and return what is to be written: the whole of it, since a file alone would be half of it."""
    from adversarium.train.evaluation import open_evaluation
    from adversarium.train.evaluation_picture import evaluation_figure
    from adversarium.train.pictures import drawn

    path = Path(options.run)

    with progress, warnings.catch_warnings():
        # what weights or metrics warn of is told in our words, without the line of code
        warnings.showwarning = lambda message, *_: progress.say(f"warning: {message}")
        evaluation = open_evaluation(
            path,
            names,
            repeats=options.repeats,
            average=not options.raw,
            checkpoint=Path(options.checkpoint) if options.checkpoint else None,
            device=options.device,
            weights=weights,
            on_decode=lambda done, total: progress.show(done, total, "image files decoded"),
        )
        for problem in evaluation.trained.problems:
            progress.say(f"warning: {problem}")
        chosen = [] if names is None else [each.name for each in evaluation.measuring.protocols]
        stem = named(evaluation.trained.checkpoint.stem + ("-raw" if options.raw else ""), chosen)
        picture = Path(options.out) if options.out else path / "evaluation" / f"{stem}.png"
        numbers = Path(options.json) if options.json else path / "evaluation" / f"{stem}.json"
        taken = [str(each) for each in (picture, numbers) if each.exists() and not options.force]
        require(len(taken) < 2, f"{' and '.join(taken)}: exist already; take other names (--out, --json), or --force")
        for flag, target in (("--out", picture), ("--json", numbers)):
            output_file(flag, target, target.suffix, force=options.force, chosen=False)
        progress.say(
            f"{path}: {counted(len(evaluation.measuring.protocols), 'protocol')}, "
            f"{counted(options.repeats, 'draw')} of up to {counted(evaluation.measuring.largest, 'sample')}, about "
            f"{duration(evaluation.estimated_seconds)}"
        )
        evaluation = evaluation.measured(on_progress=progress.show)

    print(table(evaluation.measurements))
    for note, who in _notes(evaluation.measurements).items():
        print(f"{', '.join(who) if len(who) < len(evaluation.measurements) or len(who) < 3 else 'all'}: {note}")
    text = json.dumps(evaluation.as_dict(), indent=2, allow_nan=False) + "\n"
    return {numbers: text.encode(), picture: drawn(evaluation_figure(evaluation))}


def named(stem: str, protocols: Sequence[str]) -> str:
    """Return what files of an evaluation are called: by the protocols too, where these were chosen.

    Evaluations by other protocols stand beside each other, and neither replaces the other.
    """
    text = "+".join(protocols)
    if len(text) > LONGEST_NAME:
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        text = f"{protocols[0]}+{len(protocols) - 1}-{digest}"
    return f"{stem}-{text}" if text else stem


def counted(count: int, what: str) -> str:
    """Return a number of things: ``1 draw``, ``2,500 samples``."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, size in (("days", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.3g} {unit}" if seconds < 1e4 * size else f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.0f} s"


def _write(files: Mapping[Path, bytes]) -> None:
    from adversarium.files import atomic_write

    with ExitStack() as stack:  # they take their names when all are complete
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(atomic_write(path)).write(content)


def _parser() -> Parser:
    parser = Parser("evaluate", "Measure a trained generator by named protocols, with standard errors and floors.")
    parser.add_argument("run", metavar="RUN", help="the run's folder")
    parser.add_argument(
        "--protocols",
        metavar="A,B",
        help="fd10k_lenet_test,... : a metric (adversarium list metrics), samples, features (adversarium list "
        "features), split (train or test); default: those that fit the data",
    )
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="draws of samples (default: 5)")
    parser.add_argument("--raw", action="store_true", help="the generator as trained, not its average (EMA)")
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="this checkpoint, or the word best (default: the newest whole one)"
    )
    parser.add_argument("--out", metavar="F", help="the picture, a .png (default: in RUN/evaluation/)")
    parser.add_argument("--json", metavar="F", help="the numbers, a .json (default: in RUN/evaluation/)")
    parser.add_argument(
        "--weights", action="append", default=[], metavar="FEATURES=FILE", help="weights of features: inception=FILE"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: auto)")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    return parser


def _weights(given: Sequence[str]) -> dict[str, Path]:
    found = {}
    for each in given:
        name, equals, file = each.partition("=")
        require(bool(name and equals and file), f"--weights {each}: wanted FEATURES=FILE, inception=FILE say")
        found[name] = Path(file).expanduser()
        require(
            found[name].is_file(), f"--weights {each}: there is no such file; without it, the published one is fetched"
        )
    return found


def _better(measurement: "Measurement") -> str:
    better = measurement.protocol.metric.better
    return better if isinstance(better, str) else f"near {better:g}"


def table(measurements: "Sequence[Measurement]") -> str:
    """Return the numbers, one protocol per line."""
    from adversarium.train.evaluation import written

    rows = [("protocol", "value", "real samples", "better", "seconds")]
    for each in measurements:
        floor = "none" if each.floor is None else written(each.floor, each.floor_standard_error)
        if each.floor is not None and each.floor_samples != each.protocol.samples:
            floor += f" (of {each.floor_samples:,}: not comparable)"
        value = written(each.mean, each.told_error)
        rows.append((each.protocol.name, value, floor, _better(each), f"{each.seconds:.1f}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column == len(widths) - 1 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _notes(measurements: "Sequence[Measurement]") -> dict[str, list[str]]:
    """Return what is to be said, and of which protocols."""
    found: dict[str, list[str]] = {}
    for each in measurements:
        for note in each.notes:
            found.setdefault(note, []).append(each.protocol.name)
    return found


class _Progress:
    """A bar in a terminal, a line now and then elsewhere; on standard error, apart from the table."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        # names of runs and protocols are no markup, whatever brackets there are in them
        self._console = Console(file=sys.stderr, highlight=False, markup=False)
        what = TextColumn("{task.fields[what]}", markup=False)
        columns = (TextColumn("evaluating"), BarColumn(bar_width=24), what)
        self._bar = Progress(
            *columns, console=self._console, auto_refresh=False, disable=not self._console.is_terminal, transient=True
        )
        self._task: Any = self._bar.add_task("evaluate", total=1.0, what="")
        self._last_line = time.monotonic()

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def say(self, message: str) -> None:
        """Print a line."""
        self._console.print(message, soft_wrap=True)

    def show(self, done: int, total: int, what: str) -> None:
        """Show how many parts are done, and what comes next."""
        if self._console.is_terminal:
            self._bar.start()
            self._bar.update(self._task, completed=done / total, what=f"{done} of {total}: {what}", refresh=True)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self.say(f"{done} of {total}: {what}")
