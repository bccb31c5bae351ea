"""Programs of the distribution at their usual work: each is recorded, its hot function or
module has its right name, and the Go tool reads the file with the same totals."""

import glob
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from answers import is_whole, part, stacks, totals

import cprof

pytestmark = pytest.mark.perf

CPP = """
#include <algorithm>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>
template <int N> struct Table {
    std::map<std::string, std::vector<int>> rows;
    std::unordered_map<std::string, int> index;
    bool add(const std::string &text) {
        std::istringstream words(text);
        std::string key;
        for (int value; words >> key >> value; rows[key].push_back(value + N)) {}
        std::sort(rows[key].begin(), rows[key].end(), std::greater<>());
        std::stable_sort(rows[key].begin(), rows[key].end());
        return index.emplace(key, N).second;
    }
};
template struct Table<1>; template struct Table<2>;
"""


@pytest.fixture
def check(pprof, tmp_path):
    """What holds of every profile: written, read by the Go tool, the same numbers."""

    def check(profile: cprof.Profile, *, complete: float = 0.97, lost: float = 0.005) -> None:
        path = tmp_path / "check.pb.gz"
        profile.write(path)
        assert pprof.raw_totals(path) == profile.totals
        for sample_type, unit in (("cpu", "ns"), ("samples", "count")):
            total, rows = pprof.top(path, sample_type, unit)
            assert total == sum(flat for flat, _ in rows.values()) == profile.totals[sample_type]
            assert pprof.traces_total(path, sample_type, unit) == total
        quality = profile.quality
        assert profile.samples >= 100
        assert profile.lost <= lost * profile.samples
        assert quality["bad_records"] == 0
        assert quality["coverage"] <= 1.1
        assert is_whole(quality["coverage"]) or quality["kernel_excluded"]
        assert quality["complete"] >= complete, quality["ends"]
        assert quality["unknown"] <= 0.01 * profile.samples
        assert cprof.load(path).totals == profile.totals

    return check


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Some MiB of real machine code, to compress."""
    libraries = (os.path.realpath(p) for p in glob.glob("/usr/lib/*-linux-gnu/lib*.so.*"))
    largest = sorted(set(libraries), key=os.path.getsize)[-1]
    path = tmp_path_factory.mktemp("data") / "data"
    with open(largest, "rb") as file:
        path.write_bytes(file.read(6 << 20))
    return path


def share(profile: cprof.Profile, module: str) -> float:
    """The part of the CPU time spent in code of the module and what it calls."""
    return profile.filter(module=module).totals["cpu"] / profile.totals["cpu"]


def quiet(*words: object) -> list[str]:
    """The command with its stdout away."""
    return ["sh", "-c", 'exec "$@" >/dev/null', "sh", *(str(word) for word in words)]


def test_cpp_compiler(check, tool, tmp_path):
    source = tmp_path / "big.cc"
    source.write_text(CPP)
    profile = cprof.record([tool("g++"), "-O1", "-c", str(source), "-o", str(tmp_path / "o")])
    check(profile, complete=0.95)
    assert profile.modules[0] in ("cc1plus", "[kernel.kallsyms]")
    assert {"cc1plus", "as"} <= {t.comm for t in profile.threads}
    of_compiler = profile.filter(comm="cc1plus")
    assert of_compiler.totals["cpu"] >= 0.8 * profile.totals["cpu"]
    assert of_compiler.quality["complete"] >= 0.95
    named = [r.function for r in profile.top(100) if r.module == "cc1plus"]
    assert len(named) == len(set(named)), "one name for one function"


def test_c_compiler_of_the_example(check, tool, tmp_path):
    source = tmp_path / "big.c"
    functions = (f"int f{i}(int *p, int n) {{ int s = {i}; for (int i = 0; i < n; i++)"
                 f" s += p[i] * {i} ^ (s >> 3); return s; }}" for i in range(300))  # fmt: skip
    source.write_text("\n".join(functions))
    profile = cprof.record([tool("gcc"), "-O2", "-c", str(source), "-o", str(tmp_path / "o")])
    check(profile, complete=0.95)
    assert {"cc1", "as"} <= {t.comm for t in profile.threads}
    assert share(profile, "cc1") > 0.5


def test_xz(check, tool, data):
    profile = cprof.record(quiet(tool("xz"), "-9", "-c", "--threads=1", data))
    check(profile)
    assert profile.modules[0].startswith("liblzma.so")
    assert totals(profile, ["lzma_code"])["lzma_code"] >= 0.9 * profile.totals["cpu"]


def test_bzip2(check, tool, data):
    profile = cprof.record(quiet(tool("bzip2"), "-c", data))
    check(profile)
    inside = totals(profile, ["BZ2_bzWrite", "BZ2_bzCompress"])
    assert max(inside.values()) >= 0.8 * profile.totals["cpu"]


def test_gzip(check, tool, data):
    """Stripped, without a library: its functions have no names but stable ones."""
    command = quiet(tool("gzip"), "-c", data)
    profile = cprof.record(command)
    check(profile)
    hot = profile.top(1)[0]
    assert hot.module == "gzip"
    assert hot.function.startswith("gzip!fn_0x")
    again = cprof.record(command).top(1)[0]
    assert again.function == hot.function


def test_sqlite(check, tool):
    query = (
        "WITH RECURSIVE c(x, y) AS (SELECT 1, 1 UNION ALL SELECT x + 1, (y * 31 + x) % 9973 "
        "FROM c WHERE x < 1200000) SELECT count(*), sum(y), max(y) FROM c;"
    )
    profile = cprof.record(quiet(tool("sqlite3"), ":memory:", query))
    check(profile)
    names = totals(profile, ["sqlite3_step", "sqlite3_exec"])
    assert max(names.values()) >= 0.8 * profile.totals["cpu"]
    assert profile.modules[0].startswith(("libsqlite3.so", "sqlite3"))


def test_python(check):
    program = "n = 0\nfor i in range(6_000_000): n += i * i % 7"
    python = os.path.realpath(sys.executable)
    profile = cprof.record([python, "-I", "-S", "-c", program])
    check(profile)
    names = totals(profile, ["_PyEval_EvalFrameDefault", "Py_RunMain"])
    assert names["_PyEval_EvalFrameDefault"] >= 0.8 * profile.totals["cpu"]
    assert names["Py_RunMain"] >= 0.8 * profile.totals["cpu"]


def test_perl(check, tool):
    program = 'my %h; for my $i (1..900000) { $h{$i % 1000} .= "x" if $i =~ /7/; }'
    profile = cprof.record([tool("perl"), "-e", program])
    check(profile)
    assert totals(profile, ["perl_run"])["perl_run"] >= 0.9 * profile.totals["cpu"]
    assert any(row.function.startswith("Perl_") for row in profile.top(3)), profile.top(3)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def redis(tool, tmp_path):
    """A server that listens on the loopback only and keeps nothing: its pid and port."""
    port = free_port()
    options = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", tmp_path)
    words = [tool("redis-server"), "--port", str(port), *map(str, options)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert time.monotonic() < end, "redis-server did not start"
            time.sleep(0.05)
    yield server.pid, port
    server.terminate()
    server.wait(timeout=20)


def test_redis_server_under_load(check, tool, redis):
    pid, port = redis
    load = [tool("redis-benchmark"), "-p", str(port), "-q", "-t", "set,lpush", "-n", "10000000"]
    client = subprocess.Popen(load, stdout=subprocess.DEVNULL)
    try:
        profile = cprof.record(pid, duration=2, freq=997)
    finally:
        client.kill()
        client.wait()
    check(profile)
    names = totals(profile, ["aeMain", "aeProcessEvents", "main"])
    assert names["aeMain"] >= 0.9 * profile.totals["cpu"], profile.top(10)
    assert names["main"] >= 0.9 * profile.totals["cpu"]
    assert {t.pid for t in profile.threads} == {pid}
    assert part(stacks(profile), lambda s: "readQueryFromClient" in s) > 0.1


def test_shell_pipeline_of_many_programs(check, tool, data):
    for name in ("sort", "od", "cut", "sha256sum"):
        tool(name)
    script = 'od -An -v -tx1 -w8 "$1" | cut -c1-24 | sort | uniq -c | sort -rn | sha256sum'
    profile = cprof.record(quiet("sh", "-c", script, "sh", data))
    check(profile, complete=0.95)
    assert {"od", "cut", "sort", "uniq"} <= {t.comm for t in profile.threads}
    assert len({t.pid for t in profile.threads}) >= 5


def test_program_of_another_compiler(check, tmp_path):
    """clang with its big libraries, where there is one: much code, deep stacks."""
    clang = shutil.which("clang++")
    if not clang:
        pytest.skip("no clang++ here")
    source = tmp_path / "big.cc"
    source.write_text(CPP)
    command = [clang, "-O1", "-c", str(source), "-o", str(tmp_path / "o")]
    profile = cprof.record(command, stack_bytes=65528)
    check(profile, complete=0.90, lost=0.1)  # 64 KiB a sample: a busy machine is late
    assert any(m.startswith(("libLLVM", "libclang", "clang")) for m in profile.modules[:3])
    assert any("clang::" in row.function or "llvm::" in row.function for row in profile.top(20))
