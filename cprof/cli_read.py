"""Verbs that read profiles from files: `top`, `report`, `tree`, `peek`, `traces`, `tags`,
`list`, `disasm`, `flamegraph`, `export`, `ui`. Results go to stdout or to a file.

What pprof does in internal/driver: files are added up, a base is subtracted, filters apply,
and percentages are of all that there was before the filters, unless told otherwise.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from itertools import islice

from cprof import cli, cli_options, errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cprof.graph import Trim
    from cprof.listing import Listing
    from cprof.profile import Profile
    from cprof.question import Question
    from cprof.recording import Recording
    from cprof.report import Table

    Window = tuple[float, float | None] | None

_FRAMES = ("focus", "ignore", "hide", "show", "show_from", "prune_from")
_GLOBS = ("thread", "comm", "module", "under")


# Reading


def load_files(paths: Sequence[str], window: "Window" = None, kind: str | None = None) -> "Profile":
    """The sum of these files, of their samples in `window`; of recordings the `kind`, or the
    main one. Of many, one is in memory."""
    from cprof.profile import added

    loaded = (_load(path, window, kind) for path in paths)
    profile = next(loaded) if len(paths) == 1 else added(loaded)
    if window is not None and not profile._core.n:
        raise errors.NoSamples(f"none in {_named(paths, window)}: {_spans(paths)}")
    return profile


def _spans(paths: Sequence[str]) -> str:
    """What times there are, for those who asked for others."""
    from cprof.readers import load

    spans = {path: load(path).span for path in paths}
    return ", ".join(f"{path} has {start:.4g}:{end:.4g} s" for path, (start, end) in spans.items())


def _load(path: str, window: "Window" = None, kind: str | None = None) -> "Profile":
    from cprof.readers import load_profile

    try:
        profile = load_profile(path, window=window, kind=kind)
    except OSError as error:
        raise cli.Unreadable(cli.message(error)) from error
    if window is None and not profile._core.n:
        raise errors.NoSamples(f"{path} is empty")
    return profile


def filtered(profile: "Profile", args: argparse.Namespace) -> "Profile":
    """The samples and frames that pass all filters. Raises NoSamples where nothing does, with
    the first filter after which nothing was left."""
    for name in ("tagroot", "tagleaf"):  # first: other filters may mean these frames
        if keys := getattr(args, name):
            profile = getattr(profile, name)(*keys.split(","))
    for name in _GLOBS:
        words = getattr(args, name)
        if words:
            wanted: Any = words if name in ("module", "under") else _names_and_numbers(words)
            profile = _some(profile.filter(**{name: wanted}), f"--{name} {' '.join(words)}")
    for name in _FRAMES:
        if pattern := getattr(args, name):
            profile = _some(getattr(profile, name)(pattern), f"-{name}={pattern}")
    for name in ("tagfocus", "tagignore"):
        if expression := getattr(args, name):
            profile = _some(getattr(profile, name)(expression), f"-{name}={expression}")
    return profile.without_inlines() if args.noinlines else profile


def _some(profile: "Profile", option: str) -> "Profile":
    if not profile._core.n:
        raise errors.NoSamples(f"nothing passes {option}")
    return profile


def _names_and_numbers(words: list[str]) -> "list[str | int]":
    """Patterns of threads: digits may be an id, or a name."""
    return [*words, *(int(word) for word in words if word.isascii() and word.isdigit())]


def read(args: argparse.Namespace) -> "Profile":
    """The sum of FILE..., as far as it passes the filters."""
    return filtered(load_files(args.files, args.window, args.kind), args)


def sample_type(profile: "Profile", args: argparse.Namespace) -> int:
    """The number of the sample type that was asked for, by name or number."""
    wanted = cli_options.chosen_type(args)
    names = [name for name, _ in profile.sample_types]
    if wanted is not None and wanted.isascii() and wanted.isdigit() and wanted not in names:
        if int(wanted) >= len(names):
            raise ValueError(f"no sample type {wanted}: there are {_numbered(names)}")
        return int(wanted)
    if wanted is not None and wanted.startswith("inuse_") and wanted not in names:
        wanted = wanted.removeprefix("inuse_")  # heap profiles of long ago
    return profile._type(wanted)


def _numbered(names: Sequence[str]) -> str:
    return ", ".join(f"{name} ({i})" for i, name in enumerate(names))


def live_question(window: "Profile", args: argparse.Namespace) -> "Question":
    """The same of a window of a recording that goes on."""
    from cprof.question import Question
    from cprof.report import Shown

    index = sample_type(window, args)
    is_mean = args.mean or args.mean_delay
    return Question(
        window, index, mean=is_mean, shown=Shown(_unit(args, window, index), args.divide_by)
    )


def question(args: argparse.Namespace, *, needs_lines: bool = False) -> "Question":
    """FILE..., less the base, as far as they pass the filters; and how to show them."""
    from cprof.graph import whole
    from cprof.question import Question, subtract
    from cprof.report import Shown

    is_mean = getattr(args, "mean", False) or args.mean_delay
    profile, base = load_files(args.files, args.window, args.kind), _base(args)
    index = sample_type(profile, args)
    heading = None
    if base is not None:
        if is_mean:
            raise errors.InvalidOption("-mean with a base: means cannot be subtracted")
        profile = subtract(profile, base, normalize=args.normalize)
        heading = [_difference(args)]
    if needs_lines:
        profile = profile.with_lines()
    seen = filtered(profile, args)
    all_of = base if base is not None and args.diff_base else profile
    if args.relative_percentages:
        all_of = filtered(base, args) if all_of is base and base is not None else seen
    if not seen._core.n:
        raise errors.NoSamples("none in this window")
    return Question(
        seen, index, mean=is_mean, shown=Shown(_unit(args, seen, index), args.divide_by),
        whole=whole(all_of._core, index, mean=is_mean), heading=heading,
    )  # fmt: skip


def _difference(args: argparse.Namespace) -> str:
    """What is shown, and what 100 % is."""
    base = _named(args.diff_base or args.base, args.base_window)
    scaled = ", scaled to the same sum," if args.normalize else ""
    of = base if args.diff_base else "the sum of all differences, without their signs"
    return f"{_named(args.files, args.window)}{scaled} less {base}; 100 % is {of}"


def _named(paths: Sequence[str], window: "Window") -> str:
    start, end = window or (0.0, None)
    seconds = f" ({start:g}:{'' if end is None else f'{end:g}'} s)" if window else ""
    return " + ".join(paths) + seconds


def _unit(args: argparse.Namespace, profile: "Profile", index: int) -> str:
    from cprof.units import is_convertible

    unit = str(args.unit)
    own = profile.sample_types[index][1]
    if unit and not is_convertible(own, unit):
        raise errors.InvalidOption(f"-unit={unit}: the values are {own}")
    return unit


def _base(args: argparse.Namespace) -> "Profile | None":
    if args.base and args.diff_base:
        raise errors.InvalidOption("-base or -diff_base, not both")
    paths = args.base or args.diff_base
    for name in ("normalize", "base_window"):
        if getattr(args, name) and not paths:
            raise errors.InvalidOption(f"-{name} needs a base: -diff_base=FILE or -base=FILE")
    return load_files(paths, args.base_window, args.kind) if paths else None


def _pattern(args: argparse.Namespace) -> str:
    """REGEX, the last word (the first, where only the last one is a file)."""
    words = args.files
    if len(words) < 2:
        raise errors.InvalidOption(f"{args.verb}: give FILE... and then REGEX")
    is_first = os.path.exists(words[-1]) and not os.path.exists(words[0])
    return str(words.pop(0 if is_first else -1))


# Answers


def report(args: argparse.Namespace) -> int:
    """`report`, and `top` of files."""
    ask = question(args, needs_lines=_needs_lines(args))
    if getattr(args, "tree", False):
        print(ask.profile.tree(ask.profile.sample_types[ask.index][0]))
        return cli.OK
    n = args.n if args.json or args.n is not None else 20
    table = top_table(ask, args, n or sys.maxsize)
    if args.json:
        return print_table(ask, table)
    print(table_text(table))
    if modules := _modules_text(ask.profile, is_asked=getattr(args, "quality", False)):
        print(f"\n{modules}")
    return cli.OK


def top_table(ask: "Question", args: argparse.Namespace, n: int) -> "Table":
    granularity = cli_options.chosen_granularity(args)
    return ask.table(
        n, granularity, cum=cli_options.is_cum(args), min_share=_trim(args).nodes,
        drop_negative=args.drop_negative,
    )  # fmt: skip


def print_table(ask: "Question", table: "Table") -> int:
    """As JSON."""
    from cprof.report import quality_data

    return _json(ask, _rows(ask, table), {"quality": quality_data(ask.profile)})


def _needs_lines(args: argparse.Namespace) -> bool:
    return cli_options.chosen_granularity(args) in ("filefunctions", "files", "lines")


def _modules_text(profile: "Profile", *, is_asked: bool) -> str:
    """How good the stacks are by module; unasked only where they break off, if they do."""
    from cprof.report import broken_modules

    if is_asked:
        return str(profile.quality_by_module())
    modules = broken_modules(profile)
    return f"where stacks break off:\n{modules}" if modules else ""


def table_text(table: "Table") -> str:
    """As wide as the terminal; with whole names where there is none."""
    width = cli.terminal_width()
    return table.text(width) if width else table.text(full_names=True)


def _rows(
    ask: "Question", rows: "Iterable[Any]", names: Sequence[str] = ("self", "total", "value")
) -> "list[dict[str, Any]]":
    """Rows as objects, their values (under `names`) divided as asked for."""
    value = ask.shown.value
    return [{k: value(v) if k in names else v for k, v in dict(row).items()} for row in rows]


def _json(ask: "Question", rows: "list[Any]", more: "dict[str, Any]") -> int:
    profile = ask.profile
    name, unit = profile.sample_types[ask.index]
    return cli.print_json(
        {
            "command": profile.command,
            "event": profile.event,
            "duration": profile.duration,
            "sample_type": name,
            "unit": unit,
            "total": ask.shown.value(ask.whole),
            "totals": dict(profile.totals),
            "labels": dict(profile.labels),
            **more,
            "rows": rows,
        }
    )


def _trim(args: argparse.Namespace) -> "Trim":
    from cprof.graph import EDGE_FRACTION, NODE_COUNT, NODE_FRACTION, WHOLE, Trim

    if not args.trim:
        return WHOLE
    usual = WHOLE if args.json else Trim(NODE_FRACTION, EDGE_FRACTION, NODE_COUNT)
    given = (args.nodefraction, getattr(args, "edgefraction", 0.0), args.n)
    return Trim(*(u if g is None else g for u, g in zip(usual.values(), given, strict=True)))


def tree(args: argparse.Namespace) -> int:
    granularity = cli_options.chosen_granularity(args)
    ask = question(args, needs_lines=_needs_lines(args))
    if args.call_tree:
        if args.json:
            raise errors.InvalidOption("tree: -call_tree is text only; cprof export OUT.folded")
        print(ask.profile.tree(ask.profile.sample_types[ask.index][0]))
        return cli.OK
    graph = ask.graph(
        granularity, cum=cli_options.is_cum(args), trim=_trim(args),
        drop_negative=args.drop_negative,
    )  # fmt: skip
    if args.json:
        return _json(ask, _graph_rows(ask, graph.data()), {})
    _print([*map(_printable, ask.heading), *_dropped(graph.n_dropped)])
    return _print(graph.lines(shown=ask.shown, width=cli.terminal_width()))


def _dropped(n: int) -> list[str]:
    return [f"without {n:,d} that cost little (-trim=false shows them)"] if n else []


def _graph_rows(ask: "Question", rows: "list[dict[str, Any]]") -> "list[dict[str, Any]]":
    ends = ("callers", "callees")
    return [row | {end: _rows(ask, row[end]) for end in ends} for row in _rows(ask, rows)]


def peek(args: argparse.Namespace) -> int:
    pattern, granularity = _pattern(args), cli_options.chosen_granularity(args)
    ask = question(args, needs_lines=_needs_lines(args))
    graph = ask.graph(granularity, cum=cli_options.is_cum(args), drop_negative=args.drop_negative)
    matched = graph.matching(pattern)
    if args.json:
        return _json(ask, _graph_rows(ask, graph.data(matched)), {})
    _print(map(_printable, ask.heading))
    return _print(graph.lines(only=matched, shown=ask.shown, width=cli.terminal_width()))


def traces(args: argparse.Namespace) -> int:
    ask = question(args, needs_lines=args.lines)
    found = ask.traces(by_line=args.lines)
    n = args.n or len(found)
    if args.json:
        names = [name for name, _ in ask.profile.sample_types]
        rows = [
            dict(trace)
            | {
                "stack": [{"function": f, "module": m} for f, m in trace.stack],
                "sums": dict(zip(names, trace.sums, strict=True)),
            }
            for trace in islice(found, n)
        ]
        return _json(ask, _rows(ask, rows), {})
    _print(map(_printable, ask.heading))
    return _print(found.lines(n, shown=ask.shown, width=cli.terminal_width()))


def tags(args: argparse.Namespace) -> int:
    ask = question(args)
    found = ask.tags(args.tagshow, args.taghide)
    if args.json:
        return _json(ask, _rows(ask, found, ("total",)), {})
    return _print([found.text(shown=ask.shown)])


def comments(args: argparse.Namespace) -> int:
    """Those of all files, each once."""
    found = dict.fromkeys(c for path in args.files for c in _load(path)._run["comments"])
    if args.json:
        return cli.print_json({"rows": list(found)})
    return _print(map(_printable, found))


def _printable(line: str) -> str:
    from cprof.names import printable

    return printable(line)


def _print(lines: "Iterable[str]") -> int:
    """Line by line: whoever reads may have enough early."""
    for line in lines:
        print(line)
    return cli.OK


# Code


def list_lines(args: argparse.Namespace) -> int:
    pattern = _pattern(args)
    ask = question(args, needs_lines=True)
    name = ask.profile.sample_types[ask.index][0]
    return _listed(
        args, ask, "lines",
        ask.profile.list(
            pattern, name, source_path=args.source_path, trim_path=args.trim_path
        ),
    )  # fmt: skip


def disasm(args: argparse.Namespace) -> int:
    pattern = _pattern(args)
    ask = question(args, needs_lines=True)
    name = ask.profile.sample_types[ask.index][0]
    return _listed(
        args, ask, "instructions",
        ask.profile.disassemble(pattern, name, intel_syntax=args.intel_syntax),
    )  # fmt: skip


def _listed(args: argparse.Namespace, ask: "Question", what: str, listing: "Listing") -> int:
    listing.whole, listing.shown = ask.whole, ask.shown
    if not args.json:
        return _print([listing.text()])
    rows = [
        {
            "function": f.function, "module": f.module, "file": f.place, "self": f.self,
            "total": f.total, "note": f.note, what: _rows(ask, f.rows),
        }
        for f in listing
    ]  # fmt: skip
    return _json(ask, _rows(ask, rows), {})


# Files


def flamegraph(args: argparse.Namespace) -> int:
    args.output = args.output or f"{_stem(args.files[0])}.svg"
    return export(args)


def _stem(path: str) -> str:
    for known in (".gz", ".pb", ".pprof", ".cprof"):
        path = path.removesuffix(known)
    return os.path.basename(path)


def export(args: argparse.Namespace) -> int:
    """Write a profile in another format."""
    cli.check_output(args.output)
    profile = read(args)
    name = profile.sample_types[sample_type(profile, args)][0]
    profile.write(args.output, sample_type=name, times=args.times)
    cli.say(f"wrote {args.output}")
    return cli.OK


def _all_kinds(args: argparse.Namespace) -> "Recording | None":
    """A recording of more than one kind, where none of them was asked for."""
    from cprof.readers import is_recording
    from cprof.recording import Recording

    if len(args.files) > 1 or args.kind is not None or cli_options.chosen_type(args) is not None:
        return None
    if not is_recording(args.files[0]):
        return None
    loaded = Recording.load(args.files[0])
    if len(loaded) == 1:
        return None
    seen = loaded if args.window is None else loaded.window(*args.window)
    return Recording({kind: filtered(profile, args) for kind, profile in seen.items()})


def ui(args: argparse.Namespace) -> int:
    """Write the page, and open it."""
    from cprof.page import page, show

    if args.output:
        cli.check_output(args.output)
    several = _all_kinds(args)
    if several is not None:
        text = page(several)
    else:
        profile = read(args)
        text = profile.html(sample_type=profile.sample_types[sample_type(profile, args)][0])
    path, is_open = show(text, args.output, browser=args.output is None)
    cli.say(f"wrote {path}")
    if args.output is None and not is_open:
        cli.say("no browser opened it here: open that file yourself")
    return cli.OK
