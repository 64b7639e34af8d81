"""Several samples at once for the critic, so that it sees what a collapsed generator lacks."""

from torch import Tensor

from adversarium.errors import require
from adversarium.tensors import described, is_whole
from adversarium.types import Samples


def pack(samples: Samples, degree: int = 2) -> Tensor:
    """Join every ``degree`` samples into one, which a critic scores as a whole.

    Formula:
        y_j = (x_jm, x_jm+1, ..., x_jm+m-1) for j = 0..B/m - 1, m = ``degree``
    Convention:
        ``[B, C, ...]`` to ``[B/m, m·C, ...]``: images are joined on their channels, vectors on their columns, in the
        batch's order, which has to be random. Real samples and fakes are packed alike, apart from each other, in both
        players' steps; the loss then has B/m scores. m = 1 returns the samples as they are. The batch is counted in
        single samples: a step at ``batch_size=100`` with m = 2 shows the critic 50 packs of each kind.
    Elsewhere:
        The authors' fjxmlzn/PacGAN: the same packs (the grid's are joined on columns, the images' on channels), but
        ``batch_size=100`` there counts packs: the critic sees 100·m real samples and 100·m fakes at a step (take
        ``batch_size=100·m`` here for theirs). Their toys' real packs join rows drawn once, with replacement, before
        training, so that the packs are the same in each epoch.
    Use when:
        The generator keeps some of the modes only, each of them well. m = 2 does most of it; the critic's first layer
        grows by m, and nothing else.
    Paper:
        Lin, Khetan, Fanti and Oh 2017, "PacGAN: The power of two samples in generative adversarial networks",
        arXiv:1712.04086.

    Raises:
        InputError: a degree that is no whole number, at least 1; samples without a second axis, or a number of them
            that is no multiple of it.
    """
    _check_degree(degree)
    require(isinstance(samples, Tensor), f"samples is {described(samples)}: wanted a tensor [B, C, ...]")
    if degree == 1:
        return samples
    count, shape = len(samples), list(samples.shape)
    require(samples.ndim >= 2, f"samples have shape {shape}: wanted [B, C, ...], whose second axis packs join on")
    require(
        count % degree == 0,
        f"{count} samples cannot be packed by {degree}: wanted a multiple of {degree}, "
        f"{degree * max(1, round(count / degree))} say",
    )
    return samples.reshape(count // degree, *packed_shape(samples.shape[1:], degree))


def packed_shape(sample_shape: tuple[int, ...], degree: int) -> tuple[int, ...]:
    """Return the shape of a pack of ``degree`` samples of a shape: ``(C, ...)`` to ``(degree·C, ...)``.

    Raises:
        InputError: a degree that is no whole number, at least 1; or samples that are single numbers.
    """
    _check_degree(degree)
    require(len(sample_shape) >= 1, "samples have shape []: wanted a first axis, which packs join on")
    return degree * sample_shape[0], *sample_shape[1:]


def _check_degree(degree: int) -> None:
    require(is_whole(degree) and degree >= 1, f"degree is {described(degree)}: wanted a whole number, at least 1")
