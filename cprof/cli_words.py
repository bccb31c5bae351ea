"""The words of `go tool pprof`'s command line: how they are spelled (-focus=x, -focus x,
--focus=x, -cum, -cum=false), and what stands in for those that cprof has no option for.
"""

import re
from collections.abc import Collection, Iterable, Sequence

GRANULARITIES = ("functions", "filefunctions", "files", "lines", "addresses", "modules")
LEGACY = {
    "inuse_space": "inuse_space", "inuse_objects": "inuse_objects", "alloc_space": "alloc_space",
    "alloc_objects": "alloc_objects", "total_delay": "delay", "contentions": "contentions",
}  # fmt: skip
_SWITCHES = {
    "cum", "flat", "mean", "normalize", "relative_percentages", "noinlines", "call_tree", "json",
    "drop_negative", "intel_syntax", *GRANULARITIES, *LEGACY, "mean_delay",
}  # fmt: skip
_VALUES = {
    "focus", "ignore", "hide", "show", "show_from", "prune_from", "tagfocus", "tagignore",
    "tagshow", "taghide", "tagroot", "tagleaf", "sample_index", "diff_base", "base",
    "nodefraction", "edgefraction", "nodecount", "granularity", "divide_by", "unit", "sort",
    "source_path", "trim_path", "window", "base_window", "base_tagfocus", "sample_type", "trim",
}  # fmt: skip
TRUE, FALSE = ("true", "t", "1"), ("false", "f", "0")
_DOUBLE = {"json", "window", "base_window", "base_tagfocus"}  # words of our own
_SAME = {"sample_type": "sample_index"}


def spelled(words: Sequence[str], known: Collection[str]) -> list[str]:
    """The words of a command line with pprof's options spelled in one way: `-name=value`, and
    `-name` for a switch that is on, nothing for one that is off. Whatever else there is, and all
    after `--`, stays; but long words that are not `known` get two dashes, or argparse would take
    -normalize for -n ormalize."""
    out: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--":
            return [*out, word, *left]
        found = re.fullmatch(r"--?([a-z][a-z_-]+)(?:=(.*))?", word, re.DOTALL)
        name = found[1].replace("-", "_") if found else ""
        if found is None or name not in _SWITCHES | _VALUES:
            out.append(f"-{word}" if found and word[1] != "-" else word)
            continue
        value = found[2]
        flag = _SAME.get(name, name)
        flag = f"--{flag.replace('_', '-')}" if flag in _DOUBLE else f"-{flag}"
        if flag not in known and not flag.startswith("--"):
            flag = f"-{flag}"
        if name in _SWITCHES and value is not None and value.lower() in FALSE:
            out = [other for other in out if other != flag]
        elif name in _SWITCHES:
            out.append(flag if value is None or value.lower() in TRUE else f"{flag}={value}")
        elif value is None and name == "trim":
            out.append(f"{flag}=true")
        else:
            value = next(left, None) if value is None else value
            out.append(flag if value is None else f"{flag}={value}")
    return out


# Words that are something else here

_GRAPH = "cprof export FILE -o OUT.dot.svg draws the call graph"
_PAGE = "cprof ui FILE opens the page"
_FETCH = "cprof reads files; fetch them first"
_LIST = "cprof list FILE REGEX takes it"
_TAGS = "cprof tags FILE shows labels, and takes it"
_CALLGRIND = "cprof export FILE -o OUT.callgrind"
_ANSWERS = "verbs that print tables take it, as cprof top FILE"
_FORMATS = {
    "text": "cprof top FILE", "top": "cprof top FILE", "tree": "cprof tree FILE",
    "peek": "cprof peek FILE REGEX", "list": "cprof list FILE REGEX",
    "disasm": "cprof disasm FILE REGEX", "traces": "cprof traces FILE", "tags": "cprof tags FILE",
    "comments": "cprof comments FILE", "raw": "cprof traces --json FILE",
    "weblist": f"{_PAGE}, with source lines", "web": _PAGE, "http": _PAGE,
    "callgrind": _CALLGRIND, "kcachegrind": _CALLGRIND, "proto": "cprof export FILE -o OUT.pb.gz",
    "topproto": "cprof top --json FILE has the rows",
    **dict.fromkeys(("dot", "svg", "png", "gif", "pdf", "ps", "eog", "evince", "gv"), _GRAPH),
}  # fmt: skip
_ELSEWHERE = {
    **_FORMATS,
    "output": "cprof export FILE -o OUT writes files",
    "symbolize": "names are found while recording, lines when they are asked for: leave it out",
    "no_browser": "cprof ui FILE -o OUT.html",
    "seconds": "cprof record -d SECONDS records, --window A:B looks at a part",
    "add_comment": "cprof record --label KEY=VALUE notes something in a new file",
    "compact_labels": "headings are short as they are: leave it out",
    "showcolumns": "cprof tells lines apart, not columns",
    "buildid": "a file says itself which programs it is of: leave it out",
    "tools": "objdump and dot are those of PATH: leave it out",
    **dict.fromkeys(("timeout", "tls_cert", "tls_key", "tls_ca"), _FETCH),
    **dict.fromkeys(("tagshow", "taghide"), _TAGS),
    **dict.fromkeys(("source_path", "trim_path"), _LIST),
    "intel_syntax": "cprof disasm FILE REGEX takes it",
    "call_tree": "cprof tree -call_tree FILE prints call paths",
    "edgefraction": "cprof tree FILE shows calls, and takes it",
    **dict.fromkeys(("mean", "nodefraction", "nodecount"), "cprof top and cprof tree take it"),
    "normalize": "cprof diff compares shares of the sums, unless told --mode raw",
    **dict.fromkeys(("relative_percentages", "divide_by", "unit"), _ANSWERS),
    **dict.fromkeys(("base", "diff_base", "drop_negative"), _ANSWERS),
}


def refused(verb: str, words: Iterable[str], known: Collection[str]) -> str:
    """What to say of words that a verb does not take: the way that cprof has instead, or the
    option of the verb that is nearest."""
    from difflib import get_close_matches

    said = []
    for word in words:
        name = word.lstrip("-").partition("=")[0]
        more = f" (see cprof {verb} --help)"
        if word.startswith("-") and name in _ELSEWHERE:
            more = f": {_ELSEWHERE[name]}"
        elif near := get_close_matches(f"-{name}", known, 1, cutoff=0.7):
            more = f": did you mean {near[0]}?"
        said.append(f"{verb} takes no {re.sub('^--', '-', word)}{more}")
    return "; ".join(said)


def instead_of(format: str) -> str | None:
    """The command for a format of pprof's, as in "-top"; None for another word."""
    return _FORMATS.get(format.lstrip("-").partition("=")[0]) if format.startswith("-") else None
