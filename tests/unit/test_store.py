"""The recording file: what comes back, what a chunk is, what is refused."""

import sqlite3
import subprocess
import sys
from array import array
from pathlib import Path
from typing import Any

import pytest

from cprof import CorruptProfile, CprofError, Profile, Recording, _core, load
from cprof.readers import load_profile
from cprof.store import VERSION
from cprof.store_read import File
from cprof.store_write import Log
from cprof.store_write import write as write_file

NONE = 2**32 - 1
NS = 10**9


def core(
    n: int = 1000, seconds: float = 10.0, *, start: int = 5 * NS, **rows: Any
) -> _core.Profile:
    """n rows over `seconds`: main;work[i % 7] on two threads, with everything that rows have."""
    step = round(seconds * NS / n)
    return _core.build(
        {
            "sample_types": [("samples", "count"), ("cpu", "nanoseconds")],
            "mappings": [(0x1000, 2**64 - 1, 0, "/bin/prög", "prög", "ab", "/root", 5)],
            "functions": [
                ("main", "main", "m.c", 1, "prög"),
                ("work(int)", "_Z4worki", "w.c", 10, "prög"),
                ("[lost]", "[lost]", "", 0, ""),
            ],
            "locations": (
                array("Q", [0x1100, *(0x1200 + i for i in range(7)), 0, 2**64 - 16]),
                array("I", [*[0] * 8, NONE, 0]),
                array("B", [0] * 9 + [1]),
            ),
            "lines": (
                array("I", [0, *range(1, 8), 7, 8]),
                array("I", [0, *[1] * 8, 2]),
                array("q", [*range(9), 0]),
                array("I", [*range(9), 0]),
            ),
            "nodes": (
                array("I", [NONE, *[0] * 7, NONE, 7]),
                array("I", [*range(8), 8, 9]),
            ),
            "threads": [
                (7, 8, "one", "prög", [("colour", "blue"), ("size", 2**63 - 1, "bytes")]),
                (-1, -1, "two", ""),
            ],
            "rows": {
                "time": array("Q", [start + i * step for i in range(n)]),
                "thread": array("I", [i % 2 for i in range(n)]),
                "stack": array("I", [i % 10 for i in range(n)]),
                "cpu_id": array("i", [i % 3 - 1 for i in range(n)]),
                "how": array("B", [i % 5 == 0 for i in range(n)]),
                "n_added": array("H", [i % 3 for i in range(n)]),
                "values": [
                    array("q", [1 + (i % 10 == 8) for i in range(n)]),
                    array("q", [(-1) ** i * i * 10**6 for i in range(n)]),
                ],
                **rows,
            },
            "run": {
                "command": "prög -x", "event": "task-clock", "host": "here", "start_mono": start,
                "end_mono": start + round(seconds * NS), "start_unix": 1_700_000_000 * NS,
                "cpu_time": 2**64 - 1, "n_switches": 7, "rate_asked": 99.5, "unwinder": "table",
                "is_kernel_excluded": True, "default_type": "cpu",
            },
            "marks": [(start + 1, 0, 2), (start + NS, 1, 3)],
            "comments": ["cprof.label.run: 1", "another"],
            "span": (0.0, seconds),
        }
    )  # fmt: skip


def everything(core: _core.Profile) -> dict[str, Any]:
    """All that a profile holds, for comparison."""
    columns = ("time", "pid", "tid", "cpu_id", "thread", "stack", "how", "n_added")
    values = [name for name, _ in core.sample_types]
    tables = core.tables()
    return {
        "run": core.run,
        "types": core.sample_types,
        "mappings": (core.mappings, core.mapping_details),
        "functions": core.functions_table,
        "threads": (core.threads, core.thread_labels),
        "marks": core.marks,
        **{name: memoryview(core.column(name)).tolist() for name in (*columns, *values)},
        **{key: [memoryview(c).tolist() for c in tables[key]] for key in tables},
    }


def chunks(path: Path) -> list[tuple[int, int]]:
    with sqlite3.connect(path) as db:
        return db.execute("SELECT id, n FROM chunks ORDER BY id").fetchall()


def test_everything_comes_back(tmp_path: Path) -> None:
    whole = core()
    write_file(str(tmp_path / "x.cprof"), {"cpu": whole})
    assert everything(File(str(tmp_path / "x.cprof")).read("cpu")) == everything(whole)
    assert [n for _, n in chunks(tmp_path / "x.cprof")] == [1000]
    assert [path.name for path in tmp_path.iterdir()] == ["x.cprof"]
    with sqlite3.connect(tmp_path / "x.cprof") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_what_is_not_stored_comes_back(tmp_path: Path) -> None:
    plain = core(cpu_id=None, how=None, n_added=None, values=[None, array("q", [5] * 1000)])
    write_file(str(tmp_path / "x.cprof"), {"cpu": plain})
    assert everything(File(str(tmp_path / "x.cprof")).read("cpu")) == everything(plain)
    with sqlite3.connect(tmp_path / "x.cprof") as db:
        stored = db.execute("SELECT cpu_id, how, n_added FROM chunks").fetchone()
        types = db.execute('SELECT DISTINCT type FROM "values"').fetchall()
    assert stored == (None, None, None)
    assert types == [(1,)]


@pytest.mark.parametrize("times", [None, array("Q", [9 * NS, 6 * NS] * 500)])
def test_rows_without_order_and_times(tmp_path: Path, times: object) -> None:
    odd = core(time=times)
    write_file(str(tmp_path / "x.cprof"), {"cpu": odd})
    file = File(str(tmp_path / "x.cprof"))
    assert everything(file.read("cpu")) == everything(odd)
    if times is None:
        with pytest.raises(CprofError, match="no times"):
            load_profile(tmp_path / "x.cprof", window=(0, 1))
    else:
        assert file.read("cpu", (3.5, None)).n == 500


def test_no_rows(tmp_path: Path) -> None:
    empty = core().window(0, 0)
    write_file(str(tmp_path / "x.cprof"), {"cpu": empty})
    assert File(str(tmp_path / "x.cprof")).read("cpu").n == 0


def test_a_window_is_the_profiles_own(tmp_path: Path) -> None:
    whole = Profile(core())
    whole.write(tmp_path / "x.cprof")
    for t0, t1 in ((0.0, 4.0), (3.995, 8.0), (4.0, None), (2.5, 2.6), (9.99, 100.0), (50.0, 60.0)):
        part = load_profile(tmp_path / "x.cprof", window=(t0, t1))
        assert everything(part._core) == everything(whole.window(t0, t1)._core), (t0, t1)


def test_a_window_reads_its_own_chunks_only(tmp_path: Path) -> None:
    Profile(core(11_000)).write(tmp_path / "x.cprof")
    assert [n for _, n in chunks(tmp_path / "x.cprof")] == [4400, 4400, 2200]
    with sqlite3.connect(tmp_path / "x.cprof") as db:
        db.execute("UPDATE chunks SET stack = x'00' WHERE id = 2")
    assert load_profile(tmp_path / "x.cprof", window=(0.0, 7.9)).totals["samples"] == 9559
    with pytest.raises(CorruptProfile, match=r"x\.cprof.*stack"):
        load_profile(tmp_path / "x.cprof", window=(0.0, 8.1))


def test_kinds_share_tables_or_do_not(tmp_path: Path) -> None:
    a, b = core(), core(300, start=6 * NS)
    part = a.window(0, 7 * NS)
    write_file(str(tmp_path / "x.cprof"), {"cpu": a, "part": part, "other": b})
    with sqlite3.connect(tmp_path / "x.cprof") as db:
        packed = db.execute("SELECT sum(n) FROM packed WHERE what = 'mappings'")
        assert packed.fetchone() == (2,)
    file = File(str(tmp_path / "x.cprof"))
    for name, want in {"cpu": a, "part": part, "other": b}.items():
        back = Profile(file.read(name))
        assert [tuple(r.values()) for r in back.functions()] == [
            tuple(r.values()) for r in Profile(want).functions()
        ]
        assert everything(back._core)["run"] == everything(want)["run"]
        assert everything(back._core)["pid"] == everything(want)["pid"]
        assert everything(back._core)["cpu"] == everything(want)["cpu"]


def test_numbers_beyond_sqlites(tmp_path: Path) -> None:
    late = core(10, start=2**64 - 11 * NS)
    write_file(str(tmp_path / "x.cprof"), {"cpu": late})
    assert everything(File(str(tmp_path / "x.cprof")).read("cpu")) == everything(late)


# While recording goes on


def test_a_log_is_a_recording_after_each_chunk(tmp_path: Path) -> None:
    whole = core()
    log = Log(str(tmp_path / "x.cprof"))
    for second in range(10):
        start = (5 + second) * NS
        log.append("cpu", whole.window(start, start + NS), ["cprof.label.more: 2"])
        back = load(tmp_path / "x.cprof")
        assert isinstance(back, Recording)
        assert back.main._core.n == 100 * (second + 1)
        assert back.labels == {"run": "1", "more": "2"}
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == ["x.cprof"]
    got, want = everything(load_profile(tmp_path / "x.cprof")._core), everything(whole)
    for name in set(want) - {"run"}:
        assert got[name] == want[name], name


def test_a_log_without_rows_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "x.cprof").write_text("before")
    log = Log(str(tmp_path / "x.cprof"))
    log.append("cpu", core().window(0, 0))
    log.close()
    assert (tmp_path / "x.cprof").read_text() == "before"


# What is refused


def spoiled(tmp_path: Path, *statements: str) -> Path:
    path = tmp_path / "bad.cprof"
    Profile(core()).write(path)
    with sqlite3.connect(path) as db:
        for statement in statements:
            db.execute(statement)
    return path


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("PRAGMA application_id = 0", "is an SQLite database, but no recording of cprof"),
        (f"PRAGMA user_version = {VERSION + 1}", "was written by a newer cprof"),
        ("PRAGMA user_version = 1", "was written by an early cprof"),
        ("DROP TABLE packed", "no table packed"),
        ("DELETE FROM packed WHERE what = 'functions'", "refers to function"),
        ("UPDATE packed SET first = 1 WHERE what = 'functions'", "functions has no entry 0"),
        ("UPDATE packed SET n = 2 WHERE what = 'functions'", "functions has 13 entries, not 2"),
        ("UPDATE packed SET size = size - 1 WHERE what = 'functions'", "does not decode"),
        ("UPDATE packed SET size = -1", "no size of -1"),
        ("UPDATE packed SET data = zeroblob(99)", "damaged"),
        ("UPDATE packed SET data = '[7, 8, 9]', size = 9", "no list of lists"),
        ("UPDATE packed SET data = '[[7],[8]]', size = 9, n = 2", "damaged"),
        ("UPDATE packed SET data = CAST(printf('%.99999c', '[') AS BLOB), size = 99999", "damaged"),
        ("UPDATE marks SET n = 900000000", "more marks than can be"),
        ("UPDATE marks SET what = zeroblob(9)", "does not decode"),
        ("DELETE FROM nodes", "refers to stack"),
        ("DELETE FROM packed WHERE what = 'threads'", "refers to thread"),
        ("DELETE FROM facts", "damaged"),
        ("DELETE FROM sample_types", "no sample types"),
        ("UPDATE facts SET value = 'x' WHERE key = 'period'", "damaged"),
        ("UPDATE facts SET value = 9e999 WHERE key = 'to'", "span"),
        ("UPDATE facts SET value = -5 WHERE key = 'main_mapping'", "damaged"),
        ("UPDATE nodes SET n = n - 1", "does not decode"),
        ("UPDATE nodes SET first = 1", "no entry 0"),
        ("UPDATE chunks SET n = 10000000", "does not decode"),
        ("UPDATE chunks SET n = 200000000", "more samples than can be"),
        ("UPDATE chunks SET n = 0", "does not decode"),
        ("UPDATE chunks SET n = -1", "does not decode"),
        ("UPDATE chunks SET n = 'x'", "damaged"),
        ("UPDATE chunks SET stack = zeroblob(9)", "does not decode"),
        ("UPDATE chunks SET thread = 7", "damaged"),
        ("UPDATE comments SET text = NULL", "NOT NULL"),
    ],
)
def test_damage_is_told(tmp_path: Path, statement: str, says: str) -> None:
    if says == "NOT NULL":
        with pytest.raises(sqlite3.IntegrityError, match=says):
            spoiled(tmp_path, statement)
        return
    path = spoiled(tmp_path, statement)
    with pytest.raises(CorruptProfile, match=rf"bad\.cprof.*{says}"):
        load_profile(path)


def test_views_in_the_place_of_tables_are_not_read(tmp_path: Path) -> None:
    path = spoiled(
        tmp_path,
        "DROP TABLE comments",
        "CREATE VIEW comments AS WITH RECURSIVE t(kind, number, text) AS "
        "(SELECT 0, 0, '' UNION ALL SELECT kind, number + 1, text FROM t) SELECT * FROM t",
    )
    with pytest.raises(CorruptProfile, match="no table comments"):
        load_profile(path)


def test_files_cut_off_or_overwritten(tmp_path: Path) -> None:
    Profile(core()).write(tmp_path / "good.cprof")
    good = (tmp_path / "good.cprof").read_bytes()
    want = everything(load_profile(tmp_path / "good.cprof")._core)
    bad = tmp_path / "bad.cprof"
    for n in (16, 50, 100, 1024, len(good) // 2, len(good) - 1024):
        bad.write_bytes(good[:n])
        with pytest.raises(CorruptProfile, match=r"bad\.cprof"):
            load_profile(bad)
    refused = 0
    for at in range(100, len(good), 97):  # any of them may also hit text, or nothing
        bad.write_bytes(good[:at] + b"\xa5" * 40 + good[at + 40 :])
        try:
            got = everything(load_profile(bad)._core)
        except CorruptProfile:
            refused += 1
        else:
            assert got["time"] == want["time"]
            assert got["cpu"] == want["cpu"]
    assert refused > 50


def test_other_files(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "foreign.db") as db:
        db.execute("CREATE TABLE t (x)")
    with pytest.raises(CorruptProfile, match=r"foreign\.db: is an SQLite database, but no"):
        load(tmp_path / "foreign.db")
    (tmp_path / "empty.cprof").write_bytes(b"")
    with pytest.raises(CorruptProfile, match=r"empty\.cprof: is empty"):
        load(tmp_path / "empty.cprof")
    with pytest.raises(FileNotFoundError, match=r"gone\.cprof"):
        load(tmp_path / "gone.cprof")
    name = tmp_path / "a?b%20#'c.cprof"
    Profile(core()).write(name)
    assert load_profile(name)._core.n == 1000


def test_killed_in_the_middle_of_a_chunk(tmp_path: Path) -> None:
    """SQLite has begun to change the file: it undoes that when the file is next opened."""
    Profile(core()).write(tmp_path / "whole.cprof")
    script = """
import os, signal, sys
from cprof.readers import load_profile
from cprof.store_write import Log

core = load_profile(sys.argv[1])._core
start = core.run["start_mono"]
log = Log(sys.argv[2])
log.append("cpu", core.window(start, start + 4 * 10**9))
log._db.execute("PRAGMA cache_size = 1")  # pages go into the file before the chunk is whole
log._writer._add_rows = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
log.append("cpu", core.window(start + 4 * 10**9, start + 40 * 10**9))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "whole.cprof", tmp_path / "x.cprof"], check=False
    )
    assert done.returncode == -9
    assert (tmp_path / "x.cprof-journal").exists()
    assert load_profile(tmp_path / "x.cprof")._core.n == 400
    assert not (tmp_path / "x.cprof-journal").exists()
