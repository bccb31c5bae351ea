"""How the tests read a profile, and what a workload says about itself."""

import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import cprof

Stack = tuple[str, ...]

UNWINDERS = ("table", "libunwind")  # those that read unwind tables: each has to give the truth
BEFORE_MAIN = ("_start", "__libc_start_main", "__libc_start_call_main", "__libc_start_main_impl")
_STRIPPED_LIBC = re.compile(r"libc\.so\.6!fn_0x")  # __libc_start_call_main without libc6-dbg
# How a workload looks at its clock (see workload.h), at the end of a grammar.
CLOCK = r"( thread_ns)?( clock_ns)?( clock_gettime@plt| _*clock_gettime( __vdso_clock_gettime)?)?"


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


def chains(profile: cprof.Profile) -> Counter[str]:
    """Samples by the user's part of their stack, "main work", without what precedes main."""
    core = profile._core
    columns = profile.columns
    result: Counter[str] = Counter()
    for number, samples in zip(columns["stack"], columns["samples"], strict=True):
        frames = reversed(core.stack(number))
        names = [name for name, module in frames if not module.startswith("[kernel")]
        while names and (names[0] in BEFORE_MAIN or _STRIPPED_LIBC.match(names[0])):
            names.pop(0)
        result[" ".join(names)] += samples
    return result


def check_grammar(profile: cprof.Profile, grammar: str, *, wrong: float = 0.001) -> Counter[str]:
    """The chains with a function of `grammar` in them, of which all but the part `wrong`
    have to match it. The others are the program's start and end, and few."""
    words = set(re.findall(r"\w+", grammar))
    inside = Counter({c: n for c, n in chains(profile).items() if not words.isdisjoint(c.split())})
    assert inside.total() >= 0.95 * profile.samples, chains(profile).most_common(5)
    pattern = re.compile(grammar)
    misfits = Counter({c: n for c, n in inside.items() if not pattern.fullmatch(c)})
    assert misfits.total() <= wrong * inside.total(), misfits.most_common(5)
    return inside


def ends_in(counts: Counter[str], function: str) -> float:
    """The part of the chains whose leaf it is."""
    return sum(n for chain, n in counts.items() if chain.split()[-1] == function) / counts.total()


def part(counts: Counter[Stack], test: Callable[[Stack], bool]) -> float:
    """The part of the samples whose stack passes the test."""
    return sum(n for stack, n in counts.items() if test(stack)) / counts.total()


def is_whole(coverage: float | None) -> bool:
    """Whether the samples stand for the CPU time that the kernel counted; its count runs on
    while a virtual machine is not run, and the samples know better (docs/estimator.md)."""
    return coverage is not None and 0.7 <= coverage <= 1.05


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
