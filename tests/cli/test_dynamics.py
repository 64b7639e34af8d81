"""``adversarium dynamics``: its numbers against closed forms, its figure, and what a person types wrongly."""

import cmath
import json
import math
import os
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from adversarium.cli import dynamics_figure, main
from adversarium.games import lookahead, simultaneous
from adversarium.games.dynamics import descent, update_eigenvalues
from adversarium.games.toys import bilinear

SHORT = ["--steps", "40"]


@pytest.fixture(autouse=True)
def _in_a_folder_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table alone: drawing takes longer than playing."""
    monkeypatch.setattr("adversarium.cli.dynamics_play.portrait", lambda *_: None)
    monkeypatch.setattr(dynamics_figure, "write_portraits", lambda *_: None)


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Run the command with --json, and return what it printed: one document and nothing else."""
    capsys.readouterr()
    assert main(["dynamics", "--json", *arguments]) == 0
    printed = capsys.readouterr()

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    assert printed.out.count("\n") == 1
    return json.loads(printed.out, parse_constant=refuse)


def rows(found: Any, **names: str) -> list[Any]:
    return [row for row in found["combinations"] if all(row[key] == value for key, value in names.items())]


def as_complex(pairs: list[list[float]]) -> list[complex]:
    return sorted((complex(*each) for each in pairs), key=lambda each: (round(each.real, 6), each.imag))


# --- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_radii_of_the_bilinear_game(capsys: pytest.CaptureFixture[str], seed: int) -> None:
    h = float(0.1 + 0.4 * torch.rand((), generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    rules = "simultaneous,alternating,extragradient,optimistic,lookahead(k=3, alpha=0.4, inner=simultaneous)"
    found = document(capsys, "--game", "bilinear", "--step", repr(h), "--rules", rules)
    root = cmath.sqrt((1 - 2j * h) ** 2 + 4j * h)
    wanted = {
        "simultaneous": math.sqrt(1 + h**2),
        "alternating": 1.0,
        "extragradient": math.sqrt(1 - h**2 + h**4),
        "optimistic": max(abs((1 - 2j * h + sign * root) / 2) for sign in (1, -1)),
        "lookahead(k=3, alpha=0.4, inner=simultaneous)": abs(0.6 + 0.4 * (1 - 1j * h) ** 3) ** (1 / 3),
    }
    verdicts = ["repels", "circles", "attracts", "attracts", "attracts"]
    assert {row["rule"]: row["radius"] for row in found["combinations"]} == pytest.approx(wanted, abs=1e-7)
    for row, verdict in zip(found["combinations"], verdicts, strict=True):
        assert (row["predicted"], row["simulated"], row["agrees"]) == (verdict, verdict, True)
        assert as_complex(row["field_eigenvalues"]) == pytest.approx([-1j, 1j], abs=1e-7)
        assert row["largest_stable_step"] == 0


def test_the_distance_halves_and_doubles_when_the_radius_says(capsys: pytest.CaptureFixture[str]) -> None:
    h = 0.23
    simultaneous, extragradient = document(
        capsys, "--game", "bilinear", "--step", str(h), "--rules", "simultaneous,extragradient"
    )["combinations"]
    # a normal matrix: the distance is multiplied by the radius at each step
    assert simultaneous["doubles_after"] == math.ceil(math.log(2) / math.log(math.sqrt(1 + h**2)))
    assert extragradient["halves_after"] == math.ceil(math.log(0.5) / math.log(math.sqrt(1 - h**2 + h**4)))
    assert simultaneous["halves_after"] is extragradient["doubles_after"] is None
    wanted = 0.5 * math.sqrt(1 + h**2) ** np.arange(201)
    np.testing.assert_allclose(simultaneous["distances"], wanted, rtol=1e-9)


@pytest.mark.parametrize("gamma", [0.37, 1.9])
def test_eigenvalues_and_stable_step_of_r1_on_the_dirac_game(capsys: pytest.CaptureFixture[str], gamma: float) -> None:
    penalty = f"r1(gamma={gamma})"
    found = document(
        capsys, "--losses", "nonsaturating", "--penalties", f"none,{penalty}", "--rules", "simultaneous", *SHORT
    )
    (bare,), (kept,) = rows(found, penalty="none"), rows(found, penalty=penalty)
    assert as_complex(bare["field_eigenvalues"]) == pytest.approx([-0.5j, 0.5j], abs=1e-7)
    root = cmath.sqrt(gamma**2 / 4 - 0.25)
    pair = sorted([-gamma / 2 - root, -gamma / 2 + root], key=lambda each: (round(each.real, 6), each.imag))
    assert as_complex(kept["field_eigenvalues"]) == pytest.approx(pair, abs=1e-7)
    wanted = min(-2 * each.real / abs(each) ** 2 for each in pair)
    assert kept["largest_stable_step"] == pytest.approx(wanted, abs=1e-6)
    if gamma < 1:  # under-damped
        assert wanted == pytest.approx(4 * gamma)
    assert kept["radius"] == pytest.approx(max(abs(1 + 0.3 * each) for each in pair), abs=1e-7)


def test_a_slow_circle_is_not_taken_for_growth(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(
        capsys, "--game", "bilinear", "--step", "0.04", "--rules", "alternating,simultaneous", "--steps", "8"
    )
    assert [row["simulated"] for row in found["combinations"]] == ["circles", "repels"]
    assert all(len(row["distances"]) == 9 for row in found["combinations"])


def test_two_step_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    critic, generator = 0.31, 0.12
    (row,) = document(
        capsys,
        *("--losses", "wasserstein", "--penalties", "none", "--rules", "alternating", *SHORT),
        *("--critic-step", str(critic), "--generator-step", str(generator)),
    )["combinations"]
    half = 1 - critic * generator / 2
    pair = [half - cmath.sqrt(half**2 - 1), half + cmath.sqrt(half**2 - 1)]
    assert as_complex(row["update_eigenvalues"]) == pytest.approx(sorted(pair, key=lambda z: z.imag), abs=1e-7)
    speed = math.sqrt(generator / critic)
    assert as_complex(row["field_eigenvalues"]) == pytest.approx([-1j * speed, 1j * speed], abs=1e-7)


def test_negative_momentum(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--game", "bilinear", "--rules", "alternating", "--step", "0.1", "--momentum")
    (negative,) = document(capsys, *options, "-0.5")["combinations"]
    (positive,) = document(capsys, *options, "0.5")["combinations"]
    assert negative["radius"] == pytest.approx(0.9985178, abs=1e-7)
    assert (negative["simulated"], positive["simulated"]) == ("attracts", "repels")


def test_a_period_is_one_step_in_the_radius_and_k_in_the_eigenvalues(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = document(capsys, "--game", "bilinear", "--rules", "lookahead(k=4, inner=simultaneous)", *SHORT)[
        "combinations"
    ]
    wanted = update_eigenvalues(lookahead(k=4, inner=simultaneous()), bilinear(), descent(0.3))
    assert row["period"] == 4
    assert as_complex(row["update_eigenvalues"]) == pytest.approx(
        as_complex(torch.view_as_real(wanted).tolist()), abs=1e-9
    )


def test_the_spectrum_of_the_bilinear_game(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "--game", "bilinear", "--spectrum", "0.4,1.3", "--rules", "simultaneous", *SHORT)
    (row,) = found["combinations"]
    assert as_complex(row["field_eigenvalues"]) == pytest.approx([-1.3j, -0.4j, 0.4j, 1.3j], abs=1e-7)
    assert row["radius"] == pytest.approx(math.sqrt(1 + (0.3 * 1.3) ** 2), abs=1e-7)


def test_the_gaussian_game_takes_penalties(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(
        capsys, "--game", "gaussian", "--penalties", "r1(gamma=0.8),r2(gamma=0.8)", "--rules", "simultaneous", *SHORT
    )
    root = cmath.sqrt(0.16 - 1)
    for row in found["combinations"]:
        values = as_complex(row["field_eigenvalues"])
        assert values == pytest.approx([-0.4 - root] * 2 + [-0.4 + root] * 2, abs=1e-5)  # double ones
        assert row["largest_stable_step"] == pytest.approx(0.8, abs=1e-5)
        assert row["agrees"]


@pytest.mark.usefixtures("no_figure")
def test_a_field_without_linearisation_makes_no_prediction(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--losses", "wasserstein", "--penalties", "wgan_gp", "--rules", "simultaneous")
    found = document(capsys, *options, "--step", "0.01", *SHORT)
    (row,) = found["combinations"]
    assert row["predicted"] == "no linearisation"
    assert row["radius"] is row["agrees"] is row["field_eigenvalues"] is row["update_eigenvalues"] is None
    assert row["simulated"] in ("circles", "repels")
    assert main(["dynamics", *options, *SHORT]) == 0
    assert "no linearisation" in capsys.readouterr().out


def test_a_game_that_leaves_the_finite_numbers_is_still_json(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = document(capsys, "--game", "bilinear", "--rules", "simultaneous", "--step", "1e9")["combinations"]
    assert row["simulated"] == "repels"
    assert row["distances"][0] == pytest.approx(0.5)
    assert row["distances"][-1] is None


def test_all_plays_what_can_be_played_and_names_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(
        capsys, "--game", "bilinear", "--rules", "all", "--step", "0.1", "--momentum", "0.1", "--steps", "8"
    )
    played = {row["rule"] for row in found["combinations"]}
    left_out = {each["combination"]: each["reason"] for each in found["left_out"]}
    assert {"simultaneous", "extragradient", "lookahead"} <= played
    assert "SGD without momentum" in left_out["proximal_point"]  # it replaces the optimizers' own arithmetic
    assert not played & set(left_out)


@pytest.mark.usefixtures("no_figure")
def test_a_disagreement_is_said_plainly(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from adversarium.cli import dynamics_play

    monkeypatch.setattr(dynamics_play, "observe", lambda trajectory: "attracts")
    assert main(["dynamics", "--game", "bilinear", "--rules", "simultaneous,extragradient", *SHORT]) == 0
    said = capsys.readouterr().out
    assert "attracts: DISAGREES" in said
    assert "agree in 1 of 2 combinations" in said


@pytest.mark.usefixtures("no_figure")
def test_a_drift_that_is_not_of_first_order_is_no_disagreement(capsys: pytest.CaptureFixture[str]) -> None:
    """Coding (0, 1, 1): at ψ = 0 every θ is an equilibrium, and the Jacobian a nilpotent one: θ drifts, linearly."""
    arguments = ["--losses", "least_squares", "--penalties", "none", "--rules", "simultaneous,extragradient", *SHORT]
    assert main(["dynamics", *arguments, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["combinations"]
    assert [(row["predicted"], row["simulated"], row["agrees"]) for row in rows] == [("circles", "repels", None)] * 2
    assert rows[0]["radius"] == pytest.approx(1, abs=1e-6)
    assert main(["dynamics", *arguments]) == 0
    said = capsys.readouterr().out
    assert said.count("repels (too slow to judge)") == 2
    assert "DISAGREES" not in said


# --- table and figure ------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_figure")
def test_the_table_has_a_row_for_each_combination(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dynamics", "--rules", "simultaneous", *SHORT]) == 0
    said = capsys.readouterr().out
    lines = [line.split() for line in said.splitlines() if line.startswith(("nonsaturating", "wasserstein"))]
    combinations = [tuple(line[:3]) for line in lines]
    assert combinations == [
        (loss, penalty, "simultaneous") for loss in ("nonsaturating", "wasserstein") for penalty in ("none", "r1")
    ]
    assert lines[2][3:6] == [f"{math.sqrt(1.09):.6f}", "repels", "repels"]
    assert lines[2][-3:] == ["±1i", "no", "step"]
    assert lines[3][-4:] == ["-0.5", "±", "0.866i", "1"]
    assert "agree in 4 of 4 combinations" in said
    assert "dynamics.png: a figure" in said


class Kept:
    """The figure that was written."""

    figure: Figure


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    found, write = Kept(), dynamics_figure._write

    def keep(figure: Figure, path: Path) -> None:
        found.figure = figure
        write(figure, path)

    monkeypatch.setattr(dynamics_figure, "_write", keep)
    return found


def portraits(count: int) -> list[dynamics_figure.Portrait]:
    """Circles, and two ways through each: one that spirals in, one that leaves all bounds."""
    offsets = np.linspace(-1, 1, 7)
    across, up = np.meshgrid(offsets, offsets)
    turns = np.exp(1j * np.arange(60))
    curves = []
    for rule, radius in (("inwards", 0.9), ("outwards", 1e4)):
        way = 0.5 * turns * radius ** np.arange(60.0)
        curves.append(
            dynamics_figure.Curve(
                rule=rule,
                positions=np.stack((way.real, way.imag), axis=1),
                distances=np.abs(way),
                multipliers=radius * np.exp(np.array([1j, -1j])),
            )
        )
    return [
        dynamics_figure.Portrait(
            title=f"loss\npenalty {index}",
            axes=("x", "y"),
            equilibrium=np.zeros(2),
            offsets=offsets,
            flow=np.stack((-up, across), axis=2),
            curves=tuple(curves),
        )
        for index in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_setting_has_three_panels(kept: Kept, count: int) -> None:
    dynamics_figure.write_portraits(Path("a.png"), portraits(count), "title", "caption")
    seen = [axes for axes in kept.figure.axes if axes.get_visible()]
    assert len(seen) == 3 * count
    assert sum(axes.get_yscale() == "log" for axes in seen) == count
    titles = [axes.get_title() for axes in seen]
    assert all(f"loss\npenalty {index}" in titles for index in range(count))
    (legend,) = kept.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["inwards", "outwards", "start", "equilibrium"]
    below = legend.get_window_extent()
    assert all(axes.get_window_extent().y0 >= below.y1 for axes in seen)  # the legend covers no data

    with Image.open("a.png") as opened:
        picture = np.asarray(opened.convert("RGB"))
    height, width = picture.shape[:2]
    assert width >= 1200
    for axes in seen:  # something is drawn in each
        box = axes.get_position()
        rows, columns = [1 - box.y1, 1 - box.y0], [box.x0, box.x1]
        (top, bottom), (left, right) = (int(height * each) for each in rows), (int(width * each) for each in columns)
        assert len(np.unique(picture[top:bottom, left:right].reshape(-1, 3), axis=0)) > 20


def test_a_rule_that_explodes_hides_no_other(kept: Kept) -> None:
    dynamics_figure.write_portraits(Path("a.png"), portraits(1), "title")
    phase, plane, _ = kept.figure.axes
    assert max(abs(number) for number in phase.get_xlim()) <= 1
    assert 0.9 * math.cos(1) < plane.get_xlim()[1] < 3
    assert any(text.get_text() == "beyond this window: outwards" for text in plane.texts)


def test_no_more_portraits_than_can_be_read(
    capsys: pytest.CaptureFixture[str], kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamics_figure, "MOST_PORTRAITS", 1)
    assert main(["dynamics", "--game", "gaussian", "--rules", "simultaneous", "--steps", "8"]) == 0
    assert "dynamics.png: the first 1 of 2 settings" in capsys.readouterr().out
    assert len(kept.figure.axes) == 3
    assert any("the first 1 of 2 settings" in text.get_text() for text in kept.figure.texts)


def test_rules_are_told_apart_by_more_than_colour() -> None:
    styles = list(dynamics_figure._styles([f"rule {n}" for n in range(12)]).values())
    assert len({(style.color, str(style.linestyle)) for style in styles}) == len(styles)
    assert all(one.color != two.color and one.marker != two.marker for one, two in pairwise(styles))


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_the_figure_goes_where_it_is_wanted(suffix: str) -> None:
    out = Path(f"new/folder/a.{suffix}")
    dynamics_figure.write_spectrum(out, [1j, -1j, -0.5 + 0j], 0.4, "title")
    assert out.read_bytes().startswith({"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix])
    assert os.listdir(out.parent) == [out.name]


def test_an_existing_file_is_kept_unless_forced(capsys: pytest.CaptureFixture[str]) -> None:
    Path("dynamics.png").write_text("mine")
    options = ["dynamics", "--game", "bilinear", "--rules", "alternating", *SHORT]
    assert main(options) == 2
    assert "dynamics.png: exists already; take another name, or --force" in capsys.readouterr().err
    assert Path("dynamics.png").read_text() == "mine"
    assert main([*options, "--force"]) == 0
    assert Path("dynamics.png").read_bytes().startswith(b"\x89PNG")


def test_json_draws_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--game", "bilinear", "--rules", "alternating", *SHORT)
    assert document(capsys, *options)["figure"] is None
    assert os.listdir() == []
    assert document(capsys, *options, "--out", "a.png")["figure"] == "a.png"
    assert os.listdir() == ["a.png"]


# --- a run -----------------------------------------------------------------------------------------


def test_the_spectrum_of_a_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Path, int]] = []

    def run_game(path: Path, batch: int, **_: object) -> Any:
        asked.append((path, batch))
        toy = bilinear((2.0, 0.5))
        toy.game.move_to(torch.tensor([0.0, 0.0, 3.0, 0.0], dtype=torch.float64))
        return toy.game

    monkeypatch.setattr("adversarium.train.spectrum.run_game", run_game)
    assert main(["dynamics", "runs/a", "--batch", "7", "--eigenvalues", "2"]) == 0
    said = capsys.readouterr().out
    for words in ("norm of the field", "6 (", "±2i", "circles", "largest stable step", "no step", "rotation"):
        assert words in said
    assert Path("spectrum.png").read_bytes().startswith(b"\x89PNG")
    found = document(capsys, "runs/a")
    assert found["run"] == "runs/a"
    assert found["value_norm"] == pytest.approx(6)
    assert as_complex(found["eigenvalues"]) == pytest.approx([-2j, -0.5j, 0.5j, 2j])
    assert (found["verdict"], found["rotation"]) == ("circles", pytest.approx(1))
    assert asked == [(Path("runs/a"), 7), (Path("runs/a"), 256)]


def test_a_trained_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "ring", "--steps", "2", "--width", "4", "--batch-size", "4", "--out", "run"]) == 0
    found = document(capsys, "run", "--eigenvalues", "4", "--batch", "8", "--out", "a.png")
    assert len(found["eigenvalues"]) in (4, 5)
    assert found["value_norm"] > 0
    assert Path("a.png").exists()


# --- what a person types ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--game", "dirak"], "unknown game 'dirak' (did you mean 'dirac'?)"),
        (["--losses", "waserstein"], "did you mean 'wasserstein'?"),
        (["--penalties", "none,r3"], "unknown penalty 'r3'"),
        (["--penalties", "r1(gama=2)"], "did you mean 'gamma'?"),
        (["--penalties", "r1(gamma=-2)"], "gamma is -2"),
        (["--rules", "extragradiant"], "did you mean 'extragradient'?"),
        (["--rules", "lookahead(k=0)"], "k is 0: wanted"),
        (["--rules", "lookahead(k=)"], "wanted NAME or NAME(argument=value, ...)"),
        (["--rules", "alternating,,simultaneous"], "empty"),
        (["--rule", "alternating"], "unknown option '--rule' (did you mean '--rules'?)"),
        (["--step", "0"], "--step 0.0: wanted a positive number"),
        (["--step", "-0.1"], "--step -0.1: wanted a positive number"),
        (["--step", "nan"], "--step nan: wanted a positive number"),
        (["--step", "inf"], "--step inf: wanted a positive number"),
        (["--step", "small"], "invalid float value: 'small'"),
        (["--critic-step", "0"], "--critic-step 0.0: wanted a positive number"),
        (["--generator-step", "nan"], "--generator-step nan: wanted a positive number"),
        (["--step", "1", "--critic-step", "1", "--generator-step", "1"], "wanted one"),
        (["--momentum", "1"], "--momentum 1.0: wanted a number between -1 and 1"),
        (["--momentum", "nan"], "--momentum nan"),
        (["--momentum", "0.5", "--rules", "proximal_point"], "SGD without momentum"),
        (["--steps", "0"], "--steps 0: wanted a whole number, 8 to 1,000,000"),
        (["--steps", "1.5"], "invalid int value: '1.5'"),
        (["--start", "0"], "--start 0.0: wanted a positive number"),
        (["--start", "1e300"], "--start 1e+300: wanted a positive number, at most 1e+06"),
        (["--losses", "began"], "autoencoder"),
        (["--penalties", "cr"], "cr"),
        (["--game", "bilinear", "--losses", "hinge"], "--losses is given with --game bilinear, which has none"),
        (["--game", "bilinear", "--penalties", "r1"], "--penalties is given with --game bilinear"),
        (["--game", "bilinear", "--spectrum", "1,-2"], "--spectrum '1,-2': wanted positive numbers"),
        (["--game", "bilinear", "--spectrum", "1;2"], "wanted numbers with commas"),
        (["--spectrum", "1"], "--spectrum is given with --game dirac"),
        (["--game", "gaussian", "--penalties", "wgan_gp"], "unknown penalty 'wgan_gp'"),
        (["--out", "a.gif"], "--out a.gif: wanted a name that ends in .png, .pdf or .svg"),
        (["nowhere"], "nowhere: no such folder"),
        (["nowhere", "--rules", "alternating"], "--rules is given with RUN (nowhere)"),
        (["nowhere", "--eigenvalues", "0"], "--eigenvalues 0: wanted a whole number, at least 1"),
        (["--batch", "3"], "--batch is given with a small game"),
    ],
)
def test_wrong_input(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert main(["dynamics", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("adversarium: ")
    assert words in printed.err
    assert printed.out == ""
    assert os.listdir() == []


def test_a_figure_that_cannot_be_written_is_told_before_anything_is_played(capsys: pytest.CaptureFixture[str]) -> None:
    Path("folder.png").mkdir()
    Path("file").write_text("mine")
    for out, words in (("folder.png", "is a folder"), ("file/a.png", "cannot be written (Not a directory)")):
        assert main(["dynamics", "--out", out, "--force"]) == 2
        assert words in capsys.readouterr().err
    assert main(["dynamics", "--json", "--force"]) == 2
    assert "there is no figure" in capsys.readouterr().err


def test_a_rule_that_finds_no_step_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dynamics", "--rules", "proximal_point(max_iterations=1)", "--penalties", "r1"]) == 2
    assert "proximal_point found no step" in capsys.readouterr().err


def test_help_answers_without_torch() -> None:
    program = (
        "import sys; from adversarium.cli import main\n"
        "try: main(['dynamics', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "--penalties" in found.stdout


def test_an_interrupt_leaves_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    threads = torch.get_num_threads()
    monkeypatch.setattr(Figure, "savefig", interrupt)
    torch.set_num_threads(3)
    try:
        assert main(["dynamics", "--game", "bilinear", "--rules", "alternating", *SHORT]) == 130
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert "interrupted" in capsys.readouterr().err
    assert os.listdir() == []
