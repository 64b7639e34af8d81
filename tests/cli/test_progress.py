"""The line under the bar: what is wrong, one line at every width, and in a file a line when that changes."""

import io
import re
from types import SimpleNamespace

import pytest
from rich.console import Console

from adversarium.cli import progress

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


def shown(monkeypatch: pytest.MonkeyPatch, *records: dict[str, float], live: bool, width: int = 150) -> str:
    """Return all that a display writes on records."""
    written = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=written, force_terminal=live, width=width))
    with progress.Display() as display:
        step = SimpleNamespace(generator=SimpleNamespace(parameters=list), critic=SimpleNamespace(parameters=list))
        config = SimpleNamespace(preset="nsgan", network="auto", device="cpu", precision="fp32")
        source = SimpleNamespace(codec=SimpleNamespace(sample_shape=(2,)), name="ring")
        display.start(SimpleNamespace(path="runs/it's"), SimpleNamespace(config=config, step=step), source)
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
