"""Feature matching: fake samples whose features in the critic are those of the real ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from adversarium.errors import lookup, require
from adversarium.penalties._check import method_of, not_negative
from adversarium.penalties._values import wide
from adversarium.penalties.slope import check_samples
from adversarium.types import Critic, Penalty, PerSample

MatchingNorm = Literal["squared", "absolute"]
"""How two means of features are compared."""


@dataclass(frozen=True)
class FeatureMatching:
    """The penalty that ``feature_matching`` makes; a :class:`~adversarium.types.Penalty` for the generator's side.

    ``attached`` keeps the graph of the real features to the critic's weights.
    """

    weight: float
    norm: MatchingNorm
    attached: bool = False

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator | None = None) -> PerSample:
        """Return the distance of the two means, the same for each fake sample, ``[B]``.

        Raises:
            InputError: a critic without features, or features of different shapes.
        """
        check_samples(real, "real")
        check_samples(fake, "fake")
        features = method_of(critic, "features", "feature_matching")
        with torch.set_grad_enabled(self.attached and torch.is_grad_enabled()):
            wanted = features(real.detach())
        found = features(fake)
        for side, rows, samples in (("real", wanted, real), ("fake", found, fake)):
            fits = rows.ndim >= 2 and len(rows) == len(samples) and rows.shape[1:] == found.shape[1:]
            require(
                fits,
                f"{side} features have shape {list(rows.shape)} for {len(samples)} samples: "
                "wanted one row for each, real and fake ones alike",
            )
        gap = wide(found).flatten(1).mean(0) - wide(wanted).flatten(1).mean(0)
        distance = gap.square().sum() if self.norm == "squared" else gap.abs().sum()
        return (self.weight * distance).expand(len(fake))


def feature_matching(weight: float = 1.0, norm: MatchingNorm = "squared") -> Penalty:
    """Ask for fake samples whose mean features in the critic are those of the real ones.

    Formula:
        squared: λ·‖mean f(G(z)) - mean f(x)‖₂²;  absolute: λ·‖mean f(G(z)) - mean f(x)‖₁;  f = critic.features
    Convention:
        λ = ``weight`` = 1. The norm is over all features, the means over the local batch; real and fake batches may
        differ in size. It is a statistic of the batch: each fake sample gets the same number. It belongs on the
        *generator's* side; no gradient reaches the critic through the real samples (that of the fake ones passes
        through the critic: freeze its weights, or drop their gradients). It goes with batch norm in the critic, but
        just before the features that leaves little to match: it gives either side the same means.
    Elsewhere:
        The authors' openai/improved-gan takes the *mean* over the features, not the sum: of squares on MNIST and SVHN,
        of absolute differences on CIFAR-10, and there it is the generator's only loss; that critic has weight
        norm, and no batch norm. PyTorch-StudioGAN ``feature_matching_loss`` is its CIFAR-10 form: 1/(number of
        features) of ``norm="absolute"``.
    Use when:
        The generator chases a critic that keeps moving, or a critic also classifies (semi-supervised learning).
    Paper:
        Salimans et al. 2016, "Improved Techniques for Training GANs", arXiv:1606.03498.

    Raises:
        InputError: a negative weight or an unknown norm; when called, a critic without ``features``.
    """
    not_negative(weight=weight)
    lookup("norm", norm, dict.fromkeys(get_args(MatchingNorm)))
    return FeatureMatching(weight, norm)


def match_features(real: Sequence[Tensor], fake: Sequence[Tensor], *, norm: MatchingNorm = "absolute") -> PerSample:
    """Compare each fake sample's features, layer by layer, with those of the real sample that it should be.

    For loops of one's own: a generator whose i-th sample has a real counterpart (translation, vocoding).

    Formula:
        absolute: 1/L·Σ over the layers l of mean |f_l(x̂) - f_l(x)|;  squared: of mean (f_l(x̂) - f_l(x))²
    Convention:
        ``real`` and ``fake`` hold one tensor ``[B, ...]`` for each of L layers, those of several critics in one list.
        The mean within a layer is over each sample's features, and each layer counts the same: one value per sample,
        ``[B]``, without a weight, to be minimised. No gradient flows through the real features.
    Elsewhere:
        NVIDIA/pix2pixHD and descriptinc/melgan-neurips weight the sum over D critics and all their layers but the
        last (the scores) by 4/(D·(n_layers_D + 1)) and by λ = 10: with pix2pixHD's critics, of n_layers_D + 1 such
        layers, 40 times the mean of ours; with MelGAN's, of n_layers_D + 2 = 6, 48 times. jik876/hifi-gan
        ``feature_loss``: 2·L times the mean of ours, the scores among the L layers, and the real features' graph kept.
    Use when:
        A vocoder, a translator or a tokenizer with a discriminator whose layers see more than its score.
    Paper:
        Wang et al. 2018, "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs",
        arXiv:1711.11585.

    Raises:
        InputError: no layer, not as many of each side, layers of different shapes, or an unknown norm.
    """
    lookup("norm", norm, dict.fromkeys(get_args(MatchingNorm)))
    counts = f"{len(real)} real and {len(fake)} fake layers"
    require(len(real) == len(fake) and len(real) > 0, f"there are {counts}: wanted as many of each, and at least one")
    values = []
    for layer, (wanted, found) in enumerate(zip(real, fake, strict=True)):
        require(
            wanted.shape == found.shape and wanted.ndim >= 2,
            f"layer {layer}: real features have shape {list(wanted.shape)} and fake ones {list(found.shape)}: "
            "wanted the same, [B, ...]",
        )
        alike = len(found) == len(fake[0])
        require(alike, f"layer {layer} has {len(found)} samples and layer 0 has {len(fake[0])}: wanted as many")
        gap = wide(found).flatten(1) - wide(wanted.detach()).flatten(1)
        values.append((gap.square() if norm == "squared" else gap.abs()).mean(1))
    return torch.stack(values).mean(0)
