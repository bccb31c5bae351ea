"""The page: one HTML file that shows the profile, or the two sides of a diff, in any browser."""

from cprof.export.files import replace
from cprof.page import page

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof.diff import Diff
    from cprof.profile import Profile


def write(profile: "Profile", path: str, type_index: int) -> None:
    """Write the page of `profile`, which shows one sample type first and has all."""
    data = page(profile, sample_type=profile.sample_types[type_index][0]).encode()
    replace(path, lambda file: file.write(data))


def write_diff(diff: "Diff", path: str, type_index: int) -> None:
    """Write the page of `diff`, which shows the sample type that was compared."""
    del type_index
    data = page(diff).encode()
    replace(path, lambda file: file.write(data))
