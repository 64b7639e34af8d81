"""Mistakes in how ``adversarium train`` is typed that have a likely meaning, and the sentence that says it."""

from pathlib import Path

import pytest

from adversarium.cli import main
from adversarium.cli.parser import Parser
from adversarium.cli.train import add_options


def test_what_conditional_means_alone_is_what_its_help_says() -> None:
    parser = Parser("train", "")
    add_options(parser, ["conditional"])
    assert parser.parse_args(["--conditional"]).conditional == "concatenation"
    assert parser.parse_args(["--conditional", "projection"]).conditional == "projection"
    assert "conditional" not in parser.parse_args([])
    assert "concatenation (the flag alone)" in " ".join(parser.format_help().split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--conditional", "mnist"], "give DATA first: adversarium train mnist --conditional"),
        (["--conditional", "my photos"], "give DATA first: adversarium train 'my photos' --conditional"),
        (["--conditional", "projektion"], "unknown conditional 'projektion' (did you mean 'projection'?)"),
        (["ring", "--conditional", "mnist"], "unknown conditional 'mnist'"),
        (["--conditional", "projection", "--steps", "0"], "steps is 0"),  # though there is a folder of that name
    ],
)
def test_data_after_an_option_that_may_stand_alone(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my photos").mkdir()
    Path("projection").mkdir()
    assert main(["train", *arguments]) == 2
    assert words in capsys.readouterr().err
