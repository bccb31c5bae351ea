"""Folded stacks: lines "root;...;leaf N", of stackcollapse-*.pl, `py-spy record -f raw`,
async-profiler's "collapsed", bpftrace, inferno and cprof itself.

What a suffix tells is kept: _[k] kernel, _[i] inlined into the frame before it, _[j] made by a
JIT compiler; so is "name (file.py:12)", as py-spy writes it. N counts samples: the format has
no unit; where it has a fraction it is rounded, and a comment says how often. Lines that begin with
"#" and end in no number are comments. A line with two numbers is difffolded.pl's input and is
refused: which of both would be the profile?
"""

import re
from collections.abc import Iterator

from cprof import _core
from cprof.errors import CorruptProfile
from cprof.readers.tables import BOM, NONE, Builder

_LINE = re.compile(r"(.*\S)\s+(-?\d{1,40})(\.\d*)?$")
_ENDS_IN_NUMBER = re.compile(rb"\S[ \t]+-?[0-9.]+$")
_BINARY = re.compile(rb"[\0-\x08\x0e-\x1f]")
_MODULES = {"_[k]": "[kernel.kallsyms]", "_[j]": "[jit]"}  # by suffix
_INLINED = "_[i]"
_PLACE = re.compile(r"(.+) \(([^():]+):(\d+)\)$")
_UNKNOWN = "[unknown]"
_MOST = 2**63

Frame = tuple[int | None, int, str, bool]  # function, line, mapped file, is inlined


def matches(head: bytes) -> bool:
    """Whether a file that begins so is one: its first line ends in a number."""
    for line in head.removeprefix(BOM).splitlines():
        if line.strip() and not _is_comment(line):
            return bool(_ENDS_IN_NUMBER.search(line.rstrip())) and not _BINARY.search(line)
    return False


def read(data: bytes, name: str) -> _core.Profile:
    """Raises CorruptProfile, which names the line."""
    builder = Builder(name)
    builder.sample_type("samples", "count")
    thread = builder.thread(-1, -1, "")
    frames: dict[str, Frame] = {}
    stacks: dict[str, int] = {}
    is_diff, n_fractions = True, 0
    for number, stack, value, is_fraction in _lines(data.removeprefix(BOM), name):
        n_fractions += is_fraction
        if stack not in stacks:
            stacks[stack] = _stack(builder, stack, frames)
        is_diff = is_diff and _LINE.match(stack) is not None
        if not -_MOST <= value < _MOST:
            raise CorruptProfile(f"{name}: line {number}: {value} is too large")
        builder.row(thread, stacks[stack], [(0, value)])
    if builder.n_rows and is_diff:
        raise CorruptProfile(
            f"{name}: each line ends in two numbers, so it is a difference, not a profile",
            "compare the two profiles with: cprof diff BASE NEW",
        )
    if n_fractions:
        builder.comments.append(f"rounded to whole numbers: {n_fractions} values")
    return builder.build()


def _is_comment(line: bytes) -> bool:
    return line.startswith(b"#") and not _ENDS_IN_NUMBER.search(line.rstrip())


def _lines(data: bytes, name: str) -> Iterator[tuple[int, str, int, bool]]:
    for number, line in enumerate(data.split(b"\n"), 1):
        text = line.decode("utf-8", "replace").strip()
        if not text or (text[0] == "#" and _is_comment(line)):
            continue
        found = _LINE.match(text)
        if found is None:
            raise CorruptProfile(f"{name}: line {number}: no stack and number: {text[:60]!r}")
        is_fraction = bool((found[3] or "").strip(".0"))
        value = int(found[2])
        if is_fraction and found[3][1] >= "5":
            value += -1 if found[2].startswith("-") else 1
        yield number, found[1], value, is_fraction


def _stack(builder: Builder, stack: str, frames: dict[str, Frame]) -> int:
    """The node of "root;...;leaf"; `frames` are those made so far, by their text."""
    node = NONE
    places: list[tuple[int, int]] = []  # of one location, the outermost first
    file = ""
    for text in stack.split(";"):
        frame = frames.get(text)
        if frame is None:
            frame = frames[text] = _frame(builder, text)
        function, line, own_file, is_inlined = frame
        if places and not is_inlined:
            node = builder.node(node, builder.location(places[::-1], 0, file))
            places = []
        if function is None:
            node = builder.node(node, builder.location((), 0, own_file))
            continue
        file = file if places else own_file
        places.append((function, line))
    return builder.node(node, builder.location(places[::-1], 0, file)) if places else node


def _frame(builder: Builder, text: str) -> Frame:
    suffix = text[-4:]
    module = _MODULES.get(suffix, "")
    name = text[:-4] if suffix in (*_MODULES, _INLINED) else text
    if name in ("", _UNKNOWN):
        return None, 0, module, False
    place = _PLACE.match(name)
    if place is None:
        return builder.function(name, module=module), 0, module, suffix == _INLINED
    file = place[2]
    function = builder.function(place[1], file=file, module=file.rpartition("/")[2])
    return function, int(place[3]), "", False
