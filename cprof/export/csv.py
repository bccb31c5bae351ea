"""Functions as comma-separated values (RFC 4180), in order of self. Holds one sample type.

Columns: function, module, self, total, unit, file, line. `self` and `total` are in `unit`,
as `Profile.functions` counts them; `file` and `line` say where the function begins, "" and 0
where that is not known. Text is UTF-8, quoted where it has to be; lines end in CR LF. Names
are what they are, also where one begins with = + - @: a program that takes such text for a
formula (a spreadsheet) has to be told that the columns are text.
"""

import csv
import io
from collections.abc import Iterable, Sequence

from cprof.export.files import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof.diff import Diff
    from cprof.profile import Profile

COLUMNS = ("function", "module", "self", "total", "unit", "file", "line")


def write(profile: "Profile", path: str, type_index: int) -> None:
    """Write the functions of `profile` by one sample type."""
    unit = profile.sample_types[type_index][1]
    rows = profile._core.functions(type_index)
    _write(path, COLUMNS, ((*row[:4], unit, *row[4:6]) for row in rows))


def write_diff(diff: "Diff", path: str, type_index: int) -> None:
    """Write the rows of `diff`, with its own columns."""
    del type_index
    columns = ("function", "module", "base", "new", "delta", "low", "high", "p", "q", "state")
    _write(path, columns, (tuple(row.values()) for row in diff.rows))


def _write(path: str, header: Sequence[str], rows: "Iterable[Iterable[object]]") -> None:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(header)
    table.writerows(rows)
    data = text.getvalue().encode("utf-8", "replace")
    replace(path, lambda file: file.write(data))
