"""The augmentations by name."""

from collections.abc import Callable

from adversarium.stabilisers.adaptive import ada
from adversarium.stabilisers.apa import apa
from adversarium.stabilisers.augmentation import Augmentation
from adversarium.stabilisers.diff_augment import diffaugment

AUGMENTATIONS: dict[str, Callable[..., Augmentation]] = {
    "diffaugment": diffaugment,
    "ada": ada,
    "apa": apa,
}
"""Name to factory: augmentations of what the critic is shown."""
