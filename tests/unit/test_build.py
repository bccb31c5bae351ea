"""_core.build(): a profile from plain tables, as readers of other formats make them."""

from array import array
from typing import Any

import pytest

from cprof import _core
from cprof.errors import CorruptProfile, translated
from cprof.profile import Profile

NONE = 2**32 - 1


def tables(**changes: Any) -> Any:
    """main;work twice, work inlined into main once, one sample lost."""
    return {
        "sample_types": [("samples", "count"), ("cpu", "nanoseconds")],
        "mappings": [(0x1000, 0x9000, 0, "/bin/prog", "prog", "abcd")],
        "functions": [
            ("main", "main", "m.c", 1, "prog"),
            ("work", "work", "w.c", 10, "prog"),
            ("[lost]", "[lost]", "", 0, ""),
        ],
        "locations": (array("Q", [0x1100, 0x1200, 0]), array("I", [0, 0, NONE])),
        "lines": (
            array("I", [0, 1, 1, 2]),
            array("I", [0, 1, 0, 2]),
            array("q", [2, 11, 3, 0]),
            array("I", [0] * 4),
        ),
        "nodes": (array("I", [NONE, 0, NONE]), array("I", [0, 1, 2])),
        "threads": [(7, 8, "worker", "prog", [("colour", "blue"), ("size", 4096, "bytes")])],
        "rows": {
            "time": array("Q", [10**9, 2 * 10**9, 3 * 10**9]),
            "thread": array("I", [0, 0, 0]),
            "stack": array("I", [1, 0, 2]),
            "values": [None, array("q", [10, 20, 30])],
        },
        "run": {"command": "prog -x", "event": "task-clock", "start_mono": 10**9},
        "comments": ["cprof.label.run: 1"],
        "span": (0.0, 3.0),
        **changes,
    }


def test_every_question_can_be_asked() -> None:
    profile = Profile(_core.build(tables()))
    assert profile.samples == 2
    assert profile.lost == 1
    assert profile.totals == {"samples": 3, "cpu": 60}
    rows = {row.function: (row.self, row.total) for row in profile.functions()}
    assert rows == {"main": (20, 30), "work": (10, 10), "[lost]": (30, 30)}
    assert profile.command == "prog -x"
    assert profile.labels == {"run": "1"}
    assert profile.duration == 3.0
    assert profile.window(0.5, 1.5).totals["cpu"] == 20
    assert [thread.name for thread in profile.threads] == ["worker"]
    assert _core.decode_pprof(profile._core.encode_pprof(), "x").totals() == [3, 60]


def test_without_times_there_are_no_windows() -> None:
    rows = tables()["rows"] | {"time": None}
    core = _core.build(tables(rows=rows, run={"has_times": True}))
    assert core.run["has_times"] is False


def test_what_a_file_got_wrong_is_corrupt_and_named() -> None:
    rows = tables()["rows"] | {"stack": array("I", [0, 1, 3])}
    with (
        pytest.raises(CorruptProfile, match=r"x\.txt: row 2 refers to stack 3, but there are 3"),
        translated(path="x.txt", is_reading=True),
    ):
        _core.build(tables(rows=rows), "x.txt")


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"sample_types": [("cpu",)]}, TypeError, "sample_types"),
        ({"functions": ["main"]}, TypeError, "functions are tuples"),
        ({"mappings": [(-1, 0, 0, "", "", "")]}, OverflowError, "."),
        ({"mappings": [(0, 0, 0, "a\0b", "", "")]}, ValueError, "null"),
        ({"locations": (array("Q", [1]),)}, ValueError, "no column locations: mapping"),
        ({"locations": (array("Q", [1]), array("I"))}, ValueError, "0 entries, not 1"),
        ({"nodes": (array("d", [1]), array("I", [1]))}, TypeError, "integers of 4 bytes"),
        ({"nodes": (array("f", [1]), array("I", [1]))}, TypeError, "integers of 4 bytes"),
        ({"nodes": (memoryview(array("I", [1, 2, 3]))[::2],) * 2}, BufferError, "."),
        ({"nodes": (memoryview(bytes(9))[1:].cast("I"),) * 2}, TypeError, "not aligned"),
        ({"threads": [(2**31, 0, "", "")]}, OverflowError, "."),
        ({"threads": [(0, 0, "", "", [("key",)])]}, TypeError, "labels"),
        ({"threads": [(0, 0, "", "", {"key": 1.5})]}, TypeError, "."),
        ({"rows": []}, TypeError, "rows is a dict"),
        ({"run": {"colour": "blue"}}, ValueError, "colour is no fact"),
        ({"run": {"rate_asked": float("nan")}}, ValueError, "finite"),
        ({"run": {"stack_bytes": 2**32}}, OverflowError, "."),
        ({"run": {"main_mapping": 1}}, ValueError, "no mapping 1"),
        ({"run": [("command", "x")]}, TypeError, "dict"),
        ({"span": (2.0, 1.0)}, ValueError, "span"),
        ({"marks": [1]}, TypeError, "marks"),
        ({"comments": [1]}, TypeError, "."),
    ],
)
def test_wrong_types_are_told(changes: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        _core.build(tables(**changes))


def test_every_table_is_needed() -> None:
    for key in set(tables()) - {"run", "comments", "span"}:
        with pytest.raises(KeyError, match=key):
            _core.build({k: v for k, v in tables().items() if k != key})


def test_values_of_each_type() -> None:
    rows = tables()["rows"] | {"values": [None]}
    with pytest.raises(ValueError, match="1 columns of values for 2 sample types"):
        _core.build(tables(rows=rows))
