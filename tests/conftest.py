"""What all tests share: the workloads, the command line, and another user to be."""

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from permission import perf_refusal, unavailable

ROOT = Path(__file__).resolve().parents[1]
WORKLOADS = ROOT / "tests" / "workloads"
NOBODY = 65534

_C = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-pthread")
_CXX = ("-std=c++17", "-Wall", "-Wextra", "-Werror")
_LIBRARIES = ("-ldl", "-lrt")
_IDENTITY: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def pytest_configure() -> None:
    """Shells start what runs in the background deaf to Ctrl-C, and its children, too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Recordings are measurements: a moment in which the machine itself was taken away (a
    virtual one is) is no fault of the profiler. What fails must fail three times; whatever
    was run again is listed at the end."""
    for item in items:
        if item.get_closest_marker("perf"):
            item.add_marker(pytest.mark.flaky(reruns=2))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("perf") and perf_refusal():
        unavailable(perf_refusal())
    if getattr(item, "execution_count", 1) > 1:
        _make_anew(item)


def _make_anew(item: Any) -> None:
    """A recording that a module shares is part of what is run again; pytest would keep it."""
    for name in item.fixturenames:
        for fixture in item._fixtureinfo.name2fixturedefs.get(name, ()):
            if fixture.scope == "module":
                fixture.finish(item._request)


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """The path of a program of the distribution; the test is skipped where it is missing."""

    def find(name: str) -> str:
        return shutil.which(name) or unavailable(f"no {name} here")

    return find


# Programs with known answers


class Workloads:
    """Builds the programs of tests/workloads, each variant once, where every user can run
    them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def build(
        self, source: str, *flags: str, cc: str = "", name: str = "", strip: bool = False
    ) -> Path:
        """The program built from `source` with `flags` (gcc -O2 unless they say otherwise),
        called `name` (default: as the source)."""
        path = self.folder / (name or Path(source).stem)
        if path.exists():
            return path
        is_c = source.endswith(".c")
        compiler = cc or ("gcc" if is_c else "g++")
        if not shutil.which(compiler):
            unavailable(f"no {compiler} to build {source} with")
        command = [compiler, "-O2", *(_C if is_c else _CXX), *flags, str(WORKLOADS / source)]
        subprocess.run([*command, "-o", str(path), *_LIBRARIES], check=True)
        if strip:
            subprocess.run(["strip", "--strip-all", str(path)], check=True)
        return path

    __call__ = build

    @staticmethod
    def source(name: str) -> Path:
        return WORKLOADS / name

    def library(self, name: str) -> Path:
        """plugin.c as lib`name`.so with the function `name`."""
        return self.build("plugin.c", "-shared", "-fPIC", f"-DNAME={name}", name=f"lib{name}.so")


@pytest.fixture(scope="session")
def public_folder() -> Iterator[Path]:
    """A folder that every user can read; pytest's own ones are private."""
    folder = Path(tempfile.mkdtemp(prefix="cprof-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def workload(public_folder: Path) -> Workloads:
    folder = public_folder / "workloads"
    folder.mkdir(mode=0o755)
    return Workloads(folder)


# Processes


class Running:
    """A process that has said that it is ready; killed at the end of the test."""

    def __init__(self, process: "subprocess.Popen[str]", ready: str) -> None:
        self.process = process
        self.pid = process.pid
        self.ready = ready

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def running() -> "Iterator[Callable[..., Running]]":
    """Start a command that says "ready ..." once it is."""
    started: list[Running] = []

    def start(*command: "str | Path", **options: Any) -> Running:
        words = [str(word) for word in command]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, **options)
        assert process.stdout is not None
        target = Running(process, "")
        started.append(target)
        target.ready = process.stdout.readline().strip()
        assert target.ready.startswith("ready"), f"{words} did not start"
        return target

    yield start
    for target in started:
        target.kill()
        assert target.process.stdout is not None
        target.process.stdout.close()


@pytest.fixture
def clean_fds() -> Iterator[None]:
    """Nothing that is opened in the test stays open."""
    import cprof

    # what is opened once for all recordings: libunwind's pipe
    command = [sys.executable, "-c", "pass"]
    with cprof.Recorder(command, freq=5000, unwind="libunwind") as first:
        first.wait()
    del first
    gc.collect()  # what tests before this one left behind
    before = len(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before, "file descriptors were leaked"


# The command line


class Cli:
    """`cprof` as a user runs it."""

    command = (sys.executable, "-m", "cprof")

    def __call__(
        self, *arguments: "str | Path | int", timeout: float = 60, **options: Any
    ) -> "subprocess.CompletedProcess[str]":
        words = [*self.command, *(str(a) for a in arguments)]
        options = {"capture_output": True, "text": True, "check": False} | options
        done = subprocess.run(words, timeout=timeout, **options)
        assert "Traceback" not in (done.stderr or ""), done.stderr
        return done

    def start(self, *arguments: "str | Path | int", **options: Any) -> "subprocess.Popen[str]":
        words = [*self.command, *(str(a) for a in arguments)]
        options = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "start_new_session": True,
        } | options
        return subprocess.Popen(words, **options)


@pytest.fixture(scope="session")
def cli() -> Cli:
    return Cli()


# Another user


class Nobody:
    """Runs Python programs that `import cprof` as the user nobody, without privileges."""

    def __init__(self, python: str, folder: Path) -> None:
        self.python = python
        self.folder = folder  # one that belongs to nobody
        self.env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder),
            "PYTHONPATH": str(folder.parent / "site"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    @property
    def identity(self) -> dict[str, Any]:
        """Options of subprocess to be nobody."""
        return {**_IDENTITY, "cwd": self.folder}

    def __call__(
        self, *words: "str | Path | int", timeout: float = 60
    ) -> "subprocess.CompletedProcess[str]":
        """`python words...`, for example `-c PROGRAM` or `-m cprof ...`."""
        return subprocess.run(
            [self.python, *(str(word) for word in words)],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            **self.identity,
        )


def _reachable_python(home: Path) -> str | None:
    """A Python that nobody can run and that can load the extension."""
    candidates = [sys.executable, os.path.realpath(sys.executable), "/usr/bin/python3"]
    candidates += [path for v in range(11, 16) if (path := shutil.which(f"python3.{v}"))]
    program = "import sys; sys.exit(sys.version_info < (3, 11))"
    for candidate in candidates:
        try:
            done = subprocess.run(
                [candidate, "-I", "-c", program],
                capture_output=True,
                check=False,
                cwd=home,
                **_IDENTITY,
            )
        except OSError:
            continue
        if done.returncode == 0:
            return candidate
    return None


@pytest.fixture(scope="session")
def nobody(public_folder: Path) -> Nobody:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    import cprof

    home = public_folder / "nobody"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    assert cprof.__file__ is not None
    shutil.copytree(Path(cprof.__file__).parent, public_folder / "site" / "cprof")
    for path in (public_folder / "site").rglob("*"):
        path.chmod(0o755)
    python = _reachable_python(home)
    if python is None:
        pytest.skip("no Python >= 3.11 that the user nobody can run")
    return Nobody(python, home)
