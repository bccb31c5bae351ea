"""What two single recordings tell of a change: how each varies within itself. `cprof.contrast`
has the arithmetic, `cprof.sides` the sums that it is applied to."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from math import fsum

from cprof import stats
from cprof.contrast import LEAST, Contrast, Side
from cprof.diff import Diff
from cprof.diff_notes import notes
from cprof.profile import Profile
from cprof.sides import NONE, Items, Sums, check_values, merged, unit_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ALPHA = 0.05
_FEW_EVENTS = 5  # of a function from one caller, on both sides: no use to test
_CLEARLY_SAME = 1.95  # standard errors: p > 0.05 with any degrees of freedom
NAMES = ("the base", "the new side")


def difference(base: Profile, new: Profile, mode: str, sample_type: str | None) -> Diff:
    """See `cprof.diff`."""
    sides = (base, new)
    units = [unit_of(side, mode, name) for side, name in zip(sides, NAMES, strict=True)]
    type_index = base._type(sample_type)
    core = merged(sides, NAMES)
    ranges = (range(base._core.n), range(base._core.n, core.n))
    for part, name in zip(ranges, NAMES, strict=True):
        check_values(core, part, type_index, name)

    def compared(*, is_by_stack: bool) -> "tuple[list[Any], list[Contrast], list[Sums]]":
        items = Items(core, is_by_stack=is_by_stack)
        keys, pairs = items.keys()
        sums = [
            Sums(core, part, side, keys, type_index, unit)
            for part, side, unit in zip(ranges, sides, units, strict=True)
        ]
        tests = _item_tests(items.n, sums, is_share=mode == "share")
        callers = _caller_tests(items.n, pairs, sums, tests)
        return _rows(items, tests, callers), list(tests.values()), sums

    rows, tests, sums = compared(is_by_stack=False)
    return Diff(
        base,
        new,
        rows,
        mode=mode,
        type_index=type_index,
        notes=notes(sides, sums, tests, mode),
        core=core,
        scales=(sums[0].scale, sums[1].scale),
        stacks=lambda: compared(is_by_stack=True)[0],
    )


def _weights(sums: Sequence[Sums], items: Sequence[int]) -> list[float]:
    """What one event adds to each item, on average over both sides."""
    weights = []
    for item in items:
        total = sum(s.value(item) for s in sums)
        weights.append(sum(s.squares[item] for s in sums) / total if total else 1.0)
    return weights


def _sides(
    sums: Sequence[Sums],
    ratios: Sequence[tuple[int, int]],
    wholes: "Sequence[Mapping[int, tuple[float, float]] | None]" = (None, None),
) -> "Iterator[tuple[Side, Side]]":
    """Both sides of each (item, item that it is part of); `wholes`: see `Sums.sides`."""
    flat = array("I", [item for ratio in ratios for item in ratio])
    weights = _weights(sums, [top for top, _ in ratios])
    base, new = (s.sides(flat, weights, w) for s, w in zip(sums, wholes, strict=True))
    return zip(base, new, strict=True)


def _item_tests(n: int, sums: Sequence[Sums], *, is_share: bool) -> dict[int, Contrast]:
    """By item that has a value on some side."""
    whole = sums[0].whole_item if is_share else NONE
    there = [f for f in range(n) if any(s.value(f) for s in sums)]
    sides = _sides(sums, [(f, whole) for f in there])
    return {f: Contrast(*pair, is_share) for f, pair in zip(there, sides, strict=True)}


def _caller_tests(
    n_functions: int,
    pairs: Sequence[tuple[int, int]],
    sums: Sequence[Sums],
    functions: Mapping[int, Contrast],
) -> dict[int, float]:
    """By function the p-value that the same callers call it, in the same parts: the smallest
    over its callers, times their number (Bonferroni). A function says as much
    of its callers as it has visits, as many as ones of equal length would be."""
    of: dict[int, list[int]] = {}
    for pair, (function, _) in enumerate(pairs):
        of.setdefault(function, []).append(n_functions + pair)
    wholes = [
        {f: (fsum(s.visits[i] for i in of[f]), fsum(s.fourths[i] for i in of[f])) for f in of}
        for s in sums
    ]
    tests, ratios = {}, []
    for function, several in of.items():
        if len(several) > 1 and all(s.value(function) for s in sums):
            able = [pair for pair in several if _n_events(sums, pair) >= _FEW_EVENTS]
            tests[function] = (len(able), [1.0])
            ratios += [(pair, function) for pair in able if _may_differ(sums, pair, function)]
    for (_, function), pair_of_sides in zip(ratios, _sides(sums, ratios, wholes), strict=True):
        visits = [whole[function][0] for whole in wholes]
        most = [s.value(function) ** 2 / v for s, v in zip(sums, visits, strict=True)]
        contrast = Contrast(*pair_of_sides, True, most)
        tests[function][1].append(_p_of_part(contrast))
    return {f: min(min(p) * n, 1.0) for f, (n, p) in tests.items() if n}


def _may_differ(sums: Sequence[Sums], pair: int, function: int) -> bool:
    """Could the parts of `function` that are `pair` differ by more than chance, if samples
    were as sure as they can be (`contrast.LEAST`)?"""
    wholes = [s.value(function) for s in sums]
    values = [s.value(pair) for s in sums]
    pooled = sum(values) / sum(wholes)
    spread = (
        pooled
        * (1 - pooled)
        * sum(s.squares[function] / s.value(function) / s.value(function) for s in sums)
        * LEAST
    )
    delta = values[1] / wholes[1] - values[0] / wholes[0]
    return delta * delta > _CLEARLY_SAME**2 * spread


def _n_events(sums: Sequence[Sums], item: int) -> float:
    """On both sides, as if all were equal."""
    total = sum(s.value(item) for s in sums)
    return total * total / (sum(s.squares[item] for s in sums) or 1.0)


def _p_of_part(contrast: Contrast) -> float:
    """1 where it is clear that it is not below 0.05."""
    if contrast.z_score() < _CLEARLY_SAME:
        return 1.0
    return max(contrast.p_score(), contrast.p_exact())


def _rows(
    items: Items, functions: Mapping[int, Contrast], callers: Mapping[int, float]
) -> "list[Any]":
    """All tests, of functions and of their callers, are one family for the error rate. Too
    few events to ever be told from chance are no test of it (Tarone, Biometrics 46, 1990)."""
    bounds = {f: contrast.bounds() for f, contrast in functions.items()}
    tested = [f for f, contrast in functions.items() if contrast.p_least() < ALPHA]
    p = [bounds[f][2] for f in tested] + list(callers.values())
    q = stats.benjamini_hochberg(p)
    q_self = dict(zip(tested, q, strict=False))
    q_callers = dict(zip(callers, q[len(tested) :], strict=True))
    rows = []
    for f, contrast in functions.items():
        low, high, p_self = bounds[f]
        numbers = (contrast.base.value, contrast.new.value, contrast.delta, low, high)
        of_callers = (callers.get(f, 1.0), q_callers.get(f, 1.0))
        test = verdict(
            contrast.base.value, contrast.new.value, (p_self, q_self.get(f, 1.0)), of_callers
        )
        rows.append(items.row(f, *numbers, *test))
    return rows


def verdict(
    base: float, new: float, own: tuple[float, float], callers: tuple[float, float]
) -> tuple[float, float, str]:
    """p, q and state from p and q of the own cost and of the callers."""
    if own[1] >= ALPHA > callers[1]:
        return *callers, "moved"
    return *own, state_of(base, new, own[1])


def state_of(base: float, new: float, q: float) -> str:
    """What became of a function's self cost."""
    if q >= ALPHA:
        return "same"
    if not base or not new:
        return "gone" if base else "new"
    return "grew" if new > base else "shrank"
