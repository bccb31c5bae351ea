"""The progress line: on a terminal only, and gone at the end."""

import io

from cprof import progress

STATS = {"elapsed": 2.0, "samples": 1990, "lost": 3}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_nothing_without_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert progress.reporter(None, is_child=False) is None
    monkeypatch.setattr("sys.stderr", None)
    assert progress.reporter(None, is_child=False) is None


def test_a_line_on_a_terminal_that_is_cleared(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    report = progress.reporter(None, is_child=False)
    report(STATS)
    line = terminal.getvalue()
    for part in ("2.0 s", "1,990 samples", "995/s", "lost 3"):
        assert part in line
    assert "\n" not in line
    report(None)
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_the_rate_is_that_of_the_last_second_or_so(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    report = progress.reporter(None, is_child=False)
    rates = []
    for elapsed, samples in ((0.5, 50), (1.0, 100), (1.5, 900), (2.0, 1100)):
        terminal.truncate(0)
        report({"elapsed": elapsed, "samples": samples, "lost": 0})
        rates.append(terminal.getvalue().split("samples")[1].split()[0])
    assert rates == ["100/s", "100/s", "100/s", "1,000/s"]


def test_a_short_child_is_left_alone(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    report = progress.reporter(None, is_child=True)
    report(STATS | {"elapsed": 0.5})
    report(None)
    assert terminal.getvalue() == ""


def test_false_is_silent_and_a_function_gets_the_stats():
    assert progress.reporter(False, is_child=False) is None
    seen = []
    report = progress.reporter(seen.append, is_child=True)
    report(STATS)
    report(None)
    assert seen == [STATS]


def test_a_closed_terminal_does_not_end_a_recording(monkeypatch):
    class Closed(Terminal):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Closed())
    progress.reporter(True, is_child=False)(STATS)
