"""`go tool pprof` as the independent reader of our files: its numbers, in nanoseconds, or as
they are written (`read=str`)."""

import os
import posixpath
import re
import subprocess
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

_NUMBER = r"-?[\d.]+(?:e-?\d+)?"
_VALUE = rf"({_NUMBER}[A-Za-z]*)"

Read = Callable[[str], Any]


def whole(text: str) -> int:
    """The number before the unit."""
    found = re.match(_NUMBER, text)
    assert found, text
    return int(float(found[0]))


def printed(row: dict[str, Any]) -> str:
    """The name of a row of ours as pprof prints it (NodeInfo.PrintableName of its graph.go)."""
    address = f"{row['address']:016x}" if row.get("address") else ""
    if not row["function"] and not row.get("file"):
        name = f"[{row['module']}]" if row["module"] else "<unknown>"
        return f"{address} {name}".strip()
    file = posixpath.normpath(row["file"]) if row.get("file") else ""
    at = f"{file}:{row['line']}" if row.get("line") else file
    return " ".join(part for part in (address, row["function"], at) if part)


def parse_top(text: str, read: Read = whole) -> "tuple[Any, dict[str, list[Any]]]":
    """The total of a -top, and (flat, cum) of each function."""
    total = re.search(rf"of {_VALUE} total", text)
    assert total, text[:500]
    rows: dict[str, list[Any]] = {}
    line = rf" *{_VALUE} +{_NUMBER}% +{_NUMBER}% +{_VALUE} +{_NUMBER}% +(.*)"
    for found in re.finditer(rf"^{line}$", text, re.MULTILINE):
        name = found[3].removesuffix(" (inline)").removesuffix(" (partial-inline)")
        assert name not in rows, name
        rows[name] = [read(found[1]), read(found[2])]
    return read(total[1]), rows


class GoPprof:
    """Runs the Go tool found at `go`; what it fetches stays in `folder`."""

    def __init__(self, go: str, folder: Path) -> None:
        self.go = go
        self.folder = folder
        self.env = os.environ | {
            "GOMODCACHE": str(folder / "modules"),
            "GOFLAGS": "-mod=mod -modcacherw",
            "GOTOOLCHAIN": "local",
            "PPROF_TMPDIR": str(folder),
        }

    @cached_property
    def _command(self) -> list[str]:
        """The tool itself: `go tool` takes longer than what it starts."""
        words = [self.go, "tool"]
        for more in (["pprof", "-help"], ["-n", "pprof"]):  # the first builds it
            done = subprocess.run(
                [*words, *more], capture_output=True, text=True, check=False, env=self.env
            )
        path = done.stdout.strip()
        return [path] if os.access(path, os.X_OK) else [*words, "pprof"]

    def __call__(self, *options: str, check: bool = True) -> str:
        """The output of `go tool pprof options...`."""
        words = [*self._command, "-symbolize=none", *options]
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, env=self.env, timeout=120
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    def raw_totals(self, path: Path) -> dict[str, int]:
        """The sum of each sample type, from every sample of -raw."""
        _, _, samples = self("-raw", str(path)).partition("Samples:\n")
        header, _, body = samples.partition("Locations\n")[0].partition("\n")
        names = [word.partition("/")[0] for word in header.split()]
        sums = dict.fromkeys(names, 0)
        for line in body.splitlines():
            match = re.match(r"((?: +-?\d+)+):", line)
            if match:
                for name, value in zip(names, match[1].split(), strict=True):
                    sums[name] += int(value)
        return sums

    def top(self, path: Path, sample_type: str, unit: str) -> "tuple[int, dict[str, list[int]]]":
        """The total of -top, and (flat, cum) of each function."""
        text = self(
            "-top", f"-sample_index={sample_type}", f"-unit={unit}", "-nodecount=10000000",
            "-nodefraction=0", "-edgefraction=0", str(path),
        )  # fmt: skip
        return parse_top(text)

    def traces_total(self, path: Path, sample_type: str, unit: str) -> int:
        """The sum over all stacks that -traces prints."""
        text = self("-traces", f"-sample_index={sample_type}", f"-unit={unit}", str(path))
        _, *traces = re.split(r"^-+\+-+$", text, flags=re.MULTILINE)
        values = (re.search(rf"^ *({_NUMBER})(?:ns|count|\b) +\S", t, re.MULTILINE) for t in traces)
        return sum(int(float(v[1])) for v in values if v)


_ROW = re.compile(rf" *{_VALUE} +{_NUMBER}% +{_NUMBER}% +{_VALUE} +{_NUMBER}% +\| (.*)")
_CALL = re.compile(rf" *{_VALUE} +{_NUMBER}% +\|   (.*)")
_INLINE = " (inline)"


def parse_tree(
    text: str, read: Read = whole
) -> "dict[str, tuple[list[Any], dict[str, Any], dict[str, Any]]]":
    """(flat, cum), what its callers and what its callees cost, of each node of -tree or -peek."""
    nodes = {}
    for block in re.split(r"^-+\+-+ *$", text, flags=re.MULTILINE)[1:]:
        ends: list[dict[str, Any]] = [{}, {}]
        name, own = "", [read("0"), read("0")]
        for line in block.splitlines():
            if row := _ROW.fullmatch(line):
                name, own = row[3], [read(row[1]), read(row[2])]
            elif call := _CALL.fullmatch(line):
                ends[bool(name)][call[2].removesuffix(_INLINE)] = read(call[1])
        if name:
            assert name not in nodes
            nodes[name] = (own, *ends)
    return nodes


def parse_traces(text: str) -> "dict[tuple[str, ...], list[str]]":
    """The values of each stack of names, leaf first."""
    values: dict[tuple[str, ...], list[str]] = {}
    first = re.compile(rf" *{_VALUE}   (\S.*)")
    for block in re.split(r"^-+\+-+$", text, flags=re.MULTILINE)[1:-1]:
        lines = block.strip("\n").splitlines()
        at = next(i for i, line in enumerate(lines) if first.fullmatch(line))
        leaf = first.fullmatch(lines[at])
        assert leaf
        names = [leaf[2], *(line.strip() for line in lines[at + 1 :])]
        values.setdefault(tuple(name.removesuffix(_INLINE) for name in names), []).append(leaf[1])
    return values


def parse_tags(text: str, read: Read = whole) -> "dict[tuple[str, str], Any]":
    """The sum of each (key, value) of -tags, values as they are written there."""
    sums = {}
    key = ""
    for line in text.splitlines():
        if head := re.match(r" *(.*): +Total ", line):
            key = head[1]
        elif row := re.match(rf" *{_VALUE}(?: \( *{_NUMBER}%\))?: (.*)", line):
            sums[key, row[2]] = read(row[1])
    return sums


def parse_list(text: str) -> "dict[tuple[str, str], list[int]]":
    """(flat, cum) of each (function, file) of -list, summed over its lines."""
    routine = rf"^ROUTINE =+ (.*) in (.*)\n *({_NUMBER})\w* +({_NUMBER})\w* \(flat, cum\)"
    return {
        (found[1], found[2]): [int(float(found[3])), int(float(found[4]))]
        for found in re.finditer(routine, text, re.MULTILINE)
    }
