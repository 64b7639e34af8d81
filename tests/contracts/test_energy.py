"""Losses of energies: EBGAN's optimum and equilibrium, BEGAN's steering of the fakes' weight."""

import copy
import functools
import inspect
import math

import pytest
import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.losses import LOSSES, Equilibrium
from adversarium.nets import autoencoder
from adversarium.types import Loss, ScoreFunction

every_seed = pytest.mark.parametrize("seed", range(5))
both = pytest.mark.parametrize("name", ["ebgan", "began"])


@functools.cache
def ebgan(margin: float) -> Loss:
    return LOSSES["ebgan"](margin=margin)


def equilibrium(gamma: float = 0.5, rate: float = 1e-3, k: float = 0.0) -> Equilibrium:
    side = Equilibrium(gamma, rate).double()
    side.k.fill_(k)
    return side


def errors(*shape: int, seed: int = 0) -> Tensor:
    """Return positive numbers: scores are minus these."""
    return 2 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def distributions(seed: int) -> tuple[Tensor, Tensor]:
    p, q = (torch.rand(2, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.02).square()
    return p / p.sum(), q / q.sum()


def expectation(loss: Loss, energy: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """Return the critic's exact loss for energies [..., atoms]."""
    real, fake = torch.broadcast_tensors(-energy[..., :, None], -energy[..., None, :])
    return (torch.outer(p, q) * loss.critic(real, fake)).sum((-2, -1))


@every_seed
@pytest.mark.parametrize("margin", [1.0, 3.7])
def test_the_optimal_energies_measure_total_variation(margin: float, seed: int):
    p, q = distributions(seed)
    minimum = margin * (1 - (p - q).abs().sum() / 2)
    best = margin * (p < q).double()
    torch.testing.assert_close(expectation(ebgan(margin), best, p, q), minimum, rtol=0, atol=1e-12)
    for scale in (0.1, 1.0, 5.0):
        others = (best + scale * (errors(300, 6, seed=seed) - 1)).clamp(min=0)
        assert (expectation(ebgan(margin), others, p, q) >= minimum - 1e-12).all()


@every_seed
def test_in_ebgans_equilibrium_the_value_is_the_margin(seed: int):
    """At p = q no energy does better than m; a constant does as well, and leaves the generator nothing to gain."""
    p, _ = distributions(seed)
    margin = 0.5 + 2 * float(torch.rand((), generator=torch.Generator().manual_seed(seed)))
    assert (expectation(ebgan(margin), 3 * errors(300, 6, seed=seed), p, p) >= margin - 1e-12).all()
    for share in (0.0, 0.3, 1.0):
        constant = torch.full((6,), share * margin, dtype=torch.float64)
        assert float(expectation(ebgan(margin), constant, p, p)) == pytest.approx(margin)
        assert ebgan(margin).generator(None, -constant).unique().tolist() == pytest.approx([share * margin])


@every_seed
def test_began_update_by_hand(seed: int):
    gamma, rate, k = torch.rand(3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).tolist()
    rate = 0.1 * rate
    side = equilibrium(gamma, rate, k)
    for step in range(4):
        real, fake = errors(7, seed=seed + 10 * step), errors(7, seed=seed + 1000 + 10 * step)
        values = side(-real, -fake)
        torch.testing.assert_close(values, real - k * fake)  # with k as it was
        balance = gamma * float(real.sum()) / 7 - float(fake.sum()) / 7
        k = min(max(k + rate * balance, 0.0), 1.0)
        assert float(side.k) == pytest.approx(k, abs=1e-12)
        assert float(side.convergence) == pytest.approx(float(real.sum()) / 7 + abs(balance), abs=1e-12)


def test_k_stays_between_0_and_1():
    side = equilibrium(rate=10.0)
    for real, fake, expected in ((4.0, 1.0, 1.0), (1.0, 4.0, 0.0)):
        side(torch.full((3,), -real).double(), torch.full((3,), -fake).double())
        assert float(side.k) == expected


@every_seed
def test_k_rests_where_fakes_err_gamma_times_as_much(seed: int):
    """A generator whose error rises with k, L(G) = a + b·k: k settles where a + b·k = gamma·L(x)."""
    a, b, gamma = (0.1 + 0.3 * errors(3, seed=seed)).tolist()
    real = torch.full((4,), (a + 0.6 * b) / gamma, dtype=torch.float64)
    side = equilibrium(gamma, rate=0.3)
    for _ in range(300):
        side(-real, -(a + b * side.k).expand(4))
    assert float(side.k) == pytest.approx(0.6, abs=1e-6)
    assert float(a + b * side.k) == pytest.approx(gamma * float(real[0]), abs=1e-6)
    assert float(side.convergence) == pytest.approx(float(real[0]), abs=1e-6)  # no imbalance is left


def test_k_moves_only_in_training_with_gradients():
    side, real, fake = equilibrium(k=0.4), -errors(5), -errors(5, seed=1)
    before = copy.deepcopy(side.state_dict())
    with torch.no_grad():
        side(real, fake)
    side.eval()
    side(real, fake)
    assert side.state_dict() == before
    side.train()
    side(real, fake)
    assert float(side.k) != 0.4


@every_seed
def test_the_state_is_saved_and_restored(seed: int):
    one, two = equilibrium(rate=0.1), equilibrium(rate=0.1)
    for step in range(3):
        one(-3 * errors(5, seed=seed + step), -errors(5, seed=seed + 50 + step))
    assert 0 < one.k < 1
    assert set(one.state_dict()) == {"k", "convergence"}
    two.load_state_dict(one.state_dict())
    real, fake = -errors(5, seed=seed + 90), -errors(5, seed=seed + 91)
    assert torch.equal(one(real, fake), two(real, fake))
    assert torch.equal(one.k, two.k)


def test_backward_sees_k_as_it_was():
    side, fake = equilibrium(rate=1.0, k=0.25), (-errors(5, seed=1)).requires_grad_()
    real = (-9 * errors(5)).requires_grad_()
    values = side(real, fake)
    assert float(side.k) == 1
    for side_scores, slope in ((real, -1.0), (fake, 0.25)):
        (gradient,) = torch.autograd.grad(values.sum(), side_scores, retain_graph=True)
        torch.testing.assert_close(gradient, torch.full_like(gradient, slope))


def test_each_run_has_its_own_state():
    one, two = LOSSES["began"](), LOSSES["began"]()
    one.critic(torch.full((3,), -9.0), torch.full((3,), -1.0))
    assert isinstance(one.critic, Equilibrium)
    assert isinstance(one.critic, ScoreFunction)
    assert float(two.critic.k) == 0 < float(one.critic.k)
    assert one.halves is None


@both
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1,), (4,), (4, 1, 3, 3)])
def test_shapes_dtypes_and_extreme_scores(name: str, dtype: torch.dtype, shape: tuple[int, ...]):
    loss = LOSSES[name]()
    for real_scale, fake_scale in ((1e4, 1e4), (-1e4, 1e4), (1e4, -1e4), (-1e4, -1e4), (1.0, 0.0)):
        real = torch.full(shape, real_scale, dtype=dtype, requires_grad=True)
        fake = torch.full(shape, fake_scale, dtype=dtype, requires_grad=True)
        for values in (loss.critic(real, fake), loss.generator(None, fake)):
            assert values.shape == shape
            assert values.dtype == dtype
            slopes = torch.autograd.grad(values.sum(), (real, fake), materialize_grads=True, allow_unused=True)
            assert all(tensor.isfinite().all() for tensor in (values, *slopes))


def test_half_precision_scores_steer_k_in_single_precision():
    """Steps of 1e-3·(0.5·1 - 0.25) are below bfloat16's resolution near k = 0.5."""
    side = Equilibrium()
    side.k.fill_(0.5)
    side(torch.full((8,), -1.0, dtype=torch.bfloat16), torch.full((8,), -0.25, dtype=torch.bfloat16))
    assert side.k.dtype == torch.float32
    assert float(side.k) == pytest.approx(0.5 + 1e-3 * 0.25, abs=1e-7)


@both
def test_bad_scores_are_refused(name: str):
    loss = LOSSES[name]()
    for real, fake, words in (
        (None, torch.zeros(3), "real_scores is None"),
        (torch.zeros(3, 1), torch.zeros(3), "the same shape"),
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64), "floating point"),
        (torch.zeros(0), torch.zeros(0), "B at least 1"),
    ):
        with pytest.raises(InputError, match=words):
            loss.critic(real, fake)
    with pytest.raises(InputError, match="floating point"):
        loss.generator(None, torch.zeros(3, dtype=torch.int64))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *(("ebgan", {"margin": margin}) for margin in (0.0, -1.0, math.nan, math.inf)),
        *(("began", {"gamma": gamma}) for gamma in (-0.1, 1.1, math.nan)),
        *(("began", {"rate": rate}) for rate in (0.0, -1e-3, math.nan)),
    ],
)
def test_bad_arguments_are_named(name: str, arguments: dict[str, float]):
    with pytest.raises(InputError, match=next(iter(arguments))):
        inspect.unwrap(LOSSES[name])(**arguments)


@both
def test_training_the_critic_tells_data_from_fakes(name: str):
    """30 steps of gradient descent; data and fakes lie on two lines at right angles, through the origin."""
    rng = torch.Generator().manual_seed(0)
    critic = autoencoder.vector_critic((4,), width=32, rng=rng, power=2.0)
    lines = 2 * torch.linalg.qr(torch.randn(4, 2, generator=rng)).Q.T
    loss = LOSSES["began"](rate=0.3) if name == "began" else ebgan(2.0)
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.005)
    for _ in range(30):
        real, fake = (torch.randn(64, 1, generator=rng) * line for line in lines)
        optimizer.zero_grad()
        loss.critic(critic(real), critic(fake)).mean().backward()
        optimizer.step()
    along = torch.linspace(-2, 2, 41)[:, None]
    real_energy, fake_energy = (-critic(along * line).mean() for line in lines)
    assert real_energy < 0.5 * fake_energy
