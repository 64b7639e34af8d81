"""Adaptive discriminator augmentation: images are moved, bent and recoloured as often as the critic overfits."""

import math

import torch
from torch import Tensor, nn

from adversarium.errors import lookup, require
from adversarium.stabilisers import _draw
from adversarium.stabilisers._colour import check_channels, recolour
from adversarium.stabilisers._images import check_images, check_policy
from adversarium.stabilisers._resample import Interpolation, matrix, product, resample, rotation
from adversarium.stabilisers.probability import AdaptiveProbability
from adversarium.tensors import wide
from adversarium.types import Samples

BLIT = ("xflip", "rotate90", "xint")
"""Transformations that move whole pixels: mirror, quarter turns, shifts."""

GEOM = ("scale", "rotate", "aniso", "xfrac")
"""Transformations between the pixels: size, rotation, stretching, shifts."""

COLOR = ("brightness", "contrast", "lumaflip", "hue", "saturation")
"""Transformations of the colours."""

_POLICIES = {"b": BLIT, "g": GEOM, "c": COLOR, "blit": BLIT, "geom": GEOM, "color": COLOR}
_POLICIES |= {name: (name,) for name in BLIT + GEOM + COLOR}

# strengths: ± the number uniformly (XINT), else normal with this standard deviation; octaves are powers of 2
XINT, XFRAC = 0.125, 0.125  # of the image's side
SCALE_OCTAVES, ANISO_OCTAVES, CONTRAST_OCTAVES, SATURATION_OCTAVES = 0.2, 0.2, 0.5, 1.0
BRIGHTNESS = 0.2

_GATES = (*BLIT, *GEOM, "rotate_again", *COLOR)


class Ada(nn.Module):
    """The augmentation that ``ada`` makes; an :class:`~adversarium.stabilisers.augmentation.Augmentation`.

    Attributes:
        policy: the names of its transformations.
        adaptive: the probability, with what it has counted.
    """

    adaptive: AdaptiveProbability
    _chosen: Tensor
    _halves: Tensor

    def __init__(self, policy: tuple[str, ...], adaptive: AdaptiveProbability) -> None:
        super().__init__()
        self.policy, self.adaptive = policy, adaptive
        chosen = [name in policy or (name == "rotate_again" and "rotate" in policy) for name in _GATES]
        halves = [name in ("rotate", "rotate_again") for name in _GATES]
        self.register_buffer("_chosen", torch.tensor(chosen), persistent=False)
        self.register_buffer("_halves", torch.tensor(halves), persistent=False)

    @property
    def probability(self) -> Tensor:
        """The probability of each transformation, ``[]``."""
        return self.adaptive.value

    def real(self, real: Samples, fake: Tensor, rng: torch.Generator | None = None) -> Samples:
        """Return augmented real images, ``[B, C, H, W]``; ``fake`` is not read."""
        return self.forward(real, rng)

    def fake(self, fake: Samples, rng: torch.Generator | None = None) -> Samples:
        """Return augmented generated images, ``[B, C, H, W]``, differentiable by them."""
        return self.forward(fake, rng)

    def observe(self, margins: Tensor, images: int) -> None:
        """Count a batch, and after each ``every`` move the probability."""
        self.adaptive.observe(margins, images)

    def forward(self, samples: Samples, rng: torch.Generator | None = None) -> Samples:
        """Return augmented images, ``[B, C, H, W]``, each with draws of its own.

        Raises:
            InputError: samples that are not images, or not floating point; colours of other than 1 or 3 channels.
        """
        check_images(samples, "ada")
        recolours = any(name in COLOR for name in self.policy)
        if recolours:
            check_channels(samples, "ada")
        uniform = _draw.uniform(len(_GATES) + 8, samples, rng)
        normal = _draw.normal(7, samples, rng).unbind(1)
        on = self._gates(uniform[:, : len(_GATES)])
        numbers = uniform[:, len(_GATES) :].unbind(1)
        images = wide(samples)
        if any(name in BLIT + GEOM for name in self.policy):
            images = self._moved(images, on, numbers[:6], normal[:4])
        if recolours:
            images = _recoloured(images, on, numbers[6:], normal[4:])
        return images.to(samples.dtype)

    def _gates(self, uniform: Tensor) -> dict[str, Tensor]:
        """Return which images each transformation is applied to."""
        p = self.probability
        # two rotations, before and after the stretching: one or the other with probability p
        thresholds = torch.where(self._halves, 1 - torch.sqrt(1 - p), p) * self._chosen
        return dict(zip(_GATES, (uniform < thresholds.to(uniform.device)).unbind(1), strict=True))

    def _moved(
        self, images: Tensor, on: dict[str, Tensor], uniform: tuple[Tensor, ...], normal: tuple[Tensor, ...]
    ) -> Tensor:
        """Return the images under one affine map each; those that none moves are exactly as they were."""
        mirrors, turns, shift_x, shift_y, angle, angle_again = uniform
        scale, stretch, slide_x, slide_y = normal
        height, width = images.shape[-2:]
        one, zero = torch.ones_like(mirrors), torch.zeros_like(mirrors)
        mirror = torch.where(on["xflip"] & (mirrors < 0.5), -one, one)
        turn = torch.where(on["rotate90"], (4 * turns).floor(), zero) * (math.pi / 2)
        shift = torch.stack([(shift_x * 2 - 1) * width, (shift_y * 2 - 1) * height], 1)
        shift = torch.where(on["xint"][:, None], (XINT * shift).round(), 0)
        grown = torch.where(on["scale"], torch.exp2(SCALE_OCTAVES * scale), one)
        first = torch.where(on["rotate"], (2 * angle - 1) * math.pi, zero)
        stretched = torch.where(on["aniso"], torch.exp2(ANISO_OCTAVES * stretch), one)
        second = torch.where(on["rotate_again"], (2 * angle_again - 1) * math.pi, zero)
        slide = torch.where(on["xfrac"][:, None], XFRAC * torch.stack([slide_x * width, slide_y * height], 1), 0)

        # where each pixel comes from: the inverse of mirror, turn, shift, scale, rotate, stretch, rotate, slide
        pixels = product(matrix(mirror, zero, zero, one), rotation(turn))
        between = product(rotation(first), matrix(1 / (grown * stretched), zero, zero, stretched / grown))
        between = product(between, rotation(second))
        source = product(pixels, -product(between, slide[:, :, None]) - shift[:, :, None])[:, :, 0]
        untouched = torch.stack([on[name] for name in (*BLIT, *GEOM, "rotate_again")]).any(0).logical_not()
        interpolation: Interpolation = "bilinear" if any(name in GEOM for name in self.policy) else "nearest"
        moved = resample(images, product(pixels, between), source, interpolation, "reflection")
        return torch.where(untouched[:, None, None, None], images, moved)


def _recoloured(
    images: Tensor, on: dict[str, Tensor], uniform: tuple[Tensor, ...], normal: tuple[Tensor, ...]
) -> Tensor:
    """Return the images under one affine map of their colours each."""
    flips, angle = uniform
    brightness, contrast, saturation = normal
    one, zero = torch.ones_like(flips), torch.zeros_like(flips)
    brighter = torch.where(on["brightness"], BRIGHTNESS * brightness, zero)
    scaled = torch.where(on["contrast"], torch.exp2(CONTRAST_OCTAVES * contrast), one)
    sign = torch.where(on["lumaflip"] & (flips < 0.5), -one, one)
    hue = torch.where(on["hue"], (2 * angle - 1) * math.pi, zero)
    saturated = torch.where(on["saturation"], torch.exp2(SATURATION_OCTAVES * saturation), one)
    gain, chroma = sign * scaled, saturated * scaled
    return recolour(images, gain, gain * brighter, chroma * hue.cos(), chroma * hue.sin())


def ada(target: float | None = 0.6, kimg: float = 500, every: int = 4, policy: str = "bgc", *, p: float = 0.0) -> Ada:
    """Show the critic every image through random transformations, the more often the more it overfits.

    Formula:
        T(x) = C(A(x)): affine maps A of the positions and C of the colours, composed of those drawn, each with
            probability p
        r = mean of sign(D(T(x)) - boundary) over ``every`` batches of real images
        p <- p + sign(r - target)·n/(1000·kimg)
    Convention:
        n is the number of real images in these batches, so that p goes from 0 to 1 in ``kimg`` thousand images; it
        starts at ``p`` and stays within 0 and 1. ``target=None`` keeps it there. ``policy`` is made of letters,
        b(lit), g(eometry), c(olour), or of names joined by commas: blit, geom, color, xflip, rotate90, xint, scale,
        rotate, aniso, xfrac, brightness, contrast, lumaflip, hue, saturation. Strengths are the authors', for images
        from -1 to 1; of the mirrorings and luma flips half change nothing, of the quarter turns a quarter. Images with
        one channel have no hue and no saturation. Real and generated images have draws of their own. Outside an image
        lies its mirror image. One bilinear resampling; images that are not moved keep their values.
    Elsewhere:
        The authors' NVlabs/stylegan2-ada-pytorch ``AugmentPipe`` with ``bgc``: the same transformations, order,
        strengths and heuristic. It resamples at twice the resolution through a wavelet filter (sym6), which is
        sharper and costs more; far outside it pads with 0; its p may rise above 1.
    Use when:
        Data are few (hundreds to some thousands of images). Where p comes near 1, leave out what would show in the
        samples: ``policy="xint,scale,rotate"`` for digits, say, whose mirror images are none. Fine-tuning:
        ``kimg=100``.
    Paper:
        Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", arXiv:2006.06676.

    Raises:
        InputError: an unknown transformation; p outside 0 to 1; a target that is no mean sign; kimg or every that are
            not positive.
    """
    return Ada(transformations(policy), AdaptiveProbability(p, target, kimg, every))


def transformations(policy: str) -> tuple[str, ...]:
    """Return the names of a policy's transformations, each once, in the order in which they are applied.

    Raises:
        InputError: no text, nothing, or an unknown name (names the nearest).
    """
    check_policy(policy)
    require(bool(policy.strip()), "policy is empty: wanted letters of bgc, or names such as xflip,xint")
    parts = [part.strip() for part in policy.split(",")]
    words = [word for part in parts for word in (part if part and set(part) <= set("bgc") else [part])]
    chosen = {name for word in words for name in lookup("transformation", word, _POLICIES)}
    return tuple(name for name in BLIT + GEOM + COLOR if name in chosen)
