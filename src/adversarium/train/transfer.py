"""A run that begins with the networks of another one."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from adversarium.config import FIELDS, TrainConfig
from adversarium.errors import InputError
from adversarium.nets.conditional import ConditionEmbedding
from adversarium.nets.heads import ClassifyingCritic
from adversarium.train.build import OF_THE_NETWORKS, Training
from adversarium.train.checkpoint import load_newest
from adversarium.train.folder import RunFolder


def like_run(config: TrainConfig) -> TrainConfig:
    """Return a configuration with the networks of the run that it begins with, where it says nothing of them.

    Raises:
        InputError: there is no such run.
    """
    assert config.from_run is not None
    folder = RunFolder.open(Path(config.from_run).expanduser())
    theirs = folder.config()
    silent = [name for name in OF_THE_NETWORKS if getattr(config, name) == FIELDS[name].default]
    return dataclasses.replace(
        config, from_run=str(folder.path.resolve()), **{name: getattr(theirs, name) for name in silent}
    )


def begin_with(training: Training, path: Path, tell: Callable[[str], None]) -> None:
    """Give a run's networks the weights of another run's newest whole checkpoint: the averaged generator, the critic.

    The embeddings of other classes or vectors begin anew, and ``tell`` is called with a sentence that says so.

    Raises:
        InputError: no usable checkpoint, or one of other networks.
    """
    found, problems = load_newest(RunFolder.open(path).checkpoints)
    for problem in problems:
        tell(f"{problem}; using {found.path.name}")
    step = training.step
    anew = [
        f"{player}.{name}"
        for player, network, part in (("critic", step.critic, "critic"), ("generator", step.generator, "ema"))
        for name in _give(network, found.part(part), player, found.path)
    ]
    training.average.module.load_state_dict(step.generator.state_dict())
    if anew:
        tell(f"the data have other conditions than {path}: {', '.join(anew)} begin anew")


def _give(network: nn.Module, weights: dict[str, Tensor], player: str, path: Path) -> list[str]:
    """Load weights; return the names of those of a condition that do not fit, which stay as they are."""
    own = network.state_dict()
    odd = [name for name in own if name in weights and own[name].shape != weights[name].shape]
    owned = tuple(
        f"{name}."
        for name, part in network.named_modules()
        if isinstance(part, ConditionEmbedding) or (name == "classes" and isinstance(network, ClassifyingCritic))
    )
    of_condition = [name for name in odd if name.startswith(owned)]
    weights = {name: own[name] if name in of_condition else value for name, value in weights.items()}
    missing, extra = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    odd = [name for name in odd if name not in of_condition]
    if missing or extra or odd:
        (name, *_) = odd or missing or extra
        raise InputError(
            f"{path} holds another {player}: {name} "
            + (
                f"has shape {list(weights[name].shape)}, and here {list(own[name].shape)}"
                if odd
                else "is in one alone"
            )
            + "; wanted data of the same shape, and the same --network, --width, --latent-dim and batch norms"
        )
    network.load_state_dict(weights)
    return of_condition
