"""A run that begins with the networks of another one."""

import dataclasses
import shlex
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from adversarium.config import FIELDS, TrainConfig
from adversarium.data import Codec
from adversarium.errors import InputError, lookup
from adversarium.nets.conditional import ConditionEmbedding
from adversarium.nets.heads import ClassifyingCritic
from adversarium.presets import PRESETS
from adversarium.train.checkpoint import load_newest
from adversarium.train.folder import RunFolder
from adversarium.train.resolve import network_options
from adversarium.train.training import OF_THE_NETWORKS, Training


def like_run(
    config: TrainConfig,
    codec: Codec,
    given: Collection[str] = (),
    tell: Callable[[str], None] = lambda message: None,
) -> TrainConfig:
    """Return a configuration with the networks of the run that it begins with, where it says nothing of them.

    ``tell`` is called with a sentence that names what was taken over, but for what this run would have had anyway.

    Args:
        config: what was asked for.
        codec: what a sample is.
        given: options that were asked for even where they have their default's value.
        tell: as above.

    Raises:
        InputError: there is no such run, or no such option.
    """
    assert config.from_run is not None
    for name in given:
        lookup("option", name, FIELDS)
    folder = RunFolder.open(Path(config.from_run).expanduser())
    theirs = folder.config()
    silent = [name for name in OF_THE_NETWORKS if name not in given and getattr(config, name) == FIELDS[name].default]
    options = {name: getattr(theirs, name) for name in silent}
    taken = dataclasses.replace(config, from_run=str(folder.path.resolve()), **options)
    # widths, codes and batch norms are usual for a network; which one that is depends on the data
    usual = network_options(
        dataclasses.replace(config, network=taken.network, conditional=taken.conditional), codec
    ) | {"network": network_options(config, codec)["network"]}
    unusual = [name for name in silent if options[name] != usual.get(name, FIELDS[name].default)]
    if unusual:
        tell(f"from {config.from_run}: {_typed(theirs, unusual)}")
    return taken


def begin_with(training: Training, path: Path, tell: Callable[[str], None]) -> None:
    """Give a run's networks the weights of another run's newest whole checkpoint: the averaged generator, the critic.

    The embeddings of other classes or vectors begin anew, and ``tell`` is called with a sentence that says so.

    Raises:
        InputError: no usable checkpoint, or one of other networks; names the options that differ.
    """
    folder = RunFolder.open(path)
    found, problems = load_newest(folder.checkpoints)
    for problem in problems:
        tell(f"{problem}; using {found.path.name}")
    step, anew = training.step, []
    for player, network, part in (("critic", step.critic, "critic"), ("generator", step.generator, "ema")):
        weights = found.part(part)
        of_condition, misfit = _fit(network, weights)
        if misfit:
            why = _difference(folder, training) or f"{misfit}; wanted the same networks on data of the same shape"
            raise InputError(f"{found.path} holds another {player}: {why}")
        own = network.state_dict()
        network.load_state_dict(weights | {name: own[name] for name in of_condition})
        anew += [f"{player}.{name}" for name in of_condition]
    training.average.module.load_state_dict(step.generator.state_dict())
    if anew:
        tell(f"the data have other conditions than {path}: {', '.join(anew)} begin anew")


def _fit(network: nn.Module, weights: dict[str, Tensor]) -> tuple[list[str], str]:
    """Return the weights of a condition that are of another shape, and what else does not fit (one weight), if any."""
    own = network.state_dict()
    odd = [name for name in own if name in weights and own[name].shape != weights[name].shape]
    owned = tuple(
        f"{name}."
        for name, part in network.named_modules()
        if isinstance(part, ConditionEmbedding) or (name == "classes" and isinstance(network, ClassifyingCritic))
    )
    of_condition = [name for name in odd if name.startswith(owned)]
    for name in odd:
        if name not in of_condition:
            return of_condition, f"{name} has shape {list(weights[name].shape)}, and here {list(own[name].shape)}"
    for name in sorted(own.keys() ^ weights.keys()):
        return of_condition, f"{name} is in one alone"
    return of_condition, ""


def _difference(folder: RunFolder, training: Training) -> str:
    """Say in which options, samples or constraints two runs' networks differ; an empty string: in none of these."""
    theirs, ours = folder.config(), training.config
    said = []
    options = [name for name in OF_THE_NETWORKS if getattr(theirs, name) != getattr(ours, name)]
    if options:
        flags = ", ".join(_flag(name) for name in options)
        said.append(f"that run has {_typed(theirs, options)}, this one {_typed(ours, options)}: leave {flags} out")
    then, now = (list(codec.sample_shape) for codec in (folder.codec(), training.codec))
    if then != now:
        said.append(f"its samples have shape {then}, and here {now}: wanted data of the same shape")
    if (then_made := _constraints(theirs)) != (now_made := _constraints(ours)):
        said.append(
            f"its preset {theirs.preset} gives the critic {then_made}, and {ours.preset} {now_made}: wanted a preset "
            "with the same"
        )
    return "; ".join(said)


def _constraints(config: TrainConfig) -> str:
    """Return what a method does to a critic's weights before training, which then have other names."""
    preset = lookup("preset", config.preset, PRESETS)
    return ", ".join(each.name for each in preset.constraints if each.when == "build") or "no constraint"


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _typed(config: TrainConfig, names: Collection[str]) -> str:
    """Return options as they are typed."""

    def typed(name: str, value: Any) -> str:
        if value is None:
            return f"no {_flag(name)}"
        if isinstance(value, bool):
            return _flag(name if value else f"no_{name}")
        return f"{_flag(name)} {shlex.quote(str(value))}"

    return ", ".join(typed(name, getattr(config, name)) for name in names)
