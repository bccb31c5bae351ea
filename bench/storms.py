"""Storms: 10,000 short threads, and 2,000 short processes, with and without a profiler: wall
time, file descriptors that stay open, samples and losses."""

import os
import subprocess
import time
from pathlib import Path

import harness
from harness import NONE

REPEATS = 3
STORMS = (("10,000 threads of 0.1 ms", "threads", 10_000, 100),
          ("2,000 processes of 1 ms", "processes", 2_000, 1000))  # fmt: skip


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def wall(command: list[str]) -> float:
    start = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.monotonic() - start


def main() -> None:
    import cprof

    profilers = harness.usable([NONE, harness.cprof(), harness.perf("perf record -g", "-g")])
    with harness.programs() as folder:
        walls, facts = [], []
        for name, kind, n, microseconds in STORMS:
            command = [str(folder / "storm"), kind, str(n), str(microseconds)]
            for profiler in profilers:
                words = {"out": str(folder / "out")}
                before = [word.format(**words) for word in profiler.before]
                # The storm's own wall time: what a profiler does before and after is not it.
                times = []
                for _ in range(REPEATS):
                    note = folder / "note"
                    wall([*before, str(folder / "wrap"), str(note), *command])
                    times.append(float(note.read_text().split()[1]))
                walls.append((name, profiler.name, harness.spread(times, "{:.2f}")))
            facts.append((name, *recorded(cprof, command, folder)))
    harness.table(("storm", "profiler", "wall s"), walls)
    harness.table(
        (
            *("storm", "samples", "lost", "coverage", "whole stacks"),
            "descriptors open before, after",
        ),
        facts,
    )


def recorded(cprof: object, command: list[str], folder: Path) -> tuple[str, ...]:
    """What the same storm gives when recorded from this process."""
    output = str(folder / "storm-out")
    before = open_files()
    profile = cprof.record(["sh", "-c", f'"$@" >{output}', "sh", *command])  # type: ignore[attr-defined]
    after = open_files()
    quality = profile.quality
    return (
        f"{quality['samples']:,d}",
        f"{quality['lost']:,d}",
        "-" if quality["coverage"] is None else f"{quality['coverage']:.2f}",
        f"{100 * quality['complete']:.1f} %",
        f"{before}, {after}",
    )


if __name__ == "__main__":
    main()
