#!/usr/bin/env python3
"""Check what the compiler does not: the layers of the C core and its manners.

Needs nothing but Python. Prints one line for each finding and exits 1 if there is any.
`script/lint_layers.py --root DIR` checks another tree, `--objects DIR` (with objdump)
also the compiled core under DIR: no writable data, no calls that print or exit.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# A file belongs to the module whose name it has, or begins with before a "_". It may
# include headers of its own layer and of lower ones.
LAYERS = [
    ["error", "cleanup", "vec", "map", "strtab", "arena", "thread", "columns"],
    [
        *["event", "counter", "ring", "backlog", "record", "live", "probe"],
        *["proc", "child", "maps", "elf", "dso", "outfile"],
    ],
    ["unwind", "splice", "symbol", "demangle"],
    ["stack", "profile", "view", "resample", "process", "locate"],
    ["pprof", "folded", "arrow", "build"],
    ["session", "dump"],
    ["cprof"],
]
LAYER_OF = {module: layer for layer, modules in enumerate(LAYERS) for module in modules}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
COMMENT_OR_STRING = re.compile(
    r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL
)
FORBIDDEN_CALL = re.compile(
    r"\b(v?printf|puts|putchar|perror|v?syslog|exit|_exit|_Exit|quick_exit|abort|assert)\s*\("
)
# objdump's "VALUE FLAGS SECTION<tab>SIZE [.hidden] NAME". Tables of pointers are in
# .data.rel.ro, which is written by the loader only.
SYMBOL = re.compile(r"^[0-9a-f]+ (.{7}) (\S+)\t[0-9a-f]+ (?:\.hidden )?(\S+)$", re.MULTILINE)
WRITABLE = re.compile(r"\.data(?!\.rel\.ro)|\.t?bss|\.tdata|\*COM\*")
FORBIDDEN_SYMBOLS = {
    "printf", "__printf_chk", "vprintf", "__vprintf_chk", "puts", "putchar", "perror",
    "syslog", "exit", "abort", "__assert_fail", "stdout", "stderr",
}  # fmt: skip
MAY_LEAVE = {"child"}  # a forked child that cannot exec calls _exit()
# dlopen() of libstdc++, once for the process, behind pthread_once.
MAY_BE_WRITABLE = {("demangle", "cxx"), ("demangle", "opened")}
MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 80


def module_of(stem: str) -> str | None:
    """The module a file belongs to: "view_tree" -> "view", an unknown one -> None."""
    while stem not in LAYER_OF and "_" in stem:
        stem = stem.rpartition("_")[0]
    return stem if stem in LAYER_OF else None


def blank(text: str) -> str:
    """`text` with comments and literals emptied, line numbers kept."""
    return COMMENT_OR_STRING.sub(lambda m: '""' + "\n" * m[0].count("\n"), text)


def line_of(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def includes(path: Path) -> Iterator[tuple[int, bool, str]]:
    """(line, is it our own (in quotes), name) of each include."""
    text = path.read_text()
    for match in INCLUDE.finditer(text):
        yield line_of(text, match.start(2)), match[1] == '"', match[2]


def check_includes(path: Path) -> Iterator[str]:
    module = module_of(path.stem)
    if module is None:
        yield f"{path}: belongs to no layer: place its module in script/lint_layers.py"
        return
    for line, is_own, name in includes(path):
        if Path(name).name == "Python.h":
            yield f"{path}:{line}: the core includes Python.h"
        if not is_own or name.endswith(".pb-c.h"):
            continue
        other = module_of(Path(name).stem)
        if other is None:
            yield f"{path}:{line}: {name} belongs to no layer"
        elif LAYER_OF[other] > LAYER_OF[module]:
            yield (
                f"{path}:{line}: layer {LAYER_OF[module]} ({module}) includes "
                f"{name} of layer {LAYER_OF[other]}"
            )


def check_calls(path: Path) -> Iterator[str]:
    text = blank(path.read_text())
    for match in FORBIDDEN_CALL.finditer(text):
        if not (match[1] == "_exit" and module_of(path.stem) in MAY_LEAVE):
            yield f"{path}:{line_of(text, match.start())}: the core calls {match[1]}()"


def check_shape(path: Path) -> Iterator[str]:
    lines = path.read_text().splitlines()
    if len(lines) > MAX_FILE_LINES:
        yield f"{path}: {len(lines)} lines, more than {MAX_FILE_LINES}"
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            if number - start > MAX_FUNCTION_LINES:
                yield f"{path}:{start}: a function of {number - start} lines"
            start = None


def check_python_border(root: Path) -> Iterator[str]:
    """corepy.h is the only file with Python.h."""
    for path in sorted(root.glob("csrc/py/*.[ch]")):
        for line, _, name in includes(path):
            if name == "Python.h" and path.name != "corepy.h":
                yield f"{path}:{line}: includes Python.h: corepy.h does that"


def check_preload(root: Path) -> Iterator[str]:
    core = {path.name for path in root.glob("csrc/core/*.h")}
    for path in sorted(root.glob("csrc/preload/*.[ch]")):
        for line, is_own, name in includes(path):
            if (is_own and Path(name).name in core) or Path(name).name == "Python.h":
                yield f"{path}:{line}: the preloaded library includes {name}"


def check_tests(root: Path) -> Iterator[str]:
    """Each module has a test: tests/c/test_<file>.c, or one of a part of its name."""
    tested = {path.stem.removeprefix("test_") for path in root.glob("tests/c/test_*.c")}
    for path in sorted(root.glob("csrc/core/*.c")):
        parts = path.stem.split("_")
        if not tested & {"_".join(parts[: n + 1]) for n in range(len(parts))}:
            yield f"{path}: has no test: tests/c/test_{parts[0]}.c"


def check_objects(objects: Path) -> Iterator[str]:
    """What the compiled core refers to and defines."""
    for path in sorted(objects.rglob("csrc/core/*.o")):
        command = ["objdump", "--syms", path]
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for match in SYMBOL.finditer(listing):
            section, name = match[2], match[3]
            if section == "*UND*" and name in FORBIDDEN_SYMBOLS:
                yield f"{path}: the core refers to {name}"
            elif (
                "O" in match[1]
                and WRITABLE.match(section)
                and (path.stem, name) not in MAY_BE_WRITABLE
            ):
                yield f"{path}: writable global or static: {name}"


def check(root: Path, objects: Path | None = None) -> list[str]:
    findings = []
    for path in sorted(root.glob("csrc/core/*.[ch]")):
        findings += [*check_includes(path), *check_calls(path)]
    for path in sorted([*root.glob("csrc/core/*.[ch]"), *root.glob("csrc/py/*.[ch]")]):
        findings += check_shape(path)
    findings += [*check_python_border(root), *check_preload(root), *check_tests(root)]
    if objects:
        findings += check_objects(objects)
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--objects", type=Path)
    arguments = parser.parse_args()
    findings = check(arguments.root, arguments.objects)
    for finding in findings:
        print(finding.removeprefix(f"{arguments.root}/"))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
