"""Recorder: what is decided in Python, against a session that only pretends; then a few
recordings of real processes."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from pprofs import encode

import cprof
from cprof import _core, recorder
from cprof.errors import InvalidOption, RecordingInterrupted, WrongState

perf = pytest.mark.perf
EMPTY, SOME = encode([]), encode([(("main@prog", "f@prog"), [1, 10**6], {})])


class FakeSession:
    """The contract of _core.Session without any process: ends after `lifetime` waits."""

    made: list["FakeSession"]
    lifetime = 10**9
    data = SOME
    stubborn = ()  # signals that do not end the child
    interrupts = 0  # KeyboardInterrupts still to come out of wait()

    def __init__(self, **options):
        self.options = options
        self.events = []
        self.child_pid = 4242 if options["argv"] else 0
        self.child_status = None
        self.waits = 0
        self.is_running = False
        self.made.append(self)

    def start(self):
        self.is_running = True

    def wait(self, timeout):
        self.waits += 1
        time.sleep(min(timeout, 0.01))
        if type(self).interrupts:
            type(self).interrupts -= 1
            raise KeyboardInterrupt
        if self.waits >= self.lifetime:
            if self.child_pid:
                self.child_status = 3
            return True
        return False

    def stop(self):
        self.is_running = False

    def snapshot(self, since_last=False):
        self.events.append("cut" if since_last else "snapshot")
        return _core.decode_pprof(self.data, "fake")

    def finish(self):
        self.is_running = False
        self.events.append("finish")
        return _core.decode_pprof(self.data, "fake")

    @property
    def stats(self):
        return {"samples": 1, "lost": 0, "elapsed": 1.5, "is_running": self.is_running}

    def kill_child(self, number):
        self.events.append(number)
        if number not in self.stubborn:
            self.child_status = -number


@pytest.fixture
def fake(monkeypatch):
    class Session(FakeSession):
        made = []  # noqa: RUF012

    monkeypatch.setattr(recorder._core, "Session", Session)
    monkeypatch.setattr(recorder, "_GRACE", 0.05)
    return Session


# Targets and options


def test_a_string_is_no_command_and_the_error_says_what_to_do():
    for text in ("gcc -c a.c", "123", b"ls"):
        with pytest.raises(TypeError, match=r"shlex\.split"):
            cprof.Recorder(text)


@pytest.mark.parametrize(
    "target", [[], (), [0], -1, 2**40, [1, "x"], True, None, 1.5, [b"x", 1], {"x"}]
)
def test_what_is_no_target_is_refused(target):
    with pytest.raises((TypeError, ValueError)):
        cprof.Recorder(target)


def test_targets_are_commands_or_pids():
    assert cprof.Target(["a", "b"]).argv == ("a", "b")
    assert recorder.Target.of(7).pids == (7,)
    assert recorder.Target.of((7, 8, 7)).pids == (7, 8)
    assert recorder.Target.of(["a"], env={"A": "1"}).env == {"A": "1"}
    assert cprof.Target(["/usr/bin/gcc"]).name == "gcc"
    assert recorder.Target.of(os.getpid()).name
    with pytest.raises(ValueError, match="env, cwd and files"):
        cprof.Target(pids=[1], cwd="/")


@pytest.mark.parametrize(
    "options",
    [
        {"freq": 0}, {"freq": -1}, {"freq": float("nan")}, {"freq": 99, "period": 5},
        {"period": 0}, {"duration": 0}, {"duration": -1}, {"duration": float("nan")},
        {"unwind": "magic"}, {"stack_bytes": 65536}, {"stack_bytes": -8}, {"stack_bytes": 9},
        {"stack_bytes": -1}, {"stack_bytes": "many"}, {"stack": "some"}, {"verify": -0.1},
        {"verify": 1.1}, {"verify": float("nan")},
    ],
)  # fmt: skip
def test_options_that_cannot_work_are_refused_before_anything_starts(options):
    with pytest.raises(InvalidOption) as caught:
        cprof.Recorder(["true"], **options)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("labels", [{"": "x"}, {"a: b": "x"}, {"a\nb": "x"}])
def test_labels_that_could_not_be_read_back_are_refused(labels):
    with pytest.raises(ValueError, match="label"):
        cprof.Recorder(["true"], labels=labels)


def test_options_reach_the_session(fake):
    with cprof.Recorder(["prog"], kernel=False, period=7, jitter=False, env={"A": "1"}):
        pass
    options = fake.made[0].options
    assert options["argv"] == ("prog",)
    assert options["pids"] is None
    assert (options["kernel"], options["period"], options["freq"]) == (0, 7, 0)
    assert options["env"] == {"A": "1"}
    assert not options["jitter"]


@pytest.mark.parametrize(("target", "freq"), [(["prog"], 997), (1, 99)])
def test_the_frequency_depends_on_the_target(fake, target, freq):
    with cprof.Recorder(target):
        pass
    assert fake.made[0].options["freq"] == freq
    assert fake.made[0].options["kernel"] == -1


# States


def test_asking_too_early_or_too_late_says_what_to_do(fake):
    rec = cprof.Recorder(1)
    for ask in (rec.stop, rec.snapshot, rec.wait, lambda: rec.windows(1.0), lambda: rec.profile):
        with pytest.raises(WrongState, match="start"):
            ask()
    assert not rec.is_running
    rec.start()
    assert rec.is_running
    with pytest.raises(WrongState, match=r"stop\(\)"):
        rec.profile  # noqa: B018
    with pytest.raises(WrongState, match="before"):
        rec.start()
    profile = rec.stop()
    assert not rec.is_running
    assert rec.stop() is profile is rec.profile is rec.snapshot()
    with pytest.raises(WrongState, match="stopped"):
        rec.wait()
    with pytest.raises(WrongState, match="new one"):
        rec.start()


def test_an_exception_inside_with_stops_the_session(fake):
    with pytest.raises(KeyError), cprof.Recorder(["prog"]) as rec:
        raise KeyError
    assert fake.made[0].events == ["finish", signal.SIGTERM]
    assert rec.profile.samples == 1


def test_stats_stay_readable(fake):
    rec = cprof.Recorder(1)
    assert rec.stats == {}
    with rec:
        assert rec.stats["is_running"]
    assert rec.stats["samples"] == 1


def test_a_core_error_at_the_start_becomes_a_public_one(fake, monkeypatch):
    def refuse(self):
        raise _core.CoreError(3, "session: gone", "", "", "")

    monkeypatch.setattr(fake, "start", refuse)
    with pytest.raises(cprof.TargetGone), cprof.Recorder(1):
        pass


# Children


def test_a_child_that_still_runs_is_asked_then_killed(fake):
    fake.stubborn = (signal.SIGTERM,)
    rec = cprof.Recorder(["prog"])
    rec.start()
    rec.stop()
    assert fake.made[0].events == ["finish", signal.SIGTERM, signal.SIGKILL]
    assert rec.returncode == -signal.SIGKILL


def test_a_child_can_be_left_running(fake):
    rec = cprof.Recorder(["prog"])
    rec.start()
    rec.stop(end_child=False)
    assert rec.child_pid == 4242
    assert rec.returncode is None
    assert fake.made[0].events == ["finish"]


def test_a_child_that_has_ended_is_left_alone(fake):
    fake.lifetime = 1
    with cprof.Recorder(["prog"]) as rec:
        assert rec.wait()
    assert fake.made[0].events == ["finish"]
    assert rec.returncode == 3


def test_an_attached_process_is_never_signalled(fake):
    with cprof.Recorder(1) as rec:
        pass
    assert fake.made[0].events == ["finish"]
    assert rec.child_pid is None
    assert rec.returncode is None


# wait, record


def test_wait_ends_by_its_timeout_and_by_the_duration(fake):
    with cprof.Recorder(1, duration=0.1) as rec:
        start = time.monotonic()
        assert rec.wait(0.02) is False
        assert time.monotonic() - start < 0.1
        assert rec.wait() is False
        assert time.monotonic() - start >= 0.1


def test_record_returns_at_the_end_of_the_target(fake):
    fake.lifetime = 2
    assert cprof.record(["prog"]).samples == 1


def test_record_attaches_for_ten_seconds_unless_told(monkeypatch):
    seen = {}

    class Stop(Exception):
        pass

    def init(self, target, **options):
        seen[target.pids] = options["duration"]
        raise Stop

    monkeypatch.setattr(recorder.Recorder, "__init__", init)
    for target, duration in ((1, None), (2, 3.0)):
        with pytest.raises(Stop):
            cprof.record(target, duration=duration)
    with pytest.raises(Stop):
        cprof.record(["prog"])
    assert seen == {(1,): 10.0, (2,): 3.0, (): None}


def test_ctrl_c_keeps_what_there_is(fake):
    fake.interrupts = 1
    with pytest.warns(RecordingInterrupted, match=r"after 1\.5 s"):
        assert cprof.record(1).samples == 1


def test_a_second_ctrl_c_kills_the_child_and_raises(fake, monkeypatch):
    fake.interrupts = 1
    monkeypatch.setattr(recorder.time, "sleep", lambda s: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(fake, "wait", lambda self, t: (_ for _ in ()).throw(KeyboardInterrupt))
    fake.stubborn = (signal.SIGINT, signal.SIGTERM)
    monkeypatch.setattr(recorder, "_wait_for_end", _interrupted_once())
    with pytest.raises(KeyboardInterrupt):
        cprof.record(["prog"])
    assert fake.made[0].events[-1] == signal.SIGKILL


def _interrupted_once():
    left = [1]

    def wait_for_end(session):
        if left:
            left.pop()
            raise KeyboardInterrupt

    return wait_for_end


def test_labels_are_kept(fake):
    fake.lifetime = 1
    profile = cprof.record(["prog"], labels={"version": "v1", "note": "a: b"})
    assert profile.labels == {"version": "v1", "note": "a: b"}


def test_progress_is_told(fake):
    fake.lifetime = 3
    seen = []
    cprof.record(["prog"], progress=seen.append)
    assert [stats["samples"] for stats in seen] == [1, 1]


# No samples


def test_nothing_recorded_is_an_error_with_the_reason(fake):
    fake.data = EMPTY
    fake.lifetime = 1
    with pytest.raises(cprof.NoSamples, match="of CPU") as caught:
        cprof.record(["prog"])
    assert "status 3" in caught.value.reason
    with cprof.Recorder(1) as rec:
        assert rec.snapshot().samples == 0
    with pytest.raises(cprof.NoSamples):
        rec.profile  # noqa: B018


# Windows


def test_windows_are_cut_until_the_target_ends(fake):
    fake.lifetime = 8
    with cprof.Recorder(["prog"]) as rec:
        windows = list(rec.windows(every=0.02))
    events = fake.made[0].events
    assert windows
    assert events == ["cut"] * len(windows) + ["finish"]
    assert rec.profile.samples == 1


def test_closing_the_windows_stops_the_recording(fake):
    rec = cprof.Recorder(["prog"])
    rec.start()
    windows = rec.windows(every=0.02)
    next(windows)
    windows.close()
    assert not rec.is_running
    assert fake.made[0].events == ["cut", "finish", signal.SIGTERM]


def test_windows_end_with_the_duration(fake):
    with cprof.Recorder(1, duration=0.1) as rec:
        assert 1 <= len(list(rec.windows(every=0.03))) <= 5


def test_a_quiet_window_is_an_empty_profile(fake):
    fake.data = EMPTY
    with cprof.Recorder(1, duration=0.05) as rec:
        assert all(window.samples == 0 for window in rec.windows(every=0.02))


def test_windows_end_when_somebody_else_stops(fake):
    with cprof.Recorder(1) as rec:
        for count, _ in enumerate(rec.windows(every=0.01)):
            if count == 1:
                rec.stop()
        assert count == 1


def test_wait_ends_when_another_thread_stops(fake):
    with cprof.Recorder(1) as rec:
        threading.Timer(0.1, rec.stop).start()
        start = time.monotonic()
        assert rec.wait(60) is False
        assert time.monotonic() - start < 30


@pytest.mark.parametrize("every", [0, -1, float("nan"), float("inf")])
def test_windows_of_no_length_are_refused(fake, every):
    with cprof.Recorder(1) as rec, pytest.raises(ValueError, match="windows"):
        rec.windows(every)


# Real processes

BUSY = "import sys\nfor i in range(10**10): pass"


@pytest.fixture
def busy():
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    yield process
    process.kill()
    process.wait()


@perf
def test_a_real_command_is_recorded_to_its_end():
    argv = [sys.executable, "-c", "for i in range(3 * 10**6): pass\nraise SystemExit(4)"]
    rec = cprof.Recorder(argv, labels={"a": "b"})
    with rec:
        assert rec.wait(60)
    profile = rec.profile
    assert rec.returncode == 4
    assert profile.samples > 20
    assert profile.labels == {"a": "b"}
    assert profile.command.startswith(sys.executable)
    assert profile.event
    assert profile.quality["complete"] > 0.9
    assert 0.5 < profile.quality["coverage"] < 1.5
    assert profile.tree().total == profile.totals["cpu"]


@perf
def test_real_windows_are_disjoint_and_leave_nothing_out(busy):
    with cprof.Recorder(busy.pid, freq=997, duration=1.0) as rec:
        windows = list(rec.windows(every=0.3))
    assert sum(window.samples for window in windows) == rec.profile.samples > 0
    spans = [window.span for window in windows]
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    assert sum(windows).totals["samples"] == rec.profile.totals["samples"]


@perf
def test_a_real_profile_can_be_cut_by_time(busy):
    profile = cprof.record(busy.pid, duration=1.0, freq=997)
    parts = profile.split(every=0.25)
    assert len(parts) >= 4
    assert sum(part.samples for part in parts) == profile.samples
    assert profile[0:0.5].samples + profile[0.5:].samples == profile.samples
    half = profile[0.25:0.75]
    assert half.span == (0.25, 0.75)
    assert 0 < half.samples < profile.samples
    assert half[0.3:0.4].samples == profile[0.3:0.4].samples
    assert profile.quality["coverage"] is not None
    assert half.quality["coverage"] is None
    times = profile.columns["time"]
    assert list(times) == sorted(times)


@perf
def test_a_real_child_is_ended_at_the_end_of_the_duration():
    start = time.monotonic()
    rec = cprof.Recorder([sys.executable, "-c", BUSY], duration=0.3)
    with rec:
        rec.wait()
    assert rec.returncode == -signal.SIGTERM
    assert time.monotonic() - start < 10
    assert rec.profile.samples > 0


@perf
def test_a_sleeping_process_has_no_samples_and_the_error_says_why():
    process = subprocess.Popen(["sleep", "60"])
    try:
        with pytest.raises(cprof.NoSamples, match="of CPU in"):
            cprof.record(process.pid, duration=0.2)
    finally:
        process.kill()
        process.wait()


@perf
def test_a_snapshot_does_not_stop_the_recording(busy):
    with cprof.Recorder(busy.pid, freq=997) as rec:
        rec.wait(0.3)
        first = rec.snapshot()
        rec.wait(0.3)
        assert rec.is_running
    assert 0 < first.samples < rec.profile.samples


@perf
def test_ctrl_c_in_a_real_recording_keeps_what_there_is(busy, request):
    # a shell that starts tests in the background has SIGINT ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    timer = threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    with pytest.warns(RecordingInterrupted):
        profile = cprof.record(busy.pid, duration=30, freq=997)
    assert profile.samples > 0
    assert profile.duration < 25


@perf
def test_targets_that_cannot_be_recorded(tmp_path):
    data = tmp_path / "data"
    data.write_text("no program")
    for target, error in (
        ([str(tmp_path / "none")], cprof.CommandNotFound),
        (["no-such-command-anywhere"], cprof.CommandNotFound),
        ([str(data)], cprof.CommandNotExecutable),
        ([str(tmp_path)], cprof.CommandNotExecutable),
        (2**22 + 1, cprof.TargetGone),
    ):
        with pytest.raises(error):
            cprof.record(target, duration=0.1)
    with pytest.raises(InvalidOption, match="cwd"):
        cprof.record(["true"], cwd=tmp_path / "none")


def test_files_of_a_command_are_descriptors_or_what_has_one(tmp_path):
    with (tmp_path / "out").open("w") as out:
        target = cprof.Target(["true"], stdin=out.fileno(), stdout=out)
        assert target.stdio == (out.fileno(), out.fileno(), 2)
    assert cprof.Target(["true"]).stdio == (0, 1, 2)
    with pytest.raises(ValueError, match="files are for a command"):
        cprof.Target(pids=[1], stdout=1)
