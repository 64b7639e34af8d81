"""Pictures of a run: what they show, on which axes, and that nothing lies over what is to be seen."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from adversarium.data.toys import grid, ring
from adversarium.train import pictures
from adversarium.train.evaluation_picture import _mode_shares, _outwards, _panel


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Keep figures in place of writing them."""
    kept: list[Any] = []
    monkeypatch.setattr(pictures, "write_figure", lambda path, figure: kept.append(figure))
    return kept


def records(count: int = 30, **measured: Any) -> list[dict[str, float]]:
    names = ("critic_loss", "critic_r1", "generator_loss", "real_score", "fake_score")
    norms = ("critic_gradient_norm", "generator_gradient_norm")
    made = []
    for index in range(count):
        record = {"kimg": index + 1.0, **dict.fromkeys(names, 0.5), **dict.fromkeys(norms, 1.0)}
        made.append(record | {name: value(index) for name, value in measured.items() if index % 10 == 9})
    return made


def test_the_curves_have_a_panel_for_what_was_measured(figures: list[Any]):
    pictures.write_curves(
        Path("x.png"),
        records(fd5k_lenet_train=lambda index: 100.0 - index),
        "title",
        measured="fd5k_lenet_train",
        floor=0.5,
    )
    *_, last = figures[0].axes
    assert len(figures[0].axes) == 4
    assert last.get_ylabel() == "fd5k_lenet_train"
    line, floor = last.get_lines()
    assert line.get_xydata().tolist() == [[10.0, 91.0], [20.0, 81.0], [30.0, 71.0]]
    assert line.get_marker() == "o"
    assert set(floor.get_ydata()) == {0.5}
    assert "kimg" in last.get_xlabel()


@pytest.mark.parametrize("named", [None, "fd5k_lenet_train"])
def test_the_curves_of_a_run_that_was_not_measured(figures: list[Any], named: str | None):
    pictures.write_curves(Path("x.png"), records(), "title", measured=named)
    assert len(figures[0].axes) == 3
    assert "kimg" in figures[0].axes[-1].get_xlabel()


@pytest.mark.parametrize(("norm", "scale"), [(0.0, "linear"), (2.0, "log")])
def test_gradient_norms_have_a_log_axis_where_any_is_positive(figures: list[Any], norm: float, scale: str):
    """A critic whose units are all dead has none."""
    norms = dict.fromkeys(("critic_gradient_norm", "generator_gradient_norm"), norm)
    pictures.write_curves(Path("x.png"), [{**record, **norms} for record in records()], "title")
    assert figures[0].axes[2].get_yscale() == scale


def points(seed: int = 0, count: int = 400) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 2)).astype(np.float32)


def test_scatters_of_one_run_show_the_same_square(figures: list[Any]):
    stray = points(1)
    stray[0] = 50.0
    for fake in (points(1), stray, 0.01 * points(2)):
        pictures.write_scatter(Path("x.png"), fake, points())
    seen = [(figure.axes[0].get_xlim(), figure.axes[0].get_ylim()) for figure in figures]
    assert seen[0] == seen[1] == seen[2]
    for low, high in seen[0]:
        assert low < -1.1
        assert high > 1.1
        assert high - low < 4
    assert figures[0].axes[0].get_legend() is not None


def test_samples_alone_want_no_legend_and_a_stray_one_does_not_move_the_axes(figures: list[Any]):
    stray = points(1, count=1000)
    stray[0] = 50.0
    for fake in (points(1, count=1000), stray):
        pictures.write_scatter(Path("x.png"), fake)
    one, other = (figure.axes[0] for figure in figures)
    assert one.get_legend() is None
    assert one.get_xlim() == pytest.approx(other.get_xlim(), abs=0.05)
    pictures.write_scatter(Path("x.png"), np.full((3, 2), np.nan, dtype=np.float32))  # nothing to see, and no error


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_legend_of_the_shares_lies_above_bars_and_line(share: float):
    density = ring()
    made = np.full((200, 2), 9.0, dtype=np.float32)
    count = int(share * len(made))
    made[:count] = density.modes[3].numpy()
    figure = Figure(figsize=(5, 2.5), layout="constrained")
    axes = figure.subplots(1, 1)
    _mode_shares(axes, made, density.modes, density.std)
    figure.draw_without_rendering()
    legend = axes.get_legend().get_window_extent()
    tops = [bar.get_window_extent().y1 for bar in axes.patches]
    line = axes.transData.transform((0, 100 / len(density.modes)))[1]
    assert legend.y0 > max(*tops, line)


@pytest.mark.parametrize("density", [ring(), grid()], ids=["ring", "grid"])
def test_numbers_of_modes_stand_outwards(density: Any):
    modes = density.modes.numpy()
    found = _outwards(modes)
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    middle = modes.mean(0)
    away = modes - middle
    apart = np.linalg.norm(away, axis=1) > 1e-3
    assert ((away * found).sum(1)[apart] > 0.999 * np.linalg.norm(away[apart], axis=1)).all()
    assert (found[~apart] == [0, 1]).all()


def test_sheets_of_unequal_shape_begin_at_one_height():
    figure = Figure(figsize=(9, 3))
    axes = [_panel(part, "x") for part in figure.subfigures(1, 2)]
    axes[0].imshow(np.zeros((10, 10)))
    axes[1].imshow(np.zeros((10, 30)))
    figure.draw_without_rendering()
    tops = [each.get_window_extent().y1 for each in axes]
    assert tops[0] == pytest.approx(tops[1])
