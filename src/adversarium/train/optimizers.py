"""Optimizers from a preset's settings."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from adversarium.types import OptimizerSettings, at


def build_optimizer(settings: OptimizerSettings, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimizer, in its fastest implementation."""
    learning_rate, beta2 = at(settings.learning_rate, 0.0), at(settings.beta2, 0.0)
    if settings.kind == "adam":
        return torch.optim.Adam(parameters, lr=learning_rate, betas=(settings.beta1, beta2), fused=True)
    return torch.optim.RMSprop(parameters, lr=learning_rate, alpha=beta2, foreach=True)


def set_progress(optimizer: torch.optim.Optimizer, settings: OptimizerSettings, images: int) -> None:
    """Give the optimizer the settings that hold after so many images."""
    for group in optimizer.param_groups:
        group["lr"] = at(settings.learning_rate, images)
        if settings.kind == "adam":
            group["betas"] = (settings.beta1, at(settings.beta2, images))
        else:
            group["alpha"] = at(settings.beta2, images)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the state as flat tensors, ``<parameter number>.<name>``; the settings follow from the images seen."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, entries in state.items() for name, value in entries.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what :func:`optimizer_tensors` returned."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        parameter = parameters[int(index)]
        if value.shape == parameter.shape and value.ndim > 0:
            # fused kernels walk parameter and state side by side: the memory layouts must agree
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
