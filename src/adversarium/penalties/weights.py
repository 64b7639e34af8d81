"""Penalties on the critic's weights themselves: they look at no sample."""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from adversarium.errors import InputError, lookup
from adversarium.penalties._check import not_negative
from adversarium.penalties._values import wide
from adversarium.penalties.scores import Scored, ScorePenalty
from adversarium.types import Critic

EntryNorm = Literal["frobenius", "absolute"]

_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def _matrices(critic: Critic) -> list[Tensor]:
    """Return each linear and convolutional weight as ``[out, rest]``, in float32 at least.

    Through a parametrisation ``module.weight`` is the weight in effect.

    Raises:
        InputError: a critic that is no ``nn.Module``, or has no such layer.
    """
    if not isinstance(critic, nn.Module):
        raise InputError(f"critic is a {type(critic).__name__}: a penalty on weights wanted an nn.Module")
    weights = [module.weight.flatten(1) for module in critic.modules() if isinstance(module, _WEIGHTED)]
    if not weights:
        raise InputError("critic has no linear or convolutional layer: there is no weight to penalise")
    return [wide(weight) for weight in weights]


def _on_weights(cost: Callable[[Tensor], Tensor]) -> ScorePenalty:
    """Return the penalty that sums a cost over the critic's matrices and gives it to every sample."""

    def value(batch: Scored) -> Tensor:
        # products of weights, for which bfloat16 is too coarse
        with torch.autocast(batch.real.device.type, enabled=False):
            costs = [cost(matrix) for matrix in _matrices(batch.critic)]
            return torch.stack(costs).sum().expand(len(batch.real))

    return ScorePenalty(reads=(), value=value)


def spectral_regularisation(weight: float = 0.01) -> ScorePenalty:
    """Charge the largest singular value of each layer.

    Formula:
        λ/2·Σ over layers of σ(W)², σ(W)² the largest eigenvalue of the smaller of WWᵀ and WᵀW
    Convention:
        W is a linear or convolutional weight as [out, rest] (that of the reshaped kernel, not of the operator). Exact,
        by an eigenvalue decomposition, and differentiable at W = 0 too; the authors take a power iteration. The value
        does not look at the samples: each has the same. λ = ``weight``.
    Use when:
        A softer hold on the critic's Lipschitz constant than the constraint ``spectral_norm``.
    Paper:
        Yoshida and Miyato 2017, "Spectral Norm Regularization for Improving the Generalizability of Deep Learning",
        arXiv:1705.10941.

    Raises:
        InputError: a negative weight; when called, a critic that is no nn.Module with a linear or convolutional layer.
    """
    not_negative(weight=weight)

    def cost(matrix: Tensor) -> Tensor:
        if matrix.shape[0] > matrix.shape[1]:
            matrix = matrix.T
        largest: Tensor = torch.linalg.eigvalsh(matrix @ matrix.T)[-1]  # they ascend
        return 0.5 * weight * largest

    return _on_weights(cost)


def orthogonal_regularisation(
    weight: float = 1e-4, off_diagonal: bool = False, norm: EntryNorm = "frobenius"
) -> ScorePenalty:
    """Pull the rows of each weight towards orthogonality.

    Formula:
        frobenius: λ·Σ over layers of ‖WWᵀ - I‖_F²;  absolute: λ·Σ over layers and entries of |WWᵀ - I|
        with ``off_diagonal`` only the entries off the diagonal count: rows may have any length
    Convention:
        W is a linear or convolutional weight as [out, rest]: the products are those of the filters. (The papers write
        WᵀW for weights stored as [rest, out].) Where out exceeds rest the rows cannot all be orthogonal, and the
        least value is above 0. It does not look at the samples: each has the same. λ = ``weight`` = 1e-4, BigGAN's.
    Elsewhere:
        ``norm="absolute"`` is the first paper's; its code (ajbrock/Neural-Photo-Editor) takes the rows of each
        filter's kernel for W. BigGAN quotes it with the Frobenius norm and takes ``off_diagonal=True``.
        ajbrock/BigGAN-PyTorch ``utils.ortho`` adds 2λ(WWᵀ∘(1 - I))W to the gradient, half of ours, which has a 4;
        ``default_ortho`` likewise, without ``off_diagonal``. Both take every parameter of two axes or more.
    Use when:
        Deep critics whose layers lose rank; ``off_diagonal=True`` holds them less tightly.
    Paper:
        Brock et al. 2017, "Neural Photo Editing with Introspective Adversarial Networks", arXiv:1609.07093;
        off_diagonal: Brock, Donahue and Simonyan 2019, "Large Scale GAN Training for High Fidelity Natural Image
        Synthesis", arXiv:1809.11096.

    Raises:
        InputError: a negative weight or an unknown norm; when called, a critic that is no nn.Module with a linear or
            convolutional layer.
    """
    not_negative(weight=weight)
    lookup("norm", norm, dict.fromkeys(get_args(EntryNorm)))

    def cost(matrix: Tensor) -> Tensor:
        products = matrix @ matrix.T
        identity = torch.eye(len(products), device=products.device, dtype=products.dtype)
        excess = products * (1 - identity) if off_diagonal else products - identity
        return weight * (excess.square() if norm == "frobenius" else excess.abs()).sum()

    return _on_weights(cost)
