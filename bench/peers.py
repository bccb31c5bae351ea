"""What each profiler does and does not do, tried here: start as an ordinary user at
perf_event_paranoid=2, record a C program, name the functions of a stripped one, name the
functions of a Python program."""

import contextlib
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import harness
from harness import Profiler

NOBODY = 65534
FUNCTION = "count_words_again_and_again"
SCRIPT = f"""
def {FUNCTION}():
    for _ in range(40):
        sorted(str(i) for i in range(100_000))
{FUNCTION}()
"""


def py_spy() -> Profiler:
    program = harness.find("py-spy") or "py-spy"
    command = (program, "record", "--nonblocking", "-r", "200", "-f", "raw", "-o", "{out}", "--")
    return Profiler("py-spy record", command)


def names_by_cprof(place: Path) -> set[str]:
    import cprof

    return {row.function for row in cprof.load(place / "out.pb.gz").functions() if row.self}


def names_by_perf(place: Path) -> set[str]:
    command = ["perf", "script", "--no-inline", "-i", place / "out", "-F", "ip,sym"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    text = done.stdout.decode(errors="replace")
    leaves = [block.strip().splitlines()[0] for block in text.split("\n\n") if block.strip()]
    return {leaf.strip().partition(" ")[2] for leaf in leaves}


def names_by_samply(place: Path) -> set[str]:
    with gzip.open(place / "out.json.gz") as file:
        profile = json.load(file)
    return {
        thread["stringArray"][name]
        for thread in profile["threads"]
        for name in thread["funcTable"]["name"]
    }


def names_by_py_spy(place: Path) -> set[str]:
    text = (place / "out").read_text()
    return {frame.split(" ")[0] for line in text.splitlines() for frame in line.split(";")}


READERS: dict[str, Callable[[Path], set[str]]] = {
    "cprof": names_by_cprof,
    "perf": names_by_perf,
    "samply": names_by_samply,
    "py-spy": names_by_py_spy,
}


@contextlib.contextmanager
def for_nobody(folder: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A place where nobody can write, with the tools that are under a private home."""
    place = folder / "nobody"
    place.mkdir()
    os.chown(place, NOBODY, NOBODY)
    folder.chmod(0o755)
    site = folder / "site"
    package = Path(__import__("cprof").__file__).parent
    shutil.copytree(package, site / "cprof", ignore=shutil.ignore_patterns("__pycache__"))
    yield place, {"PATH": os.environ["PATH"], "HOME": str(place), "PYTHONPATH": str(site)}


def start_as_nobody(
    profiler: Profiler, command: Sequence[str], folder: Path, place: Path, env: dict[str, str]
) -> str:
    words = [word.format(out=place / "out") for word in profiler.before]
    tool = folder / Path(words[0]).name
    if words[0] == sys.executable:
        words[0] = "/usr/bin/python3"
    elif not tool.exists():
        shutil.copy(shutil.which(words[0]) or words[0], tool)
        tool.chmod(0o755)
        words[0] = str(tool)
    done = subprocess.run(
        [*words, *command],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd=place,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    made = [path for path in place.glob("out*") if path.stat().st_size > 500]
    for path in place.iterdir():
        path.unlink() if path.is_file() else shutil.rmtree(path)
    return "yes" if done.returncode == 0 and made else "no"


def names(profiler: Profiler, command: Sequence[str], folder: Path) -> set[str] | None:
    """The names in what the profiler found; None where it refused."""
    with tempfile.TemporaryDirectory(dir=folder) as name, harness.paranoid(profiler.paranoid):
        place = Path(name)
        words = [word.format(out=place / "out") for word in profiler.before]
        done = subprocess.run(
            [*words, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )
        return READERS[profiler.name.split()[0]](place) if done.returncode == 0 else None


def is_name(text: str) -> bool:
    """Not an address and not "[unknown]"."""
    return bool(text) and not re.fullmatch(r"(0x)?[0-9a-f]+|\[.*\].*|_?_?vdso.*", text)


def main() -> None:
    profilers = harness.usable(
        [
            harness.cprof(),
            harness.perf("perf record dwarf", "--call-graph", "dwarf,32768"),
            harness.samply(),
            py_spy(),
        ]
    )
    level = int(harness.PARANOID.read_text())
    rows = []
    with harness.programs() as folder, for_nobody(folder) as (place, env):
        (folder / "script.py").write_text(SCRIPT)
        shutil.copy(folder / "burner", folder / "stripped")
        subprocess.run(["strip", "--strip-all", str(folder / "stripped")], check=True)
        python = ["/usr/bin/python3", str(folder / "script.py")]
        for profiler in profilers:
            started = "-"
            if os.geteuid() == 0 and level == 2:
                started = start_as_nobody(profiler, python, folder, place, env)
            loop = names(profiler, [str(folder / "loop"), "300"], folder)
            bare = names(profiler, [str(folder / "stripped"), "slices", "1"], folder)
            script = names(profiler, python, folder)
            rows.append(
                (
                    profiler.name,
                    started,
                    "refused"
                    if loop is None
                    else "named"
                    if any(name.startswith("mix") for name in loop)
                    else "no names",
                    "refused" if bare is None else ", ".join(sorted(filter(own, bare))) or "none",
                    "yes" if script and any(FUNCTION in name for name in script) else "no",
                )
            )
    harness.table(
        (
            *("profiler", "starts as ordinary user at perf_event_paranoid=2"),
            *("function of a C program", "names in a stripped program"),
            "function of a Python program",
        ),
        rows,
    )


def own(name: str) -> bool:
    """Whether it may be the name of a function of the stripped program itself."""
    return is_name(name) and (name.startswith("stripped!") or name in ("hot", "warm", "main"))


if __name__ == "__main__":
    main()
