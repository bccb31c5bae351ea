"""Writing a profile to a file, in the format that the file's extension names.

A format is a module here with `EXTENSIONS` and `write(profile, path, type_index)`; it
writes to `path` all or nothing (`cprof.export.files`). A new one gets its line in
`_MODULES`.
"""

import contextlib
import gc
import os
from collections.abc import Iterator
from importlib import import_module

from cprof.export.files import is_special

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof.diff import Diff
    from cprof.profile import Profile

_MODULES = {
    ".pb.gz": "pprof",
    ".pb": "pprof",
    ".pprof": "pprof",
    ".folded": "folded",
    ".collapsed": "folded",
    ".speedscope.json": "speedscope",
    ".firefox.json": "firefox",
    ".chrome.json": "chrome",
    ".callgrind": "callgrind",
    ".dot": "dot",
    ".dot.svg": "dot",
    ".csv": "csv",
    ".arrow": "arrow",
    ".svg": "picture",
    ".png": "picture",
    ".html": "html",
    ".cprof": "cprof_file",
}
EXTENSIONS = tuple(_MODULES)


def extension(path: str) -> str:
    """The extension of `path` that decides its format. Raises ValueError for an unknown
    one, with those that are known."""
    name = os.path.basename(path).lower()
    for known in EXTENSIONS:
        if name.endswith(known):
            return known
    if is_special(path):
        return ".pb.gz"  # a pipe, /dev/null: what is written when nobody says
    raise ValueError(
        f"cannot tell the format of {path!r} by its name; known are {' '.join(EXTENSIONS)}"
    )


def write(profile: "Profile", path: str, type_index: int, *, times: bool = False) -> None:
    """Write `profile` to `path`; formats that hold one sample type take `type_index`. `times`:
    also to pprof, which has them as labels. Raises ValueError for another format."""
    known = extension(path)
    module = import_module(f"cprof.export.{_MODULES[known]}")
    options = {"times": True} if times else {}
    if times and _MODULES[known] != "pprof":
        raise ValueError(f"times= is for .pb.gz files: a {known} file has those that it can have")
    with _uncollected():
        module.write(profile, path, type_index, **options)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's search for cycles: writers make none, but millions of numbers and rows,
    through all of which it would go again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def write_diff(diff: "Diff", path: str, type_index: int) -> None:
    """Write `diff` to `path`. Raises ValueError for a format that cannot hold two sides."""
    known = extension(path)
    module = import_module(f"cprof.export.{_MODULES[known]}")
    if not hasattr(module, "write_diff"):
        raise ValueError(
            f"a {known} file cannot hold a difference; .html .pb.gz .folded .csv .svg .png can"
        )
    with _uncollected():
        module.write_diff(diff, path, type_index)
