"""pprof's profile.proto, compressed: what `go tool pprof` and every pprof client reads."""

from cprof import _core
from cprof.errors import translated
from cprof.export.trie import with_lines
from cprof.profile import value_columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
    from typing import Any as Diff

    from cprof.profile import Profile


def write(profile: "Profile", path: str, type_index: int) -> None:
    """Write all sample types of `profile`, with all lines unless it was recorded without;
    `type_index` does not matter."""
    del type_index
    with translated(path=path):
        with_lines(profile)._core.write_pprof(path)


def write_diff(diff: "Diff", path: str, type_index: int) -> None:
    """Write all sample types of both sides as `go tool pprof -diff_base` has them: those of the
    base are negative and have the label pprof::base=true, so that shares are of the base."""
    del type_index
    base, new = (with_lines(side)._core for side in (diff.base, diff.new))
    n = len(base.sample_types)
    with translated(path=path):
        _core.merge([new, _labelled(base)], [[1.0] * n, [-1.0] * n]).write_pprof(path)


def _labelled(core: _core.Profile) -> _core.Profile:
    """The same rows, without their times, with the label of a base."""
    mappings = zip(core.mappings, core.mapping_details, strict=True)
    threads = zip(core.threads, core.thread_labels, strict=True)
    tables: Any = {
        "sample_types": core.sample_types,
        "default_type": core.sample_types[core.default_type][0],
        "mappings": [(*mapping, *details) for mapping, details in mappings],
        "functions": core.functions_table,
        **core.tables(),
        "threads": [(*t, [*labels, ("pprof::base", "true")]) for t, labels in threads],
        "rows": {
            "thread": core.column("thread"),
            "stack": core.column("stack"),
            "values": [core.column(name) for name in value_columns(core)],
        },
        "run": core.run,
        "span": (core.run["from"], core.run["to"]),
    }
    return _core.build(tables)
