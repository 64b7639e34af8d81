"""``adversarium explain``: a member's formula, convention, defaults, paper, and when to use it."""

import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

from adversarium.cli.members import KINDS
from adversarium.cli.parser import Parser
from adversarium.constraints import CONSTRAINTS
from adversarium.diagnostics.detector import Detector
from adversarium.diagnostics.probe import PROBED
from adversarium.errors import InputError, lookup
from adversarium.games import GAMES
from adversarium.games.dirac import dirac_verdict
from adversarium.games.dynamics import descent, predict
from adversarium.games.toys import bilinear
from adversarium.losses import LOSSES, WRAPPERS, nonsaturating
from adversarium.metrics import Metric
from adversarium.penalties import PENALTIES
from adversarium.spec import written
from adversarium.types import Anneal, Critic, GameRule, Loss, OptimizerSettings, Penalty, Preset, Scheduled, Term, at

_STEP = 0.1  # of plain gradient descent, both players'


def run(arguments: Sequence[str]) -> int:
    """Print what a member of any kind is."""
    parser = Parser("explain", f"Explain a member of {', '.join(KINDS)}.")
    parser.add_argument("name", metavar="NAME")
    options = parser.parse(arguments)

    lookup("name", options.name, {name: None for members in KINDS.values() for name in members})
    pages = [page(kind, options.name) for kind, members in KINDS.items() if options.name in members]
    print("\n\n".join(pages))
    return 0


def page(kind: str, name: str) -> str:
    """Return what the command prints on a member. The documentation's catalogue is made of these pages."""
    member = KINDS[kind][name]
    *adjectives, noun = kind.split("-")
    singular = {"losses": "loss", "penalties": "penalty", "diagnoses": "diagnosis", "features": "features"}.get(
        noun, noun[:-1]
    )
    title = f"{name} ({' '.join([*adjectives, singular])})"
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
            lines += ["", *_on_the_dirac_game(member())]
        elif name in WRAPPERS:
            wrapped = member(nonsaturating())
            if wrapped.halves is None:
                lines += ["", *_dirac_lines("not computed: the labels are random")]
            else:
                lines += ["", *_on_the_dirac_game(wrapped, note=" (around the non-saturating loss)")]
        elif kind == "games":
            lines += ["", _on_the_bilinear_game(member())]
        elif kind == "penalties":
            lines += ["", *_on_the_dirac_game(nonsaturating(), member(), " (with the non-saturating loss)")]
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
    lines += ["", *_preset_on_the_dirac_game(preset)]
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
        "density": "the samples themselves, and the data's known modes (ring, grid)",
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


def _preset_on_the_dirac_game(preset: Preset) -> list[str]:
    objective = preset.objective
    changing = [each.name for each in preset.constraints if each.when == "build"]
    if changing:
        return _dirac_lines(f"not computed: {', '.join(changing)} makes another function of the critic")
    if objective.critic_latent_terms or objective.generator_terms:
        return _dirac_lines("not computed: a term needs a generator of codes")
    terms = objective.critic_terms
    annealed = any(isinstance(term.weight, Anneal) for term in terms)
    # a partial, not a closure: the game copies the penalties, so that their moving averages stay as they are
    penalty = partial(_weighted_sum, terms) if terms else None
    return _on_the_dirac_game(objective.loss, penalty, " (at the weights of the start)" if annealed else "")


def _weighted_sum(
    terms: tuple[Term[Penalty], ...], critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator | None
) -> Tensor:
    return torch.stack([at(term.weight, 0) * term.penalty(critic, real, fake, rng) for term in terms]).sum(0)


def _on_the_dirac_game(loss: Loss, penalty: Penalty | None = None, note: str = "") -> list[str]:
    """Return what the members do near the equilibrium of the smallest game, or why that is not known."""
    if loss.critic_kind != "score":  # ψ·x is no reconstruction error
        return _dirac_lines(f"not computed: the critic is an {loss.critic_kind}")
    try:
        return _dirac_lines(dirac_verdict(loss, penalty) + note)
    except InputError as error:
        return _dirac_lines(f"not computed: {error}")


def _on_the_bilinear_game(rule: GameRule) -> str:
    """Return what a rule does around the equilibrium of min_x max_y x·y, measured from its own update."""
    found = predict(rule, bilinear(), descent(_STEP))
    return f"On the bilinear game, by steps of {_STEP:g}: spectral radius {found.radius:.6g} per step: {found.verdict}"


def _dirac_lines(verdict: str) -> list[str]:
    return textwrap.wrap(f"On the Dirac game: {verdict}", width=110, subsequent_indent=" " * 4)


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
