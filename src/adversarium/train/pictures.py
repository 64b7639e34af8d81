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
    count, channels, height, width = images.shape
    columns = columns or int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    if channels not in (1, 3, 4):
        images, channels = images[:, :1], 1
    sheet = np.full(
        (rows * (height + padding) + padding, columns * (width + padding) + padding, channels), 255, dtype=np.uint8
    )
    for index, image in enumerate(images):
        top = padding + index // columns * (height + padding)
        left = padding + index % columns * (width + padding)
        sheet[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    picture = Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet)
    # small pixels are hard to see: enlarge whole numbers of times, without smoothing
    scale = max(1, 640 // max(picture.size))
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


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
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel("column 0" if fake.shape[1] > 2 else "x")
        axes.set_ylabel("column 1" if fake.shape[1] > 2 else "y")
    axes.legend(loc="upper right", frameon=False)
    write_figure(path, figure)


def write_curves(path: Path, records: Sequence[dict[str, float]], title: str) -> None:
    """Write losses, scores and gradient norms over the images seen."""
    figure, panels = _figure(8.0, 8.0, rows=3)
    kimg = [record["kimg"] for record in records]
    # a term with an interval is in some records only
    terms = sorted({name for record in records for name in record if name.startswith("critic_")} - _NOT_TERMS)
    series = (
        ("loss", [*terms, "generator_loss"]),
        ("mean score (up = real)", ["real_score", "fake_score"]),
        ("gradient norm", ["critic_gradient_norm", "generator_gradient_norm"]),
    )
    for axes, (label, names) in zip(panels, series, strict=True):
        for name in names:
            values = [record.get(name, float("nan")) for record in records]
            axes.plot(kimg, values, linewidth=1.2, label=name.replace("_", " "))
        axes.set_ylabel(label)
        axes.grid(alpha=0.25)
        axes.legend(loc="best", fontsize=8, frameon=False)
    panels[2].set_yscale("log")
    panels[2].set_xlabel("thousands of real samples shown to the critic (kimg)")
    panels[0].set_title(title)
    write_figure(path, figure)


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
    rendered = io.BytesIO()
    figure.savefig(rendered, format="png", dpi=130)
    with atomic_write(path) as stream:
        stream.write(rendered.getvalue())
