"""Firefox Profiler's processed format, https://github.com/firefox-devtools/profiler: version
48, which is pinned, and which later front ends upgrade when they load it.

One thread table for each thread and sample type, the wanted type first. Where the profile has
times, samples are in order of time, and the type "samples" has no table, as it counts what the
others show; else each stack is there once, one after the other. Categories tell user code, the
kernel and cprof's own frames ("[lost]", "[truncated]") apart. Markers: the recording as a whole,
and what was lost.
"""

import json

from cprof.export.files import replace
from cprof.export.trie import NONE, Frame, Tracks, Trie, refuse_negative, time_order
from cprof.names import is_kernel
from cprof.profile import value_columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cprof.profile import Profile
    from cprof.rows import Thread

    Json = dict[str, Any]

VERSION = 48
_GECKO_VERSION = 29
_CATEGORIES = (("Other", "grey"), ("User", "yellow"), ("Kernel", "orange"))
_OTHER, _USER, _KERNEL = range(3)
_MS = {"nanoseconds": 1e-6, "microseconds": 1e-3, "milliseconds": 1.0, "seconds": 1e3}
_LIBRARY = 1  # a type of resource
_INSTANT, _INTERVAL = 0, 1  # phases of a marker
_LOST = "[lost]"

Sample = tuple[int, float, int]  # stack, ms, value


def write(profile: "Profile", path: str, type_index: int) -> None:
    """Write all sample types of `profile`, `type_index` first."""
    refuse_negative(profile, "Firefox Profiler's format")
    trie = Trie(profile, by_line=True)
    tracks = Tracks(profile._core)
    libraries = _Libraries(trie.profile)
    is_timed = bool(profile._run["has_times"])
    types = [
        i for i, (name, _) in enumerate(profile.sample_types)
        if i != type_index and not (is_timed and name == "samples")
    ]  # fmt: skip
    threads: list[Json] = []
    for i in (type_index, *types):
        by_track = (_timed if is_timed else _summed)(trie, tracks, i)
        suffix = profile.sample_types[i][0] if types else ""
        for thread, samples in zip(tracks.threads, by_track, strict=True):
            if samples:
                tables = _Tables(trie, libraries)
                threads.append(_thread(profile, tables, thread, suffix, samples, i))
    if not threads:
        nobody = _Tables(trie, libraries)
        threads = [_thread(profile, nobody, _nobody(), "no samples", [], type_index)]
    largest = max(range(len(threads)), key=lambda i: threads[i]["samples"]["length"])
    data = {
        "meta": _meta(profile) | {"initialSelectedThreads": [largest]},
        "libs": libraries.table,
        "pages": [],
        "counters": [],
        "profilerOverhead": [],
        "threads": threads,
    }
    text = json.dumps(data, separators=(",", ":"))
    replace(path, lambda file: file.write(text.encode()))


def _nobody() -> "Thread":
    from cprof.rows import Thread

    return Thread(-1, -1, "", "")


def _meta(profile: "Profile") -> "Json":
    run = profile._run
    return {
        "version": _GECKO_VERSION,
        "preprocessedProfileVersion": VERSION,
        "product": profile.command or "profile",
        "importedFrom": "cprof",
        "interval": 1e3 / run["rate_asked"] if run["rate_asked"] else 1.0,
        "startTime": run["start_unix"] / 1e6,
        "processType": 0,
        "stackwalk": 1,
        "debug": False,
        "extensions": {"id": [], "name": [], "baseURL": [], "length": 0},
        "categories": [
            {"name": name, "color": color, "subcategories": ["Other"]}
            for name, color in _CATEGORIES
        ],
        "markerSchema": [
            {
                "name": "Text",
                "display": ["marker-chart", "marker-table", "timeline-overview"],
                "tableLabel": "{marker.name}: {marker.data.name}",
                "data": [{"key": "name", "label": "Details", "format": "string"}],
            }
        ],
        "sampleUnits": {"time": "ms", "eventDelay": "ms", "threadCPUDelta": "µs"},
        "symbolicated": True,
        "usesOnlyOneStackType": True,
        "doesNotUseFrameImplementation": True,
        "sourceCodeIsNotOnSearchfox": True,
    }


def _timed(trie: Trie, tracks: Tracks, type_index: int) -> list[list[Sample]]:
    """The samples of each track in order of time, ms since the recording began."""
    core, start = trie.profile._core, trie.profile._run["start_mono"]
    threads, times = memoryview(core.column("thread")), memoryview(core.column("time"))
    values = memoryview(core.column(value_columns(core)[type_index]))
    by_track: list[list[Sample]] = [[] for _ in tracks.threads]
    for row in time_order(trie.profile):
        sample = trie.node[row], (times[row] - start) / 1e6, values[row]
        by_track[tracks.of[threads[row]]].append(sample)
    return by_track


def _summed(trie: Trie, tracks: Tracks, type_index: int) -> list[list[Sample]]:
    """The stacks of each track, one after the other: as long as they took where that is what
    the sample type says, else 1 ms each."""
    core, unit = trie.profile._core, trie.profile.sample_types[type_index][1]
    (threads, stacks), values, _ = core.group([core.column("thread"), trie.node])
    by_track: list[list[Sample]] = [[] for _ in tracks.threads]
    columns = (memoryview(c) for c in (threads, stacks, values[type_index]))
    for thread, stack, value in zip(*columns, strict=True):
        if value:
            samples = by_track[tracks.of[thread]]
            at = samples[-1][1] + (samples[-1][2] * _MS.get(unit, 0) or 1.0) if samples else 0.0
            samples.append((stack, at, value))
    return by_track


def _thread(
    profile: "Profile",
    tables: "_Tables",
    thread: "Thread",
    suffix: str,
    samples: list[Sample],
    type_index: int,
) -> "Json":
    """One entry of "threads": `samples`, and the tables of what they refer to."""
    unit = profile.sample_types[type_index][1]
    name = " ".join(filter(None, (thread.name or thread.comm or "all threads", suffix)))
    stacks = [tables.stack(stack) for stack, _, _ in samples]
    columns: Json = {"stack": stacks, "time": [time for _, time, _ in samples]}
    if unit in _MS:
        weights: list[Any] = [value * _MS[unit] for _, _, value in samples]
        columns |= {"weight": weights, "weightType": "tracing-ms"}
        if profile._run["has_times"]:
            columns["threadCPUDelta"] = [weight * 1e3 for weight in weights]
    else:
        weights = [value for _, _, value in samples]
        columns |= {"weight": weights, "weightType": "bytes" if unit == "bytes" else "samples"}
    return {
        "name": name,
        "isMainThread": thread.pid == thread.tid,
        "processType": "default",
        "processName": thread.comm or profile.command or "profile",
        "processStartupTime": 0,
        "processShutdownTime": None,
        "registerTime": 0,
        "unregisterTime": None,
        "pausedRanges": [],
        "pid": str(max(thread.pid, 0)),
        "tid": max(thread.tid, 0),
        "showMarkersInTimeline": True,
        "samples": columns | {"length": len(samples)},
        "markers": _markers(profile, tables, samples),
    } | tables.as_json()


def _markers(profile: "Profile", tables: "_Tables", samples: list[Sample]) -> "Json":
    """What this thread lost, and when; and the recording it is part of."""
    from cprof.report import summary

    begin, end = (seconds * 1e3 for seconds in profile.span)
    table = _table("name", "startTime", "endTime", "phase", "category", "data")

    def add(name: str, start: float, end: float | None, phase: int, text: str) -> None:
        data = {"type": "Text", "name": text}
        _add(table, tables.string(name), start, end, phase, _OTHER, data)

    add("recording", begin, end, _INTERVAL, f"{profile.command}: {summary(profile)}")
    if profile.lost and profile._run["has_times"]:
        for stack, time, value in samples:
            if tables.frame_name(stack) == _LOST:
                add("lost", time, None, _INSTANT, f"{value:,d} could not be delivered")
    return table


class _Libraries:
    """The files that code is in, by number of the profile's mapping."""

    def __init__(self, profile: "Profile") -> None:
        self._mappings = profile._core.mappings
        self._numbers: dict[tuple[str, str], int] = {}
        self.table: list[Json] = []

    def number(self, mapping: int) -> int:
        *_, file, module, build_id = self._mappings[mapping]
        number = self._numbers.setdefault((file, build_id), len(self.table))
        if number == len(self.table):
            names = {"name": module, "path": file, "debugName": module, "debugPath": file}
            ids = {"breakpadId": _breakpad_id(build_id), "codeId": build_id or None, "arch": None}
            self.table.append(names | ids)
        return number


def _breakpad_id(build_id: str) -> str:
    """The first 16 bytes of a build id, read as a GUID in the machine's byte order, and age 0:
    https://chromium.googlesource.com/breakpad/breakpad, FileID::ConvertIdentifierToUUIDString."""
    i = build_id[:32].ljust(32, "0").upper()
    pieces = [i[k : k + 2] for k in (6, 4, 2, 0, 10, 8, 14, 12)]
    return "".join(pieces) + i[16:] + "0"


def _table(*columns: str) -> "Json":
    return {"length": 0} | {column: [] for column in columns}


def _add(table: "Json", *values: object) -> int:
    """Append one row to a table and return its number."""
    columns = [column for name, column in table.items() if name != "length"]
    for column, value in zip(columns, values, strict=True):
        column.append(value)
    table["length"] += 1
    return int(table["length"]) - 1


class _Tables:
    """The tables of one thread; rows are made for what is asked for."""

    def __init__(self, trie: Trie, libraries: _Libraries) -> None:
        self._trie, self._libraries = trie, libraries
        self._strings: dict[str, int] = {}
        self._prefixes: list[int | None] = []
        self._frames_of_stacks: list[int] = []
        self._frames = _table(
            "address", "inlineDepth", "category", "subcategory", "func", "nativeSymbol",
            "innerWindowID", "implementation", "line", "column",
        )  # fmt: skip
        self._functions = _table(
            "name", "isJS", "relevantForJS", "resource", "fileName", "lineNumber", "columnNumber"
        )
        self._resources = _table("lib", "name", "host", "type")
        self._stack_of: dict[int, int] = {}
        self._frame_of: dict[int, int] = {}
        self._function_of: dict[tuple[str, str, str], int] = {}
        self._resource_of: dict[int, int] = {}

    def string(self, text: str) -> int:
        return self._strings.setdefault(text, len(self._strings))

    def frame_name(self, stack: int) -> str:
        """The name of a stack's innermost frame."""
        return self._trie.frames[self._trie.frame[stack]].name

    def stack(self, node: int) -> int:
        numbers, parent = self._stack_of, self._trie.parent
        if node in numbers:
            return numbers[node]
        missing: list[int] = []
        while node != NONE and node not in numbers:
            missing.append(node)
            node = parent[node]
        number = None if node == NONE else numbers[node]
        for node in reversed(missing):
            self._prefixes.append(number)
            self._frames_of_stacks.append(self._frame(self._trie.frame[node]))
            number = numbers[node] = len(numbers)
        assert number is not None
        return number

    def _frame(self, number: int) -> int:
        if number not in self._frame_of:
            frame = self._trie.frames[number]
            category = _USER if frame.module else _OTHER
            if is_kernel(frame.module):
                category = _KERNEL
            code = -1, 0, category, 0, self._function(frame), None  # no address, no native symbol
            line = frame.line if frame.line > 0 else None
            self._frame_of[number] = _add(self._frames, *code, None, None, line, None)
        return self._frame_of[number]

    def _function(self, frame: Frame) -> int:
        key = frame.name, frame.module, frame.file
        if key not in self._function_of:
            resource = self._resource(frame.mapping) if frame.mapping >= 0 else -1
            file = self.string(frame.file) if frame.file else None
            line = frame.start_line if frame.start_line > 0 else None
            self._function_of[key] = _add(
                self._functions, self.string(frame.name), False, False, resource, file, line, None
            )
        return self._function_of[key]

    def _resource(self, mapping: int) -> int:
        library = self._libraries.number(mapping)
        if library not in self._resource_of:
            name = self.string(self._libraries.table[library]["name"])
            self._resource_of[library] = _add(self._resources, library, name, None, _LIBRARY)
        return self._resource_of[library]

    def as_json(self) -> "Json":
        n = len(self._prefixes)
        categories = [self._frames["category"][frame] for frame in self._frames_of_stacks]
        return {
            "stackTable": {
                "length": n,
                "prefix": self._prefixes,
                "frame": self._frames_of_stacks,
                "category": categories,
                "subcategory": [0] * n,
            },
            "frameTable": self._frames,
            "funcTable": self._functions,
            "resourceTable": self._resources,
            "nativeSymbols": _table("libIndex", "address", "name", "functionSize"),
            "stringArray": list(self._strings),
        }
