"""The verbs `record` and `top -p`: one recording under the user's hand, with its signals,
its child's exit status and the file at the end."""

import argparse
import os
import signal
import sys
import time
from contextlib import closing

from cprof import cli, cli_read, errors
from cprof.export.files import is_special
from cprof.recorder import Recorder, Target, interrupted_child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from cprof.profile import Profile

_CLEAR = "\x1b[H\x1b[2J"
_FIRST_CHUNK = 0.25  # seconds; each further one is twice as long, up to CHUNK_SECONDS
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOST_MAX, _COMPLETE_MIN, _COVERAGE_MIN = 0.01, 0.90, 0.80  # beyond these the user is told


class _Stopped(BaseException):
    """A signal asks the recording to end."""


class _Signals:
    """Ctrl-C, and SIGTERM, for the time of a recording. The first one ends the wait
    (`_Stopped`); one that comes while nothing can be ended is kept for the next wait. The
    second one aborts: KeyboardInterrupt."""

    def __init__(self) -> None:
        self.number = 0  # of the first signal
        self.is_abort = False  # the second one has come
        self._is_waiting = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "_Signals":
        for number in _SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # nohup
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wait(self, recorder: Recorder, timeout: float | None = None) -> bool:
        """`recorder.wait(timeout)`; a signal ends it early (False)."""
        try:
            self.listen()
            return recorder.wait(timeout)
        except _Stopped:
            return False
        finally:
            self._is_waiting = False

    def listen(self) -> None:
        """From now on the first signal raises _Stopped; at once if it has come already."""
        self._is_waiting = True
        if self.number:
            raise _Stopped

    def _handle(self, number: int, frame: "FrameType | None") -> None:
        if self.number:
            self.is_abort = True
            raise KeyboardInterrupt
        self.number = number
        if self._is_waiting:
            raise _Stopped


def record(args: argparse.Namespace) -> int:
    """Record, write, and pass on the command's exit status."""
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if bool(command) == bool(args.pids):
        raise errors.InvalidOption(
            "record: give a command or -p PID, not both"
            if command
            else "record: nothing to record: give -p PID, or -- command"
        )
    target = Target(command, pids=args.pids)
    output = args.output or _default_output(target.name)
    lines_at_the_end = bool(args.lines) and _grows(output)
    recorder = _recorder(args, target, _labels(args.label), lines_at_the_end=lines_at_the_end)
    _check(output, is_command=bool(command), force=args.force)
    with _Signals() as signals:
        recorder.start()
        try:
            try:
                has_ended = _wait(signals, recorder, output)
                if signals.number:
                    how = "Ctrl-C" if signals.number == signal.SIGINT else "a signal"
                    cli.say(f"stopped by {how}; keeping what was recorded until now")
                failure = _keep(recorder, output, with_lines=lines_at_the_end)
            finally:
                if not signals.is_abort:
                    requests = interrupted_child(signals.number) if signals.number else ()
                    recorder.end_child(*requests)
        except KeyboardInterrupt:
            recorder.end_child(signal.SIGKILL)
            raise
    return _status(recorder, has_ended or bool(signals.number), failure)


def _wait(signals: _Signals, recorder: Recorder, output: str) -> bool:
    """Wait until the targets have ended (True), the time is over, or a signal came. A
    recording file grows meanwhile, so that it is there should this process be killed."""
    if not _grows(output):
        return signals.wait(recorder)
    from cprof.store import CHUNK_SECONDS
    from cprof.store_write import Log

    with closing(Log(output)) as log:
        seconds = _FIRST_CHUNK
        while True:
            has_ended = signals.wait(recorder, seconds)
            if has_ended or signals.number or recorder.is_over:
                return has_ended
            try:
                recorder.append_to(log)
            except OSError as error:
                cli.say(f"warning: {cli.message(error)}; going on without a file until the end")
                return signals.wait(recorder)
            seconds = min(2 * seconds, CHUNK_SECONDS)


def _grows(output: str) -> bool:
    return output.lower().endswith(".cprof") and not is_special(output)


def _keep(recorder: Recorder, output: str, *, with_lines: bool) -> errors.NoSamples | None:
    """Stop and write; the reason when there is nothing to write."""
    try:
        profile = recorder.stop(end_child=False)
    except errors.NoSamples as nothing:
        return nothing
    if output == "-":
        sys.stdout.buffer.write(profile._core.encode_pprof())
    else:
        (profile.with_lines() if with_lines else profile).write(output)
    _tell(profile, output)
    return None


def _status(recorder: Recorder, passes_on: bool, failure: errors.NoSamples | None) -> int:
    """The exit status: the command's own one if it ended by itself or by Ctrl-C."""
    status = recorder.returncode
    passed = 0 if status is None or not passes_on else status if status >= 0 else 128 - status
    if failure is None:
        return passed
    cli.say(cli.message(failure))
    return passed or cli.exit_code(failure)


def _tell(profile: "Profile", output: str) -> None:
    """What was written, what to do next, and what to know about it."""
    quality = profile.quality
    samples, lost, complete = quality["samples"], quality["lost"], quality["complete"]
    facts = (
        f"wrote {output}: {samples:,d} samples in {profile.duration:.1f} s, lost {lost:,d}, "
        f"complete {100 * complete:.1f} %"
    )
    is_readable = output.lower().endswith((".pb.gz", ".pb", ".pprof", ".cprof"))
    cli.say(f"{facts}; next: cprof report {output}" if is_readable else facts)
    if lost > _LOST_MAX * (samples + lost):
        share = 100 * lost / (samples + lost)
        cli.say(f"warning: {share:.1f} % of the samples were lost; a lower -F loses fewer")
    coverage = quality["coverage"]
    if coverage is not None and coverage < _COVERAGE_MIN and not quality["kernel_excluded"]:
        cli.say(
            f"warning: the samples stand for {100 * coverage:.0f} % of the CPU time used; threads "
            "and processes that end within a period are rarely sampled: a higher -F sees more "
            "(time stolen from a virtual machine is in that count, too)"
        )
    if complete < _COMPLETE_MIN:
        worst = max(
            (end for end in quality["ends"] if end not in ("root", "kernel")),
            key=lambda end: int(quality["ends"][end]),
        )
        hint = "; try --stack-bytes 65528" if worst == "truncated" else ""
        cli.say(
            f"warning: {100 * (1 - complete):.1f} % of the stacks are incomplete, "
            f"most of them: {worst}{hint}"
        )
    if quality["kernel_excluded"]:
        cli.say("note: kernel code was not recorded (see cprof doctor)")


def _recorder(
    args: argparse.Namespace,
    target: Target,
    labels: dict[str, str],
    progress: bool | None = None,
    *,
    lines_at_the_end: bool = False,
) -> Recorder:
    return Recorder(
        target,
        duration=args.duration,
        freq=args.freq,
        period=args.period,
        event=args.event,
        unwind=args.unwind,
        verify=args.verify,
        stack_bytes=args.stack_bytes,
        stack=args.stack,
        kernel=args.kernel,
        follow=args.follow,
        jitter=args.jitter,
        lines=None if lines_at_the_end else args.lines,
        labels=labels,
        progress=progress,
    )


def _labels(words: list[str]) -> dict[str, str]:
    labels = dict(word.split("=", 1) for word in words if "=" in word)
    if len(labels) != len(words):
        raise errors.InvalidOption("--label takes KEY=VALUE, each key once")
    return labels


def _default_output(name: str) -> str:
    """A file name here that nothing has yet."""
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in name)[:60]
    stem = f"cprof-{safe}-{time.strftime('%Y%m%d-%H%M%S')}"
    tries = [stem, *(f"{stem}-{i}" for i in range(1, 1000))]
    return next(f"{t}.pb.gz" for t in tries if not os.path.exists(f"{t}.pb.gz"))


def _check(output: str, *, is_command: bool, force: bool) -> None:
    """Refuse, before anything starts, what could not be written in the end."""
    if output == "-" and is_command:
        raise errors.InvalidOption("-o -: the command writes to stdout itself; name a file")
    if output != "-":
        cli.check_output(output)
    if not force and _is_terminal(output):
        raise errors.InvalidOption("binary data would go to a terminal; name a file, or use -f")


def _is_terminal(output: str) -> bool:
    if output == "-":
        return sys.stdout.isatty()
    if not is_special(output):
        return False
    try:
        fd = os.open(output, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return os.isatty(fd)
    finally:
        os.close(fd)


def top(args: argparse.Namespace) -> int:
    """The top functions of running processes, again and again until Ctrl-C."""
    recorder = _recorder(args, Target(pids=args.pids), {}, progress=False)
    with _Signals() as signals:
        recorder.start()
        windows = recorder.windows(args.every)
        try:
            signals.listen()
            for window in windows:
                _show(window, args)
        except _Stopped:
            return cli.OK
        finally:
            windows.close()
    return cli.OK


def _show(window: "Profile", args: argparse.Namespace) -> None:
    ask = cli_read.live_question(window, args)
    n = 20 if args.n is None and not args.json else args.n or sys.maxsize
    if args.json:
        cli_read.print_table(ask, cli_read.top_table(ask, args, n))
        sys.stdout.flush()
        return
    is_screen = bool(cli.terminal_width())
    if is_screen:
        n = min(n, max(os.get_terminal_size(sys.stdout.fileno()).lines - 6, 1))
    table = cli_read.table_text(cli_read.top_table(ask, args, n))
    print(f"{_CLEAR}{table}" if is_screen else f"{table}\n", flush=True)
