"""The recording file: bytes a sample, and loading it whole and by a window."""

import random
import sqlite3
import sys
import tempfile
import time
from array import array
from pathlib import Path

import harness

import cprof
from cprof import _core
from cprof.readers import load_profile
from cprof.store_write import write

SECONDS = 60
REPEATS = 5
SAMPLES, STACKS, NODES, LOCATIONS, FUNCTIONS = 1_000_000, 100_000, 150_000, 20_000, 5_000
NONE = 2**32 - 1

PYTHON = """
import json, re, time
data = [{"a": i, "b": [str(i)] * 5, "c": {"x": i * 1.5}} for i in range(3000)]
end = time.monotonic() + %d
while time.monotonic() < end:
    text = json.dumps(data)
    sorted(json.loads(text), key=lambda row: -row["a"])
    re.sub(r"(\\d+)", lambda match: match[1] + "x", text[:20000])
"""


def synthetic(*, is_even: bool) -> _core.Profile:
    """A million samples of four threads in 100,000 stacks, all alike (the worst case for any
    compression: 16.6 bits of noise each), or some more often than others (by Zipf's law)."""
    chance = random.Random(1)
    parents = [NONE, *(i - 1 if chance.random() < 0.6 else chance.randrange(i)
                       for i in range(1, NODES))]  # fmt: skip
    leaves = chance.sample(range(NODES), STACKS)
    weights = None if is_even else [1 / (i + 1) for i in range(STACKS)]
    start, times = 10**12, array("Q")
    for _ in range(SAMPLES):
        start += round(chance.uniform(0.9, 1.1) * 250_752 + chance.expovariate(1 / 20_000))
        times.append(start)
    lines = range(LOCATIONS)
    return _core.build(
        {
            "sample_types": [("samples", "count"), ("cpu", "nanoseconds")],
            "mappings": [(0x400000, 0x4000000, 0, "/usr/bin/prog", "prog", "ab" * 20)],
            "functions": [
                (f"ns::Class{i % 300}::method_{i}(int, char const*)",
                 f"_ZN2ns8Class{i % 300}8method_{i}EiPKc", f"/src/file{i % 200}.cc", i, "prog")
                for i in range(FUNCTIONS)
            ],
            "locations": (
                array("Q", [0x400000 + chance.randrange(0x3000000) for _ in lines]),
                array("I", [0] * LOCATIONS),
            ),
            "lines": (
                array("I", lines),
                array("I", [chance.randrange(FUNCTIONS) for _ in lines]),
                array("q", [chance.randrange(3000) for _ in lines]),
                array("I", [0] * LOCATIONS),
            ),
            "nodes": (
                array("I", parents),
                array("I", [chance.randrange(LOCATIONS) for _ in range(NODES)]),
            ),
            "threads": [(100, 100 + i, f"worker-{i}", "prog") for i in range(4)],
            "rows": {
                "time": times,
                "thread": array("I", [chance.randrange(4) for _ in range(SAMPLES)]),
                "stack": array("I", chance.choices(leaves, weights, k=SAMPLES)),
                "values": [None, array("q", [1_003_009]) * SAMPLES],
            },
            "run": {"event": "task-clock", "start_mono": 10**12, "end_mono": start},
            "span": (0.0, (start - 10**12) / 1e9),
        }
    )  # fmt: skip


def recorded(folder: Path) -> dict[str, cprof.Profile]:
    """Programs at work, at 997 Hz."""
    compile_once = " ".join(harness.compile_command(folder))
    commands = {
        "g++ -O2, again and again": ["timeout", str(SECONDS), "sh", "-c",
                                     f"while :; do {compile_once}; done"],
        "python3": [sys.executable, "-c", PYTHON % SECONDS],
        "xz, two threads": ["sh", "-c", f"timeout {SECONDS} xz -T2 -c </dev/urandom >/dev/null"],
    }  # fmt: skip
    return {name: cprof.record(words, freq=997) for name, words in commands.items()}


def shares(path: Path) -> str:
    """Bytes a sample of the events, and of what they refer to."""
    with sqlite3.connect(path) as db:
        events, n = db.execute(
            "SELECT sum(coalesce(length(time), 0) + coalesce(length(thread), 0) + length(stack) + "
            "coalesce(length(cpu_id), 0) + coalesce(length(how), 0) + coalesce(length(n_added), 0))"
            ", sum(n) FROM chunks"
        ).fetchone()
    return f"{events / n:.2f} + {(path.stat().st_size - events) / n:.2f}"


def times(path: Path, window: tuple[float, float] | None) -> str:
    """CPU time, which is less disturbed by what else runs; there is one thread."""
    taken = []
    for _ in range(REPEATS):
        start = time.process_time()
        load_profile(path, window=window)
        taken.append(time.process_time() - start)
    return harness.spread(taken)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cores = {name: profile._core for name, profile in recorded(folder).items()}
        cores["a million samples, 100,000 stacks by Zipf's law"] = synthetic(is_even=False)
        cores["the same, all stacks alike"] = synthetic(is_even=True)
        rows = []
        for what, core in cores.items():
            path = folder / "x.cprof"
            start = time.process_time()
            write(str(path), {"cpu": core})
            taken = time.process_time() - start
            size = path.stat().st_size / core.n
            rows.append(
                (what, f"{core.n:,d}", f"{size:.2f}", shares(path), f"{taken:.2f}",
                 times(path, None), times(path, (10.0, 14.0)))
            )  # fmt: skip
    head = ("recording", "samples", "bytes a sample", "events + tables", "write, CPU s",
            "load, CPU s", "a window of 4 s, CPU s")  # fmt: skip
    harness.table(head, rows)


if __name__ == "__main__":
    main()
