"""Runs that fail on purpose, by options that a user could have set or data that a user could have, and sound ones.

All are short: 5 to 15 s on one core.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from adversarium.data import open_data
from adversarium.data.toys import ring

Options = dict[str, Any]
"""Options of ``adversarium train``, all but ``seed`` and ``out``."""


def _rates(critic: float, generator: float | None = None) -> Options:
    return {"critic_learning_rate": critic, "generator_learning_rate": generator or critic}


def _on(base: Options, preset: str, rates: Options | None = None, **more: Any) -> Options:
    return {**base, "preset": preset, **(rates or {}), **more}


FULL_KIMG = {"ring": 400.0, "grid": 400.0, "mnist": 96.0}
"""The budget of sound runs, and of those that follow a remedy. Runs that fail are shorter: it shows early."""

_LONG_RING: Options = {"data": "ring", "width": 128, "batch_size": 128, "kimg": 400.0, "diagnose_every_steps": 40}
_LONG_GRID: Options = {**_LONG_RING, "data": "grid"}
_LONG_DIGITS: Options = {"data": "mnist", "width": 16, "batch_size": 64, "kimg": 96.0, "diagnose_every_steps": 30}
_RING, _GRID = {**_LONG_RING, "kimg": 200.0}, {**_LONG_GRID, "kimg": 200.0}
_DIGITS: Options = {**_LONG_DIGITS, "kimg": 32.0, "diagnose_every_steps": 20, "log_every_steps": 10}
_TOYS = {"ring": _RING, "grid": _GRID}

HEALTHY: dict[str, dict[str, Options]] = {
    "ring": {
        "rsgan": _on(_LONG_RING, "rsgan", _rates(1e-3, 3e-4)),
        "hinge": _on(_LONG_RING, "hinge", _rates(1e-3, 3e-4)),
        "r3gan": _on(_LONG_RING, "r3gan", _rates(1e-3), penalty_scale=20.0),
        "wgan-gp": _on(_LONG_RING, "wgan-gp", _rates(1e-3), n_critic=2, penalty_scale=0.1),
        "sngan": _on(_LONG_RING, "sngan", _rates(2e-3), n_critic=1),
    },
    "grid": {
        "r3gan": _on(_LONG_GRID, "r3gan", _rates(1e-3), penalty_scale=20.0),
        "wgan-gp": _on(_LONG_GRID, "wgan-gp", _rates(1e-3), n_critic=2, penalty_scale=0.1, kimg=640.0),
        "sngan": _on(_LONG_GRID, "sngan", _rates(2e-3), n_critic=1),
    },
    "mnist": {
        "nsgan": _on(_LONG_DIGITS, "nsgan"),
        "nsgan fast": _on(_LONG_DIGITS, "nsgan", _rates(1e-3), width=8, kimg=60.0),
        "lsgan": _on(_LONG_DIGITS, "lsgan", _rates(1e-3), width=8, kimg=60.0),
        "rsgan": _on(_LONG_DIGITS, "rsgan", _rates(1e-3), width=8, kimg=60.0),
    },
}
"""Data to name to options of runs that converge within their short budget."""

PROVOKED: dict[str, dict[str, Options]] = {
    "vanishing_generator_gradient": {
        **{name: _on(base, "gan", _rates(5e-3, 3e-5), n_critic=3, kimg=240.0) for name, base in _TOYS.items()},
        "mnist": _on(_DIGITS, "gan", _rates(3e-3, 1e-5), n_critic=3),
    },
    "critic_too_strong": {
        **{name: _on(base, "nsgan", _rates(3e-3, 1e-5), n_critic=3) for name, base in _TOYS.items()},
        "mnist": _on(_DIGITS, "nsgan", _rates(3e-3, 5e-5)),
    },
    "critic_too_weak": {
        "ring": _on(_RING, "nsgan", _rates(1e-6, 1e-3)),
        "grid": _on(_GRID, "nsgan", _rates(5e-5, 3e-3)),
        "mnist": _on(_DIGITS, "nsgan", _rates(1e-6, 1e-3)),
    },
    "critic_saturated": {
        **{name: _on(base, "hinge", _rates(5e-3, 1e-5), n_critic=3) for name, base in _TOYS.items()},
        "mnist": _on(_DIGITS, "nsgan", _rates(3e-3, 2e-5), n_critic=3),
    },
    "mode_collapse": {
        **{name: _on(base, "nsgan", _rates(1e-4, 3e-3)) for name, base in _TOYS.items()},
        "mnist": _on(_DIGITS, "nsgan", _rates(1e-3), critic_batch_norm=False),
    },
    "partial_collapse": {
        "grid": _on(
            _LONG_GRID, "nsgan", _rates(1e-3, 3e-4), kimg=512.0
        ),  # on the ring modes come and go with the seed
    },
    "critic_overfitting": {
        "ring-wide.npy": _on(_RING, "nsgan", _rates(1e-3), data="ring-wide.npy", hold_out=0.99),
        "mnist": _on(_DIGITS, "nsgan", _rates(1e-3), hold_out=0.98),
    },
    "oscillation": {
        **{name: _on(base, "nsgan", _rates(1e-4, 3e-3)) for name, base in _TOYS.items()},
        "mnist": _on(_DIGITS, "nsgan", _rates(1e-4, 2e-3), network="mlp", width=64, kimg=40.0),
    },
    "divergence": {
        **{name: _on(base, "lsgan", _rates(2.0), optimizer="sgd") for name, base in _TOYS.items()},
        "mnist": _on(_DIGITS, "wgan-gp", _rates(1e-3), penalty_scale=0.0, n_critic=2),
    },
    "lipschitz_violated": {
        **{name: _on(base, "wgan-gp", _rates(1e-3), penalty_scale=1e-3, n_critic=2) for name, base in _TOYS.items()},
        "mnist": _on(_DIGITS, "wgan-gp", _rates(1e-3), penalty_scale=1e-3, n_critic=2),
    },
    "penalty_dominates": {
        **{name: _on(base, "wgan-gp", _rates(1e-3), penalty_scale=1e3, n_critic=2) for name, base in _TOYS.items()},
        "mnist": _on(_DIGITS, "wgan-gp", _rates(1e-3), penalty_scale=1e3, n_critic=2),
    },
    "penalty_idle": {
        **{name: _on(base, "r3gan", _rates(1e-3), penalty_scale=1e-7) for name, base in _TOYS.items()},
        "mnist": _on(_DIGITS, "r3gan", _rates(1e-3), penalty_scale=1e-7),
    },
    "learning_rate_imbalance": {
        **{name: _on(base, "nsgan", _rates(3e-3, 1e-6)) for name, base in _TOYS.items()},
        "mnist": _on(_DIGITS, "nsgan", _rates(2e-3, 1e-5)),
    },
    "data_range": {
        "ring-outliers.npy": _on(_RING, "r3gan", _rates(1e-3), data="ring-outliers.npy", penalty_scale=20.0),
        "digits-dark.npy": _on(_DIGITS, "nsgan", _rates(1e-3), data="digits-dark.npy"),
    },
    "data_duplicates": {
        "ring-copies.npy": _on(_RING, "r3gan", _rates(1e-3), data="ring-copies.npy", penalty_scale=20.0),
        "digits-copies.npy": _on(_DIGITS, "nsgan", _rates(1e-3), data="digits-copies.npy"),
    },
    "data_constant_channels": {
        "ring-constant.npy": _on(_RING, "r3gan", _rates(1e-3), data="ring-constant.npy", penalty_scale=20.0),
        "digits-red.npy": _on(_DIGITS, "nsgan", _rates(1e-3), data="digits-red.npy"),
    },
}
"""Kind of failure to data to options of a run that fails in that way."""

GOOD = {"ring": (0.02, 0.85), "grid": (0.02, 0.85), "mnist": (0.03, 0.2)}
"""Distance to the data up to which samples count as good, and how much of them they cover at least: the worst of sound
runs of the seeds 100 to 103, with some room."""


# ---- data with problems


def _digits() -> npt.NDArray[np.uint8]:
    images: npt.NDArray[np.uint8] = open_data("mnist").samples[:, 0]  # type: ignore[union-attr]
    return images


def _points(n: int = 20_000) -> npt.NDArray[np.float32]:
    points: npt.NDArray[np.float32] = ring().sample(n, torch.Generator().manual_seed(0)).numpy()
    return points


def _with_noise(points: npt.NDArray[np.float32], columns: int) -> npt.NDArray[np.float32]:
    """Return points with further columns of noise: the more there are, the easier the points are to know by heart."""
    noise = np.random.default_rng(0).standard_normal((len(points), columns), dtype=np.float32)
    return np.concatenate([points, noise], axis=1)


def _copies(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return as many samples, nine in ten of which are copies of one in a hundred."""
    rng = np.random.default_rng(0)
    n = len(samples)
    rows = np.where(rng.random(n) < 0.9, rng.integers(0, n // 100, n), np.arange(n))
    return samples[rows]


def _coloured(digits: npt.NDArray[np.uint8], constant: int) -> npt.NDArray[np.uint8]:
    """Return digits in red, ``[N, H, W, 3]``, whose other channels hold one number."""
    images = np.full((*digits.shape, 3), constant, dtype=np.uint8)
    images[..., 0] = digits
    return images


MADE: dict[str, tuple[Callable[[], npt.NDArray[Any]], str]] = {
    # name: what is in the file, and the sound data in its place
    "ring-outliers.npy": (lambda: np.concatenate([_points(), np.full((20, 2), 1000.0, np.float32)]), "ring"),
    "ring-copies.npy": (lambda: _copies(_points()), "ring"),
    "ring-constant.npy": (lambda: np.concatenate([_points(), np.full((20_000, 1), 7.0, np.float32)], 1), "ring"),
    "ring-wide.npy": (lambda: _with_noise(_points(), columns=62), "ring"),
    "digits-dark.npy": (lambda: (_digits() > 127).astype(np.uint8), "mnist"),
    "digits-copies.npy": (lambda: _copies(_digits()), "mnist"),
    "digits-red.npy": (lambda: _coloured(_digits(), 0), "mnist"),
}
"""Files that are made for the runs that need them."""


def path_of(data: str, folder: Path) -> str:
    """Return what to train on: a builtin name, or the path of a file, which is made where it is missing."""
    if data not in MADE:
        return data
    path = folder / data
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{data}")
        np.save(part, MADE[data][0]())
        part.replace(path)
    return str(path.resolve())


def sound(data: str) -> str:
    """Return the builtin data that made data resemble."""
    return MADE[data][1] if data in MADE else data
