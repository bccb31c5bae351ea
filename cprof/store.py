"""The layout of a recording file, .cprof: one SQLite database with every kind of one
recording. docs/recording-file.md describes it for those who read it with other programs.

`cprof.store_write` writes it, `cprof.store_read` reads it.
"""

import json
import sys
import zlib
from collections.abc import Mapping, Sequence

from cprof import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

APPLICATION_ID = 0x6370726F  # "cpro"
VERSION = 2
CHUNK_SECONDS = 4.0
CHUNK_ROWS = 1024  # at least, in a file that is written at once

_PLAIN, _STEPS, _BACK, _ZIGZAG = range(4)  # enum cprof_column_kind
_SIGNED = 1 << 63
_MOST_PACKED = 1 << 30  # bytes
NS = 1e9
PATIENCE = 10.0  # seconds to wait for somebody who reads, or writes

SCHEMA = """
CREATE TABLE kinds (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE facts (kind INTEGER NOT NULL REFERENCES kinds, key TEXT NOT NULL, value,
  PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE sample_types (kind INTEGER NOT NULL REFERENCES kinds, number INTEGER NOT NULL,
  type TEXT NOT NULL, unit TEXT NOT NULL, PRIMARY KEY (kind, number)) WITHOUT ROWID;
CREATE TABLE comments (kind INTEGER NOT NULL REFERENCES kinds, number INTEGER NOT NULL,
  text TEXT NOT NULL, PRIMARY KEY (kind, number)) WITHOUT ROWID;
CREATE TABLE packed (what TEXT NOT NULL, first INTEGER NOT NULL, n INTEGER NOT NULL,
  size INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE locations (first INTEGER PRIMARY KEY, n INTEGER NOT NULL, address BLOB NOT NULL,
  mapping BLOB NOT NULL, is_folded BLOB, n_lines INTEGER NOT NULL, line_location BLOB,
  line_function BLOB, line BLOB, line_column BLOB);
CREATE TABLE nodes (first INTEGER PRIMARY KEY, n INTEGER NOT NULL, parent BLOB NOT NULL,
  location BLOB NOT NULL);
CREATE TABLE chunks (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL REFERENCES kinds,
  start INTEGER NOT NULL, "end" INTEGER NOT NULL, n INTEGER NOT NULL, time BLOB, thread BLOB,
  stack BLOB NOT NULL, cpu_id BLOB, how BLOB, n_added BLOB);
CREATE TABLE "values" (chunk INTEGER NOT NULL REFERENCES chunks, type INTEGER NOT NULL,
  value BLOB NOT NULL);
CREATE TABLE marks (kind INTEGER NOT NULL REFERENCES kinds, start INTEGER NOT NULL,
  n INTEGER NOT NULL, time BLOB NOT NULL, what BLOB NOT NULL, count BLOB NOT NULL);
CREATE VIEW unpacked AS SELECT what, first + key AS id, value AS entry, {} FROM packed,
  json_each(CAST(sqlar_uncompress(data, size) AS TEXT));
CREATE VIEW mappings AS SELECT id, c0 AS start, c1 AS "limit", c2 AS "offset", c3 AS file,
  c4 AS module, c5 AS build_id, c6 AS root, c7 AS flags FROM unpacked WHERE what = 'mappings';
CREATE VIEW functions AS SELECT id, c0 AS name, coalesce(nullif(c1, ''), c0) AS system_name,
  c2 AS file, c3 AS start_line, c4 AS module FROM unpacked WHERE what = 'functions';
CREATE VIEW threads AS SELECT id, c0 AS pid, c1 AS tid, c2 AS name, c3 AS comm FROM unpacked
  WHERE what = 'threads';
CREATE VIEW labels AS SELECT u.id AS thread, json_extract(l.value, '$[0]') AS "key",
  json_extract(l.value, '$[1]') AS value, json_extract(l.value, '$[2]') AS unit
  FROM unpacked u, json_each(u.entry, '$[4]') l WHERE what = 'threads';
""".format(", ".join(f"json_extract(value, '$[{i}]') AS c{i}" for i in range(8)))
TABLES = (
    "kinds", "facts", "sample_types", "comments", "packed", "marks", "locations", "nodes",
    "chunks", "values",
)  # fmt: skip

# Of each column: buffer format, kind of block, what stands for NULL.
_COLUMNS = {
    "time": ("Q", _STEPS, 0),
    "thread": ("I", _PLAIN, 0),
    "stack": ("I", _PLAIN, 0),
    "cpu_id": ("i", _PLAIN, -1),
    "how": ("B", _PLAIN, 0),
    "n_added": ("H", _PLAIN, 0),
    "value": ("q", _PLAIN, 1),
    "what": ("I", _PLAIN, 0),
    "count": ("I", _PLAIN, 0),
    "address": ("Q", _ZIGZAG, 0),
    "mapping": ("I", _PLAIN, 0),
    "is_folded": ("B", _PLAIN, 0),
    "line_location": ("I", _STEPS, 0),
    "line_function": ("I", _ZIGZAG, 0),
    "line": ("q", _ZIGZAG, 0),
    "line_column": ("I", _PLAIN, 0),
    "parent": ("I", _BACK, 0),
    "location": ("I", _PLAIN, 0),
}
LOCATION = ("address", "mapping", "is_folded")
LINE = ("line_location", "line_function", "line", "line_column")
NODE = ("parent", "location")
MARK = ("time", "what", "count")
ROW = ("time", "thread", "stack", "cpu_id", "how", "n_added")
_SIZES = {"B": 1, "H": 2, "I": 4, "i": 4, "Q": 8, "q": 8}
_OPTIONAL = ("cpu_id", "how", "n_added", "value", "is_folded")  # may be NULL


def kind_of(core: _core.Profile) -> str:
    """What kind of recording this is the whole of: "cpu" where it measures CPU time, else the
    event, or the sample type of a file that does not say."""
    if ("cpu", "nanoseconds") in core.sample_types:
        return "cpu"
    return str(core.run["event"]) or core.sample_types[core.default_type][0]


def encode_all(
    names: Sequence[str],
    columns: Sequence[memoryview],
    a: int,
    b: int,
    base: int,
    added: Mapping[str, int],
) -> "list[bytes | None]":
    """One block for the entries a to b of each column; None where NULL says it all."""
    return [
        _encode(name, column[a:b], base, added.get(name, 0))
        for name, column in zip(names, columns, strict=True)
    ]


def _encode(name: str, numbers: memoryview, base: int, added: int) -> bytes | None:
    code, kind, otherwise = _COLUMNS[name]
    if not len(numbers):
        return None
    if name in _OPTIONAL:
        size = _SIZES[code]
        null = otherwise.to_bytes(size, sys.byteorder, signed=otherwise < 0)
        if numbers.tobytes() == null * len(numbers):
            return None
    return _core.encode_column(numbers, kind, base if kind != _PLAIN else 0, added)


def decode_all(
    names: Sequence[str], rows: "Sequence[tuple[Any, ...]]"
) -> "list[_core.Column | None]":
    """The columns `names` of rows of (base, n, block, block ...); None where all are NULL."""
    columns: list[_core.Column | None] = []
    for i, name in enumerate(names):
        code, kind, otherwise = _COLUMNS[name]
        if name in _OPTIONAL and all(row[2 + i] is None for row in rows):
            columns.append(None)
            continue
        parts = [(row[2 + i], row[1], unsigned(row[0])) for row in rows]
        try:
            columns.append(_core.decode_column(parts, code, kind, otherwise))
        except _core.CoreError as error:
            raise ValueError(f"the column {name} does not decode ({error.args[1]})") from error
    return columns


def pack(rows: "Sequence[Sequence[Any]]") -> tuple[int, bytes]:
    """Size and bytes of JSON text as sqlar has it: compressed where that makes it smaller."""
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    data = zlib.compress(text, 9)
    return len(text), data if len(data) < len(text) else text


def unpack(what: str, n: int, size: int, data: bytes) -> "list[list[Any]]":
    """The rows again. Raises ValueError where they are not `n` lists in `size` bytes."""
    text = data
    if not 0 <= size <= _MOST_PACKED:
        raise ValueError(f"a block of {what} has no size of {size} bytes")
    if size != len(data):
        inflater = zlib.decompressobj()
        text = inflater.decompress(data, size + 1)
        if len(text) != size or not inflater.eof or inflater.unused_data:
            raise ValueError(f"a block of {what} does not decode")
    rows = json.loads(text)
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise ValueError(f"a block of {what} is no list of lists")
    if len(rows) != n:
        raise ValueError(f"a block of {what} has {len(rows)} entries, not {n}")
    return rows


def signed(number: int) -> int:
    """A number below 2^64 as SQLite keeps integers."""
    return number - 2 * _SIGNED if number >= _SIGNED else number


def unsigned(number: int) -> int:
    return number + 2 * _SIGNED if number < 0 else number
