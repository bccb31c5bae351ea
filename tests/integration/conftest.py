"""Fixtures of the integration tests only."""

import json
import subprocess
from pathlib import Path

import pytest
from gopprof import GoPprof
from permission import unavailable

PPROF = "github.com/google/pprof@v0.0.0-20240727154555-813a5fbdbec8"


@pytest.fixture(scope="session")
def pprof(tool, tmp_path_factory) -> GoPprof:
    """`go tool pprof`."""
    folder: Path = tmp_path_factory.mktemp("go")
    return GoPprof(tool("go"), folder)


@pytest.fixture(scope="session")
def samples(pprof, tmp_path_factory) -> Path:
    """google/pprof's source with its sample files and goldens."""
    command = [pprof.go, "mod", "download", "-json", PPROF]
    done = subprocess.run(
        command, env=pprof.env, cwd=tmp_path_factory.mktemp("module"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        unavailable(f"cannot fetch google/pprof: {done.stdout}{done.stderr}"[:300])
    return Path(json.loads(done.stdout)["Dir"])
