"""Recording: Target, Recorder and record(), from options to the core's session and back.

The core samples, unwinds and names on a thread of its own. Here it is decided how long it
goes on, who ends a child, and what an empty result means.
"""

import os
import time
from _thread import allocate_lock  # all that is needed of threading, and imported already
from collections.abc import Callable, Generator, Mapping, Sequence

from cprof import _core, events
from cprof.errors import (
    InvalidOption,
    NoSamples,
    RecordingInterrupted,
    WrongState,
    translated,
)
from cprof.profile import Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Protocol, Self, TypeAlias

    class HasFileno(Protocol):
        def fileno(self) -> int: ...

    from cprof.recording import Recording
    from cprof.store_write import Log

    TargetLike: TypeAlias = "int | Sequence[str] | Sequence[int] | Target"

_GRACE = 2.0  # seconds that a child gets after each request to end
_POLL = 0.01
_CTRL_C = 2  # SIGINT
_EXPECTED = 5  # samples: where so many were due, none at all is not chance
_LOOK_EVERY = 0.25  # seconds: whether somebody called stop(), and for progress
_FOREVER = 3600.0


class Target:
    """What to record: a command that will be started, or processes that run.

    Exactly one of `argv` and `pids` is not empty. All else is for a command, and None is
    the caller's own: `env`, `cwd`, and the files `stdin`, `stdout` and `stderr`, each a
    descriptor or what has one (`fileno()`), open until the recording has started.
    """

    __slots__ = ("argv", "cwd", "env", "pids", "stdio")

    def __init__(
        self,
        argv: Sequence[str] = (),
        *,
        pids: Sequence[int] = (),
        env: Mapping[str, str] | None = None,
        cwd: "str | os.PathLike[str] | None" = None,
        stdin: "int | HasFileno | None" = None,
        stdout: "int | HasFileno | None" = None,
        stderr: "int | HasFileno | None" = None,
    ) -> None:
        if isinstance(argv, (str, bytes)):
            raise _one_string(argv)
        if bool(argv) == bool(pids):
            raise ValueError("nothing to record: give a command or process ids, one of the two")
        own = (env, cwd, stdin, stdout, stderr)
        if pids and any(value is not None for value in own):
            raise ValueError("env, cwd and files are for a command; a process has its own")
        self.argv = tuple(_word(word) for word in argv)
        self.pids = tuple(dict.fromkeys(_pid(pid) for pid in pids))
        self.env = None if env is None else dict(env)
        self.cwd = None if cwd is None else os.fsdecode(cwd)
        self.stdio = (_descriptor(stdin, 0), _descriptor(stdout, 1), _descriptor(stderr, 2))

    @classmethod
    def of(
        cls,
        target: "TargetLike",
        env: Mapping[str, str] | None = None,
        cwd: "str | os.PathLike[str] | None" = None,
    ) -> "Target":
        """`target` as a Target: a pid, a sequence of pids, or the words of a command."""
        if isinstance(target, Target):
            if env is not None or cwd is not None:
                raise ValueError("this target has its own env and cwd")
            return target
        if isinstance(target, int) and not isinstance(target, bool):
            return cls(pids=[target], env=env, cwd=cwd)
        if isinstance(target, Sequence) and not isinstance(target, (str, bytes)):
            pids = [word for word in target if isinstance(word, int)]
            if pids and len(pids) == len(target):
                return cls(pids=pids, env=env, cwd=cwd)
            return cls([_word(word) for word in target], env=env, cwd=cwd)
        if isinstance(target, (str, bytes)):
            raise _one_string(target)
        raise TypeError(f"cannot record {target!r}: need a pid, pids, or a command's words")

    @property
    def name(self) -> str:
        """Short, for file names: the program, or the process's own name."""
        if self.argv:
            return os.path.basename(self.argv[0])
        try:
            with open(f"/proc/{self.pids[0]}/comm", encoding="utf-8", errors="replace") as file:
                return file.read().strip() or str(self.pids[0])
        except OSError:
            return str(self.pids[0])

    def __repr__(self) -> str:
        return f"Target({list(self.argv)})" if self.argv else f"Target(pids={list(self.pids)})"


def _one_string(command: object) -> TypeError:
    return TypeError(
        f'a command is a list of words, not {command!r}: pass ["prog", "arg"], '
        "or shlex.split(text); a process id is an int"
    )


def _word(word: object) -> str:
    if isinstance(word, (str, os.PathLike)):
        return os.fsdecode(word)
    raise TypeError(f"a command's words are str, not {type(word).__name__} ({word!r})")


def _descriptor(file: "int | HasFileno | None", default: int) -> int:
    if file is None:
        return default
    return file if isinstance(file, int) else file.fileno()


def _pid(pid: int) -> int:
    if pid <= 0 or pid >= 2**31:
        raise ValueError(f"{pid} is no process id")
    return pid


class Recorder:
    """A recording under control: `start`, `stop`, `snapshot` and `windows`.

        with cprof.Recorder(pid) as rec:
            ...
        rec.profile.top()

    The options are those of `cprof.record`; here `duration=None` goes on until `stop`, and
    a given one bounds `wait` and `windows`. Nothing is opened before `start`. A child that
    still runs when the recording stops is ended, as nobody else owns it: SIGTERM, and
    SIGKILL 2 s later.
    """

    def __init__(
        self,
        target: "TargetLike",
        *,
        duration: float | None = None,
        freq: float | None = None,
        period: int | None = None,
        event: str = "auto",
        unwind: str = "auto",
        verify: float = 0.0,
        stack_bytes: "int | str" = "auto",
        stack: str = "auto",
        kernel: bool | None = None,
        follow: bool = True,
        jitter: bool = True,
        lines: bool | None = None,
        env: Mapping[str, str] | None = None,
        cwd: "str | os.PathLike[str] | None" = None,
        labels: Mapping[str, str] | None = None,
        progress: "bool | Callable[[dict[str, Any]], object] | None" = None,
    ) -> None:
        self.target = Target.of(target, env, cwd)
        self.duration = duration
        self._labels = _checked_labels(labels or {})
        self._progress = progress
        self._options: dict[str, Any] = _checked_options(
            duration=duration,
            freq=freq,
            period=period,
            unwind=unwind,
            verify=verify,
            stack_bytes=stack_bytes,
            stack=stack,
        )
        default = events.FREQ_CHILD if self.target.argv else events.FREQ_ATTACH
        self._options |= {
            "freq": 0.0 if period else float(default if freq is None else freq),
            "event": event,
            "kernel": -1 if kernel is None else int(kernel),
            "follow": follow,
            "jitter": jitter,
            "lines": -1 if lines is None else int(lines),
        }
        self._session: _core.Session | None = None
        self._profile: Profile | None = None
        self._stats: dict[str, Any] = {}
        self._deadline = 0.0
        self._lock = allocate_lock()  # stop() may come from any thread

    # Control

    def start(self) -> None:
        """Open all events and begin. Raises PermissionDenied, TargetGone, CommandNotFound,
        CommandNotExecutable, UnsupportedEvent, InvalidOption, or WrongState when it was
        started before."""
        if self._session or self._profile:
            raise WrongState("this recorder was started before; make a new one")
        target = self.target
        if target.cwd is not None and not os.path.isdir(target.cwd):
            raise InvalidOption(f"cwd={target.cwd!r}: no such directory")
        with translated():
            session = _core.Session(
                argv=target.argv or None,
                pids=target.pids or None,
                env=target.env,
                cwd=target.cwd,
                stdio=target.stdio,
                **self._options,
            )
        with translated(command=target.argv[0] if target.argv else None):
            session.start()
        self._session = session
        self._deadline = time.monotonic() + (self.duration or _FOREVER * 24 * 365)

    def stop(self, *, end_child: bool = True) -> Profile:
        """Stop, and return everything that was recorded; once more, the same profile. With
        `end_child=False` a child that still runs is left to `end_child`, or to itself.

        Raises NoSamples when there is no sample, WrongState when it was never started.
        """
        self._finish()
        if end_child:
            self.end_child()
        return self.profile

    def end_child(self, *requests: int) -> None:
        """End the command if it still runs: by SIGTERM and SIGKILL, or by the signals
        `requests` (0 is none), with 2 s of grace after each. Ctrl-C meanwhile kills it."""
        session = self._session
        if session is None or not session.child_pid:
            return
        import signal  # here, since it takes longer to import than all of this module

        try:
            for request in requests or (signal.SIGTERM, signal.SIGKILL):
                if session.child_status is not None:
                    return
                if request:
                    session.kill_child(request)
                _wait_for_end(session)
        except KeyboardInterrupt:
            if session.child_status is None:
                session.kill_child(signal.SIGKILL)
                _wait_for_end(session)
            raise

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all targets have ended (True), or the time is over (False): `timeout`
        seconds, or the recorder's duration if that is earlier. Shows progress."""
        session = self._running()
        end = self._deadline if timeout is None else time.monotonic() + timeout
        return self._wait_until(session, min(end, self._deadline))

    def snapshot(self) -> Profile:
        """Everything so far, while recording goes on; the whole profile after the end. May
        be empty."""
        with self._lock, translated():
            return self._profile or self._labelled(self._running().snapshot())

    def append_to(self, log: "Log") -> None:
        """Write what came since the last time into a recording file that grows. Not with
        `lines=True`, which makes other numbers of functions each time."""
        from cprof.store import kind_of

        with self._lock, translated():
            core = self._running().snapshot(since_last=True)
        log.append(kind_of(core), core, self._labels)

    def windows(self, every: float = 1.0) -> "Generator[Profile]":
        """Yield what each `every` seconds brought, as profiles that do not overlap and
        leave nothing out; a quiet window is an empty profile. Ends with the targets or the
        duration; ending the loop early or closing the iterator stops the recording."""
        if not 0 < every < _FOREVER:
            raise ValueError(f"cannot make windows of {every} s: it must be positive")
        return self._windows(self._running(), every)

    def _windows(self, session: _core.Session, every: float) -> "Generator[Profile]":
        begin = time.monotonic()
        is_last = False
        try:
            while not is_last:
                passed = int((time.monotonic() - begin) / every)
                mark = begin + (passed + 1) * every
                has_ended = self._wait_until(session, min(mark, self._deadline))
                is_last = has_ended or time.monotonic() >= self._deadline
                with self._lock, translated():
                    if self._profile:
                        return  # another thread called stop()
                    if is_last:
                        session.stop()
                    window = self._labelled(session.snapshot(since_last=True))
                yield window
        finally:
            self._finish()
            self.end_child()

    # State

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped yet."""
        return self._session is not None and self._profile is None

    @property
    def profile(self) -> Profile:
        """Everything that was recorded, after the end. Raises NoSamples when there is none,
        WrongState before the end."""
        if self._profile is None:
            raise WrongState(
                "no profile yet: call stop() first, or snapshot() while recording"
                if self.is_running
                else "no profile yet: this recorder was not started; call start() first"
            )
        if not self._profile.samples:
            raise NoSamples(*self._why_empty(self._profile))
        return self._profile

    @property
    def recording(self) -> "Recording":
        """The same by kind, as a Recording. Raises as `profile` does."""
        from cprof.recording import Recording
        from cprof.store import kind_of

        return Recording({kind_of(self.profile._core): self.profile})

    @property
    def is_over(self) -> bool:
        """Whether its duration is over."""
        return time.monotonic() >= self._deadline

    @property
    def stats(self) -> "dict[str, Any]":
        """Counters as of now: samples, lost, throttled, elapsed (s), rate_asked, event,
        n_targets, is_running ...; the last ones after the end, {} before the start."""
        return dict(self._running().stats if self.is_running else self._stats)

    @property
    def child_pid(self) -> int | None:
        """The process id of the command, None when attached or before the start."""
        return (self._session.child_pid or None) if self._session else None

    @property
    def returncode(self) -> int | None:
        """The command's exit status as in subprocess (negative: the signal), None while it
        runs or when attached."""
        return self._session.child_status if self._session else None

    def __enter__(self) -> "Self":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        if self._session:
            self._finish()
            self.end_child()

    def __repr__(self) -> str:
        state = "running" if self.is_running else "ended" if self._profile else "not started"
        return f"<Recorder of {self.target!r}: {state}>"

    # Helpers

    def _running(self) -> _core.Session:
        if self._session is None or self._profile:
            raise WrongState(
                "this recorder has stopped; its result is .profile"
                if self._profile
                else "this recorder was not started: call start(), or use it in `with`"
            )
        return self._session

    def _wait_until(self, session: _core.Session, end: float) -> bool:
        from cprof.progress import reporter

        report = reporter(self._progress, is_child=bool(self.target.argv))
        try:
            while (left := end - time.monotonic()) > 0:
                if session.wait(min(left, _LOOK_EVERY)):
                    return True
                if self._profile:
                    return False  # another thread called stop()
                if report:
                    report(session.stats)
            return session.wait(0)
        finally:
            if report:
                report(None)

    def _finish(self) -> None:
        """Stop sampling and take the profile; nothing when that was done."""
        with self._lock, translated():
            if self._profile:
                return
            session = self._running()
            session.stop()
            self._stats = session.stats
            self._profile = self._labelled(session.finish())

    def _labelled(self, core: _core.Profile) -> Profile:
        return Profile(core.with_comments(self._labels) if self._labels else core)

    def _why_empty(self, profile: Profile) -> tuple[str, str]:
        """The reason and the remedy for a profile without samples."""
        quality, run = profile.quality, profile._run
        cpu, rate = run["cpu_time"] / 1e9, quality["rate_asked"]
        if quality["lost"]:
            return f"all {quality['lost']} were lost", "a lower frequency loses fewer"
        used = f"used {cpu:.3f} s of CPU in {profile.duration:.2f} s"
        if rate and cpu * rate > _EXPECTED:
            if quality["kernel_excluded"]:
                return f"the target {used}, all of it in the kernel", "see cprof doctor"
            return f"the target {used}, but {profile.event} did not occur", ""
        if self.returncode is not None:
            used += f" and ended with status {self.returncode}"
        asked = f"at {rate:g} Hz" if rate else "by that period"
        remedy = "record longer, or at a higher frequency" if rate else ""
        return f"the target {used}: nothing to sample {asked}", remedy


def _wait_for_end(session: _core.Session) -> None:
    end = time.monotonic() + _GRACE
    while session.child_status is None and time.monotonic() < end:
        time.sleep(_POLL)


def interrupted_child(number: int) -> tuple[int, ...]:
    """The requests to end a command after the signal `number` ended its recording. A
    terminal sends Ctrl-C to the command too, which must not get it twice."""
    import signal

    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return number, signal.SIGTERM, signal.SIGKILL
    try:
        has_got_it = number == signal.SIGINT and os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        has_got_it = False
    finally:
        os.close(terminal)
    return 0 if has_got_it else number, signal.SIGTERM, signal.SIGKILL


def _is_stack_size(n: "int | str") -> bool:
    return isinstance(n, int) and 0 <= n <= events.STACK_BYTES_MAX and n % 8 == 0


def _checked_options(
    *,
    duration: float | None,
    freq: float | None,
    period: int | None,
    unwind: str,
    verify: float,
    stack_bytes: "int | str",
    stack: str,
) -> "dict[str, Any]":
    """What needs no kernel to be wrong."""
    if duration is not None and not 0 < duration < 1e9:
        raise InvalidOption(f"duration={duration}: it is a number of seconds above 0")
    if freq is not None and period is not None:
        raise InvalidOption("freq= and period= exclude each other")
    if freq is not None and not 0 < freq <= 1e9:
        raise InvalidOption(f"freq={freq}: it is a number of samples per second above 0")
    if period is not None and not 0 < period < 2**63:
        raise InvalidOption(f"period={period}: it is a number of events above 0")
    if unwind not in events.UNWINDERS:
        raise InvalidOption(f"unwind={unwind!r}: it is one of {', '.join(events.UNWINDERS)}")
    if not 0 <= verify <= 1:
        raise InvalidOption(f"verify={verify}: it is a share of the samples, from 0 to 1")
    if stack not in events.STACKS:
        raise InvalidOption(f"stack={stack!r}: it is one of {', '.join(events.STACKS)}")
    if stack_bytes != "auto" and not _is_stack_size(stack_bytes):
        raise InvalidOption(
            f'stack_bytes={stack_bytes!r}: it is "auto", or a multiple of 8 up to '
            f"{events.STACK_BYTES_MAX}"
        )
    return {
        "period": period or 0,
        "unwind": unwind,
        "verify": float(verify),
        "stack_bytes": -1 if stack_bytes == "auto" else stack_bytes,
        "stack": stack,
    }


def _checked_labels(labels: Mapping[str, str]) -> list[str]:
    """The labels as comments, which is how a profile keeps them."""
    for key, value in labels.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"labels are str to str, not {key!r}: {value!r}")
        if not key or ": " in key or not key.isprintable():
            raise ValueError(f"{key!r} cannot be the name of a label")
    return [f"cprof.label.{key}: {value}" for key, value in labels.items()]


def record(
    target: "TargetLike",
    *,
    duration: float | None = None,
    freq: float | None = None,
    period: int | None = None,
    event: str = "auto",
    unwind: str = "auto",
    verify: float = 0.0,
    stack_bytes: "int | str" = "auto",
    stack: str = "auto",
    kernel: bool | None = None,
    follow: bool = True,
    jitter: bool = True,
    lines: bool | None = None,
    env: Mapping[str, str] | None = None,
    cwd: "str | os.PathLike[str] | None" = None,
    labels: Mapping[str, str] | None = None,
    progress: "bool | Callable[[dict[str, Any]], object] | None" = None,
) -> Profile:
    """Record `target` and return its profile.

    `target`: a process id, several of them, or the words of a command. A command is
    recorded until it ends, a process for 10 s, unless `duration` (s) says otherwise; a
    command that still runs then is ended (SIGTERM, SIGKILL 2 s later).

    `freq`: samples per second of CPU time (997 for a command, 99 for a process), or
    `period`: one every so many events. `event`: "auto" is cycles, or the CPU clock where
    the machine has no counters; see `cprof.events.known()`. `unwind`: "table" (tables
    made of the programs' unwind information, which "auto" is), "libunwind" (the information
    itself) or "fp" (frame pointers). `verify`: this share of the samples by libunwind, too;
    `Profile.quality` says how far both agree. `stack_bytes` of the stack are copied with
    each sample: "auto" is 65528, the most, or half of that where rings may not be large
    enough. `stack`: where it has more, "dump" ends it there, "exact" reads on in the live
    process straight after each sample, "auto" does so as far as it costs little.

    `kernel`: True to record kernel code or fail, False not to, None if allowed. `follow`: the
    processes that the target starts, too. `jitter` varies the period, so that it cannot
    march in step with the target. `lines`: True to read the source lines and inlined
    functions of all code at once, False never to, None where that takes no time to speak of
    (see `Profile.with_lines`). `env`, `cwd`: of a command. `labels`: kept with the
    profile. `progress`: True, False, None (a line if stderr is a terminal) or a function that
    is given `Recorder.stats`.

    Ctrl-C stops the recording and returns what there is, with a RecordingInterrupted
    warning; a second one is a KeyboardInterrupt.

    Raises PermissionDenied, TargetGone, CommandNotFound, CommandNotExecutable, NoSamples,
    UnsupportedEvent, InvalidOption (a ValueError).
    """
    goal = Target.of(target, env, cwd)
    if duration is None and goal.pids:
        duration = events.ATTACH_SECONDS
    recorder = Recorder(
        goal,
        duration=duration,
        freq=freq,
        period=period,
        event=event,
        unwind=unwind,
        verify=verify,
        stack_bytes=stack_bytes,
        stack=stack,
        kernel=kernel,
        follow=follow,
        jitter=jitter,
        lines=lines,
        labels=labels,
        progress=progress,
    )
    with recorder:
        try:
            recorder.wait()
        except KeyboardInterrupt:
            recorder._finish()
            recorder.end_child(*interrupted_child(_CTRL_C))
            _warn_interrupted(recorder)
    return recorder.profile


def _warn_interrupted(recorder: Recorder) -> None:
    import warnings

    seconds = recorder.stats.get("elapsed", 0.0)
    warnings.warn(
        f"stopped by Ctrl-C after {seconds:.1f} s: the profile holds what there was until then",
        RecordingInterrupted,
        stacklevel=3,
    )
