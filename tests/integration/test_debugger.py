"""Stacks of real programs with several threads, beside those that gdb finds: the program is
stopped at a random moment, and `cprof.dump` and gdb look at the same stop."""

import json
import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from answers import wait_for
from permission import unavailable

import cprof

WALK = Path(__file__).with_name("gdb_walk.py")
SETTINGS = ("set debuginfod enabled off", "set auto-load off", "set confirm off")
PAST = ("set backtrace past-main on", "set backtrace past-entry on")

PYTHON = """
import json, re, threading, zlib
def work():
    while True:
        json.loads(json.dumps({"a": [sum(map(int, "1234567"))]}))
        re.sub("a|b", "c", "abc" * 30)
        zlib.compress(b"xyz" * 5000)
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""
SQL = "with recursive t(n) as (select 1 union all select n + 1 from t) select max(n % 7) from t;"


@dataclass(frozen=True)
class Frame:
    """A frame by the address that its function is looked up with."""

    address: int
    function: str


Walk = dict[int, list[Frame]]  # by thread, the leaf first


class Gdb:
    """gdb, asked for the stacks of one process after another."""

    def __init__(self, program: str) -> None:
        words = [program, "-nx", "-batch"]
        for setting in SETTINGS + PAST:
            words += ["-iex", setting]
        self.process = subprocess.Popen(
            [*words, "-x", str(WALK)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def walk(self, pid: int) -> Walk:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(pid, file=self.process.stdin, flush=True)
        for line in self.process.stdout:
            if line.startswith("WALK"):
                return {int(tid): _looked_up(f) for tid, f in json.loads(line[5:]).items()}
        raise EOFError("gdb has ended")


def _looked_up(frames: list[tuple[int, str, bool]]) -> list[Frame]:
    """A caller is looked up one byte before its return address; what a signal interrupted,
    and the trampoline that it came through, have not called anything."""
    result = []
    is_call = False
    for pc, function, is_signal in frames:
        if not pc:  # above the start of a thread
            break
        result.append(Frame(pc - (is_call and not is_signal), function))
        is_call = not is_signal
    return result


@pytest.fixture(scope="module")
def gdb(tool) -> Iterator[Gdb]:
    debugger = Gdb(tool("gdb"))
    probe = subprocess.Popen(["sleep", "100"])
    try:
        debugger.walk(probe.pid)
    except EOFError:
        unavailable("gdb may not look at other processes here (ptrace)")
    finally:
        probe.kill()
        probe.wait()
    yield debugger
    debugger.process.kill()
    debugger.process.communicate()


@pytest.fixture
def started() -> "Iterator[list[subprocess.Popen[bytes]]]":
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def start(started, tmp_path, *command: object) -> int:
    """Start a command that goes on for ever; its process id."""
    words = [str(word) for word in command]
    null = subprocess.DEVNULL
    started.append(subprocess.Popen(words, stdin=null, stdout=null, cwd=tmp_path))
    return started[-1].pid


def run(started, tmp_path, *command: object) -> int:
    """The same, once it has used some CPU time."""
    pid = start(started, tmp_path, *command)
    wait_for(lambda: cpu_ticks(pid) >= 5)
    return pid


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def states(pid: int) -> set[str]:
    files = Path(f"/proc/{pid}/task").glob("*/stat")
    return {file.read_text().rpartition(")")[2].split()[0] for file in files}


def plain(function: str) -> str:
    """A function has several names in libc; without what tells them apart."""
    found = re.fullmatch(r"_*(?:GI_)?_*(?:libc_|vdso_)?(.*?)(?:64)?(?:_impl)?(?:\.\w+)*", function)
    assert found
    return found[1]


def compare(gdb: Gdb, pid: int, stops: int) -> "tuple[Counter[str], list[str]]":
    """Stop the process again and again: how the stacks of all threads compare, and those that
    are not the same, as text."""
    chance = random.Random(pid)
    counts: Counter[str] = Counter()
    differences = []
    for _ in range(stops):
        time.sleep(chance.uniform(0.005, 0.05))
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: states(pid) == {"T"})
        ours = {s.tid: s for s in cprof.dump(pid)}
        theirs = gdb.walk(pid)
        os.kill(pid, signal.SIGCONT)
        assert set(ours) == set(theirs), "the same threads"
        for tid, frames in theirs.items():
            mine = [Frame(f.address, f.function) for f in ours[tid].frames]
            verdict = _verdict(mine, frames)
            named = [(a, b) for a, b in zip(mine, frames, strict=False) if b.function]
            counts[verdict] += 1
            counts["frames"] += len(frames)
            counts["named"] += len(named)
            counts["names"] += sum(plain(a.function) == plain(b.function) for a, b in named)
            if verdict != "same":
                differences.append(_side_by_side(verdict, mine, frames, ours[tid].end))
    return counts, differences


def _verdict(mine: list[Frame], theirs: list[Frame]) -> str:
    a, b = [f.address for f in mine], [f.address for f in theirs]
    n = min(len(a), len(b))
    if a[:n] != b[:n]:
        return "different"
    if len(a) == len(b):
        return "same"
    return "ours is shorter" if len(a) < len(b) else "ours is longer"


def _side_by_side(verdict: str, mine: list[Frame], theirs: list[Frame], end: str) -> str:
    lines = [f"{verdict}, ours ends: {end}"]
    for i in range(max(len(mine), len(theirs))):
        a, b = ([*f[i : i + 1], Frame(0, "-")][0] for f in (mine, theirs))
        mark = " " if a.address == b.address else "*"
        lines.append(f"{mark} {a.address:14x} {a.function:40} {b.address:14x} {b.function}")
    return "\n".join(lines)


def check(gdb: Gdb, pid: int, *, threads: int, stops: int = 10) -> None:
    counts, differences = compare(gdb, pid, stops)
    n = counts["same"] + len(differences)
    assert n >= 0.9 * threads * stops, counts
    assert counts["frames"] >= 3 * n
    assert len(differences) <= 0.01 * n, "\n\n".join([str(counts), *differences[:5]])
    assert counts["names"] >= 0.99 * counts["named"], counts


def test_python_with_threads(gdb, started, tmp_path, tool):
    check(gdb, run(started, tmp_path, tool("python3"), "-c", PYTHON), threads=5, stops=20)


def test_stack_pointers_kept_below_the_stack(gdb, started, tmp_path, tool):
    """Hashing in assembly, where processors have AVX2 and no instructions for it, keeps the
    caller's stack pointer below its own."""
    program = "import hashlib\nwhile True: hashlib.sha256(bytes(100000)).digest()"
    check(gdb, run(started, tmp_path, tool("python3"), "-c", program), threads=1)


def test_xz_with_threads(gdb, started, tmp_path, tool):
    check(gdb, run(started, tmp_path, tool("xz"), "-T2", "-c", "/dev/urandom"), threads=2)


def test_sqlite(gdb, started, tmp_path, tool):
    check(gdb, run(started, tmp_path, tool("sqlite3"), ":memory:", SQL), threads=1)


def test_redis_server_under_load(gdb, started, tmp_path, tool):
    socket = tmp_path / "socket"
    options = ("--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no")
    server = start(started, tmp_path, tool("redis-server"), *options)
    wait_for(socket.exists)
    run(started, tmp_path, tool("redis-benchmark"), "-s", socket, "-l", "-q")
    check(gdb, server, threads=2, stops=20)


def test_signal_handler(gdb, started, tmp_path, workload):
    check(gdb, run(started, tmp_path, workload("altstack.c"), "1000", "same"), threads=1)


def test_coroutine(gdb, started, tmp_path, workload):
    check(gdb, run(started, tmp_path, workload("coroutine.c"), "ends", "1000"), threads=1)
