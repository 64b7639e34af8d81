"""A study's numbers as tables: CSV for everything, Parquet where pyarrow is installed."""

import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adversarium.files import atomic_write
from adversarium.study._numbers import settings_of
from adversarium.study.record import Point, Record

OPTION = "option_"
"""Begins the columns of options, which would else be mistaken for measurements: ``kimg`` is both."""

OTHER = "other_"
"""Begins the columns of further protocols."""

EXTRA = "study"
"""The extra of this package that brings pyarrow."""


def run_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return one row per run: how it ended, what it cost, and the options that differ between methods.

    Columns: ``method``, ``seed``, ``value`` (``None``: failed), ``untrained``, ``failed``, ``why``, ``seconds``,
    ``kimg``, ``gradients``, ``steps``, ``collapsed``, ``suspicions`` (their kinds), ``together``, ``attempts``,
    ``folder``, then ``other_...`` for further protocols and ``option_...`` for options. An option of values of
    different types is text (JSON).
    """
    others = sorted({name for record in records for name in record.others})
    options = list(settings_of(records).differing)
    text = {name for name in options if not _one_type([record.options.get(name) for record in records])}
    return [
        {
            "method": record.method,
            "seed": record.seed,
            "value": record.value,
            "untrained": record.untrained,
            "failed": record.failed,
            "why": record.why,
            "seconds": record.seconds,
            "kimg": record.kimg,
            "gradients": record.gradients,
            "steps": record.steps,
            "collapsed": record.collapsed,
            "suspicions": " ".join(suspicion.kind for suspicion in record.suspicions),
            "together": record.together,
            "attempts": record.attempts,
            "folder": record.folder,
            **{OTHER + name: record.others.get(name) for name in others},
            **{OPTION + name: _option(record, name, name in text) for name in options},
        }
        for record in records
    ]


def curve_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return one row per measurement: ``method``, ``seed``, ``kimg``, ``seconds``, ``gradients``, ``value``."""
    return [
        {"method": record.method, "seed": record.seed, **dataclasses.asdict(point)}
        for record in records
        for point in record.curve
    ]


def write_tables(folder: Path, records: Sequence[Record]) -> list[Path]:
    """Write ``runs`` and ``curves`` as ``.csv``, and as ``.parquet`` where pyarrow is installed; return the paths.

    Where it is not, Parquet files of an earlier report are removed: they would not say the same.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    columns = ["method", "seed", *(each.name for each in dataclasses.fields(Point))]
    for name, rows, known in (("runs", run_rows(records), None), ("curves", curve_rows(records), columns)):
        heads = known or list(rows[0] if rows else ())
        for suffix, rendered in ((".csv", _csv(rows, heads)), (".parquet", _parquet(rows, heads))):
            path = folder / f"{name}{suffix}"
            if rendered is None:
                path.unlink(missing_ok=True)
                continue
            with atomic_write(path) as stream:
                stream.write(rendered)
            written.append(path)
    return written


def _option(record: Record, name: str, text: bool) -> Any:
    value = record.options.get(name)
    return json.dumps(value) if text and value is not None else value


def _one_type(values: Sequence[Any]) -> bool:
    kinds = {type(value) for value in values if value is not None}
    return kinds <= {int, float} or (len(kinds) == 1 and kinds <= {str, bool})


def _csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    """Return rows as UTF-8; ``None`` is an empty field, true and false are in lower case."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: str(each).lower() if isinstance(each, bool) else each for name, each in row.items()})
    return stream.getvalue().encode("utf-8")


_TYPES = {
    **dict.fromkeys(("method", "why", "suspicions", "folder"), "string"),
    **dict.fromkeys(("seed", "gradients", "steps", "together", "attempts"), "int64"),
    **dict.fromkeys(("value", "untrained", "seconds", "kimg"), "float64"),
    **dict.fromkeys(("failed", "collapsed"), "bool"),
}


def _parquet(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> bytes | None:
    """Return rows as a Parquet file whose columns have the same types in every study; ``None`` without pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        return None
    arrays = {}
    for name in columns:
        values = [row[name] for row in rows]
        kind = "float64" if name.startswith(OTHER) or _mixed(values) else _TYPES.get(name)
        arrays[name] = pyarrow.array(values, type=getattr(pyarrow, kind.replace("bool", "bool_"))() if kind else None)
    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(arrays), stream)
    return stream.getvalue()


def _mixed(values: Sequence[Any]) -> bool:
    return {type(value) for value in values if value is not None} == {int, float}
