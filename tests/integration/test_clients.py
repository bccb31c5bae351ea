"""What we export, read by the programs that it is for; what they write, read by us."""

import base64
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from permission import perf_refusal, unavailable

import cprof
from cprof import _core

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/unit"))
from pprofs import encode, profile  # noqa: E402

NPM = ROOT / "build/npm/node_modules"
HOSTILE = (
    "a;b", 'quote"s', "back\\slash", "<b>&amp;", "new\nline", "tab\tnul", "bell\x07\x1b[31m",
    "\u2028sep", "comma, =1+1", "(3) number", "*", "name with  spaces ", "\U0001f600", "%s{}$x",
    "", "a\nfile=evil\nfn=(1) x", "calls=5 5", "\ud800lone", "\uffff", "]]>", "x" * 65536,
)  # fmt: skip


def hostile_profile() -> cprof.Profile:
    stacks = [((f"main{i}@prog", f"{name}@lib.so"), [i + 1, (i + 1) * 1000], {"thread": name})
              for i, name in enumerate(HOSTILE)]  # fmt: skip
    return cprof.Profile(_core.decode_pprof(encode(stacks), "hostile"))


def kinds() -> dict[str, cprof.Profile]:
    """Profiles that are easily got wrong."""
    recursive = {"main@p;f@p;g@p;f@p;g@p": 5, "main@p;f@p": 2, "f@p;f@p": 1, "main@p;g@p": 3}
    memory = [("allocations", "count"), ("space", "bytes"), ("held", "bytes")]
    return {
        "hostile": hostile_profile(),
        "empty": profile({}),
        "one": profile({"main@prog": 1}),
        "recursive": profile(recursive),
        "types": profile({"main@p;new@p": 3, "main@p;del@p": 4}, types=memory),
        "stored": cprof.load(ROOT / "tests/data/cprof.pb.gz"),
    }


@pytest.fixture(scope="module")
def timed(workload) -> cprof.Profile:
    """A recording with threads, and with times."""
    if perf_refusal():
        pytest.skip(perf_refusal())
    return cprof.record([str(workload("threads.c")), "0.5"])


@pytest.fixture(params=["hostile", "empty", "one", "recursive", "types", "stored", "timed"])
def case(request) -> cprof.Profile:
    if request.param == "timed":
        return request.getfixturevalue("timed")
    return kinds()[request.param]


def total(p: cprof.Profile) -> int:
    return p._core.totals()[p._core.default_type]


def selfs(p: cprof.Profile, sample_type: str | None = None) -> Counter[str]:
    sums = Counter[str]()
    for row in p.functions(sample_type):
        sums[row.function or "[unknown]"] += row.self  # what we write for ""
    return +sums


# speedscope


@pytest.fixture(scope="module")
def speedscope() -> Iterator[Callable[..., list[str]]]:
    """Opens a file in the real page and returns the text of its sandwich view."""
    release = NPM / "speedscope/dist/release"
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        unavailable("no playwright here")
    chromium = shutil.which("chromium")
    if not release.exists() or not chromium:
        unavailable("no speedscope in build/npm, or no chromium: script/bootstrap --test")

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])

        def show(path: Path, name: str = "") -> list[str]:
            data = base64.b64encode(path.read_bytes()).decode()
            script = path.with_suffix(".js")
            words = f"{json.dumps(name or path.name)}, {json.dumps(data)}"
            script.write_text(f"speedscope.loadFileFromBase64({words})")
            page = browser.new_page()
            page.goto(f"file://{release}/index.html#localProfilePath={script}")
            page.wait_for_selector("text=/Sandwich|Something went wrong/")
            page.keyboard.press("3")
            page.wait_for_timeout(300)
            text = page.inner_text("body")
            page.close()
            assert "Something went wrong" not in text
            return [line.strip() for line in text.splitlines() if line.strip()]

        yield show
        browser.close()


def test_speedscope_files_are_as_its_schema_has_them(case, tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    schema = NPM / "speedscope/dist/release/file-format-schema.json"
    if not schema.exists():
        unavailable("no speedscope in build/npm: script/bootstrap --test")
    case.write(tmp_path / "a.speedscope.json")
    file = json.loads((tmp_path / "a.speedscope.json").read_text())
    jsonschema.validate(file, json.loads(schema.read_text()))
    for name, unit in case.sample_types:
        named = [p for p in file["profiles"] if re.search(rf"\b{name}(, summed.*)?$", p["name"])]
        weights = [weight for p in named for weight in p["weights"]]
        assert sum(weights) == case.totals[name]
        if weights:
            assert {p["unit"] for p in named} == {"none" if unit == "count" else unit}
    for p in file["profiles"]:
        assert len(p["samples"]) == len(p["weights"])
        assert p["endValue"] == sum(p["weights"])


def test_speedscope_files_come_back(case, tmp_path):
    case.write(tmp_path / "a.speedscope.json")
    if not case.samples:
        with pytest.raises(cprof.CorruptProfile, match="no samples"):
            cprof.load(tmp_path / "a.speedscope.json")
        return
    again = cprof.load(tmp_path / "a.speedscope.json")
    first, unit = case.sample_types[0]
    assert unit == "count"
    assert selfs(again, "samples") == selfs(case, first)


def test_speedscope_shows_the_functions(speedscope, tmp_path):
    p = kinds()["stored"]
    p.write(tmp_path / "a.speedscope.json")
    lines = speedscope(tmp_path / "a.speedscope.json")
    largest = max(p.functions(), key=lambda row: row.self)
    assert largest.function in lines
    share = lines[lines.index(largest.function) - 1]
    assert "%" in share


def test_speedscope_shows_any_name_and_nothing(speedscope, tmp_path):
    for name in ("hostile", "empty"):
        kinds()[name].write(tmp_path / f"{name}.speedscope.json")
        lines = speedscope(tmp_path / f"{name}.speedscope.json")
        assert "Symbol Name" in " ".join(lines)


# Firefox Profiler


@pytest.fixture
def firefox(tmp_path) -> Iterator[Callable[..., dict]]:
    """Runs profiler-cli, which loads files as profiler.firefox.com does, on one file."""
    script = NPM / "@firefox-devtools/profiler-cli/dist/profiler-cli.js"
    node = Path(sys.executable).parent / "node"
    program = str(node) if node.exists() else shutil.which("node")
    if not script.exists() or not program:
        unavailable("no profiler-cli in build/npm, or no node: script/bootstrap --test")
    env = os.environ | {"HOME": str(tmp_path)}

    def run(*words: str) -> dict:
        done = subprocess.run(
            [program, str(script), *words], env=env, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout) if "--json" in words else {}

    def load(path: Path) -> Callable[..., dict]:
        for _ in range(10):
            try:
                run("load", str(path))
                break
            except AssertionError as error:
                if "did not become ready within 500ms" not in str(error):
                    raise
                time.sleep(1)  # "retrying often works", it says
        return run

    yield load
    run("stop", "--all")


def firefox_sums(run: Callable[..., dict]) -> dict[str, Counter[str]]:
    """Self by function of each thread."""
    sums = {}
    for thread in run("thread", "list", "--json")["threads"]:
        run("thread", "select", thread["threadHandle"])
        answer = run("thread", "functions", "--limit", "0", "--include-idle", "--json")
        sums[thread["name"]] = Counter({f["name"]: f["selfSamples"] for f in answer["functions"]})
    return sums


def test_firefox_loads_every_profile(case, firefox, tmp_path):
    case.write(tmp_path / "a.firefox.json")
    run = firefox(tmp_path / "a.firefox.json")
    file = json.loads((tmp_path / "a.firefox.json").read_text())
    threads = run("thread", "list", "--json")["threads"]
    names = [t["name"] for t in threads]  # the one with most CPU time first
    assert sorted(names) == sorted(t["name"] for t in file["threads"])


def test_firefox_has_markers_and_categories(timed, firefox, tmp_path):
    timed.write(tmp_path / "a.firefox.json")
    run = firefox(tmp_path / "a.firefox.json")
    markers = run("thread", "markers", "--json")
    assert "recording" in json.dumps(markers)
    file = json.loads((tmp_path / "a.firefox.json").read_text())
    kernel = [c["name"] for c in file["meta"]["categories"]].index("Kernel")
    in_kernel = sum(
        weight
        for t in file["threads"]
        for stack, weight in zip(t["samples"]["stack"], t["samples"]["weight"], strict=True)
        if t["stackTable"]["category"][stack] == kernel
    )
    row = sum(r.self for r in timed.functions() if r.module.startswith("[kernel"))
    assert in_kernel == pytest.approx(row / 1e6, rel=1e-6, abs=1e-9)


def test_firefox_finds_the_functions_and_their_cost(timed, firefox, tmp_path):
    timed.write(tmp_path / "a.firefox.json")
    run = firefox(tmp_path / "a.firefox.json")
    found = Counter[str]()
    for sums in firefox_sums(run).values():
        found.update(sums)
    ours = selfs(timed, "cpu")
    for name, value in ours.most_common(5):
        assert found[name] == pytest.approx(value / 1e6, rel=1e-3), name
    assert sum(found.values()) == pytest.approx(timed.totals["cpu"] / 1e6, rel=1e-3)


# callgrind


@pytest.fixture(scope="module")
def annotate(tool) -> Callable[..., tuple[int, dict[str, int]]]:
    """The program total and the cost of each function, by callgrind_annotate."""
    program = tool("callgrind_annotate")

    def run(path: Path, *options: str) -> tuple[int, dict[str, int]]:
        words = [program, "--auto=no", "--threshold=100", *options, str(path)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert "WARNING" not in done.stderr, done.stderr
        text = done.stdout
        assert "Call counts: not known" in text
        found = re.search(r"^ *([\d,]+) .*PROGRAM TOTALS", text, re.MULTILINE)
        rows = re.findall(r"^ *([\d,]+) \( *[\d.]+%\)  (.+?) \[[^ ]*\]$", text, re.MULTILINE)
        costs = Counter[str]()
        for cost, name in rows:
            costs[name.partition(":")[2]] += int(cost.replace(",", ""))
        return int(found[1].replace(",", "")) if found else 0, costs

    return run


def test_callgrind_annotate_has_the_totals(case, annotate, tmp_path):
    case.write(tmp_path / "a.callgrind")
    if not case.samples:
        return  # callgrind_annotate divides by the total
    program_total, costs = annotate(tmp_path / "a.callgrind")
    assert program_total == total(case)
    assert sum(costs.values()) == total(case)


@pytest.mark.parametrize("name", ["recursive", "stored", "types"])
def test_callgrind_annotate_has_self_and_inclusive_costs(name, annotate, tmp_path):
    p = kinds()[name]
    p.write(tmp_path / "a.callgrind")
    _, costs = annotate(tmp_path / "a.callgrind")
    assert +Counter(costs) == selfs(p)
    _, inclusive = annotate(tmp_path / "a.callgrind", "--inclusive=yes")
    totals = Counter[str]()
    for row in p.functions():
        totals[row.function] += row.total
    assert {n: v for n, v in inclusive.items() if n != "all" and v} == dict(+totals)


# Chrome


def test_slices_of_a_chrome_trace_nest(case, tmp_path):
    case.write(tmp_path / "a.chrome.json")
    file = json.loads((tmp_path / "a.chrome.json").read_text())
    lanes: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for event in file["traceEvents"]:
        if event["ph"] == "X":
            lane = lanes.setdefault((event["pid"], event["tid"]), [])
            begin, end = event["ts"], event["ts"] + event["dur"]
            while lane and begin >= lane[-1][1]:
                lane.pop()
            assert not lane or (lane[-1][0] <= begin and end <= lane[-1][1])
            lane.append((begin, end))
    assert ("no times" in file["otherData"]["note"]) == (not case._run["has_times"])


def test_chrome_trace_holds_the_cpu_time(timed, tmp_path):
    """What stands on the bottom lasts as long as the samples: no sample is counted twice, and
    gaps are not filled but between neighbours."""
    timed.write(tmp_path / "a.chrome.json")
    events = json.loads((tmp_path / "a.chrome.json").read_text())["traceEvents"]
    until: dict[int, int] = {}
    lasts = 0
    for event in events:
        if event["ph"] == "X" and event["ts"] >= until.get(event["tid"], 0):
            until[event["tid"]] = event["ts"] + event["dur"]
            lasts += event["dur"]
    assert lasts * 1000 == pytest.approx(timed.totals["cpu"], rel=0.1)
    names = {e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert any(name.startswith("worker-4") for name in names)


def test_firefox_and_speedscope_open_a_chrome_trace(case, firefox, tmp_path):
    case.write(tmp_path / "a.chrome.json")
    if case.samples:
        threads = firefox(tmp_path / "a.chrome.json")("thread", "list", "--json")["threads"]
        assert threads


def test_speedscope_opens_a_chrome_trace(speedscope, timed, tmp_path):
    timed.write(tmp_path / "a.chrome.json")
    assert "Symbol Name" in " ".join(speedscope(tmp_path / "a.chrome.json", "trace.json"))


# graphviz


def test_graphviz_draws_every_profile(case, tool, tmp_path):
    tool("dot")
    case.write(tmp_path / "a.dot")
    case.write(tmp_path / "a.dot.svg")
    tree = ElementTree.parse(tmp_path / "a.dot.svg")
    nodes = [g for g in tree.iter("{http://www.w3.org/2000/svg}g") if g.get("class") == "node"]
    used = {row.function for row in case.functions() if row.total}
    assert len(nodes) <= min(len(used), 80) + 1
    assert len(nodes) > bool(used)


def dot_graph(text: str) -> tuple[set[str], set[tuple[str, str, bool]]]:
    """Functions, and calls with whether they are dotted."""
    tooltip = r'^(N\d+) \[.*?tooltip="((?:[^"\\]|\\.)*) \([^()]*\)"'
    nodes = dict(re.findall(tooltip, text, re.MULTILINE))
    calls = re.findall(r"^(N\d+) -> (N\d+) \[(.*)\]$", text, re.MULTILINE)
    return set(nodes.values()), {(nodes[a], nodes[b], "dotted" in rest) for a, b, rest in calls}


def test_the_graph_is_cut_as_pprof_cuts_it(pprof, tmp_path):
    """Without threads: pprof draws these, too, and then fewer functions."""
    cprof.load(ROOT / "tests/data/cprof.pb.gz").write(tmp_path / "a.folded")
    p = cprof.load(tmp_path / "a.folded")
    p.write(tmp_path / "a.pb.gz")
    p.write(tmp_path / "a.dot")
    theirs = pprof("-dot", str(tmp_path / "a.pb.gz"))
    assert dot_graph((tmp_path / "a.dot").read_text()) == dot_graph(theirs)
    assert "left out: " in (tmp_path / "a.dot").read_text()


def test_without_graphviz_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(cprof.MissingPackage, match="graphviz"):
        kinds()["one"].write(tmp_path / "a.dot.svg")
    assert list(tmp_path.iterdir()) == []


# Tables


def test_csv_is_read_by_csv_and_pandas(case, tmp_path):
    pandas = pytest.importorskip("pandas")
    case.write(tmp_path / "a.csv")
    data = (tmp_path / "a.csv").read_bytes()
    assert data.count(b"\r\n") >= 1
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(r["function"], r["module"], int(r["self"]), int(r["total"])) for r in rows] == [
        (r.function, r.module, r.self, r.total) for r in case.functions()
    ]
    frame = pandas.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert frame["self"].sum() == total(case)
    assert list(frame["function"]) == [r.function for r in case.functions()]


def test_arrow_is_read_by_pyarrow_and_polars(case, tmp_path):
    ipc = pytest.importorskip("pyarrow.ipc")
    polars = pytest.importorskip("polars")
    case.write(tmp_path / "a.arrow")
    table = ipc.open_file(tmp_path / "a.arrow").read_all()
    assert table.num_rows == case._core.n
    frame = polars.read_ipc(tmp_path / "a.arrow")
    for name, value in case.totals.items():
        assert frame[name].sum() == value


def test_pictures_are_xml_for_any_name(case, tmp_path):
    pytest.importorskip("matplotlib")
    case.write(tmp_path / "a.svg")
    ElementTree.parse(tmp_path / "a.svg")


# perf


def test_perf_script_of_a_real_program_is_what_perf_report_says(workload, tool, tmp_path):
    if perf_refusal():
        pytest.skip(perf_refusal())
    perf, data = tool("perf"), tmp_path / "perf.data"
    program = workload("calltree.c", "-g", "-fno-omit-frame-pointer")
    record = [perf, "record", "-q", "-g", "-F", "997", "-e", "cpu-clock", "-o", str(data)]
    done = subprocess.run([*record, str(program), "0.5"], capture_output=True, check=False)
    if done.returncode:
        unavailable(f"perf record: {done.stderr.decode()[:200]}")

    def run(*words: str) -> str:
        words = (perf, *words, "-i", str(data))
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    report = run(
        "report", "--no-children", "--stdio", "-g", "none", "-F", "sample,sym", "-s", "sym"
    )
    theirs = Counter(
        {name.strip(): int(n) for n, name in re.findall(r"^ +(\d+) +\[[.k]\] (.*)$", report, re.M)}
    )
    for fields in ((), ("-F", "comm,pid,tid,time,period,event,ip,sym,symoff,dso")):
        (tmp_path / "perf.txt").write_text(run("script", *fields))
        p = cprof.load(tmp_path / "perf.txt")
        assert selfs(p, "samples") == theirs
        assert p._run["has_times"]
        stamps = re.findall(r" (\d+\.\d{6}):", (tmp_path / "perf.txt").read_text())
        assert p.duration == pytest.approx(float(stamps[-1]) - float(stamps[0]), abs=1e-6)
