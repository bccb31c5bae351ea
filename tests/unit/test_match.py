"""Patterns: globs, and names that are equal to the pattern."""

from cprof import match


def test_a_name_with_brackets_matches_itself():
    matches = match.matcher("[kernel.kallsyms]")
    assert matches(["[kernel.kallsyms]"])
    assert not match.matcher("[kernel.kallsyms]")(["libc.so.6"])


def test_case_counts_and_the_whole_name_must_match():
    assert match.matcher("par*")(["parse"])
    assert not match.matcher("Par*")(["parse"])
    assert not match.matcher("arse")(["parse"])


def test_several_patterns_are_any_of_them_and_none_match_nothing():
    matches = match.matcher(["a", "b*"])
    assert [matches([n]) for n in ("a", "bc", "c")] == [True, True, False]
    assert not match.matcher([])(["a"])


def test_threads_by_name_tid_process_and_pid():
    threads = [(1, 1, "main", "prog"), (1, 2, "worker-1", "prog"), (3, 3, "worker-1", "other")]
    assert match.by_thread(threads, "worker*", None) == b"\0\1\1"
    assert match.by_thread(threads, 2, None) == b"\0\1\0"
    assert match.by_thread(threads, None, "prog") == b"\1\1\0"
    assert match.by_thread(threads, None, 3) == b"\0\0\1"
    assert match.by_thread(threads, "worker*", "prog") == b"\0\1\0"
    assert match.by_thread(threads, ["main", 3], None) == b"\1\0\1"


def test_modules_by_name_and_by_path_where_there_is_a_slash():
    mappings = [
        (0, 1, 0, "/usr/lib/libz.so.1", "libz.so.1", ""),
        (1, 2, 0, "/opt/libs/prog", "prog", ""),
    ]
    assert match.by_module(mappings, "lib*") == b"\1\0"
    assert match.by_module(mappings, "/opt/*") == b"\0\1"
    assert match.by_module(mappings, ["prog", "*/libz*"]) == b"\1\1"


def test_functions_by_any_way_to_write_them_and_by_symbol():
    functions = [
        ("parse(int)", "_Z5parsei", "", 0, "prog"),
        ("void walk<int>(int)", "_Z4walkIiEvT_", "", 0, "prog"),
    ]
    assert match.by_function(functions, "parse") == b"\1\0"
    assert match.by_function(functions, "parse(int)") == b"\1\0"
    assert match.by_function(functions, "walk") == b"\0\1"
    assert match.by_function(functions, "_Z4walk*") == b"\0\1"
