"""What a critic knows of the Wasserstein distance: its dual estimate, and the slope that it has to be divided by."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from adversarium.errors import InputError, require
from adversarium.features import eval_mode
from adversarium.penalties import between, check_samples, per_sample, refuse_batch_norm, scores_and_slope
from adversarium.types import Critic


class Dual(NamedTuple):
    """A critic's estimate of W1; all 0-dimensional, float64.

    Attributes:
        value: E D(real) - E D(fake), in the unit of the scores.
        lipschitz: the largest slope that was measured: at most the critic's Lipschitz constant.
        normalised: ``value / lipschitz``, in the unit of the samples.
        standard_error: that of ``value``, by the draw of the samples.
    """

    value: Float[Tensor, ""]
    lipschitz: Float[Tensor, ""]
    normalised: Float[Tensor, ""]
    standard_error: Float[Tensor, ""]


def dual_estimate(
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    *,
    pairs: int = 1024,
    batch_size: int = 256,
    rng: torch.Generator | None = None,
) -> Dual:
    """The critic's dual estimate of the Wasserstein distance of order 1, with its Lipschitz constant measured.

    Formula:
        W1 = sup over 1-Lipschitz D of E D(real) - E D(fake) (Kantorovich and Rubinstein)
        normalised = (E D(real) - E D(fake)) / K
        K = the largest of ‖∇D‖ at real, fake and u·real + (1-u)·fake, and of |D(real) - D(fake)| / ‖real - fake‖
    Convention:
        K is taken at all samples given and at ``pairs`` random pairs of a real and a fake sample, u ~ U(0, 1), in
        the Euclidean norm over all axes of a sample. It is a lower bound of the critic's Lipschitz constant, since
        the critic may be steeper elsewhere. So ``normalised`` estimates W1 from below (in the samples' unit, as the
        critic sees them) only if the true constant was met; a critic that is steep in few places makes it too large.
        Negative where the critic prefers the fakes. A critic that is constant has the value 0. A score of several
        patches counts by their mean. An ``nn.Module`` is put in evaluation mode for the time, and no weight, buffer
        or gradient of it changes. ``rng=None`` draws the same pairs at each call.
    Elsewhere:
        Training logs of WGANs show ``value`` alone, whose unit changes as the critic does.
    Use when:
        A critic trained with the Wasserstein loss is at hand, and its estimate should be compared with another
        critic's, or with the exact ``wasserstein``.
    Paper:
        Arjovsky, Chintala and Bottou 2017, "Wasserstein GAN", arXiv:1701.07875.

    Raises:
        InputError: samples that are not finite floating point numbers, of different axes, fewer than 2 on a side; no
            pairs or an empty batch; a critic that ignores its input, returns NaN, or has batch norm in training mode;
            a critic that is flat wherever it was measured and yet tells the sets apart.
    """
    require(pairs >= 1, f"pairs is {pairs}: wanted at least 1")
    require(batch_size >= 1, f"batch_size is {batch_size}: wanted at least 1")
    for name, samples in (("real", real), ("fake", fake)):
        check_samples(samples, name)
        require(len(samples) >= 2, f"{name} has {len(samples)} samples: wanted at least 2")
        require(bool(samples.isfinite().all()), f"{name} has NaN or infinity: wanted finite samples")
    if real.shape[1:] != fake.shape[1:]:
        raise InputError(f"real has shape {list(real.shape)} and fake {list(fake.shape)}: wanted the same axes")
    refuse_batch_norm(critic)
    rng = torch.Generator().manual_seed(0) if rng is None else rng
    i, j = (
        torch.randint(len(side), (pairs,), generator=rng, device=rng.device).to(side.device) for side in (real, fake)
    )
    # dropout and running statistics keep still
    with eval_mode(critic if isinstance(critic, nn.Module) else nn.Identity()), torch.no_grad():
        of_real, slopes_at_real = _seen(critic, real, batch_size)
        of_fake, slopes_at_fake = _seen(critic, fake, batch_size)
        apart = real[i].double() - fake[j].double()
        _, slopes_between = _seen(critic, between(real[i], fake[j], rng), batch_size)
    lengths = torch.linalg.vector_norm(apart.flatten(1), dim=1)
    chords = (of_real[i] - of_fake[j]).abs()[lengths > 0] / lengths[lengths > 0]
    lipschitz = torch.cat([slopes_at_real, slopes_at_fake, slopes_between, chords]).max()
    require(
        bool(torch.cat([of_real, of_fake, lipschitz[None]]).isfinite().all()),
        "the critic's scores or slopes are not finite",
    )
    value = of_real.mean() - of_fake.mean()
    if lipschitz == 0 and value != 0:
        raise InputError(
            f"the critic's slope is 0 at all {len(real)} + {len(fake)} samples and {pairs} pairs, yet its mean scores "
            f"differ by {float(value):.3g}: wanted a critic with a slope, or more pairs"
        )
    error = (of_real.var() / len(real) + of_fake.var() / len(fake)).sqrt()
    return Dual(value, lipschitz, value / torch.where(lipschitz > 0, lipschitz, 1), error)


def _seen(critic: Critic, samples: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
    """Return each sample's score and the critic's slope there."""
    found = [scores_and_slope(critic, part.detach()) for part in samples.split(batch_size)]
    return (
        torch.cat([per_sample(scores).double() for scores, _ in found]),
        torch.cat([slopes.double() for _, slopes in found]),
    )
