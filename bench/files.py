"""Files and pictures: writing and reading pprof, and a flame graph of 10,000 frames."""

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import harness

REPEATS = 7
FRAMES = 10_000
DEPTH = 20


def seconds(what: Callable[[], object]) -> list[float]:
    """Of several runs; the first one, which imports what is needed, is not counted."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.monotonic()
        what()
        times.append(time.monotonic() - start)
    return times[1:]


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes((*out, number))


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def block(field: int, payload: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def many_frames() -> bytes:
    """A pprof file whose flame graph has FRAMES boxes: stacks of DEPTH functions of their
    own, all of the same weight."""
    strings = ["", "samples", "count"]
    body = block(1, number(1, 1) + number(2, 2))
    tables = b""
    for leaf in range(DEPTH, FRAMES + 1, DEPTH):
        stack = b"".join(varint(i) for i in range(leaf, leaf - DEPTH, -1))
        body += block(2, block(1, stack) + block(2, varint(1)))
    for i in range(1, FRAMES + 1):
        strings.append(f"function_{i}")
        tables += block(5, number(1, i) + number(2, len(strings) - 1))
        tables += block(4, number(1, i) + block(4, number(1, i)))
    return body + tables + b"".join(block(6, text.encode()) for text in strings)


def main() -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    import cprof

    with harness.programs() as programs, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recorded = cprof.record(harness.compile_command(programs))
        path = folder / "compile.pb.gz"
        many = folder / "many.pb"
        many.write_bytes(many_frames())
        big = cprof.load(many)
        assert len(big._core.tree(0)) == FRAMES + 1

        def draw(extension: str) -> None:
            figure = big.flamegraph(min_width=0).figure
            figure.savefig(folder / f"many.{extension}")
            pyplot.close("all")

        jobs = {
            f"write pprof, {recorded.samples:,d} samples": lambda: recorded.write(path),
            "read it": lambda: cprof.load(path),
            "cprof report of it": lambda: run([*harness.CPROF, "report", str(path)]),
            f"flame graph of {FRAMES:,d} frames, PNG": lambda: draw("png"),
            f"flame graph of {FRAMES:,d} frames, SVG": lambda: draw("svg"),
        }
        if harness.find("go"):
            jobs["go tool pprof -top of it"] = lambda: run(
                ["go", "tool", "pprof", "-top", str(path)]
            )
        rows = [(job, harness.spread(seconds(what))) for job, what in jobs.items()]
        print(f"the file has {path.stat().st_size / 1024:.0f} KiB; {REPEATS} runs; "
              "medians (least-most)")  # fmt: skip
    harness.table(("job", "seconds"), rows)


def run(command: list[str]) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
