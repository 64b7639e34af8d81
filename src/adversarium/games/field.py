"""The vector field of a game: where both players are headed, and what its derivative says of the dynamics.

With z = (ψ, θ), the critic's weights first, both players descend: v(z) = -(∂L_C/∂ψ, ∂L_G/∂θ). Near a stationary point
the eigenvalues λ of dv/dz decide: a negative real part attracts, an imaginary part rotates, and a step h of
simultaneous descent multiplies by 1 + hλ. Mescheder, Nowozin and Geiger 2017, "The Numerics of GANs",
arXiv:1705.10461.

A game's losses have to be the same function at each call, with their graph to both players' weights: a critic's loss
on detached samples, or a penalty that cuts its graph to them, loses ∂²L_C/∂ψ∂θ and with it the rotation.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adversarium.errors import require
from adversarium.games._arnoldi import NotConverged, Which, arranged, leading
from adversarium.games.game import Game, require_trained
from adversarium.games.linearised import Linearised
from adversarium.games.stability import Stability, stability

__all__ = ["Field", "NotConverged", "Rotation", "Spectrum", "Stability", "spectrum", "stability"]

SMALL = 256
"""Up to so many weights the whole Jacobian is formed, and nothing is estimated."""


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """How much of dv/dz is antisymmetric: |A|²/(|S|² + |A|²) in Frobenius norms, with dv/dz = S + A.

    Attributes:
        share: 0 where both players minimise one loss, 1 on the bilinear game; 0 as well where dv/dz is 0.
        error: the standard error of the estimate, 0 where it is exact.
    """

    share: float
    error: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Spectrum:
    """A field in numbers, to print or to keep.

    Attributes:
        weights: how many weights both players have.
        value_norm: |v|. The eigenvalues say what happens next only where it is small.
        eigenvalues: the leading ones by magnitude, complex128.
        rightmost: the leading ones by real part, complex128.
        complete: whether the verdict rests on all eigenvalues. Otherwise it rests on the two lists: one is enough for
            ``repels``, and the largest stable step may be less than the one given.
        stability: the verdict and the largest stable step.
        rotation: the share of the antisymmetric part.
        products: how many products with dv/dz or its transpose were taken.
        seconds: how long it took.
    """

    weights: int
    value_norm: float
    eigenvalues: Tensor
    rightmost: Tensor
    complete: bool
    stability: Stability
    rotation: Rotation
    products: int
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """Return it as plain numbers for JSON: an eigenvalue is [real, imaginary]."""
        return {
            "weights": self.weights,
            "value_norm": self.value_norm,
            "eigenvalues": torch.view_as_real(self.eigenvalues).tolist(),
            "rightmost": torch.view_as_real(self.rightmost).tolist(),
            "complete": self.complete,
            "verdict": self.stability.verdict,
            "largest_stable_step": self.stability.largest_stable_step,
            "rotation": self.rotation.share,
            "rotation_error": self.rotation.error,
            "products": self.products,
            "seconds": self.seconds,
        }


class Field:
    """v, and products with dv/dz, at a game's present weights, from one evaluation of both losses.

    Vectors are flat, ``[n]``, the critic's weights first. With rates each player's rows are multiplied by its own: the
    field of two time-scales, where simultaneous descent takes steps of 1.

    Attributes:
        value: v, ``[n]``, without a graph.
        products: how many products with dv/dz or its transpose were taken so far.

    Raises:
        InputError: a loss that is no number with a graph; weights that are not trained; a field that is not finite; a
            rate that is not positive.
    """

    def __init__(self, game: Game, *, critic_rate: float = 1.0, generator_rate: float = 1.0) -> None:
        for name, rate in (("critic_rate", critic_rate), ("generator_rate", generator_rate)):
            require(0 < rate < math.inf, f"{name} is {rate}: wanted a positive number")
        require_trained(game)
        dtypes = {each.dtype for each in game.weights}
        exact = dtypes <= {torch.float32, torch.float64}
        require(exact, f"the game's weights have dtypes {dtypes}: wanted float32 or float64")
        self._at = Linearised(game.critic_loss, game.generator_loss, game.critic, game.generator)
        self._rates = [critic_rate] * len(game.critic) + [generator_rate] * len(game.generator)
        self._matrix: Tensor | None = None
        self.products = 0
        self.value = self._flat(self._at.gradients).detach()
        require(bool(self.value.isfinite().all()), "the field is not finite at these weights: wanted finite gradients")

    def product(self, vector: Tensor) -> Tensor:
        """Return (dv/dz)·u, ``[n]``, for u, ``[n]``.

        Raises:
            InputError: a vector of another length; a product that is not finite.
        """
        return self._counted(self._flat(self._at.product(self._parts(vector))))

    def transposed_product(self, vector: Tensor) -> Tensor:
        """Return (dv/dz)ᵀ·u, ``[n]``, for u, ``[n]``.

        Raises:
            InputError: a vector of another length; a product that is not finite.
        """
        rows = [-rate * part for rate, part in zip(self._rates, self._parts(vector), strict=True)]
        return self._counted(torch.cat([each.flatten() for each in self._at.transposed_product(rows)]))

    def dense(self) -> Tensor:
        """Return dv/dz, ``[n, n]``, by n products, which are taken once: for small games."""
        if self._matrix is None:
            axes = torch.eye(len(self.value), dtype=self.value.dtype, device=self.value.device)
            self._matrix = torch.stack([self.product(axis) for axis in axes], dim=1)
        return self._matrix.clone()

    def eigenvalues(
        self,
        k: int = 10,
        which: Which = "LM",
        *,
        rng: torch.Generator | None = None,
        tolerance: float | None = None,
        restarts: int = 300,
    ) -> Tensor:
        """Return the k leading eigenvalues of dv/dz (or all n), complex128; k + 1 where a conjugate pair would be cut.

        By SciPy's Arnoldi iteration from a random start (a fixed one without ``rng``); all of :meth:`dense` for up to
        ``SMALL`` weights, or where k is nearly all. Pairs are together, the largest (``LM``) or rightmost (``LR``)
        first. Arnoldi may list a multiple eigenvalue less often than it occurs.

        ``tolerance`` is that of the residual |(dv/dz)·x - λx| of a unit x, relative to |λ| for ``LM`` and to about the
        largest |λ| for ``LR``: 1e-8 in float64, 1e-4 in float32, unless given.

        Raises:
            NotConverged: after so many restarts; it holds the eigenvalues that had converged.
            InputError: ``k`` below 1, or another ``which``.
        """
        n = len(self.value)
        require(k >= 1, f"k is {k}: wanted at least 1")
        require(which in ("LM", "LR"), f"which is {which!r}: wanted 'LM' or 'LR'")
        if self.is_small(k):
            return arranged(torch.linalg.eigvals(self.dense().double()).cpu(), k, which)
        rng = torch.Generator().manual_seed(0) if rng is None else rng
        start = torch.randn(n, generator=rng, device=rng.device, dtype=torch.float64).to(self.value)
        residual = (1e-8 if self._is_double else 1e-4) if tolerance is None else tolerance
        return leading(self.product, start, k, which, tolerance=residual, restarts=restarts)

    def rotation(self, samples: int = 32, *, rng: torch.Generator | None = None) -> Rotation:
        """Return the share of dv/dz that is antisymmetric: exactly for up to ``SMALL`` weights, else estimated.

        Hutchinson's estimate, by random signs u: E|Au|² = |A|² with 2·A·u = (dv/dz)·u - (dv/dz)ᵀ·u, and likewise |S|².
        Two products per sample. No estimate leaves [0, 1], and 0 and 1 are found without error.

        Raises:
            InputError: fewer than 2 samples.
        """
        require(samples >= 2, f"samples is {samples}: wanted at least 2")
        if self.is_small():
            matrix = self.dense().double()
            norm = float(matrix.norm())
            return Rotation(share=float((matrix - matrix.T).norm() / 2 / norm) ** 2 if norm else 0.0, error=0.0)
        rng = torch.Generator().manual_seed(0) if rng is None else rng
        pairs = []
        for _ in range(samples):
            signs = 2 * torch.randint(2, self.value.shape, generator=rng, device=rng.device) - 1
            ahead, back = self.product(signs.to(self.value)), self.transposed_product(signs.to(self.value))
            pairs.append([(ahead - back).double().square().sum(), (ahead + back).double().square().sum()])
        antisymmetric, symmetric = torch.tensor(pairs, dtype=torch.float64).unbind(1)
        whole = antisymmetric + symmetric
        if not whole.any():
            return Rotation(share=0.0, error=0.0)
        share = antisymmetric.sum() / whole.sum()
        # the error of a ratio of two means, to first order
        error = (antisymmetric - share * whole).square().sum() / (samples * (samples - 1)) / whole.mean().square()
        return Rotation(share=float(share), error=float(error.sqrt()))

    def stability(
        self, k: int = 10, *, rng: torch.Generator | None = None, tolerance: float | None = None
    ) -> Stability:
        """Return the verdict of the k largest and the k rightmost eigenvalues: of all, for up to ``SMALL`` weights.

        Real parts within 1e-6 (in float32, 1e-3) of the largest magnitude count as 0.

        Raises:
            NotConverged: as :meth:`eigenvalues`, whose ``tolerance`` it is.
        """
        return self.judged(k, rng=rng, tolerance=tolerance)[2]

    def judged(
        self, k: int = 10, *, rng: torch.Generator | None = None, tolerance: float | None = None
    ) -> tuple[Tensor, Tensor, Stability]:
        """Return the largest and the rightmost eigenvalues too, on which :meth:`stability` rests."""
        largest = self.eigenvalues(k, "LM", rng=rng, tolerance=tolerance)
        rightmost = self.eigenvalues(k, "LR", rng=rng, tolerance=tolerance)
        known = self.eigenvalues(len(self.value)) if self.is_small(k) else torch.cat((largest, rightmost))
        return largest, rightmost, stability(known, 1e-6 if self._is_double else 1e-3)

    def is_small(self, k: int = 1) -> bool:
        """Say whether all eigenvalues are taken from the whole Jacobian, where k are asked for."""
        return len(self.value) <= SMALL or k >= len(self.value) - 1

    @property
    def _is_double(self) -> bool:
        return self.value.dtype == torch.float64

    def _counted(self, product: Tensor) -> Tensor:
        self.products += 1
        finite = bool(product.isfinite().all())
        require(
            finite, "dv/dz is not finite here: wanted losses with second derivatives (a norm has none where it is 0)"
        )
        return product

    def _parts(self, vector: Tensor) -> list[Tensor]:
        n = len(self.value)
        require(vector.shape == (n,), f"the vector has shape {list(vector.shape)}: wanted [{n}], a number per weight")
        parts = vector.split([each.numel() for each in self._at.weights])
        return [part.view_as(each).to(each) for part, each in zip(parts, self._at.weights, strict=True)]

    def _flat(self, rows: Sequence[Tensor]) -> Tensor:
        return torch.cat([-rate * row.flatten() for rate, row in zip(self._rates, rows, strict=True)])


def spectrum(
    game: Game,
    k: int = 10,
    *,
    samples: int = 32,
    rng: torch.Generator | None = None,
    tolerance: float | None = None,
    critic_rate: float = 1.0,
    generator_rate: float = 1.0,
) -> Spectrum:
    """Return a game's field at its present weights in numbers: k eigenvalues of either kind, rotation, verdict.

    Raises:
        NotConverged: as :meth:`Field.eigenvalues`, whose ``tolerance`` it is.
        InputError: as :class:`Field`.
    """
    started = time.perf_counter()
    field = Field(game, critic_rate=critic_rate, generator_rate=generator_rate)
    largest, rightmost, verdict = field.judged(k, rng=rng, tolerance=tolerance)
    rotation = field.rotation(samples, rng=rng)
    return Spectrum(
        weights=len(field.value),
        value_norm=float(field.value.norm()),
        eigenvalues=largest,
        rightmost=rightmost,
        complete=field.is_small(k),
        stability=verdict,
        rotation=rotation,
        products=field.products,
        seconds=time.perf_counter() - started,
    )
