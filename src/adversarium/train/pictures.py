"""Pictures of a run: grids of images, scatters of vectors, curves of the training."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from adversarium.files import atomic_write

_NOT_TERMS = {"critic_gradient_norm", "critic_learning_rate"}
REAL, FAKE = "#9aa5b1", "#d1495b"


def grid_of(images: npt.NDArray[np.uint8], columns: int | None = None, padding: int = 2) -> Image.Image:
    """Return images ``[N, C, H, W]`` (1, 3 or 4 channels; of others the first) on one sheet, row by row."""
    images = images if images.shape[1] in (1, 3, 4) else images[:, :1]
    whole = placed(images, columns or int(np.ceil(np.sqrt(len(images)))), padding)
    picture = Image.fromarray(whole[:, :, 0] if whole.shape[2] == 1 else whole)
    # small pixels are hard to see: enlarge whole numbers of times, without smoothing
    scale = max(1, 640 // max(picture.size))
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def placed(images: npt.NDArray[np.uint8], columns: int, padding: int, gap: int = 0) -> npt.NDArray[np.uint8]:
    """Return images ``[N, C, H, W]`` on one white sheet ``[H', W', C]``, row by row.

    Args:
        images: what to place.
        columns: how many in a row.
        padding: pixels between them, and around all.
        gap: more pixels after the first column.
    """
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    shape = (rows * (height + padding) + padding, columns * (width + padding) + padding + gap, channels)
    whole = np.full(shape, 255, dtype=np.uint8)
    for index, image in enumerate(images):
        top = padding + index // columns * (height + padding)
        left = padding + index % columns * (width + padding) + (gap if index % columns else 0)
        whole[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return whole


def write_image(path: Path, picture: Image.Image) -> None:
    """Write a PNG atomically."""
    with atomic_write(path) as stream:
        picture.save(stream, format="PNG")


def write_scatter(path: Path, fake: npt.NDArray[np.float32], real: npt.NDArray[np.float32] | None = None) -> None:
    """Write the first two columns of vectors as points (one column: as a histogram), the data behind in grey."""
    figure, axes = _figure(5.0, 5.0)
    groups = [("data", real, REAL), ("generated", fake, FAKE)]
    for label, points, colour in groups:
        if points is None:
            continue
        if points.shape[1] == 1:
            axes.hist(points[:, 0], bins=80, density=True, alpha=0.6, color=colour, label=label)
        else:
            axes.scatter(points[:, 0], points[:, 1], s=5, alpha=0.45, linewidths=0, color=colour, label=label)
    if fake.shape[1] > 1:
        _square(axes, fake if real is None else real)
        axes.set_xlabel("column 0" if fake.shape[1] > 2 else "x")
        axes.set_ylabel("column 1" if fake.shape[1] > 2 else "y")
    if real is not None:  # of one group there is nothing to tell apart
        axes.legend(loc="upper right", frameon=False)
    write_figure(path, figure)


def _square(axes: Any, points: npt.NDArray[np.float32]) -> None:
    """Show the square in which points lie, with some room: pictures of one run show the same, whatever strays."""
    finite = points[np.isfinite(points).all(1), :2]
    if not len(finite):
        return
    low, high = np.quantile(finite, [0.005, 0.995], axis=0)
    centre, half = (low + high) / 2, max(0.65 * float((high - low).max()), 1e-6)
    axes.set_xlim(centre[0] - half, centre[0] + half)
    axes.set_ylim(centre[1] - half, centre[1] + half)
    axes.set_aspect("equal")


def write_curves(
    path: Path,
    records: Sequence[dict[str, float]],
    title: str,
    *,
    measured: str | None = None,
    floor: float | None = None,
) -> None:
    """Write losses, scores and gradient norms over the images seen, and the number that a run is evaluated by.

    Args:
        path: a .png.
        records: of the run.
        title: of the picture.
        measured: the protocol, which is the number's name in the records.
        floor: what it is of real samples, where that is known.
    """
    points = [(record["kimg"], record[measured]) for record in records if measured in record] if measured else []
    figure, panels = _figure(8.0, 8.0 + 2.5 * bool(points), rows=3 + bool(points))
    kimg = [record["kimg"] for record in records]
    # a term with an interval is in some records only
    terms = sorted({name for record in records for name in record if name.startswith("critic_")} - _NOT_TERMS)
    series = (
        ("loss", [*terms, "generator_loss"]),
        ("mean score (up = real)", ["real_score", "fake_score"]),
        ("gradient norm", ["critic_gradient_norm", "generator_gradient_norm"]),
    )
    for axes, (label, names) in zip(panels[:3], series, strict=True):
        for name in names:
            values = [record.get(name, float("nan")) for record in records]
            axes.plot(kimg, values, linewidth=1.2, label=name.replace("_", " "))
        axes.set_ylabel(label)
        axes.grid(alpha=0.25)
        axes.legend(loc="best", fontsize=8, frameon=False)
    if any(record.get(name, 0.0) > 0 for record in records for name in series[2][1]):
        panels[2].set_yscale("log")
    if points:
        _measured(panels[3], points, str(measured), floor)
    panels[-1].set_xlabel("thousands of real samples shown to the critic (kimg)")
    panels[0].set_title(title)
    write_figure(path, figure)


def _measured(axes: Any, points: Sequence[tuple[float, float]], name: str, floor: float | None) -> None:
    kimg, values = zip(*points, strict=True)
    axes.plot(kimg, values, linewidth=1.2, marker="o", markersize=4, color=FAKE, label=name)
    if floor is not None:
        axes.axhline(floor, color="#222222", linewidth=0.9, linestyle="--", label="real samples")
    axes.set_ylabel(name)
    axes.grid(alpha=0.25)
    axes.legend(loc="best", fontsize=8, frameon=False)


def _figure(width: float, height: float, rows: int = 1) -> tuple[Any, Any]:
    # a Figure of its own, without pyplot: no global state, no display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=rows > 1)
    for each in np.atleast_1d(axes):
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def write_figure(path: Path, figure: Any) -> None:
    """Write a matplotlib figure as a PNG atomically."""
    rendered = drawn(figure)
    with atomic_write(path) as stream:
        stream.write(rendered)


def drawn(figure: Any) -> bytes:
    """Return a matplotlib figure as a PNG."""
    rendered = io.BytesIO()
    figure.savefig(rendered, format="png", dpi=130)
    return rendered.getvalue()
