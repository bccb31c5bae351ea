"""Profiles made before, by us and by Go's runtime, with what the Go tool said of them then
(tests/data/make-profiles). Needs neither perf events nor Go."""

from pathlib import Path

import pytest
from answers import stacks
from gopprof import parse_top

import cprof

DATA = Path(__file__).resolve().parents[1] / "data"


@pytest.mark.parametrize("golden", sorted(DATA.glob("*.top")), ids=lambda path: path.stem)
def test_each_function_is_what_the_go_tool_said(golden):
    name, sample_type = golden.stem.rsplit(".", 1)
    profile = cprof.load(DATA / f"{name}.pb.gz")
    total, theirs = parse_top(golden.read_text())
    assert profile.totals[sample_type] == total
    assert {
        row.function: [row.self, row.total]
        for row in profile.functions(sample_type)
        if row.self or row.total
    } == {name: values for name, values in theirs.items() if any(values)}


def test_types_of_a_heap_profile():
    profile = cprof.load(DATA / "go-heap.pb.gz")
    assert profile.sample_types == [
        ("alloc_objects", "count"),
        ("alloc_space", "bytes"),
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
    ]
    assert profile.top(1)._repr_html_()
    assert "MiB" in str(profile.top(1, "alloc_space"))


def test_recording_keeps_all_that_is_said_of_it():
    """A file of this format stays readable: what it says was written by version 0.1."""
    profile = cprof.load(DATA / "cprof.pb.gz")
    assert profile.command == "./burner slices 1"
    assert profile.host == "example"
    assert profile.event == "task-clock"
    assert profile.quality["rate_asked"] == 199
    assert profile.quality["lost"] == 0
    assert profile.quality["complete"] == 1
    assert profile.quality["stack_bytes"] == 32768
    assert {t.name for t in profile.threads} == {"burner"}
    assert profile.start_time is not None
    shares = {row.function: row.total / profile.totals["cpu"] for row in profile.functions()}
    assert shares["hot"] == pytest.approx(0.7, abs=0.08)
    assert all("main" in stack for stack in stacks(profile))


def test_rewritten_files_say_the_same(tmp_path):
    """But for samples whose values are all zero, which go, as in the Go tool."""
    for path in DATA.glob("*.pb.gz"):
        profile = cprof.load(path)
        profile.write(tmp_path / path.name)
        again = cprof.load(tmp_path / path.name)
        assert again.totals == profile.totals
        for name in profile.totals:
            rows = [dict(r) for r in profile.functions(name) if r.total]
            assert [dict(r) for r in again.functions(name) if r.total] == rows
