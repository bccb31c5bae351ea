"""Magics for IPython and Jupyter, after `%load_ext cprof`: %cprof, %%cprof, %%cprof_c,
%cprof_top and %cprof_doctor.

Each is one function of (line, cell) with one argparse parser, whose help is its docstring.
IPython is not imported before it has loaded the extension.
"""

import argparse
import codecs
import math
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from cprof.doctor import Capabilities, doctor
from cprof.errors import CprofError
from cprof.profile import Profile
from cprof.recorder import Recorder, Target, interrupted_child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO, Any, NoReturn

    from IPython.core.interactiveshell import InteractiveShell

_ATTACH_SECONDS = 10.0
_LOOK_EVERY = 0.2  # seconds: whether a command has said something, or ended
_OUTPUT_MAX = 1 << 20  # bytes of a command's output that are shown
_ROWS = 20


class _UsageError(Exception):
    """What is wrong with a magic's words; or the help, which was asked for."""


class _Parser(argparse.ArgumentParser):
    """Raises where argparse would end the process, which is a notebook's kernel."""

    def error(self, message: str) -> "NoReturn":
        raise _UsageError(f"{self.prog}: {message} ({self.prog} --help says more)")

    def exit(self, status: int = 0, message: str | None = None) -> "NoReturn":
        raise _UsageError("")  # the help was printed


def _parser(name: str, usage: str, about: str) -> _Parser:
    return _Parser(
        prog=name,
        usage=usage.replace("%", "%%"),
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_recording(parser: argparse.ArgumentParser, duration: str) -> None:
    parser.add_argument("-d", "--duration", type=float, metavar="SECONDS", help=duration)
    parser.add_argument("-F", "--freq", type=float, metavar="HZ", help="samples per second of CPU")
    parser.add_argument("-e", "--event", default="auto", help="what samples (cprof.events.known())")
    parser.add_argument(
        "-o", "--output", metavar="NAME", help="the variable to keep the profile in"
    )


def _cprof_parser() -> _Parser:
    parser = _parser(
        "%cprof",
        "%cprof PID... [options]\n       %cprof [options] -- COMMAND [ARGUMENT...]\n"
        "       %%cprof [options] [-- COMMAND [ARGUMENT...]]",
        "Record running processes, or a command with all that it starts, and show the profile.\n"
        "PID is a number, or a variable that holds one or a subprocess.Popen.\n\n"
        "%%cprof gives the rest of the cell to COMMAND as its input (as %%script does);\n"
        "without COMMAND the cell is a script for sh.",
    )
    parser.add_argument("pid", nargs="*", metavar="PID", help="a running process")
    _add_recording(parser, "stop then (PID: after 10 s; COMMAND: when it ends)")
    return parser


def _c_parser() -> _Parser:
    parser = _parser(
        "%%cprof_c",
        "%%cprof_c [options] [COMPILER OPTION...] [-- ARGUMENT...]",
        "Compile the C program in the cell with debug information (-g), run it with the\n"
        "arguments, and show what it says and its profile. Everything that is no option below\n"
        "goes to the compiler: -O2 -lm -fopenmp ...",
    )
    _add_recording(parser, "stop then (default: when the program ends)")
    parser.add_argument("--cc", metavar="COMPILER", help="default: $CC, or cc, gcc or clang")
    return parser


def _top_parser() -> _Parser:
    parser = _parser(
        "%cprof_top",
        "%cprof_top [PID...] [options]",
        "Show the top functions of running processes every second. Without PID: those of the\n"
        "last profile that a magic recorded.",
    )
    parser.add_argument("pid", nargs="*", metavar="PID", help="a running process")
    parser.add_argument("-n", type=int, default=_ROWS, metavar="N", help="rows (%(default)s)")
    _add_recording(parser, "stop then (after 10 s)")
    return parser


def _doctor_parser() -> _Parser:
    parser = _parser(
        "%cprof_doctor", "%cprof_doctor [PID]", "Say what this machine allows to record, and why."
    )
    parser.add_argument("pid", nargs="?", metavar="PID", help="also whether this process can be")
    return parser


class Magics:
    """The magics of one shell, and what they keep in between."""

    def __init__(self, shell: "InteractiveShell") -> None:
        self._shell = shell
        self._last: Profile | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None  # of %%cprof_c

    def register(self) -> None:
        """Make them known to the shell."""
        magics = (
            ("cprof", "line_cell", _cprof_parser(), self._cprof),
            ("cprof_c", "cell", _c_parser(), self._cprof_c),
            ("cprof_top", "line", _top_parser(), self._cprof_top),
            ("cprof_doctor", "line", _doctor_parser(), self._cprof_doctor),
        )
        for name, kind, parser, run in magics:
            magic = self._magic(parser, run)
            self._shell.register_magic_function(magic, kind, name)
        self._shell.input_transformers_cleanup.append(_without_empty_cell)

    def _magic(
        self, parser: _Parser, run: "Callable[[_Parser, list[str], str | None], Any]"
    ) -> "Callable[..., Any]":
        """The function that IPython calls. What goes wrong is one line, not a traceback."""
        from IPython.core.error import UsageError

        def magic(line: str, cell: str | None = None) -> "Any":
            try:
                return run(parser, _words(line), cell)
            except _UsageError as error:
                if not str(error):
                    return None
                reason = str(error)
            except (CprofError, OSError, ValueError) as error:
                reason = f"{parser.prog}: {error}"
            raise UsageError(reason) from None

        magic.__doc__ = parser.format_help()
        return magic

    # The magics

    def _cprof(self, parser: _Parser, words: list[str], cell: str | None) -> Profile:
        words, command = _split(words)
        args = parser.parse_args(words)
        if cell is not None and not command:
            command = ["sh"]
        if args.pid and command:
            parser.error("PID and a command exclude each other")
        if command:
            return self._run(args, command, cell or "")
        if not args.pid:
            parser.error("nothing to record: give a PID, or a command after --")
        recorder = _recorder(args, Target(pids=self._pids(parser, args.pid)), _ATTACH_SECONDS)
        _until_end(recorder, recorder.wait)
        return self._keep(recorder, args)

    def _cprof_c(self, parser: _Parser, words: list[str], cell: str | None) -> Profile:
        words, arguments = _split(words)
        args, flags = parser.parse_known_args(words)
        program = self._compile(args.cc, flags, cell or "", " ".join(words))
        return self._run(args, [program, *(arguments or [])], "")

    def _cprof_top(self, parser: _Parser, words: list[str], cell: str | None) -> None:
        from IPython.display import display

        args = parser.parse_args(words)
        if not args.pid:
            if self._last is None:
                parser.error("no profile was recorded by a magic yet: give a PID")
            display(self._last.top(args.n))
            return
        recorder = _recorder(args, Target(pids=self._pids(parser, args.pid)), _ATTACH_SECONDS)

        def show() -> None:
            shown = None
            for window in recorder.windows(every=1.0):
                if shown is None:
                    shown = display(window.top(args.n), display_id=True)
                else:
                    shown.update(window.top(args.n))
            if shown is not None:
                shown.update(recorder.profile.top(args.n))

        _until_end(recorder, show)
        self._keep(recorder, args)

    def _cprof_doctor(self, parser: _Parser, words: list[str], cell: str | None) -> Capabilities:
        args = parser.parse_args(words)
        return doctor(self._pids(parser, [args.pid])[0] if args.pid else None)

    # Helpers

    def _pids(self, parser: _Parser, words: "Sequence[str]") -> list[int]:
        """Numbers, or the names of variables that hold one or a process."""
        pids = []
        for word in words:
            value: Any = self._shell.user_ns.get(word, word)
            value = getattr(value, "pid", value)
            if not str(value).isdecimal():
                parser.error(f"{word!r} is no process id (a command goes after --)")
            pids.append(int(value))
        return pids

    def _run(self, args: argparse.Namespace, command: list[str], text: str) -> Profile:
        """Record the command with `text` as its input, and show what it says meanwhile."""
        with tempfile.TemporaryFile() as given, _Output() as output:
            given.write(text.encode())
            given.seek(0)
            target = Target(command, stdin=given, stdout=output.stdout, stderr=output.stderr)
            recorder = _recorder(args, target, None)
            _until_end(recorder, lambda: output.show(recorder))
            output.show_rest()
        if end := _bad_end(recorder.returncode or 0):
            print(f"{os.path.basename(command[0])} ended with {end}", file=sys.stderr)
        return self._keep(recorder, args)

    def _keep(self, recorder: Recorder, args: argparse.Namespace) -> Profile:
        self._last = profile = recorder.profile
        if args.output:
            self._shell.push({args.output: profile})
        return profile

    def _compile(self, cc: str | None, flags: list[str], cell: str, line: str) -> str:
        """The program of a cell; its source stays until the shell ends, for its listings."""
        words = shlex.split(cc or os.environ.get("CC", "")) or _first_compiler()
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="cprof-cells-")
        folder = tempfile.mkdtemp(dir=self._folder.name)
        source, program = os.path.join(folder, "cell.c"), os.path.join(folder, "cell")
        with open(source, "w", encoding="utf-8") as file:
            file.write(f"// %%cprof_c {line}\n{cell}\n")  # so that its lines are the cell's
        if shutil.which(words[0]) is None:
            raise _UsageError(
                f"%%cprof_c: there is no compiler {words[0]!r}: name another with --cc"
            )
        command = [*words, "-g", "cell.c", *flags, "-o", "cell"]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", check=False
        )
        print(done.stderr, end="", file=sys.stderr)
        if done.returncode:
            raise _UsageError(f"%%cprof_c: {words[0]} could not compile this cell (see above)")
        return program


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise _UsageError(f"cannot read {line!r}: {error}") from None


def _split(words: list[str]) -> tuple[list[str], list[str] | None]:
    """The words before "--", and those after it (None: there is none)."""
    if "--" not in words:
        return words, None
    i = words.index("--")
    return words[:i], words[i + 1 :]


def _bad_end(status: int) -> str:
    """How a command ended, "" for well, or by what ends it when its recording is over."""
    if status >= 0:
        return f"status {status}" if status else ""
    ours = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
    return "" if -status in ours else f"signal {-status} ({signal.strsignal(-status)})"


def _first_compiler() -> list[str]:
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    raise _UsageError("%%cprof_c: there is no C compiler here: install gcc, or name one with --cc")


def _without_empty_cell(lines: list[str]) -> list[str]:
    """IPython refuses a cell magic whose cell has no more lines; `%%cprof -- COMMAND` alone
    is what the line magic does."""
    first = lines[0] if lines else ""
    is_alone = first.split(None, 1)[:1] == ["%%cprof"] and not "".join(lines[1:]).strip()
    return [first[1:]] if is_alone else lines


def _recorder(args: argparse.Namespace, target: Target, duration: float | None) -> Recorder:
    return Recorder(
        target,
        duration=duration if args.duration is None else args.duration,
        freq=args.freq,
        event=args.event,
        progress=False,
    )


def _until_end(recorder: Recorder, wait: "Callable[[], object]") -> None:
    """Record until `wait()` returns; an interrupt comes first and keeps what there is."""
    with recorder:
        try:
            wait()
        except KeyboardInterrupt:
            recorder.stop(end_child=False)
            recorder.end_child(*interrupted_child(signal.SIGINT))
            print("interrupted: this is what was recorded until then", file=sys.stderr)


class _Output:
    """What a command says, shown while it runs: not every notebook shows what a process
    writes to the files of its kernel. `stdout` and `stderr` are for the command."""

    def __init__(self) -> None:
        self._readers: dict[int, _Reader] = {}
        self._writers: list[int] = []
        self.stdout, self.stderr = self._pipe("stdout"), self._pipe("stderr")

    def __enter__(self) -> "_Output":
        return self

    def _pipe(self, name: str) -> int:
        reader, writer = os.pipe()
        self._readers[reader] = _Reader(getattr(sys, name))
        self._writers.append(writer)
        return writer

    def __exit__(self, *_: object) -> None:
        self._close_writers()
        for reader in self._readers:
            os.close(reader)

    def _close_writers(self) -> None:
        while self._writers:
            os.close(self._writers.pop())

    def show(self, recorder: Recorder) -> None:
        """Until the recording is over."""
        self._close_writers()  # the command has its own
        end = time.monotonic() + (recorder.duration or math.inf)
        while not recorder.wait(0) and time.monotonic() < end:
            self._show(_LOOK_EVERY)

    def show_rest(self) -> None:
        """What is there after the end; a process left behind may have the pipes still."""
        while self._show(0):
            pass

    def _show(self, timeout: float) -> bool:
        if not self._readers:
            time.sleep(timeout)
            return False
        ready, _, _ = select.select(list(self._readers), [], [], timeout)
        for fd in ready:
            data = os.read(fd, 1 << 16)
            self._readers[fd].show(data)
            if not data:
                os.close(fd)
                del self._readers[fd]
        return bool(ready)


class _Reader:
    """Bytes as text on a stream, up to a limit."""

    def __init__(self, stream: "IO[str]") -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._left = _OUTPUT_MAX

    def show(self, data: bytes) -> None:
        if self._left < 0:
            return
        self._stream.write(self._decoder.decode(data[: self._left], final=not data))
        self._left -= len(data)
        if self._left < 0:
            self._stream.write(
                f"\n[cprof: what follows of more than {_OUTPUT_MAX:,d} bytes is not shown]\n"
            )
        self._stream.flush()
