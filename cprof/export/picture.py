"""Flame graphs as files, SVG or PNG."""

from cprof.export.files import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof.diff import Diff
    from cprof.profile import Profile


def write(profile: "Profile", path: str, type_index: int) -> None:
    """Draw one sample type of `profile` as a flame graph."""
    from cprof import plot

    data = plot.render(profile, type_index, path.lower().rpartition(".")[2])
    replace(path, lambda file: file.write(data))


def write_diff(diff: "Diff", path: str, type_index: int) -> None:
    """Draw both sides of `diff` as one flame graph."""
    from cprof import plot_diff

    del type_index
    data = plot_diff.render(diff, path.lower().rpartition(".")[2])
    replace(path, lambda file: file.write(data))
