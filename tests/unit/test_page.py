"""The page as text: what is in it, how it is kept small, that nothing can break out of it."""

import base64
import hashlib
import html
import json
import re
import zlib
from array import array
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pprofs import profile

import cprof
from cprof.page import PRUNED, iframe, page, show

DATA = Path(__file__).parents[1] / "data"
SIZES = {"u4": ("I", 4), "i8": ("q", 8)}
_DATA = re.compile(r'<script type="application/octet-stream" class="profile">(.*?)</script>')


def decode(text: str) -> list[dict[str, Any]]:
    """The data of a page, with its columns: what data.js does, by other means."""
    kinds = []
    for encoded in _DATA.findall(text):
        data = zlib.decompress(base64.b64decode(encoded))
        length = int.from_bytes(data[:4], "little")
        facts = json.loads(data[4 : 4 + length])
        for name, (kind, offset, n) in facts["columns"].items():
            code, size = SIZES[kind]
            at = 4 + length + offset
            facts[name] = array(code, data[at : at + n * size])
        kinds.append(facts)
    return kinds


def totals(facts: dict[str, Any], type: int = 0) -> dict[tuple[str, ...], float]:
    """The sums by stack, root first."""
    sums: dict[tuple[str, ...], float] = {}
    for node, value in zip(facts["rowNode"], facts[f"value{type}"], strict=True):
        stack, at = [], node
        while at != 0xFFFFFFFF:
            function = facts["frameFunction"][facts["nodeFrame"][at]]
            stack.append(facts["functions"]["name"][function])
            at = facts["nodeParent"][at]
        key = tuple(reversed(stack))
        sums[key] = sums.get(key, 0) + value
    return sums


STACKS = {"main@prog;a@prog": 7, "main@prog;a@prog;b@lib": 5, "main@prog;b@lib": 3}
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "\"quoted\" 'twice' `and` ${more}",
    "line\u2028separator\u2029and\x00control\x1b[31m",
    "\u202egnp.exe\u202c bidi \u2066isolate\u2069",
    "]]> <!-- --> &lt;b&gt; \\",
)


def two_sides(**stacks: dict[str, int]) -> Any:
    """A Diff by its attributes alone."""
    base, new = profile(stacks["base"]), profile(stacks["new"])
    return SimpleNamespace(
        base=base, new=new, mode="share", sample_type="cpu", rows=[], notes=["a <note>"]
    )


def test_all_sums_are_in_it() -> None:
    prof = profile(STACKS)
    (facts,) = decode(prof.html())
    expected = {tuple(f.partition("@")[0] for f in s.split(";")): n for s, n in STACKS.items()}
    assert totals(facts) == expected
    assert totals(facts, 1) == {stack: n * 1e6 for stack, n in expected.items()}
    assert facts["types"] == [["samples", "count"], ["cpu", "nanoseconds"]]
    assert facts["defaultType"] == 1
    assert facts["sides"][0]["totals"] == [15, 15_000_000]
    assert any("lost 0" in line and "complete" in line for line in facts["facts"])


def test_the_sample_type_that_is_shown_first() -> None:
    (facts,) = decode(profile(STACKS).html(sample_type="samples"))
    assert facts["defaultType"] == 0
    with pytest.raises(ValueError, match="no sample type 'heap'"):
        profile(STACKS).html(sample_type="heap")


def test_a_real_file_keeps_its_totals() -> None:
    for name in ("go-cpu.pb.gz", "go-heap.pb.gz", "cprof.pb.gz"):
        prof = cprof.load(DATA / name)
        (facts,) = decode(page(prof))
        for i, total in enumerate(prof._core.totals()):
            assert sum(facts[f"value{i}"]) == total


def test_both_sides_of_a_diff_stay_apart() -> None:
    diff = two_sides(base={"main@p;a@p": 4, "main@p;gone@p": 1}, new={"main@p;a@p": 9})
    (facts,) = decode(page(diff))
    by_side = [0.0, 0.0]
    for side, value in zip(facts["rowSide"], facts["value0"], strict=True):
        by_side[side] += value
    assert by_side == [5, 9]
    assert [side["totals"][0] for side in facts["sides"]] == [5, 9]
    assert "gone" in facts["functions"]["name"]
    assert facts["notes"] == ["a <note>"]
    assert facts["mode"] == "share"


def test_rows_of_a_diff_are_joined_to_functions() -> None:
    diff = two_sides(base={"main@p;a@p": 4}, new={"main@p;a@p": 9})
    values = {"delta": 0.5, "low": 0.25, "high": 0.75, "q": 0.01, "state": "grew"}
    diff.rows = [SimpleNamespace(function="a", module="p", **values)]
    (facts,) = decode(page(diff))
    (row,) = facts["diffRows"]
    assert facts["functions"]["name"][row.pop("key")] == "a"
    assert row == values


def test_kinds_of_a_recording_are_each_in_it() -> None:
    prof = profile(STACKS)
    kinds = decode(page({"cpu": prof, "faults": profile({"main@prog": 2})}))
    assert [facts["kinds"] for facts in kinds] == [["cpu", "faults"]] * 2
    assert [sum(facts["value0"]) for facts in kinds] == [15, 2]


def test_a_profile_without_samples_has_a_page() -> None:
    (facts,) = decode(profile({}).html())
    assert len(facts["nodeParent"]) == 0


@pytest.mark.parametrize("name", HOSTILE)
def test_names_cannot_break_out(name: str) -> None:
    plain = profile({"main@prog;f@lib": 1}).html()
    text = profile({f"main@prog;{name}": 1, f"{name}": 1}, comments=[name]).html()
    assert _DATA.sub("", text) == _DATA.sub("", plain)
    assert text.count("</script>") == 2
    assert all(c.isalnum() or c in "+/=" for encoded in _DATA.findall(text) for c in encoded)
    (facts,) = decode(text)
    assert all(shown.isprintable() for shown in facts["functions"]["name"])


def test_no_request_can_leave_it() -> None:
    text = profile(STACKS).html()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "connect-src" not in rules
    style, script = re.search(r"<style>(.*?)</style>", text, re.S), text.rpartition("<script>")[2]
    assert style
    for what, code in (("style", style[1]), ("script", script.partition("</script>")[0])):
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert rules[f"{what}-src"] == f"'sha256-{digest}'"
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?!data:)\w|url\(|@import|https?:""", text)


def test_it_is_small_before_its_data() -> None:
    assert len(_DATA.sub("", profile(STACKS).html()).encode()) < 100_000


def wide(n: int) -> cprof.Profile:
    return profile({f"main@prog;f{i % 97}@lib;g{i}@lib{i % 7}": 1 + i % 13 for i in range(n)})


def test_what_is_pruned_stays_in_the_sums() -> None:
    prof = wide(4000)
    whole, limit = prof.html(), 110_000
    assert len(whole) > limit
    text = prof.html(max_bytes=limit)
    assert len(text) <= limit
    (facts,) = decode(text)
    assert sum(facts["value1"]) == prof.totals["cpu"]
    stacks = totals(facts, 1)
    assert sum(v for stack, v in stacks.items() if stack[-1] == PRUNED) > 0
    assert all(PRUNED not in stack[:-1] for stack in stacks)
    assert any("call paths" in note and PRUNED in note for note in facts["notes"])
    for function in prof.functions():  # what is in it is no more than it was
        shown = sum(v for stack, v in stacks.items() if function.function in stack)
        assert shown <= function.total


def test_a_deep_stack_is_cut_to_the_limit_not_to_nothing() -> None:
    """All frames of one stack have the same in them: as many are kept as there is room for."""
    prof = profile({";".join(f"f{i}{i * 7919 % 10007:x}@prog" for i in range(6000)): 3})
    whole, empty = len(prof.html()), len(_DATA.sub("", prof.html()))
    limit = empty + (whole - empty) // 2
    text = prof.html(max_bytes=limit)
    assert limit - (whole - empty) // 4 < len(text) <= limit


def test_negative_values_are_named() -> None:
    (facts,) = decode(profile({"main@p;a@p": 5, "main@p;b@p": -2}).html())
    assert any("negative values of samples, cpu" in note for note in facts["notes"])
    assert sum(facts["value0"]) == 3
    assert decode(profile(STACKS).html())[0]["notes"] == []


def test_a_limit_too_small_for_any_page_is_refused() -> None:
    with pytest.raises(ValueError, match="max_bytes=1000: the smallest page"):
        profile(STACKS).html(max_bytes=1000)


def test_an_iframe_holds_the_whole_page() -> None:
    text = profile(STACKS).html()
    element = iframe(text, 333)
    srcdoc = re.search(r'srcdoc="([^"]*)"', element)
    assert srcdoc
    assert html.unescape(srcdoc[1]) == text
    assert 'sandbox="allow-scripts"' in element
    assert "height:333px" in element


def test_show_without_a_screen_writes_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    path = str(tmp_path / "page.html")
    assert show("text", path) == (path, False)
    assert Path(path).read_text() == "text"
    made, is_open = show("more")
    assert not is_open
    assert Path(made).read_text() == "more"
    Path(made).unlink()


def test_show_opens_the_browser_by_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    monkeypatch.setenv("DISPLAY", ":0")
    path = str(tmp_path / "a page.html")
    assert show("text", path) == (path, True)
    assert opened == [f"file://{tmp_path}/a%20page.html"]
    assert show("text", path, browser=False) == (path, False)
    assert len(opened) == 1


def test_an_html_file_is_the_page(tmp_path: Path) -> None:
    prof = profile(STACKS)
    prof.write(tmp_path / "p.html", sample_type="samples")
    assert (tmp_path / "p.html").read_text("utf-8") == prof.html(sample_type="samples")


def test_an_order_of_time_that_is_left_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Path(__file__).parents[2] / "notebooks" / "data" / "first-look.cprof"
    prof = cprof.load(recording)["cpu"]
    (facts,) = decode(prof.html(lines=False))
    assert facts["tickNs"]
    assert not facts["notes"]
    monkeypatch.setattr("cprof.page.gather._TIMED_ROWS_MAX", 10)
    (facts,) = decode(prof.html(lines=False))
    assert not facts["tickNs"]
    assert any("order of time is left out" in note for note in facts["notes"])
