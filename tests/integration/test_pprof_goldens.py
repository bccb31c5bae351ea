"""google/pprof's golden files: what its own tests expect of its reports, number by number.

The cases are the table of TestParse in internal/driver/driver_test.go, the profiles those of
tests/data/pprof-goldens. Goldens have rounded values ("1.10s", "62.50MB"): ours are written in
the unit of theirs, by cprof's own rules, and must be the same text."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gopprof import parse_tags, parse_top, parse_traces, parse_tree, printed

import cprof
from cprof import cli, units

PROFILES = Path(__file__).resolve().parents[1] / "data" / "pprof-goldens"
IGNORED = re.compile("tag(hide|show)=")  # what matters to other reports
USUAL = ["-nodecount=20", "-nodefraction=0.05", "-edgefraction=0.01"]  # baseFlags()
CASES = [  # TestParse
    ("text,functions,flat", "cpu"),
    ("text,functions,noinlines,flat", "cpu"),
    ("text,filefunctions,noinlines,flat", "cpu"),
    ("text,addresses,noinlines,flat", "cpu"),
    ("tree,addresses,flat,nodecount=4", "cpusmall"),
    ("text,functions,flat,nodecount=5,call_tree", "unknown"),
    ("text,alloc_objects,flat", "heap_alloc"),
    ("text,files,flat", "heap"),
    ("text,files,flat,focus=[12]00,taghide=[X3]00", "heap"),
    ("text,inuse_objects,flat", "heap"),
    ("text,lines,cum,hide=line[X3]0", "cpu"),
    ("text,lines,cum,show=[12]00", "cpu"),
    ("text,lines,cum,hide=line[X3]0,focus=[12]00", "cpu"),
    ("topproto,lines,cum,hide=mangled[X3]0", "cpu"),
    ("topproto,lines", "cpu"),
    ("tree,lines,cum,focus=[24]00", "heap"),
    ("tree,relative_percentages,cum,focus=[24]00", "heap"),
    ("tree,lines,cum,show_from=line2", "cpu"),
    ("callgrind", "cpu"),
    ("callgrind,call_tree", "cpu"),
    ("callgrind", "heap"),
    ("dot,functions,flat", "cpu"),
    ("dot,functions,flat,call_tree", "cpu"),
    ("dot,lines,flat,focus=[12]00", "heap"),
    ("dot,unit=minimum", "heap_sizetags"),
    ("dot,addresses,flat,ignore=[X3]002,focus=[X1]000", "contention"),
    ("dot,files,cum", "contention"),
    ("comments,add_comment=some-comment", "cpu"),
    ("comments", "heap"),
    ("tags", "cpu"),
    ("tags,tagignore=tag[13],tagfocus=key[12]", "cpu"),
    ("tags", "heap"),
    ("tags,unit=bytes", "heap"),
    ("traces", "cpu"),
    ("traces,addresses", "cpu"),
    ("traces", "heap_tags"),
    ("dot,alloc_space,flat,focus=[234]00", "heap_alloc"),
    ("dot,alloc_space,flat,tagshow=[2]00", "heap_alloc"),
    ("dot,alloc_space,flat,hide=line.*1?23?", "heap_alloc"),
    ("dot,inuse_space,flat,tagfocus=1mb:2gb", "heap"),
    ("dot,inuse_space,flat,tagfocus=30kb:,tagignore=1mb:2mb", "heap"),
    ("disasm=line[13],addresses,flat", "cpu"),
    ("peek=line.*01", "cpu"),
    ("weblist=line(1000|3000)$,addresses,flat", "cpu"),
    ("tags,tagfocus=400kb:", "heap_request"),
    ("tags,tagfocus=+400kb:", "heap_request"),
    ("dot", "long_name_funcs"),
    ("text", "long_name_funcs"),
]
LEFT_OUT = {
    "topproto": "a profile of the rows of top: cprof writes whole profiles",
    "disasm": "instructions are what the test's own objdump says; test_lines.py has real ones",
    "weblist": "HTML; the same instructions",
    "callgrind,call_tree": "cprof writes functions, not call paths, as callgrind",
    "dot,functions,flat,call_tree": "and as dot",
    "traces,addresses": "cprof tells stacks apart by functions or by lines",
    "text,functions,flat,nodecount=5,call_tree": "the last of equal self: by total here, not name",
    "comments,add_comment=some-comment": "cprof record --label notes, reading does not",
}


def is_left_out(case: tuple[str, str]) -> bool:
    flags = case[0]
    return flags in LEFT_OUT or re.split("[,=]", flags)[0] in LEFT_OUT


def golden(flags: str, source: str) -> str:
    """The name of the golden file: solutionFilename() of driver_test.go."""
    given = dict.fromkeys(flag.partition("=")[0] for flag in flags.split(","))
    parts = ["pprof", source]
    for group in (
        "flat cum", "functions filefunctions files lines addresses", "noinlines",
        "inuse_space inuse_objects alloc_space alloc_objects", "relative_percentages", "call_tree",
        "text tree callgrind dot tags traces peek comments",
    ):  # fmt: skip
        parts += [name for name in group.split() if name in given][:1]
    parts += ["focus"] if given.keys() & {"focus", "tagfocus"} else []
    parts += ["ignore"] if given.keys() & {"ignore", "tagignore"} else []
    parts += ["show_from"] if "show_from" in given else []
    parts += [name for name in ("hide", "show") if name in given][:1]
    return ".".join([*parts, "unit"] if "unit=bytes" in flags else parts)


class Written:
    """A value as a golden has it; equal to the number, in `unit`, that is written so."""

    unit = ""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, value: object) -> bool:
        assert isinstance(value, int)
        to = self.text.lstrip("-.0123456789") or "count"
        if re.search(r"\d\.\d\D*$", self.text):  # as -tags rounds
            number, name = units.scale(value, self.unit, to)
            return f"{number:.1f}{name}" == self.text
        return units.label(value, self.unit, to) == self.text

    def __repr__(self) -> str:
        return self.text

    __hash__ = None  # type: ignore[assignment]


@pytest.fixture
def ours(capsys: Any) -> Callable[..., Any]:
    """`cprof VERB --json ...`, as data."""

    def run(verb: str, *words: str) -> Any:
        assert cli.main([verb, "--json", *words]) == cli.OK
        out = capsys.readouterr().out.replace('"[unknown]"', '""')  # as pprof has it
        answer = json.loads(out)
        Written.unit = answer.get("unit", "")
        return answer

    return run


def assert_top(text: str, mine: Any) -> None:
    total, rows = parse_top(text, Written)
    got = {printed(row): [row["self"], row["total"]] for row in mine["rows"]}
    assert total == mine["total"]
    assert got == rows
    assert [own for own, _ in got.values()] == [own for own, _ in rows.values()]


def assert_tree(text: str, mine: Any) -> None:
    nodes = parse_tree(text, Written)
    assert {printed(row) for row in mine["rows"]} == nodes.keys()
    for row in mine["rows"]:
        own, callers, callees = nodes[printed(row)]
        assert [row["self"], row["total"]] == own
        for end, wanted in (("callers", callers), ("callees", callees)):
            assert {printed(other): other["value"] for other in row[end]} == wanted, (row, end)


def assert_dot(text: str, mine: Any) -> None:
    label = r'label="((?:[^"\\]|\\.)*)".* tooltip="((?:[^"\\]|\\.)*) \((\S+)\)" color='
    nodes = {}
    for number, words, name, total in re.findall(rf"^(N\d+) \[{label}", text, re.MULTILINE):
        own = re.search(r"\\n([\d.]+\w*)(?: of| \([\d.]+%\)\\nof| \([\d.]+%\)$)", words)
        assert own, words
        nodes[number] = name, [Written(own[1]), Written(total)]
    edge = r'^(N\d+) -> (N\d+) \[label=" (\S+?)(?:\\n \(inline\))?" .*?color='
    edges = {
        (nodes[a][0], nodes[b][0]): Written(value)
        for a, b, value in re.findall(edge, text, re.MULTILINE)
    }
    rows = mine["rows"]
    assert {printed(row): [row["self"], row["total"]] for row in rows} == dict(nodes.values())
    assert edges
    assert {
        (printed(row), printed(other)): other["value"] for row in rows for other in row["callees"]
    } == edges


def assert_tags(text: str, mine: Any) -> None:
    wanted = parse_tags(text, Written)
    got: Counter[tuple[str, str]] = Counter()
    to = "bytes" if "1638400B" in text else "auto"
    for row in mine["rows"]:
        value = row["value"]
        value = value if isinstance(value, str) else units.label(value, row["unit"], to)
        got[row["key"], value] += row["total"]
    assert dict(got) == wanted


def assert_traces(text: str, mine: Any) -> None:
    """Theirs are samples, ours stacks; samples of one stack differ in labels."""
    stacks = {tuple(printed(f) for f in row["stack"]): row["value"] for row in mine["rows"]}
    wanted = parse_traces(text)
    assert all(len(values) == 1 for values in wanted.values()), "each stack is one sample"
    assert stacks == {stack: Written(value) for stack, (value,) in wanted.items()}


def callgrind(text: str) -> tuple[Counter[tuple[str, int]], Counter[tuple[str, str]]]:
    """The cost of each line of each function, and of the calls from one to another."""
    own, calls = Counter[tuple[str, int]](), Counter[tuple[str, str]]()
    names: dict[str, str] = {}
    function = callee = ""
    is_call = False
    for line in text.splitlines():
        if named := re.fullmatch(r"(c?)fn=\((\d+)\)(?: (.*))?", line):
            name = names.setdefault(named[2], named[3])
            function, callee = (function, name) if named[1] else (name, "")
        elif line.startswith("calls="):
            is_call = True
        elif cost := re.fullmatch(r"(?:\S+ )?(\d+|\*) (\d+)", line):
            if is_call:
                calls[function, callee] += int(cost[2])
            else:
                own[function, int(cost[1])] += int(cost[2])
            is_call = False
    return +own, +calls


def assert_callgrind(text: str, path: str, out: Path) -> None:
    """Theirs are in megabytes where values are bytes, each rounded down."""
    cprof.load(path).write(out)
    own, calls = callgrind(out.read_text())
    factor = 2**20 if "(MB)" in text else 1
    wanted_own, wanted_calls = callgrind(text)
    assert {k: v // factor for k, v in own.items() if v >= factor} == wanted_own
    for call, value in wanted_calls.items():
        assert 0 <= calls.pop(call) / factor - value < (2 if factor > 1 else 1), call
    assert {caller for caller, callee in calls if calls[caller, callee] >= factor} == {"all"}


def test_all_cases_of_google_are_here(samples: Path) -> None:
    table = (samples / "internal/driver/driver_test.go").read_text()
    table = table.partition("testcase := []struct")[2].partition("baseConfig")[0]
    assert re.findall(r'\{"([^"]+)", "(\w+)"\},', table) == CASES


@pytest.fixture
def expected(samples: Path) -> Callable[[str, str], str]:
    folder = samples / "internal" / "driver" / "testdata"
    return lambda flags, source: (folder / golden(flags, source)).read_text()


@pytest.mark.parametrize("case", [c for c in CASES if not is_left_out(c)], ids=" ".join)
def test_golden(case: tuple[str, str], expected: Any, ours: Any, tmp_path: Path) -> None:
    text = expected(*case)
    words = case[0].split(",")
    kind, _, pattern = words[0].partition("=")
    path = str(PROFILES / case[1])
    options = [f"-{word}" for word in words[1:] if not IGNORED.match(word)]
    if kind in ("text", "tree", "dot"):
        given = {option.partition("=")[0] for option in options}
        options += [word for word in USUAL if word.partition("=")[0] not in given]
    if kind == "text":
        options = [word for word in options if "edgefraction" not in word]
        assert_top(text, ours("top", *options, path))
    elif kind == "tree":
        assert_tree(text, ours("tree", *options, path))
    elif kind == "dot":
        assert_dot(text, ours("tree", *options, path))
    elif kind == "peek":
        assert_tree(text, ours("peek", *options, path, pattern))
    elif kind == "tags":
        assert_tags(text, ours("tags", *options, path))
    elif kind == "traces":
        assert_traces(text, ours("traces", *options, path))
    elif kind == "comments":
        assert ours("comments", path)["rows"] == text.splitlines()
    else:
        assert kind == "callgrind"
        assert_callgrind(text, path, tmp_path / "out.callgrind")
