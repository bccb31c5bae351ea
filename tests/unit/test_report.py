"""Text: tables and trees, compared with text written by hand."""

import json

import pytest
from pprofs import profile

from cprof.report import Scale, broken_modules, percent, quality_data, share, stacks_line


def test_a_table_is_what_it_was():
    p = profile({"main@prog;hot@prog": 1500, "main@prog;cold@lib.so": 500}, seconds=2.5)
    assert str(p.top()) == (
        "2,000 samples in 2.50 s; lost 0; complete 100.0 %\n"
        "   self  self%    total  total%  function  module\n"
        "1.500 s  75.0%  1.500 s   75.0%  hot       prog\n"
        "0.500 s  25.0%  0.500 s   25.0%  cold      lib.so\n"
        "0.000 s   0.0%  2.000 s  100.0%  main      prog"
    )


def test_a_table_of_another_type_says_so():
    p = profile({"main@prog": 1500})
    lines = str(p.top(1, "samples")).splitlines()
    assert lines[1] == "showing samples (count)"
    assert lines[3].split()[:4] == ["1,500", "100.0%", "1,500", "100.0%"]


def test_an_only_child_is_not_indented_and_branches_are():
    p = profile({"a@p;b@p;c@p": 3, "a@p;b@p;d@q": 1})
    assert str(p.tree("samples")) == (
        "100.0%  4  all\n"
        "100.0%  4  a  (p)\n"
        "100.0%  4  b  (p)\n"
        " 75.0%  3  |- c  (p)\n"
        " 25.0%  1  `- d  (q)"
    )


def test_small_paths_are_left_out_of_a_tree():
    p = profile({"a@p;b@p": 999, "a@p;c@p": 1})
    assert "c  (p)" not in str(p.tree())
    assert "c  (p)" in p.tree().text(min_share=0)
    assert "b  (p)" not in p.tree().text(max_depth=1)


def test_names_cannot_break_the_page():
    p = profile({"evil\x1b[2J\nname@mod\x07": 1})
    for text in (str(p.top()), str(p.tree()), p.top()._repr_html_(), repr(p)):
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "\nname" not in text
    assert "&lt;" in profile({"a<b>@p": 1}).top()._repr_html_()


def test_long_names_are_cut_on_a_narrow_page_and_whole_where_asked():
    name = "ns::" + "x" * 300
    table = profile({f"{name}@prog": 1}).top()
    assert all(len(line) <= 100 for line in table.text(100).splitlines()[1:])
    assert name in table.text(full_names=True)


def test_a_table_of_all_functions_shows_its_beginning():
    p = profile({f"f{i:03d}@p": 1 for i in range(100)})
    assert str(p.functions()).splitlines()[-1] == "... and 60 more functions"
    assert len(str(p.top(70)).splitlines()) == 2 + 70 + 1


def test_deep_recursion_is_no_recursion_here():
    p = profile({";".join(["f@p"] * 3000): 1})
    assert len(str(p.tree()).splitlines()) == 3001


@pytest.mark.parametrize(
    ("unit", "largest", "value", "text"),
    [
        ("nanoseconds", 2 * 10**9, 5 * 10**8, "0.500 s"),
        ("nanoseconds", 5 * 10**6, 5 * 10**6, "5.000 ms"),
        ("nanoseconds", 900, 900, "900 ns"),
        ("milliseconds", 1500, 1500, "1.500 s"),
        ("bytes", 3 * 2**20, 2**20, "1.000 MiB"),
        ("bytes", 100, 100, "100 B"),
        ("count", 12345, 12345, "12,345"),
        ("nanoseconds", 0, 0, "0 ns"),
        ("nanoseconds", -3 * 10**9, -3 * 10**9, "-3.000 s"),
    ],
)
def test_values_are_scaled_by_the_largest(unit, largest, value, text):
    assert Scale(unit, [largest]).text(value) == text


def test_a_share_of_nothing_is_no_number():
    assert percent(1, 0) == "-"
    assert percent(1, 3) == "33.3%"


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 5, "0.0 %"), (1, 3, "33.3 %"), (2, 2000, "0.1 %"), (3, 10000, "0.03 %"), (1, 0, "0.0 %")],
)
def test_small_shares_are_not_shown_as_none(part, whole, text):
    assert share(part, whole) == text


STACKS = [
    ("main@prog;f@lib.so", 900, {}),
    ("main@prog;f@lib.so", 60, {"unwind": "continued"}),
    ("[no unwind info]@;f@lib.so;g@prog", 39, {"unwind": "guessed"}),
    ("[truncated]@;g@prog", 1, {}),
]


def test_what_is_wrong_with_stacks_is_a_line_of_the_heading():
    p = profile(STACKS, comments=["cprof.n_verified: 300", "cprof.n_agreed: 299"])
    line = (
        "stacks: 3.9 % no_info, 0.1 % truncated; 6.0 % continued, 3.9 % guessed; "
        "99.7 % of 300 verified agree"
    )
    assert stacks_line(p) == line
    assert p.top().heading == ("1,000 samples in 10.00 s; lost 0; complete 96.0 %", line)
    assert line in str(p.top())
    assert line in p.top()._repr_html_()
    assert stacks_line(profile({"main@prog": 1})) == ""


def test_modules_are_a_table():
    p = profile([*STACKS, ("main@<b>\x1b", 3, {})])
    table = p.quality_by_module()
    assert str(table) == (
        "samples  complete  truncated  guessed  continued        broke  module\n"
        "    960    100.0%                           6.2%   39 no_info  lib.so\n"
        "     40      0.0%       2.5%    97.5%             1 truncated  prog\n"
        "      3    100.0%                                              <b>\ufffd"
    )
    assert "&lt;b&gt;" in table._repr_html_()
    assert table._repr_html_().count("<th") == 7 + 1  # and thead
    assert table._repr_html_().count("<td") == 21


def test_modules_that_break_stacks_are_named_when_there_are_many():
    assert [row.module for row in broken_modules(profile(STACKS))] == ["lib.so"]
    assert broken_modules(profile({"main@prog": 995, "[bad memory]@;f@prog": 5})) == []
    assert broken_modules(profile({"main@prog": 9, "[truncated]@;f@prog": 5})) == []


def test_quality_as_data_has_the_modules():
    data = quality_data(profile({"a@p;b@q": 4}))
    assert data["samples"] == 4
    [module] = data["modules"]
    assert (module["module"], module["samples"], module["complete"]) == ("q", 4, 1.0)
    json.dumps(data)
