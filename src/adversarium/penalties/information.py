"""InfoGAN: the critic's recogniser reads from a sample what the last columns of its code asked for."""

import torch
from torch import Tensor

from adversarium.errors import require
from adversarium.penalties._check import method_of, not_negative
from adversarium.penalties._values import wide
from adversarium.penalties.generator import Generator
from adversarium.types import Critic, GeneratorPenalty, PerSample


def information(
    categories: int = 10, continuous: int = 0, weight: float = 1.0, continuous_weight: float = 0.1
) -> GeneratorPenalty:
    """Ask for samples from which a recogniser reads the informative columns of their codes.

    Formula:
        λ·(-log Q(c | G(z))) + λ_u·½‖u - μ(G(z))‖²
        Q(c | x) = softmax(critic.recognise(x)[:K])_c,  μ(x) = critic.recognise(x)[K:],  K = ``categories``
    Convention:
        Codes are ``[B, latent]``: noise first, then ``continuous`` columns u from U(-1, 1), and last K columns, the
        category c as one-hot. λ = ``weight`` = 1, λ_u = ``continuous_weight`` = 0.1. The second term is the negative
        log-likelihood of a Gaussian of variance 1, without its constant ½·log 2π for each column. With c uniform, the
        first term's mean at λ = 1 is at least log K - I(c; G(z)): 0 where the recogniser is always sure and right,
        log K where it knows nothing. It belongs on *both* sides: among the critic's terms it trains the recogniser, on
        fakes without a graph, and among the generator's it trains the generator. No gradient reaches the codes.
    Elsewhere:
        The authors' openai/InfoGAN orders the codes noise, category, continuous, weights both terms by 1
        (``info_reg_coeff``; Gaussians with ``fix_std=True``) and subtracts the prior's entropy: our values at
        λ = λ_u = 1 but for constants. PyTorch-StudioGAN fits a variance too, and trains the recogniser in the
        generator's step only. PyTorch-GAN has λ_u = 0.1 too, of the mean square without the ½; it takes the softmax
        twice, and draws u from N(-1, 1) where it descends by this term.
    Use when:
        The classes are not labelled, and the code should find them.
    Paper:
        Chen et al. 2016, "InfoGAN: Interpretable Representation Learning by Information Maximizing Generative
        Adversarial Nets", arXiv:1606.03657.

    Raises:
        InputError: a negative weight or count, or nothing to recognise; when called, a critic without ``recognise``,
            one of another width, or codes narrower than that.
    """
    not_negative(categories=categories, continuous=continuous, weight=weight, continuous_weight=continuous_weight)
    width = categories + continuous
    columns = f"{continuous} continuous and {categories} category columns"
    require(width > 0, "categories and continuous are 0: there is nothing to recognise")

    def penalty(
        generator: Generator, critic: Critic, codes: Tensor, fake: Tensor, rng: torch.Generator | None = None
    ) -> PerSample:
        wanted = f"codes have shape {list(codes.shape)}: wanted [{len(fake)}, latent], its last {width} the {columns}"
        require(codes.ndim == 2 and codes.shape[1] >= width and len(codes) == len(fake), wanted)
        found: Tensor = method_of(critic, "recognise", "information")(fake)
        require(
            found.shape == (len(fake), width),
            f"critic.recognise returned {list(found.shape)}: wanted [{len(fake)}, {width}], for {columns}",
        )
        logits, means = wide(found).split([categories, continuous], dim=1)
        asked = codes.detach().to(found.device, logits.dtype)[:, codes.shape[1] - width :]
        numbers, category = asked.split([continuous, categories], dim=1)
        unsure = -(category * logits.log_softmax(1)).sum(1)
        off = 0.5 * (numbers - means).square().sum(1)
        values: Tensor = weight * unsure + continuous_weight * off
        return values

    return penalty
