"""Traces: each distinct stack of a profile with what it cost, as pprof's -traces."""

from collections.abc import Iterator, Sequence

from cprof import _core
from cprof.graph import divided
from cprof.names import elide, printable
from cprof.report import NAME_WIDTH, PLAIN, Scale, Shown, percent, plural
from cprof.rows import Trace

_SHOWN = 10  # stacks, where nobody said how many
_NONE = 0xFFFFFFFF


class Traces(Sequence[Trace]):
    """The distinct stacks, the largest value first. Rows are made when asked for. Shows itself
    as text."""

    def __init__(
        self, core: _core.Profile, index: int, whole: int, *, by_line: bool = False,
        mean: bool = False,
    ) -> None:  # fmt: skip
        parent, frame, node, frames = core.frame_tree(by_line)
        (leaves,), sums, counts = core.group([node])
        self._parent, self._frame = memoryview(parent), memoryview(frame)
        self._names = _names(core, frames, by_line=by_line)
        columns = [memoryview(column) for column in (leaves, counts, *sums)]
        rows = zip(*columns, strict=True)
        self._rows = sorted(
            ((_value(row[2:], index, mean=mean), *row) for row in rows if any(row[2:])),
            key=lambda row: -abs(row[0]),
        )
        self.unit, self.whole = core.sample_types[index][1], whole

    def _stack(self, node: int) -> tuple[tuple[str, str], ...]:
        stack = []
        while node != _NONE:
            stack.append(self._names[self._frame[node]])
            node = self._parent[node]
        return tuple(stack)

    def __getitem__(self, i: "int | slice") -> "Trace | list[Trace]":  # type: ignore[override]
        if isinstance(i, slice):
            return [self._trace(row) for row in self._rows[i]]
        return self._trace(self._rows[i])

    def _trace(self, row: tuple[int, ...]) -> Trace:
        value, node, samples, *values = row
        return Trace(self._stack(node), samples, value, tuple(values))

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Trace]:
        return map(self._trace, self._rows)

    def lines(
        self, n: int | None = None, *, shown: Shown = PLAIN, width: int | None = None
    ) -> Iterator[str]:
        """The text of the first `n` stacks, line by line, in lines of at most `width`
        characters (None: names are cut at 80; 0: not at all)."""
        values = [row[0] for row in self._rows[:n]]
        scale = Scale(self.unit, values, shown)
        left = max((len(scale.text(value)) for value in values), default=0)
        room = NAME_WIDTH if width is None else max(width - left - 12, 24)
        for row in self._rows[:n]:
            trace = self._trace(row)
            yield "-" * (left + 10) + "+" + "-" * 20
            head = f"{scale.text(trace.value).rjust(left)}  {percent(trace.value, self.whole):>6}"
            for function, module in trace.stack:
                name = elide(function, room) if width != 0 else printable(function)
                end = f"  ({elide(module, NAME_WIDTH)})" if module else ""
                yield f"{head}  | {name}{end}"
                head = " " * len(head)
        if len(self._rows) > len(values):
            yield f"... and {plural(len(self._rows) - len(values), 'more stack')}"

    def text(self, n: int | None = None, *, shown: Shown = PLAIN) -> str:
        return "\n".join(self.lines(n, shown=shown))

    def __repr__(self) -> str:
        return self.text(_SHOWN)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        from cprof.report import html_of

        return html_of(self)


def _value(values: Sequence[int], index: int, *, mean: bool) -> int:
    return divided(values[index], values[0]) if mean else values[index]


def _names(
    core: _core.Profile, frames: Sequence[tuple[int, int, int]], *, by_line: bool
) -> list[tuple[str, str]]:
    """(name, module) of each frame."""
    functions, mappings = core.functions_table, core.mappings
    names = []
    for function, line, mapping in frames:
        if function < 0:
            names.append(("[unknown]", mappings[mapping][4] if mapping >= 0 else ""))
            continue
        name, _, file, _, module = functions[function]
        at = f" {file}:{line}" if by_line and line else ""
        names.append((name + at, module))
    return names
