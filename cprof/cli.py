"""The command `cprof`: arguments, exit codes, and one line for whatever goes wrong.

What the verbs do is in the library; those that read files are in `cprof.cli_read`, those that
record in `cprof.cli_record`. What cprof itself has to say goes to stderr, results go to stdout
or to a file.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from cprof import cli_options as options
from cprof import cli_words, errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OK, FAILURE, USAGE = 0, 1, 2
PERMISSION_DENIED, TARGET_GONE, NO_SAMPLES, UNSUPPORTED_EVENT = 3, 4, 5, 6
BAD_PROFILE, NO_SYMBOLS, DIFFERENT = 7, 8, 9
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
  3    permission denied           9    diff --exit-code: something changed
  4    the target is gone          126  the command is not executable
  5    no samples                  127  the command does not exist
                                   130  aborted by a second Ctrl-C
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


def print_json(data: object) -> int:
    import json

    print(json.dumps(data))
    return OK


def terminal_width() -> int:
    """Columns of the terminal on stdout, 0 when it is none."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):
        return 0


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
        return print_json([dict(s) | {"frames": f} for s, f in zip(stacks, frames, strict=True)])
    print(stacks)
    return OK


def doctor(args: argparse.Namespace) -> int:
    from cprof.doctor import doctor as examine

    capabilities = examine(args.pid)
    if args.json:
        rows = [dict(row) for row in capabilities]
        print_json({"can_record": capabilities.can_record, "knobs": rows})
    else:
        print(capabilities)
    return OK if capabilities.can_record else PERMISSION_DENIED


def top(args: argparse.Namespace) -> int:
    """Of files, or live."""
    if args.files and args.pids:
        raise errors.InvalidOption("top: give files or -p PID, not both")
    if args.files:
        return _run("cli_read.report", args)
    if not args.pids:
        raise errors.InvalidOption("top: nothing to show: give -p PID (live) or a file")
    options.refuse_live(args)
    return _run("cli_record.top", args)


def _run(function: str, args: argparse.Namespace) -> int:
    """Call "module.function" of the package: what a verb needs is imported by that verb."""
    from importlib import import_module

    module, name = function.split(".")
    status: int = getattr(import_module(f"cprof.{module}"), name)(args)
    return status


# Arguments


class _Help(argparse.RawDescriptionHelpFormatter):
    """argparse makes a formatter for every argument, and its own imports shutil for the
    width of the terminal."""

    def __init__(self, prog: str, **settings: "Any") -> None:
        super().__init__(prog, **{"width": (terminal_width() or 80) - 2, **settings})


_OUT = "the extension says which: .pb.gz .folded .svg .html .speedscope.json ..."


def parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The whole command line, and that of each verb."""
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
        run: str,
        text: str,
        usage: str | None = None,
    ) -> argparse.ArgumentParser:
        verb = verbs.add_parser(
            name,
            help=text,
            description=f"{text[:1].upper()}{text[1:]}.",
            usage=usage or (f"cprof {name} [options] FILE ..." if "cli_read" in run else None),
            formatter_class=_Help,
            allow_abbrev="cli_read" not in run,
        )
        verb.set_defaults(run=run)
        return verb

    verb = add(
        "record", "cli_record.record", "record a command, or running processes, into a file",
        usage="cprof record [options] (-p PID | [--] command [argument ...])",
    )  # fmt: skip
    options.add_recording(verb)
    verb.add_argument(
        "-o", "--output", metavar="OUT",
        help="*.pb.gz (pprof), *.cprof (with times; it grows while recording), *.folded, *.svg, "
        "*.html ...; - is stdout (default: a new *.pb.gz)",
    )  # fmt: skip
    verb.add_argument("-f", "--force", action="store_true", help="write to a terminal, too")
    verb.add_argument(
        "--label", action="append", default=[], metavar="KEY=VALUE", help="kept with the profile"
    )
    verb.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)

    verb = add(
        "top", "cli.top", "the top functions: of FILE..., or live (-p PID)",
        usage="cprof top [options] (FILE ... | -p PID)",
    )  # fmt: skip
    options.add_question(verb, nargs="*", has_rows=True)
    options.add_json(verb, "function, module, self, total; file, line, address where asked for")
    verb.add_argument("--every", type=float, default=1.0, metavar="S", help="live: refresh")
    options.add_recording(verb)

    verb = add("report", "cli_read.report", "top functions, or call paths (--tree)")
    options.add_question(verb, has_rows=True)
    options.add_json(verb, "as in top")
    verb.add_argument("--tree", action="store_true", help="call paths from the outermost function")
    verb.add_argument(
        "--quality", action="store_true", help="how good the stacks are, by module, too"
    )

    verb = add("tree", "cli_read.tree", "the call graph: each function, its callers and callees")
    options.add_question(verb, has_rows=True, is_graph=True)
    options.add_json(verb, "as in top, and callers and callees (as rows, with value, is_inlined)")

    verb = add(
        "peek", "cli_read.peek", "the callers and callees of functions that match REGEX",
        usage="cprof peek [options] FILE ... REGEX",
    )  # fmt: skip
    options.add_question(verb, has_regex=True)
    options.add_granularity(verb)
    options.add_json(verb, "as in tree")

    verb = add("traces", "cli_read.traces", "each distinct stack, and what it cost")
    options.add_question(verb)
    verb.add_argument("-lines", action="store_true", help="tell source lines apart")
    verb.add_argument("-n", type=options.rows, metavar="N", help="so many (default: all)")
    options.add_json(verb, "stack (of function, module; leaf first), samples, value, sums")

    verb = add("tags", "cli_read.tags", "the labels of samples: thread, process, and others")
    options.add_question(verb, has_mean=False)
    verb.add_argument("-tagshow", metavar="REGEX", help="only keys that match")
    verb.add_argument("-taghide", metavar="REGEX", help="no keys that match")
    options.add_json(verb, "key, value, unit, total")

    verb = add("comments", "cli_read.comments", "what the makers of profiles noted in them")
    options.add_files(verb)
    verb.add_argument("--json", action="store_true", help="an object with rows: the comments")

    verb = add(
        "list", "cli_read.list_lines", "the source of functions, with the cost of each line",
        usage="cprof list [options] FILE ... REGEX",
    )  # fmt: skip
    options.add_question(verb, has_regex=True, has_mean=False)
    verb.add_argument("-source_path", metavar="DIRS", help="where else sources are (DIR:DIR)")
    verb.add_argument(
        "-trim_path", metavar="PREFIX", default="", help="taken off the paths of sources"
    )
    options.add_json(
        verb, "function, module, file, self, total, note, lines (number, self, total, source)"
    )

    verb = add(
        "disasm", "cli_read.disasm", "the instructions of functions, with the cost of each",
        usage="cprof disasm [options] FILE ... REGEX",
    )  # fmt: skip
    options.add_question(verb, has_regex=True, has_mean=False)
    verb.add_argument("-intel_syntax", action="store_true", help="in Intel's syntax, not AT&T's")
    options.add_json(
        verb, "function, module, file, self, total, note, "
        "instructions (address, self, total, text, file, line)",
    )  # fmt: skip

    options.add_diff(
        add(
            "diff", "cli_diff.diff", "what changed between two profiles, and how sure that is",
            usage="cprof diff [options] BASE NEW\n"
            "       cprof diff [options] -diff_base BASE [-diff_base BASE ...] NEW ...\n"
            "       cprof diff [options] --base-window A:B --window C:D FILE\n"
            "       cprof diff [options] --base-tagfocus TAG -tagfocus TAG FILE",
        )
    )  # fmt: skip

    for name, text in (
        ("flamegraph", "draw a flame graph (SVG or PNG)"),
        ("export", "write profiles in another format"),
    ):
        verb = add(name, f"cli_read.{name}", text)
        options.add_files(verb)
        options.add_filters(verb)
        verb.add_argument("-o", "--output", metavar="OUT", required=name == "export", help=_OUT)
        verb.add_argument(
            "--times", action="store_true", help="a .pb.gz with the time of each sample (a label)"
        )

    verb = add("ui", "cli_read.ui", "open profiles as a page in the browser")
    options.add_files(verb)
    options.add_filters(verb)
    verb.add_argument("-o", "--output", metavar="OUT.html", help="write the page there, no browser")

    verb = add("dump", "cli.dump", "the stack of every thread of a process, now")
    verb.add_argument("--json", action="store_true", help="JSON, for programs")
    verb.add_argument("pid", type=options.pid)

    verb = add("doctor", "cli.doctor", "what this machine allows, and what would change that")
    verb.add_argument("--json", action="store_true", help="JSON, for programs")
    verb.add_argument("pid", type=options.pid, nargs="?")
    return main, dict(verbs.choices)


def _version() -> str:
    from cprof import __version__

    return __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # names are not always of this encoding
    try:
        args = _parsed(sys.argv[1:] if argv is None else argv)
        status = _run(args.run, args)
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


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """pprof's options may have one dash or two, and `=true`; but the words after `record` may
    be the command's."""
    if words and (way := cli_words.instead_of(words[0])):
        raise errors.InvalidOption(f"cprof takes a verb, not {words[0]}: {way}")
    main, verbs = parser()
    if not words or words[0] not in verbs:
        return main.parse_args(words)
    known = set(verbs[words[0]]._option_string_actions)
    is_record = words[0] == "record"
    args, unknown = main.parse_known_args(words if is_record else cli_words.spelled(words, known))
    if unknown:
        raise errors.InvalidOption(cli_words.refused(args.verb, unknown, known))
    return args


def _forget_stdout() -> None:
    """Where stdout cannot be written (nobody reads it, no space), let Python's own flush at
    exit succeed."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, AttributeError):
        return
