"""``adversarium explain``: a member's formula, convention, defaults, paper, and when to use it."""

import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from adversarium.cli.members import KINDS
from adversarium.cli.parser import Parser
from adversarium.constraints import CONSTRAINTS
from adversarium.errors import lookup
from adversarium.losses import LOSSES
from adversarium.penalties import PENALTIES
from adversarium.types import Anneal, OptimizerSettings, Preset, Scheduled


def run(arguments: Sequence[str]) -> int:
    """Print what a preset, loss, penalty, constraint, game or network is."""
    parser = Parser("explain", "Explain a preset, loss, penalty, constraint, game rule, network or data set.")
    parser.add_argument("name", metavar="NAME")
    options = parser.parse(arguments)

    lookup("name", options.name, {name: None for members in KINDS.values() for name in members})
    pages = [
        _page(kind, options.name, members[options.name]) for kind, members in KINDS.items() if options.name in members
    ]
    print("\n\n".join(pages))
    return 0


def _page(kind: str, name: str, member: Any) -> str:
    singular = {"losses": "loss", "penalties": "penalty"}.get(kind, kind[:-1])
    title = f"{name} ({singular})"
    lines = [title, "=" * len(title)]
    if isinstance(member, Preset):
        lines += _preset(name, member)
    elif callable(member):
        lines += [inspect.getdoc(member) or "", "Defaults:", f"    {_signature(name, member)}"]
    else:
        norm = "batch norm in both, unless the preset excludes it" if member.batch_norm else "no normalisation"
        lines += [
            *(inspect.getdoc(member.generator) or "").splitlines()[:1],
            *(inspect.getdoc(member.critic) or "").splitlines()[:1],
            "",
            f"Use when:     {member.use_when}",
            f"Defaults:     width {member.width}, {norm}",
            f"Published in: {member.paper}",
        ]
    return "\n".join(lines)


def _signature(name: str, factory: Callable[..., Any]) -> str:
    return _call(name, {each.name: each.default for each in inspect.signature(factory).parameters.values()})


def _preset(name: str, preset: Preset) -> list[str]:
    excluded = [
        f"no {part.replace('_', ' ')} in the {player} ({preset.why_without})"
        for player, parts in (("critic", preset.critic_without), ("generator", preset.generator_without))
        for part in sorted(parts)
    ]
    terms = [f"{term.name}, weight {_scheduled(term.weight)}" for term in preset.objective.critic_terms]
    facts = {
        "Loss": _call(preset.objective.loss.name, preset.objective.loss.arguments),
        "Penalties": "; ".join(terms) or "none",
        "Constraints": ", ".join(_call(each.name, each.arguments) for each in preset.constraints) or "none",
        "Game": f"alternating, {preset.n_critic} critic step{'s' if preset.n_critic > 1 else ''} per generator step",
        "Critic": _optimizer(preset.critic_optimizer),
        "Generator": _optimizer(preset.generator_optimizer),
        "Networks": "; ".join(excluded) or "any",
        "Use when": preset.use_when,
        "Paper": preset.paper,
    }
    lines = [preset.summary, ""]
    for label, text in facts.items():
        lines += textwrap.wrap(f"{label + ':':13}{text}", width=110, subsequent_indent=" " * 13)
    used: dict[str, Mapping[str, Any]] = {
        preset.objective.loss.name: LOSSES,
        **{term.name: PENALTIES for term in preset.objective.critic_terms},
        **{constraint.name: CONSTRAINTS for constraint in preset.constraints},
    }
    for member, members in used.items():
        lines += ["", f"{member}:", *_section(members[member], "Formula"), *_section(members[member], "Convention")]
    return [*lines, "", f"Train with: adversarium train mnist --preset {name}"]


def _call(name: str, arguments: Mapping[str, object]) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def _section(factory: Callable[..., Any], title: str) -> list[str]:
    """Return a section of a factory's docstring, its indentation kept."""
    lines = (inspect.getdoc(factory) or "").splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(title))
    return list(takewhile(lambda line: line.startswith(" "), lines[start + 1 :]))


def _optimizer(settings: OptimizerSettings) -> str:
    rate = _scheduled(settings.learning_rate)
    if settings.kind == "adam":
        return f"Adam, learning rate {rate}, betas {settings.beta1:g} and {_scheduled(settings.beta2)}"
    return f"RMSProp, learning rate {rate}, smoothing {_scheduled(settings.beta2)}"


def _scheduled(value: Scheduled) -> str:
    if isinstance(value, Anneal):
        return f"{value.start:g} -> {value.stop:g} (half a cosine over the first {value.over_images / 1000:g} kimg)"
    return f"{value:g}"
