"""The call graph: functions (or files, lines, addresses, modules) and the calls between them,
as pprof's -tree, -peek and -dot have it. The core adds it up; here it is trimmed and shown.

Trimming is that of pprof's report.newTrimmedGraph: nodes below a share of the whole go, and
calls that went over them are "residual" calls between those that stay.
"""

from collections.abc import Iterable, Iterator, Sequence

from cprof import _core
from cprof.errors import translated
from cprof.match import compiled
from cprof.names import elide, printable
from cprof.report import NAME_WIDTH, PLAIN, Scale, Shown, html_of, percent
from cprof.rows import CallRow, Place, Row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from cprof.rows import FunctionRow

    T = TypeVar("T", FunctionRow, Place, FunctionRow | Place)

GRANULARITIES = ("functions", "filefunctions", "files", "lines", "addresses", "modules")
NODE_FRACTION, EDGE_FRACTION, NODE_COUNT = 0.005, 0.001, 80  # what pprof's graphs show


class Call(Row):
    """An edge of a graph: nodes by number; `value` and `is_inlined` as in `CallRow`;
    `is_residual` where nodes that were left out lie between."""

    __slots__ = ("caller", "callee", "value", "is_inlined", "is_residual")
    caller: int
    callee: int
    value: int
    is_inlined: bool
    is_residual: bool


class Trim(Row):
    """How much of a graph to show: nodes whose total is at least `nodes` of the whole, the
    `count` first of them (0: all), calls of at least `edges` of the whole."""

    __slots__ = ("nodes", "edges", "count")
    nodes: float
    edges: float
    count: int


WHOLE = Trim(0.0, 0.0, 0)


class Graph:
    """The nodes of a call graph, in order of self (or total), and the calls between them, the
    largest first. Shows itself as pprof's -tree: each function with its callers above and its
    callees below."""

    def __init__(
        self, nodes: Sequence[Place], calls: Iterable[Call], unit: str, whole: int, n_dropped: int
    ) -> None:
        self.nodes = list(nodes)
        self.calls = list(calls)
        self.unit, self.whole, self.n_dropped = unit, whole, n_dropped
        self._in: list[list[Call]] = [[] for _ in self.nodes]
        self._out: list[list[Call]] = [[] for _ in self.nodes]
        for call in self.calls:
            self._in[call.callee].append(call)
            self._out[call.caller].append(call)

    def callers(self, node: int) -> list[Call]:
        """The calls of `nodes[node]`, the largest first."""
        return self._in[node]

    def callees(self, node: int) -> list[Call]:
        """The calls by `nodes[node]`, the largest first."""
        return self._out[node]

    def matching(self, pattern: str) -> list[int]:
        """The nodes whose name matches a regular expression. Raises ValueError where none
        does."""
        search = compiled(pattern).search
        found = [i for i, node in enumerate(self.nodes) if search(node.label or node.module)]
        if not found:
            raise ValueError(f"no function in this profile matches {pattern!r}")
        return found

    def data(self, only: Sequence[int] | None = None) -> "list[dict[str, Any]]":
        """Rows for JSON: the fields of the node, `callers` and `callees`, each a function,
        module, value and is_inlined."""
        return [
            dict(self.nodes[i])
            | {
                "callers": [self._end(call, call.caller) for call in self._in[i]],
                "callees": [self._end(call, call.callee) for call in self._out[i]],
            }
            for i in (range(len(self.nodes)) if only is None else only)
        ]

    def _end(self, call: Call, i: int) -> "dict[str, Any]":
        end = dict(self.nodes[i])
        for name in ("self", "total"):
            del end[name]
        return end | {"value": call.value, "is_inlined": call.is_inlined}

    def text(
        self, *, only: Sequence[int] | None = None, shown: Shown = PLAIN, width: int | None = None
    ) -> str:
        return "\n".join(self.lines(only=only, shown=shown, width=width))

    def lines(
        self, *, only: Sequence[int] | None = None, shown: Shown = PLAIN, width: int | None = None
    ) -> Iterator[str]:
        """The text, line by line, in lines of at most `width` characters (None: names are cut
        at 80; 0: not at all)."""
        chosen = range(len(self.nodes)) if only is None else only
        scale = Scale(self.unit, (self.nodes[i].total for i in chosen), shown)
        columns = ("self", "self%", "total", "total%", "calls", "calls%")
        cells = [(i, self._cells(scale, i)) for i in chosen]
        size = [
            max(len(column), *(len(c[k]) for _, block in cells for c in block), 0)
            for k, column in enumerate(columns)
        ]
        left = sum(size) + 2 * len(size)
        room = NAME_WIDTH if width is None else max(width - left - 5, 24) if width else 0
        rule = "-" * left + "+" + "-" * 20
        head = "  ".join(name.rjust(n) for name, n in zip(columns, size, strict=True))
        yield f"{head}  | function"
        for _, block in cells:
            yield rule
            for *numbers, name, module in block:
                row = "  ".join(v.rjust(n) for v, n in zip(numbers, size, strict=True))
                text = elide(name, room) if room else printable(name)
                is_node = bool(numbers[0])
                end = f"  ({elide(module, NAME_WIDTH)})" if module and name else ""
                yield f"{row}  | {'' if is_node else '  '}{text or printable(module)}{end}"
        if cells:
            yield rule

    def _cells(self, scale: Scale, i: int) -> list[tuple[str, ...]]:
        node = self.nodes[i]

        def calls(end: Sequence[Call], of: str) -> Iterator[tuple[str, ...]]:
            for call in end:
                other = self.nodes[call[of]]
                mark = " (inline)" if call.is_inlined else ""
                share = percent(call.value, node.total)
                name = f"{other.label}{mark}" if other.label else ""
                yield "", "", "", "", scale.text(call.value), share, name, other.module

        own = (
            scale.text(node.self), percent(node.self, self.whole), scale.text(node.total),
            percent(node.total, self.whole), "", "", node.label, node.module,
        )  # fmt: skip
        return [*calls(self._in[i], "caller"), own, *calls(self._out[i], "callee")]

    def __repr__(self) -> str:
        return self.text()

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return html_of(self)


class Peek(Graph):
    """The nodes of a graph that match, with their callers and callees; shows itself as pprof's
    -peek. `matched` are their numbers."""

    def __init__(self, graph: Graph, pattern: str) -> None:
        super().__init__(graph.nodes, graph.calls, graph.unit, graph.whole, graph.n_dropped)
        self.matched = self.matching(pattern)

    def text(
        self, *, only: Sequence[int] | None = None, shown: Shown = PLAIN, width: int | None = None
    ) -> str:
        return super().text(only=self.matched if only is None else only, shown=shown, width=width)


class CallTable(list[CallRow]):
    """The calls of some functions, or by them, the largest first: a list of rows that shows
    itself as a table. `of` is what 100 % is: the total of these functions together."""

    def __init__(self, graph: Graph, matched: Sequence[int], end: str) -> None:
        wanted = set(matched)
        nodes = graph.nodes
        super().__init__(
            CallRow(
                nodes[call.caller].function, nodes[call.caller].module,
                nodes[call.callee].function, nodes[call.callee].module,
                call.value, call.is_inlined,
            )
            for call in graph.calls
            if call[end] in wanted
        )  # fmt: skip
        self.unit, self.of = graph.unit, sum(nodes[i].total for i in wanted)

    def text(self) -> str:
        scale = Scale(self.unit, (row.value for row in self))
        head = ("calls", "calls%", "caller", "", "callee")
        cells = [head] + [
            (scale.text(row.value), percent(row.value, self.of),
             elide(row.caller, NAME_WIDTH), "->", elide(row.callee, NAME_WIDTH))
            for row in self
        ]  # fmt: skip
        size = [max(len(line[k]) for line in cells) for k in range(3)]
        return "\n".join(
            f"{v.rjust(size[0])}  {p.rjust(size[1])}  {a.ljust(size[2])} {arrow:2} {b}".rstrip()
            for v, p, a, arrow, b in cells
        )

    def __repr__(self) -> str:
        return self.text()

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return html_of(self)


# Sums


def divided(value: int, by: int) -> int:
    """A mean, cut to a whole number as pprof does; `value` itself where there is no divisor."""
    quotient = abs(value) // abs(by) if by else value
    return -quotient if by and (value < 0) != (by < 0) else quotient


def whole(core: _core.Profile, index: int, *, mean: bool = False) -> int:
    """What 100 % is: the sum of all values without their signs, equal stacks of one thread
    taken together (pprof's computeTotal); with `mean`, over the sum of the first type."""
    from cprof.profile import value_columns

    total = core.totals()[index]
    column = memoryview(core.column(value_columns(core)[index]))
    if min(column, default=0) < 0:
        keys = [core.column("stack"), core.column("thread")]
        total = sum(map(abs, memoryview(core.group(keys)[1][index])))
    return divided(total, core.totals()[0]) if mean else total


def graph(
    core: _core.Profile,
    index: int,
    granularity: str = "functions",
    *,
    cum: bool = False,
    mean: bool = False,
    trim: Trim = WHOLE,
    of: int | None = None,
    by_module: bool = True,
    drop_negative: bool = False,
) -> Graph:
    """The call graph of one sample type. `cum`: in order of total. `mean`: values are those of
    the sample type over those of the first one. `of` is what 100 % is, where not all.
    `drop_negative`: without nodes that shrank."""
    if granularity not in GRANULARITIES:
        raise ValueError(f"granularity {granularity!r}: known are {', '.join(GRANULARITIES)}")
    sums = _Sums(core, granularity, by_module)
    nodes, edges = sums.of(index)
    shown = _order(nodes, cum=cum)
    own = sum(node.self for node in nodes)
    keep = worth_showing(
        [nodes[i] for i in shown], trim.nodes, own, drop_negative=drop_negative
    )[: trim.count or None]  # fmt: skip
    n_dropped = len(shown) - len(keep)
    cutoff = abs(int(own * trim.edges))  # of all that there was
    if n_dropped:
        sums.keep = set(map(_key, keep))
        nodes, edges = sums.of(index)
    number = {old: new for new, old in enumerate(_order(nodes, cum=cum))}
    calls = [e for e in edges if e.value and abs(e.value) >= cutoff]
    if mean:
        nodes, calls = sums.over_first(nodes, calls)
    return Graph(
        [nodes[i] for i in number],
        [
            Call(number[c.caller], number[c.callee], c.value, c.is_inlined, c.is_residual)
            for c in calls
            if c.caller in number and c.callee in number
        ],
        core.sample_types[index][1],
        whole(core, index, mean=mean) if of is None else of,
        n_dropped,
    )


class _Sums:
    """The graphs of the sample types of one profile, with only the nodes to `keep`, if any."""

    def __init__(self, core: _core.Profile, granularity: str, by_module: bool) -> None:
        self._core, self._granularity, self._by_module = core, granularity, by_module
        self.keep: set[tuple[object, ...]] | None = None

    def of(self, index: int) -> tuple[list[Place], list[Call]]:
        """Nodes and edges; the numbers of nodes are those of this answer."""
        with translated():
            nodes, edges = self._core.graph(index, self._granularity, by_module=self._by_module)
            if self.keep is not None:
                mask = bytes(node[:5] in self.keep for node in nodes)
                nodes, edges = self._core.graph(
                    index, self._granularity, keep=mask, by_module=self._by_module
                )
        return [Place(*node) for node in nodes], [Call(*edge) for edge in edges]

    def over_first(
        self, nodes: Sequence[Place], calls: Sequence[Call]
    ) -> tuple[list[Place], list[Call]]:
        """Each sum over the one of the first sample type."""
        first, edges = self.of(0)
        keys = [_key(node) for node in nodes]
        counts = {_key(node): (node.self, node.total) for node in first}
        pairs = {(_key(first[e.caller]), _key(first[e.callee])): e.value for e in edges}
        means = []
        for node, key in zip(nodes, keys, strict=True):
            self_, total = counts.get(key, (0, 0))
            means.append(Place(*key, divided(node.self, self_), divided(node.total, total)))
        return means, [
            Call(
                c.caller, c.callee,
                divided(c.value, pairs.get((keys[c.caller], keys[c.callee]), 0)),
                c.is_inlined, c.is_residual,
            )
            for c in calls
        ]  # fmt: skip


def _order(rows: Sequence[Place], *, cum: bool) -> list[int]:
    """pprof's order; what has no cost at all is left out."""
    first, second = ("total", "self") if cum else ("self", "total")
    return sorted(
        (i for i, row in enumerate(rows) if row.self or row.total),
        key=lambda i: (
            -abs(rows[i][first]), rows[i].label or rows[i].module, -abs(rows[i][second]),
            rows[i].module,
        ),
    )  # fmt: skip


def worth_showing(
    rows: "Sequence[T]", share: float, of: int, *, drop_negative: bool = False
) -> "Sequence[T]":
    """The rows whose total is at least `share` of the sum `of` all self, in the same order;
    `drop_negative`: and that did not shrink."""
    cutoff = abs(int(of * share))
    if not cutoff and not drop_negative:
        return rows
    return [
        row for row in rows
        if abs(row.total) >= cutoff and not (drop_negative and (row.self or row.total) < 0)
    ]  # fmt: skip


def _key(place: Place) -> tuple[object, ...]:
    return tuple(place.values())[:5]
