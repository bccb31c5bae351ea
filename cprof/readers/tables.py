"""What readers of other programs' files gather, for `_core.build`: equal functions, places,
stacks and threads get one number."""

from array import array
from collections.abc import Sequence

from cprof import _core
from cprof.errors import CorruptProfile, translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NONE = 0xFFFFFFFF
"""No number: the caller of an outermost frame, the mapping of unknown code."""

BOM = "\N{BYTE ORDER MARK}".encode()
"""What some programs write before UTF-8."""

Place = tuple[int, int]  # function, line (0 unknown)


class Builder:
    """The tables of one profile. `sample_types` may still grow until `build`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sample_types: list[tuple[str, str]] = []
        self.times: array[int] | None = None
        self.end = 0  # of the last sample, ns, where that is not its time
        self.run: dict[str, Any] = {}
        self.comments: list[str] = []
        self.threads: list[tuple[int, int, str, str]] = []
        self._thread_of: dict[object, int] = {}
        self._stacks = array("I")
        self._threads = array("I")
        self._cpus = array("i")
        self._rows = array("I"), array("I"), array("q")  # row, sample type, value
        self._functions: dict[tuple[str, str, str, int, str], int] = {}
        self._mappings: dict[str, int] = {}
        self._extents: list[tuple[int, int]] = []  # of the addresses in each mapping
        self._locations: dict[tuple[int, int, tuple[Place, ...]], int] = {}
        self._nodes: dict[tuple[int, int], int] = {}

    def function(self, name: str, symbol: str = "", file: str = "", module: str = "") -> int:
        key = _text(name), _text(symbol or name), _text(file), 0, _text(module)
        return self._functions.setdefault(key, len(self._functions))

    def location(self, places: Sequence[Place], address: int = 0, file: str = "") -> int:
        """Code at `address` of a mapped `file` ("" is none): its functions, the innermost
        inlined one first."""
        mapping = self._mapping(address, file) if file else NONE
        key = address, mapping, tuple(places)
        return self._locations.setdefault(key, len(self._locations))

    def _mapping(self, address: int, file: str) -> int:
        number = self._mappings.setdefault(_text(file), len(self._extents))
        if number == len(self._extents):
            self._extents.append((address, address + 1))
        low, high = self._extents[number]
        self._extents[number] = min(low, address), max(high, address + 1)
        return number

    def node(self, caller: int, location: int) -> int:
        return self._nodes.setdefault((caller, location), len(self._nodes))

    def thread(self, pid: int, tid: int, name: str, comm: str = "", key: object = None) -> int:
        """The number of a thread; `key` is its identity where the names are not."""
        key = (pid, tid, name, comm) if key is None else key
        number = self._thread_of.setdefault(key, len(self.threads))
        if number == len(self.threads):
            self.threads.append((pid, tid, _text(name), _text(comm)))
        return number

    def sample_type(self, name: str, unit: str) -> int:
        if (name, unit) not in self.sample_types:
            self.sample_types.append((name, unit))
        return self.sample_types.index((name, unit))

    def row(
        self, thread: int, stack: int, values: Sequence[tuple[int, int]], cpu: int = -1
    ) -> None:
        """One sample; `values` are (sample type, value), others are 0."""
        row = len(self._stacks)
        self._stacks.append(stack)
        self._threads.append(thread)
        self._cpus.append(cpu)
        for sample_type, value in values:
            try:
                self._rows[2].append(value)
            except OverflowError:
                raise CorruptProfile(f"{self.name}: a value of {value} is too large") from None
            self._rows[0].append(row)
            self._rows[1].append(sample_type)

    @property
    def n_rows(self) -> int:
        return len(self._stacks)

    def build(self) -> _core.Profile:
        """The profile. Raises CorruptProfile where nothing was gathered."""
        if not self._stacks:
            raise CorruptProfile(f"{self.name}: it holds no samples")
        values = [array("q", bytes(8 * self.n_rows)) for _ in self.sample_types]
        for row, sample_type, value in zip(*self._rows, strict=True):
            values[sample_type][row] += value
        rows: dict[str, Any] = {"thread": self._threads, "stack": self._stacks, "values": values}
        rows["cpu_id"] = self._cpus
        if self.times is not None:
            rows["time"] = self.times
        lines = [
            (number, function, line)
            for (_, _, places), number in self._locations.items()
            for function, line in places
        ]
        tables: Any = {
            "sample_types": self.sample_types,
            "mappings": [
                (low, high, 0, file, file.rpartition("/")[2], "")
                for file, (low, high) in zip(self._mappings, self._extents, strict=True)
            ],
            "functions": list(self._functions),
            "locations": (
                array("Q", [address for address, _, _ in self._locations]),
                array("I", [mapping for _, mapping, _ in self._locations]),
            ),
            "lines": (
                array("I", [number for number, _, _ in lines]),
                array("I", [function for _, function, _ in lines]),
                array("q", [line for _, _, line in lines]),
                array("I", bytes(4 * len(lines))),
            ),
            "nodes": (
                array("I", [caller for caller, _ in self._nodes]),
                array("I", [location for _, location in self._nodes]),
            ),
            "threads": self.threads,
            "rows": rows,
            "run": self.run,
            "comments": self.comments,
        }
        if self.times is not None:
            start = min(self.times)
            self.run["start_mono"] = start
            tables["span"] = (0.0, (max(self.end, max(self.times)) - start) / 1e9)
        with translated(path=self.name, is_reading=True):
            return _core.build(tables, self.name)


def _text(name: str) -> str:
    """`name` as the tables hold it: UTF-8 without NUL."""
    return name.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
