"""Adaptive pseudo augmentation: some of what the critic is shown as real is generated."""

import torch
from torch import Tensor, nn

from adversarium.errors import require
from adversarium.stabilisers import _draw
from adversarium.stabilisers._images import check_samples
from adversarium.stabilisers.probability import AdaptiveProbability
from adversarium.types import Samples


class Apa(nn.Module):
    """The augmentation that ``apa`` makes; an :class:`~adversarium.stabilisers.augmentation.Augmentation`.

    Attributes:
        adaptive: the probability, with what it has counted.
    """

    def __init__(self, adaptive: AdaptiveProbability) -> None:
        super().__init__()
        self.adaptive = adaptive

    @property
    def probability(self) -> Tensor:
        """The probability that a real sample is replaced, ``[]``."""
        return self.adaptive.value

    def real(self, real: Samples, fake: Tensor, rng: torch.Generator | None = None) -> Samples:
        """Return the real samples, some replaced by the generated ones in their places, ``[B, ...]``.

        Raises:
            InputError: the two have not the same shape, or either is no tensor of floating point numbers.
        """
        check_samples(real, "apa", "real")
        check_samples(fake, "apa", "fake")
        require(
            real.shape == fake.shape,
            f"real samples have shape {list(real.shape)} and generated ones {list(fake.shape)}: apa wants as many of "
            "each, and of one shape",
        )
        replaced = _draw.uniform(1, real, rng)[:, 0] < self.probability.to(real.device)
        return torch.where(replaced.view(-1, *[1] * (real.ndim - 1)), fake.detach().to(real.dtype), real)

    def fake(self, fake: Samples, rng: torch.Generator | None = None) -> Samples:
        """Return the generated samples as they are."""
        return fake

    def observe(self, margins: Tensor, images: int) -> None:
        """Count a batch, and after each ``every`` move the probability."""
        self.adaptive.observe(margins, images)


def apa(target: float | None = 0.6, kimg: float = 500, every: int = 4, *, p: float = 0.0) -> Apa:
    """Show the critic some generated samples as real ones, the more the more it overfits.

    Formula:
        x_i -> G(z_i) with probability p, x_i otherwise, where the critic asks for real samples
        r = mean sign(D(x) - boundary) over ``every`` batches so shown;  p <- p + sign(r - target)·n/(1000·kimg)
    Convention:
        n is the number of real samples in these batches, so that p goes from 0 to 1 in ``kimg`` thousand; it starts at
        ``p`` and stays within 0 and 1. ``target=None`` keeps it there. No gradient reaches the generator through a
        replaced sample. The i-th is replaced by the i-th, which was asked for under the same condition; a relativistic
        loss sees a pair of one sample with itself there, which has no gradient.
    Elsewhere:
        The authors' EndlessSora/DeceiveD: the same heuristic and numbers, but the samples are those of the
        generator's last step (of codes of their own, and under the labels of the real ones), and p may rise above 1.
    Use when:
        Data are few, and of a kind for which there are no augmentations: it works on anything. Its authors found that
        augmentations such as ``ada`` usually help further.
    Paper:
        Jiang et al. 2021, "Deceive D: Adaptive Pseudo Augmentation for GAN Training with Limited Data",
        arXiv:2111.06849.

    Raises:
        InputError: p outside 0 to 1; a target that is no mean sign; kimg or every that are not positive.
    """
    return Apa(AdaptiveProbability(p, target, kimg, every))
