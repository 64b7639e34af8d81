"""Game rules against the dynamics that theory predicts, measured from the rule's own update."""

import cmath
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.games import GAMES, alternating
from adversarium.losses import LOSSES
from adversarium.types import GameRule

Objective = Callable[[Tensor, Tensor], Tensor]


def play(
    rule: GameRule, critic_loss: Objective, generator_loss: Objective, start: Tensor, h_d: float, h_g: float
) -> Tensor:
    """Move (critic, generator) = start by one step of the rule with plain gradient descent."""
    psi, theta = (torch.nn.Parameter(value.clone()) for value in start)

    def gradients(player: torch.nn.Parameter, loss: Objective) -> Callable[[], None]:
        def fill() -> None:
            (player.grad,) = torch.autograd.grad(loss(psi, theta), player)

        return fill

    rule(
        gradients(psi, critic_loss),
        gradients(theta, generator_loss),
        torch.optim.SGD([psi], lr=h_d),
        torch.optim.SGD([theta], lr=h_g),
    )
    return torch.stack((psi.detach(), theta.detach()))


def eigenvalues(step: Callable[[Tensor], Tensor], width: float) -> list[complex]:
    """Return the eigenvalues of a map's Jacobian at 0, by central differences along the axes."""
    columns = [(step(width * axis) - step(-width * axis)) / (2 * width) for axis in torch.eye(2, dtype=torch.float64)]
    return sorted(torch.linalg.eigvals(torch.stack(columns, dim=1)).tolist(), key=lambda z: (z.real, z.imag))


# spectral radius on min_x max_y x·y with step h
BILINEAR_RADIUS: dict[str, Callable[[float], float]] = {"alternating": lambda h: 1.0}


def test_every_rule_has_its_radius():
    assert set(BILINEAR_RADIUS) == set(GAMES)


@pytest.mark.parametrize("name", BILINEAR_RADIUS)
@pytest.mark.parametrize("seed", range(6))
def test_spectral_radius_on_the_bilinear_game(name: str, seed: int):
    h = 2 * float(torch.rand((), generator=torch.Generator().manual_seed(seed)))
    step = lambda z: play(GAMES[name](), lambda y, x: -x * y, lambda y, x: x * y, z, h, h)  # noqa: E731
    radius = max(abs(value) for value in eigenvalues(step, 1.0))
    assert radius == pytest.approx(BILINEAR_RADIUS[name](h), abs=1e-9)


@pytest.mark.parametrize("loss_name", ["minimax", "nonsaturating"])
@pytest.mark.parametrize("n_critic", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_eigenvalues_on_the_dirac_game(loss_name: str, n_critic: int, seed: int):
    """Data at 0, generator at θ, D(x) = ψx: 1 - α²/2 ± √((1 - α²/2)² - 1), α = √(n h_d h_g)·f'(0), f'(0) = ½."""
    h_d, h_g = (1.5 * torch.rand(2, generator=torch.Generator().manual_seed(seed))).tolist()
    loss = LOSSES[loss_name]()

    def side(of: str) -> Objective:
        return lambda psi, theta: getattr(loss, of)((psi * 0)[None], (psi * theta)[None]).sum()

    step = lambda z: play(alternating(n_critic), side("critic"), side("generator"), z, h_d, h_g)  # noqa: E731
    centre = 1 - n_critic * h_d * h_g / 8
    expected = [centre + sign * cmath.sqrt(centre**2 - 1) for sign in (-1, 1)]
    for ours, exact in zip(eigenvalues(step, 1e-4), expected, strict=True):
        assert ours == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("n_critic", [1, 2, 5])
def test_calls_come_in_the_published_order(n_critic: int):
    calls: list[str] = []

    class Recorder(torch.optim.SGD):
        def __init__(self, name: str) -> None:
            super().__init__([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
            self.name = name

        def step(self, closure: None = None) -> None:
            calls.append(f"{self.name} step")

    rule = alternating(n_critic)
    rule(lambda: calls.append("critic"), lambda: calls.append("generator"), Recorder("critic"), Recorder("generator"))
    assert calls == ["critic", "critic step"] * n_critic + ["generator", "generator step"]


@pytest.mark.parametrize("n_critic", [0, -1])
def test_the_critic_moves_at_least_once(n_critic: int):
    with pytest.raises(InputError, match=f"n_critic is {n_critic}"):
        alternating(n_critic)
