"""cprof's own recording file: all samples with their times, and all that is known of them."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof.profile import Profile


def write(profile: "Profile", path: str, type_index: int) -> None:
    """Write a recording of one kind: all sample types of `profile`; `type_index` does not
    matter."""
    from cprof.recording import Recording
    from cprof.store import kind_of

    del type_index
    Recording({kind_of(profile._core): profile}).write(path)
