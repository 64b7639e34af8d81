"""Exact toy games: small enough for every expectation to be a formula, with their equilibria.

Each is a :class:`~adversarium.games.Game` in float64. What a game rule does near the equilibrium can be computed from
the rule's own update, and compared with what it does when the game is played: see :mod:`adversarium.games.dynamics`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adversarium.errors import require
from adversarium.games.dirac import dirac_game
from adversarium.games.game import Game
from adversarium.types import Loss, Penalty


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A game, where it ought to end, and how far from there it is.

    Attributes:
        name: its factory's name in ``TOYS``.
        game: the two players' weights (leaves, float64) and losses.
        equilibrium: one of them, ``[n]``, the critic's weights first.
        distance: of a position ``[n]`` from the nearest equilibrium.
        neutral: the dimension of the set of equilibria around that one. No rule moves along it: so many eigenvalues
            of every update are 1, and say nothing of stability.
    """

    name: str
    game: Game
    equilibrium: Tensor
    distance: Callable[[Tensor], float]
    neutral: int = 0


def bilinear(spectrum: Sequence[float] = (1.0,), rng: torch.Generator | None = None) -> Toy:
    """Let two players pull at one product of their weights: pure rotation.

    Formula:
        max over x (the critic), min over y (the generator) of xᵀAy;  A = U·diag(s)·Vᵀ, s = ``spectrum``
    Convention:
        U and V are random rotations or reflections drawn from ``rng``, and the identity without one. The only
        equilibrium is 0, and the field's eigenvalues there are ±i·s: a rule's radius is the largest over the singular
        values s of its radius on max min s·x·y.
    Use when:
        A rule is to be seen alone: nothing here attracts but the rule. A wide spectrum shows the price of one step
        size for all speeds.
    Paper:
        Gidel et al. 2019, "Negative Momentum for Improved Game Dynamics", arXiv:1807.04740.

    Raises:
        InputError: no singular value at all, or one that is not positive.
    """
    fits = len(spectrum) > 0 and all(each > 0 for each in spectrum)
    require(fits, f"spectrum is {tuple(spectrum)}: wanted at least one number, and all of them positive")
    size = len(spectrum)
    left, right = (torch.eye(size, dtype=torch.float64) if rng is None else _orthogonal(size, rng) for _ in range(2))
    matrix = left @ torch.diag(torch.tensor(spectrum, dtype=torch.float64)) @ right.T
    x, y = (_leaf(torch.zeros(size)) for _ in range(2))

    def product() -> Tensor:
        return x @ matrix @ y

    game = Game(critic=(x,), generator=(y,), critic_loss=lambda: -product(), generator_loss=product)
    return Toy(name="bilinear", game=game, equilibrium=game.position(), distance=_norm)


def dirac(loss: Loss, penalty: Penalty | None = None, noise: float = 0.0) -> Toy:
    """Let a point find a point: the smallest GAN.

    Formula:
        data at 0, generator at θ, D(x) = ψ·x; the critic minimises its side of ``loss`` plus ``penalty``, the
        generator its own side
    Convention:
        The equilibrium is (ψ, θ) = (0, 0). ``noise`` is the standard deviation of instance noise on both points. The
        penalty is called as it is: second-order rules want one that keeps its graph to the fake samples.
    Use when:
        A loss, a penalty and a rule are to be judged together.
    Paper:
        Mescheder, Geiger and Nowozin 2018, "Which Training Methods for GANs do actually Converge?", arXiv:1801.04406.

    Raises:
        InputError: as in ``games.dirac.dirac_game``.
    """
    game = dirac_game(loss, penalty, noise)
    return Toy(name="dirac", game=game, equilibrium=game.position(), distance=_norm)


def gaussian(
    mean: Sequence[float] | Tensor = (0.0,),
    covariance: Sequence[Sequence[float]] | Tensor | None = None,
    latent: int | None = None,
    r1: float = 0.0,
    r2: float = 0.0,
) -> Toy:
    """Let an affine generator meet a Gaussian under the Wasserstein loss of a quadratic critic, in exact expectations.

    Formula:
        data N(μ, Σ);  generator x = V·z + b, z ~ N(0, I);  critic D(x) = ½·xᵀWx + wᵀx
        L_C = E D(fake) - E D(real) + r1/2·E‖∇D(real)‖² + r2/2·E‖∇D(fake)‖²;  L_G = E D(real) - E D(fake)
        E D = ½·tr(W(Σ + μμᵀ)) + wᵀμ;  E‖∇D‖² = ‖Wμ + w‖² + tr(WΣW), W taken by its symmetric part
    Convention:
        Σ = I unless given; ``latent`` codes, as many as the data have axes unless given. The weights are (W, w, V, b),
        and they are an equilibrium where VVᵀ = Σ, b = μ and D = 0: any rotation of the codes is another, and
        ``distance`` is to the nearest. L_G keeps the real term, in which the generator's weights have no part, for
        rules that differentiate L_G by the critic's (``unrolled(through="generator")``). With B the
        derivative of ∇(V, b) E D(fake) by (W, w) at the equilibrium, R1 and R2 charge ½(r1 + r2)‖B(W, w)‖², so that
        each singular value s of B has its two eigenvalues -(r1 + r2)s²/2 ± √((r1 + r2)²s⁴/4 - s²); without penalties
        ±i·s. One axis: s² are the eigenvalues of [[μ² + σ², μ], [μ, 1]]. With μ = 0: s² = (λᵢ + λⱼ)/2 for each pair
        i ≤ j of eigenvalues of Σ, and 1 for each axis of b.
    Use when:
        A rule or a penalty is to be seen on a whole distribution, location and spread, with a known answer.
    Paper:
        The setting of Feizi, Farnia, Ginart and Tse 2020, "Understanding GANs: the LQG Setting", arXiv:1710.10793
        (linear generator, quadratic critic, Gaussian data); that its Wasserstein form circles, Nagarajan and Kolter
        2017, "Gradient descent GAN optimization is locally stable", arXiv:1706.04156.

    Raises:
        InputError: a mean that is no vector; a covariance of another size, or not symmetric, or not positive
            definite; fewer codes than axes; a negative ``r1`` or ``r2``.
    """
    centre = torch.as_tensor(mean, dtype=torch.float64)
    require(centre.ndim == 1 and len(centre) > 0, f"mean has shape {list(centre.shape)}: wanted a vector")
    axes = len(centre)
    spread = torch.eye(axes).double() if covariance is None else torch.as_tensor(covariance, dtype=torch.float64)
    shape = list(spread.shape)
    require(shape == [axes, axes], f"covariance has shape {shape}: wanted {[axes, axes]}, as the mean has {axes} axes")
    values, vectors = torch.linalg.eigh(spread)
    fits = torch.allclose(spread, spread.T) and bool(values[0] > 0)
    require(fits, f"covariance is {spread.tolist()}: wanted a symmetric, positive definite matrix")
    codes = axes if latent is None else latent
    require(codes >= axes, f"latent is {codes}: wanted at least {axes}, as the data have as many axes")
    require(r1 >= 0 and r2 >= 0, f"r1 is {r1} and r2 is {r2}: wanted numbers that are not negative")
    root = vectors @ torch.diag(values.sqrt()) @ vectors.T

    quadratic, linear = _leaf(torch.zeros(axes, axes)), _leaf(torch.zeros(axes))
    factor = _leaf(torch.cat((root, torch.zeros(axes, codes - axes)), dim=1))
    offset = _leaf(centre)

    def moments() -> tuple[Tensor, Tensor]:
        return offset, factor @ factor.T

    def score(at: tuple[Tensor, Tensor]) -> Tensor:
        middle, covariance = at
        return 0.5 * (quadratic * (covariance + torch.outer(middle, middle))).sum() + linear @ middle

    def squared_slope(at: tuple[Tensor, Tensor]) -> Tensor:
        middle, covariance = at
        symmetric = 0.5 * (quadratic + quadratic.T)
        return (symmetric @ middle + linear).square().sum() + ((symmetric @ covariance) * symmetric).sum()

    real = centre, spread

    def critic_loss() -> Tensor:
        fake = moments()
        return score(fake) - score(real) + 0.5 * (r1 * squared_slope(real) + r2 * squared_slope(fake))

    def distance(position: Tensor) -> float:
        at_quadratic, at_linear, at_factor, at_offset = position.split([axes**2, axes, axes * codes, axes])
        symmetric = at_quadratic.view(axes, axes)
        symmetric = 0.5 * (symmetric + symmetric.T)
        found = at_factor.view(axes, codes)
        left, _, right = torch.linalg.svd(root @ found, full_matrices=False)
        nearest = root @ left @ right  # the rotation of the codes that fits best (Procrustes)
        return _norm(torch.cat((symmetric.flatten(), at_linear, (found - nearest).flatten(), at_offset - centre)))

    game = Game(
        critic=(quadratic, linear),
        generator=(factor, offset),
        critic_loss=critic_loss,
        generator_loss=lambda: score(real) - score(moments()),
    )
    # W's antisymmetric part, which D does not see, and V's rotations
    neutral = axes * (axes - 1) // 2 + axes * codes - axes * (axes + 1) // 2
    return Toy(name="gaussian", game=game, equilibrium=game.position(), distance=distance, neutral=neutral)


TOYS: dict[str, Callable[..., Toy]] = {
    "bilinear": bilinear,
    "dirac": dirac,
    "gaussian": gaussian,
}
"""Name to factory: exact games, with their equilibria."""


def _leaf(value: Tensor) -> Tensor:
    return value.detach().double().clone().requires_grad_()


def _norm(position: Tensor) -> float:
    return float(torch.linalg.vector_norm(position))


def _orthogonal(size: int, rng: torch.Generator) -> Tensor:
    """Return an orthogonal matrix from the uniform (Haar) distribution."""
    factor, triangle = torch.linalg.qr(torch.randn(size, size, generator=rng, dtype=torch.float64))
    orthogonal: Tensor = factor * triangle.diagonal().sign()
    return orthogonal
