"""Which of the known modes do samples reach, and how well? Mixtures of Gaussians, and stacked digits."""

from collections.abc import Callable
from math import inf, lgamma, log, log1p, nan
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from adversarium.errors import require
from adversarium.metrics._check import check_rows

Number = Float[Tensor, ""]

EXACT = "donot_use_mm_for_euclid_dist"
"""How ``cdist`` takes distances: by differences, not by products."""


class ModeScores(NamedTuple):
    """What samples reach of a mixture of K Gaussians; ``ceilings`` says what a perfect sampler scores.

    Attributes:
        modes: how many modes have a sample of high quality, an integer.
        high_quality: the share of such samples, float64.
        reverse_kl: KL(q‖p) of the modes' shares among them to 1/K each, float64; infinite where there is none.
        std_ratio: ``[K]`` float64: the standard deviation of a mode's samples of high quality over the mode's own,
            1 for a perfect sampler; NaN where there are fewer than two samples, so that none was measured.
        counts: ``[K]`` int64: how many samples of high quality each mode has.
    """

    modes: Int[Tensor, ""]
    high_quality: Number
    reverse_kl: Number
    std_ratio: Float[Tensor, " k"]
    counts: Int[Tensor, " k"]


class StackedScores(NamedTuple):
    """What samples reach of the combinations of classes.

    Attributes:
        modes: how many combinations occur, an integer.
        reverse_kl: KL(q‖p) of their shares to the data's, float64.
    """

    modes: Int[Tensor, ""]
    reverse_kl: Number


class Ceilings(NamedTuple):
    """What N samples of the mixture itself score on average: no generator can do better but by chance.

    Attributes:
        modes: how many modes have a sample of high quality.
        high_quality: the share of such samples.
        reverse_kl: the reverse KL of their shares; about (K - 1)/2N.
    """

    modes: float
    high_quality: float
    reverse_kl: float


@torch.no_grad()
def mode_scores(samples: Tensor, modes: Tensor, std: float, *, radius: float = 3.0, chunk: int = 65_536) -> ModeScores:
    """Mode coverage: how many modes of a known mixture samples reach, how well, how evenly and how wide.

    Formula:
        a sample x is of high quality if ‖x - c‖ < radius·std for its nearest mode c
        modes = #{c that have one}, high_quality = their share, q_c = a mode's share of them
        reverse_kl = Σ q_c log(K·q_c)
        std_ratio_c = √(Σ ‖x - mean‖² / ((n_c - 1)·D·f)) / std over the n_c samples of high quality of c
        f = P(χ²_{D+2} < radius²) / P(χ²_D < radius²), the share of a Gaussian's variance within the radius
    Convention:
        A perfect sampler does not score 100 % but 98.889 % in the plane, and not 0 but (K - 1)/2N in reverse KL: see
        ``ceilings``. ``std_ratio`` is of the samples within the radius, so that strays between modes do not enter;
        modes that are too wide are cut off there, and tell less (a disc filled evenly has 1.54). A mode with fewer
        than two samples has no width: its ratio is NaN, not 0, which is that of samples that coincide. Float64.
    Use when:
        The data's modes are known: toys.
    Paper:
        Lin, Khetan, Fanti and Oh 2017, "PacGAN: The power of two samples in generative adversarial networks",
        arXiv:1712.04086 (modes, high quality, reverse KL).

    Raises:
        InputError: no rows, no modes or of another width, a std or a radius that is not positive.
    """
    samples, modes = check_rows("samples", samples), check_rows("modes", modes)
    width, expected = samples.shape[1], modes.shape[1]
    require(width == expected, f"samples has {width} columns and modes {expected}: wanted the same space")
    require(0 < std < inf, f"std is {std}: wanted a positive number")
    require(0 < radius < inf, f"radius is {radius}: wanted a positive number of standard deviations")
    require(chunk >= 1, f"chunk is {chunk}: wanted at least 1")
    centres = modes.to(samples.device, torch.float64)
    k, dimension = centres.shape
    counts = torch.zeros(k, dtype=torch.int64, device=samples.device)
    sums = torch.zeros_like(centres)
    squares = torch.zeros(k, dtype=torch.float64, device=samples.device)
    for part in samples.split(max(1, chunk // k)):
        distance, nearest = torch.cdist(part.double(), centres, compute_mode=EXACT).min(dim=1)
        good = distance < radius * std
        nearest = nearest[good]
        # about the mode, so that nothing cancels
        offset = (part[good].double() - centres[nearest]) / std
        counts += nearest.bincount(minlength=k)
        sums.index_add_(0, nearest, offset)
        squares.index_add_(0, nearest, offset.square().sum(1))
    about_mean = squares - sums.square().sum(1) / counts.clamp_min(1)
    inside = _within(dimension + 2, radius) / _within(dimension, radius)
    variance = about_mean.clamp_min(0) / ((counts - 1).clamp_min(1) * dimension * inside)
    return ModeScores(
        modes=(counts > 0).sum(),
        high_quality=counts.sum().double() / len(samples),
        reverse_kl=_reverse_kl(counts, torch.full_like(squares, 1 / k)),
        std_ratio=torch.where(counts > 1, variance.sqrt(), nan),
        counts=counts,
    )


def ceilings(modes: int, samples: int, *, dimension: int = 2, radius: float = 3.0) -> Ceilings:
    """Return what a perfect sampler of K equal modes scores on average in N samples.

    high_quality is P(χ²_D < radius²): 1 - e^-4.5 = 98.889 % in the plane; 1 for ``radius=math.inf`` (stacked digits,
    where every sample counts). reverse_kl is K·E[(X/n) log(K·X/n)], X binomial of n and 1/K, n = N·high_quality
    rounded: (K - 1)/2n to first order, 0.0193 for 1,000 modes and 26,000 samples. modes is K·(1 - (1 - h/K)^N).

    Raises:
        InputError: no modes, samples or dimensions, a radius that is not positive.
    """
    for name, size in (("modes", modes), ("samples", samples), ("dimension", dimension)):
        require(size >= 1, f"{name} is {size}: wanted at least 1")
    require(radius > 0, f"radius is {radius}: wanted a positive number of standard deviations")
    good = _within(dimension, radius)
    judged = max(1, round(samples * good))
    return Ceilings(
        modes=modes * (1 - (1 - good / modes) ** samples),
        high_quality=good,
        reverse_kl=_expected_reverse_kl(modes, judged),
    )


def stacked_probabilities(
    classify: Callable[[Tensor], Tensor], images: Tensor, *, chunk: int = 500
) -> Float[Tensor, "n channels classes"]:
    """Return the class probabilities of each channel of images ``[N, C, H, W]``, read as an image of its own.

    ``classify`` takes ``[B, 1, H, W]``, as the images are stored, to probabilities ``[B, K]``.

    Raises:
        InputError: images are not ``[N, C, H, W]``, or the classifier returns something else.
    """
    require(images.dim() == 4 and len(images) > 0, f"images has shape {list(images.shape)}: wanted [N, C, H, W]")
    require(chunk >= 1, f"chunk is {chunk}: wanted at least 1")
    single = images.flatten(0, 1).unsqueeze(1)
    with torch.no_grad():
        found = torch.cat([classify(part) for part in single.split(chunk)])
    fit = found.dim() == 2 and len(found) == len(single)
    require(fit, f"classify returned {list(found.shape)} for {len(single)} images: wanted [{len(single)}, classes]")
    return found.reshape(*images.shape[:2], -1)


@torch.no_grad()
def stacked_mode_scores(probabilities: Tensor, *, class_shares: Tensor | None = None) -> StackedScores:
    """Stacked-digit modes: how many combinations of classes occur in the channels, and how evenly.

    Formula:
        a sample's mode is the combination of its channels' most probable classes: K^C modes, 1,000 for 3 digits
        modes = #{those that occur}, reverse_kl = Σ q log(q/p) of their shares q
        p = 1/K^C, or the product of ``class_shares``
    Convention:
        26,000 samples. Even a perfect sampler then has a reverse KL of 0.0193 (``ceilings(1000, 26_000,
        radius=math.inf)``): it is the floor of a sample of this size. The digits of MNIST are not equally frequent:
        against p = 1/1000 their stacks have 0.0237.
    Use when:
        The data are stacked digits, a test of coverage on images. The classifier's errors enter: measure real stacks
        too.
    Paper:
        Metz et al. 2016, "Unrolled Generative Adversarial Networks", arXiv:1611.02163; as in Lin et al. 2017,
        "PacGAN: The power of two samples in generative adversarial networks", arXiv:1712.04086.

    Raises:
        InputError: probabilities are not ``[N, C, K]`` or not finite, or the shares are not K positive numbers with
            sum 1.
    """
    shape = list(probabilities.shape)
    require(len(shape) == 3 and min(shape) > 0, f"probabilities has shape {shape}: wanted [N, channels, classes]")
    require(bool(probabilities.isfinite().all()), "probabilities has NaN or infinity: wanted class probabilities")
    _, channels, classes = shape
    kinds = classes**channels
    require(kinds <= 10**7, f"{channels} channels of {classes} classes are {kinds} modes: wanted at most 10 million")
    places = classes ** torch.arange(channels - 1, -1, -1, device=probabilities.device)
    counts = (probabilities.argmax(2) * places).sum(1).bincount(minlength=kinds)
    expected = torch.full((kinds,), 1 / kinds, dtype=torch.float64, device=probabilities.device)
    if class_shares is not None:
        shares = class_shares.to(expected)
        fit = shares.shape == (classes,) and bool((shares > 0).all()) and abs(float(shares.sum()) - 1) < 1e-6
        require(fit, f"class_shares is {class_shares.tolist()}: wanted {classes} positive numbers with sum 1")
        expected = torch.ones(1).to(expected)
        for _ in range(channels):
            expected = torch.outer(expected, shares).flatten()
    return StackedScores(modes=(counts > 0).sum(), reverse_kl=_reverse_kl(counts, expected))


def _reverse_kl(counts: Tensor, expected: Tensor) -> Tensor:
    if not counts.any():
        return expected.new_full((), inf)
    shares = counts.double() / counts.sum()
    return torch.xlogy(shares, shares / expected).sum()


def _within(dimension: int, radius: float) -> float:
    """Return P(χ²_D < radius²)."""
    half = torch.tensor([dimension / 2, radius**2 / 2], dtype=torch.float64)
    return float(torch.special.gammainc(half[0], half[1]))


def _expected_reverse_kl(modes: int, samples: int) -> float:
    if modes == 1:
        return 0.0
    x = torch.arange(1, samples + 1, dtype=torch.float64)
    log_ways = lgamma(samples + 1) - torch.lgamma(x + 1) - torch.lgamma(samples - x + 1)
    probability = torch.exp(log_ways - x * log(modes) + (samples - x) * log1p(-1 / modes))
    return float(modes * (probability * (x / samples) * torch.log(modes * x / samples)).sum())
