"""Diff: two profiles, or two sets of repeated runs, beside each other, with how sure the
difference is. What two single recordings tell is in `cprof.within`, what repeated runs tell
in `cprof.repeated`; this file is cheap to import."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from cprof import _core
from cprof.profile import Profile
from cprof.rows import DiffRow, StackRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import pandas
    from matplotlib.axes import Axes

    from cprof.report_diff import DiffTable


class Diff:
    """What changed from `base` to `new`, by function. Immutable; shows itself as a table.

    `rows` are those of changed functions first, then by how large the change is. `mode` and
    `unit` say what their numbers are: "share" parts of the whole (0..1), "rate" `unit` per
    second, "raw" the sums themselves. `notes` say what was taken for granted, what differs in
    how well the sides were recorded, and how small a change would have been seen.
    """

    def __init__(
        self,
        base: Profile,
        new: Profile,
        rows: Iterable[DiffRow],
        *,
        mode: str,
        type_index: int,
        notes: Sequence[str],
        core: _core.Profile,
        scales: tuple[float, float],
        heading: str = "",
        stacks: "Callable[[], Iterable[StackRow]]",
    ) -> None:
        self.base, self.new = base, new
        self.rows = sorted(rows, key=lambda r: (r.state == "same", -abs(r.delta), r.function))
        self._find_stacks = stacks
        self._stacks: list[StackRow] | None = None
        self.mode, self.notes = mode, list(notes)
        self.sample_type, unit = base.sample_types[type_index]
        self.unit = {"share": "share", "rate": f"{unit}/second", "raw": unit}[mode]
        self.heading = heading
        self._type_index = type_index
        self._core = core  # the rows of the base, then those of the new side
        self.scales = scales  # what a sum of either side is multiplied by
        self._nodes: list[tuple[int, str, str, int, int]] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def changed(self) -> list[DiffRow]:
        """The rows whose state is another than "same"."""
        return [row for row in self.rows if row.state != "same"]

    @property
    def stacks(self) -> "list[StackRow]":
        """As `rows`, by stack: the cost of each call path that samples have, tested as
        functions are; the error rate is held over all stacks. Computed when first asked for."""
        if self._stacks is None:
            found = self._find_stacks()
            self._stacks = sorted(found, key=lambda r: (r.state == "same", -abs(r.delta), r.stack))
        return self._stacks

    def top(self, n: int = 20, by: str = "function") -> "DiffTable":
        """The first `n` rows, `by` function or by "stack"; shows itself as a table."""
        from cprof.report_diff import DiffTable

        if n < 0:
            raise ValueError(f"cannot show {n} rows")
        return DiffTable(self, self._rows_by(by), n)

    def _rows_by(self, by: str) -> "list[DiffRow] | list[StackRow]":
        if by not in ("function", "stack"):
            raise ValueError(f"no rows by {by!r}: it is 'function' or 'stack'")
        return self.rows if by == "function" else self.stacks

    @property
    def nodes(self) -> "list[tuple[int, str, str, int, int]]":
        """The call tree of both sides: (parent, function, module, base, new), values being
        sums of the sample type over the node and all that it calls, entry 0 the whole with
        parent -1, callers before what they call. What only one side has has 0 on the other."""
        if self._nodes is None:
            from cprof.sides import tree

            n_base = self.base._core.n
            self._nodes = tree(self._core, n_base, self._type_index)
        return self._nodes

    def flamegraph(self, ax: "Axes | None" = None, *, title: str | None = None) -> "Axes":
        """Draw both call trees as one flame graph: width is the larger of both sides, so that
        removed frames are drawn, too; the colour says what grew, shrank, came or went. Needs
        matplotlib (MissingPackage)."""
        from cprof.plot_diff import flamegraph

        return flamegraph(self, ax, title)

    def html(self) -> str:
        """The page that shows both sides, as text."""
        from cprof.page import page

        return page(self)

    def write(self, path: "str | os.PathLike[str]") -> None:
        """Write to `path` in the format of its extension (`cprof.export`)."""
        from cprof import export

        export.write_diff(self, os.fsdecode(path), self._type_index)

    def to_dataframe(self, by: str = "function") -> "pandas.DataFrame":
        """One row a function: function, module, base, new, delta, low, high, p, q, state; by
        "stack" one a stack, which is a tuple of names, the outermost first, in place of
        function and module. Needs pandas (MissingPackage)."""
        from cprof.errors import MissingPackage

        try:
            import pandas as pd
        except ImportError as error:
            raise MissingPackage(
                f"to_dataframe() needs pandas ({error})", "pip install pandas"
            ) from error
        kind = DiffRow if by == "function" else StackRow
        rows = [tuple(row.values()) for row in self._rows_by(by)]
        return pd.DataFrame(rows, columns=list(kind.__slots__))

    def to_json(self, *, stacks: bool = False) -> "dict[str, Any]":
        """All of it as plain data: mode, sample_type, unit, notes, and rows of function,
        module, base, new, delta, low, high, p, q, state; where `stacks`, under that key also
        rows of stack (a list of names, the outermost first), base, new and so on."""
        by_stack = {"stacks": [dict(row) for row in self.stacks]} if stacks else {}
        return {
            "mode": self.mode,
            "sample_type": self.sample_type,
            "unit": self.unit,
            "notes": self.notes,
            "rows": [dict(row) for row in self.rows],
            **by_stack,
        }

    def __repr__(self) -> str:
        return self.top().text()

    def _repr_mimebundle_(
        self, include: "Collection[str] | None" = None, exclude: "Collection[str] | None" = None
    ) -> dict[str, str]:
        """What a notebook shows: the page; a flame graph; the table as text."""
        from cprof import display, plot_diff

        return display.bundle(
            self, lambda: str(self), lambda: plot_diff.render(self, "png"), include, exclude
        )


def diff(
    base: "Profile | Mapping[str, Profile]",
    new: "Profile | Mapping[str, Profile]",
    mode: str = "share",
    sample_type: str | None = None,
) -> Diff:
    """What changed from `base` to `new`: two windows of a recording, two recordings, two files,
    two filtered parts. `mode`: "share" compares parts of the whole, which survive windows of
    unequal length; "rate" sums per second of each side; "raw" sums as they are.
    `sample_type`: by name; None is the base's default.

    Intervals (95 %) and p-values come of how each side varies within itself: they say what
    such windows of the same program differ by. What changes from run to run, as memory layout
    does, they cannot know: `compare` does. Raises ValueError for sides with different sample
    types or with negative values, NoSamples for an empty side.
    """
    from cprof.within import difference

    return difference(_profile(base), _profile(new), mode, sample_type)


def compare(
    bases: "Sequence[Profile | Mapping[str, Profile]]",
    news: "Sequence[Profile | Mapping[str, Profile]]",
    mode: str = "share",
    sample_type: str | None = None,
) -> Diff:
    """What changed from the runs `bases` to the runs `news` of the same program: the sound
    form, since it sees how runs differ that should not. Five and five find a change of 20 %
    of one function among many where runs differ by 5 %; with two and two only large changes
    are found, and the notes say how large. One and one is `diff`.

    Rows hold means over runs; `low` to `high` bound their difference at 95 %. Raises as `diff`
    does.
    """
    sides = [[_profile(run) for run in runs] for runs in (bases, news)]
    if not all(sides):
        raise ValueError("compare() needs a run on each side")
    if len(sides[0]) == len(sides[1]) == 1:
        return diff(sides[0][0], sides[1][0], mode, sample_type)
    from cprof.repeated import comparison

    return comparison(sides[0], sides[1], mode, sample_type)


def _profile(side: "Profile | Mapping[str, Profile]") -> Profile:
    """A side as one profile: of a recording its CPU time, or its only kind."""
    if isinstance(side, Profile):
        return side
    if not isinstance(side, Mapping):
        raise TypeError(f"a side is a Profile or a Recording, not {type(side).__name__}")
    kinds = list(side)
    if "cpu" not in kinds and len(kinds) != 1:
        raise ValueError(f"which kind to compare? take one of {', '.join(kinds)}")
    return side["cpu" if "cpu" in kinds else kinds[0]]
