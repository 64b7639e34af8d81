"""Images under affine maps: one resampling, differentiable by the images any number of times."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

Interpolation = Literal["bilinear", "nearest"]
Padding = Literal["zeros", "reflection"]

_INTERPOLATIONS = {"bilinear": 0, "nearest": 1}  # the numbers of torch's operators
_PADDINGS = {"zeros": 0, "reflection": 2}


class _Sample(torch.autograd.Function):
    """``grid_sample`` as what it is for the images, a linear map: its derivative is its adjoint, and no more.

    Torch's own has a second derivative in its newest releases only.
    """

    @staticmethod
    def forward(images: Tensor, grid: Tensor, interpolation: Interpolation, padding: Padding) -> Tensor:
        return functional.grid_sample(images, grid, interpolation, padding, align_corners=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        images, grid, *ctx.how = inputs
        ctx.shape = images.shape
        ctx.save_for_backward(grid)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (grid,) = ctx.saved_tensors
        spread: Tensor = _Spread.apply(gradient, grid, ctx.shape, *ctx.how)  # type: ignore[no-untyped-call]
        return spread, None, None, None


class _Spread(torch.autograd.Function):
    """The adjoint of :class:`_Sample`, whose adjoint is that again."""

    @staticmethod
    def forward(
        gradient: Tensor, grid: Tensor, shape: Sequence[int], interpolation: Interpolation, padding: Padding
    ) -> Tensor:
        numbers = _INTERPOLATIONS[interpolation], _PADDINGS[padding]
        images = gradient.new_empty(shape)  # read for its shape only
        both = torch.ops.aten.grid_sampler_2d_backward(gradient, images, grid, *numbers, True, [True, False])
        spread: Tensor = both[0]
        return spread

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, grid, _, *ctx.how = inputs
        ctx.save_for_backward(grid)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        (grid,) = ctx.saved_tensors
        sampled: Tensor = _Sample.apply(gradient, grid, *ctx.how)  # type: ignore[no-untyped-call]
        return sampled, None, None, None, None


def matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Return the matrices ``[[a, b], [c, d]]``, ``[B, 2, 2]``."""
    return torch.stack([a, b, c, d], dim=1).view(-1, 2, 2)


def rotation(angle: Tensor) -> Tensor:
    """Return the rotations by some angles, ``[B, 2, 2]``."""
    cosine, sine = angle.cos(), angle.sin()
    return matrix(cosine, -sine, sine, cosine)


def product(*matrices: Tensor) -> Tensor:
    """Return the matrices' product; in full precision also where matrix products are not (autocast, TF32)."""
    result = matrices[0]
    for each in matrices[1:]:
        result = (result[:, :, :, None] * each[:, None, :, :]).sum(2)
    return result


def resample(images: Tensor, linear: Tensor, shift: Tensor, interpolation: Interpolation, padding: Padding) -> Tensor:
    """Return images that show at the position q what the given ones show at ``linear @ q + shift``.

    Positions are (x, y) in pixels from the image's centre, x to the right and y down.

    Args:
        images: ``[B, C, H, W]``, float32 or float64.
        linear: ``[B, 2, 2]``.
        shift: ``[B, 2]``.
        interpolation: how values between pixels are found. A position that is a pixel's gives its value, exactly with
            ``nearest``, and up to rounding with ``bilinear``.
        padding: what lies outside: 0, or the image mirrored at the centres of its outer pixels.
    """
    height, width = images.shape[-2:]
    linear, shift = linear.to(images.dtype), shift.to(images.dtype)
    across = torch.arange(width, device=images.device, dtype=images.dtype) - (width - 1) / 2
    down = torch.arange(height, device=images.device, dtype=images.dtype) - (height - 1) / 2

    def coordinate(axis: int, size: int) -> Tensor:
        unit = 2 / max(
            size - 1, 1
        )  # grid_sample's positions run from -1 to 1, between the centres of the outer pixels
        along_row = (linear[:, axis, :1] * across + shift[:, axis, None]) * unit
        along_column = linear[:, axis, 1:] * (down * unit)
        return along_row[:, None, :] + along_column[:, :, None]

    # two planes, which are made and read faster than pairs
    grid = torch.stack([coordinate(0, width), coordinate(1, height)], dim=1).permute(0, 2, 3, 1)
    resampled: Tensor = _Sample.apply(images, grid, interpolation, padding)  # type: ignore[no-untyped-call]
    return resampled
