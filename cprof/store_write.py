"""Writing a recording file: at once, or while recording goes on."""

import errno
import os
import sqlite3
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from cprof import _core
from cprof.export.files import is_special
from cprof.profile import value_columns
from cprof.store import (
    APPLICATION_ID,
    CHUNK_ROWS,
    CHUNK_SECONDS,
    LINE,
    LOCATION,
    MARK,
    NODE,
    NS,
    PATIENCE,
    ROW,
    SCHEMA,
    VERSION,
    encode_all,
    pack,
    signed,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
_MOST_ROWS = 1 << 16  # of a chunk
_TABLE_ROWS = 1 << 18  # locations or nodes of one block
_PAGE = 512  # the least: what a table and a blob do not fill counts in short recordings
_VIEW = ("from", "to", "comments")  # keys of Profile.run that are no facts
_SIGNED = 1 << 63


class _Numbers:
    """How many entries each table has: one more than its largest number."""

    __slots__ = ("function", "location", "mapping", "node", "thread")

    def __init__(
        self, mapping: int = 0, function: int = 0, thread: int = 0, location: int = 0, node: int = 0
    ) -> None:
        self.mapping, self.function, self.thread = mapping, function, thread
        self.location, self.node = location, node


class Writer:
    """Writes profiles into a database that it has made; one transaction for each call."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._kinds: dict[str, int] = {}
        self._n_chunks = 0
        self._end = _Numbers()
        db.execute(f"PRAGMA page_size = {_PAGE}")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.executescript(f"BEGIN;{SCHEMA}COMMIT")

    def move(self, db: sqlite3.Connection) -> None:
        """Go on with the same file, opened anew."""
        self._db = db

    def write(self, profiles: Mapping[str, _core.Profile]) -> None:
        """Everything, of a recording that has ended. Tables that profiles share are written
        once."""
        begins: dict[int, _Numbers] = {}  # by stacks_id: what its numbers 0 became
        with _transaction(self._db):
            for name, core in profiles.items():
                first = begins.get(core.stacks_id)
                if first is None:
                    first = begins[core.stacks_id] = self._end
                    self._add_tables(core.ordered(), first, _Numbers())
                run = core.run
                kind = self._add_kind(name, core, run["comments"], run["from"])
                self._add_rows(kind, core, first)

    def append(self, name: str, core: _core.Profile, comments: Sequence[str] = ()) -> None:
        """The rows that one snapshot of a session brought, and what they refer to that was
        not there before: the numbers of a session only grow. No other kind may be there."""
        with _transaction(self._db):
            self._add_tables(core, _Numbers(), self._end)
            kind = self._add_kind(name, core, [*core.run["comments"], *comments], 0.0)
            self._add_rows(kind, core, _Numbers())

    def _add_kind(
        self, name: str, core: _core.Profile, comments: "Iterable[str]", begin: float
    ) -> int:
        """What is known of the kind as a whole, as of now."""
        kind = self._kinds.setdefault(name, len(self._kinds))
        run = core.run
        facts = {k: v for k, v in run.items() if k not in _VIEW} | {"from": begin, "to": run["to"]}
        types = enumerate(core.sample_types)
        texts = enumerate(comments)
        self._replace("kinds", [(kind, name)])
        self._replace("facts", [(kind, key, _fact(value)) for key, value in facts.items()])
        self._replace("sample_types", [(kind, i, *names) for i, names in types])
        self._replace("comments", [(kind, i, text) for i, text in texts])
        if core.marks:
            start = min(core.marks)[0]
            columns = [
                memoryview(array(code, numbers))
                for code, numbers in zip("QII", zip(*core.marks, strict=True), strict=True)
            ]
            n = len(core.marks)
            blocks = encode_all(MARK, columns, 0, n, start, {})
            self._insert("marks", [(kind, signed(start), n, *blocks)])
        return kind

    def _add_tables(self, core: _core.Profile, first: _Numbers, known: _Numbers) -> None:
        """All that rows refer to, from the numbers `known` on; number 0 becomes `first`."""
        mappings = [
            (*map(signed, mapping[:3]), *mapping[3:], *detail)
            for mapping, detail in zip(core.mappings, core.mapping_details, strict=True)
        ]
        self._db.execute(
            "DELETE FROM packed WHERE what = 'mappings' AND first = ?", (first.mapping,)
        )
        self._pack("mappings", mappings, first.mapping)  # what is known of one may change
        functions = [
            (name, "" if system_name == name else system_name, *rest)
            for name, system_name, *rest in core.functions_from(known.function)
        ]
        self._pack("functions", functions, first.function + known.function)
        threads = list(zip(core.threads, core.thread_labels, strict=True))
        new = [(*thread, labels) for thread, labels in threads[known.thread :]]
        self._pack("threads", new, first.thread + known.thread)
        n_locations, n_nodes = self._add_stacks(core, first, known)
        self._end = _Numbers(
            first.mapping + len(mappings),
            first.function + known.function + len(functions),
            first.thread + len(threads),
            first.location + n_locations,
            first.node + n_nodes,
        )

    def _pack(self, what: str, rows: "Sequence[Sequence[Any]]", first: int) -> None:
        """One block of rows, the first of which has the number `first`."""
        if rows:
            self._insert("packed", [(what, first, len(rows), *pack(rows))])

    def _add_stacks(self, core: _core.Profile, first: _Numbers, known: _Numbers) -> tuple[int, int]:
        """Locations with their lines, and nodes, from `known` on; how many there are."""
        tables = core.tables(known.location, known.node)
        locations, lines, nodes = (
            [memoryview(column) for column in tables[key]]
            for key in ("locations", "lines", "nodes")
        )
        added = {
            "mapping": first.mapping,
            "line_location": first.location,
            "line_function": first.function,
            "parent": first.node,
        }
        for a, b in _blocks(len(locations[0])):
            number = first.location + known.location + a
            c, d = (bisect_left(lines[0], known.location + k) for k in (a, b))
            row = [
                *encode_all(LOCATION, locations, a, b, number, added),
                d - c,
                *encode_all(LINE, lines, c, d, number, added),
            ]
            self._insert("locations", [(number, b - a, *row)])
        for a, b in _blocks(len(nodes[0])):
            number = first.node + known.node + a
            parents, places = nodes[0][a:b], nodes[1][a:b]
            near = _core.siblings(parents, places, known.node + a, -first.location % 2**32, False)
            blocks = encode_all(NODE, [parents, memoryview(near)], 0, b - a, number, added)
            self._insert("nodes", [(number, b - a, *blocks)])
        return known.location + len(locations[0]), known.node + len(nodes[0])

    def _add_rows(self, kind: int, core: _core.Profile, first: _Numbers) -> None:
        columns = [memoryview(core.column(name)) for name in ROW]
        values = [memoryview(core.column(name)) for name in value_columns(core)]
        added = {"thread": first.thread, "stack": first.node}
        has_times = bool(core.run["has_times"])
        for a, b, start, end in _cuts(columns[0], is_by_time=has_times and core.is_sorted):
            number, self._n_chunks = self._n_chunks, self._n_chunks + 1
            blocks = encode_all(ROW, columns, a, b, start, added)
            blocks[0] = blocks[0] if has_times else None
            span = (signed(start), signed(end))
            self._insert("chunks", [(number, kind, *span, b - a, *blocks)])
            for i, column in enumerate(values):
                (block,) = encode_all(("value",), [column], a, b, 0, {})
                if block is not None:
                    self._insert("values", [(number, i, block)])

    def _insert(self, table: str, rows: "Sequence[tuple[Any, ...]]", verb: str = "INSERT") -> None:
        if rows:
            places = ", ".join("?" * len(rows[0]))
            self._db.executemany(f'{verb} INTO "{table}" VALUES ({places})', rows)

    def _replace(self, table: str, rows: "Sequence[tuple[Any, ...]]") -> None:
        self._insert(table, rows, "INSERT OR REPLACE")


def _blocks(n: int) -> "Iterator[tuple[int, int]]":
    return ((a, min(a + _TABLE_ROWS, n)) for a in range(0, n, _TABLE_ROWS))


def _cuts(times: memoryview, *, is_by_time: bool) -> "Iterator[tuple[int, int, int, int]]":
    """(first row, one after the last, earliest time, latest time) of each chunk: of a few
    seconds, and of more where few samples came in that time."""
    at, n, step = 0, len(times), round(CHUNK_SECONDS * NS)
    while at < n:
        most = min(at + _MOST_ROWS, n)
        if is_by_time:
            end = bisect_left(times, times[at] + step, min(at + CHUNK_ROWS, most), most)
            yield at, end, times[at], times[end - 1]
        else:
            end = most
            yield at, end, min(times[at:end]), max(times[at:end])
        at = end


def _fact(value: "Any") -> "Any":
    """A value as SQLite can keep it: integers beyond 63 bits as text."""
    return str(value) if isinstance(value, int) and not -_SIGNED <= value < _SIGNED else value


@contextmanager
def _transaction(db: sqlite3.Connection) -> "Iterator[None]":
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


@contextmanager
def _writing(path: str) -> "Iterator[None]":
    """What SQLite reports while it writes, as the errors of files."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        code = errno.ENOSPC if name == "SQLITE_FULL" else errno.EIO
        raise OSError(code, f"{os.strerror(code)} ({error})", path) from error


def write(path: str, profiles: Mapping[str, _core.Profile]) -> None:
    """Write a whole recording. What is at `path` is replaced once that is complete."""
    if is_special(path):
        _write_special(path, profiles)
        return
    with _building(path) as temporary, _writing(path), closing(_create(temporary)) as db:
        db.execute("PRAGMA journal_mode = OFF")  # nobody reads it before it is complete
        db.execute("PRAGMA synchronous = OFF")
        Writer(db).write(profiles)


def _write_special(path: str, profiles: Mapping[str, _core.Profile]) -> None:
    """A database needs a file that can be read at any place: devices and pipes get a copy."""
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory(prefix="cprof-") as folder:
        write(f"{folder}/recording", profiles)
        with open(f"{folder}/recording", "rb") as made, open(path, "wb") as file:
            shutil.copyfileobj(made, file)


@contextmanager
def _building(path: str) -> "Iterator[str]":
    """The name of a new file beside `path`, which gets its name when all went well."""
    final = os.path.realpath(path)
    temporary = f"{final}.{os.getpid()}.tmp"
    try:
        yield temporary
        os.replace(temporary, final)
    except BaseException:
        for left in (temporary, f"{temporary}-journal"):
            if os.path.exists(left):
                os.unlink(left)
        raise


def _create(path: str) -> sqlite3.Connection:
    with open(path, "xb"):
        pass  # with the access rights that the user wants for new files
    return sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)


class Log:
    """A recording file that grows while recording goes on: a whole recording after every
    append(). The name `path`, of a regular file, is taken by the first one that brings any
    rows."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None
        self._writer: Writer | None = None

    def append(self, name: str, core: _core.Profile, comments: Sequence[str] = ()) -> None:
        """Write what a snapshot(since_last=True) of a session brought."""
        with _writing(self.path):
            if self._writer and self._db:
                self._writer.append(name, core, comments)
            elif core.n:
                self._begin(name, core, comments)

    def _begin(self, name: str, core: _core.Profile, comments: Sequence[str]) -> None:
        with _building(self.path) as temporary, closing(_create(temporary)) as db:
            self._writer = Writer(db)
            self._writer.append(name, core, comments)
        # Under its final name it is opened anew: SQLite finds what it needs to repair a file
        # by the name that the file was opened by.
        final = os.path.realpath(self.path)
        self._db = sqlite3.connect(final, isolation_level=None, timeout=PATIENCE)
        self._writer.move(self._db)

    def close(self) -> None:
        if self._db:
            self._db.close()
        self._db = self._writer = None
