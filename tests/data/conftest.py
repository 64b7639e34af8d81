"""A short ``tmp_path``: pytest's own holds the test's name, which would match words that a message should have."""

from pathlib import Path

import pytest


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("t")
