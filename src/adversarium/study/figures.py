"""A study's figures as files, for an article or a talk: PNG, and SVG where they are drawn of lines."""

import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adversarium.files import atomic_write
from adversarium.study._looks import Look
from adversarium.study._numbers import AXES, by_method, course, typical_seed, values_of
from adversarium.study._samples import is_images, picture, window_of
from adversarium.study.compare import Comparison
from adversarium.study.record import Record

_INK, _SOFT = "#1d2733", "#5b6875"
_MARKERS = {"circle": "o", "diamond": "D", "triangle": "^"}
_STYLES: dict[str, Any] = {"": "-", "6 3": (0, (5, 2)), "1.5 2.5": (0, (1, 1.5))}
_LONGEST = 26  # characters of a name in a figure


def write_figures(
    folder: Path,
    records: Sequence[Record],
    comparison: Comparison,
    looks: Mapping[str, Look],
    *,
    real: npt.NDArray[Any] | None = None,
    axes: Sequence[str] = ("kimg", "seconds"),
) -> list[Path]:
    """Write all figures of a study into a folder, each atomically, and return their paths.

    Args:
        folder: where to; it is made.
        records: the runs.
        comparison: of them.
        looks: how each method is drawn.
        real: real samples, as the records' samples: points to draw behind those, images for a row of their own.
        axes: what quality is drawn over: ``kimg``, ``seconds``, ``gradients``.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in _figures(records, comparison, looks, real, axes):
        for suffix in (".png", ".svg") if hasattr(figure, "savefig") else (".png",):
            path = folder / f"{name}{suffix}"
            with atomic_write(path) as stream:
                stream.write(_rendered(figure, suffix[1:], name))
            written.append(path)
    return written


def _figures(
    records: Sequence[Record],
    comparison: Comparison,
    looks: Mapping[str, Look],
    real: npt.NDArray[Any] | None,
    axes: Sequence[str],
) -> Iterator[tuple[str, Any]]:
    runs = by_method(records, list(looks))
    yield "ranking", ranking(comparison, looks)
    yield "critical_difference", critical_difference(comparison, looks)
    if any(record.curve for record in records):
        for axis in axes:
            yield f"quality_over_{axis}", quality(runs, comparison, looks, axis)
    seed = typical_seed(runs, comparison.better)
    if seed is not None:
        chosen = {name: next((run for run in each if run.seed == seed), None) for name, each in runs.items()}
        yield "samples", sheet(chosen, real) if is_images(runs) else scatters(chosen, runs, looks, real)


def _rendered(figure: Any, kind: str, salt: str) -> bytes:
    stream = io.BytesIO()
    if not hasattr(figure, "savefig"):
        figure.save(stream, format="PNG", optimize=True)
        return stream.getvalue()
    import matplotlib

    # the same bytes at every call; text of an SVG stays text
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}), any_letters():
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(stream, format=kind, dpi=160, facecolor="white", metadata=metadata)
    return stream.getvalue()


def ranking(comparison: Comparison, looks: Mapping[str, Look]) -> Any:
    """Return a matplotlib ``Figure`` of the ranking: a row each method, its runs, their median and its interval.

    Runs that failed are crosses at the worse edge; bars at the right join methods that are not told apart.
    """
    joined = [group for group in comparison.groups if len(group) > 1]
    count = len(comparison.standings)
    figure, axes = _figure(7.2, 1.0 + 0.42 * count)
    values = values_of(comparison) or [0.0, 1.0]
    if min(values) > 0 and max(values) > 20 * min(values):
        axes.set_xscale("log")
    axes.update_datalim([(min(values), 0), (max(values), count - 1)])
    axes.autoscale_view()
    low, high = axes.get_xlim()
    worst = low if comparison.better == "higher" else high
    failed = any(each.failed for each in comparison.standings)
    for row, each in enumerate(comparison.standings):
        look = looks[each.method]
        ends = [worst if end is None else end for end in each.interval]
        axes.plot(ends, [row, row], color=look.colour, linewidth=6, alpha=0.3, solid_capstyle="butt")
        for place, value in enumerate(each.values):
            height = row + (-0.14, 0.0, 0.14)[place % 3]
            if value is None:
                axes.plot([worst], [height], "x", color="#b3261e", markersize=5, clip_on=False)
            else:
                marker = _MARKERS[look.mark]
                axes.plot([value], [height], marker, color=look.colour, markersize=5, alpha=0.75, markeredgewidth=0)
        middle = worst if each.median is None else each.median
        axes.plot([middle, middle], [row - 0.28, row + 0.28], color=_INK, linewidth=2)
    if comparison.floor is not None:
        axes.axvline(comparison.floor, color="#21704a", linewidth=1, linestyle="--", label="real samples")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize=8, frameon=False)
    order = [each.method for each in comparison.standings]
    for column, group in enumerate(joined):
        rows = sorted(order.index(name) for name in group)
        x = 1.02 + 0.018 * column
        across = axes.get_yaxis_transform()
        axes.plot([x, x], [rows[0] - 0.3, rows[-1] + 0.3], color=_SOFT, linewidth=1, transform=across, clip_on=False)
        axes.plot([x] * len(rows), rows, "s", color=_SOFT, markersize=4, transform=across, clip_on=False)
    axes.set_xlim(low, high)
    axes.set_yticks(range(count), [_short(each.method) for each in comparison.standings])
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_xlabel(f"{comparison.protocol}{'; crosses at the edge: failed' * failed}")
    axes.grid(axis="x", alpha=0.25)
    return figure


def quality(runs: Mapping[str, Sequence[Record]], comparison: Comparison, looks: Mapping[str, Look], axis: str) -> Any:
    """Return a matplotlib ``Figure`` of the median quality of each method over ``axis``, with quartiles if few."""
    figure, axes = _figure(6.4, 4.2)
    shown = []
    for name, each in runs.items():
        moments, look = course(each, comparison.better), looks[name]
        x = [moment.along[axis] for moment in moments]
        quartiles = np.array([moment.quartiles for moment in moments], dtype=float).reshape(-1, 3)
        style = _STYLES[look.dashes]
        axes.plot(x, quartiles[:, 1], color=look.colour, linewidth=1.6, linestyle=style, label=_short(name))
        if len(runs) <= 4:
            axes.fill_between(x, quartiles[:, 0], quartiles[:, 2], color=look.colour, alpha=0.18, linewidth=0)
        shown.append(quartiles[np.isfinite(quartiles)])
    if comparison.floor is not None:
        axes.axhline(comparison.floor, color="#21704a", linewidth=1, linestyle="--", label="real samples")
        shown.append(np.array([comparison.floor]))
    values = np.concatenate(shown)
    if len(values) and values.min() > 0 and values.max() > 20 * values.min():
        axes.set_yscale("log")
    axes.set_xlabel(AXES[axis])
    axes.set_ylabel(comparison.protocol)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7.5, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def critical_difference(comparison: Comparison, looks: Mapping[str, Look], *, ink: str = _INK) -> Any:
    """Return a matplotlib ``Figure`` of mean ranks on a line; bars join those nearer than the critical difference.

    The diagram of Demšar (2006): the best at the left.
    """
    ordered = sorted(comparison.standings, key=lambda each: each.rank)
    count, gap = len(ordered), comparison.critical_difference
    half = (count + 1) // 2
    bars = _cliques([each.rank for each in ordered], gap)
    top = 0.28 * len(bars) + 0.45
    # the names' room at either side, in points; what is left is the axis's
    left, right = (
        4.9 * max((len(_short(each.method)) for each in part), default=0) + 45
        for part in (ordered[:half], ordered[half:])
    )
    width = max(330.0, left + right + 130)
    unit = (width - left - right) / (count - 1)  # points between two ranks
    figure, axes = _figure(width / 72, (1.75 + top + 0.5 * half) * 0.38)
    axes.set_position((0, 0, 1, 1))
    figure.set_layout_engine("none")
    figure.patch.set_visible(ink == _INK)
    axes.set_axis_off()
    axes.hlines(0, 1, count, color=ink, linewidth=1.2)
    for tick in range(1, count + 1):
        axes.vlines(tick, 0, 0.15, color=ink, linewidth=1)
        axes.text(tick, 0.22, str(tick), ha="center", va="bottom", fontsize=8, color=ink)
    for row, (first, last) in enumerate(bars):
        ends = (ordered[first].rank - 4 / unit, ordered[last].rank + 4 / unit)
        axes.hlines(-0.28 * (row + 1), *ends, color=ink, linewidth=3)
    for place, each in enumerate(ordered):
        at_left = place < half
        height, colour = -top - 0.5 * (place if at_left else count - 1 - place), looks[each.method].colour
        edge = 1 - 12 / unit if at_left else count + 12 / unit
        axes.plot([each.rank, each.rank, edge], [0, height, height], color=colour, linewidth=1.3)
        axes.plot([each.rank], [0], "o", color=colour, markersize=4)
        name, rank = _short(each.method), f"{each.rank:.2f}"
        told, side, shift = (f"{name}  {rank}", "right", -4) if at_left else (f"{rank}  {name}", "left", 4)
        axes.text(edge + shift / unit, height, told, ha=side, va="center", fontsize=8, color=ink)
    told = f"critical difference {gap:.2f}" if math.isfinite(gap) else "no difference of ranks would do"
    axes.hlines(1.0, 1, min(1 + gap, count), color=ink, linewidth=1.5)
    axes.text(1, 1.1, told, ha="left", va="bottom", fontsize=8, color=ink)
    axes.set_ylim(-top - 0.5 * half, 1.75)
    axes.set_xlim(1 - left / unit, count + right / unit)
    return figure


def _cliques(ranks: Sequence[float], gap: float) -> list[tuple[int, int]]:
    """Return the first and last place of each stretch of ranks nearer than ``gap``, as large as it can be."""
    found: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = max(at for at in range(first, len(ranks)) if at == first or ranks[at] - rank < gap)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def sheet(chosen: Mapping[str, Record | None], real: npt.NDArray[Any] | None) -> Any:
    """Return one image with the samples of each method in a row, in the order of ``chosen``; real ones come first.

    A method that has none has a white row.
    """
    made = [run.samples for run in chosen.values() if run is not None and run.samples is not None and len(run.samples)]
    columns = min(16, *(len(each) for each in made)) if len(made) > 1 else min(16, len(made[0]))
    rows = [] if real is None or len(real) < columns else [real[:columns]]
    blank = np.full_like(made[0][:columns], 255)
    for run in chosen.values():
        has = run is not None and run.samples is not None and len(run.samples)
        rows.append(run.samples[:columns] if has and run is not None and run.samples is not None else blank)
    return picture(np.concatenate(rows), columns, padding=2)


def scatters(
    chosen: Mapping[str, Record | None],
    runs: Mapping[str, Sequence[Record]],
    looks: Mapping[str, Look],
    real: npt.NDArray[Any] | None,
) -> Any:
    """Return a matplotlib ``Figure`` with a small scatter of each method, real samples behind in grey."""
    columns = min(4, len(chosen))
    rows = -(-len(chosen) // columns)
    figure, grid = _figure(2.0 * columns, 2.2 * rows, rows=rows, columns=columns)
    window = window_of(runs, real)
    panels = np.atleast_1d(grid).ravel()
    for axes in panels[len(chosen) :]:
        axes.set_axis_off()
    for axes, (name, run) in zip(panels, chosen.items(), strict=False):
        made = None if run is None or run.samples is None else run.samples.reshape(len(run.samples), -1)
        for points, colour, alpha in ((real, "#9aa5b1", 0.4), (made, looks[name].colour, 0.8)):
            if points is None or not len(points):
                continue
            if window.columns == 1:
                limits = (window.low[0], window.high[0])
                axes.hist(points.reshape(len(points)), 40, limits, density=True, color=colour, alpha=alpha)
            else:
                axes.scatter(points[:1000, 0], points[:1000, 1], s=4, color=colour, alpha=alpha, linewidths=0)
        axes.set_xlim(window.low[0], window.high[0])
        if window.columns > 1:
            axes.set_ylim(window.low[1], window.high[1])
            axes.set_aspect("equal")
        axes.set_xticks([])
        axes.set_yticks([])
        failed = run is None or run.failed
        axes.set_title(f"{_short(name)}{' (failed)' * failed}", fontsize=8, color=_INK)
    return figure


@contextmanager
def any_letters() -> Iterator[None]:
    """Let names have letters that matplotlib's font lacks: a PNG shows boxes, an SVG or a page the reader's font."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _short(name: str) -> str:
    """Return a name that fits; matplotlib would take dollar signs for mathematics."""
    kept = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
    return kept.replace("$", r"\$")


def _figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    # a Figure of its own, without pyplot: no global state, no display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns)
    for each in np.atleast_1d(axes).ravel():
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes
