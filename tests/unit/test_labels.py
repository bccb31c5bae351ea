"""Labels: what filters of tags match (cases as in google/pprof, driver_test.go's
TestTagFilter and TestNumericTagFilter), and the table."""

import pytest
from pprofs import encode, profile

import cprof
from cprof import _core, labels


def texts(**values):
    return [(key, value, "") for key, of in values.items() for value in of]


@pytest.mark.parametrize(
    ("expression", "tags", "matches"),
    [
        ("tag2", texts(a=["tag1", "tag2"]), True),
        ("tag3", texts(a=["tag1", "tag2"]), False),
        ("tag1,tag3", texts(a=["tag1", "tag2"], b=["tag3"]), True),
        ("t..[12],t..3", texts(a=["tag1", "tag2"], b=["tag3"]), True),
        ("tag2,tag3", texts(a=["tag1", "tag2"]), False),
        ("key1=tag1,tag2", texts(key1=["tag1", "tag2"]), True),
        ("key1=tag1,tag2", texts(key1=["tag1"]), True),
        ("key2=tag1", texts(key1=["tag1"]), False),
        ("key1:tag1,tag2", texts(key1=["tag1", "tag2"]), True),
        ("key1:tag1,tag2", texts(key1=["tag2"]), False),
        ("key1:tag1,tag2", texts(key1=["tag1"]), False),
    ],
)
def test_texts(expression, tags, matches):
    assert labels.parse("tagfocus", expression, {})(tags) is matches


@pytest.mark.parametrize(
    ("expression", "numbers", "matches"),
    [
        ("128kb", [("a", 131072, "bytes"), ("b", 128, "kilobytes")], True),
        ("512kb", [("a", 512, "bytes"), ("b", 128, "kilobytes")], False),
        ("10bytes", [("a", 10, "bytes")], True),
        (":10bytes", [("a", 8, "bytes")], True),
        (":10kb", [("a", 8, "bytes")], True),
        ("10b:", [("a", 8, "kilobytes")], True),
        ("10b:", [("a", 8, "bytes")], False),
        (":10b", [("a", 12, "bytes")], False),
        ("bytes=5b", [("bytes", 10, "bytes"), ("bytes", 5, "bytes")], True),
        ("bytes=1024b", [("bytes", 1024, "kilobytes")], False),
        ("bytes=512b:1024b", [("bytes", 780, "bytes")], True),
        ("key1=1kb:2kb", [("key1", 4096, "bytes")], False),
        ("key1=1kb:2kb", [("key1", 256, "bytes")], False),
        ("key2=256bytes", [("key1", 256, "bytes")], False),
        ("bytes=-512b:-128b", [("bytes", -256, "bytes")], True),
        ("bytes=-512b:-128b", [("bytes", -2048, "bytes")], False),
        ("tid=7", [("tid", 7, "id")], True),
    ],
)
def test_ranges(expression, numbers, matches):
    units = {key: unit for key, _, unit in numbers}
    assert labels.parse("tagfocus", expression, units)(numbers) is matches


def test_a_bad_pattern_names_its_option():
    with pytest.raises(ValueError, match=r"tagignore: '\(' is no regular expression"):
        labels.parse("tagignore", "key=(", {})


@pytest.fixture
def threads() -> cprof.Profile:
    rows = [
        ("main@prog;hot@prog", 70, {"thread": "worker-1", "comm": "prog", "tid": 11}),
        ("main@prog;cold@lib.so", 30, {"thread": "main", "comm": "prog", "tid": 12}),
    ]
    return profile(rows)


def test_the_table(threads):
    tags = threads.tags("samples")
    assert [tuple(row.values()) for row in tags] == [
        ("comm", "prog", "", 100),
        ("thread", "worker-1", "", 70),
        ("thread", "main", "", 30),
        ("tid", 11, "id", 70),
        ("tid", 12, "id", 30),
    ]
    assert str(tags).splitlines()[:2] == ["comm: 100 of 100 (100.0%)", "  100  100.0%  prog"]
    assert ">worker-1</td>" in tags._repr_html_()


def test_filters(threads):
    assert threads.tagfocus("thread=^work").totals["samples"] == 70
    assert threads.tagfocus("tid=12").totals["samples"] == 30
    assert threads.tagignore("worker").totals["samples"] == 30
    assert threads.tagfocus("nothing").samples == 0


def test_how_a_stack_was_found_is_a_label_too():
    data = encode(
        [
            (("main@prog",), (1, 10), {"unwind": "guessed"}),
            (("main@prog",), (1, 20), {}),
            (("f@prog",), (1, 40), {"unwind": "guessed", "tid": 3}),
        ]
    )
    p = cprof.Profile(_core.decode_pprof(data, "x"))
    assert ("unwind", "guessed", 50) in {(t.key, t.value, t.total) for t in p.tags()}
    assert p.tagfocus("unwind=guessed").totals["cpu"] == 50
    assert p.tagignore("unwind=guessed").totals["cpu"] == 20


def test_labels_as_frames(threads):
    by_tid = threads.tagroot("comm", "tid")
    assert {tuple(f for f, _ in trace.stack) for trace in by_tid.traces()} == {
        ("hot", "main", "11", "prog"), ("cold", "main", "12", "prog"),
    }  # fmt: skip
    assert by_tid.totals == threads.totals
    inner = threads.tagleaf("tid").tagfocus("tid=11").tagroot("thread")
    assert [f for f, _ in inner.traces()[0].stack] == ["11", "hot", "main", "worker-1"]
    with pytest.raises(ValueError, match="-tagleaf=x: no sample has such a label; there are comm"):
        threads.tagleaf("x")


def test_samples_without_the_label_say_so():
    p = profile([("f@p", 1, {"bytes": 2048}), ("f@p", 2, {})])
    assert [row.function for row in p.tagleaf("bytes").functions() if row.self] == [
        "[no bytes]", "2048",
    ]  # fmt: skip
