"""Name patterns: globs, and every name also stands for itself.

`[lost]` and `operator[]` are names before they are globs, so a pattern that is equal to a
name always matches it.

`focus`, `hide` and their kin take regular expressions instead, as pprof does.
"""

import re
from collections.abc import Callable, Iterable, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof import _core

    Pattern = str | int | Iterable[str | int]


def matcher(patterns: "str | Iterable[str]") -> Callable[[Iterable[str]], bool]:
    """A function that tells whether one of the given names matches one of the patterns."""
    from fnmatch import translate

    words = {patterns} if isinstance(patterns, str) else set(patterns)
    globs = [re.compile(translate(word)) for word in words if any(c in word for c in "*?[")]

    def matches(names: Iterable[str]) -> bool:
        return any(name in words or any(g.match(name) for g in globs) for name in names)

    return matches


def by_thread(
    threads: Sequence[tuple[int, int, str, str]],
    thread: "Pattern | None",
    comm: "Pattern | None",
) -> bytes:
    """A mask over (pid, tid, name, comm): threads by name or tid, of processes by name or
    pid."""
    is_thread, is_process = _name_or_number(thread), _name_or_number(comm)
    return bytes(is_thread(name, tid) and is_process(of, pid) for pid, tid, name, of in threads)


def _name_or_number(pattern: "Pattern | None") -> Callable[[str, int], bool]:
    if pattern is None:
        return lambda name, number: True
    given = [pattern] if isinstance(pattern, (str, int)) else list(pattern)
    numbers = {word for word in given if isinstance(word, int)}
    matches = matcher([word for word in given if isinstance(word, str)])
    return lambda name, number: number in numbers or matches((name,))


def by_module(
    mappings: Sequence[tuple[int, int, int, str, str, str]], pattern: "str | Iterable[str]"
) -> bytes:
    """A mask over mappings: by module name, or by path where the pattern has a slash."""
    words = [pattern] if isinstance(pattern, str) else list(pattern)
    matches_path = matcher([word for word in words if "/" in word])
    matches_name = matcher([word for word in words if "/" not in word])
    return bytes(
        matches_name((module,)) or matches_path((file,)) for _, _, _, file, module, _ in mappings
    )


def by_function(
    functions: Sequence[tuple[str, str, str, int, str]], pattern: "str | Iterable[str]"
) -> bytes:
    """A mask over functions: by readable name (whole, or without its parameters, or without
    template arguments too) or by symbol name."""
    from cprof.names import variants

    matches = matcher(pattern)
    return bytes(matches((*variants(name), symbol)) for name, symbol, *_ in functions)


# Regular expressions

_BRACKET = re.compile(r"\(anonymous namespace\)|operator\(\)|\(")


def compiled(pattern: str, option: str = "") -> "re.Pattern[str]":
    """The regular expression, or a ValueError that names it and its option."""
    try:
        return re.compile(pattern)
    except re.error as error:
        at = f"{option}: " if option else ""
        raise ValueError(f"{at}{pattern!r} is no regular expression: {error}") from None


def by_regex(core: "_core.Profile", pattern: str, option: str) -> tuple[bytes, bytes]:
    """Masks over functions and mappings: by the name of the function or its source file, by the
    path of the program or library (google/pprof, profile/filter.go). `prune_from` looks at names
    of functions alone, without their parameters (profile/prune.go)."""
    search = compiled(pattern, option).search
    functions, mappings = core.functions_table, core.mappings
    if option == "prune_from":
        names = (_without_arguments(name) if name else None for name, *_ in functions)
        return bytes(n is not None and bool(search(n)) for n in names), bytes(len(mappings))
    return (
        bytes(bool(search(name) or search(file)) for name, _, file, *_ in functions),
        bytes(bool(search(file)) for _, _, _, file, _, _ in mappings),
    )


def by_drop_frames(core: "_core.Profile") -> tuple[bytes, bytes]:
    """Masks of what the file says is to be dropped, by names without their parameters
    (google/pprof, profile/prune.go). An expression that is none matches nothing."""
    drop, keep = core.run["drop_frames"], core.run["keep_frames"]
    try:
        dropped, kept = re.compile(drop), re.compile(keep)
    except re.error:
        dropped = kept = re.compile("(?!)")
    names = (_without_arguments(name) for name, *_ in core.functions_table)
    mask = bytes(
        bool(n and dropped.fullmatch(n) and not (keep and kept.fullmatch(n))) for n in names
    )
    return mask, bytes(len(core.mappings))


def _without_arguments(name: str) -> str:
    """pprof's simplifyFunc: up to the first "(" that opens parameters."""
    name = name.removeprefix(".")
    opens = (m.start() for m in _BRACKET.finditer(name) if m[0] == "(")
    return name[: next(opens, len(name))]
