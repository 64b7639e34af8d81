"""A plan from what is typed or stands in a file, with defaults that suit the data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adversarium.config import from_mapping
from adversarium.data import DATASETS, ArraySource, Source, open_data, splits
from adversarium.errors import InputError, nearest, require
from adversarium.metrics.protocols import Protocol
from adversarium.metrics.references import References
from adversarium.study.material import open_source
from adversarium.study.methods import check_methods, config_of, crossed, of_presets, parsed
from adversarium.study.plan import LISTS, PLAIN, TABLES, Budget, Method, Plan, check_plan
from adversarium.study.search import default_search, options_set
from adversarium.train.evaluation import default_protocols

ARTICLES = ("gan", "lsgan", "wgan", "wgan-gp", "rsgan", "rasgan")
"""What a study compares that names nothing: the losses that every introduction has."""

SEEDS = 10
"""So many seeds has a study that names none: the fewest with which two of six methods can be told apart."""

TESTED = 2500
"""So many samples are kept to test with, of data without a test split, and at most a quarter of them."""

_CROSSED = {"losses": "loss", "penalties": "penalties", "games": "game"}


def plan_of(
    values: Mapping[str, Any], *, on_decode: Callable[[int, int], None] = lambda done, total: None
) -> tuple[Plan, Source]:
    """Return the plan of what was given, and its data, open.

    Args:
        values: ``data``; methods as ``presets``, ``methods`` (name to options) and ``losses``, ``penalties``,
            ``games`` (every combination), where a list may be one text with commas; fields of :class:`Plan` by name,
            seeds and budget as text; ``options``, a run's that all share.
        on_decode: called while image files are decoded.

    Raises:
        InputError: anything in it that is unknown, missing, of another type or does not fit.
    """
    values = _checked(values)
    data = values["data"]
    if data not in DATASETS and not Path(data).expanduser().exists():
        open_data(data)  # refuses it by the name that was typed, and says which is near
    methods, options = _typed(_methods(values), values["options"])
    plan = Plan(
        data=data if data in DATASETS else str(Path(data).expanduser().resolve()),
        methods=methods,
        seeds=_seeds(values.get("seeds", SEEDS)),
        budget=Budget.parse(values.get("budget", "100kimg")),
        protocol="",
        options=options,
        **{name: values[name] for name in _AS_THEY_ARE if name in values},
    )
    check_plan(plan)
    search = values["search"]
    require(not search or plan.trials > 0, "search says what trials try, and there are none: add --trials 20, say")
    source = open_source(plan, on_decode)
    hold_out = values.get("hold_out", _share_to_test(source))
    references = References(*splits(source, hold_out))
    usual = _tested(references)
    protocol = Protocol.parse(values["protocol"]).name if "protocol" in values else _ranking(usual, references)
    others = [Protocol.parse(each).name for each in values["others"]] if "others" in values else _others(usual)
    _check_ranking(protocol, references)
    only = methods[0].name
    require(len(methods) > 1, f"{only} is the only method, and there is nothing to compare it with: name another")
    plan = replace(
        plan, hold_out=hold_out, protocol=protocol, others=tuple(each for each in others if each != protocol)
    )
    return (_with_search(plan, search) if plan.trials else plan), source


_AS_THEY_ARE = ("measurements", "trials", "trial_seeds", "validation_share", "sampler", "pruner", "level")


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with lists as lists and tables as tables, each of the type that is wanted."""
    found = dict(values)
    for name in found:
        known = ["seeds", *LISTS, *TABLES, *PLAIN]
        require(name in known, f"a study has no {name!r}{nearest(name, known)}")
    require("data" in found, "a study wants data: adversarium study mnist, say")
    for name, kind in PLAIN.items():
        if name in found:
            value = found[name]
            fits = isinstance(value, int | float if kind is float else kind) and not isinstance(value, bool)
            require(fits, f"{name} is {value!r}: wanted {_WORDS[kind]}")
            found[name] = kind(value)
    for name in LISTS:
        if name in found:
            value = parsed(found[name]) if isinstance(found[name], str) else found[name]
            fits = isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)
            require(fits, f"{name} is {value!r}: wanted names, in a list or with commas between")
            found[name] = list(value)
    for name in TABLES:
        found.setdefault(name, {})
        require(isinstance(found[name], Mapping), f"{name} is {found[name]!r}: wanted a table")
    for name, options in found["methods"].items():
        require(isinstance(options, Mapping), f"method {name} is {options!r}: wanted a table of options")
    for name, where in found["search"].items():
        require(isinstance(where, str), f"search of {name} is {where!r}: wanted text, '1e-5..1e-2 log' say")
    return found


_WORDS = {str: "text", int: "a whole number", float: "a number"}


def _methods(values: Mapping[str, Any]) -> list[Method]:
    found = of_presets(values.get("presets", ()))
    found += [Method(name=name, options=dict(each)) for name, each in values["methods"].items()]
    parts = {option: values[name] for name, option in _CROSSED.items() if values.get(name)}
    if parts:
        found += crossed(parts, {})
    for option in _CROSSED.values():
        require(
            option not in values["options"],
            f"{option} is an option of the study's: give what differs between methods by --method, or more than one "
            "by --losses, --penalties or --games",
        )
    return found or of_presets(ARTICLES)


def _typed(methods: Sequence[Method], options: Mapping[str, Any]) -> tuple[tuple[Method, ...], dict[str, Any]]:
    """Return methods and shared options with each value of its option's type: a file may say 1 where 1.0 is meant."""
    check_methods(methods, options)
    found, shared = [], dict(options)
    for method in methods:
        config = from_mapping({**options, **method.options}, f"method {method.name}")
        shared = {name: getattr(config, name) for name in options}
        found.append(replace(method, options={name: getattr(config, name) for name in method.options}))
    return tuple(found), shared


def _seeds(text: Any) -> tuple[int, ...]:
    """Return the seeds of a number, or of a list of them."""
    if isinstance(text, list):
        numbers = text
    else:
        try:
            numbers = [int(each) for each in str(text).split(",") if each.strip()]
        except ValueError:
            numbers = []
        require(bool(numbers), f"seeds is {text!r}: wanted how many, or the seeds themselves: 3,7,9")
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


def _tested(references: References) -> list[str]:
    """Return the protocols that runs are usually evaluated by, on samples that they were not trained on."""
    usual = [Protocol.parse(each) for each in default_protocols(references)]
    size = references.size("test")
    if size:  # with no test split the protocol itself says what is missing, and with a density nothing is
        usual = [
            each if each.metric.reads == "held_out" else replace(each, samples=min(each.samples, size), split="test")
            for each in usual
        ]
    found = [each.name for each in usual if each.metric.least <= each.samples]
    require(bool(found), f"there are {size} samples to test with: too few to measure anything by; add --hold-out")
    return found


def _ranking(usual: list[str], references: References) -> str:
    """Return the protocol to rank by: of points the sliced Wasserstein distance, else the first."""
    if references.size("test") == 0:
        raise InputError(
            "there is no test split, and hold_out is 0: methods are ranked on samples that none was trained on; add "
            "--hold-out 0.1, say"
        )
    return next((each for each in usual if each.startswith("sw2")), usual[0])


def _check_ranking(name: str, references: References) -> None:
    """Refuse to rank methods by what they were trained on, or by more samples than there are."""
    protocol, size = Protocol.parse(name), references.size("test")
    fits = protocol.split == "test"
    require(fits, f"protocol is {name}: methods are ranked on samples that none was trained on: wanted ..._test")
    if size is not None and 0 < size < protocol.samples:
        most = replace(protocol, samples=size).name
        raise InputError(
            f"protocol is {name}, and there are {size:,} samples to test with: wanted {most}, or a larger --hold-out"
        )


def _others(usual: list[str]) -> list[str]:
    wanted = ("modes", "high_quality", "precision", "recall", "coverage")
    return [each for each in usual if Protocol.parse(each).value in wanted]


def _with_search(plan: Plan, search: Mapping[str, str]) -> Plan:
    """Return the plan with where each method's search looks: as given, or what suits it and is not fixed."""

    def looks(method: Method) -> Mapping[str, str]:
        fixed = {**plan.options, **method.options}
        usual = default_search(config_of(method, plan.options))
        return search or {name: text for name, text in usual.items() if not set(options_set(name)) & fixed.keys()}

    return replace(plan, methods=tuple(replace(method, search=looks(method)) for method in plan.methods))
