"""A convolutional network that nobody has trained."""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, conv2d

from adversarium.errors import require
from adversarium.features._samples import check_images, seen_on
from adversarium.features.feature import Features, Seen

CHANNELS = (32, 64, 128)
CELLS = 4
"""The last feature maps are averaged over 4×4 cells, so that any size of image gives as many numbers."""


def random_conv(*, width: int = 64, seed: int = 0, device: torch.device | str | None = None) -> Features:
    """Return what a fixed random convolutional network sees in images of any size and any number of channels.

    Formula:
        rows = P·a(h₃), hᵢ = relu(wᵢ ∗ hᵢ₋₁), h₀ = x/127.5 - 1; a: the mean over 4×4 cells
        weights uniform in ±√(6/n), n the number of inputs of a unit; no biases
    Convention:
        Three convolutions 3×3 of stride 2 (32, 64, 128 channels), then a linear map to ``width`` numbers. The
        weights come from ``seed`` by the Mersenne twister's uniform numbers, exactly the same on every machine;
        another number of channels has weights of its own. Another width or seed is another scale, and another name.
    Use when:
        Nothing that was trained fits the data: pictures far from photographs, few pixels, other channels. It sees
        texture, layout and contrast, and knows nothing of what things are. For digits ``lenet`` is better, for
        photographs ``dinov2``.
    Paper:
        Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for Generative Models", arXiv:2002.09797, who
        recommend random embeddings (of 64 numbers, from VGG16) where data are far from ImageNet; why they work: Lee
        et al. 2022, "Demystifying Randomly Initialized Networks for Evaluating Generative Models", arXiv:2208.09218.

    Raises:
        InputError: a width below 1; (when it sees) samples that are not images.
    """
    require(width >= 1, f"width is {width}: wanted at least 1")
    drawn: dict[int, list[Tensor]] = {}

    def see(samples: Tensor) -> Seen:
        check_images("random_conv", samples)
        channels = samples.shape[1]
        if channels not in drawn:
            drawn[channels] = [weight.to(device) for weight in draw_weights(channels, width, seed)]
        *kernels, projection = drawn[channels]
        with seen_on(projection.device, samples) as images:
            maps = images / 127.5 - 1
            for kernel in kernels:
                maps = conv2d(maps, kernel, stride=2, padding=1).relu()
            return Seen(adaptive_avg_pool2d(maps, CELLS).flatten(1) @ projection)

    name = "random_conv" if (width, seed) == (64, 0) else f"random_conv-{width}-{seed}"
    return Features(name=name, see=see)


def draw_weights(channels: int, width: int, seed: int) -> list[Tensor]:
    """Return the kernels ``[out, in, 3, 3]`` and the projection ``[inputs, width]``, drawn on the CPU."""
    rng = torch.Generator().manual_seed(seed)
    inputs = (channels, *CHANNELS[:-1])
    shapes = [(outputs, given, 3, 3) for given, outputs in zip(inputs, CHANNELS, strict=True)]
    kernels = [_uniform(shape, shape[1] * 9, rng) for shape in shapes]
    last = CHANNELS[-1] * CELLS**2
    return [*kernels, _uniform((last, width), last, rng)]


def _uniform(shape: tuple[int, ...], inputs: int, rng: torch.Generator) -> Tensor:
    # uniform, not normal: a logarithm may be rounded differently on another processor
    bound: float = (6 / inputs) ** 0.5
    return (2 * torch.rand(shape, generator=rng) - 1) * bound
