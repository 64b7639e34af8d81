"""The inner search: a method's settings, chosen by Optuna on validation data before its runs."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adversarium.config import FIELDS, TrainConfig, field_type
from adversarium.errors import InputError, lookup, nearest, require
from adversarium.study.plan import Method, Plan

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

_NOT_SEARCHED = ("data", "preset", "seed", "out", "steps", "kimg", "seconds", "from_run", "device", "hold_out")


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
        known = {BOTH_RATES, *FIELDS} - set(_NOT_SEARCHED)
        require(option in known, f"search names {option!r}{nearest(option, known)}, which is no option to search for")
        kind = float if option == BOTH_RATES else field_type(option)
        wanted = f"search of {option} is {text!r}: wanted LOW..HIGH, LOW..HIGH log or VALUE|VALUE|..."
        if "|" in text:
            return cls(option, choices=tuple(_value(each.strip(), kind, wanted) for each in text.split("|")))
        match = re.fullmatch(r"\s*(\S+?)\.\.(\S+?)(\s+log)?\s*", text)
        require(match is not None and kind in (int, float), wanted)
        assert match is not None
        low, high = (_value(match[number], kind, wanted) for number in (1, 2))
        require(low < high and math.isfinite(high - low), f"{wanted}, the lower number first")
        require(match[3] is None or low > 0, f"{wanted}, and numbers above 0 to take logarithms of")
        return cls(option, low, high, log=match[3] is not None, whole=kind is int)

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


def dimensions(method: Method) -> tuple[Dimension, ...]:
    """Return where a method's search looks.

    Raises:
        InputError: as :meth:`Dimension.parse`; an option that the method fixes.
    """
    for option in method.search:
        fixed = ("critic_learning_rate", "generator_learning_rate") if option == BOTH_RATES else (option,)
        for name in fixed:
            fits = name not in method.options
            require(fits, f"{method.name} sets {name}, and its search names {option}: one of them")
    return tuple(Dimension.parse(option, text) for option, text in method.search.items())


def options_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of ``TrainConfig`` that a trial's parameters are."""
    options = dict(parameters)
    if BOTH_RATES in options:
        rate = options.pop(BOTH_RATES)
        options |= {"critic_learning_rate": rate, "generator_learning_rate": rate}
    return options


class Search:
    """The trials of one method, in the study's database.

    Args:
        url: the database.
        name: the study's name in it.
        plan: the study's.
        method: whose settings are searched for.

    Raises:
        InputError: Optuna is not installed; the search is not one.
    """

    def __init__(self, url: str, name: str, plan: Plan, method: Method) -> None:
        optuna = import_optuna()
        self._optuna = optuna
        self._dimensions = dimensions(method)
        samplers, pruners = optuna.samplers, optuna.pruners
        # every worker has a sampler of its own, which must not repeat another's draws: no seed
        sampler = getattr(samplers, lookup("sampler", plan.sampler, SAMPLERS))()
        pruner = getattr(pruners, lookup("pruner", plan.pruner, PRUNERS))()
        self._study = optuna.create_study(
            storage=url,
            study_name=f"{name}/{method.name}",
            sampler=sampler,
            pruner=pruner,
            load_if_exists=True,
        )

    def trial(self, job: str) -> tuple["optuna.Trial", dict[str, Any]]:
        """Return a job's trial and its options: the one that the job began before its worker died, or a new one."""
        running = (self._optuna.trial.TrialState.RUNNING,)
        for frozen in self._study.get_trials(deepcopy=False, states=running):
            if frozen.user_attrs.get(JOB) == job:
                trial = self._optuna.Trial(self._study, frozen._trial_id)
                break
        else:
            trial = self._study.ask()
            trial.set_user_attr(JOB, job)
        return trial, options_of({each.option: each.suggest(trial) for each in self._dimensions})

    def tell(self, trial: "optuna.Trial", cost: float | None, *, pruned: bool = False) -> None:
        """End a trial: with what its run cost (smaller is better), ``None`` where it failed, or given up early.

        A run that failed counts as the worst there is, so that the sampler learns to stay away.
        """
        if pruned:
            self._study.tell(trial, state=self._optuna.trial.TrialState.PRUNED, skip_if_finished=True)
        else:
            self._study.tell(trial, math.inf if cost is None else cost, skip_if_finished=True)


def best_of(results: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the options of the trial that cost least, of the results of a method's search jobs.

    Raises:
        InputError: every trial failed.
    """
    ended = [each for each in results if each["cost"] is not None and not each["pruned"]]
    if not ended:
        raise InputError(f"all {len(results)} trials of the search failed")
    chosen: Mapping[str, Any] = min(ended, key=lambda each: float(each["cost"]))["options"]
    return chosen


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
