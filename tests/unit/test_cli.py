"""The command line: what is printed where, and the exit codes that its help documents."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pprofs import encode, profile

import cprof
from cprof import cli, cli_read, errors

perf = pytest.mark.perf
CPROF = [sys.executable, "-m", "cprof"]
BUSY = "for i in range(10**10): pass"
STUBBORN = f"import signal\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\n{BUSY}"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "cpu.pb.gz"
    rows = [
        ("main@prog;hot(int)@prog", 70, {"thread": "worker-1", "comm": "prog", "tid": 11}),
        ("main@prog;cold@lib.so", 30, {"thread": "main", "comm": "prog", "tid": 12}),
    ]
    profile(rows).write(path)
    return str(path)


@pytest.fixture
def busy():
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    yield process
    process.kill()
    process.wait()


def run(*args, **options):
    return subprocess.run(
        [*CPROF, *map(str, args)], capture_output=True, text=True, timeout=120, check=False,
        **options,
    )  # fmt: skip


# Files


@pytest.mark.parametrize("verb", ["report", "top"])
def test_json_of_a_file_has_the_documented_keys(verb, file, capsys):
    assert cli.main([verb, "--json", file]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["totals"] == {"samples": 100, "cpu": 100_000_000}
    assert data["quality"]["samples"] == 100
    assert data["rows"] == [
        {"function": "hot(int)", "module": "prog", "self": 70_000_000, "total": 70_000_000},
        {"function": "cold", "module": "lib.so", "self": 30_000_000, "total": 30_000_000},
        {"function": "main", "module": "prog", "self": 0, "total": 100_000_000},
    ]
    assert (data["sample_type"], data["unit"]) == ("cpu", "nanoseconds")


def test_the_report_is_a_table(file, capsys):
    assert cli.main(["report", file]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("100 samples")
    assert lines[2].split() == [
        "70.000",
        "ms",
        "70.0%",
        "70.000",
        "ms",
        "70.0%",
        "hot(int)",
        "prog",
    ]


def test_the_report_tells_of_quality_by_module(file, capsys, tmp_path):
    assert cli.main(["report", "--quality", file]) == 0
    table = capsys.readouterr().out.split("\n\n")[1]
    assert [line.split() for line in table.splitlines()] == [
        ["samples", "complete", "broke", "module"],
        ["70", "100.0%", "prog"],
        ["30", "100.0%", "lib.so"],
    ]
    assert cli.main(["report", file]) == 0
    assert "break off" not in capsys.readouterr().out
    broken = tmp_path / "broken.pb.gz"
    profile({"[no unwind info]@;f@lib.so": 3, "main@prog": 97}).write(broken)
    assert cli.main(["report", str(broken)]) == 0
    table = capsys.readouterr().out.split("where stacks break off:\n")[1]
    assert [line.split() for line in table.splitlines()][1:] == [
        ["3", "0.0%", "3", "no_info", "lib.so"]
    ]
    assert cli.main(["report", "--json", str(broken)]) == 0
    modules = json.loads(capsys.readouterr().out)["quality"]["modules"]
    assert [(m["module"], m["broke"]) for m in modules] == [("prog", 0), ("lib.so", 3)]


def test_rows_and_sample_type_can_be_chosen(file, capsys):
    assert cli.main(["report", "--json", "-n", "1", "--sample-type", "samples", file]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [row["self"] for row in data["rows"]] == [70]


@pytest.mark.parametrize(
    ("options", "samples"),
    [
        (["--thread", "worker*"], 70),
        (["--thread", "11"], 70),
        (["--under", "hot"], 70),
        (["--module", "lib*"], 30),
        (["--module", "lib*", "--module", "prog"], 100),
        (["--comm", "prog", "--under", "cold"], 30),
    ],
)
def test_filters(file, capsys, options, samples):
    assert cli.main(["report", "--json", *options, file]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["samples"] == samples


def test_a_filter_that_leaves_nothing_is_no_silent_success(file, capsys):
    assert cli.main(["report", "--under", "nothing", file]) == cli.NO_SAMPLES
    assert capsys.readouterr().err.startswith("cprof: no samples")


def test_the_tree(file, capsys):
    assert cli.main(["report", "--tree", file]) == 0
    assert "|- hot(int)  (prog)" in capsys.readouterr().out


def test_export_and_flamegraph_write_files(file, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["flamegraph", file]) == 0
    assert (tmp_path / "cpu.svg").read_bytes().startswith(b"<?xml")
    assert cli.main(["flamegraph", "--thread", "main", file, "-o", "a.png"]) == 0
    assert cli.main(["export", file, "-o", "a.folded", "--sample-type", "samples"]) == 0
    assert (tmp_path / "a.folded").read_text() == "main;cold 30\nmain;hot(int) 70\n"
    output = capsys.readouterr()
    assert output.out == ""
    assert "cprof: wrote a.folded" in output.err


def test_bad_files_have_their_own_exit_code(tmp_path, capsys):
    (tmp_path / "text").write_text("hello")
    (tmp_path / "cut").write_bytes(encode([(("f@p",), [1, 2], {})])[:-20])
    for name in ("none", "text", "cut", ""):
        assert cli.main(["report", str(tmp_path / name)]) == cli.BAD_PROFILE
        err = capsys.readouterr().err
        assert err.startswith("cprof: ")
        assert err.count("\n") == 1


def test_names_in_a_file_cannot_drive_the_terminal(tmp_path, capsys):
    path = tmp_path / "evil.pb.gz"
    profile({"a\x1b]0;pwned\x07@m\x1b[2J": 5}).write(path)
    for options in ([], ["--tree"], ["--json"]):
        assert cli.main(["report", *options, str(path)]) == 0
        output = capsys.readouterr()
        assert "\x1b" not in output.out + output.err


# pprof's words


@pytest.mark.parametrize(
    "words",
    [
        ["-cum", "-focus=main", "-nodecount=1"],
        ["--cum", "--focus", "main", "--nodecount", "1"],
        ["-cum=true", "-focus", "main", "-n", "1"],
        ["-cum=false", "-sort=cum", "-focus=main", "-nodecount", "1"],
    ],
)
def test_options_as_pprof_spells_them(file, capsys, words):
    assert cli.main(["top", "--json", *words, file]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["function"], row["total"]) for row in rows] == [("main", 100_000_000)]


def test_a_value_may_look_like_an_option(file, capsys):
    assert cli.main(["top", "-focus", "-cum", file]) == cli.NO_SAMPLES
    assert "nothing passes -focus=-cum" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["top", "report", "tree", "traces", "tags"])
def test_several_files_are_added_up_and_a_base_taken_away(verb, file, capsys):
    def total(*words):
        assert cli.main([verb, "--json", "-sample_index=samples", *words]) == 0
        return json.loads(capsys.readouterr().out)

    assert total(file, file)["total"] == 200
    assert total(file, file, f"-diff_base={file}")["total"] == 100
    assert total(file, "-unit=count", "-divide_by=2")["total"] == 50


def test_shares_are_of_all_or_of_what_is_left(file, capsys):
    for words, whole in (([], 100), (["-relative_percentages"], 70)):
        assert cli.main(["top", "--json", "-focus=hot", "-sample_index=0", *words, file]) == 0
        assert json.loads(capsys.readouterr().out)["total"] == whole


def test_tree_and_peek_have_callers_and_callees(file, capsys):
    for words in (["tree", file], ["peek", file, "hot"], ["peek", "hot", file]):
        assert cli.main([*words, "--json", "-sample_index=samples"]) == 0
        rows = json.loads(capsys.readouterr().out)["rows"]
        [hot] = [row for row in rows if row["function"] == "hot(int)"]
        assert (hot["self"], hot["total"], hot["callees"]) == (70, 70, [])
        [caller] = hot["callers"]
        assert (caller["function"], caller["module"], caller["value"]) == ("main", "prog", 70)


def test_traces_and_tags(file, capsys):
    assert cli.main(["traces", "--json", "-n", "1", file]) == 0
    [row] = json.loads(capsys.readouterr().out)["rows"]
    assert [frame["function"] for frame in row["stack"]] == ["hot(int)", "main"]
    assert row["sums"] == {"samples": 70, "cpu": 70_000_000}
    assert cli.main(["tags", "-tagshow=^th", file]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["70.000", "ms", "70.0%", "worker-1"]


def test_the_page_is_written(file, tmp_path, capsys):
    assert cli.main(["ui", "-o", str(tmp_path / "x.html"), file]) == 0
    assert (tmp_path / "x.html").read_text().startswith("<!")
    assert "wrote" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["top", "-tagshow=x", "FILE"], cli.USAGE, "top takes no -tagshow=x"),
        (["top", "-sample_index=heap", "FILE"], cli.USAGE, "only samples, cpu"),
        (["top", "-sample_index=2", "FILE"], cli.USAGE, "samples (0), cpu (1)"),
        (["top", "-hide=(", "FILE"], cli.USAGE, "hide: '(' is no regular expression"),
        (["top", "-tagfocus=(", "FILE"], cli.USAGE, "tagfocus: '('"),
        (["top", "-lines", "-files", "FILE"], cli.USAGE, "one granularity"),
        (["top", "-cum", "-flat", "FILE"], cli.USAGE, "not both"),
        (["top", "-normalize", "FILE"], cli.USAGE, "needs a base"),
        (["top", "-base=FILE", "-diff_base=FILE", "FILE"], cli.USAGE, "not both"),
        (["top", "-base=FILE", "-mean", "FILE"], cli.USAGE, "means"),
        (["top", "-unit=MB", "FILE"], cli.USAGE, "the values are nanoseconds"),
        (["top", "-p", "1", "-focus=x"], cli.USAGE, "-focus is for files"),
        (["tree", "-call_tree", "--json", "FILE"], cli.USAGE, "text only"),
        (["peek", "FILE"], cli.USAGE, "REGEX"),
        (["peek", "FILE", "nobody"], cli.USAGE, "'nobody'"),
        (["top", "-focus=nobody", "FILE"], cli.NO_SAMPLES, "-focus=nobody"),
        (["tags", "-tagignore=comm", "FILE"], cli.NO_SAMPLES, "-tagignore=comm"),
        (["top", "FILE", "missing.pb.gz"], cli.BAD_PROFILE, "missing.pb.gz: No such file"),
        (["top", "-base=missing.pb.gz", "FILE"], cli.BAD_PROFILE, "missing.pb.gz"),
        (["top", "--window=1:2", "FILE"], cli.FAILURE, "no times"),
        (["-top", "FILE"], cli.USAGE, "cprof top FILE"),
        (["-http=:8080", "FILE"], cli.USAGE, "cprof ui FILE"),
        (["top", "-symbolize=none", "FILE"], cli.USAGE, "-symbolize=none: names are found while"),
        (["top", "-svg", "FILE"], cli.USAGE, "-o OUT.dot.svg"),
        (["tree", "-nodecont=5", "FILE"], cli.USAGE, "did you mean -nodecount?"),
        (["traces", "-normalise", "FILE"], cli.USAGE, "did you mean -normalize?"),
        (["diff", "-normalize", "FILE", "FILE"], cli.USAGE, "shares"),
        (["top", "-xyzzy", "FILE"], cli.USAGE, "see cprof top --help"),
        (["top", "-tagroot=nobody", "FILE"], cli.USAGE, "-tagroot=nobody: no sample has such a"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(file, capsys, words, code, message):
    assert cli.main([word.replace("FILE", file) for word in words]) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["top", "-unit=parsec"],
        ["top", "-divide_by=0"],
        ["tree", "-nodefraction=2"],
        ["top", "--window=x"],
        ["top", "-granularity=rooms"],
        ["tree", "-trim=perhaps"],
    ],
)
def test_values_that_options_do_not_take(file, capsys, words):
    with pytest.raises(SystemExit) as end:
        cli.main([*words, file])
    assert end.value.code == cli.USAGE
    assert words[1].partition("=")[0] in capsys.readouterr().err


# Usage and errors


@pytest.mark.parametrize(
    "args",
    [
        [], ["nonsense"], ["record"], ["record", "-p", "x", "true"], ["record", "-p", "0"],
        ["record", "-p", "1", "true"], ["record", "-F", "0", "true"], ["top"],
        ["record", "--stack-bytes", "9", "true"], ["record", "-F", "9", "-c", "9", "true"],
        ["record", "-o", "x.unknown", "true"], ["record", "-o", "-", "true"],
        ["record", "--label", "x", "true"], ["dump"], ["dump", "1,2"], ["report"],
        ["report", "-n", "-1", "x"], ["export", "x"],
    ],
)  # fmt: skip
def test_wrong_usage_is_two(args, capsys):
    try:
        status = cli.main(args)
    except SystemExit as end:
        status = end.code
    assert status == cli.USAGE
    assert capsys.readouterr().err


def test_every_documented_code_is_in_the_help(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    for code in (0, 1, 2, 3, 4, 5, 6, 7, 8, 126, 127, 130):
        assert f"{code} " in text
    assert "CPROF_DEBUG" in text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.PermissionDenied("k", "v", "r"), 3),
        (errors.TargetGone("x"), 4),
        (errors.NoSamples("x"), 5),
        (errors.UnsupportedEvent("x"), 6),
        (errors.CorruptProfile("x"), 7),
        (errors.NoSymbols("x"), 8),
        (errors.CommandNotExecutable("x"), 126),
        (errors.CommandNotFound("x"), 127),
        (errors.InvalidOption("x"), 2),
        (errors.MissingPackage("x"), 1),
        (OSError(28, "No space left on device"), 1),
        (RuntimeError("x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_exit_code(error, code):
    assert cli.exit_code(error) == code


def test_an_error_is_one_line_and_never_a_traceback(monkeypatch, file, capsys):
    def fail(args):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(cli_read, "report", fail)
    monkeypatch.delenv("CPROF_DEBUG", raising=False)
    assert cli.main(["report", file]) == 1
    assert capsys.readouterr().err == "cprof: two lines\n"
    monkeypatch.setenv("CPROF_DEBUG", "1")
    with pytest.raises(RuntimeError):
        cli.main(["report", file])


def test_a_reader_that_goes_away_is_no_error(file):
    command = f"{sys.executable} -m cprof report --json {file} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_an_error(file):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*CPROF, "report", file], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "cprof: No space left on device\n"


def test_a_plain_ascii_stdout_takes_any_name(tmp_path):
    path = tmp_path / "a.pb.gz"
    profile({"größe日本@p": 5}).write(path)
    done = run("report", path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0


def test_doctor_is_text_or_json(capsys):
    status = cli.main(["doctor"])
    assert "perf_event_paranoid" in capsys.readouterr().out
    assert cli.main(["doctor", "--json"]) == status
    data = json.loads(capsys.readouterr().out)
    assert data["can_record"] == (status == 0)
    assert {"knob", "value", "ok", "blocks", "remedy"} == set(data["knobs"][0])
    assert cli.main(["doctor", str(2**22 + 1)]) == cli.PERMISSION_DENIED


def test_gone_targets(capsys):
    for args in (["dump"], ["record", "-d", "1", "-p"], ["top", "-p"]):
        assert cli.main([*args, str(2**22 + 1)]) == cli.TARGET_GONE
        assert capsys.readouterr().err.count("\n") == 1


def test_importing_cprof_is_cheap():
    """The time is the machine's affair; what is not imported is ours."""
    heavy = (
        "argparse dataclasses typing inspect json datetime re numpy matplotlib pandas subprocess"
    )
    code = (
        "import sys; before = set(sys.modules); import cprof; "
        f"print(*sorted(set({heavy!r}.split()) & (set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code] if "site-packages" in cprof.__file__ else
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == []


# Recording


def python(code):
    return ["--", sys.executable, "-c", code]


@perf
def test_record_passes_on_output_and_exit_status(tmp_path):
    code = (
        "import sys\nfor i in range(2 * 10**6): pass\nprint('out'); print('err', file=sys.stderr)"
    )
    out = tmp_path / "x.pb.gz"
    done = run("record", "-o", out, "--label", "a=b", *python(f"{code}\nsys.exit(7)"))
    assert done.returncode == 7
    assert done.stdout == "out\n"
    err = done.stderr.splitlines()
    assert err[0] == "err"
    assert err[1].startswith(f"cprof: wrote {out}: ")
    assert err[1].endswith(f"next: cprof report {out}")
    assert cprof.load(out).labels == {"a": "b"}


@perf
def test_a_childs_signal_is_passed_on(tmp_path):
    code = "import os\nfor i in range(2 * 10**6): pass\nos.kill(os.getpid(), 15)"
    assert run("record", "-o", tmp_path / "x.pb.gz", *python(code)).returncode == 128 + 15


@perf
def test_options_after_the_command_are_the_commands(tmp_path):
    done = run(
        "record", "-o", tmp_path / "x.pb.gz", "sh", "-c", "echo $1 $2; exit 3", "sh", "-o", "--"
    )
    assert done.stdout == "-o --\n"
    assert done.returncode == 3


@perf
def test_no_samples_leave_no_file(tmp_path):
    done = run("record", "-F", "1", "-o", tmp_path / "x.pb.gz", "--", "true")
    assert done.returncode == cli.NO_SAMPLES
    assert "of CPU in" in done.stderr
    assert list(tmp_path.iterdir()) == []


@perf
@pytest.mark.parametrize(
    ("command", "code"), [("/no/such/thing", cli.NOT_FOUND), ("/etc", cli.NOT_EXECUTABLE)]
)
def test_commands_that_cannot_run(tmp_path, command, code):
    done = run("record", "-o", tmp_path / "x.pb.gz", "--", command)
    assert done.returncode == code
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@perf
def test_where_nothing_can_be_written_nothing_is_started(tmp_path):
    marker = tmp_path / "started"
    done = run("record", "-o", tmp_path / "none" / "x.pb.gz", "--", "touch", marker)
    assert done.returncode == 1
    assert "No such file or directory" in done.stderr
    assert not marker.exists()


@perf
def test_the_generated_name_is_new(tmp_path, busy):
    for _ in range(2):
        assert run("record", "-d", "0.2", "-F", "997", "-p", busy.pid, cwd=tmp_path).returncode == 0
    names = [path.name for path in tmp_path.iterdir()]
    assert len(names) == 2
    assert all(name.startswith("cprof-") and name.endswith(".pb.gz") for name in names)


@perf
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_was_recorded(tmp_path, busy, number):
    out = tmp_path / "x.pb.gz"
    process = start("record", "-F", "997", "-p", busy.pid, "-o", out)
    wait_for_events(process)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "keeping what was recorded" in err
    assert cprof.load(out).samples > 0
    assert busy.poll() is None


@perf
def test_a_child_that_ignores_ctrl_c_is_ended(tmp_path):
    out = tmp_path / "x.pb.gz"
    process = start("record", "-o", out, *python(STUBBORN))
    wait_for_events(process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGKILL
    assert "wrote" in err
    assert cprof.load(out).samples > 0


@perf
def test_a_second_ctrl_c_aborts(tmp_path):
    process = start("record", "-o", tmp_path / "x.pb.gz", *python(STUBBORN))
    wait_for_events(process)
    process.send_signal(signal.SIGINT)
    while "wrote" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == cli.INTERRUPTED


@perf
def test_the_duration_ends_a_command(tmp_path):
    out = tmp_path / "x.folded"
    done = run("record", "-d", "0.3", "-o", out, *python(BUSY))
    assert done.returncode == 0
    assert out.stat().st_size > 0
    assert "next:" not in done.stderr


@perf
def test_stdout_can_take_the_profile(busy, tmp_path):
    done = subprocess.run(
        [*CPROF, "record", "-d", "0.3", "-F", "997", "-p", str(busy.pid), "-o", "-"],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    (tmp_path / "x.pb.gz").write_bytes(done.stdout)
    assert cprof.load(tmp_path / "x.pb.gz").samples > 0


@perf
def test_top_is_live_and_prints_tables_without_a_terminal(busy):
    done = run("top", "-p", busy.pid, "-d", "1", "--every", "0.4", "-F", "997")
    assert done.returncode == 0
    assert 1 <= done.stdout.count("samples of") <= 3
    assert "\x1b" not in done.stdout
    done = run("top", "-p", busy.pid, "-d", "0.5", "--every", "0.2", "--json")
    windows = [json.loads(line) for line in done.stdout.splitlines()]
    assert 1 <= len(windows) <= 4
    assert all("rows" in window for window in windows)


@perf
def test_ctrl_c_ends_top_well(busy):
    process = start("top", "-p", busy.pid, "--every", "0.2")
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0


@perf
def test_dump_shows_every_thread(busy):
    done = run("dump", busy.pid)
    assert done.returncode == 0
    assert f"thread {busy.pid} " in done.stdout
    assert "  #0  " in done.stdout
    (thread,) = json.loads(run("dump", "--json", busy.pid).stdout)
    assert thread["tid"] == busy.pid
    assert {"function", "module", "address"} == set(thread["frames"][0])


@perf
def test_progress_on_a_terminal_only(busy, tmp_path):
    command = [
        *CPROF,
        "record",
        "-F",
        "997",
        "-d",
        "1",
        "-p",
        str(busy.pid),
        "-o",
        str(tmp_path / "x.pb.gz"),
    ]
    ours, theirs = pty.openpty()
    subprocess.run(command, stderr=theirs, check=True, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "samples" in shown.split("wrote")[0]
    assert "\r\x1b[K" in shown
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "\r" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


@perf
def test_a_terminal_gets_no_binary(busy):
    ours, theirs = pty.openpty()
    command = [*CPROF, "record", "-d", "0.1", "-p", str(busy.pid), "-o", "-"]
    done = subprocess.run(
        command, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False, timeout=60
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == cli.USAGE
    assert "terminal" in done.stderr


def start(*args):
    return subprocess.Popen(
        [*CPROF, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_events(process):
    """Until the process has perf events open, and then some samples."""
    for _ in range(3000):
        try:
            links = [os.readlink(link) for link in Path(f"/proc/{process.pid}/fd").iterdir()]
        except OSError:
            links = []
        if any("perf_event" in link for link in links):
            time.sleep(0.5)
            return
        time.sleep(0.01)
    raise AssertionError("no perf event was opened")


@perf
def test_ctrl_c_on_a_terminal_reaches_the_command_once(tmp_path):
    out = tmp_path / "x.pb.gz"
    code = (
        "import signal, sys, time\n"
        "seen = []\n"
        "signal.signal(2, lambda *_: seen.append(1))\n"
        "print('ready', flush=True)\n"
        "while not seen: pass\n"
        "end = time.monotonic() + 0.5\n"
        "while time.monotonic() < end: pass\n"
        "sys.exit(40 + len(seen))"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*CPROF, "record", "-o", str(out), *python(code)])
    shown = b""
    while b"ready" not in shown:
        shown += os.read(terminal, 4096)
    time.sleep(0.3)
    os.write(terminal, b"\x03")
    shown += read_all(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 41
    assert b"stopped by Ctrl-C" in shown
    assert cprof.load(out).samples > 0


def read_all(fd):
    data = b""
    while True:
        try:
            part = os.read(fd, 4096)
        except OSError:  # the other side has gone
            part = b""
        if not part:
            os.close(fd)
            return data
        data += part
