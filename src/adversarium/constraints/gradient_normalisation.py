"""Gradient normalisation: the critic's score divided by its slope and itself."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from adversarium.errors import InputError
from adversarium.types import Constraint


def gradient_normalisation() -> Constraint:
    """Divide each score by its slope plus its size: bounded scores, and a slope of at most 1 between kinks.

    Formula:
        f̂(x) = f(x)/(‖∇ₓf(x)‖ + |f(x)|), 0 where both are 0
    Convention:
        The norm runs over all axes of one sample; where f returns several scores per sample (patches), each is
        divided by the slope of their mean. |f̂| <= 1, and c·f has the scores of f. Where f is linear near x (ReLU
        networks), ‖∇f̂‖ = (‖∇f‖/(‖∇f‖ + |f|))² <= 1; across a kink, where ∇f jumps, f̂ jumps too, so it is
        1-Lipschitz between kinks only (and ``slope`` by finite differences is wrong near one). Hooks on the critic,
        which keeps its parameters and its state_dict: it works under ``torch.no_grad``, not under
        ``torch.inference_mode``.
    Elsewhere:
        Equal, but for the guard: the authors' basiclab/GNGAN-PyTorch ``normalize_gradient``, s/(‖∇s‖ + |s|) with the
        gradient of the norm; 0/0 = NaN where slope and score are 0.
    Use when:
        A bounded critic without a weight to tune, at the cost of a gradient penalty at every sample: the
        generator's step has second derivatives too. With the hinge or the non-saturating loss.
    Paper:
        Wu et al. 2021, "Gradient Normalization for Generative Adversarial Networks", arXiv:2109.02235.

    Raises:
        InputError: from ``apply``, a critic with batch norm; from the critic, scores that do not depend on the
            samples or are not one row per sample, or a call under ``torch.inference_mode``.
    """
    return Constraint(name="gradient_normalisation", when="build", apply=_apply)


def _apply(critic: nn.Module) -> None:
    if any(isinstance(hook, _Before) for hook in critic._forward_pre_hooks.values()):
        return
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in critic.modules()):
        raise InputError(
            "the critic has batch norm: the slope at a sample is defined for a critic that does not couple samples"
        )
    grad_modes: list[bool] = []
    critic.register_forward_pre_hook(_Before(grad_modes))
    # called after an exception too, so that the caller's grad mode always comes back
    critic.register_forward_hook(_After(grad_modes), always_call=True)


class _Before:
    """Let the samples require gradients, and the critic build a graph even if its caller wants none."""

    def __init__(self, grad_modes: list[bool]) -> None:
        self.grad_modes = grad_modes  # the callers', innermost last; shared with _After

    def __call__(self, critic: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.grad_modes.append(torch.is_grad_enabled())
        torch.set_grad_enabled(True)
        samples, *rest = args
        return (samples if samples.requires_grad else samples.detach().requires_grad_(True), *rest)


class _After:
    """Normalise the scores, and restore the caller's grad mode."""

    def __init__(self, grad_modes: list[bool]) -> None:
        self.grad_modes = grad_modes

    def __call__(self, critic: nn.Module, args: tuple[Any, ...], scores: Tensor | None) -> Tensor | None:
        wants_graph = self.grad_modes.pop()
        try:
            if scores is None:  # the critic raised
                return None
            normalised = _normalised(scores, args[0])
            return normalised if wants_graph else normalised.detach()
        finally:
            torch.set_grad_enabled(wants_graph)


def _normalised(scores: Tensor, samples: Tensor) -> Tensor:
    if scores.shape[:1] != samples.shape[:1]:
        raise InputError(
            f"the critic's scores have shape {list(scores.shape)} at {samples.shape[0]} samples: "
            "wanted [B] or [B, ...] with the samples' B"
        )
    if torch.is_inference_mode_enabled():
        raise InputError("a gradient-normalised critic was called under torch.inference_mode: wanted torch.no_grad")
    gradient = None
    if scores.requires_grad:
        (gradient,) = torch.autograd.grad(scores.sum(), samples, create_graph=True, allow_unused=True)
    if gradient is None:
        raise InputError("the critic's scores do not depend on its input: there is no slope to divide by")
    f = scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
    # vector_norm, not sqrt(sum of squares): its derivative at zero is 0 where the square root's is NaN
    slope = torch.linalg.vector_norm(gradient.to(f.dtype).flatten(1), dim=1) / math.prod(scores.shape[1:])
    size = slope.view(-1, *[1] * (f.ndim - 1)) + f.abs()
    return (f / torch.where(size > 0, size, 1)).to(scores.dtype)
