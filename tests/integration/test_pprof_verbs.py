"""The verbs of the command beside `go tool pprof`, number by number: on google/pprof's own
files, on Go's, on ones made here (inlined and recursive functions, tags, two modules, heap
sizes) and on recordings of cprof's. The Go tool merges functions of one name over modules: where
two modules have one name, only its self is compared."""

import json
import posixpath
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from gopprof import (
    GoPprof,
    parse_list,
    parse_tags,
    parse_top,
    parse_traces,
    parse_tree,
    printed,
    whole,
)

import cprof
from cprof import _core, cli, units

DATA = Path(__file__).resolve().parents[1] / "data"
STORED = sorted([*DATA.glob("*.pb.gz"), *(p for p in (DATA / "pprof").iterdir() if not p.suffix)])
STORED += [DATA / "pprof" / "cppbench.cpu_no_samples_type", DATA / "pprof" / "go.sample.cpu"]
STORED += [DATA / "pprof" / "go.nomappings.crash"]
STORED = sorted(set(STORED))
ALL = ("-nodecount=0", "-nodefraction=0", "-edgefraction=0")
NONE = 2**32 - 1

# Files made here

FUNCTIONS = [
    "main",
    "walk",
    "walk_left(Node*)",
    "alloc",
    "operator()(int)",
    "tiny",
    "leaf",
    "small",
]
SITES = [  # of each location: mapping, then (function, line) from the innermost inlined one
    (0, [(0, 10)]),
    (0, [(1, 21)]),
    (0, [(7, 7), (2, 33)]),
    (1, [(3, 40)]),
    (1, [(4, 50)]),
    (0, [(1, 22)]),
    (1, [(5, 8), (5, 9), (6, 60)]),
    (1, []),
]
STACKS = [[0, 1, 2], [0, 1, 5, 1, 3], [0, 2, 4], [0, 1, 6], [0, 5, 2, 6], [0], [0, 7], [7, 3]]


def made(values: Iterable[tuple[int, int]], **run: Any) -> cprof.Profile:
    """Allocations of two sizes by threads of two kinds, on all of STACKS."""
    parents, locations, leaves = [], [], []
    for stack in STACKS:
        above = NONE
        for location in stack:
            parents.append(above)
            locations.append(location)
            above = len(parents) - 1
        leaves.append(above)
    rows = [(leaves[i % len(leaves)], i % 4, *pair) for i, pair in enumerate(values)]
    lines = [(i, *line) for i, (_, lines) in enumerate(SITES) for line in lines]
    return cprof.Profile(
        _core.build(
            {
                "sample_types": [("alloc_objects", "count"), ("alloc_space", "bytes")],
                "mappings": [
                    (0x1000, 0x2000, 0, "/opt/bin/prog", "prog", "ab"),
                    (0x5000, 0x6000, 0, "/usr/lib/libx.so.1", "libx.so.1", "cd"),
                ],
                "functions": [
                    (name, name, "src/prog.c" if i in (0, 1, 2, 7) else "src/sub/x.c",
                     1, "prog" if i in (0, 1, 2, 7) else "libx.so.1")
                    for i, name in enumerate(FUNCTIONS)
                ],
                "locations": (
                    array("Q", [(0x5000 if m else 0x1000) + 16 * i for i, (m, _) in
                                enumerate(SITES)]),
                    array("I", [m for m, _ in SITES]),
                ),
                "lines": (
                    array("I", [line[0] for line in lines]),
                    array("I", [line[1] for line in lines]),
                    array("q", [line[2] for line in lines]),
                    array("I", [0] * len(lines)),
                ),
                "nodes": (array("I", parents), array("I", locations)),
                "threads": [
                    (-1, -1, "", "", [("bytes", 512 << i, "bytes"), ("kind", kind, ""),
                                      ("kind", "any", ""), ("wait", i + 1, "milliseconds")])
                    for i, kind in enumerate(("red", "blue", "dark red", "green"))
                ],
                "rows": {
                    "stack": array("I", [row[0] for row in rows]),
                    "thread": array("I", [row[1] for row in rows]),
                    "values": [array("q", [row[i] for row in rows]) for i in (2, 3)],
                },
                "run": run,
            }
        )
    )  # fmt: skip


def series(n: int, factor: int) -> list[tuple[int, int]]:
    return [(i % 7 + 1, (i % 7 + 1) * (64 + factor * i % 977)) for i in range(n)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("made")
    named = {path.name: path for path in STORED}
    profiles = {
        "made.pb.gz": made(series(40, 131)),
        "other.pb.gz": made(series(29, 57)),
        "dropped.pb.gz": made(series(31, 17), drop_frames="alloc|operator\\(\\).*"),
    }
    for name, profile in profiles.items():
        named[name] = folder / name
        profile.write(named[name])
    return named


# Both sides


@pytest.fixture
def ours(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """`cprof VERB --json ...`, as data."""

    def run(verb: str, *words: object) -> Any:
        status = cli.main([verb, "--json", *map(str, words)])
        captured = capsys.readouterr()
        assert status in (cli.OK, cli.NO_SAMPLES), captured.err
        if status:
            return None
        base = "-diff_base="
        files = [w for w in words if isinstance(w, Path) or str(w).startswith(base)]
        cores = [_core.load_pprof(str(file).removeprefix(base)) for file in files]
        names = {name for core in cores for name, *_ in core.functions_table}
        if "[unknown]" in names:  # a name like others
            return json.loads(captured.out)
        return json.loads(captured.out.replace('"function": "[unknown]"', '"function": ""'))

    return run


@pytest.fixture
def theirs(pprof: GoPprof) -> Callable[..., str]:
    """`go tool pprof` of the same sample type, in whole numbers."""

    def run(path: Path, *words: object) -> str:
        core = _core.load_pprof(str(path))
        options = [str(word) for word in words]
        chosen = [word for word in options if word.startswith("-sample_index")]
        name, unit = core.sample_types[core.default_type]
        if chosen:
            name = chosen[-1].partition("=")[2]
            unit = dict(core.sample_types)[name]
        return pprof(f"-sample_index={name}", f"-unit={unit}", *options, str(path))

    return run


def by_name(rows: Iterable[dict[str, Any]]) -> tuple[dict[str, list[int]], set[str]]:
    """(self, total) of each name, and the names that several rows have."""
    sums: dict[str, list[int]] = {}
    n: Counter[str] = Counter()
    for row in rows:
        name = printed(row)
        n[name] += 1
        old = sums.get(name, [0, 0])
        sums[name] = [old[0] + row["self"], old[1] + row["total"]]
    return sums, {name for name in n if n[name] > 1}


def assert_tops_agree(mine: Any, text: str) -> None:
    total, rows = parse_top(text)
    rows_of_ours = mine["rows"] if mine else []
    got, several = by_name(row for row in rows_of_ours if row["self"] or row["total"])
    wanted = {name: row for name, row in rows.items() if any(row)}
    assert got.keys() == wanted.keys()
    for name, row in wanted.items():
        assert got[name][0] == row[0], name
        assert name in several or got[name][1] == row[1], name
    assert mine is None or mine["total"] == total


FILTERS = [
    [],
    ["-focus=main|spin"],
    ["-focus=libc|runtime|libx"],
    ["-ignore=malloc|alloc|mapiter"],
    ["-hide=runtime|walk"],
    ["-hide=prog|\\.go"],
    ["-show=main|start|walk"],
    ["-show_from=busyLoop|spin|walk"],
    ["-prune_from=walk_left|main$|mapiter"],
    ["-noinlines"],
    ["-focus=main", "-ignore=leaf", "-hide=tiny", "-show_from=walk|main", "-noinlines"],
    ["-focus=walk", "-relative_percentages"],
    ["-tagfocus=bytes=1kb:2mb"],
    ["-tagfocus=red"],
    ["-tagfocus=kind=^red$,green", "-tagignore=bytes=:512b"],
    ["-tagignore=2ms:"],
    ["-tagfocus=wait=3ms"],
    ["-tagfocus=1024b", "-focus=main"],
]
BY_LINE = ("-lines", "-files", "-filefunctions")


def has_lines(path: Path) -> bool:
    """Whether the file has them itself: cprof looks for them elsewhere, too."""
    return any(file for _, _, file, *_ in _core.load_pprof(str(path)).functions_table)


NAMES = [path.name for path in STORED] + ["made.pb.gz", "dropped.pb.gz"]
each_file = pytest.mark.parametrize("name", NAMES)
words = pytest.mark.parametrize("options", FILTERS, ids=lambda o: " ".join(o) or "all")


@each_file
@words
def test_top(name: str, options: list[str], files: Any, ours: Any, theirs: Any) -> None:
    text = theirs(files[name], "-top", *ALL, *options)
    assert_tops_agree(ours("top", *options, files[name]), text)


@each_file
@pytest.mark.parametrize(
    "options",
    [
        ["-lines"], ["-files"], ["-addresses"], ["-filefunctions"], ["-cum", "-nodefraction=0.2"],
        ["-divide_by=7"], ["-mean"], ["-cum", "-lines", "-noinlines"], ["-sample_index=0"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_other_rows(name: str, options: list[str], files: Any, ours: Any, theirs: Any) -> None:
    if not has_lines(files[name]) and set(BY_LINE) & set(options):
        pytest.skip("no lines")
    shown = [o for o in options if not o.startswith("-sample_index")]
    if len(shown) < len(options):
        first = _core.load_pprof(str(files[name])).sample_types[0][0]
        shown = [f"-sample_index={first}"]
    elif "-mean" in options and len(_core.load_pprof(str(files[name])).sample_types) < 2:
        pytest.skip("one sample type has no mean")
    text = theirs(files[name], "-top", *ALL[:1], *([] if "=0." in str(shown) else ALL[1:]), *shown)
    mine = ours("top", *options, files[name])
    if "-files" in options:  # where pprof tells apart functions' first lines, and modules
        lines = [line for line in text.splitlines() if "[" not in line and "<unk" not in line]
        several = Counter(line.split()[-1] for line in lines if line.strip())
        text = "\n".join(line for line in lines if not line or several[line.split()[-1]] == 1)
        mine["rows"] = [
            row for row in mine["rows"] if several[posixpath.normpath(row["file"])] == 1
        ]
    assert_tops_agree(mine, text)


def test_order_is_that_of_pprof(files: Any, ours: Any, theirs: Any) -> None:
    """But for functions without self, where ours have the larger total first."""
    path = files["made.pb.gz"]
    for option, end in (("-flat", "self"), ("-cum", "total")):
        names = [*parse_top(theirs(path, "-top", *ALL, option))[1]]
        rows = ours("top", option, path)["rows"]
        costly = [printed(row) for row in rows if row[end]]
        assert costly == names[: len(costly)]
        first = ours("top", option, "-nodecount=3", path)["rows"]
        assert [printed(row) for row in first] == names[:3]


# Less a base


@pytest.mark.parametrize("verb", ["top", "tree", "peek"])
@pytest.mark.parametrize("base", ["-diff_base", "-base"])
@pytest.mark.parametrize(
    "options",
    [[], ["-normalize"], ["-focus=walk"], ["-sample_index=alloc_objects"], ["-cum", "-lines"],
     ["-normalize", "-ignore=tiny", "-relative_percentages"]],
    ids=lambda o: " ".join(o) or "all",
)  # fmt: skip
def test_less_a_base(
    verb: str, base: str, options: list[str], files: Any, ours: Any, theirs: Any
) -> None:
    less = f"{base}={files['other.pb.gz']}"
    flag = {"top": ["-top"], "tree": ["-tree"], "peek": ["-peek=walk|alloc"]}[verb]
    text = theirs(files["made.pb.gz"], *flag, *ALL, less, *options)
    pattern = ["walk|alloc"] if verb == "peek" else []
    mine = ours(verb, less, *options, files["made.pb.gz"], *pattern)
    if verb == "top":
        assert_tops_agree(mine, text)
    else:
        assert_trees_agree(mine, text)


@pytest.mark.parametrize(
    "options",
    [
        ["-tagroot=kind"], ["-tagleaf=kind"],
        ["-tagroot=kind", "-tagleaf=kind", "-focus=red", "-hide=walk", "-cum"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_labels_as_frames(options: list[str], files: Any, ours: Any, theirs: Any) -> None:
    """Texts: pprof writes numbers in the unit of the report."""
    path = files["made.pb.gz"]
    assert_tops_agree(ours("top", *options, path), theirs(path, "-top", *ALL, *options))
    assert_trees_agree(ours("tree", *ALL, *options, path), theirs(path, "-tree", *ALL, *options))


def test_what_shrank_can_be_left_out(files: Any, ours: Any, theirs: Any) -> None:
    path, options = files["made.pb.gz"], [f"-base={files['other.pb.gz']}", "-drop_negative"]
    options += ["-sample_index=alloc_objects", "-normalize"]
    assert any(row["self"] < 0 for row in ours("top", *options[:1], *options[2:], path)["rows"])
    text = theirs(path, "-top", *ALL, *options)
    assert_tops_agree(ours("top", *options, path), text)
    wanted = parse_tree(theirs(path, "-tree", *ALL, *options))
    mine = ours("tree", *ALL, *options, path)["rows"]
    assert {printed(row): [row["self"], row["total"]] for row in mine} == {
        name: own for name, (own, *_) in wanted.items()
    }


@pytest.mark.parametrize("options", [[], ["-cum"], ["-nodecount=4"], ["-nodefraction=0.2"]])
def test_rows_that_are_shown_unasked(
    options: list[str], files: Any, theirs: Any, capsys: Any
) -> None:
    """Without --json: those of at least 0.5 %, the first 20 of them."""
    path = files["go.sample.cpu"]
    _, rows = parse_top(theirs(path, "-top", *options))
    assert cli.main(["top", *options, str(path)]) == cli.OK
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == ["self"])
    lines = [line for line in lines[start + 1 :] if not line.startswith("... and")]
    assert len(lines) == min(len(rows), 20)


# Graphs


def assert_trees_agree(mine: Any, text: str, all_rows: Any = ()) -> None:
    """`all_rows`: those of `top`, where the trees are trimmed."""
    nodes = parse_tree(text)
    rows = mine["rows"] if mine else []
    several = by_name(rows)[1] | by_name(all_rows)[1]
    assert {printed(row) for row in rows} - several == nodes.keys() - several
    for row in rows:
        name = printed(row)
        if name in several:
            continue
        own, callers, callees = nodes[name]
        assert [row["self"], row["total"]] == own, name
        for end, wanted in (("callers", callers), ("callees", callees)):
            got = {
                printed(other): other["value"]
                for other in row[end]
                if printed(other) not in several
            }
            assert got == {n: v for n, v in wanted.items() if v and n not in several}, (name, end)


@each_file
@pytest.mark.parametrize(
    "options",
    [
        [], ["-cum", "-lines"], ["-nodefraction=0.3"], ["-nodecount=3"], ["-edgefraction=0.2"],
        ["-nodecount=4", "-nodefraction=0.1", "-edgefraction=0.1", "-cum"], ["-noinlines"],
        ["-focus=main", "-hide=walk|runtime"], ["-trim=false", "-nodecount=2"],
    ],
    ids=lambda o: " ".join(o) or "all",
)  # fmt: skip
def test_tree(name: str, options: list[str], files: Any, ours: Any, theirs: Any) -> None:
    if not has_lines(files[name]) and set(BY_LINE) & set(options):
        pytest.skip("no lines")
    usual = [o for o in ALL if not any(o.split("=")[0] in given for given in options)]
    text = theirs(files[name], "-tree", *usual, *options)
    assert_trees_agree(ours("tree", *usual, *options, files[name]), text)


@each_file
@pytest.mark.parametrize("pattern", ["main|\\[", "^walk|map.*", "."])
def test_peek(
    name: str, pattern: str, files: Any, ours: Any, pprof: GoPprof, theirs: Any, capsys: Any
) -> None:
    rows = ours("top", files[name])["rows"]
    is_named = all(row["function"] for row in rows)
    if not is_named:
        pattern = "."  # pprof matches other words where there is no name
    if is_named and not any(re.search(pattern, row["function"]) for row in rows):
        assert cli.main(["peek", str(files[name]), pattern]) == cli.USAGE
        assert "matches" in capsys.readouterr().err
        return
    text = theirs(files[name], f"-peek={pattern}")
    assert_trees_agree(ours("peek", files[name], pattern), text)


# Stacks, tags, lines


def sums_of_traces(text: str) -> dict[tuple[str, ...], int]:
    return {stack: sum(map(whole, values)) for stack, values in parse_traces(text).items()}


@each_file
@pytest.mark.parametrize(
    "options", [[], ["-focus=main", "-hide=main$"], ["-tagfocus=red"]],
    ids=lambda o: " ".join(o) or "all",
)  # fmt: skip
def test_traces(name: str, options: list[str], files: Any, ours: Any, theirs: Any) -> None:
    wanted = sums_of_traces(theirs(files[name], "-traces", *options))
    mine = ours("traces", *options, files[name])
    got = {
        tuple(printed(frame) for frame in row["stack"]): row["value"]
        for row in (mine["rows"] if mine else [])
    }
    assert {k: v for k, v in got.items() if v} == {k: v for k, v in wanted.items() if v}


@each_file
@pytest.mark.parametrize(
    "options", [[], ["-tagshow=kind|pid"], ["-taghide=^t|bytes"], ["-tagfocus=wait=2ms:3ms"]],
    ids=lambda o: " ".join(o) or "all",
)  # fmt: skip
def test_tags(name: str, options: list[str], files: Any, ours: Any, theirs: Any) -> None:
    unit = dict(_core.load_pprof(str(files[name])).sample_types)
    wanted = parse_tags(theirs(files[name], "-tags", *options))
    mine = ours("tags", *options, files[name])
    got: Counter[tuple[str, str]] = Counter()
    for row in mine["rows"] if mine else []:
        value = row["value"]
        to = unit[mine["sample_type"]]
        text = value if isinstance(value, str) else units.label(value, row["unit"], to)
        got[row["key"], text] += row["total"]
    assert dict(got) == wanted


@each_file
@pytest.mark.parametrize("options", [[], ["-focus=walk"]], ids=lambda o: " ".join(o) or "all")
def test_list(
    name: str, options: list[str], files: Any, ours: Any, pprof: Any, theirs: Any
) -> None:
    if not has_lines(files[name]):
        pytest.skip("no lines")
    pattern = "main|walk|tiny"
    rows = ours("top", files[name])["rows"]
    if not any(re.search(pattern, row["function"]) for row in rows):
        pytest.skip("no such function")
    if options and not ours("top", *options, files[name]):
        pytest.skip("nothing in focus")
    wanted = parse_list(theirs(files[name], f"-list={pattern}", *options))
    got = {
        (row["function"], posixpath.normpath(row["file"])): [
            sum(line[end] for line in row["lines"]) for end in ("self", "total")
        ]
        for row in ours("list", *options, files[name], pattern)["rows"]
        if row["file"] != "no line is known"
    }
    assert got == wanted


# Recordings


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: Any, workload: Any) -> list[Path]:
    """Several runs of a program with inlined functions and a known call graph."""
    folder = tmp_path_factory.mktemp("recorded")
    paths = []
    for i, source in enumerate(("inlined.c", "edges.c", "edges.c")):
        program = workload(source, "-g", name=f"verbs-{source[:-2]}")
        paths.append(folder / f"{i}.pb.gz")
        cprof.record([str(program), "1"], freq=997).write(paths[-1])
    return paths


@pytest.mark.perf
def test_recordings(recorded: list[Path], ours: Any, theirs: Any) -> None:
    for path in recorded:
        for options in ([], ["-lines"], ["-noinlines"], ["-addresses"], ["-focus=main"]):
            text = theirs(path, "-top", *ALL, *options)
            text = re.sub(r"(:\d+):\d+( \(.*\))?$", r"\1\2", text, flags=re.MULTILINE)  # columns
            assert_tops_agree(ours("top", *options, path), text)
        assert_trees_agree(ours("tree", *ALL, path), theirs(path, "-tree", *ALL))
        usual = ("-nodefraction=0.005", "-edgefraction=0.001", "-nodecount=80")
        every = ours("top", path)["rows"]
        assert_trees_agree(ours("tree", *usual, path), theirs(path, "-tree"), every)
        stacks = {
            tuple(printed(frame) for frame in row["stack"]): row["value"]
            for row in ours("traces", path)["rows"]
        }
        assert stacks == sums_of_traces(theirs(path, "-traces"))
    less = f"-diff_base={recorded[1]}"
    text = theirs(recorded[2], "-top", *ALL, less)
    assert_tops_agree(ours("top", less, recorded[2]), text)


@pytest.mark.perf
def test_several_files_are_added_up(recorded: list[Path], ours: Any, pprof: GoPprof) -> None:
    text = pprof("-top", "-unit=ns", *ALL, *map(str, recorded))
    assert_tops_agree(ours("top", *recorded), text)
