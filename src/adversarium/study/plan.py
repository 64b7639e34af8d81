"""What a study compares, on what, at what price: fixed before the first run, saved beside the results."""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from adversarium.errors import InputError, nearest, require

Unit = Literal["seconds", "kimg", "gradients"]
"""What a budget is counted in: seconds of training, thousands of real samples shown to the critic, or gradients of
either player's loss (a generator step of WGAN-GP takes six: five of the critic's and one of the generator's)."""

FIXED = {
    "data": "the study's DATA",
    "seed": "--seeds",
    "out": "--out",
    "steps": "--budget",
    "kimg": "--budget",
    "seconds": "--budget",
    "evaluate": "--protocol",
    "evaluate_every_kimg": "--measurements",
    "evaluate_times": "--measurements",
    "patience": "--budget",
    "hold_out": "--hold-out",
    "from_run": "a study that begins anew",
    "tensorboard": "the runs' metrics.jsonl",
    "log_every_steps": "a study's own",
    "sample_every_kimg": "a study's own",
    "checkpoint_every_seconds": "a study's own",
    "keep_checkpoints": "a study's own",
    "diagnose_every_steps": "a study's own",
}
"""Options of a run that a study sets itself, and what says so there."""

LISTS = ("presets", "losses", "penalties", "games", "others")
"""Lists of names that a study is typed in, or a file holds, as :func:`~adversarium.study.typed.plan_of` takes them."""

TABLES = ("methods", "search", "options")
"""Tables likewise."""

PLAIN: dict[str, type] = {
    "data": str,
    "budget": str,
    "protocol": str,
    "hold_out": float,
    "measurements": int,
    "trials": int,
    "trial_seeds": int,
    "validation_share": float,
    "sampler": str,
    "pruner": str,
    "level": float,
}
"""Single values likewise, with their types."""

SEED_OF_TRIALS = 2**31
"""The first seed of every trial of a search; no run of a study may have one from here on."""

_SUFFIXES: dict[str, tuple[Unit, float]] = {
    "s": ("seconds", 1.0),
    "m": ("seconds", 60.0),
    "h": ("seconds", 3600.0),
    "kimg": ("kimg", 1.0),
    "gradients": ("gradients", 1.0),
}


@dataclass(frozen=True)
class Budget:
    """How long each run of a study lasts: the same for every method.

    Attributes:
        amount: how much.
        unit: of what.
    """

    amount: float
    unit: Unit

    def __post_init__(self) -> None:
        """Refuse budgets of nothing."""
        require(self.unit in get_args(Unit), f"unit is {self.unit!r}: wanted one of {', '.join(get_args(Unit))}")
        fits = math.isfinite(self.amount) and self.amount > 0
        require(fits, f"budget is {self.amount:g} {self.unit}: wanted a positive number")
        whole = self.unit != "gradients" or self.amount == int(self.amount)
        require(whole, f"budget is {self.amount:g} gradients: wanted a whole number")

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Return the budget of a text: ``90s``, ``5m``, ``1h``, ``240kimg`` or ``30000gradients``.

        Raises:
            InputError: another text.
        """
        match = re.fullmatch(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*", text)
        wanted = "90s, 5m, 1h, 240kimg or 30000gradients, say"
        try:
            amount = float(match[1]) if match else math.nan
        except ValueError:
            amount = math.nan
        require(match is not None and not math.isnan(amount), f"budget is {text!r}: wanted {wanted}")
        assert match is not None
        if match[2] not in _SUFFIXES:
            raise InputError(f"budget is {text!r}{nearest(match[2], _SUFFIXES)}: wanted {wanted}")
        unit, factor = _SUFFIXES[match[2]]
        return cls(amount * factor, unit)

    def __str__(self) -> str:
        """Return it as :meth:`parse` reads it."""
        whole = self.amount == int(self.amount) and self.amount < 2**53
        return f"{int(self.amount) if whole else repr(self.amount)}{'s' if self.unit == 'seconds' else self.unit}"


@dataclass(frozen=True, kw_only=True)
class Method:
    """One of the things that are compared.

    Attributes:
        name: unique in its study.
        options: options of :class:`~adversarium.config.TrainConfig` that make it: ``{"preset": "gan", "packing": 2}``.
        search: options that are chosen on validation data, each with where to look for it, as text:
            ``{"critic_learning_rate": "1e-5..1e-2 log"}``.
    """

    name: str
    options: Mapping[str, Any]
    search: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study.

    Attributes:
        data: as ``adversarium train`` takes it; a path is absolute.
        methods: what is compared.
        seeds: of the runs; each method is trained once with each.
        budget: of each run.
        protocol: what methods are ranked by, at the end of the budget, on data that no run was trained on.
        others: further protocols that are measured at the end.
        measurements: how often the protocol is measured on the way, evenly; the last time at the end.
        options: options of :class:`~adversarium.config.TrainConfig` that all methods share.
        hold_out: share of the data that is kept apart to test with; 0 where they come with a test split, and of a
            density.
        trials: settings that each method with a ``search`` tries before its runs; 0: none.
        trial_seeds: runs, each of another seed, that settings are judged by: by what they cost in the mean.
        validation_share: share of the training data on which those are judged.
        sampler: the search's: ``tpe``, ``gp``, ``random`` or ``qmc``.
        pruner: what ends hopeless trials early: ``median``, ``hyperband`` or ``none``.
        level: of significance, of all comparisons together.
    """

    data: str
    methods: tuple[Method, ...]
    seeds: tuple[int, ...]
    budget: Budget
    protocol: str
    others: tuple[str, ...] = ()
    measurements: int = 10
    options: Mapping[str, Any] = field(default_factory=dict)
    hold_out: float = 0.0
    trials: int = 0
    trial_seeds: int = 2
    validation_share: float = 0.1
    sampler: str = "tpe"
    pruner: str = "median"
    level: float = 0.05

    @property
    def fingerprint(self) -> str:
        """Twelve characters that differ between studies of different results."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()[:12]

    def as_dict(self) -> dict[str, Any]:
        """Return what a JSON file holds of it."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        values["budget"] = str(self.budget)
        values["methods"] = [
            {"name": each.name, "options": dict(each.options), "search": dict(each.search)} for each in self.methods
        ]
        return values | {"seeds": list(self.seeds), "others": list(self.others), "options": dict(self.options)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Plan":
        """Return the plan of an :meth:`as_dict`.

        Raises:
            InputError: a field is missing, or there is one that plans do not have (names the nearest).
        """
        _check_names("a plan", values, cls, ("data", "methods", "seeds", "budget", "protocol"))
        for method in values["methods"]:
            _check_names("a plan's method", method, Method, ("name", "options"))
        return cls(
            **{
                **values,
                "methods": tuple(Method(**method) for method in values["methods"]),
                "seeds": tuple(values["seeds"]),
                "budget": Budget.parse(values["budget"]),
                "others": tuple(values.get("others", ())),
            }
        )


def _check_names(what: str, values: Mapping[str, Any], kind: type[Plan | Method], wanted: tuple[str, ...]) -> None:
    known = [each.name for each in dataclasses.fields(kind)]
    for name in values:
        require(name in known, f"{what} has no {name!r}{nearest(name, known)}")
    for name in wanted:
        require(name in values, f"{what} lacks {name!r}")


def check_plan(plan: Plan) -> None:
    """Refuse what no study could be, before its data are opened.

    Raises:
        InputError: seeds, counts or shares that do not fit.
    """
    require(len(plan.seeds) >= 1, "a study wants seeds: at least one")
    twice = sorted({seed for seed in plan.seeds if plan.seeds.count(seed) > 1})
    require(not twice, f"seeds name {', '.join(map(str, twice))} twice: wanted different ones")
    fits = all(0 <= seed < SEED_OF_TRIALS for seed in plan.seeds)
    require(fits, f"seeds are {list(plan.seeds)}: wanted whole numbers from 0 to 2^31 - 1")
    require(plan.measurements >= 1, f"measurements is {plan.measurements}: wanted at least 1")
    require(plan.trials >= 0, f"trials is {plan.trials}: wanted 0 or more")
    require(1 <= plan.trial_seeds <= 1000, f"trial_seeds is {plan.trial_seeds}: wanted 1 to 1000")
    share = plan.validation_share
    require(0 < share < 1, f"validation_share is {share:g}: wanted a share above 0 and below 1")
    require(0 < plan.level < 1, f"level is {plan.level:g}: wanted a number between 0 and 1")
