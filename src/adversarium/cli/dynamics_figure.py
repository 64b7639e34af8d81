"""The picture of ``adversarium dynamics``: how rules move in small games, or the spectrum of a run."""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adversarium.files import atomic_write

Array = npt.NDArray[np.float64]

MOST_PORTRAITS = 8
COLUMNS = 4
WIDTH = 12.0  # inches

# Okabe and Ito's colours, which colour-blind people can tell apart; their yellow is too pale for lines
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
LINES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (9, 2)))
MARKERS = "os^Dv<>P"
FLOW, CIRCLE, INK = "#b8c0c8", "#6b7580", "#1f2933"
STABLE, UNSTABLE = "#edf6ee", "#fdf0ec"
START: dict[str, Any] = {"color": "white", "markeredgecolor": INK, "markersize": 6}
EQUILIBRIUM: dict[str, Any] = {"color": "#ffd23f", "markeredgecolor": INK, "markersize": 12}


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What one rule did in a game.

    Attributes:
        rule: as it was asked for.
        positions: ``[T + 1, 2]``, in the portrait's plane.
        distances: to the equilibrium, ``[T + 1]``.
        multipliers: eigenvalues of its update, per step, complex; none where there is no linearisation.
    """

    rule: str
    positions: Array
    distances: Array
    multipliers: npt.NDArray[np.complex128]


@dataclass(frozen=True, kw_only=True)
class Portrait:
    """A game on a plane: its vector field, and the rules' ways through it.

    Attributes:
        title: loss and penalty, or the game's name.
        axes: what the plane's two axes are.
        equilibrium: ``[2]``.
        offsets: a grid's coordinates from the equilibrium on either axis, ``[m]``.
        flow: the field at the grid's points, ``[m, m, 2]``, the second axis' coordinate first, as an image's rows.
        curves: one for each rule.
    """

    title: str
    axes: tuple[str, str]
    equilibrium: Array
    offsets: Array
    flow: Array
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class _Style:
    color: str
    linestyle: Any
    marker: str
    size: float

    @property
    def line(self) -> dict[str, Any]:
        return {"color": self.color, "linestyle": self.linestyle}

    @property
    def points(self) -> dict[str, Any]:
        edge = {"markeredgecolor": "white", "markeredgewidth": 0.8}
        return {"color": self.color, "marker": self.marker, "linestyle": "none", "markersize": self.size, **edge}


Styles = Mapping[str, _Style]


def write_portraits(path: Path, portraits: Sequence[Portrait], title: str, caption: str = "") -> None:
    """Write for each game its phase portrait, the eigenvalues of the updates, and the distance by step.

    One or two games stand in rows, more in columns. At most ``MOST_PORTRAITS`` are drawn.
    """
    shown = portraits[:MOST_PORTRAITS]
    styles = _styles([curve.rule for each in shown for curve in each.curves])
    in_rows = len(shown) <= 2
    bands = -(-len(shown) // COLUMNS)
    columns = 3 if in_rows else -(-len(shown) // bands)
    side = (WIDTH - 0.4) / columns - 0.75  # of a panel, in inches
    heights = (
        [side + (0.9 if len(shown) == 1 else 1.2)] * len(shown)
        if in_rows
        else [side + 1.0, 0.75 * side + 0.6, 0.75 * side + 0.6] * bands
    )
    figure = _figure(sum(heights), title, caption, styles)
    panels = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
    for axes in panels.flat[3 * len(shown) :] if in_rows else panels[-3:, len(shown) - (bands - 1) * columns :].flat:
        axes.set_visible(False)
    for index, portrait in enumerate(shown):
        band, column = divmod(index, columns)
        phase, plane, distance = panels[index] if in_rows else panels[3 * band : 3 * band + 3, column]
        _head(phase, portrait.title)
        _draw_phase(phase, portrait, styles)
        _draw_multipliers(plane, portrait, styles)
        _draw_distances(distance, portrait, styles, _span(shown))
        for axes in (plane, distance):
            axes.set_box_aspect(1 if in_rows else 0.75)
        if in_rows:
            _head(plane, "eigenvalues of the updates")
            _head(distance, "distance to the equilibrium")
            plane.set_ylabel("imaginary part")
        elif column == 0:
            plane.set_ylabel("eigenvalues of the updates\nimaginary part")
            distance.set_ylabel("distance to\nthe equilibrium")
    _write(figure, path)


def _head(axes: Any, title: str) -> None:
    lines = [part for line in title.splitlines() for part in textwrap.wrap(line, 30)]
    axes.set_title("\n".join(lines), fontsize=11, fontweight="bold", color=INK)


def _draw_phase(axes: Any, portrait: Portrait, styles: Styles) -> None:
    centre, offsets = portrait.equilibrium, portrait.offsets
    across, up = centre[0] + offsets, centre[1] + offsets
    axes.streamplot(
        across, up, *portrait.flow.transpose(2, 0, 1), color=FLOW, density=0.8, linewidth=0.7, arrowsize=0.8, zorder=1
    )
    for curve in portrait.curves:
        axes.plot(*_inside(curve.positions, portrait).T, linewidth=1.5, zorder=3, **styles[curve.rule].line)
    for curve in portrait.curves[:1]:
        axes.plot(*curve.positions[0], "o", zorder=4, **START)
    axes.plot(*centre, "*", zorder=5, **EQUILIBRIUM)
    axes.set_xlim(across[0], across[-1])
    axes.set_ylim(up[0], up[-1])
    axes.set_box_aspect(1)
    axes.set_xlabel(portrait.axes[0])
    axes.set_ylabel(portrait.axes[1])


def _inside(positions: Array, portrait: Portrait) -> Array:
    """Return a way until it is far outside the picture: a dashed line to infinity takes matplotlib minutes."""
    reach = float(np.abs(portrait.offsets).max())
    offset = np.nan_to_num(positions - portrait.equilibrium, posinf=1e300, neginf=-1e300)
    away = np.abs(offset).max(axis=1)
    gone = away > 3 * reach
    last = int(gone.argmax()) if gone.any() else len(positions)
    shrink = np.minimum(1, 6 * reach / np.maximum(away, reach))
    shown: Array = portrait.equilibrium + (offset * shrink[:, None])[: last + 1]
    return shown


def _draw_multipliers(axes: Any, portrait: Portrait, styles: Styles) -> None:
    _draw_circle(axes)
    across, up = _window([curve.multipliers for curve in portrait.curves if curve.multipliers.size])
    outside = []
    for curve in portrait.curves:
        upper = curve.multipliers[curve.multipliers.imag >= -1e-9]
        axes.plot(upper.real, upper.imag, zorder=4, **styles[curve.rule].points)
        inside = (across[0] < upper.real) & (upper.real < across[1]) & (upper.imag < up[1])
        if upper.size and not inside[np.abs(upper) > 0.98 * np.abs(upper).max()].any():
            outside.append(curve.rule)
    axes.set_xlim(*across)
    axes.set_ylim(*up)
    axes.locator_params(nbins=5)
    axes.set_xlabel("real part")
    if not any(curve.multipliers.size for curve in portrait.curves):
        axes.text(0.5, 0.4, "no linearisation", transform=axes.transAxes, ha="center", color=INK)
    if outside:
        note = textwrap.fill(f"beyond this window: {', '.join(outside)}", 34)
        axes.text(0.97, 0.86, note, transform=axes.transAxes, ha="right", va="top", fontsize=8, color="#b04a33")


def _draw_circle(axes: Any) -> None:
    """Draw the circle within which an update's eigenvalues attract."""
    from matplotlib.patches import Circle

    axes.set_facecolor(UNSTABLE)
    axes.add_patch(Circle((0, 0), 1, facecolor=STABLE, edgecolor=CIRCLE, linewidth=1.2, zorder=0))
    axes.axhline(0, color=CIRCLE, linewidth=0.5, zorder=1)
    axes.text(0.03, 0.17, "attracts", transform=axes.transAxes, fontsize=9, color="#3f7d4e")
    axes.text(0.97, 0.95, "repels", transform=axes.transAxes, va="top", ha="right", fontsize=9, color="#b04a33")


def _draw_distances(axes: Any, portrait: Portrait, styles: Styles, span: tuple[float, float]) -> None:
    for curve in portrait.curves:
        # no further than just out of sight: see _inside
        shown = np.clip(np.where(curve.distances > 0, curve.distances, np.nan), span[0] / 10, span[1] * 10)
        axes.plot(shown, linewidth=1.6, **styles[curve.rule].line)
    axes.set_yscale("log")
    axes.set_ylim(*span)
    axes.grid(alpha=0.25)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel("step")
    axes.spines[["top", "right"]].set_visible(False)


def _styles(rules: Sequence[str]) -> Styles:
    """Return each rule's colour, line and marker: no two of the first 280 share all three."""
    return {
        # earlier marks are larger, and show under later ones
        rule: _Style(
            COLOURS[n % len(COLOURS)], LINES[n % len(LINES)], MARKERS[n % len(MARKERS)], max(9.5 - 0.8 * n, 5)
        )
        for n, rule in enumerate(dict.fromkeys(rules))
    }


def _window(multipliers: Sequence[npt.NDArray[np.complex128]]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the limits of a panel of eigenvalues: each rule's leading ones and the circle beside them, upper half.

    They come in conjugate pairs, so the lower half shows the same. What a rule remembers adds eigenvalues near 0,
    which decide nothing.
    """
    if not multipliers:
        return (-1.3, 1.3), (0.0, 1.3)
    leading = np.concatenate([each[np.abs(each) > 0.98 * np.abs(each).max()] for each in multipliers])
    # one that explodes would hide the rest
    leading = leading[np.abs(leading) <= max(1.3, 1.05 * float(np.abs(leading).min()))]
    top = max(float(leading.imag.max()), 1e-3)
    # the circle as high as the highest eigenvalue, so that it crosses the panel from bottom to top
    left = min(float(leading.real.min()), float(np.sqrt(max(0.0, 1 - min(top, 1) ** 2))))
    right = max(float(leading.real.max()), 1.0)
    width = max(right - left, 0.02)
    top = max(top, 0.3 * width)
    return (left - 0.15 * width, right + 0.3 * width), (-0.12 * top, 1.35 * top)


def _span(portraits: Sequence[Portrait]) -> tuple[float, float]:
    """Return the limits of the panels of distances: all of them, but no more decades than can be told apart."""
    found = np.concatenate([curve.distances for each in portraits for curve in each.curves])
    found = found[np.isfinite(found) & (found > 0)]
    start = max(float(curve.distances[0]) for each in portraits for curve in each.curves)
    return max(float(found.min()), 1e-6 * start) / 1.5, min(float(found.max()), 1e3 * start) * 1.5


def _figure(height: float, title: str, caption: str, styles: Styles) -> Any:
    """Return a figure with a title, a caption under it and a legend below, and ``height`` inches between them."""
    # a Figure of its own, without pyplot: no global state, no display
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], label=rule, linewidth=2, **{**style.points, **style.line}) for rule, style in styles.items()
    ]
    if styles:
        handles.append(Line2D([], [], label="start", linestyle="none", marker="o", **START))
        handles.append(Line2D([], [], label="equilibrium", linestyle="none", marker="*", **EQUILIBRIUM))
    widths = [0.75 + 0.095 * len(str(handle.get_label())) for handle in handles]  # in inches
    rows = math.ceil(sum(widths) / WIDTH)
    columns = -(-len(handles) // max(rows, 1))
    top, below = 0.75 if caption else 0.45, 0.3 * rows + 0.1
    whole = top + height + below
    figure = Figure(figsize=(WIDTH, whole), layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(rect=(0, below / whole, 1, height / whole))
    figure.text(0.5, 1 - 0.1 / whole, title, ha="center", va="top", fontsize=14, color=INK)
    figure.text(0.5, 1 - 0.42 / whole, caption, ha="center", va="top", fontsize=10, color=CIRCLE)
    if handles:
        figure.legend(handles=handles, loc="lower center", ncols=columns, frameon=False, borderaxespad=0.2)
    return figure


def write_spectrum(
    path: Path, found: Sequence[complex], largest_stable_step: float, title: str, caption: str = ""
) -> None:
    """Write the eigenvalues of a field's Jacobian, with the disc in which a step of simultaneous descent is stable.

    Below the largest stable step h an eigenvalue λ attracts where |1 + hλ| < 1: in the disc around -1/h through 0.
    """
    from matplotlib.patches import Circle

    eigenvalues = np.array(found)
    figure = _figure(5.5, title, caption, {})
    axes = figure.subplots()
    axes.set_facecolor(UNSTABLE)
    axes.axvspan(-1e12, 0, color=STABLE, zorder=0)
    if 0 < largest_stable_step < math.inf:
        radius = 1 / largest_stable_step
        axes.add_patch(Circle((-radius, 0), radius, facecolor="#d3ead6", edgecolor=CIRCLE, linewidth=1.2, zorder=1))
    axes.axhline(0, color=CIRCLE, linewidth=0.5, zorder=1)
    axes.axvline(0, color=CIRCLE, linewidth=1.2, zorder=1)
    axes.plot(
        eigenvalues.real, eigenvalues.imag, "o", color=COLOURS[1], markersize=8, markeredgecolor="white", zorder=3
    )
    reach = 1.2 * max(float(np.abs(eigenvalues).max()), 1e-12)
    axes.set_xlim(
        min(float(eigenvalues.real.min()) - 0.2 * reach, -0.3 * reach),
        max(float(eigenvalues.real.max()), 0) + 0.3 * reach,
    )
    axes.set_ylim(-reach, reach)
    axes.text(0.02, 0.96, "attracts", transform=axes.transAxes, va="top", color="#3f7d4e")
    axes.text(0.98, 0.96, "repels", transform=axes.transAxes, va="top", ha="right", color="#b04a33")
    axes.set_xlabel("real part (growth per unit of step size)")
    axes.set_ylabel("imaginary part (rotation, radians)")
    _write(figure, path)


def _write(figure: Any, path: Path) -> None:
    rendered = io.BytesIO()
    figure.savefig(rendered, format=path.suffix[1:], dpi=130)
    if path.suffix == ".png":
        rendered = _with_a_palette(rendered)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as stream:
        stream.write(rendered.getvalue())


def _with_a_palette(rendered: io.BytesIO) -> io.BytesIO:
    """Return a PNG of 256 colours: a third of the size, and no difference to see."""
    from PIL import Image

    smaller = io.BytesIO()
    with Image.open(rendered) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(smaller, format="PNG", optimize=True)
    return smaller
