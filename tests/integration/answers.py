"""How the tests read a profile, and what a workload says about itself."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import cprof

Stack = tuple[str, ...]


def truth(output: str) -> dict[str, int]:
    """What a workload printed: "hot 700 warm 300" -> {"hot": 700, "warm": 300}."""
    words = output.split()
    return {name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}


def shares(values: dict[str, int]) -> dict[str, float]:
    """Each value as a part of their sum."""
    total = sum(values.values())
    return {name: value / total for name, value in values.items()}


def totals(profile: cprof.Profile, names: Iterable[str], column: str = "total") -> dict[str, int]:
    """The total (or self) of each named function, 0 when it is not there. Totals hold the
    clock calls, also those into the kernel, of a function that looks at its clock."""
    rows: Counter[str] = Counter()
    for row in profile.functions():
        rows[row.function] += row[column]
    return {name: rows[name] for name in names}


def stacks(profile: cprof.Profile) -> Counter[Stack]:
    """Samples by stack, the outermost function first."""
    core = profile._core
    columns = profile.columns
    counts: Counter[int] = Counter()
    for number, samples in zip(columns["stack"], columns["samples"], strict=True):
        counts[number] += samples
    result: Counter[Stack] = Counter()
    for number, count in counts.items():
        result[tuple(name for name, _ in reversed(core.stack(number)))] += count
    return result


def part(counts: Counter[Stack], test: Callable[[Stack], bool]) -> float:
    """The part of the samples whose stack passes the test."""
    return sum(n for stack, n in counts.items() if test(stack)) / counts.total()


def recorded(
    tmp_path: Path, command: Iterable[object], **options: object
) -> tuple[cprof.Profile, str]:
    """The profile of a command, and what it wrote to stdout."""
    output = tmp_path / "stdout"
    words = [str(word) for word in command]
    script = 'out=$1; shift; exec "$@" >"$out"'
    profile = cprof.record(["sh", "-c", script, "sh", str(output), *words], **options)  # type: ignore[arg-type]
    return profile, output.read_text()


def is_gone(pid: int, seconds: float = 10) -> bool:
    """Whether the process ends (a zombie has ended) within `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def interrupt_group(process: "subprocess.Popen[str]") -> None:
    """What a terminal does at Ctrl-C: the signal goes to the whole process group."""
    os.killpg(os.getpgid(process.pid), signal.SIGINT)
