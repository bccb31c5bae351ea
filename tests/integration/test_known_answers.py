"""Programs whose true answer is known, recorded as a user does it."""

import os
import re
import shutil
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from answers import (
    BEFORE_MAIN,
    CLOCK,
    UNWINDERS,
    Stack,
    chains,
    check_grammar,
    ends_in,
    is_whole,
    part,
    recorded,
    shares,
    stacks,
    totals,
    truth,
)
from permission import unavailable

import cprof

pytestmark = pytest.mark.perf


# Shares of time


def test_burner_of_70_to_30_within_3_points(workload, tmp_path):
    profile, output = recorded(tmp_path, [workload("burner.c"), "slices", 4])
    true = shares(truth(output))
    found = shares(totals(profile, ["hot", "warm"]))
    assert true["hot"] == pytest.approx(0.70, abs=0.005)
    assert found["hot"] == pytest.approx(true["hot"], abs=0.03)
    assert profile.quality["rate_asked"] == 997
    assert is_whole(profile.quality["coverage"])
    assert profile.quality["complete"] >= 0.995
    assert profile.lost == 0


def test_program_in_step_with_its_sampling_is_seen_as_it_is(workload, tmp_path):
    """Its period is 1 ms. Without jitter, 1000 Hz would see one phase of it only."""
    errors = []
    for _ in range(4):
        profile, output = recorded(tmp_path, [workload("burner.c"), "lockstep", 3], freq=1000)
        true = shares(truth(output))
        found = shares(totals(profile, ["hot", "warm"]))
        errors.append(abs(found["hot"] - true["hot"]))
    assert sum(errors) / len(errors) <= 0.05, errors
    assert max(errors) <= 0.12, errors


def test_cpu_time_of_the_samples_is_that_of_the_program(workload, tmp_path):
    profile, output = recorded(tmp_path, [workload("burner.c"), "slices", 2])
    by_program = sum(truth(output).values())
    by_samples = sum(totals(profile, ["hot", "warm"]).values())
    assert by_samples == pytest.approx(by_program, rel=0.05)
    assert profile.totals["cpu"] == pytest.approx(by_program, rel=0.05)
    assert profile.totals["samples"] == profile.samples


def test_threads_by_name(workload, tmp_path):
    profile, output = recorded(tmp_path, [workload("threads.c"), 3])
    true = shares(truth(output))
    by_thread = {t.name: 0 for t in profile.threads}
    for name in by_thread:
        part_of = profile.filter(thread=name)
        by_thread[name] = part_of.totals["cpu"]
        if name.startswith("worker-"):
            assert totals(part_of, ["churn"])["churn"] >= 0.97 * part_of.totals["cpu"]
    assert set(true) <= set(by_thread)
    found = shares({name: by_thread[name] for name in true})
    for name, share in true.items():
        assert found[name] == pytest.approx(share, abs=0.03)
    workers = [t for t in profile.threads if t.name in true]
    assert {t.comm for t in workers} == {"threads"}
    assert len({t.pid for t in workers}) == 1
    assert len({t.tid for t in workers}) == 4


def test_page_faults_one_by_one(workload):
    command = [str(workload("pages.c")), "3000", "20"]
    profile = cprof.record(command, event="page-faults", period=1)
    assert profile.sample_types == [("samples", "count"), ("page-faults", "count")]
    assert profile.event == "page-faults"
    assert profile.lost == 0
    found = totals(profile, ["first", "second"])
    assert 1000 <= found["first"] <= 1010
    assert 2000 <= found["second"] <= 2010
    assert profile.totals["samples"] == profile.totals["page-faults"] == profile.samples
    assert part(stacks(profile.filter(under="first")), lambda s: "main" in s) == 1


def test_what_is_lost_is_counted_one_by_one(workload):
    """Faults come faster than they can be taken out of a ring that has room for two: what
    does not fit is a frame of its own, and the total is the truth."""
    command = [str(workload("pages.c")), "20000"]
    session = cprof._core.Session(
        argv=command, event="page-faults", period=1, stack_bytes=65528, ring_bytes=128 << 10
    )
    session.start()
    while not session.wait(10.0):
        pass
    profile = cprof.Profile(session.finish())
    assert profile.lost > 1000
    assert profile.quality["lost"] == profile.lost
    assert totals(profile, ["[lost]"])["[lost]"] == profile.lost
    assert 20000 <= profile.totals["page-faults"] <= 20200
    assert profile.samples + profile.lost == profile.totals["samples"]


def test_vdso_and_kernel_have_names(workload):
    """The burner looks at its clock: through the vdso, and in the kernel where allowed."""
    profile = cprof.record([str(workload("burner.c")), "slices", "1"], freq=2000)
    rows = {(row.function, row.module) for row in profile.functions()}
    assert ("__vdso_clock_gettime", "[vdso]") in rows
    if profile.quality["kernel_excluded"]:
        assert profile.quality["kernel"] == 0
        return
    assert profile.quality["kernel"] > 0
    kernel = [name for name, module in rows if module.startswith("[kernel")]
    restricted = Path("/proc/sys/kernel/kptr_restrict").read_text().strip() == "2"
    assert restricted or any("clock_gettime" in name for name in kernel), kernel


def test_kernel_can_be_left_out(workload):
    profile = cprof.record([str(workload("burner.c")), "slices", "0.5"], kernel=False)
    assert profile.quality["kernel_excluded"] is True
    assert profile.quality["kernel"] == 0
    assert not [module for module in profile.modules if "kernel" in module]


# Stacks

# The part of the deep stacks that exact mode has to complete. Who may not have its reader run
# at once (SCHED_FIFO, which takes root) gets fewer.
EXACT = 0.95 if os.geteuid() == 0 else 0.5
LEAVES = "mid1( leaf1| leaf2)?|mid2( leaf3| leaf4)?"
CALL_TREE = f"main( rec){{0,8}}|main( rec){{9}}( top( ({LEAVES}))?)?|main{CLOCK}"


@pytest.mark.parametrize(
    ("cc", "flags"),
    [
        ("gcc", ("-O2", "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer")),
        ("gcc", ("-O2", "-fomit-frame-pointer")),
        ("gcc", ("-O0",)),
        ("clang", ("-O2",)),
        ("gcc", ("-O2", "-static")),
    ],
    ids=["gcc-fp", "gcc-no-fp", "gcc-O0", "clang", "static"],
)
@pytest.mark.parametrize("unwind", UNWINDERS)
def test_call_tree(workload, cc, flags, unwind):
    name = "-".join(["calltree", cc, *(flag.strip("-") for flag in flags)])
    program = workload.build("calltree.c", *flags, cc=cc, name=name)
    profile = cprof.record([str(program), "1.5"], freq=4000, unwind=unwind)
    assert check_grammar(profile, CALL_TREE).total() >= 2000
    leaves = totals(profile, ["leaf1", "leaf2", "leaf3", "leaf4"], "self")
    assert all(leaves.values()), leaves
    assert profile.quality["complete"] >= 0.999


def test_call_tree_in_go(workload, tool):
    """Its unwind information is in .debug_frame only; where it has frames, they have frame
    pointers."""
    program = workload.folder / "gopher"
    command = [tool("go"), "build", "-o", str(program), str(workload.source("gopher.go"))]
    subprocess.run(command, check=True, env={**os.environ, "GO111MODULE": "off"})
    env = {**os.environ, "GODEBUG": "asyncpreemptoff=1"}
    profile = cprof.record([str(program), "1.5"], freq=4000, env=env)
    counts = Counter({c: n for c, n in chains(profile).items() if "main.middle" in c.split()})
    assert counts.total() >= 0.9 * profile.samples
    start = r"runtime\.goexit\S* runtime\.main main\.main main\.middle"
    right = sum(n for c, n in counts.items() if re.fullmatch(rf"{start}( main\.leaf)?", c))
    assert right >= 0.999 * counts.total(), counts.most_common(5)
    assert ends_in(counts, "main.leaf") >= 0.5


def test_frame_pointers_give_the_same_tree_where_there_are_some(workload):
    """The chain is wrong in a prologue, and ends where the C library has no frame pointers:
    that is what it is, and why it is not the default."""
    flags = ("-O0", "-fno-omit-frame-pointer")
    program = workload.build("calltree.c", *flags, name="calltree-fp")
    profile = cprof.record([str(program), "1"], freq=4000, unwind="fp")
    found = Counter({c: n for c, n in chains(profile).items() if "main" in c.split()})
    assert found.total() >= 0.9 * profile.samples
    right = sum(n for chain, n in found.items() if re.search(rf"\b({CALL_TREE})$", chain))
    assert right >= 0.60 * found.total()
    assert profile.quality["unwound"] == {"fp": profile.samples}


@pytest.mark.parametrize("unwind", UNWINDERS)
def test_signal_handler_on_the_same_stack(workload, unwind):
    profile = cprof.record([str(workload("altstack.c")), "1", "same"], freq=4000, unwind=unwind)
    trampoline = r"(__restore_rt|\[unknown\]|libc\.so\.6!fn_\w+)"
    handling = f"victim( {trampoline}( on_signal( handler_work{CLOCK})?)?)?"
    counts = check_grammar(profile, f"main( {handling}|{CLOCK})")
    assert ends_in(counts, "handler_work") >= 0.5
    assert profile.quality["complete"] >= 0.999


@pytest.mark.parametrize("unwind", UNWINDERS)
def test_signal_handler_on_an_alternate_stack(workload, tmp_path, unwind):
    profile, output = recorded(tmp_path, [workload("altstack.c"), 1], unwind=unwind)
    true = truth(output)
    counts = stacks(profile)
    handling = Counter({s: n for s, n in counts.items() if "handler_work" in s})
    assert handling.total() / profile.samples == pytest.approx(
        true["handler"] / sum(true.values()), abs=0.06
    )

    def is_whole(stack: Stack) -> bool:
        at = stack.index("handler_work")
        before = stack[:at]
        return "victim" in before and "on_signal" in before[before.index("victim") :]

    assert part(handling, is_whole) >= 0.99, handling.most_common(3)
    for stack in handling:
        assert stack[0] in ("[other stack]", *BEFORE_MAIN), stack
    ended = profile.quality["ends"].get("other_stack", 0)
    assert ended == sum(n for s, n in counts.items() if s[0] == "[other stack]")


def test_deep_recursion_is_cut_and_counted(workload):
    """300 frames of 1 KiB are more than a sample copies."""
    command = [str(workload("deep.c")), "300", "1024", "1"]
    profile = cprof.record(command, stack="dump", stack_bytes=32768)
    bottom = Counter({s: n for s, n in stacks(profile).items() if "bottom" in s})
    assert bottom.total() >= 0.95 * profile.samples
    assert {stack[0] for stack in bottom} == {"[truncated]"}
    assert profile.truncated == profile.quality["truncated"] == bottom.total()
    assert profile.quality["complete"] <= 0.05
    depths = {stack.count("descend") for stack in bottom}
    assert depths <= set(range(25, 32)), "32 KiB hold about 31 frames"


def test_deep_recursion_is_read_on_in_the_live_process(workload):
    command = [str(workload("deep.c")), "300", "1024", "1"]
    profile = cprof.record(command, stack="exact", stack_bytes=32768)
    bottom = Counter({c: n for c, n in chains(profile).items() if "bottom" in c})
    assert bottom.total() >= 0.95 * profile.samples
    whole = Counter({c: n for c, n in bottom.items() if c.startswith("main")})
    assert whole.total() >= EXACT * bottom.total(), profile.quality
    assert {chain.count("descend") for chain in whole} == {300}
    assert profile.quality["continued"] == whole.total()


def test_live_stack_that_changes_all_the_time(workload):
    """What is put together of two moments breaks the order: there is none of that."""
    profile = cprof.record([str(workload("climb.c")), "2"], stack="exact", freq=2000)
    inside = Counter({c: n for c, n in chains(profile).items() if "one" in c.split()})
    assert inside.total() >= 0.9 * profile.samples
    assert not [chain for chain in inside if not is_climb(chain.split())]
    continued = Counter({c: n for c, n in inside.items() if c.count(" ") > 70})
    assert profile.quality["continued"] >= EXACT * continued.total() >= 500


def is_climb(stack: list[str]) -> bool:
    """Whether its functions follow each other as climb.c's do."""
    text = " ".join(name for name in stack if "clock" not in name)
    if not re.match(r"(\[truncated\] )?main( one|$)|\[truncated\] ", text):
        return False
    follows = {"main": "one", "one": "two", "two": "three", "three": "one"}
    steps = text.removeprefix("[truncated] ").split()
    return all(follows.get(a) == b for a, b in pairwise(steps))


def test_more_stack_bytes_hold_more_of_it(workload):
    command = [str(workload("deep.c")), "50", "1024", "0.5"]
    profile = cprof.record(command, stack="dump", stack_bytes=65528)
    bottom = Counter({s: n for s, n in stacks(profile).items() if "bottom" in s})
    assert part(bottom, lambda s: s.count("descend") == 50 and "main" in s) >= 0.99
    assert profile.quality["complete"] >= 0.99


def test_many_small_frames_reach_the_start(workload):
    profile = cprof.record([str(workload("deep.c")), "300", "1", "0.5"])
    bottom = Counter({s: n for s, n in stacks(profile).items() if "bottom" in s})
    assert part(bottom, lambda s: s.count("descend") == 300 and "main" in s) >= 0.99


# Processes and libraries that come and go


@pytest.mark.parametrize("unwind", UNWINDERS)
def test_fork_without_exec(workload, tmp_path, unwind):
    profile, _ = recorded(tmp_path, [workload("family.c"), "fork", 1.5], unwind=unwind)
    found = shares(totals(profile, ["parent_work", "child_work"]))
    assert found["child_work"] == pytest.approx(2 / 3, abs=0.04)
    [child] = {t.pid for t in profile.filter(under="child_work").threads}
    [parent] = {t.pid for t in profile.filter(under="parent_work").threads}
    assert child != parent
    child_stacks = stacks(profile.filter(under="child_work"))
    assert part(child_stacks, lambda s: "main" in s) >= 0.99


def test_no_follow_leaves_the_child_out(workload):
    profile = cprof.record([str(workload("family.c")), "fork", "1"], follow=False)
    found = totals(profile, ["parent_work", "child_work"])
    assert found["child_work"] == 0
    assert found["parent_work"] > 0.25e9


def test_exec_of_one_program_after_another(workload, tmp_path):
    command = [str(workload("family.c")), "exec", "1.5"]
    profile = cprof.record(command, cwd=tmp_path)
    found = {row.module: row.total for row in profile.functions() if row.function == "stage_work"}
    assert set(found) == {"stage-1", "stage-2", "stage-3"}
    for share in shares(found).values():
        assert share == pytest.approx(1 / 3, abs=0.04)
    threads = profile.filter(under="stage_work").threads
    assert {t.comm for t in threads} == {"stage-1", "stage-2", "stage-3"}
    assert len({t.pid for t in threads}) == 1


@pytest.mark.parametrize("unwind", UNWINDERS)
def test_two_libraries_at_one_address(workload, tmp_path, unwind):
    a, b = workload.library("plugin_a"), workload.library("plugin_b")
    command = [workload("reload.c"), a, "plugin_a", b, "plugin_b", 2]
    profile, output = recorded(tmp_path, command, unwind=unwind)
    true = truth(output)
    assert true.pop("addresses") == 1, "the loader did not reuse the address: no test of it"
    found = {
        row.function: row.total
        for row in profile.functions()
        if (row.function, row.module) in (("plugin_a", a.name), ("plugin_b", b.name))
    }
    assert set(found) == {"plugin_a", "plugin_b"}
    assert shares(found)["plugin_a"] == pytest.approx(shares(true)["a"], abs=0.04)
    strays = [r for r in profile.functions() if r.module in (a.name, b.name)]
    assert sum(r.self for r in strays if r.function not in found) <= 0.01 * profile.totals["cpu"]
    inside = stacks(profile.filter(under="plugin_*"))
    assert part(inside, lambda s: "main" in s and "visit" in s) >= 0.99


# Names


def nm(program: object) -> dict[str, int]:
    listed = subprocess.run(["nm", str(program)], capture_output=True, text=True, check=True)
    entries = (line.split() for line in listed.stdout.splitlines())
    return {e[2]: int(e[0], 16) for e in entries if len(e) == 3}


def test_stripped_program_has_one_stable_name_for_each_function(workload, tmp_path):
    whole = workload("burner.c")
    stripped = workload.build("burner.c", name="burner-stripped", strip=True)
    expected = {f: f"burner-stripped!fn_{nm(whole)[f]:#x}" for f in ("hot", "warm")}
    runs = []
    for _ in range(2):
        profile, output = recorded(tmp_path, [stripped, "slices", 1])
        rows = [r for r in profile.functions() if r.module == "burner-stripped" and r.self]
        runs.append({r.function for r in rows if r.self > 0.02 * profile.totals["cpu"]})
        found = shares(totals(profile, expected.values()))
        assert found[expected["hot"]] == pytest.approx(shares(truth(output))["hot"], abs=0.05)
        unnamed = re.compile(r"burner-stripped!fn_0x[0-9a-f]+|\w+@plt")
        assert [r.function for r in rows if not unnamed.fullmatch(r.function)] == []
        assert profile.quality["complete"] >= 0.99
    assert runs[0] == runs[1] == set(expected.values())


def test_separate_debug_file_names_a_stripped_program(workload, tmp_path):
    program = workload.build("burner.c", name="burner-debuglink")
    debug = program.with_name("burner-debuglink.debug")
    for command in (
        ["objcopy", "--only-keep-debug", program, debug],
        ["strip", "--strip-all", program],
        ["objcopy", f"--add-gnu-debuglink={debug}", program],
    ):
        subprocess.run([str(word) for word in command], check=True, cwd=program.parent)
    profile, output = recorded(tmp_path, [program, "slices", 0.5])
    found = totals(profile, ["hot", "warm"])
    assert shares(found)["hot"] == pytest.approx(shares(truth(output))["hot"], abs=0.08)


def test_small_debug_info_inside_names_a_stripped_program(workload, tmp_path):
    """.gnu_debugdata, as Fedora puts it into its programs."""
    if not shutil.which("xz"):
        unavailable("no xz here")
    program = workload.build("burner.c", name="burner-minidebug")
    symbols = tmp_path / "symbols"
    for command in (
        ["objcopy", "--only-keep-debug", program, symbols],
        ["objcopy", "--strip-debug", symbols],
        ["xz", symbols],
        ["strip", "--strip-all", program],
        ["objcopy", "--add-section", f".gnu_debugdata={symbols}.xz", program],
    ):
        subprocess.run([str(word) for word in command], check=True)
    profile, output = recorded(tmp_path, [program, "slices", 0.5])
    found = totals(profile, ["hot", "warm"])
    assert shares(found)["hot"] == pytest.approx(shares(truth(output))["hot"], abs=0.08)


def test_cpp_names_are_kept_mangled_and_readable(workload):
    profile = cprof.record([str(workload("shapes.cc")), "1.2"])
    expected = {
        "geometry::Box<int, 3>::volume(unsigned long) const": "_ZNK8geometry3BoxIiLi3EE6volumeEm",
        "(anonymous namespace)::hidden(unsigned long)": "_ZN12_GLOBAL__N_16hiddenEm",
        "geometry::operator<<(geometry::Sink&, unsigned long)": "_ZN8geometrylsERNS_4SinkEm",
        "main::{lambda(unsigned long)#1}::operator()(unsigned long) const": "_ZZ4mainENKUlmE_clEm",
    }
    rows = {
        re.sub(r" \[clone .*\]$", "", row.function): row
        for row in profile.functions()
        if row.module == "shapes"
    }
    symbols = {f[0]: f[1] for f in profile._core.functions_table}
    for name, mangled in expected.items():
        assert rows[name].total / profile.totals["cpu"] == pytest.approx(0.25, abs=0.05)
        assert re.sub(r"\.(isra|constprop|part)\.\d+$", "", symbols[rows[name].function]) == mangled
    assert profile.filter(under="geometry::Box<*>::volume").samples
    assert profile.filter(under="geometry::Box::volume").samples


@pytest.mark.parametrize("mangling", ["legacy", "v0"])
def test_rust_names(workload, mangling):
    rustc = shutil.which("rustc")
    if not rustc:
        unavailable("no rustc here")
    program = workload.folder / f"rusty-{mangling}"
    flags = ["-O", "-Zunstable-options", "-C", f"symbol-mangling-version={mangling}"]
    subprocess.run(
        [rustc, *flags, "-o", str(program), str(workload.source("rusty.rs"))],
        env={**os.environ, "RUSTC_BOOTSTRAP": "1"},  # one of the two is not stable
        check=True,
    )
    profile = cprof.record([str(program), "1"])
    rows = {row.function: row.total for row in profile.functions()}
    grow = sum(n for f, n in rows.items() if f.startswith("rusty::forest::grow"))
    bloom = sum(n for f, n in rows.items() if f.startswith("<rusty::Tree as rusty::Plant>::bloom"))
    assert grow / profile.totals["cpu"] == pytest.approx(0.5, abs=0.06)
    assert bloom / profile.totals["cpu"] == pytest.approx(0.5, abs=0.06)
    assert not [name for name in rows if name.startswith(("_R", "_ZN"))]
