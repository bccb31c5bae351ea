"""callgrind's format 1, which KCachegrind, QCachegrind and callgrind_annotate read. Holds one
sample type: https://valgrind.org/docs/manual/cl-format.html

Costs are by function and source line; calls have the cost of what was called, at the line of
the call. Samples know no call counts: each `calls=` says 1 (with 0 callgrind_annotate would
take the call for cost of the caller's own), and a `desc:` line says so.

A call is counted where a function is first entered, so what is called into a function sums
to its total, each sample once, however it recurses. For that, outermost functions are called
by one named "all".
"""

from collections import defaultdict

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
    data = "\n".join((*_head(profile, type_index), *_body(trie, type_index), "")).encode()
    replace(path, lambda file: file.write(data))


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


def _body(trie: Trie, type_index: int) -> list[str]:
    functions = [_function(frame) for frame in trie.frames]
    sums = trie.sums(type_index)
    costs: dict[Function, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for frame, value in zip(trie.frame, sums, strict=True):
        if value:
            costs[functions[frame]][trie.frames[frame].line] += value
    calls = _calls(trie, functions, trie.totals(sums))
    starts = {function: f.start_line for function, f in zip(functions, trie.frames, strict=True)}
    names = _Names()
    lines: list[str] = []
    for function in dict.fromkeys((*costs, *calls)):
        lines += names.lines("", function)
        lines += (f"{line} {value}" for line, value in sorted(costs[function].items()))
        for (line, callee), value in calls[function].items():
            lines += names.lines("c", callee)
            lines += (f"calls=1 {max(starts[callee], 0)}", f"{line} {value}")
        lines.append("")
    return lines


def _calls(
    trie: Trie, functions: list[Function], totals: list[int]
) -> dict[Function, dict[tuple[int, Function], int]]:
    """(line of the call, callee) -> cost, by caller."""
    calls: dict[Function, dict[tuple[int, Function], int]] = defaultdict(lambda: defaultdict(int))
    above: dict[Function, int] = defaultdict(int)
    for node, is_entered in trie.walk():
        function, parent = functions[trie.frame[node]], trie.parent[node]
        if not is_entered:
            above[function] -= 1
            continue
        if not above[function] and totals[node]:
            caller, line = _ALL, 0
            if parent != NONE:
                caller, line = functions[trie.frame[parent]], trie.frames[trie.frame[parent]].line
            calls[caller][line, function] += totals[node]
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
