"""Folded stacks: one line "root;...;leaf N" for each distinct stack, as flamegraph.pl,
speedscope and inferno read them. Holds one sample type."""

from cprof.errors import translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof.profile import Profile


def write(profile: "Profile", path: str, type_index: int) -> None:
    """Write one sample type of `profile`."""
    with translated(path=path):
        profile._core.write_folded(path, type_index)
