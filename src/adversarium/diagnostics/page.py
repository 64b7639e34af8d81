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

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5b6875; --paper: #f6f7f9; --card: #ffffff;
  --line: #d9dee4; --code: #eef1f4; --severe: #b3261e; --clear: #a85b00; --slight: #4a6785; --good: #21704a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --soft: #a1acb8; --paper: #14181d; --card: #1c2229;
  --line: #343d47; --code: #262e37; --severe: #ff8a80; --clear: #ffb95c; --slight: #9dbbdc; --good: #7fd3a6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 46rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.35rem; margin: .5rem 0; } h2 { font-size: 1.1rem; margin: 0 0 .25rem; }
h3 { font-size: .95rem; margin: 1rem 0 .25rem; color: var(--soft); }
p { margin: .3rem 0; }
article, section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem;
  margin: 1rem 0; }
article { border-left: .35rem solid var(--grade); }
.grade { color: var(--grade); font-weight: 600; }
.severe { --grade: var(--severe); } .clear { --grade: var(--clear); } .slight { --grade: var(--slight); }
.verdict { font-weight: 600; border-left: .35rem solid var(--grade); padding-left: .65rem; }
.good { --grade: var(--good); color: var(--good); } .open { --grade: var(--line); }
.soft { color: var(--soft); font-size: .9rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td { border-top: 1px solid var(--line); padding: .25rem .6rem .25rem 0; vertical-align: top; }
td.name { overflow-wrap: anywhere; } td.number { white-space: nowrap; font-variant-numeric: tabular-nums; }
pre { background: var(--code); border-radius: .4rem; padding: .6rem; margin: .4rem 0 .8rem; overflow-x: auto;
  font-size: .85rem; user-select: all; }
svg { display: block; width: 100%; height: auto; color: var(--ink); }
summary { cursor: pointer; font-weight: 600; }
li { margin: .3rem 0; } ul, ol { padding-left: 1.4rem; margin: .3rem 0; }
"""


def as_page(diagnosis: Diagnosis) -> str:
    """Return a diagnosis as an HTML page with its plots in it; it loads nothing, and runs no script."""
    heading, found_of_it = headline(diagnosis), verdict(diagnosis)
    found = [
        _finding(number, finding, wanted, diagnosis.records)
        for number, (finding, wanted) in enumerate(zip(diagnosis.findings, commands(diagnosis), strict=True), start=1)
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(heading)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
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
            "</body>",
            "</html>",
            "",
        ]
    )


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
