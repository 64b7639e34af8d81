"""The documentation: its examples run, its catalogue is complete, and a gap fails the build."""

import re
import sys
import types
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]

pytest.importorskip("sphinx")
sys.path.insert(0, str(ROOT / "docs" / "ext"))

import catalogue  # noqa: E402
import coverage_check  # noqa: E402
import public  # noqa: E402

PAGES = ("own-loop", "dynamics", "measuring", "diagnosis", "component", "conditional", "collapse")


@pytest.mark.parametrize("page", [f"docs/{name}.md" for name in PAGES])
def test_examples_run_in_order(page: str):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), namespace)


SOURCE = '''
"""A module."""

__all__ = ["BARE", "NOTED", "SAID", "Bare", "Told", "bare", "told"]

BARE = {"a": 1}
SAID = {"a": 1}
"""What it holds."""
#: What it holds.
NOTED = {"a": 1}

def bare(): ...

def told():
    """Tell."""

class Bare:
    def method(self): ...

class Told:
    """Tell."""

    def method(self):
        """Tell."""

    def bare(self): ...
    def _private(self): ...
'''
MODULE = "a_module_with_gaps"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / f"{MODULE}.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return __import__(MODULE)


def test_every_name_without_a_docstring_is_found(module: ModuleType):
    gaps = ["BARE", "Bare", "Bare.method", "Told.bare", "bare"]
    assert sorted(coverage_check.undocumented(module)) == sorted(f"{MODULE}.{gap}" for gap in gaps)


def test_every_name_that_no_page_describes_is_found(module: ModuleType):
    described = {
        f"{MODULE}.{name}" for name in ("SAID", "NOTED", "BARE", "told", "bare", "Bare", "Bare.method", "Told")
    }
    gaps = {f"{MODULE}.Told.method", f"{MODULE}.Told.bare"}
    assert set(coverage_check.missing_from_api(module, described)) == gaps
    assert set(coverage_check.missing_from_api(module, described - {f"{MODULE}.told"})) == {*gaps, f"{MODULE}.told"}


def test_every_member_that_the_catalogue_lacks_is_found():
    kinds = {"losses": {"hinge": None, "minimax": None}, "games": {"alternating": None}}
    assert coverage_check.missing_from_catalogue(kinds, {"losses": {"hinge": "a"}}) == [
        "losses/minimax",
        "games/alternating",
    ]


def test_without_all_a_module_is_public_by_what_it_defines():
    module = types.ModuleType("unused")
    module.__all__ = ["b", "a"]  # type: ignore[attr-defined]
    assert public.public_names(module) == ["b", "a"]
    from adversarium import errors

    assert {"InputError", "lookup", "nearest", "require"} <= set(public.public_names(errors))
    assert not {"difflib", "Value"} & set(public.public_names(errors))


def test_a_new_room_is_checked_without_being_named():
    rooms = public.public_modules("adversarium", frozenset({"cli"}))
    assert {"adversarium", "adversarium.losses", "adversarium.types"} <= set(rooms)
    assert "adversarium.cli" not in rooms
    assert "adversarium.__main__" not in rooms


PAGE = """\
A summary: with ``code``.

Formula:
    critic:    a
    generator: b
Convention:
    One
    sentence.

    Another.
Raises:
    InputError: bad.
Defaults:
    name(x=1)

Critic:      Adam, learning
             rate 1
Train with: this
"""


def test_a_page_is_split_into_kept_lines_and_running_text():
    found = [(block.label, block.text, block.prose) for block in catalogue.blocks(PAGE)]
    assert found == [
        ("", "A summary: with ``code``.", True),
        ("Formula", "critic:    a\ngenerator: b", False),
        ("Convention", "One sentence.", True),
        ("Convention", "Another.", True),
        ("Raises", "InputError: bad.", True),
        ("Defaults", "name(x=1)", False),
        ("Critic", "Adam, learning rate 1", True),
        ("Train with", "this", False),
    ]


def test_a_paragraph_that_begins_with_a_label_stays_whole():
    page = "A summary.\n\nElsewhere: one\nand two.\n\nPaper: three,\n4.\nRaises:\n    E: bad.\n\nThe rest."
    assert [(block.label, block.text) for block in catalogue.blocks(page)] == [
        ("", "A summary."),
        ("Elsewhere", "one and two."),
        ("Paper", "three, 4."),
        ("Raises", "E: bad."),
        ("", "The rest."),
    ]


def test_every_kind_has_an_introduction():
    assert set(catalogue.INTRODUCTIONS) == set(catalogue.KINDS)


def test_no_word_of_a_page_is_lost():
    from adversarium.cli.explain import page

    for kind, members in catalogue.KINDS.items():
        for name in members:
            _, _, text = page(kind, name).split("\n", 2)
            blocks = list(catalogue.blocks(text))
            shown = " ".join(f"{block.label} {block.text}" for block in blocks)
            assert set(re.findall(r"\w+", text)) <= set(re.findall(r"\w+", shown)), f"{kind}/{name}"


def test_names_in_text_become_links_and_formulas_stay_as_they_are():
    found = list(catalogue.inline("``r1`` at |x|_2, f*(t) and f*(s), arXiv:1801.04406, ``own``", "page"))
    assert [type(node).__name__ for node in found] == ["pending_xref", "Text", "reference", "Text", "literal"]
    assert found[0]["reftarget"] == "penalties-r1"
    assert found[1].astext() == " at |x|_2, f*(t) and f*(s), "


PACKAGE = '''"""A package."""

__all__ = ["noted", "told"]

def told():
    """Tell."""

def noted():
    {docstring}
'''
INDEX = """\
index
=====

.. py:module:: {package}

.. py:function:: told()

{described}
"""
DESCRIBED = ".. py:function:: noted()"


@pytest.mark.parametrize(
    ("docstring", "described", "code", "said"),
    [
        ('"""Note."""', DESCRIBED, 0, ""),
        ("pass", DESCRIBED, 1, "noted is without a docstring"),
        ('"""Note."""', "", 1, "noted is not in the API page"),
    ],
)
def test_a_gap_fails_a_build(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    docstring: str,
    described: str,
    code: int,
    said: str,
):
    from sphinx.cmd.build import main

    package = f"package_{tmp_path.name}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(PACKAGE.format(docstring=docstring), encoding="utf-8")
    source = tmp_path / "source"
    source.mkdir()
    settings = f'extensions = ["coverage_check"]\ncoverage_package = "{package}"\n'
    (source / "conf.py").write_text(settings, encoding="utf-8")
    (source / "index.rst").write_text(INDEX.format(package=package, described=described), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(coverage_check, "KINDS", {})
    assert main(["-q", "-b", "dummy", str(source), str(tmp_path / "out")]) == code
    assert said in capsys.readouterr().err
