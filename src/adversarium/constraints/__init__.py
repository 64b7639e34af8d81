"""Constraints on a critic's weights, once when it is built or after each of its optimizer steps."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from adversarium.errors import require
from adversarium.types import Constraint


def clip(bound: float = 0.01) -> Constraint:
    """Keep every weight in a box, so that the critic is Lipschitz with some constant.

    Formula:
        w <- min(max(w, -c), c), after every optimizer step
    Convention:
        Every parameter of the critic, biases and normalisation included, as in the authors' code. The bound fixes
        some Lipschitz constant, not 1: the critic's loss is the distance up to an unknown factor.
    Use when:
        To reproduce ``wgan``. ``wgan-gp`` and ``spectral_norm`` waste less of the critic's capacity.
    Paper:
        Arjovsky, Chintala and Bottou 2017, "Wasserstein GAN", arXiv:1701.07875.

    Raises:
        InputError: a bound that is not positive.
    """
    require(bound > 0, f"bound is {bound}: wanted a positive number")

    @torch.no_grad()
    def apply(critic: nn.Module) -> None:
        parameters: list[torch.Tensor] = list(critic.parameters())
        torch._foreach_clamp_min_(parameters, -bound)
        torch._foreach_clamp_max_(parameters, bound)

    return Constraint(name="clip", when="step", apply=apply, arguments={"bound": bound})


_NORMALISED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def spectral_norm(n_power_iterations: int = 1) -> Constraint:
    """Divide each linear and convolutional weight by its largest singular value.

    Formula:
        W <- W/σ(W), σ estimated by power iteration on W reshaped to [out, rest]
    Convention:
        torch's parametrisation. A convolution's σ is that of the reshaped kernel, as in the paper, not of the
        operator.
    Use when:
        A cheap bound on the critic with the hinge or the non-saturating loss (``sngan``).
    Paper:
        Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", arXiv:1802.05957.

    Raises:
        InputError: fewer than one power iteration.
    """
    require(n_power_iterations >= 1, f"n_power_iterations is {n_power_iterations}: wanted at least 1")

    def apply(critic: nn.Module) -> None:
        for module in list(critic.modules()):
            if isinstance(module, _NORMALISED) and not parametrize.is_parametrized(module, "weight"):
                parametrizations.spectral_norm(module, "weight", n_power_iterations=n_power_iterations)

    return Constraint(
        name="spectral_norm", when="build", apply=apply, arguments={"n_power_iterations": n_power_iterations}
    )


CONSTRAINTS: dict[str, Callable[..., Constraint]] = {
    "clip": clip,
    "spectral_norm": spectral_norm,
}

__all__ = ["CONSTRAINTS", "Constraint", "clip", "spectral_norm"]
