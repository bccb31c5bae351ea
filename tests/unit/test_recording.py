"""Recording, and load(): what a file holds decides what comes back."""

import gzip
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from test_page import decode
from test_store import core

import cprof
from cprof import CorruptProfile, CprofError, Profile, Recording, _core, cli
from cprof.readers import load_profile


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    """Of two kinds, from a file."""
    cpu = Profile(core())
    Recording({"cpu": cpu, "page-faults": cpu.window(2, 9)}).write(tmp_path / "x.cprof")
    loaded = cprof.load(tmp_path / "x.cprof")
    assert isinstance(loaded, Recording)
    return loaded


def test_it_is_a_mapping(recording: Recording) -> None:
    assert list(recording) == ["cpu", "page-faults"]
    assert recording.kinds == ("cpu", "page-faults")
    assert len(recording) == 2
    assert "heap" not in recording
    assert recording.get("heap") is None
    with pytest.raises(KeyError, match="heap"):
        recording["heap"]
    assert recording["cpu"] is recording["cpu"]
    assert recording.main is recording["cpu"]
    assert recording == recording
    assert recording != Recording(dict(recording))
    assert {recording}


def test_what_it_knows_without_reading_samples(recording: Recording) -> None:
    assert recording.duration == 10.0
    assert recording.span == (0.0, 10.0)
    assert recording.command == "prög -x"
    assert recording.host == "here"
    assert recording.labels == {"run": "1"}
    assert str(recording.start_time) == "2023-11-14 22:13:20+00:00"
    assert repr(recording) == "<Recording 'prög -x': cpu, page-faults in 10.00 s>"
    assert not recording._profiles


def test_the_command_takes_kinds_and_windows(
    recording: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, page = f"{tmp_path}/x.cprof", tmp_path / "x.html"

    def total(*words: str) -> int:
        assert cli.main(["top", "--json", "-sample_index=samples", *words, path]) == 0
        return int(json.loads(capsys.readouterr().out)["totals"]["samples"])

    assert total() == recording["cpu"].totals["samples"]
    assert total("--kind", "page-faults") == recording["page-faults"].totals["samples"]
    assert total("-kind=page-faults", "-window=3:4") == 110
    assert cli.main(["ui", path, "-o", str(page)]) == 0
    assert decode(page.read_text())[1]["kinds"] == ["cpu", "page-faults"]
    capsys.readouterr()
    assert cli.main(["top", "--kind", "heap", path]) == cli.USAGE
    assert "no kind 'heap'" in capsys.readouterr().err
    for words in (["top"], ["diff", "--base-window", "0:1"]):
        assert cli.main([*words, "--window", "300:", path]) == cli.NO_SAMPLES
        assert f"{path} has 0:10 s" in capsys.readouterr().err


def test_windows_of_windows(recording: Recording) -> None:
    part = recording.window(2, 8)
    assert part.span == (2.0, 8.0)
    assert str(part.start_time) == "2023-11-14 22:13:22+00:00"
    again = part.window(1, 5)
    assert again.span == (2.0, 5.0)
    assert again["cpu"].totals == recording["cpu"].window(2, 5).totals
    assert part.window(6)["cpu"].span == (6.0, 8.0)
    assert part.window(9, 10)["cpu"].samples == 0
    assert recording.window(8, 20).span == (8.0, 10.0)
    for t0, t1 in ((-1, 2), (3, 2), (float("nan"), None)):
        with pytest.raises(ValueError, match="no window"):
            recording.window(t0, t1)
    made = Recording({"cpu": Profile(core())}).window(1, 2)
    assert made["cpu"].span == (1.0, 2.0)


def test_one_that_is_replaced_meanwhile(recording: Recording, tmp_path: Path) -> None:
    Profile(core(10)).write(tmp_path / "x.cprof")
    assert recording["cpu"]._core.n == 1000
    assert load_profile(tmp_path / "x.cprof")._core.n == 10


def test_text_and_pictures(recording: Recording) -> None:
    lines = str(recording).splitlines()
    assert lines[0] == "prög -x"
    assert lines[1].startswith("cpu          ")
    assert lines[2].startswith("page-faults  ")
    bundle = recording._repr_mimebundle_(include=["text/plain", "text/html"])
    assert bundle["text/plain"] == str(recording)
    assert "<iframe" in bundle["text/html"]


def test_writing_one_kind_elsewhere(recording: Recording, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="can hold one kind, but there are cpu, page-faults"):
        recording.write(tmp_path / "x.pb.gz")
    Recording({"cpu": recording["cpu"]}).write(tmp_path / "x.pb.gz")
    assert load_profile(tmp_path / "x.pb.gz").totals == recording["cpu"].totals


def test_what_it_is_made_of() -> None:
    with pytest.raises(ValueError, match="one kind"):
        Recording({})
    with pytest.raises(TypeError, match="no Profile but a int"):
        Recording({"cpu": 1})  # type: ignore[dict-item]


def test_a_part_takes_no_more_than_it_needs(tmp_path: Path) -> None:
    whole = Profile(core(100_000, 400.0))
    whole.write(tmp_path / "whole.cprof")
    whole.window(0, 4).write(tmp_path / "part.cprof")
    sizes = [os.path.getsize(tmp_path / name) for name in ("whole.cprof", "part.cprof")]
    assert sizes[1] < sizes[0] / 4


def test_kinds_are_named(tmp_path: Path) -> None:
    Profile(core()).write(tmp_path / "x.cprof")
    assert load_profile(tmp_path / "x.cprof", kind="cpu")._core.n == 1000
    with pytest.raises(ValueError, match=r"no kind 'heap' in .*x\.cprof, only cpu"):
        load_profile(tmp_path / "x.cprof", kind="heap")
    Profile(core()).write(tmp_path / "x.pb.gz")
    with pytest.raises(ValueError, match=r"x\.pb\.gz is no recording"):
        load_profile(tmp_path / "x.pb.gz", kind="cpu")


def test_threads_may_share_one(recording: Recording) -> None:
    sums: list[int] = []
    threads = [
        threading.Thread(target=lambda i=i: sums.append(recording.window(i, i + 1)["cpu"]._core.n))
        for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == [100] * 8


# load()


def test_the_content_decides(tmp_path: Path) -> None:
    profile = Profile(core())
    for name in ("a.cprof", "b.pb.gz", "c.folded"):
        profile.write(tmp_path / name)
        (tmp_path / "anything").write_bytes((tmp_path / name).read_bytes())
        assert isinstance(cprof.load(tmp_path / "anything"), Recording) == (name == "a.cprof")
        functions = {row.function for row in load_profile(tmp_path / "anything").functions()}
        assert functions >= {"main", "[lost]"}


def test_text_may_be_compressed(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        file.write(b"main;work 3\nmain 2\n")
    (tmp_path / "x.folded.gz").write_bytes(packed.getvalue())
    assert load_profile(tmp_path / "x.folded.gz").totals == {"samples": 5}
    (tmp_path / "cut.gz").write_bytes(packed.getvalue()[:-4])
    with pytest.raises(CorruptProfile, match=r"cut\.gz"):
        cprof.load(tmp_path / "cut.gz")


def test_pipes(tmp_path: Path) -> None:
    Profile(core()).write(tmp_path / "x.pb.gz")
    Profile(core()).write(tmp_path / "x.cprof")
    script = "import cprof; print(cprof.load('/dev/stdin').totals['samples'])"
    for name, status in (("x.pb.gz", 0), ("x.cprof", 1)):
        with open(tmp_path / name, "rb") as file:
            cat = subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE)
        done = subprocess.run(
            [sys.executable, "-c", script], stdin=cat.stdout, capture_output=True, text=True
        )
        cat.communicate()
        assert done.returncode == status, done.stderr
        assert done.stdout == "1100\n" if status == 0 else "not from a pipe" in done.stderr


def test_without_times_a_window_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.folded").write_text("main 1\n")
    with pytest.raises(CprofError, match=r"x\.folded: this profile has no times"):
        load_profile(tmp_path / "x.folded", window=(0, 1))


def test_the_page_of_a_file_reads_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    load = _core.load_pprof
    Profile(core()).write(tmp_path / "x.pb.gz")
    monkeypatch.setattr(_core, "load_pprof", lambda path: read.append(path) or load(path))
    path = str(tmp_path / "x.pb.gz")
    assert cli.main(["ui", path, "-o", str(tmp_path / "x.html")]) == 0
    assert read == [path]


def test_importing_cprof_loads_no_database() -> None:
    script = "import sys, cprof; print(sorted({'sqlite3', 'zlib', 'tempfile'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
