"""Optimizers from a preset's settings."""

import dataclasses
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from adversarium.config import TrainConfig
from adversarium.errors import require
from adversarium.types import Anneal, OptimizerKind, OptimizerSettings, Preset, Scheduled, Shape, at

_ADAMS = ("adam", "amsgrad")


def settings_of(config: TrainConfig, preset: Preset) -> tuple[OptimizerSettings, OptimizerSettings]:
    """Return the critic's and the generator's optimizer settings: the preset's, as the configuration changes them.

    Raises:
        InputError: a constant that the optimizer has not, or a decay of a learning rate that the preset anneals.
    """
    return (
        _configured("critic", preset.critic_optimizer, config.critic_learning_rate, config),
        _configured("generator", preset.generator_optimizer, config.generator_learning_rate, config),
    )


def _configured(
    player: str, published: OptimizerSettings, given_rate: float | None, config: TrainConfig
) -> OptimizerSettings:
    kind = cast(OptimizerKind, config.optimizer or published.kind)
    beta1, beta2 = published.beta1, paced(published.beta2, config)
    if kind != published.kind and not (kind in _ADAMS and published.kind in _ADAMS):
        # another optimizer's constants mean something else: no momentum, and torch's own
        beta1, beta2 = 0.0, 0.99 if kind == "rmsprop" else 0.999
    require(config.beta2 is None or kind != "sgd", f"beta2 is {config.beta2}, and sgd has none: leave --beta2 out")
    none = config.beta1 in (None, 0.0) or kind != "rmsprop"
    require(none, f"beta1 is {config.beta1}, and rmsprop has none: leave --beta1 out")
    require(
        given_rate is not None or kind == published.kind or kind != "sgd",
        f"optimizer is sgd, and {config.preset}'s learning rates are for {published.kind}: add "
        "--critic-learning-rate and --generator-learning-rate",
    )
    rate = paced(published.learning_rate, config) if given_rate is None else given_rate
    if config.decay is not None:
        assert config.decay_kimg is not None
        require(
            not isinstance(rate, Anneal),
            f"decay is {config.decay!r}, and {config.preset} anneals the {player}'s learning rate already: give one, "
            f"--{player}-learning-rate",
        )
        images = config.decay_kimg * 1000
        rate = Anneal(at(rate, 0), 0.0, over_images=images, shape=cast(Shape, config.decay))
    return OptimizerSettings(
        kind=kind,
        learning_rate=rate,
        beta1=beta1 if config.beta1 is None else config.beta1,
        beta2=beta2 if config.beta2 is None else config.beta2,
    )


def decay_kimg(config: TrainConfig) -> float | None:
    """Return over how many thousand images the configured decay moves the learning rates, if there is one.

    Raises:
        InputError: a duration without a decay, or neither a duration nor a budget in images.
    """
    if config.decay is None:
        require(config.decay_kimg is None, f"decay_kimg is {config.decay_kimg}, and there is no decay: add --decay")
        return None
    found = config.kimg if config.decay_kimg is None else config.decay_kimg
    require(
        found is not None,
        f"decay is {config.decay!r}, and the budget is not in kimg: add --decay-kimg, over how many thousand images",
    )
    assert found is not None
    require(
        config.kimg is None or config.kimg <= found,
        f"decay_kimg is {found}, and the run ends at {config.kimg} kimg: nothing would move between the two",
    )
    return found


def paced(value: Scheduled, config: TrainConfig) -> Scheduled:
    """Return an annealed value that moves over the configured number of images."""
    if isinstance(value, Anneal) and config.anneal_kimg is not None:
        return dataclasses.replace(value, over_images=config.anneal_kimg * 1000)
    return value


def build_optimizer(settings: OptimizerSettings, parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Return the optimizer of ``torch.optim``, in its fastest implementation, with the settings of a run's start."""
    # torch's constructors refuse negative moments, which its kernels compute as well as others: they are set after
    rate = at(settings.learning_rate, 0.0)
    if settings.kind == "sgd":
        optimizer: Optimizer = torch.optim.SGD(parameters, lr=rate, fused=True)
    elif settings.kind == "rmsprop":
        optimizer = torch.optim.RMSprop(parameters, lr=rate, foreach=True)
    else:
        optimizer = torch.optim.Adam(parameters, lr=rate, amsgrad=settings.kind == "amsgrad", fused=True)
    set_progress(optimizer, settings, 0)
    return optimizer


def set_progress(optimizer: Optimizer, settings: OptimizerSettings, images: int) -> None:
    """Give the optimizer the settings that hold after so many images."""
    for group in optimizer.param_groups:
        group["lr"] = at(settings.learning_rate, images)
        if settings.kind == "sgd":
            group["momentum"] = settings.beta1
        elif settings.kind == "rmsprop":
            group["alpha"] = at(settings.beta2, images)
        else:
            group["betas"] = (settings.beta1, at(settings.beta2, images))


def clip_gradient_norm(optimizer: Optimizer, max_norm: float) -> RemovableHandle:
    """From now on, scale an optimizer's gradients down to a norm before each of its steps, whoever calls it.

    The norm is of all gradients together; smaller ones stay as they are. A game rule that looks ahead takes two steps,
    and both are clipped. It waits for no number from a GPU. What it returns is the hook's handle: ``handle.remove()``
    ends it.

    Raises:
        InputError: a norm that is not positive.
    """
    require(max_norm > 0, f"max_norm is {max_norm}: wanted a positive number")

    def clip(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        moved = [each for group in optimizer.param_groups for each in group["params"] if each.grad is not None]
        nn.utils.clip_grad_norm_(moved, max_norm)

    return optimizer.register_step_pre_hook(clip)


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the state as flat tensors, ``<parameter number>.<name>``; the settings follow from the images seen."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, entries in state.items() for name, value in entries.items()}


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back a copy of what :func:`optimizer_tensors` returned."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        parameter = parameters[int(index)]
        if value.shape == parameter.shape and value.ndim > 0:
            # fused kernels walk parameter and state side by side: the memory layouts must agree
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        else:  # a count of steps goes on in place, and what was saved is another's to restore, too
            value = value.clone()
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
