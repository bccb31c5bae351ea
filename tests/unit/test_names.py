"""Function names: what is cut, and what only looks as if it could be. The truth is the C++
grammar of demangled names; each pair was checked by eye."""

import pytest

from cprof.names import elide, last_part, printable, simplify, variants, without_parameters

SIMPLE = {
    "main": "main",
    "void foo<int>(int)": "foo",
    "int* bar<a::b<c> >(x)": "bar",
    "(anonymous namespace)::f(int)": "(anonymous namespace)::f",
    "ns::(anonymous namespace)::f(int) const": "ns::(anonymous namespace)::f",
    "main::{lambda(int)#1}::operator()(int) const": "main::{lambda(int)#1}::operator()",
    "f(int)::{lambda()#1}::operator()() const": "f::{lambda()#1}::operator()",
    "operator<<(std::ostream&, int)": "operator<<",
    "x::operator-><int>()": "x::operator->",
    "operator new(unsigned long)": "operator new",
    "operator delete[](void*)": "operator delete[]",
    "A::operator bool() const": "A::operator bool",
    "foo(int) [clone .constprop.0]": "foo",
    "foo [clone .cold]": "foo [clone .cold]",
    "decltype(auto) g<x>()": "g",
    "std::function<void (int)>::operator()(int) const": "std::function::operator()",
    "f(void (*)(int))": "f",
    "<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop": (
        "<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop"
    ),
    "core::ptr::drop_in_place<alloc::string::String>": "core::ptr::drop_in_place",
    "main.(*T).Method": "main.(*T).Method",
    "LazyCompile:~parse /x/y.js:3": "LazyCompile:~parse /x/y.js:3",
    "JS:*foo (file.js:1:2)": "JS:*foo (file.js:1:2)",
    "[truncated]": "[truncated]",
    "prog!fn_0x1234": "prog!fn_0x1234",
    "a->b": "a->b",
    "": "",
}


@pytest.mark.parametrize(("name", "short"), SIMPLE.items())
def test_simplify(name, short):
    assert simplify(name) == short


@pytest.mark.parametrize("name", ["(", ")", ")(", "<", "<<<<", "a<b", "operator", "operator(", "]"])
def test_what_is_no_name_at_all_is_survived(name):
    assert isinstance(simplify(name), str)
    assert simplify(name) or not name


def test_parameters_go_and_template_arguments_stay():
    assert without_parameters("std::vector<int>::push_back(int const&)") == (
        "std::vector<int>::push_back"
    )


def test_the_last_part_is_the_functions_own_name():
    assert last_part("std::vector::push_back") == "push_back"
    assert last_part("cc1plus!fn_0x12") == "fn_0x12"
    assert last_part("<Vec<T> as core::ops::Drop>") == "<Vec<T> as core::ops::Drop>"
    assert last_part("operator!") == "operator!"
    assert last_part("main") == "main"


def test_variants_hold_every_way_to_write_a_name():
    assert variants("void foo<int>(int)") == ("void foo<int>(int)", "void foo<int>", "foo")
    assert variants("main") == ("main",)


def test_control_characters_cannot_reach_a_terminal():
    assert printable("a\x1b[31mb\n\udc80") == "a\ufffd[31mb\ufffd\ufffd"
    assert printable("größe 日本") == "größe 日本"


def test_elide_prefers_the_simple_name_to_a_cut_one():
    assert elide("f", 5) == "f"
    assert elide("ns::function<int, char>(int)", 14) == "ns::function"
    assert elide("abcdefgh", 5) == "abcd…"
    assert len(elide("x" * 1000, 80)) == 80


def test_long_hostile_names_take_linear_time():
    simplify("operator<" * 20_000)
    simplify("(" * 200_000)
