"""Profile: what a recording found, as one immutable table of samples, and every view of it.

A view (a window, a filter, a sum) is a Profile again. Nothing here records
(`cprof.recorder`), formats (`cprof.report`) or draws (`cprof.plot`).
"""

import builtins
import os
from collections.abc import Iterator, Mapping, Sequence

from cprof import _core
from cprof.errors import CprofError, NoSymbols, translated
from cprof.rows import FunctionRow, ModuleQuality, Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime
    from typing import Any

    import pandas
    from matplotlib.axes import Axes

    from cprof.graph import CallTable, Graph, Peek
    from cprof.labels import Tags
    from cprof.listing import Listing, Paths
    from cprof.match import Pattern
    from cprof.plot_time import Heatmap
    from cprof.question import Question
    from cprof.report import ModuleTable, Table
    from cprof.stats import Estimate
    from cprof.traces import Traces
    from cprof.tree import Node

_LABEL = "cprof.label."
COMPLETE = ("root", "kernel")  # ends of a stack that is whole
HOW = ("fallback", "guessed", "spliced", "continued", "refused")  # a stack may be found
_END_OF_TIME = 2**64 - 1
_MAX_SECONDS = 1e9
_MAX_WINDOWS = 1_000_000
_NS = 1e9


def value_columns(core: _core.Profile) -> list[str]:
    """The column name of each sample type: its own, or "<name> value" where that is taken."""
    taken = Columns._FIXED
    return [f"{name} value" if name in taken else name for name, _ in core.sample_types]


class Columns(Mapping[str, memoryview]):
    """The columns of a profile by name, as read-only buffers; reading one copies nothing.

    "time" (uint64, CLOCK_MONOTONIC ns), "pid", "tid", "cpu_id" (int32, -1 unknown),
    "thread", "stack" (uint32, numbers), "how" (uint8, how the stack was found, the sum of 1
    fallback, 2 guessed, 4 spliced, 8 continued, 16 refused), "n_added" (uint16, outermost
    frames that were spliced or continued), and each sample type (int64; " value" is appended
    to a name that is taken). One entry for each row. What is not stored is made: how and
    n_added where all are 0, samples where nearly all are 1.
    """

    _FIXED = ("time", "pid", "tid", "cpu_id", "thread", "stack", "how", "n_added")

    def __init__(self, core: _core.Profile) -> None:
        self._core = core
        self._names = (*self._FIXED, *value_columns(core))

    def __getitem__(self, name: str) -> memoryview:
        if name not in self._names:
            raise KeyError(name)
        return memoryview(self._core.column(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Profile:
    """The samples of one recording, or a view of them. Immutable; equal only to itself.

    Times are seconds since the recording began, also in views. A `sample_type` is the name
    of one of `sample_types`; None is the profile's own default (for recordings, "cpu"
    in nanoseconds). Made by `cprof.record`, `Recorder` and `cprof.load`.
    """

    __slots__ = ("__weakref__", "_core", "_counted", "_lined", "_run")

    def __init__(self, core: _core.Profile) -> None:
        self._core = core
        self._run = core.run
        self._counted: dict[str, Any] | None = None  # the core's quality(), once asked for
        self._lined: Profile | None = None  # with_lines(), once asked for

    # What it is

    @property
    def samples(self) -> int:
        """How many samples (lost ones are not among them)."""
        return int(self._counts()["samples"])

    @property
    def lost(self) -> int:
        """How many samples the kernel could not deliver; they stand as "[lost]"."""
        return int(self._counts()["lost"])

    @property
    def truncated(self) -> int:
        """How many samples have a stack that was larger than the bytes copied of it."""
        return int(self._counts()["ends"]["truncated"])

    @property
    def duration(self) -> float:
        """Seconds that this profile covers; the sum of both for `p + q`."""
        return float(self._run["to"] - self._run["from"])

    @property
    def span(self) -> tuple[float, float]:
        """The seconds (from, to) since the recording began that this profile covers."""
        return float(self._run["from"]), float(self._run["to"])

    @property
    def event(self) -> str:
        """What really sampled: "cycles", "task-clock" ...; "" when an imported file does
        not say."""
        return str(self._run["event"])

    @property
    def command(self) -> str:
        """The command line that was recorded, or "pid 123"; "" when unknown."""
        return str(self._run["command"])

    @property
    def host(self) -> str:
        """The machine's name; "" when unknown."""
        return str(self._run["host"])

    @property
    def start_time(self) -> "datetime | None":
        """When this profile's span began (aware, UTC); None when unknown."""
        return start_time_of(self._run)

    @property
    def sample_types(self) -> builtins.list[tuple[str, str]]:
        """(name, unit) of each value that a sample has."""
        return self._core.sample_types

    @property
    def totals(self) -> dict[str, int]:
        """The sum over all samples by sample type name, lost samples included."""
        names = (name for name, _ in self._core.sample_types)
        return dict(zip(names, self._core.totals(), strict=True))

    @property
    def threads(self) -> builtins.list[Thread]:
        """The threads that have samples here, in order of pid and tid."""
        table = self._core.threads
        rows = {Thread(*table[i]) for i in set(memoryview(self._core.column("thread")))}
        return sorted(rows, key=lambda row: (row.pid, row.tid, row.name))

    @property
    def modules(self) -> builtins.list[str]:
        """The programs and libraries on the stacks, in order of self."""
        sums: dict[str, int] = {}
        for row in self._rows(self._core.default_type):
            if row.module:
                sums[row.module] = sums.get(row.module, 0) + row.self
        return sorted(sums, key=lambda module: (-sums[module], module))

    @property
    def labels(self) -> dict[str, str]:
        """What the user called this recording (`labels=`). Where the parts of a sum differ,
        their values are joined by ", "."""
        return labels_of(self._run["comments"])

    @property
    def quality(self) -> "Mapping[str, Any]":
        """How good the data are; docs/estimator.md says more. The keys are stable:

        Samples: `samples`, `lost`, `throttled` (times the kernel paused an event),
        `unknown` (no name at the leaf), `kernel` (taken in the kernel), `kernel_excluded`
        (the kernel's part was not allowed or not asked for).

        Stacks: `complete`, the part of the samples whose stack reached its start, 0..1, 0
        without samples; `ends`, {why a stack ended: samples}, and of these `truncated` (it
        was larger than the copy) and `no_mapping`. How they were found: `unwound`,
        {unwinder: samples}, and counts of samples: `fallback` (tables did not do), `guessed`
        (with a step that no table vouched for), `spliced` (outer frames by frame
        pointers), `continued` (outer frames read from the live process), `refused` (that was
        tried, but the stack had changed). `verified` of the samples were unwound a second
        time, by libunwind, and `agreed` of them had the same stack.

        The recording: `rate_asked` (Hz of CPU time, None when by period or unknown) and
        `rate_reached` (samples per second of CPU time, None when unknown); `coverage`, CPU
        time by the samples over CPU time by the kernel's own count, None when unknown;
        `event`, `stack_bytes`, `switches`, `bad_records`, `waited` (samples that waited for
        the tables of a file), `exact` (how the threads were scheduled that read on in the
        live process: "fifo" and "nice" come before the target, "default" may be late;
        "refused" where its memory may not be read; "" where none was needed), `live_dropped`
        (stacks whose rest was not read in time), `lines_refused` (how often debug
        information made no sense, or far too much work).

        Of a whole recording only, 0 or None in a view of a part of it: `switches`,
        `bad_records`, `coverage`, `verified`, `agreed`, `waited`, `live_dropped`,
        `lines_refused`.
        """
        return _quality(self._core, self._run, self._counts())

    def quality_by_module(self) -> "ModuleTable":
        """The same for each program and library: how good the stacks of the samples are that
        were taken in it, and how many stacks, of any sample, broke off in it. Most samples
        first; shows itself as a table."""
        from cprof.report import ModuleTable

        return ModuleTable(_module_row(*row) for row in self._core.quality_by_module())

    # Views

    def window(self, t0: float, t1: float | None = None) -> "Profile":
        """The samples with t0 <= time < t1, in seconds since the recording began (also when
        this is a window itself); t1 None is the end.

        Raises ValueError for a negative or reversed span, CprofError when the profile has
        no times (as pprof files, but for those whose samples carry a label timestamp_ns).
        """
        check_window(t0, t1)
        self._need_times()
        start = self._run["start_mono"]
        last = _END_OF_TIME if t1 is None else min(start + round(t1 * _NS), _END_OF_TIME)
        with translated():
            return Profile(self._core.window(min(start + round(t0 * _NS), last), last))

    def __getitem__(self, seconds: slice) -> "Profile":
        """`p[2.0:5.0]`, `p[:3]`: the same as `window`."""
        if not isinstance(seconds, slice):
            raise TypeError("a profile takes a span of seconds, as in p[2.0:5.0]")
        if seconds.step is not None:
            raise ValueError("p[t0:t1] takes no step; split(every=) cuts a profile into parts")
        return self.window(self.span[0] if seconds.start is None else seconds.start, seconds.stop)

    def split(self, every: float) -> "builtins.list[Profile]":
        """The whole span cut into windows of `every` seconds, the last one shorter. Each
        sample is in exactly one. Raises ValueError unless `every` is positive."""
        if not every > 0:
            raise ValueError(f"cannot split every {every} s: it must be positive")
        self._need_times()
        begin, end = self._extent()
        if (end - begin) / every > _MAX_WINDOWS:
            raise ValueError(f"every {every} s makes more than {_MAX_WINDOWS:,d} windows")
        n = max(1, -int(-((end - begin) / every - 1e-9) // 1))
        cuts: list[float | None] = [begin + i * every for i in range(n)]
        return [self.window(t0 or 0.0, t1) for t0, t1 in zip(cuts, [*cuts[1:], None], strict=True)]

    def filter(
        self,
        *,
        thread: "Pattern | None" = None,
        comm: "Pattern | None" = None,
        module: "str | Sequence[str] | None" = None,
        under: "str | Sequence[str] | None" = None,
    ) -> "Profile":
        """The samples that pass every given test; each takes one pattern or several (any of
        them). Patterns are globs, case counts.

        `thread`: the thread's name, or its tid (int). `comm`: its process's name, or pid
        (int). `module`: the program or library of the innermost frame, by name, or by path
        where the pattern has a slash. `under`: a function anywhere on the stack, written
        whole or without its C++ parameters and template arguments.

        Nothing left is an empty profile. Raises NoSymbols for `under` on a profile without
        any names.
        """
        from cprof import match

        core = self._core
        masks: dict[str, bytes] = {}
        if thread is not None or comm is not None:
            masks["thread"] = match.by_thread(core.threads, thread, comm)
        if module is not None:
            masks["module"] = match.by_module(core.mappings, module)
        if under is not None:
            self._need_names()
            masks["under"] = match.by_function(core.functions_table, under)
        with translated():
            return Profile(core.filter(**masks))

    # Views by regular expressions: re.search in names of functions, of source files, and paths
    # of programs and libraries; what they do to stacks is what google/pprof does

    def focus(self, pattern: str) -> "Profile":
        """The samples with a frame on the stack that matches."""
        return self._refined("focus", pattern)

    def ignore(self, pattern: str) -> "Profile":
        """The samples without a frame that matches."""
        return self._refined("ignore", pattern)

    def hide(self, pattern: str) -> "Profile":
        """All stacks without the frames that match; their callers take their cost."""
        return self._refined("hide", pattern)

    def show(self, pattern: str) -> "Profile":
        """All stacks with only the frames that match; samples without one go."""
        return self._refined("show", pattern)

    def show_from(self, pattern: str) -> "Profile":
        """All stacks from the outermost frame that matches inwards; samples without one go."""
        return self._refined("show_from", pattern)

    def prune_from(self, pattern: str) -> "Profile":
        """All stacks without what the innermost function that matches (its name without
        parameters) calls."""
        return self._refined("prune_from", pattern)

    def without_inlines(self) -> "Profile":
        """All stacks without frames of inlined functions."""
        return self._refined("noinlines", "")

    def tagfocus(self, tag: str) -> "Profile":
        """The samples with a label (see `tags`) that matches: `key=regex`, a regex of
        "key:value", or a range of numbers as in `bytes=1kb:2mb`, `tid=7`, `:10ms`."""
        from cprof.labels import filtered

        with translated():
            return Profile(filtered(self._core, focus=tag))

    def tagignore(self, tag: str) -> "Profile":
        """The samples without such a label."""
        from cprof.labels import filtered

        with translated():
            return Profile(filtered(self._core, ignore=tag))

    def tagroot(self, *keys: str) -> "Profile":
        """The same samples with their values of labels (see `tags`) as frames outside of their
        stacks, the first key outermost: `p.tagroot("thread")` has a call tree for each thread.
        Raises ValueError for a key that no sample has."""
        return self._framed(roots=keys)

    def tagleaf(self, *keys: str) -> "Profile":
        """The same as frames inside of their stacks, the last key innermost."""
        return self._framed(leaves=keys)

    def _framed(self, **keys: "Sequence[str]") -> "Profile":
        from cprof.label_frames import framed

        with translated():
            return Profile(framed(self.with_lines()._core, **keys))

    def __add__(self, other: "Profile") -> "Profile":
        """Both together; sample types must agree (ValueError)."""
        return added((self, other)) if isinstance(other, Profile) else NotImplemented

    def __radd__(self, other: object) -> "Profile":
        """`sum(profiles)` starts with 0."""
        return self if other == 0 else NotImplemented

    # Questions

    def functions(
        self,
        sample_type: str | None = None,
        *,
        cum: bool = False,
        granularity: str = "functions",
    ) -> "Table":
        """All functions as rows of `function, module, self, total`, in order of self (`cum`: of
        total). `granularity`: rows are "functions", "filefunctions", "files", "lines",
        "addresses" or "modules", then with `file, line, address`, too."""
        return self._question(sample_type, granularity).table(None, granularity, cum=cum)

    def top(
        self,
        n: int = 20,
        sample_type: str | None = None,
        *,
        cum: bool = False,
        granularity: str = "functions",
    ) -> "Table":
        """The first `n` rows of `functions()` under a line that says what was recorded;
        shows itself as a table."""
        return self._question(sample_type, granularity).table(n, granularity, cum=cum)

    def graph(self, sample_type: str | None = None, *, granularity: str = "functions") -> "Graph":
        """The call graph: `nodes` (as rows of `functions()`) and `calls` between them. Shows
        itself as pprof's -tree: each function, its callers above and its callees below."""
        return self._question(sample_type, granularity).graph(granularity)

    def peek(self, pattern: str, sample_type: str | None = None) -> "Peek":
        """The callers and callees of the functions whose name matches the regular expression;
        ValueError where none does."""
        from cprof.graph import Peek

        return Peek(self.graph(sample_type), pattern)

    def callers(self, pattern: str, sample_type: str | None = None) -> "CallTable":
        """Who calls the functions whose name matches, the largest first: rows of `caller,
        caller_module, callee, callee_module, value, is_inlined`."""
        return self._question(sample_type).calls(pattern, "callee")

    def callees(self, pattern: str, sample_type: str | None = None) -> "CallTable":
        """What the functions whose name matches call, the same way."""
        return self._question(sample_type).calls(pattern, "caller")

    def traces(self, sample_type: str | None = None, *, by_line: bool = False) -> "Traces":
        """Each distinct stack with what it cost, the largest first: rows of `stack` ((function,
        module), leaf first), `samples`, `value`, `sums` (of all sample types)."""
        return self._question(sample_type).traces(by_line=by_line)

    def tags(self, sample_type: str | None = None) -> "Tags":
        """The labels of the samples: rows of `key, value, unit, total`, one key after the
        other, the largest first. Threads and processes are "pid", "tid", "thread", "comm"."""
        return self._question(sample_type).tags()

    def share(
        self,
        pattern: "str | Sequence[str]",
        kind: str = "total",
        confidence: float = 0.95,
        sample_type: str | None = None,
    ) -> "Estimate":
        """The part (0..1) of the samples with a function of this name (a glob, or several)
        anywhere on the stack (`kind` "total"), or of those taken in it ("self"), and how sure
        that is: neighbours in time are alike, so `n_eff` independent samples would say as much
        as the `n` there are. Without times they are taken as independent. Raises NoSamples for
        an empty profile."""
        from cprof.sides import share

        self._need_names()
        return share(self, pattern, kind, confidence, self._type(sample_type))

    def tree(self, sample_type: str | None = None) -> "Node":
        """The call tree, from its root; `print()` shows it."""
        from cprof.tree import root

        return root(self, self._type(sample_type))

    # Data

    # Code

    def with_lines(self, *, debuginfod: bool = False) -> "Profile":
        """The same samples with the source lines and inlined functions of all code: names are
        there at once, this reads the debug information of every file, which takes a moment
        where it is large. Of a loaded profile the files must still be there, with the same
        build ids. `debuginfod`: ask the servers that DEBUGINFOD_URLS names for what is not
        on this machine."""
        if self._lined is None or debuginfod:
            with translated():
                core = self._core.with_lines(debuginfod)
            self._lined = self if core is self._core else Profile(core)
            self._lined._lined = self._lined
        return self._lined

    def list(
        self,
        pattern: str,
        sample_type: str | None = None,
        *,
        source_path: "Paths" = None,
        trim_path: str = "",
    ) -> "Listing":
        """The source of the functions whose name matches the regular expression `pattern`, with
        the cost of each line: self and total. A source file that is not where it was compiled
        is looked for under `source_path` (folders), after taking `trim_path` off its front.
        """
        from cprof.listing import list_source

        return list_source(self, pattern, sample_type, source_path, trim_path)

    def disassemble(
        self, pattern: str, sample_type: str | None = None, *, intel_syntax: bool = False
    ) -> "Listing":
        """The instructions (by objdump) of the functions whose name matches the regular
        expression `pattern`, with the cost of each and its source line. The file must be the
        one that was recorded."""
        from cprof.listing import disassemble

        return disassemble(self, pattern, sample_type, intel_syntax=intel_syntax)

    @property
    def columns(self) -> Columns:
        """The table's columns by name, as buffers without a copy."""
        return Columns(self._core)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The Arrow C stream of the samples: polars, pandas, duckdb and pyarrow take it.
        Another schema than its own cannot be asked for."""
        with translated():
            return self._core.arrow_stream()

    def to_dataframe(self) -> "pandas.DataFrame":
        """One row a sample: time (s), pid, tid, cpu_id, thread, comm, function, module (of the
        leaf), stack ("root;...;leaf"), how it was found ("" as a rule, "guessed",
        "spliced,guessed" ...), n_added (its outermost frames that were spliced or
        continued), and one column for each sample type. Needs pandas (MissingPackage)."""
        from cprof.frame import dataframe

        return dataframe(self._core, self._run)

    def write(
        self,
        path: "str | os.PathLike[str]",
        *,
        sample_type: str | None = None,
        times: bool = False,
    ) -> None:
        """Write to `path` in the format of its extension: .pb.gz, .pb, .pprof (pprof), .folded,
        .collapsed (folded text), .speedscope.json, .firefox.json, .chrome.json, .callgrind,
        .dot, .dot.svg (call graph), .svg, .png (flame graph), .html (the page), .csv, .arrow,
        .cprof (recording). `sample_type` matters to formats that hold one only; the module in
        `cprof.export` says what a format holds. `times`: a pprof file with the time of each sample
        (a label timestamp_ns), which `load` reads again. A file that is there is replaced once
        the new one is complete. Raises ValueError for another extension, and for negative values
        where a format has none, OSError when it cannot be written."""
        from cprof import export

        if times:
            self._need_times()
        export.write(self, os.fsdecode(path), self._type(sample_type), times=times)

    # Pictures

    def flamegraph(
        self,
        ax: "Axes | None" = None,
        *,
        sample_type: str | None = None,
        color: str = "module",
        invert: bool = False,
        min_width: float = 0.5,
        title: str | None = None,
    ) -> "Axes":
        """Draw the call tree as a flame graph and return its Axes; a new figure when `ax`
        is None. Width is the share of `sample_type`, callees stand on their callers
        (`invert=True`: hang below them). `color` is "module" or "function". Frames narrower
        than `min_width` pixels are left out, and counted in the footer. Needs matplotlib
        (MissingPackage)."""
        from cprof import plot

        options = plot.Options(color=color, invert=invert, min_width=min_width, title=title)
        return plot.flamegraph(self, self._type(sample_type), ax, options)

    def html(
        self,
        *,
        sample_type: str | None = None,
        lines: bool = True,
        timed: bool = True,
        max_bytes: int | None = None,
    ) -> str:
        """The page that shows this profile, as the text of one HTML file; no request ever leaves
        it. `sample_type` is shown first. `lines`: with source lines and sources; `timed`: with
        the order of samples. With `max_bytes` these, then the call paths with the least in
        them, are left out until the page is small enough, and it says so."""
        from cprof.page import page

        return page(self, sample_type=sample_type, lines=lines, timed=timed, max_bytes=max_bytes)

    def heatmap(
        self, ax: "Axes | None" = None, *, rows: int = 50, title: str | None = None
    ) -> "Heatmap":
        """Draw the samples by second (columns) and offset within the second (`rows` rows): what
        repeats, bursts and pauses show. Of the Heatmap returned, `.axes` is the picture and
        `.select(seconds=(a, b), offset=(c, d))` the Profile of a rectangle; in a window of
        matplotlib's the mouse draws one, and its flame graph opens. Needs matplotlib
        (MissingPackage) and times (CprofError)."""
        from cprof.plot_time import Heatmap

        return Heatmap(self, ax, rows, title)

    def timeline(
        self,
        by: str = "thread",
        ax: "Axes | None" = None,
        *,
        sample_type: str | None = None,
        title: str | None = None,
    ) -> "Axes":
        """Draw what ran when and return its Axes: `by` "thread", a lane for each of the 30
        busiest threads, whose colour is the part of a CPU that it used; `by` "function", the CPUs
        in use by the 8 largest functions (self), stacked. All others are summed into "other".
        A `sample_type` that is no CPU time is shown per second. Needs matplotlib
        (MissingPackage) and times (CprofError)."""
        from cprof import plot_time

        return plot_time.timeline(self, by, ax, self._type(sample_type), title)

    def _repr_mimebundle_(
        self, include: "Collection[str] | None" = None, exclude: "Collection[str] | None" = None
    ) -> dict[str, str]:
        """What a notebook shows: the page; a flame graph; the top functions as text."""
        from cprof import display, plot

        return display.bundle(
            self,
            lambda: str(self.top()),
            lambda: plot.render(self, self._core.default_type, "png"),
            include,
            exclude,
        )

    def __repr__(self) -> str:
        from cprof.report import summary

        return f"<Profile {self.command!r}: {summary(self)}>"

    # Helpers

    def _extent(self) -> tuple[float, float]:
        """The span, and what lies beyond it: the sum of two recordings lasts as long as
        both, though there may have been a pause between them."""
        begin, end = self.span
        last = max(memoryview(self._core.column("time")), default=0) - self._run["start_mono"]
        return begin, max(end, last / _NS)

    def _type(self, sample_type: str | None) -> int:
        if sample_type is None:
            return self._core.default_type
        names = [name for name, _ in self._core.sample_types]
        if sample_type not in names:
            raise ValueError(f"no sample type {sample_type!r} here, only {', '.join(names)}")
        return names.index(sample_type)

    def _rows(self, index: int) -> builtins.list[FunctionRow]:
        return [FunctionRow(*row[:4]) for row in self._core.functions(index)]

    def _question(self, sample_type: str | None, granularity: str = "") -> "Question":
        """What is asked of this profile; with its lines where rows are files or lines."""
        from cprof.question import Question

        needs_lines = granularity in ("filefunctions", "files", "lines")
        return Question(self.with_lines() if needs_lines else self, self._type(sample_type))

    def _refined(self, option: str, pattern: str) -> "Profile":
        from cprof import match

        core = self._core
        options: dict[str, Any] = {"noinlines": True}
        if option != "noinlines":
            options = {option: match.by_regex(core, pattern, option)}
        with translated():
            view = Profile(core.refine(**options))
        if option not in ("focus", "ignore"):
            view._lined = view  # with_lines would bring back what was taken out
        return view

    def _need_times(self) -> None:
        if not self._run["has_times"]:
            raise CprofError(
                "this profile has no times, so it has no windows: "
                "it was read from a file that keeps sums only"
            )

    def _counts(self) -> "dict[str, Any]":
        """Counted once: that looks at every row and every stack."""
        if self._counted is None:
            self._counted = self._core.quality()
        return self._counted

    def _need_names(self) -> None:
        quality = self._counts()
        if quality["samples"] and quality["unknown"] == quality["samples"]:
            raise NoSymbols("no function in this profile has a name, so none can be asked for")


def _quality(
    core: _core.Profile, run: "Mapping[str, Any]", counts: "Mapping[str, Any]"
) -> "dict[str, Any]":
    samples, ends = counts["samples"], dict(counts["ends"])
    sampled = _sampled_ns(core)
    cpu_time = run["cpu_time"]
    seconds = (cpu_time or sampled) / _NS
    return {
        "samples": samples,
        "lost": counts["lost"],
        "throttled": counts["throttled"],
        "truncated": ends["truncated"],
        "no_mapping": ends["no_mapping"],
        "complete": _complete(counts),
        "ends": ends,
        "unwound": _unwound(run["unwinder"], samples, counts["fallback"]),
        **{name: counts[name] for name in HOW},
        "verified": run["n_verified"],
        "agreed": run["n_agreed"],
        "rate_asked": run["rate_asked"] or None,
        "rate_reached": samples / seconds if seconds else None,
        "coverage": sampled / cpu_time if cpu_time and sampled else None,
        "unknown": counts["unknown"],
        "kernel": counts["kernel"],
        "kernel_excluded": bool(run["is_kernel_excluded"]),
        "switches": run["n_switches"],
        "bad_records": run["n_records_bad"],
        "waited": run["n_waited"],
        "live_dropped": run["n_live_dropped"],
        "lines_refused": run["n_lines_refused"],
        "stack_bytes": run["stack_bytes"],
        "exact": run["exact"],
        "event": run["event"],
    }


def _complete(counts: "Mapping[str, Any]") -> float:
    n = sum(counts["ends"][name] for name in COMPLETE)
    return n / counts["samples"] if counts["samples"] else 0.0


def _unwound(unwinder: str, samples: int, fallback: int) -> dict[str, int]:
    if not unwinder:
        return {}
    if not fallback:
        return {unwinder: samples}
    return {unwinder: samples - fallback, "libunwind": fallback}


def _module_row(
    module: str, counts: "Mapping[str, Any]", broke: Mapping[str, int]
) -> ModuleQuality:
    return ModuleQuality(
        module=module,
        samples=counts["samples"],
        complete=_complete(counts),
        truncated=counts["ends"]["truncated"],
        no_mapping=counts["ends"]["no_mapping"],
        **{name: counts[name] for name in HOW},
        unknown=counts["unknown"],
        broke=sum(broke.values()),
        reason=max(broke, key=lambda end: broke[end]) if any(broke.values()) else "",
    )


def _sampled_ns(core: _core.Profile) -> int:
    """CPU time by the samples; 0 when they do not measure it."""
    for (name, unit), total in zip(core.sample_types, core.totals(), strict=True):
        if name == "cpu" and unit == "nanoseconds":
            return total
    return 0


def added(profiles: "Iterable[Profile]") -> Profile:
    """All together, in this order; each is let go of before the next is asked for. Sample types
    must agree (ValueError)."""
    with translated():
        return Profile(_core.merge(profile._core for profile in profiles))


def check_window(t0: float, t1: float | None) -> None:
    """Raises ValueError where these are no seconds from a start to an end (None: of all)."""
    if not (0 <= t0 < _MAX_SECONDS and (t1 is None or t0 <= t1 < _MAX_SECONDS)):
        end = "the end" if t1 is None else f"{t1:g} s"
        raise ValueError(
            f"no window from {t0:g} s to {end}: seconds count from the beginning, and the first "
            "one is not after the last"
        )


def labels_of(comments: "Sequence[str]") -> dict[str, str]:
    """The labels among the comments of a recording."""
    labels: dict[str, str] = {}
    for comment in comments:
        key, separator, value = comment.removeprefix(_LABEL).partition(": ")
        if separator and comment.startswith(_LABEL):
            labels[key] = f"{labels[key]}, {value}" if key in labels else value
    return labels


def start_time_of(run: "Mapping[str, Any]") -> "datetime | None":
    """When the span of a recording with these facts began; None when unknown."""
    from datetime import UTC, datetime, timedelta

    if not run["start_unix"]:
        return None
    seconds, ns = divmod(run["start_unix"], 10**9)
    offset = timedelta(microseconds=ns / 1e3 + run["from"] * 1e6)
    return datetime.fromtimestamp(seconds, UTC) + offset
