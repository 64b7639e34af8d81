"""Sphinx: make docs, or sphinx-build docs build/docs. Nothing is fetched from a network."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "ext"))

from adversarium import __version__

project = "adversarium"
author = "The adversarium authors"
copyright = "The adversarium authors, Apache-2.0"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "catalogue", "api", "coverage_check"]
exclude_patterns = ["ext"]

coverage_package = "adversarium"
coverage_internal = ["cli", "files"]  # the commands, and file helpers: not for import

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
maximum_signature_line_length = 90
napoleon_use_ivar = True
python_use_unqualified_type_names = True

nitpicky = True
# names of other libraries, whose pages a build without a network cannot look up; type variables and string literals
nitpick_ignore_regex = [
    (r"py:.*", r"(torch|numpy|np|jaxtyping|collections|pathlib|typing|types|argparse|abc|contextlib|random|PIL)\b.*"),
    # inside a study, for those who read its code
    (r"py:.*", r"adversarium\.study\.(outlook|run|perform|trial|jobs|worker|material|wording)\..*"),
    (r"py:class", r"'k?'"),  # shapes of arrays: no axis, one axis
    (r"py:.*", r"(Float|Int|Tensor|nn\.|Callable|Mapping|Iterator|Sequence|Path|Any|Literal|AnyPenalty|Protocol)\b.*"),
]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

smartquotes = False  # --preset is an option, not a dash
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "adversarium"
html_static_path = ["_static"]
html_css_files = ["adversarium.css"]
html_show_sourcelink = False
html_copy_source = False
