"""What repeated runs tell of a change: how far apart runs of the same side are.

Few runs tell little of the spread of one function, but many functions together tell what
spread is usual. So each function's variance is moderated by that of all: by how much is
itself estimated (Smyth, Statistical Applications in Genetics and Molecular Biology 3, 2004,
"limma"). Its t has then more degrees of freedom than the runs give, and a q of 0.05 can be
reached with few runs, where a permutation of 5 and 5 cannot go below 2 / 252.

That rests on a model. From 4 and 4 runs on, what a function must exceed besides is the
largest t of *all* functions when runs change sides (Westfall and Young 1993, maxT): one
test for all of them, so 2 / 252 is small enough, and it needs no model.
"""

import math
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from operator import itemgetter, truediv

from cprof import stats
from cprof.contrast import LEAST
from cprof.diff import Diff
from cprof.diff_notes import lengths, quality
from cprof.profile import Profile, added
from cprof.sides import Items, check_values, merged, run_sums, unit_of
from cprof.within import ALPHA, verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_POWER = 0.8
_FEW = 3  # functions do not tell how alike they are
_EXCHANGES = 500  # that are drawn where there are more
_TINY = 1e-4


def comparison(
    bases: Sequence[Profile], news: Sequence[Profile], mode: str, sample_type: str | None
) -> Diff:
    """See `cprof.compare`; at least three runs, one on each side."""
    runs = [*bases, *news]
    names = [f"run {i + 1} of the base" for i in range(len(bases))]
    names += [f"run {i + 1} of the new side" for i in range(len(news))]
    units = [unit_of(run, mode, name) for run, name in zip(runs, names, strict=True)]
    type_index = bases[0]._type(sample_type)
    core = merged(runs, names)
    starts = [0]
    for run, name in zip(runs, names, strict=True):
        starts.append(starts[-1] + run._core.n)
        check_values(core, range(*starts[-2:]), type_index, name)

    def compared(*, is_by_stack: bool) -> "tuple[list[Any], Moderated, list[float]]":
        items = Items(core, is_by_stack=is_by_stack)
        keys, pairs = items.keys()
        sums, weights = run_sums(items, keys, starts, runs, type_index)
        whole = [run[-1] if unit is None else unit for run, unit in zip(sums, units, strict=True)]
        least = LEAST * math.fsum(map(truediv, weights, whole)) / len(runs)
        there = [i for i in range(items.n) if any(run[i] for run in sums)]
        table = [[run[i] / one for run, one in zip(sums, whole, strict=True)] for i in there]
        own = Moderated(table, len(bases), least)
        parts = _parts(items.n, pairs, sums, dict(zip(there, table, strict=True)))
        callers = Moderated([row for _, row in parts], len(bases), least) if parts else None
        rows = _rows(items, there, own, [f for f, _ in parts], callers)
        return rows, own, whole

    rows, tests, whole = compared(is_by_stack=False)
    sides = [part[0] if len(part) == 1 else added(part) for part in (bases, news)]
    lasting = [math.fsum(run.duration for run in part) / len(part) for part in (bases, news)]
    return Diff(
        sides[0],
        sides[1],
        rows,
        mode=mode,
        type_index=type_index,
        notes=[
            *_notes(bases, news, tests),
            *lengths(lasting[0], lasting[1], mode),
            *quality(sides),
        ],
        core=core,
        scales=(1 / math.fsum(whole[: len(bases)]), 1 / math.fsum(whole[len(bases) :])),
        heading=f"base: {_runs(bases)}\nnew: {_runs(news)}",
        stacks=lambda: compared(is_by_stack=True)[0],
    )


def _parts(
    n_items: int,
    pairs: Sequence[tuple[int, int]],
    sums: Sequence[Sequence[float]],
    values: Mapping[int, Sequence[float]],
) -> list[tuple[int, list[float]]]:
    """Of functions with several callers, by caller: (function, by run what this caller's part
    would cost if the function cost the same in every run). In this unit parts vary as
    functions do: by what sampling adds, and in proportion to their size."""
    n_callers = Counter(function for function, _ in pairs)
    parts = []
    for i, (function, _) in enumerate(pairs, n_items):
        if n_callers[function] > 1 and all(run[function] for run in sums):
            mean = math.fsum(values[function]) / len(sums)
            parts.append((function, [mean * run[i] / run[function] for run in sums]))
    return [(function, row) for function, row in parts if any(row)]


def _runs(runs: Sequence[Profile]) -> str:
    commands = ", ".join(dict.fromkeys(run.command for run in runs if run.command))
    seconds = math.fsum(run.duration for run in runs)
    n = sum(run.samples for run in runs)
    text = f"{len(runs)} run{'s' if len(runs) > 1 else ''}, {n:,d} samples in {seconds:.2f} s"
    return f"{commands}: {text}" if commands else text


class Moderated:
    """By row of a table (one value for each run, those of the base first) the moderated t
    statistic of the difference of means."""

    def __init__(self, table: Sequence[Sequence[float]], n_base: int, least: float = 1e-12) -> None:
        """`least`, times a mean, is the variance that sampling alone makes."""
        n_new = len(table[0]) - n_base
        self.n = (n_base, n_new)
        self.base = [math.fsum(row[:n_base]) / n_base for row in table]
        self.new = [math.fsum(row[n_base:]) / n_new for row in table]
        self.df = n_base + n_new - 2
        variances = [
            math.fsum((x - (b if i < n_base else n)) ** 2 for i, x in enumerate(row)) / self.df
            for row, b, n in zip(table, self.base, self.new, strict=True)
        ]
        means = [
            (b * n_base + n * n_new) / len(table[0])
            for b, n in zip(self.base, self.new, strict=True)
        ]
        usual = usual_variances(means, variances, least)
        self.prior, factor = _prior([v / u for v, u in zip(variances, usual, strict=True)], self.df)
        self.total_df = self.df + self.prior
        self.squares = [self.prior * factor * u for u in usual]  # what the prior counts for
        self.variances = [
            (square + self.df * v) / self.total_df
            for square, v in zip(self.squares, variances, strict=True)
        ]
        self.table = table
        self.errors = [math.sqrt(v * (1 / n_base + 1 / n_new)) for v in self.variances]

    def p(self, i: int) -> float:
        return stats.t_tail((self.new[i] - self.base[i]) / self.errors[i], self.total_df)

    def exchanged(self, exchanges: Sequence[tuple[int, ...]]) -> tuple[list[float], list[float]]:
        """By exchange of runs the p-value of the largest t of all rows; and by row the p-value
        of its t as it is, with the same variances."""
        scale = 1 / self.n[0] + 1 / self.n[1]
        rows = []
        for row, square in zip(self.table, self.squares, strict=True):
            mean = math.fsum(row) / len(row)
            centred = tuple(x - mean for x in row)
            rows.append((centred, square + math.fsum(x * x for x in centred)))
        largest = []
        for side in exchanges:
            part = itemgetter(*side)
            # the difference of means is `scale` times the side's sum, and what is not between
            # the sides is within them
            largest.append(
                max(
                    moved / (square - moved)
                    for c, square in rows
                    if (moved := scale * sum(part(c)) ** 2)
                )
            )
        own = itemgetter(*range(self.n[0]))
        seen = [
            moved / (square - moved) for c, square in rows for moved in (scale * sum(own(c)) ** 2,)
        ]
        return [self._p_of(x) for x in largest], [self._p_of(x) for x in seen]

    def _p_of(self, ratio: float) -> float:
        """Of t squared over the degrees of freedom."""
        return stats.t_tail(math.sqrt(ratio * self.total_df), self.total_df)


def p_largest(tables: "Sequence[Moderated]") -> list[list[float]]:
    """By table, by row, how often the smallest p of all rows of all tables is as small as this
    row's when runs change sides; an empty list where so few runs could not say so at 5 %."""
    exchanges = _exchanges(*tables[0].n)
    if not exchanges:
        return []
    both = [table.exchanged(exchanges) for table in tables]
    smallest = sorted(min(p) for p in zip(*(drawn for drawn, _ in both), strict=True))
    return [[_part_below(smallest, p) for p in seen] for _, seen in both]


def _exchanges(n_base: int, n_new: int) -> list[tuple[int, ...]]:
    """The runs that become the base: all ways, or some that are drawn, the true one among
    them; none where the true one could not be one of the rarest 5 %."""
    n, alike = n_base + n_new, 2 if n_base == n_new else 1
    if n_base < 2 or n_new < 2 or alike / math.comb(n, n_base) > ALPHA:
        return []
    if math.comb(n, n_base) <= _EXCHANGES:
        return list(combinations(range(n), n_base))
    draw = random.Random(0)
    drawn = (tuple(draw.sample(range(n), n_base)) for _ in range(_EXCHANGES - 1))
    return [tuple(range(n_base)), *drawn]


def _part_below(ordered: Sequence[float], value: float) -> float:
    return bisect_right(ordered, value * (1 + 1e-9)) / len(ordered)


def usual_variances(
    means: Sequence[float], variances: Sequence[float], least: float
) -> list[float]:
    """What variance is usual for a mean m: a m + b m^2, where a is what sampling adds, and b
    the square of how runs differ in proportion. Both are fitted to the variances over their
    expected size, again and again, so that large functions do not decide alone; a is `least`
    at least."""
    known = [(m, v) for m, v in zip(means, variances, strict=True) if m > 0]
    a, b = math.fsum(v for _, v in known) / math.fsum(m for m, _ in known), 0.0
    for _ in range(30):
        weights = [1 / (max(a, least) * m + b * m * m) ** 2 for m, _ in known]
        a, b = _fit(known, weights)
    return [max(a, least) * m + b * m * m for m in means]


def _fit(points: Sequence[tuple[float, float]], weights: Sequence[float]) -> tuple[float, float]:
    """a, b >= 0 that make a m + b m^2 closest to v."""
    s = [math.fsum(w * m**k for (m, _), w in zip(points, weights, strict=True)) for k in (2, 3, 4)]
    y1 = math.fsum(w * v * m for (m, v), w in zip(points, weights, strict=True))
    y2 = math.fsum(w * v * m * m for (m, v), w in zip(points, weights, strict=True))
    determinant = s[0] * s[2] - s[1] * s[1]
    if determinant > 1e-12 * s[0] * s[2]:
        a, b = (y1 * s[2] - y2 * s[1]) / determinant, (y2 * s[0] - y1 * s[1]) / determinant
        if a >= 0 and b >= 0:
            return a, b
    only_a, only_b = y1 / s[0], y2 / s[2]
    return (only_a, 0.0) if only_a * y1 >= only_b * y2 else (0.0, only_b)


def _prior(ratios: Sequence[float], df: float) -> tuple[float, float]:
    """Degrees of freedom of the common variance and its factor, from how much the functions'
    variances, as parts of the usual, differ beyond chance (Smyth 2004, section 6.2)."""
    logs = [math.log(max(r, _TINY)) for r in ratios]
    most = max(6.0, 1.5 * df)  # however alike functions seem
    if len(logs) < _FEW:
        return most / 2, 1.0
    e = [z - _digamma(df / 2) + math.log(df / 2) for z in logs]
    mean = math.fsum(e) / len(e)
    seen = math.fsum((x - mean) ** 2 for x in e) / (len(e) - 1)
    # a standard error more: to trust a common variance too much makes alarms
    spread = seen * (1 + math.sqrt(3 / len(e))) - _trigamma(df / 2)
    if spread <= 0:
        return most, math.exp(mean)
    half = _trigamma_inverse(spread)
    return min(2 * half, most), math.exp(mean + _digamma(half) - math.log(half))


def _digamma(x: float) -> float:
    """By recurrence and the asymptotic series (Abramowitz and Stegun 6.3.5, 6.3.18)."""
    shift = 0.0
    while x < 10:
        shift -= 1 / x
        x += 1
    square = 1 / (x * x)
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square / 240)))
    return shift + math.log(x) - 0.5 / x - series


def _trigamma(x: float) -> float:
    """By recurrence and the asymptotic series (Abramowitz and Stegun 6.4.6, 6.4.12)."""
    shift = 0.0
    while x < 10:
        shift += 1 / (x * x)
        x += 1
    square = 1 / (x * x)
    series = 1 / 6 - square * (1 / 30 - square * (1 / 42 - square / 30))
    return shift + 1 / x + square / 2 + square / x * series


def _trigamma_inverse(y: float) -> float:
    low, high = 1e-6, 1e8
    for _ in range(100):
        middle = math.sqrt(low * high)
        if _trigamma(middle) > y:
            low = middle
        else:
            high = middle
    return low


def _rows(
    items: Items,
    there: Sequence[int],
    own: Moderated,
    functions: Sequence[int],
    callers: Moderated | None,
) -> "list[Any]":
    """One row for each item of `there`; `callers` has a row for each of `functions`, which
    come several times. All tests are one family for the error rate."""
    of_callers = _smallest(
        functions, [callers.p(i) for i in range(len(functions))] if callers else []
    )
    n_callers = Counter(functions)
    of_callers = {f: min(p * n_callers[f], 1.0) for f, p in of_callers.items()}
    p = [own.p(i) for i in range(len(there))]
    q = stats.benjamini_hochberg([*p, *of_callers.values()])
    q_callers = dict(zip(of_callers, q[len(p) :], strict=True))
    if largest := p_largest([own, callers] if callers else [own]):
        q = [max(pair) for pair in zip(q, largest[0], strict=False)]
        least = _smallest(functions, largest[1]) if callers else {}
        q_callers = {f: max(q_callers[f], least[f]) for f in least}
    reach = stats.critical(1 - ALPHA, own.total_df)
    rows = []
    for i, item in enumerate(there):
        base, new, half = own.base[i], own.new[i], reach * own.errors[i]
        delta, test = new - base, (p[i], q[i])
        numbers = (base, new, delta, delta - half, delta + half)
        rows.append(
            items.row(
                item,
                *numbers,
                *verdict(base, new, test, (of_callers.get(item, 1.0), q_callers.get(item, 1.0))),
            )
        )
    return rows


def _smallest(functions: Sequence[int], p: Sequence[float]) -> dict[int, float]:
    """By function the smallest of its several."""
    least: dict[int, float] = {}
    for function, one in zip(functions, p, strict=True):
        least[function] = min(one, least.get(function, 1.0))
    return least


def _notes(bases: Sequence[Profile], news: Sequence[Profile], tests: Moderated) -> list[str]:
    n = len(tests.base)
    reach = stats.critical(1 - ALPHA / n, tests.total_df) + stats.normal_quantile(_POWER)
    how = (
        f"{len(bases)} runs against {len(news)}: moderated t with "
        f"{tests.df} + {tests.prior:.0f} degrees of freedom; what differs from run to "
        "run is in the intervals"
    )
    lines = [how]
    effects = sorted(
        reach * error / base for error, base in zip(tests.errors, tests.base, strict=True) if base
    )
    if effects:
        lines.append(
            f"smallest change that is found {100 * _POWER:.0f} % of the time: "
            f"{100 * effects[len(effects) // 2]:.2g} % of a function's own cost (median)"
        )
        if effects[len(effects) // 2] > 0.5:
            lines.append(
                "inconclusive where it says `same`: runs differ so much, or are so few, that it "
                "may have changed as well; record more runs"
            )
    return lines
