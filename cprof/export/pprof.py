"""pprof's profile.proto, compressed: what `go tool pprof` and every pprof client reads."""

from cprof.errors import translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof.profile import Profile


def write(profile: "Profile", path: str, type_index: int) -> None:
    """Write all sample types of `profile`, with all lines unless it was recorded without;
    `type_index` does not matter."""
    del type_index
    if profile._core.wants_lines:
        profile = profile.with_lines()
    with translated(path=path):
        profile._core.write_pprof(path)
