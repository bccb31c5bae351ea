"""The recording file of real programs: what is in it after any end that a recording can have."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from answers import wait_for

import cprof
from cprof import CorruptProfile, Recording
from cprof.readers import load_profile

pytestmark = pytest.mark.perf

COMMAND = [sys.executable, "-m", "cprof", "record", "-F", "499", "-o"]


def rows(path: Path) -> int:
    """How many rows the file has, by SQLite alone; -1 while there is none."""
    if not path.exists():
        return -1
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return int(db.execute("SELECT coalesce(sum(n), 0) FROM chunks").fetchone()[0])


def check_whole(path: Path) -> Recording:
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(path.name)] == [path.name]
    loaded = cprof.load(path)
    assert isinstance(loaded, Recording)
    return loaded


def test_it_grows_and_a_killed_recorder_leaves_what_there_was(workload, running, tmp_path):
    target = running(workload("burner.c"), "forever")
    path = tmp_path / "run.cprof"
    recorder = subprocess.Popen(
        [*COMMAND, path, "-p", str(target.pid)], stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: rows(path) > 0, 20)
        first = rows(path)
        wait_for(lambda: rows(path) > max(first, 1000), 20)
        known = rows(path)
        assert load_profile(path).samples > 0, "while it is being written"
    finally:
        recorder.kill()
        recorder.wait()
    loaded = check_whole(path)
    assert loaded.main._core.n >= known
    assert {row.function for row in loaded.main.top(2)} == {"hot", "warm"}
    assert loaded.main.quality["complete"] > 0.9
    assert loaded.command.endswith("burner forever")
    half = loaded.window(0, loaded.duration / 2)
    assert 0.3 < half.main.samples / loaded.main.samples < 0.7


def test_killed_at_any_time(workload, running, tmp_path):
    """No file, or one that loads: whatever was going on at that moment."""
    target = running(workload("burner.c"), "forever")
    for i, seconds in enumerate((0.5, 0.7, 0.9, 1.2)):
        path = tmp_path / f"{i}.cprof"
        recorder = subprocess.Popen([*COMMAND, path, "-p", str(target.pid)])
        time.sleep(seconds)
        recorder.kill()
        recorder.wait()
        if path.exists():
            assert load_profile(path).samples > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_everything(workload, running, tmp_path, number):
    target = running(workload("burner.c"), "forever")
    path = tmp_path / "run.cprof"
    recorder = subprocess.Popen(
        [*COMMAND, path, "-p", str(target.pid)], stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: rows(path) > 0, 20)
    time.sleep(1.5)  # beyond the chunk
    known = rows(path)
    recorder.send_signal(number)
    stderr = recorder.communicate(timeout=30)[1]
    loaded = check_whole(path)
    assert loaded.main._core.n > known
    assert f"wrote {path}: {loaded.main.samples:,d} samples" in stderr


def test_a_dying_target_keeps_everything(workload, running, tmp_path):
    target = running(workload("burner.c"), "forever")
    path = tmp_path / "run.cprof"
    recorder = subprocess.Popen([*COMMAND, path, "-p", str(target.pid)])
    wait_for(lambda: rows(path) > 0, 20)
    os.kill(target.pid, signal.SIGKILL)
    assert recorder.wait(30) == 0
    loaded = check_whole(path)
    assert loaded.main.quality["coverage"] > 0.8


def test_the_file_is_the_profile(workload, tmp_path):
    """Written at the end, or as a file: the same rows, names and facts."""
    with cprof.Recorder([str(workload("threads.c"))], freq=499) as recorder:
        recorder.wait(3)
    profile = recorder.profile
    recorder.recording.write(tmp_path / "a.cprof")
    profile.write(tmp_path / "b.cprof")
    a, b = check_whole(tmp_path / "a.cprof"), check_whole(tmp_path / "b.cprof")
    assert a.kinds == b.kinds == ("cpu",)
    for got in (a["cpu"], b["cpu"]):
        assert got._core.run == profile._core.run
        assert got._core.functions(1) == profile._core.functions(1)
        assert got._core.tree(1) == profile._core.tree(1)
        assert got.threads == profile.threads
        for name in set(profile.columns) - {"thread", "stack"}:  # numbers
            assert bytes(got.columns[name]) == bytes(profile.columns[name]), name


def test_nothing_recorded_leaves_the_old_file(cli, tmp_path):
    path = tmp_path / "run.cprof"
    path.write_text("before")
    done = cli("record", "-o", path, "--", "true")
    if done.returncode == 0:  # a sample, by chance
        check_whole(path)
    else:
        assert done.returncode == 5, done.stderr
        assert path.read_text() == "before"


def test_a_full_disk_is_told(workload, tmp_path):
    """A file may be no larger than 24 KiB here: chunks stop, recording goes on."""
    path = tmp_path / "run.cprof"
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 48; trap "" XFSZ; exec "$@"', "sh", *COMMAND, path, "-d", "3",
         "--", workload("burner.c"), "forever"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        check_whole(path)  # it fits
        return
    assert str(path) in done.stderr
    if path.exists():
        try:
            cprof.load(path)
        except CorruptProfile as error:
            pytest.fail(f"a broken file under its final name: {error}")
