"""The documents: what they tell people to type is typed here.

Fences ```sh and ```python of README.md, docs/ and bench/README.md are run, those of one
document in order, in one folder and one Python namespace. Placeholders of the documents:
`$PID` and `pid` are a process at work, `big.c` is a file that takes a while to compile.
Fences with another word (```text) are not commands. What cannot be run here is in NOT_HERE,
with the reason, and is checked to exist.
"""

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "bench/README.md"]
NOT_HERE = {
    "script/demo": "its own test, below",
    "script/test": "it runs this test",
    "make bench": "takes a quarter of an hour; its parts are listed below",
    "python bench/run.py": "the same",
    "python bench/run.py compile storms": "takes minutes",
}
LANGUAGES = {"sh", "python"}
FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)^```$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)")


def fences(document: Path) -> Iterator[tuple[str, str, int]]:
    """(info string, text, line) of each fenced block."""
    text = document.read_text()
    for match in FENCE.finditer(text):
        yield match[1], match[2], text.count("\n", 0, match.start()) + 1


def names(documents: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in documents]


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with `big.c`, in which the commands of this environment are found."""
    functions = (
        f"int f{i}(int *a, int n) {{ int s = {i}; for (int k = 0; k < n; k++) "
        f"s += a[k] * (s ^ {i}) + (a[(k * {i + 3}) % (n + 1)] >> 2); return s; }}\n"
        for i in range(300)
    )
    (tmp_path / "big.c").write_text("".join(functions))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    return tmp_path


@pytest.fixture
def pprofs(monkeypatch) -> ModuleType:
    """The makers of small profiles that the unit tests use."""
    monkeypatch.syspath_prepend(ROOT / "tests" / "unit")
    return importlib.import_module("pprofs")


def run_shell(text: str, where: str) -> None:
    lines = [line for line in text.splitlines() if line not in NOT_HERE]
    if not shutil.which("go"):
        lines = [line for line in lines if not line.startswith("go ")]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{where}: exit status {done.returncode}\n{done.stderr}"
    assert "Traceback" not in done.stderr, where


@pytest.mark.perf
@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_commands_and_snippets_of_documents_work(
    document, place, workload, running, tool, monkeypatch
):
    tool("gcc")
    pid = running(workload("threads.c"), "forever").pid
    monkeypatch.setenv("PID", str(pid))
    namespace: dict[str, object] = {"pid": pid}
    for info, text, line in fences(document):
        where = f"{document.name}:{line}"
        if info == "sh":
            run_shell(text, where)
        elif info == "python":
            pytest.importorskip("matplotlib")
            pytest.importorskip("pandas")
            exec(compile("\n" * line + text, str(document), "exec"), namespace)


def test_readme_shows_the_set_up_and_all_that_a_user_needs():
    text = (ROOT / "README.md").read_text()
    shell = [block for info, block, _ in fences(ROOT / "README.md") if info == "sh"]
    assert shell[0].splitlines() == ["script/demo", "script/test"]
    for heading in ("Set up", "In Python", "On the command line", "Permissions", "Limits"):
        assert f"\n## {heading}\n" in text


def test_every_fence_says_what_it_is():
    for document in DOCUMENTS:
        for info, _, line in fences(document):
            assert info, f"{document.name}:{line}: a fence without a language"
            assert info.split()[0] in LANGUAGES | {"text"}, f"{document.name}:{line}: {info}"


def test_commands_that_are_not_run_here_exist():
    for command in NOT_HERE:
        words = command.split()
        if words[0] == "make":
            targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert words[1] in targets
        elif words[0] == "python":
            unsafe = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
            listed = subprocess.run(
                [sys.executable, ROOT / words[1], "--list", *words[2:]],
                capture_output=True,
                text=True,
                env=unsafe,
                check=True,
            )
            assert listed.stdout.startswith("## ")
        else:
            assert os.access(ROOT / words[0], os.X_OK), command


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_links_lead_to_files(document):
    for target in LINK.findall(document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_picture_is_one():
    assert (ROOT / "docs/flamegraph.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


# Architecture


def test_architecture_names_every_module():
    text = (ROOT / "docs/architecture.md").read_text()
    named = set(re.findall(r"`([a-z_]+)/?`", text))
    core = {path.stem for path in (ROOT / "csrc/core").glob("*.h")}
    modules = {stem for stem in core if stem.partition("_")[0] not in core or "_" not in stem}
    assert modules - named == set()
    package = {path.stem for path in (ROOT / "cprof").glob("*.py")} - {"__main__"}
    assert package - named == set()


def test_architecture_has_the_layers_that_the_lint_has():
    text = (ROOT / "docs/architecture.md").read_text()
    rows = re.findall(r"^\| (\d) \| ((?:`\w+` ?)+)\|", text, re.MULTILINE)
    told = {name: int(layer) for layer, cell in rows for name in re.findall(r"`(\w+)`", cell)}
    namespace: dict[str, object] = {"__name__": "lint_layers"}
    exec((ROOT / "script/lint_layers.py").read_text(), namespace)
    layers = namespace["LAYER_OF"]
    assert isinstance(layers, dict)
    present = {path.stem.partition("_")[0] for path in (ROOT / "csrc/core").glob("*.[ch]")}
    assert told == {name: layer for name, layer in layers.items() if name in present}


# Estimator


def test_estimator_names_every_end_and_pseudo_frame():
    """Truth: the table of the core."""
    source = (ROOT / "csrc/core/stack.c").read_text()
    frames = set(re.findall(r'^    \[CPROF_END_\w+\] = "(\[.*\])",$', source, re.MULTILINE))
    assert len(frames) == 9
    text = (ROOT / "docs/estimator.md").read_text()
    complete = {"[root]", "[kernel]"}
    assert {frame for frame in frames - complete if f"`{frame}`" not in text} == set()


def test_estimator_explains_every_key_of_quality(pprofs):
    quality = pprofs.profile({"main@prog": 3}).quality
    text = (ROOT / "docs/estimator.md").read_text()
    assert [key for key in quality if f"`{key}`" not in text] == []


# Adding an exporter


def test_exporter_of_the_document_works(tmp_path, monkeypatch, pprofs):
    """The module and the line of the registry, as they stand there."""
    import cprof.export as export

    blocks = {info: text for info, text, _ in fences(ROOT / "docs/adding-an-exporter.md")}
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "markdown.py").write_text(blocks["python file=markdown.py"])
    monkeypatch.setattr(export, "__path__", [*export.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, "cprof.export.markdown", raising=False)
    entry = eval("{" + blocks["python registry"] + "}")
    monkeypatch.setattr(export, "_MODULES", {**export._MODULES, **entry})
    monkeypatch.setattr(export, "EXTENSIONS", (*export.EXTENSIONS, *entry))

    profile = pprofs.profile({"main@prog;a@prog": 7, "main@prog;b@lib": 3})
    profile.write(tmp_path / "out.md", sample_type="samples")
    assert (tmp_path / "out.md").read_text().splitlines() == [
        "| function | module | self | total |",
        "|---|---|---|---|",
        "| a | prog | 7 | 7 |",
        "| b | lib | 3 | 3 |",
        "| main | prog | 0 | 10 |",
    ]


# The demo


@pytest.mark.perf
@pytest.mark.slow
def test_demo_profiles_a_real_program_and_leaves_its_files(tool):
    tool("g++")
    out = ROOT / "demo-out"
    shutil.rmtree(out, ignore_errors=True)
    done = subprocess.run(
        [ROOT / "script/demo"], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "function" in done.stdout
    assert "cc1plus" in done.stdout
    assert (out / "flamegraph.svg").read_text().lstrip().startswith("<?xml")
    assert (out / "demo.pb.gz").read_bytes().startswith(b"\x1f\x8b")
