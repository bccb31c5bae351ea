"""Labels of samples as frames of their stacks: pprof's -tagroot and -tagleaf."""

from array import array
from collections.abc import Sequence

from cprof import _core
from cprof.labels import Label, LabelSets
from cprof.rebuild import rebuilt
from cprof.units import label as unit_label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NONE = 0xFFFFFFFF  # the caller of an outermost frame, the mapping of no code


def framed(
    core: _core.Profile, roots: Sequence[str] = (), leaves: Sequence[str] = ()
) -> _core.Profile:
    """The same rows with the values of labels as frames of their stacks (pprof's tagroot and
    tagleaf): of the keys `roots` outside of them, the first the outermost, of the keys `leaves`
    inside, the last the innermost. Raises ValueError for a key that no row has."""
    sets = LabelSets(core)
    keys = {key for labels in sets.sets for key, _, _ in labels}
    for option, wanted in (("tagroot", roots), ("tagleaf", leaves)):
        if missing := [key for key in wanted if key not in keys]:
            there = ", ".join(sorted(keys)) or "none"
            raise ValueError(
                f"-{option}={missing[0]}: no sample has such a label; there are {there}"
            )
    graft = _Graft(core)
    chains = [
        [[graft.location(key, labels) for key in keys] for keys in (roots, leaves)]
        for labels in sets.sets
    ]
    stacks = array("I")
    known: dict[tuple[int, int], int] = {}
    for row in zip(sets.of_rows(), memoryview(core.column("stack")), strict=True):
        if row not in known:
            outside, inside = chains[row[0]]
            known[row] = graft.stack(outside, inside, row[1])
        stacks.append(known[row])
    return rebuilt(core, **graft.tables(), rows={"stack": stacks})


class _Graft:
    """New stacks over the locations of a profile and those of labels."""

    def __init__(self, core: _core.Profile) -> None:
        self._functions = core.functions_table
        tables = core.tables()
        self._locations = [array(c, memoryview(t)) for c, t in
                           zip("QIB", tables["locations"], strict=False)]  # fmt: skip
        self._lines = [array(c, memoryview(t)) for c, t in
                       zip("IIqI", tables["lines"], strict=True)]  # fmt: skip
        self._old = [memoryview(column).tolist() for column in tables["nodes"]]
        self._nodes: dict[tuple[int, int], int] = {}
        self._moved: dict[tuple[int, ...], dict[int, int]] = {}  # by roots: old node -> new
        self._labels: dict[tuple[str, str], int] = {}

    def location(self, key: str, labels: Sequence[Label]) -> int:
        """Of the values that `labels` have under `key`; "[no key]" where none."""
        values = [v if isinstance(v, str) else unit_label(v, unit) for k, v, unit in labels
                  if k == key]  # fmt: skip
        name = ",".join(values) if values else f"[no {key}]"
        number = self._labels.setdefault((name, key), len(self._locations[0]))
        if number == len(self._locations[0]):
            for column, value in zip(self._locations, (0, _NONE, 0), strict=False):
                column.append(value)
            for column, value in zip(
                self._lines, (number, len(self._functions), 0, 0), strict=True
            ):
                column.append(value)
            self._functions.append((name, name, key, 0, ""))
        return number

    def _node(self, caller: int, location: int) -> int:
        return self._nodes.setdefault((caller, location), len(self._nodes))

    def stack(self, roots: Sequence[int], leaves: Sequence[int], old: int) -> int:
        """The node of an old stack between such frames."""
        moved = self._moved.setdefault(tuple(roots), {})
        missing = []
        while old != _NONE and old not in moved:
            missing.append(old)
            old = self._old[0][old]
        if old == _NONE:
            node = _NONE
            for location in roots:
                node = self._node(node, location)
        else:
            node = moved[old]
        for old in reversed(missing):
            node = moved[old] = self._node(node, self._old[1][old])
        for location in leaves:
            node = self._node(node, location)
        return node

    def tables(self) -> "dict[str, Any]":
        return {
            "functions": self._functions,
            "locations": self._locations,
            "lines": self._lines,
            "nodes": [array("I", column) for column in zip(*self._nodes, strict=True)],
        }
