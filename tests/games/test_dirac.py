"""The Dirac game against its published eigenvalues, and against the game played step by step."""

import cmath
import functools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from adversarium.errors import InputError
from adversarium.games.dirac import dirac_eigenvalues, dirac_field, dirac_jacobian, dirac_verdict, linearises
from adversarium.losses import LOSSES
from adversarium.penalties import PENALTIES
from adversarium.types import Critic, Loss, Penalty

LOG_LOSSES = ("minimax", "nonsaturating", "relativistic", "relativistic(average)")
ARGUMENTS: dict[str, tuple[str, dict[str, object]]] = {
    "relativistic(average)": ("relativistic", {"pairing": "average", "scale": 0.5}),  # unhalved, it counts twice
    "least_squares(-1,1,0)": ("least_squares", {"fake": -1.0, "real": 1.0, "target": 0.0}),
}
every_seed = pytest.mark.parametrize("seed", range(4))


@functools.cache  # under the import hook a factory compiles its type checks at each call
def loss_named(name: str) -> Loss:
    member, arguments = ARGUMENTS.get(name, (name, {}))
    return LOSSES[member](**arguments)


@functools.cache
def penalty_named(name: str, number: float | None = None) -> Penalty:
    return PENALTIES[name]() if number is None else PENALTIES[name](number)


def uniform(low: float, high: float, seed: int) -> float:
    return low + (high - low) * float(torch.rand((), generator=torch.Generator().manual_seed(seed)))


def assert_eigenvalues(found: Tensor, *expected: complex, tolerance: float = 1e-8) -> None:
    assert found.shape == (2,)
    ordered = sorted(expected, key=lambda each: (round(each.real, 4), each.imag))
    assert [abs(a - b) < tolerance for a, b in zip(found.tolist(), ordered, strict=True)] == [True, True], found


def pair_of(middle: float, discriminant: float) -> tuple[complex, complex]:
    return middle - cmath.sqrt(discriminant), middle + cmath.sqrt(discriminant)


# --- the published table ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOG_LOSSES)
def test_log_losses_circle(name: str):
    assert_eigenvalues(dirac_eigenvalues(loss_named(name)), 0.5j, -0.5j)


@pytest.mark.parametrize("name", ["wasserstein", "hinge"])
def test_wasserstein_and_hinge_circle_twice_as_fast(name: str):
    assert_eigenvalues(dirac_eigenvalues(loss_named(name)), 1j, -1j)


@every_seed
@pytest.mark.parametrize("name", LOG_LOSSES)
@pytest.mark.parametrize("penalty", ["r1", "r2"])
def test_r1_and_r2_attract(name: str, penalty: str, seed: int):
    gamma = uniform(0.05, 3.0, seed)
    found = dirac_eigenvalues(loss_named(name), penalty_named(penalty, gamma))
    assert_eigenvalues(found, *pair_of(-gamma / 2, gamma**2 / 4 - 0.25))
    assert (found.real < 0).all()


@pytest.mark.parametrize("name", LOG_LOSSES)
@pytest.mark.parametrize("penalty", ["r1", "r2"])
def test_a_gamma_of_one_is_critical(name: str, penalty: str):
    assert_eigenvalues(dirac_eigenvalues(loss_named(name), penalty_named(penalty, 1.0)), -0.5, -0.5, tolerance=1e-4)
    imaginary = [dirac_eigenvalues(loss_named(name), penalty_named(penalty, g)).imag.abs().max() for g in (0.98, 1.02)]
    assert imaginary[0] > 0.04
    assert imaginary[1] == 0


@every_seed
@pytest.mark.parametrize("name", ["minimax", "nonsaturating", "relativistic"])
def test_instance_noise_attracts(name: str, seed: int):
    deviation = uniform(0.1, 2.5, seed)
    # the relativistic score's difference carries the noise of both points under one f, the others' under an f each
    middle = -0.25 * deviation**2
    assert_eigenvalues(
        dirac_eigenvalues(loss_named(name), noise=deviation), *pair_of(middle, middle**2 - 0.25), tolerance=1e-7
    )


@every_seed
def test_instance_noise_equals_a_sampled_expectation(seed: int):
    deviation, rng = uniform(0.3, 1.0, seed), torch.Generator().manual_seed(seed)
    state = torch.randn(2, generator=rng, dtype=torch.float64)
    psi, theta = state
    real, fake = deviation * torch.randn(2, 400_000, generator=rng, dtype=torch.float64)
    fake = fake + theta
    # -E ∂/∂ψ (-log σ(ψ·x) - log σ(-ψ·y)) and -E ∂/∂θ (-log σ(ψ·y))
    draws = torch.stack(
        (real * torch.sigmoid(-psi * real) - fake * torch.sigmoid(psi * fake), psi * torch.sigmoid(-psi * fake))
    )
    error = draws.std(1) / draws.shape[1] ** 0.5
    found = dirac_field(state, loss_named("nonsaturating"), noise=deviation)
    assert ((found - draws.mean(1)).abs() < 5 * error + 1e-4).all()


@pytest.mark.parametrize("name", ["nonsaturating", "wasserstein", "relativistic"])
@pytest.mark.parametrize("penalty", ["wgan_gp", "dragan"])
def test_a_target_slope_of_one_has_no_linearisation(name: str, penalty: str):
    if penalty not in PENALTIES:
        pytest.skip(f"there is no {penalty}")
    assert not linearises(loss_named(name), penalty_named(penalty))
    assert dirac_verdict(loss_named(name), penalty_named(penalty)) == "no linearisation at 0"
    with pytest.raises(InputError, match="no linearisation at 0"):
        dirac_jacobian(loss_named(name), penalty_named(penalty))


@pytest.mark.parametrize("name", [*LOG_LOSSES, "wasserstein", "least_squares"])
@pytest.mark.parametrize("penalty", [None, "r1", "r2"])
def test_smooth_games_linearise(name: str, penalty: str | None):
    assert linearises(loss_named(name), None if penalty is None else penalty_named(penalty))


def ridge(angle: float) -> Penalty:
    """Return a penalty whose field has a kink along one line through the equilibrium, across no axis."""

    def penalty(critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator | None) -> Tensor:
        assert isinstance(critic, nn.Module)
        (psi,) = critic.parameters()
        across = psi.squeeze() * math.cos(angle) + fake.detach().squeeze(1) * math.sin(angle)
        return across.square() * across.sign()

    return penalty


@pytest.mark.parametrize("angle", [0.0, 0.3, 0.9, 1.4])
def test_a_kink_in_the_field_is_seen_from_any_side(angle: float):
    assert not linearises(loss_named("nonsaturating"), ridge(angle))


# --- the field and its Jacobian --------------------------------------------------------------------


@every_seed
@pytest.mark.parametrize(
    ("name", "by_psi", "by_theta"),
    [
        ("nonsaturating", lambda s: torch.sigmoid(s), lambda s: -torch.sigmoid(-s)),
        ("minimax", lambda s: torch.sigmoid(s), lambda s: -torch.sigmoid(s)),
        ("wasserstein", lambda s: torch.ones_like(s), lambda s: -torch.ones_like(s)),
        ("relativistic", lambda s: torch.sigmoid(s), lambda s: -torch.sigmoid(-s)),
        ("least_squares", lambda s: s, lambda s: s - 1),
    ],
)
def test_the_field_anywhere(
    name: str, by_psi: Callable[[Tensor], Tensor], by_theta: Callable[[Tensor], Tensor], seed: int
):
    """By the score s = ψθ of the fake point: the real point's is 0, and its slope by ψ too."""
    state = torch.randn(2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    psi, theta = state
    gamma = uniform(0.1, 3.0, seed)
    expected = -torch.stack((theta * by_psi(psi * theta) + gamma * psi, psi * by_theta(psi * theta)))
    found = dirac_field(state, loss_named(name), penalty_named("r1", gamma))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@every_seed
def test_the_jacobian_is_by_psi_then_theta(seed: int):
    gamma = uniform(0.1, 3.0, seed)
    found = dirac_jacobian(loss_named("nonsaturating"), penalty_named("r2", gamma))
    expected = torch.tensor([[-gamma, -0.5], [0.5, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_nothing_is_changed():
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator | None) -> Tensor:
            self.calls += 1
            return 0.5 * (critic(fake + 1) - critic(fake)).square()

    counter, state = Counter(), torch.get_rng_state()
    assert_eigenvalues(dirac_eigenvalues(loss_named("nonsaturating"), counter), *pair_of(-0.5, 0), tolerance=1e-4)
    assert counter.calls == 0
    assert torch.equal(torch.get_rng_state(), state)


# --- the game played -------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.1, 0.35])
@pytest.mark.parametrize("share", [0.5, 0.95, 1.05, 1.5])
def test_simultaneous_steps_below_4_gamma_are_stable(gamma: float, share: float):
    """In the under-damped case |1 + hλ|² = 1 - hγ + h²/4, below 1 iff h < 4γ."""
    step, penalty = 4 * gamma * share, penalty_named("r1", gamma)
    _, vectors = torch.linalg.eig(dirac_jacobian(loss_named("nonsaturating"), penalty).T)
    mode = vectors[:, 0]  # a left eigenvector: along it every step multiplies by 1 + hλ
    state = torch.tensor([1e-6, 0.7e-6], dtype=torch.float64)
    sizes = []
    for _ in range(11):
        sizes.append(float((mode @ state.to(mode.dtype)).abs()))
        state = state + step * dirac_field(state, loss_named("nonsaturating"), penalty)
    rate = (sizes[-1] / sizes[0]) ** 0.1
    assert (rate < 1) == (share < 1)
    assert rate**2 == pytest.approx(1 - step * gamma + step**2 / 4, abs=1e-7)


def test_wgan_gp_does_not_converge():
    state = torch.tensor([0.01, 0.01], dtype=torch.float64)
    sizes = []
    for _ in range(200):
        state = state + 0.01 * dirac_field(state, loss_named("wasserstein"), penalty_named("wgan_gp"))
        sizes.append(float(state.norm()))
    assert min(sizes[100:]) > 0.3


# --- the phrase ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "penalty", "phrase"),
    [
        ("nonsaturating", None, "eigenvalues ±0.5i: circles"),
        ("wasserstein", None, "eigenvalues ±1i: circles"),
        ("nonsaturating", ("r1", 1.0), "eigenvalues -0.5 twice: attracts"),
        ("nonsaturating", ("r1", 0.6), "eigenvalues -0.3 ± 0.4i: attracts"),
        ("nonsaturating", ("r2", 1.25), "eigenvalues -1 and -0.25: attracts"),
        ("least_squares", None, "eigenvalues 0 twice: undecided to first order"),
        ("least_squares(-1,1,0)", ("r1", 2.0), "eigenvalues -2 and 0: undecided to first order"),
        ("wasserstein", ("wgan_gp", 10.0), "no linearisation at 0"),
    ],
)
def test_the_verdict(name: str, penalty: tuple[str, float] | None, phrase: str):
    assert dirac_verdict(loss_named(name), None if penalty is None else penalty_named(*penalty)) == phrase


def test_a_reward_for_steepness_repels():
    reward = lambda critic, real, fake, rng: -penalty_named("r1", 0.6)(critic, real, fake, rng)  # noqa: E731
    assert dirac_verdict(loss_named("nonsaturating"), reward) == "eigenvalues 0.3 ± 0.4i: repels"


def test_what_does_not_fit_is_refused():
    average = loss_named("relativistic(average)")
    with pytest.raises(InputError, match="noise is 0.5, but 'relativistic' couples the batch"):
        dirac_jacobian(average, noise=0.5)
    with pytest.raises(InputError, match="noise is -1"):
        dirac_jacobian(average, noise=-1.0)
    random = lambda critic, real, fake, rng: critic(real + torch.rand(real.shape, generator=rng).double())  # noqa: E731
    with pytest.raises(InputError, match="differ between equal samples"):
        dirac_eigenvalues(loss_named("nonsaturating"), random)
    wide = Loss(
        name="wide", critic=average.critic, generator=average.generator, generator_needs_real=False,
        coupling="none", score_width=3,
    )  # fmt: skip
    with pytest.raises(InputError, match="loss is 'wide', of vector scores"):
        dirac_verdict(wide)
