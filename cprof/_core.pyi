"""The C core as Python sees it: the contract of csrc/py. Users import `cprof`, not this.

Times are CLOCK_MONOTONIC nanoseconds unless a name says otherwise. Every function that
fails raises `CoreError(code, message, knob, value, remedy)`: `cprof.errors` turns it into
the public exceptions. A number or name that does not exist is an IndexError or KeyError.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NotRequired, TypeAlias, TypedDict, final

from typing_extensions import Buffer

class CoreError(Exception):
    """args = (code, message, knob, value, remedy); code is a positive errno."""

@final
class Column:
    """Read-only buffer of one column; `memoryview(column)` costs no copy."""

    def __buffer__(self, flags: int) -> memoryview: ...
    def __len__(self) -> int: ...

@final
class Profile:
    """One immutable event table. Views share its stacks."""

    @property
    def n(self) -> int: ...
    @property
    def sample_types(self) -> list[tuple[str, str]]:
        """(type, unit) in file order, e.g. [("samples", "count"), ("cpu", "nanoseconds")]."""
    @property
    def default_type(self) -> int: ...
    @property
    def run(self) -> dict[str, Any]:
        """The recording's facts (struct cprof_run by field name, strings as str), plus
        "from" and "to" (seconds) of this view and "comments" (list of str)."""
    @property
    def threads(self) -> list[tuple[int, int, str, str]]:
        """(pid, tid, name, comm) by thread number."""
    @property
    def thread_labels(self) -> list[list[tuple[str, str | int, str]]]:
        """Further labels of each thread entry (imported files) as (key, value, unit of a
        number), by thread number; several may have one key."""
    @property
    def mappings(self) -> list[tuple[int, int, int, str, str, str]]:
        """(start, limit, offset, file, module, build_id)."""
    @property
    def mapping_details(self) -> list[tuple[str, int]]:
        """(root, enum cprof_build_flag) by mapping number."""
    @property
    def marks(self) -> list[tuple[int, int, int]]:
        """(time, enum cprof_mark_kind, n): what happened to the recording itself."""
    @property
    def is_sorted(self) -> bool:
        """Whether no row is earlier than the one before it."""
    @property
    def stacks_id(self) -> int:
        """Equal for profiles that share all that their rows refer to."""
    def tables(self, location: int = 0, node: int = 0, /) -> dict[str, list[Column]]:
        """locations, lines and nodes as build() takes them, from these numbers on."""
    def ordered(self) -> Profile:
        """No rows, but all that they refer to, in the order to be stored in: locations by
        address, functions as those come to them. All other numbers stay."""
    @property
    def functions_table(self) -> list[tuple[str, str, str, int, str]]:
        """(name, system_name, filename, start_line, module) by function number."""
    def functions_from(self, first: int, /) -> list[tuple[str, str, str, int, str]]:
        """The same from this number on."""
    def column(self, name: str, /) -> Column:
        """ "time" (uint64), "pid" "tid" "cpu_id" (int32), "thread" "stack" (uint32), "how"
        (uint8, enum cprof_how), "n_added" (uint16), or a sample type's name (int64): "cpu" is
        time, so the CPU's number is "cpu_id". " value" after the name tells a type called
        "time" from the fixed column."""
    def totals(self) -> list[int]: ...
    def quality(self) -> dict[str, Any]:
        """struct cprof_quality by field name without "n_"; "ends" is {name: count}."""
    def quality_by_module(self) -> list[tuple[str, dict[str, Any], dict[str, int]]]:
        """(module, quality() of the samples taken in it, {end: stacks that broke off in it}),
        most samples first; see profile.h."""
    def window(self, start: int, end: int, /) -> Profile: ...
    def filter(
        self,
        *,
        thread: bytes | None = None,
        module: bytes | None = None,
        under: bytes | None = None,
    ) -> Profile:
        """Byte masks over threads, mappings, functions_table; see view.h."""
    def refine(
        self,
        *,
        drop: tuple[bytes, bytes] | None = None,
        ignore: tuple[bytes, bytes] | None = None,
        focus: tuple[bytes, bytes] | None = None,
        hide: tuple[bytes, bytes] | None = None,
        show: tuple[bytes, bytes] | None = None,
        show_from: tuple[bytes, bytes] | None = None,
        prune_from: tuple[bytes, bytes] | None = None,
        noinlines: bool = False,
    ) -> Profile:
        """Rows and frames that match, as google/pprof has it (profile/filter.go, prune.go),
        applied in this order. Each is a pair of byte masks: over functions_table (the name or
        the file matches; for drop and prune_from the name) and over mappings (the file)."""
    def select(self, rows: bytes, /) -> Profile:
        """The rows whose byte in the mask is not 0."""
    def group(
        self, keys: Sequence[Column | memoryview | array[int]], /
    ) -> tuple[list[Column], list[Column], Column]:
        """Rows with equal keys, in order of their first row: the values of each key (uint32),
        the sums of each sample type (int64) and how many rows, all by group. A key is a
        buffer of uint32 ("I"), one number a row."""
    def with_comments(self, comments: Sequence[str], /) -> Profile:
        """The same rows with `comments` added after the ones there are (labels)."""
    def functions(self, type: int, /) -> list[tuple[str, str, int, int, str, int]]:
        """(function, module, self, total, filename, start_line) in order of self, whatever
        its sign."""
    def top(self, type: int, most: int, /) -> tuple[list[tuple[str, str, int, int, str, int]], int]:
        """The first `most` of functions(), and how many there are."""
    def tree(self, type: int, /) -> list[tuple[int, str, str, int, int, int, str, int]]:
        """(parent, function, module, depth, self, total, filename, start_line); entry 0 is the
        root of all with parent -1; children after parents, siblings by total."""
    def graph(
        self,
        type: int,
        granularity: str,
        /,
        *,
        keep: bytes | None = None,
        by_module: bool = True,
    ) -> tuple[
        list[tuple[str, str, str, int, int, int, int]],
        list[tuple[int, int, int, bool, bool]],
    ]:
        """Nodes (name, module, filename, line, address, self, total) in order of self, and
        edges (caller, callee, value, is_inlined, is_residual) between them in order of value;
        each row counts once for a total or an edge. `granularity`: "functions"
        "filefunctions" "files" "lines" "addresses" "modules"; what it does not tell apart is
        "" or 0. `keep`: byte mask over the nodes of the same call without it; other frames
        are left out of stacks, edges over them are residual, and a row whose leaf is left out
        counts for no self. `by_module` False: functions of one name are one node, with
        module "" (as `go tool pprof` has it)."""
    def frame_tree(
        self, by_line: bool, /
    ) -> tuple[Column, Column, Column, list[tuple[int, int, int]]]:
        """All stacks as one trie of frames, inlined functions being frames of their own:
        parent (uint32 by node, 0xffffffff for outermost frames; a caller's number is below
        its callees'), frame (uint32 by node), node (uint32 by row: the leaf's), and by frame
        (function number or -1, line or 0, mapping number or -1). Frames are the same where
        name and module (with `by_line`: and file and line) are."""
    def stack(self, row_stack: int, /) -> list[tuple[str, str]]:
        """(function, module) of one stack number, leaf first, inlined frames included."""
    def leaf_functions(self) -> Column:
        """uint32 per row: number in functions_table of the row's leaf function; 0xffffffff
        for a location without one."""
    def locations(self, row_stack: int, /) -> list[tuple[int, int]]:
        """(address, mapping number or -1) of one stack number, leaf first."""
    def with_lines(self, debuginfod: bool, /) -> Profile:
        """The same rows with the lines and inlined functions of all code; itself where no
        debug information is at hand. `debuginfod`: ask the servers of DEBUGINFOD_URLS."""
    def places(
        self, type: int, wanted: bytes, by_address: bool, /
    ) -> list[tuple[int, int, int, int, int, int]]:
        """(function number, mapping number or -1, address, line, self, total) by source line
        (address 0) or by instruction; `wanted`: byte mask over functions_table."""
    @property
    def wants_lines(self) -> bool:
        """False when it was recorded with lines=False."""
    def write_pprof(self, path: str, times: bool = False, /) -> None:
        """One sample for each stack of each thread; with `times` one for each row, with a label
        "timestamp_ns"."""
    def encode_pprof(self) -> bytes: ...
    def write_folded(self, path: str, type: int, /) -> None: ...
    def arrow_stream(self) -> object:
        """PyCapsule "arrow_array_stream": columns time, pid, tid, cpu_id, thread, comm, stack,
        function, module, how, n_added, then one int64 column per sample type; see arrow.h."""

_Label: TypeAlias = tuple[str, str | int] | tuple[str, str | int, str]  # key, value [, unit]
_Thread: TypeAlias = (
    tuple[int, int, str, str]
    | tuple[int, int, str, str, Mapping[str, str | int] | Sequence[_Label]]
)
_Mapping: TypeAlias = (
    tuple[int, int, int, str, str, str]
    | tuple[int, int, int, str, str, str, str]
    | tuple[int, int, int, str, str, str, str, int]
)

class Rows(TypedDict):
    """The columns of the event table: buffers of integers, one entry for each row."""

    thread: Buffer  # uint32: number in threads
    stack: Buffer  # uint32: number in nodes, of the leaf
    values: Sequence[Buffer | None]  # int64, one for each sample type; None: all are 1
    time: NotRequired[Buffer | None]  # uint64; None: rows have no times
    cpu_id: NotRequired[Buffer | None]  # int32; None: unknown
    how: NotRequired[Buffer | None]  # uint8
    n_added: NotRequired[Buffer | None]  # uint16

class Tables(TypedDict):
    """What build() makes a profile of. Numbers count from 0; 0xffffffff is "none"."""

    sample_types: Sequence[tuple[str, str]]
    mappings: Sequence[
        _Mapping
    ]  # (start, limit, offset, file, module, build_id [, root [, flags]])
    functions: Sequence[tuple[str, str, str, int, str]]  # as functions_table
    locations: Sequence[Buffer | None]  # address uint64, mapping uint32 [, is_folded uint8]
    lines: Sequence[Buffer]  # location, function uint32, line int64, column uint32: in order of
    # location, and of one location the innermost inlined function first
    nodes: Sequence[Buffer]  # parent, location uint32: a caller comes before what it calls
    threads: Sequence[_Thread]  # (pid, tid, name, comm [, labels]), -1 and "" where unknown
    rows: Rows
    default_type: NotRequired[str]
    run: NotRequired[Mapping[str, Any]]  # as Profile.run; has_times is decided by the rows
    marks: NotRequired[Iterable[tuple[int, int, int]]]  # (time, enum cprof_mark_kind, n)
    comments: NotRequired[Iterable[str]]
    span: NotRequired[tuple[float, float]]  # seconds since run["start_mono"]

def build(tables: Tables, name: str = "tables", /) -> Profile:
    """A profile from plain tables, everything checked: what does not fit together is a
    CoreError with EBADMSG, which names `name`; wrong types are TypeError, ValueError,
    KeyError, OverflowError. Equal functions become one, and equal threads. A location
    without mapping and address whose one function is called as a pseudo frame ("[lost]",
    "[truncated]" ...) is that frame. Text is UTF-8 without NUL."""

def encode_column(numbers: Buffer, kind: int = 0, base: int = 0, added: int = 0, /) -> bytes:
    """The integers of a buffer as a block of columns.h; `kind`: enum cprof_column_kind."""

def decode_column(
    parts: Sequence[tuple[Buffer | None, int, int]], format: str, kind: int, otherwise: int, /
) -> Column:
    """The numbers of all parts, (block, n, base), one after the other; without a block n times
    `otherwise`. A block that does not hold n numbers is a CoreError with EBADMSG."""

def siblings(parents: Buffer, numbers: Buffer, first: int, start: int, is_back: bool, /) -> Column:
    """The locations of nodes (from number `first` on, parents given) as small numbers, or with
    `is_back` from those, all uint32; see cprof_columns_siblings in columns.h."""

def blocks(
    keys: Sequence[tuple[Buffer, Buffer, int]],
    values: Buffer,
    events: Buffer | None,
    times: Buffer | None,
    threads: Buffer | None,
    durations: Buffer | None,
    start: int,
    end: int,
    n_slices: int,
    /,
) -> tuple[Column, Column, Column, Column, Column, Column]:
    """Sums of rows by item and slice of the time from `start` to `end`. A key is (uint32 by
    row, uint32 table of items, number of items): a row's item is table[key], 0xffffffff
    none. Items of later keys are counted on; the last item is the sum of all rows. `values`
    (int64), `events` (int64: that a row stands for; None 1), `times` (uint64; None: all in
    slice 0), `threads` (uint32), `durations` (int64). Returns first (uint64 by item, and one
    more), slice (uint32) and sum (double) by cell, and by item as double squares (the sum of
    value * value / events), and the sums of squares and fourth powers of its visits
    (view_visits.h)."""

def resample(
    first: Buffer,
    slice: Buffer,
    sum: Buffer,
    n_slices: int,
    ratios: Buffer,
    n_draws: int,
    seed: int,
    /,
) -> list[tuple[float, float, float, float]]:
    """Block bootstrap of ratios of what blocks() made: (sum of top, sum of bottom, variance of
    top / bottom, degrees of freedom). `ratios`: uint32 item pairs top, bottom; bottom
    0xffffffff is the time (1). See resample.h."""

def load_pprof(path: str, /) -> Profile: ...
def decode_pprof(data: bytes, name: str, /) -> Profile: ...
def merge(
    profiles: Iterable[Profile], scales: Sequence[Sequence[float]] | None = None, /
) -> Profile:
    """One profile with the rows of all; each is let go of before the next one is asked for.
    `scales`: for each profile a factor for each sample
    type, -1 for what is to be taken away. Rows whose values all become 0 go; where a factor is
    no whole number the rows of one stack and thread are summed before they are rounded, so
    that the result has no times."""

def how_text(how: int, /) -> str:
    """The words of a value of the column "how": "spliced,guessed", "" for 0."""

def demangle(name: str, /) -> str | None: ...

@final
class Code:
    """The functions and lines of one file on disk. Not for use by several threads at once."""

    def __new__(cls, path: str, build_id: str = "", /) -> Code:
        """The file must have the build id (hex, "" is any): ESTALE where it has another."""
    def function(self, offset: int, /) -> tuple[int, str, int, int]:
        """(virtual address, symbol, start, size) of an offset in the file."""
    def lines(self, vaddrs: Sequence[int], /) -> list[list[tuple[str, str, int, int, int]]]:
        """(symbol, file, line, column, start line) of each virtual address, the innermost
        inlined function first; nothing for an address without debug information."""

@final
class Session:
    """One recording. Not for use by several threads at once, but `stop`, `stats` and
    `snapshot` may be called while another thread waits in `wait`."""

    def __new__(
        cls,
        *,
        argv: Sequence[str] | None = None,
        pids: Sequence[int] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdio: tuple[int, int, int] = (0, 1, 2),
        event: str = "auto",
        freq: float = 0,
        period: int = 0,
        jitter: bool = True,
        follow: bool = True,
        kernel: int = -1,
        unwind: str = "auto",
        verify: float = 0,
        stack_bytes: int = -1,
        stack: str = "auto",
        ring_bytes: int = 0,
        lines: int = -1,
    ) -> Session:
        """Start the child (stopped before its exec) or look at the pids, and open all
        events. Nothing is sampled before `start`. Exactly one of argv and pids.
        `stack_bytes`: -1 as many as rings have room for. `lines`: 1 of all code, 0 none,
        -1 where that takes no time to speak of."""
    def start(self) -> None: ...
    def wait(self, timeout: float, /) -> bool:
        """Wait at most `timeout` seconds for the end of every target; True when they have
        all ended. Returns early (False) when a signal arrived: Python's handlers run."""
    def stop(self) -> None:
        """Stop sampling, drain what is in the rings. Idempotent."""
    def snapshot(self, since_last: bool = False) -> Profile:
        """All rows so far (or those since the last snapshot(since_last=True)), named. May
        be called while recording and after stop."""
    def finish(self) -> Profile:
        """stop(), then the whole Profile without copying; the session is empty afterwards."""
    @property
    def stats(self) -> dict[str, Any]:
        """Live counters: samples, lost, throttled, elapsed (s), rate_asked, event, rings,
        ring_bytes, is_kernel_excluded, n_targets, is_running."""
    @property
    def child_pid(self) -> int:
        """0 when attached."""
    @property
    def child_status(self) -> int | None:
        """None while it runs or when attached, else its exit status as Popen.returncode
        (negative: the signal)."""
    def kill_child(self, signal: int, /) -> None: ...

def dump(pid: int, /) -> list[tuple[int, str, str, str, str, list[tuple[str, str, int]]]]:
    """Stop each thread of `pid` for a moment and unwind it: (tid, name, state, wait channel,
    end reason, frames leaf first as (function, module, address))."""

def probe(pid: int = 0, /) -> list[tuple[str, str, bool, str, str]]:
    """What this machine (and, if given, that process) allows: one entry for each knob,
    (knob, value, is_ok, what it blocks, remedy)."""

def events() -> list[tuple[str, str, bool]]:
    """(name, unit, whether this machine can open it) of every event known by name."""

def clock() -> int:
    """CLOCK_MONOTONIC now, ns."""
