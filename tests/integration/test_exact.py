"""Stacks that go on above the bytes that were copied with the sample: read from the live
process (stack="exact"), where it pays (stack="auto"), or cut (stack="dump")."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable

import pytest
from answers import stacks

import cprof

pytestmark = pytest.mark.perf

SPLICED, CONTINUED, REFUSED = 4, 8, 16
FULL = 65528


def deep(profile: cprof.Profile) -> tuple[int, int, int]:
    """Samples that were continued, refused, and truncated in all."""
    how = profile.columns["how"]
    continued = sum(1 for bits in how if bits & CONTINUED)
    refused = sum(1 for bits in how if bits & REFUSED)
    return continued, refused, profile.quality["ends"]["truncated"]


def completed(command: Iterable[object], freq: int) -> cprof.Profile:
    """A recording of `command` in which 99 % of the deep stacks were completed; the best of
    three, as other programs may keep the reader from its work."""
    tries = []
    for _ in range(3):
        profile = cprof.record([str(word) for word in command], stack="exact", freq=freq)
        continued, refused, truncated = deep(profile)
        assert continued >= 100
        tries.append((continued, refused, truncated, profile.quality["lost"]))
        if continued >= 0.99 * (continued + truncated):
            return profile
    raise AssertionError(f"continued, refused, truncated, lost: {tries}")


def check_descents(profile: cprof.Profile, levels: int) -> None:
    """bottom() is below `levels` times descend(), below main(), below the start."""
    found: Counter[tuple[int, bool]] = Counter()
    for stack, n in stacks(profile).items():
        if "bottom" in stack and stack[0] != "[truncated]":
            inner = stack[stack.index("main") + 1 : stack.index("bottom")]
            found[len(inner), set(inner) == {"descend"}] += n
    assert set(found) == {(levels, True)}, found


@pytest.mark.parametrize(("levels", "frame"), [(800, 256), (4000, 500), (10, 20000)])
def test_a_deep_recursion_is_complete(workload, levels, frame):
    """200 KiB, 2 MiB, and few frames that are large."""
    profile = completed([workload("deep.c"), levels, frame, 2], freq=299)
    check_descents(profile, levels)
    assert profile.quality["complete"] >= 0.99
    assert profile.quality["exact"] in ("fifo", "nice", "default")


def test_a_dump_ends_where_it_ends(workload):
    command = [str(workload("deep.c")), "800", "256", "0.5"]
    profile = cprof.record(command, stack="dump")
    continued, refused, truncated = deep(profile)
    assert continued == refused == 0
    assert truncated >= 0.98 * profile.samples
    assert profile.quality["stack_bytes"] in (FULL, 32768)


def test_auto_goes_over_to_it_and_back(workload):
    """At 99 Hz it costs so little that a few deep stacks are reason enough; once there are
    none, samples come in batches again."""
    program = str(workload("deep.c"))
    script = f"{program} 800 256 2; {program} 2 64 3; true"
    profile = cprof.record(["sh", "-c", script], stack="auto", freq=99)
    continued, _, truncated = deep(profile)
    assert continued >= 0.8 * (continued + truncated)
    assert truncated >= 1, "the first ones tell that they are there"
    check_descents(profile.filter(under="bottom").window(0, 2.0), 800)


def test_auto_leaves_shallow_stacks_alone(workload):
    profile = cprof.record([str(workload("burner.c")), "slices", "0.5"])
    assert deep(profile) == (0, 0, 0)
    assert profile.quality["complete"] >= 0.99


def test_recursion_of_python(tmp_path):
    script = tmp_path / "recursion.py"
    script.write_text(
        "import sys, time\n"
        "sys.setrecursionlimit(10**6)\n"
        "class Nested:\n"
        "    def __init__(self, n): self.n = n\n"
        "    def __len__(self):\n"
        "        if self.n: return len(Nested(self.n - 1))\n"
        "        end = time.thread_time() + 1\n"
        "        while time.thread_time() < end: sum(range(1000))\n"
        "        return 0\n"
        "len(Nested(400))\n"
    )
    completed([sys.executable, script], freq=499)


THREADS = """
#include <alloca.h>
#include <pthread.h>
#include <time.h>
__attribute__((noipa)) void bottom(void)
{
    struct timespec t;
    do {
        for (volatile int i = 0; i < 10000; i++)
            ;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    } while (t.tv_sec < 1);
}
__attribute__((noipa)) void descend(int levels)
{
    volatile char *bytes = alloca(1000);
    bytes[0] = 1;
    if (levels > 1)
        descend(levels - 1);
    else
        bottom();
    __asm__ volatile("" ::: "memory");
}
static void *run(void *arg)
{
    descend(300);
    return arg;
}
int main(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], 0, run, 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], 0);
    return 0;
}
"""


def test_threads_and_the_kernels_frame_pointers_say_the_same(tmp_path):
    """Four threads with 300 KiB each. Compiled with frame pointers: the stacks by tables
    and by frame pointers are the same."""
    source, program = tmp_path / "threads.c", tmp_path / "threads"
    source.write_text(THREADS)
    subprocess.run(
        ["gcc", "-O1", "-fno-omit-frame-pointer", "-pthread", source, "-o", program], check=True
    )
    profile = completed([program], freq=499)
    wrong = Counter[tuple[str, ...]]()
    for stack, n in stacks(profile.filter(under="bottom")).items():
        if "[truncated]" not in stack and stack.count("descend") != 300:
            wrong[stack] += n
    assert not wrong, wrong.most_common(2)


def test_frame_pointers_take_over_where_the_dump_ends(tmp_path):
    """100 frames of 1 KiB, which the kernel can follow, in a program that keeps them."""
    text = THREADS.replace("descend(300)", "descend(100)").replace(
        "__attribute__((noipa)) void bottom(void)\n{",
        "__attribute__((noipa)) void work(void)\n{\n"
        "    for (volatile int i = 0; i < 10000; i++)\n        ;\n}\n"
        "__attribute__((noipa)) void bottom(void)\n{",
    )
    text = text.replace(
        "        for (volatile int i = 0; i < 10000; i++)\n            ;\n", "work();"
    )
    source, program = tmp_path / "frames.c", tmp_path / "frames"
    source.write_text(text)
    command = ["gcc", "-O1", "-fno-omit-frame-pointer", "-pthread", source, "-o", program]
    subprocess.run(command, check=True)
    profile = cprof.record([str(program)], stack="dump", freq=199)
    how, added = profile.columns["how"], profile.columns["n_added"]
    spliced = [n for bits, n in zip(how, added, strict=True) if bits & SPLICED]
    assert len(spliced) >= 0.95 * profile.samples
    assert min(spliced) >= 20
    found: Counter[int] = Counter()
    for stack, n in stacks(profile.filter(under="run")).items():
        found[stack.count("descend")] += n
    assert set(found) == {100}, found


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_a_process_that_may_not_be_read_is_refused(workload, running, nobody):
    """With CAP_PERFMON alone a process of another user may be sampled, its memory not."""
    target = running(workload("spin.c"))
    program = (
        "import ctypes, os, sys, cprof\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "libc.prctl(8, 1, 0, 0, 0)\n"  # PR_SET_KEEPCAPS
        "os.setresgid(65534, 65534, 65534)\n"
        "os.setresuid(65534, 65534, 65534)\n"
        "keep = 1 << 6\n"  # CAP_PERFMON (38)
        "header = (ctypes.c_uint32 * 2)(0x20080522, 0)\n"
        "data = (ctypes.c_uint32 * 6)(0, 0, 0, keep, keep, 0)\n"
        "assert libc.capset(header, data) == 0\n"
        "pid = int(sys.argv[1])\n"
        "try:\n"
        "    cprof.record(pid, duration=0.3, stack='exact')\n"
        "except cprof.PermissionDenied as error:\n"
        "    print(error.knob, '|', error.remedy)\n"
        "profile = cprof.record(pid, duration=0.5, freq=499)\n"
        "print(profile.samples > 50)\n"
    )
    done = subprocess.run(
        [nobody.python, "-c", program, str(target.pid)],
        env=nobody.env, cwd=nobody.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done
    assert lines[0].startswith("kernel.yama.ptrace_scope |")
    assert "CAP_SYS_PTRACE" in lines[0]
    assert lines[1] == "True"


def test_a_command_that_gives_up_its_dumpability_is_recorded_all_the_same(tmp_path):
    """Its memory cannot be read any more (unless by root): its stacks end with the dump."""
    source, program = tmp_path / "closed.c", tmp_path / "closed"
    text = THREADS.replace("int main(void)\n{", "int main(void)\n{\n    prctl(4, 0, 0, 0, 0);")
    source.write_text("#include <sys/prctl.h>\n" + text)
    subprocess.run(["gcc", "-O1", "-pthread", source, "-o", program], check=True)
    profile = cprof.record([str(program)], stack="exact", freq=199)
    continued, _, truncated = deep(profile)
    assert profile.samples >= 400
    if os.geteuid():
        assert continued == 0
        assert profile.quality["exact"] == "refused"
    assert continued + truncated >= 0.95 * profile.samples
