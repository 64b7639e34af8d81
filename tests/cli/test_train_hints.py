"""Mistakes in how ``adversarium train`` is typed that have a likely meaning, and the sentence that says it."""

from pathlib import Path

import pytest

from adversarium.cli import main


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
