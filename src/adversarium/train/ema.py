"""The averaged generator."""

import copy

import torch
from torch import Tensor, nn

from adversarium.errors import require


class _Average:
    """A copy of a generator that follows it: its weights and floating-point buffers in part, its counters wholly."""

    def __init__(self, generator: nn.Module) -> None:
        self.module = copy.deepcopy(generator).eval().requires_grad_(False)
        self.follow(generator)

    def follow(self, generator: nn.Module) -> None:
        """From now on average this generator into :attr:`module`, wherever the numbers of both lie by now."""
        pairs = list(zip(_tensors(self.module), _tensors(generator), strict=True))
        self._averages = [average for average, _ in pairs if average.is_floating_point()]
        self._sources = [source for _, source in pairs if source.is_floating_point()]
        self._counters = [(average, source) for average, source in pairs if not source.is_floating_point()]

    @torch.no_grad()
    def _move(self, share: float) -> None:
        torch._foreach_lerp_(self._averages, self._sources, share)
        for average, source in self._counters:
            average.copy_(source)


class Ema(_Average):
    """An exponential moving average of a generator's weights and buffers, its memory counted in images.

    After a step of b images the average keeps the share ``0.5^(b / half_life)``. Early in a run the half-life is at
    most ``rampup`` times the images seen so far, so that the first random weights are soon forgotten (Karras et al.
    2020, arXiv:1912.04958). A half-life of 0 makes it a copy.
    """

    def __init__(self, generator: nn.Module, half_life_images: float, rampup: float) -> None:
        super().__init__(generator)
        self._half_life_images = half_life_images
        self._rampup = rampup

    def update(self, images: int, step_images: int) -> None:
        """Move the average towards the generator, ``images`` into the run, after a step of ``step_images``."""
        half_life = min(self._half_life_images, self._rampup * images)
        kept = 0.5 ** (step_images / half_life) if half_life > 0 else 0.0
        self._move(1 - kept)


class UniformAverage(_Average):
    """The mean of a generator's weights and buffers over all steps since ``from_images``; until then a copy.

    After n images, of which the last step was shown b, the average moves by the share ``b / (n - from_images)``
    towards the generator: a running mean, each step weighted by its images, whose only state is the mean itself. The
    mean converges where the players circle (Gidel et al. 2019, arXiv:1802.10551).
    """

    def __init__(self, generator: nn.Module, from_images: float = 0.0) -> None:
        require(from_images >= 0, f"from_images is {from_images}: wanted a number that is not negative")
        super().__init__(generator)
        self._from_images = from_images

    def update(self, images: int, step_images: int) -> None:
        """Move the average towards the generator, ``images`` into the run, after a step of ``step_images``."""
        since = images - self._from_images
        self._move(step_images / since if since > step_images else 1.0)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*(parameter.detach() for parameter in module.parameters()), *module.buffers()]
