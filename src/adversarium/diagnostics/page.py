"""What was found in a run, as one page that needs nothing else: it opens offline, on a phone, in light and dark."""

from collections.abc import Iterable, Sequence
from html import escape

from adversarium.diagnostics.finding import Finding, Record
from adversarium.diagnostics.plots import as_svg, plot, points
from adversarium.diagnostics.probe import PROBED
from adversarium.diagnostics.report import (
    Diagnosis,
    commands,
    grade,
    headline,
    quantity,
    unjudged_by_reason,
    verdict,
    words,
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
.good { color: var(--good); font-weight: 600; }
.soft { color: var(--soft); font-size: .9rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td { border-top: 1px solid var(--line); padding: .25rem .6rem .25rem 0; vertical-align: top; }
td.number { white-space: nowrap; font-variant-numeric: tabular-nums; }
pre { background: var(--code); border-radius: .4rem; padding: .6rem; margin: .4rem 0 .8rem; white-space: pre-wrap;
  font-size: .85rem; user-select: all; }
svg { display: block; width: 100%; height: auto; color: var(--ink); }
summary { cursor: pointer; font-weight: 600; }
li { margin: .3rem 0; } ul, ol { padding-left: 1.4rem; margin: .3rem 0; }
"""

_MEANINGS = {
    "critic_gradient_norm": "size of the gradient of the critic's objective by its weights",
    "critic_loss": "the critic's loss, without penalties",
    "fake_score": "mean score of fakes",
    "generator_gradient_norm": "size of the gradient of the generator's objective by its weights",
    "generator_loss": "the generator's loss, without penalties",
    "real_score": "mean score of data; up means more real",
    "score_gap": "mean score of data less that of fakes",
    "window_share": "share of the last part of the run in which this shows",
}
"""What the numbers mean that training itself measures."""


def as_page(diagnosis: Diagnosis) -> str:
    """Return a diagnosis as an HTML page with its plots in it; it loads nothing, and runs no script."""
    title = headline(diagnosis)
    found = [
        _finding(number, finding, wanted, diagnosis.records)
        for number, (finding, wanted) in enumerate(zip(diagnosis.findings, commands(diagnosis), strict=True), start=1)
    ]
    head = "" if diagnosis.findings else ' class="good"'
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            f"<h1>{escape(title)}</h1>",
            f"<p{head}>{escape(verdict(diagnosis))}</p>",
            *found,
            *_section("Looked at, and healthy", [escape(words(kind)) for kind in diagnosis.healthy]),
            *_section(
                "Could not be judged",
                [
                    f"{escape(', '.join(map(words, kinds)))}: {escape(why)}"
                    for why, kinds in unjudged_by_reason(diagnosis).items()
                ],
            ),
            *_last_looks(diagnosis.records),
            *_section("Notes", [escape(note) for note in diagnosis.notes]),
            "</body>",
            "</html>",
            "",
        ]
    )


def _finding(number: int, finding: Finding, wanted: Sequence[str], records: Sequence[Record]) -> str:
    severity = grade(finding.severity)
    drawn = plot(finding, records)
    label = f"{', '.join(finding.series)} over the run, since {finding.since_kimg:.4g} kimg"
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
    rows = [(name, quantity(name, value)) for name, value in finding.evidence.items()]
    for name in finding.series:
        values = points(name, records)[1]
        if name not in finding.evidence and len(values):
            rows.append((name, f"{quantity(name, values[-1])} (last)"))
    if rows:
        yield f"<h3>Evidence</h3><table>{''.join(_row(*row) for row in rows)}</table>"


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
    known = PROBED.get(name, _MEANINGS.get(name))
    meaning = f'<br><span class="soft">{escape(known)}</span>' if known else ""
    return f'<tr><td>{escape(name)}{meaning}</td><td class="number">{escape(text)}</td></tr>'


def _section(title: str, items: Sequence[str]) -> list[str]:
    """Return a section with a list of what is already HTML; nothing where there is nothing to list."""
    if not items:
        return []
    return [f"<section><h2>{title}</h2><ul>{''.join(f'<li>{item}</li>' for item in items)}</ul></section>"]
