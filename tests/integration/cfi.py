"""Unwind rows as readelf and llvm-dwarfdump read them, in the words of tests/c/rows.c.

Both are independent readers of .eh_frame and .debug_frame. llvm-dwarfdump writes
expressions out; where readelf says only that there is one, any row that stands for an
expression is right (EXPRESSION).
"""

import re
import shutil
import subprocess
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from pathlib import Path

EXPRESSION = "expression"  # what readelf says of it
PLT = re.compile(
    r"DW_OP_breg7 RSP\+8, DW_OP_breg16 RIP\+0, DW_OP_lit15, DW_OP_and, DW_OP_lit(\d+), "
    "DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus"
)

Row = tuple[int, str, str]  # address, CFA, rbp


@dataclass(slots=True)
class Function:
    """One FDE: its range, and rows of (address, CFA, rbp)."""

    start: int
    end: int
    rows: list[Row] = field(default_factory=list)


def flatten(functions: list[Function]) -> list[Row]:
    """All rows by address: a later start wins, between functions is a gap, and a row that
    says what the one before says is left out."""
    rows: list[Row] = []
    for function in sorted(functions, key=lambda f: f.start):
        if not function.start or function.start >= function.end:
            continue
        while rows and rows[-1][0] >= function.start:
            rows.pop()
        latest: dict[int, Row] = {}
        for row in function.rows:  # of rows at one address the last one counts
            latest[row[0]] = row
        for row in latest.values():
            if row[0] < function.end and (not rows or rows[-1][1:] != row[1:]):
                rows.append(row)
        if not rows or rows[-1][1] != "gap":
            rows.append((function.end, "gap", "same"))
    return rows


def offset_cfa(register: str, offset: int) -> str:
    """A CFA that is a register and an offset."""
    fits = offset >= 0 and offset % 8 == 0 and offset < 8 << 14
    return f"{register}+{offset}" if register in ("rsp", "rbp") and fits else "other"


def offset_rbp(offset: int) -> str | None:
    """rbp that was saved at the CFA and an offset; None: no row can say so."""
    fits = offset % 8 == 0 and offset and -32767 < offset // 8 < 1 << 15
    return f"c{offset:+d}" if fits else None


# readelf

_ENTRY = re.compile(
    r"([0-9a-f]+) [0-9a-f]+ [0-9a-f]+ "
    r'(?:CIE "(\w*)"|FDE cie=([0-9a-f]+) pc=([0-9a-f]+)\.\.([0-9a-f]+))'
)


_NAME = re.compile(r" \(\w+\)")  # "r9 (r9)" of a register that another is in


def _readelf_row(cfa: str, rbp: str, ra: str, is_signal: bool) -> tuple[str, str]:
    if ra == "u":
        return "root", "same"
    if is_signal or EXPRESSION in (cfa, rbp, ra):
        return EXPRESSION, cfa
    if ra != "c-8":
        return "other", "same"
    register, sign, offset = cfa.partition("+")
    cfa = offset_cfa(register, int(offset)) if sign else "other"
    saved: str | None = rbp
    if rbp in ("u", "s"):
        saved = "same"
    elif rbp.startswith(("c+", "c-")):
        saved = offset_rbp(int(rbp[1:]))
    elif rbp != "undefined":
        saved = None
    return ("other", "same") if cfa == "other" or saved is None else (cfa, saved)


class _Readelf:
    """Takes the entries of `readelf --debug-dump=frames-interp`, blocks of lines."""

    def __init__(self) -> None:
        self.functions: list[Function] = []
        self._cies: dict[str, tuple[bool, tuple[str, str]]] = {}  # signal?, first row
        self._known: dict[tuple[str, str], tuple[str, str]] = {}  # by columns and cells

    def take(self, block: str) -> None:
        head, *rest = block.split("\n")
        entry = _ENTRY.match(head)
        if not entry:
            return
        number, letters, cie, start, end = entry.groups()
        is_signal, first = self._cies[cie] if cie else ("S" in letters, ("other", "same"))
        function = Function(int(start or "0", 16), int(end or "0", 16))
        function.rows.append((function.start, *first))
        columns = rest[0] + str(is_signal) if rest else ""
        for line in rest[1:]:
            key = columns, line[17:]
            row = self._known.get(key)
            if row is None:
                row = self._known[key] = self._row(rest[0], line, is_signal)
            function.rows.append((int(line[:16], 16), *row))
        if cie:
            self.functions.append(function)
        else:
            self._cies[number] = is_signal, function.rows[-1][1:]

    @staticmethod
    def _row(columns: str, line: str, is_signal: bool) -> tuple[str, str]:
        words = _NAME.sub("", line).split()
        cells = dict(zip(columns.split(), words, strict=True))
        cfa, rbp, ra = (
            EXPRESSION if cell in ("exp", "vexp") else cell
            for cell in (cells["CFA"], cells.get("rbp", "u"), cells.get("ra", ""))
        )
        return _readelf_row(cfa, rbp, ra, is_signal)


def by_readelf(path: Path, one_of: int = 1) -> list[Function]:
    """All functions, or every `one_of`-th."""
    command = ["readelf", "--debug-dump=frames-interp", str(path)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
    )
    reader = _Readelf()
    for n, block in enumerate(done.stdout.split("\n\n")):
        if n % one_of == 0 or " CIE " in block[:48]:
            reader.take(block.strip("\n"))
    return reader.functions


# llvm-dwarfdump

_FDE = re.compile(r"FDE cie=([0-9a-f]+) pc=([0-9a-f]+)\.\.\.([0-9a-f]+)")
_REGISTER = re.compile(r"(RBP|RSP|RIP)=(\[[^]]*\]|[^,]*)")
_PLUS = re.compile(r"(\w+)([+-]\d+)$")


def _dwarfdump_cfa(text: str) -> str:
    if found := _PLUS.fullmatch(text):
        return offset_cfa(found[1].lower(), int(found[2]))
    if found := re.fullmatch(r"DW_OP_breg6 RBP-(\d+), DW_OP_deref", text):
        return f"*rbp-{found[1]}"
    if text == "DW_OP_breg6 RBP+0, DW_OP_deref":
        return "*rbp-0"
    kept = r"DW_OP_breg7 RSP([+-]\d+), DW_OP_deref, DW_OP_plus_uconst 0x([0-9a-f]+)"
    if found := re.fullmatch(kept, text):
        at, more = int(found[1]), int(found[2], 16)
        if at % 8 == more % 8 == 0 and -128 <= at < 1920 and more < 128:
            return f"*(rsp{at:+d})+{more}"
    if (found := PLT.fullmatch(text)) and int(found[1]) < 16:
        return f"plt-{found[1]}"
    return "other"


def _dwarfdump_row(cfa: str, registers: str, is_signal: bool) -> tuple[str, str]:
    saved = dict(_REGISTER.findall(registers))
    ra, rbp, rsp = saved.get("RIP", ""), saved.get("RBP", ""), saved.get("RSP")
    if ra == "undefined":
        return "root", "same"
    if is_signal:
        at = {"RIP": 168, "RSP": 160, "RBP": 120}
        is_standard = cfa == "DW_OP_breg7 RSP+160, DW_OP_deref" and all(
            saved.get(name) == f"[DW_OP_breg7 RSP+{offset}]" for name, offset in at.items()
        )
        return ("signal" if is_standard else "other"), "same"
    where = _dwarfdump_cfa(cfa)
    value: str | None = None
    if rbp in ("", "same"):
        value = "same"
    elif rbp == "undefined":
        value = rbp
    elif found := re.fullmatch(r"\[CFA([+-]\d+)\]", rbp):
        value = offset_rbp(int(found[1]))
    elif rbp == "[DW_OP_breg6 RBP+0]" and where.startswith("*rbp"):
        value = "*rbp"
    elif rbp == "[DW_OP_breg6 RBP+0]" and where == "rsp+8":
        value = "same"  # at the return of a function that realigned its stack
    if where == "other" or value is None or ra != "[CFA-8]" or rsp is not None:
        return "other", "same"
    return where, value


def by_dwarfdump(path: Path, section: str) -> list[Function]:
    """`section` is eh-frame or debug-frame."""
    functions: list[Function] = []
    signal_cies: set[str] = set()
    known: dict[str, tuple[str, str]] = {}
    cie = ""
    is_signal = is_cie = False
    command = ["llvm-dwarfdump", f"--{section}", str(path)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    for line in done.stdout.splitlines(keepends=True):
        if line.startswith("  0x"):
            address, _, rule = line.strip().partition(": ")
            key = f"{is_signal}{rule}"
            if key not in known:
                cfa, _, registers = rule.partition(": ")
                known[key] = _dwarfdump_row(cfa.removeprefix("CFA="), registers, is_signal)
            functions[-1].rows.append((int(address, 16), *known[key]))
        elif line[:1] not in " \n." and (found := _FDE.search(line)):
            is_signal, is_cie = found[1] in signal_cies, False
            functions.append(Function(int(found[2], 16), int(found[3], 16)))
        elif line[:1] not in " \n." and line.rstrip().endswith("CIE"):
            cie, is_cie = line.split()[0], True
        elif is_cie and line.startswith("  Augmentation:") and "S" in line.partition('"')[2]:
            signal_cies.add(cie)
    return functions


# The table itself


def by_rows(program: Path, *files: Path) -> tuple[dict[str, int], list[Row]]:
    """What `rows dump` prints: its counts, and the rows."""
    command = [str(program), "dump", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    words = first.split()
    counts = {name: int(n) for name, n in zip(words[::2], words[1::2], strict=True)}
    split = (line.split() for line in rest)
    return counts, [(int(address, 16), cfa, rbp) for address, cfa, rbp in split]


def is_of_expression(ours: tuple[str, str], cfa: str) -> bool:
    """Whether a row of ours can stand for rules of which one is an expression."""
    if cfa == EXPRESSION:
        return ours[0].startswith(("*", "plt-", "signal", "other"))
    return ours[0] == "other" or ours == (cfa, "same") == ("rsp+8", "same")


def within(rows: list[Row], functions: list[Function]) -> list[Row]:
    """The part of a table that is about these functions."""
    starts = [row[0] for row in rows]
    parts = []
    for function in functions:
        first = bisect_right(starts, function.start) - 1
        last = bisect_left(starts, function.end)
        part = [(max(row[0], function.start), *row[1:]) for row in rows[max(first, 0) : last]]
        parts.append(Function(function.start, function.end, part))
    return flatten(parts)


def differences(got: list[Row], want: list[Row]) -> list[str]:
    """Each address at which the two do not say the same, in words."""
    addresses = sorted({row[0] for row in {*got} ^ {*want}})
    starts = [[row[0] for row in rows] for rows in (got, want)]
    found = []
    for address in addresses:
        rows = []
        for table, at in zip((got, want), starts, strict=True):
            i = bisect_right(at, address) - 1
            rows.append(table[i][1:] if i >= 0 else ("gap", "same"))
        ours, theirs = rows
        if ours == theirs or (theirs[0] == EXPRESSION and is_of_expression(ours, theirs[1])):
            continue
        found.append(f"{address:x}: {' '.join(ours)}, not {' '.join(theirs)}")
    return found


@dataclass(frozen=True, slots=True)
class Comparison:
    """One file's table beside the other readers' tables."""

    n: int  # rows compared
    n_other: int  # rows of the whole file that are left to libunwind
    n_bad: int  # FDEs that could not be read
    differences: list[str]


def compare(program: Path, path: Path, one_of: int) -> Comparison:
    """`rows` beside readelf, and where readelf does not write expressions out, beside
    llvm-dwarfdump if that is installed."""
    counts, got = by_rows(program, path)
    functions = by_readelf(path, one_of)
    want = flatten(functions)
    if one_of > 1:
        got = within(got, functions)
    found = differences(got, want)
    if shutil.which("llvm-dwarfdump") and one_of == 1:
        found += expression_differences(path, got, want)
    return Comparison(len(want), counts["other"], counts["bad"], found)


def expression_differences(path: Path, got: list[Row], want: list[Row]) -> list[str]:
    """Those of the rows of which readelf says only that there is an expression. Nothing
    else is asked of llvm-dwarfdump: before release 15 it did not restore the CFA with the
    rest of a state."""
    ask = {row[0] for row in want if row[1] == EXPRESSION}
    if not ask:
        return []
    theirs = {row[0]: row for row in flatten(by_dwarfdump(path, "eh-frame")) if row[0] in ask}
    ours = {row[0]: row for row in got if row[0] in theirs}
    return [f"{at:x}: {row}, not {theirs[at]}" for at, row in ours.items() if row != theirs[at]]
