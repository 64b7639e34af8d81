"""A picture of an evaluation: the samples, what they are near, what lies between them, what they leave out."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

from adversarium.features import Seen
from adversarium.metrics.modes import mode_scores
from adversarium.metrics.neighbours import nearest_neighbours
from adversarium.metrics.protocols import seed_of
from adversarium.train.evaluation import Evaluation, written
from adversarium.train.evaluator import drawing
from adversarium.train.pictures import FAKE, REAL, placed
from adversarium.train.sample import generate

SEARCHED = 10_000
"""Neighbours are looked for among at most this many training samples, or more where their features are known."""

SHOWN = 1000
"""Points of a side in a scatter."""

_ROWS, _COLUMNS, _NEIGHBOURS = 8, 10, 6
_LABEL = 18  # points from a mode to its number
_HISTOGRAMS = 4


def evaluation_figure(evaluation: Evaluation) -> Figure:
    """Return the picture of an evaluation that is measured.

    Images: samples, their nearest training samples in feature space, interpolations between codes, samples by class
    with the classes' shares (where the features have classes), and an embedding of real and generated features in the
    plane. Vectors: a scatter with the modes, interpolations, marginal histograms, the modes' shares (where they are
    known).
    """
    figure = Figure(figsize=(15, 10), layout="constrained")
    figure.suptitle(_title(evaluation), fontsize=11)
    trained = evaluation.trained
    draw = drawing(trained.module, trained.codec, trained.feed)
    made = draw(evaluation.measuring.largest, seed_of("codes", 0))
    if trained.codec.is_image:
        _images(figure, evaluation, np.asarray(made))
    else:
        _vectors(figure, evaluation, np.asarray(made))
    return figure


def _title(evaluation: Evaluation) -> str:
    trained = evaluation.trained
    which = "averaged generator" if evaluation.average else "generator as trained"
    lines = [f"{evaluation.run}, {which} after {trained.images / 1000:g} kimg"]
    for each in evaluation.measurements[:2]:
        floor = "none" if each.floor is None else written(each.floor, each.floor_standard_error)
        lines.append(f"{each.protocol.name} = {written(each.mean, each.told_error)} (real samples: {floor})")
    return "\n".join(lines)


def _images(figure: Figure, evaluation: Evaluation, made: npt.NDArray[np.uint8]) -> None:
    measuring = evaluation.measuring
    searched = next(
        (each.features for each in measuring.protocols if each.metric.reads == "held_out"),
        measuring.protocols[0].features,
    )
    seen = measuring.see(made[:SHOWN])
    classified = next((name for name, each in measuring.features.items() if each.classes), None)
    upper, lower = _parts(figure, 2, 1)
    left, middle, right = _parts(upper, 1, 3)

    shown = made[: _ROWS**2]
    axes = _panel(left, f"{len(shown)} samples, not chosen")
    axes.imshow(sheet(shown, _ROWS))

    count = len(measuring.known(searched, "train").rows)
    size = evaluation.references.size("train") or 0
    # to be seen for this picture alone: no more than were generated, so that it costs no more than what was announced
    affordable = min(SEARCHED, max(SHOWN, evaluation.repeats * measuring.largest))
    pool = measuring.real(searched, [("train", 0, min(size, max(count, affordable)))])
    _, places = nearest_neighbours(seen[searched].rows[:_ROWS], pool.rows, min(_NEIGHBOURS, len(pool.rows)))
    near = np.asarray(measuring.samples("train", places.flatten().cpu().numpy()))
    rows = np.concatenate([made[:_ROWS, None], near.reshape(*places.shape, *near.shape[1:])], axis=1)
    axes = _panel(middle, f"a sample (left), and the nearest of {len(pool.rows):,} training samples ({searched})")
    axes.imshow(sheet(rows.reshape(-1, *near.shape[1:]), rows.shape[1], after_first=True))

    feed = evaluation.trained.feed
    # as many columns as rows: as large as the samples beside it
    codes = interpolations(feed.prior.noise, _ROWS, _ROWS)
    between = generate(evaluation.trained.module, evaluation.trained.codec, *feed.extended(codes, _ROWS))
    axes = _panel(right, "from one code to another, on the sphere")
    axes.imshow(sheet(between, _ROWS))

    embedded = classified or next((name for name in measuring.features if name != "raw"), searched)
    if classified is None:
        _embedding(lower.subplots(1, 1), evaluation, embedded, seen[embedded])
        return
    left, middle, right = _parts(lower, 1, 3)
    _by_class(left, middle, evaluation, classified, made)
    _embedding(right.subplots(1, 1), evaluation, embedded, seen[embedded])


def _by_class(
    left: SubFigure, middle: SubFigure, evaluation: Evaluation, features: str, made: npt.NDArray[np.uint8]
) -> None:
    measuring = evaluation.measuring
    names = measuring.features[features].classes
    fake = measuring.extract(features, made)
    real = _reference(evaluation, features)
    assert fake.probabilities is not None
    assert real.probabilities is not None
    found, true = (each.argmax(1).cpu().numpy() for each in (fake.probabilities, real.probabilities))
    blank = np.full_like(made[0], 255)
    shown = min(len(names), _COLUMNS)
    rows = []
    for label in range(shown):
        of_class = made[found == label][:_COLUMNS]
        rows += [*of_class, *[blank] * (_COLUMNS - len(of_class))]
    axes = _panel(left, f"by class, as {features} sees them")
    axes.imshow(sheet(np.stack(rows), _COLUMNS))
    for row, name in enumerate(names[:shown]):
        axes.annotate(
            name, (-0.01, 1 - (row + 0.5) / shown), xycoords="axes fraction", ha="right", va="center", size=8
        )

    bars = middle.subplots(1, 1)
    place = np.arange(shown)
    for offset, labels, colour, who in ((-0.2, true, REAL, "real"), (0.2, found, FAKE, "generated")):
        shares = np.bincount(labels, minlength=len(names))[:shown] / len(labels)
        bars.barh(place + offset, 100 * shares, height=0.4, color=colour, label=f"{who} ({len(labels):,})")
    bars.set_yticks(place, names[:shown])
    bars.invert_yaxis()
    bars.set_xlim(0, 1.4 * bars.get_xlim()[1])  # room for the legend
    bars.set_xlabel("share of the samples, %")
    bars.set_title(f"classes, as {features} sees them", fontsize=9)
    _tidy(bars)


def _embedding(axes: Axes, evaluation: Evaluation, features: str, fake: Seen) -> None:
    """Draw features in the plane of the two directions in which the real ones vary most."""
    real = _reference(evaluation, features).rows[:SHOWN].double()
    if real.shape[1] == 1:
        _histogram(axes, real.float().cpu().numpy(), fake.rows[:SHOWN].float().cpu().numpy(), 0)
        axes.set_title(f"{features} features", fontsize=9)
        return
    centre = real.mean(0)
    _, values, directions = torch.linalg.svd(real - centre, full_matrices=False)
    shares = (values.square() / values.square().sum()).tolist()
    for rows, colour, who in ((real, REAL, "real"), (fake.rows.double(), FAKE, "generated")):
        points = ((rows[:SHOWN] - centre) @ directions[:2].T).cpu().numpy()
        axes.scatter(points[:, 0], points[:, 1], s=6, alpha=0.5, linewidths=0, color=colour, label=who)
    axes.set_xlabel(f"first component of the real samples ({100 * shares[0]:.0f} % of their variance)")
    axes.set_ylabel(f"second component ({100 * shares[1]:.0f} %)")
    axes.set_title(f"{features} features, by principal components of the real samples", fontsize=9)
    _tidy(axes)


def _vectors(figure: Figure, evaluation: Evaluation, made: npt.NDArray[np.float32]) -> None:
    references, width = evaluation.references, made.shape[1]
    real = np.asarray(evaluation.measuring.samples("train", np.arange(min(SHOWN, references.size("train") or SHOWN))))
    density = references.density
    modes = None if density is None else density.modes
    left, right = _parts(figure, 1, 2, width_ratios=(1.4, 1))
    if width > 1:
        axes = left.subplots(1, 1)
        _scatter(axes, real, made[:SHOWN], modes)
        _paths(axes, evaluation)
        axes.legend(loc="upper right", fontsize=8, frameon=False)
    else:
        _histogram(left.subplots(1, 1), real, made, 0)
    columns = range(min(width, _HISTOGRAMS))
    panels = np.atleast_1d(right.subplots(len(columns) + (modes is not None), 1))
    for column, axes in zip(columns, panels, strict=False):
        _histogram(axes, real, made, column)
    if density is not None and modes is not None:
        _mode_shares(panels[-1], made, modes, density.std)


def _scatter(axes: Axes, real: npt.NDArray[np.float32], made: npt.NDArray[np.float32], known: Tensor | None) -> None:
    for points, colour, who in ((real, REAL, "real"), (made, FAKE, "generated")):
        axes.scatter(points[:, 0], points[:, 1], s=7, alpha=0.5, linewidths=0, color=colour, label=who)
    if known is not None:
        modes = known.numpy()
        outwards = _outwards(modes[:, :2])
        axes.scatter(modes[:, 0], modes[:, 1], s=40, marker="x", linewidths=1, color="#222222", label="modes")
        for number, (place, offset) in enumerate(zip(modes[:, :2], outwards, strict=True)):
            axes.annotate(
                str(number),
                place,
                _LABEL * offset,
                textcoords="offset points",
                ha="center",
                va="center",
                size=8,
                color="#222222",
                bbox={"boxstyle": "circle,pad=0.1", "color": "white", "alpha": 0.7},
            )
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("column 0")
    axes.set_ylabel("column 1")
    axes.set_title(f"{len(made):,} samples, not chosen; lines: from one code to another, on the sphere", fontsize=9)
    _tidy(axes, legend=False)


def _outwards(modes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return unit vectors away from the middle of the modes, where samples are few; of one in the middle, upwards."""
    away = modes - modes.mean(0)
    length = np.linalg.norm(away, axis=1)
    unit: npt.NDArray[np.float64] = np.zeros_like(away)
    unit[:, 1] = 1.0
    off = length > 1e-3 * max(float(length.max()), 1e-6)
    unit[off] = away[off] / length[off, None]
    return unit


def _paths(axes: Axes, evaluation: Evaluation) -> None:
    trained, steps = evaluation.trained, 60
    codes = interpolations(trained.feed.prior.noise, _ROWS, steps)
    paths = generate(trained.module, trained.codec, *trained.feed.extended(codes, _ROWS)).reshape(_ROWS, steps, -1)
    for path in paths:
        axes.plot(path[:, 0], path[:, 1], color="#2a6f97", linewidth=0.9, alpha=0.8)


def _histogram(axes: Axes, real: npt.NDArray[np.float32], made: npt.NDArray[np.float32], column: int) -> None:
    both = np.concatenate([real[:, column], made[:, column]])
    low, high = np.quantile(both, [0.002, 0.998])
    bins = np.linspace(low, high, 81)
    for points, colour, who in ((real, REAL, "real"), (made, FAKE, "generated")):
        axes.hist(points[:, column], bins=bins.tolist(), density=True, alpha=0.6, color=colour, label=who)
    axes.set_ylim(0, 1.2 * axes.get_ylim()[1])  # room for the legend
    axes.set_title(f"column {column}", fontsize=9)
    axes.set_ylabel("density")
    _tidy(axes)


def _mode_shares(axes: Axes, made: npt.NDArray[np.float32], modes: Tensor, std: float) -> None:
    count = len(modes)
    found = mode_scores(torch.from_numpy(made), modes, std)
    shares = found.counts.numpy() / len(made)
    axes.bar(np.arange(count), 100 * shares, color=FAKE, label="generated, within 3 std of the mode")
    axes.axhline(100 / count, color="#222222", linewidth=0.9, linestyle="--", label="an equal share")
    axes.set_ylim(0, 1.45 * max(100 * float(shares.max()), 100 / count))  # room for the legend above all that is drawn
    axes.set_xlabel("mode")
    axes.set_ylabel("share of the samples, %")
    stray = 100 * (1 - float(found.high_quality))
    axes.set_title(f"shares of the {count} modes; {stray:.1f} % of the samples are near none", fontsize=9)
    _tidy(axes, legend=False)
    axes.legend(loc="upper right", ncols=2, fontsize=8, frameon=False)


def interpolations(latent_dim: int, rows: int, columns: int) -> Tensor:
    """Return codes ``[rows·columns, latent_dim]``: in each row from one drawn code to another, along a great circle.

    With ω the angle between them, sin((1-t)ω)/sin ω of the one and sin(tω)/sin ω of the other: the codes between
    have the norms that codes have, where those of a straight line are too short.
    """
    rng = torch.Generator().manual_seed(seed_of("interpolations"))
    start, stop = torch.randn(2, rows, 1, latent_dim, generator=rng)
    cosine = torch.nn.functional.cosine_similarity(start, stop, dim=-1).clamp(-1 + 1e-6, 1 - 1e-6)[..., None]
    angle = cosine.acos()
    t = torch.linspace(0, 1, columns)[None, :, None]
    codes: Tensor = (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * stop) / torch.sin(angle)
    return codes.reshape(rows * columns, latent_dim)


def sheet(images: npt.NDArray[np.uint8], columns: int, *, after_first: bool = False) -> npt.NDArray[np.uint8]:
    """Return images ``[N, C, H, W]`` on one sheet ``[H', W', 3]``, row by row, with a gap after the first column."""
    images = images if images.shape[1] in (1, 3) else images[:, :1]
    padding = max(1, images.shape[2] // 28)
    whole = placed(images, columns, padding, gap=3 * padding if after_first else 0)
    return np.broadcast_to(whole, (*whole.shape[:2], 3))


def _reference(evaluation: Evaluation, features: str) -> Seen:
    """Return what is seen in the real samples that the protocols of these features compare with."""
    measuring = evaluation.measuring
    protocol = next(each for each in measuring.protocols if each.features == features)
    split, start, stop = measuring.plans[protocol].reference
    return measuring.real(features, [(split, start, min(stop, start + max(SHOWN, protocol.samples)))])


def _parts(figure: Any, rows: int, columns: int, **options: Any) -> tuple[SubFigure, ...]:
    return tuple(figure.subfigures(rows, columns, **options))


def _panel(figure: SubFigure, title: str) -> Axes:
    axes: Axes = figure.subplots(1, 1)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()
    axes.set_anchor("N")  # sheets of unequal shape begin at one height
    return axes


def _tidy(axes: Axes, *, legend: bool = True) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    if legend:
        axes.legend(loc="best", fontsize=8, frameon=False)
