"""What the numbers in records and in evidence mean, in words."""

from adversarium.diagnostics.finding import words
from adversarium.diagnostics.probe import PROBED

_OF_TRAINING = {
    "augment_probability": "how often the augmentation acts: its share of the samples, from 0 to 1",
    "critic_gradient_norm": "size of the gradient of the critic's objective by its weights",
    "critic_learning_rate": "the critic's learning rate, at the start where it moves",
    "critic_loss": "the critic's loss, without penalties",
    "fake_score": "mean score of fakes; up means more real",
    "generator_gradient_norm": "size of the gradient of the generator's objective by its weights",
    "generator_learning_rate": "the generator's learning rate, at the start where it moves",
    "generator_loss": "the generator's loss, without penalties",
    "real_score": "mean score of data; up means more real",
    "score_gap": "mean score of data less that of fakes",
}

_OF_FINDINGS = {
    "gained_on_loss": "by how much the critic's loss is below that of a critic that sees no difference",
    "growth": "size of a loss, of scores or of a gradient at the end over what it was at first",
    "penalties": "what the critic pays for its penalties, weights included",
    "penalty_scale": "what the method's penalties are multiplied with",
    "reversed_auc_share": "share of the last looks in which most fakes score above data",
    "reversed_gap_mass_share": "what the score gaps below 0 make of the sum of all gaps' sizes",
    "reversed_gap_share": "share of the last records in which fakes score above data on average",
    "window_share": "share of the last part of the run in which this shows",
}

_OF_DATA = {
    "constant_channels": "channels or columns that are one number in all samples",
    "duplicates_share": "share of samples that equal an earlier one",
    "encoded_largest": "largest number that the networks see",
    "encoded_scale": "root mean square of the numbers that the networks see",
    "equal_channels": "channels that equal the first one everywhere",
    "looked_at": "samples that were looked at",
    "maximum": "largest stored number",
    "minimum": "least stored number",
    "range_used_share": "what the darkest and brightest values of nine in ten images span, of 255",
    "samples": "samples that were trained on",
}

_KNOWN = {**PROBED, **_OF_TRAINING, **_OF_FINDINGS, **_OF_DATA}


def meaning(name: str) -> str:
    """Return what a number means, and what its values say; of a penalty's, that it is one."""
    if name in _KNOWN or not name.startswith("critic_"):
        return _KNOWN.get(name, "")
    return f"the penalty {words(name.removeprefix('critic_'))}, its weight included"


def title(name: str) -> str:
    """Return what a number is, in a few words: its meaning without what its values say."""
    return meaning(name).partition(";")[0] or words(name)
