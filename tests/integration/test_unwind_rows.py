"""Every row of real binaries beside readelf's reading of the same tables, and their
expressions beside llvm-dwarfdump's: address, CFA, rbp, return address.

The programs of the test itself are linked by each linker that is installed. Needs no
permission.
"""

import ctypes.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cfi
import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "csrc" / "core"
SOURCES = ("elf", "elf_cfi", "elf_unwind", "error", "outfile", "unwind_cache", "unwind_program")
SOURCES += ("unwind_rows", "unwind_rows_build")
LARGE = 40 << 20  # bytes of a file of which one function in ONE_OF is compared
ONE_OF = 10
# Of all rows of all files here, those that only libunwind can follow.
MAX_OTHER = 0.002


@pytest.fixture(scope="session")
def rows(tmp_path_factory) -> Path:
    """tests/c/rows.c"""
    program: Path = tmp_path_factory.mktemp("rows") / "rows"
    files = [str(CORE / f"{name}.c") for name in SOURCES]
    command = ["gcc", "-std=gnu11", "-O2", "-iquote", str(CORE), str(ROOT / "tests/c/rows.c")]
    subprocess.run([*command, *files, "-lz", "-o", str(program)], check=True)
    return program


def library(name: str) -> Path | None:
    """A shared library of the system, by the name that programs are linked with."""
    found = ctypes.util.find_library(name)
    places = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=False)
    line = re.search(rf"\s{re.escape(found)} .*=> (\S+)", places.stdout) if found else None
    return Path(line[1]) if line else None


def of_gcc(name: str) -> Path | None:
    command = ["gcc", f"-print-prog-name={name}"]
    path = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    return path if path.is_absolute() and path.exists() else None


def clang_library(name: str) -> Path | None:
    """What clang is made of."""
    clang = shutil.which("clang")
    if not clang:
        return None
    linked = subprocess.run(["ldd", clang], capture_output=True, text=True, check=True).stdout
    found = re.search(rf"{name}\S* => (\S+)", linked)
    return Path(found[1]) if found else None


def program(name: str) -> Path | None:
    path = shutil.which(name)
    return Path(path).resolve() if path else None


INSTALLED: dict[str, Callable[[], Path | None]] = {
    "python": lambda: Path(sys.executable).resolve(),
    "libpython": lambda: library(f"python{sys.version_info[0]}.{sys.version_info[1]}"),
    "libc": lambda: library("c"),
    "libm": lambda: library("m"),
    "ld.so": lambda: Path("/lib64/ld-linux-x86-64.so.2"),
    "libstdc++": lambda: library("stdc++"),
    "libgcc_s": lambda: library("gcc_s"),
    "libcrypto": lambda: library("crypto"),
    "libgcrypt": lambda: library("gcrypt"),
    "cc1plus": lambda: of_gcc("cc1plus"),
    "libLLVM": lambda: clang_library("libLLVM"),
    "libclang-cpp": lambda: clang_library("libclang-cpp"),
    "bash": lambda: program("bash"),
    "perl": lambda: program("perl"),
    "gdb": lambda: program("gdb"),
}


def compare(rows: Path, path: Path, where: str) -> cfi.Comparison:
    """All differences are shown, none is allowed."""
    one_of = ONE_OF if path.stat().st_size > LARGE else 1
    found = cfi.compare(rows, path, one_of)
    print(f"{where}: {found.n} rows, {found.n_other} left to libunwind, {found.n_bad} bad FDEs")
    assert found.differences == []
    assert found.n_bad == 0
    return found


@pytest.mark.parametrize("name", INSTALLED)
def test_rows_of_installed_files_are_those_of_readelf(rows, name):
    path = INSTALLED[name]()
    if path is None or not path.exists():
        pytest.skip(f"no {name} here")
    found = compare(rows, path, name)
    assert found.n > 5
    assert found.n_other <= max(10, MAX_OTHER * found.n)


def test_rows_of_the_vdso_are_those_of_readelf(rows, tmp_path):
    maps = Path("/proc/self/maps").read_text()
    span = re.search(r"^(\w+)-(\w+) .*\[vdso\]$", maps, re.MULTILINE)
    if not span:
        pytest.skip("no vdso here")
    start, end = int(span[1], 16), int(span[2], 16)
    vdso = tmp_path / "vdso"
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        memory.seek(start)
        vdso.write_bytes(memory.read(end - start))
    found = compare(rows, vdso, "vdso")
    assert found.n > 3
    assert found.n_other == 0


def test_rows_of_realigned_stacks(rows, workload):
    """A CFA that only a saved pointer leads to."""
    path = workload("frames.c")
    compare(rows, path, "realigned")
    assert any(cfa.startswith("*rbp-") for _, cfa, _ in cfi.by_rows(rows, path)[1])


LINKERS = {"bfd": "ld.bfd", "gold": "ld.gold", "lld": "ld.lld", "mold": "mold"}
BUILDS = {
    "gcc -O2": ("g++", "-O2"),
    "gcc -O0": ("g++", "-O0"),
    "gcc -Os, realigned stacks": ("g++", "-Os", "-mstackrealign", "-mavx"),
    "gcc, lazy binding": ("g++", "-O1", "-Wl,-z,lazy", "-fcf-protection=full"),
    "gcc, static": ("g++", "-O2", "-static"),
    "gcc, static, no eh_frame_hdr": ("g++", "-O2", "-static", "-Wl,--no-eh-frame-hdr"),
    "clang -O2": ("clang++", "-O2"),
    "clang -O0": ("clang++", "-O0"),
}


@pytest.mark.parametrize("build", BUILDS)
def test_rows_of_each_compiler(rows, tmp_path, tool, workload, build):
    compiler, *flags = BUILDS[build]
    path = tmp_path / "shapes"
    tool(compiler)
    command = [compiler, *flags, str(workload.source("shapes.cc")), "-o", str(path), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "-static" in flags:
        pytest.skip("no static libraries here")
    assert done.returncode == 0, done.stderr
    assert compare(rows, path, build).n > 20


@pytest.mark.parametrize("linker", LINKERS)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_rows_of_each_linker(rows, tmp_path, tool, workload, linker, compiler):
    tool(compiler)
    if not shutil.which(LINKERS[linker]):
        pytest.skip(f"no {linker} here")
    path = tmp_path / "threads"
    source = str(workload.source("threads.c"))
    command = [compiler, "-O2", "-pthread", f"-fuse-ld={linker}", source, "-o", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "fuse-ld" in done.stderr:  # gcc 11 knows no mold
        pytest.skip(f"{compiler} does not know -fuse-ld={linker}")
    assert done.returncode == 0, done.stderr
    compare(rows, path, f"{compiler}, {linker}")


# Rows from .debug_frame


def test_rows_of_a_file_with_debug_frame_only(rows, tmp_path):
    """Also where it is compressed, and where it lies in the separate debug file."""
    path, debug = tmp_path / "main", tmp_path / "main.debug"
    flags = ["-g", "-O1", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]
    flags += ["-fno-exceptions", "-nostdlib", "-static", "-gz=none", "-fno-stack-protector"]
    source = tmp_path / "main.c"
    source.write_text(
        "int leaf(int x) { char v[x + 1]; v[x] = 1; __asm__(\"\" :: \"r\"(v)); return v[x]; }\n"
        "int two(int x) { return leaf(x) + leaf(x + 1); }\n"
        "void _start(void) { for (;;) two(3); }\n"
    )  # fmt: skip
    subprocess.run(["gcc", *flags, str(source), "-o", str(path)], check=True)
    plain = compare(rows, path, ".debug_frame")
    assert plain.n > 6
    _, want = cfi.by_rows(rows, path)

    subprocess.run(["objcopy", "--compress-debug-sections=zlib", path], check=True)
    assert cfi.by_rows(rows, path)[1] == want
    subprocess.run(["objcopy", "--only-keep-debug", path, debug], check=True)
    subprocess.run(["strip", "-g", path], check=True)
    assert subprocess.run([rows, "dump", path], capture_output=True, check=False).returncode == 1
    assert cfi.by_rows(rows, path, debug)[1] == want


def test_rows_of_a_rust_program(rows, tmp_path, tool, workload):
    path = tmp_path / "rusty"
    command = [tool("rustc"), "-O", str(workload.source("rusty.rs")), "-o", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    assert compare(rows, path, "rust").n > 1000


def test_rows_of_a_go_program(rows, tmp_path, tool):
    """Go writes no .eh_frame, but a compressed .debug_frame."""
    source = tmp_path / "main.go"
    source.write_text('package main\n\nfunc main() { println("ready") }\n')
    path = tmp_path / "gopher"
    env = os.environ | {"GOTOOLCHAIN": "local"}
    command = [tool("go"), "build", "-o", str(path), str(source)]
    subprocess.run(command, check=True, env=env, cwd=tmp_path)
    assert compare(rows, path, "go").n > 1000
