"""Profiles whose truth is known: threads that visit functions, one after the other, chosen by
given shares, sampled at a steady rate."""

import random
from array import array
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
) -> Profile:
    """Functions f0, f1 ... of these shares; visits last `visit` samples on average (geometric)
    and come from one of `n_callers` callers c0, c1 ... each."""
    choices = range(len(shares))
    rows: list[tuple[int, int, int]] = []
    for thread in range(threads):
        function, caller = 0, 0
        for i in range(round(seconds * hz)):
            if not i or draw.random() * visit < 1:
                function = draw.choices(choices, shares)[0]
                caller = draw.randrange(n_callers)
            time = 10**9 + int((i + thread / threads) / hz * 1e9)
            rows.append((time, thread, n_callers + function * n_callers + caller))
    return build(sorted(rows), n_callers, len(shares), threads, seconds, int(1e9 / hz), has_times)


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
