"""Critics with classes, for penalties that want them: any scoring critic becomes one, by functions of its scores."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from adversarium.nets.conditional import Conditioned
from adversarium.penalties import PENALTIES, WANTED_METHODS, per_sample

CLASSES = 3
LABELLED = {name for name in PENALTIES if WANTED_METHODS.get(name) in ("classify", "contrast")}


class Naming(nn.Module):
    """A critic of two arguments that also names classes and embeds samples. It has no weights beside the scorer's."""

    def __init__(self, scorer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.scorer = scorer

    def forward(self, samples: Tensor, condition: Tensor) -> Tensor:
        return self.scorer(samples)

    def classify(self, samples: Tensor) -> Tensor:
        scores = per_sample(self.scorer(samples))[:, None]
        return scores * torch.arange(CLASSES, device=scores.device)

    def contrast(self, samples: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        scores = per_sample(self.scorer(samples))
        embeddings = torch.stack([scores, scores.tanh(), torch.ones_like(scores)], 1)
        return embeddings, torch.stack([condition, 1.0 - condition, 0.5 + condition], 1).to(scores.dtype)


def labels_of(samples: Tensor) -> Tensor:
    return torch.arange(len(samples), device=samples.device) % CLASSES


@dataclass(frozen=True)
class OnLabels:
    """A penalty whose critic is bound to labels first: the i-th sample is of class i modulo the number of classes."""

    penalty: Any

    @property
    def reads(self) -> tuple[str, ...]:
        return self.penalty.reads

    def __call__(self, critic: Any, real: Tensor, fake: Tensor, rng: torch.Generator | None = None) -> Tensor:
        return self.penalty(Conditioned(Naming(critic), labels_of(real)), real, fake, rng)

    def from_scores(self, critic: Any, real: Tensor, fake: Tensor, *others: Any) -> Tensor:
        return self.penalty.from_scores(Conditioned(Naming(critic), labels_of(real)), real, fake, *others)
