"""Profiles whose truth is known: threads that visit functions, one after the other, chosen by
given shares, sampled at a steady rate."""

import random
from array import array
from bisect import bisect
from collections.abc import Sequence

from cprof import Profile, _core

NONE = 2**32 - 1


def profile(
    draw: random.Random,
    shares: Sequence[float],
    *,
    visit: float = 1,
    seconds: float = 10,
    hz: float = 99,
    threads: int = 1,
    n_callers: int = 1,
    has_times: bool = True,
    phase: float = 0,
    is_regular: bool = False,
) -> Profile:
    """Functions f0, f1 ... of these shares; visits last `visit` samples on average (geometric,
    or exactly so many where `is_regular`) and come from one of `n_callers` callers c0, c1 ...
    each. Where there is a `phase`, all threads change together between two kinds of phases of
    so many seconds on average, which prefer one half of the functions each; shares are right
    on average."""
    choices = range(len(shares))
    rows: list[tuple[int, int, int]] = []
    kinds, changes = _phases(draw, shares, phase, seconds)
    for thread in range(threads):
        function, caller = 0, 0
        for i in range(round(seconds * hz)):
            is_over = i % visit == 0 if is_regular else draw.random() * visit < 1
            if not i or is_over:
                now = kinds[bisect(changes, i / hz) % 2]
                function = draw.choices(choices, now)[0]
                caller = draw.randrange(n_callers)
            time = 10**9 + int((i + thread / threads) / hz * 1e9)
            rows.append((time, thread, n_callers + function * n_callers + caller))
    return build(sorted(rows), n_callers, len(shares), threads, seconds, int(1e9 / hz), has_times)


def _phases(
    draw: random.Random, shares: Sequence[float], phase: float, seconds: float
) -> tuple[list[Sequence[float]], list[float]]:
    """The shares in both kinds of phases, and when phases change."""
    if not phase:
        return [shares, shares], []
    total = sum(shares)
    signs = [1 if i % 2 else -1 for i in range(len(shares))]
    mean = sum(sign * share for sign, share in zip(signs, shares, strict=True)) / total
    tilts = [0.6 * (sign - mean) for sign in signs]
    kinds = [
        [share * (1 + side * tilt) for share, tilt in zip(shares, tilts, strict=True)]
        for side in draw.sample((-1, 1), 2)
    ]
    changes = [draw.expovariate(1 / phase)]
    while changes[-1] < seconds:
        changes.append(changes[-1] + draw.expovariate(1 / phase))
    return kinds, changes


def build(
    rows: Sequence[tuple[int, int, int]],
    n_callers: int,
    n_functions: int,
    threads: int,
    seconds: float,
    period: int,
    has_times: bool,
) -> Profile:
    """Of (time, thread, node): nodes are the callers, then each function under each caller."""
    names = [f"c{i}" for i in range(n_callers)] + [f"f{i}" for i in range(n_functions)]
    n = len(names)
    under = [(c, n_callers + f) for f in range(n_functions) for c in range(n_callers)]
    return Profile(
        _core.build(
            {
                "sample_types": [("samples", "count"), ("cpu", "nanoseconds")],
                "mappings": [(0x1000, 0x900000, 0, "/bin/prog", "prog", "ab")],
                "functions": [(name, name, "", 0, "prog") for name in names],
                "locations": (array("Q", range(0x1000, 0x1000 + n)), array("I", [0] * n)),
                "lines": (
                    array("I", range(n)), array("I", range(n)),
                    array("q", [1] * n), array("I", [0] * n),
                ),
                "nodes": (
                    array("I", [*[NONE] * n_callers, *(c for c, _ in under)]),
                    array("I", [*range(n_callers), *(f for _, f in under)]),
                ),
                "threads": [(7, 7 + i, "worker", "prog", []) for i in range(threads)],
                "rows": {
                    "time": array("Q", [row[0] for row in rows]) if has_times else None,
                    "thread": array("I", [row[1] for row in rows]),
                    "stack": array("I", [row[2] for row in rows]),
                    "values": [None, array("q", [period] * len(rows))],
                },
                "run": {"command": "prog", "event": "task-clock", "start_mono": 10**9},
                "span": (0.0, float(seconds)),
            }
        )
    )  # fmt: skip
