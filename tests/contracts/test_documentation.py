"""Every member says what it computes, under which convention, when to use it, and where it was published.

It may say what other libraries do as well, after its own convention.
"""

import inspect
import re
from collections.abc import Callable

import pytest

from adversarium.component import AdversarialWeight, over_scales
from adversarium.conditionals import CONDITIONALS
from adversarium.constraints import CONSTRAINTS
from adversarium.data import instance_noise
from adversarium.features import FEATURES
from adversarium.games import GAMES
from adversarium.losses import CLASS_LOSSES, DISTANCES, LOSSES, MISPRINTS, WRAPPERS, nonsaturating
from adversarium.metrics import METRICS
from adversarium.nets import MINIBATCH_LAYERS
from adversarium.penalties import GENERATOR_PENALTIES, PENALTIES, SAMPLE_PENALTIES, match_features
from adversarium.stabilisers import AUGMENTATIONS, ReplayPool, pack, top_k

KINDS = {
    "losses": LOSSES,
    "class losses": CLASS_LOSSES,
    "distances": DISTANCES,
    "misprints": MISPRINTS,
    "wrappers": {**WRAPPERS, "instance_noise": instance_noise},
    "penalties": PENALTIES,
    "generator penalties": GENERATOR_PENALTIES,
    "sample penalties": SAMPLE_PENALTIES,
    "augmentations": AUGMENTATIONS,
    "minibatch layers": MINIBATCH_LAYERS,
    "stabilisers": {"pack": pack, "top_k": top_k, "ReplayPool": ReplayPool},
    "conditionals": CONDITIONALS,
    "constraints": CONSTRAINTS,
    "games": GAMES,
    "components": {
        "AdversarialWeight": AdversarialWeight,
        "over_scales": over_scales,
        "match_features": match_features,
    },
    "metrics": {name: metric.function for name, metric in METRICS.items()},
    "features": FEATURES,
}
NO_CHOICES = ("metrics", "stabilisers", "components", "features")  # of samples; and some features need a file
MEMBERS = {f"{kind}: {name}": factory for kind, members in KINDS.items() for name, factory in members.items()}
SECTIONS = ("Formula", "Convention", "Elsewhere", "Use when", "Paper")
OPTIONAL = "Elsewhere"


def sections(factory: Callable[..., object]) -> list[tuple[str, str]]:
    """Split a docstring at its unindented headings."""
    parts = re.split(r"^(\w[\w ]*):\n", inspect.getdoc(factory) or "", flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("member", MEMBERS)
def test_docstring_has_what_explain_prints(member: str):
    found = [(heading, text) for heading, text in sections(MEMBERS[member]) if heading in SECTIONS]
    headings = [heading for heading, _ in found]
    assert headings == [heading for heading in SECTIONS if heading != OPTIONAL or heading in headings]
    assert all(text.strip() for _, text in found)
    assert re.search(r"arXiv:\d{4}\.\d{4,5}\b", dict(found)["Paper"])


@pytest.mark.parametrize("member", [name for name in MEMBERS if not name.startswith(NO_CHOICES)])
def test_every_choice_has_a_default(member: str):
    factory = MEMBERS[member]
    factory(nonsaturating()) if factory in WRAPPERS.values() else factory()
