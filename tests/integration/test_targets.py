"""Processes that run already, in all the states and places they may be found in; and the
recorder while it records."""

import os
import shutil
import subprocess
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from answers import is_gone, is_whole, part, recorded, shares, stacks, totals, truth

import cprof

pytestmark = pytest.mark.perf


# Attaching


def test_attach_samples_a_process_that_runs(workload, running):
    program = workload("burner.c")
    target = running(program, "forever")
    profile = cprof.record(target.pid, duration=2, freq=499)
    assert profile.command == f"{program} forever"
    assert 0 < profile.samples <= 1.05 * 499 * profile.duration + 2
    found = totals(profile, ["hot", "warm"])
    assert sum(found.values()) >= 0.99 * profile.totals["cpu"]
    assert shares(found)["hot"] == pytest.approx(0.7, abs=0.08)
    assert part(stacks(profile), lambda s: "main" in s and "burn" in s) >= 0.99
    assert 1.9 <= profile.duration <= 5
    assert target.process.poll() is None, "the target goes on"


def test_attach_defaults_to_99_hz(workload, running):
    target = running(workload("burner.c"), "forever")
    profile = cprof.record(target.pid, duration=1)
    assert profile.quality["rate_asked"] == 99
    assert 0 < profile.samples <= 1.12 * 99 * profile.duration + 2  # periods within 10 %


def test_attach_finds_all_threads(workload, running):
    target = running(workload("threads.c"), "forever")
    profile = cprof.record(target.pid, duration=3, freq=499)
    names = Counter(t.name for t in profile.threads)
    assert {"worker-1", "worker-2", "worker-3", "worker-4"} <= set(names)
    assert set(names.values()) == {1}
    assert {t.pid for t in profile.threads} == {target.pid}
    by_thread = {n: profile.filter(thread=n).totals["cpu"] for n in names}
    assert by_thread["worker-4"] > by_thread["worker-1"]


def test_attach_follows_what_the_target_starts(workload, running, tmp_path):
    program = str(workload("spin.c"))
    go = tmp_path / "go"
    script = f"echo ready; while ! test -e {go}; do sleep 0.05; done; {program} --seconds 0.5"
    target = running("sh", "-c", f"{script}; sleep 60")
    with cprof.Recorder(target.pid, freq=499) as recorder:
        go.touch()
        end = time.monotonic() + 20
        while totals(recorder.snapshot(), ["spin"])["spin"] < 0.3e9:
            assert time.monotonic() < end, "the child was not seen"
            time.sleep(0.1)
    assert {t.comm for t in recorder.profile.filter(under="spin").threads} == {"spin"}


def test_several_processes_at_once(workload, running):
    burner = running(workload("burner.c"), "forever")
    spin = running(workload("spin.c"))
    profile = cprof.record([burner.pid, spin.pid], duration=2, freq=499)
    assert {t.pid for t in profile.threads} == {burner.pid, spin.pid}
    found = totals(profile, ["burn", "spin"])
    both = sum(found.values())
    assert both >= 0.99 * profile.totals["cpu"]
    assert all(value > 0.1 * both for value in found.values()), found
    assert profile.filter(comm=spin.pid).totals["cpu"] == found["spin"]


def test_recording_ends_with_its_target(workload, running):
    target = running(workload("spin.c"), "--seconds", "0.5")
    begin = time.monotonic()
    profile = cprof.record(target.pid, duration=60, freq=499)
    assert time.monotonic() - begin < 30
    assert totals(profile, ["spin"])["spin"] > 0.1e9


def test_idle_process_has_no_samples_and_the_error_says_why(workload, running):
    target = running(workload("spin.c"), "--idle")
    with pytest.raises(cprof.NoSamples) as caught:
        cprof.record(target.pid, duration=0.3)
    assert "CPU" in caught.value.reason


# Where its files are


def test_deleted_program(workload, running, tmp_path):
    program = tmp_path / "vanishing"
    shutil.copy(workload("burner.c"), program)
    target = running(program, "forever")
    program.unlink()
    profile = cprof.record(target.pid, duration=1, freq=499)
    found = totals(profile, ["hot", "warm"])
    assert sum(found.values()) >= 0.99 * profile.totals["cpu"]
    assert part(stacks(profile), lambda s: "main" in s) >= 0.99
    assert "vanishing" in profile.modules


def test_program_replaced_by_another_keeps_its_own_names(workload, running, tmp_path):
    program = tmp_path / "upgraded"
    shutil.copy(workload("burner.c"), program)
    target = running(program, "forever")
    program.unlink()
    shutil.copy(workload("spin.c"), program)
    profile = cprof.record(target.pid, duration=1, freq=499)
    assert sum(totals(profile, ["hot", "warm"]).values()) >= 0.99 * profile.totals["cpu"]


def test_child_that_is_deleted_while_it_runs(workload, tmp_path):
    program = tmp_path / "vanishing"
    shutil.copy(workload("spin.c"), program)
    with cprof.Recorder([str(program), "--seconds", "1"]) as recorder:
        program.unlink()
        recorder.wait()
    assert totals(recorder.profile, ["spin"])["spin"] >= 0.9 * recorder.profile.totals["cpu"]


def _unshare() -> list[str]:
    """The command that runs another one in a mount namespace of its own."""
    options = ["--mount"] if os.geteuid() == 0 else ["--map-root-user", "--mount"]
    command = ["unshare", *options, "--propagation", "private"]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no mount namespace here: {tried.stderr.strip()}")
    return command


@pytest.mark.parametrize("way", ["attach", "child"])
def test_program_that_exists_in_another_mount_namespace_only(workload, running, tmp_path, way):
    inside = tmp_path / "inside"
    inside.mkdir()
    seconds = "forever" if way == "attach" else "slices 1"
    script = (
        f"mount -t tmpfs none {inside} && cp {workload('burner.c')} {inside}/hidden-burner && "
        f"exec {inside}/hidden-burner {seconds}"
    )
    command = [*_unshare(), "sh", "-c", script]
    if way == "attach":
        profile = cprof.record(running(*command).pid, duration=1, freq=499)
    else:
        profile = cprof.record(command).filter(comm="hidden-burner")
    assert not (inside / "hidden-burner").exists()
    assert sum(totals(profile, ["hot", "warm"]).values()) >= 0.95 * profile.totals["cpu"]
    assert "hidden-burner" in profile.modules


def test_jit_code_is_named_by_its_map(workload, tmp_path):
    profile, output = recorded(tmp_path, [workload("jit.c"), 1])
    for thread in profile.threads:
        Path(f"/tmp/perf-{thread.pid}.map").unlink(missing_ok=True)
    true = shares(truth(output))
    found = shares(totals(profile, ["jit_hot(Square)", "jit_cold"], "self"))
    assert found["jit_hot(Square)"] == pytest.approx(true["hot"], abs=0.05)
    jitted = stacks(profile.filter(under="jit_*"))
    assert jitted.total() >= 0.9 * profile.samples
    assert part(jitted, lambda s: "run" in s and "main" in s) >= 0.99, "it has frame pointers"


def test_static_program(workload, tmp_path):
    program = workload.build("burner.c", "-static", name="burner-static")
    profile, output = recorded(tmp_path, [program, "slices", 1])
    found = totals(profile, ["hot", "warm"])
    assert shares(found)["hot"] == pytest.approx(shares(truth(output))["hot"], abs=0.05)
    assert part(stacks(profile.filter(module="burner-static")), lambda s: "main" in s) >= 0.99


def test_process_that_is_not_dumpable(workload, running):
    """Root may look at it all the same."""
    if os.geteuid() != 0:
        pytest.skip("needs root: test_users.py has the case of an ordinary user")
    target = running(workload("spin.c"), "--no-dump")
    profile = cprof.record(target.pid, duration=0.5, freq=499)
    assert totals(profile, ["spin"])["spin"] >= 0.99 * profile.totals["cpu"]


# Children


def test_child_that_ignores_sigterm_is_ended(workload):
    begin = time.monotonic()
    recorder = cprof.Recorder([str(workload("spin.c")), "--ignore-term"], duration=0.5)
    with recorder:
        recorder.wait()
        pid = recorder.child_pid
    assert 2 <= time.monotonic() - begin < 15
    assert recorder.returncode == -9
    assert pid is not None
    assert is_gone(pid)
    assert totals(recorder.profile, ["spin"])["spin"] > 0.1e9


def test_child_that_runs_on_is_ended_by_sigterm(workload):
    recorder = cprof.Recorder([str(workload("spin.c"))], duration=0.5)
    with recorder:
        assert not recorder.wait()
    assert recorder.returncode == -15


def test_no_start_up_is_lost(workload):
    """The dynamic loader runs before main, and is there: 10 kHz would not miss it in ten."""
    command = ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do /bin/ls / >/dev/null; done"]
    profile = cprof.record(command, freq=5000)
    assert any(module.startswith("ld-linux") for module in profile.modules)


def test_environment_and_folder_of_the_child(tmp_path):
    script = 'test "$PWD" = "$WANTED" && i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'
    environment = {"WANTED": str(tmp_path), "PATH": os.environ["PATH"]}
    recorder = cprof.Recorder(["sh", "-ec", script], env=environment, cwd=tmp_path)
    with recorder:
        recorder.wait()
    assert recorder.returncode == 0
    assert recorder.profile.samples


# The recorder


def test_snapshots_grow_and_do_not_disturb(workload, clean_fds):
    with cprof.Recorder([str(workload("burner.c")), "slices", "2"]) as recorder:
        time.sleep(0.5)
        first = recorder.snapshot()
        n, cpu = first.samples, first.totals["cpu"]
        while not recorder.wait(0.2):
            recorder.snapshot()
    whole = recorder.profile
    assert 0 < n < whole.samples
    assert (first.samples, first.totals["cpu"]) == (n, cpu), "a snapshot does not change"
    assert totals(first, ["hot", "warm"])["hot"] > 0
    assert is_whole(whole.quality["coverage"])
    assert recorder.snapshot().samples == whole.samples
    del recorder


def test_windows_leave_nothing_out_and_count_nothing_twice(workload):
    recorder = cprof.Recorder([str(workload("burner.c")), "slices", "2"])
    with recorder:
        windows = list(recorder.windows(every=0.4))
    assert len(windows) >= 5
    assert sum(w.samples for w in windows) == recorder.profile.samples
    assert sum(w.totals["cpu"] for w in windows) == recorder.profile.totals["cpu"]
    for before, after in pairwise(windows):
        assert before.span[1] <= after.span[0] + 1e-6
    total = sum(windows[1:], windows[0])
    assert totals(total, ["hot"]) == totals(recorder.profile, ["hot"])


def test_window_of_a_recording_holds_its_span_only(workload):
    profile = cprof.record([str(workload("burner.c")), "slices", "2"])
    middle = profile[0.5:1.5]
    times = memoryview(middle._core.column("time"))
    start = profile._run["start_mono"]
    assert 0 < middle.samples < profile.samples
    assert all(0.5 <= (t - start) / 1e9 < 1.5 for t in times)
    parts = profile.split(every=0.5)
    assert sum(p.samples for p in parts) == profile.samples


def test_recorder_stopped_from_another_thread(workload, running):
    target = running(workload("spin.c"))
    with cprof.Recorder(target.pid, freq=499) as recorder:
        threading.Timer(0.7, recorder.stop).start()
        begin = time.monotonic()
        recorder.wait(30)
    assert time.monotonic() - begin < 20
    assert recorder.profile.samples


def test_the_gil_is_free_while_recording(workload):
    """Another Python thread goes on at full speed."""
    ticks = 0
    with cprof.Recorder([str(workload("burner.c")), "slices", "1"]) as recorder:
        ended = False

        def count() -> None:
            nonlocal ticks
            while not ended:
                time.sleep(0.01)
                ticks += 1

        thread = threading.Thread(target=count)
        thread.start()
        recorder.wait()
        ended = True
        thread.join()
    assert ticks > 20


def test_recording_keeps_no_descriptor_open(workload, running, clean_fds):
    program = str(workload("spin.c"))
    cprof.record([program, "--seconds", "0.2"])
    target = running(program)
    cprof.record(target.pid, duration=0.3, freq=499)
    recorder = cprof.Recorder(target.pid)
    recorder.start()
    recorder.snapshot()
    del recorder
    target.kill()
    assert target.process.stdout is not None
    target.process.stdout.close()


def test_stacks_of_all_threads_now(workload, running):
    target = running(workload("threads.c"), "forever")
    stacks_now = cprof.dump(target.pid)
    names = {s.name for s in stacks_now}
    assert {"threads", "worker-1", "worker-2", "worker-3", "worker-4"} == names
    for stack in stacks_now:
        functions = [frame.function for frame in stack.frames]
        expected = "worker" if stack.name.startswith("worker") else "main"
        assert expected in functions, functions
        assert stack.end == "root"
    assert target.process.poll() is None, "the target goes on"


def test_output_of_a_command_goes_to_the_files_that_are_given(tmp_path, workload):
    (tmp_path / "in").write_text("echo out; echo err >&2\n")
    spin = workload("spin.c")
    with (tmp_path / "in").open() as asked, (tmp_path / "out").open("w") as said:
        script = f"sh; exec {spin} --seconds 0.2"
        target = cprof.Target(["sh", "-c", script], stdin=asked, stdout=said, stderr=said)
        profile = cprof.record(target)
    assert "spin" in {row.function for row in profile.functions()}
    assert (tmp_path / "out").read_text().splitlines()[:2] == ["out", "err"]
