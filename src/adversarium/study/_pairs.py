"""Who beats whom: every two methods on the same seeds."""

from collections.abc import Mapping
from html import escape

from adversarium.diagnostics.plots import INK, as_svg
from adversarium.study import _mean_ranks
from adversarium.study._drawing import any_letters
from adversarium.study._html import fold, named, paragraph, scrolled, section, table
from adversarium.study._looks import LIGHT, Look
from adversarium.study._numbers import interval, number
from adversarium.study.comparison import Comparison, Pair
from adversarium.study.wording import interval_name, plural, probability


def pairs(comparison: Comparison, looks: Mapping[str, Look]) -> str:
    """Return the section of the comparisons in pairs, with the critical-difference diagram."""
    clear = [pair for pair in comparison.pairs if pair.adjusted <= comparison.level]
    told = (
        f"Of {plural(len(comparison.pairs), 'pair')}, {len(clear) or 'none'} {'is' if len(clear) < 2 else 'are'} told "
        f"apart: exact tests on the same seeds, corrected by Holm for all pairs, level {comparison.level:g}."
    )
    read = (
        "▲: the method of the row is better than that of the column; ▼: it is worse; no sign: not told apart. Below "
        "each sign the corrected p, and the median difference."
    )
    return section(
        "pairs",
        "Who beats whom",
        paragraph(told),
        f'<div class="broad">{paragraph(read)}{_matrix(comparison, looks)}</div>',
        f'<div class="narrow">{_list(comparison, looks)}</div>',
        fold("All pairs as a table", _table(comparison, looks)),
        "<h3>Mean ranks</h3>",
        f'<div class="broad">{_diagram(comparison, looks)}</div>',
        _mean_ranks.rows(comparison, looks),
        *(paragraph(each) for each in [_mean_ranks.caption(comparison), *comparison.hints]),
    )


def _diagram(comparison: Comparison, looks: Mapping[str, Look]) -> str:
    ranks = ", ".join(f"{each.method} {each.rank:.2f}" for each in comparison.standings)
    with any_letters():
        figure = _mean_ranks.critical_difference(comparison, looks, ink=INK)
        drawn = as_svg(figure, f"Critical-difference diagram; mean ranks: {ranks}")
    for index, colour in enumerate(LIGHT):
        drawn = drawn.replace(colour, f"var(--m{index})")
    wide = 72 * figure.get_size_inches()[0]  # in points; letters of the page are larger than those of the file
    return f'<div class="figure" style="--w:{wide:.0f}px">{drawn}</div>'


def _list(comparison: Comparison, looks: Mapping[str, Look]) -> str:
    """Return what the matrix says, as a list by method, without the pairs that are not told apart."""
    items = ""
    for each in comparison.standings:
        own = [pair for pair in comparison.pairs if each.method in (pair.better, pair.worse)]
        told = ""
        for sign, how, found in (
            ("▲", "better than", [(pair.worse, pair) for pair in own if pair.better == each.method]),
            ("▼", "worse than", [(pair.better, pair) for pair in own if pair.worse == each.method]),
        ):
            names = [
                f"{escape(name)} (p&nbsp;{escape(probability(pair.adjusted))})"
                for name, pair in found
                if pair.adjusted <= comparison.level
            ]
            told += f"<br>{sign} {how} {', '.join(names)}" if names else ""
        if told:
            items += f"<li>{named(each.method, looks[each.method])}{told}</li>"
    return f'<ul class="beats">{items}</ul>' if items else ""


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
    head = ["better", "than", "by (median)", interval_name(comparison.seeds), "seeds won", "ties", "p", "corrected p"]
    return table(head, rows, label="All pairs of methods")
