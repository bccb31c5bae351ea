"""Verbs that read a profile from a file: `report`, `top`, `list`, `disasm`, `flamegraph`,
`export`. Results go to stdout or to a file."""

import argparse
import os
import sys

from cprof import cli, errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cprof.profile import Profile


def _load(args: argparse.Namespace) -> "Profile":
    from cprof.profile import load

    try:
        profile = load(args.file)
    except OSError as error:
        raise cli.Unreadable(cli.message(error)) from error
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
        return cli.print_json(report_json(profile, args.n, args.sample_type))
    if getattr(args, "tree", False):
        print(profile.tree(args.sample_type))
        return cli.OK
    n = 20 if args.n is None else args.n or sys.maxsize
    print(table_text(profile, n, args.sample_type))
    if modules := _modules_text(profile, is_asked=getattr(args, "quality", False)):
        print(f"\n{modules}")
    return cli.OK


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
    width = cli.terminal_width()
    return table.text(width) if width else table.text(full_names=True)


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
    return cli.OK


def disasm(args: argparse.Namespace) -> int:
    print(_load(args).disassemble(args.regex, args.sample_type))
    return cli.OK


def flamegraph(args: argparse.Namespace) -> int:
    if args.output is None:
        stem = args.file
        for known in (".gz", ".pb", ".pprof"):
            stem = stem.removesuffix(known)
        args.output = f"{os.path.basename(stem)}.svg"
    return export(args)


def export(args: argparse.Namespace) -> int:
    """Write a profile in another format."""
    cli.check_output(args.output)
    profile = _load(args)
    profile.write(args.output, sample_type=args.sample_type)
    cli.say(f"wrote {args.output}")
    return cli.OK
