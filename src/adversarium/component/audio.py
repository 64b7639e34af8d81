"""Critics of waveforms: folded at several periods, and at several scales."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, pad

from adversarium.component.critics import (
    LayeredCritic,
    SeveralCritics,
    check_layout,
    check_whole,
    draw_by_inputs,
    normalise_weights,
)
from adversarium.errors import require
from adversarium.nets._build import untouched_global_rng
from adversarium.tensors import described


class PeriodCritic(LayeredCritic):
    """A critic of a waveform folded at one period: ``[B, 1, T] -> [B, frames, period]``.

    The waveform is cut into rows of ``period`` samples, the last one filled up by reflection, and the convolutions run
    down the columns only: each sees every ``period``-th sample. See :class:`MultiPeriodCritic`.

    Raises:
        InputError: a period below 1; when called, a waveform shorter than the period.
    """

    def __init__(self, period: int, *, width: int = 32, weight_normalised: bool = True, rng: torch.Generator) -> None:
        check_whole(1, period=period, width=width)
        sizes = [1, width, 4 * width, 16 * width, 32 * width, 32 * width]
        with untouched_global_rng():
            blocks = []
            for number in range(5):
                stride = 3 if number < 4 else 1
                layer = nn.Conv2d(sizes[number], sizes[number + 1], (5, 1), (stride, 1), (2, 0))
                blocks.append(nn.Sequential(layer, nn.LeakyReLU(0.1)))
            super().__init__(blocks, nn.Conv2d(sizes[-1], 1, (3, 1), 1, (1, 0)))
        draw_by_inputs(self, rng)
        if weight_normalised:
            normalise_weights(self)
        self.period = period

    def view(self, samples: Tensor) -> Tensor:
        """Return the folded waveform, ``[B, 1, frames, period]``.

        Raises:
            InputError: no waveforms ``[B, 1, T]``, or shorter than the period.
        """
        check_layout(samples, "waveforms [B, 1, T]", 1, 1)
        length = samples.shape[2]
        require(length >= self.period, f"waveforms have {length} samples: wanted at least {self.period}, the period")
        missing = -length % self.period
        folded = pad(samples, (0, missing), mode="reflect") if missing else samples
        return folded.reshape(len(samples), 1, -1, self.period)


class MultiPeriodCritic(SeveralCritics):
    """HiFi-GAN's critics of a waveform folded at several periods: ``[B, 1, T] -> list of [B, frames, period]``.

    For each period five convolutions 5×1 (four of stride 3; ``width`` = 32, then 4, 16, 32 and 32 times as many
    channels), leaky ReLU 0.1, and a convolution 3×1 to the scores, weights normalised. At the published width the
    five have 41 million weights. Weights are drawn as torch's convolutions are.

    Elsewhere: jik876/hifi-gan ``MultiPeriodDiscriminator`` is the same network. It flattens the scores, and lists them
    as the last feature too.

    Paper: Kong, Kim and Bae 2020, "HiFi-GAN: Generative Adversarial Networks for Efficient and High Fidelity Speech
    Synthesis", arXiv:2010.05646.

    Raises:
        InputError: no period; when called, waveforms shorter than the longest period.
    """

    def __init__(
        self,
        *,
        periods: Sequence[int] = (2, 3, 5, 7, 11),
        width: int = 32,
        weight_normalised: bool = True,
        rng: torch.Generator,
    ) -> None:
        require(isinstance(periods, Sequence), f"periods is {described(periods)}: wanted a list of whole numbers")
        require(len(periods) > 0, "there are no periods: wanted at least one")
        super().__init__(
            PeriodCritic(period, width=width, weight_normalised=weight_normalised, rng=rng) for period in periods
        )


class WaveCritic(LayeredCritic):
    """A critic of windows of a waveform: ``[B, 1, T] -> [B, frames]``; see :class:`MultiScaleWaveCritic`.

    ``shrink`` halves the rate so many times first, by averages over 4 samples.

    Raises:
        InputError: a width that 4 does not divide; when called, waveforms of fewer than 8·2^shrink samples.
    """

    def __init__(
        self,
        *,
        width: int = 16,
        layers: int = 4,
        weight_normalised: bool = True,
        shrink: int = 0,
        rng: torch.Generator,
    ) -> None:
        check_whole(1, width=width, layers=layers)
        check_whole(0, shrink=shrink)
        require(width % 4 == 0, f"width is {width}: wanted a multiple of 4, the channels of a group")
        with untouched_global_rng():
            first = (nn.ReflectionPad1d(7), nn.Conv1d(1, width, 15), nn.LeakyReLU(0.2))
            blocks, inputs = [nn.Sequential(*first)], width
            for number in range(1, layers + 1):
                outputs = width * min(4**number, 64)
                layer = nn.Conv1d(inputs, outputs, 41, 4, 20, groups=inputs // 4)
                blocks.append(nn.Sequential(layer, nn.LeakyReLU(0.2)))
                inputs = outputs
            outputs = min(2 * inputs, 64 * width)
            blocks.append(nn.Sequential(nn.Conv1d(inputs, outputs, 5, 1, 2), nn.LeakyReLU(0.2)))
            super().__init__(blocks, nn.Conv1d(outputs, 1, 3, 1, 1))
        draw_by_inputs(self, rng)
        if weight_normalised:
            normalise_weights(self)
        self.shrink, self.least = shrink, 8 * 2**shrink  # the first layer reflects 7 samples

    def view(self, samples: Tensor) -> Tensor:
        """Return the waveforms at a lower rate.

        Raises:
            InputError: no waveforms ``[B, 1, T]``, or too short ones.
        """
        check_layout(samples, "waveforms [B, 1, T]", 1, 1)
        length = samples.shape[2]
        require(length >= self.least, f"waveforms have {length} samples: wanted at least {self.least}")
        for _ in range(self.shrink):
            samples = avg_pool1d(samples, 4, 2, 1, count_include_pad=False)
        return samples


class MultiScaleWaveCritic(SeveralCritics):
    """MelGAN's critics of a waveform at several rates: ``[B, 1, T] -> list of [B, frames]``.

    For each scale a convolution of 15 samples, ``layers`` grouped ones of 41 with stride 4 (channels times 4, to at
    most 64·``width``), one of 5, leaky ReLU 0.2, and one of 3 to the scores, weights normalised. ``critics[i]``
    halves the rate i times itself. Weights are drawn as torch's convolutions are.

    Elsewhere: descriptinc/melgan-neurips ``Discriminator(3, 16, 4, 4)`` is the same network, with the scores as the
    last of its features. The N(0, 0.02²) that it fills the weights with is lost when weight norm computes them anew.

    Paper: Kumar et al. 2019, "MelGAN: Generative Adversarial Networks for Conditional Waveform Synthesis",
    arXiv:1910.06711.

    Raises:
        InputError: as :class:`WaveCritic`, or no scale.
    """

    def __init__(
        self,
        *,
        scales: int = 3,
        width: int = 16,
        layers: int = 4,
        weight_normalised: bool = True,
        rng: torch.Generator,
    ) -> None:
        check_whole(1, scales=scales)
        super().__init__(
            WaveCritic(width=width, layers=layers, weight_normalised=weight_normalised, shrink=shrink, rng=rng)
            for shrink in range(scales)
        )
