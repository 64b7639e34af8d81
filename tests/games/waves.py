"""A random smooth game that is not zero-sum, with its Jacobian by hand: the second-order rules' test bed."""

from collections.abc import Sequence

import torch
from torch import Tensor

from adversarium.games import Game
from adversarium.games._solve import shaped

CRITIC_SHAPES, GENERATOR_SHAPES = [(3, 2), (2,), ()], [(2, 3), (1,)]


class Waves:
    """L = Σ c·sin(Az + b) for either player: smooth, bounded, not zero-sum, with gradients and Hessians by hand."""

    def __init__(self, seed: int, scale: float = 1.0) -> None:
        rng = torch.Generator().manual_seed(seed)
        draw = lambda *size: torch.randn(*size, generator=rng, dtype=torch.float64)  # noqa: E731
        self.critic_size = sum(torch.Size(shape).numel() for shape in CRITIC_SHAPES)
        n = self.critic_size + sum(torch.Size(shape).numel() for shape in GENERATOR_SHAPES)
        self.inner = [draw(6, n) / 2 for _ in range(2)]
        self.shift, self.outer = [draw(6) for _ in range(2)], [scale * draw(6) for _ in range(2)]
        self.start = draw(n)

    def loss(self, player: int, z: Tensor) -> Tensor:
        inner, shift, outer = (each[player].to(z.dtype) for each in (self.inner, self.shift, self.outer))
        return (outer * (inner @ z + shift).sin()).sum()

    def rows(self, matrices: Sequence[Tensor]) -> Tensor:
        """Return the critic's rows of the first, and the generator's of the second."""
        return torch.cat([matrices[0][: self.critic_size], matrices[1][self.critic_size :]])

    def gradient(self, z: Tensor) -> Tensor:
        slopes = [c * (a @ z + b).cos() for a, b, c in zip(self.inner, self.shift, self.outer, strict=True)]
        return self.rows([a.T @ slope for a, slope in zip(self.inner, slopes, strict=True)])

    def jacobian(self, z: Tensor) -> Tensor:
        bends = [-c * (a @ z + b).sin() for a, b, c in zip(self.inner, self.shift, self.outer, strict=True)]
        return self.rows([a.T @ (bend[:, None] * a) for a, bend in zip(self.inner, bends, strict=True)])

    def off_diagonal(self, z: Tensor) -> Tensor:
        found, m = self.jacobian(z), self.critic_size
        found[:m, :m] = found[m:, m:] = 0
        return found

    def game(self, dtype: torch.dtype = torch.float64) -> Game:
        like = [torch.zeros(shape, dtype=dtype) for shape in [*CRITIC_SHAPES, *GENERATOR_SHAPES]]
        weights = [part.clone().requires_grad_() for part in shaped(self.start, like)]
        z = lambda: torch.cat([each.flatten() for each in weights])  # noqa: E731
        count = len(CRITIC_SHAPES)
        return Game(
            critic=tuple(weights[:count]),
            generator=tuple(weights[count:]),
            critic_loss=lambda: self.loss(0, z()),
            generator_loss=lambda: self.loss(1, z()),
        )
