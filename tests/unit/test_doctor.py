"""doctor and dump: data first, text from it."""

import os

import pytest

import cprof
from cprof.doctor import _capabilities
from cprof.rows import Frame, ThreadStack
from cprof.stacks import ThreadStacks

FINE = ("event task-clock", "works", True, "", "")
PARANOID = ("kernel.perf_event_paranoid", "2", False, "kernel samples", "sysctl ...=1")


def test_what_only_limits_does_not_stop():
    capabilities = _capabilities([FINE, PARANOID])
    assert capabilities.can_record
    text = str(capabilities)
    for part in ("limits", "kernel.perf_event_paranoid", "kernel samples", "sysctl ...=1"):
        assert part in text
    assert text.endswith("recording works")


@pytest.mark.parametrize("knob", ["event task-clock", "process 12"])
def test_what_stops_is_marked(knob):
    capabilities = _capabilities([(knob, "refused", False, "recording", "ask")])
    assert not capabilities.can_record
    assert "BLOCKS" in str(capabilities)
    assert str(capabilities).endswith("recording is not possible")


def test_this_machine_is_described():
    knobs = {row.knob: row for row in cprof.doctor()}
    for knob in ("perf_event_paranoid", "capabilities", "mlock", "NOFILE", "seccomp", "PMU",
                 "kptr_restrict", "tracefs"):  # fmt: skip
        assert any(knob in name for name in knobs), knob
    for row in knobs.values():
        assert row.value
        assert row.ok or row.blocks


def test_a_process_that_is_not_there_blocks():
    capabilities = cprof.doctor(2**22 + 1)
    assert not capabilities.can_record
    assert "does not exist" in str(capabilities)


def test_ones_own_process_is_fine():
    assert any(row.knob == f"process {os.getpid()}" for row in cprof.doctor(os.getpid()))


def test_the_text_of_a_dump():
    frames = (Frame("read", "libc.so.6", 1), Frame("main", "prog", 2))
    text = str(
        ThreadStacks([
            ThreadStack(7, "main", "S", "pipe_read", "root", frames),
            ThreadStack(8, "odd\x1b", "R", "0", "truncated", frames[:1]),
        ])
    )  # fmt: skip
    assert text == (
        'thread 7 "main": sleeping in pipe_read\n'
        "  #0  read (libc.so.6)\n"
        "  #1  main (prog)\n"
        "\n"
        'thread 8 "odd\ufffd": running\n'
        "  #0  read (libc.so.6)\n"
        "      [the stack goes on: truncated]"
    )


def test_a_dump_of_nobody_is_target_gone():
    with pytest.raises(cprof.TargetGone):
        cprof.dump(2**22 + 1)
