"""pprof's profile.proto, compressed: what `go tool pprof` and every pprof client reads.

The format has no times. With `times`, each sample has its own as a numeric label
"timestamp_ns" (since 1970), the name that perf_data_converter gave it: cprof reads it back, and
to others it is one more tag. Without, equal stacks of a thread are one sample."""

from cprof import _core
from cprof.errors import translated
from cprof.export.trie import with_lines
from cprof.rebuild import rebuilt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
    from typing import Any as Diff

    from cprof.profile import Profile


def write(profile: "Profile", path: str, type_index: int, *, times: bool = False) -> None:
    """Write all sample types of `profile`, with all lines unless it was recorded without;
    `type_index` does not matter."""
    del type_index
    with translated(path=path):
        with_lines(profile)._core.write_pprof(path, times)


def write_diff(diff: "Diff", path: str, type_index: int) -> None:
    """Write all sample types of both sides as `go tool pprof -diff_base` has them: those of the
    base are negative and have the label pprof::base=true, so that shares are of the base."""
    del type_index
    base, new = (with_lines(side)._core for side in (diff.base, diff.new))
    n = len(base.sample_types)
    with translated(path=path):
        base = rebuilt(base, threads=_of_a_base(base), rows={"time": None})
        _core.merge([new, base], [[1.0] * n, [-1.0] * n]).write_pprof(path)


def _of_a_base(core: _core.Profile) -> "list[tuple[Any, ...]]":
    """The threads with the label of a base."""
    threads = zip(core.threads, core.thread_labels, strict=True)
    return [(*thread, [*labels, ("pprof::base", "true")]) for thread, labels in threads]
