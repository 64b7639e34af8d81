"""The line under the bar: what is wrong, one line at every width, and in a file a line when that changes."""

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from adversarium.cli import progress
from adversarium.config import TrainConfig

RECORD = {
    "step": 200,
    "kimg": 12.3,
    "seconds": 12.0,
    "progress": 0.4,
    "images_per_second": 800.0,
    "critic_loss": 1.2,
    "generator_loss": 0.3,
    "score_gap": 2.0,
}
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def shown(
    monkeypatch: pytest.MonkeyPatch,
    *records: dict[str, float],
    live: bool,
    width: int = 150,
    path: str = "runs/it's",
    evaluate: str | None = None,
    options: dict[str, Any] | None = None,
) -> str:
    """Return all that a display writes on records."""
    written = io.StringIO()

    def console(**given: Any) -> Console:
        return Console(**{**given, "file": written, "force_terminal": live, "width": width})

    monkeypatch.setattr(progress, "Console", console)
    with progress.Display() as display:
        step = SimpleNamespace(generator=SimpleNamespace(parameters=list), critic=SimpleNamespace(parameters=list))
        config = TrainConfig(device="cpu", precision="fp32", evaluate=evaluate, **(options or {}))
        source = SimpleNamespace(codec=SimpleNamespace(sample_shape=(2,)), name="ring")
        display.start(SimpleNamespace(path=path), SimpleNamespace(config=config, step=step), source)
        display.tell(f"told of {path}")
        display.warn(f"warned of {path}")
        for record in records:
            display(record)
    return written.getvalue()


def last_frame(text: str) -> list[str]:
    """Return the lines that stand in the terminal at the end, without the one printed at the start."""
    lines = CONTROL.sub("", text.rpartition("\r")[2] if "\x1b[1A" not in text else text.rpartition("\x1b[1A")[2])
    return [line for line in lines.strip("\n").split("\n") if line.strip()]


LOOKED = {**RECORD, "probe_auc": 0.9}
COLLAPSED = {**LOOKED, "finding_mode_collapse": 0.9, "finding_vanishing_generator_gradient": 0.4}


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_the_first_finding_stands_in_one_line_under_the_bar(monkeypatch: pytest.MonkeyPatch, width: int):
    third = {**COLLAPSED, "finding_divergence": 0.95}  # explained by the first, which is told before it
    bar, line = last_frame(shown(monkeypatch, RECORD, third, live=True, width=width))
    assert bar.startswith("   12.3 kimg ")
    assert line.startswith("mode collapse since 12.3 kimg  and 2 others")
    assert max(len(bar), len(line)) <= width
    assert ("adversarium doctor" in line) == (width >= 80)
    assert "…" not in line


@pytest.mark.parametrize(
    ("options", "method"),
    [
        ({}, "rsgan"),
        ({"loss": "hinge", "penalties": "none"}, "rsgan, loss hinge, penalties none"),
        ({"conditional": "projection", "augment": "diffaugment"}, "rsgan, conditional projection, diffaugment"),
        (
            {"preset": "wgan-gp", "packing": 2, "terms": "lecam(weight=0.1), cr", "minibatch": "minibatch_std"},
            "wgan-gp, packing 2, with lecam(weight=0.1), cr, minibatch layer minibatch_std",
        ),
        ({"replay_pool": 50, "top_k": 0.5, "from_run": "runs/[a]"}, "rsgan, replay pool 50, top-k 0.5, from runs/[a]"),
    ],
)
def test_the_first_line_says_what_is_added_to_the_preset(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], method: str
):
    first = shown(monkeypatch, live=False, options=options).splitlines()[0]
    assert first.startswith(f"{method} on ring (endless samples of 2), network auto: ")


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("path", ["runs/z[/bold] q", "runs/[red]x[/x]", "runs/[link=a]"])
def test_a_name_with_brackets_is_printed_as_it_is(monkeypatch: pytest.MonkeyPatch, path: str, live: bool):
    said = CONTROL.sub("", shown(monkeypatch, RECORD, COLLAPSED, live=live, path=path))
    assert f"; run {path}\n" in said.replace("\r", "")
    assert f"told of {path}\n" in said.replace("\r", "")
    assert f"warning: warned of {path}\n" in said.replace("\r", "")
    assert f"adversarium doctor '{path}'" in said


@pytest.mark.parametrize("width", [50, 60, 70, 80, 90, 100, 120, 150])
@pytest.mark.parametrize("protocol", ["", "fd5k_lenet_train"])
def test_the_bar_keeps_ten_cells_and_no_number_is_cut(monkeypatch: pytest.MonkeyPatch, width: int, protocol: str):
    record = RECORD | ({protocol: 101.3456} if protocol else {})
    (line,) = last_frame(shown(monkeypatch, record, live=True, width=width, evaluate=protocol or None))
    assert len(line) <= width
    assert len(re.findall("[━╸╺]", line)) >= 10
    assert " 40%  " in line
    assert "…" not in line
    for name, whole in (
        ("ETA", "ETA 0:18"),
        ("img/s", "  800 img/s"),
        ("critic", "critic  1.200  generator  0.300"),
        ("gap", "gap   2.00"),
        ("fd5k", "fd5k_lenet_train 101.3"),
    ):
        assert (name in line) == (whole in line)
    more = 24 if protocol else 0
    # the gap gives way first, then the speed, then the evaluation, which has a line of its own; at 80 losses stand
    assert ("gap" in line) == (width >= 96 + more)
    assert ("img/s" in line) == (width >= 84 + more)
    assert ("fd5k" in line) == (more > 0 and width >= 71 + more)
    assert ("critic" in line) == (width >= 71)
    assert "ETA" in line


def test_the_number_by_which_a_run_is_evaluated_stays_in_the_bar(monkeypatch: pytest.MonkeyPatch):
    records = [{**RECORD, "fd10k_lenet_test": 12.5}, {**RECORD, "kimg": 20.0}]
    (line,) = last_frame(shown(monkeypatch, *records, live=True, evaluate="fd10000_lenet_test"))
    assert "fd10k_lenet_test 12.5" in line


def test_a_long_name_is_cut_off_and_not_wrapped(monkeypatch: pytest.MonkeyPatch):
    record = {**LOOKED, f"finding_{'long_' * 20}name": 0.5}
    _, line = last_frame(shown(monkeypatch, record, live=True, width=60))
    assert len(line) == 60
    assert line.endswith("…")


def test_without_findings_there_is_the_bar_alone(monkeypatch: pytest.MonkeyPatch):
    assert len(last_frame(shown(monkeypatch, LOOKED, live=True))) == 1
    text = shown(monkeypatch, COLLAPSED, LOOKED, live=True)
    assert "mode collapse" in text
    assert "mode collapse" not in text.rpartition("\x1b[2K")[2]


def test_the_line_stays_between_two_looks_and_keeps_its_beginning(monkeypatch: pytest.MonkeyPatch):
    later = {**RECORD, "kimg": 20.0}
    _, line = last_frame(shown(monkeypatch, COLLAPSED, later, {**COLLAPSED, "kimg": 30.0}, live=True))
    assert line.startswith("mode collapse since 12.3 kimg  and 1 other  adversarium doctor")


def test_in_a_file_a_line_tells_when_a_finding_appears_and_goes(monkeypatch: pytest.MonkeyPatch):
    one = {**LOOKED, "kimg": 30.0, "finding_mode_collapse": 0.9}
    records = [RECORD, COLLAPSED, {**RECORD, "kimg": 20.0}, one, {**one, "kimg": 31.0}, {**LOOKED, "kimg": 40.0}]
    lines = shown(monkeypatch, *records, live=False, width=60).splitlines()
    found = [line.strip() for line in lines if "found:" in line or "gone:" in line]
    doctor = """adversarium doctor 'runs/it'"'"'s'"""
    assert found == [
        f"12.3 kimg  found: mode collapse (severity 0.90); more: {doctor}",
        f"12.3 kimg  found: vanishing generator gradient (severity 0.40); more: {doctor}",
        "30.0 kimg  gone: vanishing generator gradient",
        "40.0 kimg  gone: mode collapse",
    ]
