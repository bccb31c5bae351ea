"""Profile.share: how often its interval holds a truth that is known."""

import random

import pytest
import simulated

from cprof.errors import NoSamples

SHARES = [0.2, 0.05, 0.75]


@pytest.mark.parametrize("visit", [1, 5, 20])
def test_intervals_hold_the_truth_however_long_visits_are(visit):
    draw, n, held = random.Random(visit), 100, 0
    parts = []
    for _ in range(n):
        p = simulated.profile(draw, SHARES, visit=visit, seconds=20, hz=99)
        for i in (0, 1):
            estimate = p.share(f"f{i}", "self")
            held += estimate.low <= SHARES[i] <= estimate.high
            parts.append(estimate.n_eff / estimate.n)
    assert 0.90 <= held / (2 * n) <= 0.99  # 95 %, three standard errors to either side
    # a visit of `visit` samples on average, of geometric length, says as much as 1 / (2 visit - 1)
    assert sum(parts) / len(parts) == pytest.approx(1 / (2 * visit - 1), rel=0.5)


def test_without_times_samples_count_as_independent():
    p = simulated.profile(random.Random(1), SHARES, visit=20, seconds=20, has_times=False)
    estimate = p.share("f2", "self")
    assert estimate.n_eff == pytest.approx(estimate.n)
    assert estimate.low < estimate.value < estimate.high


def test_patterns_and_shares_that_never_vary():
    p = simulated.profile(random.Random(1), SHARES)
    everything, nothing = p.share("f*"), p.share("nobody")
    assert (everything.value, everything.high) == (1.0, 1.0)
    assert (nothing.value, nothing.low) == (0.0, 0.0)
    assert everything.low > 0.85  # of 32 blocks: 1 - 3.5 / 32 by the rule of three, and Wilson
    assert nothing.high < 0.15
    assert p.share(["f0", "f1"]).value == pytest.approx(1 - p.share("f2").value)
    with pytest.raises(ValueError, match="no kind"):
        p.share("f0", "flat")
    with pytest.raises(NoSamples):
        p.window(9.9999).share("f0")
