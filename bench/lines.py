"""2,000 addresses of a program of 650 MB, nearly all of it debug information: their names,
and their lines with inlined functions, beside other symbolizers. The program is CPROF_BENCH_ELF
(a file with symbols and debug information), or Debian's ceph-osd, which is downloaded."""

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import harness

ADDRESSES = 2000
REPEATS = 3
PATIENCE = 600  # seconds for one of the others
PACKAGES = ("ceph-osd", "ceph-osd-dbg")
KEPT = harness.ROOT / "build" / "bench" / "ceph-osd"

# In a process of its own, as the others are; what it prints is what they print.
OURS = """
import sys, time
from cprof import _core
path, what = sys.argv[1:]
addresses = [int(line, 16) for line in sys.stdin]
start = time.monotonic()
code = _core.Code(path)
readable = {}
def name(symbol):
    if symbol not in readable:
        readable[symbol] = _core.demangle(symbol) or symbol
    return readable[symbol]
if what == "names":
    for address in addresses:
        print(name(code.function(address)[1]))
else:
    for frames in code.lines(addresses):
        for symbol, file, line, *_ in frames:
            print(f"{name(symbol)}\\n{file}:{line}")
print(f"{time.monotonic() - start:.4f}", file=sys.stderr)
"""


def big_program(folder: Path) -> Path:
    if given := os.environ.get("CPROF_BENCH_ELF"):
        return Path(given)
    if not KEPT.exists():
        fetch(folder)
    return KEPT


def fetch(folder: Path) -> None:
    """The packages, their two files put together again and decompressed."""
    subprocess.run(["apt-get", "-q", "download", *PACKAGES], cwd=folder, check=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
    program = folder / "usr" / "bin" / "ceph-osd"
    notes = subprocess.run(
        ["readelf", "-n", str(program)], capture_output=True, text=True, check=False
    ).stdout
    build_id = re.findall(r"Build ID: (\w+)", notes)[0]
    debug = folder / f"usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug"
    whole = folder / "whole"
    subprocess.run(["eu-unstrip", str(program), str(debug), "-o", str(whole)], check=True)
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["objcopy", "--decompress-debug-sections", str(whole), str(KEPT)], check=True)


def some_addresses(path: Path) -> list[int]:
    text = subprocess.run(
        ["nm", "-S", "--defined-only", str(path)], capture_output=True, text=True, check=True
    ).stdout
    functions = [
        (int(start, 16), int(size, 16))
        for start, size in re.findall(r"^(\w+) (\w+) [tTwW] ", text, re.MULTILINE)
    ]
    chooser = random.Random(1)
    sizes = [size for _, size in functions]
    chosen = chooser.choices(functions, sizes, k=ADDRESSES)
    return [start + chooser.randrange(size) for start, size in chosen]


def timed(command: Sequence[str], addresses: str) -> tuple[float, float, float | None]:
    """(seconds, MiB, seconds without its own start) of a command that reads addresses."""
    with tempfile.TemporaryFile("w+") as source, tempfile.TemporaryFile("w+") as note:
        source.write(addresses)
        source.seek(0)
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=source, stdout=subprocess.DEVNULL, stderr=note)
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() - start > PATIENCE:
                process.kill()
            time.sleep(0.005)
        _, _, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = 0
        note.seek(0)
        inside = re.findall(r"^[\d.]+$", note.read(), re.MULTILINE)
    return seconds, used.ru_maxrss / 1024, float(inside[-1]) if inside else None


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="cprof-bench-") as name:
        path = str(big_program(Path(name)))
    size = os.path.getsize(path) / 2**20
    addresses = "".join(f"{address:#x}\n" for address in some_addresses(Path(path)))
    jobs = {
        "cprof, names": [sys.executable, "-c", OURS, path, "names"],
        "cprof, lines and inlines": [sys.executable, "-c", OURS, path, "lines"],
        "llvm-symbolizer --inlines": ["llvm-symbolizer", "--inlines", "-e", path],
        "addr2line -i -f -C": ["addr2line", "-i", "-f", "-C", "-e", path],
        "eu-addr2line -i -f -C": ["eu-addr2line", "-i", "-f", "-C", "-e", path],
    }
    rows = []
    base = 0.0
    print(f"{path}: {size:.0f} MiB; {ADDRESSES:,d} addresses; the file is in the page cache\n")
    for job, command in jobs.items():
        if not harness.find(command[0]):
            print(f"({job}: is not installed; left out)")
            continue
        first = timed(command, addresses)
        runs = [first] if first[0] > 30 else [timed(command, addresses) for _ in range(REPEATS)]
        seconds = [run[0] for run in runs]
        base = base or (harness.median(seconds) if "lines" in job else 0.0)
        ratio = harness.median(seconds) / base if base else 0.0
        late = f"gave up after {PATIENCE} s" if max(seconds) > PATIENCE else harness.spread(seconds)
        inside = [run[2] for run in runs if run[2] is not None]
        rows.append((
            job, late, harness.spread(inside) if inside else "",
            f"{max(run[1] for run in runs):.0f} MiB", f"{ratio:.1f}" if ratio else "",
        ))  # fmt: skip
    head = ("", "seconds", "of them, after its start", "resident", "times cprof with lines")
    harness.table(head, rows)


if __name__ == "__main__":
    main()
