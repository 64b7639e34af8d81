"""How networks are made: without touching the global random state, weights drawn from an explicit generator."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def untouched_global_rng() -> Iterator[None]:
    """Keep torch's global CPU random state as it was: a module's own default init draws from it."""
    with torch.random.fork_rng(devices=()):
        yield


@torch.no_grad()
def init_dcgan(network: nn.Module, rng: torch.Generator) -> None:
    """Draw weights as DCGAN does: N(0, 0.02²), batch norm scales N(1, 0.02²), biases 0 (arXiv:1511.06434)."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02, generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, 0.02, generator=rng)
            nn.init.zeros_(module.bias)


@torch.no_grad()
def init_uniform(network: nn.Module, rng: torch.Generator) -> None:
    """Draw weights and biases as torch's linear layers do by default: U(-1, 1)/√fan_in."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            nn.init.uniform_(module.weight, -bound, bound, generator=rng)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -bound, bound, generator=rng)
