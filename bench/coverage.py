"""How often 95 % intervals hold the truth, and how often there is an alarm where nothing
changed: `cprof.diff`, `Profile.share` and `cprof.compare` on simulated profiles whose truth is
known, and on windows of a program that does the same again and again.

    python bench/coverage.py [RUNS] [LANE ...]     (100 within phases compare recorded)
"""

import math
import random
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cprof

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/unit"))
import pprofs
import simulated

SHARES = [0.4, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, *[0.215 / 14] * 14]
CHANGED = {1: 0.16, 3: 0.09}
FORTY = [0.2, 0.1, 0.08, 0.05, *[0.57 / 36] * 36]
LOOP = """
import json, re, zlib
text = json.dumps([{"key": i, "word": "abc" * (i % 7)} for i in range(3000)])
while True:
    for _ in range(3):
        packed = zlib.compress(text.encode(), 6)
        again = json.loads(zlib.decompress(packed))
        re.findall(r"(b+c)a", text)
    sorted(again, key=lambda one: (one["word"], -one["key"]))
"""


def percent(n: float, of: float) -> str:
    return f"{100 * n / max(of, 1):5.1f}%"


def held_by_size(rows: "Sequence[Any]", new: Sequence[float]) -> Iterator[tuple[int, bool]]:
    """Of the largest four functions: does the interval hold the true change?"""
    for row in rows:
        i = int(row.function[1:])
        if i < 4:
            truth = new[i] / sum(new) - SHARES[i] / sum(SHARES)
            yield i, row.low <= truth <= row.high


def within(draw: random.Random, n: int, settings: dict[str, Any]) -> str:
    """One line: alarms without a change, false `moved`, intervals that hold (no change, a
    change, shares), and how often a change of 5 % to 9 % was found."""
    new = [CHANGED.get(i, share) for i, share in enumerate(SHARES)]
    alarms = moved = found = 0
    held = [[0, 0], [0, 0], [0, 0]]
    for _ in range(n):
        a, same, b = (
            simulated.profile(draw, shares, n_callers=2, **settings)
            for shares in (SHARES, SHARES, new)
        )
        none, some = cprof.diff(a, same), cprof.diff(a, b)
        states = {row.state for row in none.rows}
        alarms += states != {"same"}
        moved += "moved" in states
        found += any(row.function == "f3" and row.state == "grew" for row in some.rows)
        for rows, truth, count in ((none.rows, SHARES, held[0]), (some.rows, new, held[1])):
            for _, is_held in held_by_size(rows, truth):
                count[0] += is_held
                count[1] += 1
        for i in range(4):
            e = a.share(f"f{i}", "self")
            held[2][0] += e.low <= SHARES[i] / sum(SHARES) <= e.high
            held[2][1] += 1
    parts = [percent(alarms, n), percent(moved, n), *(percent(*one) for one in held)]
    return "  ".join([*parts, percent(found, n)])


def lane_within(n: int) -> None:
    """Visits of threads, of any length."""
    for seconds, hz in ((2, 99), (10, 99), (60, 99), (2, 997), (10, 997)):
        for threads in (1, 4, 8):
            for visit in (1, 5, 20, 50):
                if seconds * hz * threads <= 12_000:
                    report(n, visit=visit, seconds=seconds, hz=hz, threads=threads)


def lane_phases(n: int) -> None:
    """The whole program changes what it does from time to time; and visits of equal length."""
    for seconds, threads, visit, phase in (
        (10, 1, 1, 0.1), (10, 1, 1, 0.5), (10, 4, 1, 0.5), (20, 4, 1, 1), (10, 1, 1, 2),
        (10, 4, 1, 2), (10, 4, 5, 5),
    ):  # fmt: skip
        report(n, visit=visit, seconds=seconds, hz=99, threads=threads, phase=phase)
    for threads, visit in ((1, 5), (4, 50)):
        report(n, visit=visit, seconds=10, hz=99, threads=threads, is_regular=True)


def report(n: int, **settings: Any) -> None:
    line = within(random.Random(settings["visit"]), n, settings)
    what = ", ".join(f"{name} {value}" for name, value in settings.items())
    print(f"{line}  {what}", flush=True)


def run(draw: random.Random, shares: Sequence[float], noises: Sequence[float]) -> cprof.Profile:
    """One of repeated runs: every function off by its noise, and by what sampling adds; half
    of each comes from either caller, off by a quarter of the noise."""
    stacks = {}
    for i, (share, noise) in enumerate(zip(shares, noises, strict=True)):
        cost, part = 50_000 * share * math.exp(draw.gauss(0, noise)), draw.gauss(0.5, noise / 4)
        part = min(max(part, 0.1), 0.9)
        for caller, count in (("x", cost * part), ("y", cost * (1 - part))):
            stacks[f"main@p;{caller}@p;f{i}@p"] = max(round(draw.gauss(count, count**0.5)), 0)
    return pprofs.profile({stack: count for stack, count in stacks.items() if count})


def lane_compare(n: int) -> None:
    """Repeated runs with 4 % of noise: 40 functions, one of which grows by a fifth."""
    more = [share * (1.2 if i == 2 else 1) for i, share in enumerate(FORTY)]
    for k in (5, 4, 3, 2):
        for unequal in (0, 0.5, 1):
            draw, alarms, moved, found = random.Random(7), 0, 0, 0
            for _ in range(n):
                noises = [0.04 * math.exp(draw.gauss(0, unequal)) for _ in FORTY]
                a, b, c = (
                    [run(draw, shares, noises) for _ in range(k)] for shares in (FORTY, FORTY, more)
                )
                states = {row.state for row in cprof.compare(a, b).rows}
                alarms += states != {"same"}
                moved += "moved" in states
                rows = cprof.compare(a, c).rows
                found += any(row.function == "f2" and row.state == "grew" for row in rows)
            parts = [percent(alarms, n), percent(moved, n), percent(found, n)]
            print(f"{'  '.join(parts)}  {k} and {k}, noise differs by e^{unequal}", flush=True)


def lane_recorded(n: int) -> None:
    """Python in a loop, recorded once: adjacent windows of it. Nothing changes but by chance."""
    profile = cprof.record([sys.executable, "-c", LOOP], duration=min(n, 120), freq=499)
    for length in (0.5, 1, 2, 4):
        bounds = [1 + length * i for i in range(int((profile.duration - 1) / length))]
        windows = [profile.window(a, b) for a, b in pairwise(bounds)]
        diffs = [cprof.diff(a, b) for a, b in zip(windows[::2], windows[1::2], strict=False)]
        alarms = sum(bool(diff.changed) for diff in diffs)
        by_stack = sum(any(row.state != "same" for row in diff.stacks) for diff in diffs)
        rows = [row for diff in diffs for row in diff.rows if max(row.base, row.new) > 0.02]
        held = sum(row.low <= 0 <= row.high for row in rows)
        parts = [percent(alarms, len(diffs)), percent(by_stack, len(diffs))]
        print(f"{'  '.join(parts)}  {percent(held, len(rows))}  {len(diffs)} pairs of {length} s")


LANES = {
    "within": ("alarms  moved    held: same, changed, share   found", lane_within),
    "phases": ("alarms  moved    held: same, changed, share   found", lane_phases),
    "compare": ("alarms  moved   found", lane_compare),
    "recorded": ("alarms by stack  held", lane_recorded),
}


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    for name in sys.argv[2:] or LANES:
        head, lane = LANES[name]
        print(f"\n{name}: {(lane.__doc__ or '').splitlines()[0]} ({n} runs)\n{head}")
        lane(n)


if __name__ == "__main__":
    main()
