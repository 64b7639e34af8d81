"""Ways to generate by class, or by what a vector says: a critic's head and the terms that belong to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from adversarium.errors import InputError, require
from adversarium.nets.body import Build
from adversarium.nets.heads import (
    ClassifyingCritic,
    ConcatenationCritic,
    ContrastiveCritic,
    ProjectionCritic,
    RecognisingCritic,
)
from adversarium.penalties import (
    acgan_critic,
    acgan_generator,
    contrastive_critic,
    contrastive_generator,
    information,
)
from adversarium.types import Condition, ConditionKind, GeneratorPenalty, Penalty, Term


@dataclass(frozen=True, kw_only=True)
class Conditional:
    """A way to make a pair of networks conditional.

    Attributes:
        name: its factory's name in ``CONDITIONALS``.
        critic: ``(build, sample_shape, condition, *, rng) -> nn.Module``, the critic with its head. ``build`` makes a
            plain critic; ``condition`` is ``None`` where the method needs none.
        kinds: what it can generate by; empty: it needs no labels.
        critic_terms: added to the critic's loss.
        critic_latent_terms: added to the critic's loss; they need the codes.
        generator_terms: added to the generator's loss; they need the codes.
        generator_sample_terms: added to the generator's loss.
        categories: columns of a category in the codes.
        continuous: columns of uniform numbers in the codes.
        arguments: what its factory was called with, for people to read.
    """

    name: str
    critic: Callable[..., nn.Module]
    kinds: frozenset[ConditionKind]
    critic_terms: tuple[Term[Penalty], ...] = ()
    critic_latent_terms: tuple[Term[GeneratorPenalty], ...] = ()
    generator_terms: tuple[Term[GeneratorPenalty], ...] = ()
    generator_sample_terms: tuple[Term[Penalty], ...] = ()
    categories: int = 0
    continuous: int = 0
    arguments: Mapping[str, object] = field(default_factory=dict)

    def check(self, condition: Condition | None) -> None:
        """Refuse data that it cannot generate by.

        Raises:
            InputError: the data have no labels and no vectors, or not those that are needed; names what would work.
        """
        if not self.kinds:
            return
        if condition is None:
            raise InputError(
                f"conditional is {self.name!r}, and the data have no labels: wanted class sub-folders, an .npz with "
                "'labels' (or 'conditions', float vectors), or --conditional infogan, which needs none"
            )
        works = ", ".join(name for name, make in CONDITIONALS.items() if condition.kind in make().kinds)
        require(
            condition.kind in self.kinds,
            f"conditional is {self.name!r}, which generates by labels, and the data have vectors: wanted {works}",
        )


_EITHER: frozenset[ConditionKind] = frozenset({"label", "vector"})


def projection() -> Conditional:
    """Score how well a sample's features agree with what it should be.

    Formula:
        D(x, y) = ψ(φ(x)) + <e(y), φ(x)>, φ the critic up to its last layer, ψ that layer, e an embedding
    Convention:
        No term besides the loss. A vector y is embedded by a linear map without bias. The generator has conditional
        batch norm, or where it has no batch norm the embedding beside its code.
    Use when:
        There are labels or vectors, and an augmentation with them: without one it collapsed on 10,000 digits with the
        default network, as ``concatenation`` did not. Works with every loss and penalty.
    Paper:
        Miyato and Koyama 2018, "cGANs with Projection Discriminator", arXiv:1802.05637.
    """
    return Conditional(name="projection", critic=ProjectionCritic.make, kinds=_EITHER)


def concatenation() -> Conditional:
    """Show the critic what a sample should be, beside the sample: the default.

    Formula:
        D(x, y) = D([x, e(y)]), e an embedding: further channels of an image, further columns of a vector
    Convention:
        No term besides the loss. The generator as with ``projection``.
    Use when:
        To begin: it needs no augmentation to work. Works with every loss and penalty.
    Paper:
        Mirza and Osindero 2014, "Conditional Generative Adversarial Nets", arXiv:1411.1784.
    """
    return Conditional(name="concatenation", critic=ConcatenationCritic.make, kinds=_EITHER)


def acgan(weight: float = 1.0, fake: bool = True) -> Conditional:
    """Let the critic classify too: both players want the class to be recognised.

    Formula:
        critic and generator: ... - λ·log softmax(C(x))[y], at real and (``fake``) at generated samples for the critic
    Convention:
        λ = ``weight`` = 1. The critic's score does not see the class; see the terms ``acgan_critic`` and
        ``acgan_generator``.
    Use when:
        Classes should be easy to tell; samples come out typical and less varied.
    Paper:
        Odena, Olah and Shlens 2017, "Conditional Image Synthesis With Auxiliary Classifier GANs", arXiv:1610.09585.

    Raises:
        InputError: a negative weight.
    """
    return Conditional(
        name="acgan",
        critic=ClassifyingCritic.make,
        kinds=frozenset({"label"}),
        critic_terms=(Term(name="acgan_critic", penalty=acgan_critic(weight, fake)),),
        generator_sample_terms=(Term(name="acgan_generator", penalty=acgan_generator(weight)),),
        arguments={"weight": weight, "fake": fake},
    )


def contrastive(weight: float = 1.0, temperature: float = 1.0, positives: bool = False) -> Conditional:
    """Pull a sample's embedding towards its class and towards other samples of it (2C, ContraGAN).

    Formula:
        a plain score, and for both players λ times the conditional contrastive loss of embeddings
    Convention:
        λ = ``weight`` = 1, t = ``temperature`` = 1; see the terms ``contrastive_critic`` and
        ``contrastive_generator``. By vectors, a sample's own is its only positive. By labels too, unless
        ``positives``: then the others of its class in the batch are as well, as published. Pure classes in the wrong
        order then cost little, and less at a lower temperature or in a larger batch: ten digits came out so in batches
        of 64, and right in batches of 16. The authors then advise to leave them out (PyTorch-StudioGAN, issue 81).
    Use when:
        There are many classes, or the conditions are vectors.
    Paper:
        Kang and Park 2020, "ContraGAN: Contrastive Learning for Conditional Image Generation", arXiv:2006.12681.

    Raises:
        InputError: a negative weight, or a temperature that is not positive.
    """
    return Conditional(
        name="contrastive",
        critic=ContrastiveCritic.make,
        kinds=_EITHER,
        critic_terms=(Term(name="contrastive_critic", penalty=contrastive_critic(weight, temperature, positives)),),
        generator_sample_terms=(
            Term(name="contrastive_generator", penalty=contrastive_generator(weight, temperature, positives)),
        ),
        arguments={"weight": weight, "temperature": temperature, "positives": positives},
    )


def infogan(
    categories: int = 10, continuous: int = 0, weight: float = 1.0, continuous_weight: float = 0.1
) -> Conditional:
    """Find classes without labels: a part of the code has to be recognised in the sample.

    Formula:
        both players: ... - λ·log softmax(Q(x))[c] + λ_u·½·Σ (u - μ(x))², c the category of the code, u its uniform
        numbers
    Convention:
        λ = ``weight`` = 1, λ_u = ``continuous_weight`` = 0.1. Codes are noise, then ``continuous`` numbers uniform in
        [-1, 1], then ``categories`` columns of a category; see the term ``information``. Q shares the critic's
        body, which keeps its batch norm, as in the authors' openai/InfoGAN: without it dcgan collapsed on digits.
    Use when:
        There are no labels, and the data fall into groups.
    Paper:
        Chen et al. 2016, "InfoGAN: Interpretable Representation Learning by Information Maximizing Generative
        Adversarial Nets", arXiv:1606.03657.

    Raises:
        InputError: no category and no number, or a negative weight.
    """
    require(categories >= 0 and categories != 1, f"categories is {categories}: wanted 0, or at least 2")
    require(continuous >= 0, f"continuous is {continuous}: wanted a number that is not negative")
    require(categories + continuous > 0, "categories and continuous are 0: there is nothing to recognise")
    terms = (Term(name="information", penalty=information(categories, continuous, weight, continuous_weight)),)

    def critic(
        build: Build, sample_shape: tuple[int, ...], condition: Condition | None, *, rng: torch.Generator
    ) -> nn.Module:
        return RecognisingCritic.make(
            build, sample_shape, condition, rng=rng, categories=categories, continuous=continuous
        )

    return Conditional(
        name="infogan",
        critic=critic,
        kinds=frozenset(),
        critic_latent_terms=terms,
        generator_terms=terms,
        categories=categories,
        continuous=continuous,
        arguments={
            "categories": categories,
            "continuous": continuous,
            "weight": weight,
            "continuous_weight": continuous_weight,
        },
    )


CONDITIONALS: dict[str, Callable[..., Conditional]] = {
    "projection": projection,
    "concatenation": concatenation,
    "acgan": acgan,
    "contrastive": contrastive,
    "infogan": infogan,
}
"""Name to factory: ways to generate by class, or by what a vector says."""
