"""Stacks that unwinders get wrong: each workload is one of them, and says what its stacks are.

Every stack has to be one that its program can have; start-up and exit, outside of main, are
told by not having any of its functions.
"""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from answers import CLOCK, UNWINDERS, chains, check_grammar, ends_in

import cprof

pytestmark = [pytest.mark.perf, pytest.mark.parametrize("unwind", UNWINDERS)]

FREQ = 4000
COMPILERS = {"gcc": ("gcc", "-O2"), "gcc-O0": ("gcc", "-O0"), "clang": ("clang", "-O2")}


@pytest.fixture(params=COMPILERS)
def compiled(request, workload):
    """Build a source with each of the compilers."""
    cc, level = COMPILERS[request.param]

    def build(source: str, *flags: str) -> str:
        name = f"{Path(source).stem}-{request.param}"
        return str(workload.build(source, level, *flags, cc=cc, name=name))

    return build


def record(command: "list[str | Path]", unwind: str, **options: int) -> cprof.Profile:
    return cprof.record([str(word) for word in command], freq=FREQ, unwind=unwind, **options)


def is_whole(profile: cprof.Profile) -> bool:
    return profile.quality["complete"] >= 0.999


def readelf(program: "str | Path", *options: str) -> str:
    command = ["readelf", "--wide", *options, str(program)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# Stubs and the vdso

STUBS = {"lazy": "-Wl,-z,lazy", "now": "-Wl,-z,now", "ibt": "-Wl,-z,ibtplt"}


@pytest.mark.parametrize("form", STUBS)
def test_linkage_stub(workload, form, unwind):
    library = workload.build("stub.c", "-DLIBRARY", "-shared", "-fPIC", name="libnothing.so")
    flags = (STUBS[form], "-Wl,--no-as-needed", str(library))
    program = workload.build("stub.c", *flags, name=f"stub-{form}")
    assert (".plt.sec" in readelf(program, "--sections")) == (form == "ibt")
    profile = record([program, "1"], unwind)
    stacks = check_grammar(profile, f"main( loop( nothing@plt| nothing|{CLOCK}))?")
    assert ends_in(stacks, "nothing@plt") >= 0.03
    assert ends_in(stacks, "nothing") >= 0.03
    assert is_whole(profile)


def test_vdso(workload, unwind):
    profile = record([workload("clock.c"), "1"], unwind)
    check_grammar(profile, f"main( look{CLOCK})?")
    in_vdso = sum(row.self for row in profile.functions() if row.module == "[vdso]")
    assert in_vdso >= 0.3 * profile.totals["cpu"]
    assert is_whole(profile)


# Frames

# gcc 12 says of the last two instructions of a function that realigns its stack that the
# caller's frame pointer is still saved. Callers that go by theirs are lost there.
GCC_WRONG = 0.02


def test_frames_that_no_constant_describes(compiled, unwind):
    """Arrays of variable length, alloca, a realigned stack, and a call that is a jump."""
    program = compiled("frames.c")
    paths = "variable( grown( leaf)?)?|aligned( leaf)?|landed( leaf)?|jumps_on( landed( leaf)?)?"
    if "O0" not in program:  # there a jump is a call
        paths = paths.replace("jumps_on( landed( leaf)?)?", "jumps_on")
    profile = record([program, "1"], unwind)
    wrong = GCC_WRONG if "O0" in program else 0.001
    stacks = check_grammar(profile, f"main( round_of( ({paths}))?|{CLOCK})", wrong=wrong)
    for name in ("grown", "variable", "aligned", "landed", "leaf"):
        assert ends_in(stacks, name) > 0, stacks
    assert is_whole(profile)


def test_realigned_stack_is_found_through_a_saved_pointer(workload, unwind):
    """The rule that this file is about is there: CFA by an expression."""
    program = workload.build("frames.c", "-mstackrealign", name="frames-realigned")
    assert "DW_CFA_def_cfa_expression" in readelf(program, "--debug-dump=frames")
    profile = record([program, "1"], unwind)
    paths = "variable( grown( leaf)?)?|(aligned|landed)( leaf)?|jumps_on"
    check_grammar(profile, f"main( round_of( ({paths}))?|{CLOCK})", wrong=GCC_WRONG)
    assert profile.quality["complete"] >= 1 - GCC_WRONG


@pytest.mark.parametrize("kib", [20, 70, 300])
def test_one_large_frame(workload, kib, unwind):
    """A frame larger than what is copied hides its callers; it has its name all the same."""
    profile = record([workload("deep.c"), "1", str(kib << 10), "0.7"], unwind)
    inside = check_grammar(profile, rf"(main|\[truncated\])( descend( bottom{CLOCK})?)?")
    cut = sum(n for chain, n in inside.items() if chain.startswith("[truncated]"))
    assert cut == profile.truncated == profile.quality["ends"]["truncated"]
    assert ends_in(inside, "bottom") >= 0.9
    if kib == 20:  # but the one between making room on the stack and first touching it
        assert cut <= 1


def test_large_frame_that_was_never_touched(workload, unwind):
    """The kernel copies the stack up to the first page that does not exist."""
    profile = record([workload("deep.c"), "1", "20480", "0.7", "sparse"], unwind)
    inside = check_grammar(
        profile, rf"(main|\[(truncated|bad memory)\])( descend( bottom{CLOCK})?)?"
    )
    assert ends_in(inside, "bottom") >= 0.9


def test_variable_frames_at_every_depth(workload, unwind):
    profile = record([workload("deep.c"), "100", "64", "0.7"], unwind)
    inside = check_grammar(profile, f"main( descend){{0,100}}( bottom{CLOCK})?")
    at_bottom = {c.count("descend"): n for c, n in inside.items() if "bottom" in c}
    assert set(at_bottom) == {100}


# Code by hand


def test_return_address_behind_the_last_instruction(compiled, unwind):
    """The call at a function's end does not return: the address after it is another's."""
    program = compiled("edges.c")
    profile = record([program, "noreturn", "0.7"], unwind)
    stacks = check_grammar(profile, f"main( last_call( finish{CLOCK})?|{CLOCK})")
    assert ends_in(stacks, "finish") >= 0.9
    assert not [chain for chain in stacks if "bystander" in chain]
    assert is_whole(profile)


def test_frame_pointer_of_all_ones(compiled, unwind):
    program = compiled("edges.c")
    profile = record([program, "rbp", "0.7"], unwind)
    stacks = check_grammar(profile, f"main( framed( ones)?|{CLOCK})")
    assert ends_in(stacks, "ones") >= 0.5
    assert is_whole(profile)


def test_stack_pointer_kept_below_the_stack(compiled, unwind):
    """No sample has that word. The tables' unwinder finds the caller all the same, by a guess
    that it counts; libunwind says that it does not."""
    profile = record([compiled("edges.c"), "below", "0.7"], unwind)
    stacks = check_grammar(profile, rf"main( framed( aligned)?|{CLOCK})|\[bad memory\] aligned")
    assert ends_in(stacks, "aligned") >= 0.5
    if unwind == "table":
        assert profile.quality["complete"] >= 0.995
        assert profile.quality["guessed"] >= 0.5 * profile.samples


@pytest.mark.parametrize("first", ["ends", "leads"])
def test_switched_stacks(compiled, first, unwind):
    """A coroutine's own stack is whole where its first frame says that it begins there.
    Where the frame leads to the stack that is not copied, the end has a reason."""
    own = "begins_here" if first == "ends" else r"\[(bad memory|other stack|truncated)\] leads_on"
    profile = record([compiled("coroutine.c"), first, "0.7"], unwind)
    program = f"main( resume_all( resumed| switch_stack|{CLOCK}))?"
    stacks = check_grammar(profile, rf"{program}|{own} body( inner_work| switch_stack)?")
    for name in ("inner_work", "resumed", "switch_stack"):
        assert ends_in(stacks, name) > 0
    away = sum(n for chain, n in stacks.items() if chain.startswith("["))
    assert (away >= 0.3 * profile.samples) == (first == "leads")
    ends = profile.quality["ends"]
    assert sum(n for end, n in ends.items() if end not in ("root", "kernel")) == away


# Threads

THREAD_FIRST = r"(_*clone3?|libc\.so\.6!fn_\w+)"
THREAD_START = f"{THREAD_FIRST} start_thread"


def test_stacks_of_threads_begin_where_threads_do(workload, unwind):
    """20,000 short ones: many samples are at their beginning and end. At its very first
    instruction, in the kernel still, no table speaks of the new thread: the end is named."""
    profile = record([workload("storm.c"), "threads", "20000", "20"], unwind)
    found = {c: n for c, n in chains(profile).items() if c != "[lost]"}
    threads = Counter({c: n for c, n in found.items() if "main" not in c.split()})
    inside = Counter({c: n for c, n in threads.items() if "gust" in c.split()})
    assert inside.total() >= 20
    odd = [c for c in inside if not re.fullmatch(rf"({THREAD_START} )?thread_main gust{CLOCK}", c)]
    assert not odd
    cut = Counter({c: n for c, n in threads.items() if c.startswith("[")})
    assert not [c for c in cut if not re.fullmatch(rf"\[no unwind info\] {THREAD_FIRST}", c)]
    assert cut.total() <= 0.2 * profile.samples
