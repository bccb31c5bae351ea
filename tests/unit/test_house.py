"""The house itself: the lint that keeps the layers, generated code, what is shipped."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROTO = ROOT / "csrc" / "proto"
SETUP = [sys.executable, "setup.py", "--quiet"]

spec = importlib.util.spec_from_file_location("lint_layers", ROOT / "script" / "lint_layers.py")
assert spec is not None
assert spec.loader is not None
lint_layers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lint_layers)


def findings(root: Path, **files: str) -> list[str]:
    """What the lint says of a tree with these files ("csrc__core__map_c" names map.c)."""
    for name, text in files.items():
        stem, _, suffix = name.replace("__", "/").rpartition("_")
        path = root / f"{stem}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return [finding.removeprefix(f"{root}/") for finding in lint_layers.check(root)]


TESTED = {"tests__c__test_map_c": "", "tests__c__test_view_c": ""}


def test_lint_accepts_headers_of_the_same_and_of_lower_layers(tmp_path):
    assert not findings(
        tmp_path,
        csrc__core__map_c='#include "map.h"\n#include "vec.h"\n#include <stdio.h>\n',
        csrc__core__view_tree_c='#include "profile.h"\n#include "elf.h"\n',
        csrc__py__corepy_h="#include <Python.h>\n",
        **TESTED,
    )


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (
            '\n#include "profile.h"\n',
            "csrc/core/map.c:2: layer 0 (map) includes profile.h of layer 3",
        ),
        ("#include <Python.h>\n", "csrc/core/map.c:1: the core includes Python.h"),
        ('#include "python/Python.h"\n', "csrc/core/map.c:1: the core includes Python.h"),
        ('#  include "nowhere.h"\n', "csrc/core/map.c:1: nowhere.h belongs to no layer"),
        (
            "/* a\n */\nint f(void)\n{\n    exit(1);\n}\n",
            "csrc/core/map.c:5: the core calls exit()",
        ),
        ('void f(void)\n{\n    printf ("x");\n}\n', "csrc/core/map.c:3: the core calls printf()"),
        ("\n" * 801, "csrc/core/map.c: 801 lines, more than 800"),
        ("{\n" + "    x;\n" * 80 + "}\n", "csrc/core/map.c:1: a function of 81 lines"),
    ],
)
def test_lint_finds(tmp_path, text, finding):
    found = findings(tmp_path, csrc__core__map_c=text, **TESTED)
    assert finding in found
    assert not [f for f in found if f != finding and "belongs to no layer" not in f]


def test_lint_takes_words_in_comments_and_strings_for_what_they_are(tmp_path):
    text = (
        '/* exit() and\nabort() */ char *s = "printf(\\"x\\")"; // puts("x")\nint snprintf(void);\n'
    )
    assert not findings(tmp_path, csrc__core__map_c=text, **TESTED)


def test_lint_finds_a_file_that_has_no_place_and_one_without_a_test(tmp_path):
    assert findings(tmp_path, csrc__core__new_c="", csrc__core__view_tree_c="", **TESTED) == [
        "csrc/core/new.c: belongs to no layer: place its module in script/lint_layers.py",
        "csrc/core/new.c: has no test: tests/c/test_new.c",
    ]


def test_lint_finds_python_outside_of_corepy_and_the_core_in_the_preloaded_library(tmp_path):
    assert findings(
        tmp_path,
        csrc__core__map_h="",
        csrc__py__profile_c="#include <Python.h>\n",
        csrc__preload__heap_c='#include "map.h"\n',
    ) == [
        "csrc/py/profile.c:1: includes Python.h: corepy.h does that",
        "csrc/preload/heap.c:1: the preloaded library includes map.h",
    ]


@pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc")
def test_lint_finds_writable_data_and_calls_in_objects(tmp_path):
    source = tmp_path / "map.c"
    source.write_text(
        "#include <stdlib.h>\nstatic int n;\nconst int k = 1;\n"
        "int f(void)\n{\n    if (n++ > k)\n        abort();\n    return n;\n}\n"
    )
    target = tmp_path / "csrc" / "core" / "map.o"
    target.parent.mkdir(parents=True)
    subprocess.run(["gcc", "-c", source, "-o", target], check=True)
    found = [finding.partition(".o: ")[2] for finding in lint_layers.check(tmp_path, tmp_path)]
    assert sorted(found) == ["the core refers to abort", "writable global or static: n"]


def test_layers_of_this_tree_hold():
    assert lint_layers.check(ROOT) == []


def as_any_version(text: str) -> str:
    """Generated code without what only tells the version of its generator."""
    text = re.sub(r"^(#elif \d+ <|# error) .*\n", "", text, flags=re.MULTILINE)
    return text.replace("0 | PROTOBUF_C_FIELD_FLAG", "PROTOBUF_C_FIELD_FLAG")


@pytest.mark.skipif(not shutil.which("protoc-c"), reason="no protoc-c")
def test_generated_protobuf_code_is_what_its_source_says(tmp_path):
    sources = sorted(PROTO.glob("*.proto"))
    assert sources
    command = ["protoc-c", f"--proto_path={PROTO}", f"--c_out={tmp_path}", *map(str, sources)]
    subprocess.run(command, check=True)
    generated = {path.name: as_any_version(path.read_text()) for path in tmp_path.iterdir()}
    committed = {path.name: as_any_version(path.read_text()) for path in PROTO.glob("*.pb-c.*")}
    assert generated == committed, "generate it again: make proto"


def run_setup(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    env.pop("LD_PRELOAD", None)  # of `make asan-py`: not for the compiler
    return subprocess.run(
        [*SETUP, *map(str, arguments)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("variable", "program", "wanted"),
    [
        ("PKG_CONFIG", None, "pkg-config"),
        ("PKG_CONFIG", '[ "$2" != libunwind-generic ]', "libunwind-dev"),
        (
            "PKG_CONFIG",
            '[ "$1" != --exists ]',
            "libunwind-dev libdw-dev libelf-dev libprotobuf-c-dev zlib1g-dev liblzma-dev",
        ),
        ("CC", None, "gcc libc6-dev"),
        ("CC", "! grep -q lzma.h", "liblzma-dev"),
    ],
    ids=["pkg-config", "libunwind", "all libraries", "compiler", "header"],
)
def test_build_names_the_package_that_is_missing(tmp_path, variable, program, wanted):
    tool = tmp_path / "tool"
    if program:
        tool.write_text(f"#!/bin/sh\n{program}\n")
        tool.chmod(0o755)
    built = run_setup(
        "build_ext", "-b", tmp_path / "lib", "-t", tmp_path / "tmp", **{variable: str(tool)}
    )
    assert built.returncode == 1
    assert f"apt-get install {wanted}\n" in built.stderr
    assert "Traceback" not in built.stderr


def tracked_files() -> set[str]:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    made = run_setup("egg_info", "--egg-base", folder, "sdist", "--dist-dir", folder)
    assert made.returncode == 0, made.stderr
    [archive] = folder.glob("*.tar.gz")
    return archive


@pytest.mark.skipif(not shutil.which("git"), reason="no git")
def test_sdist_has_every_file_of_the_repository_and_nothing_built(sdist):
    with tarfile.open(sdist) as archive:
        members = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    assert tracked_files() - members <= {".gitignore"}
    built = re.compile(r"\.(so|o|a|d|pyc)$|(^|/)(build|\.venv|__pycache__|demo-out)/")
    assert [name for name in members if built.search(name)] == []


@pytest.mark.slow
def test_package_built_from_the_sdist_works_elsewhere(sdist, tmp_path):
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(tmp_path)
    [source] = tmp_path.iterdir()
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-build-isolation", "--target", site, source], check=True)

    env = {**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
    program = "import cprof, cprof._core as core; print(cprof.__file__); print(core.__file__)"
    places = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert places[0] == str(site / "cprof" / "__init__.py")
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert places[1] == str(site / "cprof" / "_core.abi3.so")
    assert (site / "cprof" / "py.typed").exists()
    assert (site / "cprof" / "_core.pyi").exists()
    subprocess.run(
        [site / "bin" / "cprof", "--help"], env=env, check=True, stdout=subprocess.DEVNULL
    )


@pytest.mark.skipif(not shutil.which("readelf"), reason="no readelf")
def test_extension_exports_its_init_function_only_and_has_no_cpp_runtime():
    core = pytest.importorskip("cprof._core")

    def readelf(option: str) -> str:
        command = ["readelf", "--wide", option, core.__file__]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    symbols = [line.split() for line in readelf("--dyn-syms").splitlines()]
    exported = {
        s[7] for s in symbols if len(s) > 7 and s[4] in ("GLOBAL", "WEAK") and s[6].isdigit()
    }
    assert exported == {"PyInit__core"}
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("--dynamic"))
    assert not [name for name in needed if name.startswith(("libstdc++", "libpython"))]
