"""An ordinary user, at perf_event_paranoid=2: what works, and what is refused with which
remedy. Root becomes `nobody` for that."""

import json
import os
import subprocess

import pytest
from permission import PARANOID

pytestmark = pytest.mark.perf

RECORD = """
import cprof, json, sys
target = json.loads(sys.argv[1])
options = json.loads(sys.argv[2])
try:
    p = cprof.record(target, **options)
except cprof.CprofError as e:
    keys = ("knob", "value", "remedy")
    said = {"error": type(e).__name__, "text": str(e)} | {k: getattr(e, k, None) for k in keys}
else:
    said = {
        "error": None,
        "functions": {r.function: r.total for r in p.functions()},
        "modules": p.modules,
        "cpu": p.totals["cpu"],
        "quality": dict(p.quality),
        "event": p.event,
    }
print("RESULT", json.dumps(said))
"""


@pytest.fixture
def ordinary(nobody):
    """`nobody`, where the kernel is as strict as it is by default."""
    level = int(PARANOID.read_text())
    if level != 2:
        pytest.skip(f"perf_event_paranoid is {level} here; these are the rules of 2")
    return nobody


def record(user, target, **options):
    """What cprof.record did as that user."""
    done = user("-c", RECORD, json.dumps(target), json.dumps(options))
    [line] = [x for x in done.stdout.splitlines() if x.startswith("RESULT ")] or [done.stderr]
    assert done.returncode == 0, done.stderr
    return json.loads(line.removeprefix("RESULT "))


def test_own_child_is_recorded_and_the_kernel_left_out(workload, ordinary):
    said = record(ordinary, [str(workload("burner.c")), "slices", "1"])
    assert said["error"] is None, said
    hot, warm = said["functions"]["hot"], said["functions"]["warm"]
    assert hot / (hot + warm) == pytest.approx(0.7, abs=0.05)
    assert hot + warm >= 0.97 * said["cpu"]
    quality = said["quality"]
    assert quality["kernel_excluded"] is True
    assert quality["kernel"] == 0
    assert quality["complete"] >= 0.98
    assert 0.5 <= quality["coverage"] <= 1.02, "time in the kernel has no samples"
    assert not [m for m in said["modules"] if "kernel" in m]
    assert said["event"]


def test_own_process_is_recorded(workload, ordinary, running):
    target = running(workload("burner.c"), "forever", **ordinary.identity)
    said = record(ordinary, target.pid, duration=1, freq=499)
    assert said["error"] is None, said
    assert said["functions"]["burn"] >= 0.97 * said["cpu"]


def test_asking_for_the_kernel_is_refused(workload, ordinary):
    said = record(ordinary, [str(workload("spin.c")), "--seconds", "0.2"], kernel=True)
    assert said["error"] == "PermissionDenied", said
    assert "perf_event_paranoid" in said["knob"]
    assert said["value"] == "2"
    assert "sysctl" in said["remedy"] or "CAP_PERFMON" in said["remedy"]
    assert "1" in said["remedy"]


def test_process_of_another_user_is_refused(workload, ordinary, running):
    target = running(workload("spin.c"))
    said = record(ordinary, target.pid, duration=0.5)
    assert said["error"] == "PermissionDenied", said
    assert said["knob"]
    assert said["remedy"]
    assert any(word in said["remedy"] for word in ("root", "sudo", "CAP_", "same user")), said
    assert target.process.poll() is None


def test_several_of_which_one_is_refused_name_that_one(workload, ordinary, running):
    own = running(workload("spin.c"), **ordinary.identity)
    other = running(workload("spin.c"))
    said = record(ordinary, [own.pid, other.pid], duration=0.5)
    assert said["error"] == "PermissionDenied", said
    assert str(other.pid) in said["text"]


def test_process_that_is_not_dumpable_is_refused(workload, ordinary, running):
    target = running(workload("spin.c"), "--no-dump", **ordinary.identity)
    said = record(ordinary, target.pid, duration=0.5)
    assert said["error"] == "PermissionDenied", said
    assert said["knob"]
    assert said["remedy"]


def test_child_that_becomes_not_dumpable_is_recorded(workload, ordinary):
    command = [str(workload("spin.c")), "--no-dump", "--seconds", "0.7"]
    said = record(ordinary, command)
    assert said["error"] is None, said
    assert said["functions"]["spin"] >= 0.9 * said["cpu"]


def test_program_of_another_user_with_setuid_is_not_lost_in_silence(workload, ordinary):
    """The kernel drops events at the exec of a setuid program; there is a result of what came
    before, or an error that says so, and the program itself runs."""
    import shutil

    program = workload.folder / "setuid-spin"
    if not program.exists():
        shutil.copy(workload("spin.c"), program)
        program.chmod(0o4755)
    if _is_nosuid(program):
        pytest.skip("the tests' folder is mounted without setuid")
    said = record(ordinary, [str(program), "--seconds", "0.5"])
    assert said["error"] in (None, "NoSamples", "PermissionDenied"), said
    if said["error"]:
        assert said["text"]
    else:
        assert said["functions"].get("spin", 0) >= 0.9 * said["cpu"]


def _is_nosuid(path):
    return bool(os.statvfs(path).f_flag & os.ST_NOSUID)


def test_rings_fit_the_locked_memory_of_an_ordinary_user(workload, ordinary):
    """Unprivileged users may lock little memory: rings shrink until they fit."""
    program = (
        "import resource, runpy, sys\n"
        "resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))\n" + RECORD
    )
    target = json.dumps([str(workload("burner.c")), "slices", "0.5"])
    done = ordinary("-c", program, target, json.dumps({"freq": 99}))
    said = json.loads(done.stdout.partition("RESULT ")[2])
    assert said["error"] is None, said
    assert said["quality"]["samples"] + said["quality"]["lost"] >= 20


def test_doctor_tells_an_ordinary_user_what_is_in_the_way(ordinary, workload, running):
    done = ordinary("-m", "cprof", "doctor", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["can_record"] is True
    knobs = {row["knob"]: row for row in said["knobs"]}
    paranoid = next(row for name, row in knobs.items() if "perf_event_paranoid" in name)
    assert paranoid["value"] == "2"
    assert paranoid["ok"] is False
    assert "kernel" in paranoid["blocks"]
    assert paranoid["remedy"]
    target = running(workload("spin.c"))
    done = ordinary("-m", "cprof", "doctor", target.pid, "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["can_record"] is False


def test_command_line_says_what_refused_in_one_line(ordinary, workload, running, tmp_path):
    target = running(workload("spin.c"))
    output = ordinary.folder / "refused.pb.gz"
    done = ordinary("-m", "cprof", "record", "-d", "1", "-o", output, "-p", target.pid)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("cprof: ")
    assert not output.exists()
    assert done.stdout == ""


def test_command_line_records_and_notes_the_missing_kernel(ordinary, workload):
    output = ordinary.folder / "own.pb.gz"
    command = ["-m", "cprof", "record", "-o", output, "--", workload("burner.c"), "slices", "0.5"]
    done = ordinary(*command)
    assert done.returncode == 0, done.stderr
    assert "kernel code was not recorded" in done.stderr
    report = ordinary("-m", "cprof", "report", output)
    assert "hot" in report.stdout


def test_stacks_of_another_users_process_are_refused(ordinary, workload, running):
    target = running(workload("spin.c"))
    done = ordinary("-m", "cprof", "dump", target.pid)
    assert done.returncode == 3, done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_stacks_of_an_own_process(ordinary, workload, running):
    target = running(workload("spin.c"), **ordinary.identity)
    done = ordinary("-m", "cprof", "dump", target.pid)
    if done.returncode == 3:  # yama: only of one's own children
        assert "ptrace" in done.stderr
        return
    assert "main" in done.stdout


def test_nothing_is_left_behind_in_the_process_table(ordinary, workload):
    """A refused command was never started, or was ended."""
    record(ordinary, [str(workload("spin.c"))], kernel=True)
    listed = subprocess.run(["ps", "-u", "nobody", "-o", "args="], capture_output=True, text=True)
    assert str(workload("spin.c")) not in listed.stdout
