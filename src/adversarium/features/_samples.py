"""What networks ask of the samples that they see."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from adversarium.errors import InputError


def check_images(
    name: str, samples: Tensor, *, channels: tuple[int, ...] = (), size: tuple[int, int] | None = None
) -> None:
    """Refuse samples that these features cannot see.

    Raises:
        InputError: not images ``[B, C, H, W]`` of bytes or floats, or of other channels or another size than wanted.
    """
    shape = list(samples.shape)
    kind = samples.dtype == torch.uint8 or samples.is_floating_point()
    if len(shape) == 2 and kind:
        raise InputError(
            f"samples are vectors of {shape[1]} numbers, and {name} sees images [B, C, H, W]: take the features raw"
        )
    if len(shape) != 4 or not kind or 0 in shape[1:]:
        raise InputError(
            f"samples are {samples.dtype} of shape {shape}, and {name} sees images [B, C, H, W] of bytes, or of "
            "floats from 0 to 255"
        )
    wanted = f"[B, {' or '.join(map(str, channels)) or 'C'}, {', '.join(map(str, size or ('H', 'W')))}]"
    if (channels and shape[1] not in channels) or (size and tuple(shape[2:]) != size):
        raise InputError(
            f"samples have shape {shape}, and {name} sees images {wanted}: give it those, or take the features "
            "random_conv, which see images of any size and any number of channels"
        )


def device_of(network: nn.Module) -> torch.device:
    """Return where a network's weights are."""
    return next(network.parameters()).device


def colour(images: Tensor) -> Tensor:
    """Return images with three channels: one is repeated."""
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


@contextmanager
def seen_on(device: torch.device, samples: Tensor) -> Iterator[Tensor]:
    """Give samples as float32 on a device, on which nothing is rounded more coarsely until the end of the block.

    Under the caller's autocast, a score would depend on the precision of whoever asks for it; by default, a GPU rounds
    the factors of convolutions to 10 bits (TF32).
    """
    cudnn = torch.backends.cudnn
    exact = cudnn.flags(
        enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
    )
    with torch.autocast(device.type, enabled=False), exact:
        yield samples.to(device).float()


def resize_smooth(images: Tensor, size: int) -> Tensor:
    """Return images at another size, cubic and without aliasing, from 0 to 255 as before (cubics overshoot)."""
    resized = interpolate(images, (size, size), mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(0, 255)
