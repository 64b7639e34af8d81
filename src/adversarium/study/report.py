"""A study's report: one page that needs nothing else, with its figures and its numbers as files beside it."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy.typing as npt

from adversarium.diagnostics.style import document
from adversarium.errors import require
from adversarium.files import atomic_write
from adversarium.study import _tables
from adversarium.study._courses import axes_of, courses
from adversarium.study._failures import failures
from adversarium.study._html import fold, section
from adversarium.study._looks import Look, looks_of
from adversarium.study._numbers import by_method, settings_of, shared_seeds
from adversarium.study._pairs import pairs
from adversarium.study._ranking import direction, ranking
from adversarium.study._samples import samples
from adversarium.study._style import STYLE
from adversarium.study._tables import Trials
from adversarium.study.comparison import Comparison
from adversarium.study.export import EXTRA, write_tables
from adversarium.study.figures import write_figures
from adversarium.study.plan import Plan
from adversarium.study.record import Record
from adversarium.study.wording import duration, plural, title

REPORT = "report.html"
"""The page's name in the study's folder."""


_SHORT = 90  # characters of an answer that is set large

# nothing may be fetched, and no script may run, whatever stands in a method's name
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_HEAD = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'


def write_report(
    folder: Path,
    plan: Plan,
    records: Sequence[Record],
    comparison: Comparison,
    *,
    chosen: Trials | None = None,
    real: npt.NDArray[Any] | None = None,
) -> Path:
    """Write a study's report into a folder and return the page's path.

    Beside ``report.html``: ``figures/`` with PNG and SVG, ``runs`` and ``curves`` as CSV, and as Parquet where pyarrow
    is installed. Each file is written whole or not at all, the page last.

    Args:
        folder: where to; it is made.
        plan: the study's.
        records: its runs.
        comparison: of those.
        chosen: the trials of the search of settings by method, each with ``options``, ``cost`` and ``pruned``.
        real: a few real samples in the shape of the records' (points to draw behind those, or images).

    Raises:
        InputError: the comparison has a method that has no record.
        OSError: a file cannot be written.
    """
    methods = list(dict.fromkeys([*(each.name for each in plan.methods), *(record.method for record in records)]))
    present = {record.method for record in records}
    for each in comparison.standings:
        require(each.method in present, f"comparison has a method {each.method!r} of which there is no record")
    looks = looks_of(methods)
    shown = {name: look for name, look in looks.items() if name in present}
    tables = write_tables(folder, records)
    figures = write_figures(folder / "figures", records, comparison, shown, real=real, axes=axes_of(plan.budget.unit))
    files = [str(path.relative_to(folder)) for path in [*tables, *figures]]
    page = as_page(plan, records, comparison, looks, chosen=chosen, real=real, files=files)
    with atomic_write(folder / REPORT) as stream:
        stream.write(page.encode("utf-8"))
    return folder / REPORT


def as_page(
    plan: Plan,
    records: Sequence[Record],
    comparison: Comparison,
    looks: Mapping[str, Look],
    *,
    chosen: Trials | None = None,
    real: npt.NDArray[Any] | None = None,
    files: Sequence[str] = (),
) -> str:
    """Return the report as an HTML page; it loads nothing, and runs no script.

    Args:
        plan: the study's.
        records: its runs.
        comparison: of those.
        looks: how each method is drawn.
        chosen: the trials of the search of settings by method.
        real: a few real samples.
        files: names of files beside the page, to link to.
    """
    ranked = [each.method for each in comparison.standings]
    order = [*ranked, *(name for name in looks if name not in ranked and any(name == r.method for r in records))]
    runs = by_method(records, order)
    seeds = shared_seeds({name: runs[name] for name in ranked})
    question = f"Which method for {Path(plan.data).name or plan.data}?"
    parts = {
        "ranking": ranking(comparison, looks, seeds),
        "time": courses(runs, comparison, looks, plan.budget.unit),
        "samples": samples(runs, comparison.better, looks, real),
        "pairs": pairs(comparison, looks),
        "failures": failures(runs, looks),
        "cost": _tables.cost(runs, comparison, looks),
        "search": _tables.search(chosen or {}, order, looks, plan),
        "settings": _tables.settings(settings_of(records, _tables.shown_value), order, looks, plan),
        "notes": _notes(plan, comparison, records, files),
    }
    there = {key: part for key, part in parts.items() if part}
    links = "".join(f'<a href="#{key}">{_LINKS[key]}</a>' for key in there)
    body = "\n".join([_header(question, plan, records, comparison), f"<nav>{links}</nav>", *there.values()])
    return document(question, f"{body}\n", style=STYLE, head=_HEAD)


_LINKS = {
    "ranking": "ranking",
    "time": "over time",
    "samples": "samples",
    "pairs": "pairs",
    "failures": "failures",
    "cost": "cost",
    "search": "search",
    "settings": "settings",
    "notes": "notes and files",
}


def _header(question: str, plan: Plan, records: Sequence[Record], comparison: Comparison) -> str:
    answer, *more = comparison.advice or ("No method is recommended.",)
    long = ' class="long"' * (len(answer) > _SHORT)
    advice = "".join(f"<li>{escape(sentence)}</li>" for sentence in more)
    measure = comparison.protocol
    small = {"measured by": measure} if title(measure) != measure else {}
    tiles = {
        "methods": str(len(comparison.standings)),
        "seeds each": str(comparison.seeds),
        "budget of a run": duration(plan.budget.amount) if plan.budget.unit == "seconds" else _amount(plan),
        "measured by": f"{title(measure)}, {direction(comparison.better)}",
        "training in all": duration(sum(record.seconds for record in records)),
        "failed runs": f"{sum(record.failed for record in records)} of {len(records)}",
    }
    shown = "".join(
        f"<div><dt>{key}</dt><dd>{escape(text)}{_small(small, key)}</dd></div>" for key, text in tiles.items()
    )
    return (
        f'<header><p class="soft">{escape(question)}</p><h1{long}>{escape(answer)}</h1>'
        f'{f"<ul class=advice>{advice}</ul>" if advice else ""}<dl class="tiles">{shown}</dl></header>'
    )


def _small(texts: Mapping[str, str], key: str) -> str:
    return f" <small>{escape(texts[key])}</small>" if key in texts else ""


def _amount(plan: Plan) -> str:
    return f"{plan.budget.amount:,.6g} {plan.budget.unit}"


def _notes(plan: Plan, comparison: Comparison, records: Sequence[Record], files: Sequence[str]) -> str:
    notes = [
        *comparison.notes,
        f"Data: {plan.data}. Study {plan.fingerprint}. Seeds {', '.join(map(str, plan.seeds))}: runs of different "
        "methods with one seed saw the same data in the same order.",
    ]
    again = sum(record.attempts > 1 for record in records)
    if again:
        notes.append(f"{plural(again, 'run')} went on from a checkpoint after the process died.")
    if files and not any(name.endswith(".parquet") for name in files):
        notes.append(f"Parquet needs an extra: pip install 'adversarium[{EXTRA}]'.")
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    links = ", ".join(f'<a href="{escape(name)}">{escape(name)}</a>' for name in files)
    beside = f"<p>Beside this page: {links}</p>" if links else ""
    return section(
        "notes",
        "Notes, files, versions",
        f"<ul>{listed}</ul>",
        beside,
        fold("Versions", _tables.versions(records)),
    )
