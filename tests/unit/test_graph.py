"""The call graph, traces, and views by regular expressions, of profiles whose truth is plain to
see. Every number beside the Go tool: tests/integration/test_pprof_verbs.py."""

import pytest
from pprofs import profile

import cprof
from cprof.graph import Trim
from cprof.question import Question

STACKS = {
    "main@prog;work@prog;alloc@lib.so": 5,
    "main@prog;work@prog": 3,
    "main@prog;alloc@lib.so": 2,
    "main@prog;work@prog;work@prog": 1,
}


@pytest.fixture
def p() -> cprof.Profile:
    return profile(STACKS, period=1)


def test_nodes_and_calls(p):
    graph = p.graph("samples")
    assert {n.function: (n.self, n.total) for n in graph.nodes} == {
        "alloc": (7, 7), "work": (4, 9), "main": (0, 11),
    }  # fmt: skip
    named = {(graph.nodes[c.caller].function, graph.nodes[c.callee].function): c.value
             for c in graph.calls}  # fmt: skip
    assert named == {("main", "work"): 9, ("work", "alloc"): 5, ("main", "alloc"): 2}


def test_calls_over_what_is_left_out_stay(p):
    graph = Question(p, 0).graph(trim=Trim(0.0, 0.0, 0))
    assert graph.n_dropped == 0
    graph = Question(p.hide("work"), 0).graph()
    assert [(c.value, c.is_residual) for c in graph.calls] == [(7, False)]
    few = Question(p, 0).graph(cum=True, trim=Trim(0.8, 0.0, 0))
    assert [n.function for n in few.nodes] == ["main", "work"]
    assert few.n_dropped == 1


def test_calls_are_left_out_by_their_part_of_all(p):
    """Of all cost, also of that in functions which are left out themselves."""
    few = Question(p, 0).graph(cum=True, trim=Trim(0.8, 0.5, 0))  # work has 4 of 11 itself
    assert [(c.value, c.is_residual) for c in few.calls] == [(9, False)]
    assert not Question(p, 0).graph(cum=True, trim=Trim(0.8, 1.0, 0)).calls


def test_peek_callers_callees(p):
    assert [(r.caller, r.callee, r.value) for r in p.callers("alloc", "samples")] == [
        ("work", "alloc", 5), ("main", "alloc", 2),
    ]  # fmt: skip
    assert [(r.callee, r.value) for r in p.callees("^work$", "samples")] == [("alloc", 5)]
    text = str(p.peek("work", "samples")).splitlines()
    assert [line.split("|")[1].strip() for line in text if "|" in line] == [
        "function", "main  (prog)", "work  (prog)", "alloc  (lib.so)",
    ]  # fmt: skip
    assert "<pre>" in p.peek("work")._repr_html_()
    assert "main" in str(p.callers("work"))
    for ask in (p.peek, p.callers, p.callees):
        with pytest.raises(ValueError, match="no function in this profile matches 'nobody'"):
            ask("nobody")
        with pytest.raises(ValueError, match="is no regular expression"):
            ask("(")


def test_traces(p):
    traces = p.traces("samples")
    assert [(row.value, [f for f, _ in row.stack]) for row in traces] == [
        (5, ["alloc", "work", "main"]),
        (3, ["work", "main"]),
        (2, ["alloc", "main"]),
        (1, ["work", "work", "main"]),
    ]
    assert traces[0].sums == (5, 5)
    assert len(traces[1:3]) == 2
    assert "... and 3 more stacks" in traces.text(1)


@pytest.mark.parametrize(
    ("view", "left"),
    [
        (lambda p: p.focus("alloc"), {"alloc": (7, 7), "work": (0, 5), "main": (0, 7)}),
        (lambda p: p.focus("lib.so"), {"alloc": (7, 7), "work": (0, 5), "main": (0, 7)}),
        (lambda p: p.ignore("alloc"), {"work": (4, 4), "main": (0, 4)}),
        (lambda p: p.hide("alloc"), {"work": (9, 9), "main": (2, 11)}),
        (lambda p: p.show("work|main"), {"work": (9, 9), "main": (2, 11)}),
        (lambda p: p.show_from("work"), {"alloc": (5, 5), "work": (4, 9)}),
        (lambda p: p.prune_from("work"), {"work": (9, 9), "main": (0, 11), "alloc": (2, 2)}),
    ],
)
def test_views(p, view, left):
    rows = view(p).functions("samples")
    assert {r.function: (r.self, r.total) for r in rows if r.total} == left


def test_nothing_left_is_an_empty_profile(p):
    assert p.focus("nobody").totals == {"samples": 0, "cpu": 0}


def test_rows_of_other_granularity_and_order(p):
    [lib, prog] = p.functions("samples", granularity="modules")
    assert (lib.module, lib.self, lib.total) == ("lib.so", 7, 7)
    assert (prog.module, prog.self, prog.total) == ("prog", 4, 11)
    assert [row.function for row in p.top(2, cum=True)] == ["main", "work"]
    with pytest.raises(ValueError, match="granularity 'rooms': known are functions"):
        p.top(granularity="rooms")


def test_less_a_base_is_in_order_of_size():
    from cprof.question import subtract

    one = profile({"main@prog;a@prog": 10, "main@prog;b@prog": 1})
    two = profile({"main@prog;a@prog": 2, "main@prog;b@prog": 20})
    rows = Question(subtract(one, two), 0).table()
    assert [(r.function, r.self, r.total) for r in rows[:2]] == [("b", -19, -19), ("a", 8, 8)]
    half = Question(subtract(one, two, normalize=True), 0).table()
    assert sum(r.self for r in half) == 0
