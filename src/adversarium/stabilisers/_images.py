"""What augmentations ask of their samples."""

from torch import Tensor

from adversarium.errors import require
from adversarium.tensors import described


def check_samples(samples: Tensor, name: str, argument: str = "samples") -> None:
    """Refuse what are no samples as a generator makes them.

    Raises:
        InputError: no tensor, or numbers that are not floating point.
    """
    require(
        isinstance(samples, Tensor) and samples.is_floating_point(),
        f"{argument} is {described(samples)}: {name} wants a tensor of floating point numbers"
        + ("; images of bytes as images.float() / 127.5 - 1" if isinstance(samples, Tensor) else ""),
    )


def check_images(samples: Tensor, name: str) -> None:
    """Refuse samples that are not images.

    Raises:
        InputError: as :func:`check_samples`, or the shape is not [B, C, H, W]; says what works on other samples.
    """
    check_samples(samples, name)
    require(
        samples.ndim == 4,
        f"samples have shape {list(samples.shape)}: {name} wants images [B, C, H, W]; for vectors and others take "
        "apa, instance noise (data.instance_noise), or a penalty such as r1 or lecam",
    )


def check_policy(policy: str) -> None:
    """Refuse a policy that is no text.

    Raises:
        InputError: a list of names, or anything else; says how to write it.
    """
    names = policy if isinstance(policy, list | tuple) and all(isinstance(name, str) for name in policy) else ()
    way_out = f", policy={','.join(names)!r}" if names else ""
    require(isinstance(policy, str), f"policy is {described(policy)}: wanted a text, names joined by commas{way_out}")
