"""stats: against scipy where it has the same, against simulated truth where it has not."""

import math
import random

import pytest

from cprof import stats

scipy_stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("df", [1, 2, 3.7, 30, 1e4])
@pytest.mark.parametrize("p", [0.6, 0.975, 0.9999999, 0.025])
def test_students_t_is_scipys(p, df):
    assert stats.t_quantile(p, df) == pytest.approx(scipy_stats.t.ppf(p, df), rel=1e-7)
    t = scipy_stats.t.ppf(p, df)
    assert stats.t_tail(t, df) == pytest.approx(2 * scipy_stats.t.sf(abs(t), df), rel=1e-7)


def test_t_of_infinitely_many_degrees_is_normal():
    assert stats.critical(0.95) == pytest.approx(scipy_stats.norm.ppf(0.975))
    assert stats.t_tail(3.0, math.inf) == pytest.approx(2 * scipy_stats.norm.sf(3))


@pytest.mark.parametrize("shape", [0.2, 1, 3.3, 50, 4000])
def test_gamma_is_scipys(shape):
    for p in (0.001, 0.025, 0.5, 0.975):
        x = scipy_stats.gamma.ppf(p, shape)
        assert stats.gamma_cdf(x, shape) == pytest.approx(p, rel=1e-9)
        assert stats.gamma_quantile(p, shape) == pytest.approx(x, rel=1e-8)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (2, 7), (300, 4), (1e4, 2e4)])
def test_beta_is_scipys(a, b):
    for p in (1e-6, 0.2, 0.9):
        x = scipy_stats.beta.ppf(p, a, b)
        assert stats.beta_cdf(x, a, b) == pytest.approx(scipy_stats.beta.cdf(x, a, b), rel=1e-8)


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (1, 50), (25, 50), (50, 50), (300, 10_000)])
def test_wilson_is_scipys(hits, n):
    theirs = scipy_stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert stats.wilson(hits / n, n, stats.critical(0.95)) == pytest.approx(theirs, abs=1e-12)


def test_fay_feuer_of_equal_weights_is_the_exact_poisson_interval():
    low, high = stats.fay_feuer(7 * 3.0, 7 * 9.0, 3.0)
    assert low / 3 == pytest.approx(scipy_stats.chi2.ppf(0.025, 14) / 2)
    assert high / 3 == pytest.approx(scipy_stats.chi2.ppf(0.975, 16) / 2)
    low, high = stats.fay_feuer(0, 0, 2.0)
    assert (low, high / 2) == (0, pytest.approx(scipy_stats.chi2.ppf(0.975, 2) / 2))


def test_fay_feuer_covers_weighted_counts():
    weights, rates, draw = (1.0, 2.0, 5.0), (20, 10, 4), random.Random(3)
    truth = sum(w * r for w, r in zip(weights, rates, strict=True))
    covered = 0
    for _ in range(600):
        counts = [poisson(draw, rate) for rate in rates]
        total = sum(w * c for w, c in zip(weights, counts, strict=True))
        variance = sum(w * w * c for w, c in zip(weights, counts, strict=True))
        low, high = stats.fay_feuer(total, variance, 5.0)
        covered += low <= truth <= high
    assert 0.93 <= covered / 600 <= 0.99  # never too narrow, by its construction


def poisson(draw, mean):
    n, at = -1, 0.0
    while at < mean:
        at += draw.expovariate(1)
        n += 1
    return n


@pytest.mark.parametrize("table", [(3, 20, 9, 22), (0, 100, 7, 90), (40, 400, 41, 300)])
def test_fisher_is_the_hypergeometric_mid_p(table):
    a, n_a, b, n_b = table
    law = scipy_stats.hypergeom(n_a + n_b, a + b, n_a)
    half = law.pmf(a) / 2
    tails = law.cdf(a) - half, law.sf(a) + half
    assert stats.fisher(a, n_a, b, n_b) == pytest.approx(min(1, 2 * min(tails)), rel=1e-6)
    assert stats.fisher(b, n_b, a, n_a) == pytest.approx(stats.fisher(a, n_a, b, n_b), rel=1e-6)


def test_benjamini_hochberg_is_scipys():
    draw = random.Random(1)
    p = [draw.random() ** 3 for _ in range(200)]
    theirs = scipy_stats.false_discovery_control(p)
    assert stats.benjamini_hochberg(p) == pytest.approx(list(theirs))
    assert stats.benjamini_hochberg([]) == []


def test_permutation_of_few_is_exact_and_of_many_is_drawn():
    a, b = [1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]
    assert stats.permutation(a, b) == 2 / 252
    draw = random.Random(2)
    a, b = ([draw.gauss(0, 1) + shift for _ in range(20)] for shift in (0, 0.7))
    theirs = scipy_stats.permutation_test((a, b), lambda x, y: x.mean() - y.mean()).pvalue
    assert stats.permutation(a, b) == pytest.approx(theirs, abs=0.02)
    assert stats.permutation(a, b) == stats.permutation(a, b)


def test_theil_sen_is_scipys():
    draw = random.Random(5)
    x = [float(i) for i in range(40)]
    y = [3 * i + draw.gauss(0, 10) for i in x]
    y[7] = 1e6
    theirs = scipy_stats.theilslopes(y, x)
    ours = stats.theil_sen(x, y)
    assert (ours.value, ours.low, ours.high) == pytest.approx(
        (theirs.slope, theirs.low_slope, theirs.high_slope)
    )


def test_theil_sen_covers_the_slope():
    draw, covered = random.Random(6), 0
    for _ in range(400):
        y = [2.0 * i + draw.gauss(0, 3) for i in range(20)]
        estimate = stats.theil_sen(range(20), y)
        covered += estimate.low <= 2 <= estimate.high
    assert 0.92 <= covered / 400 <= 0.98


@pytest.mark.parametrize("visit", [1, 8])
def test_bootstrap_covers_the_mean_of_a_correlated_series(visit):
    draw, covered, n = random.Random(7), 0, 300
    for _ in range(n):
        values, x = [], draw.random() < 0.3
        for _ in range(1024):
            if draw.random() < 1 / visit:
                x = draw.random() < 0.3
            values.append(float(x))
        estimate = stats.bootstrap(values, n=200)
        covered += estimate.low <= 0.3 <= estimate.high
        assert estimate.n == 1024
    assert 0.92 <= covered / n <= 0.98


def test_effective_number_of_a_series_that_repeats_itself():
    draw = random.Random(8)
    values = [x for _ in range(400) for x in [draw.gauss(0, 1)] * 4]
    assert stats.bootstrap(values).n_eff == pytest.approx(400, rel=0.5)


def test_what_makes_no_sense_is_refused():
    for call in (
        lambda: stats.wilson(1.5, 10, 2),
        lambda: stats.wilson(0.5, 0, 2),
        lambda: stats.critical(95),
        lambda: stats.t_quantile(0.5, 0),
        lambda: stats.permutation([], [1.0]),
        lambda: stats.bootstrap([1.0]),
        lambda: stats.theil_sen([1, 1], [2, 3]),
        lambda: stats.theil_sen([1], [2, 3]),
        lambda: stats.fay_feuer(-1, 1, 1),
        lambda: stats.fisher(3, 2, 0, 1),
        lambda: stats.beta_cdf(0.5, 0, 1),
        lambda: stats.gamma_cdf(1, 0),
        lambda: stats.gamma_quantile(1, 2),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            call()


def test_an_estimate_shows_itself():
    text = str(stats.Estimate(0.12345, 0.1, 0.15, 1000, 123.4))
    assert text == "0.1235 (0.1 to 0.15; n 1,000, n_eff 123)"
