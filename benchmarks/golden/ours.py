"""Our side of the golden table: the value and the gradient of one of our members on a stored input.

``evaluate.py`` runs this beside the other libraries, ``tests/test_golden.py`` runs it against the stored numbers.
All numbers are float64. A row's ``kind`` says what is evaluated:

* ``loss``: the batch's mean of one side, and its gradient by the scores (the real ones first, for a critic);
* ``penalty``: the batch's mean, and its gradient by the critic's weights;
* ``features``: a penalty on a critic's features of the fakes, and its gradient by the features;
* ``weight``: a constraint's weight after many of its steps; no gradient.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from adversarium.constraints import CONSTRAINTS
from adversarium.losses import LOSSES, MISPRINTS
from adversarium.penalties import PENALTIES
from adversarium.penalties.generator import pulling_away

Numbers = dict[str, list[float]]
STEPS = 300  # of a power iteration


def tensor(numbers: list[Any]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


class Critic(nn.Module):
    """Linear, ``w·x`` with ``‖w‖ = norm``, or a layer of tanh, ``a·tanh(Bx)``."""

    def __init__(self, case: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        super().__init__()
        kind, norm = case["critic"]
        first, last = tensor(inputs["first"]).flatten(1), tensor(inputs["last"])
        self.is_linear = kind == "linear"
        if self.is_linear:
            first = first[:1] * (norm / first[0].norm())
        self.first, self.last = nn.Parameter(first), nn.Parameter(last)

    def forward(self, samples: Tensor) -> Tensor:
        hidden = samples.flatten(1) @ self.first.T
        return hidden if self.is_linear else hidden.tanh() @ self.last[:, None]

    def weights(self) -> list[nn.Parameter]:
        return [self.first] if self.is_linear else [self.first, self.last]


def samples(case: Mapping[str, Any], inputs: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Return real and fake samples. ``same``: both are the real ones; ``constant``: every number is the first one."""
    real, fake = tensor(inputs["real"]), tensor(inputs["fake"])
    if case["samples"] == "constant":
        real = real.flatten()[0].expand_as(real).clone()
    return real, real.clone() if case["samples"] != "different" else fake


def numbers(value: Tensor, leaves: list[Tensor]) -> Numbers:
    """Return a value and its gradients, flat."""
    gradients = torch.autograd.grad(value, leaves, allow_unused=True) if leaves else ()
    flat = [
        number
        for gradient, leaf in zip(gradients, leaves, strict=True)
        for number in (torch.zeros_like(leaf) if gradient is None else gradient).flatten().tolist()
    ]
    return {"value": value.detach().flatten().tolist(), "gradient": flat}


def score_leaves(case: Mapping[str, Any], side: str) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return real and fake scores, ``[N, 1]``, and those of them that the side's gradient is taken by."""
    real, fake = (tensor(case[name])[:, None].requires_grad_() for name in ("real", "fake"))
    return real, fake, [real, fake] if side == "critic" else [fake]


def loss(row: Mapping[str, Any], case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Numbers:
    real, fake, leaves = score_leaves(case, row["side"])
    side = getattr((LOSSES | MISPRINTS)[row["member"]](**row["arguments"]), row["side"])
    for _ in range(case.get("calls", 1)):  # a loss with state moves it at each
        values = side(real, fake)
    return numbers(values.mean(), leaves)


def penalty(row: Mapping[str, Any], case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Numbers:
    critic = Critic(case, inputs)
    rng = torch.Generator().manual_seed(case["seed"])
    value = PENALTIES[row["member"]](**row["arguments"])(critic, *samples(case, inputs), rng)
    return numbers(value.mean(), critic.weights())


class Shows(nn.Module):
    """A critic whose features of the samples are the samples."""

    def encode(self, samples: Tensor) -> Tensor:
        return samples


def features(row: Mapping[str, Any], case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Numbers:
    rows = tensor(case["features"]).requires_grad_()
    term = pulling_away(**row["arguments"])
    return numbers(term(nn.Identity(), Shows(), torch.zeros(len(rows), 1), rows, None).mean(), [rows])


def weight(row: Mapping[str, Any], case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Numbers:
    start = tensor(case["weight"])
    layer = nn.Conv2d(start.shape[1], start.shape[0], math.isqrt(start[0, 0].numel()), bias=False).double()
    layer.weight.data.copy_(start)
    CONSTRAINTS[row["member"]](**row["arguments"]).apply(layer)
    for _ in range(STEPS):
        result = layer.weight
    return numbers(result, [])


KINDS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], Numbers]] = {
    "loss": loss,
    "penalty": penalty,
    "features": features,
    "weight": weight,
}


def evaluate(row: Mapping[str, Any], case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Numbers:
    """Return our numbers for a row and a case; ``inputs`` holds the samples and weights by the case's shape."""
    return KINDS[row["kind"]](row, case, inputs.get(case.get("shape", ""), {}))
