"""The weight of an adversarial loss beside a reconstruction loss, from their gradients at one layer."""

import warnings

import torch
from torch import Tensor, distributed, nn

from adversarium.errors import InputError, nearest, require
from adversarium.tensors import described, is_number

LOOK_EVERY = 100
"""An accelerator's count of non-finite weights is read at each of so many calls, so that no step waits for it."""


class AdversarialWeight(nn.Module):
    """Let the adversarial loss pull at a layer as hard as the reconstruction loss does, times ``scale``.

    Formula:
        λ = scale·ramp·min(max(‖∂L_rec/∂w‖ / (‖∂L_adv/∂w‖ + ε), floor), ceiling), w the weight of one layer
        ramp = 0 before ``start_step``, then (step - start_step)/warmup_steps up to 1
    Convention:
        floor 0, ceiling 1e4, ε = 1e-4, no warm-up; scale 1 (the authors' ImageNet tokenizer: 0.8, from step 250,001).
        The norms are Euclidean, in float32 at least; floor and ceiling hold before scale and ramp. No gradient flows
        through λ. ``momentum=m`` replaces the clamped ratio by its moving average (m of the old, from the first one
        on). A ratio that is not finite is not used: the last finite one is, 0 where there is none yet; ``non_finite``
        counts them, and the first one warns (on an accelerator at the next 100th call). Before ``start_step`` nothing
        is differentiated, but for the first call, which checks the layer. In evaluation mode, or where gradients are
        not recorded, it returns the last ratio's λ and moves nothing.

        It fills no ``.grad`` and keeps the graph for your ``backward``. It costs one more backward pass from both
        losses down to the layer: through the critic (without its weights) and what follows the layer. Under
        ``GradScaler`` give both losses unscaled, or both scaled: the factor cancels but for ε. With gradient
        accumulation call it for each micro-batch; λ does not see the division by their number, ε apart. In
        distributed training λ is of the local batch, unless ``group`` is given: then it is that of the whole batch,
        from the mean of both gradients over the group's processes, all of which have to call it.
    Elsewhere:
        CompVis/taming-transformers ``calculate_adaptive_weight`` (the authors') gives the same numbers, and
        CompVis/stable-diffusion's is the same code. They have no ramp (all or nothing from ``disc_start``), take the
        ratio before that too, pass a NaN on, turn an infinite ratio into the ceiling, and are local under DDP.
    Use when:
        A tokenizer, a VAE or a super-resolver has a reconstruction loss and a critic whose scale is not known.
    Paper:
        Esser, Rombach and Ommer 2021, "Taming Transformers for High-Resolution Image Synthesis", arXiv:2012.09841.

    Attributes:
        ratio: the last finite ratio, clamped and smoothed; a buffer.
        updates: how many finite ratios there were; a buffer.
        non_finite: how many ratios were not finite; a buffer.

    Raises:
        InputError: a layer that the network does not have, or that is frozen; the layer itself in the place of its
            name; numbers outside their range.
    """

    ratio: Tensor
    updates: Tensor
    non_finite: Tensor

    def __init__(
        self,
        network: nn.Module,
        layer: str = "decoder.conv_out.weight",
        *,
        floor: float = 0.0,
        ceiling: float = 1e4,
        scale: float = 1.0,
        start_step: int = 0,
        warmup_steps: int = 0,
        epsilon: float = 1e-4,
        momentum: float = 0.0,
        group: "distributed.ProcessGroup | None" = None,
    ) -> None:
        super().__init__()
        numbers = {"floor": floor, "ceiling": ceiling, "scale": scale, "epsilon": epsilon, "momentum": momentum}
        for name, number in (numbers | {"start_step": start_step, "warmup_steps": warmup_steps}).items():
            require(is_number(number), f"{name} is {described(number)}: wanted a number")
        is_group = group is None or (distributed.is_available() and isinstance(group, distributed.ProcessGroup))
        wanted = "wanted a torch.distributed.ProcessGroup (distributed.group.WORLD for all), or None"
        require(is_group, f"group is {described(group)}: {wanted}")
        require(
            0 <= floor <= ceiling < float("inf"), f"floor is {floor} and ceiling {ceiling}: wanted 0 <= floor <= it"
        )
        require(0 <= scale < float("inf"), f"scale is {scale}: wanted a number that is not negative")
        require(0 < epsilon < float("inf"), f"epsilon is {epsilon}: wanted a positive number")
        require(0 <= momentum < 1, f"momentum is {momentum}: wanted a number from 0 to below 1")
        for name, steps in (("start_step", start_step), ("warmup_steps", warmup_steps)):
            require(steps >= 0, f"{name} is {steps}: wanted a number that is not negative")
        self.floor, self.ceiling, self.scale, self.epsilon = floor, ceiling, scale, epsilon
        self.start_step, self.warmup_steps, self.momentum, self.group = start_step, warmup_steps, momentum, group
        self.layer = _parameter_name(network, layer)
        self._network = (network,)  # in a tuple: its weights are not ours to save
        self._calls, self._warned = 0, False
        self.register_buffer("ratio", torch.zeros(()))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("non_finite", torch.zeros((), dtype=torch.int64))

    def forward(self, reconstruction_loss: Tensor, adversarial_loss: Tensor, step: int) -> Tensor:
        """Return λ, a number (shape ``[]``, float32) without a graph, from both losses ``[]`` and the step's number.

        Raises:
            InputError: a loss that is no single number, has no graph, or does not reach the layer; a step that is no
                number.
        """
        is_step = is_number(step) or (isinstance(step, Tensor) and step.numel() == 1)
        require(is_step, f"step is {described(step)}: wanted the number of the step, from 0 on")
        if self.training and torch.is_grad_enabled() and (step >= self.start_step or self._calls == 0):
            norms = self._norms(reconstruction_loss, adversarial_loss)
            self.to(norms.device)
            if step >= self.start_step:
                self._move(norms)
            self._calls += 1
            if norms.device.type == "cpu" or self._calls % LOOK_EVERY == 0:
                self._warn()
        since = step - self.start_step
        ramp = min(since / self.warmup_steps, 1.0) if self.warmup_steps else 1.0
        return self.ratio.float() * (self.scale * ramp if since >= 0 else 0.0)

    def extra_repr(self) -> str:
        """Return the layer's name."""
        return self.layer

    def _norms(self, reconstruction_loss: Tensor, adversarial_loss: Tensor) -> Tensor:
        weight = self._network[0].get_parameter(self.layer)
        require(weight.requires_grad, f"layer {self.layer!r} is frozen: its gradient is not recorded")
        gradients = []
        for name, loss in (("reconstruction_loss", reconstruction_loss), ("adversarial_loss", adversarial_loss)):
            wanted = "wanted one number, a tensor of shape [] with its graph"
            require(isinstance(loss, Tensor), f"{name} is {described(loss)}: {wanted}")
            require(loss.ndim == 0, f"{name} has shape {list(loss.shape)}: wanted one number, shape []: take its mean")
            # the caller's backward needs the graph again
            found = (
                torch.autograd.grad(loss, weight, retain_graph=True, allow_unused=True) if loss.requires_grad else ()
            )
            if not found or found[0] is None:
                raise InputError(f"{name} does not reach layer {self.layer!r}: it has no gradient there")
            gradients.append(found[0].detach().flatten())
        both = torch.stack(gradients)
        both = both.to(torch.promote_types(both.dtype, torch.float32))
        if self.group is not None:
            distributed.all_reduce(both, group=self.group)
            both = both / distributed.get_world_size(self.group)
        norms: Tensor = torch.linalg.vector_norm(both, dim=1)
        return norms

    @torch.no_grad()
    def _move(self, norms: Tensor) -> None:
        ratio = norms[0] / (norms[1] + self.epsilon)
        finite = norms.isfinite().all() & ratio.isfinite()  # an infinite adversarial gradient has a ratio of 0
        past, ratio = self.ratio, ratio.clamp(self.floor, self.ceiling).to(self.ratio.dtype)
        smooth = torch.where(self.updates == 0, ratio, torch.lerp(ratio, past, self.momentum))
        self.ratio.copy_(torch.where(finite, smooth, past))
        self.updates.add_(finite)
        self.non_finite.add_(~finite)

    def _warn(self) -> None:
        if self._warned or not self.non_finite:
            return
        self._warned = True
        warnings.warn(
            f"the gradients at layer {self.layer!r} were not finite: the adversarial weight stays at its last finite "
            "value; non_finite counts how often",
            RuntimeWarning,
            stacklevel=3,
        )


def _parameter_name(network: nn.Module, layer: str) -> str:
    """Return the name of the parameter that a layer's name means: its own, or its ``weight``'s."""
    swapped = "; the network comes first, then the layer's name" if isinstance(layer, nn.Module) else ""
    is_network = isinstance(network, nn.Module)
    require(
        is_network, f"network is {described(network)}: wanted the nn.Module whose samples both losses judge{swapped}"
    )
    named = dict(network.named_parameters(remove_duplicate=False))
    if not isinstance(layer, str):
        parts = [*network.named_modules(remove_duplicate=False), *named.items()]
        found = next((name for name, part in parts if part is layer), None)
        hint = f", {found!r}" if found else ", one of network.named_parameters()"
        raise InputError(f"layer is {described(layer)}: wanted its name in the network{hint}")
    names = list(named)
    for name in (layer, f"{layer}.weight"):
        if name in names:
            return name
    below = [name for name in names if name.startswith(f"{layer}.")]
    if below:
        raise InputError(f"layer {layer!r} has no parameter weight; it has {', '.join(below[:8])}: wanted one of them")
    require(bool(names), f"network is a {type(network).__name__} without parameters: there is no layer to look at")
    wide = [name for name, each in named.items() if each.ndim > 1]
    modules = [name.rpartition(".")[0] for name in names if name.endswith(".weight")]
    raise InputError(
        f"the network has no layer {layer!r}{nearest(layer, [*names, *filter(None, modules)])}; "
        f"it has {len(names)} parameters, and its last matrix or filter is {(wide or names)[-1]!r}"
    )
