"""A run in memory: what moves, what feeds it, and how both go on exactly where a checkpoint was taken."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adversarium.conditionals import CONDITIONALS
from adversarium.config import TrainConfig
from adversarium.data import Codec, Conditions, Latent, Source, Stream
from adversarium.errors import InputError
from adversarium.games import GAMES
from adversarium.spec import make, written
from adversarium.train.checkpoint import Checkpoint, restore_module
from adversarium.train.ema import Ema, UniformAverage
from adversarium.train.feed import Feed
from adversarium.train.optimizers import optimizer_tensors, restore_optimizer, set_progress
from adversarium.train.step import Step
from adversarium.types import OptimizerSettings

_WRITTEN: dict[str, Mapping[str, Callable[..., Any]]] = {"game": GAMES, "conditional": CONDITIONALS}
"""Options that hold a member as text."""

OF_THE_NETWORKS = (
    *("network", "width", "latent_dim", "critic_batch_norm", "generator_batch_norm"),
    *("conditional", "minibatch", "packing"),
)
"""Options that say what a run's networks are."""

_OF_LATE = ("game", "optimizer", "conditional", "minibatch", "packing")
"""Options of a checkpoint's identity that older checkpoints do not name."""


@dataclass(frozen=True)
class Training:
    """A run in memory: what moves, the streams that feed it, and data that are kept out of it."""

    config: TrainConfig
    data: Source
    held_out: Source | None
    step: Step
    average: Ema | UniformAverage
    stream: Stream
    latent: Latent
    penalty_rng: torch.Generator
    settings: tuple[OptimizerSettings, OptimizerSettings]
    conditions: Conditions | None = None

    @property
    def feed(self) -> Feed:
        """What its generator makes samples of."""
        return Feed(self.latent.prior, self.conditions)

    @property
    def codec(self) -> Codec:
        """What its samples are."""
        return self.data.codec

    def move(self, images: int) -> int:
        """Take one step after ``images`` images; return the number of images now."""
        for optimizer, settings in zip(
            (self.step.critic_optimizer, self.step.generator_optimizer), self.settings, strict=True
        ):
            set_progress(optimizer, settings, images)
        before = self.step.critic_steps
        self.step(images)
        images += (self.step.critic_steps - before) * self.config.batch_size
        self.average.update(images, (self.step.critic_steps - before) * self.config.batch_size)
        return images

    def identity(self) -> dict[str, object]:
        """Return what a checkpoint must agree with to be continued from."""
        return {name: getattr(self.config, name) for name in ("preset", "game", "optimizer", *OF_THE_NETWORKS)}

    def tensors(self) -> dict[str, Tensor]:
        """Return everything that determines how the run continues."""
        device = torch.device(self.config.device)
        parts = {
            "generator": self.step.generator.state_dict(),
            "critic": self.step.critic.state_dict(),
            "ema": self.average.module.state_dict(),
            "generator_optimizer": optimizer_tensors(self.step.generator_optimizer),
            "critic_optimizer": optimizer_tensors(self.step.critic_optimizer),
            "rng": {
                "latent": self.latent.rng.get_state(),
                "penalty": self.penalty_rng.get_state(),
                "torch": torch.get_rng_state(),
                **({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {}),
            },
            "data": {"stream": self.stream.state()},
            **{name: part.state_dict() for name, part in self.step.stateful().items()},
        }
        return {f"{part}.{name}": value for part, tensors in parts.items() for name, value in tensors.items()}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue exactly where a checkpoint was taken.

        Raises:
            InputError: the checkpoint is of another run, or of other networks.
        """
        for option, value in self.identity().items():
            if option in _OF_LATE and option not in checkpoint.counters:
                continue
            saved = checkpoint.counters.get(option)
            if option in _WRITTEN and isinstance(saved, str):
                saved = written(make(saved, option, _WRITTEN[option]))  # it may have got a new argument since
            if saved != value:
                raise InputError(f"{checkpoint.path}: holds another run: {option} is {saved!r}, and here {value!r}")
        for name, module in (
            ("generator", self.step.generator),
            ("critic", self.step.critic),
            ("ema", self.average.module),
        ):
            restore_module(module, checkpoint.part(name), name, checkpoint.path)
        for name, part in self.step.stateful().items():
            restore_module(part, checkpoint.part(name), f"state of {name}", checkpoint.path)
        restore_optimizer(self.step.generator_optimizer, checkpoint.part("generator_optimizer"))
        restore_optimizer(self.step.critic_optimizer, checkpoint.part("critic_optimizer"))
        self.latent.rng.set_state(checkpoint.tensors["rng.latent"])
        self.penalty_rng.set_state(checkpoint.tensors["rng.penalty"])
        torch.set_rng_state(checkpoint.tensors["rng.torch"])
        if self.config.device.startswith("cuda") and "rng.cuda" in checkpoint.tensors:
            torch.cuda.set_rng_state(checkpoint.tensors["rng.cuda"], torch.device(self.config.device))
        self.stream.restore(checkpoint.tensors["data.stream"])
        self.step.steps = checkpoint.counters["step"]
        self.step.critic_steps = checkpoint.counters["critic_steps"]
