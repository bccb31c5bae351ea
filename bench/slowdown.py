"""How much slower the target is while it is sampled: CPU time of the same work with and
without a profiler, for a loop that measures itself and for a compile. "The kernel alone" opens
the events that cprof opens and throws away what they give."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import harness
from harness import NONE, Profiler

REPEATS = 15
LOOP_MILLIONS = 700  # about two seconds


def profilers() -> list[Profiler]:
    wanted = [NONE]
    for freq in (99, harness.FREQ):
        alone = (str(harness.built("samples")), "-", str(freq), "0")
        wanted.append(Profiler(f"the kernel alone, {freq} Hz", alone))
        wanted.append(harness.cprof(f"cprof record -F {freq}", freq=freq))
        exact = f"cprof record -F {freq} --stack exact"
        wanted.append(harness.cprof(exact, "--stack", "exact", freq=freq))
        wanted.append(harness.perf(f"perf record -F {freq} -g", "-g", freq=freq))
    return harness.usable(wanted)


def own_clock(folder: Path, profiler: Profiler) -> float:
    """CPU seconds of the loop by its own clock."""
    words = {"out": str(folder / "sampled")}
    command = [word.format(**words) for word in profiler.before]
    command += [str(folder / "loop"), str(LOOP_MILLIONS)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    return float(done.stdout)


def compile_clock(folder: Path, profiler: Profiler) -> float:
    """CPU seconds of the compile by the kernel's count."""
    return harness.run(profiler, harness.compile_command(folder), folder).target


def measure(
    clock: Callable[[Path, Profiler], float], folder: Path, repeats: int
) -> dict[str, list[float]]:
    """Slow-down in percent by profiler: each run against the mean of the runs without a
    profiler before and after its round, as the machine's own pace drifts."""
    kinds = profilers()
    slower: dict[str, list[float]] = {profiler.name: [] for profiler in kinds}
    before = clock(folder, NONE)
    for turn in range(repeats):
        first = turn % (len(kinds) - 1)
        others = [*kinds[1 + first :], *kinds[1 : 1 + first]]
        times = {profiler.name: clock(folder, profiler) for profiler in others}
        after = clock(folder, NONE)
        base = (before + after) / 2
        for name, seconds in times.items():
            slower[name].append(100 * (seconds / base - 1))
        slower[NONE.name].append(100 * (after / before - 1))
        before = after
    return slower


def show(slower: dict[str, Sequence[float]]) -> None:
    rows = []
    for name in [NONE.name, *(n for n in slower if n != NONE.name)]:
        values = slower[name]
        low, middle, high = harness.quartiles(values)
        rows.append((name, f"{middle:+.2f} %", f"{low:+.2f} to {high:+.2f} %"))
    harness.table(("profiler", "slower", "half of the runs"), rows)


def main() -> None:
    with harness.programs() as folder:
        print(f"the loop, {REPEATS} rounds; the first line is the noise: the same run again")
        show(measure(own_clock, folder, REPEATS))
        rounds = REPEATS // 2
        print(f"the compile, {rounds} rounds")
        show(measure(compile_clock, folder, rounds))


if __name__ == "__main__":
    main()
