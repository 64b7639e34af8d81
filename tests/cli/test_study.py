"""``adversarium study``: what is typed, what is said, and what is shown while it runs."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from adversarium.cli import main
from adversarium.cli.study_display import Display
from adversarium.study.jobs import Job, Jobs, JobState, StudyStoppedError
from adversarium.study.outlook import Outlook, Prospect
from adversarium.study.progress import Progress

SMALL = ["--budget", "0.2kimg", "--measurements", "2", "--protocol", "sw2_100_raw_test", "--width", "8"]
SMALL += ["--batch-size", "8", "--workers", "1"]


def values(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "study.json").read_text())["plan"]
    return found


# done


def test_a_study_from_one_command_to_its_report(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "my study"
    methods = ["--presets", "gan,nsgan", "--method", "packed [x]: --preset gan --packing 2", "--seeds", "3,7"]
    assert main(["study", "ring", *methods, *SMALL, "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "3 methods on ring, 2 seeds, 0.2kimg each: 6 runs, ranked by sw2_100_raw_test" in said.err
    assert "runs are trained together: 2 seeds at once of 2 methods" in said.err
    assert said.err.startswith("trying each of 3 methods for a moment\n3 methods on ring")
    assert re.search(r"about (\d+ min )?\d+ (s|min) with 1 worker\n0 of 6 done, starting 1 worker; \d+ s\n", said.err)
    assert "6 of 6 done" in said.err
    assert f"{out / 'report.html'}: the report" in said.out
    for name in ("report.html", "runs.csv", "study.db", "runs/packed-x/seed7/metrics.jsonl"):
        assert (out / name).exists(), name
    assert main(["study", "--resume", str(out), "--workers", "1"]) == 0
    assert "ADVERSARIUM_STORAGE" not in os.environ
    jobs = Jobs(f"sqlite:///{out / 'study.db'}", "my study")
    assert [state.attempt for state in jobs.standings()] == [1] * 6
    jobs.close()


@pytest.mark.slow
def test_a_study_that_is_killed_with_its_search_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "study"
    command = [sys.executable, "-m", "adversarium", "study"]
    begin = ["ring", "--presets", "gan,wgan-gp", "--seeds", "2", "--trials", "4", *SMALL, "--budget", "2kimg"]
    begin += ["--method", "broken: --preset gan --critic-learning-rate 1e18 --beta1 0.5", "--workers", "2"]
    for attempt in range(4):
        arguments = begin if attempt == 0 else ["--resume", str(out), "--workers", "2"]
        process = subprocess.Popen([*command, *arguments, *(["--out", str(out)] if attempt == 0 else [])])
        until = time.monotonic() + 12 + 3 * attempt
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        process.kill() if attempt % 2 == 0 else process.send_signal(signal.SIGINT)
        process.wait()
        if not (out / "study.json").exists():
            begin_again = subprocess.run([*command, *begin, "--out", str(out)], check=False)
            assert begin_again.returncode == 0
    assert subprocess.run([*command, "--resume", str(out)], check=False).returncode == 0
    jobs = Jobs(f"sqlite:///{out / 'study.db'}", "study")
    states = jobs.standings()
    assert {state.state for state in states} == {"done"}
    assert len(states) == 8 + 6
    results = {state.job.key: state.result or {} for state in states}
    jobs.close()
    for name in ("gan", "wgan-gp"):
        trials = [results[f"trial/{name}/{number}"] for number in range(4)]
        best = min((each for each in trials if each["cost"] is not None), key=lambda each: each["cost"])
        for seed in range(2):
            options = results[f"run/{name}/{seed}"]["options"]
            assert {option: options[option] for option in best["options"]} == best["options"]
    assert all(results[f"run/broken/{seed}"]["value"] is None for seed in range(2))
    assert (out / "report.html").exists()


# what is typed


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return a function that gives the plan of arguments, without doing anything."""
    monkeypatch.chdir(tmp_path)
    found = {}

    def stop(plan: Any, source: Any, **options: Any) -> None:
        found.update(plan=plan, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr("adversarium.study.outlook.outlook", stop)

    def of(*arguments: str) -> Any:
        found.clear()
        assert main(["study", *arguments]) == 130
        return SimpleNamespace(**found)

    return of


def test_methods_are_typed_in_three_ways(planned: Any) -> None:
    plan = planned(
        *("ring", "--presets", "gan,wgan-gp", "--method", "two: --preset gan --packing 2", "--method", "plain:"),
        *("--losses", "hinge,minimax", "--penalties", "none,r1(gamma=1.0)"),
    )
    assert {each.name: dict(each.options) for each in plan.plan.methods} == {
        "gan": {"preset": "gan"},
        "wgan-gp": {"preset": "wgan-gp"},
        "two": {"preset": "gan", "packing": 2},
        "plain": {},
        "hinge + none": {"loss": "hinge", "penalties": "none"},
        "hinge + r1(gamma=1.0)": {"loss": "hinge", "penalties": "r1(gamma=1.0)"},
        "minimax + none": {"loss": "minimax", "penalties": "none"},
        "minimax + r1(gamma=1.0)": {"loss": "minimax", "penalties": "r1(gamma=1.0)"},
    }


def test_a_file_says_it_all_and_the_command_line_wins(planned: Any, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(
        textwrap.dedent(
            """
            data = "ring"
            presets = ["gan"]
            seeds = [3, 7]
            budget = "5kimg"
            trials = 4
            level = 0.1

            [options]
            width = 16
            batch_size = 32

            [search]
            learning_rate = "1e-4..1e-3 log"

            [methods.packed]
            preset = "gan"
            packing = 2
            beta1 = 0
            """
        )
    )
    plan = planned("--config", "study.toml", "--budget", "9kimg", "--width", "8", "--presets", "nsgan").plan
    assert (plan.data, plan.seeds, str(plan.budget), plan.trials, plan.level) == ("ring", (3, 7), "9kimg", 4, 0.1)
    assert dict(plan.options) == {"width": 8, "batch_size": 32}
    assert [each.name for each in plan.methods] == ["nsgan", "packed"]
    assert dict(plan.methods[1].options) == {"preset": "gan", "packing": 2, "beta1": 0.0}
    assert [dict(each.search) for each in plan.methods] == [{"learning_rate": "1e-4..1e-3 log"}] * 2


def test_a_search_is_typed(planned: Any) -> None:
    found = planned("ring", "--presets", "gan,nsgan", "--trials", "3", "--search", "learning-rate=1e-5..1e-3 log",
                    "--search", "batch_size=16|64", "--workers", "3")  # fmt: skip
    assert dict(found.plan.methods[0].search) == {"learning_rate": "1e-5..1e-3 log", "batch_size": "16|64"}
    assert found.workers == 3


# refused: exit code 2, no traceback, nothing written

RING = ["ring", "--presets", "gan,nsgan", "--seeds", "2"]
BAD: list[tuple[list[str], str]] = [
    (["ring", "--presets", "gan"], "gan is the only method, and there is nothing to compare it with: name another"),
    ([], "a study wants DATA"),
    (["rink", *RING[1:]], "unknown data 'rink' (did you mean 'ring'?)"),
    (["no/photos", *RING[1:]], "unknown data 'no/photos'; there is no such file or folder"),
    ([*RING, "--network", "dcgan"], "method gan: "),
    ([*RING, "--conditional"], "method gan: "),
    (["ring", "--presets", "gan,wgan-pg"], "unknown preset 'wgan-pg' (did you mean 'wgan-gp'?)"),
    (["ring", "--presets", "gan,gan"], "gan is named twice"),
    (["ring", "--losses", "hing,minimax"], "unknown loss 'hing' (did you mean 'hinge'?)"),
    (["ring", "--losses", "hinge,,minimax"], "a part of this list is empty"),
    (["ring", "--penalties", "none,r1(gama=1)"], "did you mean 'gamma'"),
    ([*RING, "--loss", "hinge"], "unknown option '--loss' (did you mean '--losses'?)"),
    ([*RING, "--method", "gan: --preset wgan"], "two methods are called 'gan'"),
    ([*RING, "--method", "gan --preset wgan"], "wanted 'NAME: --preset gan --packing 2'"),
    ([*RING, "--method", "a: --presett wgan"], "--method a: unknown option '--presett' (did you mean '--preset'?)"),
    ([*RING, "--method", "a: --preset 'wgan"], "No closing quotation"),
    ([*RING, "--method", "a: --seed 3"], "method a sets seed, which a study says by --seeds"),
    ([*RING, "--protocol", "sw2_100_raw_trian"], "sw2_100_raw_train"),
    ([*RING, "--protocol", "sw2_100_raw_train"], "wanted ..._test"),
    ([*RING, "--others", "mode100_raw_test"], "did you mean 'modes100_raw_test'"),
    ([*RING, "--budget", "0.01kimg"], "too few for 10 measurements; wanted at least 0.64 kimg, or --measurements 1"),
    ([*RING, "--budget", "3gradients"], "too few for 10 measurements; wanted at least 20 gradients"),
    ([*RING, "--budget", "1gradients"], "a step of gan takes 2: wanted at least 20gradients"),
    ([*RING, "--budget", "5"], "budget is '5': wanted 90s"),
    ([*RING, "--seeds", "3,3"], "seeds name 3 twice"),
    ([*RING, "--seeds", "-3"], "seeds is -3: wanted at least 1"),
    ([*RING, "--seeds=-3,4"], "whole numbers from 0"),
    ([*RING, "--seeds", "-3,4"], "seeds are [-3, 4]: wanted whole numbers from 0"),
    ([*RING, "--budget", "-5m"], "budget is '-5m': wanted 90s, 5m, 1h"),
    ([*RING, "--budget", "-.5kimg"], "budget is '-.5kimg': wanted 90s, 5m, 1h"),
    ([*RING, "--hold-out", "-0.1"], "-0.1"),
    ([*RING, "--presets", "-gan,lsgan"], "--presets wants a value, and '-gan,lsgan' follows it; if that is the value"),
    ([*RING, "--workers", "0"], "workers is 0: wanted at least 1"),
    ([*RING, "--workers", "-2"], "workers is -2: wanted at least 1"),
    ([*RING, "--trials", "2", "--beta1", "0.5", "--search", "beta1=0|0.9"], "the study sets beta1, and the search of"),
    ([*RING, "--trials", "2", "--method", "a: --beta1 0.5", "--search", "beta1=0|0.9"], "a sets beta1, and the searc"),
    ([*RING, "--trials", "2", "--search", "beta1"], "--search is 'beta1': wanted OPTION=LOW..HIGH"),
    (
        [*RING, "--trials", "2", "--search", "batch_sise=8|16"],
        "search names 'batch_sise' (did you mean 'batch_size'?)",
    ),
    ([*RING, "--search", "beta1=0|0.9"], "add --trials"),
    ([*RING, "--trials", "2", "--sampler", "tpee"], "unknown sampler 'tpee' (did you mean 'tpe'?)"),
    ([*RING, "--storage", "mysql://here/there"], "is of another kind"),
    ([*RING, "--config", "no.toml"], "no.toml: no such file"),
    ([*RING, "--kimg", "3"], "unknown option '--kimg'"),
    (["--resume", "nowhere"], "nowhere: holds no study"),
    (["--report", "nowhere"], "nowhere: holds no study"),
    (["--resume", "nowhere", "--seeds", "3"], "--resume takes a study as it was planned: leave seeds out"),
    (["--resume", "nowhere", "--name", "x"], "leave name out"),
    (["--resume", "a", "--report", "b"], "--resume and --report: one of them"),
    (["--resume", "a", "--workers", "0"], "workers is 0"),
    (["--join", "sqlite:///x.db"], "--join wants the study's --name"),
    (["--join", "sqlite:///nowhere/x.db", "--name", "a"], "there is no folder"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_input_is_named_before_anything_is_written(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["study", *arguments]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.err.splitlines()[-1].startswith("adversarium: ")
    assert "Traceback" not in said.err
    assert said.out == ""
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('metods = {}\ndata = "ring"', "a study has no 'metods' (did you mean 'methods'?)"),
        ('data = "ring"\nmethods = ["gan"]', "methods is ['gan']: wanted a table"),
        ('data = "ring"\noptions = 3', "options is 3: wanted a table"),
        ('data = "ring"\nmeasurements = "ten"', "measurements is 'ten': wanted a whole number"),
        ('data = "ring"\n[methods.a]\npakking = 2', "method a names 'pakking' (did you mean 'packing'?)"),
        ('data = "ring"\n[methods.a]\npacking = "2"', "method a: packing is '2': wanted int"),
        ("data =", "cannot be read as a configuration"),
    ],
)
def test_a_bad_file_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(content)
    assert main(["study", "--config", "study.toml"]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert os.listdir() == ["study.toml"]


def test_image_networks_and_few_samples_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("points.npy", np.random.default_rng(3).normal(size=(100, 3)).astype(np.float32))
    for arguments, words in (
        (["--protocol", "sw2_50_raw_test"], "there are 25 samples to test with: wanted sw2_25_raw_test"),
        (["--hold-out", "0"], "there is no test split, and hold_out is 0"),
        (["--network", "dcgan"], "method gan: "),
        (["--method", "b: --network r3"], "method b: "),
    ):
        assert main(["study", "points.npy", "--presets", "gan,nsgan", "--batch-size", "16", *arguments]) == 2
        assert words in capsys.readouterr().err
    assert os.listdir() == ["points.npy"]


def test_the_folder_of_another_study_is_left_as_it_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, planned: Any
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    assert main(["study", *RING, "--out", "full"]) == 2
    assert "holds something that is no study" in capsys.readouterr().err
    assert os.listdir("full") == ["mine.txt"]


def test_help_is_quick_and_without_torch() -> None:
    code = """
        import sys
        from adversarium.cli import main
        try:
            main(["study", "--help"])
        except SystemExit as error:
            assert not error.code
        assert not {"torch", "sqlalchemy", "rich"} & set(sys.modules)
        """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    for word in ("--presets", "--budget", "--search", "--resume", "--join", "--storage", "--packing"):
        assert word in ended.stdout
    for word in ("--work ", "--kimg", "--steps", "--loss ", "--seed ", "--evaluate"):
        assert word not in ended.stdout


def test_without_its_extra_a_study_names_it(tmp_path: Path) -> None:
    code = """
        import sys
        sys.modules["sqlalchemy"] = None
        from adversarium.cli import main
        for arguments in (["ring"], ["--resume", "x"], ["--report", "x"]):
            assert main(["study", *arguments]) == 2
        """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == "adversarium: a study needs an extra: pip install 'adversarium[study]'\n" * 3
    assert os.listdir(tmp_path) == []


# what is shown


def state(kind: str, name: str, number: int, how: str, *, why: str = "") -> JobState:
    job = Job(key=f"{kind}/{name}/{number}", group=f"{kind}/{name}", payload={"kind": kind, "method": name})
    result = {"why": why} if how == "done" else None
    return JobState(
        job=job, state=how, worker="me", attempt=1, progress=0.5, seconds=3.0, result=result  # type: ignore[arg-type]
    )  # fmt: skip


class Standing:
    """The jobs of a study that somebody else does."""

    def __init__(self, states: list[JobState]) -> None:
        self.states, self.asked = states, list[str]()

    def standings(self, *, results: bool = True) -> list[JobState]:
        assert not results  # they are long
        return self.states

    def results(self, keys: list[str]) -> dict[str, Mapping[str, Any]]:
        self.asked += keys
        return {each.job.key: each.result or {} for each in self.states if each.job.key in keys}


def progress(done: int, **changes: Any) -> Progress:
    return Progress(
        **{
            "done": done,
            "running": {"run/a/9": 0.3},
            "waiting": 5,
            "failed": 2,
            "share": 0.4,
            "elapsed_seconds": 200.0,
            "eta_seconds": 7500.0,
            **changes,
        }
    )


def drawn(states: list[JobState], width: int = 80, encoding: str = "utf-8") -> list[str]:
    """Return the last picture of a study in a terminal."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
    console = Console(file=stream, force_terminal=True, width=width, height=40, highlight=False, markup=False,
                      color_system=None, legacy_windows=False)  # fmt: skip
    display = Display(console)
    study: Any = SimpleNamespace(jobs=Standing(states))
    with display, display.running(study):
        display.progress(progress(3))
        stream.flush()
        assert isinstance(stream.buffer, io.BytesIO)
        picture = stream.buffer.getvalue().decode(encoding)
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip("\r") for line in picture.split("\n")]


NAMES = ["gan", "wgan-gp", "relativistic(pairing=average) + r1(gamma=1.0), r2(gamma=1.0)", "[red]packed[/red]"]
NAMES += [f"method {number}" for number in range(8)]


def many(trials: int = 0) -> list[JobState]:
    states = [state("trial", name, number, "done") for name in NAMES for number in range(trials)]
    for name in NAMES:
        for seed in range(20):
            how = "done" if seed < 12 else "running" if seed < 14 else "waiting"
            states.append(state("run", name, seed, how, why="it diverged" if seed == 5 else ""))
    return states


@pytest.mark.parametrize("trials", [0, 20, 500])
@pytest.mark.parametrize("width", [80, 40])
def test_a_large_study_fits_a_terminal(trials: int, width: int) -> None:
    lines = drawn(many(trials), width)
    assert all(len(line) <= width for line in lines)
    rows = [line for line in lines if "■" in line]
    assert len(rows) == len(NAMES)
    assert rows[3].startswith("[red]packed"[: width // 3 - 1])
    assert rows[2].startswith("relativistic")
    text = " ".join(lines)
    assert "3 of 9 done (2 failed), 1 running; 3 min 20 s, about 2 h 05 min left" in " ".join(text.split())
    if trials == 0 and width == 80:
        assert rows[0].split() == ["gan", "■" * 5 + "×" + "■" * 6 + "◧" * 2 + "·" * 6]
    if trials == 500:
        assert "▪500 ■11 ×1 ◧2 ·6" in rows[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"running": {}, "starting": 2}, "3 of 9 done (2 failed), starting 2 workers; 3 min 20 s"),
        ({"starting": 1}, "3 of 9 done (2 failed), 1 running, starting 1 worker; 3 min 20 s"),
        ({"running": {}}, "3 of 8 done (2 failed), 0 running; 3 min 20 s"),
        ({"elapsed_seconds": 0.1, "eta_seconds": 103.0}, "; 1 s, about 1 min 40 s left"),
        ({"elapsed_seconds": 59.6, "eta_seconds": 59.4}, "; 1 min 00 s, about 59 s left"),
        ({"elapsed_seconds": 599.4, "eta_seconds": 596.0}, "; 9 min 59 s, about 10 min left"),
        ({"elapsed_seconds": 599.6, "eta_seconds": 0.0}, "; 10 min, about 1 s left"),
    ],
)
def test_how_far_it_is_in_words(changes: dict[str, Any], words: str) -> None:
    waiting = {"waiting": 6} if changes.get("starting") == 2 else {}
    line = shown(progress(3, **waiting, **changes), terminal=False)
    assert words in line
    assert words in shown(progress(3, **waiting, **changes), terminal=True)


def shown(*standings: Progress, terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=120, highlight=False, markup=False, force_terminal=terminal, no_color=True)
    display = Display(console)
    study: Any = SimpleNamespace(jobs=Standing(many()))
    with display, display.running(study):
        for each in standings:
            display.progress(each)
    return stream.getvalue()


def test_two_lines_of_the_first_ten_minutes_never_say_the_same_time() -> None:
    said = [shown(progress(3, elapsed_seconds=float(second)), terminal=False) for second in range(1, 601, 15)]
    assert len(set(said)) == len(said)


@pytest.mark.parametrize("terminal", [True, False])
def test_what_comes_before_the_runs_is_told(terminal: bool) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=60, highlight=False, markup=False, force_terminal=terminal, no_color=True)
    with Display(console) as display:
        display.doing("opening [b]a name that is much longer than the terminal is wide, by far[/b]")
        for done in range(4):
            display.decoding(done, 3)
        display.trial(["a", "b [x]"])
        for method in ("a", "b [x]"):
            display.trying(method)
        display.done()
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).replace("\r", "\n")
    lines = [line for line in said.split("\n") if line.strip()]
    if not terminal:
        assert lines == ["decoding 3 image files", "trying each of 2 methods for a moment"]
        return
    assert lines[0].startswith("opening [b]a name")
    assert all(len(line) <= 60 for line in lines)
    for words in (
        "decoding image files: 2 of 3",
        "trying each of 2 methods for a moment",
        "a few steps of b [x] (2 of 2)",
    ):
        assert words in lines


def test_a_plain_terminal_gets_plain_marks() -> None:
    row = next(line for line in drawn(many(), encoding="ascii") if line.startswith("gan"))
    assert row.split() == ["gan", "#####x######>>......"]


def test_results_are_read_once() -> None:
    display = Display(Console(file=io.StringIO(), force_terminal=True, width=80))
    standing = Standing(many())
    study: Any = SimpleNamespace(jobs=standing)
    with display, display.running(study):
        for _ in range(3):
            display.progress(progress(3))
    assert len(standing.asked) == 12 * len(NAMES)


def test_elsewhere_a_line_comes_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, now = io.StringIO(), [0.0]
    monkeypatch.setattr("adversarium.cli.study_display.time", SimpleNamespace(monotonic=lambda: now[0]))
    display = Display(Console(file=stream, width=80, highlight=False, markup=False))
    study: Any = SimpleNamespace(jobs=Standing(many()))
    with display, display.running(study):
        for second in range(40):
            now[0] = float(second)
            display.progress(progress(second))
        for _ in range(2):
            display.progress(progress(40, running={}, waiting=0, failed=0, eta_seconds=None))
    lines = stream.getvalue().splitlines()
    assert [line.split(" of ")[0] for line in lines] == ["0", "15", "30", "40"]
    assert lines[-1] == "40 of 40 done; 3 min 20 s; writing the report"


@pytest.mark.parametrize(("methods", "seeds", "wanted"), [(6, 5, 10), (2, 5, 6), (6, 10, 0), (1, 1, 0)])
def test_too_few_seeds_are_said_before_hours_are_spent(
    capsys: pytest.CaptureFixture[str], methods: int, seeds: int, wanted: int
) -> None:
    from adversarium.study.plan import Budget, Method, Plan

    names = [f"m{number}" for number in range(methods)]
    plan = Plan(data="ring", methods=tuple(Method(name=name, options={}) for name in names), seeds=tuple(range(seeds)),
                budget=Budget(60.0, "seconds"), protocol="sw2_100_raw_test")  # fmt: skip
    prospects = tuple(
        Prospect(method=name, steps=3, seconds=3.0, trial_seconds=1.0, together=1, alone="") for name in names
    )
    study: Any = SimpleNamespace(plan=plan, folder=Path("a"))
    with Display() as display:
        display.outlook(study, "ring", Outlook(prospects=prospects, seconds=130.0, workers=1))
    said = f"with {seeds} seeds no two of {methods} methods can be told apart, whatever their numbers: that takes "
    assert (f"{said}{wanted}" in capsys.readouterr().err.splitlines()) == (wanted > 0)


@pytest.mark.parametrize(
    "arguments", [["--report", "x"], ["--resume", "x"], ["--join", "sqlite:///x.db", "--name", "x"]]
)
def test_a_database_that_goes_away_is_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise StudyStoppedError("the database is away")

    for name in ("open", "join"):
        monkeypatch.setattr(f"adversarium.study.conduct.Study.{name}", stop)
    assert main(["study", *arguments]) == 2
    assert capsys.readouterr().err == "adversarium: the database is away\n"


def test_ctrl_c_while_the_report_is_written_says_that_the_runs_are_done(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from adversarium.cli.study import _conduct

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("adversarium.study.pool.run_pool", lambda *_, **__: 0)
    study: Any = SimpleNamespace(
        folder=tmp_path, url="sqlite:///x", jobs=None, go_on="GO ON", command=lambda device: [], report=interrupted
    )
    with Display() as display, pytest.raises(KeyboardInterrupt, match="all runs are done; write it with: GO ON$"):
        _conduct(study, display, 1, "auto")


def test_the_outlook_is_one_of_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    from adversarium.study.plan import Budget, Method, Plan

    plan = Plan(data="ring", methods=(Method(name="[b]", options={}),), seeds=(0,), budget=Budget(60.0, "seconds"),
                protocol="sw2_100_raw_test", trials=3)  # fmt: skip
    found = Outlook(
        prospects=(Prospect(method="[b]", steps=3, seconds=3.0, trial_seconds=1.0, together=1, alone=""),),
        seconds=130.0,
        workers=1,
    )
    study: Any = SimpleNamespace(plan=plan, folder=Path("a [b]"))
    with Display() as display:
        display.outlook(study, "ring", found)
    assert capsys.readouterr().err.splitlines() == [
        "1 method on ring, 1 seed, 60s each after 3 trials of each: 1 run, ranked by sw2_100_raw_test; folder a [b]",
        "about 2 min 10 s with 1 worker",
    ]
