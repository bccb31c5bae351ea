"""Profiles with known contents for the tests: pprof files encoded here by hand, without any
of cprof's own code, and read back through the real core."""

import gzip
from collections.abc import Mapping, Sequence

import cprof
from cprof import _core

Stack = tuple[str, ...]  # "function@module", root first


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes((*out, number))


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def block(field: int, payload: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(payload)) + payload


class Builder:
    """Gathers the tables of one profile.proto message."""

    def __init__(self) -> None:
        self.strings: dict[str, int] = {"": 0}
        self.mappings: dict[str, int] = {}
        self.functions: dict[tuple[str, str], int] = {}
        self.tables = b""

    def string(self, text: str) -> int:
        return self.strings.setdefault(text, len(self.strings))

    def mapping(self, module: str) -> int:
        if module not in self.mappings:
            self.mappings[module] = i = len(self.mappings) + 1
            path = self.string(f"/usr/bin/{module}")
            self.tables += block(
                3,
                number(1, i) + number(2, i << 24) + number(3, (i + 1) << 24)
                + number(5, path) + number(7, 1),
            )  # fmt: skip
        return self.mappings[module]

    def location(self, frame: str) -> int:
        name, _, module = frame.partition("@")
        if (name, module) not in self.functions:
            mapping = self.mapping(module) if module else 0
            self.functions[name, module] = i = len(self.functions) + 1
            names = number(2, self.string(name)) + number(3, self.string(name))
            self.tables += block(5, number(1, i) + names)
            place = number(2, mapping) + number(3, (mapping << 24) + i * 16) if mapping else b""
            self.tables += block(4, number(1, i) + place + block(4, number(1, i)))
        return self.functions[name, module]

    def label(self, key: str, value: str | int) -> bytes:
        body = number(1, self.string(key))
        if isinstance(value, str):
            return block(3, body + number(2, self.string(value)))
        return block(3, body + number(3, value) + number(4, self.string("id")))


def encode(
    stacks: Sequence[tuple[Stack, Sequence[int], Mapping[str, str | int]]],
    *,
    types: Sequence[tuple[str, str]] = (("samples", "count"), ("cpu", "nanoseconds")),
    comments: Sequence[str] = (),
    seconds: float = 10.0,
) -> bytes:
    """A compressed pprof file of these (stack, values, labels)."""
    builder = Builder()
    builder.mapping("prog")
    body = b""
    for name, unit in types:
        body += block(1, number(1, builder.string(name)) + number(2, builder.string(unit)))
    for stack, values, labels in stacks:
        places = b"".join(varint(builder.location(frame)) for frame in reversed(stack))
        sums = b"".join(map(varint, values))
        extra = b"".join(builder.label(key, value) for key, value in labels.items())
        body += block(2, block(1, places) + block(2, sums) + extra)
    for comment in comments:
        body += number(13, builder.string(comment))
    body += number(10, round(seconds * 1e9))
    strings = b"".join(block(6, text.encode("utf-8", "surrogatepass")) for text in builder.strings)
    return gzip.compress(body + builder.tables + strings, mtime=0)


def profile(
    stacks: Mapping[str, int] | Sequence[tuple[str, int, Mapping[str, str | int]]],
    *,
    types: Sequence[tuple[str, str]] = (("samples", "count"), ("cpu", "nanoseconds")),
    period: int = 1_000_000,
    comments: Sequence[str] = (),
    seconds: float = 10.0,
) -> cprof.Profile:
    """A profile of folded stacks ("main@prog;f@lib" -> samples), 1 ms of CPU for each."""
    rows = [(s, n, {}) for s, n in stacks.items()] if isinstance(stacks, Mapping) else stacks
    values = len(types)
    data = encode(
        [
            (tuple(s.split(";")), [n * period if k else n for k in range(values)], labels)
            for s, n, labels in rows
        ],
        types=types,
        comments=comments,
        seconds=seconds,
    )
    return cprof.Profile(_core.decode_pprof(data, "test"))
