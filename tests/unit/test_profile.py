"""Profile: every view of a table whose contents the test wrote itself."""

import datetime

import pytest
from pprofs import encode, profile

import cprof
from cprof import _core

STACKS = [
    ("_start@prog;main@prog;parse(int)@prog;memcpy@libc.so.6", 50, {"thread": "worker-1"}),
    ("_start@prog;main@prog;parse(int)@prog", 20, {"thread": "worker-2"}),
    ("_start@prog;main@prog;send@libnet.so", 30, {"thread": "main"}),
]
WHERE = {"comm": "prog", "pid": 7}


@pytest.fixture
def prof():
    rows = [
        (stack, n, {**labels, **WHERE, "tid": 10 + i})
        for i, (stack, n, labels) in enumerate(STACKS)
    ]
    return profile(rows)


class FakeCore:
    """A core profile with times, for what Profile computes before it asks."""

    sample_types = [("samples", "count"), ("cpu", "nanoseconds")]  # noqa: RUF012
    default_type = 1

    def __init__(self, *, begin=0.0, end=10.0, has_times=True, times=(), **run):
        self.asked = []
        self.times = times
        self.run = {
            "start_mono": 5_000_000_000, "from": begin, "to": end, "has_times": has_times,
            "start_unix": 1_700_000_000_123_456_789, "comments": [], **run,
        }  # fmt: skip

    def column(self, name):
        import array

        assert name == "time"
        return array.array("Q", self.times)

    def window(self, start, end):
        self.asked.append((start, end))
        part = FakeCore()
        part.asked = self.asked
        return part


def test_counts_and_totals_are_those_of_the_file(prof):
    assert prof.samples == 100
    assert prof.totals == {"samples": 100, "cpu": 100_000_000}
    assert prof.sample_types == [("samples", "count"), ("cpu", "nanoseconds")]
    assert prof.duration == 10.0
    assert (prof.lost, prof.truncated) == (0, 0)


def test_functions_sum_self_and_total_and_come_in_order_of_self(prof):
    rows = [(r.function, r.module, r.self, r.total) for r in prof.functions("samples")]
    assert rows == [
        ("memcpy", "libc.so.6", 50, 50),
        ("send", "libnet.so", 30, 30),
        ("parse(int)", "prog", 20, 70),
        ("_start", "prog", 0, 100),
        ("main", "prog", 0, 100),
    ]


def test_functions_are_of_the_default_type_unless_another_is_named(prof):
    assert prof.functions()[0].self == 50_000_000
    with pytest.raises(ValueError, match="samples, cpu"):
        prof.functions("heap")


def test_top_cuts_the_rows_and_no_more(prof):
    assert prof.top(2) == prof.functions()[:2]
    assert len(prof.top(0)) == 0
    assert "and 3 more functions" in str(prof.top(2))
    with pytest.raises(ValueError, match="-1"):
        prof.top(-1)


def test_recursion_counts_once_for_each_sample():
    p = profile({"f@p;g@p;f@p": 3})
    assert [(r.function, r.self, r.total) for r in p.functions("samples")] == [
        ("f", 3, 3),
        ("g", 0, 3),
    ]


@pytest.mark.parametrize(
    ("test", "samples"),
    [
        ({"thread": "worker*"}, 70),
        ({"thread": 12}, 30),
        ({"thread": ["worker-1", 12]}, 80),
        ({"comm": "prog"}, 100),
        ({"comm": 8}, 0),
        ({"module": "lib*"}, 80),
        ({"module": "/usr/bin/prog"}, 20),
        ({"under": "parse"}, 70),
        ({"under": "parse(int)"}, 70),
        ({"under": ["memcpy", "send"]}, 80),
        ({"under": "main"}, 100),
        ({"under": "none"}, 0),
        ({"thread": "worker*", "module": "libc*"}, 50),
        ({"thread": []}, 0),
    ],
)
def test_filter_keeps_what_passes_every_test(prof, test, samples):
    part = prof.filter(**test)
    assert part.samples == samples
    assert part.totals["samples"] == samples
    assert prof.samples == 100


def test_an_empty_filter_result_answers_every_question(prof):
    none = prof.filter(under="nothing")
    assert none.functions() == []
    assert none.tree().total == 0
    assert none.quality["complete"] == 0.0
    assert none.modules == []
    assert none.threads == []
    assert "0 samples" in repr(none)
    str(none.top())
    str(none.tree())


def test_under_without_any_names_is_an_error_of_its_own():
    class Nameless(FakeCore):
        def quality(self):
            return {"samples": 4, "unknown": 4}

    with pytest.raises(cprof.NoSymbols):
        cprof.Profile(Nameless()).filter(under="main")


def test_sums_add_everything_up(prof):
    both = prof + prof.filter(under="send")
    assert both.totals == {"samples": 130, "cpu": 130_000_000}
    assert sum([prof, prof, prof]).samples == 300
    assert sum([prof]) is prof
    assert both.duration == 20.0
    rows = {row.function: row.self for row in both.functions("samples")}
    assert rows == {"memcpy": 50, "send": 60, "parse(int)": 20, "main": 0, "_start": 0}


def test_sums_of_other_things_are_refused(prof):
    with pytest.raises(TypeError):
        prof + 1
    with pytest.raises(ValueError, match="type"):
        prof + profile({"f@p": 1}, types=(("objects", "count"),))


def test_profiles_are_equal_to_themselves_only(prof):
    same = prof.filter()
    assert prof == prof
    assert prof != same
    assert len({prof, same, prof}) == 2


def test_a_profile_cannot_be_changed(prof):
    with pytest.raises(AttributeError):
        prof.samples = 1
    with pytest.raises(AttributeError):
        prof.note = "x"
    with pytest.raises(TypeError):
        memoryview(prof.columns["samples"])[0] = 1


def test_quality_has_the_documented_keys(prof):
    quality = prof.quality
    documented = (
        "samples lost throttled truncated complete unwound rate_asked rate_reached ends guessed "
        "unknown kernel kernel_excluded coverage stack_bytes switches event bad_records "
        "no_mapping fallback spliced continued refused verified agreed waited live_dropped exact"
    )
    assert set(documented.split()) <= set(quality)
    assert quality["samples"] == 100
    assert quality["complete"] == 1.0
    assert quality["ends"]["root"] == 100
    assert quality["coverage"] is None


def test_stacks_that_ended_early_are_not_complete():
    p = profile({"[truncated]@;f@p": 25, "_start@p;f@p": 75})
    assert p.quality["complete"] == 0.75
    assert p.truncated == 25
    assert p.quality["ends"]["truncated"] == 25


def test_how_stacks_were_found_is_counted_in_every_view():
    p = profile(
        [
            ("main@prog;f@lib.so", 60, {"unwind": "continued", "thread": "a"}),
            ("main@prog;f@lib.so", 5, {"unwind": "fallback,guessed", "thread": "b"}),
            ("[no mapping]@;g@prog", 35, {"thread": "b"}),
        ],
        comments=["cprof.unwinder: table", "cprof.n_verified: 10", "cprof.n_agreed: 9"],
    )
    quality = p.quality
    assert (quality["continued"], quality["fallback"], quality["guessed"]) == (60, 5, 5)
    assert (quality["no_mapping"], quality["complete"]) == (35, 0.65)
    assert quality["unwound"] == {"table": 95, "libunwind": 5}
    assert (quality["verified"], quality["agreed"]) == (10, 9)
    part = p.filter(thread="b").quality
    assert (part["continued"], part["fallback"], part["no_mapping"]) == (0, 5, 35)
    assert (part["verified"], part["agreed"]) == (0, 0)  # of the whole only
    both = (p + p).quality
    assert (both["continued"], both["guessed"], both["verified"]) == (120, 10, 20)


def test_quality_by_module_adds_up():
    p = profile(
        [
            ("main@prog;f@lib.so", 60, {"unwind": "spliced"}),
            ("[no unwind info]@;f@lib.so;g@prog", 30, {}),
            ("[truncated]@;f@lib.so;g@prog", 10, {}),
            ("[lost]", 7, {}),
        ]
    )
    lib, prog = p.quality_by_module()
    assert (lib.module, lib.samples, lib.complete, lib.spliced) == ("lib.so", 60, 1.0, 60)
    assert (lib.broke, lib.reason) == (40, "no_info")
    assert (prog.module, prog.samples, prog.complete, prog.truncated) == ("prog", 40, 0.0, 10)
    assert (prog.broke, prog.reason) == (0, "")
    prog, lib = p.filter(module="prog").quality_by_module()
    assert (prog.samples, lib.samples, lib.broke) == (40, 0, 40)
    assert p.filter(under="nothing").quality_by_module() == []


def test_threads_are_those_with_samples(prof):
    assert [(t.tid, t.name) for t in prof.threads] == [
        (10, "worker-1"),
        (11, "worker-2"),
        (12, "main"),
    ]
    assert [t.tid for t in prof.filter(thread="main").threads] == [12]


def test_modules_come_in_order_of_self(prof):
    assert prof.modules == ["libc.so.6", "libnet.so", "prog"]


def test_labels_come_back_and_differing_ones_are_joined():
    one = profile({"f@p": 1}, comments=["cprof.label.version: v1", "hello", "cprof.label.x: y: z"])
    two = profile({"f@p": 1}, comments=["cprof.label.version: v2"])
    assert one.labels == {"version": "v1", "x": "y: z"}
    assert (one + two).labels == {"version": "v1, v2", "x": "y: z"}


# Times


def test_windows_are_asked_for_in_the_clock_of_the_samples():
    core = FakeCore()
    p = cprof.Profile(core)
    p.window(2.0, 4.5)
    p[:3]
    p[1.5:]
    p[:]
    end = 2**64 - 1
    assert core.asked == [
        (7_000_000_000, 9_500_000_000),
        (5_000_000_000, 8_000_000_000),
        (6_500_000_000, end),
        (5_000_000_000, end),
    ]


@pytest.mark.parametrize("span", [(-1, 2), (3, 2), (0, -1), (float("nan"), 1), (0, float("inf"))])
def test_spans_that_are_none_are_refused(span):
    with pytest.raises(ValueError, match="window"):
        cprof.Profile(FakeCore()).window(*span)


def test_indexing_takes_seconds_only():
    p = cprof.Profile(FakeCore())
    with pytest.raises(ValueError, match="split"):
        p[0:2:1]
    with pytest.raises(TypeError):
        p[3]


def test_split_covers_the_span_and_the_last_part_is_open():
    core = FakeCore(end=2.5)
    parts = cprof.Profile(core).split(1.0)
    assert len(parts) == 3
    starts, ends = zip(*core.asked, strict=True)
    assert starts == (5_000_000_000, 6_000_000_000, 7_000_000_000)
    assert ends == (6_000_000_000, 7_000_000_000, 2**64 - 1)


def test_split_has_no_sliver_at_an_even_end():
    core = FakeCore(end=3.0)
    assert len(cprof.Profile(core).split(1.0)) == 3
    for tenths in range(1, 100):
        assert len(cprof.Profile(FakeCore(end=tenths / 10)).split(0.1)) == tenths


def test_split_reaches_rows_beyond_the_summed_duration():
    core = FakeCore(end=2.0, times=[5_500_000_000, 14_500_000_000])
    assert len(cprof.Profile(core).split(1.0)) == 10


@pytest.mark.parametrize("every", [0, -1, float("nan"), 1e-9])
def test_split_by_nonsense_is_refused(every):
    with pytest.raises(ValueError, match="every"):
        cprof.Profile(FakeCore()).split(every)


def test_a_file_without_times_has_no_windows(prof):
    for ask in (lambda: prof.window(0, 1), lambda: prof[0:1], lambda: prof.split(1)):
        with pytest.raises(cprof.CprofError, match="no times"):
            ask()


def test_start_time_is_the_views_own():
    p = cprof.Profile(FakeCore(begin=2.5))
    expected = datetime.datetime(2023, 11, 14, 22, 13, 22, 623456, datetime.UTC)
    assert abs(p.start_time - expected) < datetime.timedelta(microseconds=2)
    assert cprof.Profile(FakeCore(start_unix=0)).start_time is None


# Data


def test_columns_are_buffers_of_the_documented_types(prof):
    columns = prof.columns
    assert list(columns) == [
        "time", "pid", "tid", "cpu_id", "thread", "stack", "how", "n_added", "samples", "cpu",
    ]  # fmt: skip
    formats = {name: column.format for name, column in columns.items()}
    assert formats == {
        "time": "Q", "pid": "i", "tid": "i", "cpu_id": "i", "thread": "I", "stack": "I",
        "how": "B", "n_added": "H", "samples": "q", "cpu": "q",
    }  # fmt: skip
    assert sum(columns["cpu"]) == 100_000_000
    assert set(columns["pid"]) == {7}
    assert all(column.readonly for column in columns.values())
    with pytest.raises(KeyError):
        columns["nothing"]


def test_a_sample_type_with_a_taken_name_is_told_apart():
    p = profile({"f@p": 5}, types=(("samples", "count"), ("thread", "nanoseconds")))
    assert list(p.columns["thread value"]) == [5_000_000]
    assert p.columns["thread"].format == "I"


def test_columns_outlive_the_profile():
    column = profile({"f@p": 5}).columns["samples"]
    assert list(column) == [5]


def test_dataframe_has_a_row_for_each_entry(prof):
    pytest.importorskip("pandas")
    frame = prof.to_dataframe()
    assert list(frame.columns) == [
        "time", "pid", "tid", "cpu_id", "thread", "comm", "function", "module", "stack",
        "how", "n_added", "samples", "cpu",
    ]  # fmt: skip
    assert frame["samples"].sum() == 100
    by_function = frame.groupby("function", observed=True)["cpu"].sum()
    assert by_function["memcpy"] == 50_000_000
    assert frame.loc[frame["function"] == "memcpy", "stack"].iloc[0] == (
        "_start;main;parse(int);memcpy"
    )
    assert frame["time"].isna().all()
    assert set(frame["how"]) == {""}
    frame = profile([("f@p", 1, {"unwind": "spliced"}), ("f@p", 2, {})]).to_dataframe()
    assert frame.groupby("how", observed=True)["samples"].sum().to_dict() == {"spliced": 1, "": 2}


def test_dataframe_without_pandas_names_the_package(prof, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas") as caught:
        prof.to_dataframe()
    assert isinstance(caught.value, cprof.CprofError)


def test_arrow_readers_take_a_profile(prof):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(prof)
    assert frame["samples"].sum() == 100
    assert frame["cpu"].sum() == 100_000_000
    assert set(frame["function"].to_list()) == {"memcpy", "parse(int)", "send"}
    assert set(frame["how"].to_list()) == {""}
    assert frame["n_added"].to_list() == [0, 0, 0]


# Files


def test_load_errors_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError):
        cprof.load(tmp_path / "none.pb.gz")
    with pytest.raises(IsADirectoryError):
        cprof.load(tmp_path)
    for name, data in (("empty", b""), ("text", b"hello\n" * 9), ("cut", encode([])[:-9])):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(cprof.CorruptProfile):
            cprof.load(path)


def test_write_and_load_keep_totals_and_names(prof, tmp_path):
    path = tmp_path / "cpu.pb.gz"
    prof.write(path)
    again = cprof.load(path)
    assert again.totals == prof.totals
    assert again.functions() == prof.functions()
    assert again.threads == prof.threads


def test_decoded_bytes_are_the_files():
    p = cprof.Profile(_core.decode_pprof(encode([(("f@p",), [1, 2], {})]), "x"))
    assert p.totals == {"samples": 1, "cpu": 2}
