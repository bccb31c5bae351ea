"""callgrind's format 1, which KCachegrind, QCachegrind and callgrind_annotate read. Holds one
sample type: https://valgrind.org/docs/manual/cl-format.html

Costs are by function and source line; calls have the cost of what was called, at the line of
the call. Samples know no call counts: each `calls=` says 1 (with 0 callgrind_annotate would
take the call for cost of the caller's own), and a `desc:` line says so.

A call is counted where a function is first entered, so what is called into a function sums
to its total, each sample once, however it recurses. For that, outermost functions are called
by one named "all".
"""

from collections.abc import Iterator
from itertools import chain

from cprof.export.files import replace
from cprof.export.trie import NONE, Frame, Trie, refuse_negative
from cprof.names import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof.profile import Profile

Function = tuple[str, str, str]  # module, file, name

_NOWHERE = "???"  # callgrind's own word for an unknown file or object
_ALL: Function = (_NOWHERE, _NOWHERE, "all")


def write(profile: "Profile", path: str, type_index: int) -> None:
    """Write one sample type of `profile`."""
    refuse_negative(profile, "callgrind")
    trie = Trie(profile, by_line=True)
    lines = chain(_head(profile, type_index), _body(trie, type_index))
    replace(path, lambda file: file.writelines(f"{line}\n".encode() for line in lines))


def _head(profile: "Profile", type_index: int) -> list[str]:
    name, unit = profile.sample_types[type_index]
    event = "_".join(f"{name} {unit}".split())
    total = profile._core.totals()[type_index]
    return [
        "# callgrind format",
        "version: 1",
        "creator: cprof",
        f"cmd: {_text(profile.command)}",
        "desc: Call counts: not known to a sampling profiler, each is given as 1",
        "positions: line",
        f"events: {event}",
        f"summary: {total}",
        "",
    ]


def _body(trie: Trie, type_index: int) -> Iterator[str]:
    numbers: dict[Function, int] = {}
    of_frame = [numbers.setdefault(_function(frame), len(numbers)) for frame in trie.frames]
    functions = [*numbers, _ALL]
    sums = trie.sums(type_index)
    costs = _costs(trie, of_frame, sums)
    n = len(functions)
    calls = _calls(trie, of_frame, n, trie.totals(sums))
    callees: dict[int, list[int]] = {}
    for call in calls:
        frame = call // n
        callees.setdefault(of_frame[frame] if frame < len(of_frame) else -1, []).append(call)
    starts = {i: frame.start_line for i, frame in zip(of_frame, trie.frames, strict=True)}
    names = _Names()
    heads: dict[int, str] = {}  # by callee that was named: the lines of a call of it
    for number in dict.fromkeys((*costs, *callees)):
        yield from names.lines("", functions[number])
        own = sorted(costs.get(number, {}).items())
        yield from (f"{line} {value}" for line, value in own)
        for call in callees.get(number, ()):
            frame, callee = divmod(call, n)
            if not (head := heads.get(callee, "")):
                last = f"calls=1 {max(starts[callee], 0)}"
                head = "\n".join((*names.lines("c", functions[callee]), last))
                heads[callee] = "\n".join((*names.lines("c", functions[callee]), last))
            yield f"{head}\n{trie.frames[frame].line if number >= 0 else 0} {calls[call]}"
        yield ""


def _costs(trie: Trie, of_frame: list[int], sums: list[int]) -> dict[int, dict[int, int]]:
    """line -> its own cost, by number of the function."""
    costs: dict[int, dict[int, int]] = {}
    for frame, value in zip(trie.frame, sums, strict=True):
        if value:
            own, line = costs.setdefault(of_frame[frame], {}), trie.frames[frame].line
            own[line] = own.get(line, 0) + value
    return costs


def _calls(trie: Trie, of_frame: list[int], n: int, totals: list[int]) -> dict[int, int]:
    """The cost of each call. A call is one number, as there may be millions: that of the
    caller's frame (of outermost frames: behind the last) times `n`, the number of functions,
    plus the callee's."""
    calls: dict[int, int] = {}
    above = [0] * n
    parent, frames = trie.parent, trie.frame
    for node, is_entered in trie.walk():
        function = of_frame[frames[node]]
        if not is_entered:
            above[function] -= 1
            continue
        if not above[function] and totals[node]:
            caller = len(of_frame) if parent[node] == NONE else frames[parent[node]]
            call = caller * n + function
            calls[call] = calls.get(call, 0) + totals[node]
        above[function] += 1
    return calls


def _function(frame: Frame) -> Function:
    return _text(frame.module), _text(frame.file), _text(frame.name)


def _text(name: str) -> str:
    """`name` as the rest of a line."""
    return printable(name).strip() or _NOWHERE


class _Names:
    """Names are written once and go by number from then on, each kind with its own."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], int] = {}

    def lines(self, prefix: str, function: Function) -> list[str]:
        """Lines that say which function the next costs are about; `prefix` is "c" for a
        called one."""
        kinds = zip(("ob", "fl", "fn"), function, strict=True)
        return [f"{prefix}{kind}={self._short(kind, name)}" for kind, name in kinds]

    def _short(self, kind: str, name: str) -> str:
        if number := self._seen.get((kind, name)):
            return f"({number})"
        number = self._seen[kind, name] = len(self._seen) + 1
        return f"({number}) {name}"
