"""What an augmentation is: something that real and generated samples pass through before the critic sees them."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Augmentation(Protocol):
    """A change of the critic's samples that keeps it from knowing the training data by heart.

    An ``nn.Module`` whose state (how often it acts, and what it has counted) lies in buffers. A critic's step shows
    the critic ``real(...)`` and ``fake(...)``, then calls ``observe(...)``; a generator's step shows it ``fake(...)``.
    """

    @property
    def probability(self) -> Tensor | float:
        """How often it acts, from 0 to 1; a buffer (shape ``[]``) where it adapts."""
        ...

    def real(self, real: Tensor, fake: Tensor, rng: torch.Generator | None) -> Tensor:
        """Return what the critic is shown as real, ``[B, ...]``. No gradient reaches ``fake``."""
        ...

    def fake(self, fake: Tensor, rng: torch.Generator | None) -> Tensor:
        """Return what the critic is shown as generated, ``[B, ...]``, differentiable by ``fake``."""
        ...

    def observe(self, margins: Tensor, images: int) -> None:
        """Take note of a critic's step, and move the probability where it adapts.

        Args:
            margins: of each real sample, as it was shown, its score minus the loss's decision boundary, ``[B]``;
                positive where the critic recognised it as real.
            images: how many real samples the step showed.
        """
        ...
