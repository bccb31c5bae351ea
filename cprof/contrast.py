"""How sure the difference of two sums is, each with a variance of its own: the arithmetic of
a diff, as pure functions of numbers. docs/estimator.md says why it is done so.

A side's *effective count* is how many independent equal events would be as uncertain as its
sum is. Everything goes by these: the interval, and the test.
"""

import functools
import math
from collections.abc import Sequence

from cprof.rows import Row
from cprof.stats import critical, difference, fay_feuer, fisher, t_quantile, t_tail, wilson

PRIOR = 3.0  # effective events that the variance of both sides together counts for
LEAST = 0.25  # of an independent sample's variance: no side varies less than that
CONSTANT = 32.0  # what a sum that never varies, on either side, counts for
DF_PER_EVENT = 2.0  # degrees of freedom that an effective event is good for
VISITS = 3.0  # degrees of freedom that a variance by visits counts for
_ANY = (math.inf, math.inf)
_RARE = 1e6  # a rate is a share of so many possible events


class Side(Row):
    """The sum of one item on one side. `value` is a share of `whole` (0..1) where
    `is_share`, else an amount in `whole` units of time; `variance` is that of `value`, with
    `df` degrees of freedom; `weight` is what one event adds to the sum, `visit` what visits of
    functions usually add to the value."""

    __slots__ = ("value", "variance", "df", "whole", "weight", "visit")
    value: float
    variance: float
    df: float
    whole: float
    weight: float
    visit: float

    def unit(self, is_share: bool) -> float:
        """The variance if events were independent."""
        spread = self.value * (1 - self.value) if is_share else self.value
        return max(spread, 0.0) * self.weight / self.whole

    def count(self, is_share: bool) -> float:
        """Events, or the others where these are fewer."""
        rarer = min(self.value, 1 - self.value) if is_share else self.value
        return max(rarer, 0.0) * self.whole / self.weight

    def factor(self, is_share: bool) -> float:
        """How many times the variance of independent events; 0 where it says nothing."""
        unit = self.unit(is_share)
        return max(self.variance / unit, LEAST) if unit and self.variance else 0.0


def at_most(value: float, event: float, confidence: float) -> float:
    """The upper bound of a sum of which all that was seen is one event, of a size `event` at
    the least (Fay and Feuer): 5.6 times that at 95 %, 3.7 times where nothing was seen. However
    little is known of the variance, no more than that can be."""
    return max(value, event) * _of_events(1 if value > 0 else 0, confidence)


@functools.cache
def _of_events(n: int, confidence: float) -> float:
    return fay_feuer(n, n, 1, confidence)[1]


def visits_of_share(
    share: float, own: tuple[float, float], all_of: tuple[float, float]
) -> tuple[float, float]:
    """What visits add to the spread of a share of a whole: squares and fourth powers of its
    `own` visits, and of those of the rest, each by how much it moves the share."""
    rest = 1 - share
    squares, fourths = (max(both - one, 0.0) for one, both in zip(own, all_of, strict=True))
    return rest**2 * own[0] + share**2 * squares, rest**4 * own[1] + share**4 * fourths


def with_visits(
    variance: float, df: float, visits: tuple[float, float], whole: float
) -> tuple[float, float]:
    """A variance over blocks of time and its degrees of freedom, beside what visits tell: if
    they are independent, the sum of their squares is the variance, and that of fourth powers
    says how little a variance over blocks can know of so few. Visits only add to it: what is
    alike for longer than a visit they do not see."""
    if not visits[0] or not whole:
        return variance, df
    df = 1 / (1 / df + visits[1] / visits[0] ** 2)
    by_visits = visits[0] / whole**2
    told = min(by_visits / variance, 1.0) if variance else 1.0
    variance += VISITS / (df + VISITS) * max(by_visits - variance, 0.0)
    return variance, df + VISITS * told


class Contrast:
    """Two sides beside each other: their effective numbers of observations `n` (for
    amounts: of events at a value of 1) and counts, and the degrees of freedom. `most` is what
    either side's `n` is at most, as is known from elsewhere."""

    __slots__ = ("base", "counts", "df", "is_share", "n", "new")

    def __init__(self, base: Side, new: Side, is_share: bool, most: Sequence[float] = _ANY) -> None:
        self.base, self.new, self.is_share = base, new, is_share
        sides = (base, new)
        factors = [side.factor(is_share) for side in sides]
        known = [s.count(is_share) / f if f else 0.0 for s, f in zip(sides, factors, strict=True)]
        if sum(known):
            both = sum(f * k for f, k in zip(factors, known, strict=True)) / sum(known)
            factors = [
                (f * k + both * PRIOR) / (k + PRIOR) for f, k in zip(factors, known, strict=True)
            ]
            n = [s.whole / s.weight / f for s, f in zip(sides, factors, strict=True)]
        else:
            n = [min(s.whole / s.weight, CONSTANT) for s in sides]
        self.n = [min(one, limit) for one, limit in zip(n, most, strict=True)]
        self.counts = [s.value * n for s, n in zip(sides, self.n, strict=True)]
        self.df = self._df(sum(known))

    def _df(self, known: float) -> float:
        """Of the difference (Welch), less where few events tell of the variance."""
        parts = [s.unit(self.is_share) * s.whole / s.weight / n for s, n in self._sides()]
        squares = sum(p * p / s.df for p, (s, _) in zip(parts, self._sides(), strict=True))
        if not sum(parts):
            return CONSTANT
        df = sum(parts) ** 2 / squares if squares else math.inf
        return max(min(df, DF_PER_EVENT * known), 1.0) if known else df

    def _sides(self) -> "list[tuple[Side, float]]":
        return [(self.base, self.n[0]), (self.new, self.n[1])]

    @property
    def delta(self) -> float:
        return self.new.value - self.base.value

    def interval(self, z: float, confidence: float | None = None) -> tuple[float, float]:
        """Of the difference, `z` standard errors to either side, and no wider than one event
        on each side would have it at a `confidence`, if there is one."""
        base, new = (self._side_interval(side, n, z) for side, n in self._sides())
        if confidence is not None:
            base = self._narrowed(base, self.base, self.new, confidence)
            new = self._narrowed(new, self.new, self.base, confidence)
        return difference((self.base.value, *base), (self.new.value, *new))

    def _narrowed(
        self, interval: tuple[float, float], side: Side, other: Side, confidence: float
    ) -> tuple[float, float]:
        """See `at_most`; of a share, the rest is a sum, too."""
        low, high = interval
        event = max(side.visit, other.visit * other.whole / side.whole)
        high = min(high, at_most(side.value, max(event, other.value), confidence))
        if self.is_share:
            rest = max(event, 1 - other.value)
            low = max(low, 1 - at_most(1 - side.value, rest, confidence))
        return min(low, side.value), max(high, side.value)

    def _side_interval(self, side: Side, n: float, z: float) -> tuple[float, float]:
        if self.is_share:
            return wilson(min(max(side.value, 0.0), 1.0), n, z)
        count, square = side.value * n, z * z  # Wilson's with no bound above
        half = z * math.sqrt(count + square / 4)
        middle = count + square / 2
        return max(middle - half, 0.0) / n, (middle + half) / n

    def bounds(self, confidence: float = 0.95) -> tuple[float, float, float]:
        """(low, high, p): the interval of the difference, and the two-sided p-value that
        there is none. They agree: 0 is within the interval unless p < 1 - confidence."""
        alpha = 1 - confidence
        low, high = self.interval(critical(confidence, self.df), confidence)
        p = self.p_exact()
        if low <= 0 <= high:
            p = max(p, self.p_score(), alpha)
        elif p < alpha:
            p = max(p, self._p_of_interval(alpha))
        if p >= alpha:
            low, high = min(low, 0.0), max(high, 0.0)
        return low, high, p

    def _p_of_interval(self, alpha: float) -> float:
        """The p-value at which the interval just reaches 0."""
        low, high = t_quantile(1 - alpha / 2, self.df), 1e3
        for _ in range(40):
            z = (low + high) / 2
            bounds = self.interval(z)
            if bounds[0] <= 0 <= bounds[1]:
                high = z
            else:
                low = z
        return t_tail(low, self.df)

    def z_score(self) -> float:
        """By how many standard errors, of both sides together, they differ."""
        n = sum(self.n)
        pooled = sum(self.counts) / n
        spread = pooled * (1 - pooled) if self.is_share else pooled
        error = math.sqrt(max(spread, 0.0) * sum(1 / n for n in self.n))
        return abs(self.delta) / error if error > 0 else 0.0

    def p_score(self) -> float:
        """By the score test."""
        return t_tail(self.z_score(), self.df)

    def p_exact(self) -> float:
        """By counts, which hold where there are few."""
        (a, b), (n_a, n_b) = self.counts, self._possible()
        return fisher(min(a, n_a), n_a, min(b, n_b), n_b)

    def p_least(self) -> float:
        """The smallest p-value that so many events can give at all."""
        counts, (n_a, n_b) = sum(self.counts), self._possible()
        if self.is_share:
            counts = min(counts, n_a + n_b - counts)
        small, large = sorted((n_a, n_b))
        return fisher(min(counts, small), small, max(counts - small, 0.0), large)

    def _possible(self) -> tuple[float, float]:
        if self.is_share:
            return self.n[0], self.n[1]
        scale = _RARE * max(sum(self.counts), 1.0) / min(self.n)
        return self.n[0] * scale, self.n[1] * scale
