"""The pages of profiles with 100,000 call paths, bushy, wide and deep: writing them, opening
them in chromium, and how many frames a second panning and zooming reach."""

import contextlib
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def bushy() -> str:
    """Stacks of up to DEPTH frames, with samples at every call path."""
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


def wide() -> str:
    """Few frames deep: hundreds of callees beside each other."""
    chance = random.Random(2)
    return "\n".join(
        f"prog;main;group{i % 300};ns::f{chance.randrange(FUNCTIONS)}(int) {1 + i % 50}"
        for i in range(NODES)
    )


def deep() -> str:
    """Stacks of 500 to 1,000 frames."""
    chance, lines = random.Random(3), []
    for _ in range(NODES // 975):
        path = ["prog", "main", *(f"ns::f{chance.randrange(500)}(int)" for _ in range(998))]
        lines += [f"{';'.join(path[: chance.randrange(500, 1000)])} 3" for _ in range(20)]
    return "\n".join(lines)


def summary(times: list[float], unit: str = "ms") -> str:
    times = sorted(times)
    low, high = times[len(times) // 4], times[-len(times) // 4]
    return f"{statistics.median(times):.1f} {unit} ({low:.1f} to {high:.1f})"


def browse(browser: Any, url: str) -> None:
    opened, busy = [], []
    for _ in range(REPEATS):
        tab = browser.new_page(viewport={"width": 1400, "height": 900})
        tools = tab.context.new_cdp_session(tab)
        tools.send("Performance.enable", {"timeDomain": "threadTicks"})  # of its main thread
        tab.goto(url)
        tab.wait_for_selector("html[data-ready]", state="attached")
        opened.append(tab.evaluate(_OPEN))
        metrics = tools.send("Performance.getMetrics")["metrics"]
        busy.append(1e3 * next(m["value"] for m in metrics if m["name"] == "TaskDuration"))
        if len(opened) < REPEATS:
            tab.close()
    print(f"opened, with its first picture: {summary(opened)}; CPU {summary(busy)}")
    for name, zoom in (("panning", False), ("zooming", True)):
        print(f"{name}: {summary(tab.evaluate(_MOVE, zoom))} a frame")
    tab.close()


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A browser, or None."""
    executable = shutil.which("chromium")
    if executable is None:
        yield print("no chromium: not opened")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for make in (bushy, wide, deep):
            prof = cprof.Profile(read(make().encode(), "made"))
            nodes = len(prof._core.tree(prof._core.default_type)) - 1
            times = []
            for _ in range(REPEATS):
                start = time.perf_counter()
                text = prof.html()
                times.append(1e3 * (time.perf_counter() - start))
            print(f"{make.__name__}: {nodes:,d} call paths, {len(text):,d} bytes; "
                  f"written: {summary(times)}")  # fmt: skip
            start = time.perf_counter()
            small = prof.html(max_bytes=len(text) // 2)
            pruned = 1e3 * (time.perf_counter() - start)
            print(f"pruned to {len(small):,d} bytes: {pruned:.0f} ms")
            if browser:
                path = Path(folder) / f"{make.__name__}.html"
                path.write_text(text)
                browse(browser, path.as_uri())
