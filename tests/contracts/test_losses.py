"""The contract of every member of LOSSES: shapes, numerics, signs, declared properties, and its mathematics.

A new member runs through the suite by being in the dict. A variant of a factory is one line in VARIANTS; what its
mathematics says is one line in OPTIMA, GENERATOR_SLOPES or both.
"""

import functools
import inspect
import math
from collections.abc import Callable

import pytest
import scipy.stats
import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.losses import LOSSES, relativistic
from adversarium.types import Loss

BASES = ("logistic", "least_squares", "hinge")
VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "least_squares(-1,1,0)": ("least_squares", {"fake": -1.0, "real": 1.0, "target": 0.0}),
    "least_squares(scale=2)": ("least_squares", {"scale": 2.0}),
    "least_squares(any)": ("least_squares", {"fake": 0.3, "real": 1.7, "target": 1.2, "scale": 0.7}),
    "relativistic(scale)": ("relativistic", {"scale": 0.5}),
    **{
        f"relativistic({pairing},{base},{real_term})": (
            "relativistic",
            {"pairing": pairing, "base": base, "generator_real_term": real_term},
        )
        for base in BASES
        for pairing, real_term in (("paired", True), ("average", True), ("average", False))
    },
}
CASES = {name: (name, {}) for name in LOSSES} | VARIANTS
# scores between which each side of the loss is monotonic: inside the codes of least squares
WINDOWS = {"least_squares(-1,1,0)": (-0.9, -0.1), "least_squares(any)": (0.4, 1.1)}


@functools.cache  # under the import hook a factory compiles its type checks at each call
def make(name: str) -> Loss:
    member, arguments = CASES[name]
    return LOSSES[member](**arguments)


def scores(*shape: int, seed: int = 0, scale: float = 3.0, dtype: torch.dtype = torch.float64) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


every_loss = pytest.mark.parametrize("name", CASES)
every_seed = pytest.mark.parametrize("seed", range(5))
SIDES = ("critic", "generator")


def value(loss: Loss, side: str, real: Tensor | None, fake: Tensor) -> Tensor:
    return getattr(loss, side)(real, fake)


# --- shapes, dtypes, extreme scores, bad input -----------------------------------------------------


@every_loss
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("shape", [(1,), (4,), (4, 1), (4, 1, 5, 5)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_values_have_the_scores_shape_and_dtype(name: str, side: str, shape: tuple[int, ...], dtype: torch.dtype):
    values = value(make(name), side, scores(*shape, dtype=dtype), scores(*shape, seed=1, dtype=dtype))
    assert values.shape == shape
    assert values.dtype == dtype


@every_loss
@pytest.mark.parametrize("side", SIDES)
def test_every_score_of_a_patch_critic_counts_alike(name: str, side: str):
    real, fake = scores(3, 1, 4, 4), scores(3, 1, 4, 4, seed=1)
    in_a_row = value(make(name), side, real.flatten(), fake.flatten())
    torch.testing.assert_close(value(make(name), side, real, fake).flatten(), in_a_row, rtol=1e-12, atol=1e-12)


@every_loss
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_values_and_gradients_are_finite_at_extreme_scores(name: str, side: str, dtype: torch.dtype):
    for real_sign in (-1, 1):
        for fake_sign in (-1, 1):
            real = torch.full((3,), 1e4 * real_sign, dtype=dtype, requires_grad=True)
            fake = torch.full((3,), 1e4 * fake_sign, dtype=dtype, requires_grad=True)
            values = value(make(name), side, real, fake)
            gradients = torch.autograd.grad(values.sum(), (real, fake), allow_unused=True, materialize_grads=True)
            assert all(tensor.isfinite().all() for tensor in (values, *gradients))


@every_loss
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("real", "fake", "named", "got", "wanted"),
    [
        (torch.zeros(3), torch.zeros(4), "real_scores", "[3]", "the same shape"),
        (torch.zeros(3, 1), torch.zeros(3), "real_scores", "[3, 1]", "the same shape"),
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64), "fake_scores", "int64", "floating point"),
        (torch.zeros(3, dtype=torch.int64), torch.zeros(3), "real_scores", "int64", "floating point"),
        (torch.zeros(3), torch.zeros(3, dtype=torch.complex64), "fake_scores", "complex64", "floating point"),
        (torch.zeros(0), torch.zeros(0), "fake_scores", "[0]", "B at least 1"),
        (torch.zeros(0, 1), torch.zeros(0, 1), "fake_scores", "[0, 1]", "B at least 1"),
        (torch.zeros(()), torch.zeros(()), "fake_scores", "[]", "[B]"),
    ],
)
def test_bad_scores_are_named(
    name: str, side: str, real: Tensor, fake: Tensor, named: str, got: str, wanted: str
) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  the message is examined below
        value(make(name), side, real, fake)
    assert isinstance(error.value, InputError)
    for part in (named, got, wanted):
        assert part in str(error.value)


@every_loss
def test_the_critic_needs_real_scores(name: str):
    with pytest.raises(InputError, match="real_scores is None"):
        make(name).critic(None, torch.zeros(3))


@pytest.mark.parametrize(
    "arguments",
    [{"pairing": "triple"}, {"base": "cubic"}, {"pairing": "paired", "generator_real_term": False}],
)
def test_unknown_relativistic_choices_are_refused(arguments: dict[str, object]):
    with pytest.raises(InputError):
        inspect.unwrap(relativistic)(**arguments)  # past the type checker, as without it


# --- declared properties ---------------------------------------------------------------------------


@every_loss
def test_name_is_the_members_name(name: str):
    assert make(name).name == CASES[name][0]


@every_loss
def test_needs_real_is_truthful(name: str):
    loss, fake = make(name), scores(6)
    if loss.generator_needs_real:
        with pytest.raises(InputError, match="real_scores is None"):
            loss.generator(None, fake)
        assert not torch.equal(loss.generator(scores(6, seed=1), fake), loss.generator(scores(6, seed=2), fake))
    else:
        for seed in range(3):
            assert torch.equal(loss.generator(None, fake), loss.generator(scores(6, seed=seed), fake))


def jacobians(loss: Loss, side: str, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    return torch.autograd.functional.jacobian(lambda r, s: value(loss, side, r, s), (real, fake))


@every_loss
@every_seed
@pytest.mark.parametrize("side", SIDES)
def test_coupling_is_truthful(name: str, side: str, seed: int):
    loss, real, fake = make(name), scores(16, seed=seed), scores(16, seed=seed + 50)
    off_diagonal = ~torch.eye(16, dtype=torch.bool)
    leaks = any(bool(jacobian[off_diagonal].any()) for jacobian in jacobians(loss, side, real, fake))
    assert leaks == (loss.coupling == "batch_mean")
    if leaks:
        return
    # f(r) + g(s) has no interaction between r and s: a paired critic has
    real2, fake2 = scores(16, seed=seed + 100), scores(16, seed=seed + 150)
    straight = value(loss, side, real, fake) + value(loss, side, real2, fake2)
    crossed = value(loss, side, real, fake2) + value(loss, side, real2, fake)
    interacts = bool(((straight - crossed).abs() > 1e-6).any())
    assert interacts == (loss.coupling == "paired")


@every_loss
@every_seed
def test_up_is_more_real(name: str, seed: int):
    loss, (low, high) = make(name), WINDOWS.get(name, (0.1, 0.9))
    draw = torch.Generator().manual_seed(seed)
    real, fake = (low + (high - low) * torch.rand(2, 8, generator=draw, dtype=torch.float64)).unbind()
    step = 0.05
    base = loss.critic(real, fake).mean()
    assert loss.critic(real + step, fake).mean() < base
    assert loss.critic(real, fake - step).mean() < base
    assert loss.generator(real, fake + step).mean() < loss.generator(real, fake).mean()


# --- the optimal critic on random discrete distributions -------------------------------------------


def distributions(seed: int) -> tuple[Tensor, Tensor]:
    """Return p and q on the same 3 to 9 atoms, all positive."""
    draw = torch.Generator().manual_seed(seed)
    atoms = int(torch.randint(3, 10, (), generator=draw))
    p, q = (torch.rand(2, atoms, generator=draw, dtype=torch.float64) + 0.02).square()
    return p / p.sum(), q / q.sum()


def expectation(loss: Loss, side: str, critic: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """Return the exact expectation over p⊗q, for critics [..., atoms], of a loss that ignores the batch's mean."""
    real, fake = torch.broadcast_tensors(critic[..., :, None], critic[..., None, :])
    return (torch.outer(p, q) * value(loss, side, real, fake)).sum((-2, -1))


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p / q).log()).sum()


def js(p: Tensor, q: Tensor) -> Tensor:
    return (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2


def swapped_js(p: Tensor, q: Tensor) -> Tensor:
    return js(torch.outer(p, q), torch.outer(q, p))


def tv(p: Tensor, q: Tensor) -> Tensor:
    return (p - q).abs().sum() / 2


def separation(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Return argmax and max of (E_p D - E_q D)² / (Var_p D + Var_q D): Fisher's ratio."""
    within = torch.diag(p + q) - torch.outer(p, p) - torch.outer(q, q)
    direction = torch.linalg.lstsq(within, (p - q)[:, None], driver="gelsd").solution[:, 0]
    return direction, direction @ (p - q)


def coded(fake: float, real: float, scale: float = 1.0) -> tuple[Callable, Callable, bool]:
    return (
        lambda p, q: (real * p + fake * q) / (p + q),
        lambda p, q: scale / 2 * (real - fake) ** 2 * (p * q / (p + q)).sum(),
        True,
    )


def log_ratio(p: Tensor, q: Tensor) -> Tensor:
    return (p / q).log()


LOG_LOSS = (log_ratio, lambda p, q: math.log(4) - 2 * js(p, q), True)
# name: optimal critic, the critic's minimum, whether the loss is smooth there
OPTIMA: dict[str, tuple[Callable, Callable, bool]] = {
    "minimax": LOG_LOSS,
    "nonsaturating": LOG_LOSS,
    "hinge": (lambda p, q: (p - q).sign(), lambda p, q: 2 - 2 * tv(p, q), False),
    "least_squares": coded(0, 1),
    "least_squares(-1,1,0)": coded(-1, 1),
    "least_squares(scale=2)": coded(0, 1, 2),
    "least_squares(any)": coded(0.3, 1.7, 0.7),
    "relativistic": (log_ratio, lambda p, q: math.log(2) - swapped_js(p, q), True),
    "relativistic(scale)": (log_ratio, lambda p, q: (math.log(2) - swapped_js(p, q)) / 2, True),
    # E (D(x) - D(y) - 1)² = Var_p D + Var_q D + (E_p D - E_q D - 1)², least along Fisher's direction
    "relativistic(paired,least_squares,True)": (
        lambda p, q: separation(p, q)[0] / (1 + separation(p, q)[1]),
        lambda p, q: 1 / (1 + separation(p, q)[1]),
        True,
    ),
}
OPTIMA["relativistic(paired,logistic,True)"] = OPTIMA["relativistic"]
optimal = pytest.mark.parametrize("name", OPTIMA)


@optimal
@every_seed
def test_value_at_the_optimal_critic(name: str, seed: int):
    p, q = distributions(seed)
    critic, minimum, _ = OPTIMA[name]
    torch.testing.assert_close(expectation(make(name), "critic", critic(p, q), p, q), minimum(p, q), rtol=0, atol=1e-9)


@optimal
@every_seed
def test_the_optimal_critic_is_optimal(name: str, seed: int):
    p, q = distributions(seed)
    critic, minimum, smooth = OPTIMA[name]
    best = critic(p, q).requires_grad_()
    if smooth:
        (gradient,) = torch.autograd.grad(expectation(make(name), "critic", best, p, q), best)
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-9)
    for scale in (0.001, 0.03, 1.0):
        others = best.detach() + scores(200, len(p), seed=seed, scale=scale)
        assert (expectation(make(name), "critic", others, p, q) >= minimum(p, q) - 1e-12).all()


@every_seed
def test_least_squares_generator_identities(seed: int):
    p, q = distributions(seed)
    for name, (fake, real, target), expected in (
        ("least_squares(-1,1,0)", (-1, 1, 0), ((p - q).square() / (p + q)).sum()),
        ("least_squares", (0, 1, 1), (q.square() / (p + q)).sum()),
    ):
        best = (real * p + fake * q) / (p + q)
        at_fakes = 2 * expectation(make(name), "generator", best, p, q)  # 2 E_q ½(D - c)²
        at_data = 2 * expectation(make(name), "generator", best, q, p)  # the same under p: no gradient for G
        torch.testing.assert_close(at_fakes + at_data, expected, rtol=0, atol=1e-12)
        assert target == CASES[name][1].get("target", 1)


@every_seed
def test_saturating_plus_nonsaturating_is_reverse_kl(seed: int):
    p, q = distributions(seed)
    both = sum(expectation(make(name), "generator", log_ratio(p, q), p, q) for name in ("minimax", "nonsaturating"))
    torch.testing.assert_close(both, kl(q, p), rtol=0, atol=1e-12)


@every_seed
def test_hinge_generator_gap_is_total_variation(seed: int):
    p, q = distributions(seed)
    best = (p - q).sign()
    gap = expectation(make("hinge"), "generator", best, p, q) - expectation(make("hinge"), "generator", best, q, p)
    torch.testing.assert_close(gap, 2 * tv(p, q), rtol=0, atol=1e-12)


@every_seed
def test_wasserstein_supremum_on_the_line(seed: int):
    p, q = distributions(seed)
    points = scores(len(p), seed=seed).sort().values
    gaps = points.diff()
    distance = scipy.stats.wasserstein_distance(points, points, p, q)
    loss = make("wasserstein")

    def estimate(slopes: Tensor) -> Tensor:
        potentials = torch.nn.functional.pad((slopes * gaps).cumsum(-1), (1, 0))
        return -expectation(loss, "critic", potentials, p, q)

    assert float(estimate((q.cumsum(0) - p.cumsum(0))[:-1].sign())) == pytest.approx(distance, abs=1e-12)
    assert (estimate(scores(200, len(gaps), seed=seed).clamp(-1, 1)) <= distance + 1e-12).all()


# --- losses that look at the batch's mean: exact on atoms with integer multiplicity ----------------


@every_seed
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("base", BASES)
def test_average_is_the_published_expectation(base: str, side: str, seed: int):
    draw = torch.Generator().manual_seed(seed)
    atoms, batch = 5, 60
    critic = scores(atoms, seed=seed)
    real_atoms, fake_atoms = torch.randint(atoms, (2, batch), generator=draw)
    p, q = (torch.bincount(drawn, minlength=atoms).double() / batch for drawn in (real_atoms, fake_atoms))
    # written as in the paper: for the generator real and fake swap roles, in both halves
    if side == "generator":
        p, q = q, p
    above, below = critic - (q * critic).sum(), critic - (p * critic).sum()
    published = {
        "logistic": lambda: -(p * above.sigmoid().log()).sum() - (q * (1 - below.sigmoid()).log()).sum(),
        "least_squares": lambda: (p * (above - 1) ** 2).sum() + (q * (below + 1) ** 2).sum(),
        "hinge": lambda: (p * (1 - above).clamp(min=0)).sum() + (q * (1 + below).clamp(min=0)).sum(),
    }[base]()
    loss = relativistic(pairing="average", base=base)
    ours = value(loss, side, critic[real_atoms], critic[fake_atoms]).mean()
    torch.testing.assert_close(ours, published, rtol=0, atol=1e-10)


@every_seed
def test_average_least_squares_minimum(seed: int):
    """L = Var_p D + Var_q D + 2 (E_p D - E_q D - 1)², so D* = t·w with t = 2/(1 + 2S), and min L = 2/(1 + 2S)."""
    draw = torch.Generator().manual_seed(seed)
    real_atoms, fake_atoms = torch.randint(5, (2, 60), generator=draw)
    p, q = (torch.bincount(drawn, minlength=5).double() / 60 for drawn in (real_atoms, fake_atoms))
    direction, ratio = separation(p, q)
    best = (direction * 2 / (1 + 2 * ratio)).requires_grad_()
    loss = relativistic(pairing="average", base="least_squares")
    minimum = loss.critic(best[real_atoms], best[fake_atoms]).mean()
    torch.testing.assert_close(minimum, 2 / (1 + 2 * ratio), rtol=0, atol=1e-9)
    (gradient,) = torch.autograd.grad(minimum, best)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-9)


@every_seed
@pytest.mark.parametrize("base", BASES)
def test_average_critic_cannot_beat_equal_distributions(base: str, seed: int):
    """At p = q a constant critic is optimal: by Jensen each half is at least f(0)."""
    loss, constant = relativistic(pairing="average", base=base), torch.zeros(8, dtype=torch.float64)
    minimum = loss.critic(constant, constant).mean()
    for scale in (0.01, 0.3, 3.0):
        other = scores(8, seed=seed, scale=scale)
        assert loss.critic(other, other).mean() >= minimum - 1e-12


# --- the generator's gradient by its score ---------------------------------------------------------

COST_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "logistic": lambda gap: -torch.sigmoid(-gap),
    "least_squares": lambda gap: 2 * (gap - 1),
    "hinge": lambda gap: -(gap < 1).double(),
}
GENERATOR_SLOPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "minimax": lambda r, s: -torch.sigmoid(s),
    "nonsaturating": lambda r, s: -torch.sigmoid(-s),
    "hinge": lambda r, s: -torch.ones_like(s),
    "wasserstein": lambda r, s: -torch.ones_like(s),
    "least_squares": lambda r, s: s - 1,
    "least_squares(-1,1,0)": lambda r, s: s,
    "least_squares(scale=2)": lambda r, s: 2 * (s - 1),
    "least_squares(any)": lambda r, s: 0.7 * (s - 1.2),
    "relativistic": lambda r, s: -torch.sigmoid(r - s),
    "relativistic(scale)": lambda r, s: -torch.sigmoid(r - s) / 2,
}
for _base, _slope in COST_SLOPES.items():
    GENERATOR_SLOPES |= {
        f"relativistic(paired,{_base},True)": lambda r, s, f=_slope: f(s - r),
        f"relativistic(average,{_base},False)": lambda r, s, f=_slope: f(s - r.mean()),
        # the real half reaches each fake score through the mean: B terms, each with share 1/B
        f"relativistic(average,{_base},True)": lambda r, s, f=_slope: f(s - r.mean()) + f(s.mean() - r).mean(),
    }


@pytest.mark.parametrize("name", GENERATOR_SLOPES)
@every_seed
def test_generator_gradient_by_the_score(name: str, seed: int):
    real, fake = scores(12, seed=seed), scores(12, seed=seed + 50, scale=10.0).requires_grad_()
    (gradient,) = torch.autograd.grad(make(name).generator(real, fake).sum(), fake)
    torch.testing.assert_close(gradient, GENERATOR_SLOPES[name](real, fake.detach()), rtol=0, atol=1e-12)


def test_nonsaturating_pushes_a_rejected_sample_with_full_strength():
    fake = torch.tensor([-30.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(make("nonsaturating").generator(None, fake).sum(), fake)
    assert float(gradient) == pytest.approx(-1, abs=1e-12)


# --- relativistic and least squares: what their arguments mean -------------------------------------


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("relativistic")])
@pytest.mark.parametrize("side", SIDES)
@every_seed
def test_relativistic_losses_ignore_a_shift_of_the_critic(name: str, side: str, seed: int):
    real, fake = scores(9, seed=seed), scores(9, seed=seed + 50)
    torch.testing.assert_close(
        value(make(name), side, real + 7.3, fake + 7.3), value(make(name), side, real, fake), rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("base", BASES)
@every_seed
def test_generator_real_term_drops_exactly_the_real_half(base: str, seed: int):
    whole, half = (relativistic(pairing="average", base=base, generator_real_term=flag) for flag in (True, False))
    cost = {
        "logistic": lambda gap: -gap.sigmoid().log(),
        "least_squares": lambda gap: (gap - 1) ** 2,
        "hinge": lambda gap: (1 - gap).clamp(min=0),
    }[base]
    real, fake = scores(9, seed=seed), scores(9, seed=seed + 50)
    torch.testing.assert_close(
        whole.generator(real, fake) - half.generator(real, fake), cost(fake.mean() - real), rtol=0, atol=1e-10
    )
    assert torch.equal(whole.critic(real, fake), half.critic(real, fake))


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][0] in ("least_squares", "relativistic")])
@pytest.mark.parametrize("side", SIDES)
def test_scale_multiplies_both_sides(name: str, side: str):
    real, fake = scores(9), scores(9, seed=1)
    member, arguments = CASES[name]
    scaled = LOSSES[member](**{**arguments, "scale": 2.6 * arguments.get("scale", 1.0)})
    torch.testing.assert_close(value(scaled, side, real, fake), 2.6 * value(make(name), side, real, fake))


@every_seed
def test_formulas_that_tutorials_print(seed: int):
    real, fake = scores(9, seed=seed), scores(9, seed=seed + 50).requires_grad_()
    printed = make("least_squares(scale=2)")
    torch.testing.assert_close(printed.critic(real, fake), (real - 1) ** 2 + fake**2)
    torch.testing.assert_close(printed.generator(None, fake), (fake - 1) ** 2)
    # "RSGAN": the fake half of RaSGAN
    half = make("relativistic(average,logistic,False)")
    torch.testing.assert_close(half.generator(real, fake), -(fake - real.mean()).sigmoid().log())
    # -E log D(x) + E log(1 - D(G)): the generator sees the minimax loss
    printed_loss = -real.sigmoid().log() + (1 - fake.sigmoid()).log()
    ours = make("minimax").generator(real, fake)
    gradients = [torch.autograd.grad(values.sum(), fake)[0] for values in (printed_loss, ours)]
    torch.testing.assert_close(*gradients)
