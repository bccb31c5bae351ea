"""What is compared: profiles as sums by function, and by function and caller, each with how
sure it is. `cprof.diff` makes its rows of these."""

import math
from array import array
from collections.abc import Mapping, Sequence
from itertools import pairwise

from cprof import _core
from cprof.contrast import CONSTANT, Side, at_most, visits_of_share, with_visits
from cprof.errors import NoSamples, translated
from cprof.profile import Profile, value_columns
from cprof.rows import DiffRow, StackRow
from cprof.stats import Estimate, critical, wilson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Ratio = tuple[float, float, float, float]  # top, bottom, the ratio's variance and its df

NONE = 2**32 - 1
MODES = ("share", "rate", "raw")
N_DRAWS, SEED = 400, 1
MIN_SLICES, MAX_SLICES = 8, 256
_NS = 1e9


class Items:
    """What of merged profiles is compared, by number: functions, or stacks. `table` has the
    number of each node of the trie of frames."""

    def __init__(self, core: _core.Profile, *, is_by_stack: bool = False) -> None:
        self.core, self.is_by_stack = core, is_by_stack
        self.parent, self.frame, self.node, frames = core.frame_tree(False)
        functions, mappings = core.functions_table, core.mappings
        self.names = [
            (functions[f][0], functions[f][4])
            if f >= 0
            else ("[unknown]", mappings[m][4] if m >= 0 else "")
            for f, _, m in frames
        ]
        self.table = array("I", range(len(self.parent))) if is_by_stack else self.frame
        self.n = len(self.parent) if is_by_stack else len(self.names)

    def row(self, item: int, *numbers: "Any") -> DiffRow | StackRow:
        """What the diff says of an item."""
        return (
            StackRow(self._stack(item), *numbers)
            if self.is_by_stack
            else DiffRow(*self.names[item], *numbers)
        )

    def _stack(self, node: int) -> tuple[str, ...]:
        parent, frame = memoryview(self.parent), memoryview(self.frame)
        names = []
        while node != NONE:
            names.append(self.names[frame[node]][0])
            node = parent[node]
        return tuple(reversed(names))

    def keys(self) -> "tuple[list[tuple[Any, Any, int]], list[tuple[int, int]]]":
        """What to sum by (see `Sums`): the items, then the pairs in the list that follows, of
        (function, its caller); the caller of an outermost frame is `NONE`. Stacks have none."""
        parent, frame = memoryview(self.parent), memoryview(self.frame)
        numbers: dict[tuple[int, int], int] = {}
        table = array("I", [NONE]) * len(frame)
        for node in () if self.is_by_stack else set(memoryview(self.node)):
            caller = parent[node]
            pair = frame[node], frame[caller] if caller != NONE else NONE
            table[node] = numbers.setdefault(pair, len(numbers))
        pairs = list(numbers)
        return [(self.node, self.table, self.n), (self.node, table, len(pairs))], pairs


class Sums:
    """The rows `first` to `last` of merged profiles, which are those of `profile`, as sums of
    one sample type by item and slice of time. `keys` as `_core.blocks` takes them, over the
    merged rows. Where `unit` is a number of seconds, values are per so many seconds, and
    shares of the whole where it is None."""

    def __init__(
        self,
        core: _core.Profile,
        rows: range,
        profile: Profile,
        keys: "Sequence[tuple[Any, Any, int]]",
        type_index: int,
        unit: float | None,
    ) -> None:
        def part(column: "Any") -> memoryview:
            return memoryview(column)[rows.start : rows.stop]

        values = part(core.column(value_columns(core)[type_index]))
        has_times = bool(profile._run["has_times"]) and len(rows) >= MIN_SLICES
        times = profile._core.column("time") if has_times else None
        start, end = self._span(profile, times, is_whole=unit is not None)
        self.n_slices = MIN_SLICES
        while has_times and 2 * self.n_slices <= min(len(rows), MAX_SLICES):
            self.n_slices *= 2
        events = None if has_times else _events(profile, values, type_index)
        threads = profile._core.column("thread") if has_times else None
        lasts = _durations(profile) if has_times else None
        cut = [(part(key), table, n) for key, table, n in keys]
        self._cells = _core.blocks(
            cut, values, events, times, threads, lasts, start, end, self.n_slices
        )
        self.squares = memoryview(self._cells[3])
        self.visits, self.fourths = memoryview(self._cells[4]), memoryview(self._cells[5])
        if not has_times:  # a row is no visit: it may be the sum of many
            self.visits = self.squares
        self.has_times = has_times and end > start
        self.unit = unit
        self.whole_item = len(self.squares) - 1
        self._sums = self._sum_items()
        self.total = self.value(self.whole_item)
        self.visit = self._usual_visit()

    @staticmethod
    def _span(profile: Profile, times: "Any", *, is_whole: bool) -> tuple[int, int]:
        """Where slices begin and end: with the span for amounts, of which idle time is part,
        with the samples for shares, of which it is not."""
        if times is None or not len(times):
            return 0, 0
        first, last = min(memoryview(times)), max(memoryview(times)) + 1
        if not is_whole:
            return first, last
        start = profile._run["start_mono"]
        begin, end = (start + round(t * _NS) for t in profile.span)
        return min(begin, first), max(end, last)

    @property
    def scale(self) -> float:
        """What a sum is multiplied by to give a value."""
        return 1 / (self.total if self.unit is None else self.unit)

    def _sum_items(self) -> list[float]:
        first, _, sums = (memoryview(column).tolist() for column in self._cells[:3])
        return [sum(sums[a:b]) for a, b in pairwise(first)]

    def value(self, item: int) -> float:
        """The sum of an item, over all rows."""
        return self._sums[item]

    def sides(
        self,
        ratios: "array[int]",
        weights: Sequence[float],
        wholes: "Mapping[int, tuple[float, float]] | None" = None,
    ) -> list[Side]:
        """Of each pair (item, item it is part of) in `ratios` one `Side`; `weights` is what an
        event of each adds. A part of `NONE` is the time. `wholes`: of items that others are
        part of, all visits of these (squares and fourth powers)."""
        n = len(ratios) // 2
        if self.has_times:
            first, slices, sums = self._cells[:3]
            drawn = _core.resample(first, slices, sums, self.n_slices, ratios, N_DRAWS, SEED)
            known = wholes or {}
            rows = [
                self._with_visits(row, top, bottom, known.get(bottom))
                for row, top, bottom in zip(drawn, ratios[::2], ratios[1::2], strict=True)
            ]
        else:
            rows = [self._independent(ratios[2 * i], ratios[2 * i + 1]) for i in range(n)]
        parts_of = ratios[1::2]
        return [
            self._amount(row, weight) if part_of == NONE else self._share(row, weight)
            for row, weight, part_of in zip(rows, weights, parts_of, strict=True)
        ]

    def _with_visits(
        self, row: "Ratio", top: int, bottom: int, of: "tuple[float, float] | None"
    ) -> "Ratio":
        value, whole, variance, df = row
        own = self.visits[top], self.fourths[top]
        if bottom == NONE:
            return value, whole, *with_visits(variance, df, own, whole)
        others = of or (self.visits[bottom], self.fourths[bottom])
        share = value / whole if whole else 0.0
        return value, whole, *with_visits(variance, df, visits_of_share(share, own, others), whole)

    def _independent(self, top: int, bottom: int) -> "Ratio":
        """As `_core.resample`, where every event is independent of the others."""
        value, square = self.value(top), self.squares[top]
        if bottom == NONE:
            return value, 1.0, square, float("inf")
        whole = self.value(bottom)
        if not whole:
            return value, whole, 0.0, float("inf")
        share = value / whole
        spread = square * (1 - 2 * share) + share * share * self.squares[bottom]
        return value, whole, max(spread, 0.0) / whole**2, float("inf")

    def _amount(self, row: "Ratio", weight: float) -> Side:
        top, _, variance, df = row
        unit = self.unit or 1.0
        return Side(top / unit, variance / unit**2, df, unit, weight, self.visit / unit)

    def _share(self, row: "Ratio", weight: float) -> Side:
        top, bottom, variance, df = row
        if not bottom:
            return Side(0.0, variance, df, bottom, weight, 0.0)
        return Side(top / bottom, variance, df, bottom, weight, self.visit / bottom)

    def _usual_visit(self) -> float:
        """The median over the items of their visits' sizes, each visit by its size."""
        sizes = [
            square / value
            for square, value in zip(self.visits, self._sums[: self.whole_item], strict=False)
            if value > 0
        ]
        return sorted(sizes)[len(sizes) // 2] if sizes else 0.0


def _durations(profile: Profile) -> "Any":
    """The column that says for how many nanoseconds rows stand; None where none does."""
    for name, (_, unit) in zip(value_columns(profile._core), profile.sample_types, strict=True):
        if unit == "nanoseconds":
            return profile._core.column(name)
    return None


def _events(profile: Profile, values: memoryview, type_index: int) -> "array[int] | None":
    """How many events each row of a file of sums stands for: by the file's own period, else by
    a sample type that counts, else one."""
    run, types = profile._run, profile.sample_types
    core, names = profile._core, value_columns(profile._core)
    if run["period"] and run["period_unit"] == types[type_index][1]:
        period = run["period"]
        return array("q", (round(value / period) for value in values))
    for name, (_, unit) in zip(names, types, strict=True):
        if unit == "count":
            return array("q", memoryview(core.column(name)))
    return None


def merged(sides: Sequence[Profile], names: Sequence[str]) -> _core.Profile:
    """One profile of all rows, those of the first side first. Raises ValueError for sides
    that do not have the same sample types, NoSamples for an empty one."""
    first = sides[0]
    for side, name in zip(sides, names, strict=True):
        if side.sample_types != first.sample_types:
            raise ValueError(
                f"the sides cannot be compared: {names[0]} has {_types(first)}, "
                f"{name} has {_types(side)}"
            )
        if not side._core.n:
            raise NoSamples(f"{name} is empty, so there is nothing to compare")
    with translated():
        return _core.merge([side._core for side in sides])


def _types(profile: Profile) -> str:
    return ", ".join(f"{name}/{unit}" for name, unit in profile.sample_types)


def check_values(core: _core.Profile, rows: range, type_index: int, name: str) -> None:
    """Raise ValueError for negative values, NoSamples where all are 0."""
    column = memoryview(core.column(value_columns(core)[type_index]))[rows.start : rows.stop]
    kind = core.sample_types[type_index][0]
    if min(column) < 0:
        n = sum(value < 0 for value in column)
        values = f"{n:,d} negative value{'s' if n > 1 else ''} of {kind}"
        raise ValueError(
            f"{name} has {values}: it is itself a difference, "
            "which cannot be compared; give the two profiles that it was made of"
        )
    if not any(column):
        raise NoSamples(f"{name} has no {kind}, so there is nothing to compare")


def run_sums(
    items: Items,
    keys: "Sequence[tuple[Any, Any, int]]",
    starts: Sequence[int],
    runs: Sequence[Profile],
    type_index: int,
) -> tuple[list[list[float]], list[float]]:
    """By run, whose rows begin at `starts` and end where the next one's do, the sum of each
    item of `keys` (see `Sums`), then of all; and what an event adds on average."""
    core = items.core
    sums, weights = [], []
    values = memoryview(core.column(value_columns(core)[type_index]))
    for run, (first, last) in zip(runs, pairwise(starts), strict=True):
        part = values[first:last]
        events = None if run._run["has_times"] else _events(run, part, type_index)
        cut = [(memoryview(key)[first:last], table, n) for key, table, n in keys]
        cells = _core.blocks(cut, part, events, None, None, None, 0, 0, 1)
        bounds, totals = (memoryview(cells[i]).tolist() for i in (0, 2))
        sums.append([math.fsum(totals[a:b]) for a, b in pairwise(bounds)])
        weights.append(memoryview(cells[3])[len(bounds) - 2] / totals[-1])
    return sums, weights


def unit_of(side: Profile, mode: str, name: str) -> float | None:
    """What sums are divided by: seconds, 1, or None for the whole."""
    if mode not in MODES:
        raise ValueError(f"no mode {mode!r}: it is one of {', '.join(MODES)}")
    if mode == "rate" and not side.duration > 0:
        raise ValueError(f"{name} does not say how long it lasted, so it has no rates")
    return {"share": None, "raw": 1.0, "rate": side.duration}[mode]


def tree(core: _core.Profile, n_base: int, type_index: int) -> list[tuple[int, str, str, int, int]]:
    """See `Diff.nodes`: of merged profiles, whose first `n_base` rows are the base's."""
    items = Items(core)
    side = array("I", [0]) * n_base + array("I", [1]) * (core.n - n_base)
    (nodes, sides), sums, _ = core.group([items.node, side])
    totals = [[0, 0] for _ in range(len(items.parent) + 1)]
    columns = (memoryview(column) for column in (nodes, sides, sums[type_index]))
    for node, which, value in zip(*columns, strict=True):
        totals[node + 1][which] += value
    above = [-1, *(p + 1 if p != NONE else 0 for p in memoryview(items.parent))]
    for node in range(len(totals) - 1, 0, -1):
        for which in (0, 1):
            totals[above[node]][which] += totals[node][which]
    names = [("all", ""), *(items.names[f] for f in memoryview(items.frame))]
    return [
        (p, function, module, base, new)
        for p, (function, module), (base, new) in zip(above, names, totals, strict=True)
    ]


def share(
    profile: Profile,
    pattern: str | Sequence[str],
    kind: str,
    confidence: float,
    type_index: int,
) -> Estimate:
    """See `Profile.share`."""
    if kind not in ("total", "self"):
        raise ValueError(f"no kind {kind!r} of share: it is 'total' or 'self'")
    core = profile._core
    if not core.n:
        raise NoSamples("an empty profile has no shares")
    check_values(core, range(core.n), type_index, "the profile")
    items = Items(core)
    table = _matching(items, pattern, is_total=kind == "total")
    keys = [(items.node, table, 1), (items.node, items.frame, len(items.names))]
    sums = Sums(core, range(core.n), profile, keys, type_index, None)
    whole = sums.whole_item
    weight = sums.squares[whole] / sums.total
    # the functions are there to tell of the program's phases
    ratios = array("I", [part for item in range(whole) for part in (item, whole)])
    side = sums.sides(ratios, [weight] * whole)[0]
    n = sums.total / weight
    factor = side.factor(True) or n / min(n, CONSTANT)
    df = side.df if side.variance else CONSTANT  # nothing, or everything: it never varies
    low, high = wilson(side.value, n / factor, critical(confidence, df))
    if 0 < side.value < 1:
        high = min(high, at_most(side.value, side.visit, confidence))
        low = max(low, 1 - at_most(1 - side.value, side.visit, confidence))
    return Estimate(side.value, low, high, round(n), n / factor)


def _matching(items: Items, pattern: str | Sequence[str], *, is_total: bool) -> "array[int]":
    """By node 0 where its function, or one of its callers', matches, else `NONE`."""
    from cprof import match

    mask = match.by_function([(name, name, "", 0, module) for name, module in items.names], pattern)
    frame, parent = memoryview(items.frame), memoryview(items.parent)
    table = array("I", [NONE]) * len(frame)
    for node, of in enumerate(frame):
        caller = parent[node]
        if mask[of] or (is_total and caller != NONE and table[caller] == 0):
            table[node] = 0
    return table
