"""The f-GAN family: any f-divergence between data and generator, by its variational bound."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from adversarium.errors import lookup, require
from adversarium.losses._additive import additive
from adversarium.losses._check import check_scores
from adversarium.types import Cost, Loss, ScoreFunction


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """An f-divergence D_f(p‖q) = Σ q·f(p/q) and the bound E_p g(v) - E_q f*(g(v)), which is tight at the optimum.

    Attributes:
        f: the convex function, f(1) = 0 (``gan``: f(1) = -log 4), of the ratio u = p/q.
        output: g, which maps any score v into the domain of f*.
        composite: h(v) = f*(g(v)), written so that it is exact at any score.
        optimum: u to the score v* at which g(v*) = f'(u).
        magnitudes: where the halves -g(r) and h(s) can overflow to opposite infinities: log|g(r)| and log|h(s)| up to
            constants that vanish there. They say which of the two is the larger.
    """

    f: Cost
    output: Cost
    composite: Cost
    optimum: Cost
    magnitudes: tuple[Cost, Cost] | None = None


class _Balance(torch.autograd.Function):
    """Solve ℓ + e^ℓ = y: ℓ = log W(e^y), W the Lambert function. dℓ/dy = σ(-ℓ)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(y: Tensor) -> Tensor:
        # Newton on a convex, rising function from the right of its root descends to it: log y > ℓ where y > 1, and
        # y > ℓ elsewhere. Six steps reach the last bit of float64 from any y
        root = torch.where(y > 1, y.clamp(min=1).log(), y)
        for _ in range(6):
            exponential = root.exp()
            root = root - (root + exponential - y) / (1 + exponential)
        return root

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (root,) = ctx.saved_tensors
        return gradient * torch.sigmoid(-root)


def _jeffreys_composite(v: Tensor) -> Tensor:
    wide = v if v.dtype == torch.float64 else v.float()  # Newton's steps lose too much in half precision
    minus_log_ratio: Tensor = _Balance.apply(1 - wide)  # type: ignore[no-untyped-call]
    return ((-minus_log_ratio).exp() - minus_log_ratio - 1).to(v.dtype)


def _alpha(alpha: float) -> Divergence:
    # expm1(c·x)/c, whose limit at c = 0 is x
    def power(c: float) -> Cost:
        return (lambda x: x) if c == 0 else lambda x: torch.expm1(c * x) / c

    grown, shrunk = power(alpha), power(alpha - 1)

    def f(u: Tensor) -> Tensor:
        if alpha == 1:
            return u * u.log() - u + 1
        return (grown(u.log()) - u + 1) / (alpha - 1)

    return Divergence(
        f=f,
        output=shrunk,
        composite=grown,
        optimum=torch.log,
        magnitudes=None
        if 0 <= alpha <= 1
        else (
            lambda r: (alpha - 1) * r - math.log(abs(alpha - 1)),
            lambda s: alpha * s - math.log(abs(alpha)),
        ),
    )


LOG2 = math.log(2)
DEFAULT_ALPHA = 0.5

DIVERGENCES: dict[str, Divergence] = {
    "kl": Divergence(
        f=lambda u: u * u.log(),
        output=lambda v: v,
        composite=lambda v: (v - 1).exp(),
        optimum=lambda u: 1 + u.log(),
    ),
    "reverse_kl": Divergence(
        f=lambda u: -u.log(),
        output=lambda v: -(-v).exp(),
        composite=lambda v: v - 1,
        optimum=torch.log,
    ),
    "pearson": Divergence(
        f=lambda u: (u - 1).square(),
        output=lambda v: v,
        composite=lambda v: v.square() / 4 + v,
        optimum=lambda u: 2 * (u - 1),
    ),
    "neyman": Divergence(
        f=lambda u: (1 - u).square() / u,
        output=lambda v: -torch.expm1(-v),
        composite=lambda v: -2 * torch.expm1(-v / 2),
        optimum=lambda u: 2 * u.log(),
        magnitudes=(lambda r: -r, lambda s: LOG2 - s / 2),
    ),
    "squared_hellinger": Divergence(
        f=lambda u: (u.sqrt() - 1).square(),
        output=lambda v: -torch.expm1(-v),
        composite=torch.expm1,
        optimum=lambda u: u.log() / 2,
    ),
    "jeffreys": Divergence(
        f=lambda u: (u - 1) * u.log(),
        output=lambda v: v,
        composite=_jeffreys_composite,
        optimum=lambda u: u.log() + 1 - 1 / u,
    ),
    "jensen_shannon": Divergence(
        f=lambda u: u * u.log() - (u + 1) * ((u + 1) / 2).log(),
        output=lambda v: LOG2 + logsigmoid(v),
        composite=lambda v: -LOG2 - logsigmoid(-v),
        optimum=torch.log,
    ),
    "gan": Divergence(
        f=lambda u: u * u.log() - (u + 1) * (u + 1).log(),
        output=logsigmoid,
        composite=lambda v: -logsigmoid(-v),
        optimum=torch.log,
    ),
    "total_variation": Divergence(
        f=lambda u: (u - 1).abs() / 2,
        output=lambda v: v.tanh() / 2,
        composite=lambda v: v.tanh() / 2,
        optimum=lambda u: 40 * (u - 1).sign(),  # approached at infinity; tanh 40 is 1
    ),
    "alpha": _alpha(DEFAULT_ALPHA),
}
"""The divergences that ``f_divergence`` knows by name."""


def f_divergence(divergence: str = "kl", alpha: float | None = None, saturating: bool = True) -> Loss:
    """Minimise an f-divergence of the generator from the data, by its variational bound (f-GAN).

    Formula:
        critic:    -g(r) + h(s),  h = f*∘g
        generator: -h(s) (saturating) or -g(s)
        kl:                g = v,              h = e^(v-1)
        reverse_kl:        g = -e^(-v),        h = v - 1
        pearson:           g = v,              h = v²/4 + v
        neyman:            g = 1 - e^(-v),     h = 2 - 2e^(-v/2)
        squared_hellinger: g = 1 - e^(-v),     h = e^v - 1
        jeffreys:          g = v,              h = e^(-ℓ) - ℓ - 1 where ℓ + e^ℓ = 1 - v
        jensen_shannon:    g = log 2 + log σ(v),  h = -log 2 - log σ(-v)
        gan:               g = log σ(v),       h = -log σ(-v)
        total_variation:   g = h = ½tanh v
        alpha:             g = (e^((α-1)v) - 1)/(α - 1),  h = (e^(αv) - 1)/α
    Convention:
        D_f(p‖q) = Σ q·f(p/q), p the data, so ``kl`` is KL(p‖q). Minus the critic's mean is a lower bound of it, equal
        at v* = (g^-1∘f')(p/q). ``jensen_shannon`` is 2·JS, ``gan`` 2·JS - log 4 (it equals ``minimax``, and
        ``nonsaturating`` with ``saturating=False``), ``total_variation`` ½Σ|p - q|, ``squared_hellinger``
        Σ(√p - √q)², ``jeffreys`` KL(p‖q) + KL(q‖p). ``saturating=False`` is the paper's trick of maximising g: same
        fixed point, stronger early gradients, no longer the bound. ``alpha`` has f(u) =
        (u^α - 1 - α(u - 1))/(α(α - 1)): ``kl`` at 1, ``reverse_kl`` at 0 (limits), half ``pearson`` at 2, half
        ``neyman`` at -1, twice ``squared_hellinger`` at ½ (the default). Its score is log(p/q) for every α; the
        paper's output activation for it differs (g = v). Many of these grow exponentially: where the true
        value exceeds the dtype's range it is infinite, never NaN.
    Elsewhere:
        nowozin/mlss2018-madrid-gan (an author's notebook, ``ConjugateDualFunction``): kl, pearson, jensen and gan are
        equal, the generator's -E f*(T) too; klrev, neyman and hellinger have -e^v for our -e^(-v) (up = fake), and
        call ``torch.nn.functional.exp``, which current torch lacks. wiseodd/generative-models ``f_gan_pytorch.py``:
        the same signs as there, and ½tanh v for the total variation as here.
    Use when:
        To choose between covering all modes (``kl``) and avoiding bad samples (``reverse_kl``). Unbounded
        ones need a critic kept tame by a penalty; ``jensen_shannon``, ``gan`` and ``total_variation`` are bounded.
    Paper:
        Nowozin, Cseke and Tomioka 2016, "f-GAN: Training Generative Neural Samplers using Variational Divergence
        Minimization", arXiv:1606.00709.

    Raises:
        InputError: an unknown divergence, an alpha that is not finite, or an alpha for another divergence.
    """
    chosen = lookup("divergence", divergence, DIVERGENCES)
    require(
        alpha is None or divergence == "alpha",
        f'alpha is {alpha}: wanted none with divergence={divergence!r}; only divergence="alpha" reads it',
    )
    if divergence == "alpha":
        alpha = DEFAULT_ALPHA if alpha is None else alpha
        require(math.isfinite(alpha), f"alpha is {alpha}: wanted a finite number")
        chosen = _alpha(alpha)
    generator = chosen.composite if saturating else chosen.output

    loss = additive(
        "f_divergence",
        real=lambda r: -chosen.output(r),
        fake=chosen.composite,
        generator=lambda s: -generator(s),
        arguments={"divergence": divergence, "alpha": alpha, "saturating": saturating},
        boundary=float(chosen.optimum(torch.ones(()))),
    )
    return loss if chosen.magnitudes is None else replace(loss, critic=_critic(chosen, chosen.magnitudes))


def _critic(chosen: Divergence, magnitudes: tuple[Cost, Cost]) -> ScoreFunction:
    def critic(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        real_scores = check_scores(real_scores, fake_scores)
        real_is_larger = magnitudes[0](real_scores) >= magnitudes[1](fake_scores)
        total: Tensor = _Sum.apply(  # type: ignore[no-untyped-call]
            -chosen.output(real_scores), chosen.composite(fake_scores), real_is_larger
        )
        return total

    return critic


class _Sum(torch.autograd.Function):
    """A sum of two halves in which ∞ - ∞ is the infinity of the half that is really larger; not NaN."""

    generate_vmap_rule = True

    @staticmethod
    def forward(real: Tensor, fake: Tensor, real_is_larger: Tensor) -> Tensor:
        total = real + fake
        race = total.isnan() & real.isinf() & fake.isinf()
        return torch.where(race, torch.where(real_is_larger, real, fake), total)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        pass  # a sum's gradient needs nothing

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        return gradient, gradient, None
