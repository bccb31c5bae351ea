"""Options that several verbs of the command share, and what they accept."""

import argparse

from cprof import errors, events
from cprof.cli_words import FALSE, GRANULARITIES, LEGACY, TRUE


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


def window(text: str) -> "tuple[float, float | None]":
    """ "5:10", "5:", ":10" in seconds."""
    start, separator, end = text.partition(":")
    try:
        if separator:
            return float(start or 0), float(end) if end else None
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no window of seconds, as in 5:10, 5: or :10")


def _is_true(word: str) -> bool:
    if word.lower() not in TRUE + FALSE:
        raise argparse.ArgumentTypeError(f"{word!r} is neither true nor false")
    return word.lower() in TRUE


def _unit(word: str) -> str:
    from cprof.units import is_unit

    if word and not is_unit(word):
        raise argparse.ArgumentTypeError(f"{word!r} is no unit: say ns, us, ms, s, B, kB, MB ...")
    return "" if word == "minimum" else word


def _divisor(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return value


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1")
    return value


def _switch(group: "argparse._ArgumentGroup", name: str, help: str = argparse.SUPPRESS) -> None:
    group.add_argument(f"-{name}", action="store_true", help=help)


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--json", action="store_true",
        help=f"for programs: an object with sample_type, unit, total (what 100 %% is), totals (by "
        f"sample type), duration (s), event, command, labels, and rows: {what}",
    )  # fmt: skip


def add_files(
    parser: argparse.ArgumentParser, *, nargs: str = "+", has_regex: bool = False
) -> None:
    """FILE... (and REGEX, the last of them)."""
    parser.add_argument(
        "files", nargs=nargs, metavar="FILE",
        help="profiles; several are added up" + (" (the last word is REGEX)" if has_regex else ""),
    )  # fmt: skip


def add_filters(parser: argparse.ArgumentParser) -> None:
    """What part of the files is looked at."""
    group = parser.add_argument_group("which samples")
    _add(group, "-sample_index", "TYPE", "which values: a name (cpu, samples ...) or a number")
    for name in (*LEGACY, "mean_delay"):
        _switch(group, name)
    group.add_argument(
        "--window", type=window, metavar="A:B", help="of the seconds from A to B (A: and :B, too)"
    )
    group.add_argument(
        "--kind", help="of a recording (.cprof) that has several: cpu, or the event (default: cpu)"
    )
    for name, metavar, what in (
        ("tagfocus", "TAG", "with this tag: key=regex, regex of key:value, or key=1kb:2mb"),
        ("tagignore", "TAG", "without this tag"),
    ):
        _add(group, f"-{name}", metavar, what)
    for name, what in (
        ("thread", "of threads of this name or tid"),
        ("comm", "of processes of this name or pid"),
        ("module", "in this program or library"),
        ("under", "with this function on the stack"),
    ):
        group.add_argument(
            f"--{name}", action="append", metavar="GLOB", help=f"{what} (may be given again)"
        )
    group = parser.add_argument_group(
        "which stacks and frames (REGEX: of functions, source files, programs and libraries)"
    )
    for name, what in (
        ("focus", "only stacks with a frame that matches"),
        ("ignore", "only stacks without one"),
        ("hide", "without frames that match"),
        ("show", "only frames that match"),
        ("show_from", "from the outermost frame that matches inwards"),
        ("prune_from", "without what the innermost function that matches calls"),
    ):
        _add(group, f"-{name}", "REGEX", what)
    _switch(group, "noinlines", "without frames of inlined functions")
    for name, what in (
        ("tagroot", "with the values of these labels as outermost frames, the first outermost"),
        ("tagleaf", "with the values of these labels as innermost frames, the last innermost"),
    ):
        _add(group, f"-{name}", "KEY[,KEY]", what)


def add_diff(parser: argparse.ArgumentParser) -> None:
    """What `cprof diff` takes beside filters."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="BASE and NEW; with -diff_base, the runs of NEW"
    )
    parser.add_argument(
        "-diff_base", action="append", metavar="FILE",
        help="a run of the base; several on either side are compared as repeated runs",
    )  # fmt: skip
    parser.add_argument(
        "--mode", choices=("share", "rate", "raw"), default="share",
        help="parts of the whole (default), sums per second, or sums",
    )  # fmt: skip
    parser.add_argument("-n", type=rows, metavar="ROWS", help="rows to show (default 20; 0: all)")
    parser.add_argument(
        "-o", "--output", metavar="OUT",
        help="write it there; the extension says how: .html .svg .png .csv .folded",
    )  # fmt: skip
    parser.add_argument(
        "--stacks", action="store_true",
        help="rows by stack in place of functions; with --json beside them, under that key",
    )  # fmt: skip
    parser.add_argument(
        "--exit-code", action="store_true", help="exit with 9 where something changed (q < 0.05)"
    )
    parser.add_argument(
        "--json", action="store_true",
        help="for programs: an object with mode, sample_type, unit, base, new (files), notes, and "
        "rows: function, module, base, new, delta, low, high (95 %%), p, q, state",
    )  # fmt: skip
    add_filters(parser)
    parser.add_argument(
        "--base-window", type=window, metavar="A:B", help="of the base: the seconds from A to B"
    )
    parser.add_argument(
        "--base-tagfocus", metavar="TAG",
        help="of the base: with this tag; -tagfocus is then of what is compared with it only",
    )  # fmt: skip


def _add(group: "argparse._ArgumentGroup", flag: str, metavar: str, help: str) -> None:
    group.add_argument(flag, metavar=metavar, help=help)


def _add_base(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("less another profile (see also: cprof diff)")
    for name, what in (
        ("diff_base", "subtract FILE; 100 %% is FILE"),
        ("base", "subtract FILE; 100 %% is the sum of all differences"),
    ):
        group.add_argument(f"-{name}", action="append", metavar="FILE", help=what)
    group.add_argument("--base-window", type=window, metavar="A:B", help="of that one")
    _switch(group, "normalize", "scale FILE... to the sum of the base first")
    _switch(group, "drop_negative", "without functions that shrank")


def _add_values(parser: argparse.ArgumentParser, *, has_mean: bool = True) -> None:
    group = parser.add_argument_group("values")
    if has_mean:
        _switch(group, "mean", "divide by the first sample type: the mean of each event")
    group.add_argument("-divide_by", type=_divisor, default=1.0, metavar="N", help="divide by N")
    group.add_argument(
        "-unit", type=_unit, default="", help="ms, s, kB, MB ..., or auto: each value its own"
    )
    _switch(group, "relative_percentages", "100 %% is what passes the filters")


def add_question(
    parser: argparse.ArgumentParser, *, nargs: str = "+", has_regex: bool = False,
    has_mean: bool = True, has_rows: bool = False, is_graph: bool = False,
) -> None:  # fmt: skip
    """All that a verb which answers from files takes."""
    add_files(parser, nargs=nargs, has_regex=has_regex)
    if has_rows:
        group = add_granularity(parser)
        _add_rows(group, is_graph=is_graph)
    _add_values(parser, has_mean=has_mean)
    add_filters(parser)
    _add_base(parser)


def add_granularity(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    group = parser.add_argument_group("rows")
    group.add_argument(
        "-granularity", choices=GRANULARITIES, default=None, metavar="WHAT",
        help=f"{', '.join(GRANULARITIES)} (default: functions); also -lines and so on",
    )  # fmt: skip
    for name in GRANULARITIES:
        group.add_argument(
            f"-{name}", dest=f"by_{name}", action="store_true", help=argparse.SUPPRESS
        )
    _switch(group, "cum", "in order of total, not of self; also -sort=cum")
    _switch(group, "flat")
    group.add_argument("-sort", choices=("cum", "flat"), help=argparse.SUPPRESS)
    return group


def _add_rows(group: "argparse._ArgumentGroup", *, is_graph: bool) -> None:
    """How many rows."""
    if is_graph:
        _switch(group, "call_tree", "call paths, as report --tree")
    usual = "80" if is_graph else "20"
    group.add_argument(
        "-n", "-nodecount", dest="n", type=rows, metavar="N",
        help=f"so many (0: all; default: {usual}, of --json all)",
    )  # fmt: skip
    group.add_argument(
        "-nodefraction", type=_fraction, metavar="F",
        help="without rows whose total is below F of the whole (default: 0.005, of --json 0)",
    )  # fmt: skip
    if is_graph:
        group.add_argument(
            "-edgefraction", type=_fraction, metavar="F",
            help="without calls below F of the whole (default: 0.001, of --json 0)",
        )  # fmt: skip
    group.add_argument(
        "-trim", type=_is_true, default=True, metavar="false",
        help="false: all rows" + (" and calls" if is_graph else ""),
    )  # fmt: skip


def refuse_live(args: argparse.Namespace) -> None:
    """What selects from files has no place in a live view."""
    parser = argparse.ArgumentParser()
    add_filters(parser)
    _add_base(parser)
    usual = vars(parser.parse_args([]))
    for name in usual.keys() - {"sample_index", "mean_delay", *LEGACY}:
        if getattr(args, name) != usual[name]:
            raise errors.InvalidOption(f"top -p: -{name} is for files; record into one first")


def chosen_granularity(args: argparse.Namespace) -> str:
    """From -granularity=lines, or -lines."""
    given = [name for name in GRANULARITIES if getattr(args, f"by_{name}", False)]
    given += [args.granularity] if args.granularity else []
    if len(set(given)) > 1:
        raise errors.InvalidOption(f"one granularity, not {' and '.join(dict.fromkeys(given))}")
    return given[0] if given else "functions"


def is_cum(args: argparse.Namespace) -> bool:
    if (args.cum or args.sort == "cum") and (args.flat or args.sort == "flat"):
        raise errors.InvalidOption("-cum or -flat, not both")
    return bool(args.cum or args.sort == "cum")


def chosen_type(args: argparse.Namespace) -> "str | None":
    """From -sample_index=x, or pprof's older -inuse_space and its kin."""
    given = [args.sample_index] if args.sample_index else []
    given += [LEGACY[name] for name in LEGACY if getattr(args, name, False)]
    given += ["delay"] if args.mean_delay else []
    if len(set(given)) > 1:
        raise errors.InvalidOption(f"one sample type, not {' and '.join(given)}")
    return given[0] if given else None


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
