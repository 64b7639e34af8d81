"""Where a run's records go: lines of ``metrics.jsonl``, and TensorBoard."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adversarium.diagnostics.finding import FINDING, looked_at
from adversarium.errors import InputError
from adversarium.train.folder import as_line

Record = dict[str, float]
Observer = Callable[[Record], None]
"""Called with each record: what ``metrics.jsonl`` holds, plus ``progress`` from 0 to 1."""


@contextmanager
def jsonl(path: Path) -> Iterator[Observer]:
    """Add a line per record to a file."""
    with open(path, "a", encoding="utf-8") as stream:

        def write(record: Record) -> None:
            stream.write(as_line(record))
            stream.flush()

        yield write


@contextmanager
def tensorboard(path: Path, images: int, records: Sequence[Record]) -> Iterator[Observer]:
    """Add records to TensorBoard's events in a folder.

    Args:
        path: the folder.
        images: where a resumed run goes on: it writes later points again, and those of the first time are forgotten.
        records: its records so far.

    Raises:
        InputError: the extra is missing.
    """
    writer = summary_writer_class()(str(path), purge_step=images + 1)
    found = {name for record in records for name in record if name.startswith(FINDING)}

    def write(record: Record) -> None:
        found.update(name for name in record if name.startswith(FINDING))
        # a curve goes on as it was: what is no longer found has to be said
        gone = dict.fromkeys(found - record.keys(), 0.0) if looked_at(record) else {}
        for name, value in {**record, **gone}.items():
            if name not in ("step", "kimg"):
                writer.add_scalar(name, value, global_step=round(record["kimg"] * 1000))

    try:
        yield write
    finally:
        writer.close()


def summary_writer_class() -> Any:
    """Return TensorBoard's writer.

    Raises:
        InputError: the extra is missing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError("--tensorboard needs an extra: pip install 'adversarium[tensorboard]'") from None
    return SummaryWriter
