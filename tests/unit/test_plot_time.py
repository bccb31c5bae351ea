"""Heat maps and timelines: cells and bins hold what was sampled then, selections are exactly
their rectangle, and pictures stay readable with few and with many."""

import struct
import xml.dom.minidom
from array import array

import pytest

import cprof
from cprof import _core

pytest.importorskip("matplotlib")
import numpy as np
from matplotlib.backend_bases import MouseButton, MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cprof import plot_time

START = 5_000_000_000_000
MS = 1_000_000


def timed(events, *, threads=1, seconds=10.0, names=("main", "hot", "cold")):
    """A profile of (seconds, function number, thread number), 1 ms of CPU each; names[0] calls
    the others."""
    events = sorted(events)
    n = len(events)
    leaf = [0xFFFFFFFF, *[0] * (len(names) - 1)]
    return cprof.Profile(
        _core.build(
            {
                "sample_types": [("samples", "count"), ("cpu", "nanoseconds")],
                "default_type": "cpu",
                "mappings": [(4096, 1 << 20, 0, "/bin/prog", "prog", "")],
                "functions": [(name, name, "", 0, "prog") for name in names],
                "locations": [
                    array("Q", [4096 + 16 * i for i in range(len(names))]),
                    array("I", [0] * len(names)),
                ],
                "lines": [
                    array("I", range(len(names))),
                    array("I", range(len(names))),
                    array("q", [0] * len(names)),
                    array("I", [0] * len(names)),
                ],
                "nodes": [array("I", leaf), array("I", range(len(names)))],
                "threads": [(1, 1 + i, f"worker-{i}", "prog") for i in range(threads)],
                "rows": {
                    "time": array("Q", [START + round(t * 1e9) for t, _, _ in events]),
                    "thread": array("I", [thread for _, _, thread in events]),
                    "stack": array("I", [function for _, function, _ in events]),
                    "values": [None, array("q", [MS] * n)],
                },
                "run": {"start_mono": START, "command": "prog $x$ <b>"},
                "span": (0.0, seconds),
            }
        )
    )


@pytest.fixture
def ax():
    figure = Figure(figsize=(10, 4))
    FigureCanvasAgg(figure)
    return figure.add_axes((0.2, 0.2, 0.6, 0.6))


def texts(ax):
    return {text.get_text() for text in ax.texts}


# Heat map


def test_each_sample_is_in_the_cell_of_its_second_and_offset(ax):
    events = [(0.01, 1, 0), (0.019, 1, 0), (0.02, 1, 0), (3.999, 2, 0), (7.5, 2, 0)]
    heat = timed(events).heatmap(ax)
    assert heat.axes is ax
    assert heat.counts.shape == (50, 10)
    assert heat.counts.sum() == 5
    assert {(int(r), int(c)): int(heat.counts[r, c]) for r, c in np.argwhere(heat.counts)} == {
        (0, 0): 2, (1, 0): 1, (49, 3): 1, (25, 7): 1,
    }  # fmt: skip


def test_samples_that_stand_for_several_count_so(ax):
    p = timed([(1.5, 1, 0)])
    assert (p + p).heatmap(ax).counts.sum() == 2


def test_a_window_has_the_columns_of_its_seconds(ax):
    p = timed([(t / 10, 1, 0) for t in range(100)])
    heat = p.window(2.5, 4.5).heatmap(ax, rows=10)
    assert heat.counts.shape == (10, 3)
    assert heat.counts.sum(axis=0).tolist() == [5, 10, 5]
    assert ax.get_xlim() == (2, 5)


@pytest.mark.parametrize(
    ("seconds", "offset", "times"),
    [
        ((1, 3), (0.3, 0.4), []),
        (None, (0.0, 1.0), [0.0, 0.5, 1.0, 1.5, 2.25, 9.75]),
        ((1, 2), (0.0, 1.0), [1.0, 1.5]),
        ((0, 3), (0.5, 1.0), [0.5, 1.5]),
        (None, (0.25, 0.5), [2.25]),
        ((3, 9), (0.0, 1.0), []),
    ],
)
def test_a_selection_is_exactly_its_rectangle(ax, seconds, offset, times):
    p = timed([(t, 1, 0) for t in (0.0, 0.5, 1.0, 1.5, 2.25, 9.75)])
    part = p.heatmap(ax).select(seconds=seconds, offset=offset)
    assert [(t - START) / 1e9 for t in part.columns["time"]] == times
    if seconds:
        assert part.span == seconds


@pytest.mark.parametrize(
    "wrong",
    [
        {"offset": (0.5, 0.5)}, {"offset": (-0.1, 1)}, {"offset": (0, 1.1)},
        {"seconds": (3, 3)}, {"seconds": (4, 3)}, {"seconds": (-1, 3)},
    ],
)  # fmt: skip
def test_no_rectangle_is_an_error(ax, wrong):
    with pytest.raises(ValueError, match=r"no (seconds|offsets|window)"):
        timed([(1, 1, 0)]).heatmap(ax).select(**wrong)


def drag(ax, start, end):
    canvas = ax.figure.canvas
    canvas.draw()
    for name, at in (("press", start), ("motion", end), ("release", end)):
        x, y = ax.transData.transform(at)
        kind = "motion_notify_event" if name == "motion" else f"button_{name}_event"
        MouseEvent(kind, canvas, x, y, MouseButton.LEFT)._process()


def test_the_mouse_draws_a_rectangle_and_its_flame_graph_opens(ax, monkeypatch):
    import matplotlib.pyplot as plt

    before = set(plt.get_fignums())
    events = [(t / 10, 1 if t < 50 else 2, 0) for t in range(100)]
    heat = timed(events).heatmap(ax, rows=10)
    drag(ax, (6.2, 0.31), (7.8, 0.59))
    assert heat.selection is not None
    times = [round((t - START) / 1e9, 3) for t in heat.selection.columns["time"]]
    assert times == [6.3, 6.4, 6.5, 7.3, 7.4, 7.5]
    (number,) = set(plt.get_fignums()) - before
    shown = plt.figure(number)
    assert {"main", "cold"} <= {text.get_text() for text in shown.axes[0].texts}
    drag(ax, (0.2, 0.05), (0.9, 0.95))
    assert heat.selection.samples == 10
    assert set(plt.get_fignums()) - before == {number}, "one figure for all selections"
    assert "hot" in {text.get_text() for text in shown.axes[0].texts}
    plt.close(shown)


# Timeline


def lanes(ax):
    (mesh,) = ax.collections[:1]
    names = [label.get_text() for label in ax.get_yticklabels()]
    return names, np.asarray(mesh.get_array()).reshape(max(len(names), 1), -1)


def test_lanes_are_threads_and_colour_is_the_part_of_a_cpu(ax):
    events = [(t / 1000, 1, 0) for t in range(10_000)]
    events += [(t / 1000 + 0.0005, 2, 1) for t in range(5000, 10_000, 2)]
    assert timed(events, threads=2).timeline(ax=ax) is ax
    names, table = lanes(ax)
    assert names == ["worker-0 1", "worker-1 2"]
    middle = table.shape[1] // 2
    assert table[0] == pytest.approx(1.0)
    assert not table[1][:middle].any()
    assert table[1][middle:] == pytest.approx(0.5, abs=0.03), "a bin has 25 samples, or 26"


def test_two_hundred_threads_are_thirty_lanes_and_the_others_in_one(ax):
    events = [(t / 10, 1, i) for i in range(200) for t in range(1 + i // 4)]
    p = timed(events, threads=200)
    p.timeline(ax=ax)
    names, table = lanes(ax)
    assert len(names) == 31
    assert names[:4] == ["worker-196 197", "worker-197 198", "worker-198 199", "worker-199 200"]
    assert names[-1] == "other (170 threads)"
    edges = np.unique(ax.collections[0].get_coordinates()[..., 0])
    assert (table * np.diff(edges)).sum() == pytest.approx(p.totals["cpu"] / 1e9)


def test_functions_are_stacked_and_nothing_is_lost(ax):
    names = ["main", *(f"f{i}" for i in range(20))]
    events = [(t / 10, 1 + i, 0) for i in range(20) for t in range(100 - i)]
    p = timed(events, names=names)
    p.timeline(by="function", ax=ax)
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["other (12 functions)", *(f"f{i}" for i in reversed(range(8)))]
    tops = [patch.get_data() for patch in ax.patches]
    area = (tops[-1].values * np.diff(tops[-1].edges)).sum()
    assert area == pytest.approx(p.totals["cpu"] / 1e9)
    first = tops[0]
    own = next(row.self for row in p.functions() if row.function == "f0") / 1e9
    assert (first.values * np.diff(first.edges)).sum() == pytest.approx(own)


def test_a_sample_type_that_is_no_time_is_shown_per_second(ax):
    timed([(t / 100, 1, 0) for t in range(1000)]).timeline(
        by="function", ax=ax, sample_type="samples"
    )
    assert ax.get_ylabel() == "samples (count) per second"
    assert ax.patches[0].get_data().values == pytest.approx(100, rel=0.35)


# What is wrong, little or hostile


def drawings(p, ax):
    yield p.heatmap(ax).axes
    for by in ("thread", "function"):
        figure = Figure(figsize=(10, 4))
        FigureCanvasAgg(figure)
        yield p.timeline(by=by, ax=figure.add_axes((0.2, 0.2, 0.6, 0.6)))


def test_without_times_there_is_no_picture_of_time(ax):
    from pprofs import profile

    for draw in ("heatmap", "timeline"):
        with pytest.raises(cprof.CprofError, match="no times"):
            getattr(profile({"main@prog;f@prog": 3}), draw)(ax=ax)


def test_wrong_arguments_are_named(ax):
    p = timed([(1, 1, 0)])
    with pytest.raises(ValueError, match="by='cpu'"):
        p.timeline(by="cpu", ax=ax)
    with pytest.raises(ValueError, match="rows=0"):
        p.heatmap(ax, rows=0)
    with pytest.raises(ValueError, match="no sample type 'x'"):
        p.timeline(ax=ax, sample_type="x")


def test_an_empty_profile_says_so(ax):
    p = timed([(1, 1, 0)]).window(5, 6)
    for drawn in drawings(p, ax):
        assert "no samples" in texts(drawn)
        drawn.figure.canvas.draw()


@pytest.mark.parametrize("seconds", [1e-6, 0.003, 1.0, 86_400.0])
def test_any_length_can_be_drawn(ax, seconds):
    p = timed([(0, 1, 0), (seconds * 0.999, 2, 0)], seconds=seconds)
    if seconds > 20_000:
        with pytest.raises(ValueError, match="window"):
            p.heatmap(ax)
        assert p.timeline(ax=ax) is ax
        return
    for drawn in drawings(p, ax):
        drawn.figure.canvas.draw()


@pytest.mark.parametrize("name", ["$a_{b$", "<script>&", "\x01\x1b[0m", "日本語", "x" * 5000])
@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_name_makes_well_formed_pictures(ax, name, tmp_path):
    p = timed([(1, 1, 0)], names=("main", name))
    for drawn in drawings(p, ax):
        drawn.figure.savefig(tmp_path / "a.svg")
        xml.dom.minidom.parse(str(tmp_path / "a.svg"))


def test_without_matplotlib_the_remedy_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(cprof.MissingPackage, match="a heat map needs matplotlib"):
        timed([(1, 1, 0)]).heatmap()


def test_a_million_samples_are_drawn_in_a_moment(ax):
    import time

    n = 1_000_000
    times = (START + np.sort(np.random.default_rng(1).uniform(0, 600, n)) * 1e9).astype(np.uint64)
    small = timed([(0, 1, 0)], seconds=600.0)
    assert struct.calcsize("Q") == times.itemsize
    core = _core.build(
        {
            "sample_types": [("cpu", "nanoseconds")],
            "mappings": [],
            "functions": [("f", "f", "", 0, "")],
            "locations": [array("Q", [0]), array("I", [0xFFFFFFFF])],
            "lines": [array("I", [0]), array("I", [0]), array("q", [0]), array("I", [0])],
            "nodes": [array("I", [0xFFFFFFFF]), array("I", [0])],
            "threads": [(1, 1, "t", "t")],
            "rows": {
                "time": times, "thread": array("I", bytes(4 * n)),
                "stack": array("I", bytes(4 * n)), "values": [array("q", [MS]) * n],
            },
            "run": {"start_mono": START},
            "span": (0.0, 600.0),
        }
    )  # fmt: skip
    p = cprof.Profile(core)
    assert small.samples == 1
    start = time.perf_counter()
    heat = p.heatmap(ax)
    assert heat.counts.sum() == n, "a profile without a type samples: a row is one"
    assert heat.select(seconds=(0, 600), offset=(0, 0.5)).samples == pytest.approx(n / 2, rel=0.01)
    assert time.perf_counter() - start < 10  # 0.2 s here; loops in Python take minutes


def test_functions_of_a_timeline_are_those_of_the_table():
    events = [(t / 10, 1 + t % 2, 0) for t in range(50)]
    p = timed(events)
    keys, labels = plot_time._functions(p)
    found = dict(zip(labels, np.bincount(keys, minlength=len(labels)).tolist(), strict=True))
    assert {k: v for k, v in found.items() if v} == {
        row.function: row.self // MS for row in p.functions() if row.self
    }


def test_a_sliver_at_the_end_is_no_peak(ax):
    p = timed([(t / 100, 1, 0) for t in range(1000)] + [(10.0005, 1, 0)], seconds=10.001)
    p.timeline(by="function", ax=ax)
    values = ax.patches[0].get_data().values
    assert values[-1] == pytest.approx(0.1, rel=0.35)
    assert ax.get_xlim() == (0, 10.001)


def test_a_few_cells_far_above_do_not_pale_all_others():
    many = np.full((50, 60), 10.0)
    assert plot_time._top_of(many) == 10
    assert plot_time._top_of(0 * many) == 0
    many[3, 5] = 1000
    assert plot_time._top_of(many) == 20
