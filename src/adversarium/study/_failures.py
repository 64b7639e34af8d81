"""What went wrong: runs without a number, and what the diagnostics saw in those that have one."""

from collections.abc import Mapping, Sequence
from html import escape

from adversarium.diagnostics.finding import words
from adversarium.diagnostics.report import grade
from adversarium.study._html import named, paragraph, scrolled, section
from adversarium.study._looks import Look
from adversarium.study.record import Record, Suspicion
from adversarium.study.wording import plural

_FAILED = "failed"
_FEW = 3  # methods with failed runs, whose sentences are shown without a click


def failures(runs: Mapping[str, Sequence[Record]], looks: Mapping[str, Look]) -> str:
    """Return the section on failures and suspicions."""
    kinds = _kinds(runs)
    if not kinds:
        return section("failures", "What went wrong", paragraph("No run failed, and the diagnostics saw nothing."))
    told = (
        "How many runs of each method failed (they have no number, and count as the worst), and in how many the "
        "diagnostics saw something wrong. A run can show several things; a dot: none."
    )
    broken = [name for name, each in runs.items() if any(run.failed for run in each)]
    opened = broken if len(broken) <= _FEW else []
    sentences = "".join(_sentences(name, each, looks[name], opened=name in opened) for name, each in runs.items())
    return section("failures", "What went wrong", paragraph(told), _heat(runs, kinds, looks), sentences)


def _kinds(runs: Mapping[str, Sequence[Record]]) -> list[str]:
    """Return what there was, what befell most runs first."""
    counts: dict[str, int] = {}
    for each in runs.values():
        for run in each:
            for kind in _seen(run):
                counts[kind] = counts.get(kind, 0) + 1
    return sorted(counts, key=lambda kind: (kind != _FAILED, -counts[kind], kind))


def _seen(run: Record) -> set[str]:
    return {suspicion.kind for suspicion in run.suspicions} | ({_FAILED} if run.failed else set())


def _heat(runs: Mapping[str, Sequence[Record]], kinds: Sequence[str], looks: Mapping[str, Look]) -> str:
    head = "".join(f'<th scope="col">{escape(words(kind))}</th>' for kind in kinds)
    body = ""
    for name, each in runs.items():
        cells = ""
        for kind in kinds:
            count = sum(kind in _seen(run) for run in each)
            share = f"{15 + 55 * count / len(each):.0f}" if count else ""
            look = "broke" if kind == _FAILED else "seen"
            style = f' class="hot {look}" style="--share:{share}"' if count else ' class="soft"'
            cells += f"<td{style}>{f'<b>{count}</b> of {len(each)}' if count else '·'}</td>"
        body += f'<tr><th scope="row">{named(name, looks[name])}</th>{cells}</tr>'
    table = (
        f'<table class="cells"><thead><tr><th scope="col">method</th>{head}</tr></thead><tbody>{body}</tbody></table>'
    )
    return scrolled(table, "Failures and suspicions, by method and kind")


def _sentences(name: str, runs: Sequence[Record], look: Look, *, opened: bool) -> str:
    items = []
    for why in dict.fromkeys(run.why for run in runs if run.failed):
        seeds = [run.seed for run in runs if run.failed and run.why == why]
        items.append(f"<b>failed</b>, {_runs(seeds, runs)}: {escape(why or 'no reason is known')}")
    found: dict[str, list[tuple[int, Suspicion]]] = {}
    for run in runs:
        for suspicion in run.suspicions:
            found.setdefault(suspicion.kind, []).append((run.seed, suspicion))
    for kind, each in sorted(found.items(), key=lambda item: -len(item[1])):
        seeds = sorted({seed for seed, _ in each})
        seed, worst = max(each, key=lambda pair: pair[1].severity)
        since = f"{worst.since_kimg:.4g} kimg"
        told = f"<b>{escape(words(kind))}</b>, {_runs(seeds, runs)}, at worst {grade(worst.severity)} "
        told += f"(seed {seed}, since {since}): {escape(worst.what.rstrip('.'))}."
        cause = f' <span class="soft">Likely cause: {escape(worst.cause)}</span>' if worst.cause else ""
        items.append(told + cause)
    if not items:
        return ""
    listed = "".join(f"<li>{item}</li>" for item in items)
    summary = f"<summary>{named(name, look)}: {plural(len(items), 'thing')} to know</summary>"
    return f"<details{' open' * opened}>{summary}<ul>{listed}</ul></details>"


def _runs(seeds: Sequence[int], runs: Sequence[Record]) -> str:
    named_seeds = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    return f"{len(seeds)} of {plural(len(runs), 'run')} ({named_seeds})"
