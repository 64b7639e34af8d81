"""``adversarium explain``: a member's formula, convention, defaults, paper, and when to use it."""

import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from adversarium.cli.explain_games import (
    loss_on_the_dirac_game,
    penalty_on_the_dirac_game,
    preset_on_the_dirac_game,
    rule_on_the_bilinear_game,
    wrapper_on_the_dirac_game,
)
from adversarium.cli.members import FROM_TEXT, KINDS
from adversarium.cli.parser import Parser
from adversarium.constraints import CONSTRAINTS
from adversarium.diagnostics.detector import Detector
from adversarium.diagnostics.probe import PROBED
from adversarium.errors import lookup, require
from adversarium.games import GAMES
from adversarium.losses import LOSSES, WRAPPERS, nonsaturating
from adversarium.metrics import Metric
from adversarium.penalties import PENALTIES
from adversarium.spec import make, written
from adversarium.types import Anneal, GameRule, OptimizerSettings, Preset, Scheduled


def run(arguments: Sequence[str]) -> int:
    """Print what a member of any kind is."""
    parser = Parser("explain", f"Explain a member of {', '.join(KINDS)}.")
    parser.add_argument("name", metavar="NAME", help='such as r1, or "r1(gamma=0.3)"')
    options = parser.parse(arguments)

    text = options.name.strip()
    name = _name(text)
    lookup("name", name, {name: None for members in KINDS.values() for name in members})
    kinds = [kind for kind, members in KINDS.items() if name in members]
    if text != name:
        kinds, named = [kind for kind in kinds if kind in FROM_TEXT], kinds
        require(bool(kinds), f"{text!r}: {', '.join(named)} are explained without arguments: wanted {name!r}")
    print("\n\n".join(page(kind, text) for kind in kinds))
    return 0


def page(kind: str, text: str) -> str:
    """Return what the command prints on a member: its name, or ``NAME(argument=value, ...)`` for ``FROM_TEXT``.

    The documentation's catalogue is made of these pages.

    Raises:
        InputError: arguments that the member does not take.
    """
    name = _name(text)
    member = KINDS[kind][name]
    singular = _singular(kind)
    made: Any = make(text, singular, KINDS[kind]) if kind in FROM_TEXT else None
    title = f"{text} ({singular})"
    lines = [title, "=" * len(title)]
    if isinstance(member, Preset):
        lines += _preset(name, member)
    elif isinstance(member, Metric):
        lines += _metric(name, member)
    elif isinstance(member, Detector):
        lines += _detector(member)
    elif callable(member):
        lines += [inspect.getdoc(member) or "", "Defaults:", f"    {_signature(member)}"]
        if kind in ("losses", "misprints"):
            lines += ["", *loss_on_the_dirac_game(made)]
        elif name in WRAPPERS:
            lines += ["", *wrapper_on_the_dirac_game(member(nonsaturating()))]
        elif kind == "games":
            lines += ["", rule_on_the_bilinear_game(made)]
        elif kind == "penalties":
            lines += ["", *penalty_on_the_dirac_game(name, made, nonsaturating())]
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


def _name(text: str) -> str:
    return text.partition("(")[0].strip()


def _singular(kind: str) -> str:
    *adjectives, noun = kind.split("-")
    singular = {"losses": "loss", "penalties": "penalty", "diagnoses": "diagnosis", "features": "features"}.get(
        noun, noun[:-1]
    )
    return " ".join([*adjectives, singular])


def _detector(detector: Detector) -> list[str]:
    """Return what a detector looks for, and by which numbers."""
    lines = [f"{detector.summary[0].upper()}{detector.summary[1:]}.", ""]
    ways = [", ".join(names) for names in (*detector.reads, detector.data) if names]
    if ways:
        lines += textwrap.wrap(f"Reads:        {'; or '.join(ways)}", width=110, subsequent_indent=" " * 14)
    for name in dict.fromkeys(name for names in detector.reads for name in names if name in PROBED):
        text = f"{name}: {PROBED[name]}"
        lines += textwrap.wrap(text, width=110, initial_indent=" " * 4, subsequent_indent=" " * 8)
    return [*lines, *([""] if ways else []), "Look for it with: adversarium doctor RUN"]


def _signature(factory: Callable[..., Any]) -> str:
    arguments = [
        each.name
        if each.default is each.empty
        else f"{each.name}={getattr(each.default, '__name__', repr(each.default))}"
        for each in inspect.signature(factory).parameters.values()
    ]
    room = factory.__module__.split(".")[1]
    return f"{room}.{factory.__name__}({', '.join(arguments)})"


def _preset(name: str, preset: Preset) -> list[str]:
    excluded = [
        f"no {part.replace('_', ' ')} in the {player} ({preset.why_without})"
        for player, parts in (("critic", preset.critic_without), ("generator", preset.generator_without))
        for part in sorted(parts)
    ]
    if preset.objective.loss.critic_kind != "score":
        excluded.insert(0, f"the critic is an {preset.objective.loss.critic_kind}")
    terms = [f"{term.name}, weight {_scheduled(term.weight)}" for term in preset.objective.critic_terms]
    facts = {
        "Loss": _call(preset.objective.loss.name, preset.objective.loss.arguments),
        "Penalties": "; ".join(terms) or "none",
        "Constraints": ", ".join(_call(each.name, each.arguments) for each in preset.constraints) or "none",
        "Game": _game(preset.rule),
        "Critic": _optimizer(preset.critic_optimizer),
        "Generator": _optimizer(preset.generator_optimizer),
        "Networks": "; ".join(excluded) or "any",
        "Use when": preset.use_when,
        "Paper": preset.paper,
    }
    lines = [preset.summary, ""]
    for label, text in facts.items():
        lines += textwrap.wrap(f"{label + ':':13}{text}", width=110, subsequent_indent=" " * 13)
    lines += ["", *preset_on_the_dirac_game(preset)]
    used: dict[str, Mapping[str, Any]] = {
        preset.objective.loss.name: LOSSES,
        **({preset.rule.name: GAMES} if preset.rule.name != "alternating" else {}),
        **{term.name: PENALTIES for term in preset.objective.critic_terms},
        **{constraint.name: CONSTRAINTS for constraint in preset.constraints},
    }
    for member, members in used.items():
        lines += ["", f"{member}:", *_section(members[member], "Formula"), *_section(members[member], "Convention")]
    return [*lines, "", f"Train with: adversarium train mnist --preset {name}"]


def _metric(name: str, metric: Metric) -> list[str]:
    better = metric.better if isinstance(metric.better, str) else f"nearer to {metric.better:g}"
    reads = {
        "rows": "rows of features, real and generated",
        "probabilities": "class probabilities, of features that have classes (lenet, inception)",
        "held_out": "rows of features: trained on, held out, and generated",
        "density": "the samples themselves, and the data's known modes (ring, grid, gaussians8, gaussians25)",
    }[metric.reads]
    samples = {"density": f"{name}2500_raw_test", "held_out": f"{name}2500_lenet_train"}
    example = samples.get(metric.reads, f"{name}{'_' * name[-1].isdigit()}2500_lenet_test")
    value = f"{metric.field}, {metric.what}" if metric.field else "what the function returns"
    return [
        inspect.getdoc(metric.function) or "",
        "Defaults:",
        f"    {_signature(metric.function)}",
        "",
        f"Value:        {value}; {better} is better",
        f"Reads:        {reads}; at least {metric.least} a side",
        "",
        f"Measure with: adversarium evaluate RUN --protocols {example}",
    ]


def _call(name: str, arguments: Mapping[str, object]) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def _section(factory: Callable[..., Any], title: str) -> list[str]:
    """Return a section of a factory's docstring, its indentation kept."""
    lines = (inspect.getdoc(factory) or "").splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(title))
    return list(takewhile(lambda line: line.startswith(" "), lines[start + 1 :]))


def _game(rule: GameRule) -> str:
    steps = rule.critic_evaluations
    if rule.name == "alternating" and rule.generator_evaluations == 1:
        return f"alternating, {steps} critic step{'s' if steps > 1 else ''} per generator step"
    return written(rule)


def _optimizer(settings: OptimizerSettings) -> str:
    rate, beta2 = _scheduled(settings.learning_rate), _scheduled(settings.beta2)
    if settings.kind == "sgd":
        return f"SGD, learning rate {rate}, momentum {settings.beta1:g}"
    if settings.kind == "rmsprop":
        return f"RMSProp, learning rate {rate}, smoothing {beta2}"
    name = "AMSGrad" if settings.kind == "amsgrad" else "Adam"
    return f"{name}, learning rate {rate}, betas {settings.beta1:g} and {beta2}"


def _scheduled(value: Scheduled) -> str:
    if isinstance(value, Anneal):
        shape = "half a cosine" if value.shape == "cosine" else "a line"
        first = f"after {value.after_images / 1000:g} kimg, over the next" if value.after_images else "over the first"
        return f"{value.start:g} -> {value.stop:g} ({shape} {first} {value.over_images / 1000:g} kimg)"
    return f"{value:g}"
