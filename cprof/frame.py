"""A profile as a pandas DataFrame: one row a sample, names as categories.

The numbers come straight from the columns; a name is made once for each distinct thread,
function and stack, not once for each sample.
"""

from collections.abc import Callable, Iterable
from functools import cache

from cprof import _core
from cprof.errors import MissingPackage
from cprof.profile import value_columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import pandas


def dataframe(core: _core.Profile, run: "dict[str, Any]") -> "pandas.DataFrame":
    """See `Profile.to_dataframe`."""
    try:
        import numpy as np
        import pandas as pd
    except ImportError as error:
        raise MissingPackage(
            f"to_dataframe() needs pandas ({error})", "pip install pandas"
        ) from error

    def array(name: str) -> "Any":
        return np.asarray(memoryview(core.column(name)))

    def named(numbers: "Any", name_of: Callable[[int], str]) -> "Any":
        distinct, codes = np.unique(numbers, return_inverse=True)
        names = [name_of(int(number)) for number in distinct]
        categories = {name: i for i, name in enumerate(dict.fromkeys(names))}
        new_codes = np.array([categories[name] for name in names], dtype=np.int32)
        return pd.Categorical.from_codes(new_codes[codes], categories=list(categories))

    threads, frames = core.threads, cache(core.stack)
    stacks = array("stack")
    columns = {
        "time": _seconds(array("time"), run),
        "pid": array("pid"),
        "tid": array("tid"),
        "cpu_id": array("cpu_id"),
        "thread": named(array("thread"), lambda i: threads[i][2]),
        "comm": named(array("thread"), lambda i: threads[i][3]),
        "function": named(stacks, lambda i: frames(i)[0][0]),
        "module": named(stacks, lambda i: frames(i)[0][1]),
        "stack": named(stacks, lambda i: folded(frames(i))),
        "how": named(array("how"), _core.how_text),
        "n_added": array("n_added"),
    }
    for name, (plain, _) in zip(value_columns(core), core.sample_types, strict=True):
        columns[name if name not in columns else f"{plain} value"] = array(name)
    return pd.DataFrame(columns)


def folded(stack: Iterable[tuple[str, str]]) -> str:
    """A stack (leaf first) as "root;...;leaf"; a semicolon in a name becomes a colon."""
    return ";".join(name.replace(";", ":") for name, _ in reversed(list(stack)))


def _seconds(times: "Any", run: "dict[str, Any]") -> "Any":
    import numpy as np

    if not run["has_times"]:
        return np.full(len(times), np.nan)
    return (times - np.uint64(run["start_mono"])).astype(np.int64) / 1e9
