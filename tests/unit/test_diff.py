"""diff: known changes, no changes, and how often its 95 % intervals hold the truth."""

import random
from array import array

import pprofs
import pytest
import simulated

import cprof
from cprof import _core
from cprof.errors import NoSamples

BASE = {
    "main@prog;f@prog": 900,
    "main@prog;g@prog": 100,
    "main@prog;x@prog;h@prog": 50,
    "main@prog;y@prog;h@prog": 50,
    "main@prog;old@libx": 40,
}
NEW = {
    "main@prog;f@prog": 800,
    "main@prog;g@prog": 200,
    "main@prog;x@prog;h@prog": 95,
    "main@prog;y@prog;h@prog": 5,
    "main@prog;fresh@prog": 40,
    "main@prog;rare@prog": 1,
}


def test_every_state_and_what_it_is_made_of():
    d = cprof.diff(pprofs.profile(BASE), pprofs.profile(NEW))
    rows = {row.function: row for row in d.rows}
    states = {name: row.state for name, row in rows.items()}
    assert states == {
        "f": "shrank", "g": "grew", "h": "moved", "old": "gone", "fresh": "new", "rare": "same",
    }  # fmt: skip
    f = rows["f"]
    assert (f.base, f.new) == (900 / 1140, 800 / 1141)
    assert f.delta == f.new - f.base
    assert f.low < f.delta < f.high < 0
    assert f.q >= f.p > 0
    assert rows["old"].module == "libx"
    assert (rows["fresh"].base, rows["old"].new) == (0, 0)
    assert rows["h"].low < 0 < rows["h"].high
    assert [row.state for row in d.rows][-1] == "same"
    assert d.changed == d.rows[:-1]
    assert any("no times" in note and "independent" in note for note in d.notes)
    for row in d.rows:
        assert (row.state == "same") == (row.q >= 0.05)


def test_a_profile_and_itself_are_the_same():
    for mode in ("share", "rate", "raw"):
        d = cprof.diff(pprofs.profile(BASE), pprofs.profile(BASE), mode)
        assert not d.changed
        assert all(row.delta == 0 and row.low < 0 < row.high for row in d.rows)


def test_modes_have_their_own_units():
    base, new = pprofs.profile(BASE), pprofs.profile(BASE, seconds=5)
    assert not cprof.diff(base, new, "share").changed
    assert not cprof.diff(base, new, "raw").changed
    rate = cprof.diff(base, new, "rate")
    f = next(row for row in rate.rows if row.function == "f")
    assert (f.base, f.new, f.state) == (900e6 / 10, 900e6 / 5, "grew")
    assert rate.unit == "nanoseconds/second"
    assert any("lasts 10 s" in note and "5 s" in note for note in rate.notes)
    raw = cprof.diff(base, new, "raw", "samples")
    assert (raw.unit, raw.sample_type, raw.rows[0].base) == ("count", "samples", 900)


def test_it_shows_itself_with_mode_and_unit():
    d = cprof.diff(pprofs.profile(BASE), pprofs.profile(NEW), "rate")
    text = str(d)
    assert "difference by rate of cpu (nanoseconds per second)" in text
    assert "90.000 ms/s" in text
    assert "5 of 6 functions changed (q < 0.05)" in text
    assert "smallest change that is found 80 % of the time" in text
    assert "... and 5 more functions" in str(d.top(1))
    assert ">grew</td>" in d.top()._repr_html_()
    bundle = d._repr_mimebundle_()
    assert bundle["text/plain"] == text
    assert "<iframe" in bundle["text/html"]
    with pytest.raises(ValueError, match="-1 rows"):
        d.top(-1)


def test_for_programs():
    d = cprof.diff(pprofs.profile(BASE), pprofs.profile(NEW))
    columns = ["function", "module", "base", "new", "delta", "low", "high", "p", "q", "state"]
    frame = d.to_dataframe()
    assert list(frame.columns) == columns
    assert len(frame) == 6
    data = d.to_json()
    assert list(data["rows"][0]) == columns
    assert (data["mode"], data["unit"], data["sample_type"]) == ("share", "share", "cpu")


def test_by_stack():
    d = cprof.diff(pprofs.profile(BASE), pprofs.profile(NEW))
    rows = {row.stack: row for row in d.stacks}
    states = {";".join(stack): row.state for stack, row in rows.items()}
    assert states == {
        "main;f": "shrank", "main;g": "grew", "main;x;h": "grew", "main;y;h": "shrank",
        "main;old": "gone", "main;fresh": "new", "main;rare": "same",
    }  # fmt: skip
    f, by_function = rows["main", "f"], next(row for row in d.rows if row.function == "f")
    assert (f.base, f.delta, f.low, f.p) == (
        by_function.base, by_function.delta, by_function.low, by_function.p
    )  # fmt: skip
    assert f.q >= f.p
    columns = ["stack", "base", "new", "delta", "low", "high", "p", "q", "state"]
    assert list(d.to_dataframe("stack").columns) == columns
    data = d.to_json(stacks=True)
    assert list(data["stacks"][0]) == columns
    assert "stacks" not in d.to_json()
    text = str(d.top(2, "stack"))
    assert "main;f" in text
    assert "... and 5 more stacks" in text
    assert "6 of 7 stacks changed" in text
    with pytest.raises(ValueError, match="no rows by 'line'"):
        d.to_dataframe("line")


def test_sides_may_be_recordings():
    base, new = pprofs.profile(BASE), pprofs.profile(NEW)
    assert len(cprof.diff({"cpu": base, "heap": new}, {"faults": new})) == 6
    with pytest.raises(ValueError, match="heap, block"):
        cprof.diff({"heap": base, "block": base}, new)
    with pytest.raises(TypeError, match="Profile or a Recording, not str"):
        cprof.diff("a.pb.gz", new)  # type: ignore[arg-type]


def test_what_cannot_be_compared():
    base = pprofs.profile(BASE)
    other = pprofs.profile(BASE, types=[("samples", "count"), ("cpu", "cycles")])
    with pytest.raises(ValueError, match=r"base has .*cpu/nanoseconds, the new side has .*cycles"):
        cprof.diff(base, other)
    with pytest.raises(ValueError, match="no mode 'percent'"):
        cprof.diff(base, base, "percent")
    with pytest.raises(ValueError, match="no sample type 'heap'"):
        cprof.diff(base, base, sample_type="heap")
    with pytest.raises(NoSamples, match="the new side is empty"):
        cprof.diff(base, base.filter(under="nobody"))
    with pytest.raises(ValueError, match="the base has 1 negative value of cpu"):
        cprof.diff(pprofs.profile({"main@prog": -3, "f@prog": 9}), base)
    with pytest.raises(NoSamples, match="the new side has no cpu"):
        cprof.diff(base, pprofs.profile({"main@prog": 0}))
    with pytest.raises(ValueError, match="the new side does not say how long"):
        cprof.diff(base, pprofs.profile(BASE, seconds=0), "rate")


def test_quality_that_differs_is_told():
    cut = {"[truncated]@;main@prog;f@prog": 900, "main@prog;f@prog": 100, "[lost]@": 50}
    notes = cprof.diff(pprofs.profile(BASE), pprofs.profile(cut)).notes
    assert any("0.0 % of the base's samples were lost, 4.8 %" in note for note in notes)
    assert any("stacks are cut short" in note for note in notes)


def test_both_trees_in_one():
    d = cprof.diff(pprofs.profile(BASE), pprofs.profile(NEW))
    nodes = {(n[1], d.nodes[n[0]][1] if n[0] >= 0 else None): n[3:] for n in d.nodes}
    ms = 1_000_000
    assert nodes["all", None] == (1140 * ms, 1141 * ms)
    assert nodes["main", "all"] == (1140 * ms, 1141 * ms)
    assert nodes["h", "x"] == (50 * ms, 95 * ms)
    assert nodes["old", "main"] == (40 * ms, 0)
    assert nodes["fresh", "main"] == (0, 40 * ms)


def test_the_flame_graph_draws_what_was_removed(tmp_path):
    d = cprof.diff(pprofs.profile(BASE), pprofs.profile(NEW))
    d.write(tmp_path / "d.svg")
    svg = (tmp_path / "d.svg").read_text()
    for text in ("old", "fresh", "only in base", "difference by share of cpu"):
        assert f">{text}" in svg.replace("\n", "")
    ax = d.flamegraph(title="mine")
    assert any(text.get_text() == "mine" for text in ax.texts)
    d.write(tmp_path / "d.png")
    assert (tmp_path / "d.png").read_bytes().startswith(b"\x89PNG")


def test_it_is_written_by_extension(tmp_path):
    d = cprof.diff(pprofs.profile(BASE), pprofs.profile(NEW))
    d.write(tmp_path / "d.folded")
    lines = (tmp_path / "d.folded").read_text().splitlines()
    ms = 1_000_000
    assert f"main;f {900 * ms} {800 * ms}" in lines
    assert f"main;old {40 * ms} 0" in lines
    assert len(lines) == 7
    d.write(tmp_path / "d.csv")
    rows = (tmp_path / "d.csv").read_text().splitlines()
    assert rows[0] == "function,module,base,new,delta,low,high,p,q,state"
    assert len(rows) == 7
    d.write(tmp_path / "d.html")
    assert "<html" in (tmp_path / "d.html").read_text()
    assert "<html" in d.html()
    with pytest.raises(ValueError, match=r"\.callgrind file cannot hold a difference"):
        d.write(tmp_path / "d.callgrind")


SHARES = [0.4, 0.2, 0.1, 0.05, 0.02, 0.01, *[0.22 / 14] * 14]


@pytest.mark.parametrize(("visit", "seconds", "threads"), [(1, 10, 1), (5, 10, 2), (20, 20, 1)])
def test_no_change_makes_no_alarm_and_intervals_hold_it(visit, seconds, threads):
    """95 % intervals, and at most 5 % of diffs with an alarm: within what 30 runs may show."""
    draw, n = random.Random(visit), 30
    held = rows = alarms = 0
    for _ in range(n):
        sides = [
            simulated.profile(
                draw, SHARES, visit=visit, seconds=seconds, threads=threads, n_callers=2
            )
            for _ in range(2)
        ]
        d = cprof.diff(*sides)
        alarms += bool(d.changed)
        held += sum(row.low <= 0 <= row.high for row in d.rows)
        rows += len(d.rows)
    assert alarms <= 5  # of 30; more than 5 have a chance of 1 in 300 where 5 % is the truth
    assert held / rows >= 0.94


@pytest.mark.parametrize(
    "settings",
    [
        {"visit": 50, "seconds": 2, "threads": 4},
        {"visit": 1, "seconds": 10, "threads": 2, "phase": 2},
    ],
)
def test_a_few_long_visits_or_phases_make_no_alarm(settings):
    draw, n = random.Random(7), 40
    sides = [[simulated.profile(draw, SHARES, **settings) for _ in "ab"] for _ in range(n)]
    assert sum(bool(cprof.diff(*pair).changed) for pair in sides) <= 5  # 5 %: 1 in 70 has more


@pytest.mark.parametrize("visit", [1, 10])
def test_intervals_hold_a_change(visit):
    draw, n = random.Random(3), 40
    new = [*SHARES]
    new[1], new[2] = 0.1, 0.2
    held = [0, 0, 0]
    for _ in range(n):
        a, b = (simulated.profile(draw, s, visit=visit, seconds=10) for s in (SHARES, new))
        rows = {row.function: row for row in cprof.diff(a, b).rows}
        for i in range(3):
            row = rows[f"f{i}"]
            held[i] += row.low <= new[i] - SHARES[i] <= row.high
    assert min(held) >= 0.85 * n  # 95 % of 40 within three standard errors
    assert sum(held) >= 0.91 * 3 * n


def test_a_real_change_is_found_and_named():
    draw = random.Random(4)
    new = [*SHARES]
    new[1], new[2] = 0.1, 0.2
    a, b = (simulated.profile(draw, s, visit=3, seconds=60, n_callers=2) for s in (SHARES, new))
    d = cprof.diff(a, b)
    states = {row.function: row.state for row in d.rows}
    assert (states["f1"], states["f2"]) == ("shrank", "grew")
    assert len(d.changed) == 2
    assert not any("independent" in note for note in d.notes)


def test_windows_of_unequal_length_are_compared_by_share_and_rate():
    draw = random.Random(5)
    a = simulated.profile(draw, SHARES, visit=3, seconds=60)
    b = simulated.profile(draw, SHARES, visit=3, seconds=20)
    for mode in ("share", "rate"):
        assert not cprof.diff(a, b, mode).changed
    assert cprof.diff(a, b, "raw").changed
    overlap = cprof.diff(a.window(0, 20), a.window(10, 30))
    assert any("overlap" in note for note in overlap.notes)
    apart = cprof.diff(a.focus("^f1$"), a.focus("^f2$"))  # of the same time, and yet
    assert not any("overlap" in note for note in apart.notes)


def test_too_little_says_so():
    draw = random.Random(6)
    a, b = (simulated.profile(draw, SHARES, visit=20, seconds=2) for _ in range(2))
    d = cprof.diff(a, b)
    assert not d.changed
    assert any(note.startswith("inconclusive") for note in d.notes)


def test_the_same_answer_every_time():
    a, b = (simulated.profile(random.Random(i), SHARES, visit=5) for i in (1, 2))
    assert cprof.diff(a, b).to_json() == cprof.diff(a, b).to_json()


def test_the_core_refuses_what_is_no_block():
    with pytest.raises(ValueError, match="what blocks"):
        _core.resample(array("Q"), array("I"), array("d"), 8, array("I"), 10, 1)


def test_rare_functions_are_known_to_be_rare():
    """However little a sample or two tell of their variance: one event, as large as visits are
    here, is all that was seen, and 5.6 times that is all there can be (Fay and Feuer 1997)."""
    draw = random.Random(7)
    shares = [0.7, 0.29, *[0.001] * 10]
    a, b = (simulated.profile(draw, shares, seconds=5, phase=0.3) for _ in range(2))
    rare = [row for row in cprof.diff(a, b).rows if 0 < row.base + row.new < 0.01]
    assert len(rare) >= 3
    for row in rare:
        assert max(-row.low, row.high) <= 5.6 * 0.02
