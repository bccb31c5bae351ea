"""Intervals, tests and quantiles: pure functions of numbers.

Knows nothing of profiles (`cprof.diff` and `Profile.share` apply it). What is drawn at
random comes from a seed, so the same input gives the same answer. `n_eff` is everywhere the
number of independent observations that would say as much as the correlated ones do.
"""

import math
import random
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, pairwise
from statistics import NormalDist, fmean, median

from cprof.rows import Row

MIN_BLOCKS = 8  # fewer say too little of how much they differ
_TINY = 1e-300
_NEWTON_DF, _NEWTON_P = 3, 0.9999  # within these Newton's method finds Student's quantiles
_EXACT = 20_000  # permutations that are all tried rather than drawn


class Estimate(Row):
    """A number that was estimated: `value` and the interval `low` to `high` that holds the
    truth with the confidence that was asked for, all in one unit. `n` observations say as
    much as `n_eff` independent ones."""

    __slots__ = ("value", "low", "high", "n", "n_eff")
    value: float
    low: float
    high: float
    n: int
    n_eff: float

    def __str__(self) -> str:
        return (
            f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g}; "
            f"n {self.n:,d}, n_eff {self.n_eff:,.0f})"
        )


# Distributions


def normal_quantile(p: float) -> float:
    """z with P(Z < z) = p for a standard normal Z, 0 < p < 1."""
    return NormalDist().inv_cdf(p)


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by Lentz's continued fraction
    (Numerical Recipes, 6.4)."""
    if not (a > 0 and b > 0):
        raise ValueError(f"no beta distribution of a={a}, b={b}: both must be positive")
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x > (a + 1) / (a + b + 2):
        return 1.0 - front * _beta_fraction(1 - x, b, a) / b
    return front * _beta_fraction(x, a, b) / a


def _beta_fraction(x: float, a: float, b: float) -> float:
    """By Lentz's method. No step of it divides by 0 here: all factors are positive."""
    c, m = 1.0, 0
    d = value = 1 / (1 - (a + b) * x / (a + 1))
    while True:
        m += 1
        term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + term * d)
        c = 1 + term / c
        value *= c * d
        term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / (1 + term * d)
        c = 1 + term / c
        value *= c * d
        if not abs(c * d - 1) >= 1e-15:  # or not a number
            return value


def _away_from_0(x: float) -> float:
    return x if abs(x) > _TINY else _TINY


def gamma_cdf(x: float, shape: float) -> float:
    """P(X < x) of the gamma distribution with this shape and scale 1 (Numerical Recipes,
    6.2); a chi-squared variable with k degrees of freedom is 2 X of shape k / 2."""
    if not shape > 0:
        raise ValueError(f"no gamma distribution of shape {shape}: it must be positive")
    if x <= 0:
        return 0.0
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1:
        term = total = 1 / shape
        n = shape
        while term > total * 1e-16:
            n += 1
            term *= x / n
            total += term
        return min(front * total, 1.0)
    b = x + 1 - shape
    c, d = 1 / _TINY, 1 / b
    value, i = d, 0
    while True:
        i += 1
        an = -i * (i - shape)
        b += 2
        d = 1 / _away_from_0(an * d + b)
        c = _away_from_0(b + an / c)
        value *= c * d
        if abs(c * d - 1) < 1e-15:
            return 1.0 - front * value


def t_tail(t: float, df: float) -> float:
    """P(|T| > |t|) of Student's t with `df` degrees of freedom: the two-sided p-value."""
    if math.isinf(df):
        return math.erfc(abs(t) / math.sqrt(2))
    return beta_cdf(df / (df + t * t), df / 2, 0.5)


def t_quantile(p: float, df: float) -> float:
    """t with P(T < t) = p of Student's t with `df` degrees of freedom, 0 < p < 1."""
    if not (0 < p < 1 and df > 0):
        raise ValueError(f"no quantile {p} of Student's t with {df} degrees of freedom")
    if p < 0.5:
        return -t_quantile(1 - p, df)
    if math.isinf(df):
        return normal_quantile(p)
    if df < _NEWTON_DF or p > _NEWTON_P:
        return _solve(lambda t: -t_tail(t, df), -2 * (1 - p), max(2.0, abs(normal_quantile(p))))
    t = z = normal_quantile(p)
    t += (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df * df)
    constant = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - math.log(df * math.pi) / 2
    for _ in range(4):  # Newton's steps from Fisher's expansion
        density = math.exp(constant - (df + 1) / 2 * math.log1p(t * t / df))
        step = (t_tail(t, df) / 2 - (1 - p)) / density
        t += step
        if abs(step) < 1e-6 * t:  # the next one would be smaller than rounding
            break
    return t


def gamma_quantile(p: float, shape: float) -> float:
    """x with P(X < x) = p of the gamma distribution with this shape and scale 1."""
    if not 0 <= p < 1:
        raise ValueError(f"no quantile {p} of a gamma distribution")
    return _solve(lambda x: gamma_cdf(x, shape), p, max(shape, 1.0)) if p else 0.0


def _solve(rising: Callable[[float], float], value: float, guess: float) -> float:
    """x >= 0 where `rising` reaches `value`."""
    low, high = 0.0, guess
    while rising(high) < value:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        if rising(middle) < value:
            low = middle
        else:
            high = middle
    return (low + high) / 2


# Intervals


def critical(confidence: float, df: float = math.inf) -> float:
    """How many standard errors reach to either side: 1.96 at 95 % of a normal."""
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence}: it lies between 0 and 1, as 0.95 does")
    return t_quantile((1 + confidence) / 2, df)


def wilson(share: float, n_eff: float, z: float) -> tuple[float, float]:
    """Wilson's score interval of a share (0..1) of `n_eff` independent observations, `z`
    standard errors (`critical`) to either side (JASA 22, 1927). It stays within 0..1, and
    has a width also where nothing or everything was seen."""
    if not (0 <= share <= 1 and n_eff > 0):
        raise ValueError(f"no interval of a share of {share} in {n_eff} observations")
    square = z * z / n_eff
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def fay_feuer(
    total: float, variance: float, largest: float, confidence: float = 0.95
) -> tuple[float, float]:
    """The gamma interval of a sum of weighted Poisson counts: `total` is the sum of weight
    times count, `variance` that of squared weight times count, `largest` the largest weight
    there can be (Fay and Feuer, Statistics in Medicine 16, 1997). Never too narrow, exact
    where all weights are equal."""
    if not (total >= 0 and variance >= 0 and largest > 0):
        raise ValueError("a weighted count has no negative parts, and a largest weight")
    tail = (1 - confidence) / 2
    low = 0.0
    if total and variance:
        low = variance / total * gamma_quantile(tail, total * total / variance)
    high_total, high_variance = total + largest, variance + largest * largest
    shape = high_total * high_total / high_variance
    return low, high_variance / high_total * gamma_quantile(1 - tail, shape)


def difference(
    base: tuple[float, float, float], new: tuple[float, float, float]
) -> tuple[float, float]:
    """The interval of new - base from the intervals of both, each (value, low, high):
    Newcombe's hybrid, "MOVER" (Statistics in Medicine 17, 1998)."""
    delta = new[0] - base[0]
    return (
        delta - math.hypot(new[0] - new[1], base[2] - base[0]),
        delta + math.hypot(new[2] - new[0], base[0] - base[1]),
    )


# Tests


def fisher(a: float, n_a: float, b: float, n_b: float) -> float:
    """The two-sided p-value that `a` of `n_a` and `b` of `n_b` have the same share: Fisher's
    exact test, with the probability of what was seen counted half (mid-p), and twice the
    smaller tail. Counts need not be whole: effective ones are not."""
    hits, n = a + b, n_a + n_b
    if not (0 <= a <= n_a and 0 <= b <= n_b):
        raise ValueError(f"no {a} of {n_a}, or no {b} of {n_b}")
    if not hits or hits >= n:
        return 1.0
    if a / n_a < b / n_b:
        a, n_a, b, n_b = b, n_b, a, n_a
    point = math.exp(_choose(n_a, a) + _choose(n_b, b) - _choose(n, hits))
    tail, term = point / 2, point
    while b >= 1 and n_a - a >= 1 and term > tail * 1e-9:
        term *= (n_a - a) / (a + 1) * b / (n_b - b + 1)
        a, b = a + 1, b - 1
        tail += term
    return min(2 * tail, 1.0)


def _choose(n: float, k: float) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """q-values: calling all with q < 0.05 different is wrong in at most 5 % of them on
    average, and where nothing differs, in at most 5 % of such lists at all (JRSS B 57,
    1995)."""
    order = sorted(range(len(p)), key=lambda i: p[i], reverse=True)
    q, smallest = [1.0] * len(p), 1.0
    for rank, i in zip(range(len(p), 0, -1), order, strict=True):
        smallest = min(smallest, p[i] * len(p) / rank)
        q[i] = smallest
    return q


def permutation(
    base: Sequence[float], new: Sequence[float], *, n: int = 10_000, seed: int = 0
) -> float:
    """The two-sided p-value that the means of `base` and `new` are the same, by how often a
    random exchange of labels sets them as far apart: all exchanges where there are at most
    20,000, else `n` drawn ones. With 5 and 5 it is never below 2 / 252."""
    values = [*base, *new]
    if not base or not new:
        raise ValueError("a permutation test needs values on both sides")
    total, k = math.fsum(values), len(base)

    def apart(part: Iterable[float]) -> float:
        part_sum = math.fsum(part)
        return abs((total - part_sum) / (len(values) - k) - part_sum / k)

    seen = apart(base) * (1 - 1e-12)
    if math.comb(len(values), k) <= _EXACT:
        results = [apart(part) >= seen for part in combinations(values, k)]
        return sum(results) / len(results)
    draw = random.Random(seed)
    return (1 + sum(apart(draw.sample(values, k)) >= seen for _ in range(n))) / (n + 1)


def bootstrap(
    values: Sequence[float],
    statistic: Callable[[Sequence[float]], float] = fmean,
    *,
    block: int | None = None,
    confidence: float = 0.95,
    n: int = 1000,
    seed: int = 0,
) -> Estimate:
    """`statistic` of a series of values in order of time, with the interval that a block
    bootstrap gives: blocks of `block` neighbours are drawn with replacement, so what is
    correlated stays together (Kunsch, Annals of Statistics 17, 1989). The spread of the
    drawn statistics times Student's quantile for so many blocks.

    `block` None: `block_length` chooses. Raises ValueError for fewer than two blocks.
    """
    size = block_length(values) if block is None else block
    blocks = [values[i : i + size] for i in range(0, len(values) - size + 1, max(size, 1))]
    if size < 1 or len(blocks) < 2:
        raise ValueError(f"{len(values)} values make no two blocks of {size}")
    draw = random.Random(seed)
    drawn = []
    for _ in range(n):
        series = [value for part in draw.choices(blocks, k=len(blocks)) for value in part]
        drawn.append(statistic(series))
    mean = fmean(drawn)
    variance = math.fsum((x - mean) ** 2 for x in drawn) / (n - 1)
    variance *= len(blocks) / (len(blocks) - 1)
    half = critical(confidence, len(blocks) - 1) * math.sqrt(variance)
    value = statistic(values)
    n_eff = _variance(values) / _variance([fmean(part) for part in blocks]) * len(blocks)
    return Estimate(value, value - half, value + half, len(values), n_eff)


def block_length(values: Sequence[float]) -> int:
    """How many neighbours make a block so that blocks are next to independent: doubled until
    the variance of a block's mean, times its length, no longer grows beyond chance; at
    least `MIN_BLOCKS` blocks are left. Starts at 32 blocks: fewer degrees of freedom cost
    little, longer blocks hide correlation (Schmeiser, Operations Research 30, 1982)."""
    size = max(1, len(values) // 32)
    while len(values) // (2 * size) >= MIN_BLOCKS:
        now, then = _spread(values, size), _spread(values, 2 * size)
        if then <= now * (1 + 1 / math.sqrt(len(values) // size)):
            break
        size *= 2
    return size


def _spread(values: Sequence[float], size: int) -> float:
    means = [fmean(values[i : i + size]) for i in range(0, len(values) - size + 1, size)]
    return _variance(means) * size


def _variance(values: Sequence[float]) -> float:
    mean = fmean(values)
    return max(math.fsum((x - mean) ** 2 for x in values) / (len(values) - 1), _TINY)


def theil_sen(x: Sequence[float], y: Sequence[float], confidence: float = 0.95) -> Estimate:
    """The slope of y over x as the median of the slopes between all pairs of points, which
    outliers hardly move; the interval by Kendall's tau (Sen, JASA 63, 1968). Takes the
    deviations from the line as independent. Raises ValueError unless there are two
    different x."""
    if len(x) != len(y):
        raise ValueError(f"{len(x)} x and {len(y)} y are no points")
    points = sorted(zip(x, y, strict=True))
    slopes = sorted(
        (y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2) if x2 > x1
    )
    if not slopes:
        raise ValueError("a slope needs two points with different x")
    reach = critical(confidence) * math.sqrt(_tau_variance(x, y))
    low = round((len(slopes) - reach) / 2)
    high = round((len(slopes) + reach) / 2)
    return Estimate(
        median(slopes),
        slopes[low - 1] if low >= 1 else -math.inf,
        slopes[high] if high < len(slopes) else math.inf,
        len(x),
        float(len(x)),
    )


def _tau_variance(x: Sequence[float], y: Sequence[float]) -> float:
    """Of Kendall's score of n points, less what ties take away (Sen 1968, 2.6)."""

    def part(n: int) -> float:
        return n * (n - 1) * (2 * n + 5)

    total = part(len(x)) - sum(part(n) for n in _ties(x)) - sum(part(n) for n in _ties(y))
    return max(total, 0.0) / 18


def _ties(values: Sequence[float]) -> list[int]:
    """How many there are of each value that occurs more than once."""
    ordered = sorted(values)
    starts = [0, *(i for i, (a, b) in enumerate(pairwise(ordered), 1) if a != b), len(ordered)]
    return [b - a for a, b in pairwise(starts) if b - a > 1]
