"""Name patterns: globs, and every name also stands for itself.

`[lost]` and `operator[]` are names before they are globs, so a pattern that is equal to a
name always matches it.
"""

from collections.abc import Callable, Iterable, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    Pattern = str | int | Iterable[str | int]


def matcher(patterns: "str | Iterable[str]") -> Callable[[Iterable[str]], bool]:
    """A function that tells whether one of the given names matches one of the patterns."""
    import re
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
