"""What augmentations ask of their samples, and the precision in which they compute."""

import torch
from torch import Tensor

from adversarium.errors import require


def check_images(samples: Tensor, name: str) -> None:
    """Refuse samples that are not images.

    Raises:
        InputError: the shape is not [B, C, H, W]; says what works on other samples.
    """
    require(
        samples.ndim == 4,
        f"samples have shape {list(samples.shape)}: {name} wants images [B, C, H, W]; for vectors and others take "
        "apa, instance noise (data.instance_noise), or a penalty such as r1 or lecam",
    )


def wide(samples: Tensor) -> Tensor:
    """Return the samples in float32, or in float64 where they are: positions in an image need that many digits."""
    return samples if samples.dtype == torch.float64 else samples.float()
