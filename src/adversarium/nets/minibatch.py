"""Layers that let a critic compare the samples of a batch, so that a generator cannot pass with one good sample.

The samples of a batch then meet inside the critic, as they do in batch norm: a batch of real and one of fake samples
have to take a pass each, see :func:`couples_samples`.
"""

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from adversarium.errors import require
from adversarium.nets._build import untouched_global_rng
from adversarium.nets.body import last_linear

Insert = Callable[[nn.Module, torch.Generator], nn.Sequential]
"""``(critic, rng)`` to the critic with a layer before its last linear one, which is a new one."""

_VARIANCE_FLOOR = 1e-8
"""StyleGAN's: the square root has a slope, and a second derivative, where samples agree."""


class MinibatchStandardDeviation(nn.Module):
    """Append how much the samples of a group differ: ``[B, C, ...]`` to ``[B, C + 1, ...]``.

    The number is the mean over all features, and places of a map, of each one's standard deviation over the group,
    √(variance + 1e-8), in float32 at least; it is the same for all samples of the group. A group is ``group`` samples
    in a row, or the whole batch if it is ``None``. Karras et al. 2018, "Progressive Growing of GANs for Improved
    Quality, Stability, and Variation", arXiv:1710.10196, with the groups of StyleGAN's code, which takes every
    (B/group)-th sample: the same in a batch in random order. In a row, the groups of two batches stay apart where
    these are joined.

    Raises:
        InputError: a group of fewer than 2; when called, a batch that the group does not divide.
    """

    def __init__(self, group: int | None = 4) -> None:
        super().__init__()
        require(
            group is None or group >= 2, f"group is {group}: wanted at least 2 samples to compare, or None for all"
        )
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """Return x with one more column or channel."""
        require(len(x) > 0, "minibatch_std got an empty batch: wanted samples to compare")
        group = len(x) if self.group is None else self.group
        if len(x) % group:
            divisors = [n for n in range(2, len(x) + 1) if len(x) % n == 0]
            choices = f"a group of {', '.join(map(str, divisors))}, or " if divisors else ""
            require(
                False,
                f"minibatch_std compares groups of {group}, which do not divide a batch of {len(x)}: wanted "
                f"{choices}group=None (the whole batch), or a batch that is a multiple of {group}",
            )
        with torch.autocast(x.device.type, enabled=False):
            wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
            groups = wide.unflatten(0, (-1, group))  # [B/group, group, C, ...]
            variance = (groups - groups.mean(1, keepdim=True)).square().mean(1)
            spread = (variance + _VARIANCE_FLOOR).sqrt().flatten(1).mean(1)
        column = spread.to(x.dtype).repeat_interleave(group).view(-1, *[1] * (x.ndim - 1))
        return torch.cat([x, column.expand(-1, 1, *x.shape[2:])], 1)


class MinibatchDiscrimination(nn.Module):
    """Append how near each sample is to the others of its batch, ``kernels`` numbers: ``[B, F]`` to ``[B, F + K]``.

    ``o_ik = Σ over j ≠ i of exp(-‖x_i·T_k - x_j·T_k‖₁)``, with learned maps T_k from F to ``dimensions`` numbers
    (Salimans et al. 2016, "Improved Techniques for Training GANs", arXiv:1606.03498). The paper's sum has j = i as
    well, which adds 1 to each number; the authors' openai/improved-gan leaves it out, as here. There the columns of T
    are normalised, with a learned scale, which the first batch sets. Here they are plain weights, N(0, 1/(F·D²)) at
    first: distances are then about as large as a feature.

    Args:
        features: F.
        kernels: K.
        dimensions: of each kernel, D.
        rng: draws T.

    Raises:
        InputError: a number below 1; when called, other than ``[B, F]``.
    """

    def __init__(self, features: int, kernels: int, dimensions: int, *, rng: torch.Generator) -> None:
        super().__init__()
        sizes = {"features": features, "kernels": kernels, "dimensions": dimensions}
        for name, size in sizes.items():
            require(size >= 1, f"{name} is {size}: wanted at least 1")
        self.features, self.kernels, self.dimensions = features, kernels, dimensions
        self.weight = nn.Parameter(torch.empty(features, kernels * dimensions))
        with torch.no_grad():
            nn.init.normal_(self.weight, 0.0, features**-0.5 / dimensions, generator=rng)

    def forward(self, x: Tensor) -> Tensor:
        """Return x with K more columns."""
        fits = x.ndim == 2 and x.shape[1] == self.features
        require(fits, f"minibatch_discrimination got shape {list(x.shape)}: wanted [B, {self.features}]")
        with torch.autocast(x.device.type, enabled=False):  # differences of like numbers
            wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
            mapped = (wide @ self.weight.to(wide.dtype)).unflatten(1, (self.kernels, self.dimensions))
            # one dimension at a time: [B, B, K, D] would be written and read several times, its short sums slowly
            planes = mapped.movedim(2, 0).contiguous()
            distances = reduce(torch.add, ((plane[:, None] - plane).abs() for plane in planes))  # [B, B, K]
            near = torch.exp(-distances).sum(1) - 1  # a sample is at distance 0 from itself
        return torch.cat([x, near.to(x.dtype)], 1)


def minibatch_std(group: int | None = 4) -> Insert:
    """Show the critic how much the samples of a group differ.

    Formula:
        s = mean over features of √(variance over the group + 1e-8), one more column before the last linear layer
    Convention:
        ``group`` = 4 samples in a row, or all with ``None``; each has its group's s. The variance is divided by the
        group's size. The published place is before the last convolution, as one more channel; this one fits every
        built-in critic.
    Elsewhere:
        The same numbers for the same groups: NVlabs/stylegan2-ada-pytorch ``MinibatchStdLayer``, which takes every
        (B/group)-th sample for a group and before the critic's last convolution.
    Use when:
        The generator collapses onto few modes, with any loss; the batch is a multiple of the group.
    Paper:
        Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation",
        arXiv:1710.10196.

    Raises:
        InputError: a group of fewer than 2; when applied, a critic that ``split_head`` refuses or whose last layer is
            constrained already; when the critic is called, a batch that the group does not divide.
    """
    layer = MinibatchStandardDeviation(group)

    def insert(critic: nn.Module, rng: torch.Generator) -> nn.Sequential:
        return _inserted(critic, MinibatchStandardDeviation(layer.group), 1, rng)

    return insert


def minibatch_discrimination(kernels: int = 100, dimensions: int = 5) -> Insert:
    """Show the critic how near each sample is to the others of its batch.

    Formula:
        o_ik = Σ over j ≠ i of exp(-‖x_i·T_k - x_j·T_k‖₁), K more columns before the last linear layer
    Convention:
        K = ``kernels`` = 100 learned maps T_k to ``dimensions`` = 5 numbers, those of the authors' CIFAR-10 code. The
        sum runs over the local batch. The cost grows with the square of the batch: B²·K·dimensions numbers.
    Elsewhere:
        The authors' openai/improved-gan ``MinibatchLayer`` normalises T, with a learned scale which the first batch
        sets, and adds a learned bias. The paper's sum includes j = i: 1 more.
    Use when:
        As ``minibatch_std``, where it does not suffice: it has weights of its own, and sees which samples are alike.
    Paper:
        Salimans et al. 2016, "Improved Techniques for Training GANs", arXiv:1606.03498.

    Raises:
        InputError: a number below 1; when applied, a critic that ``split_head`` refuses or whose last layer is
            constrained already.
    """
    for name, size in {"kernels": kernels, "dimensions": dimensions}.items():
        require(size >= 1, f"{name} is {size}: wanted at least 1")

    def insert(critic: nn.Module, rng: torch.Generator) -> nn.Sequential:
        layer = MinibatchDiscrimination(last_linear(critic).in_features, kernels, dimensions, rng=rng)
        return _inserted(critic, layer, kernels, rng)

    return insert


MINIBATCH_LAYERS: dict[str, Callable[..., Insert]] = {
    "minibatch_std": minibatch_std,
    "minibatch_discrimination": minibatch_discrimination,
}
"""Name to factory: layers that compare the samples of a batch, to be put into a built-in critic."""


def couples_samples(network: nn.Module) -> bool:
    """Return whether a network's output for a sample depends on the rest of the batch, in training mode at least.

    It knows batch norm and the layers of this module.
    """
    coupling = (nn.modules.batchnorm._BatchNorm, MinibatchStandardDeviation, MinibatchDiscrimination)
    return any(isinstance(module, coupling) for module in network.modules())


def groups_of(network: nn.Module) -> list[int | None]:
    """Return how many samples each of a network's layers of this module compares at a time; ``None``: the batch."""
    found: list[int | None] = []
    for module in network.modules():
        if isinstance(module, MinibatchStandardDeviation):
            found.append(module.group)
        elif isinstance(module, MinibatchDiscrimination):
            found.append(None)
    return found


def _inserted(critic: nn.Module, layer: nn.Module, columns: int, rng: torch.Generator) -> nn.Sequential:
    """Return the critic with a layer that appends columns; their weights are as large as the others."""
    last = last_linear(critic)
    require(
        not parametrize.is_parametrized(last),
        "the critic's last layer is constrained already: wanted the minibatch layer put in before the constraint",
    )
    with untouched_global_rng():
        wider = nn.Linear(last.in_features + columns, 1, bias=last.bias is not None)
    with torch.no_grad():
        weight = last.weight.cpu()
        added = torch.empty(1, columns, dtype=weight.dtype)
        nn.init.normal_(added, 0.0, float(weight.square().mean().sqrt()), generator=rng)
        wider.to(last.weight.device, last.weight.dtype).weight.copy_(torch.cat([weight, added], 1))
        if last.bias is not None:
            wider.bias.copy_(last.bias)
    assert isinstance(critic, nn.Sequential)
    *body, _, flatten = critic
    return nn.Sequential(*body, layer, wider, flatten)
