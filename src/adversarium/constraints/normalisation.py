"""Constraints on each weight matrix: spectral norm, weight norm, orthogonality.

All are torch parametrisations of the weights of linear and convolutional layers, a kernel read as the matrix
``[out, rest]``. The layer keeps its name and its optimizer sees the parameters underneath.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from adversarium.errors import InputError, require
from adversarium.types import Constraint

_NORMALISED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding)


def _free_layers(critic: nn.Module, kind: type[nn.Module]) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers to parametrise: not those that have this parametrisation already.

    Raises:
        InputError: a layer's weight has another parametrisation.
    """
    for name, module in list(critic.named_modules()):
        if not isinstance(module, _NORMALISED):
            continue
        if not parametrize.is_parametrized(module, "weight"):
            yield name, module
        elif not any(isinstance(each, kind) for each in _parametrisations(module)):
            found = ", ".join(type(each).__name__ for each in _parametrisations(module))
            raise InputError(f"the weight of layer {name!r} is parametrised already, by {found}: wanted a plain one")


def _parametrisations(module: nn.Module) -> Iterator[nn.Module]:
    parametrised = module.parametrizations
    assert isinstance(parametrised, nn.ModuleDict)
    return parametrised["weight"].children()


def _rows(layer: nn.Module) -> Tensor:
    assert isinstance(layer.weight, Tensor)
    return layer.weight.detach().flatten(1)


def spectral_norm(n_power_iterations: int = 1) -> Constraint:
    """Divide each linear and convolutional weight by its largest singular value.

    Formula:
        W <- W/σ(W), σ estimated by power iteration on W reshaped to [out, rest]
    Convention:
        torch's parametrisation. A convolution's σ is that of the reshaped kernel, as in the paper, not of the
        operator.
    Elsewhere:
        torch's parametrisation starts with 15 power iterations; torch-mimicry ``SNConv2d``, torchgan
        ``SpectralNorm2d``, BigGAN-PyTorch ``SN`` and the authors' sngan_projection start from a random vector with
        none: they equal it once the iteration has converged. All reshape a kernel to [out, rest].
    Use when:
        A cheap bound on the critic with the hinge or the non-saturating loss (``sngan``).
    Paper:
        Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", arXiv:1802.05957.

    Raises:
        InputError: fewer than one power iteration; from ``apply``, a weight of zeros, or with another parametrisation.
    """
    require(n_power_iterations >= 1, f"n_power_iterations is {n_power_iterations}: wanted at least 1")

    def apply(critic: nn.Module) -> None:
        layers = list(_free_layers(critic, parametrizations._SpectralNorm))
        for name, layer in layers:
            require(bool(_rows(layer).any()), f"the weight of layer {name!r} is zero, which has no norm to divide by")
        for _, layer in layers:
            parametrizations.spectral_norm(layer, "weight", n_power_iterations=n_power_iterations)

    return Constraint(
        name="spectral_norm", when="build", apply=apply, arguments={"n_power_iterations": n_power_iterations}
    )


def weight_norm() -> Constraint:
    """Give the length and the direction of each row of a weight parameters of their own.

    Formula:
        w = g·v/‖v‖ for each row w of W reshaped to [out, rest]; g and v are trained
    Convention:
        torch's parametrisation, without the paper's data-dependent initialisation: at first W is what it was. It
        bounds nothing, since g is free; the gradient by v is orthogonal to v.
    Use when:
        A critic that trains badly without batch norm, which a gradient penalty excludes.
    Paper:
        Salimans and Kingma 2016, "Weight Normalization: A Simple Reparameterization to Accelerate Training of Deep
        Neural Networks", arXiv:1602.07868; in GANs Xiang and Li 2017, "On the Effects of Batch and Weight
        Normalization in Generative Adversarial Networks", arXiv:1704.03971.

    Raises:
        InputError: from ``apply``, a weight with a row of zeros, or with another parametrisation.
    """

    def apply(critic: nn.Module) -> None:
        layers = list(_free_layers(critic, parametrizations._WeightNorm))
        for name, layer in layers:
            whole = bool(_rows(layer).any(dim=1).all())
            require(whole, f"the weight of layer {name!r} has a row of zeros, which has no direction")
        for _, layer in layers:
            parametrizations.weight_norm(layer, "weight", dim=0)

    return Constraint(name="weight_norm", when="build", apply=apply)


def orthogonal(iterations: int = 15) -> Constraint:
    """Keep the rows (or the columns, whichever are fewer) of each weight orthonormal.

    Formula:
        W <- UVᵀ for W = USVᵀ, W reshaped to [out, rest] (the polar factor, the nearest such matrix), by Björck's
        iteration X <- 3/2·X - 1/2·XXᵀX
    Convention:
        All singular values are 1, where ``spectral_norm`` fixes the largest alone. A convolution's are those of the
        reshaped kernel, not of the operator (torch's ``parametrizations.orthogonal`` takes the last two axes of the
        kernel instead). A singular value of s times the largest reaches 1 to float32's precision after about
        log(1/s)/log(1.5) + 5 ``iterations``; the weight starts at s = 1.
    Use when:
        A 1-Lipschitz MLP critic that should keep its gradient's norm, best with GroupSort or leaky ReLU, and the
        Wasserstein loss. The cost is two matrix products per iteration and layer at every forward pass.
    Paper:
        Anil, Lucas and Grosse 2019, "Sorting out Lipschitz function approximation", arXiv:1811.05381.

    Raises:
        InputError: fewer than one iteration; from ``apply``, a weight with another parametrisation.
    """
    require(iterations >= 1, f"iterations is {iterations}: wanted at least 1")

    def apply(critic: nn.Module) -> None:
        for _, layer in list(_free_layers(critic, _PolarFactor)):
            parametrize.register_parametrization(layer, "weight", _PolarFactor(iterations))

    return Constraint(name="orthogonal", when="build", apply=apply, arguments={"iterations": iterations})


class _PolarFactor(nn.Module):
    """The polar factor of a weight ``[out, ...]``, read as a matrix; polynomial, so differentiable to any order."""

    def __init__(self, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations

    def forward(self, weight: Tensor) -> Tensor:
        matrix = weight.flatten(1)
        # products of bfloat16 numbers would be orthonormal to two digits only
        with torch.autocast(weight.device.type, enabled=False):
            x = matrix if matrix.dtype == torch.float64 else matrix.float()
            tall = len(x) > x.shape[1]
            x = x.T if tall else x
            # A bound on the largest singular value, and equal to it when the rows are orthonormal. The polar factor
            # of cX is that of X: there is nothing to differentiate.
            bound = torch.linalg.matrix_norm((x @ x.T).detach(), float("inf")).sqrt()
            x = x / bound.clamp_min(torch.finfo(x.dtype).tiny)
            for _ in range(self.iterations):
                x = 1.5 * x - 0.5 * (x @ x.T) @ x
            factor: Tensor = x.T if tall else x
        return factor.to(weight.dtype).reshape(weight.shape)

    @torch.no_grad()
    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the exact polar factor: where a singular value is 0, any completion of it."""
        left, _, right = torch.linalg.svd(weight.flatten(1).double(), full_matrices=False)
        factor: Tensor = left @ right
        return factor.to(weight.dtype).reshape(weight.shape)
