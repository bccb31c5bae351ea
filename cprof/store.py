"""The layout of a recording file, .cprof: one SQLite database with every kind of one
recording. docs/recording-file.md describes it for those who read it with other programs.

`cprof.store_write` writes it, `cprof.store_read` reads it.
"""

import sys
from collections.abc import Mapping, Sequence

from cprof import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAGIC = b"SQLite format 3\0"
APPLICATION_ID = 0x6370726F  # "cpro"
VERSION = 1
CHUNK_SECONDS = 4.0

_PLAIN, _STEPS, _BACK = 0, 1, 2  # enum cprof_column_kind
_SIGNED = 1 << 63
NS = 1e9
PATIENCE = 10.0  # seconds to wait for somebody who reads, or writes

SCHEMA = """
CREATE TABLE kinds (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE facts (kind INTEGER NOT NULL REFERENCES kinds, key TEXT NOT NULL, value,
  PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE sample_types (kind INTEGER NOT NULL REFERENCES kinds, number INTEGER NOT NULL,
  type TEXT NOT NULL, unit TEXT NOT NULL, PRIMARY KEY (kind, number)) WITHOUT ROWID;
CREATE TABLE comments (kind INTEGER NOT NULL REFERENCES kinds, number INTEGER NOT NULL,
  text TEXT NOT NULL, PRIMARY KEY (kind, number)) WITHOUT ROWID;
CREATE TABLE marks (kind INTEGER NOT NULL REFERENCES kinds, time INTEGER NOT NULL,
  what INTEGER NOT NULL, n INTEGER NOT NULL);
CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE mappings (id INTEGER PRIMARY KEY, start INTEGER NOT NULL,
  "limit" INTEGER NOT NULL, "offset" INTEGER NOT NULL, file TEXT NOT NULL,
  module TEXT NOT NULL, build_id TEXT NOT NULL, root TEXT NOT NULL, flags INTEGER NOT NULL);
CREATE TABLE functions (id INTEGER PRIMARY KEY, name TEXT NOT NULL,
  file INTEGER NOT NULL REFERENCES texts, start_line INTEGER NOT NULL,
  module INTEGER NOT NULL REFERENCES texts);
CREATE TABLE system_names (first INTEGER PRIMARY KEY, n INTEGER NOT NULL, names BLOB NOT NULL);
CREATE TABLE threads (id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, tid INTEGER NOT NULL,
  name TEXT NOT NULL, comm TEXT NOT NULL);
CREATE TABLE labels (thread INTEGER NOT NULL REFERENCES threads, key TEXT NOT NULL,
  value NOT NULL, unit TEXT NOT NULL);
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
CREATE VIEW function_names AS SELECT f.id, f.name, file.text AS file,
  f.start_line, module.text AS module FROM functions f
  JOIN texts file ON file.id = f.file JOIN texts module ON module.id = f.module;
"""
TABLES = (
    "kinds", "facts", "sample_types", "comments", "marks", "texts", "mappings", "functions",
    "system_names", "threads", "labels", "locations", "nodes", "chunks", "values",
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
    "address": ("Q", _PLAIN, 0),
    "mapping": ("I", _PLAIN, 0),
    "is_folded": ("B", _PLAIN, 0),
    "line_location": ("I", _STEPS, 0),
    "line_function": ("I", _PLAIN, 0),
    "line": ("q", _PLAIN, 0),
    "line_column": ("I", _PLAIN, 0),
    "parent": ("I", _BACK, 0),
    "location": ("I", _PLAIN, 0),
}
LOCATION = ("address", "mapping", "is_folded")
LINE = ("line_location", "line_function", "line", "line_column")
NODE = ("parent", "location")
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


def signed(number: int) -> int:
    """A number below 2^64 as SQLite keeps integers."""
    return number - 2 * _SIGNED if number >= _SIGNED else number


def unsigned(number: int) -> int:
    return number + 2 * _SIGNED if number < 0 else number
