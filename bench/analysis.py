"""Reading, tops, merges and differences of large pprof files, beside `go tool pprof` on the
same files: CPU time and peak memory of whole commands."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import harness
from files import block, number, varint

REPEATS = 3
GOOGLE = "github.com/google/pprof"
LARGE = "internal/proftest/testdata/large.cpu"
SAMPLES, STACKS, FUNCTIONS, DEPTH = 1_000_000, 100_000, 5_000, 30
MERGED = {"large.cpu": 100, "the same, summed": 10}  # pprof holds 64 files at once


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one command: seconds of wall and of CPU time, peak bytes in memory."""

    wall: float
    cpu: float
    peak: int


def cost(command: Sequence[str], folder: Path) -> Cost:
    """By the kernel's own count of the process (wait4). Python finds its bytecode in `folder`,
    as it does where cprof is installed."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    start = os.times().elapsed
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
    assert process.stderr
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"bench: {' '.join(command)[:200]}: {said.decode()[-500:]}")
    wall = os.times().elapsed - start
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def large_cpu(folder: Path) -> Path | None:
    """google/pprof's large sample file, by the Go module proxy; None where that fails."""
    done = subprocess.run(
        ["go", "mod", "download", "-json", f"{GOOGLE}@latest"],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    path = Path(json.loads(done.stdout or "{}").get("Dir", "/nonexistent")) / LARGE
    if not path.exists():
        print(f"({LARGE} of {GOOGLE} is not to be had: left out)")
        return None
    return Path(shutil.copy(path, folder / "large.cpu"))


def stacks(chance: random.Random) -> Iterator[list[int]]:
    """STACKS different stacks of location numbers, leaf first: each follows one before it for
    some way from the root and then goes its own, as those of real programs do."""
    before = [1]
    for leaf in range(STACKS):
        shared = chance.randint(1, len(before))
        own = chance.randint(1, max(2, 2 * (DEPTH - shared)))
        new = [chance.randint(1, FUNCTIONS) for _ in range(own)]
        before = [*before[:shared], *new, FUNCTIONS + 1 + leaf % 2000][: 2 * DEPTH]
        yield before[::-1]


def tables(strings: list[str]) -> bytes:
    """A mapping, and a location with a function of its own for each number that stacks use."""
    strings += ["/usr/bin/prog", "prog.c"]
    path = len(strings) - 2
    body = block(3, number(1, 1) + number(2, 1 << 22) + number(3, 1 << 40) + number(5, path))
    for i in range(1, FUNCTIONS + 2001):
        strings.append(f"some_library::class_{i % 97}::function_{i}(int, char const*)")
        names = number(2, len(strings) - 1) + number(3, len(strings) - 1) + number(4, path + 1)
        line = block(4, number(1, i) + number(2, i % 900 + 1))
        body += block(5, number(1, i) + names)
        body += block(4, number(1, i) + number(2, 1) + number(3, (1 << 22) + 64 * i) + line)
    return body


def write_million(path: Path) -> None:
    """A profile of SAMPLES samples, each with its own time, thread and process, and STACKS
    stacks, some of which come far more often than others."""
    chance = random.Random(1)
    strings = ["", "samples", "count", "cpu", "nanoseconds", "pid", "id", "tid", "timestamp_ns"]
    types = block(1, number(1, 1) + number(2, 2)) + block(1, number(1, 3) + number(2, 4))
    packed = [block(1, b"".join(map(varint, stack))) for stack in stacks(chance)]
    pid = block(3, number(1, 5) + number(3, 4000) + number(4, 6))
    tids = [pid + block(3, number(1, 7) + number(3, 4000 + i) + number(4, 6)) for i in range(8)]
    values = block(2, varint(1) + varint(1_000_000))
    with subprocess.Popen(["gzip", "-1"], stdin=subprocess.PIPE, stdout=path.open("wb")) as gzip:
        assert gzip.stdin
        gzip.stdin.write(types + tables(strings))
        for i in range(SAMPLES):
            stack = i if i < STACKS else int(STACKS * chance.random() ** 3)
            time = block(3, number(1, 8) + number(3, 10**18 + 10**6 * i) + number(4, 4))
            gzip.stdin.write(block(2, packed[stack] + values + tids[stack % 8] + time))
        gzip.stdin.write(b"".join(block(6, text.encode()) for text in strings))
        gzip.stdin.write(number(12, 1_000_000) + number(10, SAMPLES * 10**6))


def recorded(folder: Path, path: Path) -> Path:
    """What cprof writes of it: one sample for each stack and thread."""
    code = "import sys, cprof; cprof.load(sys.argv[1]).write(sys.argv[2])"
    summed = folder / "summed.pb.gz"
    subprocess.run([*harness.CPROF[:1], "-c", code, str(path), str(summed)], check=True)
    return summed


def compare(
    what: str, ours: Sequence[str], theirs: Sequence[str], repeats: int, folder: Path
) -> list[str]:
    """A line of the table: both commands in turn, medians and ratios."""
    costs: dict[str, list[Cost]] = {"ours": [], "theirs": []}
    for _ in range(repeats):
        costs["ours"].append(cost(ours, folder))
        costs["theirs"].append(cost(theirs, folder))

    def middle(side: str, kind: str) -> float:
        return harness.median([getattr(one, kind) for one in costs[side]])

    line = [what]
    for kind, text in (("wall", "{:.2f} s"), ("cpu", "{:.2f} s"), ("peak", "{:.0f} MiB")):
        scale = 2**20 if kind == "peak" else 1
        own, other = (middle(side, kind) / scale for side in ("ours", "theirs"))
        line += [f"{text.format(own)}, {text.format(other)}", f"{own / other:.2f}"]
    return line


def main() -> None:
    tool = subprocess.run(["go", "tool", "-n", "pprof"], capture_output=True, text=True, check=True)
    top = (tool.stdout.strip(), "-symbolize=none", "-top", "-nodecount=20")  # without go's start
    ours = (*harness.CPROF, "top", "-n", "20")
    with TemporaryDirectory(prefix="cprof-bench-") as name:
        folder = Path(name)
        million = folder / "million.pb.gz"  # made elsewhere: what we hold is our children's least
        subprocess.run([sys.executable, __file__, str(million)], check=True)
        cost([*harness.CPROF, "--version"], folder)
        files = {"large.cpu": large_cpu(folder), "1,000,000 samples": million}
        files["the same, summed"] = recorded(folder, million)
        rows = []
        for title, path in files.items():
            if not path:
                continue
            one, repeats = str(path), REPEATS if path.stat().st_size < 10 << 20 else 1
            base, many = f"-diff_base={one}", [one] * MERGED.get(title, 0)
            jobs = {"load and top": [one], "difference": [base, one]}
            if many:
                jobs[f"merge of {len(many)}"] = many
            for job, words in jobs.items():
                repeats = 1 if words is many else repeats
                rows.append(
                    compare(f"{title}: {job}", [*ours, *words], [*top, *words], repeats, folder)
                )
                print(*rows[-1], flush=True)
        head = ["", "wall: cprof, pprof", "ratio", "CPU", "ratio", "peak", "ratio"]
        harness.table(head, rows)


if __name__ == "__main__":
    write_million(Path(sys.argv[1]))
