"""The f-divergence losses against the divergences themselves, and their composites against high precision."""

import functools
import inspect
import math

import mpmath
import pytest
import scipy.special
import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.losses import DIVERGENCES, f_divergence, minimax, nonsaturating
from adversarium.losses.fdivergence import _alpha
from adversarium.types import Loss

ALPHAS = (-2.7, -1.0, -0.3, 0.0, 0.2, 0.5, 0.9, 1.0, 1.6, 2.0, 3.3)
CASES: dict[str, dict[str, object]] = {
    **{name: {"divergence": name} for name in DIVERGENCES},
    **{f"alpha={alpha}": {"divergence": "alpha", "alpha": alpha} for alpha in ALPHAS},
}
every_case = pytest.mark.parametrize("name", CASES)
every_seed = pytest.mark.parametrize("seed", range(5))


@functools.cache
def make(name: str, saturating: bool = True) -> Loss:
    return f_divergence(**CASES[name], saturating=saturating)


def divergence(name: str):
    alpha = CASES[name].get("alpha")
    return DIVERGENCES[name] if alpha is None else _alpha(alpha)


def distributions(seed: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    atoms = int(torch.randint(3, 10, (), generator=draw))
    p, q = (torch.rand(2, atoms, generator=draw, dtype=torch.float64) + 0.1).square()
    return p / p.sum(), q / q.sum()


def bound(name: str, scores: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """Return minus the critic's exact expectation, for scores [..., atoms]."""
    halves = make(name).halves
    return -(p * halves.real(scores)).sum(-1) - (q * halves.fake(scores)).sum(-1)


def by_hand(name: str, p: Tensor, q: Tensor) -> Tensor:
    """Return the divergence as textbooks write it."""
    kl = (p * (p / q).log()).sum()
    reverse = (q * (q / p).log()).sum()
    m = (p + q) / 2
    js = (p * (p / m).log() + q * (q / m).log()).sum() / 2
    if name in CASES and CASES[name]["divergence"] == "alpha":
        alpha = CASES[name].get("alpha", 0.5)
        if alpha in (0.0, 1.0):
            return kl if alpha else reverse
        return ((p**alpha * q ** (1 - alpha)).sum() - 1) / (alpha * (alpha - 1))
    return {
        "kl": kl,
        "reverse_kl": reverse,
        "pearson": ((p - q) ** 2 / q).sum(),
        "neyman": ((p - q) ** 2 / p).sum(),
        "squared_hellinger": ((p.sqrt() - q.sqrt()) ** 2).sum(),
        "jeffreys": kl + reverse,
        "jensen_shannon": 2 * js,
        "gan": 2 * js - math.log(4),
        "total_variation": (p - q).abs().sum() / 2,
    }[name]


@every_case
@every_seed
def test_the_bound_is_the_divergence_at_the_optimal_critic(name: str, seed: int):
    p, q = distributions(seed)
    expected = by_hand(name, p, q)
    torch.testing.assert_close((q * divergence(name).f(p / q)).sum(), expected, rtol=1e-9, atol=1e-9)
    best = divergence(name).optimum(p / q)
    torch.testing.assert_close(bound(name, best, p, q), expected, rtol=1e-8, atol=1e-8)


@every_case
@every_seed
def test_no_critic_beats_the_optimal_one(name: str, seed: int):
    p, q = distributions(seed)
    best = divergence(name).optimum(p / q).requires_grad_()
    (gradient,) = torch.autograd.grad(bound(name, best, p, q), best)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-9)
    for scale in (0.001, 0.03, 1.0, 5.0):
        others = best.detach() + scale * torch.randn(
            300, len(p), generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        assert (bound(name, others, p, q) <= by_hand(name, p, q) + 1e-12).all()


@every_case
@every_seed
def test_the_composite_is_the_conjugate(name: str, seed: int):
    """By Young: f(u) + f*(t) >= u·t, with equality at t = f'(u)."""
    draw = torch.Generator().manual_seed(seed)
    u, v = (1.5 * torch.randn(2, 200, generator=draw, dtype=torch.float64)).unbind()
    u, each = u.exp(), divergence(name)
    assert (each.f(u) + each.composite(v) - u * each.output(v) >= -1e-9).all()
    best = each.optimum(u)
    torch.testing.assert_close(each.f(u) + each.composite(best), u * each.output(best), rtol=1e-8, atol=1e-9)


@every_case
@every_seed
def test_both_sides(name: str, seed: int):
    draw = torch.Generator().manual_seed(seed)
    real, fake = torch.randn(2, 9, generator=draw, dtype=torch.float64).unbind()
    g, h = divergence(name).output, divergence(name).composite
    torch.testing.assert_close(make(name).critic(real, fake), -g(real) + h(fake))
    torch.testing.assert_close(make(name).generator(None, fake), -h(fake))
    torch.testing.assert_close(make(name, saturating=False).generator(None, fake), -g(fake))
    torch.testing.assert_close(make(name, saturating=False).critic(real, fake), make(name).critic(real, fake))


@every_seed
def test_members_that_are_known_by_other_names(seed: int):
    draw = torch.Generator().manual_seed(seed)
    real, fake = (5 * torch.randn(2, 9, generator=draw, dtype=torch.float64)).unbind()
    torch.testing.assert_close(make("gan").critic(real, fake), minimax().critic(real, fake))
    torch.testing.assert_close(make("gan").generator(None, fake), minimax().generator(None, fake))
    torch.testing.assert_close(
        make("gan", saturating=False).generator(None, fake), nonsaturating().generator(None, fake)
    )
    # jensen_shannon is gan up to constants, for both players
    shift = make("jensen_shannon").critic(real, fake) - make("gan").critic(real, fake)
    torch.testing.assert_close(shift, torch.full_like(shift, -math.log(4)))
    shift = make("jensen_shannon").generator(None, fake) - make("gan").generator(None, fake)
    torch.testing.assert_close(shift, torch.full_like(shift, math.log(2)))


@every_seed
def test_alpha_passes_through_the_others(seed: int):
    p, q = distributions(seed)
    for alpha, name, factor in (
        ("alpha=1.0", "kl", 1),
        ("alpha=0.0", "reverse_kl", 1),
        ("alpha=2.0", "pearson", 0.5),
        ("alpha=-1.0", "neyman", 0.5),
        ("alpha=0.5", "squared_hellinger", 2),
    ):
        torch.testing.assert_close(by_hand(alpha, p, q), factor * by_hand(name, p, q), rtol=1e-10, atol=1e-12)
    scores = torch.linspace(-3, 3, 13, dtype=torch.float64)
    for limit in (0.0, 1.0):  # continuous at both limits
        near = f_divergence("alpha", alpha=limit + 1e-7)
        torch.testing.assert_close(
            near.critic(scores, scores.flip(0)),
            make(f"alpha={limit}").critic(scores, scores.flip(0)),
            rtol=1e-5,
            atol=1e-5,
        )


# --- the composites at any score ------------------------------------------------------------------

mpmath.mp.dps = 50
HIGH_PRECISION = {
    "kl": lambda v: mpmath.exp(v - 1),
    "reverse_kl": lambda v: v - 1,
    "pearson": lambda v: v**2 / 4 + v,
    "neyman": lambda v: 2 - 2 * mpmath.exp(-v / 2),
    "squared_hellinger": lambda v: mpmath.exp(v) - 1,
    "jeffreys": lambda v: _jeffreys(v),
    "jensen_shannon": lambda v: -mpmath.log(2) + mpmath.log1p(mpmath.exp(v)),
    "gan": lambda v: mpmath.log1p(mpmath.exp(v)),
    "total_variation": lambda v: mpmath.tanh(v) / 2,
    "alpha": lambda v: 2 * (mpmath.exp(v / 2) - 1),
}


def _jeffreys(v):
    y = 1 - v
    w = y - mpmath.log(y) if y > 1000 else mpmath.lambertw(mpmath.exp(y))
    for _ in range(60):  # polish: w + log w = y
        w = w - (w + mpmath.log(w) - y) / (1 + 1 / w)
    w = mpmath.re(w)
    return w + 1 / w - y - 1


@pytest.mark.parametrize("name", HIGH_PRECISION)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_composites_are_exact_at_any_score(name: str, dtype: torch.dtype):
    precision, largest = torch.finfo(dtype).eps, torch.finfo(dtype).max
    scores = [0.0, 1e-9, -1e-9, 0.3, -0.7, 2.0, -5.0, 17.0, -36.0, 80.0, -80.0, 600.0, -600.0, 1e4, -1e4]
    values = DIVERGENCES[name].composite(torch.tensor(scores, dtype=dtype))
    for score, value in zip(scores, values.tolist(), strict=True):
        exact = HIGH_PRECISION[name](mpmath.mpf(float(torch.tensor(score, dtype=dtype))))
        if abs(exact) > largest:
            assert value == math.copysign(math.inf, exact)
        else:
            # a score's own rounding moves an exponential by |score|·ε
            tolerance = 4 * precision * (1 + abs(score)) * max(abs(exact), 1)
            assert abs(value - exact) <= tolerance, (score, value, exact)


def test_lambert():
    v = torch.linspace(-60, 30, 400, dtype=torch.float64)
    y = 1 - v.numpy()
    w = scipy.special.wrightomega(y)
    expected = w + 1 / w - y - 1
    torch.testing.assert_close(
        DIVERGENCES["jeffreys"].composite(v), torch.from_numpy(expected), rtol=1e-12, atol=1e-11
    )
    via_w = scipy.special.lambertw(torch.exp(torch.tensor(2.5, dtype=torch.float64)).item()).real
    at = DIVERGENCES["jeffreys"].composite(torch.tensor(-1.5, dtype=torch.float64))
    assert float(at) == pytest.approx(via_w + 1 / via_w - 3.5, abs=1e-12)


@every_case
def test_derivatives_of_both_orders(name: str):
    scores = torch.linspace(-3, 3, 7, dtype=torch.float64, requires_grad=True)
    for function in (divergence(name).output, divergence(name).composite):
        assert torch.autograd.gradcheck(function, scores)
        assert torch.autograd.gradgradcheck(function, scores)
    real = torch.linspace(2, -2, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(make(name).critic, (real, scores))
    assert torch.autograd.gradgradcheck(make(name).critic, (real, scores))


@pytest.mark.parametrize(
    ("name", "real", "fake", "expected"),
    [
        # e^-r against 2e^(-s/2)
        ("neyman", -2000.0, -2000.0, math.inf),
        ("neyman", -1000.0, -3000.0, -math.inf),
        ("neyman", -1000.0, -2000.0, -math.inf),  # e^1000 - 2e^1000
        ("neyman", -1002.0, -2000.0, math.inf),
        # α = 3: -e^(2r)/2 + e^(3s)/3
        ("alpha", 3000.0, 2100.0, math.inf),
        ("alpha", 3000.0, 1900.0, -math.inf),
    ],
)
def test_infinite_halves_are_weighed_against_each_other(name: str, real: float, fake: float, expected: float):
    loss = f_divergence(name, alpha=3.0 if name == "alpha" else None)
    r, s = (torch.tensor([each], dtype=torch.float64, requires_grad=True) for each in (real, fake))
    total = loss.critic(r, s)
    assert total.item() == expected
    gradients = torch.autograd.grad(total.sum(), (r, s))
    assert not any(gradient.isnan().any() for gradient in gradients)


def test_arguments_say_what_was_used():
    assert make("kl").arguments == {"divergence": "kl", "alpha": None, "saturating": True}
    assert make("alpha").arguments["alpha"] == 0.5
    assert make("alpha=0.9").arguments["alpha"] == 0.9


def test_bad_choices_are_named():
    bare = inspect.unwrap(f_divergence)
    with pytest.raises(InputError, match="did you mean 'pearson'"):
        bare("person")
    with pytest.raises(InputError, match="alpha is 0.3"):
        bare("kl", alpha=0.3)
    for alpha in (math.nan, math.inf):
        with pytest.raises(InputError, match="finite"):
            bare("alpha", alpha=alpha)
