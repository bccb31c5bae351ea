"""How often 95 % intervals of `cprof.diff` hold the truth, and how often there is an alarm
where nothing changed, on simulated profiles whose truth is known.

    python bench/coverage.py [RUNS]     (100: some minutes)
"""

import random
import sys
from pathlib import Path

import cprof

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/unit"))
import simulated

SHARES = [0.4, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, *[0.215 / 14] * 14]
CHANGED = {1: 0.16, 3: 0.09}


def trial(draw: random.Random, settings: dict[str, float]) -> tuple[bool, int, int, bool]:
    """Was there an alarm without a change; of two diffs how many intervals held the truth, of
    how many; was the change of f3 found?"""
    new = [CHANGED.get(i, share) for i, share in enumerate(SHARES)]
    a, same, b = (
        simulated.profile(draw, shares, n_callers=2, **settings) for shares in (SHARES, SHARES, new)
    )
    none, some = cprof.diff(a, same), cprof.diff(a, b)
    held = sum(row.low <= 0 <= row.high for row in none.rows)
    for row in some.rows:
        i = int(row.function[1:])
        truth = new[i] / sum(new) - SHARES[i] / sum(SHARES)
        held += row.low <= truth <= row.high
    found = any(row.function == "f3" and row.state == "grew" for row in some.rows)
    return bool(none.changed), held, len(none.rows) + len(some.rows), found


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    print(f"{'seconds':>7} {'Hz':>4} {'threads':>7} {'visit':>5}  alarms  held  found   ({n} runs)")
    for seconds, hz in ((2, 99), (10, 99), (60, 99), (2, 997), (10, 997)):
        for threads in (1, 4, 8):
            for visit in (1, 5, 20, 50):
                if seconds * hz * threads > 12_000:
                    continue
                draw = random.Random(visit)
                settings = {"visit": visit, "seconds": seconds, "hz": hz, "threads": threads}
                trials = [trial(draw, settings) for _ in range(n)]
                alarms, held, rows, found = (sum(part) for part in zip(*trials, strict=True))
                print(
                    f"{seconds:7d} {hz:4d} {threads:7d} {visit:5d}  {100 * alarms / n:5.1f}%"
                    f"  {100 * held / rows:4.1f}%  {100 * found / n:4.0f}%",
                    flush=True,
                )


if __name__ == "__main__":
    main()
