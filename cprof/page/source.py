"""Source lines for a page: those that cost something and those around them, read where the
files are at hand, bounded in size."""

from collections.abc import Iterable, Iterator

from cprof.listing import Sources
from cprof.names import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof.page.gather import Gathered

    Part = tuple[int, list[str]]  # number of the first line, lines that follow each other

_AROUND = 6  # lines before and after one that costs something
_LINE_MAX = 300  # characters
NOT_HERE = "The source file was not at hand when this page was written."


def source_lines(gathered: "Gathered", max_bytes: int) -> "dict[int, dict[str, object]]":
    """{number of a file: {parts, note}}; the files with the most in them first, as many as go
    into `max_bytes` of text."""
    wanted: dict[int, set[int]] = {}
    cost = dict.fromkeys(gathered.files, 0)
    for _, _, own, _, filename, _ in gathered.core.functions(gathered.core.default_type):
        cost[filename] = cost.get(filename, 0) + own
    for _, file, line in gathered.frames:
        if file and line > 0:
            wanted.setdefault(file, set()).update(range(max(line - _AROUND, 1), line + _AROUND + 1))
    for _, _, file, start in gathered.functions:
        if file in wanted and start > 0:
            wanted[file].add(start)
    found: dict[int, dict[str, object]] = {}
    read, room = Sources(None, "", gathered.sides[-1]), max_bytes
    for file in sorted(wanted, key=lambda file: -cost[gathered.files[file]]):
        lines, note = read.read(gathered.files[file])
        if lines is None:
            continue
        parts = list(_parts(lines, sorted(wanted[file])))
        room -= sum(len(line) for _, text in parts for line in text)
        if room < 0:
            break
        found[file] = {"parts": parts, "note": printable(note)}
    return found


def _parts(lines: list[str], numbers: Iterable[int]) -> "Iterator[Part]":
    first, text = 0, list[str]()
    for number in numbers:
        if number > len(lines):
            break
        if number != first + len(text):
            if text:
                yield first, text
            first, text = number, []
        line = lines[number - 1].rstrip("\r").expandtabs(4)[:_LINE_MAX]
        text.append(printable(line))
    if text:
        yield first, text
