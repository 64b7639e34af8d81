"""Adversarial losses for PyTorch: proven, fast, trained from one command.

``from adversarium import losses, penalties``. Importing the package itself loads nothing heavy.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"

_ROOMS = (
    *("component", "conditionals", "constraints", "data", "diagnostics", "features", "games", "losses", "metrics"),
    *("nets", "penalties", "presets", "stabilisers", "study", "train", "types"),
)


def __getattr__(name: str) -> ModuleType:
    """Load a room when it is first used, so that ``adversarium.losses`` works after ``import adversarium``."""
    if name in _ROOMS:
        return importlib.import_module(f"adversarium.{name}")
    raise AttributeError(f"module 'adversarium' has no attribute {name!r}")
