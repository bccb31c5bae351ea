"""Our files in the reference reader, and the reference's own files in ours."""

import re
import subprocess
from collections import Counter

import pytest
from answers import stacks
from permission import perf_refusal

import cprof


@pytest.fixture(scope="module")
def recording(workload, tmp_path_factory):
    """A profile with threads, C++ names, the kernel, and a file of it."""
    if perf_refusal():
        pytest.skip(perf_refusal())
    path = tmp_path_factory.mktemp("recording") / "out.pb.gz"
    profile = cprof.record([str(workload("threads.c")), "1"])
    profile += cprof.record([str(workload("shapes.cc")), "0.5"])
    profile = profile.with_lines()  # which a file has: also inlined functions of the C library
    profile.write(path)
    return profile, path


def test_every_reading_of_our_file_has_our_totals(pprof, recording):
    profile, path = recording
    assert pprof.raw_totals(path) == profile.totals
    for sample_type, unit in (("cpu", "ns"), ("samples", "count")):
        total, rows = pprof.top(path, sample_type, unit)
        assert total == profile.totals[sample_type]
        assert sum(flat for flat, _ in rows.values()) == total
        assert pprof.traces_total(path, sample_type, unit) == total


def test_every_function_has_the_same_self_and_total(pprof, recording):
    """By name, as pprof sums them; to a nanosecond or what floats in its text allow."""
    profile, path = recording
    for sample_type, unit in (("cpu", "ns"), ("samples", "count")):
        _, rows = pprof.top(path, sample_type, unit)
        ours: Counter[str] = Counter()
        for row in profile.functions(sample_type):
            ours[row.function] += row.self
        theirs = {name: flat for name, (flat, _) in rows.items() if flat}
        assert theirs == {name: value for name, value in ours.items() if value}
        in_one_module = [n for n, k in Counter(r.function for r in profile.functions()).items()
                         if k == 1]  # fmt: skip
        cums = {r.function: r.total for r in profile.functions(sample_type)}
        for name in in_one_module:
            assert rows[name][1] == cums[name], name


def test_period_duration_and_time_arrive(pprof, workload, tmp_path):
    path = tmp_path / "one.pb.gz"
    profile = cprof.record([str(workload("burner.c")), "slices", "0.5"])
    profile.write(path)
    text = pprof("-raw", str(path))
    assert "PeriodType: cpu nanoseconds\n" in text
    assert "Period: 1003009\n" in text
    assert profile.start_time is not None
    assert f"{profile.start_time:%Y-%m-%d %H:%M:%S}" in text
    assert re.search(r"^Duration: [1-9]|^Duration: 0\.[1-9]", text, re.MULTILINE)
    first = text.partition("Mappings\n")[2].splitlines()[0]
    assert "burner" in first, "the first mapping is the program itself"
    assert "[FN]" in first
    assert "burner slices 0.5" in text, "the command is among the comments"


def test_labels_of_threads_arrive(pprof, recording):
    _, path = recording
    text = pprof("-tags", str(path))
    for n, share in ((1, 10), (2, 20), (3, 30), (4, 40)):
        assert f"worker-{n}" in text, share


def test_our_file_comes_back_as_it_was(recording):
    profile, path = recording
    again = cprof.load(path)
    assert again.totals == profile.totals
    assert [dict(r) for r in again.functions()] == [dict(r) for r in profile.functions()]
    assert stacks(again) == stacks(profile)
    assert {(t.name, t.tid, t.pid) for t in again.threads} == {
        (t.name, t.tid, t.pid) for t in profile.threads
    }
    assert again.quality["ends"] == profile.quality["ends"]
    assert again.command == profile.command
    assert again.event == profile.event
    assert again.duration == pytest.approx(profile.duration)


@pytest.mark.perf
def test_times_of_samples_are_labels_to_others(pprof, recording, tmp_path):
    profile, path = recording
    timed = tmp_path / "timed.pb.gz"
    profile.write(timed, times=True)
    assert pprof.raw_totals(timed) == profile.totals
    assert pprof.top(timed, "cpu", "ns") == pprof.top(path, "cpu", "ns")
    again = cprof.load(timed)
    assert again.totals == profile.totals
    assert again.quality == cprof.load(path).quality
    first = min(profile.columns["time"])
    assert sorted(again.columns["time"]) == sorted(t - first for t in profile.columns["time"])


def test_file_that_went_through_the_go_tool(pprof, recording, tmp_path):
    profile, path = recording
    other = tmp_path / "through-go.pb.gz"
    pprof("-proto", f"-output={other}", str(path))
    again = cprof.load(other)
    assert again.totals == profile.totals
    assert Counter({r.function: r.self for r in again.functions()}) == Counter(
        {r.function: r.self for r in profile.functions()}
    )


def test_difference_made_by_the_go_tool_has_negative_values(pprof, workload, tmp_path):
    for name, seconds in (("a", "1"), ("b", "0.3")):
        profile = cprof.record([str(workload("burner.c")), "slices", seconds])
        profile.write(tmp_path / f"{name}.pb.gz")
    difference = tmp_path / "diff.pb.gz"
    base, new = str(tmp_path / "a.pb.gz"), str(tmp_path / "b.pb.gz")
    pprof("-proto", f"-output={difference}", f"-base={base}", new)
    profile = cprof.load(difference)
    assert profile.totals == pprof.raw_totals(difference)
    assert profile.totals["cpu"] < 0
    assert profile.functions()
    assert profile.tree().text()


# Files of google/pprof


SAMPLES = ("profile/testdata", "internal/proftest/testdata", "internal/report/testdata")
KINDS = (".cpu", ".heap", ".contention", ".growth", ".thread", ".all", ".none")


def test_sample_files_of_google_pprof_keep_their_totals(pprof, samples, tmp_path):
    """Those of profile.proto, which are compressed, as they are; the older formats after the Go
    tool made profile.proto of them."""
    n_proto = n_converted = 0
    for folder in SAMPLES:
        for path in sorted((samples / folder).iterdir()):
            if path.suffix not in KINDS:
                continue
            if path.read_bytes().startswith(b"\x1f\x8b"):
                assert cprof.load(path).totals == pprof.raw_totals(path), path
                n_proto += 1
                continue
            with pytest.raises(cprof.CorruptProfile):
                cprof.load(path)
            converted = tmp_path / f"{n_converted}.pb.gz"
            pprof("-proto", f"-output={converted}", str(path), check=False)
            if not converted.exists():
                continue  # the reference itself does not take it
            profile = cprof.load(converted)
            totals = pprof.raw_totals(converted)
            assert profile.totals == totals, path
            for name, unit in profile.sample_types:
                rows = profile.functions(name)
                assert sum(r.self for r in rows) == totals[name], (path, name, unit)
            n_converted += 1
    assert n_proto >= 2
    assert n_converted >= 14


def test_large_sample_file_function_by_function(pprof, samples):
    path = samples / "internal/proftest/testdata/large.cpu"
    profile = cprof.load(path)
    _, rows = pprof.top(path, "cpu", "ns")
    ours: Counter[str] = Counter()
    for row in profile.functions("cpu"):
        ours[row.function] += row.self
    largest = [name for name, _ in ours.most_common(50)]
    assert {n: rows[n][0] for n in largest} == {n: ours[n] for n in largest}


def test_file_that_we_wrote_from_theirs_is_the_same_profile(pprof, samples, tmp_path):
    path = samples / "internal/proftest/testdata/large.cpu"
    rewritten = tmp_path / "rewritten.pb.gz"
    cprof.load(path).write(rewritten)
    assert pprof.raw_totals(rewritten) == pprof.raw_totals(path)
    assert pprof.top(rewritten, "cpu", "ns") == pprof.top(path, "cpu", "ns")


def test_hand_made_seed_of_their_fuzzer_is_no_crash(samples):
    for path in (samples / "fuzz/testdata").iterdir():
        try:
            cprof.load(path)
        except cprof.CorruptProfile:
            continue


GO_PROGRAM = """package main

import ("os"; "runtime/pprof"; "time")

//go:noinline
func spin(end time.Time) (n int) {
	for time.Now().Before(end) {
		for i := 0; i < 100000; i++ { n += i ^ n }
	}
	return
}

func main() {
	file, err := os.Create(os.Args[1])
	if err != nil { panic(err) }
	pprof.StartCPUProfile(file)
	spin(time.Now().Add(time.Second))
	pprof.StopCPUProfile()
	file.Close()
}
"""


def test_profile_that_a_go_program_wrote_of_itself(pprof, tmp_path):
    source, out = tmp_path / "main.go", tmp_path / "go.pb.gz"
    source.write_text(GO_PROGRAM)
    env = pprof.env | {"GO111MODULE": "off", "GOFLAGS": "", "CGO_ENABLED": "0"}
    command = [pprof.go, "run", str(source), str(out)]
    subprocess.run(command, env=env, check=True, timeout=180)
    profile = cprof.load(out)
    assert profile.totals == pprof.raw_totals(out)
    assert "main.spin" in [row.function for row in profile.top(3)]
    assert profile.sample_types == [("samples", "count"), ("cpu", "nanoseconds")]


@pytest.mark.perf
def test_go_program_recorded(pprof, tmp_path):
    """A static program with its own linker, unwind tables in .debug_frame or by frame pointer
    only; names in .symtab."""
    source, program = tmp_path / "main.go", tmp_path / "spinner"
    source.write_text(GO_PROGRAM)
    env = pprof.env | {"GO111MODULE": "off", "GOFLAGS": "", "CGO_ENABLED": "0"}
    subprocess.run([pprof.go, "build", "-o", program, str(source)], env=env, check=True)
    profile = cprof.record([str(program), str(tmp_path / "own.pb.gz")])
    rows = {row.function: row.total for row in profile.functions()}
    assert rows["main.spin"] >= 0.9 * profile.totals["cpu"]
    assert rows["main.main"] >= 0.9 * profile.totals["cpu"]
