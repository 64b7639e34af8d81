"""What the golden table evaluates: the inputs, and the papers' formulas written out at them (the truth)."""

from collections.abc import Callable
from typing import Any

import torch
from ours import Critic, Numbers, numbers, samples, score_leaves, tensor
from torch import Tensor

torch.set_default_dtype(torch.float64)  # of what is drawn and filled in here, and by torch-mimicry

SHAPES = {"1x3x2x2": (1, 3, 2, 2), "4x3x2x2": (4, 3, 2, 2), "2x3x3x4": (2, 3, 3, 4)} | {
    "4x1x2x2": (4, 1, 2, 2),
    "4x4x2x2": (4, 4, 2, 2),
    "1x1x2x2": (1, 1, 2, 2),
}


def rounded(generator: torch.Generator, *shape: int, scale: float = 1.0) -> list[Any]:
    return ((scale * torch.randn(*shape, generator=generator)) * 100).round().div(100).tolist()


def make_inputs() -> dict[str, Any]:
    rng = torch.Generator().manual_seed(0)
    return {
        name: {
            "real": rounded(rng, *shape),
            "fake": rounded(rng, *shape),
            "first": rounded(rng, 3, *shape[1:]),
            "last": rounded(rng, 3),
        }
        for name, shape in SHAPES.items()
    }


def score_cases() -> dict[str, dict[str, Any]]:
    rng = torch.Generator().manual_seed(1)
    return {
        "random": {"real": rounded(rng, 8, scale=3.0), "fake": rounded(rng, 8, scale=3.0)},
        "±30": {"real": [30.0, -30.0], "fake": [-30.0, 30.0]},
        "±1e4": {"real": [1e4, -1e4], "fake": [-1e4, 1e4]},
    }


def penalty_case(shape: str, critic: str = "linear", norm: float = 1.0, samples: str = "different") -> dict[str, Any]:
    return {"shape": shape, "critic": [critic, norm], "samples": samples, "seed": 7}


def penalty_cases(curved: str) -> dict[str, dict[str, Any]]:
    """Linear critics of slope 1 (where the penalty is 0), 2 and 0 (a zero critic); a layer of tanh."""
    return {
        **{f"slope 1, {shape}": penalty_case(shape) for shape in SHAPES},
        **{f"slope 2, {shape}": penalty_case(shape, norm=2.0) for shape in ("1x3x2x2", "4x3x2x2")},
        "slope 0.5, 4x3x2x2": penalty_case("4x3x2x2", norm=0.5),
        "slope 0, 1x3x2x2": penalty_case("1x3x2x2", norm=0.0),
        "slope 0, 4x3x2x2": penalty_case("4x3x2x2", norm=0.0),
        "tanh, 1x3x2x2": penalty_case("1x3x2x2", "tanh", samples=curved),
        "tanh, 4x3x2x2": penalty_case("4x3x2x2", "tanh", samples=curved),
    }


SCORES = score_cases()
ENERGIES = {  # scores are minus energies; after the first call k has moved, to 1 in the second case, and not below 0
    "random": {"real": [-3.1, -2.4, -0.7], "fake": [-0.2, -1.3, -0.9], "calls": 3},
    "1e4 on data": {"real": [-1e4, -1e4], "fake": [-1.0, -2.0], "calls": 3},
    "1e4 on fakes": {"real": [-1.0, -2.0], "fake": [-1e4, -1e4], "calls": 3},
}
THREE_CHANNELS = tuple(name for name in penalty_cases("same") if "x3x" in name)
INPUTS = make_inputs()

# --- the truth: the papers' formulas, each written out with its gradient ------------------------------

Side = Callable[[Tensor, Tensor], Tensor]


def loss_formula(side: str, value: Side) -> Callable[[dict[str, Any]], Numbers]:
    """A loss as its paper prints it (the log of a sigmoid is torch's: printed, it is -inf where a score is large)."""

    def truth(case: dict[str, Any]) -> Numbers:
        real, fake, leaves = score_leaves(case, side)
        return numbers(value(real, fake).mean(), leaves)

    return truth


def equilibrium(case: dict[str, Any]) -> Numbers:
    """L(x) - k·L(G), L = -score, with k after all calls but the last, from 0."""
    real, fake, leaves = score_leaves(case, "critic")
    k = 0.0
    for _ in range(case["calls"] - 1):
        k = min(max(k + 1e-3 * float(0.5 * -real.mean() + fake.mean()), 0.0), 1.0)
    return numbers((-real + k * fake).mean(), leaves)


def one_centred(case: dict[str, Any], *, over_batch: bool = False) -> Numbers:
    """10·E(‖∇D(x)‖ - 1)² with ∇D by hand: w for a linear critic, Bᵀ(a∘(1 - tanh²(Bx))) for a layer of tanh.

    ``over_batch``: with one norm over the gradients of all samples.
    """
    critic = Critic(case, INPUTS[case["shape"]])
    real, fake = samples(case, INPUTS[case["shape"]])
    if critic.is_linear:
        gradients = critic.first.expand(len(real), -1)
        if not critic.first.any():  # the norm has no gradient there; 0 is the usual choice
            return {"value": [10.0], "gradient": [0.0] * critic.first.numel()}
    else:
        u = torch.rand(len(real), 1, 1, 1, generator=torch.Generator().manual_seed(case["seed"]))
        points = u * real + (1 - u) * fake
        inner = 1 - (points.flatten(1) @ critic.first.T).tanh().square()
        gradients = (critic.last * inner) @ critic.first
    slopes = gradients.norm() if over_batch else gradients.norm(dim=1)
    return numbers(10 * (slopes - 1).square().mean(), critic.weights())


def orthogonal_features(case: dict[str, Any]) -> Numbers:
    rows = tensor(case["features"]).requires_grad_()
    pairs = [(i, j) for i in range(len(rows)) for j in range(len(rows)) if i != j]
    cosines = [rows[i] @ rows[j] / (rows[i].norm() * rows[j].norm()) for i, j in pairs]
    return numbers(0.1 * torch.stack(cosines).square().mean(), [rows])


def orthogonal_columns(case: dict[str, Any]) -> Numbers:
    """What torchgan has for it: each feature over its norm in the batch, and i = j counted."""
    rows = tensor(case["features"]).requires_grad_()
    scaled = rows / rows.norm(dim=0)
    pairs = [(scaled[i] @ scaled[j]).square() for i in range(len(rows)) for j in range(len(rows))]
    return numbers(0.1 * torch.stack(pairs).sum() / (len(rows) * (len(rows) - 1)), [rows])


def largest_singular_value_one(case: dict[str, Any]) -> Numbers:
    start = tensor(case["weight"])
    return numbers(start / torch.linalg.matrix_norm(start.flatten(1), 2), [])
