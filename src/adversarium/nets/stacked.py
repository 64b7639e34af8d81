"""Several networks of one architecture as one: their parameters stacked, so that they share each kernel."""

import copy
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from adversarium.errors import InputError, require

_ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.GELU, nn.Softplus, nn.ELU, nn.Identity)

Layer = Callable[[Sequence[Tensor], Tensor], Tensor]
"""A layer of all networks at once: the stacked parameters, ``[K, ...]``, and inputs ``[K, n, ...]``."""


class StackedNetwork(nn.Module):
    """K networks as one, on flat batches in which they take turns: row r is the (r mod K)-th network's.

    So batches can be joined, split and drawn from as ever, as long as they hold as many rows of each network. The
    parameters are the networks' own, stacked in front of their other axes. Sequences of linear layers and activations
    run as batched products; other networks by ``torch.vmap``.

    Args:
        networks: the K networks. They are copied.

    Raises:
        InputError: none at all, networks of different parameters, or one with buffers, which hold what a network
            remembers of its batches, or with hooks.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        require(len(networks) > 0, "there are no networks: wanted at least one")
        first = networks[0]
        self.names = [name for name, _ in first.named_parameters()]
        for network in networks:
            _check(network, first)
        self.weights = nn.ParameterList(
            nn.Parameter(torch.stack([each.detach() for each in group]), requires_grad=group[0].requires_grad)
            for group in zip(*(network.parameters() for network in networks), strict=True)
        )
        self.count = len(networks)
        layers = _layers(first, {name: index for index, name in enumerate(self.names)})
        self._layers = [_vmapped(first, self.names)] if layers is None else layers

    def forward(self, x: Tensor) -> Tensor:
        """Return what the networks make of their rows, ``[n * K, ...]`` to ``[n * K, ...]``."""
        return self._evaluate(list(self.weights), x)

    def network(self, index: int) -> Callable[[Tensor], Tensor]:
        """Return one of the networks as a function of its rows alone, differentiable by the stacked parameters."""
        return partial(self._evaluate, [weight[index : index + 1] for weight in self.weights])

    def share(self, networks: Sequence[nn.Module]) -> None:
        """Make the networks' parameters views of the stacked ones: what moves these moves those, and the reverse."""
        for index, network in enumerate(networks):
            for parameter, weight in zip(network.parameters(), self.weights, strict=True):
                parameter.data = weight.data[index]

    def _evaluate(self, weights: Sequence[Tensor], x: Tensor) -> Tensor:
        x = x.unflatten(0, (-1, len(weights[0]))).transpose(0, 1)
        for layer in self._layers:
            x = layer(weights, x)
        return x.transpose(0, 1).flatten(0, 1)


def _check(network: nn.Module, first: nn.Module) -> None:
    shapes = [{name: each.shape for name, each in one.named_parameters()} for one in (network, first)]
    same = shapes[0] == shapes[1] and str(network) == str(first)
    require(same and len(shapes[0]) > 0, "the networks differ: wanted ones of the same layers, with parameters")
    for name, module in network.named_modules():
        what = f"the network's {name or 'whole'} ({type(module).__name__})"
        buffers = [key for key, _ in module.named_buffers(recurse=False)]
        if buffers:
            raise InputError(f"{what} has a buffer, {buffers[0]!r}: such networks are trained one after another")
        if module._forward_hooks or module._forward_pre_hooks:
            raise InputError(f"{what} has hooks: such networks are trained one after another")


def _layers(network: nn.Module, indices: dict[str, int], prefix: str = "") -> list[Layer] | None:
    """Return a sequence's layers for stacked parameters, or ``None`` where one of them is not known."""
    if type(network) is nn.Sequential:
        named = network._modules.items()  # not named_children, which shows an activation that is there twice once
        inner = [_layers(module, indices, f"{prefix}{name}.") for name, module in named if module is not None]
        return None if None in inner else [layer for some in inner if some is not None for layer in some]
    if type(network) is nn.Linear:
        return [partial(_linear, indices[f"{prefix}weight"], indices.get(f"{prefix}bias"))]
    if type(network) is nn.Flatten:
        start, end = (axis + 1 if axis >= 0 else axis for axis in (network.start_dim, network.end_dim))
        return [lambda _, x: x.flatten(start, end)]
    if type(network) is nn.Unflatten and isinstance(network.dim, int):
        axis, sizes = network.dim + (network.dim >= 0), network.unflattened_size
        return [lambda _, x: x.unflatten(axis, sizes)]
    if type(network) in _ELEMENTWISE:
        return [lambda _, x: network(x)]
    return None


def _linear(weight: int, bias: int | None, weights: Sequence[Tensor], x: Tensor) -> Tensor:
    if x.ndim != 3:  # a batched product has one axis of rows
        found: Tensor = _linear(weight, bias, weights, x.flatten(1, -2)).unflatten(1, x.shape[1:-1])
        return found
    transposed: Tensor = weights[weight].mT
    return torch.bmm(x, transposed) if bias is None else torch.baddbmm(weights[bias].unsqueeze(1), x, transposed)


def _vmapped(network: nn.Module, names: Sequence[str]) -> Layer:
    template = copy.deepcopy(network)

    def one(weights: Sequence[Tensor], x: Tensor) -> Tensor:
        called: Tensor = torch.func.functional_call(template, dict(zip(names, weights, strict=True)), (x,))
        return called

    def layer(weights: Sequence[Tensor], x: Tensor) -> Tensor:
        # without what replaces functions inside (penalties' faster second derivatives): vmap cannot pass it
        with torch._C.DisableTorchFunction():
            found: Tensor = torch.vmap(one)(list(weights), x)
        return found

    return layer
