"""Pictures of time: the heat map of samples within each second, and what ran when.

Both read columns of the core as numpy arrays, which comes with matplotlib: no loop over
samples in Python.
"""

from cprof import _core, plot
from cprof.names import elide, last_part, printable, simplify
from cprof.profile import Profile, value_columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    import numpy
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import MouseEvent
    from matplotlib.figure import Figure

    Array: TypeAlias = numpy.ndarray[Any, Any]

_NS = 10**9
_WIDTH = 12.0  # inches
_HEAT = "OrRd"  # one hue from light to dark: read by colour-blind people, and in grey
_EMPTY = "#f7f7f7"
_MAX_COLUMNS = 20_000
_TAIL = 0.005  # seconds: a recording of 10 s ends a little later, and has no eleventh column
_BINS = 240  # of a timeline, at most
_LANES = 30  # threads with a lane of their own
_BANDS = 8  # functions with a colour of their own
_LABEL = 44  # characters
_NO_FUNCTION = 0xFFFFFFFF
_UNKNOWN = "[unknown]"


# When


def _times(profile: Profile) -> "Array":
    """The time of each row, in ns since the recording began."""
    import numpy as np

    times: Array = np.asarray(profile._core.column("time")).astype(np.int64)
    return times - int(profile._run["start_mono"])


def _weights(profile: Profile, type_index: int) -> "Array":
    import numpy as np

    return np.asarray(profile._core.column(value_columns(profile._core)[type_index]))


def _axes(profile: Profile, ax: "Axes | None", height: float, margins: "Any") -> "Axes":
    """`ax`, or that of a new figure with `margins` (left, bottom, right, top, inches)."""
    if ax is not None:
        return ax
    figure = plot.new_figure((_WIDTH, height))
    left, bottom, right, top = margins
    return figure.add_axes(
        (left / _WIDTH, bottom / height, 1 - (left + right) / _WIDTH, 1 - (bottom + top) / height)
    )


def _plain(ax: "Axes") -> None:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(plot.FAINT)
    ax.tick_params(colors=plot.TEXT, labelsize=8)


def _color_bar(ax: "Axes", image: "Any", label: str, values: "Array") -> None:
    """The scale of an image of `values`; those beyond it are black."""
    extend = "max" if values.max(initial=0) > image.get_clim()[1] else "neither"
    image.cmap = image.cmap.with_extremes(over="black")
    box = ax.get_position()
    assert ax.figure is not None
    bar_axes = ax.figure.add_axes((box.x1 + 0.012, box.y0, 0.012, box.height))
    bar = ax.figure.colorbar(image, cax=bar_axes, extend=extend)
    bar.outline.set_visible(False)
    bar_axes.tick_params(colors=plot.TEXT, labelsize=8, length=0)
    bar_axes.set_ylabel(label, fontsize=8, color=plot.TEXT)


# Heat map


class Heatmap:
    """A subsecond-offset heat map: a column for each second, in it a row for each part of
    that second, and colour for the samples taken then. What repeats every second is a line
    across, a burst is a dark spot, a pause is light.

    `axes` is where it is drawn, `counts` the samples of each cell (rows by columns, numpy).
    `select` takes a rectangle of it as a profile. In a window of matplotlib's, a rectangle is
    also drawn with the mouse: its flame graph opens, and `selection` is its profile.
    """

    def __init__(self, profile: Profile, ax: "Axes | None", rows: int, title: str | None) -> None:
        plot.need_matplotlib("a heat map")
        if not 0 < rows <= 1000:
            raise ValueError(f"rows={rows}: a second has 1 to 1000 rows")
        profile._need_times()
        self.profile = profile
        self.selection: Profile | None = None
        self._rows = rows
        self._first, self.counts = _cells(profile, rows)
        self.axes = self._draw(ax, title)
        self._selector = self._listen()
        self._shown: Figure | None = None

    def select(
        self,
        *,
        seconds: "tuple[float, float] | None" = None,
        offset: tuple[float, float] = (0.0, 1.0),
    ) -> Profile:
        """The samples of a rectangle: taken at `seconds` = (a, b), a <= time < b since the
        recording began (None: all), and at `offset` = (c, d) of their second, c <= offset < d,
        0 to 1. Its `duration` is that of the seconds.

        Raises ValueError for a rectangle that is empty or outside of a second.
        """
        import numpy as np

        low, high = offset
        if not 0 <= low < high <= 1:
            raise ValueError(f"no offsets from {low} to {high} s: need 0 <= c < d <= 1")
        part = self.profile
        if seconds is not None:
            if not seconds[0] < seconds[1]:
                raise ValueError(f"no seconds from {seconds[0]} to {seconds[1]}: need a < b")
            part = part.window(*seconds)
        within = _times(part) % _NS
        mask = (within >= round(low * _NS)) & (within < round(high * _NS))
        return Profile(part._core.select(np.ascontiguousarray(mask, np.uint8).tobytes()))

    def _draw(self, ax: "Axes | None", title: str | None) -> "Axes":
        from matplotlib.ticker import MaxNLocator

        ax = _axes(self.profile, ax, 4.6, (0.75, 0.55, 1.0, 0.55))
        n_rows, n_columns = self.counts.shape
        image = ax.imshow(
            self.counts,
            cmap=_HEAT,
            vmin=0,
            vmax=max(_top_of(self.counts), 1.0),
            aspect="auto",
            origin="lower",
            interpolation="nearest",
            extent=(self._first, self._first + n_columns, 0.0, 1.0),
        )
        _plain(ax)
        ax.set_xlabel("seconds since the recording began", fontsize=8, color=plot.TEXT)
        ax.set_ylabel("offset in the second", fontsize=8, color=plot.TEXT)
        ax.set_yticks((0, 0.25, 0.5, 0.75, 1))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        plot.heading(ax, self.profile, self.profile._core.default_type, title)
        if self.counts.any():
            _color_bar(ax, image, f"samples in {1000 / n_rows:g} ms", self.counts)
        else:
            plot.say_empty(ax)
        return ax

    def _listen(self) -> "Any":
        from matplotlib.backend_bases import MouseButton
        from matplotlib.widgets import RectangleSelector

        look = {"facecolor": "none", "edgecolor": plot.TEXT, "linewidth": 1.5}
        return RectangleSelector(
            self.axes, self._picked, useblit=True, button=MouseButton.LEFT, props=look
        )

    def _picked(self, press: "MouseEvent", release: "MouseEvent") -> None:
        """A rectangle was drawn: whole cells, those that it touches."""
        import math

        del press, release  # the selector knows
        left, right, bottom, top = self._selector.extents
        low, high = max(bottom, 0.0) * self._rows, max(top, 0.0) * self._rows
        self.selection = self.select(
            seconds=(max(math.floor(left), 0), math.floor(right) + 1),
            offset=(
                min(math.floor(low), self._rows - 1) / self._rows,
                min(math.floor(high) + 1, self._rows) / self._rows,
            ),
        )
        self._show(self.selection)

    def _show(self, selection: Profile) -> None:
        """The flame graph of the selection, in one figure for all selections."""
        import matplotlib.pyplot as plt

        if self._shown is None or not plt.fignum_exists(self._shown.number):
            self._shown = plt.figure(figsize=(_WIDTH, 6.0))
        self._shown.clear()
        selection.flamegraph(self._shown.add_axes((0.02, 0.1, 0.96, 0.78)))
        self._shown.canvas.draw_idle()
        if plt.isinteractive():
            self._shown.show()

    def __repr__(self) -> str:
        n_rows, n_columns = self.counts.shape
        return (
            f"<Heatmap of {n_columns} s, {n_rows} rows a second, at most "
            f"{int(self.counts.max(initial=0))} samples a cell; "
            "select(seconds=(a, b), offset=(c, d)) takes a rectangle>"
        )


def _cells(profile: Profile, n_rows: int) -> "tuple[int, Array]":
    """The first second, and the samples by row (part of a second) and column (second)."""
    import math

    import numpy as np

    begin, end = profile._extent()
    first = math.floor(begin)
    n_columns = max(math.ceil(end - _TAIL) - first, 1)
    if n_columns > _MAX_COLUMNS:
        raise ValueError(
            f"{n_columns:,d} seconds are too many for one heat map (at most {_MAX_COLUMNS:,d}): "
            "take a window of the profile"
        )
    times = _times(profile)
    column = np.clip(times // _NS - first, 0, n_columns - 1)
    row = times % _NS * n_rows // _NS
    names = [name for name, _ in profile.sample_types]
    counts = _weights(profile, names.index("samples")) if "samples" in names else None
    cells = np.bincount(row * n_columns + column, counts, n_rows * n_columns)
    return first, cells.reshape(n_rows, n_columns)


# Timeline


def timeline(
    profile: Profile, by: str, ax: "Axes | None", type_index: int, title: str | None
) -> "Axes":
    """See `Profile.timeline`."""
    plot.need_matplotlib("a timeline")
    if by not in ("thread", "function"):
        raise ValueError(f"by={by!r}: it is 'thread' or 'function'")
    profile._need_times()
    keys, labels = (_threads if by == "thread" else _functions)(profile)
    edges, table = _table(profile, keys, len(labels), type_index)
    scale, label = _rate(profile, type_index, edges)
    rows, names = _largest(table * scale, labels, _LANES if by == "thread" else _BANDS, by)
    draw = _lanes if by == "thread" else _bands
    ax = draw(profile, ax, edges, rows, names, label)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_xlabel("seconds since the recording began", fontsize=8, color=plot.TEXT)
    plot.heading(ax, profile, type_index, title)
    if not rows.any():
        plot.say_empty(ax)
    return ax


def _threads(profile: Profile) -> "tuple[Array, list[str]]":
    """The thread of each row by number, and each one's label."""
    import numpy as np

    labels = [
        f"{name or comm or _UNKNOWN} {tid if tid >= 0 else ''}".rstrip()
        for _, tid, name, comm in profile._core.threads
    ]
    return np.asarray(profile._core.column("thread")), labels


def _functions(profile: Profile) -> "tuple[Array, list[str]]":
    """The function in which each row was taken, by number, and each one's label. Rows without
    a function are by the name that the call tree has for them."""
    import numpy as np

    core: _core.Profile = profile._core
    _, frame_of, node_of, frames = core.frame_tree(False)
    if not frames:
        return np.zeros(0, np.int64), []
    table, mappings = core.functions_table, core.mappings
    number: dict[str, int] = {}
    label_of = [
        number.setdefault(table[function][0] if function >= 0 else _module_of(mapping, mappings),
                          len(number))
        for function, _, mapping in frames
    ]  # fmt: skip
    leaf = np.asarray(frame_of)[np.asarray(node_of)]
    return np.asarray(label_of)[leaf], [_short(name) for name in number]


def _module_of(mapping: int, mappings: "list[tuple[Any, ...]]") -> str:
    return f"[{mappings[mapping][4]}]" if mapping >= 0 else _UNKNOWN


def _short(name: str) -> str:
    text = printable(name)
    if len(text) > _LABEL:
        text = simplify(text)
    return elide(text if len(text) <= _LABEL else last_part(text), _LABEL)


def _table(profile: Profile, keys: "Array", n_keys: int, type_index: int) -> "tuple[Array, Array]":
    """The edges of the bins of time (seconds), and the sum of each key in each of them."""
    import numpy as np

    begin, end = profile._extent()
    start, span = round(begin * _NS), max(round((end - begin) * _NS), 1)
    width = _bin_width(span)
    n = max((span + width // 2) // width, 1)  # the last one takes what is left: 0.5 to 1.5 widths
    bins = np.clip((_times(profile) - start) // width, 0, n - 1)
    sums = np.bincount(keys.astype(np.int64) * n + bins, _weights(profile, type_index), n_keys * n)
    edges = np.append(np.arange(n) * width, span) + start
    return edges / _NS, sums.reshape(n_keys, n)


def _bin_width(span: int) -> int:
    """A round number of ns, so that there are at most _BINS."""
    width = 1
    while True:
        for step in (1, 2, 5):
            if span <= step * width * _BINS:
                return step * width
        width *= 10


def _rate(profile: Profile, type_index: int, edges: "Array") -> "tuple[Array, str]":
    """What makes a sum of a bin the rate that is shown, and its name."""
    import numpy as np

    name, unit = profile.sample_types[type_index]
    widths = np.diff(edges)
    if name == "cpu" and unit == "nanoseconds":
        return 1 / _NS / widths, "CPUs in use"
    return 1 / widths, f"{name} ({unit}) per second"


def _largest(table: "Array", labels: list[str], n: int, by: str) -> "tuple[Array, list[str]]":
    """The `n` rows with the most in them, largest first; all others summed into a last one."""
    import numpy as np

    sums = table.sum(axis=1)
    order = np.argsort(-sums, kind="stable")
    order = order[sums[order] > 0]
    if len(order) <= n + 1:
        return table[order], [labels[i] for i in order]
    others = table[order[n:]].sum(axis=0)
    names = [labels[i] for i in order[:n]]
    return np.vstack([table[order[:n]], others]), [*names, f"other ({len(order) - n} {by}s)"]


def _lanes(
    profile: Profile, ax: "Axes | None", edges: "Array", rows: "Array", names: list[str], label: str
) -> "Axes":
    """One lane for each row, whose colour is its rate."""
    n = max(len(names), 1)
    ax = _axes(profile, ax, 1.2 + 0.19 * max(n, 3), (2.2, 0.55, 1.0, 0.6))
    whole = _top_of(rows[:_LANES]) or 1.0  # the sum of others may have more
    mesh = ax.pcolormesh(
        edges, range(n + 1), rows if len(names) else [[0.0] * (len(edges) - 1)],
        cmap=_HEAT, vmin=0, vmax=whole, rasterized=True,
    )  # fmt: skip
    ax.hlines(range(1, n), edges[0], edges[-1], colors="white", linewidth=1.5)
    ax.set_ylim(n, 0)
    _plain(ax)
    ticks = ax.set_yticks([i + 0.5 for i in range(len(names))], [elide(n, 30) for n in names])
    for tick in ticks:
        tick.label1.set_parse_math(False)
    ax.tick_params(axis="y", length=0, labelsize=min(8, 8 * 14 / max(n, 14) + 3))
    _color_bar(ax, mesh, label, rows)
    return ax


def _top_of(values: "Array") -> float:
    """Where the scale of colours ends: at the largest, but for a few that are far above all
    others (samples that were lost count at one moment); those are black."""
    import numpy as np

    some = values[values > 0]
    return float(min(some.max(), 2 * np.quantile(some, 0.99))) if len(some) else 0.0


def _bands(
    profile: Profile, ax: "Axes | None", edges: "Array", rows: "Array", names: list[str], label: str
) -> "Axes":
    """The rows stacked on each other, the largest at the bottom."""
    ax = _axes(profile, ax, 4.2, (0.75, 0.55, 3.4, 0.6))
    colors = [*plot.PALETTE, plot.KERNEL][:_BANDS]
    bottom = 0.0 * edges[:-1]
    handles = []
    for i, row in enumerate(rows):
        color = colors[i] if i < len(colors) else plot.PSEUDO
        handles.append(ax.stairs(bottom + row, edges, baseline=bottom, fill=True, color=color))
        bottom = bottom + row
    ax.set_ylim(0, max(float(bottom.max(initial=0)) * 1.05, 1e-9))
    _plain(ax)
    ax.set_ylabel(label, fontsize=8, color=plot.TEXT)
    if handles:
        legend = ax.legend(
            handles[::-1], names[::-1], loc="upper left", bbox_to_anchor=(1.01, 1.0),
            frameon=False, fontsize=8, borderaxespad=0, handlelength=1.2,
        )  # fmt: skip
        for text in legend.get_texts():
            text.set_parse_math(False)
    return ax
