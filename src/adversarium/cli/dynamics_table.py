"""The tables of ``adversarium dynamics``."""

from collections.abc import Sequence
from typing import Any

COLOURS = {"attracts": "green", "circles": "yellow", "repels": "red"}


def print_games(found: Any) -> None:
    """Print a table for each setting in a terminal, and one table for all, a line for each combination, elsewhere."""
    heads = ["rule", "radius", "predicted", "simulated", "distance"]
    console = _console()
    if console.is_terminal:
        for setting in found.settings:
            here = f"{', '.join(setting.names.values())}: " if setting.names else ""
            words = _spectrum_in_words(setting)
            if setting.largest_stable_step is not None:
                words = f"eigenvalues {words}, stable below {step_in_words(setting.largest_stable_step)}"
            console.print(here + words, style="bold")
            _print_rows(console, heads, [_cells(row) for row in found.rows if row.setting is setting])
            console.print()
    else:
        kinds = list(found.rows[0].setting.names)
        lines = [
            [
                *row.setting.names.values(),
                *_cells(row),
                _spectrum_in_words(row.setting),
                step_in_words(row.setting.largest_stable_step),
            ]
            for row in found.rows
        ]
        _print_rows(console, [*kinds, *heads, "eigenvalues", "stable below"], lines)
    print(
        "eigenvalues: of the field's Jacobian at the equilibrium\n"
        "radius: of one step of the rule, measured from its own update\n"
        "distance: when it has halved or doubled for good, in a game that starts close to the equilibrium\n"
        "stable below: the step sizes at which simultaneous descent converges"
    )
    judged = [row.agrees for row in found.rows if row.agrees is not None]
    if judged:
        print(f"prediction and simulation agree in {sum(judged)} of {len(judged)} combinations")
    if any(row.linear and row.agrees is None for row in found.rows):
        print("too slow to judge: at a radius within 0.0002 of 1 a game shows more than its first order")
    for what, reason in found.left_out:
        print(f"left out: {what}: {reason}")


def _cells(row: Any) -> list[str]:
    return [
        row.rule,
        f"{row.prediction.radius:.6f}" if row.linear else "-",
        row.prediction.verdict,
        _seen_in_words(row),
        _distance_in_words(row),
    ]


def _seen_in_words(row: Any) -> str:
    if row.agrees is False:
        return f"{row.simulated}: DISAGREES"
    return f"{row.simulated} (too slow to judge)" if row.linear and row.agrees is None else str(row.simulated)


def _spectrum_in_words(setting: Any) -> str:
    if setting.eigenvalues is None:
        return "no linearisation"
    rightmost = sorted(setting.eigenvalues.tolist(), key=lambda each: (-round(each.real, 6), -each.imag))
    return _eigenvalues_in_words(rightmost, most=2)


def _eigenvalues_in_words(values: Sequence[complex], most: int) -> str:
    """Return eigenvalues as text, a conjugate pair as one, multiple ones once, those after the first few as a number.

    Parts below 1e-4 of the largest size count as 0.
    """
    unit = 1e-4 * max(map(abs, values)) or 1.0
    alike: dict[tuple[int, int], complex] = {}
    for each in values:
        places = round(each.real / unit), abs(round(each.imag / unit))
        alike.setdefault(places, complex(each.real if places[0] else 0.0, abs(each.imag) if places[1] else 0.0))
    distinct = list(alike.values())
    names = [
        (f"{each.real:.4g} ± " if each.real else "±") + f"{each.imag:.4g}i" if each.imag else f"{each.real:.4g}"
        for each in distinct[:most]
    ]
    more = len(distinct) - most
    return ", ".join(names) + (f", {more} more" if more > 0 else "")


def _distance_in_words(row: Any) -> str:
    if row.halves_after is not None:
        return f"halves in {row.halves_after}"
    if row.doubles_after is not None:
        return f"doubles in {row.doubles_after}"
    return "neither"


def step_in_words(step: float | None) -> str:
    """Return the largest stable step as text."""
    if step is None:
        return "-"
    return "no step" if step == 0 else f"{step:.4g}"


def _console() -> Any:
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=1000)


def _print_rows(console: Any, heads: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print aligned columns, unwrapped where no one looks at a screen; in a terminal, with verdicts in colour."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for head in heads:
        table.add_column(head, overflow="fold")
    for line in lines:
        table.add_row(*(Text(cell, style=COLOURS.get(cell.partition(":")[0], "")) for cell in line))
    console.print(table)


def verdict_in_words(found: Any) -> str:
    """Return what a spectrum says, and whether that is all of it."""
    said: str = found.stability.verdict
    return said if found.complete or said == "repels" else f"{said}, as far as these eigenvalues tell"


def print_spectrum(found: Any, verdict: str) -> None:
    """Print a run's spectrum."""
    error = f" ± {found.rotation.error:.2g}" if found.rotation.error else ""
    facts = {
        "weights of both players": f"{found.weights:,}",
        "norm of the field": f"{found.value_norm:.4g} (the eigenvalues say what happens next only where it is small)",
        "largest eigenvalues": _listed(found.eigenvalues.tolist()),
        "rightmost eigenvalues": _listed(found.rightmost.tolist()),
        "rotation": f"{found.rotation.share:.4g}{error} (0: both minimise one loss, 1: the bilinear game)",
        "verdict": verdict,
        "largest stable step": f"{step_in_words(found.stability.largest_stable_step)} (of simultaneous descent)",
        "cost": f"{found.products} products with the Jacobian, {found.seconds:.1f} s",
    }
    _print_rows(_console(), ["", ""], list(facts.items()))


def _listed(values: Sequence[complex]) -> str:
    return _eigenvalues_in_words(values, most=len(values))
