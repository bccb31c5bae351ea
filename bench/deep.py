"""Stacks that are deeper than what a sample can copy, 64 KiB, in exact mode: how many reach the
start, and how many of those are wrong where the program says what they have to be."""

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import harness

import cprof
from cprof.profile import HOW

SECONDS = "3"
CONTINUED = 1 << HOW.index("continued")
FOLLOWS = {"one": "two", "two": "three", "three": "one"}
RECURSION = """
import sys, time
sys.setrecursionlimit(10000)
def down(n):
    return n and list(map(down, [n - 1]))
end = time.process_time() + float(sys.argv[1])
while time.process_time() < end:
    down(300)
"""

Judge = Callable[[list[str]], bool]  # the stack's functions, outermost first


def is_climb(stack: list[str]) -> bool:
    """As climb.c descends."""
    steps = [name for name in stack if name in FOLLOWS]
    return steps[:1] == ["one"] and all(FOLLOWS[a] == b for a, b in pairwise(steps))


def is_descent(stack: list[str]) -> bool:
    """As deep.c, with 200 levels, does."""
    return stack.count("descend") == 200


def inputs(folder: Path) -> list[tuple[str, list[str], Judge | None]]:
    climb, deep = (str(folder / name) for name in ("climb", "deep"))
    return [
        ("g++ -O2, deep templates", harness.compile_command(folder, 300), None),
        ("recursion in python3", [sys.executable, "-c", RECURSION, SECONDS], None),
        ("recursion of 200 KiB", [deep, "200", "1024", SECONDS], is_descent),
        ("0 to 400 KiB, never at rest", [climb, SECONDS], is_climb),
        ("the same in 4 threads", [climb, SECONDS, "4"], is_climb),
    ]


def wrong(profile: cprof.Profile, judge: Judge) -> int:
    """How many of the samples whose stack was continued are not as they have to be."""
    core, columns = profile._core, profile.columns
    n = 0
    for stack, how in zip(columns["stack"], columns["how"], strict=True):
        if how & CONTINUED:
            n += not judge([name for name, _ in reversed(core.stack(stack))])
    return n


def row(name: str, profile: cprof.Profile, judge: Judge | None) -> list[str]:
    quality = profile.quality
    deep = quality["continued"] + quality["truncated"]
    return [
        *(name, f"{quality['samples']:,d}", f"{deep:,d}"),
        f"{100 * quality['continued'] / deep:.2f} %" if deep else "-",
        *(f"{quality[key]:,d}" for key in ("refused", "live_dropped", "lost")),
        f"{wrong(profile, judge):,d}" if judge else "-",
    ]


def main() -> None:
    with TemporaryDirectory(prefix="cprof-bench-") as place:
        folder = Path(place)
        harness.compiled(folder, *harness.workloads("climb", "deep"))
        rows = []
        for name, command, judge in inputs(folder):
            profile = cprof.record(command, freq=harness.FREQ, stack="exact", lines=False)
            rows.append(row(name, profile, judge))
    head = ("program", "samples", "deeper", "completed", "refused", "too late", "lost", "wrong")
    harness.table(head, rows)


if __name__ == "__main__":
    main()
