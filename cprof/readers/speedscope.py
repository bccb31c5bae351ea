"""speedscope's own format (file-format-schema.json), of cprof and of other programs.

Each profile of the file is a thread here. A profile's unit makes its sample type: "samples" in
count for none, "time" in nanoseconds, "space" in bytes. A sampled profile tells no times: its
samples may be sums. An evented one in a unit of time does, and what lies between two events
is a sample.
"""

import json
from array import array
from collections.abc import Iterator

from cprof import _core
from cprof.errors import CorruptProfile
from cprof.readers.tables import NONE, Builder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NS = {"nanoseconds": 1, "microseconds": 1e3, "milliseconds": 1e6, "seconds": 1e9}
_TYPES = {"none": ("samples", "count"), "bytes": ("space", "bytes")}
_MOST = 2**63

Span = tuple[int, float, float]  # stack, value, begin


def matches(head: bytes) -> bool:
    """Whether a file that begins so may be one: it is JSON, an object."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def read(data: bytes, name: str) -> _core.Profile:
    """Raises CorruptProfile, which names the line, or the place in the structure."""
    try:
        return _File(name, _parse(data, name)).build()
    except (KeyError, TypeError, AttributeError) as error:
        raise CorruptProfile(f"{name}: not as speedscope's format has it: {error!r}") from None


def _parse(data: bytes, name: str) -> "dict[str, Any]":
    try:
        file = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise CorruptProfile(f"{name}: line {error.lineno}: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise CorruptProfile(f"{name}: no JSON: {error}"[:200]) from None
    if not isinstance(file, dict) or not isinstance(file.get("shared"), dict):
        raise CorruptProfile(
            f"{name}: JSON, but not speedscope's",
            "cprof reads pprof, folded text, perf script and speedscope files",
        )
    return file


def _type_of(unit: str) -> tuple[str, str]:
    return _TYPES.get(unit, ("time", "nanoseconds"))


class _File:
    """Reads one file; `where` is the place that an error names."""

    def __init__(self, name: str, file: "dict[str, Any]") -> None:
        self._name, self._file = name, file
        self._builder = Builder(name)
        self._frames = [self._frame(i, f) for i, f in enumerate(file["shared"]["frames"])]
        self._stacks: dict[tuple[int, ...], int] = {}
        self._n_fractions = 0

    def build(self) -> _core.Profile:
        builder, profiles = self._builder, self._file["profiles"]
        is_timed = all(p.get("type") == "evented" and p.get("unit") in _NS for p in profiles)
        if is_timed:
            builder.times = array("Q")
        start = (
            min((p["startValue"] * _NS[p["unit"]] for p in profiles), default=0) if is_timed else 0
        )
        types = [_type_of(profile.get("unit", "none")) for profile in profiles]
        for name, unit in sorted(types, key=lambda kind: kind[1] != "count"):
            builder.sample_type(name, unit)
        builder.run["default_type"] = types[0][0] if types else ""
        for i, profile in enumerate(profiles):
            self._profile(f"profiles[{i}]", i, profile, start)
        builder.run["command"] = str(self._file.get("name") or "")
        if self._n_fractions:
            builder.comments.append(f"rounded to whole numbers: {self._n_fractions} values")
        return builder.build()

    def _profile(self, where: str, number: int, profile: "dict[str, Any]", start: float) -> None:
        builder, unit = self._builder, profile.get("unit", "none")
        if unit not in _NS and unit not in _TYPES:
            raise self._error(where, f"the unit {unit!r} is unknown")
        sample_type = builder.sample_type(*_type_of(unit))
        scale = _NS.get(unit, 1)
        thread = builder.thread(-1, -1, str(profile.get("name") or ""), key=number)
        kinds = {"sampled": self._sampled, "evented": self._evented}
        if profile.get("type") not in kinds:
            raise self._error(where, f"the type {profile.get('type')!r} is unknown")
        for stack, value, begin in kinds[profile["type"]](where, profile):
            if not abs(value * scale) < _MOST:  # nor is NaN
                raise self._error(where, f"a value of {value}")
            whole = round(value * scale)
            self._n_fractions += whole != value * scale
            builder.row(thread, stack, [(sample_type, whole)])
            if builder.times is not None:
                builder.times.append(round(begin * scale - start))
                builder.end = max(builder.end, round((begin + value) * scale - start))

    def _sampled(self, where: str, profile: "dict[str, Any]") -> Iterator[Span]:
        samples, weights = profile["samples"], profile["weights"]
        if len(samples) != len(weights):
            raise self._error(where, f"{len(samples)} samples, but {len(weights)} weights")
        for i, (sample, weight) in enumerate(zip(samples, weights, strict=True)):
            yield self._stack(f"{where}.samples[{i}]", tuple(sample)), weight, 0

    def _evented(self, where: str, profile: "dict[str, Any]") -> Iterator[Span]:
        """What was open from one event to the next."""
        stack: list[int] = []
        last = profile["startValue"]
        for i, event in enumerate(profile["events"]):
            place, at, frame = f"{where}.events[{i}]", event["at"], event["frame"]
            if at < last:
                raise self._error(place, f"at {at} comes after {last}")
            if stack and at > last:
                yield self._stack(place, tuple(stack)), at - last, last
            last = at
            if event["type"] == "O":
                stack.append(frame)
            elif event["type"] != "C" or not stack or stack.pop() != frame:
                raise self._error(place, f"it does not close frame {frame}, the last one opened")
        if stack:
            raise self._error(where, f"{len(stack)} frames are never closed")

    def _stack(self, where: str, frames: tuple[int, ...]) -> int:
        if frames not in self._stacks:
            node = NONE
            for frame in frames:
                if not isinstance(frame, int) or not 0 <= frame < len(self._frames):
                    raise self._error(where, f"there is no frame {frame!r}")
                node = self._builder.node(node, self._frames[frame])
            if not frames:
                place = self._builder.function("[no stack]"), 0
                node = self._builder.node(NONE, self._builder.location([place]))
            self._stacks[frames] = node
        return self._stacks[frames]

    def _frame(self, number: int, frame: "dict[str, Any]") -> int:
        name, line = frame["name"], frame.get("line") or 0
        if not isinstance(name, str) or not isinstance(line, int):
            raise self._error(f"shared.frames[{number}]", "name is no text or line no number")
        function = self._builder.function(name, file=str(frame.get("file") or ""))
        return self._builder.location([(function, line)])

    def _error(self, where: str, what: str) -> CorruptProfile:
        return CorruptProfile(f"{self._name}: {where}: {what}")
