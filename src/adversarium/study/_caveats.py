"""What limits a comparison: too few seeds, runs that are the same, unequal shares, unequal searches."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from adversarium.study import power
from adversarium.study._prices import MATTERS
from adversarium.study.comparison import Comparison
from adversarium.study.plan import Plan
from adversarium.study.record import Record
from adversarium.study.wording import RANGE_BELOW, duration, names, plural

_NOT_SETTINGS = ("seed", "out")  # of a run, not of its method
_NAMED = 3  # so many names are given one by one


def notes(
    comparison: Comparison, runs: Mapping[str, Sequence[Record]], dropped: Sequence[int] = (), plan: Plan | None = None
) -> tuple[str, ...]:
    """Return what limits the comparison itself.

    Args:
        comparison: without its notes.
        runs: those that were compared, by method.
        dropped: seeds that not all methods have.
        plan: the study's, where it is known.
    """
    found = [
        *_few_seeds(comparison),
        *_same_runs(comparison, runs),
        *_against_the_ranks(comparison),
        *_unequal_shares(comparison),
    ]
    if plan is not None:
        found += _unequal_searches(plan, [each.method for each in comparison.standings])
    if dropped:
        found.append(f"Left out, because not every method has run with it: seed {', '.join(map(str, dropped))}.")
    return tuple(found)


def _few_seeds(comparison: Comparison) -> list[str]:
    found, seeds = [], plural(comparison.seeds, "seed")
    least = power.least_seeds(len(comparison.pairs), comparison.level)
    if comparison.seeds < least:
        found.append(
            f"{seeds}: no pair of {len(comparison.standings)} methods can be told apart by the paired test, whatever "
            f"their numbers; {least} seeds could."
        )
    if 1 < comparison.seeds < RANGE_BELOW:
        covered = 100 * (1 - 2.0 ** (1 - comparison.seeds))
        found.append(
            f"{seeds}: an interval of 95 % takes {RANGE_BELOW}. What is shown is the range of the seeds, which holds "
            f"the true median in about {covered:.3g} % of studies."
        )
    return found


def by_ranks(comparison: Comparison) -> tuple[str, ...]:
    """Return what mean ranks alone would have told apart and the paired test does not."""
    ranks = {each.method: each.rank for each in comparison.standings}
    apart: dict[str, list[str]] = {}  # by the one of the better rank
    for pair in comparison.pairs:
        first, second = sorted((pair.better, pair.worse), key=lambda name: ranks[name])
        if pair.adjusted > comparison.level and ranks[second] - ranks[first] >= comparison.critical_difference - 1e-9:
            apart.setdefault(first, []).append(second)
    if not apart or comparison.p_any > comparison.level:
        return ()
    if len(apart) > _NAMED or max(map(len, apart.values())) > _NAMED:
        told = f"{sum(map(len, apart.values()))} of {plural(len(comparison.pairs), 'pair')} apart"
    else:
        told = "; ".join(f"{first} from {names(others)}" for first, others in apart.items())
    return (
        f"Mean ranks alone would tell {told} (critical difference {comparison.critical_difference:.3g}): a "
        "hint, which is wrong more often than the level says where only some methods are the same.",
    )


def _against_the_ranks(comparison: Comparison) -> list[str]:
    ranks = {each.method: each.rank for each in comparison.standings}
    return [
        f"{pair.worse} has a better mean rank than {pair.better}, which is better by the paired test: ranks depend on "
        "the other methods."
        for pair in comparison.pairs
        if pair.adjusted <= comparison.level and ranks[pair.worse] < ranks[pair.better]
    ]


def _same_runs(comparison: Comparison, runs: Mapping[str, Sequence[Record]]) -> list[str]:
    """Name the methods whose runs are the same on every seed, on the way and in the end."""
    alike: dict[tuple[object, ...], list[str]] = {}
    for each in comparison.standings:
        if each.alive:
            course = tuple((point.kimg, point.value) for run in runs[each.method] for point in run.curve)
            alike.setdefault((each.values, course), []).append(each.method)
    found = []
    for methods in (each for each in alike.values() if len(each) > 1):
        if any(run.curve for run in runs[methods[0]]):
            why = _why([runs[method][0].options for method in methods])
            found.append(f"{names(methods)} are the same runs under {len(methods)} names, to the last digit{why}.")
        else:
            found.append(f"{names(methods)} have the same number on every seed: one method, {len(methods)} names?")
    return found


def _why(options: Sequence[Mapping[str, Any]]) -> str:
    """Return why methods may do the same, as far as their options tell."""
    known = sorted({name for each in options for name in each} - set(_NOT_SETTINGS))
    differing = [name for name in known if any(each.get(name) != options[0].get(name) for each in options)]
    losses = {str(each.get("loss") or each.get("preset")).partition("(")[0] for each in options}
    if not known:
        return ""
    if not differing:
        return ": their options are the same"
    if set(differing) <= {"loss", "preset"} and losses == {"hinge", "wasserstein"}:
        return ": while all scores lie between \N{MINUS SIGN}1 and 1, hinge's gradients are Wasserstein's"
    return f": they differ in {names(differing)}, which changed nothing here"


def _unequal_shares(comparison: Comparison) -> list[str]:
    """Say how much more training some methods had, where a budget in seconds makes the time equal."""
    alive = [each for each in comparison.standings if each.alive]  # of others the little is not due to speed
    if not comparison.timed or comparison.budget is None or not alive:
        return []
    for amounts, verb, unit in (
        ({each.method: each.kimg for each in alive}, "was shown", "kimg"),
        ({each.method: each.gradients for each in alive}, "took", "gradients"),
    ):
        least, most = min(amounts, key=lambda name: amounts[name]), max(amounts, key=lambda name: amounts[name])
        if amounts[most] >= MATTERS * amounts[least] > 0:
            return [
                f"In {duration(comparison.budget.amount)} {most} {verb} {amounts[most]:,.4g} {unit} and {least} "
                f"{amounts[least]:,.4g}{' (the most and the least)' * (len(amounts) > 2)}: what tells methods apart "
                "is partly speed, on this machine."
            ]
    return []


def _unequal_searches(plan: Plan, methods: Collection[str]) -> list[str]:
    """Say how the spaces differ that methods' settings were chosen from."""
    searches = {each.name: each.search for each in plan.methods if each.name in methods}
    dimensions = list(dict.fromkeys(name for search in searches.values() for name in search))
    if not plan.trials or not dimensions:
        return []
    parts = []
    lacking: dict[tuple[str, ...], list[str]] = {}
    for method, search in searches.items():
        if missing := tuple(name for name in dimensions if name not in search):
            lacking.setdefault(missing, []).append(method)
    for missing, which in lacking.items():
        none = len(missing) == len(dimensions)
        parts.append(f"{names(which)} {'not at all' if none else f'without {names(missing)}'}")
    ranges = [name for name in dimensions if len({each[name] for each in searches.values() if name in each}) > 1]
    parts += [f"{names(ranges)} in different ranges"] if ranges else []
    if not parts:
        return []
    return [
        f"Methods' settings were searched in different spaces ({'; '.join(parts)}), each with "
        f"{plural(plan.trials, 'trial')}: a smaller space is searched more closely."
    ]
