"""``adversarium train``."""

import argparse
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from adversarium.cli.parser import Parser
from adversarium.config import BUDGETS, DEFAULT_KIMG, FIELDS, field_type, from_mapping, read_config
from adversarium.errors import InputError

_RATES = ("critic_learning_rate", "generator_learning_rate")
_WORKED_OUT = {
    "preset": ("game", "n_critic", "optimizer", "beta1", "beta2", "anneal_kimg", *_RATES),
    "optimizer": ("beta1", "beta2", *_RATES),
    "game": ("n_critic",),
    "n_critic": ("game",),
    "kimg": ("decay_kimg",),
}
"""Options that a run works out from others: what a saved value of theirs gives way to."""


def run(arguments: Sequence[str]) -> int:
    """Train a new run, or resume one."""
    options = vars(_parser().parse(arguments))
    resumed = options.pop("resume", None)
    file = options.pop("config", None)
    if resumed is not None:
        return _resume(Path(resumed), options, file)
    values = {**(read_config(Path(file)) if file else {})}
    if file and Path(file).with_name("run.json").exists():
        # a run's own options hold what was worked out from a few of them: it follows when those are given anew
        worked_out = {name for given in options for name in _WORKED_OUT.get(given, ())}
        values = {name: value for name, value in values.items() if name not in worked_out}
    if any(name in options for name in BUDGETS):
        values = {name: value for name, value in values.items() if name not in BUDGETS}
    _refuse_swallowed_data(options)
    config = from_mapping({**values, **options}, file or "the command line")

    from adversarium.cli.progress import Display
    from adversarium.train import StoppedError, train

    with Display() as display:
        try:
            ended = train(
                config,
                given={**values, **options}.keys(),
                observers=[display],
                on_start=display.start,
                on_decode=display.decoding,
                tell=display.tell,
            )
        except StoppedError as error:
            raise InputError(str(error)) from error
    return _ended(ended)


def _resume(path: Path, options: dict[str, Any], file: str | None) -> int:
    budget = {name: options.pop(name) for name in BUDGETS if name in options}
    if len(budget) > 1:
        raise InputError(f"{' and '.join(budget)} are given: a run has one budget, one of {', '.join(BUDGETS)}")
    device, patience = options.pop("device", None), options.pop("patience", None)
    if options or file:
        name = "--config" if file else "--" + next(iter(options)).replace("_", "-")
        raise InputError(
            f"{name} with --resume: a run continues as it began; "
            f"only its --device, its --patience and its budget ({', '.join(BUDGETS)}) can change"
        )
    from adversarium.cli.progress import Display
    from adversarium.train import StoppedError, resume

    with Display() as display:
        try:
            ended = resume(
                path,
                budget=budget,
                device=device,
                patience=patience,
                observers=[display],
                on_start=display.start,
                on_decode=display.decoding,
                tell=display.tell,
                warn=display.warn,
            )
        except StoppedError as error:
            raise InputError(str(error)) from error
    return _ended(ended)


def _ended(run: Any) -> int:
    if run.signal is not None:
        print(f"stopped at step {run.steps}; continue with: adversarium train --resume {run.path}", file=sys.stderr)
        return 128 + int(run.signal)
    if run.quality:
        print(run.quality)
    if run.best is not None:
        print(f"{run.best}: the best checkpoint; adversarium sample {run.path} --checkpoint best --out best.png")
    if run.exhausted:
        print(f"its patience is used up; go on with: adversarium train --resume {run.path} --patience N")
    print(f"{run.path}: {run.steps} steps, {run.images / 1000:g} kimg; look at {run.path / 'samples.png'}")
    return 0


def _refuse_swallowed_data(options: dict[str, Any]) -> None:
    """Refuse ``train --conditional mnist``, where the option that may stand alone takes the data for its value."""
    method = options.get("conditional")
    if method is None or "data" in options:
        return
    from adversarium.conditionals import CONDITIONALS
    from adversarium.data import DATASETS

    if method not in CONDITIONALS and (method in DATASETS or Path(method).expanduser().exists()):
        raise InputError(
            f"conditional is {method!r}: --conditional takes a method; give DATA first: adversarium train "
            f"{shlex.quote(method)} --conditional"
        )


def _parser() -> Parser:
    parser = Parser("train", "Train a generator on DATA with a published method.")
    parser.add_argument("data", nargs="?", default=argparse.SUPPRESS, metavar="DATA", help=_help("data"))
    parser.add_argument("--resume", metavar="RUN", help="continue a run exactly where its newest checkpoint stands")
    parser.add_argument("--config", metavar="FILE", help="options from a .json or .toml file; the command line wins")
    add_options(parser)
    return parser


def add_options(parser: Parser, names: Iterable[str] | None = None) -> None:
    """Add a run's options to a parser: those of these names, or all but the data."""
    for name in [each for each in FIELDS if each != "data"] if names is None else names:
        flag = "--" + (FIELDS[name].metadata["flag"] or name).replace("_", "-")
        kind, alone = field_type(name), FIELDS[name].metadata["alone"]
        if kind is bool:
            action = argparse.BooleanOptionalAction if FIELDS[name].default is None else "store_true"
            parser.add_argument(flag, dest=name, action=action, default=argparse.SUPPRESS, help=_help(name))
        else:
            bare = {} if alone is None else {"nargs": "?", "const": alone}
            metavar = kind.__name__.upper() if alone is None else "METHOD"
            parser.add_argument(
                flag, dest=name, type=kind, default=argparse.SUPPRESS, metavar=metavar, help=_help(name), **bare
            )


def _help(name: str) -> str:
    default = FIELDS[name].default
    text = FIELDS[name].metadata["help"]
    if name == "kimg":
        return f"{text} (default budget: {DEFAULT_KIMG:g})"
    # argparse reads % as a format
    return (text if default is None or default is False else f"{text} (default: {default})").replace("%", "%%")
