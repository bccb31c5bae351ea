"""What can go wrong, as exceptions; each one is also the built-in it is closest to.

Every message is one line. `remedy` is what the user can do about it, or "". The C core
raises one exception, `_core.CoreError`; `translated` is the one place that turns it into
these.
"""

import errno
import os

from cprof import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_EVENT_MODULES = ("event", "counter")
_GONE = (errno.ESRCH, errno.ECHILD)
_NOT_REFUSED = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOENT, errno.ESRCH)
_TOO_LARGE = (errno.E2BIG, errno.EFBIG, errno.EOVERFLOW)


class CprofError(Exception):
    """The base of all that cprof raises on purpose."""

    def __init__(self, message: str, remedy: str = "") -> None:
        Exception.__init__(self, message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class PermissionDenied(CprofError, PermissionError):
    """The kernel refused. `knob` is the setting that did, `value` what it is now, and
    `remedy` what would allow it."""

    def __init__(self, knob: str, value: str, remedy: str, message: str = "") -> None:
        text = message or f"not permitted: {knob} is {value}"
        if knob and knob not in text:
            text = f"{text} ({knob} is {value})" if value else f"{text} ({knob})"
        PermissionError.__init__(self, errno.EACCES, text)
        self.message, self.remedy = text, remedy
        self.knob, self.value = knob, value


class TargetGone(CprofError, ProcessLookupError):
    """The process to record has ended, never was, or is one that has nothing to record (a
    zombie, a kernel thread)."""

    def __init__(self, message: str, remedy: str = "") -> None:
        ProcessLookupError.__init__(self, errno.ESRCH, message)
        self.message, self.remedy = message, remedy


class CommandNotFound(CprofError, FileNotFoundError):
    """The command to record does not exist."""

    def __init__(self, message: str, remedy: str = "") -> None:
        FileNotFoundError.__init__(self, errno.ENOENT, message)
        self.message, self.remedy = message, remedy


class CommandNotExecutable(CprofError, PermissionError):
    """The command to record exists, but is no program that can be run."""

    def __init__(self, message: str, remedy: str = "") -> None:
        PermissionError.__init__(self, errno.EACCES, message)
        self.message, self.remedy = message, remedy


class NoSamples(CprofError, RuntimeError):
    """The recording holds no sample; `reason` says why, as far as that is known."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(f"no samples: {reason}", remedy)
        self.reason = reason


class UnsupportedEvent(CprofError, ValueError):
    """This kernel or machine does not have the event, or nobody does."""


class InvalidOption(CprofError, ValueError):
    """An option's value cannot work (a frequency above the limit, an odd stack size)."""


class NoSymbols(CprofError):
    """Nothing in the profile has a name."""


class CorruptProfile(CprofError, ValueError):
    """The bytes are not a profile."""


class MissingPackage(CprofError, ImportError):
    """An optional Python package is needed for this."""


class WrongState(CprofError, RuntimeError):
    """The recorder cannot do this now (not started yet, already stopped)."""


class RecordingInterrupted(UserWarning):
    """Ctrl-C ended a recording early; the profile holds what there was until then."""


def _rebuild(
    kind: type[CprofError], args: tuple[object, ...], state: dict[str, object]
) -> CprofError:
    error = kind.__new__(kind)
    if isinstance(error, OSError):
        OSError.__init__(error, *args)
    else:
        error.args = args
    error.__dict__.update(state)
    return error


def from_core(
    error: _core.CoreError,
    *,
    path: str | None = None,
    is_reading: bool = False,
    command: str | None = None,
) -> Exception:
    """The public exception for what the core reports. `path` names the file that was being
    written (or read), `command` the program that was being started: they decide what ENOENT
    and its kin are about."""
    code, message, knob, value, remedy = error.args
    if code == errno.ENOMEM:
        return MemoryError(message)
    if code == errno.EBADMSG or (is_reading and code in _TOO_LARGE):
        return CorruptProfile(message, remedy)
    if path is not None:
        return OSError(code, os.strerror(code), path)
    if knob and code not in _NOT_REFUSED:
        return PermissionDenied(knob, value, remedy, message)
    return _from_session(code, message, remedy, command)


def _from_session(code: int, message: str, remedy: str, command: str | None) -> Exception:
    is_event = message.startswith(_EVENT_MODULES)
    if code == errno.EOPNOTSUPP or (code == errno.ENOENT and is_event):
        return UnsupportedEvent(message, remedy)
    if code in _GONE or (code == errno.EINVAL and "kernel thread" in message):
        return TargetGone(message, remedy)
    if code == errno.EINVAL:
        return InvalidOption(message, remedy)
    if code == errno.ENODATA:
        return CprofError(message, remedy)
    if command is not None and code in (errno.ENOENT, errno.ENOTDIR):
        return CommandNotFound(message, remedy)
    if command is not None and code in (errno.EACCES, errno.EPERM, errno.ENOEXEC):
        return CommandNotExecutable(message, remedy)
    if code in (errno.EPERM, errno.EACCES):
        return PermissionDenied("", "", remedy, message)
    return OSError(code, message)


class translated:  # noqa: N801 - a with-statement that reads as a word
    """`with translated(): ...` turns a CoreError of the block into a public exception."""

    def __init__(
        self, *, path: str | None = None, is_reading: bool = False, command: str | None = None
    ) -> None:
        self._path, self._is_reading, self._command = path, is_reading, command

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        if isinstance(error, _core.CoreError):
            raise from_core(
                error, path=self._path, is_reading=self._is_reading, command=self._command
            ) from None
