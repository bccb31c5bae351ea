"""Profiles as text: tables of functions, call trees, one-line summaries.

Makes strings; it never prints and never draws (`cprof.plot`). Every name that comes out of
here is printable.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from cprof import units
from cprof.names import elide, printable
from cprof.profile import COMPLETE, HOW
from cprof.rows import FunctionRow, ModuleQuality, Place, Row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cprof.profile import Profile
    from cprof.tree import Node

ROWS_SHOWN = 40  # of a table that was not cut to a number of rows by its user
NAME_WIDTH = 80  # of a function in a table whose width nobody gave
_BROKEN_MAX = 0.01  # a larger part of all stacks: where they break off is shown
_BROKEN_SHOWN = 5  # modules
_TIME = {"nanoseconds": 1, "microseconds": 10**3, "milliseconds": 10**6, "seconds": 10**9}
_TIME_STEPS = ((10**9, "s"), (10**6, "ms"), (10**3, "us"), (1, "ns"))
_BYTE_STEPS = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))


class Shown(Row):
    """How values are to be written: in `unit`, one of `cprof.units` ("auto": each in its own,
    "": the one that fits), after they were divided by `divide_by`."""

    __slots__ = ("unit", "divide_by")
    unit: str
    divide_by: float

    def value(self, value: int) -> int:
        return int(value / self.divide_by) if self.divide_by != 1 else value


PLAIN = Shown("", 1.0)


class Scale:
    """How the values of one column are written: all in the same unit."""

    def __init__(self, unit: str, values: Iterable[int], shown: Shown = PLAIN) -> None:
        self._unit, self._shown = unit, shown
        self._factor = _TIME.get(unit, 1)
        steps = _TIME_STEPS if unit in _TIME else _BYTE_STEPS if unit == "bytes" else ((1, ""),)
        largest = max((abs(shown.value(v)) for v in values), default=0) * self._factor
        self._step, self.suffix = next((s for s in steps if largest >= s[0]), steps[-1])

    def text(self, value: int) -> str:
        value = self._shown.value(value)
        if self._shown.unit:
            return units.label(value, self._unit, self._shown.unit)
        if self._step == 1:
            number = f"{value * self._factor:,d}"
        else:
            number = f"{value * self._factor / self._step:,.3f}"
        return f"{number} {self.suffix}".rstrip()


def percent(part: float, whole: float) -> str:
    """`part` of `whole` with one decimal; "-" when there is no whole."""
    return f"{100 * part / whole:.1f}%" if whole else "-"


def plural(n: int, noun: str) -> str:
    return f"{n:,d} {noun}" + ("" if n == 1 else "s")


def html_of(text: object) -> str:
    """A text table as it is, for a notebook."""
    from html import escape

    return f"<pre>{escape(str(text))}</pre>"


def summary(profile: "Profile") -> str:
    """What was recorded and how well, in one line."""
    quality = profile.quality
    line = plural(quality["samples"], "sample")
    if profile.event:
        line += f" of {profile.event}"
    if profile.duration:
        line += f" in {profile.duration:.2f} s"
    if quality["rate_asked"]:
        line += f" at {quality['rate_asked']:g} Hz"
    complete = f"{100 * quality['complete']:.1f} %"
    return f"{printable(line)}; lost {quality['lost']:,d}; complete {complete}"


def share(part: float, whole: float) -> str:
    """`part` of `whole` with as many decimals as a small share needs."""
    value = 100 * part / whole if whole else 0.0
    return f"{value:.1f} %" if value >= 0.1 or not value else f"{value:.1g} %"


def stacks_line(profile: "Profile") -> str:
    """What is to be known of the stacks beyond how many are complete, in one line; "" when
    there is nothing."""
    quality = profile.quality
    samples, verified = quality["samples"], quality["verified"]
    broken = {end: n for end, n in quality["ends"].items() if n and end not in COMPLETE}
    found = {how: quality[how] for how in HOW if quality[how]}
    parts = [
        ", ".join(f"{share(ways[name], samples)} {name}" for name in _by_count(ways))
        for ways in (broken, found)
        if ways
    ]
    if verified:
        parts.append(f"{share(quality['agreed'], verified)} of {verified:,d} verified agree")
    return f"stacks: {'; '.join(parts)}" if parts else ""


def _by_count(counts: Mapping[str, int]) -> list[str]:
    return sorted(counts, key=lambda name: -counts[name])


class Table(list["FunctionRow | Place"]):
    """Functions of a profile, or other places of its code, in order of self (or total): a list
    of rows that shows itself as a table.

    `unit` is the unit of the values, `total` what 100 % is, `n_functions` how many rows
    there are with those that were cut off; `shown` is how values are written.
    """

    def __init__(
        self,
        rows: "Iterable[FunctionRow | Place]",
        *,
        heading: Sequence[str] = (),
        unit: str = "",
        total: int = 0,
        n_functions: int | None = None,
        shown: Shown = PLAIN,
    ) -> None:
        super().__init__(rows)
        self.shown = shown
        self.heading = tuple(heading)
        self.unit = unit
        self.total = total
        self.n_functions = len(self) if n_functions is None else n_functions
        self._is_cut = n_functions is not None

    def _visible(self) -> "Sequence[FunctionRow | Place]":
        return self if self._is_cut else self[:ROWS_SHOWN]

    def _cells(self, rows: "Sequence[FunctionRow | Place]") -> Iterator[tuple[str, ...]]:
        scale = Scale(self.unit, (row.total for row in rows), self.shown)
        for row in rows:
            yield (
                scale.text(row.self),
                percent(row.self, self.total),
                scale.text(row.total),
                percent(row.total, self.total),
                row.label,
                row.module,
            )

    def text(self, width: int | None = None, *, full_names: bool = False) -> str:
        """The table in lines of at most `width` characters (None: names are cut at 80), or
        with every name whole."""
        rows = self._visible()
        lines = [printable(line)[:width] for line in self.heading]
        header = ("self", "self%", "total", "total%", "function", "module")
        cells = [header, *self._cells(rows)]
        numbers = [max(len(line[k]) for line in cells) for k in range(4)]
        modules = [elide(line[5], NAME_WIDTH) for line in cells]
        room = self._name_width(width, sum(numbers) + 8, max(map(len, modules)))
        names = [printable(c[4]) if full_names else elide(c[4], room) for c in cells]
        pad = min(max(map(len, names)), NAME_WIDTH)
        for line, name, module in zip(cells, names, modules, strict=True):
            left = "  ".join(line[k].rjust(numbers[k]) for k in range(4))
            lines.append(f"{left}  {name.ljust(pad)}  {module}".rstrip())
        if self.n_functions > len(rows):
            lines.append(f"... and {plural(self.n_functions - len(rows), f'more {self._noun()}')}")
        return "\n".join(lines)

    def _noun(self) -> str:
        return "row" if self and isinstance(self[0], Place) else "function"

    @staticmethod
    def _name_width(width: int | None, n_left: int, n_module: int) -> int:
        return NAME_WIDTH if width is None else max(width - n_left - n_module - 2, 24)

    def __repr__(self) -> str:
        return self.text()

    __str__ = __repr__

    def _repr_html_(self) -> str:
        rows = self._visible()
        names = ("self", "self%", "total", "total%", "function", "module")
        n_more = self.n_functions - len(rows)
        more = [f"... and {n_more:,d} more"] if n_more else []
        return html_table(names, self._cells(rows), self.heading, more)


def _cell(part: int, whole: int) -> str:
    return share(part, whole).replace(" ", "") if part else ""


_WORDS = {"function", "stack", "module", "state", "label", "value"}  # columns that are not numbers


def html_table(
    head: Sequence[str],
    body: Iterable[Sequence[str]],
    caption: Iterable[str] = (),
    foot: Iterable[str] = (),
) -> str:
    """A table for notebooks, which align all cells to the right unless told otherwise."""
    from html import escape

    def join(lines: Iterable[str]) -> str:
        return "<br>".join(escape(printable(line)) for line in lines)

    def row(cells: Iterable[str], tag: str) -> str:
        inner = (
            f"<{tag}{left if name in _WORDS else ''}>{escape(printable(cell))}</{tag}>"
            for name, cell in zip(head, cells, strict=True)
        )
        return f"<tr>{''.join(inner)}</tr>"

    left = ' style="text-align:left"'
    above, below = join(caption), join(foot)
    return "".join((
        "<table>",
        f"<caption{left}>{above}</caption>" if above else "",
        f"<thead>{row(head, 'th')}</thead>",
        f"<tbody>{''.join(row(cells, 'td') for cells in body)}</tbody>",
        f'<tfoot><tr><td colspan="{len(head)}"{left}>{below}</td></tr></tfoot>' if below else "",
        "</table>",
    ))  # fmt: skip


class ModuleTable(list[ModuleQuality]):
    """Modules, most samples first: a list of rows that shows itself as a table. A count that
    is 0 everywhere has no column."""

    def _shown(self) -> list[ModuleQuality]:
        return self[:ROWS_SHOWN]

    def _cells(self) -> list[list[str]]:
        """The lines, their heading first; all but the last column are numbers."""
        rows = self._shown()
        counts = [name for name in ("truncated", "no_mapping", *HOW, "unknown")
                  if any(row[name] for row in rows)]  # fmt: skip
        cells = [["samples", "complete", *counts, "broke", "module"]]
        for row in rows:
            shares = [_cell(row[name], row.samples) for name in counts]
            complete = percent(row.complete, 1) if row.samples else "-"
            broke = f"{row.broke:,d} {row.reason}".rstrip() if row.broke else ""
            cells.append([f"{row.samples:,d}", complete, *shares, broke, row.module or "[none]"])
        return cells

    def text(self) -> str:
        """The table; `broke` are stacks of any sample that got no further than this module's
        code, and why."""
        cells = self._cells()
        widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]) - 1)]
        lines = [
            "  ".join((*map(str.rjust, line, widths), elide(line[-1], NAME_WIDTH)))
            for line in cells
        ]
        if len(self) > ROWS_SHOWN:
            lines.append(f"... and {plural(len(self) - ROWS_SHOWN, 'more module')}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.text()

    __str__ = __repr__

    def _repr_html_(self) -> str:
        head, *body = self._cells()
        return html_table(head, body)


def broken_modules(profile: "Profile") -> ModuleTable:
    """The modules in whose code stacks broke off, most first, where that is worth a word.
    Where the copy of the stack was too short (truncated) says nothing of a module."""
    quality = profile.quality
    by_size = (*COMPLETE, "truncated")
    broken = sum(n for end, n in quality["ends"].items() if end not in by_size)
    if broken <= _BROKEN_MAX * quality["samples"]:
        return ModuleTable()
    rows = [row for row in profile.quality_by_module() if row.reason not in ("", "truncated")]
    return ModuleTable(sorted(rows, key=lambda row: -row.broke)[:_BROKEN_SHOWN])


def quality_data(profile: "Profile") -> "dict[str, Any]":
    """`Profile.quality` with `modules`, the rows of `Profile.quality_by_module`, for JSON."""
    return {**profile.quality, "modules": list(map(dict, profile.quality_by_module()))}


def tree_text(
    root: "Node", *, min_share: float = 0.005, max_depth: int | None = None, unit: str = ""
) -> str:
    """The call tree under `root`, one line a function. Paths below `min_share` of the root
    are left out. An only child stands under its caller without further indent, so that deep
    stacks stay on the page."""
    scale = Scale(unit, (root.total,))
    width = len(scale.text(root.total))
    whole = root.total
    lines = []
    pending = [(root, "", "")]  # node, what leads its own line, what leads its children's
    while pending:
        node, lead, below = pending.pop()
        module = f"  ({printable(node.module)})" if node.module else ""
        share = percent(node.total, whole).rjust(6)
        value = scale.text(node.total).rjust(width)
        lines.append(f"{share}  {value}  {lead}{elide(node.name, NAME_WIDTH)}{module}")
        if max_depth is not None and node.depth - root.depth >= max_depth:
            continue
        children = [c for c in node.children if abs(c.total) >= min_share * abs(whole)]
        if len(children) == 1:
            pending.append((children[0], below, below))
            continue
        last = len(children) - 1
        for i in range(last, -1, -1):
            branch, bar = ("`- ", "   ") if i == last else ("|- ", "|  ")
            pending.append((children[i], below + branch, below + bar))
    return "\n".join(lines)
