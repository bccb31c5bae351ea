"""Targets, commands, options and files that are no good: an error that says so, and no file."""

import gzip
import os
import random
import subprocess
import zlib
from pathlib import Path

import pytest

import cprof

NO_SUCH_PID = 4194303  # the largest that can be configured, less one: never given out here


def kernel_thread() -> int:
    """The pid of one (they are the children of kthreadd)."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue
            if text.rpartition(")")[2].split()[1] == "2":
                return int(entry.name)
    pytest.skip("no kernel thread can be seen here (a container)")


def refused(cli, output: Path, *arguments: object, code: int) -> str:
    """The one line that cprof record says on stderr; nothing is written."""
    done = cli("record", "-d", "1", "-o", output, *arguments)
    assert done.returncode == code, done
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("cprof: ")
    assert list(output.parent.iterdir()) == [], "nothing is left behind"
    return str(done.stderr)


@pytest.fixture
def output(tmp_path):
    """Where nothing may appear."""
    folder = tmp_path / "output"
    folder.mkdir()
    return folder / "out.pb.gz"


# Processes


@pytest.mark.perf
def test_process_that_does_not_exist(cli, output):
    with pytest.raises(cprof.TargetGone):
        cprof.record(NO_SUCH_PID, duration=1)
    assert str(NO_SUCH_PID) in refused(cli, output, "-p", NO_SUCH_PID, code=4)


@pytest.mark.perf
def test_one_of_several_that_does_not_exist(workload, running):
    target = running(workload("spin.c"))
    with pytest.raises(cprof.TargetGone, match=str(NO_SUCH_PID)):
        cprof.record([target.pid, NO_SUCH_PID], duration=1)


@pytest.mark.perf
def test_zombie(cli, output, workload, running):
    target = running(workload("spin.c"), "--zombie")
    zombie = int(target.ready.split()[1])
    assert zombie != target.pid
    with pytest.raises(cprof.TargetGone, match="zombie"):
        cprof.record(zombie, duration=1)
    assert "zombie" in refused(cli, output, "-p", zombie, code=4)


@pytest.mark.perf
def test_kernel_thread(cli, output):
    pid = kernel_thread()
    with pytest.raises(cprof.TargetGone, match="kernel thread"):
        cprof.record(pid, duration=1)
    assert "kernel thread" in refused(cli, output, "-p", pid, code=4)


@pytest.mark.perf
def test_process_that_ends_at_once(cli, output):
    """So short that nothing was sampled: an error with the reason. (With a sample or two it
    would be a profile.)"""
    command = ["-F", "1", "--", "true"]
    said = refused(cli, output, *command, code=5)
    assert "no samples" in said
    assert "status 0" in said
    with pytest.raises(cprof.NoSamples) as caught:
        cprof.record(["true"], freq=1)
    assert caught.value.reason
    failed = cli("record", "-F", "1", "-o", output, "--", "false")
    assert failed.returncode == 1, "the command's own failure comes first"
    assert not output.exists()


@pytest.mark.perf
def test_process_that_ends_while_it_is_attached_to(workload):
    """At any moment: a profile, or an error that says that it is gone; nothing else."""
    program = str(workload("spin.c"))
    outcomes = set()
    for i in range(30):
        with subprocess.Popen(
            [program, "--seconds", str(i * 0.0005)], stdout=subprocess.DEVNULL
        ) as process:
            try:
                cprof.record(process.pid, duration=5, freq=4999)
                outcomes.add("profile")
            except (cprof.TargetGone, cprof.NoSamples) as error:
                outcomes.add(type(error).__name__)
    assert outcomes <= {"profile", "TargetGone", "NoSamples"}


# Commands


@pytest.mark.perf
def test_command_that_does_not_exist(cli, output):
    with pytest.raises(cprof.CommandNotFound) as caught:
        cprof.record(["no-such-command-anywhere"])
    assert isinstance(caught.value, FileNotFoundError)
    said = refused(cli, output, "--", "no-such-command-anywhere", code=127)
    assert "no-such-command-anywhere" in said


@pytest.mark.perf
def test_command_that_is_no_program(cli, output, tmp_path):
    plain = tmp_path / "plain.txt"
    plain.write_text("words")
    with pytest.raises(cprof.CommandNotExecutable):
        cprof.record([str(plain)])
    refused(cli, output, "--", plain, code=126)
    refused(cli, output, "--", tmp_path, code=126)


@pytest.mark.perf
def test_command_with_a_bad_interpreter(cli, output, tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    with pytest.raises(cprof.CommandNotFound):
        cprof.record([str(script)])
    refused(cli, output, "--", script, code=127)


# Options


@pytest.mark.perf
def test_frequency_above_the_limit(cli, output, workload):
    limit = int(Path("/proc/sys/kernel/perf_event_max_sample_rate").read_text())
    program = str(workload("spin.c"))
    with pytest.raises(cprof.InvalidOption, match="perf_event_max_sample_rate") as caught:
        cprof.record([program, "--seconds", "0.1"], freq=limit + 1)
    assert isinstance(caught.value, ValueError)
    assert str(limit) in str(caught.value)
    said = refused(cli, output, "-F", limit + 1, "--", program, code=2)
    assert "perf_event_max_sample_rate" in said


@pytest.mark.perf
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"event": "no-such-event"}, cprof.UnsupportedEvent),
        ({"freq": 0}, cprof.InvalidOption),
        ({"freq": -1}, cprof.InvalidOption),
        ({"freq": float("nan")}, cprof.InvalidOption),
        ({"freq": 99, "period": 1000}, cprof.InvalidOption),
        ({"period": 0}, cprof.InvalidOption),
        ({"duration": 0}, cprof.InvalidOption),
        ({"duration": -1}, cprof.InvalidOption),
        ({"stack_bytes": 65536}, cprof.InvalidOption),
        ({"stack_bytes": 12345}, cprof.InvalidOption),
        ({"unwind": "magic"}, cprof.InvalidOption),
        ({"cwd": "/no/such/folder"}, cprof.InvalidOption),
    ],
)
def test_options_that_cannot_work(options, error):
    with pytest.raises(error):
        cprof.record(["true"], **options)


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("sleep 1", TypeError),
        ([], ValueError),
        (0, ValueError),
        (-5, ValueError),
        (2**31, ValueError),
        ([1, "ls"], TypeError),
        (None, TypeError),
        (True, TypeError),
        (["ls\0"], ValueError),
        ([""], (ValueError, cprof.CommandNotFound)),
    ],
)
def test_things_that_are_no_target(target, error):
    with pytest.raises(error):
        cprof.record(target, duration=0.1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["record"],
        ["record", "-p", "abc"],
        ["record", "-p", "0"],
        ["record", "-p", "1", "--", "ls"],
        ["record", "-F", "x", "--", "ls"],
        ["record", "-o", "out.unknown", "--", "ls"],
        ["record", "--label", "novalue", "--", "ls"],
        ["top"],
        ["report"],
        ["no-such-verb"],
        [],
    ],
    ids=" ".join,
)
def test_wrong_usage(cli, arguments, tmp_path):
    done = cli(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done
    assert done.stderr
    assert list(tmp_path.iterdir()) == []


# Profiles


@pytest.fixture(scope="module")
def good(tmp_path_factory, workload):
    """A profile's bytes: a real one, or one made by hand where perf events are refused."""
    from permission import perf_refusal

    path = tmp_path_factory.mktemp("good") / "good.pb.gz"
    if perf_refusal():
        pytest.skip(perf_refusal())
    cprof.record([str(workload("burner.c")), "slices", "0.3"]).write(path)
    return path.read_bytes()


def rejected(cli, path: Path, data: bytes) -> None:
    """Neither the library nor the command line takes these bytes for a profile."""
    path.write_bytes(data)
    with pytest.raises(cprof.CorruptProfile):
        cprof.load(path)
    done = cli("report", path)
    assert done.returncode == 7, done
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_files_that_are_no_profile(cli, tmp_path, good):
    path = tmp_path / "bad.pb.gz"
    random.seed(1)
    noise = bytes(random.randrange(256) for _ in range(4096))
    for data in (
        b"",
        b"\x1f\x8b",
        noise,
        gzip.compress(b""),
        gzip.compress(noise),
        good[: len(good) // 2],
        good[:-4],
        good[:20],
        b"hello world\n",
        b"\x7fELF" + noise,
    ):
        rejected(cli, path, data)


def test_damaged_profiles_are_read_or_rejected_but_nothing_else(tmp_path, good):
    """Bits turned in the file and in what it holds: gzip notices the first, nobody can
    notice all of the second."""
    path = tmp_path / "bad.pb.gz"
    plain = gzip.decompress(good)
    random.seed(2)
    for i in range(200):
        data = bytearray(good if i % 4 == 0 else plain)
        for _ in range(random.randrange(1, 20)):
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        cut = random.randrange(len(data)) if i % 3 == 0 else len(data)
        bad = bytes(data[:cut])
        path.write_bytes(bad if i % 4 == 0 or i % 2 else gzip.compress(bad, 1))
        try:
            profile = cprof.load(path)
        except cprof.CorruptProfile:
            continue
        profile.functions()
        profile.tree().text()
        assert sum(profile.totals.values()) is not None


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def test_hostile_profiles(cli, tmp_path):
    """Small files that promise much: lengths beyond the end, references to nothing, a bomb,
    a group within a group ..."""
    path = tmp_path / "hostile.pb.gz"
    strings = field(6, b"") + field(6, b"samples") + field(6, b"count")
    types = field(1, varint(1 << 3) + varint(1) + varint(2 << 3) + varint(2))
    to_nothing = field(2, field(1, varint(99)) + field(2, varint(1)))
    for data in (
        varint(2 << 3 | 2) + varint(2**60),
        varint(2 << 3 | 2) + b"\xff" * 12,
        strings + types + to_nothing,
        strings + field(1, varint(1 << 3) + varint(7777)),
        types,
        bytes([0x0B]) * 100000,
        field(6, b"not empty"),
    ):
        rejected(cli, path, gzip.compress(data))


def test_compressed_bomb_is_refused_in_bounded_memory(cli, tmp_path):
    """4 GiB of zeros in 4 MiB; a fixed address space would not hold them."""
    path = tmp_path / "bomb.pb.gz"
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    part = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(gzip.compress(b"")[:10] + part * 256 + packer.flush() + bytes(8))
    limit = 3 << 30
    program = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))\n"
        "import cprof\n"
        "try: cprof.load(sys.argv[1])\n"
        "except cprof.CorruptProfile as e: print(e)\n"
    )
    done = subprocess.run(
        [*cli.command[:1], "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_file_that_is_not_there(cli, tmp_path):
    with pytest.raises(FileNotFoundError):
        cprof.load(tmp_path / "nothing.pb.gz")
    done = cli("report", tmp_path / "nothing.pb.gz")
    assert done.returncode == 7
    assert "nothing.pb.gz" in done.stderr
    assert cli("report", tmp_path).returncode == 7


# Writing


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 16 KiB, with a file in it that is to be replaced."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def large(workload):
    """A profile too large for a tiny disk, in every format."""
    from permission import perf_refusal

    if perf_refusal():
        pytest.skip(perf_refusal())
    command = "for i in 1 2 3 4 5 6 7 8; do gcc -O2 -E -dM -xc /dev/null >/dev/null; done"
    return cprof.record(["sh", "-c", command], freq=4000)


@pytest.mark.parametrize("extension", ["pb.gz", "pb", "folded", "svg", "png"])
def test_full_disk_leaves_nothing_under_the_final_name(tiny_disk, large, extension):
    new, old = tiny_disk / f"new.{extension}", tiny_disk / f"old.{extension}"
    old.write_text("what stood here")
    for path in (new, old):
        with pytest.raises(OSError, match="No space left"):
            large.write(path)
    assert old.read_text() == "what stood here"
    assert [p.name for p in tiny_disk.iterdir()] == [old.name], "no temporary file either"


@pytest.mark.perf
def test_full_disk_is_reported_by_the_command_line(cli, tiny_disk):
    command = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; ls / >/dev/null; exit 3"
    (tiny_disk / "filler").write_bytes(bytes(12 << 10))
    output = tiny_disk / "out.pb.gz"
    done = cli("record", "-F", "4000", "-o", output, "--", "sh", "-c", command)
    assert done.returncode == 1, done
    assert "No space left" in done.stderr
    assert [p.name for p in tiny_disk.iterdir()] == ["filler"]


@pytest.mark.perf
def test_results_that_cannot_be_printed(cli, tmp_path, workload):
    path = tmp_path / "out.pb.gz"
    cprof.record([str(workload("burner.c")), "slices", "0.2"]).write(path)
    with open("/dev/full", "w") as full:
        done = cli("report", path, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert "No space left" in done.stderr


@pytest.mark.perf
def test_places_that_cannot_be_written_are_refused_before_the_recording(cli, tmp_path):
    witness = tmp_path / "started"
    for output in ("/no/such/folder/out.pb.gz", tmp_path / "no.extension", tmp_path):
        done = cli("record", "-o", output, "--", "touch", witness)
        assert done.returncode in (1, 2), done
        assert len(done.stderr.splitlines()) == 1
        assert not witness.exists(), "the command was not started"
