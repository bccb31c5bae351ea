"""speedscope's own format, as its file-format-schema.json describes it.

One sampled profile for each sample type and thread, the wanted type and the largest thread
first: that is what speedscope opens. Inlined functions are frames; a frame has the file and
the first line of its function. Samples are in order of time where the profile has times and
the file does not become too large by that; else each stack is there once, with its sum.
"""

import json
from collections.abc import Iterator

from cprof.export.files import replace
from cprof.export.trie import Tracks, Trie, refuse_negative, thread_name, time_order
from cprof.profile import value_columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof.profile import Profile

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_UNITS = ("nanoseconds", "microseconds", "milliseconds", "seconds", "bytes")
_MOST_FRAMES = 8_000_000  # on all samples in order of time: a file of about 40 MB

Samples = list[tuple[int, int]]  # (stack, value)


def write(profile: "Profile", path: str, type_index: int) -> None:
    """Write all sample types of `profile`, `type_index` first."""
    refuse_negative(profile, "speedscope")
    trie = Trie(profile, by_line=False)
    types = list(range(len(profile.sample_types)))
    types.insert(0, types.pop(type_index))
    paths: dict[int, str] = {}
    profiles = [p for i in types for p in _profiles(trie, i, paths)]
    if not profiles:
        unit = profile.sample_types[type_index][1]
        profiles = [_profile(trie, "no samples", unit, [], paths)]
    data = "".join((*_head(trie), ",\n".join(profiles), "]}\n")).encode()
    replace(path, lambda file: file.write(data))


def _head(trie: Trie) -> Iterator[str]:
    frames = []
    for frame in trie.frames:
        entry: dict[str, str | int] = {"name": frame.name}
        if frame.file:
            entry["file"] = frame.file
            if frame.start_line > 0:
                entry["line"] = frame.start_line
        frames.append(entry)
    head = {"$schema": SCHEMA, "name": trie.profile.command or "profile", "exporter": "cprof"}
    yield json.dumps(head | {"activeProfileIndex": 0, "shared": {"frames": frames}})[:-1]
    yield ', "profiles": ['


def _profiles(trie: Trie, type_index: int, paths: dict[int, str]) -> Iterator[str]:
    """The profiles of one sample type; `paths` is the text of stacks made so far."""
    name, unit = trie.profile.sample_types[type_index]
    tracks = Tracks(trie.profile._core)
    by_track: list[Samples] = [[] for _ in tracks.threads]
    is_timed = _fits_in_order_of_time(trie)
    for thread, stack, value in (_rows if is_timed else _sums)(trie, type_index):
        by_track[tracks.of[thread]].append((stack, value))
    totals = [sum(value for _, value in samples) for samples in by_track]
    for track in sorted(range(len(totals)), key=lambda i: -totals[i]):
        if totals[track]:
            label = f"{thread_name(tracks.threads[track]) or trie.profile.command} {name}".strip()
            label += "" if is_timed else ", summed by stack"
            yield _profile(trie, label, unit, by_track[track], paths)


def _fits_in_order_of_time(trie: Trie) -> bool:
    if not trie.profile._run["has_times"]:
        return False
    frames = sum(map(trie.depths().__getitem__, trie.node.tolist()))
    return frames * len(trie.profile.sample_types) <= _MOST_FRAMES


def _rows(trie: Trie, type_index: int) -> Iterator[tuple[int, int, int]]:
    core = trie.profile._core
    threads = memoryview(core.column("thread"))
    values = memoryview(core.column(value_columns(core)[type_index]))
    for row in time_order(trie.profile):
        yield threads[row], trie.node[row], values[row]


def _sums(trie: Trie, type_index: int) -> Iterator[tuple[int, int, int]]:
    core = trie.profile._core
    (threads, stacks), values, _ = core.group([core.column("thread"), trie.node])
    return zip(*(memoryview(c) for c in (threads, stacks, values[type_index])), strict=True)


def _profile(trie: Trie, name: str, unit: str, samples: Samples, paths: dict[int, str]) -> str:
    stacks: list[str] = []
    weights: list[int] = []
    last = None
    for stack, value in samples:
        if stack == last:
            weights[-1] += value
        elif value:
            text = paths.get(stack)
            if text is None:
                text = paths[stack] = f"[{','.join(map(str, trie.path(stack)))}]"
            stacks.append(text)
            weights.append(value)
            last = stack
    head = {
        "type": "sampled",
        "name": name,
        "unit": unit if unit in _UNITS else "none",
        "startValue": 0,
        "endValue": sum(weights),
        "weights": weights,
    }
    return f'{json.dumps(head)[:-1]}, "samples": [{",".join(stacks)}]}}'
