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
