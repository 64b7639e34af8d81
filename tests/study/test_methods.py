"""What a study compares: names that tell methods apart, and options that a method may have."""

from typing import Any

import pytest

from adversarium.errors import InputError
from adversarium.study.methods import check_methods, crossed, folder_name, of_presets, parsed
from adversarium.study.plan import Method


def test_a_preset_is_a_method() -> None:
    assert of_presets(["gan", "wgan-gp"])[1] == Method(name="wgan-gp", options={"preset": "wgan-gp"})
    with pytest.raises(InputError, match="unknown preset 'wgan-pg' \\(did you mean 'wgan-gp'"):
        of_presets(["wgan-pg"])


def test_every_combination_is_a_method_with_a_name_to_read() -> None:
    found = crossed({"loss": ["hinge", "minimax"], "penalties": ["none", "r1(gamma=1.0)"]}, {})
    assert [each.name for each in found] == [
        "hinge + none",
        "hinge + r1(gamma=1.0)",
        "minimax + none",
        "minimax + r1(gamma=1.0)",
    ]
    assert found[1].options == {"loss": "hinge", "penalties": "r1(gamma=1.0)"}
    check_methods(found, {})


def test_what_all_have_is_not_in_their_names() -> None:
    found = crossed({"loss": ["hinge"], "penalties": ["none", "r1()"]}, {"width": 8})
    assert [each.name for each in found] == ["none", "r1()"]
    assert found[0].options == {"width": 8, "loss": "hinge", "penalties": "none"}
    assert [each.name for each in crossed({"loss": ["hinge"], "penalties": ["none"]}, {})] == ["hinge"]


def test_lists_are_cut_at_their_own_commas() -> None:
    assert parsed("none, r1(gamma=1.0, centre=0), x") == ["none", "r1(gamma=1.0, centre=0)", "x"]
    with pytest.raises(InputError, match="hinge is named twice"):
        parsed("hinge,minimax,hinge")
    with pytest.raises(InputError, match="empty"):
        parsed("hinge,,minimax")


@pytest.mark.parametrize("name", ["wgan-gp", "r1(gamma=1.0) + hinge", "../../etc", "a/b\\c", "Ärger", "…", "CON [x]"])
def test_a_folder_has_a_name_of_its_own_below_the_study(name: str) -> None:
    folder = folder_name(name)
    assert folder
    assert not set(folder) & set("/\\ \n[]()")
    assert folder not in (".", "..")


def methods(*names: str, **options: Any) -> list[Method]:
    return [Method(name=name, options=options) for name in names]


@pytest.mark.parametrize(
    ("given", "shared", "words"),
    [
        ([], {}, "add --presets"),
        (methods("a", "a"), {}, "two methods are called 'a'"),
        (methods("a b", "A-b"), {}, "names too much alike"),
        (methods(" "), {}, "a method's name is empty"),
        (methods("a\nb"), {}, "in one line"),
        (methods("a" * 500), {}, "at most 120 characters"),
        (methods("a", pakking=2), {}, "method a names 'pakking' (did you mean 'packing'?)"),
        (methods("a", seed=2), {}, "method a sets seed, which a study says by --seeds"),
        (methods("a", kimg=2.0), {}, "method a sets kimg, which a study says by --budget"),
        (methods("a"), {"steps": 3}, "a study sets steps, which a study says by --budget"),
        (methods("a", size=32), {}, "all methods share the data"),
        (methods("a", width=8), {"width": 16}, "method a sets width, and so does the study"),
    ],
)
def test_what_is_no_set_of_methods_is_refused(given: list[Method], shared: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as error:
        check_methods(given, shared)
    assert words in str(error.value)
