"""The import hook of conftest.py really checks shapes: otherwise the annotations would be comments."""

import pytest
import torch
from jaxtyping import TypeCheckError

from adversarium.penalties import GradientPenalty, at_real, slope


def score(samples: torch.Tensor) -> torch.Tensor:
    return samples.sum(tuple(range(1, samples.ndim)))


@pytest.mark.parametrize("samples", [torch.zeros(()), torch.zeros(3, 2, dtype=torch.int64)])
def test_a_wrong_argument_is_caught(samples: torch.Tensor):
    with pytest.raises(TypeCheckError, match="samples"):
        slope(score, samples)


def test_a_wrong_result_is_caught():
    reduced = GradientPenalty(points=at_real, value=lambda norm: norm.mean())
    with pytest.raises(TypeCheckError):
        reduced(score, torch.zeros(3, 2), torch.zeros(3, 2), None)
