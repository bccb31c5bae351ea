"""What a profile says of its own stacks, on programs whose stacks are known."""

import os
from pathlib import Path

import pytest
from answers import is_gone

import cprof

pytestmark = pytest.mark.perf

HOW = ("fallback", "guessed", "spliced", "continued", "refused")


@pytest.fixture(scope="module")
def jit(workload, tmp_path_factory):
    """A second in code that was made at run time, which no table knows: each of its stacks
    has a step by frame pointer."""
    pid_file = tmp_path_factory.mktemp("jit") / "pid"
    script = 'echo $$ >"$0"; exec "$@"'
    profile = cprof.record(["sh", "-c", script, str(pid_file), str(workload("jit.c")), "1"])
    pid = int(pid_file.read_text())
    assert is_gone(pid)
    Path(f"/tmp/perf-{pid}.map").unlink(missing_ok=True)
    return profile


def is_in_jit(profile, stack):
    return any(name.startswith("jit_") for name, _ in profile._core.stack(stack))


def test_guessed_stacks_are_those_through_code_without_tables(jit):
    guessed = [bool(how & 2) for how in jit.columns["how"]]
    inside = [is_in_jit(jit, stack) for stack in jit.columns["stack"]]
    assert sum(inside) >= 0.9 * jit.samples
    apart = sum(is_guess != is_inside for is_guess, is_inside in zip(guessed, inside, strict=True))
    assert apart <= 0.002 * jit.samples  # at its first instruction there may be nothing to go by
    assert jit.quality["guessed"] == sum(guessed)
    assert jit.quality["complete"] >= 0.99
    assert f"{100 * sum(guessed) / jit.samples:.1f} % guessed" in str(jit.top())


def test_modules_add_up_to_the_whole(jit):
    rows = jit.quality_by_module()
    whole = jit.quality
    for name in ("samples", "truncated", "no_mapping", "unknown", *HOW):
        assert sum(row[name] for row in rows) == whole[name], name
    assert sum(row.complete * row.samples for row in rows) == pytest.approx(
        whole["complete"] * whole["samples"]
    )
    assert rows[0].module == "[jit]"
    # The others are of interrupts in it.
    assert rows[0].guessed == pytest.approx(rows[0].samples, rel=0.003)


def test_parts_add_up_to_the_whole(jit):
    for parts in (jit.split(0.1), [jit.filter(under="jit_hot*"), jit.filter(under="jit_cold")]):
        assert sum(part.quality["guessed"] for part in parts) == jit.quality["guessed"]
    sum_of_all = sum(jit.split(0.1))
    assert sum_of_all.quality["guessed"] == jit.quality["guessed"]
    assert list(sum_of_all.columns["how"]) == list(jit.columns["how"])


def test_a_file_keeps_the_quality(jit, tmp_path):
    path = tmp_path / "jit.pb.gz"
    jit.write(path)
    again = cprof.load(path)
    assert again.quality == jit.quality
    assert again.quality_by_module() == jit.quality_by_module()
    assert again.labels == jit.labels == {}


def test_truncated_stacks_break_where_the_copy_ends(workload):
    program = workload("deep.c")
    command = [str(program), "100", "1024", "0.5"]
    profile = cprof.record(command, stack="dump", stack_bytes=8192)
    quality = profile.quality
    assert quality["truncated"] >= 0.95 * quality["samples"]
    assert [quality[how] for how in ("spliced", "continued", "refused")] == [0, 0, 0]
    assert not any(profile.columns["n_added"])
    rows = {row.module: row for row in profile.quality_by_module()}
    own = rows[os.path.basename(program)]
    assert own.reason == "truncated"
    assert own.broke >= 0.95 * quality["samples"]


def test_samples_can_be_verified(workload):
    profile = cprof.record([str(workload("calltree.c")), "0.5"], verify=1.0)
    quality = profile.quality
    assert quality["verified"] >= 0.95 * (quality["samples"] - quality["kernel"])
    assert quality["verified"] <= quality["samples"]
    assert quality["agreed"] >= 0.99 * quality["verified"]
    assert f"of {quality['verified']:,d} verified agree" in str(profile.top())
    some = cprof.record([str(workload("calltree.c")), "1"], verify=0.1).quality
    assert 0.02 * some["samples"] < some["verified"] < 0.3 * some["samples"]
