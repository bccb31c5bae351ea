"""The page of a profile with 100,000 call paths: writing it, opening it in chromium, and how
many frames a second panning and zooming reach."""

import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import cprof
from cprof.readers.folded import read

NODES = 100_000
FUNCTIONS = 8_000
DEPTH = 40
REPEATS = 7
_OPEN = """() => performance.getEntriesByName("ready")[0].startTime"""
_MOVE = """async (zoom) => {
    const canvas = document.getElementById("canvas"), box = canvas.getBoundingClientRect();
    const at = {clientX: box.x + 300, clientY: box.y + 100, bubbles: true, cancelable: true};
    const wheel = (options) => canvas.dispatchEvent(new WheelEvent("wheel", {...at, ...options}));
    wheel({deltaY: -400, ctrlKey: true});
    const frames = [];
    let last = await new Promise(requestAnimationFrame);
    for (let i = 0; i < 120; i++) {
        const way = i % 60 < 30 ? 1 : -1;
        wheel(zoom ? {deltaY: -20 * way, ctrlKey: true} : {deltaX: 15 * way, deltaY: 3 * way});
        const now = await new Promise(requestAnimationFrame);
        frames.push(now - last);
        last = now;
    }
    return frames;
}"""


def folded() -> str:
    """A tree of about NODES call paths, with samples at every one."""
    chance, lines = random.Random(1), []
    pending = [("prog;main", NODES * 8 // 5)]  # some of it ends before its room does
    while pending:
        path, room = pending.pop()
        lines.append(f"{path} {chance.randrange(1, 40)}")
        shares = [chance.random() ** 2 + 0.01 for _ in range(chance.choice((1, 1, 1, 2, 3, 5)))]
        for share in shares:
            below = int((room - 1) * share / sum(shares))
            if below > 0 and path.count(";") < DEPTH:
                function = int(FUNCTIONS * chance.random() ** 2)
                pending.append((f"{path};ns::f{function}(int)", below))
    return "\n".join(lines)


def summary(times: list[float], unit: str = "ms") -> str:
    times = sorted(times)
    low, high = times[len(times) // 4], times[-len(times) // 4]
    return f"{statistics.median(times):.1f} {unit} ({low:.1f} to {high:.1f})"


def browse(url: str, executable: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        opened = []
        for _ in range(REPEATS):
            tab = browser.new_page(viewport={"width": 1400, "height": 900})
            tab.goto(url)
            tab.wait_for_selector("html[data-ready]", state="attached")
            opened.append(tab.evaluate(_OPEN))
        print(f"opened, with its first picture: {summary(opened)}")
        for name, zoom in (("panning", False), ("zooming", True)):
            print(f"{name}: {summary(tab.evaluate(_MOVE, zoom))} a frame")
        browser.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        prof = cprof.Profile(read(folded().encode(), "made"))
        nodes = len(prof._core.tree(prof._core.default_type)) - 1
        times = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            text = prof.html()
            times.append(1e3 * (time.perf_counter() - start))
        print(f"{nodes:,d} call paths, {len(text):,d} bytes; written: {summary(times)}")
        start = time.perf_counter()
        small = prof.html(max_bytes=len(text) // 2)
        pruned = 1e3 * (time.perf_counter() - start)
        print(f"pruned to {len(small):,d} bytes: {pruned:.0f} ms")
        chromium = shutil.which("chromium")
        if chromium is None:
            print("no chromium: not opened")
            return
        path = Path(folder) / "page.html"
        path.write_text(text)
        browse(path.as_uri(), chromium)
