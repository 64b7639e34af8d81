"""Instance noise: what the critic sees is blurred, real and fake alike."""

from dataclasses import dataclass

import torch
from torch import nn

from adversarium.errors import require
from adversarium.types import Anneal, Critic, Samples, Scheduled, Scores, at


@dataclass(frozen=True)
class InstanceNoise:
    """Add Gaussian noise to samples; see :func:`instance_noise`."""

    std: Scheduled

    def __call__(self, samples: Samples, images: float = 0, rng: torch.Generator | None = None) -> Samples:
        """Return ``samples + std·ε`` with the standard deviation as it is after ``images`` images."""
        std = at(self.std, images)
        if std == 0:
            return samples
        # drawn where the generator lives (a CPU stream gives the same noise on every device)
        source = rng.device if rng is not None else samples.device
        noise = torch.randn(samples.shape, generator=rng, device=source, dtype=samples.dtype)
        return samples + std * noise.to(samples.device)


def instance_noise(std: Scheduled = 0.1) -> InstanceNoise:
    """Return ``(samples, images, rng) -> samples``: fresh noise on every sample that the critic is shown.

    Formula:
        x + σ·ε,  ε ~ N(0, 1) for each number of the sample
    Convention:
        σ = ``std``, in the units of the samples (images run from -1 to 1); an :class:`~adversarium.types.Anneal`
        lets it fade. Real and fake samples get noise of their own, also where the generator's gradient is taken; the
        gradient passes through. A linear critic w·x keeps its mean score and gains the variance σ²‖w‖².
    Use when:
        Real and generated data do not overlap, and no gradient penalty is wanted.
    Paper:
        Sønderby et al. 2016, "Amortised MAP Inference for Image Super-resolution", arXiv:1610.04490.

    Raises:
        InputError: a negative standard deviation.
    """
    lowest = min(std.start, std.stop) if isinstance(std, Anneal) else std
    require(lowest >= 0, f"std is {std}: wanted a number that is not negative")
    return InstanceNoise(std)


class NoisyCritic(nn.Module):
    """A critic that sees every sample through instance noise; see :func:`noisy`."""

    def __init__(self, critic: Critic, noise: InstanceNoise, rng: torch.Generator | None) -> None:
        super().__init__()
        self.critic = critic
        self.noise = noise
        self.rng = rng
        self.images: float = 0

    def forward(self, samples: Samples) -> Scores:
        """Return the scores of noisy samples."""
        return self.critic(self.noise(samples, self.images, self.rng))


def noisy(critic: Critic, std: Scheduled = 0.1, rng: torch.Generator | None = None) -> NoisyCritic:
    """Wrap any critic for a loop of your own: it sees its samples through :func:`instance_noise`.

    Set ``.images`` to the number of real samples shown so far where ``std`` is annealed. Take the scores of the bare
    critic (``.critic``) to evaluate.

    Raises:
        InputError: a negative standard deviation.
    """
    return NoisyCritic(critic, instance_noise(std), rng)
