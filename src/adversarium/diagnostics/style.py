"""How all pages of this library look: they need nothing else, open offline, on a phone, in light and dark."""

from html import escape

STYLE = """
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
"""The style sheet; its colours are variables, and differ in light and dark."""


def document(heading: str, body: str, *, style: str = "", head: str = "") -> str:
    """Return an HTML page.

    Args:
        heading: its title, as text.
        body: what is in it, as HTML.
        style: rules besides those of ``STYLE``.
        head: elements for its head, as HTML.
    """
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            *([head] if head else []),
            f"<title>{escape(heading)}</title>",
            f"<style>{STYLE}{style}</style>",
            "</head>",
            "<body>",
            body,
            "</body>",
            "</html>",
            "",
        ]
    )
