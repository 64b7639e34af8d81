"""Small readable generators and critics, and what a method may ask of a network."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from adversarium.nets import autoencoder, dcgan, mlp, r3, resnet
from adversarium.nets.body import features_of, split_head
from adversarium.nets.conditional import (
    ConditionalBatchNorm1d,
    ConditionalBatchNorm2d,
    ConditionalGenerator,
    Conditioned,
    ConditionEmbedding,
    Modulated,
)
from adversarium.nets.heads import (
    ClassifyingCritic,
    ConcatenationCritic,
    ContrastiveCritic,
    ProjectionCritic,
    RecognisingCritic,
)
from adversarium.nets.minibatch import (
    MINIBATCH_LAYERS,
    MinibatchDiscrimination,
    MinibatchStandardDeviation,
    couples_samples,
)
from adversarium.nets.tap import Tap
from adversarium.types import CriticKind, Part


@dataclass(frozen=True, kw_only=True)
class Family:
    """A generator and a critic that belong together.

    Attributes:
        generator: ``(sample_shape, latent_dim, *, width, batch_norm, rng, condition=None) -> nn.Module``, codes to
            samples; with a :class:`~adversarium.types.Condition`, codes and its values to samples.
        critic: ``(sample_shape, *, width, batch_norm, rng) -> nn.Module``, samples to scores ``[B]``.
        width: the default width.
        batch_norm: whether the published networks have batch norm.
        critic_batch_norm: whether the published critic has it, where that is not ``batch_norm``.
        use_when: advice in a sentence.
        paper: where it was published.
        critic_kind: what the critic is.
    """

    generator: Callable[..., nn.Module]
    critic: Callable[..., nn.Module]
    width: int
    batch_norm: bool
    use_when: str
    paper: str
    critic_kind: CriticKind = "score"
    critic_batch_norm: bool | None = None


NETWORKS: dict[str, Family] = {
    "dcgan": Family(
        generator=dcgan.generator,
        critic=dcgan.critic,
        width=32,
        batch_norm=True,
        use_when="Images of 28, 32, 64 or 128 pixels: the default for images. The published width is 64.",
        paper="Radford et al. 2016, arXiv:1511.06434; at 28 pixels Chen et al. 2016, arXiv:1606.03657",
    ),
    "resnet": Family(
        generator=resnet.generator,
        critic=resnet.critic,
        width=32,
        batch_norm=True,
        critic_batch_norm=False,
        use_when="Images of 28, 32, 64 or 128 pixels, with sngan or wgan-gp: their papers' networks, 128 wide there.",
        paper="Gulrajani et al. 2017, arXiv:1704.00028, and Miyato et al. 2018, arXiv:1802.05957",
    ),
    "r3": Family(
        generator=r3.generator,
        critic=r3.critic,
        width=32,
        batch_norm=False,
        use_when="Images of 28, 32, 64 or 128 pixels, with r3gan: a small version of its paper's networks.",
        paper="Huang et al. 2025, arXiv:2501.05441, whose width for CIFAR-10 is 768, with twice the blocks",
    ),
    "mlp": Family(
        generator=mlp.image_generator,
        critic=mlp.image_critic,
        width=256,
        batch_norm=False,
        use_when="Images as flat vectors, as in the first tutorials (28×28 as 784).",
        paper="common practice in tutorials",
    ),
    "vector-mlp": Family(
        generator=mlp.vector_generator,
        critic=mlp.vector_critic,
        width=512,
        batch_norm=False,
        use_when="Vectors: the default for them.",
        paper="the toy experiments of Gulrajani et al. 2017, arXiv:1704.00028",
    ),
    "autoencoder": Family(
        generator=dcgan.generator,
        critic=autoencoder.image_critic,
        width=32,
        batch_norm=True,
        critic_kind="autoencoder",
        use_when="Images of 28, 32, 64 or 128 pixels, with ebgan and began: the critic reconstructs.",
        paper="in the manner of Zhao et al. 2017, arXiv:1609.03126, and Berthelot et al. 2017, arXiv:1703.10717",
    ),
    "vector-autoencoder": Family(
        generator=mlp.vector_generator,
        critic=autoencoder.vector_critic,
        width=512,
        batch_norm=False,
        critic_kind="autoencoder",
        use_when="Vectors, with ebgan and began: the critic reconstructs.",
        paper="in the manner of Zhao et al. 2017, arXiv:1609.03126, and Berthelot et al. 2017, arXiv:1703.10717",
    ),
}
"""Name to family: a generator and a critic that belong together."""


def parts_of(network: nn.Module) -> frozenset[Part]:
    """Return the parts of a network that a published method may exclude."""
    has_batch_norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
    return frozenset({"batch_norm"}) if has_batch_norm else frozenset()


__all__ = [
    "MINIBATCH_LAYERS",
    "NETWORKS",
    "ClassifyingCritic",
    "ConcatenationCritic",
    "ConditionEmbedding",
    "ConditionalBatchNorm1d",
    "ConditionalBatchNorm2d",
    "ConditionalGenerator",
    "Conditioned",
    "ContrastiveCritic",
    "Family",
    "MinibatchDiscrimination",
    "MinibatchStandardDeviation",
    "Modulated",
    "ProjectionCritic",
    "RecognisingCritic",
    "Tap",
    "autoencoder",
    "couples_samples",
    "dcgan",
    "features_of",
    "mlp",
    "parts_of",
    "r3",
    "resnet",
    "split_head",
]
