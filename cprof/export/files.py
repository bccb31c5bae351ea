"""Files that appear whole or not at all."""

import errno
import os
import stat
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


def is_special(path: str) -> bool:
    """Whether something stands at `path` that must be written to, never replaced: a device,
    a pipe. /dev/null would otherwise become a file."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def check_writable(path: str) -> None:
    """Raise the OSError that writing `path` later would meet, as far as one can tell."""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
    if not os.access(path if is_special(path) else folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def replace(path: str, fill: "Callable[[BinaryIO], object]") -> None:
    """Let `fill` write a new file beside `path`, and give it that name once it is complete.
    On failure the new file is removed and what stood at `path` is untouched."""
    if is_special(path):
        with open(path, "wb") as file:
            fill(file)
        return
    final = os.path.realpath(path)
    temporary = f"{final}.{os.getpid()}.tmp"
    try:
        with open(temporary, "xb") as file:
            fill(file)
            file.flush()
        os.replace(temporary, final)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
