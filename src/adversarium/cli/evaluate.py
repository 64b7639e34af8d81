"""``adversarium evaluate``."""

import json
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from adversarium.cli.parser import Parser
from adversarium.errors import InputError, require

if TYPE_CHECKING:
    from adversarium.metrics import Measurement
    from adversarium.train.evaluation import Evaluation

SECONDS_BETWEEN_LINES = 10.0


def run(arguments: Sequence[str]) -> int:
    """Measure a run's generator; print a table, write the numbers and a picture."""
    options = _parser().parse(arguments)
    path = Path(options.run)
    names = None if options.protocols is None else [name.strip() for name in options.protocols.split(",")]
    require(names is None or any(names), "--protocols is empty: wanted fd2500_lenet_test, say")
    weights = _weights(options.weights)
    for flag, given, suffix in (("--out", options.out, ".png"), ("--json", options.json, ".json")):
        if given is not None:
            require(Path(given).suffix == suffix, f"{flag} {given}: wanted a name that ends in {suffix}")
            _refuse_existing(flag, Path(given), force=options.force)

    from adversarium.train.evaluation import open_evaluation

    with _Progress() as progress, warnings.catch_warnings():
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
        stem = path / "evaluation" / (evaluation.trained.checkpoint.stem + ("-raw" if options.raw else ""))
        picture = Path(options.out) if options.out else stem.with_suffix(".png")
        numbers = Path(options.json) if options.json else stem.with_suffix(".json")
        for flag, target in (("--out", picture), ("--json", numbers)):
            _refuse_existing(flag, target, force=options.force)
        count = len(evaluation.measuring.protocols)
        progress.say(
            f"{path}: {count} protocol{'s' * (count > 1)}, {options.repeats} draws of up to "
            f"{evaluation.measuring.largest:,} samples, about {evaluation.estimated_seconds:.0f} s"
        )
        evaluation = evaluation.measured(on_progress=progress.show)

    print(table(evaluation.measurements))
    for note, who in _notes(evaluation.measurements).items():
        print(f"{', '.join(who)}: {note}")
    _write(evaluation, numbers, picture)
    print(f"{numbers}\n{picture}")
    return 0


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
    return found


def _refuse_existing(flag: str, path: Path, *, force: bool) -> None:
    if path.exists() and not force:
        raise InputError(f"{path}: exists already; take another name ({flag}), or --force")


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
            floor += f" ({each.floor_samples:,})"
        value = written(each.mean, each.standard_error)
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


def _write(evaluation: "Evaluation", numbers: Path, picture: Path) -> None:
    from adversarium.files import atomic_write
    from adversarium.train.evaluation_picture import evaluation_figure
    from adversarium.train.pictures import write_figure

    for path in (numbers, picture):
        path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(numbers) as stream:
        stream.write((json.dumps(evaluation.as_dict(), indent=2, allow_nan=False) + "\n").encode())
    write_figure(picture, evaluation_figure(evaluation))


class _Progress:
    """A bar in a terminal, a line now and then elsewhere; on standard error, apart from the table."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._console = Console(file=sys.stderr, highlight=False)
        columns = (TextColumn("evaluating"), BarColumn(bar_width=24), TextColumn("{task.fields[what]}"))
        self._bar = Progress(
            *columns, console=self._console, auto_refresh=False, disable=not self._console.is_terminal, transient=True
        )
        self._task: Any = self._bar.add_task("evaluate", total=1.0, what="")
        self._last_line = time.monotonic()

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
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
