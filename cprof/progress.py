"""The progress line of a recording: on a terminal only, and gone when it ends."""

import os
import sys
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Report = Callable[[dict[str, Any] | None], object]

_CLEAR = "\r\x1b[K"
_PATIENCE = 1.0  # a child writes to the same terminal: a short one is left alone


def reporter(
    progress: "bool | Callable[[dict[str, Any]], object] | None", *, is_child: bool
) -> "Report | None":
    """What is called with the stats a few times a second, and with None at the end; None
    when nothing is to be shown."""
    if callable(progress):
        function = progress
        return lambda stats: stats is not None and function(stats)
    if progress is None:
        progress = bool(sys.stderr and sys.stderr.isatty())
    return _Line(_PATIENCE if is_child else 0.0).show if progress else None


class _Line:
    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._is_shown = False
        self._before = (0.0, 0)
        self._rate = 0.0

    def show(self, stats: "dict[str, Any] | None") -> None:
        if stats is None:
            if self._is_shown:
                self._put(_CLEAR)
            return
        if stats["elapsed"] < self._patience:
            return
        self._put(f"{_CLEAR}{self.text(stats)}\r")
        self._is_shown = True

    def text(self, stats: "dict[str, Any]") -> str:
        """ "12.3 s  4,567 samples  396/s  lost 0", in one line of the terminal."""
        seconds, samples = stats["elapsed"], stats["samples"]
        t0, n0 = self._before
        if seconds - t0 >= 1.0:
            self._rate = (samples - n0) / (seconds - t0)
            self._before = seconds, samples
        elif not t0:
            self._rate = samples / seconds if seconds else 0.0
        rate = f"{self._rate:,.0f}/s"
        line = f"cprof: {seconds:.1f} s  {samples:,d} samples  {rate}  lost {stats['lost']:,d}"
        return line[: _columns() - 1]

    @staticmethod
    def _put(text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            return


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
