"""What this machine allows the tests to do.

A test that it refuses is skipped with the reason; under CPROF_REQUIRE_PERF=1, as in CI, it
fails.
"""

import ctypes
import functools
import os
from pathlib import Path
from typing import NoReturn

import pytest

PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
_PERF_EVENT_OPEN = 298  # x86-64
_ATTR_SIZE = 128
_TASK_CLOCK = 1
_EXCLUDE_KERNEL = 1 << 5


def unavailable(reason: str) -> NoReturn:
    """Skip the test; fail it where everything is expected to work."""
    if os.environ.get("CPROF_REQUIRE_PERF") == "1":
        pytest.fail(f"{reason} (and CPROF_REQUIRE_PERF=1)")
    pytest.skip(reason)


@functools.cache
def perf_refusal() -> str:
    """Why this process cannot sample itself, "" if it can. Asks the kernel, not cprof."""
    attr = bytearray(_ATTR_SIZE)
    words = memoryview(attr).cast("I")
    words[0], words[1] = 1, _ATTR_SIZE  # PERF_TYPE_SOFTWARE
    memoryview(attr).cast("Q")[1] = _TASK_CLOCK
    memoryview(attr).cast("Q")[5] = _EXCLUDE_KERNEL
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = (ctypes.c_char * _ATTR_SIZE).from_buffer(attr)
    fd = libc.syscall(ctypes.c_long(_PERF_EVENT_OPEN), buffer, 0, -1, -1, ctypes.c_ulong(0))
    if fd < 0:
        error = os.strerror(ctypes.get_errno())
        level = PARANOID.read_text().strip() if PARANOID.exists() else "missing"
        return f"perf events are refused here: {error}; perf_event_paranoid is {level}"
    os.close(fd)
    return ""


# A program for `python -c`: perf_event_open(2) is refused from now on, as a container's seccomp
# profile refuses it, to it and to all that it starts; then `python -m sys.argv[1] ...`.
WITHOUT_PERF = f"""
import ctypes, os, runpy, struct, sys
NO_NEW_PRIVS, SECCOMP, FILTER = 38, 22, 2
LOAD, JUMP_IF_EQUAL, RETURN, ERRNO, ALLOW = 0x20, 0x15, 0x06, 0x00050000, 0x7FFF0000
program = b"".join(struct.pack("HBBI", *step) for step in (
    (LOAD, 0, 0, 0),  # the number of the system call
    (JUMP_IF_EQUAL, 0, 1, {_PERF_EVENT_OPEN}),
    (RETURN, 0, 0, ERRNO | 1),  # EPERM
    (RETURN, 0, 0, ALLOW),
))
steps = ctypes.create_string_buffer(program)
filters = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(steps))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert libc.prctl(SECCOMP, FILTER, filters, 0, 0) == 0
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
