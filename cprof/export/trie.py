"""The stacks of a profile as a trie of frames: what most formats are written from.

A frame is a function (inlined functions are frames of their own) with its module, and with
the source line where that is wanted. A node is a frame called by its parent's; a stack is its
innermost node. Callers have smaller numbers than what they call.
"""

from array import array
from collections.abc import Iterator, Sequence

from cprof.profile import value_columns
from cprof.rows import Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof._core import Profile as Core
    from cprof.profile import Profile

NONE = 0xFFFFFFFF
"""No node: the parent of an outermost frame."""
_UNKNOWN = "[unknown]"


class Frame:
    """`line` is the line in `file` (0 unknown), `start_line` the function's first."""

    __slots__ = ("file", "line", "mapping", "module", "name", "start_line")

    def __init__(
        self, name: str, module: str, file: str, line: int, start_line: int, mapping: int
    ) -> None:
        self.name, self.module, self.file = name, module, file
        self.line, self.start_line, self.mapping = line, start_line, mapping


class Trie:
    """The stacks of `profile` with their lines, by line or by function only."""

    def __init__(self, profile: "Profile", *, by_line: bool) -> None:
        self.profile = with_lines(profile)
        core = self.profile._core
        parent, frame, node, frames = core.frame_tree(by_line)
        self.parent = memoryview(parent).tolist()
        self.frame = memoryview(frame).tolist()
        self.node = memoryview(node)
        """The stack of each row of the profile."""
        self.frames = _frames(core, frames)
        self.n_left_out = 0

    def prune(self, type_index: int, most: int) -> None:
        """Leave at most `most` stacks, those with the largest totals: of what is left out, rows
        have the caller that is left, or NONE."""
        totals = self.totals(self.sums(type_index))
        if len(totals) <= most:
            return
        least = sorted(totals, reverse=True)[most]
        kept: list[int] = []  # by node: its new number, or its caller's
        parents: list[int] = []
        frames: list[int] = []
        for node, total in enumerate(totals):
            caller = NONE if self.parent[node] == NONE else kept[self.parent[node]]
            kept.append(len(parents) if total > least else caller)
            if total > least:
                parents.append(caller)
                frames.append(self.frame[node])
        self.n_left_out = len(totals) - len(parents)
        self.parent, self.frame = parents, frames
        self.node = memoryview(array("I", [kept[node] for node in self.node]))

    def path(self, node: int) -> list[int]:
        """The frames of a stack by number, outermost first."""
        frames = []
        while node != NONE:
            frames.append(self.frame[node])
            node = self.parent[node]
        return frames[::-1]

    def depths(self) -> list[int]:
        """How many frames each stack has."""
        depths = [1] * len(self.parent)
        for node, caller in enumerate(self.parent):
            if caller != NONE:
                depths[node] = depths[caller] + 1
        return depths

    def sums(self, type_index: int) -> list[int]:
        """What each node has itself of one sample type."""
        sums = [0] * len(self.parent)
        (nodes,), values, _ = self.profile._core.group([self.node])
        for node, value in zip(
            memoryview(nodes).tolist(), memoryview(values[type_index]).tolist(), strict=True
        ):
            sums[node] = value
        return sums

    def totals(self, sums: Sequence[int]) -> list[int]:
        """The sums of each node and all below it."""
        totals = list(sums)
        for node in range(len(totals) - 1, -1, -1):
            if self.parent[node] != NONE:
                totals[self.parent[node]] += totals[node]
        return totals

    def walk(self) -> Iterator[tuple[int, bool]]:
        """Each node twice: (node, True) before all below it, (node, False) after them."""
        n = len(self.parent)
        first, following = [NONE] * (n + 1), [NONE] * n  # first[n]: of the outermost frames
        for node in range(n - 1, -1, -1):
            caller = min(self.parent[node], n)
            following[node], first[caller] = first[caller], node
        node = first[n]
        while node != NONE:
            yield node, True
            if first[node] != NONE:
                node = first[node]
                continue
            yield node, False
            while following[node] == NONE and self.parent[node] != NONE:
                node = self.parent[node]
                yield node, False
            node = following[node]


def _frames(core: "Core", frames: Sequence[tuple[int, int, int]]) -> list[Frame]:
    functions, mappings = core.functions_table, core.mappings
    made = []
    for function, line, mapping in frames:
        name, file, start_line = _UNKNOWN, "", 0
        module = mappings[mapping][4] if mapping >= 0 else ""
        if function >= 0:
            name, _, file, start_line, module = functions[function]
        made.append(Frame(name or _UNKNOWN, module, file, line, start_line, mapping))
    return made


def with_lines(profile: "Profile") -> "Profile":
    """With all lines and inlined functions, unless it was recorded without."""
    return profile.with_lines() if profile._core.wants_lines else profile


def refuse_negative(profile: "Profile", format: str) -> None:
    """Raise ValueError where a value of `profile` is negative, as in a difference."""
    core = profile._core
    for name, (plain, _) in zip(value_columns(core), core.sample_types, strict=True):
        values = memoryview(core.column(name))
        if min(values, default=0) < 0:
            n = sum(value < 0 for value in values)
            raise ValueError(
                f"{format} holds no negative values, and {n:,d} of {len(values):,d} rows have "
                f"one of {plain}: is it a difference? .pb.gz, .folded, .csv and .dot hold them"
            )


class Tracks:
    """The threads of a profile that are told apart by what they are called; entries that
    only differ in an imported file's labels are one. `of` is the track by thread number."""

    def __init__(self, core: "Core") -> None:
        numbers: dict[tuple[int, int, str, str], int] = {}
        self.of = [numbers.setdefault(thread, len(numbers)) for thread in core.threads]
        self.threads = [Thread(*thread) for thread in numbers]


def thread_name(thread: Thread) -> str:
    """As "worker (123)"; "" for a thread that an imported file says nothing of."""
    name = thread.name or thread.comm
    number = f"({thread.tid})" if thread.tid >= 0 else ""
    return f"{name} {number}".strip()


def time_order(profile: "Profile") -> Sequence[int]:
    """The rows of a profile with times, the earliest first."""
    if profile._core.is_sorted:
        return range(profile._core.n)
    times = memoryview(profile._core.column("time")).tolist()
    return sorted(range(len(times)), key=times.__getitem__)
