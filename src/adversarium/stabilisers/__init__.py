"""What keeps a game on course: packing, a pool of past fakes, the best samples only, augmentation."""

from adversarium.stabilisers.adaptive import Ada, ada
from adversarium.stabilisers.apa import Apa, apa
from adversarium.stabilisers.augmentation import Augmentation
from adversarium.stabilisers.diff_augment import DiffAugment, diffaugment
from adversarium.stabilisers.packing import pack, packed_shape
from adversarium.stabilisers.pool import ReplayPool
from adversarium.stabilisers.probability import AdaptiveProbability
from adversarium.stabilisers.table import AUGMENTATIONS
from adversarium.stabilisers.top_k import top_k

__all__ = [
    "AUGMENTATIONS",
    "Ada",
    "AdaptiveProbability",
    "Apa",
    "Augmentation",
    "DiffAugment",
    "ReplayPool",
    "ada",
    "apa",
    "diffaugment",
    "pack",
    "packed_shape",
    "top_k",
]
