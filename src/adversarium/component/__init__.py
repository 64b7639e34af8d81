"""Adversarial losses as a component of another model: tokenizers, VAEs, vocoders, super-resolution, distillation.

``AdversarialWeight`` balances an adversarial loss against a reconstruction loss. ``PatchCritic`` and
``MultiScaleCritic`` judge images, ``MultiPeriodCritic`` and ``MultiScaleWaveCritic`` waveforms, patch by patch.
``over_scales`` makes any loss one of lists of scores, and ``penalties.match_features`` compares lists of features.
"""

from adversarium.component.audio import MultiPeriodCritic, MultiScaleWaveCritic, PeriodCritic, WaveCritic
from adversarium.component.critics import LayeredCritic, SeveralCritics
from adversarium.component.images import MultiScaleCritic, PatchCritic
from adversarium.component.scales import LossOverScales, all_layers, over_scales
from adversarium.component.weight import AdversarialWeight

__all__ = [
    "AdversarialWeight",
    "LayeredCritic",
    "LossOverScales",
    "MultiPeriodCritic",
    "MultiScaleCritic",
    "MultiScaleWaveCritic",
    "PatchCritic",
    "PeriodCritic",
    "SeveralCritics",
    "WaveCritic",
    "all_layers",
    "over_scales",
]
