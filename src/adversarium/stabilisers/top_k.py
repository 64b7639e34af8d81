"""The generator's step on the samples that the critic takes for the most real."""

import math

from torch import Tensor

from adversarium.errors import require
from adversarium.tensors import described, is_number, per_sample
from adversarium.types import PerSample


def top_k(values: PerSample, scores: Tensor, share: float = 0.5) -> Tensor:
    """Return the values of the samples with the highest scores, for the generator to learn from these alone.

    Formula:
        (v_i for i among the k highest mean scores), k = ceil(share·B)
    Convention:
        ``values`` are the generator's loss of each sample, ``[B]``, ``scores`` the critic's of the same samples,
        ``[B]`` or ``[B, ...]`` (averaged per sample); returns ``[k]``, in no order. The caller's mean is then over k,
        not B, so that the step does not shrink. Which samples they are has no gradient. The critic's own step sees
        all. The paper starts with share 1 and multiplies it by γ = 0.99 in each epoch, down to ν = ½: half is reached
        after 69 epochs. A batch chosen that way from the start starves a generator whose critic knows nothing yet.
    Elsewhere:
        stylegan2_pytorch (``top_k_training``) and PyTorch-StudioGAN (``apply_topk``): the paper's schedule in epochs;
        the first takes the lowest losses of the batch, which are the highest scores for losses that fall with the
        score. The trainer here takes ``--top-k 0.5 --top-k-kimg K``: linear from 1 over K thousand samples.
    Use when:
        Some of the fakes are far from everything, and their gradients lead away from the modes. It sharpens what is
        there, and does not bring back lost modes.
    Paper:
        Sinha et al. 2020, "Top-k Training of GANs: Improving GAN Performance by Throwing Away Bad Samples",
        arXiv:2002.06224.

    Raises:
        InputError: a share that is 0 or less, or above 1; no values, not as many scores, or several critics' in a
            list; scores that are NaN (on an accelerator, which would have to be waited for, they count as the
            highest: the losses that come back are then NaN too).
    """
    fits = is_number(share) and 0 < share <= 1
    require(fits, f"share is {described(share)}: wanted a number above 0 and at most 1")
    for name, given in (("values", values), ("scores", scores)):
        fits = isinstance(given, Tensor) and given.ndim > 0 and given.numel() > 0
        require(fits, f"{name} is {described(given)}: wanted one tensor [B] or [B, ...] with B at least 1")
    require(
        len(values) == len(scores),
        f"there are {len(values)} values and {len(scores)} samples with scores: wanted one each",
    )
    best = per_sample(scores.detach())
    if best.device.type == "cpu":
        missing = int(best.isnan().sum())
        require(missing == 0, f"scores became nan in {missing} of {len(best)} samples: there is no order to them")
    count = max(1, math.ceil(share * len(values) - 1e-9))  # 0.1·30 is 3, and a little more in floats
    return values[best.topk(count, sorted=False).indices]
