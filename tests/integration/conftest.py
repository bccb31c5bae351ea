"""Fixtures of the integration tests only."""

from pathlib import Path

import pytest
from gopprof import GoPprof


@pytest.fixture(scope="session")
def pprof(tool, tmp_path_factory) -> GoPprof:
    """`go tool pprof`."""
    folder: Path = tmp_path_factory.mktemp("go")
    return GoPprof(tool("go"), folder)
