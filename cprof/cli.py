"""The command `cprof`: arguments, exit codes, and one line for whatever goes wrong.

What the verbs do is in the library; the verbs that record are in `cprof.cli_record`. What
cprof itself has to say goes to stderr, results go to stdout or to a file.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from cprof import errors, events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cprof.profile import Profile

OK, FAILURE, USAGE = 0, 1, 2
PERMISSION_DENIED, TARGET_GONE, NO_SAMPLES, UNSUPPORTED_EVENT = 3, 4, 5, 6
BAD_PROFILE, NO_SYMBOLS = 7, 8
NOT_EXECUTABLE, NOT_FOUND, INTERRUPTED = 126, 127, 130

# The first that fits; every class here comes before its bases.
_EXIT_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (errors.CommandNotFound, NOT_FOUND),
    (errors.CommandNotExecutable, NOT_EXECUTABLE),
    (errors.PermissionDenied, PERMISSION_DENIED),
    (errors.TargetGone, TARGET_GONE),
    (errors.NoSamples, NO_SAMPLES),
    (errors.UnsupportedEvent, UNSUPPORTED_EVENT),
    (errors.CorruptProfile, BAD_PROFILE),
    (errors.NoSymbols, NO_SYMBOLS),
    (errors.InvalidOption, USAGE),
    (ValueError, USAGE),
    (KeyboardInterrupt, INTERRUPTED),
)

_EPILOG = """\
exit status:
  0    done                        6    the event is not supported here
  1    another failure             7    not a profile, or not readable
  2    wrong usage                 8    no symbols
  3    permission denied           126  the command is not executable
  4    the target is gone          127  the command does not exist
  5    no samples                  130  aborted by a second Ctrl-C
`cprof record -- command` passes on the command's own exit status (128 + its signal)
once the profile is written. CPROF_DEBUG=1 shows where an error came from.
"""


class Unreadable(Exception):
    """A profile file that could not be opened; wraps the OSError."""


def exit_code(error: BaseException) -> int:
    """The documented exit code for `error`."""
    if isinstance(error, Unreadable):
        return BAD_PROFILE
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), FAILURE)


def message(error: BaseException) -> str:
    """`error` in one line."""
    if isinstance(error, OSError) and not isinstance(error, errors.CprofError):
        text = error.strerror or str(error)
        text = f"{error.filename}: {text}" if error.filename else text
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())


def say(text: str) -> None:
    """A line of cprof's own, to stderr; nothing when nobody can read it."""
    from cprof.names import printable

    try:
        print(f"cprof: {printable(text)}", file=sys.stderr, flush=True)
    except (OSError, ValueError, AttributeError):
        return


# Verbs that read a file


def _load(args: argparse.Namespace) -> "Profile":
    from cprof.profile import load

    try:
        profile = load(args.file)
    except OSError as error:
        raise Unreadable(message(error)) from error
    thread, comm, module, under = (
        getattr(args, name, None) for name in ("thread", "comm", "module", "under")
    )
    is_filtered = any((thread, comm, module, under))
    if is_filtered:
        profile = profile.filter(
            thread=_names_and_numbers(thread),
            comm=_names_and_numbers(comm),
            module=module,
            under=under,
        )
    if not profile.samples and not profile.lost:
        raise errors.NoSamples("nothing passes the filters" if is_filtered else "the file is empty")
    return profile


def _names_and_numbers(words: list[str] | None) -> "list[str | int] | None":
    """Patterns of threads: digits may be an id, or a name."""
    if words is None:
        return None
    return [*words, *(int(word) for word in words if word.isascii() and word.isdigit())]


def report(args: argparse.Namespace) -> int:
    """`report` and `top` of a file."""
    profile = _load(args)
    if args.json:
        return _json(report_json(profile, args.n, args.sample_type))
    if getattr(args, "tree", False):
        print(profile.tree(args.sample_type))
        return OK
    n = 20 if args.n is None else args.n or sys.maxsize
    print(table_text(profile, n, args.sample_type))
    if modules := _modules_text(profile, is_asked=getattr(args, "quality", False)):
        print(f"\n{modules}")
    return OK


def _modules_text(profile: "Profile", *, is_asked: bool) -> str:
    """How good the stacks are by module; unasked only where they break off, if they do."""
    from cprof.report import broken_modules

    if is_asked:
        return str(profile.quality_by_module())
    modules = broken_modules(profile)
    return f"where stacks break off:\n{modules}" if modules else ""


def report_json(profile: "Profile", n: int | None, sample_type: str | None) -> "dict[str, Any]":
    from cprof.report import report_data

    table = profile.top(n or sys.maxsize, sample_type)
    return report_data(profile, table, profile.sample_types[profile._type(sample_type)][0])


def table_text(profile: "Profile", n: int, sample_type: str | None) -> str:
    """The top functions, as wide as the terminal; with whole names where there is none."""
    table = profile.top(n, sample_type)
    width = terminal_width()
    return table.text(width) if width else table.text(full_names=True)


def terminal_width() -> int:
    """Columns of the terminal on stdout, 0 when it is none."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):
        return 0


def _json(data: object) -> int:
    import json

    print(json.dumps(data))
    return OK


def list_lines(args: argparse.Namespace) -> int:
    """`list` of a file."""
    profile = _load(args)
    print(
        profile.list(
            args.regex,
            args.sample_type,
            source_path=args.source_path,
            trim_path=args.trim_path,
        )
    )
    return OK


def disasm(args: argparse.Namespace) -> int:
    print(_load(args).disassemble(args.regex, args.sample_type))
    return OK


def flamegraph(args: argparse.Namespace) -> int:
    if args.output is None:
        stem = args.file
        for known in (".gz", ".pb", ".pprof"):
            stem = stem.removesuffix(known)
        args.output = f"{os.path.basename(stem)}.svg"
    return export(args)


def export(args: argparse.Namespace) -> int:
    """Write a profile in another format."""
    check_output(args.output)
    profile = _load(args)
    profile.write(args.output, sample_type=args.sample_type)
    say(f"wrote {args.output}")
    return OK


def check_output(path: str) -> None:
    """Fail now rather than after a long recording."""
    from cprof.export import extension
    from cprof.export.files import check_writable

    extension(path)
    check_writable(path)


# Verbs about processes


def dump(args: argparse.Namespace) -> int:
    from cprof.stacks import dump as dump_stacks

    stacks = dump_stacks(args.pid)
    if args.json:
        frames = [[dict(frame) for frame in stack.frames] for stack in stacks]
        return _json([dict(s) | {"frames": f} for s, f in zip(stacks, frames, strict=True)])
    print(stacks)
    return OK


def doctor(args: argparse.Namespace) -> int:
    from cprof.doctor import doctor as examine

    capabilities = examine(args.pid)
    if args.json:
        rows = [dict(row) for row in capabilities]
        _json({"can_record": capabilities.can_record, "knobs": rows})
    else:
        print(capabilities)
    return OK if capabilities.can_record else PERMISSION_DENIED


def record(args: argparse.Namespace) -> int:
    from cprof.cli_record import record as run

    return run(args)


def top(args: argparse.Namespace) -> int:
    if args.file is not None and args.pids:
        raise errors.InvalidOption("top: give a file or -p PID, not both")
    if args.file is not None:
        return report(args)
    if not args.pids:
        raise errors.InvalidOption("top: nothing to show: give -p PID (live) or a file")
    from cprof.cli_record import top as run

    return run(args)


# Arguments


def _pids(text: str) -> list[int]:
    try:
        pids = [int(part) for part in text.split(",")]
    except ValueError:
        pids = []
    if not pids or any(not 0 < pid < 2**31 for pid in pids):
        raise argparse.ArgumentTypeError(f"{text!r} is no process id")
    return pids


def _pid(text: str) -> int:
    return _pids(text)[0] if "," not in text else _pids("")[0]


def _rows(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows")
    return int(text)


def _add_output_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json",
        action="store_true",
        help="an object with totals (by sample type), quality (see Profile.quality, and modules), "
        "rows (of function, module, self, total, in order of self), sample_type, unit, duration, "
        "event, command, labels",
    )
    parser.add_argument("-n", type=_rows, metavar="ROWS", help="rows to show (0: all)")
    parser.add_argument("--sample-type", metavar="NAME", help="for example cpu or samples")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("filters (globs; each may be given several times)")
    for name, what in (
        ("thread", "threads of this name or tid"),
        ("comm", "processes of this name or pid"),
        ("module", "samples in this program or library"),
        ("under", "samples with this function on the stack"),
    ):
        group.add_argument(f"--{name}", action="append", metavar="PATTERN", help=what)


def _stack_bytes(word: str) -> "int | str":
    return word if word == "auto" else int(word)


def _add_recording(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-p", "--pid", dest="pids", type=_pids, action="extend", default=[], metavar="PID[,PID]",
        help="record running processes, with all their threads",
    )  # fmt: skip
    parser.add_argument(
        "-d", "--duration", type=float, metavar="S",
        help="seconds (default: until the target ends, or Ctrl-C)",
    )  # fmt: skip
    group = parser.add_argument_group("sampling")
    group.add_argument(
        "-F", "--freq", type=float, metavar="HZ",
        help=f"samples per second of CPU time (default: {events.FREQ_CHILD} for a command, "
        f"{events.FREQ_ATTACH} with -p)",
    )  # fmt: skip
    group.add_argument(
        "-c", "--period", type=int, metavar="N", help="instead: a sample every N events"
    )
    group.add_argument(
        "-e", "--event", default="auto", help="default: cycles, or the CPU clock without a PMU"
    )
    group.add_argument(
        "--unwind", choices=events.UNWINDERS, default="auto",
        help="by tables made of the unwind information (auto), by libunwind, or by frame pointers",
    )  # fmt: skip
    group.add_argument(
        "--verify", type=float, default=0.0, metavar="SHARE",
        help="this share of the samples (0 to 1) by libunwind, too, and compare",
    )  # fmt: skip
    group.add_argument(
        "--stack-bytes", type=_stack_bytes, default="auto", metavar="N",
        help=f"bytes of stack to copy with a sample (default: {events.STACK_BYTES_MAX}, the "
        "most, where rings may be large enough)",
    )  # fmt: skip
    group.add_argument(
        "--stack", choices=events.STACKS, default="auto",
        help="where a stack has more: end it there (dump), read on in the live process (exact), "
        "or do so as far as it costs little (auto)",
    )  # fmt: skip
    group.add_argument(
        "--kernel", action=argparse.BooleanOptionalAction, default=None,
        help="record kernel code, too, or fail (default: if allowed)",
    )  # fmt: skip
    group.add_argument(
        "--no-follow", dest="follow", action="store_false",
        help="leave out processes that the target starts",
    )  # fmt: skip
    group.add_argument(
        "--no-jitter", dest="jitter", action="store_false", help="keep the period constant"
    )
    group.add_argument(
        "--lines", action=argparse.BooleanOptionalAction, default=None,
        help="source lines and inlined functions of all code, or none (default: in pprof files "
        "all, else where that takes no time to speak of)",
    )  # fmt: skip


class _Help(argparse.RawDescriptionHelpFormatter):
    """argparse makes a formatter for every argument, and its own imports shutil for the
    width of the terminal."""

    def __init__(self, prog: str, **options: "Any") -> None:
        super().__init__(prog, **{"width": (terminal_width() or 80) - 2, **options})


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    main = argparse.ArgumentParser(
        prog="cprof",
        description="Where a native Linux process spends its CPU time.",
        epilog=_EPILOG,
        formatter_class=_Help,
    )
    main.add_argument("--version", action="version", version=f"cprof {_version()}")
    verbs = main.add_subparsers(dest="verb", metavar="VERB", required=True, prog="cprof")

    def add(
        name: str,
        run: Callable[[argparse.Namespace], int],
        text: str,
        usage: str | None = None,
    ) -> argparse.ArgumentParser:
        verb = verbs.add_parser(
            name, help=text, description=f"{text}.", usage=usage, formatter_class=_Help
        )
        verb.set_defaults(run=run)
        return verb

    verb = add(
        "record", record, "record a command, or running processes, into a file",
        usage="cprof record [options] (-p PID | [--] command [argument ...])",
    )  # fmt: skip
    _add_recording(verb)
    verb.add_argument(
        "-o", "--output", metavar="OUT",
        help="*.pb.gz (pprof), *.folded, *.svg, *.png; - is stdout (default: a new *.pb.gz)",
    )  # fmt: skip
    verb.add_argument("-f", "--force", action="store_true", help="write to a terminal, too")
    verb.add_argument(
        "--label", action="append", default=[], metavar="KEY=VALUE", help="kept with the profile"
    )
    verb.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)

    verb = add("top", top, "the top functions: live (-p PID), or of a file")
    _add_recording(verb)
    _add_output_choice(verb)
    verb.add_argument("--every", type=float, default=1.0, metavar="S", help="live: refresh")
    verb.add_argument("file", nargs="?")

    verb = add("report", report, "the top functions of a profile, or its call tree")
    _add_output_choice(verb)
    verb.add_argument("--tree", action="store_true", help="the call tree")
    verb.add_argument(
        "--quality", action="store_true", help="how good the stacks are, by module, too"
    )
    _add_filters(verb)
    verb.add_argument("file")

    for name, run, text in (
        ("list", list_lines, "the source of functions, with the cost of each line"),
        ("disasm", disasm, "the instructions of functions, with the cost of each"),
    ):
        verb = add(name, run, text)
        verb.add_argument("--sample-type", metavar="NAME", help="for example cpu or samples")
        if run is list_lines:
            verb.add_argument(
                "--source-path", metavar="DIRS", help="where else to look for sources (DIR:DIR)"
            )
            verb.add_argument(
                "--trim-path", metavar="PREFIX", default="", help="taken off the paths of sources"
            )
        _add_filters(verb)
        verb.add_argument("file")
        verb.add_argument("regex", help="functions whose name it matches")

    for name, run, text in (
        ("flamegraph", flamegraph, "draw a profile as a flame graph (SVG or PNG)"),
        ("export", export, "write a profile in another format"),
    ):
        verb = add(name, run, text)
        verb.add_argument("-o", "--output", metavar="OUT", required=run is export)
        verb.add_argument("--sample-type", metavar="NAME", help="for example cpu or samples")
        _add_filters(verb)
        verb.add_argument("file")

    verb = add("dump", dump, "the stack of every thread of a process, now")
    verb.add_argument("--json", action="store_true", help="JSON, for programs")
    verb.add_argument("pid", type=_pid)

    verb = add("doctor", doctor, "what this machine allows, and what would change that")
    verb.add_argument("--json", action="store_true", help="JSON, for programs")
    verb.add_argument("pid", type=_pid, nargs="?")
    return main


def _version() -> str:
    from cprof import __version__

    return __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # names are not always of this encoding
    try:
        args = parser().parse_args(argv)
        status: int = args.run(args)
        if sys.stdout:
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        _forget_stdout()
        return OK
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("CPROF_DEBUG"):
            raise
        if not isinstance(error, KeyboardInterrupt):
            say(message(error))
        _forget_stdout()
        return exit_code(error)


def _forget_stdout() -> None:
    """Where stdout cannot be written (nobody reads it, no space), let Python's own flush at
    exit succeed."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, AttributeError):
        return
