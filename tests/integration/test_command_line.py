"""The command `cprof` on real targets: its files, its exit status, its signals, its terminal."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from answers import interrupt_group, is_gone, totals, wait_for
from permission import unavailable

import cprof

pytestmark = pytest.mark.perf

SPENT = "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done"  # sh at work for a moment


@pytest.fixture(scope="module")
def recording(workload, tmp_path_factory):
    """A file made from the burner."""
    from permission import perf_refusal

    if perf_refusal():
        pytest.skip(perf_refusal())
    path = tmp_path_factory.mktemp("recording") / "burner.pb.gz"
    profile = cprof.record([str(workload("burner.c")), "slices", "1"], labels={"build": "a"})
    profile.write(path)
    return path


# record


def test_record_a_command(cli, workload, tmp_path):
    output = tmp_path / "out.pb.gz"
    done = cli("record", "-o", output, "--", workload("burner.c"), "slices", "0.5")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"hot \d+ warm \d+\n", done.stdout), "the command's output is its own"
    assert done.stderr.startswith(f"cprof: wrote {output}: ")
    assert f"cprof report {output}" in done.stderr
    profile = cprof.load(output)
    said = int(re.search(r"([\d,]+) samples", done.stderr)[1].replace(",", ""))  # type: ignore[index]
    assert said == profile.samples
    assert totals(profile, ["hot", "warm"])["hot"] > 0


def test_record_a_process(cli, running, workload, tmp_path):
    target = running(workload("burner.c"), "forever")
    output = tmp_path / "out.pb.gz"
    done = cli("record", "-F", "499", "-d", "1", "-o", output, "-p", target.pid)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert totals(cprof.load(output), ["burn"])["burn"] > 0
    assert target.process.poll() is None


def test_record_several_processes(cli, running, workload, tmp_path):
    pids = [running(workload("spin.c")).pid for _ in range(3)]
    output = tmp_path / "out.pb.gz"
    which = ("-p", f"{pids[0]},{pids[1]}", "-p", pids[2])
    done = cli("record", "-F", "499", "-d", "1", "-o", output, *which)
    assert done.returncode == 0, done.stderr
    lost = {-1}  # whose they were is not known
    assert {t.pid for t in cprof.load(output).threads} - lost == set(pids)


def test_output_has_a_name_of_its_own_when_not_told(cli, workload, tmp_path):
    done = cli("record", "--", workload("burner.c"), "slices", "0.2", cwd=tmp_path)
    assert done.returncode == 0
    [path] = tmp_path.iterdir()
    assert re.fullmatch(r"cprof-burner-\d{8}-\d{6}\.pb\.gz", path.name)
    assert path.name in done.stderr


@pytest.mark.parametrize("name", ["out.folded", "out.svg", "out.png", "out.pb"])
def test_record_straight_into_every_format(cli, workload, tmp_path, name):
    output = tmp_path / name
    done = cli("record", "-o", output, "--", workload("burner.c"), "slices", "0.2")
    assert done.returncode == 0, done.stderr
    start = {"svg": b"<?xml", "png": b"\x89PNG", "folded": b"_start;"}
    data = output.read_bytes()
    assert start.get(name.partition(".")[2], b"") in data[:200]
    assert data


def test_profile_to_a_pipe(cli, workload, running, tmp_path):
    target = running(workload("burner.c"), "forever")
    output = tmp_path / "piped.pb.gz"
    with output.open("wb") as file:
        options = {"stdout": file, "stderr": subprocess.PIPE, "capture_output": False}
        done = cli("record", "-d", "0.5", "-F", "499", "-o", "-", "-p", target.pid, **options)
    assert done.returncode == 0, done.stderr
    assert cprof.load(output).samples


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -TERM $$", 143)],
)
def test_exit_status_of_the_command_is_passed_on(cli, tmp_path, script, status):
    output = tmp_path / "out.pb.gz"
    done = cli("record", "-o", output, "--", "sh", "-c", f"{SPENT}; {script}")
    assert done.returncode == status, done.stderr
    assert cprof.load(output).samples


def test_output_of_the_command_is_untouched(cli, tmp_path):
    """Also bytes that are no text, and its input is its own, too."""
    command = f"{SPENT}; cat; printf '\\377\\000x' ; echo error >&2"
    words = [*cli.command, "record", "-o", str(tmp_path / "o.pb.gz"), "--", "sh", "-c", command]
    done = subprocess.run(words, input=b"given\xfe\n", capture_output=True, check=False)
    assert done.returncode == 0
    assert done.stdout == b"given\xfe\n\xff\0x"
    first, *others = done.stderr.splitlines()
    assert first == b"error"
    assert all(line.startswith(b"cprof: ") for line in others)


def test_command_does_not_inherit_our_descriptors(cli, tmp_path):
    script = f"{SPENT}; ls -l /proc/$$/fd >&2"
    done = cli("record", "-o", tmp_path / "o.pb.gz", "--", "sh", "-c", script)
    assert "perf_event" not in done.stderr
    fds = re.findall(r" (\d+) -> ", done.stderr)
    assert set(fds) <= {"0", "1", "2", "10"}, done.stderr


def test_duration_ends_a_command_and_keeps_the_file(cli, workload, tmp_path):
    output = tmp_path / "out.pb.gz"
    begin = time.monotonic()
    done = cli("record", "-d", "0.7", "-o", output, "--", workload("spin.c"))
    assert time.monotonic() - begin < 20
    assert done.returncode == 0, "it was cprof that ended it"
    assert totals(cprof.load(output), ["spin"])["spin"] > 0.1e9


def test_labels_are_kept(cli, workload, tmp_path):
    output = tmp_path / "out.pb.gz"
    label = ("--label", "build=2", "--label", "host=a=b")
    cli("record", "-o", output, *label, "--", workload("burner.c"), "slices", "0.2")
    assert cprof.load(output).labels == {"build": "2", "host": "a=b"}


# Ctrl-C


def started(cli, output: Path, *words: object, seconds: float = 0.7) -> "subprocess.Popen[str]":
    """cprof record with a command that writes its pid to a file first; recording for a
    while."""
    pid_file = output.parent / "pid"
    script = f'echo $$ >{pid_file}.new; mv {pid_file}.new {pid_file}; exec "$@"'
    process = cli.start("record", "-o", output, "--", "sh", "-c", script, "sh", *words)
    wait_for(pid_file.exists)
    time.sleep(seconds)
    return process


def child_pid(output: Path) -> int:
    return int((output.parent / "pid").read_text())


@pytest.mark.parametrize("way", ["group", "alone"])
def test_ctrl_c_stops_and_keeps_what_there_is(cli, workload, tmp_path, way):
    output = tmp_path / "out.pb.gz"
    process = started(cli, output, workload("spin.c"))
    if way == "group":
        interrupt_group(process)
    else:
        process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, "the command's own status: ended by SIGINT"
    assert "Traceback" not in stderr
    assert "stopped by Ctrl-C" in stderr
    assert f"wrote {output}" in stderr
    assert totals(cprof.load(output), ["spin"])["spin"] > 0
    assert is_gone(child_pid(output))


def test_ctrl_c_is_the_commands_to_handle(cli, tmp_path):
    """A command that ends in its own way at Ctrl-C does so, and its status is passed on."""
    output = tmp_path / "out.pb.gz"
    script = "trap 'echo bye; exit 5' INT; while :; do :; done"
    process = started(cli, output, "sh", "-c", script)
    interrupt_group(process)
    stdout, stderr = process.communicate(timeout=30)
    assert stdout == "bye\n"
    assert process.returncode == 5, stderr
    assert cprof.load(output).samples


def test_ctrl_c_typed_at_a_terminal_reaches_the_command_once(cli, tmp_path):
    """The terminal sends it to both; cprof must not send it again."""
    output = tmp_path / "out.pb.gz"
    script = (
        "n=0; trap 'n=$((n+1)); echo interrupt $n; end=$(($(date +%s)+2))' INT; end=9999999999; "
        "echo started; while [ $(date +%s) -lt $end ]; do i=0; "
        "while [ $i -lt 5000 ]; do i=$((i+1)); done; done; exit 4"
    )
    take_terminal = (
        "import fcntl, os, sys, termios\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    ours, theirs = pty.openpty()
    words = [*cli.command, "record", "-o", str(output), "--", "sh", "-c", script]
    with subprocess.Popen(
        [sys.executable, "-c", take_terminal, *words],
        stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        time.sleep(0.5)
        os.write(ours, b"\x03")
        stdout, stderr = process.communicate(timeout=30)
    os.close(ours)
    assert stdout == "interrupt 1\n", stderr
    assert process.returncode in (4, 143), "it ended by itself, or was asked to after 2 s"
    assert "stopped by Ctrl-C" in stderr
    assert cprof.load(output).samples


@pytest.mark.parametrize("pause", [0, 0.02, 0.1, 0.5])
def test_second_ctrl_c_waits_for_nothing(cli, workload, tmp_path, pause):
    """The file is there already; whether cprof still says so or waits for the command, which
    ignores all requests: it is killed."""
    output = tmp_path / "out.pb.gz"
    script = f"trap '' INT; exec {workload('spin.c')} --ignore-term"
    process = started(cli, output, "sh", "-c", script)
    process.send_signal(signal.SIGINT)
    wait_for(output.exists)
    time.sleep(pause)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert time.monotonic() - begin < 2
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert cprof.load(output).samples
    assert is_gone(child_pid(output))


def test_ctrl_c_while_attached_leaves_the_target_alone(cli, workload, running, tmp_path):
    target = running(workload("spin.c"))
    output = tmp_path / "out.pb.gz"
    process = cli.start("record", "-F", "499", "-o", output, "-p", target.pid)
    time.sleep(2)
    interrupt_group(process)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert "stopped by Ctrl-C" in stderr
    assert totals(cprof.load(output), ["spin"])["spin"] > 0
    assert target.process.poll() is None


def test_sigterm_keeps_the_file_too(cli, workload, tmp_path):
    output = tmp_path / "out.pb.gz"
    process = started(cli, output, workload("spin.c"))
    process.terminate()
    process.communicate(timeout=30)
    assert cprof.load(output).samples
    assert is_gone(child_pid(output))


def test_command_that_ignores_ctrl_c_and_sigterm_is_killed_in_the_end(cli, workload, tmp_path):
    output = tmp_path / "out.pb.gz"
    script = f"trap '' INT; exec {workload('spin.c')} --ignore-term"
    process = started(cli, output, "sh", "-c", script)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 137
    assert cprof.load(output).samples
    assert is_gone(child_pid(output))


def test_killed_recorder_takes_nothing_with_it(cli, workload, running, tmp_path):
    """SIGKILL leaves no file; an attached target goes on."""
    target = running(workload("spin.c"))
    output = tmp_path / "out.pb.gz"
    process = cli.start("record", "-o", output, "-p", target.pid)
    time.sleep(1)
    process.kill()
    process.communicate()
    assert list(tmp_path.iterdir()) == []
    assert target.process.poll() is None


def test_ctrl_c_in_python_keeps_the_profile(workload):
    """`cprof.record` in a program: a warning, and the profile."""
    program = (
        "import cprof, sys, warnings\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    print('ready', flush=True)\n"
        "    p = cprof.record(sys.argv[1:])\n"
        "print(p.samples > 0, [w.category.__name__ for w in caught])\n"
    )
    words = [sys.executable, "-c", program, str(workload("spin.c"))]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert process.stdout.readline().startswith("ready "), "the command's own line"
    time.sleep(0.5)
    interrupt_group(process)
    stdout, _ = process.communicate(timeout=30)
    assert stdout == "True ['RecordingInterrupted']\n"
    assert process.returncode == 0


# The terminal


def on_terminal(words: "list[str]", **options: object) -> "tuple[int, bytes, bytes]":
    """Run with stderr on a terminal of its own: status, stdout, what the terminal got."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=theirs, **options) as process:  # type: ignore[call-overload]
        os.close(theirs)
        seen = b""
        while True:
            ready, _, _ = select.select([ours], [], [], 60)
            assert ready, "nothing came for a minute"
            try:
                data = os.read(ours, 65536)
            except OSError:
                break
            if not data:
                break
            seen += data
        stdout = process.stdout.read()
    os.close(ours)
    return process.returncode, stdout, seen


def test_progress_line_on_a_terminal_only(cli, workload, running, tmp_path):
    target = running(workload("burner.c"), "forever")
    words = ["record", "-d", "1.5", "-F", "499", "-p", target.pid, "-o"]
    status, stdout, seen = on_terminal([*cli.command, *map(str, words), str(tmp_path / "a.pb.gz")])
    assert status == 0
    assert stdout == b""
    line = rb"cprof: [\d.]+ s  [\d,]+ samples  [\d,]+/s  lost 0"
    assert len(re.findall(line, seen)) >= 3, seen
    assert re.search(rb"\r\x1b\[Kcprof: wrote ", seen), "it is gone before the last word"
    quiet = cli(*words, tmp_path / "b.pb.gz")
    assert quiet.returncode == 0
    assert len(quiet.stderr.splitlines()) <= 2
    assert "\r" not in quiet.stderr
    assert "/s" not in quiet.stderr


def test_binary_data_is_not_written_to_a_terminal(cli, running, workload):
    target = running(workload("spin.c"))
    ours, theirs = pty.openpty()
    words = ("record", "-d", "0.3", "-o", "-", "-p", target.pid)
    done = cli(*words, capture_output=False, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert "terminal" in done.stderr


# report, top, flamegraph, export, dump, doctor


def test_report_of_a_file(cli, recording):
    done = cli("report", recording)
    assert done.returncode == 0
    assert done.stderr == ""
    assert re.search(r"^ *[\d.]+ m?s +\d+\.\d% .* hot +burner$", done.stdout, re.MULTILINE)
    assert "burner slices 1" in done.stdout
    few = cli("report", "-n", "1", recording)
    assert "warm" not in few.stdout
    assert "more function" in few.stdout
    tree = cli("report", "--tree", recording)
    assert re.search(r"burn .*burner", tree.stdout)


def test_report_for_programs(cli, recording):
    profile = cprof.load(recording)
    data = json.loads(cli("report", "--json", recording).stdout)
    assert data["totals"] == profile.totals
    assert data["rows"] == [dict(row) for row in profile.functions()]
    modules = [dict(row) for row in profile.quality_by_module()]
    assert data["quality"] == {**profile.quality, "modules": modules}
    assert [r["self"] for r in data["rows"]] == sorted(
        (r["self"] for r in data["rows"]), reverse=True
    )
    assert sum(r["self"] for r in data["rows"]) == data["totals"]["cpu"]
    assert {"samples", "lost", "throttled", "truncated", "complete"} <= set(data["quality"])
    assert data["labels"] == {"build": "a"}
    assert data == json.loads(cli("top", "--json", recording).stdout)


def test_report_of_a_part(cli, recording):
    only = json.loads(cli("report", "--json", "--under", "warm", recording).stdout)
    whole = cprof.load(recording)
    assert only["totals"] == whole.filter(under="warm").totals
    nothing = cli("report", "--under", "nobody_has_this_name", recording)
    assert nothing.returncode == 5
    assert "nothing passes --under nobody_has_this_name" in nothing.stderr


def test_top_of_a_running_process(cli, workload, running):
    target = running(workload("burner.c"), "forever")
    done = cli("top", "-F", "499", "-d", "1.2", "--every", "0.5", "-p", target.pid)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("hot") >= 2
    assert "\x1b" not in done.stdout, "no terminal, no control characters"
    lines = cli("top", "--json", "-F", "499", "-d", "1.2", "--every", "0.5", "-p", target.pid)
    windows = [json.loads(line) for line in lines.stdout.splitlines()]
    assert len(windows) >= 2
    assert all(w["rows"][0]["function"] in ("hot", "warm") for w in windows[:2])


def test_top_ends_at_ctrl_c(cli, workload, running):
    target = running(workload("spin.c"))
    process = cli.start("top", "--every", "0.3", "-F", "499", "-p", target.pid)
    assert process.stdout is not None
    wait_for(lambda: "spin" in process.stdout.readline())  # type: ignore[union-attr]
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in stderr


def test_flame_graph_of_a_file(cli, recording, tmp_path):
    output = tmp_path / "flame.svg"
    done = cli("flamegraph", recording, "-o", output)
    assert done.returncode == 0, done.stderr
    text = output.read_text()
    assert "<svg" in text
    for name in ("hot", "warm", "main"):
        assert name in text
    default = cli("flamegraph", recording, cwd=tmp_path)
    assert default.returncode == 0
    assert (tmp_path / "burner.svg").exists()


def test_export_to_folded_text(cli, recording, tmp_path):
    output = tmp_path / "out.folded"
    assert cli("export", recording, "-o", output).returncode == 0
    lines = [line.rpartition(" ") for line in output.read_text().splitlines()]
    assert sum(int(n) for _, _, n in lines) == cprof.load(recording).totals["cpu"]
    assert any(";burn;hot" in stack for stack, _, _ in lines)


def test_dump_of_a_process(cli, workload, running):
    target = running(workload("threads.c"), "forever")
    done = cli("dump", target.pid)
    assert done.returncode == 0, done.stderr
    assert len(re.findall("^thread ", done.stdout, re.MULTILINE)) == 5
    for name in ("worker-1", "worker-4", "worker", "main"):
        assert name in done.stdout
    data = json.loads(cli("dump", "--json", target.pid).stdout)
    assert {stack["name"] for stack in data} >= {"worker-1", "worker-2", "worker-3", "worker-4"}
    assert all(stack["frames"] for stack in data)
    gone = cli("dump", 4194303)
    assert gone.returncode == 4


def test_doctor(cli, workload, running):
    done = cli("doctor")
    assert done.returncode == 0, done
    assert "recording works" in done.stdout
    data = json.loads(cli("doctor", "--json").stdout)
    assert data["can_record"] is True
    names = " ".join(row["knob"] for row in data["knobs"])
    expected = "paranoid capabilities mlock NOFILE seccomp PMU kptr_restrict tracefs"
    for knob in expected.split():
        assert knob.lower() in names.lower(), f"{knob} is not among: {names}"
    for row in data["knobs"]:
        assert set(row) == {"knob", "value", "ok", "blocks", "remedy"}
        assert row["ok"] or (row["blocks"] and row["remedy"]), row
    target = running(workload("spin.c"))
    assert cli("doctor", target.pid).returncode == 0


def test_installed_command_is_there(recording):
    """What `pip install` puts beside the interpreter."""
    program = Path(sys.executable).with_name("cprof")
    found = program if program.exists() else shutil.which("cprof")
    if not found:
        unavailable("cprof is not installed here, only importable")
    done = subprocess.run([found, "report", recording], capture_output=True, text=True, check=True)
    assert "hot" in done.stdout


def test_import_brings_none_of_the_large_packages():
    """Neither the import nor a recording needs them; drawing does."""
    program = (
        "import sys, cprof, cprof.cli\n"
        "large = {'numpy', 'matplotlib', 'pandas', 'pyarrow', 'polars', 'IPython', 'argparse',"
        " 'asyncio', 'unittest', 'dataclasses', 'inspect'}\n"
        "print(sorted(large & set(sys.modules) - {'argparse'}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
