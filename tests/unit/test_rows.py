"""Rows: frozen, and a mapping as well."""

import json
import pickle

import pytest

from cprof.rows import FunctionRow, Thread

ROW = FunctionRow("f", "prog", 2, 5)


def test_a_row_reads_by_attribute_and_by_key():
    assert (ROW.function, ROW.module, ROW.self, ROW.total) == ("f", "prog", 2, 5)
    assert dict(ROW) == {"function": "f", "module": "prog", "self": 2, "total": 5}
    assert list(ROW) == ["function", "module", "self", "total"]
    assert json.loads(json.dumps(dict(ROW)))["self"] == 2
    with pytest.raises(KeyError):
        ROW["__class__"]


def test_a_row_is_frozen():
    with pytest.raises(AttributeError, match="frozen"):
        ROW.total = 3
    with pytest.raises(AttributeError, match="frozen"):
        del ROW.total


def test_equal_rows_are_equal_and_hash_alike():
    same = FunctionRow("f", module="prog", total=5, self=2)
    assert same == ROW
    assert hash(same) == hash(ROW)
    assert FunctionRow("f", "prog", 2, 6) != ROW


@pytest.mark.parametrize("values", [(), (1, 2, 3), (1, 2, 3, 4, 5)])
def test_a_row_takes_all_its_fields(values):
    with pytest.raises(TypeError, match="pid, tid, name, comm"):
        Thread(*values)


def test_rows_survive_pickling():
    assert pickle.loads(pickle.dumps(ROW)) == ROW
    assert repr(ROW) == "FunctionRow(function='f', module='prog', self=2, total=5)"


def test_pandas_takes_rows():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([ROW, ROW])
    assert list(frame.columns) == ["function", "module", "self", "total"]
    assert frame["self"].sum() == 4
