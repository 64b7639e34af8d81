"""Every member says what it computes, under which convention, when to use it, and where it was published."""

import inspect
import re
from collections.abc import Callable

import pytest

from adversarium.constraints import CONSTRAINTS
from adversarium.games import GAMES
from adversarium.losses import LOSSES
from adversarium.penalties import PENALTIES

KINDS = {"losses": LOSSES, "penalties": PENALTIES, "constraints": CONSTRAINTS, "games": GAMES}
MEMBERS = {f"{kind}: {name}": factory for kind, members in KINDS.items() for name, factory in members.items()}
SECTIONS = ("Formula", "Convention", "Use when", "Paper")


def sections(factory: Callable[..., object]) -> dict[str, str]:
    """Split a docstring at its unindented headings."""
    parts = re.split(r"^(\w[\w ]*):\n", inspect.getdoc(factory) or "", flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("member", MEMBERS)
def test_docstring_has_what_explain_prints(member: str):
    found = sections(MEMBERS[member])
    assert [heading for heading in found if heading in SECTIONS] == list(SECTIONS)
    for heading in SECTIONS:
        assert found[heading].strip()
    assert re.search(r"arXiv:\d{4}\.\d{4,5}\b", found["Paper"])


@pytest.mark.parametrize("member", MEMBERS)
def test_every_choice_has_a_default(member: str):
    MEMBERS[member]()
