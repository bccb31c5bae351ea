"""compare: repeated runs with a known spread from run to run."""

import math
import random

import pprofs
import pytest

import cprof
from cprof.errors import NoSamples
from cprof.repeated import Moderated, _digamma, _trigamma, _trigamma_inverse, p_largest

SHARES = [0.2, 0.1, 0.08, 0.05, *[0.57 / 36] * 36]


def run(draw, shares=SHARES, noise=0.04, n=50_000):
    """One run: every function off by `noise` of itself, and by what sampling adds."""
    wanted = [share * math.exp(draw.gauss(0, noise)) * n / sum(shares) for share in shares]
    counts = [max(round(draw.gauss(w, math.sqrt(w))), 0) for w in wanted]
    return pprofs.profile({f"main@prog;f{i}@prog": c for i, c in enumerate(counts) if c})


def runs(draw, k, shares=SHARES):
    return [run(draw, shares) for _ in range(k)]


def test_a_fifth_more_of_one_function_in_forty_is_found_and_nothing_else():
    draw = random.Random(1)
    more = [*SHARES]
    more[2] *= 1.2
    found = wrong = 0
    for _ in range(12):
        d = cprof.compare(runs(draw, 5), runs(draw, 5, more))
        row = next(row for row in d.rows if row.function == "f2")
        found += row.state == "grew" and row.low > 0
        wrong += len([r for r in d.changed if r.function != "f2"])
    assert found >= 11
    assert wrong <= 6  # the shares of all others do shrink by 1.6 %


@pytest.mark.parametrize("k", [2, 3, 5])
def test_no_change_makes_no_alarm_and_intervals_hold_it(k):
    draw, n = random.Random(k), 30
    alarms = held = rows = 0
    for _ in range(n):
        d = cprof.compare(runs(draw, k), runs(draw, k))
        alarms += bool(d.changed)
        held += sum(row.low <= 0 <= row.high for row in d.rows)
        rows += len(d.rows)
    assert alarms <= 5  # of 30; more than 5 have a chance of 1 in 300 where 5 % is the truth
    assert 0.925 <= held / rows <= 0.98


def test_functions_that_differ_in_how_noisy_they_are_make_no_alarms():
    draw, n, alarms = random.Random(9), 80, 0
    for _ in range(n):
        noises = [0.04 * math.exp(draw.gauss(0, 0.7)) for _ in SHARES]
        rows = [
            [share * math.exp(draw.gauss(0, noise)) for _ in range(8)]
            for share, noise in zip(SHARES, noises, strict=True)
        ]
        alarms += min(p_largest([Moderated(rows, 4)])[0]) < 0.05
    assert alarms <= 9  # more have a chance of 1 in 100 where 5 % is the truth


def test_the_largest_t_of_all_rows_when_runs_change_sides():
    far = [1.0, 1.1, 0.9, 1.0, 1.05, 9.0, 9.1, 8.9, 9.0, 9.05]
    rows = [far, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5], [2, 1, 2, 1, 2, 1, 2, 1, 2, 1]]
    (p,) = p_largest([Moderated(rows, 5)])
    split = p_largest([Moderated(rows[:1], 5), Moderated(rows[1:], 5)])
    assert [len(part) for part in split] == [1, 2]
    assert split[0][0] == pytest.approx(2 / 252)  # of all tables
    assert p[0] == pytest.approx(2 / 252)  # itself, and both sides exchanged
    assert p[1] == 1.0
    assert p_largest([Moderated([row[2:8] for row in rows], 3)]) == []  # 2 / 20 is not rare


def test_new_and_gone_and_what_it_says():
    draw = random.Random(4)
    base = runs(draw, 3, [*SHARES, 0.03])
    d = cprof.compare(base, runs(draw, 4, [*SHARES, 0, 0.03]))
    states = {row.function: row.state for row in d.changed}
    assert (states["f40"], states["f41"]) == ("gone", "new")
    assert "base: 3 runs" in str(d)
    assert "new: 4 runs" in str(d)
    assert any("moderated t with 5 +" in note for note in d.notes)
    assert any("smallest change" in note for note in d.notes)
    f0 = next(row for row in d.rows if row.function == "f0")
    shares = [p.share("f0", kind="self").value for p in base]
    assert f0.base == pytest.approx(sum(shares) / 3)


def test_means_are_of_runs_and_modes_hold():
    a = [pprofs.profile({"f@p": n, "g@p": 100}, seconds=2) for n in (100, 120)]
    d = cprof.compare(a, a, mode="rate")
    row = next(row for row in d.rows if row.function == "f")
    assert row.base == pytest.approx(110e6 / 2)
    assert d.unit == "nanoseconds/second"
    assert cprof.compare(a, a, mode="raw").rows[0].state == "same"
    assert d.nodes[0][3:] == (420e6, 420e6)
    longer = [pprofs.profile({"f@p": 100, "g@p": 100}, seconds=8)] * 2
    notes = cprof.compare(a, longer, mode="raw").notes
    assert any("2 s, the new side 8 s: raw sums differ by that alone" in note for note in notes)


def called(draw, part, k):
    """Runs of f0 to f9 of equal cost; `part` of what f0 costs comes by way of x."""
    noisy = [
        {f"main@p;{x}@p;f{i}@p": 2000 * share * math.exp(draw.gauss(0, 0.04))
         for i in range(10)
         for x, share in (("x", part if i == 0 else 0.5), ("y", 1 - part if i == 0 else 0.5))}
        for _ in range(k)
    ]  # fmt: skip
    return [pprofs.profile({stack: round(n) for stack, n in run.items()}) for run in noisy]


@pytest.mark.parametrize("k", [3, 5])
def test_callers_that_change_are_found_and_nothing_else(k):
    draw = random.Random(1000 + k)
    d = cprof.compare(called(draw, 0.5, k), called(draw, 0.8, k))
    assert [(row.function, row.state) for row in d.changed] == [("f0", "moved")]
    assert d.changed[0].q < 0.05
    alarms = sum(
        bool(cprof.compare(called(draw, 0.5, k), called(draw, 0.5, k)).changed) for _ in range(12)
    )
    assert alarms <= 3  # of 12: 1 in 450 has more where 5 % is the truth


def test_stacks_of_repeated_runs():
    draw = random.Random(2)
    d = cprof.compare(called(draw, 0.5, 5), called(draw, 0.8, 5))
    states = {row.stack: row.state for row in d.stacks if row.state != "same"}
    assert states == {("main", "x", "f0"): "grew", ("main", "y", "f0"): "shrank"}


def test_one_and_one_is_a_diff():
    a, b = (pprofs.profile({"f@p": 100, "g@p": n}) for n in (100, 300))
    assert cprof.compare([a], [b]).to_json() == cprof.diff(a, b).to_json()


def test_what_cannot_be_compared():
    a = pprofs.profile({"f@p": 100})
    with pytest.raises(ValueError, match="a run on each side"):
        cprof.compare([], [a])
    with pytest.raises(NoSamples, match="run 2 of the new side is empty"):
        cprof.compare([a], [a, a.filter(under="nobody")])
    other = pprofs.profile({"f@p": 1}, types=[("samples", "count")])
    with pytest.raises(ValueError, match="run 2 of the base has samples/count"):
        cprof.compare([a, other], [a])


def test_polygammas_are_scipys():
    special = pytest.importorskip("scipy.special")
    for x in (0.3, 1, 4.5, 100):
        assert _digamma(x) == pytest.approx(special.digamma(x), abs=1e-10)
        assert _trigamma(x) == pytest.approx(special.polygamma(1, x), rel=1e-9)
        assert _trigamma_inverse(_trigamma(x)) == pytest.approx(x, rel=1e-6)


def test_functions_that_never_vary_do_not_break_it():
    tests = Moderated([[1.0] * 6, [0.5] * 6, [0.0, 0.0, 0.0, 0.1, 0.1, 0.1]], 3)
    assert tests.p(0) == 1
    assert 0 < tests.p(2) <= 1
