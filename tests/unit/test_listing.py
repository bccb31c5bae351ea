"""Listings of a profile with known lines: costs, sources found and not found, text."""

import gzip

import pytest
from pprofs import block, number, profile, varint

import cprof

SOURCE = "int f(int x)\n{\n\treturn g(x) <\n           h(x);\n}\n" + "\n" * 20 + "int g();\n"


def with_lines(file):
    """10 samples of f at line 3, 5 of them with g (line 26 of the same file) inlined."""
    strings = ["", "samples", "count", "f", "g", str(file), "/bin/prog"]
    body = block(1, number(1, 1) + number(2, 2))
    body += block(3, number(1, 1) + number(2, 0x1000) + number(3, 0x2000) + number(5, 6))
    for i, (name, start) in enumerate(((3, 1), (4, 26)), 1):
        body += block(5, number(1, i) + number(2, name) + number(4, 5) + number(5, start))
    in_f = block(4, number(1, 1) + number(2, 3))
    in_g = block(4, number(1, 2) + number(2, 26))
    body += block(4, number(1, 1) + number(2, 1) + number(3, 0x1010) + in_f)
    body += block(4, number(1, 2) + number(2, 1) + number(3, 0x1020) + in_g + in_f)
    for location in (1, 2):
        body += block(2, block(1, varint(location)) + block(2, varint(5)))
    body += b"".join(block(6, text.encode()) for text in strings)
    path = file.parent / "lines.pb.gz"
    path.write_bytes(gzip.compress(body))
    return cprof.load(path)


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "deep" / "prog.c"
    file.parent.mkdir()
    file.write_text(SOURCE)
    return file


def test_costs_beside_the_source(source):
    listing = with_lines(source).list("^f$")
    assert str(listing) == (
        "f  (prog)\n"
        f"{source}\n"
        "self 5 (50.0%), total 10 (100.0%) of samples\n"
        "self  total\n"
        "   .      .  1  int f(int x)\n"
        "   .      .  2  {\n"
        "   5     10  3      return g(x) <\n"
        "   .      .  4             h(x);\n"
        "   .      .  5  }\n"
        "   .      .  6"
    )
    html = listing._repr_html_()
    assert "return g(x) &lt;" in html
    assert html.count("background") == 1


def test_largest_function_first_and_gaps_are_marked(source):
    listing = with_lines(source).list("f|g")
    assert [f.function for f in listing] == ["f", "g"]
    (line,) = [row for row in listing[1].rows if row.total]
    assert (line.number, line.self, line.total, line.source) == (26, 5, 5, "int g();")


def test_a_source_that_is_not_there_leaves_the_numbers(source, tmp_path):
    p = with_lines(source)
    source.rename(tmp_path / "prog.c")
    listing = p.list("^f$")
    assert "source file is not there" in str(listing)
    assert [(row.number, row.total, row.source) for row in listing[0].rows] == [(3, 10, None)]
    assert "return g" in str(p.list("^f$", source_path=tmp_path))
    assert "return g" in str(p.list("^f$", source_path=f"/nowhere:{tmp_path}"))
    trimmed = p.list("^f$", source_path=[tmp_path], trim_path=f"{source.parent}/")
    assert f"source: {tmp_path / 'prog.c'}" in str(trimmed)


def test_functions_without_lines():
    listing = profile({"main@prog;hot@prog": 3}).list("hot", "samples")
    assert "no line is known" in str(listing)
    assert [(row.number, row.self, row.total) for row in listing[0].rows] == [(0, 3, 3)]


@pytest.mark.parametrize("verb", ["list", "disassemble"])
def test_patterns_that_match_nothing_or_are_none(verb):
    p = profile({"main@prog;hot@prog": 3})
    with pytest.raises(ValueError, match="no function in this profile matches 'cold'"):
        getattr(p, verb)("cold")
    with pytest.raises(ValueError, match="no regular expression"):
        getattr(p, verb)("(")


def test_disassembling_what_is_not_there(monkeypatch):
    p = profile({"main@prog;hot@prog": 3})
    with pytest.raises(OSError, match="/usr/bin/prog"):
        p.disassemble("hot")
    with pytest.raises(cprof.CprofError, match="not in a file"):
        profile({"main;hot": 3}).disassemble("hot")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(cprof.errors.MissingPackage, match="no objdump"):
        p.disassemble("hot")
