"""The contract of every member of LOSSES and MISPRINTS: shapes, numerics, signs, properties, and the mathematics.

A new member runs through the suite by being in the dict. A variant of a factory is one line in VARIANTS; what its
mathematics says is one line in OPTIMA, GENERATOR_SLOPES or both.
"""

import copy
import functools
import inspect
import math
from collections.abc import Callable

import pytest
import scipy.stats
import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.losses import DIVERGENCES, LOSSES, MISPRINTS, relativistic
from adversarium.types import Loss

MEMBERS = LOSSES | MISPRINTS
BASES = ("logistic", "least_squares", "hinge", "wasserstein", "exponential")
PAIRINGS = (("paired", True), ("average", True), ("average", False), ("all_pairs", True))
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
        for pairing, real_term in PAIRINGS
    },
    **{
        f"f_divergence({divergence},{saturating})": (
            "f_divergence",
            {"divergence": divergence, "saturating": saturating},
        )
        for divergence in DIVERGENCES
        for saturating in (True, False)
    },
    **{
        f"f_divergence(alpha={alpha})": ("f_divergence", {"divergence": "alpha", "alpha": alpha})
        for alpha in (-1.5, 0.0, 1.0, 3.0)
    },
    "realness(anchor)": ("realness", {"generator": "anchor", "outcomes": 4}),
    "realness(saturating)": ("realness", {"generator": "saturating", "outcomes": 2}),
    "attention_relativistic(weight=0.3)": ("attention_relativistic", {"weight": 0.3}),
}
CASES = {name: (name, {}) for name in MEMBERS} | VARIANTS
# scores between which each side of the loss is monotonic: inside the codes of least squares
WINDOWS = {"least_squares(-1,1,0)": (-0.9, -0.1), "least_squares(any)": (0.4, 1.1)}
# what a loss with state is tested with: training mode off, so that it stays where it is
STATES = {"began": {"k": torch.tensor(0.7)}}
# misprints whose defect is that a better sample may cost more
NOT_UP = {"flipped_critic", "minimax_l1_gap"}
# losses that grow exponentially: their true value may be infinite in the dtype, as may its gradient
MAY_OVERFLOW = {
    name
    for name in CASES
    if "exponential" in name
    or (name.startswith("f_divergence") and not any(tame in name for tame in ("pearson", "jensen", "gan", "total")))
}


@functools.cache  # under the import hook a factory compiles its type checks at each call
def _built(name: str) -> Loss:
    member, arguments = CASES[name]
    return MEMBERS[member](**arguments)


def make(name: str) -> Loss:
    """Return a loss; one with state is the caller's own, at rest."""
    loss = copy.deepcopy(_built(name))  # functions are not copied
    for side in (loss.critic, loss.generator):
        if isinstance(side, torch.nn.Module):
            side.eval().load_state_dict(side.state_dict() | STATES.get(CASES[name][0], {}))
    return loss


def scores(*shape: int, seed: int = 0, scale: float = 3.0, dtype: torch.dtype = torch.float64) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def scores_for(name: str, *shape: int, **options) -> Tensor:
    """Return scores of a shape, each of as many numbers as the loss reads."""
    width = make(name).score_width
    return scores(*shape, *([] if width is None else [width]), **options)


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
    real, fake = (scores_for(name, *shape, seed=seed, dtype=dtype) for seed in (0, 1))
    values = value(make(name), side, real, fake)
    assert values.shape == shape
    assert values.dtype == dtype


@every_loss
@pytest.mark.parametrize("side", SIDES)
def test_every_score_of_a_patch_critic_counts_alike(name: str, side: str):
    real, fake = (scores_for(name, 3, 1, 4, 4, seed=seed) for seed in (0, 1))
    in_a_row = value(make(name), side, real.flatten(0, 3), fake.flatten(0, 3))
    torch.testing.assert_close(value(make(name), side, real, fake).flatten(), in_a_row, rtol=1e-12, atol=1e-12)


@every_loss
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_values_and_gradients_at_extreme_scores(name: str, side: str, dtype: torch.dtype):
    for real_score in (-1e4, 0, 1e4):
        for fake_score in (-1e4, 0, 1e4):
            shape = scores_for(name, 3).shape
            real = torch.full(shape, real_score, dtype=dtype, requires_grad=True)
            fake = torch.full(shape, fake_score, dtype=dtype, requires_grad=True)
            values = value(make(name), side, real, fake)
            gradients = torch.autograd.grad(values.sum(), (real, fake), allow_unused=True, materialize_grads=True)
            assert not any(tensor.isnan().any() for tensor in (values, *gradients))
            if name not in MAY_OVERFLOW:
                assert all(tensor.isfinite().all() for tensor in (values, *gradients))


@pytest.mark.parametrize("name", sorted(MAY_OVERFLOW))
def test_losses_said_to_overflow_do(name: str):
    far = torch.tensor([-1e4, 1e4])
    real, fake = torch.cartesian_prod(far, far).T
    assert any(value(make(name), side, real, fake).isinf().any() for side in SIDES)


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
    width = make(name).score_width
    if width is not None:
        real, fake = (each[..., None].expand(*each.shape, width) for each in (real, fake))
        wanted = wanted.removesuffix("]")
        if got.startswith("["):
            got = f"[{', '.join([*filter(None, got[1:-1].split(', ')), str(width)])}]"
    with pytest.raises(ValueError) as error:  # noqa: PT011  the message is examined below
        value(make(name), side, real, fake)
    assert isinstance(error.value, InputError)
    for part in (named, got, wanted):
        assert part in str(error.value)


@every_loss
def test_the_critic_needs_real_scores(name: str):
    with pytest.raises(InputError, match="real_scores is None"):
        make(name).critic(None, scores_for(name, 3))


@pytest.mark.parametrize("name", [name for name in CASES if _built(name).score_width is not None])
@pytest.mark.parametrize("side", SIDES)
def test_the_width_of_a_score_is_checked(name: str, side: str):
    width = make(name).score_width
    for shape in ((8,), (8, width + 1), (8, 4, 1)):
        with pytest.raises(InputError, match=rf"wanted \[B, {width}\]"):
            value(make(name), side, torch.zeros(shape), torch.zeros(shape))


@pytest.mark.parametrize(
    "arguments",
    [
        {"pairing": "triple"},
        {"base": lambda gap: gap},
        {"base": lambda gap: -gap.mean()},
        {"base": "cubic"},
        {"pairing": "paired", "generator_real_term": False},
        {"pairing": "all_pairs", "generator_real_term": False},
        {"scale": 0.0},
        {"scale": -1.0},
    ],
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
    loss, fake = make(name), scores_for(name, 6)
    if loss.generator_needs_real:
        with pytest.raises(InputError, match="real_scores is None"):
            loss.generator(None, fake)
        first, second = (loss.generator(scores_for(name, 6, seed=seed), fake) for seed in (1, 2))
        assert not torch.equal(first, second)
    else:
        for seed in range(3):
            assert torch.equal(loss.generator(None, fake), loss.generator(scores_for(name, 6, seed=seed), fake))


def jacobians(loss: Loss, side: str, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    return torch.autograd.functional.jacobian(lambda r, s: value(loss, side, r, s), (real, fake))


@every_loss
@every_seed
@pytest.mark.parametrize("side", SIDES)
def test_coupling_is_truthful(name: str, side: str, seed: int):
    loss, real, fake = make(name), scores_for(name, 16, seed=seed), scores_for(name, 16, seed=seed + 50)
    off_diagonal = ~torch.eye(16, dtype=torch.bool)
    leaks = any(bool(jacobian[off_diagonal].any()) for jacobian in jacobians(loss, side, real, fake))
    assert leaks == (loss.coupling in ("batch_mean", "all_pairs"))
    if leaks:
        return
    # f(r) + g(s) has no interaction between r and s: a paired critic has
    real2, fake2 = scores_for(name, 16, seed=seed + 100), scores_for(name, 16, seed=seed + 150)
    straight = value(loss, side, real, fake) + value(loss, side, real2, fake2)
    crossed = value(loss, side, real, fake2) + value(loss, side, real2, fake)
    interacts = bool(((straight - crossed).abs() > 1e-6 * (1 + straight.abs())).any())
    # the halves say that the critic's side reads each score on its own, where only the generator's is paired
    assert interacts == (loss.coupling == "paired" and not (side == "critic" and loss.halves is not None))


@every_loss
@pytest.mark.parametrize("side", SIDES)
def test_the_mean_does_not_depend_on_the_batch_size(name: str, side: str):
    """Unless coupled otherwise, a batch's mean is the mean over all its pairs of batches of one: so unbiased."""
    loss, real, fake = make(name), scores_for(name, 5, scale=1.0), scores_for(name, 5, seed=1, scale=1.0)
    if loss.coupling not in ("none", "all_pairs"):
        return
    ones = [value(loss, side, real[[i]], fake[[j]]) for i in range(5) for j in range(5)]
    torch.testing.assert_close(value(loss, side, real, fake).mean(), torch.stack(ones).mean(), rtol=1e-12, atol=1e-12)


@every_loss
@every_seed
def test_up_is_more_real(name: str, seed: int):
    if name in NOT_UP:
        return
    loss, (low, high) = make(name), WINDOWS.get(name, (0.1, 0.9))
    draw = torch.Generator().manual_seed(seed)
    shape = scores_for(name, 2, 8).shape
    real, fake = (low + (high - low) * torch.rand(shape, generator=draw, dtype=torch.float64)).unbind()
    # a score of several numbers runs from fake to real along them
    step = 0.05 if loss.score_width is None else 0.05 * torch.linspace(0.5, 1, loss.score_width, dtype=torch.float64)
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
    # E e^(D(y) - D(x)) = E_p e^-D · E_q e^D, at least (Σ√pq)² (Cauchy and Schwarz)
    "relativistic(paired,exponential,True)": (
        lambda p, q: log_ratio(p, q) / 2,
        lambda p, q: (p * q).sqrt().sum().square() - 1,
        True,
    ),
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
        "wasserstein": lambda: 2 * ((q * critic).sum() - (p * critic).sum()),
        "exponential": lambda: (p * (-above).exp()).sum() + (q * below.exp()).sum() - 2,
    }[base]()
    loss = make(f"relativistic(average,{base},True)")
    ours = value(loss, side, critic[real_atoms], critic[fake_atoms]).mean()
    torch.testing.assert_close(ours, published, rtol=1e-12, atol=1e-10)


def pair_cost(base: str, gaps: Tensor) -> Tensor:
    return {
        "logistic": lambda: (1 + (-gaps).exp()).log(),
        "least_squares": lambda: (gaps - 1) ** 2,
        "hinge": lambda: (1 - gaps).clamp(min=0),
        "wasserstein": lambda: -gaps,
        "exponential": lambda: (-gaps).exp() - 1,
    }[base]()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("base", BASES)
def test_all_pairs_is_an_unbiased_estimate_of_the_paired_expectation(base: str, side: str):
    """Summed over every batch of two that four atoms can give, with its probability."""
    p, q = (torch.rand(2, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64) + 0.1).unbind()
    p, q, critic = p / p.sum(), q / q.sum(), scores(4, scale=1.0)
    gaps = critic[:, None] - critic
    expected = (torch.outer(p, q) * pair_cost(base, gaps if side == "critic" else -gaps)).sum()
    means = {}
    for pairing in ("paired", "all_pairs", "average"):
        loss = make(f"relativistic({pairing},{base},True)")
        weight = 1 / 2 if pairing == "average" else 1  # the sum of two halves
        means[pairing] = sum(
            weight * p[i] * p[j] * q[k] * q[n] * value(loss, side, critic[[i, j]], critic[[k, n]]).mean()
            for i in range(4) for j in range(4) for k in range(4) for n in range(4)
        )  # fmt: skip
    torch.testing.assert_close(means["paired"], expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(means["all_pairs"], expected, rtol=1e-12, atol=1e-12)
    if base in ("logistic", "least_squares", "exponential"):  # strictly convex: its mean is a different number
        assert abs(means["average"] - expected) > 1e-3


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("base", BASES)
@every_seed
def test_all_pairs_is_the_mean_of_every_pairing(base: str, side: str, seed: int):
    paired, all_pairs = (make(f"relativistic({pairing},{base},True)") for pairing in ("paired", "all_pairs"))
    real, fake = scores(7, seed=seed), scores(7, seed=seed + 50)
    values = value(all_pairs, side, real, fake)
    moved = [
        value(paired, side, real, fake.roll(shift))
        if side == "critic"
        else value(paired, side, real.roll(shift), fake)
        for shift in range(7)
    ]
    torch.testing.assert_close(values, torch.stack(moved).mean(0), rtol=1e-12, atol=1e-12)


def test_a_base_of_your_own():
    ours, builtin = relativistic(base=lambda gap: (gap - 1).square()), make("relativistic(paired,least_squares,True)")
    real, fake = scores(9), scores(9, seed=1)
    for side in SIDES:
        assert torch.equal(value(ours, side, real, fake), value(builtin, side, real, fake))


@pytest.mark.parametrize(("pairing", "factor"), [("paired", 1), ("all_pairs", 1), ("average", 2)])
@every_seed
def test_the_wasserstein_base_is_the_wasserstein_loss(pairing: str, factor: int, seed: int):
    relative, plain = make(f"relativistic({pairing},wasserstein,True)"), make("wasserstein")
    real, fake = scores(9, seed=seed), scores(9, seed=seed + 50).requires_grad_()
    means = [relative.critic(real, fake).mean(), factor * plain.critic(real, fake).mean()]
    torch.testing.assert_close(*means, rtol=1e-12, atol=1e-12)
    gradients = [
        torch.autograd.grad(means, fake)[0]
        for means in (relative.generator(real, fake).mean(), factor * plain.generator(None, fake).mean())
    ]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


@every_seed
def test_f_divergences_with_a_relativistic_form(seed: int):
    """An f-divergence of p⊗q from q⊗p costs a gap d: c(d) = -g(d) + f*(g(-d))."""
    gap = scores(9, seed=seed)
    cost = {name: -each.output(gap) + each.composite(-gap) for name, each in DIVERGENCES.items()}
    torch.testing.assert_close(cost["gan"], 2 * pair_cost("logistic", gap))
    torch.testing.assert_close(cost["jensen_shannon"], 2 * pair_cost("logistic", gap) - 2 * math.log(2))
    torch.testing.assert_close(cost["squared_hellinger"], 2 * pair_cost("exponential", gap))
    torch.testing.assert_close(cost["pearson"], 4 * pair_cost("least_squares", gap / 4) - 4)
    torch.testing.assert_close(cost["total_variation"], -gap.tanh())


@pytest.mark.parametrize("name", DIVERGENCES)
def test_which_f_divergences_have_a_bounded_relativistic_cost(name: str):
    gap = torch.linspace(-300, 300, 6001, dtype=torch.float64)
    cost = -DIVERGENCES[name].output(gap) + DIVERGENCES[name].composite(-gap)
    assert (float(cost.min()) < -100) == (name in ("kl", "reverse_kl", "neyman", "jeffreys"))


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
    loss, constant = make(f"relativistic(average,{base},True)"), torch.zeros(8, dtype=torch.float64)
    minimum = loss.critic(constant, constant).mean()
    for scale in (0.01, 0.3, 3.0):
        other = scores(8, seed=seed, scale=scale)
        assert loss.critic(other, other).mean() >= minimum - 1e-12


# --- the generator's gradient by its score ---------------------------------------------------------

COST_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "logistic": lambda gap: -torch.sigmoid(-gap),
    "least_squares": lambda gap: 2 * (gap - 1),
    "hinge": lambda gap: -(gap < 1).double(),
    "wasserstein": lambda gap: -torch.ones_like(gap),
    "exponential": lambda gap: -(-gap).exp(),
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
    "minimax_with_real_term": lambda r, s: -torch.sigmoid(s),
    "flipped_critic": lambda r, s: -torch.sigmoid(s),
    "half_average": lambda r, s: -torch.sigmoid(r.mean() - s),
    "unscaled_least_squares": lambda r, s: 2 * (s - 1),
}
for _base, _slope in COST_SLOPES.items():
    GENERATOR_SLOPES |= {
        f"relativistic(paired,{_base},True)": lambda r, s, f=_slope: f(s - r),
        f"relativistic(all_pairs,{_base},True)": lambda r, s, f=_slope: f(s[:, None] - r).mean(1),
        f"relativistic(average,{_base},False)": lambda r, s, f=_slope: f(s - r.mean()),
        # the real half reaches each fake score through the mean: B terms, each with share 1/B
        f"relativistic(average,{_base},True)": lambda r, s, f=_slope: f(s - r.mean()) + f(s.mean() - r).mean(),
    }


@pytest.mark.parametrize("name", GENERATOR_SLOPES)
@every_seed
def test_generator_gradient_by_the_score(name: str, seed: int):
    real, fake = scores(12, seed=seed), scores(12, seed=seed + 50, scale=10.0).requires_grad_()
    (gradient,) = torch.autograd.grad(make(name).generator(real, fake).sum(), fake)
    torch.testing.assert_close(gradient, GENERATOR_SLOPES[name](real, fake.detach()), rtol=1e-12, atol=1e-12)


def test_nonsaturating_pushes_a_rejected_sample_with_full_strength():
    fake = torch.tensor([-30.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(make("nonsaturating").generator(None, fake).sum(), fake)
    assert float(gradient) == pytest.approx(-1, abs=1e-12)


# --- relativistic and least squares: what their arguments mean -------------------------------------


@pytest.mark.parametrize("name", [name for name in CASES if "relativistic" in name or name == "half_average"])
@pytest.mark.parametrize("side", SIDES)
@every_seed
def test_relativistic_losses_ignore_a_shift_of_the_critic(name: str, side: str, seed: int):
    real, fake = scores_for(name, 9, seed=seed), scores_for(name, 9, seed=seed + 50)
    torch.testing.assert_close(
        value(make(name), side, real + 7.3, fake + 7.3), value(make(name), side, real, fake), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("base", BASES)
@every_seed
def test_generator_real_term_drops_exactly_the_real_half(base: str, seed: int):
    whole, half = (make(f"relativistic(average,{base},{flag})") for flag in (True, False))
    real, fake = scores(9, seed=seed), scores(9, seed=seed + 50)
    torch.testing.assert_close(
        whole.generator(real, fake) - half.generator(real, fake),
        pair_cost(base, fake.mean() - real),
        rtol=1e-10,
        atol=1e-10,
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
