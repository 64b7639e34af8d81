"""The leading eigenvalues of a real matrix known only by its products, by SciPy's Arnoldi iteration (ARPACK)."""

import inspect
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from adversarium.errors import InputError

Which = Literal["LM", "LR"]
"""Which eigenvalues: of largest magnitude, which limit the step, or of largest real part, which decide attraction."""

_POWER_STEPS = 8


class NotConverged(InputError):
    """Arnoldi's iteration ended before it had found all eigenvalues that were asked for.

    Attributes:
        eigenvalues: those it had found, complex128, perhaps none.
    """

    def __init__(self, message: str, eigenvalues: Tensor) -> None:
        super().__init__(message)
        self.eigenvalues = eigenvalues


def arranged(eigenvalues: Tensor, k: int, which: Which) -> Tensor:
    """Return the first k, sorted, conjugate pairs together with the positive imaginary part first.

    The matrix is real: where half of a pair is missing or would be cut off, it is put back, and there are k + 1.
    """
    values: list[complex] = eigenvalues.tolist()
    upper = [each for each in values if each.imag >= 0]
    upper += [each.conjugate() for each in values if each.imag < 0 and each.conjugate() not in upper]
    size = abs if which == "LM" else lambda each: each.real
    found: list[complex] = []
    for each in sorted(upper, key=lambda each: (-size(each), -each.imag)):
        if len(found) < k:
            found += [each, each.conjugate()] if each.imag else [each]
    return torch.tensor(found, dtype=torch.complex128)


def leading(
    product: Callable[[Tensor], Tensor],
    start: Tensor,
    k: int,
    which: Which,
    *,
    tolerance: float,
    restarts: int,
) -> Tensor:
    """Return k eigenvalues (or k + 1, see :func:`arranged`), complex128, iterating in the precision of ``start``.

    ``tolerance`` is that of the residual of a unit eigenvector: relative to |λ| for ``LM``, to about the largest |λ|
    for ``LR``, whose eigenvalues may well be 0.

    Raises:
        NotConverged: after so many restarts.
    """
    from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigs  # type: ignore[import-untyped]

    size, dtype = len(start), np.dtype(np.float64 if start.dtype == torch.float64 else np.float32)
    scale = _scale(product, start)
    if scale == 0:  # a nilpotent matrix, where ARPACK would find no second vector
        return torch.zeros(k, dtype=torch.complex128)
    # ARPACK's tolerance is relative to |λ|. This shift makes it that to the largest one; it moves neither the order
    # of the real parts nor the space that is searched.
    shift = 2 * scale if which == "LR" else 0.0  # twice: once may leave nothing of a multiple of the identity

    def shifted(vector: np.ndarray) -> np.ndarray:
        along = torch.from_numpy(vector.reshape(-1)).to(start)
        return (product(along) + shift * along).cpu().numpy().astype(dtype)

    # newer versions of SciPy want a seed for leaving an invariant subspace; older ones have their own
    seed = {"rng": 0} if "rng" in inspect.signature(eigs).parameters else {}
    try:
        found = eigs(
            LinearOperator((size, size), matvec=shifted, dtype=dtype),
            k,
            which=which,
            v0=start.cpu().numpy().astype(dtype),
            ncv=min(size, max(3 * k + 2, 20)),  # a few more vectors than the default save products
            maxiter=restarts,
            tol=tolerance,
            return_eigenvectors=False,
            **seed,
        )
    except ArpackNoConvergence as error:
        partial = arranged(_unshifted(error.eigenvalues, shift), k, which)
        names = ", ".join(f"{each:.4g}" for each in partial.tolist()) or "none"
        raise NotConverged(
            f"{min(len(partial), k)} of {k} eigenvalues ({which}) converged to {tolerance:g} within {restarts} "
            f"restarts: {names}; wanted fewer eigenvalues, a larger tolerance or more restarts",
            partial,
        ) from error
    except ArpackError as error:
        raise InputError(f"Arnoldi's iteration gave up on the {k} eigenvalues ({which}): {error}") from error
    return arranged(_unshifted(found, shift), k, which)


def _unshifted(eigenvalues: np.ndarray, shift: float) -> Tensor:
    return torch.from_numpy(eigenvalues.astype(np.complex128)) - shift


def _scale(product: Callable[[Tensor], Tensor], start: Tensor) -> float:
    """Return about the largest |λ|, by power steps; 0 only for a nilpotent matrix."""
    vector, norm = start, 1.0
    for _ in range(_POWER_STEPS):
        vector = product(vector / vector.norm())
        norm = float(vector.norm())
        if norm == 0:
            break
    return norm
