"""Parts of a study's page that are tables: standings, cost, the search of settings, settings, versions."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from adversarium.study import statistics
from adversarium.study._chart import Scale, mark
from adversarium.study._compared import whole
from adversarium.study._html import fold, named, paragraph, section, table
from adversarium.study._looks import Look
from adversarium.study._numbers import Settings, interval, number
from adversarium.study.comparison import Comparison
from adversarium.study.plan import Plan
from adversarium.study.record import Record
from adversarium.study.search import best_trial, has_number
from adversarium.study.wording import duration, interval_name, plural, short, spread

_LONG = 24  # characters of an option's value that may be broken into lines

Trials = Mapping[str, Sequence[Mapping[str, Any]]]
"""The search's trials by method: each has ``options``, ``pruned`` (it was given up early) and ``cost``, which is small
where it is good, and ``None`` where the trial was given up early or failed."""


def standings(comparison: Comparison, looks: Mapping[str, Look]) -> str:
    """Return the table of the methods in the order of their mean ranks, with the medians of further protocols."""
    others = list(dict.fromkeys(name for each in comparison.standings for name in each.others))
    unlearned = any(each.unlearned for each in comparison.standings)
    rows = [
        [
            named(each.method, looks[each.method]),
            f"{each.rank:.2f}",
            number(each.median),
            interval(each.interval),
            *(number(each.others[name]) if name in each.others else "" for name in others),
            interval(each.quartiles),
            number(min(each.values, key=lambda value: statistics.cost(value, comparison.better))),
            number(max(each.values, key=lambda value: statistics.cost(value, comparison.better))),
            f"{each.failed}",
            f"{each.collapsed}",
            *[f"{each.unlearned}"] * unlearned,
            plural(each.runs, "run"),
        ]
        for each in comparison.standings
    ]
    shorts = [short(name) for name in others]
    head = ["method", "mean rank", f"median {short(comparison.protocol)}", interval_name(comparison.seeds)]
    head += [told if shorts.count(told) == 1 else name for told, name in zip(shorts, others, strict=True)]
    head += ["quartiles", "best", "worst", "failed", "collapsed", *["learned nothing"] * unlearned, "of"]
    told = ["Of further protocols: the median."] * bool(others)
    told += ["Learned nothing: ended no better than untrained."] * unlearned
    return paragraph(" ".join(told)) * bool(told) + table(head, rows, label="Ranking in numbers")


def cost(runs: Mapping[str, Sequence[Record]], comparison: Comparison, looks: Mapping[str, Look]) -> str:
    """Return the section on what the methods cost."""
    quality, spans = comparison.quality, {each.method: each for each in comparison.standings}
    length = {name: each.kimg if comparison.timed else each.seconds for name, each in spans.items() if each.alive}
    longest = max(length.values(), default=0.0) or 1.0
    rows = []
    for name, each in spans.items():
        ended = whole(runs[name])
        amounts = ["all failed", "", "", ""]  # what they took until then is no cost
        if each.alive:
            share = 100 * length[name] / longest
            bar = f'<span class="bar" style="width:{share:.1f}%;--c:{looks[name].variable}"></span>'
            amounts = [
                spread([run.seconds for run in ended], duration),
                spread([run.kimg for run in ended], number),
                spread([run.gradients for run in ended], "{:,.0f}".format),
                number(each.seconds / each.kimg) if each.kimg else "",
            ]
            longer = 1 if comparison.timed else 0
            amounts[longer] = f'<span class="spent">{bar}</span> <span class="time">{amounts[longer]}</span>'
        row = [named(name, looks[name]), *amounts]
        if quality is not None:
            missed = "not reached"
            row.append(f"{each.reached} of {each.runs}")
            row.append(missed if each.seconds_to_quality is None else duration(each.seconds_to_quality))
            row.append(missed if each.kimg_to_quality is None else number(each.kimg_to_quality))
        rows.append(row)
    head = ["method", "training, a run", "kimg", "gradients", "ms per image"]
    told = "Medians, in brackets the range of the runs that did not fail. Measurements and pictures are not counted."
    if quality is not None:
        head += ["runs that reached it", "time until then", "kimg until then"]
        told += f" Quality to reach: {short(comparison.protocol)} of {number(quality)}."
    return section(
        "cost",
        "What it costs",
        paragraph(f"{told} {_compared(comparison)}".strip()),
        table(head, rows, label="Cost of each method"),
    )


def _compared(comparison: Comparison) -> str:
    """Say which costs can be compared, and how many pairs of methods differ."""
    if comparison.timed:
        return "The budget is in seconds, the same for all: what differs is how far a method gets in them."
    if comparison.stacked:
        together = max(each.together for each in comparison.standings)
        told = f"Up to {together} runs were trained at once, stacked; the seconds are each one's share."
        return f"{told} Shares of one time are one measurement: compare gradients, not seconds."
    if not comparison.cheaper:
        return ""
    clear = sum(pair.adjusted <= comparison.level for pair in comparison.cheaper)
    told = f"{clear or 'none'} of {plural(len(comparison.cheaper), 'pair')} {'is' if clear < 2 else 'are'} told apart"
    return f"By seconds, {told} (paired tests, corrected)."


def search(chosen: Trials, methods: Sequence[str], looks: Mapping[str, Look], plan: Plan) -> str:
    """Return the section on the search of settings; empty where there was none."""
    chosen = {name: list(chosen[name]) for name in methods if chosen.get(name)}
    if not chosen:
        return ""
    costs = [trial["cost"] for trials in chosen.values() for trial in trials if has_number(trial)]
    scale = Scale.of(costs)
    rows = []
    for name, trials in chosen.items():
        best = best_trial(trials)
        settings = "" if best is None else _told(best["options"])
        marks = "".join(_trial(trial, best, scale, at) for at, trial in enumerate(trials))
        given_up, failed = sum(1 for trial in trials if trial["pruned"]), sum(map(_failed, trials))
        ended = plural(len(trials), "trial") + f", {given_up} given up early" * bool(given_up)
        ended += f", {failed} failed" * bool(failed)
        label = f"{name}: {ended}; best {number(best['cost']) if best else 'none'}"
        strip = f'<svg class="row" role="img" aria-label="{escape(label)}" style="--c:{looks[name].variable}">'
        rows.append(
            [
                named(name, looks[name]),
                f'<td class="wide">{escape(settings) or "none: no trial has ended"}</td>',
                number(best["cost"]) if best else "",
                f'<td class="wide">{strip}{marks}</svg><span class="soft">{ended}</span></td>',
            ]
        )
    told = (
        f"Each method's settings were chosen by {plural(plan.trials, 'trial')} of {plural(plan.trial_seeds, 'seed')} "
        f"({plan.sampler}, pruner {plan.pruner}), on {100 * plan.validation_share:.3g} % of the training data, and "
        "then trained anew with each seed. The cost is what the search makes small: the further left, the better. The "
        "upright line is the trial that was chosen. At the right edge lie trials that have no cost: hollow ones were "
        "given up early, crosses failed."
    )
    listed = "".join(_all_trials(name, trials, looks[name]) for name, trials in chosen.items())
    head = ["method", "chosen", "cost on validation data", f"trials, {number(scale.low)} to {number(scale.high)}"]
    content = table(head, rows, label="Search of settings", numbers=False)
    return section("search", "How settings were chosen", paragraph(told), content, fold("All trials", listed))


def _failed(trial: Mapping[str, Any]) -> bool:
    return not trial["pruned"] and not has_number(trial)


def _trial(trial: Mapping[str, Any], best: Mapping[str, Any] | None, scale: Scale, at: int) -> str:
    height, told = f"{50 + (-18, 0, 18)[at % 3]}%", _told(trial["options"])
    if _failed(trial):
        return mark("cross", 0.98, height, title=f"{told}: failed", extra='class="failed"')
    x = 0.95 * scale.share(trial["cost"]) if has_number(trial) else 0.98
    told += f": {_ended(trial)}"
    extra = 'class="run" style="fill-opacity:.15;stroke:var(--c)"' if trial["pruned"] else 'class="run"'
    line = (
        f'<line x1="{100 * x:.2f}%" x2="{100 * x:.2f}%" y1="10%" y2="90%" stroke="currentColor" stroke-width="2.5"/>'
    )
    return mark("circle", x, height, title=told, extra=extra) + (line if trial is best else "")


def _ended(trial: Mapping[str, Any]) -> str:
    """Return how a trial ended, in words: its cost, where it has one."""
    known = [number(trial["cost"])] * has_number(trial) + ["given up early"] * bool(trial["pruned"])
    return ", ".join(known) or "failed"


def _all_trials(name: str, trials: Sequence[Mapping[str, Any]], look: Look) -> str:
    names = list(dict.fromkeys(option for trial in trials for option in trial["options"]))
    rows = [
        [
            str(at),
            *(escape(shown_value(trial["options"].get(option))) for option in names),
            _ended(trial),
        ]
        for at, trial in enumerate(trials, start=1)
    ]
    return f"<h4>{named(name, look)}</h4>" + table(["trial", *names, "cost"], rows, label=f"Trials of {name}")


def shown_value(value: Any) -> str:
    """Return an option's value as a table shows it; ``None`` stands for the preset's or the network's own."""
    if value is None:
        return "default"
    return number(value) if isinstance(value, float) else str(value)


def _told(options: Mapping[str, Any]) -> str:
    shown = dict(options)
    if (rate := shown.get("critic_learning_rate")) is not None and rate == shown.get("generator_learning_rate"):
        del shown["critic_learning_rate"], shown["generator_learning_rate"]
        shown = {"learning_rate": rate, **shown}
    return ", ".join(f"{name}\u00a0{shown_value(value)}" for name, value in shown.items())


def settings(found: Settings, methods: Sequence[str], looks: Mapping[str, Look], plan: Plan) -> str:
    """Return the section on settings: what differs between methods, and folded what does not."""
    parts = []
    if found.differing:
        names = list(found.differing)
        rows = [
            [named(method, looks[method]), *(_cell(found.differing[name].get(method, "")) for name in names)]
            for method in methods
            if any(method in found.differing[name] for name in names)
        ]
        parts += ["<h3>What differs between methods</h3>", _differing(names, rows)]
    else:
        asked = [[named(each.name, looks[each.name]), escape(_told(each.options))] for each in plan.methods]
        parts += ["<h3>What was asked for</h3>", table(["method", "options"], asked, label="Methods", numbers=False)]
    if found.shared:
        rows = [[escape(name), f'<td class="wide">{escape(text)}</td>'] for name, text in found.shared.items()]
        parts.append(
            fold(f"{len(rows)} options that all runs share", table(["option", "value"], rows, label="Options"))
        )
    return section("settings", "Settings", *parts)


def _cell(text: str) -> str:
    return f'<td class="wide">{escape(text)}</td>' if len(text) > _LONG else escape(text)


def _differing(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return table(["method", *names], rows, label="Options that differ between methods", numbers=False)


def versions(records: Sequence[Record]) -> str:
    """Return the table of versions, each with what the runs had."""
    found: dict[str, list[str]] = {}
    for record in records:
        for name, text in record.versions.items():
            if text not in found.setdefault(name, []):
                found[name].append(text)
    rows = [[escape(name), f'<td class="wide">{escape(" | ".join(texts))}</td>'] for name, texts in found.items()]
    mixed = [name for name, texts in found.items() if len(texts) > 1]
    told = f"Not the same in all runs: {', '.join(mixed)}." if mixed else "The same in all runs."
    return paragraph(told) + table(["of", "version"], rows, label="Versions") if rows else ""
