"""Folded stacks: one line "root;...;leaf N" for each distinct stack, as flamegraph.pl,
speedscope and inferno read them. Holds one sample type. A diff has two columns, "stack BASE NEW",
as difffolded.pl writes them."""

import re

from cprof.errors import translated
from cprof.export.files import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof.diff import Diff
    from cprof.profile import Profile

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def write(profile: "Profile", path: str, type_index: int) -> None:
    """Write one sample type of `profile`."""
    with translated(path=path):
        profile._core.write_folded(path, type_index)


def write_diff(diff: "Diff", path: str, type_index: int) -> None:
    """Write the stacks of both sides with what each cost there."""
    del type_index
    own = [[base, new] for *_, base, new in diff.nodes]
    stacks: list[str] = []
    for i, (parent, function, _, base, new) in enumerate(diff.nodes):
        name = _CONTROL.sub(" ", function.replace(";", ":")) or "[unknown]"
        above = stacks[parent] if i else ""
        stacks.append(f"{above};{name}" if above else name if i else "")
        if i:
            own[parent][0] -= base
            own[parent][1] -= new
    sums: dict[str, list[float]] = {}  # modules are not told apart in this format
    for stack, pair in zip(stacks[1:], own[1:], strict=True):
        sums[stack] = [a + b for a, b in zip(sums.get(stack, (0, 0)), pair, strict=True)]
    lines = (f"{stack} {base} {new}\n" for stack, (base, new) in sums.items() if base or new)
    data = "".join(lines).encode("utf-8", "replace")
    replace(path, lambda file: file.write(data))
