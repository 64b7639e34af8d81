"""Differentiable augmentation: every image is recoloured, shifted and cut into before the critic sees it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from adversarium.errors import lookup, require
from adversarium.stabilisers import _draw
from adversarium.stabilisers._images import check_images, check_policy
from adversarium.tensors import wide
from adversarium.types import Samples


def color(images: Tensor, rng: torch.Generator | None) -> Tensor:
    """Change brightness by U(-½, ½), saturation by a factor of U(0, 2), contrast by a factor of U(½, 3/2).

    They act in this order: about each pixel's mean over the channels, m, and then about the image's, M.
    """
    drawn = _draw.uniform(3, images, rng).to(images.dtype)[:, :, None, None, None]
    brightness, saturation, contrast = drawn[:, 0] - 0.5, drawn[:, 1] * 2, drawn[:, 2] + 0.5
    pixel = images.mean(1, keepdim=True)
    image = pixel.mean((2, 3), keepdim=True)
    # c·(s·(x - m) + m - M) + M + b
    greys = torch.addcmul((1 - contrast) * image + brightness, contrast * (1 - saturation), pixel)
    return torch.addcmul(greys, contrast * saturation, images)


def translation(images: Tensor, rng: torch.Generator | None) -> Tensor:
    """Shift each image by whole pixels, up to an eighth of its side along either axis; the gap is 0."""
    height, width = images.shape[-2:]
    sources = []
    for drawn, side in zip(_columns(images, rng), (width, height), strict=True):
        most = int(side / 8 + 0.5)
        shift = _whole(drawn, 2 * most + 1) - most
        place = torch.arange(1, side + 1, device=images.device)  # in the image with a frame of zeros
        sources.append((place + shift.long()[:, None]).clamp(0, side + 1))
    across, down = sources
    framed = functional.pad(images, (1, 1, 1, 1))
    pixels = (down[:, :, None] * (width + 2) + across[:, None, :]).flatten(1)
    return framed.flatten(2).gather(2, pixels[:, None].expand(-1, images.shape[1], -1)).view_as(images)


def cutout(images: Tensor, rng: torch.Generator | None) -> Tensor:
    """Set a rectangle of half of each image's height and width to 0, less what of it lies outside."""
    shown = []
    for drawn, side in zip(_columns(images, rng), images.shape[-2:], strict=True):
        size = int(side / 2 + 0.5)
        centres = side + 1 - size % 2
        first = _whole(drawn, centres)[:, None] - size // 2
        place = torch.arange(side, device=images.device) - first
        shown.append((place < 0) | (place >= size))
    return images * (shown[0][:, None, :, None] | shown[1][:, None, None, :]).to(images.dtype)


def _whole(drawn: Tensor, numbers: int) -> Tensor:
    """Return whole numbers from 0 to ``numbers - 1`` from some of U(0, 1)."""
    return (drawn * numbers).floor().clamp(max=numbers - 1)  # rounding could reach ``numbers``


def _columns(images: Tensor, rng: torch.Generator | None) -> tuple[Tensor, ...]:
    return _draw.uniform(2, images, rng).unbind(1)


POLICIES: dict[str, Callable[[Tensor, torch.Generator | None], Tensor]] = {
    "color": color,
    "translation": translation,
    "cutout": cutout,
}
"""Name to change of images, ``(images, rng) -> images``."""


class DiffAugment(nn.Module):
    """The augmentation that ``diffaugment`` makes; an :class:`~adversarium.stabilisers.augmentation.Augmentation`.

    Attributes:
        policy: the names of its changes, in their order.
        probability: 1, every image is changed.
    """

    probability = 1.0

    def __init__(self, policy: tuple[str, ...]) -> None:
        super().__init__()
        self.policy = policy

    def real(self, real: Samples, fake: Tensor, rng: torch.Generator | None = None) -> Samples:
        """Return changed real images, ``[B, C, H, W]``; ``fake`` is not read."""
        return self.forward(real, rng)

    def fake(self, fake: Samples, rng: torch.Generator | None = None) -> Samples:
        """Return changed generated images, ``[B, C, H, W]``, differentiable by them."""
        return self.forward(fake, rng)

    def observe(self, margins: Tensor, images: int) -> None:
        """Take no note: nothing adapts."""

    def forward(self, samples: Samples, rng: torch.Generator | None = None) -> Samples:
        """Return changed images, ``[B, C, H, W]``, each with draws of its own.

        Raises:
            InputError: samples that are not images, or not floating point.
        """
        check_images(samples, "diffaugment")
        images = wide(samples).contiguous()  # planes, which sums over places and shifts of them read in order
        for name in self.policy:
            images = POLICIES[name](images, rng)
        return images.to(samples.dtype)


def diffaugment(policy: str = "color,translation,cutout") -> DiffAugment:
    """Show the critic every image, real and generated, through the same kinds of random changes.

    Formula:
        color: c·(s·(x - m) + m - M) + M + b;  b ~ U(-½, ½), s ~ U(0, 2), c ~ U(½, 3/2), m a pixel's, M an image's mean
        translation: by up to ⅛ of either side, whole pixels, 0 where nothing is left
        cutout: a rectangle of ½ of either side, centred anywhere in the image, is 0
    Convention:
        ``policy`` is names joined by commas, applied in its order. For images from -1 to 1, whose middle grey 0 is.
        Each image is changed, with draws of its own; the gradient passes through to the generator.
    Elsewhere:
        The authors' mit-han-lab/data-efficient-gans ``DiffAugment``: the same changes and strengths. Their BigGAN runs
        on CIFAR have ``translation,cutout``, their StyleGAN2 runs all three (``color,cutout`` on all of CIFAR).
    Use when:
        Data are few, and there is no time to adapt: it acts from the first step on.
    Paper:
        Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training", arXiv:2006.10738.

    Raises:
        InputError: an unknown policy, none, or one that is no text.
    """
    check_policy(policy)
    require(bool(policy.strip()), f"policy is empty: wanted names of {', '.join(POLICIES)}")
    names = tuple(part.strip() for part in policy.split(","))
    for name in names:
        lookup("policy", name, POLICIES)
    return DiffAugment(names)
