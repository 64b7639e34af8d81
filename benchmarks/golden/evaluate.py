"""Compare adversarium with torchgan and torch-mimicry on the same inputs. ``golden.py`` runs this in its environment.

What a row expects is measured, against the other library, against the truth and against ``instead``; the script fails
where a measurement differs, so that no explanation outlives its reason.
"""

import argparse
import importlib.metadata
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import ours
import torch
from cases import INPUTS
from ours import Numbers, tensor
from rows import Row, loss_rows, other_rows, penalty_rows
from theirs import BARE
from torch import Tensor

TOLERANCE = 1e-9
COMMAND = "python benchmarks/golden/golden.py"
torch.set_num_threads(1)


def deviation(left: Numbers, right: Numbers) -> float:
    """The largest difference of two numbers over the larger of 1 and both; infinite where one is not finite."""
    a, b = (tensor(each["value"] + each["gradient"]) for each in (left, right))
    if not bool((a.isfinite() & b.isfinite()).all()):
        return math.inf
    return float(((a - b).abs() / torch.stack([a.abs(), b.abs(), torch.ones_like(a)]).amax(0)).max())


def factor(mine: list[Numbers], other: list[Numbers]) -> float | None:
    """The k of other = k·mine by least squares, or None where it does not fit."""
    a, b = (tensor([n for each in side for n in each["value"] + each["gradient"]]) for side in (mine, other))
    if not bool((a.isfinite() & b.isfinite()).all()) or not bool(a.any()):
        return None
    k = float((a @ b) / (a @ a))
    fits = bool(((b - k * a).abs() <= TOLERANCE * torch.stack([a.abs(), b.abs(), torch.ones_like(a)]).amax(0)).all())
    return k if fits else None


def draws(run: Callable[[], object], batch: int) -> str:
    """How many random numbers a run draws."""
    drawn: list[int] = []
    real_rand = torch.rand

    def recording(*args: Any, **kwargs: Any) -> Tensor:
        result = real_rand(*args, **kwargs)
        drawn.append(result.numel())
        return result

    with mock.patch.object(torch, "rand", recording):
        run()
    words = {(): "none", (1,): "one per batch", (batch,): "one per sample"}
    per_number = {1: "one", 2: "two"}
    return words.get(tuple(drawn)) or f"{per_number[len(drawn)]} per number"


def measure(row: Row) -> dict[str, Any]:
    """Run both sides of a row on all of its cases, and judge."""
    record = {"kind": row.kind, "member": row.member, "side": row.side, "arguments": row.arguments}
    results: dict[str, dict[str, Any]] = {}
    for name, case in row.cases.items():
        mine, truth = ours.evaluate(record, case, INPUTS), row.truth(case)
        try:
            other = row.call(case)
        except RuntimeError as error:
            other = None
            print(f"{row.theirs} raises at {name}: {error}", file=sys.stderr)
        results[name] = {
            "mine": mine,
            "other": other,
            "deviation": math.inf if other is None else deviation(mine, other),
            "mine_off": deviation(mine, truth),
            "other_off": math.inf if other is None else deviation(other, truth),
        }
        if row.instead is not None and other is not None:
            off = deviation(other, row.instead(case))
            assert off <= TOLERANCE, f"{row.theirs} at {name} is not what the explanation says: {off:g} off"
    accepted = [each for each in results.values() if each["other"] is not None]
    k = factor([each["mine"] for each in accepted], [each["other"] for each in accepted])
    worst = max(each["deviation"] for each in accepted)
    verdict = "equal" if worst <= TOLERANCE else "different" if k is None else f"factor {k:.6g}"
    if len(accepted) < len(results):
        verdict += f", raises on {len(results) - len(accepted)} of {len(results)}"
    ours_right, theirs_right = (
        max(each[off] for each in results.values()) <= TOLERANCE for off in ("mine_off", "other_off")
    )
    right = {(True, True): "both", (True, False): "ours", (False, True): "theirs", (False, False): "neither"}
    measured = {
        "verdict": verdict,
        "right": right[ours_right, theirs_right],
        "differs": [name for name, each in results.items() if each["deviation"] > TOLERANCE],
        "draws": ["none", "none"],
    }
    if row.kind == "penalty":
        case = row.cases["slope 1, 4x3x2x2"]
        measured["draws"] = [
            draws(lambda: ours.evaluate(record, case, INPUTS), 4),
            draws(lambda: row.call(case), 4),
        ]
    assert (row.instead is None) == (row.verdict.startswith("equal")), f"{row.theirs}: say what it is instead"
    expected = {"verdict": row.verdict, "right": row.right, "differs": list(row.differs), "draws": list(row.draws)}
    assert measured == expected, (
        f"{row.member} against {row.theirs}: measured {measured}, expected {expected}: the explanation "
        f"no longer fits (deviations { ({n: e['deviation'] for n, e in results.items()}) })"
    )
    return {
        **record,
        "theirs": row.theirs,
        "formula": row.formula,
        "why": row.why,
        **measured,
        "largest_deviation": worst if math.isfinite(worst) else None,
        "cases": {
            name: {"input": case, "ours": results[name]["mine"], "theirs": (results[name]["other"] or {}).get("value")}
            for name, case in row.cases.items()
        },
    }


ABOVE = """# The golden table

Generated by `{command}`; do not edit. Versions: {versions}. Raw numbers: `golden.json`.

Both sides get the same inputs in float64: random scores, scores of ±30 and of ±1e4; for penalties linear critics
of slope 2, 1, 0.5 and 0 and a layer of tanh, at several batch sizes, channel counts and resolutions. Compared are
values and gradients (by the scores, the critic's weights or its features). The deviation is the largest difference
over the larger of 1 and the two numbers; up to {tolerance:g} counts as equal. *Right* is who agrees with the
paper's formula on every input, and is measured too. Where the verdict is *different*, the script also checks that
theirs is, to the same tolerance, what the last column says that it is.

| member | side | their function | verdict | largest deviation | right | formula of the paper | why |
|---|---|---|---|---|---|---|---|
"""
BELOW = """
Compared members: {members}. Not compared: the auxiliary losses of torchgan (classifiers, feature matching,
historical averages, mutual information), and torchgan's clipping, which is a step of its training.

The two packages are installed without their dependencies. Their `__init__` wants torchvision, TensorBoard and
more, so it is not run, and neither is that of some parts (an empty module with the package's path stands in):
{bare}. The modules that define the functions above are imported as they are. torchgan's penalties run through
their own `train_ops`, which draws the points and applies the weight, with a generator that returns the stored
samples.
"""


def markdown(rows: list[dict[str, Any]], versions: dict[str, str]) -> str:
    lines = []
    for row in rows:
        arguments = ", ".join(f"{name}={value:g}" for name, value in row["arguments"].items())
        drawn = (
            f" Random numbers: ours {row['draws'][0]}, theirs {row['draws'][1]}." if row["kind"] == "penalty" else ""
        )
        cells = [
            f"`{row['member']}({arguments})`" if arguments else f"`{row['member']}`",
            row["side"],
            f"`{row['theirs']}`",
            row["verdict"],
            "not finite" if row["largest_deviation"] is None else f"{row['largest_deviation']:.1g}",
            row["right"],
            row["formula"],
            row["why"] + drawn,
        ]
        lines.append("| " + " | ".join(cells) + " |\n")
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    members = ", ".join(f"`{name}`" for name in sorted({row["member"] for row in rows}))
    above = ABOVE.format(command=COMMAND, versions=listed, tolerance=TOLERANCE)
    return above + "".join(lines) + BELOW.format(members=members, bare=", ".join(f"`{name}`" for name in BARE))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path, help="folder of golden.md and golden.json")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    versions = {name: importlib.metadata.version(name) for name in ("torchgan", "torch-mimicry", "torch")}
    assert (versions["torchgan"], versions["torch-mimicry"]) == ("0.1.0", "0.1.16"), versions
    rows = [measure(row) for row in (*loss_rows(), *penalty_rows(), *other_rows())]
    used = {case["input"].get("shape") for row in rows for case in row["cases"].values()}
    stored = {"command": COMMAND, "versions": versions, "tolerance": TOLERANCE, "rows": rows}
    stored["inputs"] = {name: each for name, each in INPUTS.items() if name in used}
    head = {name: value for name, value in stored.items() if name != "rows"}
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    text = json.dumps(head, ensure_ascii=False)[:-1] + f',\n"rows": [\n{lines}\n]}}\n'
    assert json.loads(text) == stored
    (out / "golden.json").write_text(text, encoding="utf-8")
    (out / "golden.md").write_text(markdown(rows, versions), encoding="utf-8")
    print(f"{len(rows)} rows in {out / 'golden.md'}")


if __name__ == "__main__":
    main()
