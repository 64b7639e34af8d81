"""What was found in a run, as one page that needs nothing else: it opens offline, on a phone, in light and dark."""

from collections.abc import Iterable, Sequence
from html import escape

from adversarium.diagnostics.finding import Finding, Record, words
from adversarium.diagnostics.meanings import meaning, title
from adversarium.diagnostics.plots import as_svg, plot, points
from adversarium.diagnostics.probe import PROBED
from adversarium.diagnostics.report import (
    Diagnosis,
    commands,
    grade,
    headline,
    numbers_of,
    quantity,
    unjudged_by_reason,
    verdict,
)
from adversarium.diagnostics.style import document


def as_page(diagnosis: Diagnosis) -> str:
    """Return a diagnosis as an HTML page with its plots in it; it loads nothing, and runs no script."""
    heading, found_of_it = headline(diagnosis), verdict(diagnosis)
    found = [
        _finding(number, finding, wanted, diagnosis.records)
        for number, (finding, wanted) in enumerate(zip(diagnosis.findings, commands(diagnosis), strict=True), start=1)
    ]
    body = "\n".join(
        [
            f"<h1>{escape(heading)}</h1>",
            f'<p class="verdict {found_of_it.grade}">{escape(found_of_it.text)}</p>',
            f"<pre>{escape(found_of_it.command)}</pre>" if found_of_it.command else "",
            *_section("Notes", [escape(note) for note in diagnosis.notes]),
            *found,
            *_healthy(diagnosis),
            *_section(
                "Could not be judged",
                [
                    f"{escape(', '.join(map(words, kinds)))}: {escape(why)}"
                    for why, kinds in unjudged_by_reason(diagnosis).items()
                ],
            ),
            *_last_looks(diagnosis.records),
        ]
    )
    return document(heading, body)


def _finding(number: int, finding: Finding, wanted: Sequence[str], records: Sequence[Record]) -> str:
    severity = grade(finding.severity)
    drawn = plot(finding, records)
    label = f"{', '.join(map(title, finding.series))} over the run, since {finding.since_kimg:.4g} kimg"
    steps = [
        f"<li>{escape(remedy.text)}{f'<pre>{escape(line)}</pre>' if line else ''}</li>"
        for remedy, line in zip(finding.remedies, wanted, strict=True)
    ]
    return "\n".join(
        [
            f'<article class="{severity}">',
            f"<h2>{number}. {escape(words(finding.kind).capitalize())}</h2>",
            f'<p class="soft">since {finding.since_kimg:.4g} kimg, <span class="grade">{severity}</span> '
            f"({finding.severity:.2f} of 1)</p>",
            f"<p>{escape(finding.what)}</p>",
            as_svg(drawn, f"{number}. {label}") if drawn is not None else "",
            *_table(finding, records),
            f"<h3>Likely cause</h3><p>{escape(finding.cause)}</p>",
            "<h3>What to do, the most promising first</h3>",
            f"<ol>{''.join(steps)}</ol>",
            "</article>",
        ]
    )


def _table(finding: Finding, records: Sequence[Record]) -> Iterable[str]:
    if numbers := numbers_of(finding, records):
        yield f"<h3>Evidence</h3><table>{''.join(_row(*row) for row in numbers.items())}</table>"


def _last_looks(records: Sequence[Record]) -> Iterable[str]:
    """Yield what the probe measured last, under a heading that opens."""
    last = {name: points(name, records) for name in PROBED}
    rows = [
        _row(name, f"{quantity(name, values[-1])} at {kimg[-1]:.4g} kimg")
        for name, (kimg, values) in last.items()
        if len(values)
    ]
    if rows:
        yield "<section><details><summary>Everything that was measured, as it was last</summary>"
        yield f"<table>{''.join(rows)}</table></details></section>"


def _row(name: str, text: str) -> str:
    known = meaning(name)
    below = f'<br><span class="soft">{escape(known)}</span>' if known else ""
    return f'<tr><td class="name">{escape(name)}{below}</td><td class="number">{escape(text)}</td></tr>'


def _healthy(diagnosis: Diagnosis) -> list[str]:
    """Return the kinds that were looked for and not found, in one paragraph: there are many, and no news in them."""
    if not diagnosis.healthy:
        return []
    kinds = ", ".join(escape(words(kind)) for kind in diagnosis.healthy)
    return [f"<section><h2>Looked at, and healthy</h2><p>{kinds}</p></section>"]


def _section(name: str, items: Sequence[str]) -> list[str]:
    """Return a section with a list of what is already HTML; nothing where there is nothing to list."""
    if not items:
        return []
    return [f"<section><h2>{name}</h2><ul>{''.join(f'<li>{item}</li>' for item in items)}</ul></section>"]
