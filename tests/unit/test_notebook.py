"""The magics' words, and what a notebook shows; no process is recorded."""

import base64
import html
import subprocess
import sys

import pytest
from pprofs import profile

import cprof
from cprof import display

pytest.importorskip("IPython")
from IPython.core.interactiveshell import InteractiveShell

STACKS = {"main@prog;hot@prog": 70, "main@prog;cold<int>@lib.so": 30}


# What is shown


def bundle(subject=None, text=lambda: "text", picture=lambda: b"png", **wanted):
    return display.bundle(subject or profile(STACKS), text, picture, **wanted)


def test_a_profile_is_the_page_a_picture_and_text():
    pytest.importorskip("matplotlib")
    shown = profile(STACKS)._repr_mimebundle_()
    assert set(shown) == {"text/html", "image/png", "text/plain"}
    assert "cold<int>" in shown["text/plain"]
    assert base64.b64decode(shown["image/png"]).startswith(b"\x89PNG")


def test_the_page_is_an_iframe_that_needs_nothing_from_elsewhere():
    text = profile(STACKS)._repr_mimebundle_()["text/html"]
    assert text.startswith("<iframe srcdoc=")
    inner = html.unescape(text.split('"')[1])
    assert inner.lower().startswith("<!doctype html>")
    assert "default-src 'none'" in inner
    assert "src=" not in text.split('"')[2]


def test_only_what_the_front_end_wants_is_made():
    assert set(bundle(include={"text/plain"})) == {"text/plain"}
    assert "text/html" not in bundle(exclude={"text/html"})

    def never():
        raise AssertionError

    assert set(bundle(picture=never, include={"text/plain"})) == {"text/plain"}


def test_a_terminal_takes_text_only(monkeypatch):
    pytest.importorskip("IPython")
    from types import SimpleNamespace

    shell = SimpleNamespace(display_formatter=SimpleNamespace(active_types=["text/plain"]))
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    assert set(bundle()) == {"text/plain"}


def test_without_matplotlib_there_is_no_picture_and_no_complaint(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    shown = profile(STACKS)._repr_mimebundle_()
    assert set(shown) == {"text/html", "text/plain"}
    assert "[no" not in shown["text/plain"]


@pytest.mark.parametrize("error", [ValueError("broken\nlines"), RecursionError(), MemoryError()])
def test_what_cannot_be_made_never_hides_the_rest(error):
    def fail():
        raise error

    shown = bundle(picture=fail)
    assert "image/png" not in shown
    assert shown["text/plain"].startswith("text\n[no picture of this profile: ")
    assert "\nlines" not in shown["text/plain"]
    assert "[no text of this profile: " in bundle(text=fail)["text/plain"]


def test_without_a_page_the_reason_and_the_picture_are_shown(monkeypatch):
    monkeypatch.setattr("cprof.page.page", lambda *a, **k: 1 / 0)
    shown = bundle()
    assert "division by zero" in shown["text/html"]
    assert base64.b64encode(b"png").decode() in shown["text/html"]
    assert "text/html" not in bundle(exclude={"text/html"})


def test_the_size_is_bounded_and_the_page_says_what_it_lost(monkeypatch):
    stacks = {f"main@p;f{i % 97}@p;g{i % 89}@p;h{i}@p": 1 + i % 7 for i in range(20_000)}
    large = profile(stacks)
    whole = bundle(large)["text/html"]
    monkeypatch.setattr(display, "PAGE_MAX", 150_000)
    pruned = bundle(large)["text/html"]
    assert len(html.unescape(pruned)) < 151_000 < len(whole)
    assert pruned_note(pruned)
    assert not pruned_note(whole)


def pruned_note(iframe):
    """Whether the data of the page in an iframe says that it was pruned."""
    import json
    import re
    import zlib

    inner = html.unescape(iframe.split('"')[1])
    data = base64.b64decode(re.findall(r'class="profile">([^<]*)<', inner)[0])
    text = data if data[:1] == b"{" else zlib.decompress(data, 47)
    return "keep this page small" in json.dumps(text.decode("utf-8", "replace"))


def test_empty_and_hostile_profiles_show_themselves():
    empty = profile({"f@p": 1}).filter(under="nothing")
    for p in (empty, profile({}), profile({"</iframe><script>\x00\x1b'\"&@p": 1})):
        shown = p._repr_mimebundle_()
        assert set(shown) >= {"text/html", "text/plain"}
        assert "[no" not in shown["text/plain"]
        assert shown["text/html"].count("<") == 2
        assert "\x1b" not in shown["text/plain"]


# Magics


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "cprof")
    yield shell
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


def said(shell, cell, capsys):
    """The one line in which a cell fails."""
    capsys.readouterr()
    result = shell.run_cell(cell)
    assert not result.success
    out, err = capsys.readouterr()
    text = (out + err).strip()
    assert "Traceback" not in text
    assert text.startswith("UsageError: ")
    assert len(text.splitlines()) == 1, text
    return text.removeprefix("UsageError: ")


def test_magics_are_there_with_their_help(shell):
    for kind, names in {
        "line": ["cprof", "cprof_top", "cprof_doctor"],
        "cell": ["cprof", "cprof_c"],
    }.items():
        for name in names:
            magic = shell.magics_manager.magics[kind][name]
            assert "usage: %" in magic.__doc__
            assert "--help" in magic.__doc__


def test_help_is_no_error(shell, capsys):
    assert shell.run_cell("%cprof --help").success
    assert "COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("%cprof", "give a PID, or a command after --"),
        ("%cprof gcc -O2", "unrecognized arguments: -O2"),
        ("%cprof gcc", "'gcc' is no process id (a command goes after --)"),
        ("%cprof 1 -- ls", "exclude each other"),
        ("%cprof -d soon -- ls", "invalid float value"),
        ("%cprof -d 0 -- ls", "duration=0.0"),
        ("%cprof -F -1 -- ls", "freq=-1"),
        ("%cprof 'a", "No closing quotation"),
        ("%cprof_top", "no profile was recorded"),
        ("%cprof_doctor x", "'x' is no process id"),
        ("%%cprof_c --cc no-such-compiler\nint main;", "no-such-compiler"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(shell, capsys, cell, reason):
    assert reason in said(shell, cell, capsys)


def test_a_cell_that_does_not_compile_shows_what_the_compiler_says(shell, capsys, tool):
    tool("gcc")
    result = shell.run_cell("%%cprof_c --cc gcc\nint main(void)\n{ return x; }\n")
    assert not result.success
    out, err = capsys.readouterr()
    assert "cell.c:3:" in err, "lines are counted as in the cell"
    assert "UsageError: %%cprof_c: gcc could not compile this cell (see above)" in out + err


def test_doctor_is_the_same_as_in_python(shell):
    assert shell.run_cell("%cprof_doctor").result == cprof.doctor()


def test_import_of_the_package_does_not_import_ipython():
    program = "import cprof, sys; cprof.load_ipython_extension; print('IPython' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
