"""Question: one sample type of a profile, and how its values are to be taken and shown; what
`Profile`'s verbs and the command's are made of."""

import sys
from collections.abc import Sequence

from cprof import _core, labels
from cprof import graph as graphs
from cprof.errors import translated
from cprof.graph import WHOLE, CallTable, Graph, Trim
from cprof.report import PLAIN, Shown, Table, stacks_line, summary
from cprof.rows import FunctionRow, Place
from cprof.traces import Traces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof.profile import Profile

    AnyRow = FunctionRow | Place


class Question:
    """`whole` is what 100 % is (None: all of the profile). `mean`: values are those of the
    sample type over those of the first one. `shown` is how values are written, `heading`
    what stands above tables (None: what was recorded)."""

    def __init__(
        self,
        profile: "Profile",
        index: int,
        *,
        whole: int | None = None,
        mean: bool = False,
        shown: Shown = PLAIN,
        heading: Sequence[str] | None = None,
    ) -> None:
        self.profile, self.index, self.mean, self.shown = profile, index, mean, shown
        self._core = profile._core
        self._whole, self._heading = whole, heading

    @property
    def whole(self) -> int:
        if self._whole is None:
            self._whole = graphs.whole(self._core, self.index, mean=self.mean)
        return self._whole

    @property
    def heading(self) -> list[str]:
        name, unit = self._core.sample_types[self.index]
        lines = self._heading
        if lines is None:
            profile = self.profile
            lines = [profile.command, summary(profile), stacks_line(profile)]
        lines = [line for line in lines if line]
        if self.mean:
            lines.append(f"showing mean {name} ({unit}) by {self._core.sample_types[0][0]}")
        elif self.index != self._core.default_type:
            lines.append(f"showing {name} ({unit})")
        return lines

    def table(
        self,
        n: int | None = None,
        granularity: str = "functions",
        *,
        cum: bool = False,
        min_share: float = 0.0,
        drop_negative: bool = False,
    ) -> Table:
        """The functions, or places, whose total is at least `min_share` of the sum, in order of
        self (or total), or the first `n` of them; `drop_negative`: of those that did not
        shrink."""
        if n is not None and n < 0:
            raise ValueError(f"cannot show {n} rows")
        most = sys.maxsize if n is None else n
        if granularity == "functions" and not self.mean and not cum:
            rows, n_rows = self._functions(most, min_share, drop_negative=drop_negative)
        else:
            graph = self.graph(
                granularity, cum=cum, trim=Trim(min_share, 0.0, 0), drop_negative=drop_negative
            )
            rows, n_rows = graph.nodes, len(graph.nodes) + graph.n_dropped
            if granularity == "functions":
                rows = [FunctionRow(x.function, x.module, x.self, x.total) for x in graph.nodes]
        return Table(
            rows[:most],
            heading=self.heading,
            unit=self._core.sample_types[self.index][1],
            total=self.whole,
            n_functions=None if n is None else n_rows,
            shown=self.shown,
        )

    def _functions(
        self, most: int, min_share: float, *, drop_negative: bool
    ) -> "tuple[Sequence[AnyRow], int]":
        """The first of them that are worth showing, or all, and how many there are of any kind."""
        is_part = min_share or drop_negative  # which may be any of them
        first, n = self._core.top(self.index, sys.maxsize if is_part else most)
        rows = [FunctionRow(*row[:4]) for row in first]
        of = self._core.totals()[self.index]
        return graphs.worth_showing(rows, min_share, of, drop_negative=drop_negative), n

    def graph(
        self,
        granularity: str = "functions",
        *,
        cum: bool = False,
        trim: Trim = WHOLE,
        drop_negative: bool = False,
    ) -> Graph:
        return graphs.graph(
            self._core, self.index, granularity, cum=cum, mean=self.mean, trim=trim,
            of=self.whole, drop_negative=drop_negative,
        )  # fmt: skip

    def calls(self, pattern: str, end: str) -> CallTable:
        """The calls whose `end` ("caller" or "callee") matches a regular expression."""
        graph = self.graph()
        return CallTable(graph, graph.matching(pattern), end)

    def traces(self, *, by_line: bool = False) -> Traces:
        return Traces(self._core, self.index, self.whole, by_line=by_line, mean=self.mean)

    def tags(self, show: str | None = None, hide: str | None = None) -> labels.Tags:
        return labels.tags(self._core, self.index, self.whole, show=show, hide=hide)


def subtract(profile: "Profile", base: "Profile", *, normalize: bool = False) -> "Profile":
    """`profile` less `base`. With `normalize`, each sample type of `profile` is scaled to the
    sum that it has in `base` first, as pprof does."""
    from cprof.profile import Profile

    totals = zip(profile._core.totals(), base._core.totals(), strict=False)
    scales = [b / p if p else 0.0 for p, b in totals] if normalize else [1.0] * len(profile.totals)
    with translated():
        return Profile(
            _core.merge([profile._core, base._core], [scales, [-1.0] * len(base.totals)])
        )
