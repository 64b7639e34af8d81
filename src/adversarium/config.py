"""The one typed configuration of a run: in Python, on the command line, in a file, and beside the results.

This module imports no torch, so that the command line can answer questions about options at once.
"""

import dataclasses
import json
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adversarium.errors import InputError, nearest

DEFAULT_PRESET = "rsgan"
"""The preset of a run that names none."""

DEFAULT_KIMG = 240.0
"""The budget of a run that names none, in thousands of real samples shown to the critic."""

BUDGETS = ("steps", "kimg", "seconds")
"""The options that say how long a run lasts; it has one of them."""

CHOICES = {
    "optimizer": ("sgd", "adam", "amsgrad", "rmsprop"),
    "decay": ("cosine", "linear"),
    "average": ("ema", "uniform", "none"),
    "precision": ("auto", "fp32", "bf16"),
}
"""The options that take one of a few words."""

PRECISIONS = CHOICES["precision"]
"""The number formats that networks are evaluated in; ``auto`` is one of the other two."""


def _option(default: Any, help_text: str, *, flag: str | None = None, alone: str | None = None) -> Any:
    """Return an option. ``flag`` is its name on the command line, if another; ``alone`` what it means bare."""
    return field(default=default, metadata={"help": help_text, "flag": flag, "alone": alone})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What to train, on what, how long, and where to put it. ``None`` means: the preset's or the network's own.

    Raises:
        InputError: a value out of range, or more than one budget.
    """

    data: str = _option("mnist", "a builtin name, a folder of images or IDX files, a .npz or a .npy")
    size: int | None = _option(None, "resize and crop a folder's images to this many pixels")
    hold_out: float | None = _option(
        None,
        "share of the data that is not trained on, to measure with (default: 0.05; 0 of data with a test split of "
        "their own, and of few data)",
    )
    preset: str = _option(DEFAULT_PRESET, "the published method (adversarium list presets)")
    loss: str | None = _option(
        None,
        "a loss in place of the preset's: hinge, 'relativistic(pairing=average)', ... (adversarium list losses); its "
        "optimizers, penalties and game stay",
    )
    penalties: str | None = _option(
        None,
        "penalties in place of the preset's: 'r1(gamma=0.1), r2(gamma=0.1)', or none (adversarium list penalties)",
    )
    network: str = _option("auto", "auto, dcgan, resnet, r3, mlp, vector-mlp, ... (adversarium list networks)")
    width: int | None = _option(None, "the networks' width (default: dcgan, resnet, r3 32, mlp 256, vector-mlp 512)")
    latent_dim: int | None = _option(None, "numbers in a latent code (default: 64 for images, 2 to 64 for vectors)")
    conditional: str | None = _option(
        None,
        "generate by label, or by the data's vectors: concatenation (the flag alone), projection, acgan or "
        "contrastive; infogan, which finds classes by itself; or none, where --from has one (adversarium list "
        "conditionals)",
        alone="concatenation",
    )
    drop_condition: float = _option(
        0.0, "share of the samples, drawn at random, whose label both networks are not told (classifier-free: 0.1)"
    )
    critic_batch_norm: bool | None = _option(
        None, "batch norm in the critic (default: in dcgan, unless the preset excludes it)"
    )
    generator_batch_norm: bool | None = _option(None, "batch norm in the generator (default: likewise)")
    minibatch: str | None = _option(
        None, "a layer that shows the critic its batch: minibatch_std or minibatch_discrimination"
    )
    packing: int = _option(1, "how many samples the critic judges at once (PacGAN: 2 to 4)")
    from_run: str | None = _option(
        None, "begin with the networks of this run, on data of the same shape (its folder)", flag="from"
    )
    freeze: str | None = _option(
        None, "layers that do not learn, by name: 'critic.0, critic.2', say (FreezeD: the first of the critic's)"
    )
    steps: int | None = _option(None, "budget in generator steps")
    kimg: float | None = _option(None, "budget in thousands of real samples shown to the critic")
    seconds: float | None = _option(None, "budget in seconds of training")
    batch_size: int = _option(64, "samples in a batch")
    game: str | None = _option(
        None,
        "how the players move: extragradient, 'lookahead(k=10)', ... (adversarium list games); replaces the preset's "
        "whole rule, its critic steps too (default: the preset's)",
    )
    n_critic: int | None = _option(
        None, "critic steps per generator step, of the rule alternating (default: the preset's, or with --game 1)"
    )
    optimizer: str | None = _option(
        None, "both players' optimizer: sgd, adam, amsgrad or rmsprop (default: the preset's)"
    )
    beta1: float | None = _option(
        None,
        "its first beta, or sgd's momentum, of both players; may be negative (default: the preset's, or with another "
        "--optimizer 0)",
    )
    beta2: float | None = _option(
        None,
        "its second beta, or rmsprop's smoothing constant (default: the preset's; with another --optimizer torch's)",
    )
    critic_learning_rate: float | None = _option(
        None, "the critic's learning rate (default: the preset's; two different ones are TTUR, arXiv:1706.08500)"
    )
    generator_learning_rate: float | None = _option(None, "the generator's learning rate (default: the preset's)")
    decay: str | None = _option(None, "let both learning rates go to 0: cosine or linear")
    decay_kimg: float | None = _option(None, "over how many thousand images (default: a budget in kimg)")
    clip_gradient_norm: float | None = _option(None, "scale either player's gradients down to this norm, all together")
    penalty_scale: float = _option(1.0, "multiplies the weights of the preset's penalties, and of --terms")
    penalty_fraction: float = _option(1.0, "share of each batch, drawn at random, that the penalties are taken on")
    anneal_kimg: float | None = _option(None, "how long the preset's annealed values move (r3gan: 20000)")
    terms: str | None = _option(
        None,
        "further terms, 'feature_matching(weight=10.0), r1(gamma=1.0, every=16)' say: any penalty, with how often and "
        "on what fraction of the batch",
    )
    augment: str | None = _option(
        None, "change what the critic sees, so that it cannot learn few data by heart: diffaugment, ada or apa"
    )
    replay_pool: int | None = _option(None, "keep this many past fakes, and show the critic some of them again (50)")
    top_k: float = _option(1.0, "the generator learns from this share of its samples, those that score highest (0.5)")
    top_k_kimg: float | None = _option(None, "thousands of images over which that share comes down from 1")
    average: str = _option("ema", "what the averaged generator is: ema, uniform (a running mean) or none (a copy)")
    average_from_kimg: float = _option(0.0, "thousands of images before the uniform average begins")
    ema_half_life_kimg: float = _option(10.0, "half-life of the averaged generator's memory")
    ema_rampup: float = _option(0.05, "that half-life is at most this share of the run so far")
    precision: str = _option("auto", "auto, fp32 or bf16")
    compile: bool = _option(False, "compile both players' passes with torch.compile (needs a C++ compiler, or a GPU)")
    device: str = _option("auto", "auto, cpu, cuda, cuda:1, ...")
    seed: int = _option(0, "seed of weights, data order, latent codes and penalties")
    out: str | None = _option(None, "the run's folder (default: a new one under runs/)")
    log_every_steps: int = _option(20, "steps between lines in metrics.jsonl")
    sample_every_kimg: float = _option(25.0, "thousands of samples between pictures")
    checkpoint_every_seconds: float = _option(60.0, "seconds between checkpoints")
    keep_checkpoints: int = _option(2, "how many of the newest checkpoints to keep")
    diagnose_every_steps: int = _option(100, "steps between looks at what may go wrong (0: never)")
    evaluate: str | None = _option(
        None, "measure by this protocol on the way, fd5k_lenet_test say (metric, samples, features, split)"
    )
    evaluate_every_kimg: float = _option(25.0, "thousands of samples between those measurements")
    evaluate_times: int | None = _option(
        None, "measure so many times, evenly over the budget, in place of every so many images"
    )
    patience: int | None = _option(None, "stop after this many measurements in a row without a better one")
    tensorboard: bool = _option(False, "also write TensorBoard events (the extra 'tensorboard')")

    def __post_init__(self) -> None:
        """Refuse what no run could use."""
        given = [name for name in BUDGETS if getattr(self, name) is not None]
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)} are given: a run has one budget, one of {', '.join(BUDGETS)}")
        positive = (
            *("size", "width", "latent_dim", "steps", "kimg", "seconds", "batch_size", "n_critic"),
            *("anneal_kimg", "decay_kimg", "clip_gradient_norm", "packing", "replay_pool", "top_k_kimg"),
            *("critic_learning_rate", "generator_learning_rate", "log_every_steps", "sample_every_kimg"),
            *("checkpoint_every_seconds", "keep_checkpoints", "evaluate_every_kimg", "evaluate_times", "patience"),
        )
        for name in positive:
            _require_number(name, getattr(self, name), lambda number: number > 0, "a positive number")
        not_negative = ("penalty_scale", "average_from_kimg", "ema_half_life_kimg", "ema_rampup")
        for name in (*not_negative, "diagnose_every_steps"):
            _require_number(name, getattr(self, name), lambda number: number >= 0, "a number that is not negative")
        _require_number("penalty_fraction", self.penalty_fraction, lambda f: 0 < f <= 1, "a number above 0, at most 1")
        _require_number("top_k", self.top_k, lambda share: 0 < share <= 1, "a share above 0, at most 1")
        for name in ("drop_condition", "hold_out"):
            _require_number(name, getattr(self, name), lambda share: 0 <= share < 1, "a share from 0 to below 1")
        _require_number("seed", self.seed, lambda number: 0 <= number < 2**63, "a number from 0 to 2^63 - 1")
        _require_number("beta1", self.beta1, lambda beta: -1 < beta < 1, "a number above -1 and below 1")
        _require_number("beta2", self.beta2, lambda beta: 0 <= beta < 1, "a number from 0 to below 1")
        if self.patience is not None and self.evaluate is None:
            raise InputError(f"patience is {self.patience}, and there is no protocol to evaluate by: add --evaluate")
        if self.evaluate is None and self.evaluate_every_kimg != FIELDS["evaluate_every_kimg"].default:
            raise InputError(
                f"evaluate_every_kimg is {self.evaluate_every_kimg:g}, and there is no protocol to evaluate by: add "
                "--evaluate"
            )
        if self.evaluate is None and self.evaluate_times is not None:
            raise InputError(
                f"evaluate_times is {self.evaluate_times}, and there is no protocol to evaluate by: add --evaluate"
            )
        if self.top_k_kimg is not None and self.top_k == 1:
            raise InputError(f"top_k_kimg is {self.top_k_kimg:g}, and top_k is 1: add --top-k")
        if self.drop_condition and self.conditional is None and self.from_run is None:
            raise InputError(f"drop_condition is {self.drop_condition:g}, and nothing is asked for: add --conditional")
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices and (value is not None or FIELDS[name].default is not None):
                raise InputError(
                    f"{name} is {value!r}{nearest(str(value), choices)}: wanted one of {', '.join(choices)}"
                )


def with_budget(config: TrainConfig, budget: Mapping[str, float]) -> TrainConfig:
    """Return the configuration with another budget: one of ``steps``, ``kimg`` and ``seconds``."""
    steps = budget.get("steps")
    return dataclasses.replace(
        config, steps=None if steps is None else int(steps), kimg=budget.get("kimg"), seconds=budget.get("seconds")
    )


def _require_number(name: str, value: float | None, fits: Callable[[float], bool], wanted: str) -> None:
    whole = field_type(name) is int
    if value is not None and whole and not isinstance(value, int):
        raise InputError(f"{name} is {value}: wanted a whole number")
    # an int may be too large for any float, and for torch
    if value is not None and not fits(value):
        raise InputError(f"{name} is {value}: wanted {wanted}")
    if value is not None and not abs(value) < 2**63:
        raise InputError(f"{name} is {value}: wanted {wanted}, below 2^63")


FIELDS = {each.name: each for each in dataclasses.fields(TrainConfig)}
"""The options by name, as dataclass fields; their metadata hold the help text."""

_HINTS = typing.get_type_hints(TrainConfig)


def field_type(name: str) -> type:
    """Return the type of an option's value, without ``| None``."""
    hint = _HINTS[name]
    members = [each for each in typing.get_args(hint) if each is not types.NoneType]
    found: type = members[0] if members else hint
    return found


def from_mapping(values: dict[str, Any], origin: str) -> TrainConfig:
    """Return the configuration that a mapping (a file's content) describes.

    Raises:
        InputError: an unknown key (names the nearest), or a value of the wrong type.
    """
    for name, value in values.items():
        if name not in FIELDS:
            raise InputError(f"{origin}: unknown option {name!r}{nearest(name, FIELDS)}")
        wanted = field_type(name)
        if value is None and types.NoneType in typing.get_args(_HINTS[name]):
            continue
        # JSON and TOML write 300 where a float is meant; a bool is an int in Python, but not here
        fits = isinstance(value, int | float) if wanted is float else isinstance(value, wanted)
        if not fits or (isinstance(value, bool) and wanted is not bool):
            raise InputError(f"{origin}: {name} is {value!r}: wanted {wanted.__name__}")
    typed: dict[str, Any] = {
        name: float(value) if field_type(name) is float and value is not None else value
        for name, value in values.items()
    }
    return TrainConfig(**typed)


def read_config(path: Path) -> dict[str, Any]:
    """Return the options in a ``.json`` or ``.toml`` file.

    Raises:
        InputError: the file is missing, of another kind, or not valid.
    """
    if path.suffix not in (".json", ".toml"):
        raise InputError(f"{path}: wanted a configuration in .json or .toml")
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else _toml(text)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a configuration: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: wanted a table of options, found {type(values).__name__}")
    return values


def _toml(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)
