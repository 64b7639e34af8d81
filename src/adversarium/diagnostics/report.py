"""What was found in a run, as text and as data; ``page`` makes a page of the same."""

import dataclasses
import math
import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adversarium.config import FIELDS, field_type
from adversarium.diagnostics.finding import Circumstances, Finding, Record, Remedy, words
from adversarium.diagnostics.history import History
from adversarium.diagnostics.meanings import meaning
from adversarium.diagnostics.plots import BLOCKS, points, sparkline
from adversarium.diagnostics.remedies import longer
from adversarium.diagnostics.state import State, state_of
from adversarium.errors import lookup, require


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What was found in a run.

    Attributes:
        path: the run's folder, as the user named it.
        findings: what is wrong, the most severe first, and a cause before what it explains.
        records: what it was found in.
        circumstances: what is known of the run besides.
        healthy: the kinds of failure that were looked for and not found.
        unjudged: the kinds that could not be looked for, and why.
        notes: what was not as it should be with the run's own files, and what was done instead, one sentence each.
    """

    path: Path
    findings: Sequence[Finding]
    records: Sequence[Record]
    circumstances: Circumstances
    healthy: Sequence[str] = ()
    unjudged: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def headline(diagnosis: Diagnosis) -> str:
    """Return which run this is, and how far it has come."""
    config = diagnosis.circumstances.config
    said = f"{diagnosis.path}: {config.preset} on {Path(config.data).name}"
    if not diagnosis.records:
        return said
    last, progress = diagnosis.records[-1], _progress(diagnosis)
    share = "" if progress is None else f", {100 * progress:.0f} % of its budget"
    return f"{said}, step {last['step']:.0f} ({last['kimg']:.4g} kimg{share})"


def _progress(diagnosis: Diagnosis) -> float | None:
    progress = [record["progress"] for record in diagnosis.records if "progress" in record]
    return progress[-1] if progress else None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A diagnosis in a sentence or two.

    Attributes:
        text: how many findings there are, of how many kinds, and what the samples are like.
        grade: ``good`` where nothing is wrong and the samples are good; ``clear`` where something is, or they are not;
            ``open`` where too little was measured to say.
        command: what to enter where more training is all that is needed, or an empty string.
        state: what the samples are like, where that was measured.
    """

    text: str
    grade: str
    command: str = ""
    state: State | None = None


def verdict(diagnosis: Diagnosis) -> Verdict:
    """Return a diagnosis in a sentence or two."""
    count, looked = len(diagnosis.findings), len(diagnosis.findings) + len(diagnosis.healthy)
    state = state_of(History(diagnosis.records))
    if count:
        said = f"{count} finding{'s' * (count > 1)}, of {looked} kinds of failure that were looked for."
        if state is not None:
            said += f" The samples are {'good' if state.good else 'not good'}: {state.numbers}."
        return Verdict(text=said, grade="clear", state=state)
    if state is None:
        total = looked + len(diagnosis.unjudged)
        said = f"Too little was measured to judge: {total - looked} of {total} kinds of failure not looked for."
        return Verdict(text=said, grade="open")
    if state.good:
        said = f"Nothing found, of {looked} kinds of failure that were looked for."
        return Verdict(text=f"{said} The samples are good: {state.numbers}.", grade="good", state=state)
    said = (
        f"No failure found, of {looked} kinds that were looked for, but the samples are not good"
        f"{' yet' * state.improving}: {state.numbers}; {state.advice(diagnosis.circumstances)}"
    )
    return Verdict(
        text=f"{said}{':' if state.improving else '.'}",
        grade="clear",
        command=_resume(diagnosis) if state.improving else "",
        state=state,
    )


def _resume(diagnosis: Diagnosis) -> str:
    """Return the command that trains a run on: to the end of its budget, or where that is spent twice as long.

    Learning rates that have come down to nothing do not go up again: such a run begins anew.
    """
    progress = _progress(diagnosis)
    more = {} if progress is not None and progress < 1 else longer(diagnosis.circumstances, 2)
    if "decay_kimg" in more:
        return command(diagnosis.path, next(_free(diagnosis.path)), more)
    options = [text for name, value in more.items() for text in (f"--{name}", f"{value:.15g}")]
    return shlex.join(["adversarium", "train", "--resume", str(diagnosis.path), *options])


def unjudged_by_reason(diagnosis: Diagnosis) -> dict[str, list[str]]:
    """Return the kinds of failure that could not be looked for, by the reason why."""
    found: dict[str, list[str]] = {}
    for kind, why in diagnosis.unjudged.items():
        found.setdefault(why, []).append(kind)
    return found


def grade(severity: float) -> str:
    """Return a severity in a word: ``severe`` from 0.67, ``clear`` from 0.33, else ``slight``."""
    return "severe" if severity >= 0.67 else "clear" if severity >= 0.33 else "slight"


def quantity(name: str, value: float) -> str:
    """Return a number with four digits, and the unit that its name tells."""
    if not math.isfinite(value):
        return str(value)
    for ending, unit, factor in _UNITS:
        if re.search(ending, name):
            return f"{value * factor:.4g}{unit}"
    whole = float(value).is_integer() and abs(value) < 1e6
    return f"{value:.0f}" if whole else f"{value:.4g}"


_UNITS = (
    (r"(^|_)share$", " %", 100.0),
    (r"(^|_)kimg$", " kimg", 1.0),
    (r"(^|_)steps?$", " steps", 1.0),
    (r"(^|_)seconds$", " s", 1.0),
)
"""Ending of a number's name, its unit, and what to multiply it with."""


def command(path: Path, out: Path, options: Mapping[str, Any]) -> str:
    """Return the command that trains a run again with other options, into another folder.

    Args:
        path: the run's folder.
        out: the new folder.
        options: what is to change.

    Raises:
        InputError: no such option, or a value that no command line can give.
    """
    parts = ["adversarium", "train", "--config", str(path / "config.json"), "--out", str(out)]
    for name, value in options.items():
        lookup("option", name, FIELDS)
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            require(value or FIELDS[name].default is None, f"{name} cannot be switched off on the command line")
            parts.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            require(value is not None, f"{name} is None, which cannot be given on the command line")
            parts += [f"--{flag}", _exactly(value) if field_type(name) is float else str(value)]
    return shlex.join(parts)


def _exactly(value: float) -> str:
    """Return a number in few digits, but all that it has."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def commands(diagnosis: Diagnosis) -> list[list[str]]:
    """Return for each finding the command of each of its remedies, or an empty string where no option is to be set.

    Each trains into a folder of its own that is free now, so that none overwrites anything; remedies with the same
    options are one command.
    """
    names = _free(diagnosis.path)
    given: dict[str, str] = {}

    def line(remedy: Remedy) -> str:
        if not remedy.options:
            return ""
        options = repr(sorted(remedy.options.items()))
        if options not in given:
            given[options] = command(diagnosis.path, next(names), remedy.options)
        return given[options]

    return [[line(remedy) for remedy in finding.remedies] for finding in diagnosis.findings]


def _free(path: Path) -> Iterator[Path]:
    """Yield folders beside a run that do not exist: ``RUN-2``, ``RUN-3``, ..."""
    named = path if path.name not in ("", "..") else path.resolve()
    number = 2
    while True:
        if not (free := named.with_name(f"{named.name}-{number}")).exists():
            yield free
        number += 1


def as_text(diagnosis: Diagnosis, *, width: int = 100, blocks: str = BLOCKS, remedies: int = 3) -> str:
    """Return a diagnosis as lines of at most ``width`` characters; commands are kept on a line of their own.

    Args:
        diagnosis: what was found.
        width: of the terminal.
        blocks: what the small curves are made of.
        remedies: how many of each finding's are told.
    """
    found = verdict(diagnosis)
    lines = [*textwrap.wrap(headline(diagnosis), width), *_wrapped(found.text, 0, width)]
    lines += [f"   {found.command}"] if found.command else []
    for note in diagnosis.notes:
        lines += _wrapped(f"Note: {note}", 0, width, hanging=3)
    for number, (finding, wanted) in enumerate(zip(diagnosis.findings, commands(diagnosis), strict=True), start=1):
        since = f"since {finding.since_kimg:.4g} kimg, {grade(finding.severity)} ({finding.severity:.2f})"
        lines += ["", f"{number}. {words(finding.kind)}: {since}", *_wrapped(finding.what, 3, width)]
        lines += _evidence(finding, diagnosis.records, blocks, width)
        lines += ["   Cause", *_wrapped(finding.cause, 6, width), "   What to do"]
        told = list(zip(finding.remedies, wanted, strict=True))[:remedies]
        for place, (remedy, line) in enumerate(told, start=1):
            lines += _wrapped(f"{place}. {remedy.text}", 6, width, hanging=3)
            lines += [f"         {line}"] if line else []
        if len(finding.remedies) > remedies:
            lines.append(f"      and {len(finding.remedies) - remedies} more, in the report")
    lines.append("")
    if diagnosis.healthy:
        lines += _wrapped(f"Healthy: {', '.join(map(words, diagnosis.healthy))}.", 0, width, hanging=3)
    for why, kinds in unjudged_by_reason(diagnosis).items():
        lines += _wrapped(f"Not judged: {', '.join(map(words, kinds))}: {why}.", 0, width, hanging=3)
    return "\n".join(lines).rstrip() + "\n"


def numbers_of(finding: Finding, records: Sequence[Record]) -> dict[str, str]:
    """Return the numbers that show a finding, by name: its evidence, and the last value of its other series."""
    found = {name: quantity(name, value) for name, value in finding.evidence.items()}
    for name in finding.series:
        if name not in found and len(values := points(name, records)[1]):
            found[name] = f"{quantity(name, values[-1])} (last)"
    return found


def _evidence(finding: Finding, records: Sequence[Record], blocks: str, width: int) -> list[str]:
    """Return the numbers that show a finding, how they went over the run, and what they mean."""
    curves = {}
    for name in finding.series:
        values = points(name, records)[1]
        if len(values) > 1:
            line = sparkline(values, blocks=blocks)
            curves[name] = f"{line}  {quantity(name, values[0])} to {quantity(name, values[-1])}"
    numbers = numbers_of(finding, records)
    wide, widest = max(map(len, numbers), default=0), max(map(len, numbers.values()), default=0)
    lines = ["   Evidence"] if numbers else []
    for name, number in numbers.items():
        lines.append(f"      {name:{wide}}  {number:{widest}}  {curves.get(name, '')}".rstrip())
        lines += _wrapped(meaning(name), 9, width)
    return lines


def _wrapped(text: str, indent: int, width: int, hanging: int = 0) -> list[str]:
    first, rest = " " * indent, " " * (indent + hanging)
    return textwrap.wrap(text, max(width, 40), initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def as_data(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis as JSON's types; a number that is not finite, which JSON has not, as ``"nan"``, ``"inf"``."""
    circumstances = diagnosis.circumstances
    findings = [
        {
            **dataclasses.asdict(finding),
            "remedies": [
                {"text": remedy.text, "options": dict(remedy.options), "command": line or None}
                for remedy, line in zip(finding.remedies, wanted, strict=True)
            ],
            "measured": {name: _columns(name, diagnosis.records) for name in finding.series},
        }
        for finding, wanted in zip(diagnosis.findings, commands(diagnosis), strict=True)
    ]
    found: dict[str, Any] = _plain(
        {
            "run": str(diagnosis.path),
            "headline": headline(diagnosis),
            "verdict": verdict(diagnosis).text,
            "samples": None if (state := verdict(diagnosis).state) is None else dataclasses.asdict(state),
            "findings": findings,
            "healthy": list(diagnosis.healthy),
            "unjudged": dict(diagnosis.unjudged),
            "notes": list(diagnosis.notes),
            "last_record": dict(diagnosis.records[-1]) if diagnosis.records else None,
            "config": dataclasses.asdict(circumstances.config),
            "ended": circumstances.ended,
            "data": dict(circumstances.data),
        }
    )
    return found


def _columns(name: str, records: Sequence[Record]) -> dict[str, list[float]]:
    kimg, values = points(name, records)
    return {"kimg": kimg.tolist(), "value": values.tolist()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
