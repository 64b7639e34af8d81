"""Who beats whom: every two methods on the same seeds."""

import math
from collections.abc import Mapping
from html import escape

from adversarium.diagnostics.plots import INK, as_svg
from adversarium.study._html import fold, named, paragraph, scrolled, section, table
from adversarium.study._looks import LIGHT, Look
from adversarium.study._numbers import interval, number
from adversarium.study.compare import Comparison, Pair
from adversarium.study.figures import any_letters, critical_difference
from adversarium.study.wording import probability


def pairs(comparison: Comparison, looks: Mapping[str, Look]) -> str:
    """Return the section of the comparisons in pairs, with the critical-difference diagram."""
    clear = [pair for pair in comparison.pairs if pair.adjusted <= comparison.level]
    told = (
        f"Of {len(comparison.pairs)} pairs, {len(clear)} are told apart: exact tests on the same seeds, corrected by "
        f"Holm for all pairs, level {comparison.level:g}. ▲: the method of the row is better than that of the column; "
        "▼: it is worse; no sign: not told apart. Below each sign the corrected p, and the median difference."
    )
    return section(
        "pairs",
        "Who beats whom",
        paragraph(told),
        _matrix(comparison, looks),
        "<h3>Mean ranks</h3>",
        paragraph(
            f"By ranks alone: that all methods are alike has p {probability(comparison.p_any)}. A bar joins methods "
            f"whose mean ranks differ by less than the critical difference, {_gap(comparison.critical_difference)}."
        ),
        f'<div class="figure">{_diagram(comparison, looks)}</div>',
        fold("All pairs as a table", _table(comparison, looks)),
    )


def _gap(gap: float) -> str:
    return f"{gap:.2f}" if math.isfinite(gap) else "which is infinite here: there are too few seeds"


def _diagram(comparison: Comparison, looks: Mapping[str, Look]) -> str:
    ranks = ", ".join(f"{each.method} {each.rank:.2f}" for each in comparison.standings)
    with any_letters():
        figure = critical_difference(comparison, looks, ink=INK)
        drawn = as_svg(figure, f"Critical-difference diagram; mean ranks: {ranks}")
    for index, colour in enumerate(LIGHT):
        drawn = drawn.replace(colour, f"var(--m{index})")
    return drawn


def _matrix(comparison: Comparison, looks: Mapping[str, Look]) -> str:
    order = [each.method for each in comparison.standings]
    found = {frozenset((pair.better, pair.worse)): pair for pair in comparison.pairs}
    head = "".join(
        f'<th scope="col" title="{escape(name)}">{at}<span hidden> {escape(name)}</span></th>'
        for at, name in enumerate(order, start=1)
    )
    body = ""
    for at, row in enumerate(order, start=1):
        cells = "".join(_cell(row, column, found, comparison.level) for column in order)
        body += f'<tr><th scope="row">{at} {named(row, looks[row])}</th>{cells}</tr>'
    content = f'<thead><tr><th scope="col">method</th>{head}</tr></thead><tbody>{body}</tbody>'
    return scrolled(f'<table class="cells">{content}</table>', "Who beats whom, a matrix of methods")


def _cell(row: str, column: str, found: Mapping[frozenset[str], Pair], level: float) -> str:
    pair = found.get(frozenset((row, column)))
    if pair is None:
        return '<td class="self"></td>'
    wins, clear = pair.better == row, pair.adjusted <= level
    sign, word = ("▲", "wins") if wins else ("▼", "loses")
    told = f"{pair.better} is better than {pair.worse} on {pair.wins} of {pair.runs} seeds, {pair.ties} ties"
    share = 55 if pair.adjusted <= level / 10 else 32
    style = f' class="hot {word}" style="--share:{share}"' if clear else ""
    ahead = None if pair.difference is None else pair.difference if wins else -pair.difference
    by = "" if ahead is None else f"<br>{'+' * (ahead > 0)}{number(ahead, 2)}"
    shown = f"<b>{sign}</b><br>" if clear else ""
    return f'<td{style} title="{escape(told)}">{shown}{escape(probability(pair.adjusted))}{by}</td>'


def _table(comparison: Comparison, looks: Mapping[str, Look]) -> str:
    rows = [
        [
            named(pair.better, looks[pair.better]),
            f"<td>{named(pair.worse, looks[pair.worse])}</td>",
            number(pair.difference),
            interval(pair.interval),
            f"{pair.wins} of {pair.runs}",
            f"{pair.ties}",
            escape(probability(pair.p)),
            escape(probability(pair.adjusted)),
        ]
        for pair in sorted(comparison.pairs, key=lambda pair: pair.adjusted)
    ]
    head = ["better", "than", "by (median)", "interval", "seeds won", "ties", "p", "corrected p"]
    return table(head, rows, label="All pairs of methods")
