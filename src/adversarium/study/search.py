"""The inner search: a method's settings, chosen by Optuna on validation data before its runs."""

import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adversarium.config import FIELDS, TrainConfig, field_type
from adversarium.errors import InputError, lookup, nearest, require
from adversarium.metrics.protocols import seed_of
from adversarium.study.methods import OF_THE_DATA, config_of
from adversarium.study.plan import FIXED, Method, Plan

if TYPE_CHECKING:
    import optuna

BOTH_RATES = "learning_rate"
"""In a search: the learning rate of both players, one number."""

SAMPLERS = {"tpe": "TPESampler", "gp": "GPSampler", "random": "RandomSampler", "qmc": "QMCSampler"}
"""Samplers of Optuna by the name that a plan has for them."""

PRUNERS = {"median": "MedianPruner", "hyperband": "HyperbandPruner", "none": "NopPruner"}
"""Pruners likewise."""

JOB = "adversarium_job"
"""The trial's attribute that says which job it belongs to."""

WHY = "adversarium_why"
"""The trial's attribute that says why it failed."""

_NOT_SEARCHED = ("preset", "device", *OF_THE_DATA, *FIXED)


@dataclass(frozen=True)
class Dimension:
    """Where to look for one option: from ``low`` to ``high``, or among ``choices``.

    Attributes:
        option: of :class:`~adversarium.config.TrainConfig`, or ``learning_rate`` for both players'.
        low: the least.
        high: the largest.
        log: whether each factor is as likely as another, rather than each difference.
        whole: whether only whole numbers are.
        choices: what to choose among, in place of a range.
    """

    option: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    choices: tuple[Any, ...] = ()

    @classmethod
    def parse(cls, option: str, text: str) -> "Dimension":
        """Return where a text says to look: ``1e-5..1e-2 log``, ``0..0.9``, ``1..5`` or ``0|0.5|0.9``.

        Raises:
            InputError: an option that cannot be searched, or another text.
        """
        known = sorted({BOTH_RATES, *FIELDS} - set(_NOT_SEARCHED))
        require(option in known, f"search names {option!r}{nearest(option, known)}, which is no option to search for")
        kind = float if option == BOTH_RATES else field_type(option)
        wanted = f"search of {option} is {text!r}: wanted LOW..HIGH, LOW..HIGH log or VALUE|VALUE|..."
        if "|" in text:
            choices = tuple(_value(each.strip(), kind, wanted) for each in text.split("|"))
            require(len(set(choices)) == len(choices), f"{wanted}, each value once")
            return cls(option, choices=choices)
        match = re.fullmatch(r"\s*(\S+?)\.\.(\S+?)(\s+log)?\s*", text)
        require(match is not None and kind in (int, float), wanted)
        assert match is not None
        low, high = (_value(match[number], kind, wanted) for number in (1, 2))
        require(low < high and math.isfinite(high - low), f"{wanted}, the lower number first")
        require(match[3] is None or low > 0, f"{wanted}, and numbers above 0 to take logarithms of")
        return cls(option, low, high, log=match[3] is not None, whole=kind is int)

    @property
    def ends(self) -> tuple[Any, ...]:
        """The least and the largest, or all choices."""
        if self.choices:
            return self.choices
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)

    def suggest(self, trial: "optuna.Trial") -> Any:
        """Return the value that an Optuna trial tries."""
        if self.choices:
            return trial.suggest_categorical(self.option, list(self.choices))
        if self.whole:
            return trial.suggest_int(self.option, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.option, self.low, self.high, log=self.log)


def _value(text: str, kind: type, wanted: str) -> Any:
    if kind is bool:
        return lookup("value", text, {"True": True, "False": False})
    try:
        return kind(text)
    except ValueError:
        raise InputError(wanted) from None


def default_search(config: TrainConfig) -> dict[str, str]:
    """Return what to search for where a plan does not say: of a resolved configuration.

    One learning rate for both players, from 1e-5 to 1e-2; Adam's first beta, 0, 0.5 or 0.9; a factor from 0.01 to 100
    of the penalties' weights, where there are any.
    """
    from adversarium.train.slots import terms_of
    from adversarium.train.terms import played

    preset = played(config)
    found = {BOTH_RATES: "1e-5..1e-2 log"}
    kinds = {config.optimizer or settings.kind for settings in (preset.critic_optimizer, preset.generator_optimizer)}
    if kinds <= {"adam", "amsgrad"}:
        found["beta1"] = "0|0.5|0.9"
    if terms_of(preset.objective):
        found["penalty_scale"] = "0.01..100 log"
    return found


def options_set(dimension: str) -> tuple[str, ...]:
    """Return the options of ``TrainConfig`` that a dimension of a search sets."""
    return ("critic_learning_rate", "generator_learning_rate") if dimension == BOTH_RATES else (dimension,)


def dimensions(method: Method, shared: Mapping[str, Any] | None = None) -> tuple[Dimension, ...]:
    """Return where a method's search looks.

    Args:
        method: whose.
        shared: options that all methods of the study share.

    Raises:
        InputError: as :meth:`Dimension.parse`; an option that the method or the study fixes, or two that set one; a
            value that no run could use.
    """
    shared, taken = shared or {}, dict[str, str]()
    for name in method.search:
        for option in options_set(name):
            for options, who in ((method.options, method.name), (shared, "the study")):
                fits = option not in options
                require(fits, f"{who} sets {option}, and the search of {method.name} names {name}: one of them")
            require(option not in taken, f"search names {taken.get(option)} and {name}: one of them")
            taken[option] = name
    found = tuple(Dimension.parse(name, text) for name, text in method.search.items())
    for each in found:
        for value in each.ends:
            config_of(method, {**shared, **options_of({each.option: value})})
    return found


def options_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of ``TrainConfig`` that a trial's parameters are."""
    return {option: value for name, value in parameters.items() for option in options_set(name)}


class Search:
    """The trials of one method, in the study's database.

    Args:
        url: the database.
        name: the study's name in it.
        plan: the study's.
        method: whose settings are searched for.
        again: does what it is given, again where trouble of the database may pass
            (:meth:`~adversarium.study.jobs.Jobs.repeat`).

    Raises:
        InputError: Optuna is not installed; the search is not one.
    """

    def __init__(
        self,
        url: str,
        name: str,
        plan: Plan,
        method: Method,
        *,
        again: Callable[[Callable[[], Any]], Any] = lambda work: work(),
    ) -> None:
        self._optuna = optuna = import_optuna()
        self._plan = plan
        self._dimensions = dimensions(method, plan.options)
        self._sampler = getattr(optuna.samplers, lookup("sampler", plan.sampler, SAMPLERS))
        pruner = getattr(optuna.pruners, lookup("pruner", plan.pruner, PRUNERS))
        self._again = again

        def create() -> Any:
            return optuna.create_study(
                storage=optuna.storages.RDBStorage(url, engine_kwargs=_settings(url)),
                study_name=f"{name}/{method.name}",
                pruner=pruner(),
                load_if_exists=True,
            )

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of what is experimental there
            self._study = again(create)

    def trial(self, job: str) -> tuple["optuna.Trial", dict[str, Any]]:
        """Return a job's trial and its options: the one that the job began before its worker died, or a new one."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
            # a trial's draws are its own, whichever worker does it; a sequence is continued, so it has one seed
            words = (self._plan.fingerprint, "" if self._plan.sampler == "qmc" else job)
            self._study.sampler = self._sampler(seed=seed_of("search", *words) % 2**32)

        def begin() -> tuple["optuna.Trial", dict[str, Any]]:
            found = self._begun(job)
            if found is not None:
                trial = self._optuna.Trial(self._study, found._trial_id)
            else:
                trial = self._study.ask()
                trial.set_user_attr(JOB, job)
            return trial, options_of({each.option: each.suggest(trial) for each in self._dimensions})

        begun: tuple[optuna.Trial, dict[str, Any]] = self._again(begin)
        return begun

    def is_hopeless(self, trial: "optuna.Trial", cost: float, step: int) -> bool:
        """Note what a trial costs after so many measurements; return whether it is to be given up."""

        def ask() -> bool:
            if step not in self._now(trial).intermediate_values:  # a worker that died may have said so
                trial.report(cost, step)
            return bool(trial.should_prune())

        return bool(self._again(ask))

    def tell(self, trial: "optuna.Trial", cost: float | None, *, pruned: bool = False, why: str = "") -> None:
        """End a trial: with what its run cost (smaller is better), ``None`` where it failed, or given up early.

        A run that failed counts as the worst there is, so that the sampler learns to stay away.
        """

        def say() -> None:
            if self._now(trial).state.is_finished():  # it was said, and the answer got lost
                return
            trial.set_user_attr(WHY, why)
            if pruned:
                self._study.tell(trial, state=self._optuna.trial.TrialState.PRUNED)
            else:
                self._study.tell(trial, math.inf if cost is None else cost)

        self._again(say)

    def told(self, job: str) -> dict[str, Any] | None:
        """Return the result of a job whose trial has ended, though its worker died before it wrote the result."""
        found = self._begun(job)
        if found is None or not found.state.is_finished():
            return None
        pruned = found.state == self._optuna.trial.TrialState.PRUNED
        return {
            "options": options_of(found.params),
            "cost": found.value if not pruned and found.value is not None and math.isfinite(found.value) else None,
            "pruned": pruned,
            "why": found.user_attrs.get(WHY, ""),
        }

    def _begun(self, job: str) -> "optuna.trial.FrozenTrial | None":
        trials = self._again(lambda: self._study.get_trials(deepcopy=False))
        return next((each for each in trials if each.user_attrs.get(JOB) == job), None)

    def _now(self, trial: "optuna.Trial") -> "optuna.trial.FrozenTrial":
        trials: list[optuna.trial.FrozenTrial] = self._study.get_trials(deepcopy=False)
        return next(each for each in trials if each.number == trial.number)


def _settings(url: str) -> dict[str, Any]:
    return {"connect_args": {"timeout": 30.0}} if url.startswith("sqlite") else {}


def best_trial(results: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the trial that cost least, of the results of a method's search; ``None`` where all failed."""
    ended = [each for each in results if has_number(each) and not each["pruned"]]
    return min(ended, key=lambda each: float(each["cost"]), default=None)


def has_number(result: Mapping[str, Any]) -> bool:
    """Return whether a trial's result has a cost: it did not fail, and was not given up early."""
    return result["cost"] is not None and math.isfinite(result["cost"])


def import_optuna() -> Any:
    """Return Optuna, quiet.

    Raises:
        InputError: it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise InputError("a search wants Optuna: pip install 'adversarium[study]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
