"""Losses of a critic that scores every class, and "fake" as one more."""

import torch
from torch import Tensor
from torch.nn.functional import relu

from adversarium.errors import InputError, require
from adversarium.losses._check import check_scores
from adversarium.types import ClassLoss


def multiclass_hinge() -> ClassLoss:
    """The hinge loss of K + 1 classes: the right class is to beat every other, "fake" among them, by a margin of 1.

    Formula:
        m(D, c) = max(0, 1 - D_c + max_{c'≠c} D_c'),  Crammer and Singer's margin loss
        critic:    m(D(x), y) + m(D(G), fake)
        generator: m(D(G), y)
    Convention:
        Scores are [B, K + 1] with "fake" in the last column, labels [B] from 0 to K - 1; the generator's labels are
        those that it was asked for. The generator's side has a margin too: where a fake is classified as its class by
        more than 1 it has no gradient. With K = 1 and the binary score D_0 - D_fake the critic's side is ``hinge``'s
        and the generator's is max(0, 1 - s).
    Elsewhere:
        Equal for both players: PyTorch-StudioGAN ``crammer_singer_loss`` (its generator's side times mh_lambda); the
        authors' ilyakava/BigGAN-PyTorch ``crammer_singer_criterion`` under ``mh_loss`` (generator: weighted, plus
        feature matching). Its ``mh_csc_loss`` has another generator, max(0, 1 - max_{c≠fake} D_c + D_fake), which asks
        only for "not fake".
    Use when:
        Labelled data, when one network should be both critic and classifier.
    Paper:
        Kavalerov, Czaja and Chellappa 2019, "cGANs with Multi-Hinge Loss", arXiv:1912.04216.

    Raises:
        InputError: from either side: labels that are not integers from 0 to K - 1 in the shape [B], or scores that
            are not [B, K + 1].
    """

    def critic(
        real_scores: Tensor | None, fake_scores: Tensor, real_labels: Tensor | None, fake_labels: Tensor
    ) -> Tensor:
        real_scores = check_scores(real_scores, fake_scores)
        if real_labels is None:
            raise InputError("real_labels is None: the critic's side wants the labels of real samples")
        check_labels("real_labels", real_labels, real_scores)
        check_labels("fake_labels", fake_labels, fake_scores)
        called_fake = torch.full_like(fake_labels, fake_scores.shape[1] - 1)
        return margin(real_scores, real_labels) + margin(fake_scores, called_fake)

    def generator(
        real_scores: Tensor | None, fake_scores: Tensor, real_labels: Tensor | None, fake_labels: Tensor
    ) -> Tensor:
        check_scores(real_scores, fake_scores, need_real=False)
        check_labels("fake_labels", fake_labels, fake_scores)
        return margin(fake_scores, fake_labels)

    return ClassLoss(name="multiclass_hinge", critic=critic, generator=generator, generator_needs_real=False)


def margin(scores: Tensor, labels: Tensor) -> Tensor:
    """Return by how much each sample's class fails to beat every other class by 1, ``[B]``."""
    column = labels[:, None]
    others = scores.scatter(1, column, -torch.inf).amax(1)
    return relu(1 - scores.gather(1, column)[:, 0] + others)


def check_labels(name: str, labels: Tensor, scores: Tensor) -> None:
    """Refuse labels that are not one integer from 0 to K - 1 for each row of scores ``[B, K + 1]``.

    Raises:
        InputError: what is wrong with the labels or the scores.
    """
    shape, wanted = list(scores.shape), "[B, K + 1] with a class and a fake column at least"
    require(scores.ndim == 2 and scores.shape[1] >= 2, f"scores have shape {shape}: wanted {wanted}")
    require(labels.dtype == torch.int64, f"{name} has dtype {labels.dtype}: wanted int64")
    require(labels.shape == scores.shape[:1], f"{name} has shape {list(labels.shape)}: wanted [{shape[0]}]")
    low, high, classes = int(labels.min()), int(labels.max()), scores.shape[1] - 1
    require(
        low >= 0 and high < classes,
        f"{name} run from {low} to {high}: wanted 0 to {classes - 1}, since the last of {classes + 1} columns is fake",
    )
