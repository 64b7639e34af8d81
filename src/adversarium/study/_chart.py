"""Small charts of SVG that fit any width: lines stretch with the page; text, marks and strokes keep their size."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from adversarium.study._looks import SHAPES, Look
from adversarium.study._numbers import number

_DECADES = 1.3  # values that span more are drawn by their logarithms
_FILLED = 0.5  # of an axis, which a landmark has to leave to the values


@dataclass(frozen=True)
class Scale:
    """Where a value lies on an axis.

    Attributes:
        low: the value at its beginning.
        high: the value at its end.
        log: whether it is logarithmic.
    """

    low: float
    high: float
    log: bool = False

    @classmethod
    def of(cls, values: Iterable[float], *, margin: float = 0.04, log: bool | None = None) -> "Scale":
        """Return the scale that shows all values, logarithmic where that helps (or where ``log`` says so)."""
        found = list(values) or [0.0, 1.0]
        low, high = min(found), max(found)
        if log is None:
            log = low > 0 and math.log10(high) - math.log10(low) > _DECADES
        if log:
            room = (high / low) ** margin if high > low else 2.0
            return cls(low / room, high * room, log=True)
        room = (high - low) * margin or abs(high) * 0.1 or 1.0
        return cls(low - room, high + room)

    @classmethod
    def beside(cls, values: Iterable[float], landmark: float | None) -> "Scale":
        """Return the scale of all values, and of a landmark too, if it leaves them half of the axis."""
        found = list(values)
        if landmark is None or not found:
            return cls.of(found if landmark is None else [landmark])
        alone, both = cls.of(found), cls.of([*found, landmark])
        filled = both.share(max(found)) - both.share(min(found))
        return both if filled >= _FILLED and both.log >= alone.log else alone

    def shows(self, value: float) -> bool:
        """Return whether a value lies on the axis."""
        return self.low <= value <= self.high

    def share(self, value: float) -> float:
        """Return how far along the axis a value lies, from 0 to 1."""
        low, high, at = (math.log(each) if self.log else each for each in (self.low, self.high, value))
        return (at - low) / (high - low)

    def ticks(self, most: int = 5) -> list[float]:
        """Return at most about ``most`` round numbers on the axis."""
        from matplotlib.ticker import MaxNLocator

        if not self.log:
            round_numbers = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
            return [float(tick) for tick in round_numbers if self.low <= tick <= self.high]
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for factors in ((1, 2, 5), (1, 3), (1,)):
            found = [f * 10.0**e for e in exponents for f in factors if self.low <= f * 10.0**e <= self.high]
            if len(found) <= most:
                return found
        return found[:: math.ceil(len(found) / most)]


def beyond(value: float | None, scale: Scale, arrows: str = "↓↑") -> str:
    """Return what stands at an axis's edge for the real samples' value; empty where the axis shows it."""
    if value is None or scale.shows(value):
        return ""
    return f"{arrows[value > scale.high]} real samples: {number(value)}"


def upright(x: float, kind: str) -> str:
    """Return a line from top to bottom at ``x`` of 0 to 1 of the width, as SVG."""
    return f'<line x1="{100 * x:.2f}%" x2="{100 * x:.2f}%" y1="0" y2="100%" class="{kind}"/>'


def mark(shape: str, x: float, y: str, *, title: str = "", extra: str = "") -> str:
    """Return a mark at ``x`` of 0 to 1 of the width and at ``y``, as SVG has it; ``title`` shows under a pointer."""
    told = f"<title>{escape(title)}</title>" if title else ""
    return f'<svg x="{100 * x:.2f}%" y="{y}" class="mark"><path d="{SHAPES[shape]}" {extra}>{told}</path></svg>'


def chip(look: Look) -> str:
    """Return a method's line and mark, for a legend or beside its name."""
    return (
        f'<svg class="chip" viewBox="-13 -6 26 12" aria-hidden="true" style="--c:{look.variable}">'
        f'<path d="M-12 0H12" class="stroke" stroke-dasharray="{look.dashes}"/>'
        f'<path d="{SHAPES[look.mark]}" class="fill"/></svg>'
    )


def line(points: Sequence[tuple[float, float | None]], x: Scale, y: Scale) -> str:
    """Return the path of a line ``[(x, y)]`` in a chart; ``None`` breaks it, and a lone point is a dot."""
    path, drawing = "", False
    for at, value in points:
        if value is None:
            drawing = False
            continue
        path += f"{'L' if drawing else 'M'}{_place(at, value, x, y)}" + ("" if drawing else "h.1")
        drawing = True
    return path


def area(points: Sequence[tuple[float, float, float]], x: Scale, y: Scale) -> str:
    """Return the path of a band ``[(x, lower, upper)]`` in a chart."""
    there = [_place(at, low, x, y) for at, low, _ in points]
    back = [_place(at, high, x, y) for at, _, high in reversed(points)]
    return f"M{'L'.join([*there, *back])}z" if points else ""


def _place(at: float, value: float, x: Scale, y: Scale) -> str:
    return f"{1000 * x.share(at):.0f} {1000 * (1 - y.share(value)):.0f}"


def chart(
    shapes: str, x: Scale, y: Scale, *, label: str, below: str, height: str = "15rem", most: int = 5, edge: str = ""
) -> str:
    """Return a chart with its axes.

    Args:
        shapes: SVG in a square of 1000 by 1000, from ``line`` and ``area``.
        x: the horizontal axis.
        y: the vertical one.
        label: what it shows, read aloud.
        below: the horizontal axis's title.
        height: of the drawing.
        most: ticks on an axis.
        edge: what is said of a value that lies below the view (``↓``) or above it.
    """
    across, up = x.ticks(most), y.ticks(most)
    grid = "".join(f"M0 {1000 * (1 - y.share(tick)):.0f}H1000" for tick in up)
    texts = "".join(f'<span style="bottom:{100 * y.share(tick):.1f}%" class="y">{number(tick)}</span>' for tick in up)
    texts += "".join(
        f'<span style="left:{100 * x.share(tick):.1f}%" class="x">{number(tick)}</span>' for tick in across
    )
    if edge:
        texts += (
            f'<span class="edge" style="{"bottom" if edge.startswith("↓") else "top"}:.15rem">{escape(edge)}</span>'
        )
    return (
        f'<figure class="chart"><div class="plot" style="height:{height}">'
        f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">'
        f'<path d="{grid}" class="grid"/>{shapes}<path d="M0 1000H1000" class="axis"/></svg>'
        f'<div aria-hidden="true">{texts}</div></div>'
        f'<figcaption class="soft">{escape(below)}</figcaption></figure>'
    )
