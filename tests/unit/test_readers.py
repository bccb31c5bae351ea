"""Files of other programs: folded text, perf script, speedscope."""

import gzip
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from pprofs import profile

import cprof
from cprof.readers import folded, perf_script, speedscope

PERF = Path(__file__).parent.parent / "data/perf"


def read(module, data) -> cprof.Profile:
    data = data.encode() if isinstance(data, str) else data
    assert module.matches(data)
    return cprof.Profile(module.read(data, "file"))


def refused(module, data) -> str:
    with pytest.raises(cprof.CorruptProfile) as error:
        module.read(data.encode() if isinstance(data, str) else data, "bad.txt")
    assert str(error.value).startswith("bad.txt: ")
    assert "\n" not in str(error.value)
    return str(error.value)


def selfs(p, sample_type=None) -> dict[str, int]:
    return {row.function: row.self for row in p.functions(sample_type) if row.self}


@pytest.mark.parametrize(
    ("text", "totals"),
    [
        ("prog;main 9\nprog;main;f 4\n", {"samples": 13}),
        ("main 9\nmain;f 4\n", {"samples": 13}),
        ("worker 1;cpu 2 [x] 3\n", {"samples": 3}),
        ("t 12 1.000001: 5 cycles:\n\t 10 f (/bin/x)\n\n", {"samples": 1, "cycles": 5}),
        ("t 12 \n\t 10 f (/bin/x)\n\n", {"samples": 1}),
        (('{"shared": {"frames": [{"name": "f"}]}, "profiles": [{"type": "sampled", "unit": "none",'
         ' "samples": [[0]], "weights": [4]}]}'), {"samples": 4}),
    ],
)  # fmt: skip
def test_what_a_file_holds_decides(tmp_path, text, totals):
    (tmp_path / "file").write_text(text)
    (tmp_path / "file.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("file", "file.gz"):
        assert cprof.load(tmp_path / name).totals == totals


# Folded text


def test_folded_text_comes_back_as_it_was(tmp_path):
    stacks = {"main;parse;read": 5, "main;parse": 3, "main;write;flush": 2, "idle": 1}
    text = "".join(f"{stack} {n}\n" for stack, n in stacks.items())
    p = read(folded, text)
    assert p.totals == {"samples": 11}
    assert p.samples == 11
    p.write(tmp_path / "again.folded")
    lines = dict(x.rsplit(" ", 1) for x in (tmp_path / "again.folded").read_text().splitlines())
    assert lines == {stack: str(n) for stack, n in stacks.items()}


def test_spaces_brackets_and_numbers_are_part_of_names():
    p = read(folded, "operator new(unsigned long) 8;std::map<int, char>::at 7\njava 12;x\t3\n")
    assert selfs(p) == {"std::map<int, char>::at": 7, "x": 3}
    assert "java 12" in [row.function for row in p.functions()]


def test_suffixes_of_stackcollapse_tell_kernel_jit_and_inlined():
    p = read(folded, "main;helper_[i];sys_read_[k] 4\nmain;made_[j] 3\n")
    assert {row.function: row.module for row in p.functions()} == {
        "sys_read": "[kernel.kallsyms]", "made": "[jit]", "helper": "", "main": "",
    }  # fmt: skip
    assert p.quality["kernel"] == 4
    places = [len(p._core.locations(n)) for n in set(p.columns["stack"])]
    assert sorted(places) == [2, 2], "main with its inlined helper is one location"


def test_places_of_py_spy_become_files_and_lines():
    p = read(folded, "<module> (run.py:9);work (lib/work.py:12) 6\n<module> (other.py:1) 1\n")
    files = {row[2] for row in p._core.functions_table if row[2]}
    assert files == {"run.py", "lib/work.py", "other.py"}
    assert {(r.function, r.module): r.self for r in p.functions()} == {
        ("work", "work.py"): 6, ("<module>", "run.py"): 0, ("<module>", "other.py"): 1,
    }  # fmt: skip


def test_frames_of_our_own_keep_their_meaning():
    p = read(folded, "[truncated];f 2\n[lost] 3\nmain;[unknown] 5\n")
    assert (p.truncated, p.lost, p.quality["unknown"]) == (2, 3, 5)


def test_two_columns_are_a_difference():
    assert "difference" in refused(folded, "main;a 3 5\nmain;b 0 2\n")
    assert "cprof diff" in refused(folded, "main;a 3 5\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [("a;b 1\nc;d\n", 2), ("a;b 1\n\n\nx 1.5.2\n", 4), ("a 1\nb 99999999999999999999\n", 2)],
)
def test_a_bad_line_of_folded_text_is_named(text, line):
    assert f"line {line}:" in refused(folded, text)


def test_an_empty_file_holds_no_samples():
    for module in (folded, perf_script):
        assert "no samples" in refused(module, "")


@pytest.mark.parametrize(
    ("text", "totals"),
    [
        ("a;b 3\r\nc 4  \t\r\n", {"b": 3, "c": 4}),
        ("\ufeffa 3\n", {"a": 3}),
        ("# of x 1.0 (y)\na;b 3\n#c 4\n# end\n", {"b": 3, "#c": 4}),
        ("a;;b 3\n;c 4\nd; 5\n", {"b": 3, "c": 4, "[unknown]": 5}),
        ("a 3.0\nb 4.\n", {"a": 3, "b": 4}),
        ("a 3.5\nb 4.25\nc -1.5\n", {"a": 4, "b": 4, "c": -2}),
    ],
)
def test_folded_text_as_it_occurs(tmp_path, text, totals):
    (tmp_path / "file").write_bytes(text.encode())
    p = cprof.load(tmp_path / "file")
    assert selfs(p) == totals
    is_rounded = "rounded to whole numbers: 3 values" in p._run["comments"]
    assert is_rounded == ("-1.5" in text)


def test_huge_numbers_are_refused_by_line():
    for digits in ("9" * 30, "9" * 5000, "9" * 5000 + ".5"):
        assert "line 2" in refused(folded, f"a 1\nb {digits}\n")


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"PERFILE2" + bytes(99), "perf script"), (b"\x28\xb5\x2f\xfd...", "zstd"),
     (b"BZh9...", "bzip2"), (b"FLR\0", "Flight Recorder")],
)  # fmt: skip
def test_what_is_not_read_says_what_it_is(tmp_path, data, words):
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(cprof.CorruptProfile, match=words) as error:
        cprof.load(tmp_path / "file")
    assert str(tmp_path / "file") in str(error.value)


# perf script


def by_hand(text: str) -> tuple[Counter[str], int]:
    """Samples by leaf function and the sum of periods, of a text with call chains."""
    leaves: Counter[str] = Counter()
    periods = 0
    for block in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n", "", text)):
        head, _, rest = block.partition("\n")
        if rest:
            leaf = rest.splitlines()[0].split(None, 1)[1]
            leaves[re.sub(r"(\+0x\w+)? \(\S*\)$", "", leaf)] += 1
            periods += int(re.findall(r": +(\d+) ", head)[0])
    return leaves, periods


@pytest.mark.parametrize("name", ["threads.txt", "lines.txt"])
def test_perf_script_adds_up(name):
    text = (PERF / name).read_text()
    p = read(perf_script, text)
    leaves, periods = by_hand(text)
    assert selfs(p, "samples") == leaves
    assert p.totals == {"samples": 30, "cpu": periods}
    assert p.event == "cpu-clock"
    assert {t.name for t in p.threads} == {"t", "my worker 1"}


def test_times_of_perf_script_are_times():
    text = (PERF / "threads.txt").read_text()
    stamps = sorted(round(float(s) * 1e9) for s in re.findall(r" (\d+\.\d{6}):", text))
    p = read(perf_script, text)
    assert sorted(p.columns["time"]) == stamps
    assert p.duration == pytest.approx((stamps[-1] - stamps[0]) / 1e9)
    halves = p.split(p.duration / 2 + 1e-6)
    assert sum(half.samples for half in halves) == 30


def test_pids_lines_and_header_of_perf_script():
    p = read(perf_script, (PERF / "lines.txt").read_text())
    assert {(t.pid, t.name, t.comm) for t in p.threads} == {
        (4735, "t", "t"), (4735, "my worker 1", "t"),
    }  # fmt: skip
    assert p.command.startswith("/usr/bin/perf record")
    assert p.host == "vm"
    files = {row[0]: row[2] for row in p._core.functions_table}
    assert files["leaf"] == "t.c"
    lines = {frame[1] for frame in p._core.frame_tree(True)[3]}
    assert {4, 6} <= lines


def test_inlined_functions_of_perf_script_are_in_their_function():
    p = read(perf_script, (PERF / "inlined.txt").read_text())
    row = next(r for r in p.functions() if r.function.startswith("std::vector"))
    assert row.module == "inl", "the module of the function that they were inlined into"
    modules = {r.function: r.module for r in p.functions()}
    assert modules["get_mem_cgroup_from_mm"] == "[kernel.kallsyms]"
    assert p.quality["kernel"] == 1
    assert p.functions()[0].total <= p.totals["cpu"]


def test_several_events_are_several_sample_types():
    text = (PERF / "events.txt").read_text()
    p = read(perf_script, text)
    heads = re.findall(r": +(\d+) +(cpu-clock|page-faults):", text)
    sums = Counter[str]()
    for period, event in heads:
        sums[event] += int(period)
    assert p.totals == {
        "samples": len(heads), "cpu": sums["cpu-clock"], "page-faults": sums["page-faults"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "head",
    [
        "java 25607 4794564.109216: cycles:",
        "java 12688 [002] 6544038.708352: cpu-clock:",
        "V8 WorkerThread 24636/25607 [000] 94564.109216: cycles:ppp:",
        "Gecko\t25122 [007] 115539.936601:\t\t1000000 task-clock:u:",
        "FS Broker 5858  5791/5860  30171.917889:    4612247 cycles:ppp: ",
        "java 25607/25608 4794564.109216: 33 cycles:uppp:",
        ":-1    -1 [000] 12.345678: 1 cycles:",
        "swapper     0 [001] d..1. 12.345678901: 1 sched:sched_switch: prev_comm=a ==> b",
        "a b 1 2 3",
        "kworker/0:1-ev  27 [000] 5.000001: 10 cycles:k:",
    ],
)
def test_every_layout_of_the_first_line(head):
    text = f"{head}\n\tffffffff810013aa f+0x1 ([kernel.kallsyms])\n\t 401000 main (/bin/p q)\n\n"
    p = read(perf_script, text)
    assert {r.function: (r.self > 0, r.module) for r in p.functions("samples")} == {
        "f": (True, "[kernel.kallsyms]"), "main": (False, "p q"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "x 1 1.000001: 5 cycles: ffff8881\n\t 10 f (/bin/x)\n\n",  # -F addr
        "x 1 1.000001: 5 cycles: ffff8881 5080021 |OP LOAD|LVL L1 hit\n\t 10 f (/bin/x)\n\n",
        "x 1 1.000001: 5 cycles:\n\t 10 f+0x1f (/bin/x)\n 0x40/0x50/P/-/-/0  0x6/0x7/M/-/-/3\n",
        "x 1 1.000001: 5 cycles:\n\t 10 f (/bin/x)\n f+0x10/g<a, b>+0x30/P/-/-/0 \n\n",
        "x 1 1.000001: 5 cycles:\n\t 10 f+0x1f (/bin/x)\n  x y.c:12\n\n",
        "x 1 1.000001: 5 cycles:  10 f+0x1 (/bin/x)\n",
        "# ====\n# hostname : h\n#\nx 1 1.000001: 5 cycles:\r\n\t 10 f (/bin/x)\r\n\r\n",
    ],
)
def test_fields_that_perf_may_print_besides(text):
    p = read(perf_script, text)
    assert [dict(row) for row in p.functions("samples")] == [
        {"function": "f", "module": "x", "self": 1, "total": 1}
    ]
    assert p.totals["cycles"] == 5


def test_java_names_have_spaces():
    frame = "7f1 Lorg/foo/Bar;::baz (int, int)+0x3 (/tmp/perf-12.map)"
    p = read(perf_script, f"java 12/34 [001] 1.000001: 5 cycles:u:\n\t {frame}\n\n")
    assert selfs(p) == {"Lorg/foo/Bar;::baz (int, int)": 5}


def test_names_of_files_and_functions_with_brackets():
    text = (
        "x 1 1.000001: 5 cycles:\n"
        "\t 1234 operator()(int) const+0xff (/tmp/a.out (deleted))\n"
        "\t 5678 (anonymous namespace)::g(char*) (/opt/x (1)/lib.so)\n"
        "\t 9abc _ZN3foo3barEv+0x3 ([vdso])\n\t 0 [unknown] ([unknown])\n\n"
    )
    p = read(perf_script, text)
    assert {(r.function, r.module) for r in p.functions()} == {
        ("operator()(int) const", "a.out (deleted)"), ("(anonymous namespace)::g(char*)", "lib.so"),
        ("foo::bar()", "[vdso]"), ("[unknown]", ""),
    }  # fmt: skip


def test_losses_that_perf_prints_are_lost_samples():
    text = (
        "x 1 1.000001: 5 cycles:\n\t 10 f (/bin/x)\n\n"
        "x 1 1.000002: PERF_RECORD_MMAP2 1/1: [0x1(0x2) @ 0 08:01 1 1]: r-xp /bin/x\n"
        "x 1 1.000003: PERF_RECORD_LOST lost 7\n"
        "x 1 1.000004: 5 cycles:\n\t 10 f (/bin/x)\n"
    )
    p = read(perf_script, text)
    assert (p.samples, p.lost, p.totals["samples"]) == (2, 7, 9)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x 1 1.000001: 5 cycles:\n\t 10 f (/bin/x)\nnot a sample\n", 3),
        ("x 1 1.000001: 5 cycles:\n\tzzzz\n", 2),
        ("\x00\x01\x02\n", 1),
    ],
)
def test_a_bad_line_of_perf_script_is_named(text, line):
    assert f"line {line}:" in refused(perf_script, text)


def test_a_file_that_was_cut_off_anywhere_is_read_or_refused():
    for name in ("lines.txt", "inlined.txt", "events.txt"):
        data = (PERF / name).read_bytes()[:6000]
        for end in range(0, len(data), 37):
            try:
                p = cprof.Profile(perf_script.read(data[:end], "cut"))
            except cprof.CorruptProfile:
                continue
            name = p.sample_types[p._core.default_type][0]
            assert sum(row.self for row in p.functions()) == p.totals[name]


# speedscope


def document(*profiles, frames=("a", "b", "c")) -> dict:
    return {"shared": {"frames": [{"name": name} for name in frames]}, "profiles": list(profiles)}


def sampled(samples, weights, unit="none", **more) -> dict:
    return {"type": "sampled", "unit": unit, "samples": samples, "weights": weights, **more}


def evented(events, unit="milliseconds") -> dict:
    return {
        "type": "evented", "unit": unit, "name": "main", "startValue": 10, "endValue": 20,
        "events": [{"type": t, "at": at, "frame": f} for t, at, f in events],
    }  # fmt: skip


def test_sampled_speedscope_profile():
    text = json.dumps(document(sampled([[0, 1], [0], [0, 1, 2]], [2, 3, 4], name="T")))
    p = read(speedscope, text)
    assert p.totals == {"samples": 9}
    assert selfs(p) == {"a": 3, "b": 2, "c": 4}
    assert [t.name for t in p.threads] == ["T"]
    with pytest.raises(cprof.CprofError, match="no times"):
        p.window(0, 1)


def test_evented_speedscope_profile_has_times():
    events = [("O", 10, 0), ("O", 12, 1), ("C", 15.5, 1), ("C", 18, 0), ("O", 19, 2), ("C", 20, 2)]
    p = read(speedscope, json.dumps(document(evented(events))))
    assert p.totals == {"time": 9_000_000}
    assert selfs(p) == {"a": 4_500_000, "b": 3_500_000, "c": 1_000_000}
    assert p.duration == pytest.approx(0.01)
    assert p.window(0.009, 0.01).totals == {"time": 1_000_000}


def test_profiles_of_several_units():
    p = read(speedscope, json.dumps(document(
        sampled([[0]], [1.5], "seconds"), sampled([[1]], [7], "bytes"), sampled([[2]], [3]),
    )))  # fmt: skip
    assert p.totals == {"samples": 3, "time": 1_500_000_000, "space": 7}


def test_what_cprof_wrote_as_speedscope_comes_back(tmp_path):
    p = profile({"main@prog;a@prog": 7, "main@prog;b@lib": 3})
    p.write(tmp_path / "a.speedscope.json")
    again = read(speedscope, (tmp_path / "a.speedscope.json").read_bytes())
    assert again.totals == {"samples": 10, "time": 10_000_000}
    assert selfs(again, "time") == selfs(p, "cpu")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("{\n", "line 2"),
        ('{"nodes": []}', "not speedscope's"),
        ('{"a":' * 100_000, "no JSON"),
        (b'{"\xff": 1}', "no JSON"),
        (json.dumps({"shared": {}}), "frames"),
        (json.dumps(document()), "no samples"),
        (json.dumps(document(sampled([[3]], [1]))), r"profiles[0].samples[0]: there is no frame 3"),
        (json.dumps(document(sampled([[0]], []))), "1 samples, but 0 weights"),
        (json.dumps(document(sampled([[0]], [float("nan")]))), "a value of nan"),
        (json.dumps(document(sampled([[0]], [1e300], "seconds"))), "a value of"),
        (json.dumps(document(sampled([[0]], ["x"]))), "not as speedscope's format"),
        (json.dumps(document(sampled([[0]], [1], "furlongs"))), "furlongs"),
        (json.dumps(document(evented([("O", 10, 0), ("C", 11, 1)]))), "events[1]"),
        (json.dumps(document(evented([("O", 12, 0), ("C", 11, 0)]))), "events[1]"),
        (json.dumps(document(evented([("O", 12, 0)]))), "never closed"),
    ],
)
def test_what_is_wrong_with_a_speedscope_file_is_said(data, words):
    assert words in refused(speedscope, data)
