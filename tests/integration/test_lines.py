"""Source lines and inlined functions: of thousands of addresses of real programs, in each
form of debug information, beside llvm-symbolizer; and of what was recorded."""

import collections
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import pytest

import cprof
from cprof import _core

AGREE = 0.99  # of all addresses, at least
N_ADDRESSES = 5_000  # over all programs of test_as_llvm_symbolizer_says

# A frame is (linkage name, path, line).
Frames = list[tuple[str, str, int]]
Ask = Callable[[Path, list[int]], list[Frames]]


def cprofs(path: Path, addresses: list[int]) -> list[Frames]:
    """What cprof says of each address."""
    return [
        [(name, os.path.normpath(file) if file else "", line) for name, file, line, *_ in frames]
        for frames in _core.Code(str(path)).lines(addresses)
    ]


def llvms(path: Path, addresses: list[int]) -> list[Frames]:
    """What llvm-symbolizer says."""
    text = subprocess.run(
        ["llvm-symbolizer", "--inlines", "--no-demangle", "-e", str(path)],
        input="".join(f"{address:#x}\n" for address in addresses),
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    answers = []
    for block in text.strip().split("\n\n"):
        words = block.split("\n")
        places = [re.fullmatch(r"(.*):(\d+):\d+", word) for word in words[1::2]]
        answers.append(
            [
                (name, os.path.normpath(place[1]) if place[1] != "??" else "", int(place[2]))
                for name, place in zip(words[::2], places, strict=True)
                if place
            ]
        )
    return answers


def comparable(frames: Frames) -> Frames:
    """The real function's name is left out: a symbol table has other names for it, too."""
    return [*frames[:-1], ("", *frames[-1][1:])] if frames else []


def is_known(frames: Frames) -> bool:
    """Is this from debug information? Symbol tables name files of assembly, too."""
    return any(line for _, _, line in frames)


def differences(ours: list[Frames], theirs: list[Frames]) -> list[tuple[int, Frames, Frames]]:
    return [
        (i, ours[i], theirs[i])
        for i in range(len(ours))
        if (is_known(ours[i]) or is_known(theirs[i]))
        and comparable(ours[i]) != comparable(theirs[i])
    ]


def code_addresses(path: Path, n: int) -> list[int]:
    """`n` addresses in functions of the symbol table of `path`, always the same."""
    text = subprocess.run(
        ["nm", "-S", "--defined-only", str(path)], capture_output=True, text=True, check=True
    ).stdout
    functions = [
        (int(start, 16), int(size, 16))
        for start, size in re.findall(r"^(\w+) (\w+) [tTwWi] ", text, re.MULTILINE)
    ]
    every = [start + i for start, size in functions for i in range(size)]
    return Random(4).sample(every, min(n, len(every)))


@pytest.fixture(scope="module")
def built(tool: Callable[[str], str], tmp_path_factory: Any, workload: Any) -> Callable[..., Path]:
    """lines.cc, each variant once, in a folder of its own."""
    known: dict[tuple[str, ...], Path] = {}

    def build(compiler: str, *flags: str) -> Path:
        key = (compiler, *flags)
        if key not in known:
            folder = tmp_path_factory.mktemp("lines")
            command = [tool(compiler), "-O2", "-std=c++17", *flags, "-o", "program"]
            source = str(workload.source("lines.cc"))
            subprocess.run([*command, source], cwd=folder, check=True)
            known[key] = folder / "program"
        return known[key]

    return build


def rust_program(tool: Callable[[str], str], folder: Path, workload: Any) -> Path:
    rustc = shutil.which("rustc") or shutil.which("rustc", path=Path.home() / ".cargo" / "bin")
    if not rustc:
        tool("rustc")
    source = workload.source("rusty.rs")
    words = [str(rustc), "-O", "-g", str(source), "-o", str(folder / "rusty")]
    subprocess.run(words, check=True)
    return folder / "rusty"


def libc_debug_file() -> Path:
    libc = Path("/lib/x86_64-linux-gnu/libc.so.6")
    notes = subprocess.run(["readelf", "-n", str(libc)], capture_output=True, text=True, check=True)
    build_id = re.search(r"Build ID: (\w+)", notes.stdout)
    assert build_id
    return Path(f"/usr/lib/debug/.build-id/{build_id[1][:2]}/{build_id[1][2:]}.debug")


@pytest.mark.parametrize("form", ["gcc-4", "gcc-5", "clang-4", "clang-5", "rust", "libc"])
def test_as_llvm_symbolizer_says(
    form: str, tool: Callable[[str], str], built: Callable[..., Path], workload: Any, tmp_path: Path
) -> None:
    tool("llvm-symbolizer")
    n = N_ADDRESSES // 5 if form != "libc" else N_ADDRESSES // 4
    if form == "rust":
        path = symbols = rust_program(tool, tmp_path, workload)
    elif form == "libc":
        path, symbols = Path("/lib/x86_64-linux-gnu/libc.so.6"), libc_debug_file()
        if not symbols.exists():
            pytest.skip("libc6-dbg is not installed")
    else:
        compiler, version = form.split("-")
        compiler = {"gcc": "g++", "clang": "clang++"}[compiler]
        path = symbols = built(compiler, f"-gdwarf-{version}")
    addresses = code_addresses(symbols, n)
    assert len(addresses) > 500
    ours, theirs = cprofs(path, addresses), llvms(path, addresses)
    assert sum(map(is_known, ours)) > 0.7 * len(addresses)
    if form != "libc":
        assert sum(len(frames) > 1 for frames in ours) > 0.1 * len(addresses)
    wrong = differences(ours, theirs)
    shown = "\n".join(f"{addresses[i]:#x}\n  {a}\n  {b}" for i, a, b in wrong[:5])
    assert len(wrong) <= (1 - AGREE) * len(addresses), f"{len(wrong)} differ:\n{shown}"


def pack(path: Path) -> Path:
    packed = path.with_name("packed")
    words = ["objcopy", "--compress-debug-sections", str(path), str(packed)]
    subprocess.run(words, check=True)
    return packed


def separate(path: Path) -> Path:
    """Stripped, its debug file beside it."""
    bare = path.with_name("bare")
    debug = path.with_name("bare.debug")
    subprocess.run(["objcopy", "--only-keep-debug", str(path), str(debug)], check=True)
    words = ["objcopy", "--strip-all", f"--add-gnu-debuglink={debug}", str(path), str(bare)]
    subprocess.run(words, check=True)
    return bare


def share(path: Path) -> Path:
    """By dwz, with what it has in common with a copy in a third file."""
    names = [path.with_name(name) for name in ("one", "two", "common")]
    for name in names[:2]:
        shutil.copy(path, name)
    subprocess.run(["dwz", "-m", *map(str, (names[2], *names[:2]))], check=True)
    return names[0]


def collect(path: Path) -> Path:
    """All .dwo files into one .dwp; they themselves are gone."""
    words = ["llvm-dwp", "-e", str(path), "-o", f"{path}.dwp"]
    subprocess.run(words, check=True)
    for dwo in path.parent.glob("*.dwo"):
        dwo.unlink()
    return path


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(
    ("needs", "flags", "change"),
    [
        ("objcopy", (), pack),
        ("objcopy", (), separate),
        ("dwz", (), share),
        ("objcopy", ("-gsplit-dwarf",), Path),
        ("llvm-dwp", ("-gsplit-dwarf", "-fdebug-types-section"), collect),
    ],
    ids=["compressed", "separate", "dwz", "dwo", "dwp"],
)
def test_form_does_not_matter(
    compiler: str,
    version: int,
    needs: str,
    flags: tuple[str, ...],
    change: Callable[[Path], Path],
    tool: Callable[[str], str],
    built: Callable[..., Path],
) -> None:
    """Each form of the same program says what the plain one says."""
    tool(needs)
    if (needs, version, compiler) == ("dwz", 5, "clang++"):
        pytest.skip("dwz does not know what clang writes for DWARF 5")
    plain = built(compiler, f"-gdwarf-{version}")
    source = built(compiler, f"-gdwarf-{version}", *flags) if flags else plain
    changed = change(source)
    addresses = code_addresses(plain, 1000)
    assert cprofs(changed, addresses) == cprofs(plain, addresses)


# Recordings

CALLS = ["dear", "both", "outer", "main"]  # the innermost first


def lines_of(listing: Any, function: str) -> dict[int, int]:
    """{line: total} of one function."""
    (listed,) = [f for f in listing if f.function == function]
    return {row.number: row.total for row in listed.rows if row.total}


@pytest.fixture(scope="module")
def recorded(workload: Any, tmp_path_factory: Any) -> Any:
    """inlined.c, with its program and source where the test may change them."""
    folder = tmp_path_factory.mktemp("inlined")
    source = shutil.copy(workload.source("inlined.c"), folder / "inlined.c")
    shutil.copy(workload.source("workload.h"), folder)
    program = folder / "inlined"
    subprocess.run(["gcc", "-O2", "-g", str(source), "-o", str(program)], check=True)
    return cprof.record([str(program), "1"])


@pytest.mark.perf
def test_inlined_functions_are_on_the_stacks(recorded: Any) -> None:
    totals = {row.function: row.total for row in recorded.functions()}
    whole = totals["outer"]
    assert totals["dear"] == pytest.approx(0.75 * whole, abs=0.05 * whole)
    assert totals["cheap"] == pytest.approx(0.25 * whole, abs=0.05 * whole)
    assert totals["both"] == pytest.approx(whole, rel=0.02)
    stacks = [recorded._core.stack(number) for number in set(recorded.columns["stack"])]
    known = [[name for name, _ in stack if name in ("dear", "both", "outer", "main")]
             for stack in stacks]  # fmt: skip
    assert ["dear", "both", "outer", "main"] in known  # innermost first
    assert all(names == sorted(names, key=CALLS.index) for names in known)


@pytest.mark.perf
def test_list_gives_each_line_its_cost(recorded: Any) -> None:
    listing = recorded.list("^(cheap|dear|both|outer)$")
    whole = sum(lines_of(listing, "outer").values())
    near = pytest.approx
    assert lines_of(listing, "outer")[36] == near(whole, rel=0.02)
    assert lines_of(listing, "both") == near({30: whole / 4, 31: 3 * whole / 4}, abs=0.05 * whole)
    assert lines_of(listing, "cheap")[20] == near(whole / 4, abs=0.05 * whole)
    assert lines_of(listing, "dear")[25] == near(3 * whole / 4, abs=0.05 * whole)
    assert "both(ns);" in str(listing)
    assert "<pre>" in listing._repr_html_()
    (both,) = [f for f in listing if f.function == "both"]
    assert [row.source for row in both.rows if row.number == 31] == ["    dear(ns);"]
    assert recorded.list("^both$", "samples")[0].total < both.total


@pytest.mark.perf
def test_go_lists_the_same(recorded: Any, tool: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "inlined.pb.gz"
    recorded.write(path)
    text = subprocess.run(
        [tool("go"), "tool", "pprof", "-list=^both$", "-unit=ns", str(path)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = re.findall(r"^ +\S+ +(\d+)ns +(\d+):", text, re.MULTILINE)
    assert {int(line): int(cost) for cost, line in found} == lines_of(
        recorded.list("^both$"), "both"
    )


@pytest.mark.perf
def test_sources_elsewhere_and_nowhere(recorded: Any, tmp_path: Path) -> None:
    file = Path(recorded.list("^both$")[0].place)
    away = tmp_path / file.parent.name / file.name
    away.parent.mkdir()
    shutil.move(file, away)
    try:
        nowhere = recorded.list("^both$")
        assert "source file is not there" in str(nowhere)
        assert set(lines_of(nowhere, "both")) == {30, 31}
        for options in ({"source_path": tmp_path}, {"trim_path": f"{file.parent.parent}/",
                                                    "source_path": [tmp_path]}):  # fmt: skip
            assert "dear(ns);" in str(recorded.list("^both$", **options))
    finally:
        shutil.move(away, file)


@pytest.mark.perf
def test_disassemble_gives_each_instruction_its_cost(recorded: Any, tool: Any) -> None:
    tool("objdump")
    (outer,) = recorded.disassemble("^outer$")
    assert sum(row.self for row in outer.rows) == outer.self > 0.8 * outer.total
    lines = {row.line for row in outer.rows if row.self}
    assert lines <= set(range(1, 60))
    assert any(row.text.startswith("call") and row.total for row in outer.rows)
    with pytest.raises(ValueError, match="inlined everywhere"):
        recorded.disassemble("^dear$")
    with pytest.raises(ValueError, match="no function"):
        recorded.disassemble("^nobody$")


@pytest.mark.perf
def test_disassembling_everything_says_what_is_not_in_a_file(recorded: Any, tool: Any) -> None:
    tool("objdump")
    listing = recorded.disassemble(".")
    assert "outer" in {function.function for function in listing}
    assert {f.note for f in listing if not f.rows} <= {"its code is not in a file"}
    kernel = {f.function for f in recorded.functions() if f.module == "[kernel.kallsyms]"}
    assert kernel <= {f.function for f in listing if not f.rows}


@pytest.mark.perf
def test_lines_of_a_profile_that_was_written_without(recorded: Any, tmp_path: Path) -> None:
    program = recorded.command.split()[0]
    bare = cprof.record([program, "0.2"], lines=False)
    path = tmp_path / "bare.pb.gz"
    bare.write(path)
    names = {row.function for row in cprof.load(path).functions()}
    assert "outer" in names
    assert not names & {"dear", "cheap", "both"}
    later = cprof.load(path).with_lines()
    assert {"dear", "cheap", "both"} <= {row.function for row in later.functions()}
    assert set(lines_of(later.list("^both$"), "both")) == {30, 31}
    before = Path(program).read_bytes()
    try:  # another program by now
        subprocess.run(["objcopy", "--remove-section=.note.gnu.build-id", program], check=True)
        names = {row.function for row in cprof.load(path).with_lines().functions()}
        assert not names & {"dear", "cheap", "both"}
        with pytest.raises(OSError, match="not the file that was recorded"):
            cprof.load(path).disassemble("^outer$")
    finally:
        Path(program).unlink()
        Path(program).write_bytes(before)
        Path(program).chmod(0o755)


@pytest.mark.perf
def test_all_lines_when_asked_and_windows_as_the_whole(recorded: Any) -> None:
    program = recorded.command.split()[0]
    with cprof.Recorder([program, "0.4"], lines=True) as recorder:
        windows = list(recorder.windows(every=0.2))
    for profile in (*windows, recorder.profile):
        assert "dear" in {row.function for row in profile.functions()} or profile.samples < 20


@pytest.mark.perf
def test_the_command_shows_the_same(recorded: Any, cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "inlined.pb.gz"
    recorded.write(path)
    loaded = cprof.load(path)
    listed = cli("list", path, "^both$")
    assert (listed.returncode, listed.stdout) == (0, f"{loaded.list('^both$')}\n")
    shown = cli("disasm", "--sample-type", "samples", path, "^outer$")
    assert (shown.returncode, shown.stdout) == (0, f"{loaded.disassemble('^outer$', 'samples')}\n")
    assert cli("list", path, "^nobody$").returncode == 2


@pytest.mark.perf
def test_clients_are_told_what_is_known(recorded: Any, tool: Any, tmp_path: Path) -> None:
    """pprof looks names up again where a mapping's flags do not say that they are there."""
    path = tmp_path / "inlined.pb.gz"
    recorded.write(path)
    text = subprocess.run(
        [tool("go"), "tool", "pprof", "-raw", str(path)], capture_output=True, text=True, check=True
    ).stdout
    mapping = next(line for line in text.splitlines() if line.startswith("1: 0x"))
    assert mapping.endswith("[FN][FL][LN][IN]")
    locations = re.split(r"^ +\d+: 0x\w+ ", text.partition("Locations")[2], flags=re.MULTILINE)
    assert any(
        re.findall(r"(\w+) \S+inlined\.c:(\d+)", frames)
        == [("dear", "25"), ("both", "31"), ("outer", "36")]
        for frames in locations
    ), locations


# A server of debug files


class DebugServer(ThreadingHTTPServer):
    """Serves `files` by path, and notes what it was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: collections.Counter[str] = collections.Counter()
        super().__init__(("127.0.0.1", 0), Answer)


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, DebugServer)
        self.server.asked[self.path] += 1
        body = self.server.files.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def debug_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DebugServer]:
    server = DebugServer()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("DEBUGINFOD_URLS", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("DEBUGINFOD_CACHE_PATH", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.perf
def test_servers_are_asked_only_on_request(
    recorded: Any, debug_server: DebugServer, tmp_path: Path
) -> None:
    program = tmp_path / "stripped"
    words = ["objcopy", "--strip-debug", recorded.command.split()[0], str(program)]
    subprocess.run(words, check=True)
    profile = cprof.record([str(program), "0.2"], lines=True)
    profile.write(tmp_path / "stripped.pb.gz")
    assert "dear" not in {row.function for row in profile.functions()}
    assert not debug_server.asked
    build_id = next(m[5] for m in profile._core.mappings if m[3] == str(program))
    debug = Path(recorded.command.split()[0]).read_bytes()
    debug_server.files[f"/buildid/{build_id}/debuginfo"] = debug
    if not find_library("debuginfod"):
        pytest.skip("no libdebuginfod here")
    found = profile.with_lines(debuginfod=True)
    assert "dear" in {row.function for row in found.functions()}
    assert debug_server.asked[f"/buildid/{build_id}/debuginfo"] == 1


@pytest.mark.perf
def test_a_server_must_be_named(recorded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEBUGINFOD_URLS", raising=False)
    stripped = recorded.command.split()[0] + "-stripped"
    subprocess.run(["strip", "-o", stripped, recorded.command.split()[0]], check=True)
    profile = cprof.record([stripped, "0.1"])
    with pytest.raises(cprof.CprofError, match="DEBUGINFOD_URLS"):
        profile.with_lines(debuginfod=True)
