"""Listings: the source of functions with the cost of each line, their instructions with the
cost of each; what `Profile.list` and `Profile.disassemble` return.

Source files are read from disk, instructions by objdump from the very file that was
recorded. Makes strings; it never prints.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence

from cprof import _core
from cprof.errors import CprofError, MissingPackage, translated
from cprof.match import compiled
from cprof.names import elide, printable
from cprof.report import PLAIN, Scale, percent
from cprof.rows import Row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof.profile import Profile

    Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None

_AROUND = 3  # lines of source shown before and after one that costs something
_SOURCE_MAX = 64 << 20  # bytes of a file
_NOWHERE = (0, 0, 0, "", "", "")
_INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\t(.*)$", re.MULTILINE)


class Line(Row):
    """One line of source. `self` and `total` are sums over the samples taken on that line, and
    over those with it anywhere on the stack; `source` is None where the file is not there."""

    __slots__ = ("number", "self", "total", "source")
    number: int
    self: int
    total: int
    source: str | None


class Instruction(Row):
    """One instruction: its address in the file, its cost as in `Line`, and where it comes from
    ("" and 0 where that is not known): the innermost function inlined there."""

    __slots__ = ("address", "self", "total", "text", "file", "line")
    address: int
    self: int
    total: int
    text: str
    file: str
    line: int


class Listed:
    """One function of a listing: `rows` of `Line` or `Instruction`, in order. `self` and
    `total` are the function's own; `note` says what could not be had, or is ""."""

    def __init__(
        self, function: str, module: str, place: str, self_: int, total: int,
        rows: Sequence[Row], note: str = "",
    ) -> None:  # fmt: skip
        self.function, self.module, self.place = function, module, place
        self.self, self.total = self_, total
        self.rows, self.note = list(rows), note

    def __repr__(self) -> str:
        return f"Listed({self.function!r}, {len(self.rows)} rows)"


class Listing(Sequence[Listed]):
    """Functions with the cost of each line or instruction, largest total first. Shows itself
    as text, and as HTML in a notebook."""

    def __init__(self, functions: Iterable[Listed], sample_type: str, unit: str, whole: int):
        self._functions = sorted(functions, key=lambda f: (-f.total, -f.self, f.function))
        self.sample_type, self.unit, self.whole = sample_type, unit, whole
        self.shown = PLAIN

    def __getitem__(self, i: "int | slice") -> "Listed | list[Listed]":  # type: ignore[override]
        return self._functions[i]

    def __len__(self) -> int:
        return len(self._functions)

    def _cells(self, function: Listed) -> Iterator[tuple[str, str, str, str]]:
        """(self, total, place, text) of each row that is shown; a gap is four times ""."""
        scale = Scale(self.unit, (row["total"] for row in function.rows), self.shown)
        before: Row | None = None
        for row in function.rows:
            if (
                isinstance(row, Line)
                and isinstance(before, Line)
                and row.number > before.number + 1
            ):
                yield "", "", "", ""
            cost = [scale.text(row[k]) if row[k] else "." for k in ("self", "total")]
            yield cost[0], cost[1], *_place_and_text(row, before)
            before = row

    def _heading(self, function: Listed) -> str:
        scale = Scale(self.unit, (function.total,), self.shown)
        parts = [
            f"self {scale.text(function.self)} ({percent(function.self, self.whole)})",
            f"total {scale.text(function.total)} ({percent(function.total, self.whole)})",
        ]
        return f"{', '.join(parts)} of {self.sample_type}"

    def text(self) -> str:
        blocks = []
        for function in self._functions:
            module = f"  ({function.module})" if function.module else ""
            lines = [printable(f"{function.function}{module}"), printable(function.place)]
            lines += [self._heading(function), *([printable(function.note)] * bool(function.note))]
            cells = [("self", "total", "", ""), *self._cells(function)]
            widths = [max(len(cell[k]) for cell in cells) for k in range(3)]
            for cell in cells:
                left = "  ".join(cell[k].rjust(widths[k]) for k in range(3))
                lines.append(f"{left}  {printable(cell[3])}".rstrip() or "...".rjust(sum(widths)))
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks)

    def __repr__(self) -> str:
        return self.text()

    __str__ = __repr__

    def _repr_html_(self) -> str:
        from html import escape

        out = []
        for function in self._functions:
            caption = [function.function, function.place, self._heading(function), function.note]
            head = "<br>".join(escape(printable(line)) for line in caption if line)
            largest = max((row["total"] for row in function.rows), default=0) or 1
            rows = []
            costs = [row["total"] for row in function.rows]
            for cell in self._cells(function):
                cost = costs.pop(0) if any(cell) else 0
                shade = f' style="background:rgba(255,120,0,{0.5 * max(cost, 0) / largest:.2f})"'
                numbers = "".join(f"<td>{escape(printable(c))}</td>" for c in cell[:3])
                code = f"<td style='text-align:left'><pre>{escape(printable(cell[3]))}</pre></td>"
                rows.append(f"<tr{shade if cost else ''}>{numbers}{code}</tr>")
            out.append(
                f"<table><caption>{head}</caption><thead><tr><th>self</th><th>total</th><th></th>"
                f"<th></th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
            )
        return "".join(out)


def _place_and_text(row: Row, before: Row | None) -> tuple[str, str]:
    if isinstance(row, Line):
        return str(row.number) if row.number else "?", (row.source or "").expandtabs(4)
    assert isinstance(row, Instruction)
    is_new = not isinstance(before, Instruction) or (before.file, before.line) != (
        row.file,
        row.line,
    )
    place = f"{os.path.basename(row.file)}:{row.line}" if row.file and is_new else ""
    return f"{row.address:x}", f"{row.text.expandtabs(8):40s}  {place}".rstrip()


# Which functions


def _wanted(core: _core.Profile, pattern: str) -> list[bool]:
    search = compiled(pattern).search
    wanted = [bool(search(name)) for name, *_ in core.functions_table]
    if not any(wanted):
        raise ValueError(f"no function in this profile matches {pattern!r}")
    return wanted


def _sums(core: _core.Profile, index: int) -> dict[tuple[str, str], tuple[int, int]]:
    return {(row[0], row[1]): (row[2], row[3]) for row in core.functions(index)}


# Source


def list_source(
    profile: "Profile", pattern: str, sample_type: str | None, source_path: "Paths", trim: str
) -> Listing:
    """See `Profile.list`."""
    lined = profile.with_lines()
    core, index = lined._core, profile._type(sample_type)
    functions = core.functions_table
    sums = _sums(core, index)
    costs: dict[tuple[str, str, str], dict[int, list[int]]] = {}
    starts: dict[tuple[str, str, str], int] = {}
    for number, _, _, line, self_, total in core.places(
        index, bytes(_wanted(core, pattern)), False
    ):
        name, _, filename, start, module = functions[number]
        key = (name, module, filename)
        cost = costs.setdefault(key, {}).setdefault(line, [0, 0])
        cost[0] += self_
        cost[1] += total
        if start and (line == 0 or start <= line):
            starts[key] = start
    files = Sources(source_path, trim, profile)
    listed = []
    for (name, module, filename), lines in costs.items():
        place = filename or "no line is known"
        rows, note = _lines(lines, starts.get((name, module, filename), 0), files, filename)
        listed.append(Listed(name, module, place, *sums.get((name, module), (0, 0)), rows, note))
    if not listed:
        raise ValueError(f"no sample here has a function that matches {pattern!r} on its stack")
    type_name, unit = core.sample_types[index]
    return Listing(listed, type_name, unit, core.totals()[index])


def _lines(
    costs: dict[int, list[int]], start: int, files: "Sources", filename: str
) -> tuple[list[Line], str]:
    """The lines that cost something and those around them."""
    source, note = files.read(filename)
    shown: set[int] = {0} & costs.keys()
    for number in costs:
        if number:
            shown.update(range(max(number - _AROUND, start, 1), number + _AROUND + 1))
    if start and source:
        shown.add(start)
    rows = []
    for number in sorted(shown):
        if number not in costs and (source is None or number > len(source)):
            continue
        text = source[number - 1] if source and 0 < number <= len(source) else None
        rows.append(Line(number, *costs.get(number, (0, 0)), text))
    return rows, note


class Sources:
    """Source files by the path that debug information gives them."""

    def __init__(self, source_path: "Paths", trim: str, profile: "Profile") -> None:
        if isinstance(source_path, (str, os.PathLike)):
            source_path = os.fspath(source_path).split(os.pathsep)
        self._folders = [os.fspath(folder) for folder in source_path or ()]
        self._trim = trim
        started = profile.start_time
        self._recorded = started.timestamp() if started else None
        self._known: dict[str, tuple[list[str] | None, str]] = {}

    def _candidates(self, filename: str) -> Iterator[str]:
        """The path itself; then under each folder, all of it, and ever less of it."""
        path = filename.removeprefix(self._trim) if self._trim else filename
        yield path
        parts = [part for part in path.split("/") if part not in ("", ".")]
        for folder in self._folders:
            for i in range(len(parts)):
                yield os.path.join(folder, *parts[i:])

    def read(self, filename: str) -> tuple[list[str] | None, str]:
        """(lines, note) of a file; None and why, if it cannot be read."""
        if not filename:
            return None, ""
        if filename not in self._known:
            self._known[filename] = self._read(filename)
        return self._known[filename]

    def _read(self, filename: str) -> tuple[list[str] | None, str]:
        for path in self._candidates(filename):
            try:
                with open(path, "rb") as file:
                    stat = os.stat(file.fileno())
                    lines = file.read(_SOURCE_MAX).decode("utf-8", "replace").split("\n")
            except OSError:
                continue
            is_newer = self._recorded is not None and stat.st_mtime > self._recorded
            note = "the source has changed since the recording" if is_newer else ""
            where = f"source: {path}" if path != filename else ""
            return lines, "; ".join(part for part in (where, note) if part)
        return None, "the source file is not there: source_path= says where else to look"


# Instructions


def disassemble(
    profile: "Profile", pattern: str, sample_type: str | None, *, intel_syntax: bool = False
) -> Listing:
    """See `Profile.disassemble`."""
    import shutil

    lined = profile.with_lines()
    core, index = lined._core, profile._type(sample_type)
    wanted = _wanted(core, pattern)
    objdump = shutil.which("objdump")
    if objdump is None:
        raise MissingPackage("disassemble: there is no objdump", "install binutils")
    command = [objdump, *(("-M", "intel") if intel_syntax else ())]
    by_file: dict[tuple[str, str], dict[int, tuple[int, int]]] = {}
    elsewhere: dict[tuple[str, str], None] = {}  # the kernel, the vdso, generated code
    mappings, functions = core.mappings, core.functions_table
    for number, mapping, address, _, self_, total in core.places(index, bytes(wanted), True):
        start, _, offset, file, _, build_id = mappings[mapping] if mapping >= 0 else _NOWHERE
        if file.startswith("/"):
            by_address = by_file.setdefault((file, build_id), {})
            by_address[address - start + offset] = (self_, total)
        else:
            elsewhere[functions[number][0], functions[number][4]] = None
    if not by_file and not elsewhere:
        raise ValueError(
            f"no sample here is in the code of a function that matches {pattern!r}: a function "
            "that is inlined everywhere has none of its own"
        )
    if not by_file:
        name, module = next(iter(elsewhere))
        raise CprofError(f"disassemble: the code of {name} ({module}) is not in a file")
    sums = _sums(core, index)
    listed: list[Listed] = []
    for (file, build_id), costs in by_file.items():
        try:
            listed += _disassemble_file(command, file, build_id, costs, sums)
        except OSError as error:
            if len(by_file) == 1:
                raise
            module, cost = os.path.basename(file), sum(self_ for self_, _ in costs.values())
            listed.append(Listed("all that matches", module, file, cost, 0, [], str(error)))
    for key in elsewhere:
        listed.append(Listed(*key, "", *sums.get(key, (0, 0)), [], "its code is not in a file"))
    type_name, unit = core.sample_types[index]
    return Listing(listed, type_name, unit, core.totals()[index])


def _disassemble_file(
    objdump: list[str],
    file: str,
    build_id: str,
    offsets: dict[int, tuple[int, int]],
    sums: dict[tuple[str, str], tuple[int, int]],
) -> Iterator[Listed]:
    with translated():
        code = _core.Code(file, build_id)
    costs: dict[tuple[str, int, int], dict[int, tuple[int, int]]] = {}
    for offset, cost in offsets.items():
        vaddr, symbol, start, size = code.function(offset)
        costs.setdefault((symbol, start, size or 1), {})[vaddr] = cost
    module = os.path.basename(file)
    for (symbol, start, size), by_address in costs.items():
        text = _objdump(objdump, file, start, max(start + size, *(a + 1 for a in by_address)))
        with translated():
            places = code.lines([address for address, _ in text])
        # the address of a caller is the last byte of its call
        rows = _merge(text, by_address, places)
        name = _core.demangle(symbol) or symbol
        place = f"{file}  {start:#x}..{start + size:#x}"
        self_ = sum(cost for cost, _ in by_address.values())  # with what is inlined in it
        total = sums.get((name, module), (0, 0))[1]
        yield Listed(name, module, place, self_, total, rows)


def _merge(
    text: list[tuple[int, str]],
    costs: dict[int, tuple[int, int]],
    places: "Sequence[Sequence[tuple[str, str, int, int, int]]]",
) -> list[Instruction]:
    from bisect import bisect_right

    starts = [address for address, _ in text]
    at = [[0, 0] for _ in text]
    for address, (self_, total) in costs.items():
        i = bisect_right(starts, address) - 1
        if i >= 0:
            at[i][0] += self_
            at[i][1] += total
    rows = []
    for (address, words), cost, frames in zip(text, at, places, strict=True):
        file, line = (frames[0][1], frames[0][2]) if frames else ("", 0)
        rows.append(Instruction(address, *cost, words, file, line))
    return rows


def _objdump(objdump: list[str], file: str, start: int, end: int) -> list[tuple[int, str]]:
    """(address, instruction) of [start, end)."""
    import subprocess

    done = subprocess.run(
        [*objdump, "-d", "--no-show-raw-insn", f"--start-address={start:#x}",
         f"--stop-address={end:#x}", "--", file],
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        raise CprofError(f"disassemble: {elide(done.stderr.strip() or 'objdump failed', 200)}")
    return [(int(a, 16), words.strip()) for a, words in _INSTRUCTION.findall(done.stdout)]
