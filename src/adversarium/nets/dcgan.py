"""DCGAN for square images of 28, 32, 64 or 128 pixels and any number of channels.

The generator starts at 7×7 (28 pixels) or 4×4 (the others) and doubles the resolution by transposed convolutions
4×4 of stride 2 until the image is reached; the channels halve at each. The critic is its mirror image. ``width`` is
the number of channels at half the image's resolution (Radford et al. 2016, arXiv:1511.06434).

At 28 pixels there are only two doublings, so the last convolution sees 10 pixels of 28 at once. There a fully
connected layer of 16·``width`` units joins the whole picture, as in InfoGAN's networks for MNIST (Chen et al. 2016,
arXiv:1606.03657), which large comparisons of losses use too.
"""

import torch
from torch import nn

from adversarium.errors import InputError, require
from adversarium.nets._build import init_dcgan, untouched_global_rng
from adversarium.nets.conditional import batch_norm_1d, batch_norm_2d, conditional, embedding_widths
from adversarium.types import Condition

RESOLUTIONS = {28: (7, 2), 32: (4, 3), 64: (4, 4), 128: (4, 5)}
"""Pixels to (first resolution, number of doublings)."""

JOINED_RESOLUTION = 7
"""Where the convolutions stop this early, a fully connected layer joins the whole picture."""


def generator(
    sample_shape: tuple[int, ...],
    latent_dim: int,
    *,
    width: int,
    batch_norm: bool = True,
    rng: torch.Generator,
    condition: Condition | None = None,
) -> nn.Module:
    """Return a generator ``[B, latent_dim] -> [B, C, H, W]`` in [-1, 1] (tanh).

    With a condition it is a :class:`~adversarium.nets.ConditionalGenerator` of codes and the condition's values: with
    batch norm this is conditional everywhere, and without, the condition's embedding is joined to the code.

    Raises:
        InputError: the samples are not square images of a supported size.
    """
    channels, base, doublings = _plan(sample_shape, width)
    modulated, joined = embedding_widths(condition, latent_dim, batch_norm)
    with untouched_global_rng():
        features, inputs = width * 2 ** (doublings - 1), latent_dim + joined
        layers: list[nn.Module] = []
        if base == JOINED_RESOLUTION:
            layers.append(nn.Linear(inputs, 16 * width, bias=not batch_norm))
            inputs = 16 * width
            layers += [*([batch_norm_1d(inputs, modulated)] if batch_norm else []), nn.ReLU()]
        layers.append(nn.Linear(inputs, features * base * base, bias=not batch_norm))
        layers.append(nn.Unflatten(1, (features, base, base)))
        layers += _norm_relu(features, batch_norm, modulated)
        for _ in range(doublings - 1):
            layers.append(nn.ConvTranspose2d(features, features // 2, 4, 2, 1, bias=not batch_norm))
            features //= 2
            layers += _norm_relu(features, batch_norm, modulated)
        layers += [nn.ConvTranspose2d(features, channels, 4, 2, 1), nn.Tanh()]
        network = nn.Sequential(*layers)
    init_dcgan(network, rng)
    return conditional(network, condition, modulated, joined, rng=rng)


def critic(
    sample_shape: tuple[int, ...], *, width: int, batch_norm: bool = True, rng: torch.Generator
) -> nn.Sequential:
    """Return a critic ``[B, C, H, W] -> [B]``, without a sigmoid; no batch norm on its first and last layer.

    Raises:
        InputError: the samples are not square images of a supported size.
    """
    channels, base, doublings = _plan(sample_shape, width)
    with untouched_global_rng():
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        features = width
        for _ in range(doublings - 1):
            layers.append(nn.Conv2d(features, features * 2, 4, 2, 1, bias=not batch_norm))
            features *= 2
            if batch_norm:
                layers.append(nn.BatchNorm2d(features))
            layers.append(nn.LeakyReLU(0.2))
        layers.append(nn.Flatten(1))
        inputs = features * base * base
        if base == JOINED_RESOLUTION:
            layers.append(nn.Linear(inputs, 16 * width, bias=not batch_norm))
            inputs = 16 * width
            layers += [*([nn.BatchNorm1d(inputs)] if batch_norm else []), nn.LeakyReLU(0.2)]
        layers += [nn.Linear(inputs, 1), nn.Flatten(0)]
        network = nn.Sequential(*layers)
    init_dcgan(network, rng)
    return network


def _plan(sample_shape: tuple[int, ...], width: int) -> tuple[int, int, int]:
    require(width >= 1, f"width is {width}: wanted at least 1")
    if len(sample_shape) != 3 or sample_shape[1] != sample_shape[2] or sample_shape[1] not in RESOLUTIONS:
        sizes = ", ".join(str(size) for size in RESOLUTIONS)
        raise InputError(
            f"the dcgan network cannot make samples of shape {list(sample_shape)}: wanted [channels, pixels, pixels] "
            f"with pixels one of {sizes}; --size resizes a folder of images, and vectors take --network vector-mlp"
        )
    return sample_shape[0], *RESOLUTIONS[sample_shape[1]]


def _norm_relu(features: int, batch_norm: bool, modulated: int) -> list[nn.Module]:
    return [batch_norm_2d(features, modulated), nn.ReLU()] if batch_norm else [nn.ReLU()]
