"""Pieces of a study's page: sections, tables that scroll inside themselves, names with their colour."""

import re
from collections.abc import Sequence
from html import escape

from adversarium.study._chart import chip
from adversarium.study._looks import Look

_SIGN = re.compile(r"(?<=[-_=/,:+])(?=\w)")


def section(key: str, heading: str, *parts: str) -> str:
    """Return a section of HTML parts, under a heading that links can name by ``key``."""
    body = "\n".join(part for part in parts if part)
    return f'<section id="{key}" aria-labelledby="{key}-h"><h2 id="{key}-h">{escape(heading)}</h2>\n{body}\n</section>'


def fold(summary: str, *parts: str) -> str:
    """Return what is shown when its summary is opened."""
    return f"<details><summary>{escape(summary)}</summary>{''.join(parts)}</details>"


def paragraph(text: str) -> str:
    """Return a quiet paragraph of plain text."""
    return f'<p class="soft">{escape(text)}</p>'


def named(method: str, look: Look) -> str:
    """Return a method's name beside its line and mark."""
    return f'<span class="method" title="{escape(method)}">{chip(look)}<span>{_breakable(method)}</span></span>'


def _breakable(name: str) -> str:
    """Return a name that is broken between words where it can be, and else after a sign."""
    words = re.split(r"(\s+)", escape(name, quote=False))
    return "".join(
        f'<span class="word">{_SIGN.sub("<wbr>", each)}</span>' if _SIGN.search(each) else each for each in words
    )


def legend(looks: dict[str, Look], methods: Sequence[str]) -> str:
    """Return the names of methods beside how they are drawn."""
    return f'<ul class="legend">{"".join(f"<li>{named(name, looks[name])}</li>" for name in methods)}</ul>'


def many(parts: Sequence[str]) -> str:
    """Return small figures side by side, as many in a row as fit."""
    return f'<div class="many" style="--n:{len(parts)}">{"".join(parts)}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, label: str, numbers: bool = True) -> str:
    """Return a table that scrolls inside itself.

    Args:
        head: of the columns, as text.
        rows: cells as HTML, the first of each row its heading; a cell that begins with ``<td`` is taken as it is.
        label: what it is, read aloud.
        numbers: whether cells are aligned to the right.
    """
    kind = ' class="n"' if numbers else ""
    names = "".join(f'<th scope="col"{kind if column else ""}>{escape(name)}</th>' for column, name in enumerate(head))
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(cell if cell.startswith("<td") else f"<td{kind}>{cell}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return scrolled(f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>", label)


def scrolled(content: str, label: str) -> str:
    """Return a table in a frame that scrolls, also by the keyboard."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">{content}</div>'
