"""A heavy `g++ -O2` compile at 997 Hz under each profiler: what the profiler itself costs, in
all and for each further sample, how much slower the compiler is, and how many of the stacks
are whole."""

import gzip
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import harness
from harness import Profiler

REPEATS = 7
REPEATS_LONG = 3
SHORT, LONG = 1, 300  # depths of two compiles; what they differ by is not start-up
DWARF = ("--call-graph", "dwarf,32768")
NO_INLINES, INLINES = ("--no-inline",), ("--inline",)
NAMES_ONLY = harness.cprof("cprof record --no-lines", "--no-lines")
# Where a stack of a process ends when it is whole; some tools leave out the last one.
STARTS = re.compile(r"_start|__libc_start_(call_)?main(_impl)?(@.*)?|_dl_start(_user)?")
PROGRAM = "cc1plus"


def share(outermost: Iterable[bool]) -> tuple[int, float]:
    """How many stacks of the compiler proper there are, and the part that is whole."""
    whole = list(outermost)
    return len(whole), sum(whole) / len(whole) if whole else 0.0


def seen_by_cprof(place: Path) -> Iterator[bool]:
    import cprof

    core = cprof.load(place / "out.pb.gz").filter(comm=PROGRAM)._core
    counts = memoryview(core.column("samples"))
    for stack, count in zip(memoryview(core.column("stack")), counts, strict=True):
        is_whole = bool(STARTS.fullmatch(core.stack(stack)[-1][0]))
        yield from (is_whole for _ in range(count))


def seen_by_perf(place: Path) -> Iterator[bool]:
    command = ["perf", "script", "--no-inline", "-i", place / "out", "-F", "comm,ip,sym"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    for block in done.stdout.decode(errors="replace").split("\n\n"):
        lines = block.strip("\n").splitlines()
        if lines and lines[0].split()[0] == PROGRAM:
            _, _, name = lines[-1].strip().partition(" ")
            yield bool(STARTS.fullmatch(name.strip()))


def entries() -> list[tuple[str, int]]:
    """(file name, offset of its entry point from where it is loaded) of the compiler and of
    the program that loads it: samply's file has addresses, not names."""
    path = subprocess.run(
        ["gcc", f"-print-prog-name={PROGRAM}"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    found = []
    for file in (path, "/lib64/ld-linux-x86-64.so.2"):
        headers = subprocess.run(
            ["readelf", "--file-header", "--program-headers", "--wide", file],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        entry = re.search(r"Entry point\D*(0x[0-9a-f]+)", headers)
        base = re.search(r"LOAD +0x[0-9a-f]+ (0x[0-9a-f]+)", headers)
        if entry and base:
            found.append((Path(file).name, int(entry[1], 16) - int(base[1], 16)))
    return found


def seen_by_samply(place: Path) -> Iterator[bool]:
    with gzip.open(place / "out.json.gz") as file:
        profile = json.load(file)
    starts = entries()
    for thread in profile["threads"]:
        if thread["processName"] != PROGRAM:
            continue
        stacks, frames, functions = (
            thread[name] for name in ("stackTable", "frameTable", "funcTable")
        )
        for stack in thread["samples"]["stack"]:
            if stack is None:
                yield False
                continue
            while stacks["prefix"][stack] is not None:
                stack = stacks["prefix"][stack]
            frame = stacks["frame"][stack]
            resource = functions["resource"][frames["func"][frame]]
            library = thread["resourceTable"]["lib"][resource] if resource >= 0 else None
            name = profile["libs"][library]["name"] if library is not None else ""
            address = frames["address"][frame]
            yield any(name == file and 0 <= address - at < 64 for file, at in starts)


READERS = {"cprof": seen_by_cprof, "perf": seen_by_perf, "samply": seen_by_samply}


def whole_run(folder: Path, perf: Profiler) -> None:
    """Everything from start to written file."""
    profilers = harness.usable(
        [
            harness.NONE,
            harness.cprof(),
            NAMES_ONLY,
            perf,
            harness.perf("perf -g (frame pointers)", "-g"),
            harness.samply(),
        ]
    )
    seen: dict[str, tuple[int, float]] = {}

    def look(profiler: Profiler, place: Path) -> None:
        kind = profiler.name.split()[0]
        if kind in READERS:
            seen[profiler.name] = share(READERS[kind](place))

    runs = harness.interleaved(profilers, harness.compile_command(folder), folder, REPEATS, look)
    base = harness.median(r.target for r in runs[harness.NONE.name])
    own = {name: harness.median(r.own for r in all_runs) for name, all_runs in runs.items()}
    against = harness.ratios(own, harness.cprof().name)
    print(f"{REPEATS} runs of each in turn; medians (least-most)")
    rows = []
    for name, all_runs in runs.items():
        target = harness.median(r.target for r in all_runs)
        samples, whole = seen.get(name, (0, 0.0))
        is_none = name == harness.NONE.name
        rows.append(
            (
                name,
                harness.spread([r.own for r in all_runs]),
                "-" if is_none else against[name],
                f"{target:.2f}",
                "-" if is_none else f"{100 * (target / base - 1):+.1f} %",
                "-" if is_none else f"{samples:,d}",
                "-" if is_none else f"{100 * whole:.1f} %",
                harness.mib(max(r.peak for r in all_runs)),
                harness.mib(harness.median(r.kept for r in all_runs)),
                f"{harness.median(r.wall for r in all_runs):.2f}",
            )
        )
    harness.table(
        (
            *("profiler", "own CPU s", "to cprof", "target CPU s", "slower"),
            *(f"{PROGRAM} samples", "whole stacks", "disk, most", "disk, kept", "wall s"),
        ),
        rows,
    )


def each_sample(folder: Path, profilers: Sequence[Profiler]) -> None:
    """Own CPU of a short and of a long compile, and what the latter's samples cost."""
    profilers = harness.usable(profilers)
    short, long = (
        harness.interleaved(profilers, harness.compile_command(folder, depth), folder, REPEATS_LONG)
        for depth in (SHORT, LONG)
    )
    slopes, rows = {}, []
    for name in short:
        own = [harness.median(r.own for r in runs[name]) for runs in (short, long)]
        target = [harness.median(r.target for r in runs[name]) for runs in (short, long)]
        slopes[name] = (own[1] - own[0]) / (harness.FREQ * (target[1] - target[0]))
        rows.append([name, f"{own[0]:.3f}", f"{own[1]:.3f}", f"{1e6 * slopes[name]:.1f}"])
    against = harness.ratios(slopes, harness.cprof().name)
    seconds = [harness.median(r.target for r in runs[profilers[0].name]) for runs in (short, long)]
    print(
        f"compiles of {seconds[0]:.1f} and {seconds[1]:.1f} s, {REPEATS_LONG} runs of each in turn;"
        f" {harness.FREQ} samples a second of the compiler's CPU time"
    )
    head = ("profiler", "own CPU s, short", "long", "us each further sample", "to cprof")
    harness.table(head, [[*row, against[row[0]]] for row in rows])


def inlines(folder: Path, profilers: Sequence[Profiler]) -> None:
    """Lines and inlined functions, too: one run of a short compile, as perf takes long."""
    runs = {
        profiler.name: harness.run(profiler, harness.compile_command(folder, SHORT), folder)
        for profiler in harness.usable(profilers)
    }
    against = harness.ratios({n: r.own for n, r in runs.items()}, harness.cprof().name)
    print(f"a compile of {runs[harness.cprof().name].target:.1f} s, one run of each")
    rows = [(name, f"{run.own:.3f}", against[name]) for name, run in runs.items()]
    harness.table(("profiler", "own CPU s", "to cprof"), rows)


def deep_stacks(folder: Path) -> None:
    """How many of the compiler's stacks reach the start, and of those that fit the copy."""
    import cprof

    command = harness.compile_command(folder)
    rows = []
    for stack in ("dump", "auto", "exact"):
        profile = cprof.record(command, freq=harness.FREQ, stack_bytes=65528, stack=stack)
        quality = profile.filter(comm=PROGRAM).quality
        whole, samples = quality["complete"], quality["samples"]
        fitting = 1 - (quality["truncated"] + quality["continued"]) / samples
        of_fitting = (whole - quality["continued"] / samples) / fitting
        rows.append(
            (
                *(stack, f"{samples:,d}", f"{100 * of_fitting:.3f} %"),
                *(f"{quality[name]:,d}" for name in ("continued", "refused", "truncated")),
                f"{100 * whole:.3f} %",
            )
        )
    print("stacks of the compiler, of which 65,528 bytes are copied")
    fit = "to the start, of those that fit"
    harness.table(("stack=", "samples", fit, "continued", "refused", "truncated", "all"), rows)


def main() -> None:
    plain = harness.perf("perf dwarf,32768 + script", *DWARF, script=NO_INLINES)
    with_inlines = harness.perf(f"{plain.name} with inlines", *DWARF, script=INLINES)
    with harness.programs() as folder:
        whole_run(folder, plain)
        each_sample(folder, [harness.cprof(), NAMES_ONLY, plain, harness.samply()])
        inlines(folder, [harness.cprof(), NAMES_ONLY, plain, with_inlines])
        deep_stacks(folder)


if __name__ == "__main__":
    main()
