"""Members as text: what is written is read back as it was, and what cannot be read is told in one sentence."""

import dataclasses
import inspect
import random
import typing
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch

from adversarium.constraints import CONSTRAINTS
from adversarium.errors import InputError
from adversarium.games import GAMES, alternating, lookahead
from adversarium.losses import LOSSES
from adversarium.penalties import PENALTIES
from adversarium.spec import make, split, written
from adversarium.types import GameRule


def facts(member: Any) -> Any:
    """Return what a member is, less its functions."""
    if isinstance(member, GameRule):
        plain = {each.name: getattr(member, each.name) for each in dataclasses.fields(member) if each.name != "play"}
        return {**plain, "arguments": {name: facts(value) for name, value in member.arguments.items()}}
    return member


def drawn_value(hint: Any, rng: random.Random, depth: int) -> Any:
    if typing.get_origin(hint) is Literal:
        return rng.choice(typing.get_args(hint))
    if hint is GameRule:
        return drawn(rng.choice(sorted(GAMES)), GAMES, rng, depth + 1)
    simple: dict[Any, Callable[[], Any]] = {
        bool: lambda: rng.random() < 0.5,
        int: lambda: rng.randint(1, 9),
        float: lambda: rng.choice([rng.random(), 10 ** -rng.uniform(1, 20)]),
    }
    return simple.get(hint, lambda: None)()


def drawn(name: str, table: dict[str, Callable[..., Any]], rng: random.Random, depth: int = 0) -> Any:
    """Return a member with arguments at random, as the types of its factory's signature allow."""
    for _ in range(50):
        values = {}
        for parameter in inspect.signature(table[name]).parameters.values():
            hints = typing.get_args(parameter.annotation)
            literal = typing.get_origin(parameter.annotation) is Literal
            hint = rng.choice(hints) if hints and not literal else parameter.annotation
            if rng.random() < 0.8 and not (hint is GameRule and depth > 2):
                values[parameter.name] = drawn_value(hint, rng, depth)
        try:
            return table[name](**values)
        except InputError:  # a pair of arguments that do not go together
            continue
    raise AssertionError(f"no arguments at random suit {name}")


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("seed", range(10))
def test_every_rule_is_read_back_as_it_was_written(name: str, seed: int):
    rule = drawn(name, GAMES, random.Random(f"{name} {seed}"))
    text = written(rule)
    assert set(rule.arguments) == set(inspect.signature(GAMES[name]).parameters)
    assert facts(make(text, "game", GAMES)) == facts(rule)
    assert written(make(text, "game", GAMES)) == text
    assert split(f" {text}, {text}") == [text, text]


@pytest.mark.parametrize("table", [LOSSES, CONSTRAINTS], ids=["losses", "constraints"])
def test_other_members_too(table: dict[str, Callable[..., Any]]):
    for name, factory in table.items():
        member = factory()
        assert dict(make(written(member), "member", table).arguments) == dict(member.arguments)
        assert dict(make(name, "member", table).arguments) == dict(member.arguments)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("alternating", alternating()),
        (" alternating( ) ", alternating()),
        ("alternating(n_critic=5)", alternating(5)),
        ("lookahead(inner=alternating)", lookahead()),
        ("lookahead(inner=None)", lookahead()),
        ("lookahead(k=10, alpha=1, inner=alternating(n_critic=5,),)", lookahead(10, 1.0, alternating(5))),
        ("lookahead(inner=lookahead(k=2))", lookahead(inner=lookahead(k=2))),
    ],
)
def test_rules(text: str, rule: GameRule):
    assert facts(make(text, "game", GAMES)) == facts(rule)


def test_words_and_numbers():
    assert make("relativistic(pairing=average)", "loss", LOSSES).arguments["pairing"] == "average"
    assert make("relativistic(pairing='average')", "loss", LOSSES).arguments["pairing"] == "average"
    found = make("least_squares(fake=-1, real=1e0)", "loss", LOSSES).arguments
    assert (found["fake"], type(found["fake"]), found["real"]) == (-1.0, float, 1.0)
    assert (
        make("relativistic(pairing=average, generator_real_term=False)", "loss", LOSSES).arguments[
            "generator_real_term"
        ]
        is False
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("altrenating", "unknown game 'altrenating' (did you mean 'alternating'?); there are: "),
        ("altrenating(n_critic=5)", "unknown game 'altrenating' (did you mean 'alternating'?)"),
        ("lookahead(inner=altrenating)", "unknown game 'altrenating' (did you mean 'alternating'?)"),
        ("extra-gradient", "game is 'extra-gradient' (did you mean 'extragradient'?): wanted NAME"),
        ("", "game is '': wanted NAME or NAME(argument=value, ...)"),
        ("alternating(", "game is 'alternating(' (did you mean 'alternating'?): wanted NAME"),
        ("alternating(5)", "alternating wants its arguments by name: n_critic=..., n_generator=..."),
        ("extragradient(5)", "extragradient wants its arguments by name: none"),
        ("alternating(n_critics=5)", "alternating has no argument 'n_critics' (did you mean 'n_critic'?)"),
        ("alternating(n_critic=2.5)", "alternating: n_critic is 2.5: wanted a whole number"),
        ("alternating(n_critic=True)", "alternating: n_critic is True: wanted a whole number"),
        ("alternating(n_critic=five)", "alternating: n_critic is 'five': wanted a whole number"),
        ("alternating(n_critic=-5)", "n_critic is -5: wanted"),
        ("alternating(n_critic=None)", "n_critic is None: wanted a whole number"),
        ("alternating(n_critic=2, n_critic=3)", "n_critic is given twice"),
        ("alternating(**more)", "** is not read here"),
        ("alternating(n_critic=2*3)", "alternating: n_critic is '2 * 3': wanted a number"),
        ("alternating(n_critic=-alternating)", "with a minus: wanted a number after it"),
        ("alternating(n_critic=__import__('os'))", "\"__import__('os')\": wanted a number"),
        ("alternating.__class__(n_critic=5)", "wanted NAME or NAME(argument=value, ...)"),
        ("lookahead(inner=5)", "lookahead: inner is 5: wanted a game rule or None"),
        ("lookahead(alpha=1e999)", "lookahead: alpha is too large"),
        ("lookahead(alpha=2)", "alpha is 2.0: wanted a number above 0 and at most 1"),
        ("lookahead(k=" + "9" * 5000 + ")", "wanted NAME"),
        ("lookahead(inner=" * 150 + ")" * 150, "wanted"),
        ("alternating(n_critic='\\d')", "n_critic is '\\\\d'"),
        ("alternating\0", "wanted NAME"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, words: str):
    with pytest.raises(InputError) as caught:
        make(text, "game", GAMES)
    assert words in str(caught.value)


def test_a_choice_is_held_against_the_signature():
    with pytest.raises(InputError, match=r"pairing is 'avrage' \(did you mean 'average'\?\): wanted one of paired, "):
        make("relativistic(pairing=avrage)", "loss", LOSSES)
    with pytest.raises(InputError, match="augment is 'mirror': not from text"):
        make("cr(augment=mirror)", "penalty", PENALTIES)

    def wrapper(loss: str) -> str:
        return loss

    with pytest.raises(InputError, match="wrapper wants loss=..."):
        make("wrapper", "wrapper", {"wrapper": wrapper})


def test_what_has_no_text_is_refused():
    with pytest.raises(InputError, match="relativistic: base is .*: wanted a number, a word"):
        written(LOSSES["relativistic"](base=lambda gap: torch.nn.functional.softplus(-gap)))


def test_lists():
    assert split("a") == ["a"]
    assert split("a(b=1, c=d(e=2, f=3)) ,g, h(i='x,(y')") == ["a(b=1, c=d(e=2, f=3))", "g", "h(i='x,(y')"]
    for text in ("", "a,,b", "a,", " , a"):
        with pytest.raises(InputError, match="a part of this list is empty"):
            split(text)
