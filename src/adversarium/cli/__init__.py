"""The command line. Each command is a module of this package with ``run(arguments) -> exit code``.

Nothing heavy is imported before a command needs it: ``adversarium --help`` answers without torch.
"""

import importlib
import io
import sys
from collections.abc import Sequence

from adversarium.errors import InputError, lookup

COMMANDS = {
    "train": "train a generator: adversarium train mnist --preset wgan-gp --steps 5000 --out runs/wgan",
    "sample": "draw samples:      adversarium sample runs/wgan -n 64 --out grid.png",
    "evaluate": "measure samples:   adversarium evaluate runs/wgan",
    "doctor": "what goes wrong:   adversarium doctor runs/wgan",
    "study": "compare methods:   adversarium study mnist --presets gan,wgan-gp --seeds 10",
    "dynamics": "play small games:  adversarium dynamics --game bilinear",
    "list": "list members:      adversarium list presets",
    "explain": "explain a member:  adversarium explain wgan-gp",
}

# an imported module becomes a name in this package, where ``list`` would hide the builtin
MODULES = {"list": "listing"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code: 0, 2 for input that cannot be used, 128 + n for signal n."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without σ shows ?, and no traceback
    try:
        if not arguments or arguments[0] in ("-h", "--help", "help"):
            print(_help())
            return 0
        if arguments[0] == "--version":
            from adversarium import __version__

            print(f"adversarium {__version__}")
            return 0
        lookup("command", arguments[0], COMMANDS)
        command = importlib.import_module(f"adversarium.cli.{MODULES.get(arguments[0], arguments[0])}")
        code: int = command.run(arguments[1:])
        return code
    except InputError as error:
        return _fail(str(error))
    except MemoryError:
        return _fail("this does not fit into memory")
    except RuntimeError as error:
        # torch says so in different words on the CPU and on a GPU
        if "memory" not in str(error):
            raise
        return _fail(f"this does not fit into memory ({str(error).splitlines()[0]}); lower --batch-size or --width")
    except BrokenPipeError:
        # the reader (head, say) has gone: not an error of ours, and nothing more can be printed
        sys.stdout = None
        return 0
    except OSError as error:
        return _fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
    except KeyboardInterrupt as error:
        print(f"interrupted {error}".strip(), file=sys.stderr)
        return 130


def _fail(message: str) -> int:
    print(f"adversarium: {message}", file=sys.stderr)
    return 2


def _help() -> str:
    lines = [
        "adversarium: adversarial losses for PyTorch, proven, fast, trained from one command.",
        "",
        "usage: adversarium COMMAND ...",
        "",
        *(f"  {name:8} {text}" for name, text in COMMANDS.items()),
        "",
        "  adversarium COMMAND --help   all options of a command",
        "  adversarium --version",
    ]
    return "\n".join(lines)
