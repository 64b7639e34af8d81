"""``adversarium study``."""

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adversarium.cli.parser import Parser
from adversarium.cli.train import add_options
from adversarium.config import FIELDS, read_config
from adversarium.errors import InputError, nearest, require
from adversarium.study.plan import FIXED, LISTS, PLAIN, TABLES

WAIT_SECONDS = 600.0
"""So long a worker waits for a database that is away when it starts, as it does later."""

_WITH = {
    "resume": ("workers", "device", "storage"),
    "join": ("workers", "device", "name", "out"),
    "report": ("storage",),
    "work": ("device",),
}
"""Options that go with those that begin no study."""
_OF_THE_PLAN = {
    "protocol": "what methods are ranked by (default: fd2500_lenet_test of digits, say; sw2 of points)",
    "measurements": "how often it is measured on the way, evenly (default: 10)",
    "hold_out": "share of the data to test with (default: none where they come with a test split)",
    "trials": "settings that each method tries before its runs (default: 0)",
    "trial_seeds": "runs that each of those is judged by, in the mean (default: 2)",
    "validation_share": "share of the training data that those are judged on (default: 0.1)",
    "sampler": "what chooses them: tpe (default), gp, random or qmc",
    "pruner": "what ends hopeless trials: median (default), hyperband or none",
    "level": "of significance, of all comparisons together (default: 0.05)",
}


def run(arguments: Sequence[str]) -> int:
    """Begin a study, go on with one, join one, write its report anew, or work for one."""
    options = vars(_parser().parse(arguments))
    modes = [name for name in ("resume", "join", "report", "work") if name in options]
    if len(modes) > 1:
        raise InputError(f"--{modes[0]} and --{modes[1]}: one of them")
    if not modes:
        with _stopping():
            return _begin(options)
    mode = modes[0]
    odd = sorted(set(options) - {mode, *_WITH[mode]})
    require(not odd, f"--{mode} takes a study as it was planned: leave {', '.join(odd)} out")
    with _stopping():
        return {"resume": _resume, "join": _join, "report": _report, "work": _work}[mode](options)


def _begin(options: dict[str, Any]) -> int:
    out, url, name = options.pop("out", None), options.pop("storage", None), options.pop("name", None)
    count, device = _workers(options), options.pop("device", "auto")
    values = _values(options)
    require("data" in values, "a study wants DATA: adversarium study mnist, say")

    from adversarium.cli.study_display import Display

    with Display() as display:
        display.doing(f"opening {values['data']}")

        from adversarium.study.conduct import Study, name_of, refuse_other, try_database
        from adversarium.study.outlook import outlook
        from adversarium.study.typed import plan_of

        plan, source = plan_of(values, on_decode=display.decoding)
        folder = Path(out or _unused(plan.data))
        name = name or name_of(folder)
        refuse_other(folder, plan, name=name, own_database=url is None)
        if url is not None:
            try_database(url, name, plan)
        display.trial([method.name for method in plan.methods])
        found = outlook(plan, source, workers=count, device=device, on_method=display.trying)
        study = Study.begin(folder, plan, found, url=url, name=name)
        display.outlook(study, source.name, found)
        return _conduct(study, display, count, device, source)


def _resume(options: dict[str, Any]) -> int:
    from adversarium.cli.study_display import Display

    with Display() as display:
        display.doing(f"opening {options['resume']}")

        from adversarium.study.conduct import Study

        workers = _workers(options)
        study = Study.open(Path(options["resume"]), url=options.get("storage"))
        return _conduct(study, display, workers, options.get("device", "auto"))


def _join(options: dict[str, Any]) -> int:
    from adversarium.cli.study_display import Display

    require("name" in options, "--join wants the study's --name in the database")
    folder = Path(options.get("out") or Path("studies") / options["name"])
    with Display() as display:
        display.doing(f"opening {options['name']}")

        from adversarium.study.conduct import Study

        workers = _workers(options)
        study = Study.join(folder, url=options["join"], name=options["name"])
        return _conduct(study, display, workers, options.get("device", "auto"))


def _report(options: dict[str, Any]) -> int:
    from adversarium.study.conduct import Study

    study = Study.open(Path(options["report"]), url=options.get("storage"))
    page = study.report(tell=lambda message: print(message, file=sys.stderr))
    return _told(study, page)


def _workers(options: dict[str, Any]) -> int:
    from adversarium.study.pool import cores_here

    count: int = options.pop("workers", cores_here())
    require(count >= 1, f"workers is {count}: wanted at least 1")
    return count


def _work(options: dict[str, Any]) -> int:
    import torch

    from adversarium.study.conduct import Study
    from adversarium.study.worker import asked_to_stop, work

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    with asked_to_stop() as stop:
        study = Study.open(Path(options["work"]), wait_seconds=WAIT_SECONDS, stop=stop)
        work(
            study.jobs,
            study.performer(device=options.get("device", "auto")),
            folder=study.folder,
            go_on=study.go_on,
            stop=stop,
            tell=lambda message: print(message, file=sys.stderr, flush=True),
        )
    return 0


def _conduct(study: Any, display: Any, workers: int, device: str, source: Any = None) -> int:
    """Let workers do what is left of a study, and report it."""
    from adversarium.study.conduct import STORAGE
    from adversarium.study.pool import run_pool

    # for the workers: it may hold a password, which no command line should show
    with display.running(study), _environment(STORAGE, study.url):
        code = run_pool(
            study.command(device=device),
            workers,
            study.jobs,
            display.progress,
            logs=study.folder / "logs",
            go_on=study.go_on,
            tell=display.tell,
        )
    if code:
        return int(code)
    display.doing("writing the report")
    try:
        page = study.report(source, tell=display.tell)
    except KeyboardInterrupt:
        where = f"before the report was written: all runs are done; write it with: {study.go_on}"
        raise KeyboardInterrupt(where) from None
    display.done()
    return _told(study, page)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set a variable of the environment for a while."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


@contextmanager
def _stopping() -> Iterator[None]:
    """Turn the end of a study before its time into an error for the command line to tell."""
    try:
        yield
    except RuntimeError as error:
        from adversarium.study.jobs import StudyStoppedError

        if not isinstance(error, StudyStoppedError):
            raise
        raise InputError(str(error)) from error


def _told(study: Any, page: Path) -> int:
    for sentence in study.compared().advice:
        print(sentence)
    print(f"{page}: the report; runs.csv and figures/ beside it")
    return 0


def _unused(data: str) -> str:
    """Return the first free ``studies/DATA``, ``studies/DATA-2``, ..."""
    stem, number = Path(data).stem or "data", 1
    while (path := Path("studies") / (stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return str(path)


def _values(options: dict[str, Any]) -> dict[str, Any]:
    """Return what was asked for, from a file and the command line, which wins."""
    file = options.pop("config", None)
    values: dict[str, Any] = read_config(Path(file)) if file else {}
    known = ["seeds", *LISTS, *TABLES, *PLAIN]
    for name in values:
        require(name in known, f"{file}: a study has no {name!r}{nearest(name, known)}")
    for name in TABLES:
        table = values.get(name, {})
        require(isinstance(table, dict), f"{file}: {name} is {table!r}: wanted a table")
    methods = dict(values.get("methods", {}))
    for text in options.pop("method", []):
        name, each = _method(text)
        require(name not in methods, f"two methods are called {name!r}")
        methods[name] = each
    named = {name: options.pop(name) for name in LISTS if name in options}
    search = {}
    for text in options.pop("search", []):
        option, equals, where = text.partition("=")
        require(bool(equals), f"--search is {text!r}: wanted OPTION=LOW..HIGH, OPTION=LOW..HIGH log or OPTION=A|B")
        search[option.strip().replace("-", "_")] = where.strip()
    of_the_plan = {name: options.pop(name) for name in ("seeds", *PLAIN) if name in options}
    return {
        **values,
        **named,
        **of_the_plan,
        "methods": methods,
        "search": search or values.get("search", {}),
        "options": {**values.get("options", {}), **options},
    }


def _method(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the options of ``NAME: --preset gan --packing 2``."""
    name, colon, rest = text.partition(":")
    wanted = "wanted 'NAME: --preset gan --packing 2', say"
    require(bool(colon) and bool(name.strip()), f"--method is {text!r}: {wanted}")
    parser = Parser("train", "")
    add_options(parser)
    try:
        return name.strip(), vars(parser.parse(shlex.split(rest)))
    except InputError as error:  # which is a ValueError, too
        raise InputError(f"--method {name.strip()}: {error}") from None
    except ValueError as error:
        raise InputError(f"--method is {text!r}: {error}; {wanted}") from None


def _parser() -> Parser:
    none: dict[str, Any] = {"default": argparse.SUPPRESS}
    parser = Parser("study", "Train several methods on DATA, several seeds each, and say which to use.")
    parser.add_argument("data", nargs="?", metavar="DATA", help="as adversarium train takes it", **none)
    parser.add_argument(
        "--presets", metavar="A,B", help="methods: presets (default: the articles' six losses)", **none
    )
    parser.add_argument(
        "--method",
        action="append",
        metavar="'NAME: OPTIONS'",
        help="a method by options of adversarium train: 'packed: --preset gan --packing 2'; may be given again",
        **none,
    )
    for name, each in (
        ("losses", "hinge,wasserstein"),
        ("penalties", "none,'r1(gamma=1)'"),
        ("games", "alternating,..."),
    ):
        parser.add_argument(f"--{name}", metavar="A,B", help=f"methods: every combination of {each}", **none)
    parser.add_argument("--seeds", metavar="N", help="how many, or which: 3,7,9 (default: 10)", **none)
    parser.add_argument(
        "--budget", metavar="N", help="of each run: 90s, 5m, 240kimg or 30000gradients (default: 100kimg)", **none
    )
    parser.add_argument("--others", metavar="A,B", help="further protocols, measured at the end", **none)
    parser.add_argument(
        "--search",
        action="append",
        metavar="OPTION=RANGE",
        help="what trials try: 'critic_learning_rate=1e-5..1e-2 log', 'beta1=0|0.5'; may be given again (default: "
        "learning rate, beta1, the penalties' scale)",
        **none,
    )
    for name, text in _OF_THE_PLAN.items():
        kind = PLAIN[name]
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=kind.__name__.upper(), help=text, **none)
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one for each core)", **none)
    parser.add_argument("--storage", metavar="URL", help="a database that several machines reach", **none)
    parser.add_argument("--name", metavar="NAME", help="the study's name in it (default: the folder's)", **none)
    parser.add_argument("--out", metavar="DIR", help="its folder (default: a new one under studies/)", **none)
    parser.add_argument("--config", metavar="FILE", help="all of this from a .json or .toml file", **none)
    parser.add_argument("--resume", metavar="DIR", help="go on with a study: no run is lost or done twice", **none)
    parser.add_argument(
        "--join",
        metavar="URL",
        help="work for a study that was begun elsewhere, by its --name; its data have to be here, at the same path",
        **none,
    )
    parser.add_argument("--report", metavar="DIR", help="write the report of what is done so far", **none)
    parser.add_argument("--work", metavar="DIR", help=argparse.SUPPRESS, **none)
    leave_out = ("preset", "loss", "penalties", "game", *FIXED)
    add_options(parser, [name for name in FIELDS if name not in leave_out])
    return parser
