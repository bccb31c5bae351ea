"""What starting costs: `import cprof` and the command line beside a bare interpreter, and
the recording of a very short program."""

import os
import subprocess
import sys
import time

import harness

REPEATS = 25
REPEATS_RECORDING = 9


def once(command: list[str]) -> tuple[float, float]:
    """(wall, CPU) seconds."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"bench: exit status {process.returncode}: {' '.join(command)}")
    return time.monotonic() - start, used.ru_utime + used.ru_stime


def starting() -> None:
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import cprof": [sys.executable, "-c", "import cprof"],
        "cprof --version": [*harness.CPROF, "--version"],
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for turn in range(REPEATS + 1):
        for name, command in commands.items():
            done = once(command)
            if turn:
                times[name].append(done)
    bare = harness.median(wall for wall, _ in times["python -c pass"])
    rows = []
    for name, values in times.items():
        walls = [1e3 * wall for wall, _ in values]
        cpus = harness.spread([1e3 * cpu for _, cpu in values], "{:.1f}")
        beyond = f"{harness.median(walls) - 1e3 * bare:+.1f}"
        rows.append((name, harness.spread(walls, "{:.1f}"), beyond, cpus))
    print(f"{REPEATS} runs of each in turn; medians (least-most)")
    harness.table(("command", "wall ms", "beyond bare python", "CPU ms"), rows)


def recording() -> None:
    """All that a profiler adds to a program of a tenth of a second."""
    profilers = harness.usable(
        [
            harness.NONE,
            harness.cprof(),
            harness.perf("perf record dwarf", "--call-graph", "dwarf,32768"),
            harness.samply(),
        ]
    )
    with harness.programs() as folder:
        command = [str(folder / "loop"), "35"]
        runs = harness.interleaved(profilers, command, folder, REPEATS_RECORDING)
    rows = []
    for name, all_runs in runs.items():
        own = harness.spread([1e3 * run.own for run in all_runs], "{:.0f}")
        wall = harness.spread([1e3 * (run.wall - run.target) for run in all_runs], "{:.0f}")
        rows.append((name, own, wall))
    print("a program of a tenth of a second")
    harness.table(("profiler", "own CPU ms", "wall ms beyond the program's CPU time"), rows)


def main() -> None:
    starting()
    recording()


if __name__ == "__main__":
    main()
