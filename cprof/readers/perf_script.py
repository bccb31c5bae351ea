"""The text of `perf script`, whatever fields it was told to print.

A sample is a line "comm pid/tid [cpu] time: period event:" and its frames, "address
function+offset (file)", the leaf first; without call chain the one frame stands on the same
line. Inlined functions ("(inlined)") have the address of the function they are in. Source lines
(-F +srcline) follow their frame. Times become times; without pid, which is perf's default,
processes are not known.

Sample types: "samples" of all events, and for each event the sum of its periods (of its samples,
if perf printed no periods): "cpu" in nanoseconds for cpu-clock and task-clock, else the event.
The first event is the default.
"""

import re
from array import array
from itertools import groupby
from operator import attrgetter

from cprof import _core
from cprof.errors import CorruptProfile
from cprof.readers.tables import BOM, NONE, Builder, Place

_TASK = r"\s*(?P<comm>\S.*?|:-?\d+)\s+(?:(?P<pid>-?\d+)/\s*)?(?P<tid>-?\d+)(?:\s+\[(?P<cpu>\d+)\])?"
_TIMED = re.compile(
    _TASK
    + r"(?:\s+(?=\d*[^\d\s])[.a-zA-Z0-9]{4,6})?\s+(?P<time>\d+\.\d{3,9}):(?:\s+(?P<rest>.*))?$"
)
_UNTIMED = re.compile(_TASK + r"(?:\s+(?P<rest>(?:\d+\s+)?\S+:(?:\s.*)?))?\s*$")
_EVENT = re.compile(r"(?:(?P<period>\d+)\s+)?(?P<event>\S+?):(?:\s+(?P<frame>.*))?$")
_FRAME = re.compile(r"\s*(?P<address>[0-9a-f]+)(?:\s+(?P<rest>.*\S))?\s*$")
_FILE = re.compile(r"(?P<function>.*?)\s*\((?P<file>[^()]*(?:\([^()]*\)[^()]*)*)\)$")
_OFFSET = re.compile(r"\+0x[0-9a-f]+$")
_SOURCE = re.compile(r"\s+(?P<file>\S.*):(?P<line>\d+)(?: \(discriminator \d+\))?$")
_BRANCHES = re.compile(r"\s*(?:0x[0-9a-f]+(?:/\S*)?\s*)+$|.*/[MPN-]/[X-]/[A-]/\d+\S*\s*$")
_LOST = re.compile(r"PERF_RECORD_LOST(?:_SAMPLES)?\D*(?P<n>\d+)")
_CLOCKS = ("cpu-clock", "task-clock")
_INLINED = "inlined"
_UNKNOWN, _NO_STACK, _LOST_NAME = "[unknown]", "[no stack]", "[lost]"


def matches(head: bytes) -> bool:
    """Whether a file that begins so is one: it has a sample's line, or nothing, after what may be
    perf's header."""
    lines = head.removeprefix(BOM).decode("utf-8", "replace").splitlines()
    for line, after in zip(lines, [*lines[1:], ""], strict=False):
        if line.strip() and not line.startswith("#"):
            untimed = _UNTIMED.match(line)
            if untimed and not untimed["rest"]:  # or a folded stack; perf indents frames
                return after[:1].isspace()
            return bool(untimed or _TIMED.match(line))
    return any(line.startswith("# ") for line in lines)


def read(data: bytes, name: str) -> _core.Profile:
    """Raises CorruptProfile, which names the line."""
    script = _Script(name)
    for number, line in enumerate(data.removeprefix(BOM).decode("utf-8", "replace").split("\n"), 1):
        script.take(number, line.rstrip("\r"))
    script.end_sample()
    return script.build()


class _Sample:
    """What a sample's first line says; event "" and period 0 are not said. `frames` are the
    lines of its call chain, the leaf first, each with its source line ("" where not said)."""

    __slots__ = (
        "cpu", "event", "frames", "has_chain", "n", "period", "stack", "task", "time",
    )  # fmt: skip

    def __init__(self, found: "re.Match[str]", event: str, period: int, n: int = 1) -> None:
        said = found.groupdict()
        self.task = int(said["pid"] or -1), int(said["tid"]), said["comm"]
        self.cpu = int(said["cpu"] or -1)
        self.time = _nanoseconds(said.get("time"))
        self.event, self.period, self.n = event, period, n
        self.frames: list[tuple[str, str]] = []
        self.has_chain = False
        self.stack = NONE

    def add(self, frame: str) -> None:
        """A line of the call chain; without one the frame is on the first line, where with one
        there may be the address of data (-F addr)."""
        if not self.has_chain:
            self.frames.clear()
        self.has_chain = True
        self.frames.append((frame, ""))


def _nanoseconds(text: str | None) -> int | None:
    if text is None:
        return None
    seconds, _, fraction = text.partition(".")
    return int(seconds) * 10**9 + int(fraction.ljust(9, "0"))


class _Script:
    """Takes line after line."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._builder = Builder(name)
        self._sample: _Sample | None = None
        self._samples: list[_Sample] = []
        self._frames: dict[tuple[str, str], _Frame] = {}
        self._stacks: dict[tuple[tuple[str, str], ...], int] = {}

    def take(self, number: int, line: str) -> None:
        if not line or line.isspace():
            self.end_sample()
        elif line.startswith("#"):
            self._header(line)
        elif self._sample is None or not self._continue(self._sample, line):
            self.end_sample()
            if not self._begin(line):
                raise CorruptProfile(
                    f"{self._name}: line {number}: no sample of perf script: {line[:60]!r}"
                )

    def _header(self, line: str) -> None:
        """Facts of `perf script --header`."""
        key, _, value = line[1:].partition(":")
        if key.strip() == "cmdline":
            self._builder.run["command"] = value.strip()
        elif key.strip() == "hostname":
            self._builder.run["host"] = value.strip()

    def _begin(self, line: str) -> bool:
        found = _TIMED.match(line) or _UNTIMED.match(line)
        if found is None:
            return False
        rest = found["rest"] or ""
        if rest.startswith("PERF_RECORD_"):  # what --show-mmap-events and its kin add
            lost = _LOST.match(rest)
            if lost and self._samples:
                last = self._samples[-1]
                self._sample = _Sample(found, last.event, last.period, int(lost["n"]))
                self._sample.frames.append((f"0 {_LOST_NAME}", ""))
            return True
        event = _EVENT.match(rest)
        if event is None:
            self._sample = _Sample(found, "", 0)
            rest_frame = rest
        else:
            self._sample = _Sample(found, event["event"], int(event["period"] or 0))
            rest_frame = event["frame"] or ""
        if _FRAME.match(rest_frame):
            self._sample.frames.append((rest_frame.strip(), ""))
        return True

    def _continue(self, sample: _Sample, line: str) -> bool:
        """Whether `line` is one of the sample's further lines."""
        if not line[0].isspace():
            return False
        if (line, "") in self._frames or (line[0] == "\t" and _FRAME.match(line)):
            sample.add(line)
            return True
        if _TIMED.match(line):
            return False
        if sample.frames and not sample.frames[-1][1] and re.match("  [^ ]", line):
            sample.frames[-1] = sample.frames[-1][0], line
            return True
        if _FRAME.match(line):
            sample.add(line)
            return True
        return _BRANCHES.match(line) is not None

    def end_sample(self) -> None:
        sample, self._sample = self._sample, None
        if sample is None:
            return
        key = tuple(sample.frames)
        if key not in self._stacks:
            self._stacks[key] = self._stack(key)
        sample.stack, sample.frames = self._stacks[key], []
        self._samples.append(sample)

    def _stack(self, lines: tuple[tuple[str, str], ...]) -> int:
        """The node of a call chain. Frames of one address are one location where any of them
        is inlined."""
        builder, node = self._builder, NONE
        if not lines:
            return builder.node(node, builder.location([(builder.function(_NO_STACK), 0)]))
        frames = [self._frame(*line) for line in reversed(lines)]
        for address, alike in groupby(frames, key=attrgetter("address")):
            group = list(alike)
            are_inlined = any(frame.is_inlined for frame in group)
            for part in [group] if are_inlined else [[frame] for frame in group]:
                file = next((frame.file for frame in part if frame.file), "")
                module = file.rpartition("/")[2]
                places = [self._place(f, module) for f in reversed(part) if f.name != _UNKNOWN]
                node = builder.node(node, builder.location(places, address, file))
        return node

    def _place(self, frame: "_Frame", module: str) -> Place:
        name = _core.demangle(frame.name) or frame.name
        source = frame.source
        return self._builder.function(name, frame.name, source, module), frame.line

    def _frame(self, line: str, source: str) -> "_Frame":
        frame = self._frames.get((line, source))
        if frame is None:
            frame = self._frames[line, source] = _Frame(line, source)
        return frame

    def build(self) -> _core.Profile:
        builder, samples = self._builder, self._samples
        events = list(dict.fromkeys(sample.event for sample in samples))
        with_period = {sample.event for sample in samples if sample.period}
        count = builder.sample_type("samples", "count")
        types = {event: builder.sample_type(*_type_of(event)) for event in events
                 if event in with_period or len(events) > 1}  # fmt: skip
        builder.run["event"] = ", ".join(filter(None, events))
        builder.run["default_type"] = builder.sample_types[min(1, len(types))][0]
        comms = {pid: name for pid, tid, name in (s.task for s in samples) if pid == tid}
        if all(sample.time is not None for sample in samples):
            builder.times = array("Q", (sample.time or 0 for sample in samples))
        for sample in samples:
            pid, tid, name = sample.task
            thread = builder.thread(pid, tid, name, comms.get(pid, "") if pid >= 0 else "")
            values = [(count, sample.n)]
            if sample.event in types:
                values.append((types[sample.event], sample.n * (sample.period or 1)))
            builder.row(thread, sample.stack, values, sample.cpu)
        return builder.build()


class _Frame:
    """One line of a call chain."""

    __slots__ = ("address", "file", "is_inlined", "line", "name", "source")

    def __init__(self, text: str, source: str) -> None:
        found = _FRAME.match(text)
        assert found is not None
        rest, file = found["rest"] or "", ""
        if in_file := _FILE.match(rest):
            rest, file = in_file["function"], in_file["file"]
        self.address = int(found["address"], 16) & (2**64 - 1)
        self.name = _OFFSET.sub("", rest) or _UNKNOWN
        self.is_inlined = file == _INLINED
        self.file = "" if file in (_INLINED, _UNKNOWN) else file
        at = _SOURCE.match(source)
        self.source, self.line = (at["file"], int(at["line"])) if at else ("", 0)


def _type_of(event: str) -> tuple[str, str]:
    """The sample type of an event's periods."""
    is_time = event.partition(":")[0] in _CLOCKS
    return ("cpu", "nanoseconds") if is_time else (event or "period", "count")
