"""Memory of the recorder after as many samples as an hour at 99 Hz on two CPUs gives, reached
sooner at a higher frequency. What grows with the samples is the table of events; what grows
with the variety of the stacks is the same for a minute and for an hour of a program."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import harness

CPUS = 2
SAMPLES = 3600 * 99 * CPUS
FREQ = 10_000
SECONDS_MAX = 240

# In a process of its own, as `cprof record -p` is; it notes how large it gets.
RECORDER = """
import json, os, sys, time
import cprof

def memory(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key)) * 1024

wanted, freq, most, out, *pids = sys.argv[1:]
steps = []
start = time.monotonic()
with cprof.Recorder([int(pid) for pid in pids], freq=float(freq)) as recorder:
    while recorder.stats["samples"] < int(wanted) and time.monotonic() - start < float(most):
        recorder.wait(0.5)
        steps.append((recorder.stats["samples"], memory("VmRSS")))
stopped = memory("VmHWM")
profile = recorder.profile
profile.write(out)
columns = ("time", "pid", "tid", "cpu_id", "thread", "stack", "cpu")
print(json.dumps({
    "steps": steps,
    "stopped": stopped,
    "written": memory("VmHWM"),
    "rows": sum(profile.columns[name].itemsize for name in columns),
    "samples": profile.samples,
    "lost": profile.lost,
    "seconds": time.monotonic() - start,
    "rings": recorder.stats["rings"] * recorder.stats["ring_bytes"],
    "file": os.path.getsize(out),
    "stacks": len(set(profile.columns["stack"])),
}))
"""

PYTHON_LOOP = """
import json, re, random
random.seed(1)
while True:
    rows = [{"n": i, "text": str(random.random())} for i in range(2000)]
    text = json.dumps(rows, indent=1)
    json.loads(text)
    re.sub(r"[0-9]+", lambda m: m[0][::-1], text)
    sorted(rows, key=lambda row: row["text"])
"""


@contextmanager
def busy(command: list[str]) -> Iterator[list[int]]:
    """As many processes at work as there are CPUs to fill."""
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(CPUS)]
    try:
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure(command: list[str]) -> dict[str, object]:
    with busy(command) as pids, tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "out.pb.gz")
        words = [str(SAMPLES), str(FREQ), str(SECONDS_MAX), out, *map(str, pids)]
        done = subprocess.run(
            [sys.executable, "-c", RECORDER, *words], stdout=subprocess.PIPE, check=True
        )
    result: dict[str, object] = json.loads(done.stdout)
    return result


def slope(steps: list[tuple[int, int]]) -> float:
    """Bytes of memory for each further sample, over the second half of the recording."""
    half = steps[len(steps) // 2 :]
    n = len(half)
    mean_x, mean_y = sum(x for x, _ in half) / n, sum(y for _, y in half) / n
    above = sum((x - mean_x) * (y - mean_y) for x, y in half)
    below = sum((x - mean_x) ** 2 for x, _ in half)
    return above / below if below else 0.0


def main() -> None:
    rows = []
    with harness.programs() as folder:
        targets = {
            "a loop (C)": [str(folder / "burner"), "forever"],
            "an interpreter (python3)": ["/usr/bin/python3", "-c", PYTHON_LOOP],
        }
        for name, command in targets.items():
            facts = measure(command)
            rows.append(
                (
                    name,
                    f"{facts['samples']:,d}",
                    f"{facts['lost']:,d}",
                    f"{facts['stacks']:,d}",
                    f"{facts['seconds']:.0f}",
                    harness.mib(facts["stopped"]),
                    harness.mib(facts["written"]),
                    harness.mib(facts["rings"]),
                    f"{slope(facts['steps']):.1f}",
                    str(facts["rows"]),
                    harness.mib(facts["file"]),
                )
            )
    print(f"{SAMPLES:,d} samples are an hour at 99 Hz on {CPUS} CPUs; here at {FREQ:,d} Hz")
    harness.table(
        (
            *(f"{CPUS} x", "samples", "lost", "stacks", "seconds", "most memory, recording"),
            *("most memory, written", "of it rings", "bytes a further sample"),
            *("bytes a row", "file"),
        ),
        rows,
    )


if __name__ == "__main__":
    main()
