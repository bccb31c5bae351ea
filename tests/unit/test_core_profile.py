"""_core.Profile: the border between Python and the C core, and the real pprof as a reader."""

import collections
import contextlib
import ctypes
import gc
import gzip
import inspect
import pathlib
import re
import shutil
import subprocess
import sys
import threading
from array import array

import pytest
from pprofs import encode

from cprof import _core

DATA = pathlib.Path(__file__).parent.parent / "data" / "pprof"
SAMPLES = ["go.sample.cpu", "cppbench.cpu_no_samples_type", "go.nomappings.crash"]
GO = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
needs_go = pytest.mark.skipif(GO is None, reason="there is no go: its pprof cannot be asked")

STACKS = [
    (("main@prog", "a@prog", "b@prog"), (4, 400), {"pid": 7, "tid": 7, "thread": "one"}),
    (("main@prog", "c@libx.so"), (2, 200), {"pid": 7, "tid": 8, "thread": "two", "k": "v"}),
    (("[truncated]", "c@libx.so"), (1, 100), {"pid": 7, "tid": 8, "thread": "two"}),
    (("[lost]",), (5, 500), {"pid": 7}),
]


@pytest.fixture
def core():
    return _core.decode_pprof(encode(STACKS, comments=["note", "cprof.event: cycles"]), "x")


def test_tables_and_sums_are_those_of_the_file(core):
    assert core.n == 4
    assert core.totals() == [12, 1200]
    assert core.default_type == 1
    assert core.threads[0] == (7, 7, "one", "")
    assert core.thread_labels == [[], [("k", "v", "")], [], []]
    assert [m[3:5] for m in core.mappings] == [
        ("/usr/bin/prog", "prog"),
        ("/usr/bin/libx.so", "libx.so"),
    ]
    assert ("c", "c", "", 0, "libx.so") in core.functions_table
    assert core.functions(1)[:3] == [
        ("[lost]", "", 500, 500, "", 0),
        ("b", "prog", 400, 400, "", 0),
        ("c", "libx.so", 300, 300, "", 0),
    ]
    assert core.tree(1)[:3] == [
        (-1, "", "", 0, 0, 1200, "", 0),
        (0, "main", "prog", 1, 0, 600, "", 0),
        (1, "a", "prog", 2, 0, 400, "", 0),
    ]


def test_stacks_read_leaf_first(core):
    leaf, *_ = memoryview(core.column("stack"))
    assert core.stack(leaf) == [("b", "prog"), ("a", "prog"), ("main", "prog")]
    assert [mapping for _, mapping in core.locations(leaf)] == [0, 0, 0]
    names = core.functions_table
    leaves = [names[i][0] for i in memoryview(core.leaf_functions())]
    assert leaves == ["b", "c", "c", "[lost]"]


def test_quality_of_an_imported_file(core):
    quality = core.quality()
    assert (quality["samples"], quality["lost"]) == (7, 5)
    assert quality["ends"]["truncated"] == 1
    assert quality["ends"]["root"] == 6
    found = ("fallback", "guessed", "spliced", "continued", "refused")
    assert [quality[how] for how in found] == [0] * 5


def test_quality_by_module(core):
    rows = {module: (counts, broke) for module, counts, broke in core.quality_by_module()}
    assert list(rows) == ["prog", "libx.so"]  # most samples first; lost ones are of none
    assert rows["prog"][0]["samples"] == 4
    counts, broke = rows["libx.so"]
    assert (counts["samples"], counts["lost"], counts["ends"]["truncated"]) == (3, 0, 1)
    assert {end: n for end, n in broke.items() if n} == {"truncated": 1}


def test_how_stacks_were_found_is_read_from_labels():
    added = {"unwind_added": 300}
    data = encode(
        [
            (("main@prog",), (1, 1), {"unwind": "spliced,guessed"}),  # no word of cprof's
            (("main@prog",), (1, 1), {"unwind": "guessed,spliced", "tid": 9}),
            (("main@prog",), (1, 1), added),  # of another unit
        ]
    )
    core = _core.decode_pprof(data, "x")
    assert list(memoryview(core.column("how"))) == [0, 6, 0]
    assert list(memoryview(core.column("n_added"))) == [0, 0, 0]
    assert core.quality()["guessed"] == core.quality()["spliced"] == 1
    assert core.thread_labels == [
        [("unwind", "spliced,guessed", "")],
        [],
        [("unwind_added", 300, "id")],
    ]


def test_ways_to_find_a_stack_have_words():
    assert [_core.how_text(1 << i) for i in range(5)] == [
        "fallback", "guessed", "spliced", "continued", "refused",
    ]  # fmt: skip
    assert (_core.how_text(0), _core.how_text(10)) == ("", "guessed,continued")
    with pytest.raises(OverflowError):
        _core.how_text(-1)


def test_facts_come_from_comments_and_notes_stay(core):
    assert core.run["event"] == "cycles"
    assert core.run["comments"] == ["note"]
    assert core.with_comments(["more"]).run["comments"] == ["note", "more"]
    assert core.run["comments"] == ["note"]


def test_names_that_are_not_utf8_are_read_with_a_replacement():
    data = encode([(("x?y@prog",), (1, 1), {})])
    plain = gzip.decompress(data).replace(b"x?y", b"x\xffy")
    assert _core.decode_pprof(plain, "x").functions(0)[0][0] == "x\ufffdy"


@pytest.mark.parametrize(
    ("name", "format_", "size"),
    [
        ("time", "Q", 8), ("pid", "i", 4), ("tid", "i", 4), ("cpu_id", "i", 4),
        ("thread", "I", 4), ("stack", "I", 4), ("how", "B", 1), ("n_added", "H", 2),
        ("samples", "q", 8), ("cpu", "q", 8),
    ],
)  # fmt: skip
def test_columns_are_read_only_buffers(core, name, format_, size):
    column = core.column(name)
    view = memoryview(column)
    assert (view.format, view.itemsize, view.shape, view.strides) == (format_, size, (4,), (size,))
    assert view.readonly
    assert view.contiguous
    assert len(column) == 4
    with pytest.raises(TypeError, match="not writable"):
        ctypes.c_char.from_buffer(column)


def test_a_column_keeps_its_profile_alive():
    view = memoryview(_core.decode_pprof(encode(STACKS), "x").column("cpu"))
    gc.collect()
    assert list(view) == [400, 200, 100, 500]


def test_masks_must_fit_their_tables(core):
    keep = bytes(name == "c" for name, *_ in core.functions_table)
    assert core.filter(under=keep).totals() == [3, 300]
    assert core.filter(thread=bytes([0, 1, 1, 0]), module=b"\x00\x01").totals() == [3, 300]
    assert core.filter().totals() == core.totals()
    with pytest.raises(ValueError, match="thread mask has 1 bytes for 4 entries"):
        core.filter(thread=b"\x01")
    with pytest.raises(TypeError):
        core.filter(thread="text")


def test_what_the_core_refuses_is_a_core_error(core, tmp_path):
    def code_of(call, *args):
        with pytest.raises(_core.CoreError) as info:
            call(*args)
        code, message, knob, value, remedy = info.value.args
        assert (knob, value, remedy) == ("", "", "")
        return code, message

    assert code_of(_core.load_pprof, str(tmp_path / "none"))[0] == 2
    assert code_of(_core.load_pprof, str(tmp_path))[0] == 21
    assert code_of(_core.decode_pprof, b"junk", "mine") == (
        74, "pprof: mine: is not a pprof profile",
    )  # fmt: skip
    assert code_of(core.window, 0, 5)[0] == 61
    assert code_of(core.write_pprof, "/dev/full")[0] == 28
    assert code_of(core.write_folded, "/dev/full", 0)[0] == 28
    assert code_of(_core.merge, [])[0] == 22


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (IndexError, lambda core: core.functions(2)),
        (IndexError, lambda core: core.tree(-1)),
        (IndexError, lambda core: core.stack(10**9)),
        (IndexError, lambda core: core.write_folded("/dev/null", 7)),
        (OverflowError, lambda core: core.stack(-1)),
        (OverflowError, lambda core: core.window(-1, 5)),
        (KeyError, lambda core: core.column("no such")),
        (TypeError, lambda core: core.column(3)),
        (TypeError, lambda core: core.window(1.5, 2.5)),
        (TypeError, lambda core: _core.merge([core, "text"])),
        (TypeError, lambda core: core.with_comments([1])),
        (TypeError, lambda core: type(core)()),
        (TypeError, lambda core: _core.Column()),
        (AttributeError, lambda core: setattr(core, "n", 3)),
        (TypeError, lambda core: setattr(type(core), "n", 3)),
        (ValueError, lambda core: core.write_pprof("a\0b")),
    ],
)
def test_misuse_is_the_exception_python_would_raise(core, error, call):
    with pytest.raises(error):
        call(core)


def test_every_function_tells_its_signature():
    functions = [f for f in vars(_core).values() if callable(f) and not inspect.isclass(f)]
    methods = [m for n, m in vars(_core.Profile).items() if callable(m) and n[0] != "_"]
    assert len(functions) > 4
    assert len(methods) > 10
    for function in [*functions, *methods]:
        inspect.signature(function)
        assert function.__doc__


class MallInfo(ctypes.Structure):
    """struct mallinfo2 of malloc.h."""

    _fields_ = [(f"field_{i}", ctypes.c_size_t) for i in range(10)]
    given_out = property(lambda self: self.field_4 + self.field_7)  # hblkhd, uordblks


def in_use():
    """(bytes that malloc has given out, objects that Python has)."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        pytest.skip("this C library does not count what it has given out")
    libc.mallinfo2.restype = MallInfo
    gc.collect()
    return libc.mallinfo2().given_out, sys.getallocatedblocks()


def everything(core, path):
    """Every method once, and every way to fail that gets far."""
    data = core.encode_pprof()
    _core.decode_pprof(data, "x").with_comments(["a", "b"])
    _core.merge([core, core]).filter(under=bytes(len(core.functions_table)))
    for name in ("time", "pid", "how", "n_added", "samples", "cpu"):
        memoryview(core.column(name)).release()
    for get in ("run", "threads", "thread_labels", "mappings", "sample_types", "default_type"):
        getattr(core, get)
    core.leaf_functions(), core.totals(), core.quality(), core.arrow_stream()
    core.quality_by_module(), _core.how_text(3)
    core.functions(0), core.tree(1), core.stack(0), core.locations(0)
    core.write_pprof(path), core.write_folded(path, 1)
    for call in (
        lambda: _core.decode_pprof(data[:-9], "x"), lambda: _core.load_pprof("/no/such"),
        lambda: core.window(0, 1), lambda: core.write_pprof("/dev/full"),
        lambda: core.write_folded("/dev/full", 0), lambda: core.filter(module=b"1"),
        lambda: _core.merge([core, 1]), lambda: core.with_comments(["a", 1]),
        lambda: core.column("x"), lambda: core.stack(99),
    ):  # fmt: skip
        with contextlib.suppress(_core.CoreError, ValueError, TypeError, LookupError):
            call()


def test_nothing_leaks(core, tmp_path):
    path = str(tmp_path / "out")
    growth = []
    for _ in range(5):
        before = in_use()
        for _ in range(60):
            everything(core, path)
        growth.append([b - a for a, b in zip(before, in_use(), strict=True)])
    # a leak grows every time; tables of the interpreter itself grow once in a while
    n_bytes, n_objects = (min(column) for column in zip(*growth, strict=True))
    assert n_bytes < 60 * 16
    assert n_objects < 60


def test_threads_may_read_one_profile_at_a_time(core, tmp_path):
    expected = (core.functions(1), core.tree(0), core.totals(), core.quality())
    wrong = []

    def read(i):
        for _ in range(100):
            got = (core.functions(1), core.tree(0), core.totals(), core.quality())
            _core.merge([core, core]).write_pprof(str(tmp_path / f"{i}.pb.gz"))
            if got != expected:
                wrong.append(got)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# The real pprof


def raw(path):
    """What `go tool pprof -raw` prints, with numbers of tables replaced by what they name:
    {(frames, labels): values}, and the head."""
    text = subprocess.run(
        [GO, "tool", "pprof", "-raw", "-symbolize=none", path],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    head, rest = text.split("Samples:\n")
    samples, rest = rest.split("Locations\n")
    locations, mappings = rest.split("Mappings\n")
    files = dict(re.findall(r"^(\d+): (.*)$", mappings, re.MULTILINE))
    named, current = {}, ""
    for line in locations.splitlines():
        if found := re.match(r"\s*(\d+): (.*)", line):
            current, place = found.groups()
            place = re.sub(r"M=(\d+)", lambda m: files[m[1]], place)
            named[current] = (place.strip(),)
        else:
            named[current] += (line.strip(),)
    types, *lines = samples.splitlines()
    rows = []
    for line in lines:
        if found := re.match(r"((?:\s*-?\d+)+): ([\d ]*)$", line):
            values, ids = found.groups()
            rows.append([tuple(named[i] for i in ids.split()), [], values.split()])
        else:
            rows[-1][1].append(line.strip())
    sums = collections.defaultdict(lambda: [0] * len(types.split()))
    for frames, labels, values in rows:
        key = frames, tuple(sorted(labels))
        sums[key] = [a + int(b) for a, b in zip(sums[key], values, strict=True)]
    return head, types, dict(sums)


@needs_go
@pytest.mark.parametrize("name", SAMPLES)
def test_files_of_others_are_the_same_for_pprof_after_a_round_trip(name, tmp_path):
    ours = tmp_path / "ours.pb.gz"
    core = _core.load_pprof(str(DATA / name))
    core.write_pprof(str(ours))
    expected = raw(DATA / name)
    assert raw(ours) == expected
    totals = [sum(column) for column in zip(*expected[2].values(), strict=True)]
    assert core.totals() == totals


@needs_go
def test_pprof_sees_what_was_written(core, tmp_path):
    path = tmp_path / "out.pb.gz"
    core.write_pprof(str(path))
    head, types, sums = raw(path)
    assert types == "samples/count cpu/nanoseconds"
    assert "Duration: 10" in head
    assert sorted(sums.values()) == [[1, 100], [2, 200], [4, 400], [5, 500]]
    labels = {" ".join(labels) for _, labels in sums}
    assert any("k:[v]" in each and "thread:[two]" in each for each in labels)
    assert any("tid:[8 id]" in each or "tid:[8]" in each for each in labels)
    for arguments in (["-top"], ["-traces"], ["-top", "-sample_index=samples"], ["-tags"]):
        done = subprocess.run(
            [GO, "tool", "pprof", *arguments, "-symbolize=none", path],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "malformed" not in done.stderr
        if arguments == ["-top"]:
            flat = {line.split()[-1]: line.split()[0] for line in done.stdout.splitlines()[5:]}
            assert flat["[lost]"] == "500ns"
            assert flat["c"] == "300ns"


def test_rows_with_equal_keys_are_summed(core):
    keys, sums, rows = core.group([core.column("thread"), array("I", [1, 1, 1, 1])])
    assert [list(memoryview(key)) for key in keys] == [[0, 1, 2, 3], [1] * 4]
    assert [list(memoryview(values)) for values in sums] == [[4, 2, 1, 5], [400, 200, 100, 500]]
    keys, sums, rows = core.group([array("I", [3, 9, 3, 3])])
    assert list(memoryview(keys[0])) == [3, 9]
    assert [list(memoryview(values)) for values in sums] == [[10, 2], [1000, 200]]
    assert list(memoryview(rows)) == [3, 1]
    with pytest.raises(TypeError, match="uint32"):
        core.group([core.column("cpu")])
    with pytest.raises(ValueError, match="3 numbers for 4 rows"):
        core.group([array("I", [1, 2, 3])])


def test_rows_are_selected_by_a_mask(core):
    assert core.select(b"\1\0\0\1").totals() == [9, 900]
    assert core.select(bytes(4)).n == 0
    with pytest.raises(ValueError, match="2 bytes for 4 entries"):
        core.select(b"\1\1")
    with pytest.raises(TypeError, match="bytes"):
        core.select(None)


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_frame_tree_gives_the_stacks(sample):
    core = _core.decode_pprof((DATA / sample).read_bytes(), sample)
    names = core.functions_table
    *columns, frames = core.frame_tree(False)
    parent, frame, node = map(memoryview, columns)
    for stack, at in zip(memoryview(core.column("stack")), node, strict=True):
        read = []
        while at != 0xFFFFFFFF:
            function, line, mapping = frames[frame[at]]
            module = core.mappings[mapping][4] if mapping >= 0 else ""
            read.append((names[function][0] if function >= 0 else "[unknown]", module))
            assert line == 0
            at = parent[at]
        assert read == core.stack(stack)


def test_the_graph_has_nodes_and_edges(core):
    nodes, edges = core.graph(1, "functions")
    assert nodes[:2] == [("[lost]", "", "", 0, 0, 500, 500), ("b", "prog", "", 0, 0, 400, 400)]
    named = [node[0] for node in nodes]
    assert [(named[a], named[b], *rest) for a, b, *rest in edges] == [
        ("main", "a", 400, False, False),
        ("a", "b", 400, False, False),
        ("main", "c", 200, False, False),
        ("[truncated]", "c", 100, False, False),
    ]
    kept, edges = core.graph(1, "functions", keep=bytes(node[0] in ("main", "b") for node in nodes))
    assert [(node[0], node[5], node[6]) for node in kept] == [("b", 400, 400), ("main", 0, 600)]
    assert edges == [(1, 0, 400, False, True)]
    with pytest.raises(ValueError, match="keep mask"):
        core.graph(1, "functions", keep=b"\1")
    with pytest.raises(ValueError, match='no granularity "words"'):
        core.graph(1, "words")
    with pytest.raises(IndexError):
        core.graph(2, "functions")


def test_rows_and_frames_are_refined(core):
    is_c = bytes(f[0] == "c" for f in core.functions_table), bytes(len(core.mappings))
    assert core.refine(focus=is_c).totals() == [3, 300]
    assert core.refine(ignore=is_c).totals() == [9, 900]
    assert {row[0] for row in core.refine(hide=is_c).functions(1)} == {
        "main", "a", "b", "[lost]", "[truncated]",
    }  # fmt: skip
    with pytest.raises(TypeError, match="hide is a pair"):
        core.refine(hide=is_c[0])
    with pytest.raises(ValueError, match="focus mask has 1 bytes"):
        core.refine(focus=(b"\1", is_c[1]))


def test_profiles_are_scaled_and_merged(core):
    assert _core.merge([core, core], [[1, 1], [-1, -0.5]]).totals() == [0, 600]
    assert _core.merge([core, core], None).totals() == [24, 2400]
    assert _core.merge([core], [[0, 0]]).n == 0
    with pytest.raises(ValueError, match="scales of 1 profiles for 2"):
        _core.merge([core, core], [[1, 1]])
    with pytest.raises(ValueError, match="1 factors for 2 sample types"):
        _core.merge([core], [[1]])
    with pytest.raises(_core.CoreError, match="cannot scale by nan"):
        _core.merge([core], [[1, float("nan")]])
    with pytest.raises(TypeError, match="takes profiles"):
        _core.merge([None])


def stamped(*times: int | None):
    rows = [
        (("main@prog",), (1, 10 + i), {"k": "v"} if t is None else {"k": "v", "timestamp_ns": t})
        for i, t in enumerate(times)
    ]
    return _core.decode_pprof(encode(rows, seconds=2e-6), "x")


def test_times_are_those_of_the_samples():
    unix = 1_700_000_000_000_000_000
    core = stamped(unix + 500, unix, unix + 7500)
    assert core.run["has_times"]
    assert list(memoryview(core.column("time"))) == [500, 0, 7500]  # 0: the earliest event
    assert (core.run["start_mono"], core.run["start_unix"]) == (0, unix)
    assert core.run["to"] == pytest.approx(7.501e-6)  # longer than the file says
    assert core.threads == [(-1, -1, "", "")]  # no label is left of it
    assert list(memoryview(core.window(500, 7500).column("cpu"))) == [10]
    core = stamped(-5, 5)  # since a boot, or any other event
    assert list(memoryview(core.column("time"))) == [0, 10]
    assert (core.run["start_unix"], core.run["to"]) == (0, 2e-6)


def test_times_of_some_samples_are_labels():
    core = stamped(100, None)
    assert not core.run["has_times"]
    assert len(core.threads) == 2
    assert "timestamp_ns" in str(core.thread_labels[0])


def test_pieces_of_a_stack_are_one_stack():
    """Repeated numbers may be packed, alone, or both."""
    one = gzip.decompress(encode([(("main@prog", "f@prog"), (1, 1), {})]))
    at = one.index(b"\x0a\x02\x01\x02")  # packed: locations 1 and 2
    for pieces in (b"\x08\x01\x08\x02", b"\x0a\x01\x01\x0a\x01\x02", b"\x0a\x01\x01\x08\x02"):
        more = len(pieces) - 4
        data = one[: at - 1] + bytes([one[at - 1] + more]) + pieces + one[at + 4 :]
        core = _core.decode_pprof(data, "x")
        assert core.stack(memoryview(core.column("stack"))[0]) == [("f", "prog"), ("main", "prog")]


def test_a_small_file_that_says_too_much_is_refused():
    with pytest.raises(_core.CoreError, match="takes more than 1024 MiB"):
        _core.decode_pprof(b"\x32\x00" + b"\x2a\x00" * (24 << 20), "x")
