"""``adversarium dynamics``: what game rules do near an equilibrium, predicted, simulated and drawn."""

import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from adversarium.cli.dynamics_table import print_games, print_spectrum, step_in_words, verdict_in_words
from adversarium.cli.parser import Parser
from adversarium.errors import InputError, output_file, require

DEFAULT_OUT, DEFAULT_OUT_OF_A_RUN = "dynamics.png", "spectrum.png"

# of the games that are played, what an option is where it is not given; the others do not take it
DEFAULTS: dict[str, dict[str, Any]] = {
    "dirac": {
        "losses": "nonsaturating,wasserstein",
        "penalties": "none,r1",
        "rules": "simultaneous,alternating,extragradient,optimistic,lookahead",
    },
    "bilinear": {
        "rules": "simultaneous,alternating,extragradient,extrapolation_from_the_past,optimistic,lookahead",
        "spectrum": "1",
    },
    "gaussian": {"penalties": "none,r1", "rules": "simultaneous,alternating,extragradient,optimistic,lookahead"},
}
PLAYED = {"step": 0.3, "momentum": 0.0, "steps": 200, "start": 0.5}
OF_A_RUN = {"eigenvalues": 10, "batch": 256}


def run(arguments: Sequence[str]) -> int:
    """Play rules in a small game, or look at the spectrum of a run; print a table, draw a figure."""
    options = _parser().parse(arguments)
    if options.out is None and not options.json:
        options.out = DEFAULT_OUT if options.run is None else DEFAULT_OUT_OF_A_RUN
    require(options.out is not None or not options.force, "--force is given, and with --json alone there is no figure")
    if options.out is not None:
        options.out = Path(options.out)
        _check_writable(options.out, force=options.force)
    if options.run is not None:
        _refuse(
            options, ("game", "losses", "penalties", "rules", "spectrum", "critic_step", "generator_step", *PLAYED)
        )
        return _spectrum_of_run(Path(options.run), _filled(options, OF_A_RUN))
    _refuse(options, OF_A_RUN)
    return _play(options)


def _parser() -> Parser:
    parser = Parser(
        "dynamics",
        "What game rules do near the equilibrium of a small game, predicted by the spectrum of their own update and "
        "seen when it is played; or, given RUN, the spectrum of a trained run. Prints a table and draws a figure.",
    )
    rules = DEFAULTS["dirac"]["rules"]
    parser.add_argument("run", metavar="RUN", nargs="?", help="a run's folder: look at its spectrum instead")
    parser.add_argument("--game", metavar="NAME", help=f"{', '.join(DEFAULTS)} (default: dirac)")
    parser.add_argument("--losses", metavar="LIST", help="or all; for dirac (default: nonsaturating,wasserstein)")
    parser.add_argument(
        "--penalties",
        metavar="LIST",
        help='such as "none,r1(gamma=0.3)", or all; for dirac and gaussian (default: none,r1)',
    )
    parser.add_argument(
        "--rules", metavar="LIST", help=f'such as "lookahead(k=10)", or all (default: {rules}; one more for bilinear)'
    )
    parser.add_argument("--spectrum", metavar="LIST", help="singular values, for bilinear (default: 1)")
    parser.add_argument("--step", type=float, metavar="H", help=f"both players' step (default: {PLAYED['step']})")
    parser.add_argument("--critic-step", type=float, metavar="H", help="the critic's (default: --step)")
    parser.add_argument("--generator-step", type=float, metavar="H", help="the generator's (default: --step)")
    parser.add_argument("--momentum", type=float, metavar="M", help="of both players, may be negative (default: 0)")
    parser.add_argument("--steps", type=int, metavar="N", help=f"how many to draw (default: {PLAYED['steps']})")
    parser.add_argument(
        "--start", type=float, metavar="D", help=f"distance at which the picture starts (default: {PLAYED['start']})"
    )
    parser.add_argument("--eigenvalues", type=int, metavar="K", help="of a RUN: how many (default: 10)")
    parser.add_argument("--batch", type=int, metavar="N", help="of a RUN: samples of the losses (default: 256)")
    parser.add_argument(
        "--out",
        metavar="F",
        help=f"the figure, .png, .pdf or .svg (default: {DEFAULT_OUT} or {DEFAULT_OUT_OF_A_RUN}; none with --json)",
    )
    parser.add_argument("--force", action="store_true", help="replace F if it exists")
    parser.add_argument("--json", action="store_true", help="print one JSON document in place of the table")
    return parser


def _check_writable(out: Path, *, force: bool) -> None:
    output_file("--out", out, ".png", ".pdf", ".svg", force=force)
    require(not out.is_dir(), f"--out {out}: is a folder; wanted the name of a file")
    above = next(each for each in out.absolute().parents if each.exists())
    require(above.is_dir(), f"--out {out}: {above} is not a folder")


def _refuse(options: Any, names: Iterable[str]) -> None:
    given = [name for name in names if getattr(options, name) is not None]
    if given:
        flag = "--" + given[0].replace("_", "-")
        what = f"RUN ({options.run})" if options.run is not None else "a small game: it belongs to RUN"
        raise InputError(f"{flag} is given with {what}: wanted one or the other")


def _filled(options: Any, defaults: dict[str, Any]) -> Any:
    for name, default in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, default)
    return options


# --- small games -----------------------------------------------------------------------------------


def _play(options: Any) -> int:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for numbers this small a second thread only waits
    try:
        return _show(options)
    finally:
        torch.set_num_threads(threads)


def _show(options: Any) -> int:
    from adversarium.cli import dynamics_play as games
    from adversarium.cli.dynamics_figure import MOST_PORTRAITS, write_portraits

    question = _question(options, games)
    found = games.answer(question, _progress)
    _progress(1, 1)
    settings = found.settings
    shown = settings[:MOST_PORTRAITS]
    left = f"the first {len(shown)} of {len(settings)} settings" if len(shown) < len(settings) else ""
    if not options.json:
        print_games(found)
    if options.out is not None:
        portraits = [
            games.portrait(setting, [row for row in found.rows if row.setting is setting], 2.4 * question.start)
            for setting in shown
        ]
        caption = "eigenvalues: the upper half plane, which the lower mirrors; inside the unit circle a rule attracts"
        if any(row.period > 1 for row in found.rows):
            caption += "; of k steps: the k-th root, at its smallest angle"
        write_portraits(options.out, portraits, _title(question), f"{caption}; {left}" if left else caption)
    if options.json:
        print(_json(_document(found, question, options.out)))
    elif options.out is not None:
        print(f"{options.out}: {left or 'a figure'}")
    return 0


def _question(options: Any, games: Any) -> Any:
    from adversarium.errors import lookup

    game = options.game or "dirac"
    defaults = lookup("game", game, DEFAULTS)
    for name in ("losses", "penalties", "spectrum"):
        if name not in defaults and getattr(options, name) is not None:
            raise InputError(f"--{name} is given with --game {game}, which has none")
    both = options.critic_step is not None and options.generator_step is not None
    require(not both or options.step is None, "--step is given with --critic-step and --generator-step: wanted one")
    _filled(options, {**defaults, **PLAYED})
    steps = games.Steps(
        critic=_positive("critic_step" if options.critic_step is not None else "step", options),
        generator=_positive("generator_step" if options.generator_step is not None else "step", options),
        momentum=options.momentum,
    )
    require(-1 < options.momentum < 1, f"--momentum {options.momentum}: wanted a number between -1 and 1")
    # the verdict compares the game's last quarters
    require(8 <= options.steps <= 1_000_000, f"--steps {options.steps}: wanted a whole number, 8 to 1,000,000")
    return games.Question(
        game=game,
        losses=options.losses or "",
        penalties=options.penalties or "",
        rules=options.rules,
        spectrum=_numbers("--spectrum", options.spectrum or ""),
        steps=steps,
        count=options.steps,
        start=_positive("start", options, 1e6),
    )


def _positive(name: str, options: Any, most: float = 1e100) -> float:
    value: float = getattr(options, name)
    require(0 < value <= most, f"--{name.replace('_', '-')} {value}: wanted a positive number, at most {most:g}")
    return value


def _numbers(flag: str, text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(",") if text)
    except ValueError:
        raise InputError(f"{flag} {text!r}: wanted numbers with commas between them") from None
    require(all(0 < each < math.inf for each in values), f"{flag} {text!r}: wanted positive numbers")
    return values


def _title(question: Any) -> str:
    steps = question.steps
    moved = f"steps of {steps.critic:g}"
    if steps.critic != steps.generator:
        moved = f"steps of {steps.critic:g} (critic) and {steps.generator:g} (generator)"
    momentum = f", momentum {steps.momentum:g}" if steps.momentum else ""
    named = {"dirac": "the Dirac game", "bilinear": "the bilinear game", "gaussian": "the Gaussian game"}
    return f"Game rules on {named[question.game]}: {moved}{momentum}"


def _document(found: Any, question: Any, out: Path | None) -> dict[str, Any]:
    return {
        "game": question.game,
        "spectrum": list(question.spectrum) or None,
        "critic_step": question.steps.critic,
        "generator_step": question.steps.generator,
        "momentum": question.steps.momentum,
        "steps": question.count,
        "start": question.start,
        "combinations": [row.as_dict() for row in found.rows],
        "left_out": [{"combination": what, "reason": reason} for what, reason in found.left_out],
        "figure": None if out is None else str(out),
    }


def _json(document: Any) -> str:
    """Return a JSON document, with null for numbers that JSON cannot say."""

    def finite(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: finite(each) for key, each in value.items()}
        if isinstance(value, list):
            return [finite(each) for each in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(finite(document), allow_nan=False)


def _progress(done: int, whole: int) -> None:
    """Say how far it is, in a terminal only."""
    if sys.stderr.isatty():
        print("\r\033[K" + (f"{done} of {whole} combinations" if done < whole else ""), end="", file=sys.stderr)


# --- a run -----------------------------------------------------------------------------------------


def _spectrum_of_run(path: Path, options: Any) -> int:
    require(options.eigenvalues >= 1, f"--eigenvalues {options.eigenvalues}: wanted a whole number, at least 1")
    require(options.batch >= 2, f"--batch {options.batch}: wanted a whole number, at least 2")
    from adversarium.cli.dynamics_figure import write_spectrum
    from adversarium.games.field import spectrum
    from adversarium.train.spectrum import run_game

    game = run_game(path, options.batch, warn=lambda message: print(f"warning: {message}", file=sys.stderr))
    found = spectrum(game, min(options.eigenvalues, sum(each.numel() for each in game.weights)))
    step = found.stability.largest_stable_step
    verdict = verdict_in_words(found)
    if not options.json:
        print_spectrum(found, verdict)
    if options.out is not None:
        caption = f"{verdict}; largest stable step of simultaneous descent: {step_in_words(step)}"
        both = [*found.eigenvalues.tolist(), *found.rightmost.tolist()]
        write_spectrum(options.out, both, step, f"{path}: eigenvalues of the field's Jacobian", caption)
    if options.json:
        document = {"run": str(path), "batch": options.batch, **found.as_dict()}
        print(_json({**document, "figure": None if options.out is None else str(options.out)}))
    elif options.out is not None:
        print(f"{options.out}: a figure")
    return 0
