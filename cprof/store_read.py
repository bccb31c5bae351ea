"""Reading a recording file: one kind, whole or a window of it."""

import errno
import math
import os
import sqlite3
import zlib
from _thread import allocate_lock
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from cprof import _core
from cprof.errors import CorruptProfile, CprofError, from_core
from cprof.store import (
    APPLICATION_ID,
    LINE,
    LOCATION,
    MARK,
    NODE,
    NS,
    PATIENCE,
    ROW,
    TABLES,
    VERSION,
    decode_all,
    unpack,
    unsigned,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Window = tuple[float, float | None]  # seconds since the recording began
_MOST_ROWS = 1 << 27
_END_OF_TIME = 2**63 - 1
_OF_THE_WHOLE = (
    "cpu_time", "n_switches", "n_records_bad", "n_verified", "n_agreed", "n_waited",
    "n_live_dropped", "n_lines_refused",
)  # fmt: skip
_TEXT_FACTS = (
    "event", "period_type", "period_unit", "unwinder", "exact", "command", "host",
    "default_type", "doc_url", "drop_frames", "keep_frames",
)  # fmt: skip

_DAMAGE = (
    sqlite3.Error, zlib.error, TypeError, ValueError, OverflowError, KeyError, RecursionError,
)  # fmt: skip


class File:
    """A recording file, open for reading.

    Raises CorruptProfile where it is none, or none that can be read here.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._db = _open(path)
        self._lock = allocate_lock()  # one transaction at a time
        with self._reading():
            self._check()
            self.kinds: dict[str, int] = dict(
                self._db.execute("SELECT name, id FROM kinds ORDER BY id")
            )

    def run(self, kind: str) -> "dict[str, Any]":
        """The facts of one kind, as Profile.run; "comments" and the span among them."""
        with self._reading():
            run = self._facts(self.kinds[kind])
            run["comments"] = self._comments(self.kinds[kind])
            return run

    def read(self, kind: str, window: "Window | None" = None) -> _core.Profile:
        """One kind; with a `window`, of the chunks that have rows in it only."""
        with self._reading():
            if window is None:
                self._check_whole()
            core = self._build(self.kinds[kind], window)
            if window is None:
                return core
            start, end = _absolute(core.run["start_mono"], window)
            return core.window(start, end)

    def close(self) -> None:
        self._db.close()

    # Checks

    @contextmanager
    def _reading(self) -> "Iterator[None]":
        """One consistent state of the file; whatever is wrong with it is CorruptProfile."""
        try:
            with self._lock:
                self._db.execute("BEGIN")
                try:
                    yield
                finally:
                    self._db.execute("ROLLBACK")
        except CorruptProfile:
            raise
        except sqlite3.OperationalError as error:
            raise _unreadable(self.path, error) from error
        except _core.CoreError as error:
            raise from_core(error, path=self.path, is_reading=True) from error
        except _DAMAGE as error:
            raise CorruptProfile(f"{self.path}: is a damaged recording: {error}") from error

    def _check(self) -> None:
        """That it is a recording, and of a version that is known here."""
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise CorruptProfile(f"{self.path}: is an SQLite database, but no recording of cprof")
        if version < VERSION:
            raise CorruptProfile(
                f"{self.path}: was written by an early cprof (version {version} of the file; this "
                f"one reads version {VERSION})",
                "export it to .pb.gz with that cprof, or record again",
            )
        if version > VERSION:
            raise CorruptProfile(
                f"{self.path}: was written by a newer cprof (version {version} of the file; this "
                f"one reads version {VERSION})",
                "update cprof",
            )
        found = dict(self._db.execute("SELECT name, type FROM sqlite_schema"))
        for table in TABLES:
            if found.get(table) != "table":
                raise CorruptProfile(f"{self.path}: is a damaged recording: no table {table}")

    def _check_whole(self) -> None:
        (found,) = self._db.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise CorruptProfile(f"{self.path}: is a damaged recording: {found}")

    # Parts

    def _facts(self, kind: int) -> "dict[str, Any]":
        rows = self._db.execute("SELECT key, value FROM facts WHERE kind = ?", (kind,))
        facts = {
            key: int(value) if isinstance(value, str) and key not in _TEXT_FACTS else value
            for key, value in rows
        }
        if not math.isfinite(facts["from"]) or not math.isfinite(facts["to"]):
            raise ValueError("its span is none")
        return facts

    def _comments(self, kind: int) -> list[str]:
        rows = self._db.execute("SELECT text FROM comments WHERE kind = ? ORDER BY number", (kind,))
        return [text for (text,) in rows]

    def _build(self, kind: int, window: "Window | None") -> _core.Profile:
        run = self._facts(kind)
        span = (run.pop("from"), run.pop("to"))
        types = self._db.execute(
            "SELECT type, unit FROM sample_types WHERE kind = ? ORDER BY number", (kind,)
        ).fetchall()
        rows, is_part = self._rows(kind, len(types), run, window)
        if is_part:
            run |= dict.fromkeys(_OF_THE_WHOLE, 0)
        tables: Any = {
            "sample_types": types,
            "mappings": self._mappings(),
            "functions": self._functions(),
            "threads": self._threads(),
            **self._stacks(),
            "rows": rows,
            "run": run,
            "span": span,
            "marks": self._marks(kind),
            "comments": self._comments(kind),
        }
        return _core.build(tables, self.path)

    def _packed(self, what: str) -> "Iterator[list[Any]]":
        """All packed rows of one sort."""
        found = self._db.execute(
            "SELECT first, n, size, data FROM packed WHERE what = ? ORDER BY first", (what,)
        ).fetchall()
        _check_firsts(what, found)
        for _, n, size, data in found:
            yield from unpack(what, n, size, data)

    def _marks(self, kind: int) -> "list[tuple[int, ...]]":
        found = self._db.execute(
            f"SELECT start, n, {', '.join(MARK)} FROM marks WHERE kind = ? ORDER BY rowid", (kind,)
        ).fetchall()
        if sum(row[1] for row in found) > _MOST_ROWS:
            raise ValueError("it claims to have more marks than can be")
        columns = [memoryview(column) for column in decode_all(MARK, found) if column is not None]
        return list(zip(*columns, strict=True))

    def _mappings(self) -> "list[tuple[Any, ...]]":
        return [(*map(unsigned, row[:3]), *row[3:]) for row in self._packed("mappings")]

    def _functions(self) -> "list[tuple[Any, ...]]":
        return [(name, other or name, *rest) for name, other, *rest in self._packed("functions")]

    def _threads(self) -> "list[tuple[Any, ...]]":
        return [
            (*thread, [tuple(label) for label in labels])
            for *thread, labels in self._packed("threads")
        ]

    def _stacks(self) -> "Any":
        names = (*LOCATION, "n_lines", *LINE)
        found = self._db.execute(
            f"SELECT first, n, {', '.join(names)} FROM locations ORDER BY first"
        ).fetchall()
        _check_firsts("locations", found)
        lined = [(row[0], row[5], *row[6:]) for row in found if row[5]]
        return {
            "locations": decode_all(LOCATION, found),
            "lines": decode_all(LINE, lined),
            "nodes": self._nodes(),
        }

    def _nodes(self) -> "Sequence[Any]":
        """The columns of all nodes: parents and locations."""
        found = self._db.execute(
            f"SELECT first, n, {', '.join(NODE)} FROM nodes ORDER BY first"
        ).fetchall()
        _check_firsts("nodes", found)
        parts = [_block_of_nodes(row) for row in found]
        if len(parts) == 1:
            return parts[0]
        columns = zip(*parts, strict=True) if parts else ((), ())
        return [array("I", b"".join(map(bytes, column))) for column in columns]

    def _rows(
        self, kind: int, n_types: int, run: "dict[str, Any]", window: "Window | None"
    ) -> "tuple[_core.Rows, bool]":
        """The columns of the chunks that have to be read; whether that is a part of all."""
        start, end = _absolute(run["start_mono"], window)
        query = f"SELECT start, n, {', '.join(ROW)}, id FROM chunks WHERE kind = ? ORDER BY id"
        part = query.replace("ORDER", 'AND "end" >= ? AND start < ? ORDER')
        if window is None:
            chunks = self._db.execute(query, (kind,)).fetchall()
        else:
            span = (min(start, _END_OF_TIME), min(end, _END_OF_TIME))
            chunks = self._db.execute(part, (kind, *span)).fetchall()
        counts = self._db.execute("SELECT count(*) FROM chunks WHERE kind = ?", (kind,))
        if sum(chunk[1] for chunk in chunks) > _MOST_ROWS:
            raise ValueError("it claims to have more samples than can be")
        columns = dict(zip(ROW, decode_all(ROW, chunks), strict=True))
        if not run["has_times"]:
            columns["time"] = None
        rows: Any = {**columns, "values": [self._values(chunks, i) for i in range(n_types)]}
        return rows, len(chunks) < counts.fetchone()[0]

    def _values(self, chunks: "Sequence[tuple[Any, ...]]", number: int) -> "_core.Column | None":
        blocks = dict(
            self._db.execute(
                'SELECT chunk, value FROM "values" WHERE type = ? AND chunk BETWEEN ? AND ?',
                (number, chunks[0][-1], chunks[-1][-1]) if chunks else (number, 0, -1),
            )
        )
        found = [(0, chunk[1], blocks.get(chunk[-1])) for chunk in chunks]
        return decode_all(("value",), found)[0]


def _block_of_nodes(row: "tuple[Any, ...]") -> "tuple[Any, Any]":
    parents, near = decode_all(NODE, [row])
    assert parents is not None
    assert near is not None
    return parents, _core.siblings(parents, near, row[0], 0, True)


def _check_firsts(table: str, rows: "Iterable[tuple[Any, ...]]") -> None:
    end = 0
    for first, n, *_ in rows:
        if first != end:
            raise ValueError(f"the table {table} has no entry {end}")
        end += n


def _absolute(start_mono: int, window: "Window | None") -> tuple[int, int]:
    """A window as nanoseconds of CLOCK_MONOTONIC, as Profile.window() takes it."""
    if window is None:
        return 0, _END_OF_TIME
    begin, end = window
    start = start_mono + round(begin * NS)
    return start, _END_OF_TIME if end is None else max(start, start_mono + round(end * NS))


def _open(path: str) -> sqlite3.Connection:
    from urllib.parse import quote

    os.stat(path)  # the OSError of a file that is not there
    name = quote(os.fsencode(os.path.abspath(path)))
    modes = ("ro", "rw")  # a recorder that was killed while it wrote leaves a file to repair
    for mode in modes:
        try:
            db = sqlite3.connect(
                f"file:{name}?mode={mode}",
                uri=True,
                isolation_level=None,
                timeout=PATIENCE,
                check_same_thread=False,
            )
            db.execute("PRAGMA trusted_schema = OFF")
            db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.OperationalError as error:
            if mode == modes[-1]:
                raise _unreadable(path, error) from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise CorruptProfile(f"{path}: is a damaged recording: {error}") from error
        else:
            return db
    raise AssertionError


def _unreadable(path: str, error: sqlite3.OperationalError) -> Exception:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_BUSY"):
        return CprofError(f"{path}: somebody keeps it locked", "try again")
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_IOERR")):
        return OSError(errno.EACCES, f"{os.strerror(errno.EACCES)} ({error})", path)
    return CorruptProfile(f"{path}: is a damaged recording: {error}")
