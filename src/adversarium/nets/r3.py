"""A small R3GAN pair for square images of 28, 32, 64 or 128 pixels and any number of channels.

After Huang et al. 2025, "The GAN is dead; long live the GAN! A Modern GAN Baseline" (arXiv:2501.05441), whose code is
brownvc/R3GAN: residual blocks with no normalisation anywhere (1×1 convolution to twice the channels, a grouped 3×3
one, 1×1 back; leaky ReLU of slope 0.2), whose last layer starts at zero; smoothed resampling; a generator that starts
from a learned picture of 4×4, each channel scaled by a linear map of the code, and a critic that ends in the mirror
image of that.

The generator ends in a tanh, which theirs does not have: without one a small network takes long to learn an even
background. What is smaller than theirs: ``width`` (768 for CIFAR-10), one residual block at each resolution instead of
two (``blocks``), half the channels at the finest resolution (theirs: at 64 pixels, and halved again at 128). Groups
have 16 channels as theirs. 28 pixels are ours: as 32, from 7×7 instead of 4×4.
"""

from dataclasses import dataclass
from math import gcd, sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from adversarium.errors import require
from adversarium.nets._build import untouched_global_rng
from adversarium.nets._images import plan_for
from adversarium.nets.conditional import ConditionalGenerator, ConditionEmbedding
from adversarium.types import Condition


@dataclass(frozen=True)
class Plan:
    """A size's networks.

    Attributes:
        base: the generator's first resolution, and the critic's last.
        shares: what the width is divided by at each resolution, from the base up.
    """

    base: int
    shares: tuple[int, ...]


PLANS = {
    28: Plan(base=7, shares=(1, 1, 2)),
    32: Plan(base=4, shares=(1, 1, 1, 2)),
    64: Plan(base=4, shares=(1, 1, 1, 1, 2)),
    128: Plan(base=4, shares=(1, 1, 1, 1, 2, 4)),
}
"""Pixels to what the networks are."""

EXPANSION = 2
"""How many times as many channels the middle of a residual block has."""

GROUP = 16
"""Channels in a group of a block's 3×3 convolution; fewer where 16 does not divide them."""

SLOPE = 0.2
"""Leaky ReLU's slope below 0."""

LAST_GAIN = 1e-3
"""The gain of the last layer of each block of the critic. The authors' is 0, which no norm can divide by."""


class R3Block(nn.Module):
    """A residual block: ``[B, C, h, w]`` to the same shape.

    The two biases precede the activations; the last layer has none.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        inner = EXPANSION * features
        self.widen = nn.Conv2d(features, inner, 1)
        self.mix = nn.Conv2d(inner, inner, 3, padding=1, groups=inner // gcd(inner, GROUP))
        self.narrow = nn.Conv2d(inner, features, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map with what the block found added."""
        y = functional.leaky_relu(self.widen(x), SLOPE)
        y = functional.leaky_relu(self.mix(y), SLOPE)
        added: Tensor = x + self.narrow(y)
        return added


class _Smoothed(nn.Module):
    """Resampling by 2 with the filter [1, 3, 3, 1]/8 in both directions, and zeros beyond the border.

    It keeps constants but for the border, where zeros come in. ``Upsample`` is bilinear interpolation there, and 4
    times the transpose of ``Downsample``.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", row[:, None] * row, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the resampled map."""
        # in float32: a CPU's bfloat16 convolutions of one channel each are 40 times as slow, and round more
        with torch.autocast(x.device.type, enabled=False):
            exact = x.to(torch.promote_types(x.dtype, torch.float32))
            kernel = self.kernel.to(exact.dtype).expand(x.shape[1], 1, 4, 4)
            return self._resample(exact, kernel).to(x.dtype)

    def _resample(self, x: Tensor, kernel: Tensor) -> Tensor:
        raise NotImplementedError


class Upsample(_Smoothed):
    """``[B, C, h, w] -> [B, C, 2h, 2w]``, smoothed."""

    def _resample(self, x: Tensor, kernel: Tensor) -> Tensor:
        return functional.conv_transpose2d(x, 4 * kernel, stride=2, padding=1, groups=len(kernel))


class Downsample(_Smoothed):
    """``[B, C, 2h, 2w] -> [B, C, h, w]``, smoothed."""

    def _resample(self, x: Tensor, kernel: Tensor) -> Tensor:
        return functional.conv2d(x, kernel, stride=2, padding=1, groups=len(kernel))


class Basis(nn.Module):
    """A learned picture whose channels are scaled by a linear map of the codes: ``[B, D] -> [B, C, base, base]``."""

    def __init__(self, inputs: int, features: int, base: int) -> None:
        super().__init__()
        self.picture = nn.Parameter(torch.empty(features, base, base))
        self.scale = nn.Linear(inputs, features, bias=False)

    def forward(self, codes: Tensor) -> Tensor:
        """Return the scaled pictures."""
        scaled: Tensor = self.picture * self.scale(codes)[:, :, None, None]
        return scaled


def generator(
    sample_shape: tuple[int, ...],
    latent_dim: int,
    *,
    width: int,
    batch_norm: bool = False,
    rng: torch.Generator,
    condition: Condition | None = None,
    blocks: int = 1,
) -> nn.Module:
    """Return a generator ``[B, latent_dim] -> [B, C, H, W]`` in [-1, 1] (tanh).

    With a condition it has two arguments: codes, and the condition's values. As the authors do, it joins to the code
    an embedding of the code's length, whose entries are at first those of a linear map of one-hot labels.

    Raises:
        InputError: the samples are not square images of a supported size, or batch norm is asked for.
    """
    channels, plan = _plan(sample_shape, width, batch_norm, blocks)
    sizes = [max(1, width // share) for share in plan.shares]
    with untouched_global_rng():
        inputs = latent_dim if condition is None else 2 * latent_dim
        layers: list[nn.Module] = [Basis(inputs, sizes[0], plan.base)]
        for place, size in enumerate(sizes):
            if place:
                before = sizes[place - 1]
                layers += [nn.Conv2d(before, size, 1, bias=False)] if size != before else []
                layers.append(Upsample())
            layers += [R3Block(size) for _ in range(blocks)]
        network = nn.Sequential(*layers, nn.Conv2d(sizes[-1], channels, 1, bias=False), nn.Tanh())
    _draw_weights(network, rng, last_gain=0.0)
    if condition is None:
        return network
    std = condition.size**-0.5 if condition.kind == "label" else 1.0
    embedding = ConditionEmbedding(condition, latent_dim, rng=rng, std=std)
    return ConditionalGenerator(network, embedding, joined=True)


def critic(
    sample_shape: tuple[int, ...], *, width: int, batch_norm: bool = False, rng: torch.Generator, blocks: int = 1
) -> nn.Sequential:
    """Return a critic ``[B, C, H, W] -> [B]``, without a sigmoid.

    Raises:
        InputError: the samples are not square images of a supported size, or batch norm is asked for.
    """
    channels, plan = _plan(sample_shape, width, batch_norm, blocks)
    sizes = [max(1, width // share) for share in reversed(plan.shares)]
    with untouched_global_rng():
        layers: list[nn.Module] = [nn.Conv2d(channels, sizes[0], 1, bias=False)]
        for place, size in enumerate(sizes):
            if place:
                before = sizes[place - 1]
                layers.append(Downsample())
                layers += [nn.Conv2d(before, size, 1, bias=False)] if size != before else []
            layers += [R3Block(size) for _ in range(blocks)]
        last = sizes[-1]
        layers += [nn.Conv2d(last, last, plan.base, groups=last, bias=False), nn.Flatten(1)]
        network = nn.Sequential(*layers, nn.Linear(last, 1, bias=False), nn.Flatten(0))
    _draw_weights(network, rng, last_gain=LAST_GAIN)
    return network


def _plan(sample_shape: tuple[int, ...], width: int, batch_norm: bool, blocks: int) -> tuple[int, Plan]:
    require(not batch_norm, "batch_norm is on, and the r3 network has no normalisation: leave it off")
    require(blocks >= 1, f"blocks is {blocks}: wanted at least 1")
    return plan_for("r3", sample_shape, width, PLANS)


@torch.no_grad()
def _draw_weights(network: nn.Module, rng: torch.Generator, *, last_gain: float) -> None:
    """Draw weights N(0, g²/fan_in), biases 0, basis pictures N(0, 1), all as in the authors' code.

    g is 1 but in a residual block: √(2/(1 + 0.2²))·L^(-1/4) in its first two layers and ``last_gain`` in its last, for
    L blocks in all (Fixup: Zhang et al. 2019, arXiv:1901.09321, where a block of m layers has L^(-1/(2m - 2))).
    """
    blocks = [module for module in network.modules() if isinstance(module, R3Block)]
    inner = sqrt(2 / (1 + SLOPE**2)) * len(blocks) ** -0.25
    gains: dict[nn.Module, float] = {layer: inner for block in blocks for layer in (block.widen, block.mix)}
    gains |= {block.narrow: last_gain for block in blocks}
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            fan_in = module.weight[0].numel()
            nn.init.normal_(module.weight, 0.0, gains.get(module, 1.0) / sqrt(fan_in), generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, Basis):
            nn.init.normal_(module.picture, generator=rng)
