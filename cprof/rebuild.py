"""A profile once more, from its tables, with some of them replaced."""

from cprof import _core
from cprof.profile import value_columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def rebuilt(core: _core.Profile, **changed: "Any") -> _core.Profile:
    """The same profile with some of its tables (as `_core.build` takes them) replaced; without
    what `quality` says of how stacks were found."""
    mappings = zip(core.mappings, core.mapping_details, strict=True)
    threads = zip(core.threads, core.thread_labels, strict=True)
    rows: dict[str, Any] = {name: core.column(name) for name in ("thread", "stack", "cpu_id")}
    rows["values"] = [core.column(name) for name in value_columns(core)]
    if core.run["has_times"]:
        rows["time"] = core.column("time")
    tables: Any = {
        "sample_types": core.sample_types,
        "default_type": core.sample_types[core.default_type][0],
        "mappings": [(*mapping, *details) for mapping, details in mappings],
        "functions": core.functions_table,
        **core.tables(),
        "threads": [(*thread, labels) for thread, labels in threads],
        "rows": rows,
        "run": core.run,
        "comments": core.run["comments"],
        "marks": core.marks,
        "span": (core.run["from"], core.run["to"]),
    }
    rows.update(changed.pop("rows", {}))
    tables.update(changed)
    return _core.build(tables)
