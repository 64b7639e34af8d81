"""Losses and features of critics that return lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from adversarium.errors import InputError, lookup, require
from adversarium.tensors import described, per_sample, wide
from adversarium.types import Loss, PerSample, ScoreFunction

SeveralScores = Tensor | Sequence[Tensor]
"""One critic's scores ``[B, ...]``, or a list of several critics'."""

Together = Literal["sum", "mean"]


@dataclass(frozen=True, kw_only=True)
class LossOverScales:
    """The loss that ``over_scales`` makes: its two sides take lists of scores and return one value per sample.

    Attributes:
        loss: the loss of one critic's scores.
        together: whether the critics' values are summed or averaged.
    """

    loss: Loss
    together: Together = "sum"

    @property
    def generator_needs_real(self) -> bool:
        """Whether the generator's side reads the real scores."""
        return self.loss.generator_needs_real

    def critic(self, real_scores: SeveralScores | None, fake_scores: SeveralScores) -> PerSample:
        """Return what the critics minimise, ``[B]``, in float32 at least."""
        return self._values(self.loss.critic, real_scores, fake_scores)

    def generator(self, real_scores: SeveralScores | None, fake_scores: SeveralScores) -> PerSample:
        """Return what the generator minimises, ``[B]``, in float32 at least."""
        return self._values(self.loss.generator, real_scores, fake_scores)

    def _values(self, side: ScoreFunction, real: SeveralScores | None, fake: SeveralScores) -> PerSample:
        fakes = _scores("fake_scores", fake)
        reals = [None] * len(fakes) if real is None else _scores("real_scores", real)
        require(len(fakes) > 0, "fake_scores is an empty list: wanted one critic's scores at least")
        require(
            len(reals) == len(fakes),
            f"there are {len(reals)} real and {len(fakes)} fake scores: wanted one of each for every critic",
        )
        values = []
        for number, (reals_here, fakes_here) in enumerate(zip(reals, fakes, strict=True)):
            shape = list(fakes_here.shape)
            if reals_here is not None and reals_here.shape != fakes_here.shape:
                raise InputError(
                    f"critic {number}: real_scores have shape {list(reals_here.shape)} and fake_scores {shape}: "
                    "wanted the same shape for both"
                )
            same = shape[:1] == list(fakes[0].shape[:1])
            require(same, f"critic {number} has scores {shape} and critic 0 {list(fakes[0].shape)}: wanted as many")
            values.append(per_sample(side(None if reals_here is None else wide(reals_here), wide(fakes_here))))
        stacked = torch.stack(values)
        return stacked.sum(0) if self.together == "sum" else stacked.mean(0)


def over_scales(loss: Loss, together: Together = "sum") -> LossOverScales:
    """Make a loss of one critic's scores one of several critics', each of which counts alike.

    Formula:
        Σ over the critics k of 1/n_k·Σ over the n_k scores of a sample of loss(r_k, s_k)
    Convention:
        Per sample, ``[B]``: the mean over a critic's positions first, so that a large map counts no more than a small
        one, then the sum over the critics (``together="mean"``: the mean). Scores in half precision are widened to
        float32. A single tensor is a list of one. Losses that compare scores do so critic by critic, position by
        position; ``all_pairs`` compares all positions of the batch with all, which takes the square of their number.
    Elsewhere:
        Sum of means over the critics, equal with the mean of ours over the batch: NVIDIA/pix2pixHD ``GANLoss``,
        jik876/hifi-gan ``discriminator_loss`` and ``generator_loss`` (least squares without ½: ``scale=2``), and
        descriptinc/melgan-neurips (hinge).
    Use when:
        The critic is multi-scale, multi-period, or several critics in a list.
    Paper:
        Wang et al. 2018, "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs",
        arXiv:1711.11585.

    Raises:
        InputError: a loss with a state (BEGAN's), which would move once for each critic; an unknown ``together``; when
            called, lists of different lengths, or scores of different shapes.
    """
    way_out = "; call the factory: losses.hinge()" if callable(loss) else ""
    made = "; it takes lists of scores already" if isinstance(loss, LossOverScales) else way_out
    require(isinstance(loss, Loss), f"loss is {described(loss)}: wanted a Loss of one critic's scores{made}")
    require(isinstance(together, str), f"together is {described(together)}: wanted 'sum' or 'mean'")
    lookup("together", together, dict.fromkeys(get_args(Together)))
    stateful = isinstance(loss.critic, nn.Module) or isinstance(loss.generator, nn.Module)
    require(not stateful, f"over_scales cannot take {loss.name!r}: its state would move once for each critic")
    return LossOverScales(loss=loss, together=together)


def all_layers(features: Sequence[Tensor | Sequence[Tensor]]) -> list[Tensor]:
    """Return the features of several critics, a list for each, as one list of layers (a flat list as it is).

    Raises:
        InputError: no list, or something in it that is neither a layer nor a list of layers.
    """
    wanted = "wanted a list of layers, or one such list for each critic"
    require(isinstance(features, list | tuple), f"features is {described(features)}: {wanted}")
    for number, each in enumerate(features):
        fits = isinstance(each, Tensor | list | tuple)
        require(fits, f"features[{number}] is {described(each)}: {wanted}")
    return [layer for each in features for layer in _listed(each)]


def _scores(name: str, scores: SeveralScores) -> list[Tensor]:
    """Return several critics' scores as a list of tensors."""
    wanted = "wanted a tensor, or a list with one for each critic"
    require(isinstance(scores, Tensor | list | tuple), f"{name} is {described(scores)}: {wanted}")
    listed = _listed(scores)
    for number, each in enumerate(listed):
        require(isinstance(each, Tensor), f"{name}[{number}] is {described(each)}: {wanted}")
    return listed


def _listed(tensors: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)
