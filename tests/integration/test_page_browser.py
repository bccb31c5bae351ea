"""The page in a real browser: clicking, typing, pixels, links; no network; hostile names.

What people see and hear of is asked for: text of the document, pixels of the canvas.
"""

import http.server
import io
import itertools
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from permission import unavailable

import cprof
from cprof.page import iframe, page

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from pprofs import profile

DATA = Path(__file__).parents[1] / "data"
STACKS = {
    "main@prog;parse@prog;read@libc.so.6": 20,
    "main@prog;parse@prog": 40,
    "main@prog;write@libc.so.6;parse@prog": 10,
    "main@prog;write@libc.so.6": 30,
}
HOSTILE = (
    "</script><script>document.body.dataset.broken=1</script>",
    "<img src=http://example.com/x onerror=document.body.dataset.broken=1>",
    "\u202egnp.exe\u202c\u2066",
    "a\u2028b\x00c\x1b[31m",
    "'\"`${document.body.dataset.broken=1}`",
    "\ud800\udfff\udc00<svg/onload=document.body.dataset.broken=1>\uffff",
    "<b>" + "n" * 65536 + "</b>",
)


class Browser:
    """A page in a tab of its own, without a network; `errors` is what the console says and
    `requests` what was asked for beyond the page itself."""

    def __init__(self, browser: Any, folder: Path) -> None:
        self.browser, self.folder = browser, folder
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.contexts: list[Any] = []

    def open(self, text: str, hash: str = "", name: str = "page.html", **options: Any) -> Any:
        path = self.folder / name
        path.write_text(text, "utf-8")
        return self.visit(path.as_uri() + hash, **options)

    def visit(self, url: str, **options: Any) -> Any:
        context = self.browser.new_context(
            **{"viewport": {"width": 1200, "height": 800}, "reduced_motion": "reduce"} | options
        )
        self.contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: self.errors.append(message.text))
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        tab.on(
            "request", lambda r: self.requests.append(r.url) if r.url != url.split("#")[0] else None
        )
        tab.goto(url)
        tab.wait_for_selector("html[data-ready]", state="attached")
        return tab

    def close(self) -> None:
        for context in self.contexts:
            context.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        unavailable("no playwright here")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        unavailable("no chromium here")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: Any, tmp_path: Path) -> Iterator[Browser]:
    made = Browser(chromium, tmp_path)
    yield made
    made.close()
    assert made.errors == []
    assert made.requests == []


@pytest.fixture
def tab(browser: Browser) -> Any:
    return browser.open(profile(STACKS).html())


def until(tab: Any, condition: str) -> None:
    """Wait until a JavaScript expression is true. Playwright's own way needs eval(), which the
    page forbids."""
    deadline = time.monotonic() + 10
    while not tab.evaluate(condition):
        assert time.monotonic() < deadline, f"it never came true: {condition}"
        time.sleep(0.02)


def frame_at(tab: Any, row: int, share: float) -> dict[str, float]:
    """The point of the canvas in a row of frames (0 is the outermost), at a share of the width."""
    box = tab.locator("#canvas").bounding_box()
    return {"x": box["width"] * share, "y": row * 20 + 10}


def click(tab: Any, row: int, share: float) -> None:
    tab.locator("#canvas").click(position=frame_at(tab, row, share))


def name(tab: Any) -> str:
    return str(tab.inner_text("#detail-name"))


def numbers(tab: Any) -> dict[str, list[str]]:
    """The rows of the detail pane."""
    return {row[0]: row[1:] for row in cells(tab, "#detail-numbers")}


def cells(tab: Any, table: str) -> list[list[str]]:
    """The text of each cell of each row of a table, or of its body."""
    texts = "table => [...table.rows].map(row => [...row.cells].map(cell => cell.innerText))"
    found: list[list[str]] = tab.locator(table).evaluate(texts)
    return found


def table(tab: Any, column: int = -1) -> list[str]:
    return [row[column] for row in cells(tab, "#table-body")]


def functions(tab: Any) -> list[str]:
    return tab.locator("#table-body td.name bdi").all_inner_texts()


def pixels(tab: Any, selector: str = "#canvas") -> dict[tuple[int, int, int], int]:
    """How many pixels of each colour a screenshot has."""
    return colors(tab.locator(selector).screenshot())


def colors(png: bytes) -> dict[tuple[int, int, int], int]:
    import numpy as np
    from matplotlib.image import imread

    image = (imread(io.BytesIO(png))[:, :, :3] * 255).round().astype(int)
    packed = image[:, :, 0] << 16 | image[:, :, 1] << 8 | image[:, :, 2]
    values, counts = np.unique(packed, return_counts=True)
    return {
        (value >> 16, value >> 8 & 255, value & 255): count
        for value, count in zip(values.tolist(), counts.tolist(), strict=True)
    }


# What it shows


def test_title_quality_and_table(tab: Any) -> None:
    assert tab.title().endswith("cprof")
    assert "lost 0" in tab.inner_text("#facts")
    assert "truncated 0" in tab.inner_text("#facts")
    assert functions(tab) == ["parse", "write", "read", "main"]
    assert table(tab, 1)[:3] == ["50 ms", "30 ms", "20 ms"]
    assert table(tab, 4)[0] == "70.0 %"  # parse, once for each sample


def test_a_click_selects_a_frame(tab: Any) -> None:
    click(tab, 2, 0.1)
    assert name(tab) == "parse"
    assert numbers(tab)["this frame"] == ["40 ms (40.0 %)", "60 ms (60.0 %)"]
    assert numbers(tab)["function"] == ["50 ms (50.0 %)", "70 ms (70.0 %)"]
    assert numbers(tab)["samples"] == ["40", "60"]
    assert "prog" in tab.inner_text("#detail-place")
    click(tab, 2, 0.9)
    assert name(tab) == "write"
    assert tab.inner_text("#crumbs").split() == ["all", "›", "main", "›", "write"]


def test_arrow_keys_move_the_selection(tab: Any) -> None:
    click(tab, 0, 0.5)
    for key, expected in [
        ("ArrowDown", "main"), ("ArrowDown", "parse"), ("ArrowRight", "write"),
        ("ArrowDown", "parse"), ("ArrowUp", "write"), ("ArrowLeft", "parse"),
        ("ArrowDown", "read"), ("ArrowUp", "parse"), ("ArrowUp", "main"),
    ]:  # fmt: skip
        tab.keyboard.press(key)
        assert name(tab) == expected


def test_zoom_by_keys_double_click_wheel_and_back(tab: Any) -> None:
    click(tab, 2, 0.9)
    tab.keyboard.press("Enter")
    click(tab, 2, 0.1)  # now `write` fills the width
    assert name(tab) == "write"
    tab.keyboard.press("Escape")
    click(tab, 2, 0.1)
    assert name(tab) == "parse"
    tab.locator("#canvas").dblclick(position=frame_at(tab, 2, 0.9))
    click(tab, 2, 0.1)
    assert name(tab) == "write"
    tab.click("#crumbs button:first-child")
    click(tab, 2, 0.1)
    assert name(tab) == "parse"
    tab.locator("#canvas").hover(position=frame_at(tab, 2, 0.95))
    tab.keyboard.down("Control")
    for _ in range(10):
        tab.mouse.wheel(0, -200)
    tab.keyboard.up("Control")
    until(tab, "location.hash.includes('at=')")
    click(tab, 2, 0.1)
    assert name(tab) == "write"


def test_dragging_pans(tab: Any) -> None:
    for _ in range(2):
        tab.keyboard.press("+")
    box = tab.locator("#canvas").bounding_box()
    y = box["y"] + 50
    click(tab, 2, 0.05)
    assert name(tab) == "parse"
    tab.mouse.move(box["x"] + box["width"] - 5, y)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 5, y, steps=5)
    tab.mouse.up()
    click(tab, 2, 0.5)
    assert name(tab) == "write"


def test_search_says_what_it_matches(tab: Any) -> None:
    before = pixels(tab)
    tab.keyboard.press("/")
    tab.keyboard.type("^(read|write)$")
    until(tab, "document.querySelector('#matched').textContent.includes('60')")
    assert tab.inner_text("#matched") == "matched 60.0 %"
    assert sorted(functions(tab)) == ["read", "write"]
    assert pixels(tab) != before
    tab.fill("#search", "module:PROG$")
    until(tab, "document.querySelector('#matched').textContent === 'matched 0 %'")
    tab.fill("#search", "module:libc")
    until(tab, "document.querySelector('#matched').textContent === 'matched 60.0 %'")
    assert sorted(functions(tab)) == ["read", "write"]
    tab.fill("#search", "(")
    until(tab, "document.querySelector('#matched').className === 'bad'")
    assert len(functions(tab)) == 4
    tab.fill("#search", "")
    until(tab, "!document.querySelector('#matched').textContent")


def test_the_table_sorts_and_selects(tab: Any) -> None:
    tab.click("#table-head button:has-text('total')")
    assert functions(tab)[0] == "main"
    tab.click("#table-head button:has-text('function')")
    assert functions(tab) == ["main", "parse", "read", "write"]
    tab.click("#table-body tr:has-text('read')")
    assert name(tab) == "read"
    assert tab.get_attribute("#table-body tr:has-text('read')", "aria-selected") == "true"


def test_a_flame_stands_on_the_floor(tab: Any) -> None:
    tab.click("text=Flame")
    height = tab.locator("#canvas").bounding_box()["height"]
    tab.locator("#canvas").click(position={"x": 50, "y": height - 10})
    assert name(tab) == "all"
    tab.keyboard.press("ArrowUp")
    tab.keyboard.press("ArrowUp")
    assert name(tab) == "parse"


def test_the_sandwich_has_callers_above_and_callees_below(tab: Any) -> None:
    tab.click("#table-body tr:has-text('parse')")
    tab.click("#do-sandwich")
    assert name(tab) == "parse"
    assert numbers(tab)["this frame"] == ["50 ms (50.0 %)", "70 ms (70.0 %)"]
    tab.locator("#canvas").focus()
    seen = []
    for key in ("ArrowUp", "ArrowRight", "ArrowUp", "ArrowDown", "ArrowDown", "ArrowDown"):
        tab.keyboard.press(key)
        seen.append(name(tab))
    assert seen == ["main", "write", "main", "write", "parse", "read"]
    assert numbers(tab)["this frame"] == ["20 ms (20.0 %)", "20 ms (20.0 %)"]


def test_the_text_is_the_same_tree(tab: Any) -> None:
    tab.click("text=Text")
    lines = [" ".join(line.split()) for line in tab.locator("#text summary").all_inner_texts()]
    assert lines[:3] == [
        "100.0 % all total 100 ms · self 0 ns",
        "100.0 % main prog · total 100 ms · self 0 ns",
        "60.0 % parse prog · total 60 ms · self 40 ms",
    ]
    tab.click("#text summary:has-text('write')")
    assert name(tab) == "write"
    assert tab.locator("#text summary", has_text="parse").count() == 2
    tab.locator("#text summary", has_text="main").focus()
    assert name(tab) == "main"


def test_the_type_menu(tab: Any) -> None:
    tab.select_option("#type", "samples")
    assert table(tab, 1)[:3] == ["50", "30", "20"]


# Recordings: time, threads, sources


@pytest.mark.perf
def test_the_order_of_time_and_the_source(browser: Browser, workload: Any) -> None:
    program = workload("calltree.c", "-g", "-O1", name="calltree-g")
    tab = browser.open(cprof.record([str(program)], freq=997).html())
    left_heavy = pixels(tab)
    tab.select_option("#order", "time")
    assert pixels(tab) != left_heavy
    click(tab, 1, 0.5)
    assert "from 0.0" in tab.inner_text("#detail-note")
    tab.select_option("#order", "heavy")
    tab.click("#table-body tr:has-text('calltree')")
    tab.click("#do-code")
    assert "calltree.c" in tab.inner_text("#code-body")
    hottest = tab.locator("#code-body tr.hottest td").all_inner_texts()
    source = workload.source("calltree.c").read_text().split("\n")
    assert hottest[3].strip() == source[int(hottest[2]) - 1].strip()
    assert "ms" in hottest[1]
    tab.click("#code-close")
    assert not tab.is_visible("#code")


@pytest.mark.perf
def test_the_thread_menu(browser: Browser, workload: Any) -> None:
    prof = cprof.record([str(workload("threads.c"))], freq=997)
    assert len(prof.threads) > 1
    tab = browser.open(prof.html())
    options = tab.locator("#thread option").all()
    assert len(options) >= len(prof.threads)
    value = options[1].get_attribute("value")
    tab.select_option("#thread", value)
    own = prof.filter(thread=int(value.partition("/")[2]))
    click(tab, 0, 0.5)
    assert numbers(tab)["samples"][1] == f"{own.totals['samples']:,}"


# Diffs


def two_sides() -> Any:
    base = profile(
        {"main@p;same@p": 50, "main@p;more@p": 10, "main@p;less@p": 30, "main@p;old@p": 10}
    )
    new = profile(
        {"main@p;same@p": 100, "main@p;more@p": 60, "main@p;less@p": 20, "main@p;now@p": 20}
    )
    rows = [
        SimpleNamespace(function="more", module="p", delta=0.2, low=0.12, high=0.28, q=0.004,
                        state="grew"),
        SimpleNamespace(function="same", module="p", delta=0.0, low=-0.1, high=0.1, q=0.9,
                        state="same"),
    ]  # fmt: skip
    return SimpleNamespace(
        base=base, new=new, mode="share", sample_type="cpu", rows=rows, notes=["few samples"]
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_diff_has_a_colour_for_each_class(browser: Browser, scheme: str) -> None:
    tab = browser.open(page(two_sides()), color_scheme=scheme)
    assert "few samples" in tab.inner_text("#notes")
    assert "mean of both sides, by share" in tab.inner_text("#legend")
    swatch = "node => getComputedStyle(node).backgroundColor.match(/\\d+/g).map(Number)"
    shown, seen = pixels(tab), set()
    for i, state in enumerate(("new", "grew", "shrank", "gone", "same")):
        item = tab.locator("#legend span").nth(i)
        assert item.inner_text() == state
        seen.add(tuple(item.locator("i").evaluate(swatch)))
    assert len(seen) == 5
    present = {color for color in seen if shown.get(color, 0) > 500}
    assert len(present) >= 4, present  # "shrank" by a third is drawn at less than full strength


def test_a_diff_says_base_new_and_delta(browser: Browser) -> None:
    tab = browser.open(page(two_sides()))
    tab.click("#table-body tr:has-text('old')")
    assert numbers(tab)["self"] == ["10.0 %", "0 %", "\N{MINUS SIGN}10.0 pp"]
    assert numbers(tab)["samples"] == ["10", "0", ""]
    tab.click("#table-body tr:has-text('more')")
    assert numbers(tab)["total"] == ["10.0 %", "30.0 %", "+20.0 pp"]
    assert tab.inner_text("#detail-note").startswith("grew: self +20.0 pp (95 % +12.0 … +28.0 pp")
    assert functions(tab)[0] == "more"  # by the size of the change
    row = tab.locator("#table-body tr", has_text="more").locator("td").all_inner_texts()
    assert row[1:6] == ["+20.0 pp", "+12.0 … +28.0 pp", "grew", "10.0 %", "30.0 %"]
    tab.select_option("#color", "module")
    assert tab.inner_text("#legend").strip() == "p"


# Links


def test_a_link_restores_what_was_seen(browser: Browser) -> None:
    text = profile(STACKS).html()
    tab = browser.open(text)
    tab.select_option("#type", "samples")
    tab.click("text=Flame")
    tab.click("#table-body tr:has-text('read')")
    tab.keyboard.press("Enter")
    tab.fill("#search", "rea")
    until(tab, "location.hash.includes('search=rea')")
    tab.click("#do-link")
    link = tab.input_value("#link")
    other = browser.visit(link)
    assert name(other) == "read"
    assert other.input_value("#type") == "samples"
    assert other.input_value("#search") == "rea"
    assert other.evaluate("document.querySelector('[name=view]:checked').value") == "flame"
    assert pixels(other) == pixels(tab)
    other.evaluate("location.hash = 'view=sandwich&function=0'")
    until(other, "document.querySelector('[name=view]:checked').value === 'sandwich'")


@pytest.mark.parametrize(
    "hash", ["#frame=99999&function=77777&view=sandwich", "#view=x&order=y&type=z&kind=9&at=a,b",
             "#thread=1/1", "#frame=-1up&search=%ED%A0%80("],
)  # fmt: skip
def test_a_broken_link_shows_the_page(browser: Browser, hash: str) -> None:
    tab = browser.open(profile(STACKS).html(), hash)
    assert tab.inner_text("#title")


# Everywhere


class _Host:
    """Serves one page of somebody else's, and counts what it is asked for."""

    def __init__(self, body: str) -> None:
        asked = self.asked = list[str]()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def test_it_works_in_a_notebooks_iframe(browser: Browser) -> None:
    element = iframe(profile(STACKS).html(), 500)
    host = _Host(f"<!doctype html><link rel=icon href=data:,><h1>notebook</h1>{element}")
    context = browser.browser.new_context(viewport={"width": 900, "height": 700})
    browser.contexts.append(context)
    tab = context.new_page()
    tab.on("pageerror", lambda error: browser.errors.append(str(error)))
    tab.on("console", lambda message: browser.errors.append(message.text))
    tab.goto(host.url)
    frame = tab.frame_locator("iframe")
    frame.locator("html[data-ready]").wait_for(state="attached")
    frame.locator("#table-body tr", has_text="read").click()
    assert frame.locator("#detail-name").inner_text() == "read"
    frame.locator("#do-link").click()
    link = frame.locator("#link").input_value()
    assert link.startswith("#")
    assert "frame=" in link
    assert "saved page" in frame.locator("#do-link").inner_text()
    inner = tab.frames[1]
    inner.evaluate("hash => { location.hash = hash; }", "#view=sandwich&function=0")
    until(inner, "document.querySelector('[name=view]:checked').value === 'sandwich'")
    assert host.asked == ["/"]
    host.server.shutdown()
    host.server.server_close()


@pytest.mark.parametrize("name_", HOSTILE)
def test_hostile_names_are_only_text(browser: Browser, name_: str) -> None:
    prof = profile({f"main@prog;{name_}": 5, f"{name_}@<b>lib": 3})
    tab = browser.open(prof.html())
    click(tab, 1, 0.2)
    tab.locator("#canvas").hover(position=frame_at(tab, 1, 0.9))
    for view in ("Sandwich", "Text", "Flame"):
        tab.click(f"text={view}")
    assert tab.evaluate("document.body.dataset.broken") is None
    assert tab.locator("main b, main img, main script").count() == tab.locator("#text b").count()


def test_it_follows_the_colour_scheme(browser: Browser) -> None:
    text = profile(STACKS).html()
    light, dark = browser.open(text, color_scheme="light"), browser.open(text, color_scheme="dark")
    brightness = [
        tab.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
        for tab in (light, dark)
    ]
    assert int(brightness[0]) > 200 > 60 > int(brightness[1])
    before = pixels(light)
    assert before != pixels(dark)
    light.emulate_media(color_scheme="dark")
    assert pixels(light) != before
    light.emulate_media(color_scheme="light")
    assert pixels(light) == before


def test_the_canvas_is_as_fine_as_the_screen(browser: Browser) -> None:
    tab = browser.open(profile(STACKS).html(), device_scale_factor=2)
    width, shown = tab.evaluate("[document.querySelector('canvas').width, "
                                "document.querySelector('canvas').clientWidth]")  # fmt: skip
    assert width == 2 * shown
    assert len(pixels(tab)) > 10


def test_narrow_windows_have_everything_below_each_other(browser: Browser) -> None:
    tab = browser.open(profile(STACKS).html(), viewport={"width": 400, "height": 700})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    boxes = [tab.locator(f"#{part}").bounding_box() for part in ("picture", "detail", "functions")]
    for above, below in itertools.pairwise(boxes):
        assert above["y"] + above["height"] <= below["y"] + 1


def test_it_prints_in_light_colours(browser: Browser) -> None:
    tab = browser.open(profile(STACKS).html(), color_scheme="dark")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    tab.emulate_media(media="print")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not tab.is_visible("#tools")
    assert tab.is_visible("#canvas")
    assert len(tab.pdf()) > 5000


def test_a_page_without_samples_says_so(browser: Browser) -> None:
    tab = browser.open(profile({}).html())
    assert tab.is_visible("#empty")
    for view in ("Flame", "Sandwich", "Text"):
        tab.click(f"text={view}")


def test_kinds_have_a_menu(browser: Browser) -> None:
    tab = browser.open(page({"cpu": profile(STACKS), "faults": profile({"main@p;fault@p": 2})}))
    assert tab.is_visible("#kind")
    tab.select_option("#kind", label="faults")
    until(tab, "document.querySelector('#table-body').textContent.includes('fault')")
    assert functions(tab) == ["fault", "main"]


def test_a_page_that_was_pruned_says_so(browser: Browser) -> None:
    stacks = {f"main@prog;f{i % 97}@lib;g{i}@lib{i % 7}": 1 + i % 13 for i in range(4000)}
    tab = browser.open(profile(stacks).html(max_bytes=120_000))
    assert "[pruned]" in tab.inner_text("#notes")
    assert "[pruned]" in functions(tab)


@pytest.mark.parametrize("file", ["go-cpu.pb.gz", "go-heap.pb.gz", "cprof.pb.gz"])
def test_real_files_open(browser: Browser, file: str) -> None:
    prof = cprof.load(DATA / file)
    index = prof._core.default_type
    first, total = prof.functions()[0], prof._core.totals()[index]
    tab = browser.open(prof.html())
    assert table(tab, 2)[0] == f"{100 * first.self / total:.1f} %"
    assert len(pixels(tab)) > 10
