"""The verb `diff`: two files beside each other, or two sets of repeated runs."""

import argparse
import sys

from cprof import cli, errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof.diff import Diff
    from cprof.profile import Profile


def diff(args: argparse.Namespace) -> int:
    """`cprof diff BASE NEW`, `cprof diff -diff_base BASE ... NEW ...`."""
    if args.output:
        cli.check_output(args.output)
    bases, news = _sides(args)
    found = _compared(args, bases, news)
    if args.output:
        found.write(args.output)
        cli.say(f"wrote {args.output}")
    if args.json:
        cli.print_json(found.to_json(stacks=args.stacks) | {"base": bases, "new": news})
    elif not args.output:
        _show(found, 20 if args.n is None else args.n or sys.maxsize, args.stacks)
    return cli.DIFFERENT if args.exit_code and found.changed else cli.OK


def _show(found: "Diff", n: int, is_by_stack: bool) -> None:
    width = cli.terminal_width()
    table = found.top(n, "stack" if is_by_stack else "function")
    print(table.text(width) if width else table.text(full_names=True))


def _sides(args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The files of either side."""
    if args.diff_base:
        return args.diff_base, args.files
    if len(args.files) == 1 and (args.window or args.base_window or args.base_tagfocus):
        return args.files, args.files
    if len(args.files) != 2:
        raise errors.InvalidOption(
            f"diff: give BASE and NEW, not {len(args.files)} files; or one file with --base-window "
            "and --window, or --base-tagfocus and -tagfocus; or, to compare repeated runs, "
            "-diff_base BASE for each of the base's"
        )
    return args.files[:1], args.files[1:]


def _compared(args: argparse.Namespace, bases: list[str], news: list[str]) -> "Diff":
    from cprof.cli_read import sample_type
    from cprof.diff import compare

    of_base = argparse.Namespace(**vars(args))
    of_base.tagfocus = args.base_tagfocus or args.tagfocus
    base = [_read(of_base, path, args.base_window) for path in bases]
    new = [_read(args, path, args.window) for path in news]
    wanted = base[0].sample_types[sample_type(base[0], args)][0]
    try:
        return compare(base, new, mode=args.mode, sample_type=wanted)
    except ValueError as error:
        files = f"base: {', '.join(bases)}; new: {', '.join(news)}"
        raise ValueError(f"{error} ({files})") from error


def _read(
    args: argparse.Namespace, path: str, window: tuple[float, float | None] | None
) -> "Profile":
    from cprof.cli_read import filtered, load_files

    return filtered(load_files([path], window, args.kind), args)
