"""The critic's slope: the norm of its gradient by a sample, differentiable by the weights. Three ways to take it."""

import math
from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrize

from adversarium.errors import InputError, lookup, require
from adversarium.penalties._check import of_one_critic
from adversarium.penalties._values import norms, per_sample
from adversarium.penalties.second_order import SecondOrder
from adversarium.types import Critic, PerSample, Samples

Method = Literal["exact", "functional", "finite"]
"""How a slope is taken; see :func:`slope`."""

METHODS: dict[str, str] = {
    "exact": "double backward; the fastest eager way",
    "functional": "torch.func.grad inside the graph; for torch.compile(fullgraph=True)",
    "finite": "a central difference; no second derivative at all; for smooth activations",
}
"""The three methods, and what each is for."""


_NO_GRADIENT = "the critic's scores do not depend on its input: there is no gradient to penalise"


def slope(
    critic: Critic, samples: Samples, method: Method = "exact", *, attached: bool = False, squared: bool = False
) -> PerSample:
    """Return the Euclidean norm of the critic's gradient at each sample, differentiable by the weights.

    ``‖∇ₓ D(x)‖₂`` over *all* axes of a sample (never over the batch, never per pixel). Where a critic returns
    several scores per sample (patches), D is their mean, the value that the loss sees. The norm and what follows are
    computed in float32 at least. A zero gradient has norm 0 and the subgradient 0, never NaN. It works under
    ``torch.no_grad`` too; ``torch.inference_mode`` forbids gradients altogether.

    The methods agree where all of them apply; on a smooth critic the third's parameter gradients do so to about 1e-3
    in float32.

    * ``exact``: the gradient is taken with ``create_graph`` and differentiated again. Attention runs on torch's
      plain kernel, whose second derivative exists.
    * ``functional``: ``torch.func.grad`` inside the graph. ``torch.compile(fullgraph=True)`` takes it; a gradient
      with ``create_graph`` inside a compiled function cannot be differentiated again. A critic with weights that
      ignores its input has slope 0 here, where the others raise. Checkpointed activations
      (``torch.utils.checkpoint``) are not supported by torch here.
    * ``finite``: with v the gradient's direction, held fixed, ``(D(x + h·v) - D(x - h·v)) / 2h``. Its derivative by
      the weights is the slope's, up to O(h²): ``∂‖∇D‖ = v·∂∇D``. Nothing is differentiated twice, so sharded
      weights, flash attention and custom kernels will do. Two more forward passes; h is chosen for each sample, from
      the scores' dtype: return them in the dtype that the critic computes in. Take it with smooth activations (SiLU,
      GELU, softplus, tanh): where a ReLU's kink lies between the two ends its value stays right, but its derivative
      gets a term of size 1/h, and such critics' gradients are mostly noise in float32. Dropout that draws from
      torch's global streams has the same masks at both ends, and normalisation by torch's parametrisations the same
      weights; other randomness has to be switched off.

    Args:
        critic: a callable ``[B, ...] -> [B]`` or ``[B, ...]``, which must not couple the samples of a batch. Batch
            norm is seen, and refused, where the critic is an ``nn.Module``; a lambda hides it.
        samples: ``[B, ...]``, floating point.
        method: ``exact``, ``functional`` or ``finite``.
        attached: keep the graph of the samples themselves, which is otherwise cut: the slope is then differentiable
            by what made them too, as many times as the critic is. Not with ``finite``.
        squared: return the slope's square. At slope 0 a norm has no second derivative, and its square has them all:
            right for every penalty that squares, and needed by rules and fields that differentiate a gradient.

    Raises:
        InputError: the critic's scores do not depend on its input, or are not one row per sample; the critic has
            batch norm in training mode; an unknown method; ``attached`` with ``finite``.
    """
    return scores_and_slope(critic, samples, method, attached=attached, squared=squared)[1]


def scores_and_slope(
    critic: Critic, samples: Samples, method: Method = "exact", *, attached: bool = False, squared: bool = False
) -> tuple[Tensor, PerSample]:
    """Return the critic's scores at the samples, and :func:`slope` there, from one forward pass (``finite``: three).

    Raises:
        InputError: as in :func:`slope`.
    """
    lookup("method", method, METHODS)
    check_samples(samples)
    refuse_batch_norm(critic)
    require(not attached or method != "finite", "method is 'finite', whose slope has no second derivative to attach")
    if not (attached and samples.requires_grad):
        samples = samples.detach()
    compute = {"exact": _exact, "functional": _functional, "finite": _finite}[method]
    scores, slopes = compute(critic, samples, squared)
    return (scores, slopes) if torch.is_grad_enabled() else (scores.detach(), slopes.detach())


def slope_of(
    scores: Tensor, samples: Samples, second_order: SecondOrder | None = None, *, squared: bool = False
) -> PerSample:
    """Return :func:`slope` from scores that were already computed at ``samples`` (which require gradients).

    ``second_order`` is the context in which they were computed, if they were computed in one: it makes the second
    derivatives of convolutional critics faster.

    Raises:
        InputError: the scores do not depend on the samples, or are not one row per sample.
    """
    _check_scores(scores, samples)
    if second_order is not None:
        second_order.taking_slope = True
    try:
        gradient = _gradient(scores, samples, create_graph=True)
    finally:
        if second_order is not None:
            second_order.taking_slope = False
    return _mean_slope(gradient, scores, squared)


def _mean_slope(gradient: Tensor, scores: Tensor, squared: bool) -> Tensor:
    # the mean over a sample's patches, taken where it is not rounded
    return norms(gradient, squared) / _patches(scores) ** (2 if squared else 1)


def twice_differentiable() -> AbstractContextManager[None]:
    """Return the context in which attention has a second derivative (the fast kernels have none)."""
    context: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return context


def _exact(critic: Critic, samples: Tensor, squared: bool) -> tuple[Tensor, Tensor]:
    samples = samples.requires_grad_(True)
    second_order = SecondOrder()
    with torch.enable_grad(), twice_differentiable():
        with second_order:
            scores = critic(samples)
        return scores, slope_of(scores, samples, second_order, squared=squared)


def _functional(critic: Critic, samples: Tensor, squared: bool) -> tuple[Tensor, Tensor]:
    def total(x: Tensor) -> tuple[Tensor, Tensor]:
        scores = critic(x)
        _check_scores(scores, x)
        if not scores.requires_grad:
            raise InputError(_NO_GRADIENT)
        return scores.sum(), scores

    with torch.enable_grad(), twice_differentiable():
        gradient, scores = torch.func.grad(total, has_aux=True)(samples)
        return scores, _mean_slope(gradient, scores, squared)


def _finite(critic: Critic, samples: Tensor, squared: bool) -> tuple[Tensor, Tensor]:
    before = _random_state(samples)
    with torch.enable_grad():
        x = samples.requires_grad_(True)
        scores = critic(x)
        _check_scores(scores, x)
        gradient = _gradient(scores, x, create_graph=False)
    after = _random_state(samples)
    x = samples.detach()
    patches = _patches(scores)
    norm = norms(gradient) / patches
    step = _step(x, scores.detach(), norm)
    # as many axes as a sample has
    along = (-1,) + (1,) * (x.ndim - 1)
    move = gradient.to(norm.dtype) * (step / (norm * patches).clamp_min(torch.finfo(norm.dtype).tiny)).view(along)
    ends = ((x + move).to(x.dtype), (x - move).to(x.dtype))
    with parametrize.cached():
        if all(torch.equal(a, b) for a, b in zip(before, after, strict=True)):
            high, low = critic(torch.cat(ends)).split(len(x))
        else:  # the critic draws random numbers (dropout): both ends get those of the first pass
            _restore_random_state(samples, before)
            high = critic(ends[0])
            _restore_random_state(samples, before)
            low = critic(ends[1])
    estimate = (per_sample(high) - per_sample(low)) / (2 * step)
    # the value is at hand without rounding; only its derivative is that of the difference
    found = norm + (estimate - estimate.detach())
    return scores, found.square() if squared else found


def _step(samples: Tensor, scores: Tensor, norm: Tensor) -> Tensor:
    """Return the half-width of each sample's difference, ``[B]``, as a length in sample space.

    Rounding costs ε·|D|/(h·‖∇D‖), curvature (h/ℓ)²/6, and their sum is least near the cube root of
    3·ε·ℓ²·|D|/‖∇D‖. The length ℓ on which a critic bends is taken to be a sample's root mean square. The factor 50
    in place of 3 was the best over convolutional, fully connected and attention critics (float32: errors of 2e-5 to
    1e-3).
    """
    precision = torch.finfo(scores.dtype).eps
    length = torch.linalg.vector_norm(samples.to(norm.dtype).flatten(1), dim=1) / math.sqrt(samples[0].numel())
    length = torch.where(length > 0, length, 1.0)
    # a flat critic has no scale of its own: any step gives its slope of 0
    scale = torch.where(norm > 0, per_sample(scores).abs() / norm.clamp_min(torch.finfo(norm.dtype).tiny), 0.0)
    return (50 * precision * (scale.clamp_max(1e6) + length) * length.square()).pow(1 / 3)


def _gradient(scores: Tensor, samples: Tensor, *, create_graph: bool) -> Tensor:
    if not scores.requires_grad:
        raise InputError(_NO_GRADIENT)
    # the scores' graph is kept: a loss may read them too
    (gradient,) = torch.autograd.grad(
        scores.sum(), samples, create_graph=create_graph, retain_graph=True, allow_unused=True
    )
    if gradient is None:
        raise InputError(_NO_GRADIENT)
    return gradient


def _patches(scores: Tensor) -> int:
    return math.prod(scores.shape[1:])


def _check_scores(scores: Tensor, samples: Tensor) -> None:
    of_one_critic(scores)
    if scores.shape[:1] != samples.shape[:1]:
        raise InputError(
            f"the critic's scores have shape {list(scores.shape)} at {samples.shape[0]} samples: "
            "wanted [B] or [B, ...] with the samples' B"
        )


def check_samples(samples: Tensor, name: str = "samples") -> None:
    """Refuse samples that a critic cannot score.

    Raises:
        InputError: none at all, or numbers that are not floating point.
    """
    if not samples.is_floating_point():
        raise InputError(f"{name} has dtype {samples.dtype}: wanted floating point numbers")
    if samples.ndim == 0 or samples.numel() == 0:
        raise InputError(f"{name} has shape {list(samples.shape)}: wanted [B, ...] with B at least 1")


def refuse_batch_norm(critic: Critic) -> None:
    """Refuse a critic whose scores depend on the whole batch.

    Raises:
        InputError: batch norm in training mode, or without running statistics.
    """
    if torch.compiler.is_compiling() or not isinstance(critic, nn.Module):
        return
    for name, module in critic.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and (module.training or module.running_mean is None):
            raise InputError(
                f"the critic has batch norm of the batch's own statistics ({name or type(module).__name__}): every "
                "score depends on the whole batch, so a sample has no slope of its own; wanted a critic without it"
            )


def _random_state(samples: Tensor) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(samples.device)] if samples.is_cuda else states


def _restore_random_state(samples: Tensor, states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if samples.is_cuda:
        torch.cuda.set_rng_state(states[1], samples.device)
