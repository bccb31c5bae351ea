"""Tables of unwind rows: making them, and loading them from the cache on disk."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import harness

REPEATS = 11
CORE = harness.ROOT / "csrc" / "core"
SOURCES = ("elf", "elf_cfi", "elf_unwind", "error", "outfile", "unwind_cache", "unwind_program")
SOURCES += ("unwind_rows", "unwind_rows_build")


def build(folder: Path) -> Path:
    """tests/c/rows.c with what it needs of the core."""
    program = folder / "rows"
    files = [harness.ROOT / "tests" / "c" / "rows.c", *(CORE / f"{name}.c" for name in SOURCES)]
    flags = ("-std=gnu11", "-O2", "-iquote", str(CORE))
    subprocess.run(["gcc", *flags, *map(str, files), "-lz", "-o", str(program)], check=True)
    return program


def linked(program: str, *names: str) -> list[Path]:
    """The libraries of these names that a program is linked with."""
    path = shutil.which(program)
    if not path:
        return []
    text = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
    found = (re.search(rf"{name}\S* => (\S+)", text) for name in names)
    return [Path(match[1]) for match in found if match]


def files() -> list[Path]:
    compiler = subprocess.run(
        ["gcc", "-print-prog-name=cc1plus"], capture_output=True, text=True, check=True
    ).stdout.strip()
    others = [Path(compiler), Path(sys.executable).resolve(), *linked("env", "libc")]
    return linked("clang", "libLLVM", "libclang-cpp") + [path for path in others if path.exists()]


def once(program: Path, folder: Path, paths: list[Path]) -> list[tuple[int, float, float]]:
    """(rows, seconds to make, seconds to load) of each file, in a process of its own."""
    command = [str(program), "time", str(folder / "cache"), *map(str, paths)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    split = (line.split() for line in lines)
    return [(int(n), float(making), float(loading)) for n, making, loading in split]


def row(name: str, n: int, making: list[float], loading: list[float]) -> tuple[str, ...]:
    return (
        name,
        f"{n:,d}",
        harness.mib(8 * n),
        harness.spread([1000 * t for t in making], "{:.1f}"),
        f"{1e9 * harness.median(making) / n:.1f}",
        harness.spread([1000 * t for t in loading], "{:.2f}"),
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = build(folder)
        paths = files()
        runs = [once(program, folder, paths) for _ in range(REPEATS + 1)][1:]
    rows = []
    for i, path in enumerate(paths):
        n = runs[0][i][0]
        rows.append(row(path.name, n, [run[i][1] for run in runs], [run[i][2] for run in runs]))
    clang = [i for i, path in enumerate(paths) if path.name.startswith(("libLLVM", "libclang"))]
    if len(clang) > 1:
        making = [sum(run[i][1] for i in clang) for run in runs]
        loading = [sum(run[i][2] for i in clang) for run in runs]
        rows.append(row("clang and LLVM", sum(runs[0][i][0] for i in clang), making, loading))
    print(f"{REPEATS} processes, each making and loading all once; CPU time, medians (least-most)")
    head = ("file", "rows", "memory", "made, ms", "ns a row", "loaded, ms")
    harness.table(head, rows)


if __name__ == "__main__":
    main()
