"""Where a built-in critic ends: an ``nn.Sequential`` whose last layers are ``nn.Linear(F, 1), nn.Flatten(0)``.

What comes before is its body, samples to features ``[B, F]``.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from adversarium.errors import InputError

Build = Callable[[tuple[int, ...]], nn.Module]
"""A sample's shape to a plain critic of such samples."""


def split_head(critic: nn.Module) -> tuple[nn.Sequential, int]:
    """Return a critic's body, samples to features ``[B, F]``, and F. The body shares the critic's weights.

    Raises:
        InputError: a critic that is no ``nn.Sequential`` ending in ``nn.Linear(F, 1), nn.Flatten(0)``.
    """
    return critic_body(critic), last_linear(critic).in_features


def last_linear(critic: nn.Module) -> nn.Linear:
    """Return the linear layer that makes a plain critic's scores.

    Raises:
        InputError: as :func:`split_head`.
    """
    wanted = "wanted an nn.Sequential that ends in nn.Linear(F, 1), nn.Flatten(0), as the built-in critics do"
    if not isinstance(critic, nn.Sequential):
        raise InputError(f"critic is a {type(critic).__name__}: {wanted}")
    ending = list(critic)[-2:]
    if len(ending) == 2:
        linear, flatten = ending
        if isinstance(linear, nn.Linear) and linear.out_features == 1 and isinstance(flatten, nn.Flatten):
            return linear
    raise InputError(f"critic ends in {', '.join(map(repr, ending)) or 'nothing'}: {wanted}")


def critic_body(critic: nn.Module) -> nn.Sequential:
    """Return what makes a plain critic's features, with the critic's weights.

    Raises:
        InputError: as :func:`split_head`.
    """
    last_linear(critic)
    assert isinstance(critic, nn.Sequential)
    return nn.Sequential(*list(critic)[:-2])


def features_of(critic: nn.Module, samples: Tensor) -> Float[Tensor, "batch features"]:
    """Return what the last linear layer of a critic sees of each sample: a head's ``features``, or a plain critic's.

    Raises:
        InputError: neither, see :func:`split_head`.
    """
    shown = getattr(critic, "features", None)  # a wrapper may pass it on, which no protocol sees
    features: Tensor = critic_body(critic)(samples) if shown is None else shown(samples)
    return features
