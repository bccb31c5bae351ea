"""The same recorded samples through each unwinder: time a frame, with a sample's bytes in the
cache (as they are online) and cold, and chains beside libunwind's."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import harness

REFERENCE = "libunwind"
STACK_BYTES = "32768"

Words = dict[str, str]


def inputs(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """What is recorded: a name and a command."""
    compile_with = harness.compile_command(folder)
    yield "g++ -O2", compile_with
    if shutil.which("clang++"):
        yield "clang++ -O2", [word.replace("g++", "clang++") for word in compile_with]
    yield "python3", [sys.executable, str(harness.BENCH / "spin.py"), "3"]
    for flags in (["gcc", "-O2"], ["gcc", "-O0"], ["clang", "-O2"]):
        if not shutil.which(flags[0]):
            continue
        program = str(folder / "-".join(["calltree", *flags]))
        [source] = harness.workloads("calltree")
        subprocess.run([*flags, str(source), "-o", program], check=True)
        yield f"call tree, {' '.join(flags)}", [program, "3"]


def lines(*command: "str | Path") -> Iterator[tuple[str, Words]]:
    """What unwind.c prints: of each line its subject and its pairs."""
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    for line in done.stdout.splitlines():
        _, name, *pairs = line.split()
        yield name, dict(zip(pairs[::2], pairs[1::2], strict=True))


def row(name: str, unwinder: str, found: Words, base: Words) -> list[str]:
    samples = int(found["samples"])

    def share(word: str) -> str:
        return f"{100 * int(found[word]) / samples:.3f} %"

    def speed(word: str) -> str:
        return f"{float(found[word]):.1f} ({float(base[word]) / float(found[word]):.1f}x)"

    first = " ".join(found[at] for at in ("0", "1", "2", "more"))
    return [
        *(name, unwinder, f"{samples:,d}", f"{int(found['frames']) / samples:.1f}"),
        *(speed("hot"), speed("cold"), share("equal"), found["shorter"], found["longer"], first),
        *(share("whole"), share("fallback"), share("guessed")),
    ]


def replay(folder: Path) -> None:
    record, unwind = harness.built("samples"), harness.built("unwind")
    rows = []
    for name, command in inputs(folder):
        samples = folder / "samples"
        words = [str(record), str(samples), str(harness.FREQ), STACK_BYTES, *command]
        subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
        found = dict(lines(unwind, samples))
        rows += [row(name, unwinder, f, found[REFERENCE]) for unwinder, f in found.items()]
    harness.table(
        (
            *("input", "unwinder", "samples", "frames each", "ns/frame hot", "cold", "equal"),
            *("shorter", "longer", "differ at 0 1 2 more", "to the start", "fallback", "guessed"),
        ),
        rows,
    )


def main() -> None:
    with TemporaryDirectory(prefix="cprof-bench-") as name:
        print("CPU time; beside each the ratio to libunwind's (its cache on)")
        replay(Path(name))


if __name__ == "__main__":
    main()
