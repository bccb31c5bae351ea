"""The flame graph of a diff: both call trees in one, coloured by what became of a frame."""

from cprof import plot
from cprof.names import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from matplotlib.axes import Axes

    from cprof.diff import Diff

# Orange grows, blue shrinks (told apart by colour-blind people); the stronger, the more.
COLORS = {
    "new": "#ee7733",
    "grew": "#ffcc99",
    "shrank": "#bbddff",
    "gone": "#66aadd",
    "same": "#e4e4e4",
}
_NOTICEABLE = 0.1  # of the larger side: a smaller change is drawn as none
_MEANINGS = (
    ("new", "only in new"), ("grew", "grew"), ("shrank", "shrank"), ("gone", "only in base"),
    ("same", f"changed by less than {100 * _NOTICEABLE:.0f} %"),
)  # fmt: skip


def flamegraph(diff: "Diff", ax: "Axes | None", title: str | None) -> "Axes":
    """See `Diff.flamegraph`."""
    plot.need_matplotlib("a flame graph")
    rows = _rows(diff)
    ax, frames = plot.place(rows, ax)
    _draw(ax, diff, rows, frames, title)
    return ax


def render(diff: "Diff", format: str) -> bytes:
    """The flame graph as the bytes of a file, "svg" or "png"."""
    plot.need_matplotlib("a flame graph")
    rows = _rows(diff)
    frames = plot.Frames(rows, plot.MIN_SHARE)
    return plot.save(frames, lambda ax: _draw(ax, diff, rows, frames, None), format)


def _rows(diff: "Diff") -> "list[tuple[Any, ...]]":
    """As `_core.Profile.tree`, with the class of each node last: a node is as wide as the
    larger of its own cost on both sides, and all that it calls."""
    scales = diff.scales
    nodes = [(*node[:3], node[3] * scales[0], node[4] * scales[1]) for node in diff.nodes]
    own = [[base, new] for *_, base, new in nodes]
    depth = [0] * len(nodes)
    for i, (parent, _, _, base, new) in enumerate(nodes):
        if i:
            depth[i] = depth[parent] + 1
            own[parent][0] -= base
            own[parent][1] -= new
    width = [max(base, new, 0.0) for base, new in own]
    for i in range(len(nodes) - 1, 0, -1):
        width[nodes[i][0]] += width[i]
    return [
        (parent, function, module, depth[i], max(own[i]), width[i], kind(base, new))
        for i, (parent, function, module, base, new) in enumerate(nodes)
    ]


def kind(base: float, new: float) -> str:
    """What became of a frame's total cost."""
    if not base or not new:
        return "new" if new else "gone" if base else "same"
    if abs(new - base) < _NOTICEABLE * max(base, new):
        return "same"
    return "grew" if new > base else "shrank"


def _draw(
    ax: "Axes", diff: "Diff", rows: "list[tuple[Any, ...]]", frames: plot.Frames,
    title: str | None,
) -> None:  # fmt: skip
    import numpy as np
    from matplotlib.colors import to_rgb

    kinds = [rows[i][6] for i in frames.kept]
    faces = np.array([to_rgb(COLORS[kind]) for kind in kinds]).reshape(-1, 3)
    plot.draw_frames(ax, frames, faces)
    plot.write_heading(ax, printable(title) if title is not None else _title(diff), _facts(diff))
    plot.say_left_out(ax, frames)
    plot.draw_legend(ax, [(COLORS[name], text) for name, text in _MEANINGS])


def _title(diff: "Diff") -> str:
    names = [printable(side.command)[:60] or "profile" for side in (diff.base, diff.new)]
    change = " \N{RIGHTWARDS ARROW} ".join(names)
    return f"difference by {diff.mode} of {diff.sample_type}: {change}"


def _facts(diff: "Diff") -> str:
    from cprof.report import plural

    sides = (
        f"{name} {plural(side.samples, 'sample')} in {side.duration:.2f} s"
        for name, side in (("base", diff.base), ("new", diff.new))
    )
    changed = f"{len(diff.changed):,d} of {plural(len(diff.rows), 'function')} changed (q < 0.05)"
    return " \N{MIDDLE DOT} ".join([*sides, changed])
