"""The golden table (docs/golden.md) tells the truth about our side as it is now. No other library is needed."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from adversarium.constraints import CONSTRAINTS
from adversarium.losses import LOSSES, MISPRINTS
from adversarium.penalties import PENALTIES

ROOT = Path(__file__).resolve().parent.parent
STORED = json.loads((ROOT / "docs/golden.json").read_text(encoding="utf-8"))
TABLE = (ROOT / "docs/golden.md").read_text(encoding="utf-8")
ROWS: list[dict[str, Any]] = STORED["rows"]


def load_ours() -> ModuleType:
    """Our side as the table's script evaluates it."""
    spec = importlib.util.spec_from_file_location("golden_ours", ROOT / "benchmarks/golden/ours.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OURS = load_ours()


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['member']}-{row['side']}-{row['theirs']}" for row in ROWS])
def test_our_numbers_are_still_those_of_the_table(row: dict[str, Any]) -> None:
    for name, case in row["cases"].items():
        now = OURS.evaluate(row, case["input"], STORED["inputs"])
        for part in ("value", "gradient"):
            torch.testing.assert_close(
                torch.tensor(now[part], dtype=torch.float64),
                torch.tensor(case["ours"][part], dtype=torch.float64),
                rtol=STORED["tolerance"],
                atol=STORED["tolerance"],
                msg=lambda text, name=name, part=part: f"{part} at {name}: {text}. Run: {STORED['command']}",
            )


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['member']}-{row['side']}-{row['theirs']}" for row in ROWS])
def test_verdicts_follow_from_the_stored_values(row: dict[str, Any]) -> None:
    stored = {name: (case["ours"]["value"], case["theirs"]) for name, case in row["cases"].items()}
    differs = {
        name
        for name, (mine, other) in stored.items()
        if other is None or mine != pytest.approx(other, rel=STORED["tolerance"], abs=STORED["tolerance"])
    }
    assert differs <= set(row["differs"])  # gradients, of which theirs are not stored, may differ where values do not
    refused = sum(other is None for _, other in stored.values())
    if row["verdict"].startswith("equal"):
        assert len(row["differs"]) == refused
        assert row["verdict"] == ("equal" if not refused else f"equal, raises on {refused} of {len(stored)}")
    else:
        assert differs


def test_a_gradient_penalty_is_zero_for_every_critic_of_slope_one() -> None:
    values = [
        case["ours"]["value"][0]
        for row in ROWS
        if row["member"] in ("wgan_gp", "dragan")
        for name, case in row["cases"].items()
        if name.startswith("slope 1,")
    ]
    assert len(values) >= 18
    assert values == pytest.approx([0.0] * len(values), abs=1e-20)


def test_every_member_of_the_table_exists_and_is_named_in_it() -> None:
    kinds = {"loss": LOSSES | MISPRINTS, "penalty": PENALTIES, "weight": CONSTRAINTS}
    for row in ROWS:
        if row["kind"] in kinds:
            assert row["member"] in kinds[row["kind"]], "the member has gone: " + STORED["command"]
        assert f"`{row['member']}" in TABLE
        assert f"`{row['theirs']}`" in TABLE
        assert row["why"] in TABLE
    # what the two packages have too, for both players
    both = {(member, side) for member in LOSSES for side in ("critic", "generator")}
    compared = {(row["member"], row["side"]) for row in ROWS if row["kind"] == "loss" and row["member"] in LOSSES}
    wanted = ("minimax", "nonsaturating", "least_squares", "hinge", "wasserstein", "ebgan", "began")
    assert compared == {pair for pair in both if pair[0] in wanted}


def test_the_table_is_the_one_of_the_stored_numbers() -> None:
    lines = [line for line in TABLE.splitlines() if line.startswith("| `")]
    assert len(lines) == len(ROWS)
    for line, row in zip(lines, ROWS, strict=True):
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        assert cells[1:4] == [row["side"], f"`{row['theirs']}`", row["verdict"]]
        assert cells[5] == row["right"]
    assert STORED["command"] in TABLE
