"""The averaged generator."""

import copy

import torch
from torch import Tensor, nn


class Ema:
    """An exponential moving average of a generator's weights and buffers, its memory counted in images.

    After a step of b images the average keeps the share ``0.5^(b / half_life)``. Early in a run the half-life is at
    most ``rampup`` times the images seen so far, so that the first random weights are soon forgotten (Karras et al.
    2020, arXiv:1912.04958). A half-life of 0 makes it a copy.
    """

    def __init__(self, generator: nn.Module, half_life_images: float, rampup: float) -> None:
        self.module = copy.deepcopy(generator).eval().requires_grad_(False)
        self._half_life_images = half_life_images
        self._rampup = rampup
        pairs = list(zip(_tensors(self.module), _tensors(generator), strict=True))
        self._averages = [average for average, _ in pairs if average.is_floating_point()]
        self._sources = [source for _, source in pairs if source.is_floating_point()]
        self._counters = [(average, source) for average, source in pairs if not source.is_floating_point()]

    @torch.no_grad()
    def update(self, images: int, step_images: int) -> None:
        """Move the average towards the generator, ``images`` into the run, after a step of ``step_images``."""
        half_life = min(self._half_life_images, self._rampup * images)
        kept = 0.5 ** (step_images / half_life) if half_life > 0 else 0.0
        torch._foreach_lerp_(self._averages, self._sources, 1 - kept)
        for average, source in self._counters:
            average.copy_(source)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*(parameter.detach() for parameter in module.parameters()), *module.buffers()]
