"""What the rules do to weights between gradients. Their memory lies in ``optimizer.state``, and is saved with it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from adversarium.errors import require


def weights(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return the parameters that an optimizer may move."""
    return [each for group in optimizer.param_groups for each in group["params"] if each.requires_grad]


def copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return copies without graphs."""
    return [each.detach().clone() for each in tensors]


def moving(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return the parameters that an optimizer's next step moves, or its last one moved: those with a gradient."""
    return [each for group in optimizer.param_groups for each in group["params"] if each.grad is not None]


@torch.no_grad()
def put(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Overwrite weights with values."""
    if tensors:
        torch._foreach_copy_(list(tensors), list(values))


def recall(optimizer: torch.optim.Optimizer, weight: Tensor, name: str) -> Tensor | None:
    """Return what was remembered for a weight, or ``None`` where nothing was."""
    found: Tensor | None = optimizer.state.get(weight, {}).get(name)
    return found


def remember(optimizer: torch.optim.Optimizer, name: str, values: Sequence[Tensor]) -> None:
    """Keep a value for each weight that the optimizer's last step moved, and forget those of the others.

    Only for weights that the optimizer has moved: many optimizers make their own state where they find none at all.
    """
    for state in optimizer.state.values():
        state.pop(name, None)
    for each, value in zip(moving(optimizer), values, strict=True):
        optimizer.state[each][name] = value


def set_gradients(optimizer: torch.optim.Optimizer, values: Sequence[Tensor]) -> None:
    """Give each of an optimizer's weights a gradient, in the weight's memory layout.

    Fused kernels walk both side by side, and do not look. Autograd's gradients have that layout; sums of products with
    second derivatives may not. A weight that is no longer trained loses the gradient of its last step.
    """
    optimizer.zero_grad(set_to_none=True)
    for each, value in zip(weights(optimizer), values, strict=True):
        value = value.detach()
        each.grad = value if value.stride() == each.stride() else torch.empty_like(each).copy_(value)


def rates(optimizer: torch.optim.Optimizer) -> list[float]:
    """Return the learning rate of each parameter that an optimizer may move."""
    return [float(group["lr"]) for group in optimizer.param_groups for each in group["params"] if each.requires_grad]


def learning_rates(optimizer: torch.optim.Optimizer, rule: str) -> list[float]:
    """Return each weight's learning rate, of an optimizer that does nothing but descend.

    Raises:
        InputError: another optimizer than ``SGD``, or one with momentum or weight decay, or one that ascends.
    """
    plain = isinstance(optimizer, torch.optim.SGD) and not any(
        group["momentum"] or group["weight_decay"] or group["maximize"] for group in optimizer.param_groups
    )
    require(
        plain,
        f"{rule} got {type(optimizer).__name__}: it solves for the step of plain gradient descent, and wants "
        "torch.optim.SGD without momentum, weight decay or maximize",
    )
    return rates(optimizer)
