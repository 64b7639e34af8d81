"""The Dirac game: the smallest GAN, whose dynamics near the equilibrium can be read off two numbers.

The data are the point 0, the generator is the point θ, the critic is D(x) = ψ·x, and both descend:
``v(ψ, θ) = (-∂L_C/∂ψ, -∂L_G/∂θ)``. The equilibrium is (0, 0). Where v is differentiable there, the eigenvalues of its
Jacobian decide: a negative real part attracts, none circles. Mescheder, Geiger and Nowozin 2018, "Which Training
Methods for GANs do actually Converge?", arXiv:1801.04406.
"""

import copy
import math

import numpy as np
import torch
from torch import Tensor, nn

from adversarium.errors import require
from adversarium.games.game import Game
from adversarium.types import Loss, Penalty

_NODES = 7  # of the Gauss-Hermite rule: exact for the derivatives at 0, where only the noise's variance matters


def dirac_game(loss: Loss, penalty: Penalty | None = None, noise: float = 0.0) -> Game:
    """Return the game itself, at the equilibrium, in float64: ψ is ``[1, 1]``, θ is ``[1]``.

    ``noise`` is the standard deviation of instance noise on both points, integrated out by quadrature. The penalty is
    called as it is: most cut its graph to the fake samples, which second-order rules need. Both members stay as they
    were given: each evaluation starts from the same moving averages.

    Raises:
        InputError: a loss of vector scores, or of an autoencoder's; negative noise, or noise with a loss that reads
            the rest of the batch (its mean over the quadrature's points is not the expectation); when played, a
            penalty whose value is random.
    """
    require(loss.score_width is None, f"loss is {loss.name!r}, of vector scores: the Dirac critic's score is a number")
    autoencoder = loss.critic_kind == "autoencoder"
    require(not autoencoder, f"loss is {loss.name!r}, of an autoencoder's scores: the Dirac critic is linear")
    require(noise >= 0, f"noise is {noise}: wanted a number that is not negative")
    coupled = loss.coupling in ("all_pairs", "batch_mean")
    require(not noise or not coupled, f"noise is {noise}, but {loss.name!r} couples the batch: wanted no noise")
    linear = nn.utils.skip_init(nn.Linear, 1, 1, bias=False, dtype=torch.float64)  # draws no weight
    nn.init.zeros_(linear.weight)
    critic = nn.Sequential(linear, nn.Flatten(0))
    theta = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    real, offset, share = _noise(noise)

    def critic_loss() -> Tensor:
        side, extra = copy.deepcopy((loss.critic, penalty))  # moving averages stay as they are
        fake = theta + offset
        values = side(critic(real), critic(fake))
        if extra is not None:
            charged = extra(critic, real, fake, torch.Generator().manual_seed(0))
            # once the game has left the finite numbers there is nothing to compare
            alike = noise > 0 or torch.allclose(charged, charged[0].expand_as(charged), 1e-6, 0, equal_nan=True)
            require(alike, "the penalty's values differ between equal samples: wanted one that is not random")
            values = values + charged
        return (share * values).sum()

    def generator_loss() -> Tensor:
        values = copy.deepcopy(loss.generator)(critic(real), critic(theta + offset))
        return (share * values).sum()

    return Game(critic=(linear.weight,), generator=(theta,), critic_loss=critic_loss, generator_loss=generator_loss)


def dirac_field(at: Tensor, loss: Loss, penalty: Penalty | None = None, noise: float = 0.0) -> Tensor:
    """Return v at ``(ψ, θ)``, ``[2]``, in float64, by autograd through the members' own code.

    Raises:
        InputError: as in :func:`dirac_game`.
    """
    game = dirac_game(loss, penalty, noise)
    game.move_to(at.double())
    return game.field()


def _noise(deviation: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return independent offsets of the real and of the fake point, ``[B, 1]``, and their weights, ``[B]``."""
    if deviation == 0:  # twice the same pair: some losses want two
        still = torch.zeros(2, 1, dtype=torch.float64)
        return still, still, torch.full((2,), 0.5, dtype=torch.float64)
    roots, weights = (torch.from_numpy(each) for each in np.polynomial.hermite_e.hermegauss(_NODES))
    pairs = deviation * torch.cartesian_prod(roots, roots)
    return pairs[:, :1], pairs[:, 1:], torch.outer(weights, weights).flatten() / (2 * math.pi)


def linearises(loss: Loss, penalty: Penalty | None = None, noise: float = 0.0) -> bool:
    """Say whether the field is differentiable at the equilibrium: near 0 it is linear, whichever way one leaves."""
    width = 1e-5
    angles = torch.linspace(0, 2 * math.pi, 11, dtype=torch.float64)[:-1]
    directions = torch.stack((angles.cos(), angles.sin()), dim=1)
    quotients = [dirac_field(width * way, loss, penalty, noise) / width for way in directions]
    found = torch.stack(quotients)
    linear = torch.linalg.lstsq(directions, found).solution
    return bool((found - directions @ linear).abs().max() < 1e-3 * (1 + linear.abs().max()))


def dirac_jacobian(loss: Loss, penalty: Penalty | None = None, noise: float = 0.0) -> Tensor:
    """Return the Jacobian ``[2, 2]`` of the field at (ψ, θ) = (0, 0), to about 1e-9.

    Differences of the field, not a second autograd: a slope is ``|ψ|``, whose second derivatives autograd takes as 0
    at its kink, and penalties detach the samples, hence θ.

    Raises:
        InputError: the field is not differentiable there (WGAN-GP); whatever :func:`dirac_field` refuses.
    """
    smooth = linearises(loss, penalty, noise)
    require(smooth, f"the field of {loss.name!r} (and its penalty) has no linearisation at 0: wanted a smooth one")

    def slope_along(axis: Tensor, width: float) -> Tensor:
        ahead, behind = (dirac_field(sign * width * axis, loss, penalty, noise) for sign in (1, -1))
        return (ahead - behind) / (2 * width)

    axes = torch.eye(2, dtype=torch.float64)
    # two widths cancel the error's leading term
    return torch.stack([(4 * slope_along(axis, 1e-3) - slope_along(axis, 2e-3)) / 3 for axis in axes], dim=1)


def dirac_eigenvalues(loss: Loss, penalty: Penalty | None = None, noise: float = 0.0) -> Tensor:
    """Return the two eigenvalues of :func:`dirac_jacobian`, complex, ``[2]``: by real, then by imaginary part."""
    values = torch.linalg.eigvals(dirac_jacobian(loss, penalty, noise)).tolist()
    # a double eigenvalue splits by the root of the Jacobian's error
    return torch.tensor(sorted(values, key=lambda each: (round(each.real, 4), each.imag)), dtype=torch.complex128)


def dirac_verdict(loss: Loss, penalty: Penalty | None = None, noise: float = 0.0) -> str:
    """Return the eigenvalues and what they mean, as a phrase."""
    if not linearises(loss, penalty, noise):
        return "no linearisation at 0"
    one, other = (
        complex(round(each.real, 4), round(each.imag, 4)) for each in dirac_eigenvalues(loss, penalty, noise).tolist()
    )
    if other.imag:
        found = (f"{other.real:.4g} ± " if other.real else "±") + f"{other.imag:.4g}i"
    else:
        found = f"{one.real + 0:.4g} twice" if one == other else f"{one.real + 0:.4g} and {other.real + 0:.4g}"
    if other.real:
        meaning = "repels" if other.real > 0 else "attracts"
    else:
        meaning = "circles" if other.imag else "undecided to first order"
    return f"eigenvalues {found}: {meaning}"
