"""Recording: every kind of one recording, on one clock."""

import os
from collections.abc import Collection, Iterator, Mapping

from cprof import _core
from cprof.errors import CprofError
from cprof.profile import Profile, check_window, labels_of, start_time_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from cprof.store_read import File, Window


class Recording(Mapping[str, Profile]):
    """The profiles of one recording by kind: "cpu", or the event that was sampled.

    Made by `cprof.load` of a .cprof file, by `Recorder.recording`, or of profiles. Of a file,
    a kind is read when it is first asked for, and of a `window` only the part of the file
    that has it. Immutable; the file may be replaced meanwhile.
    """

    __slots__ = ("__weakref__", "_file", "_kinds", "_profiles", "_window")

    def __init__(self, profiles: Mapping[str, Profile]) -> None:
        if not profiles:
            raise ValueError("a recording has one kind at least")
        for kind, profile in profiles.items():
            if not isinstance(profile, Profile):
                raise TypeError(f"the kind {kind!r} is no Profile but a {type(profile).__name__}")
        self._kinds = tuple(profiles)
        self._profiles = dict(profiles)
        self._file: File | None = None
        self._window: Window | None = None

    @classmethod
    def load(cls, path: str) -> "Recording":
        """The recording in a file. Raises CorruptProfile, OSError."""
        from cprof.store_read import File

        return cls._of_file(File(path), None)

    @classmethod
    def _of_file(cls, file: "File", window: "Window | None") -> "Recording":
        recording = cls.__new__(cls)
        recording._kinds = tuple(file.kinds)
        recording._profiles = {}
        recording._file, recording._window = file, window
        return recording

    # As a mapping

    def __getitem__(self, kind: str) -> Profile:
        if kind not in self._kinds:
            raise KeyError(kind)
        profile = self._profiles.get(kind)
        if profile is None:
            assert self._file is not None
            profile = self._profiles[kind] = Profile(self._file.read(kind, self._window))
        return profile

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    # What it is

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of its profiles."""
        return self._kinds

    @property
    def main(self) -> Profile:
        """The profile that is meant where one is needed: "cpu", else the first kind."""
        return self["cpu" if "cpu" in self._kinds else self._kinds[0]]

    @property
    def span(self) -> tuple[float, float]:
        """The seconds (from, to) since the recording began that it covers."""
        runs = [self._run(kind) for kind in self._kinds]
        begin, end = min(run["from"] for run in runs), max(run["to"] for run in runs)
        if self._window is None:
            return float(begin), float(end)
        first, last = self._window
        return max(first, begin), max(min(end, end if last is None else last), first, begin)

    @property
    def duration(self) -> float:
        """Seconds that it covers."""
        begin, end = self.span
        return end - begin

    @property
    def command(self) -> str:
        """The command line that was recorded, or "pid 123"; "" when unknown."""
        return str(self._run(self._kinds[0])["command"])

    @property
    def host(self) -> str:
        """The machine's name; "" when unknown."""
        return str(self._run(self._kinds[0])["host"])

    @property
    def labels(self) -> dict[str, str]:
        """What the user called this recording (`labels=`)."""
        return labels_of(self._run(self._kinds[0])["comments"])

    @property
    def start_time(self) -> "datetime | None":
        """When its span began (aware, UTC); None when unknown."""
        return start_time_of(self._run(self._kinds[0]) | {"from": self.span[0]})

    # Views

    def window(self, t0: float, t1: float | None = None) -> "Recording":
        """The samples of every kind with t0 <= time < t1, in seconds since the recording began;
        t1 None is the end. Raises as Profile.window() does."""
        check_window(t0, t1)
        if self._file is None:
            return Recording({kind: profile.window(t0, t1) for kind, profile in self.items()})
        for kind in self._kinds:
            if not self._run(kind)["has_times"]:
                raise CprofError(f"the profile {kind!r} has no times, so it has no windows")
        if self._window is not None:
            first, last = self._window
            t0 = max(t0, first)
            t1 = last if t1 is None or (last is not None and last < t1) else t1
            t1 = t1 if t1 is None else max(t0, t1)
        return Recording._of_file(self._file, (t0, t1))

    def write(self, path: "str | os.PathLike[str]") -> None:
        """Write to `path`: all of it to a .cprof. The other formats of Profile.write() hold one
        kind; they take a recording that has no more (ValueError)."""
        name = os.fsdecode(path)
        from cprof import export

        if export.extension(name) == ".cprof":
            from cprof.store_write import write

            write(name, _pruned({kind: profile._core for kind, profile in self.items()}))
            return
        if len(self) > 1:
            raise ValueError(
                f"{name} can hold one kind, but there are {', '.join(self)}: write one of them, "
                f"as in recording[{self._kinds[0]!r}].write(...)"
            )
        self.main.write(name)

    # Looks

    def __str__(self) -> str:
        from cprof.names import printable
        from cprof.report import summary

        heading = [printable(self.command)] if self.command else []
        width = max(map(len, self._kinds))
        rows = [f"{kind:<{width}}  {summary(profile)}" for kind, profile in self.items()]
        return "\n".join([*heading, *rows])

    def __repr__(self) -> str:
        return f"<Recording {self.command!r}: {', '.join(self)} in {self.duration:.2f} s>"

    def _repr_mimebundle_(
        self, include: "Collection[str] | None" = None, exclude: "Collection[str] | None" = None
    ) -> dict[str, str]:
        """What a notebook shows: the page with all kinds, a flame graph of the main one, and
        the kinds as text."""
        from cprof import display, plot

        return display.bundle(
            self,
            self.__str__,
            lambda: plot.render(self.main, self.main._core.default_type, "png"),
            include,
            exclude,
        )

    # Helpers

    def _run(self, kind: str) -> "dict[str, Any]":
        """What is known of a kind as a whole, without reading its samples."""
        if self._file is None or kind in self._profiles:
            return self[kind]._run
        return self._file.run(kind)


def _pruned(cores: Mapping[str, _core.Profile]) -> dict[str, _core.Profile]:
    """The same rows with what they refer to only: of a window that may be little. Kinds that
    share their tables keep them."""
    shared = [core.stacks_id for core in cores.values()]
    return {
        kind: core if shared.count(core.stacks_id) > 1 else _core.merge([core])
        for kind, core in cores.items()
    }
