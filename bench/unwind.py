"""The same recorded samples through each unwinder: time a frame, with a sample's bytes in the
cache (as they are online) and cold, and chains beside libunwind's. Then what the tables of
large files cost to make, and to read back from the disk cache."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import harness

REFERENCE = "libunwind"
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
LARGE = ("libLLVM*.so.1", "libclang-cpp.so.*", "libc.so.6")

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
        words = [str(record), str(samples), str(harness.FREQ), *command]
        subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
        found = dict(lines(unwind, "replay", samples))
        rows += [row(name, unwinder, f, found[REFERENCE]) for unwinder, f in found.items()]
    harness.table(
        (
            *("input", "unwinder", "samples", "frames each", "ns/frame hot", "cold", "equal"),
            *("shorter", "longer", "differ at 0 1 2 more", "to the start", "fallback", "guessed"),
        ),
        rows,
    )


def large_files() -> list[Path]:
    """Files with many rows, as far as they are here."""
    compiler = subprocess.run(
        ["gcc", "-print-prog-name=cc1plus"], stdout=subprocess.PIPE, text=True, check=True
    )
    found = [Path(compiler.stdout.strip()), Path("/usr/bin/python3")]
    found += [path for pattern in LARGE for path in sorted(LIBRARIES.glob(pattern))]
    return [path for path in dict.fromkeys(p.resolve() for p in found) if path.exists()]


def tables(folder: Path) -> None:
    rows = []
    for path, found in lines(harness.built("unwind"), "tables", folder / "cache", *large_files()):
        n, ns = int(found["rows"]), float(found["ns"])
        rows.append(
            (
                *(Path(path).name, f"{n:,d}", found["other"], found["bad"], f"{ns / 1e6:.1f}"),
                *(f"{ns / n:.1f}", f"{float(found['cached']) / 1e6:.2f}", harness.mib(8 * n)),
            )
        )
    head = ("file", "rows", "only libunwind", "left out", "ms", "ns/row", "from cache, ms", "size")
    harness.table(head, rows)


def main() -> None:
    with TemporaryDirectory(prefix="cprof-bench-") as name:
        print("CPU time; beside each the ratio to libunwind's (its cache on)")
        replay(Path(name))
        print("tables")
        tables(Path(name))


if __name__ == "__main__":
    main()
