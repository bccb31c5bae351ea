"""Notebooks and magics in a real Jupyter kernel, with permission to record and without."""

import base64
import contextlib
import html
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from permission import WITHOUT_PERF

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
KERNELS = {
    "allowed": [sys.executable, "-m"],
    "refused": [sys.executable, "-c", WITHOUT_PERF],
}


@pytest.fixture(scope="session", autouse=True)
def kernels(tmp_path_factory):
    """Two kernels of this environment: one that may record, one that may not."""
    folder = tmp_path_factory.mktemp("jupyter")
    for name, start in KERNELS.items():
        spec = folder / "kernels" / name / "kernel.json"
        spec.parent.mkdir(parents=True)
        argv = [*start, "ipykernel_launcher", "-f", "{connection_file}"]
        spec.write_text(json.dumps({"argv": argv, "display_name": name, "language": "python"}))
    before = {name: os.environ.get(name) for name in ("JUPYTER_PATH", "IPYTHONDIR")}
    os.environ |= {"JUPYTER_PATH": str(folder), "IPYTHONDIR": str(folder / "ipython")}
    yield
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


def execute(notebook, kernel, folder):
    client = nbclient.NotebookClient(
        notebook, kernel_name=kernel, timeout=120, resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return notebook


def outputs(notebook, kind):
    """All outputs of one MIME type, or of a stream."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.get("name") == kind:
                found.append(output.text)
            elif kind in output.get("data", {}):
                found.append(output.data[kind])
    return found


# The notebooks


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_the_twins_agree_and_outputs_are_stripped(self, path):
        jupytext = pytest.importorskip("jupytext")
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        twin = jupytext.read(path.with_suffix(".py"))
        cells = [(cell.cell_type, cell.source) for cell in notebook.cells]
        assert cells == [(cell.cell_type, cell.source) for cell in twin.cells]
        for cell in notebook.cells:
            assert not cell.get("outputs")
            assert cell.get("execution_count") is None

    @pytest.mark.perf
    def test_it_runs_and_records(self, path, tool):
        tool("cc")
        done = execute(nbformat.read(path, as_version=4), "allowed", path.parent)
        assert "This was recorded here" in "".join(outputs(done, "stdout"))
        shown(done)

    def test_without_permission_it_runs_on_a_recording_and_says_so(self, path):
        done = execute(nbformat.read(path, as_version=4), "refused", path.parent)
        assert "Recording is not possible here" in "".join(outputs(done, "stdout"))
        assert "recording is not possible" in "".join(outputs(done, "text/plain"))
        shown(done)


def shown(notebook):
    """It shows pictures, pages and a difference, and nothing went to stderr."""
    assert not outputs(notebook, "stderr")
    pages = outputs(notebook, "text/html")
    assert len([page for page in pages if page.startswith("<iframe srcdoc=")]) == 2
    pictures = [base64.b64decode(data) for data in outputs(notebook, "image/png")]
    assert len(pictures) >= 3
    assert all(data.startswith(b"\x89PNG") for data in pictures)
    texts = outputs(notebook, "text/plain")
    assert any("grew" in text and "lookup" in text for text in texts)


def test_the_shipped_recording_is_small():
    data = list((ROOT / "notebooks" / "data").iterdir())
    assert data
    assert sum(path.stat().st_size for path in data) < 200_000


# The magics


class Kernel:
    """A kernel that has loaded the extension, for many tests: starting one takes seconds."""

    def __init__(self, name):
        self.client = nbclient.NotebookClient(notebook_of(), kernel_name=name, timeout=120)

    def run(self, *cells):
        """The executed notebook of these cells."""
        notebook = self.client.nb = notebook_of(*cells)
        for number, cell in enumerate(notebook.cells):
            self.client.execute_cell(cell, number)
        return notebook

    def refusal(self, cell):
        """What a cell says that fails: one line, no traceback."""
        with pytest.raises(nbclient.exceptions.CellExecutionError) as failure:
            self.run(cell)
        assert failure.value.ename == "UsageError"
        return failure.value.evalue

    @property
    def pid(self):
        return self.client.km.provisioner.pid


@pytest.fixture(scope="module", params=["allowed"])
def kernel(request, kernels):
    made = Kernel(request.param)
    with made.client.setup_kernel():
        made.run("%load_ext cprof")
        yield made


def notebook_of(*cells):
    v4 = nbformat.v4
    return v4.new_notebook(cells=[v4.new_code_cell(text) for text in cells])


def page_of(iframe):
    return html.unescape(iframe.split('"')[1])


@pytest.mark.perf
class TestMagics:
    def test_a_command_is_recorded_and_its_output_shown(self, kernel, workload):
        burner = workload("burner.c")
        cell = f"%%cprof -o kept -- {burner} slices 0.5"
        done = kernel.run(cell, "print('hot' in {row.function for row in kept.top()})")
        assert "hot" in "".join(outputs(done, "stdout")), "what the burner says"
        assert outputs(done, "stdout")[-1] == "True\n"
        (iframe,) = outputs(done, "text/html")
        assert page_of(iframe).startswith("<!doctype html>")
        assert outputs(done, "image/png")
        assert "hot" in "".join(outputs(done, "text/plain"))

    def test_a_cell_is_the_input_of_a_command_or_a_script(self, kernel, workload):
        spin = f"{workload('spin.c')} --seconds 0.2"
        done = kernel.run(
            f"%%cprof -- sh\necho one; {spin}",
            f"%%cprof\necho two; {spin}; echo bad >&2; exit 3",
        )
        words = "".join(outputs(done, "stdout")).split()
        assert words[0] == "one"
        assert words.count("two") == 1
        assert "".join(outputs(done, "stderr")) == "bad\nsh ended with status 3\n"

    def test_processes_are_recorded_by_variable_and_by_number(self, kernel, workload, running):
        target = running(workload("burner.c"), "forever")
        done = kernel.run(
            f"pid = {target.pid}\np = %cprof pid -d 0.5",
            "print({row.function for row in p.top(3)})",
            f"%cprof {target.pid} -d 0.5 -o q",
            "%cprof_top -n 2",
            "%cprof_top pid -d 1.2 -n 2",
        )
        assert "'hot'" in outputs(done, "stdout")[0]
        assert len(outputs(done, "image/png")) == 1
        assert outputs(done, "text/html")[-1].startswith("<table>")
        assert target.process.poll() is None

    def test_a_c_cell_is_compiled_run_and_recorded_with_its_lines(self, kernel, tool):
        tool("cc")
        source = """%%cprof_c -O1 -o c -- 300 args
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int main(int n, char **words)
{
    clock_t end = clock() + atoi(words[1]) * CLOCKS_PER_SEC / 1000;
    unsigned x = 0;
    while (clock() < end)
        for (int i = 0; i < 10000; i++) x = x * 31 + i;
    printf("%d %s %d\\n", n, words[2], x == 1);
}"""
        done = kernel.run(source, "print(c.list('main'))")
        assert outputs(done, "stdout")[0] == "3 args 0\n"
        listing = outputs(done, "stdout")[1]
        (line,) = (line for line in listing.splitlines() if "x = x * 31" in line)
        assert "10  " in line, "it has the number that it has in the cell"
        assert "s" in line.split("10  ")[0], "and a cost"

    def test_a_program_that_crashes_is_shown_and_named(self, kernel, tool):
        tool("cc")
        source = """%%cprof_c -O0
int main(void)
{
    volatile long x = 0;
    for (long i = 0; i < 50000000; i++) x += i;
    *(volatile char *)8 = 1;
}"""
        done = kernel.run(source)
        assert outputs(done, "stderr") == ["cell ended with signal 11 (Segmentation fault)\n"]
        assert outputs(done, "image/png")

    def test_an_interrupt_keeps_what_was_recorded(self, kernel, workload, running):
        target = running(workload("burner.c"), "forever")
        interrupt = threading.Thread(target=_interrupt, args=(kernel.pid, target.pid))
        interrupt.start()
        begin = time.monotonic()
        done = kernel.run(f"p = %cprof {target.pid} -d 60", "print(p.samples > 0)")
        assert time.monotonic() - begin < 40
        interrupt.join()
        assert outputs(done, "stdout") == ["True\n"]
        assert "interrupted" in "".join(outputs(done, "stderr"))
        assert target.process.poll() is None

    def test_what_cannot_be_is_said_in_one_line(self, kernel):
        for cell, words in [
            ("%cprof", "give a PID, or a command after --"),
            ("%cprof 999999999", "no process has the number 999999999"),
            ("%cprof nobody", "'nobody' is no process id"),
            ("%cprof -d soon 1", "invalid float value: 'soon'"),
            ("%cprof -- /no/such/program", "cannot run /no/such/program"),
            ("%%cprof_c --cc nocc\nint main() {}", "there is no compiler 'nocc'"),
        ]:
            said = kernel.refusal(cell)
            assert words in said
            assert "\n" not in said

    def test_compile_errors_have_the_lines_of_the_cell(self, kernel, tool):
        tool("cc")
        cell = "%%cprof_c -O2\nint main(void)\n{\n    return here;\n}"
        assert "could not compile this cell" in kernel.refusal(cell)
        assert "cell.c:4:" in "".join(outputs(kernel.client.nb, "stderr"))


def _interrupt(kernel, target):
    """As Jupyter's stop button does for a kernel on the same machine, once it records."""

    def events():
        links = (entry.readlink() for entry in Path(f"/proc/{kernel}/fd").iterdir())
        with contextlib.suppress(OSError):
            return any("perf_event" in str(link) for link in links)

    def ticks():
        return int(Path(f"/proc/{target}/stat").read_text().rpartition(")")[2].split()[11])

    deadline = time.monotonic() + 60
    while not events() and time.monotonic() < deadline:
        time.sleep(0.02)
    begin = ticks()
    while ticks() < begin + 20 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(kernel, signal.SIGINT)


@pytest.mark.parametrize("kernel", ["refused"], indirect=True)
def test_doctor_and_refusals_in_one_line(kernel):
    done = kernel.run("%cprof_doctor")
    assert "recording is not possible" in outputs(done, "text/plain")[0]
    said = kernel.refusal("%cprof -- true")
    assert "perf_event_open" in said or "perf events" in said
    assert "\n" not in said


def test_jupytext_twin_is_what_the_command_makes(tmp_path):
    """`jupytext --sync`, which notebooks/README.md names, has nothing to change."""
    program = shutil.which("jupytext", path=str(Path(sys.executable).parent))
    if not program:
        pytest.skip("no jupytext here")
    shutil.copytree(ROOT / "notebooks", tmp_path, dirs_exist_ok=True)
    for path in NOTEBOOKS:
        twin = tmp_path / f"{path.stem}.py"
        subprocess.run([program, "--sync", twin], check=True, capture_output=True)
        assert twin.read_text() == path.with_suffix(".py").read_text()
