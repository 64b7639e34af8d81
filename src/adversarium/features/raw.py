"""Samples as they are."""

import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.features.feature import Features, Seen


def raw(*, device: torch.device | str | None = None) -> Features:
    """Return samples as they are: vectors, or images flattened and scaled to [0, 1].

    Formula:
        vectors: x; images: x/255, flattened channel by channel
    Convention:
        No network, nothing learned. Vectors keep their own units. float32.
    Use when:
        The data are vectors (toys, tables), or a distance between pixels is meant: nearest neighbours, copies. Between
        pictures of several hundred pixels, distances of raw rows say little about what is in them.
    Paper:
        Why it matters in which features samples are compared: Xu et al. 2018, "An empirical study on evaluation
        metrics of generative adversarial networks", arXiv:1806.07755.

    Raises:
        InputError: (when it sees) samples that are neither vectors ``[B, D]`` nor images ``[B, C, H, W]``.
    """

    def see(samples: Tensor) -> Seen:
        if samples.dim() not in (2, 4):
            raise InputError(f"samples have shape {list(samples.shape)}: wanted vectors [B, D] or images [B, C, H, W]")
        rows = samples.to(device=device, dtype=torch.float32)
        return Seen(rows if samples.dim() == 2 else rows.flatten(1) / 255)

    return Features(name="raw", see=see)
