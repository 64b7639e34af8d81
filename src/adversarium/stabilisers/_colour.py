"""Colours under the affine maps that treat the three channels alike."""

import math

import torch
from torch import Tensor

from adversarium.errors import require


def check_channels(samples: Tensor, name: str) -> None:
    """Refuse images whose colours are unknown.

    Raises:
        InputError: neither 1 nor 3 channels.
    """
    channels = samples.shape[1]
    require(
        channels in (1, 3),
        f"samples have {channels} channels: {name} changes the colours of images with 1 or 3; take a policy without "
        "them (policy=bg)",
    )


def recolour(images: Tensor, gain: Tensor, offset: Tensor, keep: Tensor, turn: Tensor) -> Tensor:
    """Return images whose luma is scaled and moved, and whose chroma is scaled and turned.

    The luma is a pixel's mean over its channels, m, and the chroma what is left, ``x - m``; the axis of all greys, v,
    is (1, 1, 1)/√3. The result is ``gain·m + offset + keep·(x - m) + turn·(v × x)``: any affine map that keeps the
    greys grey and commutes with turning about v. With gain = keep = 1 and the others 0 it is x, exactly.

    Args:
        images: ``[B, 3, H, W]``, or ``[B, 1, H, W]``, which have no chroma.
        gain, offset, keep, turn: one number per image, ``[B]``.
    """
    gain, offset, keep, turn = (each.to(images.dtype)[:, None, None, None] for each in (gain, offset, keep, turn))
    if images.shape[1] == 1:
        return gain * images + offset
    mixed = (gain - keep) / 3  # m = (r + g + b)/3
    crossed = turn / math.sqrt(3)  # v × (r, g, b) = (b - g, r - b, g - r)/√3
    result = (mixed + keep) * images + offset
    result = torch.addcmul(result, mixed + crossed, images.roll(1, 1))
    return torch.addcmul(result, mixed - crossed, images.roll(-1, 1))
