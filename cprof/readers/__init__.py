"""Reading profiles from files. What a file holds decides, not its name: a recording of
cprof, one of the text formats in `_FORMATS`, or else pprof.

A text format is a module here with `matches(head) -> bool`, which is shown the first
64 KiB, and `read(data, name) -> _core.Profile`, which raises CorruptProfile naming `name`.
Both get plain bytes where the file is compressed by gzip.
"""

import os
import re
from importlib import import_module

from cprof import _core
from cprof.errors import CorruptProfile, CprofError, translated
from cprof.profile import Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from cprof.recording import Recording

_FORMATS = ("speedscope", "perf_script", "folded")
_HEAD = 64 * 1024
_MOST = 1 << 30  # bytes of text
_SQLITE, _GZIP = b"SQLite format 3\0", b"\x1f\x8b"
_NOT_READ = {
    b"PERFILE2": "perf's own file: `perf script` makes text of it, which cprof reads",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it first",
    b"BZh": "compressed by bzip2: unpack it first",
    b"FLR\0": "a recording of Java's Flight Recorder: its tools convert it",
}
_OLD_PPROF = re.compile(rb"(heap|threadcreate|goroutine) profile:|--- (contention|heap|thread)z")


def load(path: "str | os.PathLike[str]") -> "Profile | Recording":
    """Read a file: a Recording of a .cprof, else a Profile: of pprof (of cprof or any other
    program, compressed or not), and of the text formats that cprof knows.

    Raises CorruptProfile when it is none of them, OSError (FileNotFoundError ...) when it
    cannot be read.
    """
    name = os.fsdecode(path)
    if not os.path.isfile(name):  # a pipe can be read once
        return _decode(_read_all(name), name)
    head = _read_head(name)
    if head.startswith(_SQLITE):
        from cprof.recording import Recording

        return Recording.load(name)
    if _format_of(head, name):
        return _decode(_read_all(name), name)
    with translated(path=name, is_reading=True):
        return _from_pprof(_core.load_pprof(name))


def is_recording(path: str) -> bool:
    """Whether load() gives a Recording; without reading more than the file's head."""
    return os.path.isfile(path) and _read_head(path).startswith(_SQLITE)


def load_profile(
    path: "str | os.PathLike[str]",
    *,
    window: tuple[float, float | None] | None = None,
    kind: str | None = None,
) -> Profile:
    """One profile of a file: of a recording the `kind`, or its main one. With `window`, in
    seconds, its samples there; of a recording no others are read.

    Raises what load() and Profile.window() do, and ValueError for a kind that is not there.
    """
    from cprof.recording import Recording

    loaded = load(path)
    if not isinstance(loaded, Recording) and kind is not None:
        raise ValueError(f"{os.fsdecode(path)} is no recording: it has no kinds ({kind!r})")
    if window is not None:
        try:
            loaded = loaded.window(*window)
        except CprofError as error:
            raise CprofError(f"{os.fsdecode(path)}: {error}") from None
    if not isinstance(loaded, Recording):
        return loaded
    if kind is not None and kind not in loaded:
        raise ValueError(f"no kind {kind!r} in {os.fsdecode(path)}, only {', '.join(loaded)}")
    return loaded.main if kind is None else loaded[kind]


def _decode(data: bytes, name: str) -> Profile:
    if data.startswith(_SQLITE):
        raise CprofError(f"{name}: a recording (.cprof) is read from a file, not from a pipe")
    with translated(path=name, is_reading=True):
        reader = _format_of(data[:_HEAD], name)
        if reader:
            return Profile(reader.read(_plain(data, name), name))
        return _from_pprof(_core.decode_pprof(data, name))


def _from_pprof(core: _core.Profile) -> Profile:
    """Without the frames that the file itself says are of no interest (drop_frames: an
    allocator's own, in heap profiles), as pprof shows it."""
    if not core.run["drop_frames"]:
        return Profile(core)
    from cprof import match

    profile = Profile(core.refine(drop=match.by_drop_frames(core)))
    profile._lined = profile  # with_lines would bring them back
    return profile


def _format_of(head: bytes, name: str) -> "ModuleType | None":
    """The reader of the text that begins like this."""
    if _OLD_PPROF.match(head):
        raise CorruptProfile(
            f"{name}: an old text format of pprof: `go tool pprof -proto` makes a profile of it"
        )
    for start, what in _NOT_READ.items():
        if head.startswith(start):
            raise CorruptProfile(f"{name}: {what}")
    if head.startswith(_GZIP):
        import zlib

        try:
            head = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, _HEAD)
        except zlib.error:
            return None
    modules = (import_module(f"cprof.readers.{name}") for name in _FORMATS)
    return next((module for module in modules if module.matches(head)), None)


def _plain(data: bytes, name: str) -> bytes:
    if not data.startswith(_GZIP):
        return data
    import gzip
    import io
    import zlib

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            plain = file.read(_MOST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptProfile(f"{name}: is damaged: {error}") from error
    if len(plain) > _MOST:
        raise CorruptProfile(f"{name}: inflates to more than {_MOST >> 20} MiB")
    return plain


def _read_head(name: str) -> bytes:
    with open(name, "rb") as file:
        return file.read(_HEAD)


def _read_all(name: str) -> bytes:
    with open(name, "rb") as file:
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise CorruptProfile(f"{name}: is larger than {_MOST >> 20} MiB")
    return data
