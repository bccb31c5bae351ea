"""What a page shows, gathered from profiles: columns that page/data.js reads.

Everything is a buffer of the core or made of one at C speed; nothing here loops over samples.
All names are made printable: control characters, bidirectional overrides and lone surrogates
come out as replacement characters.
"""

import base64
import json
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from operator import add

from cprof import _core
from cprof.errors import translated
from cprof.names import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cprof.profile import Profile

PRUNED = "[pruned]"  # the name of the frame that stands for what was pruned
_NONE = 0xFFFFFFFF
_UNKNOWN = "[unknown]"
_TIMED_ROWS_MAX = 250_000  # rows of a page that keeps the order of time
_TICK_BYTES = (2, 3)  # a tick is 65.5 us, or 16.8 ms where that makes too many rows
_LEVEL = 1  # of zlib: the higher ones take many times longer for a tenth less


class Gathered:
    """The trie of frames and the sums by node, as arrays: what pruning and writing work on.

    `parent`, `frame` (by node, a parent's number is below its children's); `frames` by frame
    (function, file, line), numbers of `functions` (name, module, file, line) and `files`;
    `keys` has the node, thread, side and tick of each row, `values` its sums by sample type.
    `tick_ns` is 0 without times, `has_too_many_times` where they would make too many rows.
    """

    def __init__(self, sides: "Sequence[Profile]", *, lines: bool, timed: bool) -> None:
        if lines and len(sides) == 1:  # a difference has rows for the frames that it knows
            sides = [p.with_lines() if p._core.wants_lines else p for p in sides]
        with translated():
            core = sides[0]._core if len(sides) == 1 else _core.merge([p._core for p in sides])
        self.sides, self.core = sides, core
        parent, frame, node, frames = core.frame_tree(lines)
        self.has_lines = lines and any(line for _, line, _ in frames)
        self.parent, self.frame = _numbers("I", parent), _numbers("I", frame)
        self._read_frames(frames)
        self._read_threads()
        self._read_rows(node, timed and len(sides) == 1)
        self.n_pruned, self.prune_cut = 0, 0.0

    @property
    def n_nodes(self) -> int:
        return len(self.parent)

    def _read_frames(self, frames: Iterable[tuple[int, int, int]]) -> None:
        functions, mappings = self.core.functions_table, self.core.mappings
        known: dict[tuple[str, str], int] = {}
        files: dict[str, int] = {"": 0}
        self.functions: list[tuple[str, str, int, int]] = []
        self.frames: list[tuple[int, int, int]] = []
        for function, line, mapping in frames:
            name, file, start = _UNKNOWN, "", 0
            module = mappings[mapping][4] if mapping >= 0 else ""
            if function >= 0:
                name, _, file, start, module = functions[function]
            in_file = files.setdefault(file, len(files))
            number = known.setdefault((name, module), len(known))
            if number == len(self.functions):
                self.functions.append((name, module, in_file, start))
            self.frames.append((number, in_file, line))
        self.files = list(files)

    def _read_threads(self) -> None:
        """Threads by number, as the menu's entries: in a diff those of one name are one."""
        is_diff = len(self.sides) == 2
        known: dict[str, int] = {}
        self.threads: list[dict[str, str]] = []
        self._thread_of: list[int] = []
        for pid, tid, name, comm in self.core.threads:
            process = f"{comm}/" if is_diff else f"{pid}/"
            identity = f"{process}{name}" if is_diff else f"{process}{tid}"
            number = known.setdefault(identity, len(known))
            self._thread_of.append(number)
            if number == len(self.threads):
                text = (name or comm) if is_diff else f"{name or comm or 'thread'} ({tid})"
                of = comm if is_diff else f"{pid} {comm}"
                row = {"id": identity, "process": process, "label": text, "of": of}
                self.threads.append({key: printable(value) for key, value in row.items()})

    def _read_rows(self, node: _core.Column, timed: bool) -> None:
        n = self.core.n
        thread = memoryview(self.core.column("thread"))
        side = _numbers("I", b"\0\0\0\0" * self.sides[0]._core.n)
        side += _numbers("I", (1).to_bytes(4, "little") * (n - len(side)))
        self.tick_ns, self.has_too_many_times = 0, False
        if timed and self.core.run["has_times"]:
            for n_bytes in _TICK_BYTES:
                ticks = _ticks(self.core.column("time"), n_bytes)
                keys, values, _ = self.core.group([node, thread, side, ticks])
                if len(keys[0]) <= _TIMED_ROWS_MAX:
                    self.tick_ns = 1 << 8 * n_bytes
                    break
            self.has_too_many_times = not self.tick_ns
        if not self.tick_ns:
            keys, values, _ = self.core.group([node, thread, side])
        self.keys = [_numbers("I", key) for key in keys]
        self.keys[1] = array("I", map(self._thread_of.__getitem__, self.keys[1]))
        self.values = [_numbers("q", value) for value in values]

    def node_totals(self) -> "array[float]":
        """What each node and all below it hold of the default sample type, as a share of its
        side."""
        index = self.core.default_type
        wholes = [abs(p._core.totals()[index]) or 1 for p in self.sides]
        total = array("d", bytes(8 * self.n_nodes))
        for node, side, value in zip(self.keys[0], self.keys[2], self.values[index], strict=True):
            total[node] += abs(value) / wholes[side]
        for node in range(self.n_nodes - 1, -1, -1):
            if (parent := self.parent[node]) != _NONE:
                total[parent] += total[node]
        return total

    def without_times(self) -> None:
        """Forget the order of time: far fewer rows."""
        self.tick_ns = 0
        del self.keys[3:]
        self._sum_rows()

    def prune(self, keep: int) -> None:
        """Keep about `keep` call paths, those with the most in them. What the others hold
        becomes a frame "[pruned]" of the nearest caller that is kept, so that all sums stay."""
        total = self.node_totals()
        cut, room = -1.0, 0  # of those with just `cut` in them, the first `room` are kept
        if keep < self.n_nodes:
            cut = sorted(total, reverse=True)[keep]
            room = keep - sum(value > cut for value in total)
        parent, frame, n_before = self.parent, self.frame, self.n_nodes
        self.parent, self.frame = array("I"), array("I")
        number = array("I", bytes(4 * n_before))
        stand_ins: dict[int, int] = {}  # by caller
        pruned = set()
        for node in range(n_before):
            is_root = parent[node] == _NONE
            above = _NONE if is_root else number[parent[node]]
            if above in pruned:
                number[node] = above
                continue
            is_kept = total[node] > cut or (total[node] == cut and room > 0)
            room -= total[node] == cut
            if not is_kept and above in stand_ins:
                number[node] = stand_ins[above]
                continue
            number[node] = len(self.parent)
            self.parent.append(above)
            self.frame.append(frame[node] if is_kept else self._pruned_frame())
            if not is_kept:
                stand_ins[above] = number[node]
                pruned.add(number[node])
        self.keys[0] = array("I", map(number.__getitem__, self.keys[0]))
        self._sum_rows()
        self._drop_unused()
        self.n_pruned += n_before - self.n_nodes
        self.prune_cut = max(cut, self.prune_cut)

    def _pruned_frame(self) -> int:
        """The frame that stands for what was pruned."""
        if PRUNED not in (name for name, *_ in self.functions[-1:]):
            self.functions.append((PRUNED, "", 0, 0))
            self.frames.append((len(self.functions) - 1, 0, 0))
        return len(self.frames) - 1

    def _sum_rows(self) -> None:
        """Rows with equal keys become one."""
        rows: dict[tuple[int, ...], list[int]] = {}
        for key, values in zip(
            zip(*self.keys, strict=True), zip(*self.values, strict=True), strict=True
        ):
            sums = rows.get(key)
            rows[key] = list(values) if sums is None else list(map(add, sums, values))
        self.keys = [array("I", column) for column in zip(*rows, strict=True)] or self.keys
        columns = zip(*rows.values(), strict=True)
        self.values = [array("q", column) for column in columns] or self.values

    def _drop_unused(self) -> None:
        """Drop the frames and functions that no node has any more, files stay."""
        frames = sorted(set(self.frame))
        functions = sorted({self.frames[i][0] for i in frames})
        new_frame = {old: new for new, old in enumerate(frames)}
        new_function = {old: new for new, old in enumerate(functions)}
        self.frame = array("I", map(new_frame.__getitem__, self.frame))
        self.frames = [
            (new_function[f], file, line) for f, file, line in map(self.frames.__getitem__, frames)
        ]
        self.functions = [self.functions[i] for i in functions]

    # The page's data

    def encode(self, header: "Mapping[str, Any]") -> str:
        """Everything as page/data.js reads it: base64 of zlib of a header in JSON, with its
        length before it, and of the columns."""
        columns: dict[str, array[int]] = {
            "nodeParent": self.parent,
            "nodeFrame": self.frame,
            "frameFunction": array("I", (function for function, _, _ in self.frames)),
            "frameFile": array("I", (file for _, file, _ in self.frames)),
            "frameLine": array("I", (max(line, 0) & _NONE for _, _, line in self.frames)),
            "rowNode": self.keys[0],
            "rowThread": self.keys[1],
            "rowSide": self.keys[2],
            "rowTick": self.keys[3] if self.tick_ns else array("I"),
            **{f"value{i}": values for i, values in enumerate(self.values)},
        }
        places, offset = {}, 0
        for name, column in columns.items():
            places[name] = ("i8" if column.typecode == "q" else "u4", offset, len(column))
            offset += -(-len(column) * column.itemsize // 8) * 8
        facts = {**header, **self._tables(), "columns": places}
        text = json.dumps(facts, separators=(",", ":")).encode()
        text += b" " * (-(4 + len(text)) % 8)
        parts = [len(text).to_bytes(4, "little"), text]
        for column in columns.values():
            parts += [column.tobytes(), bytes(-len(column) * column.itemsize % 8)]
        return base64.b64encode(zlib.compress(b"".join(parts), _LEVEL)).decode()

    def _tables(self) -> "dict[str, Any]":
        modules: dict[str, int] = {}
        module = [modules.setdefault(row[1], len(modules)) for row in self.functions]
        return {
            "functions": {
                "name": [printable(row[0]) for row in self.functions],
                "module": module,
                "file": [row[2] for row in self.functions],
                "line": [row[3] for row in self.functions],
            },
            "modules": [printable(name) for name in modules],
            "files": [printable(name) for name in self.files],
            "threads": self.threads,
            "hasLines": self.has_lines,
            "tickNs": self.tick_ns,
            "tickFrom": (self.core.run["start_mono"] // (self.tick_ns or 1)) % 2**32,
        }


def _ticks(times: _core.Column, n_bytes: int) -> memoryview:
    """uint64 nanoseconds without their lowest `n_bytes` bytes, as uint32."""
    data = memoryview(times).cast("B")[n_bytes:].tobytes() + bytes(n_bytes)
    return memoryview(memoryview(data).cast("I")[::2].tobytes()).cast("I")


def _numbers(typecode: str, buffer: "_core.Column | bytes") -> "array[int]":
    made = array(typecode)
    made.frombytes(buffer if isinstance(buffer, bytes) else memoryview(buffer).cast("B"))
    return made
