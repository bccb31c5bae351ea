"""Names of functions as people read them: without what makes them long or unprintable.

`printable` is for every name that reaches a terminal or a picture: names come from files
that anybody may have written.
"""

_OPEN, _CLOSE = "(<[{", ")>]}"
_NOT_PARAMETERS = ("(anonymous namespace)", "(anonymous class)")


def printable(name: str) -> str:
    """`name` with control characters, lone surrogates and the like replaced."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


def is_kernel(module: str) -> bool:
    """Whether a module's name is that of the kernel or one of its modules."""
    return module.startswith("[kernel") or module.endswith(".ko") or module == "vmlinux"


def _operator_end(name: str, start: int) -> int:
    """Where the symbol of the C++ operator at `start` ends: `operator()` and `operator<<`
    hold brackets that open nothing. `start` itself when there is no such operator."""
    word = "operator"
    before = name[start - 1] if start else " "
    if not name.startswith(word, start) or before.isalnum() or before == "_":
        return start
    at = start + len(word)
    for symbol in ("()", "[]", "<=>", "->*", "<<=", ">>=", "<<", ">>", "<=", ">=", "->", "<", ">"):
        if name.startswith(symbol, at):
            return at + len(symbol)
    return start


def _pieces(name: str) -> list[tuple[int, str]]:
    """`name` cut into (depth, text): depth 0 is outside of all brackets, and each outermost
    bracket with what it holds is one piece of depth 1."""
    pieces: list[tuple[int, str]] = []
    depth = start = at = 0
    while at < len(name):
        end = _operator_end(name, at) if name[at] == "o" else at
        if end > at:
            at = end
            continue
        char = name[at]
        if char in _OPEN:
            if depth == 0:
                pieces.append((0, name[start:at]))
                start = at
            depth += 1
        elif char in _CLOSE and depth and not (char == ">" and name[at - 1] in "-="):
            depth -= 1
            if depth == 0:
                pieces.append((1, name[start : at + 1]))
                start = at + 1
        at += 1
    pieces.append((1 if depth else 0, name[start:]))
    return [piece for piece in pieces if piece[1]]


def _is_parameters(text: str, before: str) -> bool:
    """Whether the bracket `text` after `before` is a list of parameters; it is not in
    `(anonymous namespace)::f`, in `decltype(auto) f` and in Go's `pkg.(*T).method`."""
    return (
        text.startswith("(")
        and text not in _NOT_PARAMETERS
        and bool(before)
        and not before.endswith((".", ":", " ", "decltype"))
    )


def _shorten(name: str, *, keep_arguments: bool) -> tuple[str, bool]:
    """`name` up to its parameters, and whether it had any. Parameters of an outer function
    (`f(int)::{lambda()#1}`) are dropped on the way."""
    kept = ""
    pieces = _pieces(name)
    for i, (depth, text) in enumerate(pieces):
        if depth and _is_parameters(text, kept):
            if not any(later.startswith("::") for _, later in pieces[i + 1 : i + 2]):
                return kept, True
        elif keep_arguments or not depth or text[0] != "<" or kept.endswith((" ", ":")) or not kept:
            kept += text
    return kept, False


def without_parameters(name: str) -> str:
    """`std::vector<int>::push_back(int const&)` -> `std::vector<int>::push_back`."""
    return _shorten(name, keep_arguments=True)[0] or name


def simplify(name: str) -> str:
    """`name` without parameters, template arguments and return type. What is no C++ name is
    left alone."""
    kept, had_parameters = _shorten(name, keep_arguments=False)
    return (_without_return_type(kept) if had_parameters else kept) or name


def _without_return_type(name: str) -> str:
    """Drop what stands before the last space outside of brackets, as in `void f`."""
    last = at = 0
    for depth, text in _pieces(name):
        if not depth and " " in text.rstrip():
            last = at + text.rstrip().rindex(" ") + 1
        at += len(text)
    is_operator = name[:last].endswith("operator ")  # `A::operator bool`, `operator new`
    return name if is_operator else name[last:].lstrip("*&") or name


def last_part(name: str) -> str:
    """`std::vector::push_back` -> `push_back`, `cc1plus!fn_0x12` -> `fn_0x12`: what is left
    where there is little room."""
    for separator in ("::", "!"):
        part = name.rpartition(separator)[2]
        if part and not any(bracket in part for bracket in _OPEN + _CLOSE):
            name = part
    return name


def variants(name: str) -> tuple[str, ...]:
    """The ways in which somebody may write `name` in a pattern: whole, without parameters,
    and without template arguments and return type too."""
    if "(" not in name and "<" not in name:
        return (name,)
    return tuple(dict.fromkeys((name, without_parameters(name), simplify(name))))


def elide(name: str, width: int) -> str:
    """`name` in at most `width` characters: as it is, else simplified, else cut."""
    name = printable(name)
    if len(name) <= width:
        return name
    name = simplify(name)
    return name if len(name) <= width else name[: max(width - 1, 0)] + "\N{HORIZONTAL ELLIPSIS}"
