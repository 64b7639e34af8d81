"""Residual networks for square images of 28, 32, 64 or 128 pixels and any number of channels.

The generator and the critic of Gulrajani et al. 2017 (arXiv:1704.00028) and Miyato et al. 2018 (SNGAN,
arXiv:1802.05957), which are one design: blocks of ReLU, 3×3 convolution, ReLU, 3×3 convolution beside a shortcut,
batch norm before the generator's ReLUs, doubling by nearest neighbours, halving by means. ``width`` is the number of
channels of every layer at 28 and 32 pixels (both papers have 128 for CIFAR-10's critic; the generator has 128 in the
first and 256 in the second), and at 64 and 128 pixels that at full resolution (64 in the second's code), which doubles
at each halving up to 16 times as many.

The critic sums its last features over all positions, as the second paper's code does (the first takes their mean),
so that a spectrally normalised critic keeps a slope. Weights are drawn as both authors' codes do. 28 pixels are ours:
as 32, from 7×7 instead of 4×4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from adversarium.nets._build import untouched_global_rng
from adversarium.nets._images import plan_for
from adversarium.nets.conditional import ConditionalBatchNorm2d, Modulated, conditional, embedding_widths
from adversarium.types import Condition


@dataclass(frozen=True)
class Plan:
    """A size's networks: channels are given in multiples of the width.

    Attributes:
        base: the generator's first resolution.
        generator: channels at the base, and after each doubling.
        critic: channels after each block.
        halvings: how many of the critic's blocks halve the resolution: the first ones.
    """

    base: int
    generator: tuple[int, ...]
    critic: tuple[int, ...]
    halvings: int


PLANS = {
    28: Plan(base=7, generator=(1, 1, 1), critic=(1, 1, 1, 1), halvings=2),
    32: Plan(base=4, generator=(1, 1, 1, 1), critic=(1, 1, 1, 1), halvings=2),
    64: Plan(base=4, generator=(16, 8, 4, 2, 1), critic=(1, 2, 4, 8, 16), halvings=5),
    128: Plan(base=4, generator=(16, 16, 8, 4, 2, 1), critic=(1, 2, 4, 8, 16, 16), halvings=5),
}
"""Pixels to what the networks are."""

Normalise = Callable[[int], nn.Module]
"""Features to the module before a ReLU."""


class BlockConv2d(nn.Conv2d):
    """A 3×3 convolution in a residual block."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)


class UpsampledConv2d(BlockConv2d):
    """A 3×3 convolution of the map doubled by nearest neighbours: ``[B, C, h, w] -> [B, K, 2h, 2w]``.

    Computed as one transposed convolution of stride 2, whose 4×4 kernel is the 3×3 one spread: each input is
    multiplied 16 times instead of 36.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of the doubled map."""
        kernel = _spread(self.weight).flip(2, 3).transpose(0, 1)
        return functional.conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)


class PooledConv2d(BlockConv2d):
    """The means over 2×2 positions of a 3×3 convolution: ``[B, C, 2h, 2w] -> [B, K, h, w]``.

    Computed as one 4×4 convolution of stride 2: 16 products per output instead of 36.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the pooled convolution."""
        return functional.conv2d(x, _spread(self.weight) / 4, self.bias, stride=2, padding=1)


def _spread(kernel: Tensor) -> Tensor:
    """Return the sum of a 3×3 kernel at the four places that it has in a 4×4 one."""
    places = ((0, 1, 0, 1), (0, 1, 1, 0), (1, 0, 0, 1), (1, 0, 1, 0))
    one, two, three, four = (functional.pad(kernel, place) for place in places)
    return one + two + three + four


class UpBlock(nn.Module):
    """The generator's residual block, which doubles the resolution: ``[B, C, h, w] -> [B, K, 2h, 2w]``."""

    def __init__(self, inputs: int, outputs: int, normalise: Normalise) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            normalise(inputs),
            nn.ReLU(),
            UpsampledConv2d(inputs, outputs),
            normalise(outputs),
            nn.ReLU(),
            BlockConv2d(outputs, outputs),
        )
        # a 1×1 convolution and doubling commute, and the small map is cheaper
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.Upsample(scale_factor=2, mode="nearest"))

    def forward(self, x: Tensor) -> Tensor:
        """Return the doubled map."""
        added: Tensor = self.residual(x) + self.shortcut(x)
        return added


class ModulatedUpBlock(Modulated):
    """An :class:`UpBlock` with conditional batch norm, of embeddings ``[B, width]``."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.block = UpBlock(inputs, outputs, partial(ConditionalBatchNorm2d, width=width))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return the doubled map, given what is asked for."""
        y = x
        for layer in self.block.residual:
            y = layer(y, embedding) if isinstance(layer, Modulated) else layer(y)
        added: Tensor = y + self.block.shortcut(x)
        return added


class DownBlock(nn.Module):
    """The critic's residual block, which may halve the resolution: ``[B, C, h, w] -> [B, K, h/2, w/2]``.

    ``first``: the block sees samples: it does not begin with a ReLU, nor with batch norm.
    """

    def __init__(
        self, inputs: int, outputs: int, normalise: Normalise, *, halve: bool = True, first: bool = False
    ) -> None:
        super().__init__()
        hidden = outputs if first else inputs
        self.enter = nn.Identity() if first else nn.Sequential(normalise(inputs), nn.ReLU())
        self.conv1 = BlockConv2d(inputs, hidden)
        self.norm2 = nn.Identity() if first else normalise(hidden)
        self.conv2 = (PooledConv2d if halve else BlockConv2d)(hidden, outputs)
        self.pool = nn.AvgPool2d(2) if halve else nn.Identity()
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if halve or inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the map, halved or not."""
        y = self.conv2(torch.relu(self.norm2(self.conv1(self.enter(x)))))
        added: Tensor = y + self.shortcut(self.pool(x))
        return added


class SumPool(nn.Module):
    """The sum over all positions: ``[B, C, h, w] -> [B, C]``."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the sums."""
        return x.sum((2, 3))


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

    With a condition it has two arguments: codes, and the condition's values. With batch norm that of the blocks is
    conditional, and the last one is not, as in the code of Miyato and Koyama 2018 (arXiv:1802.05637); without, the
    condition's embedding is joined to the code.

    Raises:
        InputError: the samples are not square images of a supported size.
    """
    channels, plan = plan_for("resnet", sample_shape, width, PLANS)
    normalise = _normalisation(batch_norm)
    sizes = [width * times for times in plan.generator]
    modulated, joined = embedding_widths(condition, latent_dim, batch_norm)
    with untouched_global_rng():
        blocks = [
            ModulatedUpBlock(inputs, outputs, modulated) if modulated else UpBlock(inputs, outputs, normalise)
            for inputs, outputs in pairwise(sizes)
        ]
        network = nn.Sequential(
            nn.Linear(latent_dim + joined, sizes[0] * plan.base**2),
            nn.Unflatten(1, (sizes[0], plan.base, plan.base)),
            *blocks,
            normalise(sizes[-1]),
            nn.ReLU(),
            nn.Conv2d(sizes[-1], channels, 3, padding=1),
            nn.Tanh(),
        )
    _draw_weights(network, rng)
    return conditional(network, condition, modulated, joined, rng=rng)


def critic(
    sample_shape: tuple[int, ...], *, width: int, batch_norm: bool = False, rng: torch.Generator
) -> nn.Sequential:
    """Return a critic ``[B, C, H, W] -> [B]``, without a sigmoid; with batch norm, none in its first block.

    Neither paper's critic has batch norm: a gradient penalty excludes it, and spectral norm does without.

    Raises:
        InputError: the samples are not square images of a supported size.
    """
    channels, plan = plan_for("resnet", sample_shape, width, PLANS)
    normalise = _normalisation(batch_norm)
    sizes = [channels, *(width * times for times in plan.critic)]
    with untouched_global_rng():
        blocks = [
            DownBlock(inputs, outputs, normalise, halve=place < plan.halvings, first=place == 0)
            for place, (inputs, outputs) in enumerate(pairwise(sizes))
        ]
        network = nn.Sequential(*blocks, nn.ReLU(), SumPool(), nn.Linear(sizes[-1], 1), nn.Flatten(0))
    _draw_weights(network, rng)
    return network


def _normalisation(batch_norm: bool) -> Normalise:
    return nn.BatchNorm2d if batch_norm else lambda features: nn.Identity()


@torch.no_grad()
def _draw_weights(network: nn.Module, rng: torch.Generator) -> None:
    """Draw weights as Glorot and Bengio 2010: U(-a, a), a = g·√(6/(fan_in + fan_out)); biases 0.

    g = √2 for the 3×3 convolutions of a block, 1 for all else, as in both authors' codes.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            gain = 2**0.5 if isinstance(module, BlockConv2d) else 1.0
            nn.init.xavier_uniform_(module.weight, gain, generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
