"""Writing files: the format by the name, and all or nothing."""

import gzip
import json
import os
from array import array
from types import SimpleNamespace

import pytest
from pprofs import profile

import cprof
from cprof import _core
from cprof.export import EXTENSIONS, chrome, extension, folded, pprof
from cprof.export.files import check_writable, replace
from cprof.rebuild import rebuilt


@pytest.fixture
def prof():
    return profile({"main@prog;a@prog": 7, "main@prog;b@lib": 3})


@pytest.mark.parametrize(
    ("name", "known"),
    [("a.pb.gz", ".pb.gz"), ("A.PB.GZ", ".pb.gz"), ("x/y.pprof", ".pprof"), ("a.b.svg", ".svg")],
)
def test_the_extension_decides(name, known):
    assert extension(name) == known


@pytest.mark.parametrize("name", ["a", "a.gz", "a.txt", "pb.gz.bak", "a.svg/"])
def test_an_unknown_extension_lists_the_known(name, prof):
    with pytest.raises(ValueError, match=r"\.folded"):
        prof.write(name)
    assert not os.path.exists(name)


def test_every_format_can_be_written(prof, tmp_path):
    pytest.importorskip("matplotlib")
    for known in EXTENSIONS:
        path = tmp_path / f"file{known}"
        prof.write(path)
        assert path.stat().st_size > 20
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"file{e}" for e in EXTENSIONS)


def test_folded_text_is_what_it_was(prof, tmp_path):
    prof.write(tmp_path / "a.folded", sample_type="samples")
    assert (tmp_path / "a.folded").read_text() == "main;a 7\nmain;b 3\n"
    prof.write(tmp_path / "a.folded")
    assert (tmp_path / "a.folded").read_text() == "main;a 7000000\nmain;b 3000000\n"


def test_pprof_is_one_gzip_member(prof, tmp_path):
    prof.write(tmp_path / "a.pb.gz")
    data = (tmp_path / "a.pb.gz").read_bytes()
    assert data.startswith(b"\x1f\x8b")
    assert gzip.decompress(data)
    assert data.count(b"\x1f\x8b\x08") == 1


def test_a_missing_folder_is_an_oserror_and_leaves_nothing(prof, tmp_path):
    for name in ("a.pb.gz", "a.folded", "a.svg"):
        with pytest.raises(FileNotFoundError):
            prof.write(tmp_path / "none" / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("known", [".pb.gz", ".folded", ".svg"])
def test_a_full_disk_is_an_oserror(prof, tmp_path, known):
    link = tmp_path / f"full{known}"
    link.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        prof.write(link)
    assert link.is_symlink()


def test_devices_are_written_to_and_never_replaced(prof, tmp_path):
    for known in EXTENSIONS:
        link = tmp_path / f"null{known}"
        link.symlink_to("/dev/null")
        prof.write(link)
    prof.write("/dev/null")
    assert not os.path.isfile("/dev/null")


def test_a_failing_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.svg"
    path.write_text("old")

    def fail(file):
        file.write(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        replace(str(path), fail)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.svg"]


def test_replacing_goes_through_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    replace(str(tmp_path / "link"), lambda file: file.write(b"new"))
    assert (tmp_path / "real").read_text() == "new"
    assert (tmp_path / "link").is_symlink()


def test_what_could_not_be_written_is_known_before(tmp_path):
    check_writable(str(tmp_path / "new.pb.gz"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        check_writable(str(tmp_path / "none" / "x.pb.gz"))
    with pytest.raises(IsADirectoryError):
        check_writable(str(tmp_path))


def test_labels_travel_in_the_file(tmp_path):
    p = profile({"f@p": 1}, comments=["cprof.label.version: v1"])
    p.write(tmp_path / "a.pb.gz")
    assert cprof.load(tmp_path / "a.pb.gz").labels == {"version": "v1"}


def test_firefox_has_every_type_of_a_timed_profile_but_samples(tmp_path):
    p = ten_seconds()
    tables = {"sample_types": [("samples", "count"), ("cpu", "nanoseconds"), ("space", "bytes")]}
    values = [array("q", [1] * 10), array("q", [2_000_000] * 10), array("q", range(10))]
    core = rebuilt(p._core, **tables, rows={"values": values}, default_type="cpu")
    cprof.Profile(core).write(tmp_path / "a.firefox.json")
    threads = json.loads((tmp_path / "a.firefox.json").read_text())["threads"]
    found = [(t["name"], t["samples"]["weightType"], sum(t["samples"]["weight"])) for t in threads]
    assert found == [("t cpu", "tracing-ms", 20), ("t space", "bytes", 45)]
    assert all(t["samples"]["time"][0] == 500 for t in threads)


# Both sides of a difference


@pytest.fixture
def sides():
    """What a writer needs of a Diff."""
    base = profile({"main@p;x@p": 7, "main@p;z;q@p": 3})
    new = profile({"main@p;x@p": 4, "main@p;y@p": 3})
    core = _core.merge([base._core, new._core])
    return SimpleNamespace(base=base, new=new, _core=core)


def test_two_columns_have_each_stack_once(tmp_path):
    """As difffolded.pl has it: modules are not told apart."""
    nodes = [
        (0, "all", "", 9, 7), (0, "a;b\n", "p", 9, 5), (1, "x", "p", 4, 1), (1, "x", "q", 2, 4),
        (0, "", "", 0, 2), (0, "none", "", 0, 0),
    ]  # fmt: skip
    folded.write_diff(SimpleNamespace(nodes=nodes), str(tmp_path / "d.folded"), 0)
    assert (tmp_path / "d.folded").read_text() == "a:b  3 0\na:b ;x 6 5\n[unknown] 0 2\n"


def test_pprof_of_a_difference_has_a_negative_base(sides, tmp_path):
    pprof.write_diff(sides, str(tmp_path / "d.pb.gz"), 0)
    p = cprof.load(tmp_path / "d.pb.gz")
    assert p.totals == {"samples": -3, "cpu": -3_000_000}
    assert {row.function: row.self for row in p.functions("samples") if row.self} == {
        "x": -3, "y": 3, "q": -3,
    }  # fmt: skip
    labels = p._core.thread_labels
    assert [(key, value) for row in labels for key, value, _ in row] == [("pprof::base", "true")]


@pytest.mark.parametrize(
    "known", [".speedscope.json", ".firefox.json", ".chrome.json", ".callgrind"]
)
def test_what_cannot_hold_negative_values_refuses_them(sides, tmp_path, known):
    pprof.write_diff(sides, str(tmp_path / "d.pb.gz"), 0)
    p = cprof.load(tmp_path / "d.pb.gz")
    with pytest.raises(ValueError, match=r"2 of 4 rows have one of samples: is it a difference\?"):
        p.write(tmp_path / f"d{known}")
    assert [path.name for path in tmp_path.iterdir()] == ["d.pb.gz"]


# Times


def ten_seconds() -> cprof.Profile:
    """A sample each second, of two stacks in turn."""
    rows = {
        "time": array("Q", range(10**9, 11 * 10**9, 10**9)),
        "thread": array("I", [0] * 10),
        "stack": array("I", [0, 1] * 5),
        "values": [array("q", [1] * 10)],
    }
    none = 0xFFFFFFFF
    return cprof.Profile(_core.build({
        "sample_types": [("cpu", "nanoseconds")], "mappings": [],
        "functions": [(name, name, "", 0, "") for name in "ab"],
        "locations": (array("Q", [1, 2]), array("I", [none] * 2)),
        "lines": (array("I", [0, 1]), array("I", [0, 1]), array("q", [0] * 2), array("I", [0] * 2)),
        "nodes": (array("I", [none] * 2), array("I", [0, 1])),
        "threads": [(1, 1, "t", "t")], "rows": rows,
        "run": {"start_mono": 10**9 // 2, "start_unix": 1_700_000_000 * 10**9},
        "span": (0.0, 10.5), "comments": [],
    }))  # fmt: skip


def test_pprof_has_times_where_they_are_asked_for(tmp_path):
    p = ten_seconds()
    p.write(tmp_path / "a.pb.gz")
    p.write(tmp_path / "b.pb.gz", times=True)
    without, again = cprof.load(tmp_path / "a.pb.gz"), cprof.load(tmp_path / "b.pb.gz")
    assert without.totals == again.totals == p.totals
    assert len(without.columns["time"]) == 2
    assert list(again.columns["time"]) == [i * 10**9 for i in range(10)], "the earliest is 0"
    assert again.duration == p.duration
    assert again.start_time.timestamp() == 1_700_000_000.5
    assert again.window(0, 5).totals == p.window(0.5, 5.5).totals
    again.write(tmp_path / "c.pb.gz", times=True)
    assert gzip.decompress((tmp_path / "c.pb.gz").read_bytes())
    assert list(cprof.load(tmp_path / "c.pb.gz").columns["time"]) == list(again.columns["time"])
    with pytest.raises(cprof.CprofError, match="no times"):
        without.write(tmp_path / "d.pb.gz", times=True)
    with pytest.raises(ValueError, match=r"is for \.pb\.gz files"):
        p.write(tmp_path / "d.folded", times=True)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_chrome_trace_of_too_many_slices_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(chrome, "_MOST_SLICES", 3)
    ten_seconds().write(tmp_path / "a.chrome.json")
    text = (tmp_path / "a.chrome.json").read_text()
    assert "too many samples for a timeline" in text
    assert text.count('"ph":"X"') == 2


def test_of_too_many_stacks_a_chrome_trace_leaves_out_those_of_least_cost(monkeypatch, tmp_path):
    monkeypatch.setattr(chrome, "_MOST_SLICES", 3)
    stacks = {"main;work": 50, "main;rare": 1, "main;work;leaf": 20, "main;work;rare": 2, "x": 3}
    profile({f"{stack.replace(';', '@p;')}@p": n for stack, n in stacks.items()}).write(
        tmp_path / "a.chrome.json"
    )
    data = json.loads((tmp_path / "a.chrome.json").read_text())
    assert "without 3 stacks of little cost" in data["otherData"]["note"]
    slices = {e["name"]: e["dur"] for e in data["traceEvents"] if e["ph"] == "X"}
    total = 76 - 3  # "x" is gone as a whole; what else is left out stays with its caller
    assert {n: d * total // slices["main"] for n, d in slices.items()} == {
        "main": 73, "work": 72, "leaf": 20,
    }  # fmt: skip
