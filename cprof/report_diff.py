"""A diff as text and as an HTML table."""

from collections.abc import Iterator

from cprof.names import elide, printable
from cprof.report import NAME_WIDTH, Scale, html_table, plural, summary
from cprof.rows import DiffRow, StackRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof.diff import Diff

_HEADER = ("base", "new", "delta", "95 % interval", "p", "q", "state")


class DiffTable(list[DiffRow | StackRow]):
    """Rows of a diff that show themselves as a table, under lines that say what was compared
    and by which mode, and over the notes."""

    def __init__(self, diff: "Diff", rows: "list[DiffRow] | list[StackRow]", n: int) -> None:
        super().__init__(rows[:n])
        self._diff = diff
        self._all = rows
        self._what = "stack" if rows and isinstance(rows[0], StackRow) else "function"
        self._number = _Number(diff)

    def heading(self) -> list[str]:
        """What the numbers are, and what either side is."""
        diff = self._diff
        lines = [f"difference by {diff.mode} of {diff.sample_type} ({self._number.label})"]
        if diff.heading:
            return [*lines, *diff.heading.splitlines()]
        for side, profile in (("base", diff.base), ("new", diff.new)):
            command = f"{printable(profile.command)}: " if profile.command else ""
            lines.append(f"{side}: {command}{summary(profile)}")
        return lines

    def _header(self) -> tuple[str, ...]:
        return *_HEADER, self._what, "module" if self._what == "function" else ""

    def _cells(self) -> Iterator[tuple[str, ...]]:
        text = self._number.text
        for r in self:
            interval = f"{text(r.low, sign=True)} .. {text(r.high, sign=True)}"
            yield (
                text(r.base), text(r.new), text(r.delta, sign=True), interval,
                _probability(r.p), _probability(r.q), r.state, *_names(r),
            )  # fmt: skip

    def _rest(self) -> list[str]:
        n_more = len(self._all) - len(self)
        n_changed = sum(row.state != "same" for row in self._all)
        lines = [f"... and {plural(n_more, f'more {self._what}')}"] if n_more else []
        lines.append(f"{n_changed:,d} of {plural(len(self._all), self._what)} changed (q < 0.05)")
        return [*lines, *(f"note: {note}" for note in self._diff.notes)]

    def text(self, width: int | None = None, *, full_names: bool = False) -> str:
        """The table; lines of at most `width` characters (None: names are cut at 80), or with
        every name whole."""
        cells = [self._header(), *self._cells()]
        widths = [max(len(line[k]) for line in cells) for k in range(7)]
        modules = [elide(line[8], NAME_WIDTH) for line in cells]
        left = sum(widths) + 2 * 8 + max(map(len, modules))
        room = NAME_WIDTH if width is None else max(width - left, 24)
        short = elide if self._what == "function" else _inner_end
        names = [printable(c[7]) if full_names else short(c[7], room) for c in cells]
        pad = min(max(map(len, names)), NAME_WIDTH)
        lines = [printable(line) for line in self.heading()]
        for line, name, module in zip(cells, names, modules, strict=True):
            numbers = "  ".join(line[k].rjust(widths[k]) for k in range(6))
            state = line[6].ljust(widths[6])
            lines.append(f"{numbers}  {state}  {name.ljust(pad)}  {module}".rstrip())
        return "\n".join([*lines, *map(printable, self._rest())])

    def __repr__(self) -> str:
        return self.text()

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return html_table(self._header(), self._cells(), self.heading(), self._rest())


def _names(row: DiffRow | StackRow) -> tuple[str, str]:
    """What it is of, and of which module."""
    if isinstance(row, StackRow):
        return ";".join(row.stack), ""
    return row.function, row.module


def _inner_end(stack: str, width: int) -> str:
    """Its innermost frames, in `width` characters."""
    stack = printable(stack)
    return stack if len(stack) <= width else "\N{HORIZONTAL ELLIPSIS}" + stack[1 - width :]


class _Number:
    """How the numbers of a diff are written: shares in percent, sums in one unit."""

    def __init__(self, diff: "Diff") -> None:
        self._is_share = diff.mode == "share"
        unit = diff.base.sample_types[diff._type_index][1]
        largest = max((max(r.base, r.new) for r in diff.rows), default=0.0)
        self._scale = Scale(unit, (round(largest),))
        self._per = "/s" if diff.mode == "rate" else ""
        self.label = {
            "share": "in percent of the whole",
            "rate": f"{unit} per second",
            "raw": f"{unit}, as they are",
        }[diff.mode]

    def text(self, value: float, *, sign: bool = False) -> str:
        plus = "+" if sign and value >= 0 else ""
        if self._is_share:
            return f"{plus}{100 * value:.2f}%"
        return f"{plus}{self._scale.text(round(value))}{self._per}"


def _probability(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"
