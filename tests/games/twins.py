"""Slow, readable twins of the first-order rules, on flat numpy vectors, from the formulas of the papers.

A twin knows neither torch nor the rules: a game is two gradients written out by hand, an optimizer is its published
recurrence, a rule is a loop. ``Z`` is a pair (ψ, θ), the critic's weights and the generator's.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from adversarium.games import Game
from adversarium.types import Closure

Vector = npt.NDArray[np.float64]
Z = tuple[Vector, Vector]
Schedule = Callable[[int], None]


# --- a random smooth game that is not zero-sum ---------------------------------------------------


class SmoothGame:
    """Each player's loss is ``s·sin(Az + b) + t·tanh(Cz + d) + ½ zᵀQz`` with coefficients of its own.

    Q is I/2 plus noise: the games stay bounded, and so tame that rounding errors do not grow.
    """

    def __init__(self, seed: int, critic_shapes: list[tuple[int, ...]], generator_shapes: list[tuple[int, ...]]):
        rng = np.random.default_rng(seed)
        self.shapes = critic_shapes, generator_shapes
        self.n_critic, self.n_generator = (sum(int(np.prod(each)) for each in shapes) for shapes in self.shapes)
        n = self.n_critic + self.n_generator
        self.coefficients = []
        for _ in range(2):
            q = rng.normal(size=(n, n)) / n + np.eye(n) / 4
            a, c = rng.normal(size=(2, 5, n)) / np.sqrt(2 * n)
            b, d, s, t = rng.normal(size=(4, 5))
            self.coefficients.append((a, b, s, c, d, t, q + q.T))
        z = rng.normal(size=n)
        self.start: Z = z[: self.n_critic], z[self.n_critic :]

    def gradient(self, player: int, z: Z) -> Vector:
        """Return ∇_ψ of the critic's loss (player 0) or ∇_θ of the generator's (1), by the chain rule."""
        a, b, s, c, d, t, q = self.coefficients[player]
        both = np.concatenate(z)
        whole = a.T @ (s * np.cos(a @ both + b)) + c.T @ (t / np.cosh(c @ both + d) ** 2) + q @ both
        return whole[: self.n_critic] if player == 0 else whole[self.n_critic :]

    def in_torch(self, dtype: torch.dtype = torch.float64) -> Game:
        """Return the same game on parameters of the given shapes, differentiated by autograd."""
        players = []
        for part, shapes in zip(self.start, self.shapes, strict=True):
            pieces = torch.tensor(part).split([int(np.prod(each)) for each in shapes])
            players.append(tuple(torch.nn.Parameter(p.view(s).to(dtype)) for p, s in zip(pieces, shapes, strict=True)))

        def loss(player: int) -> Callable[[], torch.Tensor]:
            a, b, s, c, d, t, q = (torch.tensor(each).to(dtype) for each in self.coefficients[player])

            def value() -> torch.Tensor:
                z = torch.cat([each.flatten() for each in players[0] + players[1]])
                return s @ torch.sin(a @ z + b) + t @ torch.tanh(c @ z + d) + z @ q @ z / 2

            return value

        return Game(critic=players[0], generator=players[1], critic_loss=loss(0), generator_loss=loss(1))

    def closures(self, game: Game) -> tuple[Closure, Closure]:
        """Return closures that fill a float64 game's gradients by the formula: several times as fast as autograd."""

        def closure(player: int, weights: tuple[torch.Tensor, ...]) -> Closure:
            def fill() -> None:
                z = torch.cat([each.detach().flatten() for each in game.weights]).numpy()
                gradient = torch.from_numpy(self.gradient(player, (z[: self.n_critic], z[self.n_critic :])))
                parts = gradient.split([each.numel() for each in weights])
                for each, part in zip(weights, parts, strict=True):
                    each.grad = part.view_as(each)

            return fill

        return closure(0, game.critic), closure(1, game.generator)


# --- optimizers: the gradient to the move; the learning rate is a number per coordinate ----------


@dataclass
class Descent:
    lr: Vector

    def __call__(self, g: Vector) -> Vector:
        return -self.lr * g


@dataclass
class HeavyBall:
    """m_t = μ·m_{t-1} + g_t, move -h·m_t."""

    lr: Vector
    mu: float
    m: Vector | float = 0.0

    def __call__(self, g: Vector) -> Vector:
        self.m = self.mu * self.m + g
        return -self.lr * self.m


@dataclass
class RMSProp:
    """v_t = α·v_{t-1} + (1 - α)·g_t², move -h·g_t / (√v_t + ε)."""

    lr: Vector
    alpha: float
    eps: float
    v: Vector | float = 0.0

    def __call__(self, g: Vector) -> Vector:
        self.v = self.alpha * self.v + (1 - self.alpha) * g**2
        return -self.lr * g / (np.sqrt(self.v) + self.eps)


@dataclass
class Adam:
    """Kingma and Ba 2015; with ``amsgrad``, √v̂ never falls (Reddi, Kale and Kumar 2018)."""

    lr: Vector
    beta1: float
    beta2: float
    eps: float
    amsgrad: bool = False
    t: int = 0
    m: Vector | float = 0.0
    v: Vector | float = 0.0
    largest: Vector | float = 0.0

    def __call__(self, g: Vector) -> Vector:
        self.t += 1
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.v = self.beta2 * self.v + (1 - self.beta2) * g**2
        self.largest = np.maximum(self.largest, self.v)
        m = self.m / (1 - self.beta1**self.t)
        v = (self.largest if self.amsgrad else self.v) / (1 - self.beta2**self.t)
        return -self.lr * m / (np.sqrt(v) + self.eps)


Stepper = Descent | HeavyBall | RMSProp | Adam


# --- rules: one step each; what they remember is in the object ------------------------------------


class Simultaneous:
    def __call__(self, game: SmoothGame, z: Z, critic: Stepper, generator: Stepper) -> Z:
        g_psi, g_theta = game.gradient(0, z), game.gradient(1, z)
        return z[0] + critic(g_psi), z[1] + generator(g_theta)


@dataclass
class Alternating:
    n_critic: int = 1
    n_generator: int = 1

    def __call__(self, game: SmoothGame, z: Z, critic: Stepper, generator: Stepper) -> Z:
        psi, theta = z
        for _ in range(self.n_critic):
            psi = psi + critic(game.gradient(0, (psi, theta)))
        for _ in range(self.n_generator):
            theta = theta + generator(game.gradient(1, (psi, theta)))
        return psi, theta


class Extragradient:
    """Korpelevich 1976."""

    def __call__(self, game: SmoothGame, z: Z, critic: Stepper, generator: Stepper) -> Z:
        ahead = z[0] + critic(game.gradient(0, z)), z[1] + generator(game.gradient(1, z))
        return z[0] + critic(game.gradient(0, ahead)), z[1] + generator(game.gradient(1, ahead))


class ExtrapolationFromThePast:
    """Popov 1980. ``looks`` lists the points at which it took gradients."""

    def __init__(self) -> None:
        self.past: Z | None = None
        self.looks: list[Z] = []

    def __call__(self, game: SmoothGame, z: Z, critic: Stepper, generator: Stepper) -> Z:
        ahead = z
        if self.past is not None:
            ahead = z[0] + critic(self.past[0]), z[1] + generator(self.past[1])
        self.looks.append(ahead)
        self.past = game.gradient(0, ahead), game.gradient(1, ahead)
        return z[0] + critic(self.past[0]), z[1] + generator(self.past[1])


class Optimistic:
    """Daskalakis et al. 2018: twice this move, less the last."""

    def __init__(self) -> None:
        self.last: Z | tuple[float, float] = (0.0, 0.0)

    def __call__(self, game: SmoothGame, z: Z, critic: Stepper, generator: Stepper) -> Z:
        move = critic(game.gradient(0, z)), generator(game.gradient(1, z))
        new = z[0] + 2 * move[0] - self.last[0], z[1] + 2 * move[1] - self.last[1]
        self.last = move
        return new


class Lookahead:
    """Chavdarova et al. 2021, nested if ``outer_k`` is given: the fast, slow and super-slow weights."""

    def __init__(
        self, k: int, alpha: float, inner: "Rule", outer_k: int | None = None, outer_alpha: float = 0.5
    ) -> None:
        self.k, self.alpha, self.inner = k, alpha, inner
        self.outer_k, self.outer_alpha = outer_k, outer_alpha
        self.t = 0
        self.slow: Z | None = None
        self.super_slow: Z | None = None

    def __call__(self, game: SmoothGame, z: Z, critic: Stepper, generator: Stepper) -> Z:
        if self.slow is None or self.super_slow is None:
            self.slow = self.super_slow = z
        fast = self.inner(game, z, critic, generator)
        self.t += 1
        if self.t % self.k == 0:
            self.slow = fast = _between(self.slow, fast, self.alpha)
        if self.outer_k is not None and self.t % self.outer_k == 0:
            self.super_slow = self.slow = fast = _between(self.super_slow, fast, self.outer_alpha)
        return fast


Rule = Simultaneous | Alternating | Extragradient | ExtrapolationFromThePast | Optimistic | Lookahead


def _between(start: Z, end: Z, share: float) -> Z:
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def played(
    rule: Rule, game: SmoothGame, critic: Stepper, generator: Stepper, steps: int, schedule: Schedule | None = None
) -> Vector:
    """Return the weights before the first and after each step, ``[steps + 1, n]``."""
    z = game.start
    path = [np.concatenate(z)]
    for t in range(steps):
        if schedule is not None:
            schedule(t)
        z = rule(game, z, critic, generator)
        path.append(np.concatenate(z))
    return np.stack(path)


# --- the published algorithms around Adam, line by line -------------------------------------------


def extra_adam(
    game: SmoothGame, lr: Vector, beta1: float, beta2: float, eps: float, steps: int, from_the_past: bool
) -> Vector:
    """Return the weights after each step of Gidel et al. 2019, Algorithm 4, with its option 1 or 2.

    Its loop begins at t = 0, where its bias corrections by 1 - β^{2t-1} and 1 - β^{2t} are none; they are those of the
    first and second step if t = 1 comes first. Option 2 loads the gradient of the look before, of which the first
    step has none: it looks nowhere, so that its correction is one step less throughout.
    """
    both = lambda z: np.concatenate((game.gradient(0, z), game.gradient(1, z)))  # noqa: E731
    pair = lambda w: (w[: game.n_critic], w[game.n_critic :])  # noqa: E731
    w = np.concatenate(game.start)
    m, v = np.zeros_like(w), np.zeros_like(w)
    saved = None
    path = [w]
    for t in range(1, steps + 1):
        n = 2 * t - 1
        ahead = w
        if from_the_past:
            n -= 1
            g = saved
        else:
            g = both(pair(w))
        if g is not None:
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g**2
            ahead = w - lr * (m / (1 - beta1**n)) / (np.sqrt(v / (1 - beta2**n)) + eps)
        saved = both(pair(ahead))
        m = beta1 * m + (1 - beta1) * saved
        v = beta2 * v + (1 - beta2) * saved**2
        w = w - lr * (m / (1 - beta1 ** (n + 1))) / (np.sqrt(v / (1 - beta2 ** (n + 1))) + eps)
        path.append(w)
    return np.stack(path)


def optimistic_adam(game: SmoothGame, lr: Vector, beta1: float, beta2: float, eps: float, steps: int) -> Vector:
    """Return the weights after each step of Daskalakis et al. 2018, Algorithm 1; m_0 = v_0 = 0."""
    w = np.concatenate(game.start)
    m, v, before = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    path = [w]
    for t in range(1, steps + 1):
        z = w[: game.n_critic], w[game.n_critic :]
        g = np.concatenate((game.gradient(0, z), game.gradient(1, z)))
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        now = (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
        w = w - 2 * lr * now + lr * before
        before = now
        path.append(w)
    return np.stack(path)
