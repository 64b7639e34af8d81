"""Make the golden table, docs/golden.md and docs/golden.json: adversarium against torchgan and torch-mimicry.

The other packages get an environment of their own, in a temporary folder unless one is given (and then it is kept, and
used again). They come without their dependencies: their loss modules need torch and numpy only. adversarium itself is
taken from ``src/``. Where the registry's torch is a CUDA build, name an index of CPU builds in PIP_INDEX_URL.
"""

import argparse
import os
import subprocess
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COMPARED = ("torchgan==0.1.0", "torch-mimicry==0.1.16")
NEEDED = ("torch==2.13.0", "numpy", "jaxtyping")


def environment(folder: Path) -> Path:
    """Return the Python of an environment with the compared packages and what they and adversarium import."""
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        print(f"creating an environment in {folder}")
        venv.create(folder, with_pip=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, *NEEDED], check=True)
    subprocess.run([*install, "--no-deps", *COMPARED], check=True)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare adversarium with torchgan and torch-mimicry.")
    parser.add_argument("--environment", type=Path, help="folder of the environment (default: a temporary one)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="where golden.md and golden.json go")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.environment or Path(temporary)).resolve()
        python = environment(folder)
        paths = os.pathsep.join([str(ROOT / "src"), str(HERE)])
        subprocess.run(
            [python, HERE / "evaluate.py", arguments.out.resolve()], check=True, env=os.environ | {"PYTHONPATH": paths}
        )


if __name__ == "__main__":
    main()
