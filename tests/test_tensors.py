"""What several rooms do with tensors alike: draws, which penalties make nowhere else, and precision."""

import ast
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from adversarium import penalties, stabilisers, tensors
from adversarium.penalties import PENALTIES, _draw, on_fraction

RANDOM = {
    "rand": partial(tensors.draw, torch.rand, torch.Size((5, 3)), dtype=torch.float64),
    "randn": partial(tensors.draw, torch.randn, torch.Size((5, 3)), dtype=torch.bfloat16),
    "randint": partial(tensors.draw, partial(torch.randint, -2, 3), torch.Size((5,)), dtype=torch.int64),
    "randperm": partial(tensors.draw, torch.randperm, 5, dtype=torch.int64),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", RANDOM)
def test_draws_are_the_generator_s_wherever_the_samples_are(kind: str):
    before = torch.get_rng_state()
    drawn = RANDOM[kind](like=torch.zeros(1), rng=seeded())
    assert torch.equal(drawn, RANDOM[kind](like=torch.zeros(7, 7), rng=seeded()))
    assert not torch.equal(drawn, RANDOM[kind](like=torch.zeros(1), rng=seeded(1)))
    assert torch.equal(torch.get_rng_state(), before)
    assert RANDOM[kind](like=torch.zeros(1, device="meta"), rng=seeded()).device.type == "meta"


def test_draws_are_those_of_torch():
    like = torch.zeros(6, 2, dtype=torch.float64)
    with_torch = torch.rand(6, 2, generator=seeded(), dtype=torch.float64)
    assert torch.equal(_draw.uniform(like, seeded()), with_torch)
    assert torch.equal(_draw.normal(like, seeded()), torch.randn(6, 2, generator=seeded(), dtype=torch.float64))
    assert torch.equal(_draw.integers(-1, 2, like, seeded()), torch.randint(-1, 3, (6,), generator=seeded()))
    assert torch.equal(_draw.some_rows(4, like, seeded()), torch.randperm(6, generator=seeded())[:4])
    assert torch.equal(stabilisers._draw.uniform(3, like, seeded()), torch.rand(6, 3, generator=seeded()))
    assert torch.equal(stabilisers._draw.normal(3, like, seeded()), torch.randn(6, 3, generator=seeded()))
    torch.manual_seed(3)
    alone = _draw.normal(like, None)
    torch.manual_seed(3)
    assert torch.equal(alone, torch.randn(6, 2, dtype=torch.float64))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_draws_of_a_gpu_have_come_when_they_are_read_on_the_cpu():
    for seed in range(20):
        rng = torch.Generator("cuda").manual_seed(seed)
        drawn = tensors.draw(torch.rand, torch.Size((4096, 1024)), torch.zeros(1), rng, torch.float32).clone()
        rng.manual_seed(seed)
        assert torch.equal(drawn, torch.rand(4096, 1024, generator=rng, device="cuda").cpu())


@pytest.mark.parametrize("name", [*PENALTIES, "on_fraction"])
def test_penalties_draw_by_one_function(name: str, monkeypatch: pytest.MonkeyPatch):
    """With that function replaced, no penalty moves the generator that it is given."""

    def ones(make: object, size: object, like: Tensor, rng: object, dtype: torch.dtype) -> Tensor:
        if make is torch.randperm:
            return torch.arange(len(like))
        return torch.ones(size, dtype=dtype, device=like.device)

    class Shown(nn.Module):
        condition = torch.tensor([0, 1, 0, 1])

        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Linear(16, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.map(x.flatten(1)).squeeze(1)

        def classify(self, x: Tensor) -> Tensor:
            return self.map(x.flatten(1)).expand(-1, 2)

        def contrast(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x.flatten(1), x.flatten(1)

    monkeypatch.setattr(_draw, "draw", ones)
    rng = seeded()
    state = rng.get_state()
    real, fake = torch.randn(2, 4, 1, 4, 4, generator=seeded(1))
    penalty = on_fraction(penalties.r1(), 0.5) if name == "on_fraction" else PENALTIES[name]()
    assert penalty(Shown(), real, fake, rng).isfinite().all()
    assert torch.equal(rng.get_state(), state)


@pytest.mark.parametrize("room", [penalties, stabilisers])
def test_no_module_draws_for_itself(room):
    for path in sorted(Path(room.__file__).parent.glob("*.py")):
        if path.name == "_draw.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = node.attr if isinstance(node, ast.Attribute) else ""
            is_torch = (
                isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "torch"
            )
            assert not (is_torch and named.startswith(("rand", "normal", "bernoulli", "multinomial"))), path.name


def test_half_precision_is_widened_and_nothing_else():
    for dtype in (torch.float16, torch.bfloat16):
        assert tensors.wide(torch.ones(2, dtype=dtype)).dtype == torch.float32
    for dtype in (torch.float32, torch.float64, torch.int64):
        numbers = torch.ones(2, dtype=dtype)
        assert tensors.wide(numbers) is numbers


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 2, 5)])
def test_a_sample_s_scores_are_averaged(shape: tuple[int, ...]):
    scores = torch.randn(shape, generator=seeded(), dtype=torch.float64)
    wanted = torch.stack([row.sum() / row.numel() for row in scores])
    torch.testing.assert_close(tensors.per_sample(scores), wanted)
    assert tensors.per_sample(scores.bfloat16()).dtype == torch.float32
