"""A plan from what is typed or stands in a file, with defaults that suit the data."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from adversarium.config import from_mapping
from adversarium.data import DATASETS, ArraySource, Source, splits
from adversarium.errors import InputError, require
from adversarium.metrics.protocols import Protocol
from adversarium.metrics.references import References
from adversarium.study.material import open_source
from adversarium.study.methods import check_methods, crossed, of_presets
from adversarium.study.plan import Budget, Method, Plan
from adversarium.study.search import default_search
from adversarium.train.evaluation import default_protocols

ARTICLES = ("gan", "lsgan", "wgan", "wgan-gp", "rsgan", "rasgan")
"""What a study compares that names nothing: the losses that every introduction has."""

TESTED = 2500
"""So many samples are kept to test with, of data without a test split, and at most a quarter of them."""

_CROSSED = {"losses": "loss", "penalties": "penalties", "games": "game"}


def plan_of(
    values: Mapping[str, Any], *, on_decode: Callable[[int, int], None] = lambda done, total: None
) -> tuple[Plan, Source]:
    """Return the plan of what was given, and its data, open.

    Args:
        values: ``data``; methods as ``presets``, ``methods`` (name to options) and ``losses``, ``penalties``,
            ``games`` (every combination); fields of :class:`Plan` by name, seeds and budget as text; ``options``, a
            run's that all share.
        on_decode: called while image files are decoded.

    Raises:
        InputError: anything in it that is unknown, missing or does not fit.
    """
    options = dict(values.get("options", {}))
    methods = _methods(values, options)
    check_methods(methods, options)
    for method in methods:  # types and ranges, which a file may have wrong
        try:
            from_mapping({**options, **method.options}, f"method {method.name}")
        except InputError as error:
            raise InputError(f"method {method.name}: {error}") from error
    data = values["data"]
    plan = Plan(
        data=data if data in DATASETS else str(Path(data).expanduser().resolve()),
        methods=methods,
        seeds=_seeds(values.get("seeds", "5")),
        budget=Budget.parse(str(values.get("budget", "100kimg"))),
        protocol="",
        options=options,
        **{
            name: values[name]
            for name in ("measurements", "trials", "validation_share", "sampler", "pruner", "level")
            if name in values
        },
    )
    source = open_source(plan, on_decode)
    hold_out = values.get("hold_out", _share_to_test(source))
    references = References(*splits(source, hold_out))
    usual = default_protocols(references)
    protocol = Protocol.parse(values["protocol"]).name if "protocol" in values else _ranking(usual)
    others = [Protocol.parse(each).name for each in values["others"]] if "others" in values else _others(usual)
    plan = replace(
        plan, hold_out=hold_out, protocol=protocol, others=tuple(each for each in others if each != protocol)
    )
    return (_with_search(plan, values.get("search"), source) if plan.trials else plan), source


def _methods(values: Mapping[str, Any], options: dict[str, Any]) -> tuple[Method, ...]:
    found = of_presets(values.get("presets", ()))
    found += [Method(name=name, options=dict(each)) for name, each in values.get("methods", {}).items()]
    parts = {option: values[name] for name, option in _CROSSED.items() if values.get(name)}
    if parts:
        found += crossed(parts, {})
    for option in _CROSSED.values():
        require(
            option not in options,
            f"{option} is an option of the study's: give what differs between methods by --method, or more than one "
            "by --losses, --penalties or --games",
        )
    return tuple(found or of_presets(ARTICLES))


def _seeds(text: Any) -> tuple[int, ...]:
    """Return the seeds of a number, or of a list of them."""
    if isinstance(text, list):
        numbers = text
    else:
        try:
            numbers = [int(each) for each in str(text).split(",")]
        except ValueError:
            raise InputError(f"seeds is {text!r}: wanted how many, or the seeds themselves: 3,7,9") from None
        if len(numbers) == 1 and "," not in str(text):
            require(numbers[0] >= 1, f"seeds is {text}: wanted at least 1")
            require(numbers[0] <= 10_000, f"seeds is {text}: wanted at most 10,000")
            numbers = list(range(numbers[0]))
    require(all(type(each) is int for each in numbers), f"seeds are {text!r}: wanted whole numbers")
    return tuple(numbers)


def _share_to_test(source: Source) -> float:
    """Return what share of the data to keep for the test: none where they come with some, or are endless."""
    if not isinstance(source, ArraySource) or source.test is not None:
        return 0.0
    return min(0.25, TESTED / len(source))


def _ranking(usual: list[str]) -> str:
    """Return the protocol to rank by: of a density the energy distance, else the first."""
    return next((each for each in usual if each.startswith("sw2")), usual[0]) if _of_points(usual) else usual[0]


def _others(usual: list[str]) -> list[str]:
    wanted = ("modes", "high_quality") if _of_points(usual) else ("precision", "recall", "coverage")
    return [each for each in usual if Protocol.parse(each).value in wanted]


def _of_points(usual: list[str]) -> bool:
    return any(Protocol.parse(each).value == "sw2" for each in usual)


def _with_search(plan: Plan, search: Mapping[str, str] | None, source: Source) -> Plan:
    """Return the plan with where each method's search looks: as given, or what suits it."""
    from adversarium.study.methods import config_of

    def searched(method: Method) -> Method:
        looked = dict(search) if search else default_search(config_of(method, plan.options))
        fixed = {name for name in looked if name in method.options}
        return replace(method, search={name: text for name, text in looked.items() if name not in fixed})

    return replace(plan, methods=tuple(searched(method) for method in plan.methods))
