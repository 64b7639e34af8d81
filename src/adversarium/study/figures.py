"""A study's figures as files, for an article or a talk: PNG, and SVG where they are drawn of lines."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adversarium.files import atomic_write
from adversarium.study._chart import Scale, beyond
from adversarium.study._drawing import INK, REAL, SMALL, SOFT, any_letters, broken, canvas, fitted, width_of
from adversarium.study._looks import Look
from adversarium.study._mean_ranks import critical_difference
from adversarium.study._numbers import AXES, by_method, course, typical_seed
from adversarium.study._ranking import scale_of
from adversarium.study._samples import is_images, picture, window_of
from adversarium.study.comparison import Comparison
from adversarium.study.record import Record

_MARKERS = {"circle": "o", "diamond": "D", "triangle": "^"}
_STYLES: dict[str, Any] = {"": "-", "6 3": (0, (5, 2)), "1.5 2.5": (0, (1, 1.5))}


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
        for suffix in (".png", ".svg"):
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
    lines = 1 + max(len(broken(each.method)) for each in comparison.standings)
    figure, axes = canvas(7.2, 1.0 + max(0.42, 0.16 * lines) * count)
    scale = scale_of(comparison)
    if scale.log:
        axes.set_xscale("log")
    low, high = scale.low, scale.high
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
        axes.plot([middle, middle], [row - 0.28, row + 0.28], color=INK, linewidth=2)
    if away := beyond(comparison.floor, scale, "←→"):
        side, x = ("left", 0.0) if away.startswith("←") else ("right", 1.0)
        axes.text(x, 1.01, away, ha=side, va="bottom", color=REAL, fontsize=SMALL, transform=axes.transAxes)
    elif comparison.floor is not None:
        axes.axvline(comparison.floor, color=REAL, linewidth=1, linestyle="--", label="real samples")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize=SMALL, frameon=False)
    order = [each.method for each in comparison.standings]
    for column, group in enumerate(joined):
        rows = sorted(order.index(name) for name in group)
        x = 1.02 + 0.018 * column
        across = axes.get_yaxis_transform()
        axes.plot([x, x], [rows[0] - 0.3, rows[-1] + 0.3], color=SOFT, linewidth=1, transform=across, clip_on=False)
        axes.plot([x] * len(rows), rows, "s", color=SOFT, markersize=4, transform=across, clip_on=False)
    axes.set_xlim(low, high)
    names = [f"{fitted(each.method)}\nmean rank {each.rank:.2f}" for each in comparison.standings]
    axes.set_yticks(range(count), names, fontsize=SMALL)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_xlabel(f"{comparison.protocol}{'; crosses at the edge: failed' * failed}")
    axes.grid(axis="x", alpha=0.25)
    return figure


def quality(runs: Mapping[str, Sequence[Record]], comparison: Comparison, looks: Mapping[str, Look], axis: str) -> Any:
    """Return a matplotlib ``Figure`` of the median quality of each method over ``axis``, with quartiles if few."""
    figure, axes = canvas(7.2, max(4.2, 0.16 * sum(len(broken(name)) for name in runs)))
    shown: list[float] = []
    for name, each in runs.items():
        moments, look = course(each, comparison.better), looks[name]
        x = [moment.along[axis] for moment in moments]
        quartiles = np.array([moment.quartiles for moment in moments], dtype=float).reshape(-1, 3)
        style = _STYLES[look.dashes]
        axes.plot(x, quartiles[:, 1], color=look.colour, linewidth=1.6, linestyle=style, label=fitted(name))
        if len(runs) <= 4:
            axes.fill_between(x, quartiles[:, 0], quartiles[:, 2], color=look.colour, alpha=0.18, linewidth=0)
        shown += map(float, quartiles[np.isfinite(quartiles)])
    scale = Scale.beside(shown, comparison.floor)
    if scale.log:
        axes.set_yscale("log")
    axes.set_ylim(scale.low, scale.high)
    if away := beyond(comparison.floor, scale):
        side, y = ("bottom", 0.01) if away.startswith("↓") else ("top", 0.99)
        axes.text(0.01, y, away, ha="left", va=side, color=REAL, fontsize=SMALL, transform=axes.transAxes)
    elif comparison.floor is not None:
        axes.axhline(comparison.floor, color=REAL, linewidth=1, linestyle="--", label="real samples")
    axes.set_xlabel(AXES[axis])
    axes.set_ylabel(comparison.protocol)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7.5, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def sheet(chosen: Mapping[str, Record | None], real: npt.NDArray[Any] | None) -> Any:
    """Return a matplotlib ``Figure`` with the samples of each method in a row; real ones come first.

    A method that has none has a white row.
    """
    drawn = {name: None if run is None else run.samples for name, run in chosen.items()}
    made = [each for each in drawn.values() if each is not None and len(each)]
    columns = min(16, *map(len, made))
    rows = {} if real is None or len(real) < columns else {"the data": real[:columns]}
    blank = np.full_like(made[0][:columns], 255)
    rows |= {name: each[:columns] if each is not None and len(each) else blank for name, each in drawn.items()}
    whole = picture(np.concatenate(list(rows.values())), columns, padding=2)
    width, names = 0.45 * columns, width_of(part for name in rows for part in broken(name)) / 72  # inches
    figure, axes = canvas(width + names + 0.3, width * whole.height / whole.width)
    axes.imshow(whole, cmap="gray", vmin=0, vmax=255)
    axes.set_anchor("E")  # names stand at the left, in what its shape leaves
    axes.set_yticks(
        (np.arange(len(rows)) + 0.5) * whole.height / len(rows),
        [fitted(name) for name in rows],
        fontsize=SMALL,
        color=INK,
    )
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def scatters(
    chosen: Mapping[str, Record | None],
    runs: Mapping[str, Sequence[Record]],
    looks: Mapping[str, Look],
    real: npt.NDArray[Any] | None,
) -> Any:
    """Return a matplotlib ``Figure`` with a small scatter of each method, real samples behind in grey."""
    columns = min(4, len(chosen))
    rows = -(-len(chosen) // columns)
    figure, grid = canvas(2.0 * columns, 2.2 * rows, rows=rows, columns=columns)
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
        axes.set_title(f"{fitted(name)}{' (failed)' * failed}", fontsize=SMALL, color=INK)
    return figure
