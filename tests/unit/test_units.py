"""Units, with numbers from google/pprof's internal/measurement."""

import pytest

from cprof import units


@pytest.mark.parametrize(
    ("value", "unit", "to", "text"),
    [
        (1, "s", "ms", "1000ms"),
        (1, "kb", "b", "1024B"),
        (1, "kbyte", "b", "1024B"),
        (1, "kilobyte", "b", "1024B"),
        (1, "mb", "kb", "1024kB"),
        (1, "gb", "mb", "1024MB"),
        (1024, "gb", "tb", "1TB"),
        (1024, "tb", "pb", "1PB"),
        (2048, "mb", "auto", "2GB"),
        (3145728, "B", "auto", "3MB"),
        (456, "ns", "us", "0.46us"),
        (500, "nanoseconds", "auto", "500ns"),
        (1234567890, "nanoseconds", "minimum", "1.23s"),
        (3600, "s", "auto", "1hrs"),
        (-3600, "s", "auto", "-1hrs"),
        (7, "count", "auto", "7"),
        (7, "id", "minimum", "7"),
        (7, "widgets", "gadgets", "7gadgets"),
        (0, "bytes", "MB", "0"),
        (1, "bytes", "gb", "0"),
    ],
)
def test_labels(value, unit, to, text):
    assert units.label(value, unit, to) == text


@pytest.mark.parametrize(
    ("unit", "to", "can"),
    [
        ("nanoseconds", "ms", True),
        ("bytes", "MB", True),
        ("count", "count", True),
        ("count", "ms", False),
        ("bytes", "ms", False),
        ("nanoseconds", "auto", True),
    ],
)
def test_what_can_be_converted(unit, to, can):
    assert units.is_convertible(unit, to) is can


def test_words_that_are_units():
    assert all(map(units.is_unit, ("ms", "seconds", "kB", "megabytes", "auto", "minimum", "count")))
    assert not units.is_unit("parsec")
