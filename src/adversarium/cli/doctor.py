"""``adversarium doctor``."""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from adversarium.cli.parser import Parser
from adversarium.errors import output_file

NARROWEST, WIDEST = 60, 110
"""Text is wrapped to the terminal's width between these."""


def run(arguments: Sequence[str]) -> int:
    """Say what is wrong with a run, since when, by what evidence, and what to do; findings are no error."""
    parser = Parser("doctor", "Say whether a run is working, and if not, what to change. It changes nothing in it.")
    parser.add_argument("run", metavar="RUN", help="the run's folder")
    parser.add_argument("--out", metavar="F", help="the report, an .html (default: doctor.html in RUN, replaced)")
    parser.add_argument("--json", metavar="F", help="write everything to a .json as well")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: auto)")
    parser.add_argument("--force", action="store_true", help="replace F if it exists")
    options = parser.parse(arguments)
    folder = Path(options.run)
    page, data = folder / "doctor.html", None
    if options.out is None and folder.is_dir():
        output_file("--out", page, ".html", force=True, chosen=False)
    if options.out is not None:
        page = output_file("--out", options.out, ".html", force=options.force)
    if options.json is not None:
        data = output_file("--json", options.json, ".json", force=options.force)

    from adversarium.cli.progress import Display
    from adversarium.diagnostics.page import as_page
    from adversarium.diagnostics.plots import BLOCKS, PLAIN_BLOCKS
    from adversarium.diagnostics.report import as_data, as_text
    from adversarium.files import atomic_write
    from adversarium.train.diagnosis import diagnose_run

    with Display() as display:
        diagnosis = diagnose_run(folder, device=options.device, on_decode=display.decoding)
    width = shutil.get_terminal_size((WIDEST, 24)).columns
    blocks = BLOCKS if _can_print(BLOCKS) else PLAIN_BLOCKS
    print(as_text(diagnosis, width=min(max(width, NARROWEST), WIDEST), blocks=blocks))
    written = {page: as_page(diagnosis)}
    if data is not None:
        written[data] = json.dumps(as_data(diagnosis), indent=2, allow_nan=False) + "\n"
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as stream:
            stream.write(text.encode())
    print(f"{' and '.join(str(path) for path in written)}: the whole of it")
    return 0


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
