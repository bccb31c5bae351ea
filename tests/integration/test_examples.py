"""The examples of the README and of the first issue, as they stand there, on real targets."""

import pytest
from answers import is_whole, totals

import cprof

pytestmark = pytest.mark.perf


@pytest.fixture(scope="module")
def profile(workload):
    from permission import perf_refusal

    if perf_refusal():
        pytest.skip(perf_refusal())
    return cprof.record([str(workload("threads.c")), "2"], labels={"build": "42"})


def test_top_of_a_window(profile):
    middle = profile.window(0.2, 0.6)
    assert 0 < middle.samples < profile.samples
    assert middle.top(20)[0].function == "churn"
    assert "churn" in str(middle.top())


def test_flame_graph_of_some_threads(profile):
    axes_of = pytest.importorskip("matplotlib.axes")
    axes = profile.filter(thread="worker*").flamegraph()
    assert isinstance(axes, axes_of.Axes)
    written = [*axes.texts, *axes.get_figure().texts]
    texts = " ".join(text.get_text() for text in written)
    assert "churn" in texts
    assert f"{profile.filter(thread='worker*').samples:,d} samples" in texts


def test_files(profile, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    profile.write("cpu.pb.gz")
    again = cprof.load("cpu.pb.gz")
    assert again.totals == profile.totals
    assert again.labels == {"build": "42"}
    profile.write("cpu.folded")
    lines = (tmp_path / "cpu.folded").read_text().splitlines()
    assert sum(int(line.rpartition(" ")[2]) for line in lines) == profile.totals["cpu"]


def test_recorder_as_a_context(workload, running):
    target = running(workload("burner.c"), "forever")
    with cprof.Recorder(target.pid, freq=499) as rec:
        for n, window in enumerate(rec.windows(every=0.4)):
            assert totals(window, ["burn"])["burn"] > 0
            if n == 2:
                break
    assert rec.profile.samples > 0


def test_table_of_the_samples(profile):
    pandas = pytest.importorskip("pandas")
    frame = profile.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == profile.samples
    assert frame["cpu"].sum() == profile.totals["cpu"]
    by_thread = frame.groupby("thread")["cpu"].sum()
    for name in ("worker-1", "worker-4"):
        assert by_thread[name] == profile.filter(thread=name).totals["cpu"]
    assert frame["time"].between(*profile.span).all()
    hot = frame[frame.function == "churn"]
    assert hot["cpu"].sum() == totals(profile, ["churn"], "self")["churn"]
    assert hot["stack"].str.endswith("churn").all()


def test_polars_takes_the_samples_without_pandas(profile):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(profile)
    assert frame["cpu"].sum() == profile.totals["cpu"]
    assert set(frame["thread"].unique()) >= {"worker-1", "worker-2", "worker-3", "worker-4"}


def test_columns_are_numpy_arrays_without_a_copy(profile):
    numpy = pytest.importorskip("numpy")
    times = numpy.asarray(profile.columns["time"])
    assert times.dtype == numpy.uint64
    assert not times.flags.writeable
    assert numpy.shares_memory(times, numpy.asarray(profile.columns["time"]))
    assert int(numpy.asarray(profile.columns["cpu"]).size) == profile.samples


def test_notebook_shows_the_page_a_picture_and_text(profile):
    pytest.importorskip("matplotlib")
    bundle = profile._repr_mimebundle_()
    assert "churn" in bundle["text/plain"]
    assert set(bundle) == {"text/plain", "image/png", "text/html"}


def test_sum_of_two_recordings(profile, workload):
    other = cprof.record([str(workload("burner.c")), "slices", "0.3"])
    both = profile + other
    assert both.totals["cpu"] == profile.totals["cpu"] + other.totals["cpu"]
    assert totals(both, ["churn"]) == totals(profile, ["churn"])
    assert totals(both, ["hot"]) == totals(other, ["hot"])


def test_tree(profile):
    tree = profile.tree()
    assert tree.total == profile.totals["cpu"]
    [*nodes] = tree.find("churn")
    assert sum(node.total for node in nodes) == totals(profile, ["churn"])["churn"]
    assert all(node.parent.name == "worker" for node in nodes)


def test_quality_is_the_documented_one(profile):
    quality = profile.quality
    for name in ("samples", "lost", "throttled", "truncated"):
        assert isinstance(quality[name], int)
    assert 0.99 <= quality["complete"] <= 1
    assert quality["unwound"]["table"] == profile.samples - quality["fallback"]
    assert quality["unwound"].get("libunwind", 0) == quality["fallback"]
    assert quality["fallback"] <= 0.01 * profile.samples
    assert quality["rate_asked"] == 997
    # Tasks that are made while a period is in force keep it, and it is within 10 % of the mean;
    # what a sample stands for is its own period, so the CPU time comes out right all the same.
    period = profile.totals["cpu"] / profile.samples
    assert period == pytest.approx(1e9 / 997, rel=0.12)
    assert quality["rate_reached"] == pytest.approx(quality["coverage"] * 1e9 / period)
    assert is_whole(quality["coverage"])
