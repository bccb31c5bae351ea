"""What all benchmarks share: programs built for them, the profilers to compare, what a run
cost, and tables.

A run is `profiler [options] -- wrap FILE target`. The profiler's own CPU time is that of the
profiler's process with all its children (wait4), less that of the target (which `wrap` notes
by the same clock of the kernel).
"""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
CPROF = (sys.executable, "-m", "cprof")
FREQ = 997


@dataclass(frozen=True, slots=True)
class Run:
    """What one run cost: seconds of CPU time, of wall time, and bytes on disk."""

    target: float
    own: float
    wall: float
    peak: int
    kept: int


@dataclass(frozen=True, slots=True)
class Profiler:
    """A way to profile a command: `before` stands in front of it, `after` are commands that
    follow, where the first does only half of the work. `{out}` is the file to write."""

    name: str
    before: tuple[str, ...] = ()
    after: tuple[tuple[str, ...], ...] = ()
    paranoid: int | None = None  # the highest kernel.perf_event_paranoid that it starts at


def perf(name: str, *options: str, freq: float = FREQ, script: Sequence[str] = ()) -> Profiler:
    """`script`: options of the `perf script` that follows, none without them."""
    record = ("perf", "record", "-q", "-F", str(freq), *options, "-o", "{out}", "--")
    names = (("perf", "script", *script, "-i", "{out}"),) if script else ()
    return Profiler(name, record, names)


def cprof(name: str = "cprof record", *options: str, freq: float = FREQ) -> Profiler:
    return Profiler(name, (*CPROF, "record", "-F", str(freq), *options, "-o", "{out}.pb.gz", "--"))


def samply(name: str = "samply record --save-only", *options: str) -> Profiler:
    program = find("samply") or "samply"
    record = (program, "record", "--save-only", *options, "-r", str(FREQ), "-o", "{out}.json.gz")
    return Profiler(name, (*record, "--"), paranoid=1)


NONE = Profiler("no profiler")


@cache
def find(program: str) -> str | None:
    """Where a program is; cargo installs where PATH seldom leads."""
    return shutil.which(program) or shutil.which(program, path=Path.home() / ".cargo" / "bin")


def usable(profilers: Iterable[Profiler]) -> list[Profiler]:
    """Those that can run here; says why of the others."""
    kept = []
    for profiler in profilers:
        why = ""
        if profiler.before and not find(profiler.before[0]):
            why = "is not installed"
        elif profiler.paranoid is not None and not os.access(PARANOID, os.W_OK):
            why = f"needs kernel.perf_event_paranoid={profiler.paranoid}, which takes root to set"
        if why:
            print(f"({profiler.name}: {why}; left out)")
        else:
            kept.append(profiler)
    return kept


@contextlib.contextmanager
def paranoid(level: int | None) -> Iterator[None]:
    """Set kernel.perf_event_paranoid for a while; None leaves it."""
    before = PARANOID.read_text()
    if level is None or int(before) <= level:
        yield
        return
    PARANOID.write_text(str(level))
    try:
        yield
    finally:
        PARANOID.write_text(before)


@contextlib.contextmanager
def programs() -> Iterator[Path]:
    """A folder with the compiled programs of this folder and of tests/workloads/storm.c."""
    with TemporaryDirectory(prefix="cprof-bench-") as name:
        folder = Path(name)
        compiled(folder, BENCH / "wrap.c", BENCH / "loop.c", *workloads("storm", "burner"))
        yield folder


def compiled(folder: Path, *sources: Path) -> None:
    """Each source as a program in `folder`."""
    for source in sources:
        flags = ("-std=gnu11", "-O2", "-pthread")
        target = folder / source.stem
        subprocess.run(["gcc", *flags, str(source), "-o", str(target)], check=True)


def built(name: str) -> Path:
    """The program of `name`.c of this folder that needs the core: `make` knows how."""
    folder = ROOT / "build" / "bench"
    command = ["make", "-s", "-C", str(ROOT), f"BUILD={folder}", str(folder / f"bench_{name}")]
    subprocess.run(command, check=True)
    return folder / f"bench_{name}"


def workloads(*names: str) -> list[Path]:
    return [ROOT / "tests" / "workloads" / f"{name}.c" for name in names]


def compile_command(folder: Path, depth: int = 25) -> list[str]:
    """A few seconds of `g++ -O2`: about 1.1 at depth 1, 3 at 25, 13 at 300. Its own temporary
    file is not to be taken for one of the profiler's."""
    words = ["env", f"TMPDIR={folder}", "g++", "-O2", f"-DDEPTH={depth}"]
    return [*words, "-c", str(BENCH / "heavy.cc"), "-o", str(folder / "heavy.o")]


class _Peak:
    """The most bytes that a folder held while this was on, looked at 100 times a second."""

    def __init__(self, folder: Path) -> None:
        self.bytes = 0
        self._folder = folder
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "_Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self.bytes = max(self.bytes, size(self._folder))

    def _look(self) -> None:
        while not self._is_over.wait(0.01):
            self.bytes = max(self.bytes, size(self._folder))


def size(folder: Path) -> int:
    """Bytes in a folder."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def run(
    profiler: Profiler,
    target: Sequence[str],
    folder: Path,
    look: Callable[[Path], None] | None = None,
) -> Run:
    """Run `target` under `profiler`. Its files go to a new folder, which `look` is given
    before it is removed (the file itself is `out`, with the profiler's extension)."""
    with TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        note = folder / "note"
        words = {"out": str(place / "out")}
        before = [word.format(**words) for word in profiler.before]
        commands = [[*before, str(folder / "wrap"), str(note), *target]]
        commands += [[word.format(**words) for word in after] for after in profiler.after]
        start = time.monotonic()
        with paranoid(profiler.paranoid), _Peak(place) as peak:
            used = sum(_cpu(command, place) for command in commands)
        wall = time.monotonic() - start
        cpu = float(note.read_text().split()[0])
        if look:
            look(place)
        return Run(cpu, used - cpu, wall, peak.bytes, size(place))


def _cpu(command: Sequence[str], place: Path) -> float:
    """Seconds of CPU time of a command and its children."""
    env = {**os.environ, "TMPDIR": str(place)}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"bench: exit status {process.returncode}: {' '.join(command)}")
    return used.ru_utime + used.ru_stime


def interleaved(
    profilers: Iterable[Profiler],
    target: Sequence[str],
    folder: Path,
    repeats: int,
    look: Callable[[Profiler, Path], None] | None = None,
) -> dict[str, list[Run]]:
    """Runs by the profiler's name: one after the other, again and again, the first round
    (which warms caches) not counted. `look` sees the files of the last round."""
    profilers = list(profilers)
    runs: dict[str, list[Run]] = {profiler.name: [] for profiler in profilers}
    for turn in range(repeats + 1):
        first = turn % len(profilers)  # nobody always comes after the same other one
        for profiler in [*profilers[first:], *profilers[:first]]:
            see = None
            if look and turn == repeats:
                see = lambda place, profiler=profiler: look(profiler, place)  # noqa: E731
            done = run(profiler, target, folder, see)
            if turn:
                runs[profiler.name].append(done)
    return runs


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def spread(values: Sequence[float], text: str = "{:.3f}") -> str:
    """The median, and between which the values lie."""
    low, middle, high = (text.format(v) for v in (min(values), median(values), max(values)))
    return f"{middle} ({low}-{high})"


def mib(n: float) -> str:
    return f"{n / 2**20:.2f} MiB"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table that Markdown and people can read."""
    lines = [list(head), ["---"] * len(head), *(list(row) for row in rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print(f"| {' | '.join(cells)} |")
    print(flush=True)


def conditions() -> None:
    """Where and when: a line above each set of numbers."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "unknown CPU",
    )
    kernel = os.uname().release
    load = " ".join(f"{n:.2f}" for n in os.getloadavg())
    print(f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} x {model}, Linux {kernel},")
    print(f"load before this: {load}\n", flush=True)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def ratios(own: Mapping[str, float], base: str) -> dict[str, str]:
    """Each as a multiple of `base`."""
    return {name: f"{value / own[base]:.2f}" for name, value in own.items()}
