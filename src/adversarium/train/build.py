"""From a configuration to everything that a run needs, resolved and checked before the first step."""

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from adversarium.config import BUDGETS, DEFAULT_KIMG, FIELDS, TrainConfig, with_budget
from adversarium.data import Codec, Latent, Source, Stream, default_share, open_stream, splits
from adversarium.errors import InputError, lookup
from adversarium.games import GAMES
from adversarium.nets import NETWORKS, Family, parts_of
from adversarium.presets import PRESETS
from adversarium.spec import make, written
from adversarium.train.checkpoint import Checkpoint, restore_module
from adversarium.train.ema import Ema, UniformAverage
from adversarium.train.objective import modules_of
from adversarium.train.optimizers import (
    build_optimizer,
    clip_gradient_norm,
    decay_kimg,
    optimizer_tensors,
    paced,
    restore_optimizer,
    set_progress,
    settings_of,
)
from adversarium.train.precision import resolve_device, resolve_precision
from adversarium.train.rules import rule_of
from adversarium.train.step import Step
from adversarium.types import Anneal, AnyPenalty, Objective, OptimizerSettings, Preset, Scheduled, Term

_DEFAULT_NETWORKS = {
    # kind of critic, images or vectors
    ("score", True): "dcgan",
    ("score", False): "vector-mlp",
    ("autoencoder", True): "autoencoder",
    ("autoencoder", False): "vector-autoencoder",
}


def resolve(config: TrainConfig, codec: Codec) -> TrainConfig:
    """Return the configuration with every ``None`` and ``auto`` replaced by what will be used.

    Raises:
        InputError: an unknown preset, network, device or game, a network that the preset excludes, a game that no
            training can play, or options that do not go together.
    """
    preset = lookup("preset", config.preset, PRESETS)
    network, kind = config.network, preset.objective.loss.critic_kind
    if network == "auto":
        network = _DEFAULT_NETWORKS[kind, codec.is_image]
    family = lookup("network", network, NETWORKS)
    if family.critic_kind != kind:
        raise InputError(
            f"network is {network!r}, whose critic is of kind {family.critic_kind!r}: {config.preset} wants one of "
            f"kind {kind!r}, {_DEFAULT_NETWORKS[kind, codec.is_image]!r} say"
        )
    device = resolve_device(config.device)
    _refuse_idle_options(config, preset)
    if all(getattr(config, name) is None for name in BUDGETS):
        config = with_budget(config, {"kimg": DEFAULT_KIMG})
    config = dataclasses.replace(config, decay_kimg=decay_kimg(config))
    critic, generator = settings_of(config, preset)
    return dataclasses.replace(
        config,
        network=network,
        width=config.width or family.width,
        latent_dim=config.latent_dim or (64 if codec.is_image else max(2, min(64, codec.sample_shape[0]))),
        critic_batch_norm=_batch_norm("critic", config.critic_batch_norm, preset, family),
        generator_batch_norm=_batch_norm("generator", config.generator_batch_norm, preset, family),
        game=written(rule_of(config, preset, (critic, generator))),
        n_critic=None,  # the game says it
        # what differs between the players, and what is annealed, stays the preset's
        optimizer=_shared(critic.kind, generator.kind),
        beta1=_shared(critic.beta1, generator.beta1),
        beta2=None if "sgd" in (critic.kind, generator.kind) else _shared(critic.beta2, generator.beta2),
        critic_learning_rate=_unannealed(critic.learning_rate, config),
        generator_learning_rate=_unannealed(generator.learning_rate, config),
        device=str(device),
        precision=resolve_precision(config.precision, device, is_image=codec.is_image),
    )


def _unannealed(rate: Scheduled, config: TrainConfig) -> float | None:
    """Return a constant learning rate, or the one that the configured decay begins at."""
    if isinstance(rate, Anneal):
        return rate.start if config.decay is not None else None
    return rate


def _shared(one: Any, other: Any) -> Any:
    return one if one == other and not isinstance(one, Anneal) else None


def _refuse_idle_options(config: TrainConfig, preset: Preset) -> None:
    objective = preset.objective
    terms: list[Term[Any]] = [*objective.critic_terms, *objective.critic_latent_terms, *objective.generator_terms]
    optimizers = (preset.critic_optimizer, preset.generator_optimizer)
    scheduled = [
        *(term.weight for term in terms),
        *(value for optimizer in optimizers for value in (optimizer.learning_rate, optimizer.beta2)),
    ]
    for name in ("penalty_scale", "penalty_fraction"):
        if getattr(config, name) != 1 and not terms:
            raise InputError(f"{name} is {getattr(config, name)}, and {config.preset} has no penalty")
    if config.average_from_kimg and config.average != "uniform":
        raise InputError(f"average_from_kimg is {config.average_from_kimg}, and average is {config.average!r}")
    if config.kimg is not None and 0 < config.kimg <= config.average_from_kimg:
        raise InputError(f"average_from_kimg is {config.average_from_kimg}, and the run ends at {config.kimg} kimg")
    for name in ("ema_half_life_kimg", "ema_rampup"):
        if config.average != "ema" and getattr(config, name) != FIELDS[name].default:
            raise InputError(f"{name} is {getattr(config, name)}, and average is {config.average!r}: it has none")
    if config.anneal_kimg is not None and not any(isinstance(value, Anneal) for value in scheduled):
        raise InputError(f"anneal_kimg is {config.anneal_kimg}, and {config.preset} anneals nothing")


def _batch_norm(player: str, wanted: bool | None, preset: Preset, family: Family) -> bool:
    excluded = "batch_norm" in (preset.critic_without if player == "critic" else preset.generator_without)
    if wanted and excluded:
        raise InputError(f"this preset's {player} must not contain batch norm: {preset.why_without}")
    return family.batch_norm and not excluded if wanted is None else wanted


def build_generator(config: TrainConfig, codec: Codec) -> nn.Module:
    """Return a resolved configuration's generator with its initial weights."""
    return lookup("network", config.network, NETWORKS).generator(
        codec.sample_shape,
        config.latent_dim,
        width=config.width,
        batch_norm=config.generator_batch_norm,
        rng=_rng(config.seed, "generator"),
    )


_OF_LATE = ("game", "optimizer")
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
        names = ("preset", "network", "width", "latent_dim", "critic_batch_norm", "generator_batch_norm")
        return {name: getattr(self.config, name) for name in (*names, *_OF_LATE)}

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
            **{f"objective.{name}": part.state_dict() for name, part in modules_of(self.step.objective).items()},
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
            if option == "game" and isinstance(saved, str):
                saved = written(make(saved, "game", GAMES))  # a rule may have got a new argument since
            if saved != value:
                raise InputError(f"{checkpoint.path}: holds another run: {option} is {saved!r}, and here {value!r}")
        for name, module in (
            ("generator", self.step.generator),
            ("critic", self.step.critic),
            ("ema", self.average.module),
        ):
            restore_module(module, checkpoint.part(name), name, checkpoint.path)
        for name, part in modules_of(self.step.objective).items():
            restore_module(part, checkpoint.part(f"objective.{name}"), f"state of {name}", checkpoint.path)
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


def build(config: TrainConfig, source: Source) -> Training:
    """Return a resolved configuration's run, at its first step.

    Raises:
        InputError: networks and data do not fit, or a network contains what the preset excludes.
    """
    preset = PRESETS[config.preset]
    codec = source.codec
    device = torch.device(config.device)
    if config.compile:
        _try_compiling(device)
    # spectral normalisation draws its first vector from torch's global state
    torch.manual_seed(_seed(config.seed, "torch"))
    generator = _placed(build_generator(config, codec), device)
    critic = NETWORKS[config.network].critic(
        codec.sample_shape,
        width=config.width,
        batch_norm=config.critic_batch_norm,
        rng=_rng(config.seed, "critic"),
    )
    for constraint in preset.constraints:
        if constraint.when == "build":
            constraint.apply(critic)
    critic = _placed(critic, device)
    if config.batch_size == 1 and (config.critic_batch_norm or config.generator_batch_norm):
        raise InputError(
            "batch_size is 1, and batch norm needs at least 2: add --no-critic-batch-norm --no-generator-batch-norm"
        )
    for player, network, excluded in (
        ("critic", critic, preset.critic_without),
        ("generator", generator, preset.generator_without),
    ):
        for part in sorted(parts_of(network) & excluded):
            raise InputError(f"{config.preset}'s {player} must not contain {part}: {preset.why_without}")
    data, held_out = splits(source, default_share(source) if config.hold_out is None else config.hold_out)
    stream = open_stream(data, batch_size=config.batch_size, seed=_seed(config.seed, "data"), device=device)
    latent = Latent(known(config.latent_dim), _seed(config.seed, "latent"), device)
    penalty_rng = _rng(config.seed, "penalty")
    settings = settings_of(config, preset)
    step = Step(
        generator=generator,
        critic=critic,
        objective=_scaled(preset.objective, config),
        rule=make(known(config.game), "game", GAMES),
        critic_optimizer=build_optimizer(settings[0], critic.parameters()),
        generator_optimizer=build_optimizer(settings[1], generator.parameters()),
        constraints=tuple(each for each in preset.constraints if each.when == "step"),
        real=lambda n: stream.next(n).samples,
        latent=latent.next,
        rng=penalty_rng,
        batch_size=config.batch_size,
        precision=config.precision,
        compile=config.compile,
    )
    if config.clip_gradient_norm is not None:  # after the step's own hooks, which measure the norm as it was
        clip_gradient_norm(step.critic_optimizer, config.clip_gradient_norm)
        clip_gradient_norm(step.generator_optimizer, config.clip_gradient_norm)
    return Training(config, data, held_out, step, _average(config, generator), stream, latent, penalty_rng, settings)


def _average(config: TrainConfig, generator: nn.Module) -> Ema | UniformAverage:
    if config.average == "uniform":
        return UniformAverage(generator, config.average_from_kimg * 1000)
    half_life = config.ema_half_life_kimg * 1000 if config.average == "ema" else 0.0  # 0: a copy
    return Ema(generator, half_life, config.ema_rampup)


def _try_compiling(device: torch.device) -> None:
    """Compile next to nothing, so that a machine that cannot says so before a run begins."""
    try:
        torch.compile(torch.add, dynamic=False)(torch.zeros(2, device=device), 1)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"compile is on, and torch.compile does not work here ({reason}): it needs a C++ compiler on a CPU, "
            "Triton on a GPU; leave --compile out, or set CXX"
        ) from error


def _placed(network: nn.Module, device: torch.device) -> nn.Module:
    """Return a network on its device, its weights channels_last: that makes steps on a CPU 7 to 12 % faster."""
    placed: nn.Module = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


def _scaled(objective: Objective, config: TrainConfig) -> Objective:
    """Return the objective with the configured scale, pace and fraction of its penalties."""
    factor = config.penalty_scale

    def scaled(weight: Scheduled) -> Scheduled:
        if isinstance(weight, Anneal):
            weight = dataclasses.replace(weight, start=weight.start * factor, stop=weight.stop * factor)
            return paced(weight, config)
        return weight * factor

    def all_scaled(terms: tuple[Term[AnyPenalty], ...]) -> tuple[Term[AnyPenalty], ...]:
        return tuple(
            dataclasses.replace(term, weight=scaled(term.weight), fraction=term.fraction * config.penalty_fraction)
            for term in terms
        )

    return dataclasses.replace(
        objective,
        critic_terms=all_scaled(objective.critic_terms),
        critic_latent_terms=all_scaled(objective.critic_latent_terms),
        generator_terms=all_scaled(objective.generator_terms),
    )


Known = TypeVar("Known", int, str)


def known(value: Known | None) -> Known:
    """Return an option that :func:`resolve` has filled in.

    Raises:
        InputError: the configuration was not resolved.
    """
    if value is None:
        raise InputError("the configuration is not resolved: an option that the networks need is None")
    return value


# Each random stream has its own number, so that one more draw in one does not shift the others.
_STREAMS = ("generator", "critic", "data", "latent", "penalty", "torch")


def _seed(seed: int, stream: str) -> int:
    sequence = np.random.SeedSequence([seed, _STREAMS.index(stream)])
    return int(sequence.generate_state(1, np.uint64)[0])


def _rng(seed: int, stream: str) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(seed, stream))
