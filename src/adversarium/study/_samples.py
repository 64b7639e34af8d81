"""Samples of every method side by side, at the same latent codes."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from adversarium.study import statistics
from adversarium.study._html import fold, many, named, paragraph, section
from adversarium.study._looks import Look
from adversarium.study._numbers import number, place, typical_seed
from adversarium.study.record import Record
from adversarium.train.pictures import placed

MOST_IMAGES = 10
"""Columns of images: codes."""

MOST_PIXELS = 64
"""Larger images are made smaller for the page (not for the figures)."""

FEW_IMAGES, FEW_PIXELS = 5, 48
"""Likewise, in the rows of the best, the median and the worst run."""

_MOST_POINTS = 400
_MOST_REAL = 800


def samples(
    runs: Mapping[str, Sequence[Record]],
    better: str | float,
    looks: Mapping[str, Look],
    real: npt.NDArray[Any] | None = None,
) -> str:
    """Return the section with samples; empty where no run has any."""
    seed = typical_seed(runs, better)
    if seed is None:
        return ""
    chosen = {name: next((run for run in each if run.seed == seed), None) for name, each in runs.items()}
    images = is_images(runs)
    show = _Images(better) if images else _Points(better, window_of(runs, real), real)
    kind = "each column is one latent code" if images else "each square is one run, all with the same latent codes"
    told = (
        f"Seed {seed}, the one whose runs are nearest to the median of their methods: {kind}. Under each name stands "
        "what its run is among those of its method."
    )
    extremes = {
        name: picked for name, each in runs.items() if (picked := extremes_of(each, better)) and looks.get(name)
    }
    return section(
        "samples",
        "Samples, side by side",
        paragraph(told),
        paragraph(show.told()),
        show.row_of(chosen, runs, looks, real),
        fold(
            "The best, the median and the worst run of each method",
            paragraph("By value, each with its seed: codes differ from seed to seed. None was chosen by looking."),
            *(show.group(name, picked, runs[name], looks[name]) for name, picked in extremes.items()),
        ),
    )


def is_images(runs: Mapping[str, Sequence[Record]]) -> bool:
    """Return whether samples are images, rather than points."""
    return any(run.samples is not None and run.samples.ndim == 4 for each in runs.values() for run in each)


def extremes_of(runs: Sequence[Record], better: str | float) -> dict[str, Record]:
    """Return a method's best, median and worst run by value, each once; of an even number the better median."""
    ordered = sorted(runs, key=lambda run: statistics.cost(run.value, better))
    if not ordered:
        return {}
    found = {"best": ordered[0], "median": ordered[(len(ordered) - 1) // 2], "worst": ordered[-1]}
    kept: dict[str, Record] = {}
    for name, run in found.items():
        if run not in kept.values():
            kept[name] = run
    return kept


def _caption(run: Record) -> str:
    return f"seed {run.seed}: {number(run.value)}"


def _empty(run: Record | None) -> str:
    why = "no run with this seed" if run is None else run.why or "no samples"
    return f'<div class="none">{escape(why)}</div>'


@dataclass
class _Images:
    better: str | float

    def told(self) -> str:
        return ""

    def row_of(
        self,
        chosen: Mapping[str, Record | None],
        runs: Mapping[str, Sequence[Record]],
        looks: Mapping[str, Look],
        real: npt.NDArray[Any] | None,
    ) -> str:
        cells = ""
        if real is not None and len(real):
            strip = _strip(real[:MOST_IMAGES], "real samples")
            cells += f'<div>the data<br><span class="soft">for comparison, no codes</span></div><div>{strip}</div>'
        for name, run in chosen.items():
            below = "" if run is None else f"{number(run.value)}, {place(run, runs[name], self.better)}"
            cells += f'<div>{named(name, looks[name])}<br><span class="soft">{below}</span></div>'
            cells += f"<div>{self._strip_of(run, MOST_IMAGES)}</div>"
        return f'<div class="sheet">{cells}</div>'

    def group(self, name: str, picked: Mapping[str, Record], runs: Sequence[Record], look: Look) -> str:
        cells = "".join(
            f'<div>{kind}<br><span class="soft">{_caption(run)}</span></div>'
            f"<div>{self._strip_of(run, FEW_IMAGES, FEW_PIXELS)}</div>"
            for kind, run in picked.items()
        )
        return f'<h4>{named(name, look)}</h4><div class="sheet">{cells}</div>'

    def _strip_of(self, run: Record | None, most: int, pixels: int = MOST_PIXELS) -> str:
        if run is None or run.samples is None or not len(run.samples):
            return _empty(run)
        return _strip(run.samples[:most], f"{run.method}, seed {run.seed}", pixels)


def _strip(images: npt.NDArray[np.uint8], label: str, pixels: int = MOST_PIXELS) -> str:
    """Return images ``[N, C, H, W]`` in a row, as an element that holds them."""
    alt = f"{len(images)} images: {label}"
    stream = io.BytesIO()
    shown = np.stack([_smaller(image, pixels) for image in images])
    picture(shown, len(shown)).save(stream, format="PNG", optimize=True)
    held = base64.b64encode(stream.getvalue()).decode("ascii")
    return f'<img src="data:image/png;base64,{held}" alt="{escape(alt)}">'


def picture(images: npt.NDArray[np.uint8], columns: int, padding: int = 1) -> Image.Image:
    """Return images ``[N, C, H, W]`` on one sheet; of those with other than 1, 3 or 4 channels the first channel."""
    sheet = placed(images if images.shape[1] in (1, 3, 4) else images[:, :1], columns, padding)
    return Image.fromarray(sheet[:, :, 0] if sheet.shape[2] == 1 else sheet)


def _smaller(image: npt.NDArray[np.uint8], pixels: int) -> npt.NDArray[np.uint8]:
    """Return an image ``[C, H, W]`` of at most so many pixels in height and width, averaged."""
    _, height, width = image.shape
    if max(height, width) <= pixels:
        return image
    factor = pixels / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.stack([np.asarray(Image.fromarray(channel).resize(size, Image.Resampling.BOX)) for channel in image])


@dataclass(frozen=True)
class Window:
    """The part of the plane (or of the line) that all scatters of a study show.

    Attributes:
        low: of each column.
        high: likewise.
        columns: of the samples.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    columns: int


def window_of(runs: Mapping[str, Sequence[Record]], real: npt.NDArray[Any] | None) -> Window:
    """Return the square around the real samples; where there are none, that of the median method's median run.

    So runs that diverged do not make all others a dot, if they are not most.
    """
    made = [[run.samples for run in each if run.samples is not None and len(run.samples)] for each in runs.values()]
    made = [each for each in made if each]
    columns = made[0][0].reshape(len(made[0][0]), -1).shape[1]
    known = [[ends for each in of_method if (ends := _ends(each)) is not None] for of_method in made]
    if real is not None and (ends := _ends(real)) is not None:
        known = [[ends]]
    if not any(known):
        return Window((-1.0, -1.0), (1.0, 1.0), columns)
    low, high = np.median([np.median(each, axis=0) for each in known if each], axis=0)
    centre, half = (low + high) / 2, max(0.62 * float((high - low).max()), 1e-6)
    return Window(tuple(map(float, centre - half)), tuple(map(float, centre + half)), columns)


def _ends(points: npt.NDArray[Any]) -> npt.NDArray[np.float64] | None:
    """Return between what nearly all points lie, ``[2, columns]`` of one column or two; ``None`` if none is finite."""
    shown = points.reshape(len(points), -1)[:, :2].astype(float)
    shown = shown[np.isfinite(shown).all(1)]
    return np.quantile(shown, [0.005, 0.995], axis=0) if len(shown) else None


@dataclass
class _Points:
    better: str | float
    window: Window
    real: npt.NDArray[Any] | None

    def told(self) -> str:
        low, high = (", ".join(map(number, ends)) for ends in (self.window.low, self.window.high))
        parts = ["Grey: real samples." if self.real is not None else ""]
        if self.window.columns > 2:
            parts.append(f"The first two of {self.window.columns} columns.")
        parts.append(f"Every square shows the same window, from ({low}) to ({high}).")
        return " ".join(part for part in parts if part)

    def row_of(
        self,
        chosen: Mapping[str, Record | None],
        runs: Mapping[str, Sequence[Record]],
        looks: Mapping[str, Look],
        real: npt.NDArray[Any] | None,
    ) -> str:
        del real  # is behind every scatter
        cells = []
        for name, run in chosen.items():
            below = "" if run is None else f"{number(run.value)}, {place(run, runs[name], self.better)}"
            cells.append(f"<div><h4>{named(name, looks[name])}</h4>{self._square(run, looks[name], below)}</div>")
        return many(cells)

    def group(self, name: str, picked: Mapping[str, Record], runs: Sequence[Record], look: Look) -> str:
        cells = [f"<div>{self._square(run, look, f'{kind}, {_caption(run)}')}</div>" for kind, run in picked.items()]
        return f"<h4>{named(name, look)}</h4>{many(cells)}"

    def _square(self, run: Record | None, look: Look, below: str) -> str:
        if run is None or run.samples is None or not len(run.samples):
            return (
                f'<figure class="scatter">{_empty(run)}<figcaption class="soft">{escape(below)}</figcaption></figure>'
            )
        points = run.samples.reshape(len(run.samples), -1).astype(float)
        seen = points[within(points, self.window)]
        away = len(points) - len(seen)
        below += f"; {away} of {len(points)} points outside" * bool(away)
        drawn = self._histograms(seen) if self.window.columns == 1 else self._dots(seen)
        label = f"Samples of {run.method}, {below}"
        return (
            f'<figure class="scatter" style="--c:{look.variable}">'
            f'<svg viewBox="0 0 1000 1000" role="img" aria-label="{escape(label)}">{drawn}</svg>'
            f'<figcaption class="soft">{escape(below)}</figcaption></figure>'
        )

    def _dots(self, made: npt.NDArray[np.float64]) -> str:
        behind = ""
        if self.real is not None:
            real = self.real.reshape(len(self.real), -1).astype(float)
            behind = f'<path class="real" d="{self._path(real[within(real, self.window)][:_MOST_REAL])}"/>'
        return f'{behind}<path class="fake" d="{self._path(made[:_MOST_POINTS])}"/>'

    def _path(self, points: npt.NDArray[np.float64]) -> str:
        low, high = np.array(self.window.low), np.array(self.window.high)
        places = np.rint(1000 * (points[:, :2] - low) / (high - low)).astype(int)
        return "".join(f"M{x} {1000 - y}h0" for x, y in places)

    def _histograms(self, made: npt.NDArray[np.float64]) -> str:
        groups = [("bars-fake", made[:, 0])]
        if self.real is not None:
            groups.insert(0, ("bars-real", self.real.reshape(len(self.real), -1)[:, 0].astype(float)))
        counted = [
            (kind, np.histogram(values, 40, (self.window.low[0], self.window.high[0]))[0] / max(len(values), 1))
            for kind, values in groups
        ]
        top = max(float(heights.max()) for _, heights in counted) or 1.0
        return "".join(
            f'<path class="{kind}" d="M0 1000'
            + "".join(f"V{1000 - 950 * height / top:.0f}H{25 * (bin_ + 1)}" for bin_, height in enumerate(heights))
            + 'V1000"/>'
            for kind, heights in counted
        )


def within(points: npt.NDArray[np.float64], window: Window) -> npt.NDArray[np.bool_]:
    """Return which points ``[N, D]`` a window shows."""
    first = points[:, : len(window.low)]
    low, high = np.array(window.low), np.array(window.high)
    inside: npt.NDArray[np.bool_] = np.all((first >= low) & (first <= high), axis=1)
    return inside
