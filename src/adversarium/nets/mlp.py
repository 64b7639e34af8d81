"""Multilayer perceptrons: the tutorials' one for images (28×28 as 784), and a plain one for vectors."""

from itertools import pairwise
from math import prod

import torch
from torch import nn

from adversarium.errors import InputError, require
from adversarium.nets._build import init_uniform, untouched_global_rng
from adversarium.nets.conditional import batch_norm_1d, conditional, embedding_widths
from adversarium.types import Condition


def image_generator(
    sample_shape: tuple[int, ...],
    latent_dim: int,
    *,
    width: int,
    batch_norm: bool = False,
    rng: torch.Generator,
    condition: Condition | None = None,
) -> nn.Module:
    """Return ``[B, latent_dim] -> [B, C, H, W]`` in [-1, 1]: hidden layers of width, 2·width and 4·width units.

    With a condition it is told as that of ``dcgan`` is.

    Raises:
        InputError: the samples are not images.
    """
    _require_image(sample_shape)
    modulated, joined = embedding_widths(condition, latent_dim, batch_norm)
    sizes = [latent_dim + joined, width, 2 * width, 4 * width]
    activation = nn.LeakyReLU(0.2)
    network = _mlp(sizes, activation, batch_norm, rng, out_shape=sample_shape, squash=nn.Tanh(), modulated=modulated)
    return conditional(network, condition, modulated, joined, rng=rng)


def image_critic(
    sample_shape: tuple[int, ...], *, width: int, batch_norm: bool = False, rng: torch.Generator
) -> nn.Sequential:
    """Return ``[B, C, H, W] -> [B]``: hidden layers of 4·width, 2·width and width units, no sigmoid.

    Raises:
        InputError: the samples are not images.
    """
    _require_image(sample_shape)
    sizes = [prod(sample_shape), 4 * width, 2 * width, width]
    return _mlp(sizes, nn.LeakyReLU(0.2), batch_norm, rng)


def vector_generator(
    sample_shape: tuple[int, ...],
    latent_dim: int,
    *,
    width: int,
    batch_norm: bool = False,
    rng: torch.Generator,
    condition: Condition | None = None,
) -> nn.Module:
    """Return ``[B, latent_dim] -> [B, D]``: three hidden layers of ``width`` ReLU units (WGAN-GP's toys).

    With a condition it is told as that of ``dcgan`` is.

    Raises:
        InputError: the samples are not vectors.
    """
    _require_vector(sample_shape)
    modulated, joined = embedding_widths(condition, latent_dim, batch_norm)
    sizes = [latent_dim + joined, width, width, width]
    network = _mlp(sizes, nn.ReLU(), batch_norm, rng, out_shape=sample_shape, modulated=modulated)
    return conditional(network, condition, modulated, joined, rng=rng)


def vector_critic(
    sample_shape: tuple[int, ...], *, width: int, batch_norm: bool = False, rng: torch.Generator
) -> nn.Sequential:
    """Return ``[B, D] -> [B]``: three hidden layers of ``width`` ReLU units, no sigmoid.

    Raises:
        InputError: the samples are not vectors.
    """
    _require_vector(sample_shape)
    sizes = [sample_shape[0], width, width, width]
    return _mlp(sizes, nn.ReLU(), batch_norm, rng)


def _mlp(
    sizes: list[int],
    activation: nn.Module,
    batch_norm: bool,
    rng: torch.Generator,
    *,
    out_shape: tuple[int, ...] = (),
    squash: nn.Module | None = None,
    modulated: int = 0,
) -> nn.Sequential:
    """Return flatten -> hidden layers of these sizes -> linear -> squash -> ``[B, *out_shape]``."""
    require(min(sizes) >= 1, f"the layers' sizes are {sizes}: wanted at least 1 each")
    with untouched_global_rng():
        layers: list[nn.Module] = [nn.Flatten(1)]
        for n_in, n_out in pairwise(sizes):
            norm = [batch_norm_1d(n_out, modulated)] if batch_norm else []
            layers += [nn.Linear(n_in, n_out), *norm, activation]
        layers.append(nn.Linear(sizes[-1], prod(out_shape)))
        if squash is not None:
            layers.append(squash)
        # a critic's scores are [B], a generator's samples have the data's shape
        layers.append(nn.Unflatten(1, out_shape) if out_shape else nn.Flatten(0))
        network = nn.Sequential(*layers)
    init_uniform(network, rng)
    return network


def _require_image(sample_shape: tuple[int, ...]) -> None:
    if len(sample_shape) != 3:
        raise InputError(f"the mlp network makes images, and samples have shape {list(sample_shape)}: take vector-mlp")


def _require_vector(sample_shape: tuple[int, ...]) -> None:
    if len(sample_shape) != 1:
        raise InputError(
            f"the vector-mlp network makes vectors, and samples have shape {list(sample_shape)}: take dcgan or mlp"
        )
