"""Flame graphs in matplotlib: one PolyCollection for all frames, and labels that fit.

matplotlib, and numpy with it, are imported when something is drawn.
"""

import sys
from zlib import crc32

from cprof.errors import MissingPackage
from cprof.names import is_kernel, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    import numpy
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cprof.profile import Profile

# Paul Tol's "light" scheme: told apart by colour-blind people, and black text reads on all.
KERNEL, PSEUDO = "#ee8866", "#dddddd"
PALETTE = ("#77aadd", "#eedd88", "#44bb99", "#ffaabb", "#99ddff", "#bbcc33", "#aaaa00")
TEXT, FAINT = "#222222", "#666666"

_WIDTH, _DPI = 12.0, 100.0  # inches, pixels per inch
_ROW = 0.18  # inches of height for a frame
_MAX_ROWS_HEIGHT = 24.0  # inches; deeper stacks get thinner rows
_HEADER, _FOOTER, _SIDE = 0.55, 0.55, 0.15
_FONT_SIZE, _MIN_FONT_SIZE = 7.5, 4.5
MIN_SHARE = 0.5 / (_WIDTH * _DPI)  # of the whole: half a pixel
_PADDING = 3.0  # pixels before and after a label
_GAP = 0.9  # pixels between frames: an outline would take as long again to draw
_MIN_PARTED = 3.0  # pixels; a gap would hide the colour of what is narrower
_MAX_LABELS = 1500
_LEGEND = 6
_ROW_SHARE, _ROWS_ALWAYS = 0.005, 30  # rows above these with less in them are left out


class Options:
    """How a flame graph looks; see `Profile.flamegraph`."""

    def __init__(
        self,
        *,
        color: str = "module",
        invert: bool = False,
        min_width: float = 0.5,
        title: str | None = None,
    ) -> None:
        if color not in ("module", "function"):
            raise ValueError(f"color={color!r}: it is 'module' or 'function'")
        if not 0 <= min_width < 1e6:
            raise ValueError(f"min_width={min_width}: it is a number of pixels from 0")
        self.color, self.invert, self.min_width, self.title = color, invert, min_width, title


class Frames:
    """The frames of a call tree that are wide enough to be drawn, as arrays.

    `left` and `width` are shares of the whole (0..1), `row` is 0 for the outermost frame.
    """

    def __init__(self, rows: "Sequence[tuple[Any, ...]]", min_share: float) -> None:
        """`rows` as `_core.Profile.tree` gives them."""
        import numpy as np

        total = rows[0][5]
        left, width = [0.0] * len(rows), [0.0] * len(rows)
        free = [0.0] * len(rows)  # where the next child of each node begins
        kept = []
        for i, (parent, _, _, _, _, value, *_) in enumerate(rows):
            if i == 0:
                width[0] = 1.0
            elif value > 0 and (not width[parent] or value < min_share * total):
                continue
            elif value > 0:
                left[i] = free[i] = free[parent]
                width[i] = value / total
                free[parent] += width[i]
                kept.append(i)
        kept = self._without_spires(kept, [row[3] for row in rows], width)
        self.left = np.array([left[i] for i in kept])
        self.width = np.array([width[i] for i in kept])
        self.row = np.array([rows[i][3] - 1 for i in kept], dtype=int)
        self.names = [rows[i][1] for i in kept]
        self.modules = [rows[i][2] for i in kept]
        self.self_ = [rows[i][4] for i in kept]
        self.kept = kept  # numbers of rows
        self.n_left_out = len(rows) - 1 - len(kept)
        self.n_rows = int(self.row.max()) + 1 if kept else 1

    @staticmethod
    def _without_spires(kept: list[int], depth: list[int], width: list[float]) -> list[int]:
        """The frames without the top rows that hold next to nothing: a few hair-thin stacks
        would otherwise make the picture mostly empty."""
        in_row: dict[int, float] = {}
        for i in kept:
            in_row[depth[i]] = in_row.get(depth[i], 0.0) + width[i]
        last = max((row for row, share in in_row.items() if share >= _ROW_SHARE), default=0)
        last = max(last, _ROWS_ALWAYS)
        return [i for i in kept if depth[i] <= last]

    def boxes(self, invert: bool, pixels: tuple[float, float]) -> "Any":
        """The corners of every frame: an array of shape (n, 4, 2), which PolyCollection takes
        as it is. There is a gap after a frame, and above a row, where there is room for it;
        `pixels` has those of the whole width and of a row."""
        import numpy as np

        x_pixels, row_pixels = pixels
        bottom = self.n_rows - 1 - self.row if invert else self.row
        is_parted = self.width * x_pixels >= _MIN_PARTED
        gap = _GAP / row_pixels if row_pixels > 4 else 0.0
        corners = np.empty((len(self.names), 4, 2))
        corners[:, (0, 3), 0] = self.left[:, None]
        corners[:, (1, 2), 0] = (self.left + self.width - is_parted * _GAP / x_pixels)[:, None]
        corners[:, (0, 1), 1] = bottom[:, None]
        corners[:, (2, 3), 1] = (bottom + 1 - gap)[:, None]
        return corners


def _hash(text: str) -> int:
    """The same in every process, unlike hash()."""
    return crc32(text.encode("utf-8", "replace"))


def module_colors(modules: "Sequence[str]") -> dict[str, str]:
    """A colour for each module, given the most important first. A module's name chooses;
    where an earlier one has that colour, the next free one."""
    colors: dict[str, str] = {}
    taken: set[str] = set()
    for module in dict.fromkeys(modules):
        if not module:
            colors[module] = PSEUDO
        elif is_kernel(module):
            colors[module] = KERNEL
        else:
            start = _hash(module) % len(PALETTE)
            wheel = PALETTE[start:] + PALETTE[:start]
            color = next((c for c in wheel if c not in taken), wheel[0])
            colors[module] = color
            taken.add(color)
    return colors


def _face_colors(frames: Frames, colors: dict[str, str], color: str) -> "numpy.ndarray[Any, Any]":
    """One RGB for each frame: the module's, a little lighter or darker by function, so that
    neighbours are told apart; or the function's own."""
    import numpy as np
    from matplotlib.colors import to_rgb

    base = {module: to_rgb(value) for module, value in colors.items()}
    palette = [to_rgb(value) for value in PALETTE]
    hashes = {name: _hash(name) for name in set(frames.names)}
    if color == "function":
        rgb = [
            palette[hashes[name] % len(palette)] if module else base[module]
            for name, module in zip(frames.names, frames.modules, strict=True)
        ]
    else:
        rgb = [base[module] for module in frames.modules]
    tint = np.array([(hashes[name] >> 8) % 64 / 63 for name in frames.names])
    tint[[not module for module in frames.modules]] = 0.5
    faces = np.array(rgb).reshape(-1, 3)
    return np.asarray(1 - (1 - faces) * (0.7 + 0.4 * tint[:, None])).clip(0, 1)


def _draw_labels(ax: "Axes", frames: Frames, invert: bool, pixels: tuple[float, float]) -> None:
    """Write the names on the frames, the widest first, where there is room."""
    from cprof.plot_label import Label, ruler

    x_pixels, row_pixels = pixels
    dpi = ax.figure.dpi
    size = min(_FONT_SIZE, 0.72 * row_pixels * 72 / dpi)
    if size < _MIN_FONT_SIZE:
        return
    fit = ruler(size, dpi).fit
    rooms = frames.width * x_pixels - 2 * _PADDING
    for i in (-rooms).argsort(kind="stable")[:_MAX_LABELS]:
        if rooms[i] <= 0:
            break
        label = fit(printable(frames.names[i]), rooms[i])
        if not label:
            continue
        row = frames.n_rows - 1 - frames.row[i] if invert else frames.row[i]
        left = frames.left[i] + _PADDING / x_pixels
        ax.add_artist(Label(left, row + 0.46, label, size, TEXT))


def draw_legend(ax: "Axes", entries: "Sequence[tuple[str, str]]") -> None:
    """What the colours mean, (colour, meaning), below `ax`."""
    from matplotlib.patches import Patch

    gap = 8 / ax.get_window_extent().height

    def short(name: str) -> str:
        return name if len(name) <= 24 else name[:23] + "\N{HORIZONTAL ELLIPSIS}"

    handles = [Patch(facecolor=color, label=short(printable(text))) for color, text in entries]
    if not handles:
        return
    legend = ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, -gap),
        ncols=len(handles),
        frameon=False,
        fontsize=_FONT_SIZE,
        borderpad=0,
        borderaxespad=0,
        handlelength=1.2,
        columnspacing=1.4,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
        text.set_color(TEXT)


def _caption(profile: "Profile", type_index: int) -> tuple[str, str]:
    """The title and the line under it."""
    from cprof.report import Scale, plural, stacks_line

    quality = profile.quality
    name, unit = profile.sample_types[type_index]
    total = profile._core.totals()[type_index]
    parts = [plural(quality["samples"], "sample")]
    if profile.duration:
        parts[0] += f" in {profile.duration:.2f} s"
    parts.append(f"{name} {Scale(unit, (total,)).text(total)}")
    parts.append(f"{quality['lost']:,d} lost")
    parts.append(f"{100 * quality['complete']:.1f} % complete stacks")
    if line := stacks_line(profile):
        parts.append(line.removeprefix("stacks: "))
    command = printable(profile.command) or "profile"
    if len(command) > 90:
        command = command[:89] + "\N{HORIZONTAL ELLIPSIS}"
    return command, " \N{MIDDLE DOT} ".join(parts)


def flamegraph(profile: "Profile", type_index: int, ax: "Axes | None", options: Options) -> "Axes":
    """See `Profile.flamegraph`."""
    need_matplotlib("a flame graph")
    ax, frames = place(profile._core.tree(type_index), ax, options.min_width)
    _draw(ax, profile, type_index, frames, options)
    return ax


def place(
    rows: "Sequence[tuple[Any, ...]]", ax: "Axes | None", min_width: float = 0.5
) -> "tuple[Axes, Frames]":
    """Axes for a tree, those of a new figure where there are none yet, and its frames."""
    if ax is not None:
        return ax, Frames(rows, min_width / max(ax.get_window_extent().width, 1.0))
    frames = Frames(rows, min_width / (_WIDTH * _DPI))
    figure = new_figure((_WIDTH, _figure_height(frames.n_rows)))
    return _place_axes(figure, frames.n_rows), frames


def _draw(
    ax: "Axes", profile: "Profile", type_index: int, frames: Frames, options: Options
) -> None:
    by_self: dict[str, int] = {}
    for module, value in zip(frames.modules, frames.self_, strict=True):
        by_self[module] = by_self.get(module, 0) + value
    modules = sorted(by_self, key=lambda module: (-by_self[module], module))
    colors = module_colors(modules)
    draw_frames(ax, frames, _face_colors(frames, colors, options.color), options.invert)
    _draw_text(ax, profile, type_index, frames, options)
    if options.color == "module":
        handles = [(colors[module], module) for module in modules if module]
        draw_legend(ax, handles[:_LEGEND])


def draw_frames(ax: "Axes", frames: Frames, faces: "Any", invert: bool = False) -> None:
    """The frames in these colours, and their names where there is room."""
    from matplotlib.collections import PolyCollection

    box = ax.get_window_extent()
    pixels = box.width, box.height / frames.n_rows
    boxes = frames.boxes(invert, pixels)
    ax.add_collection(PolyCollection(boxes, facecolors=faces, linewidths=0), autolim=False)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, frames.n_rows)
    ax.set_axis_off()
    _draw_labels(ax, frames, invert, pixels)


def _draw_text(
    ax: "Axes", profile: "Profile", type_index: int, frames: Frames, options: Options
) -> None:
    """What is above the frames, and what was left out, below."""
    heading(ax, profile, type_index, options.title)
    say_left_out(ax, frames)


def say_left_out(ax: "Axes", frames: Frames) -> None:
    if not frames.names:
        say_empty(ax)
    if frames.n_left_out:
        note = f"{frames.n_left_out:,d} frames too small to draw"
        _annotate(ax, note, (1, 0), (0, -6), size=_FONT_SIZE, ha="right", va="top")


def heading(ax: "Axes", profile: "Profile", type_index: int, title: str | None) -> None:
    """The title, by default the command, and under it what was recorded; above `ax`."""
    command, facts = _caption(profile, type_index)
    write_heading(ax, command if title is None else printable(title), facts)


def write_heading(ax: "Axes", text: str, facts: str) -> None:
    _annotate(ax, facts, (0, 1), (0, 6), size=8)
    _annotate(ax, text, (0, 1), (0, 19), size=11, color=TEXT)


def say_empty(ax: "Axes") -> None:
    _annotate(ax, "no samples", (0.5, 0.5), (0, 0), size=10, ha="center", va="center")


def _annotate(
    ax: "Axes",
    text: str,
    at: tuple[float, float],
    moved: tuple[float, float],
    *,
    size: float,
    color: str = FAINT,
    ha: str = "left",
    va: str = "baseline",
) -> None:
    """Text at a place of the axes (0..1), moved by points."""
    ax.annotate(
        text, at, moved, "axes fraction", "offset points",
        fontsize=size, color=color, ha=ha, va=va, parse_math=False,
    )  # fmt: skip


def _figure_height(n_rows: int) -> float:
    return _HEADER + _FOOTER + min(max(n_rows, 4) * _ROW, _MAX_ROWS_HEIGHT)


def _place_axes(figure: "Figure", n_rows: int) -> "Axes":
    height = _figure_height(n_rows)
    rows = min(n_rows * _ROW, _MAX_ROWS_HEIGHT)
    box = (_SIDE / _WIDTH, _FOOTER / height, 1 - 2 * _SIDE / _WIDTH, rows / height)
    return figure.add_axes(box)


def new_figure(size: tuple[float, float]) -> "Figure":
    """A figure of so many inches: of pyplot's where somebody uses pyplot or a notebook shows
    figures, else one that nobody has to close."""
    is_shown = "matplotlib.pyplot" in sys.modules or hasattr(sys, "ps1") or _in_notebook()
    if is_shown:
        import matplotlib.pyplot as plt

        return plt.figure(figsize=size, dpi=_DPI)
    from matplotlib.figure import Figure

    return Figure(figsize=size, dpi=_DPI)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def render(profile: "Profile", type_index: int, format: str) -> bytes:
    """A flame graph as the bytes of a file, "svg" or "png"."""
    need_matplotlib("a flame graph")
    options = Options()
    frames = Frames(profile._core.tree(type_index), options.min_width / (_WIDTH * _DPI))
    return save(frames, lambda ax: _draw(ax, profile, type_index, frames, options), format)


def save(frames: Frames, draw: "Callable[[Axes], None]", format: str) -> bytes:
    """What `draw` makes of new axes with room for `frames`, as the bytes of a file."""
    import io
    import warnings

    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, _figure_height(frames.n_rows)), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    metadata = {"Date": None, "Creator": "cprof"} if format == "svg" else {"Software": "cprof"}
    file = io.BytesIO()
    # svg.fonttype: text stays text, to be searched; hashsalt: the same file for the same data
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "cprof"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*missing")
        draw(_place_axes(figure, frames.n_rows))
        figure.savefig(
            file, format=format, dpi=_DPI * (2 if format == "png" else 1), metadata=metadata
        )
    return file.getvalue()


def need_matplotlib(what: str) -> None:
    """Raises MissingPackage without it."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingPackage(
            f"{what} needs matplotlib ({error})", "pip install matplotlib"
        ) from error
