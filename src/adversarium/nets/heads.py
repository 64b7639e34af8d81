"""What a critic says beside, or instead of, a plain score: the heads of conditional critics, on any built-in body.

Each head has a classmethod ``make`` of one signature, which the trainer calls:
``make(build, sample_shape, condition, *, rng, ...)``, where ``build(shape)`` returns a plain critic for samples of a
shape, see ``nets.body``.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from adversarium.errors import require
from adversarium.nets._build import init_uniform, untouched_global_rng
from adversarium.nets.body import Build, critic_body, last_linear, split_head
from adversarium.nets.conditional import ConditionEmbedding
from adversarium.types import Condition, PerSample, Samples

Head = TypeVar("Head", bound="_OfCondition")


class _Head(nn.Module):
    """A body, and the linear score of its features."""

    def __init__(self, body: nn.Module, features: int, *, rng: torch.Generator) -> None:
        super().__init__()
        require(features >= 1, f"features is {features}: wanted at least 1")
        self.body = body
        self.score = _linear(features, 1, rng)

    def features(self, samples: Samples) -> Float[Tensor, "batch features"]:
        """Return what the linear layers see of each sample, ``[B, F]``."""
        features: Tensor = self.body(samples)
        return features


class _OfCondition(_Head):
    """A head made of a body, F, the condition, and options of its own."""

    @classmethod
    def make(
        cls: type[Head],
        build: Build,
        sample_shape: tuple[int, ...],
        condition: Condition,
        *,
        rng: torch.Generator,
        **options: Any,
    ) -> Head:
        """Return this head on the body of ``build(sample_shape)``; the options are further arguments of the class."""
        head: Callable[..., Head] = cls
        return head(*split_head(build(sample_shape)), condition, rng=rng, **options)


class ProjectionCritic(_OfCondition):
    """A critic whose score has the features' projection on the condition: ``ψ(φ(x)) + <e(y), φ(x)>``, ``[B]``.

    φ is the body, ψ a linear layer and e the condition's embedding, whose entries are as large as ψ's at first; that
    of no condition is a row of its own for labels and 0 for vectors. Miyato and Koyama 2018, "cGANs with Projection
    Discriminator", arXiv:1802.05637. The authors' pfnet-research/sngan_projection has no bias in ψ, and normalises e
    spectrally as it does the other layers.

    Args:
        body: samples to features ``[B, features]``.
        features: F.
        condition: what is asked for.
        rng: draws ψ and e.
    """

    def __init__(self, body: nn.Module, features: int, condition: Condition, *, rng: torch.Generator) -> None:
        super().__init__(body, features, rng=rng)
        self.embedding = ConditionEmbedding(condition, features, rng=rng, std=(3 * features) ** -0.5)

    def forward(self, samples: Samples, condition: Tensor) -> PerSample:
        """Return the scores of samples, each as one of its condition.

        Raises:
            InputError: values that are none of the condition.
        """
        features = self.features(samples)
        projected = (self.embedding(condition) * features).sum(1)
        scores: Tensor = self.score(features).flatten(0) + projected
        return scores


class ConcatenationCritic(nn.Module):
    """A critic that sees the condition's embedding beside each sample: scores ``[B]``.

    The embedding is joined to an image as constant channels, and to a vector as columns. At the input, as in Mirza and
    Osindero 2014, "Conditional Generative Adversarial Nets", arXiv:1411.1784, whose condition is joined as it is;
    Miyato and Koyama (arXiv:1802.05637) join it to a middle layer where they compare.

    Args:
        critic: a plain critic for samples with ``channels`` more channels or columns.
        condition: what is asked for.
        channels: the embedding's length.
        rng: draws the embedding.
    """

    def __init__(self, critic: nn.Module, condition: Condition, *, channels: int, rng: torch.Generator) -> None:
        super().__init__()
        last_linear(critic)
        self.critic = critic
        self.embedding = ConditionEmbedding(condition, channels, rng=rng)

    @classmethod
    def make(
        cls,
        build: Build,
        sample_shape: tuple[int, ...],
        condition: Condition,
        *,
        rng: torch.Generator,
        channels: int = 8,
    ) -> "ConcatenationCritic":
        """Return this critic, made by ``build`` for samples with ``channels`` more channels (or columns).

        Raises:
            InputError: ``channels`` below 1, or a critic that :func:`split_head` refuses.
        """
        require(channels >= 1, f"channels is {channels}: wanted at least 1")
        wider = build((sample_shape[0] + channels, *sample_shape[1:]))
        return cls(wider, condition, channels=channels, rng=rng)

    def forward(self, samples: Samples, condition: Tensor) -> PerSample:
        """Return the scores of samples, each as one of its condition.

        Raises:
            InputError: values that are none of the condition.
        """
        scores: Tensor = self.critic(self._joined(samples, self.embedding(condition)))
        return scores

    def features(self, samples: Samples) -> Float[Tensor, "batch features"]:
        """Return what the last linear layer sees of each sample, of no condition, ``[B, F]``."""
        return self._features(samples, self.embedding.nothing(len(samples)))

    def features_given(self, samples: Samples, condition: Tensor) -> Float[Tensor, "batch features"]:
        """Return what the last linear layer sees of each sample, as one of its condition, ``[B, F]``."""
        return self._features(samples, self.embedding(condition))

    def _features(self, samples: Tensor, embedding: Tensor) -> Tensor:
        features: Tensor = critic_body(self.critic)(self._joined(samples, embedding))
        return features

    def _joined(self, samples: Tensor, embedding: Tensor) -> Tensor:
        spread = embedding.to(samples.dtype).view(*embedding.shape, *[1] * (samples.ndim - 2))
        return torch.cat([samples, spread.expand(-1, -1, *samples.shape[2:])], 1)


class _Scorer(_Head):
    """A head whose score is the plain one, whatever is asked for."""

    def forward(self, samples: Samples, condition: Tensor | None = None) -> PerSample:
        """Return the samples' scores; the condition is not read."""
        scores: Tensor = self.score(self.features(samples)).flatten(0)
        return scores


class ClassifyingCritic(_Scorer, _OfCondition):
    """A critic that also says which class a sample is of (AC-GAN): scores ``[B]``, and logits ``[B, K]``.

    The score does not depend on the condition; what asks for the classes is a penalty. Odena, Olah and Shlens 2017,
    "Conditional Image Synthesis with Auxiliary Classifier GANs", arXiv:1610.09585.

    Args:
        body: samples to features ``[B, features]``.
        features: F.
        condition: the labels.
        rng: draws the linear layers.

    Raises:
        InputError: a condition that is not a label.
    """

    def __init__(self, body: nn.Module, features: int, condition: Condition, *, rng: torch.Generator) -> None:
        super().__init__(body, features, rng=rng)
        require(
            condition.kind == "label",
            f"the condition is a vector of {condition.size} numbers: a classifying critic wants labels; for vectors "
            "take a projection, a concatenation or a contrastive one",
        )
        self.classes = _linear(features, condition.size, rng)

    def classify(self, samples: Samples) -> Float[Tensor, "batch classes"]:
        """Return the logits of each sample's class, ``[B, K]``."""
        logits: Tensor = self.classes(self.features(samples))
        return logits


class ContrastiveCritic(_Scorer, _OfCondition):
    """A critic that also embeds samples and conditions in one space (ContraGAN, 2C): scores ``[B]``.

    The score does not depend on the condition, as in the authors' PyTorch-StudioGAN; what pulls a sample's embedding
    to its condition's proxy is a penalty. Kang and Park 2020, "ContraGAN: Contrastive Learning for Conditional Image
    Generation", arXiv:2006.12681.

    Args:
        body: samples to features ``[B, features]``.
        features: F.
        condition: what is asked for.
        width: the embeddings' length, E (512 in an early version of the authors' code).
        rng: draws the linear layers and the proxies.
    """

    def __init__(
        self, body: nn.Module, features: int, condition: Condition, *, width: int = 512, rng: torch.Generator
    ) -> None:
        super().__init__(body, features, rng=rng)
        self.proxies = ConditionEmbedding(condition, width, rng=rng)
        self.embedding = _linear(features, width, rng)

    def contrast(
        self, samples: Samples, condition: Tensor
    ) -> tuple[Float[Tensor, "batch width"], Float[Tensor, "batch width"]]:
        """Return the samples' embeddings and the proxies of their conditions, ``[B, E]`` each, not normalised.

        Raises:
            InputError: values that are none of the condition.
        """
        return self.embedding(self.features(samples)), self.proxies(condition)


class RecognisingCritic(_Scorer):
    """A critic that also recognises parts of the code that a sample was made from (InfoGAN): scores ``[B]``.

    ``recognise`` has a hidden layer of ``hidden`` units, as the authors' openai/InfoGAN for MNIST, there with batch
    norm. Chen et al. 2016, "InfoGAN: Interpretable Representation Learning by Information Maximizing Generative
    Adversarial Nets", arXiv:1606.03657.

    Args:
        body: samples to features ``[B, features]``.
        features: F.
        categories: of the one categorical part, 0 for none.
        continuous: how many numbers.
        hidden: units of the hidden layer.
        rng: draws the linear layers.

    Raises:
        InputError: nothing to recognise, or a single category.
    """

    def __init__(
        self,
        body: nn.Module,
        features: int,
        *,
        categories: int,
        continuous: int,
        hidden: int = 128,
        rng: torch.Generator,
    ) -> None:
        super().__init__(body, features, rng=rng)
        require(categories == 0 or categories >= 2, f"categories is {categories}: wanted at least 2, or 0 for none")
        require(continuous >= 0, f"continuous is {continuous}: wanted a number that is not negative")
        require(categories + continuous > 0, "categories and continuous are 0: there is nothing to recognise")
        require(hidden >= 1, f"hidden is {hidden}: wanted at least 1")
        self.recogniser = nn.Sequential(
            _linear(features, hidden, rng), nn.LeakyReLU(0.2), _linear(hidden, categories + continuous, rng)
        )

    @classmethod
    def make(
        cls,
        build: Build,
        sample_shape: tuple[int, ...],
        condition: Condition | None,
        *,
        rng: torch.Generator,
        categories: int = 10,
        continuous: int = 2,
        hidden: int = 128,
    ) -> "RecognisingCritic":
        """Return this head on the body of ``build(sample_shape)``.

        Raises:
            InputError: a condition, which its score would not read.
        """
        require(condition is None, "a recognising critic finds categories without labels: wanted no condition")
        body, features = split_head(build(sample_shape))
        return cls(body, features, categories=categories, continuous=continuous, hidden=hidden, rng=rng)

    def recognise(self, samples: Samples) -> Float[Tensor, "batch code"]:
        """Return the categories' logits, then the means of the numbers, ``[B, categories + continuous]``."""
        code: Tensor = self.recogniser(self.features(samples))
        return code


def _linear(features: int, outputs: int, rng: torch.Generator) -> nn.Linear:
    with untouched_global_rng():
        layer = nn.Linear(features, outputs)
    init_uniform(layer, rng)
    return layer
