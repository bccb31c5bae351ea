"""Options that several verbs of the command share, and what they accept."""

import argparse

from cprof import events


def pids(text: str) -> list[int]:
    try:
        pids = [int(part) for part in text.split(",")]
    except ValueError:
        pids = []
    if not pids or any(not 0 < pid < 2**31 for pid in pids):
        raise argparse.ArgumentTypeError(f"{text!r} is no process id")
    return pids


def pid(text: str) -> int:
    return pids(text)[0] if "," not in text else pids("")[0]


def rows(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows")
    return int(text)


def add_output_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json",
        action="store_true",
        help="an object with totals (by sample type), quality (see Profile.quality, and modules), "
        "rows (of function, module, self, total, in order of self), sample_type, unit, duration, "
        "event, command, labels",
    )
    parser.add_argument("-n", type=rows, metavar="ROWS", help="rows to show (0: all)")
    parser.add_argument("--sample-type", metavar="NAME", help="for example cpu or samples")


def add_filters(parser: argparse.ArgumentParser) -> None:
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


def add_recording(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-p", "--pid", dest="pids", type=pids, action="extend", default=[], metavar="PID[,PID]",
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
