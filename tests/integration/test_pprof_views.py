"""Filters and the call graph, against `go tool pprof` on google/pprof's files and on ours."""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from gopprof import GoPprof, parse_top

from cprof import _core

DATA = Path(__file__).resolve().parents[1] / "data"
FILES = sorted(
    [path for path in (DATA / "pprof").iterdir() if path.suffix != ".md"] + [*DATA.glob("*.pb.gz")]
)
ALL = ("-nodecount=10000000", "-nodefraction=0", "-edgefraction=0")

# Options as go tool pprof has them; of files that do not match, little or nothing is left.
OPTIONS = [
    {"focus": "main"},
    {"focus": "libc|runtime"},
    {"ignore": "main|malloc"},
    {"hide": "runtime"},
    {"hide": r"libc-2|\.go"},
    {"show": "main|start"},
    {"show": "runtime|burner|server"},
    {"show_from": "main"},
    {"show_from": "libpthread|runtime.m"},
    {"prune_from": "main|alloc"},
    {"prune_from": "mapiter|slice|spin|libc"},
    {"noinlines": ""},
    {"focus": "main|cppbench", "ignore": "systemstack", "hide": "iter", "noinlines": ""},
    {"hide": "main.main", "show_from": "main|runtime", "prune_from": "map|alloc"},
    {"show": "main|runtime", "hide": "run$", "prune_from": "iter"},
]


def _matches(core: _core.Profile, option: str, pattern: str) -> tuple[bytes, bytes]:
    """What a pattern matches: the simplified names alone for prune_from, as pprof has it."""
    search = re.compile(pattern).search
    if option == "prune_from":
        names = (
            re.sub(r"(?<!^)\((?!anonymous namespace\)).*", "", f[0]) for f in core.functions_table
        )
        return bytes(bool(search(name)) for name in names), bytes(len(core.mappings))
    functions = bytes(bool(search(f[0]) or search(f[2])) for f in core.functions_table)
    return functions, bytes(bool(search(m[3])) for m in core.mappings)


def refine(core: _core.Profile, options: dict[str, str]) -> _core.Profile:
    given = {name: _matches(core, name, text) for name, text in options.items() if text}
    return core.refine(noinlines="noinlines" in options, **given)


def switches(options: dict[str, str]) -> Iterator[str]:
    for name, text in options.items():
        yield f"-{name}={text}" if text else f"-{name}"


def printed(node: tuple[str, str, str, int, int, int, int]) -> str:
    """A node's name as pprof prints it, NodeInfo.PrintableName() of its graph.go."""
    name, module, filename, line, address, *_ = node
    words = [f"{address:016x}"] if address else []
    if name == "[unknown]":
        return " ".join([*words, f"[{module}]" if module else "<unknown>"])
    words += [name] if name else []
    filename = posixpath.normpath(filename) if filename else ""
    if filename or line:
        words.append(f"{filename}:{line}" if line else filename)
    return " ".join(words)


def tops(core: _core.Profile, type_index: int, granularity: str) -> dict[str, list[int]]:
    nodes, _ = core.graph(type_index, granularity, by_module=False)
    found: dict[str, list[int]] = {}
    for node in nodes:
        if node[5] or node[6]:
            assert printed(node) not in found
            found[printed(node)] = [node[5], node[6]]
    return found


def asked(core: _core.Profile) -> tuple[int, str, str]:
    """The sample type that both shall show, and the unit that keeps its numbers whole."""
    index = core.default_type
    name, unit = core.sample_types[index]
    return index, name, unit


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(switches(options)))
def test_filters_leave_what_pprof_leaves(
    pprof: GoPprof, path: Path, options: dict[str, str]
) -> None:
    core = _core.load_pprof(str(path))
    index, name, unit = asked(core)
    text = pprof(
        "-top", f"-sample_index={name}", f"-unit={unit}", *ALL, *switches(options), str(path)
    )
    theirs = {key: row for key, row in parse_top(text)[1].items() if any(row)}
    assert tops(refine(core, options), index, "functions") == theirs


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("granularity", ["functions", "filefunctions", "lines", "addresses"])
def test_granularities_sum_up_as_in_pprof(pprof: GoPprof, path: Path, granularity: str) -> None:
    core = _core.load_pprof(str(path))
    index, name, unit = asked(core)
    text = pprof(
        "-top", f"-sample_index={name}", f"-unit={unit}", *ALL, f"-{granularity}", str(path)
    )
    theirs = {key: row for key, row in parse_top(text)[1].items() if any(row)}
    assert tops(core, index, granularity) == theirs


def _edges_of_tree(text: str) -> dict[tuple[str, str], tuple[int, bool]]:
    """The edges of -tree: callers stand above a node, what it calls below."""
    edges = {}
    for block in re.split(r"^-+\+-+ *$", text, flags=re.MULTILINE)[2:]:
        lines = [line.split("|") for line in block.splitlines() if "|" in line]
        at = next((i for i, cells in enumerate(lines) if len(cells[0].split()) > 4), len(lines))
        for cells in lines[at + 1 :]:
            value = re.match(r" *(-?[\d.]+)", cells[0])
            assert value
            names = lines[at][1].strip(), cells[1].strip()
            caller, callee = (name.removesuffix(" (inline)") for name in names)
            edges[caller, callee] = int(float(value[1])), names[1].endswith(" (inline)")
    return edges


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("share", [0, 0.1])
def test_edges_are_those_of_pprof(pprof: GoPprof, path: Path, share: float) -> None:
    """All of them, and those that are left where nodes of less than a share go."""
    core = _core.load_pprof(str(path))
    index, name, unit = asked(core)
    nodes, edges = core.graph(index, "functions", by_module=False)
    cutoff = int(sum(node[5] for node in nodes) * share)
    nodes, edges = core.graph(
        index, "functions", by_module=False, keep=bytes(node[6] >= cutoff for node in nodes)
    )
    text = pprof(
        "-tree", f"-sample_index={name}", f"-unit={unit}", *ALL[:1], f"-nodefraction={share}",
        "-edgefraction=0", str(path),
    )  # fmt: skip
    named = [printed(node) for node in nodes]
    ours = {
        (named[caller], named[callee]): (value, is_inlined)
        for caller, callee, value, is_inlined, _ in edges
        if value
    }
    assert ours == _edges_of_tree(text)


@pytest.mark.parametrize("normalize", [False, True])
def test_differences_are_those_of_pprof(pprof: GoPprof, tmp_path: Path, normalize: bool) -> None:
    """Of two files of one program, one of them cut in half."""
    path, base_path = DATA / "pprof" / "go.sample.cpu", tmp_path / "base.pb.gz"
    core = _core.load_pprof(str(path))
    base = core.select(bytes(i % 3 == 0 for i in range(core.n)))
    base.write_pprof(str(base_path))
    scale = [b / a if normalize else 1.0 for a, b in zip(core.totals(), base.totals(), strict=True)]
    index, name, unit = asked(core)
    options = ("-normalize",) if normalize else ()
    text = pprof(
        "-top", f"-sample_index={name}", f"-unit={unit}", *ALL, f"-base={base_path}", *options,
        str(path),
    )  # fmt: skip
    theirs = {key: row for key, row in parse_top(text)[1].items() if any(row)}
    assert tops(_core.merge([core, base], [scale, [-1, -1]]), index, "functions") == theirs
