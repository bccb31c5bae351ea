"""Chrome's trace events as JSON: what chrome://tracing, Perfetto and Firefox Profiler open
(speedscope, too, but it takes "*.chrome.json" for another format of Chrome's: rename it).
https://chromium.googlesource.com/catapult/+/HEAD/docs/trace-event-format.md

A slice ("ph": "X") is a frame for as long as samples of its thread, one after the other, have
it at the same place; from and to a whole microsecond, so that clients add up exactly. A sample
stands for its own CPU time, or for the mean time between samples, and up to the next sample
where that comes sooner or not much later. Slices of a thread nest.

A profile without times has no timeline, nor has one of more slices than a browser takes:
then stacks stand side by side, each as wide as its sum, without those of least cost where they
are too many. The process's name says so.
"""

import json
from collections.abc import Iterator

from cprof.export.files import replace
from cprof.export.trie import NONE, Tracks, Trie, refuse_negative, thread_name, time_order
from cprof.profile import value_columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from cprof.profile import Profile

_MOST_SLICES = 500_000  # a file of about 60 MB
_WRITTEN = 10_000  # events at a time
_NS = {"nanoseconds": 1, "microseconds": 1000, "milliseconds": 10**6, "seconds": 10**9}

Span = tuple[int, int, int, int]  # track, from and to in ns, stack


def write(profile: "Profile", path: str, type_index: int) -> None:
    """Write the slices of all threads; the width of what has no times is that of one sample
    type."""
    refuse_negative(profile, "a Chrome trace")
    trie = Trie(profile, by_line=False)
    tracks = Tracks(profile._core)
    note, slices = "no times: sums side by side", None
    if profile._run["has_times"]:
        note, slices = "", _slices(trie, tracks, _timed(trie, tracks), _MOST_SLICES)
        if slices is None:
            note = "too many samples for a timeline: sums side by side"
    if slices is None:
        trie.prune(type_index, _MOST_SLICES // max(len(tracks.threads), 1))
        if trie.n_left_out:
            note += f", without {trie.n_left_out:,d} stacks of little cost"
        slices = _slices(trie, tracks, _side_by_side(trie, tracks, type_index), None) or []
    facts = json.dumps({"creator": "cprof", "command": profile.command, "note": note})
    events = [*_names(profile, tracks, note), *slices]
    replace(path, lambda file: _write(file, facts, events))


def _write(file: "BinaryIO", facts: str, events: list[str]) -> None:
    head = f'{{"displayTimeUnit": "ms", "otherData": {facts}, "traceEvents": [\n'
    file.write(head.encode())
    for i in range(0, len(events), _WRITTEN):
        text = ",\n".join(events[i : i + _WRITTEN])
        file.write((f",\n{text}" if i else text).encode())
    file.write(b"\n]}\n")


def _names(profile: "Profile", tracks: Tracks, note: str) -> Iterator[str]:
    """Events that name processes and threads."""
    processes = {}
    for track, thread in enumerate(tracks.threads):
        name = f"{thread.comm or profile.command or 'profile'} ({note})"
        processes[_ids(tracks, track)[0]] = name if note else name.removesuffix(" ()")
    for pid, name in processes.items():
        yield json.dumps({"ph": "M", "name": "process_name", "pid": pid, "args": {"name": name}})
    for track, thread in enumerate(tracks.threads):
        pid, tid = _ids(tracks, track)
        name = thread_name(thread) or "all threads"
        args = {"args": {"name": name}}
        yield json.dumps({"ph": "M", "name": "thread_name", "pid": pid, "tid": tid} | args)


def _ids(tracks: Tracks, track: int) -> tuple[int, int]:
    """pid and tid; where an imported file does not say, numbers that tell tracks apart."""
    thread = tracks.threads[track]
    return max(thread.pid, 0), thread.tid if thread.tid >= 0 else track + 1


def _timed(trie: Trie, tracks: Tracks) -> Iterator[Span]:
    """How long each sample stands, in order of time."""
    core, run = trie.profile._core, trie.profile._run
    threads = memoryview(core.column("thread"))
    times = memoryview(core.column("time"))
    costs = _cpu_time(trie.profile)
    mean = round(trie.profile.duration * 1e9 / max(len(times), 1))
    last: dict[tuple[int, int], Span] = {}
    for row in time_order(trie.profile):
        track, time = tracks.of[threads[row]], max(times[row] - run["start_mono"], 0)
        key = _ids(tracks, track)
        before = last.get(key)
        if before is not None:
            _, begin, end, stack = before
            yield before[0], begin, time if time <= end + (end - begin) else end, stack
        last[key] = track, time, time + (costs[row] if costs else mean), trie.node[row]
    yield from last.values()


def _cpu_time(profile: "Profile") -> "memoryview | None":
    """The CPU time of each row in ns, where the profile says."""
    for column, kind in zip(value_columns(profile._core), profile.sample_types, strict=True):
        if kind == ("cpu", "nanoseconds"):
            return memoryview(profile._core.column(column))
    return None


def _side_by_side(trie: Trie, tracks: Tracks, type_index: int) -> Iterator[Span]:
    """Stacks by what they have in common, each as wide as its sum."""
    core = trie.profile._core
    scale = _NS.get(trie.profile.sample_types[type_index][1], 1000)
    (threads, stacks), values, _ = core.group([core.column("thread"), trie.node])
    order = {node: i for i, node in enumerate(node for node, enters in trie.walk() if enters)}
    columns = (memoryview(c) for c in (threads, stacks, values[type_index]))
    order[NONE] = len(order)  # all of it was left out
    sums = sorted((tracks.of[t], order[node], node, v) for t, node, v in zip(*columns, strict=True))
    at: dict[int, int] = {}
    for track, _, node, value in sums:
        if value:
            begin = at.get(track, 0)
            at[track] = begin + value * scale
            yield track, begin, at[track], node


def _slices(
    trie: Trie, tracks: Tracks, spans: Iterator[Span], limit: int | None
) -> list[str] | None:
    """The events, callers before what they call; None when they are more than `limit`."""
    lanes = _Lanes(trie)
    for track, begin, end, stack in spans:
        lanes.add(_ids(tracks, track), begin, end, stack)
        if limit is not None and len(lanes.events) > limit:
            return None
    lanes.close()
    return lanes.events


class _Lanes:
    """Makes slices of spans: what a span has in common with the one before it stays open."""

    def __init__(self, trie: Trie) -> None:
        self.events: list[str] = []
        self._trie = trie
        self._heads = [
            f'{{"ph":"X","name":{json.dumps(f.name)},"cat":{json.dumps(f.module or "none")}'
            for f in trie.frames
        ]
        self._depth = trie.depths()
        self._open: dict[tuple[int, int], list[tuple[int, int, int]]] = {}  # node, begin, event
        self._until: dict[tuple[int, int], int] = {}

    def add(self, ids: tuple[int, int], begin: int, end: int, stack: int) -> None:
        lane = self._open.setdefault(ids, [])
        until = self._until.get(ids, begin)
        if begin != until:
            self._end(ids, lane, until)
            lane.clear()
        depth, parent, n = self._depth, self._trie.parent, len(lane)
        missing: list[int] = []
        while stack != NONE and not (depth[stack] <= n and lane[depth[stack] - 1][0] == stack):
            missing.append(stack)
            stack = parent[stack]
        kept = 0 if stack == NONE else depth[stack]
        self._end(ids, lane[kept:], until)
        del lane[kept:]
        for node in reversed(missing):
            lane.append((node, begin, len(self.events)))
            self.events.append("")
        self._until[ids] = end

    def close(self) -> None:
        for ids, lane in self._open.items():
            self._end(ids, lane, self._until[ids])

    def _end(self, ids: tuple[int, int], slices: list[tuple[int, int, int]], end: int) -> None:
        for node, begin, event in slices:
            self.events[event] = (
                f'{self._heads[self._trie.frame[node]]},"pid":{ids[0]},"tid":{ids[1]},'
                f'"ts":{begin // 1000},"dur":{end // 1000 - begin // 1000}}}'
            )
