"""The compiled critic's side is one graph, and computes what the eager one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: the import hook that checks annotations in tests is nothing a compiler could read.
PROGRAM = """
import sys

import torch
from torch import nn

from adversarium import losses, penalties
from adversarium.presets import PRESETS
from adversarium.train import compiled_critic_side, critic_side
from adversarium.types import Objective, Term

torch.manual_seed(0)
critic = nn.Sequential(
    nn.Conv2d(3, 8, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 8, 4, 2, 1), nn.Tanh(), nn.Flatten(1),
    nn.Linear(32, 1), nn.Flatten(0),
).double()
real, fake = torch.randn(2, 6, 3, 8, 8, dtype=torch.float64).unbind()
mixed = Objective(
    loss=losses.hinge(),
    critic_terms=(
        Term(name="r1", penalty=penalties.r1(), fraction=0.5),
        Term(name="zero_centred", penalty=penalties.zero_centred()),
        Term(name="lecam", penalty=penalties.lecam()),
    ),
)
compiled = compiled_critic_side(backend=sys.argv[1])
for objective in (PRESETS["wgan-gp"].objective, PRESETS["r3gan"].objective, mixed):
    found = []
    for side in (critic_side, compiled):
        critic.zero_grad()
        parts = side(objective, critic, real, fake, torch.Generator().manual_seed(1)).parts
        torch.stack(list(parts.values())).sum().backward()
        gradient = torch.cat([parameter.grad.flatten() for parameter in critic.parameters()])
        found.append((torch.stack([value.detach() for value in parts.values()]), gradient))
        if objective is mixed:
            penalty = objective.critic_terms[2].penalty
            for buffer in penalty.buffers():  # both sides see the first batch
                buffer.zero_()
    for eager, whole in zip(*found, strict=True):
        torch.testing.assert_close(whole, eager, rtol=1e-6, atol=1e-9)
    assert found[0][1].abs().max() > 1e-4
# torch gives up after eight graphs of one function, unless told otherwise: nine widths, one after the other
for width in range(9):
    narrow = nn.Sequential(nn.Flatten(1), nn.Linear(192, width + 1), nn.Tanh(), nn.Linear(width + 1, 1)).double()
    compiled_critic_side(backend="eager")(PRESETS["r3gan"].objective, narrow, real, fake, None)
many = compiled_critic_side(backend="eager")
for size in range(9):
    critic_terms = (Term(name="r1", penalty=penalties.r1(size + 1.0)),)
    many(Objective(loss=losses.hinge(), critic_terms=critic_terms), critic, real, fake, None)
# batch norm goes with a loss, and not with a slope
normal = nn.Sequential(nn.Flatten(1), nn.Linear(192, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)).double()
many(Objective(loss=losses.hinge()), normal, real, fake, None, joint=False)
try:
    many(PRESETS["wgan-gp"].objective, normal, real, fake, torch.Generator(), joint=False)
except ValueError as error:
    assert "batch norm" in str(error)
else:
    raise AssertionError("a slope through batch norm was not refused")
print("one graph, equal gradients")
"""


def run(backend: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, backend], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "one graph, equal gradients", done.stderr


def test_objectives_compile_whole() -> None:
    run("aot_eager")


def test_a_machine_without_a_compiler_is_told_before_the_run_begins(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "adversarium", "train", "ring", "--preset", "r3gan", "--steps", "1", "--compile"]
    environment = {**os.environ, "CXX": "/nonexistent/compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    command += ["--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "torch.compile does not work here" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_objectives_compile_to_kernels() -> None:
    run("inductor")


@pytest.mark.slow
def test_training_with_compile_ends_where_training_without_it_does(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "adversarium", "train", "ring", "--preset", "r3gan", "--steps", "3"]
    command += ["--width", "16", "--log-every-steps", "1"]
    rows = []
    for options in ([], ["--compile"]):
        out = tmp_path / f"run{len(rows)}"
        done = subprocess.run([*command, *options, "--out", str(out)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        rows.append([json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()])
    # after the first step Adam turns rounding errors of small gradients into steps of the learning rate's size
    for eager, whole, tolerance in zip(*rows, (1e-5, 1e-2, 1e-2), strict=True):
        for name in ("critic_loss", "critic_r1", "critic_r2", "generator_loss", "critic_gradient_norm"):
            assert whole[name] == pytest.approx(eager[name], rel=tolerance), (eager["step"], name)
