"""Labels of samples (pprof's "tags"): thread, process, and whatever the file that was read
says besides; what `Profile.tags`, `tagfocus` and `tagignore` are made of.

A label is (key, text or number, unit of a number). Filters mean what they mean to pprof
(internal/driver/driver_focus.go).
"""

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence

from cprof import _core
from cprof.match import compiled
from cprof.names import elide, printable
from cprof.report import NAME_WIDTH, PLAIN, Scale, Shown, html_table, percent
from cprof.rows import Row
from cprof.units import label as unit_label
from cprof.units import scale

Label = tuple[str, str | int, str]
_BYTES = ("alignment", "request")  # numbers under these keys are bytes, unless they say
_RANGE = re.compile(r"([+-]?[0-9]+)([A-Za-z]+)?")


class TagRow(Row):
    """One value of one label. `value` is a str, or an int in `unit` ("" for a text); `total` is
    the sum over the samples that carry it, in the unit of the sample type."""

    __slots__ = ("key", "value", "unit", "total")
    key: str
    value: str | int
    unit: str
    total: int


class LabelSets:
    """The sets of labels that rows of a profile have, each once: `sets[i]`, with `sums[i]` by
    sample type. `number` is the set of each row, None where that is its thread's number."""

    def __init__(self, core: _core.Profile) -> None:
        threads = [
            [*_thread_labels(thread), *more]
            for thread, more in zip(core.threads, core.thread_labels, strict=True)
        ]
        keys: list[memoryview | array[int]] = [memoryview(core.column("thread"))]
        how = [array("I", memoryview(core.column(name))) for name in ("how", "n_added")]
        has_how = any(map(any, how))
        if has_how:
            keys += how
        columns, values, _ = core.group(keys)
        self._keys, self._groups = keys, list(zip(*[memoryview(c) for c in columns], strict=True))
        self._has_how = has_how
        self._core = core
        self.sets: list[list[Label]] = [
            [*threads[group[0]], *_how_labels(*group[1:])] for group in self._groups
        ]
        self.sums = list(zip(*[memoryview(v) for v in values], strict=True))

    def units(self) -> dict[str, str]:
        """The unit of the numbers under each key: the first that is told, else as pprof guesses
        it."""
        units: dict[str, str] = {}
        for labels in self.sets:
            for key, value, unit in labels:
                if isinstance(value, int) and not units.get(key):
                    units[key] = unit
        return {k: unit or ("bytes" if k in _BYTES else k) for k, unit in units.items()}

    def of_rows(self) -> Iterator[int]:
        """The number of each row's set."""
        numbers = {group: i for i, group in enumerate(self._groups)}
        return map(numbers.__getitem__, zip(*self._keys, strict=True))

    def select(self, wanted: Sequence[bool]) -> _core.Profile:
        """The rows whose set is wanted."""
        groups = {group for group, is_wanted in zip(self._groups, wanted, strict=True) if is_wanted}
        if self._has_how:
            rows = zip(*self._keys, strict=True)
            return self._core.select(bytes(map(groups.__contains__, rows)))
        return self._core.filter(
            thread=bytes((i,) in groups for i in range(len(self._core.threads)))
        )


def _thread_labels(thread: tuple[int, int, str, str]) -> Iterator[Label]:
    pid, tid, name, comm = thread
    for key, number in (("pid", pid), ("tid", tid)):
        if number >= 0:
            yield key, number, "id"
    for key, text in (("thread", name), ("comm", comm)):
        if text:
            yield key, text, ""


def _how_labels(how: int = 0, n_added: int = 0) -> Iterator[Label]:
    if how:
        yield "unwind", _core.how_text(how), ""
    if n_added:
        yield "unwind_added", n_added, "frames"


# Filters

Test = Callable[[Sequence[Label]], bool]


def parse(option: str, expression: str, units: dict[str, str]) -> Test:
    """A test of sets of labels: `key=regex[,regex]`, `regex[,regex]` of "key:value" (each must
    match one label), or a range of numbers, `key=1kb:2mb`, `:1ms`, `100:`, `7`.

    Raises ValueError for a bad regular expression."""
    key, separator, value = expression.partition("=")
    if not separator:
        key, value = "", expression
    if in_range := _range(value):
        return lambda labels: any(
            isinstance(number, int) and k == (key or k) and in_range(number, units[k])
            for k, number, _ in labels
        )
    patterns = [compiled(word, option) for word in value.split(",")]
    if key:
        return lambda labels: any(
            isinstance(text, str) and k == key and any(p.search(text) for p in patterns)
            for k, text, _ in labels
        )
    return lambda labels: all(
        any(isinstance(text, str) and p.search(f"{k}:{text}") for k, text, _ in labels)
        for p in patterns
    )


def _range(text: str) -> Callable[[int, str], bool] | None:
    """None where `text` is no range."""
    ends = list(_RANGE.finditer(text))[:2]
    if not ends:
        return None
    low, unit = scale(int(ends[0][1]), ends[0][2] or "", ends[0][2] or "")

    def value(number: int, of: str) -> float | None:
        scaled, scaled_unit = scale(number, of, unit)
        return scaled if scaled_unit == unit else None

    word = ends[0][0]
    if text == f"{word}:":
        return lambda number, of: (v := value(number, of)) is not None and v >= low
    if text == f":{word}":
        return lambda number, of: (v := value(number, of)) is not None and v <= low
    if text == word:
        return lambda number, of: value(number, of) == low
    if len(ends) < 2 or text != f"{word}:{ends[1][0]}":
        return None
    high, high_unit = scale(int(ends[1][1]), ends[1][2] or "", unit)
    if high_unit != unit:
        return None
    return lambda number, of: (v := value(number, of)) is not None and low <= v <= high


def filtered(
    core: _core.Profile, focus: str | None = None, ignore: str | None = None
) -> _core.Profile:
    """The rows whose labels pass."""
    sets = LabelSets(core)
    units = sets.units()
    wanted = [True] * len(sets.sets)
    for option, expression, is_kept in (("tagfocus", focus, True), ("tagignore", ignore, False)):
        if expression:
            test = parse(option, expression, units)
            wanted = [w and test(ls) is is_kept for w, ls in zip(wanted, sets.sets, strict=True)]
    return sets.select(wanted)


# The table


class Tags(list[TagRow]):
    """The values of every label, those of one key together, the largest sum first: a list of
    rows that shows itself as a table."""

    def __init__(self, rows: Iterable[TagRow], unit: str, total: int) -> None:
        super().__init__(rows)
        self.unit, self.total = unit, total

    def _keys(self) -> Iterator[tuple[str, list[TagRow]]]:
        from itertools import groupby

        for key, rows in groupby(self, key=lambda row: row.key):
            yield key, list(rows)

    def text(self, *, shown: Shown = PLAIN) -> str:
        blocks = []
        for key, rows in self._keys():
            column = Scale(self.unit, (row.total for row in rows), shown)
            whole = sum(row.total for row in rows)
            head = f"{column.text(whole)} of {column.text(self.total)}"
            lines = [f"{printable(key)}: {head} ({percent(whole, self.total)})"]
            cells = [(column.text(r.total), percent(r.total, self.total), r) for r in rows]
            widths = [max(len(cell[i]) for cell in cells) for i in (0, 1)]
            for value, share, row in cells:
                lines.append(f"  {value.rjust(widths[0])}  {share.rjust(widths[1])}  {_name(row)}")
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks) if blocks else "no sample here has a label"

    def __repr__(self) -> str:
        return self.text()

    __str__ = __repr__

    def _repr_html_(self) -> str:
        column = Scale(self.unit, (row.total for row in self))
        lines = (
            (row.key, column.text(row.total), percent(row.total, self.total), _name(row))
            for row in self
        )
        return html_table(("label", "total", "total%", "value"), lines)


def _name(row: TagRow) -> str:
    if isinstance(row.value, str):
        return elide(row.value, NAME_WIDTH)
    return unit_label(row.value, row.unit)


def tags(
    core: _core.Profile, index: int, total: int, *, show: str | None = None, hide: str | None = None
) -> Tags:
    """The table of one sample type; `show` and `hide` are regular expressions of keys."""
    sets = LabelSets(core)
    units = sets.units()
    shown = compiled(show, "tagshow").search if show else None
    hidden = compiled(hide, "taghide").search if hide else None
    sums: dict[tuple[str, str | int], int] = {}
    keys: dict[str, int] = {}
    for labels, values in zip(sets.sets, sets.sums, strict=True):
        for key, value, _ in labels:
            if (shown is None or shown(key)) and not (hidden and hidden(key)):
                sums[key, value] = sums.get((key, value), 0) + values[index]
                keys[key] = keys.get(key, 0) + values[index]
    order = sorted(sums, key=lambda k: (-abs(keys[k[0]]), k[0], -abs(sums[k]), str(k[1])))
    return Tags(
        (
            TagRow(key, value, units[key] if isinstance(value, int) else "", sums[key, value])
            for key, value in order
        ),
        core.sample_types[index][1],
        total,
    )
