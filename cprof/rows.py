"""Rows: what cprof's questions are answered with. A row is frozen, and can be read by
attribute (`row.total`) or as a mapping (`row["total"]`, `dict(row)`).

Not dataclasses: importing those costs more than the rest of `import cprof`.
"""

from collections.abc import Iterator, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


class Row(Mapping[str, "Any"]):
    """The base. A subclass names its fields in `__slots__`, in order."""

    __slots__: tuple[str, ...] = ()

    def __init__(self, /, *values: "Any", **named: "Any") -> None:
        fields = type(self).__slots__
        given = dict(zip(fields, values, strict=False)) | named
        if len(values) > len(fields) or set(given) != set(fields):
            raise TypeError(f"{type(self).__name__} takes {', '.join(fields)}")
        for name in fields:
            object.__setattr__(self, name, given[name])

    def __getitem__(self, name: str) -> "Any":
        if name not in type(self).__slots__:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(type(self).__slots__)

    def __len__(self) -> int:
        return len(type(self).__slots__)

    def __hash__(self) -> int:
        return hash(tuple(self.values()))

    def __setattr__(self, name: str, value: object) -> "NoReturn":
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be set")

    def __delattr__(self, name: str) -> "NoReturn":
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be deleted")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), tuple(self.values())

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.items())
        return f"{type(self).__name__}({fields})"


class FunctionRow(Row):
    """One function (name and module) of a profile. `self` is the sum over the samples
    taken in the function itself, `total` over those with it anywhere on the stack, each
    sample once; both in the unit of the sample type that was asked for."""

    __slots__ = ("function", "module", "self", "total")
    function: str
    module: str
    self: int
    total: int

    @property
    def label(self) -> str:
        return self.function


class Place(Row):
    """One node of a call graph: a function, or what another granularity tells apart (a file, a
    line, an address, a module); what it does not is "" or 0. `self` and `total` as in
    `FunctionRow`."""

    __slots__ = ("function", "module", "file", "line", "address", "self", "total")
    function: str
    module: str
    file: str
    line: int
    address: int
    self: int
    total: int

    @property
    def label(self) -> str:
        """What tells it from other nodes, as pprof writes it, without the module."""
        at = f"{self.file}:{self.line}" if self.line else self.file
        address = f"{self.address:016x}" if self.address else ""
        return " ".join(part for part in (address, self.function, at) if part)


class CallRow(Row):
    """The calls from one function to another: `value` is the sum over the samples that have
    them on the stack, each once; `is_inlined` where all of them were compiled in place."""

    __slots__ = (
        "caller", "caller_module", "callee", "callee_module", "value", "is_inlined",
    )  # fmt: skip
    caller: str
    caller_module: str
    callee: str
    callee_module: str
    value: int
    is_inlined: bool


class Trace(Row):
    """One distinct stack: `stack` are its (function, module), leaf first, `samples` how many
    rows of the profile have it, `value` their sum in the sample type that was asked for, `sums`
    those of all sample types."""

    __slots__ = ("stack", "samples", "value", "sums")
    stack: tuple[tuple[str, str], ...]
    samples: int
    value: int
    sums: tuple[int, ...]


class DiffRow(Row):
    """One function (name and module) of a diff. `base` and `new` are its self cost on either
    side, `delta` what it changed by, and `low` to `high` bound `delta` with 95 % confidence;
    all in the unit of the diff. `p` is the probability of a difference like this, or a larger
    one, where there is none; `q` that with the number of functions allowed for. `state` is
    "same" unless q < 0.05, else "new", "gone", "grew", "shrank", or "moved": its self cost is
    the same, but its callers changed; p and q are then of that."""

    __slots__ = (
        "function", "module", "base", "new", "delta", "low", "high", "p", "q", "state",
    )  # fmt: skip
    function: str
    module: str
    base: float
    new: float
    delta: float
    low: float
    high: float
    p: float
    q: float
    state: str


class StackRow(Row):
    """One stack of a diff: the names of its functions, the outermost first, and what
    `DiffRow` says of a function; never "moved"."""

    __slots__ = ("stack", "base", "new", "delta", "low", "high", "p", "q", "state")
    stack: tuple[str, ...]
    base: float
    new: float
    delta: float
    low: float
    high: float
    p: float
    q: float
    state: str


class ModuleQuality(Row):
    """How good the samples are that were taken in one program or library ("" for code that
    no known mapping holds), under the keys of `Profile.quality`: `complete` is a share,
    0..1, the others count samples. And what it does to the stacks of all samples: `broke`
    counts those that got as far as its code and no further, `reason` is why most of them
    did (a key of `Profile.quality["ends"]`, "" when none broke)."""

    __slots__ = (
        "module", "samples", "complete", "truncated", "no_mapping", "fallback", "guessed",
        "spliced", "continued", "refused", "unknown", "broke", "reason",
    )  # fmt: skip
    module: str
    samples: int
    complete: float
    truncated: int
    no_mapping: int
    fallback: int
    guessed: int
    spliced: int
    continued: int
    refused: int
    unknown: int
    broke: int
    reason: str


class Thread(Row):
    """One thread that has samples. -1 and "" where an imported file does not say."""

    __slots__ = ("pid", "tid", "name", "comm")
    pid: int
    tid: int
    name: str
    comm: str


class Event(Row):
    """An event known by name, the unit of its count, and whether this machine has it."""

    __slots__ = ("name", "unit", "is_available")
    name: str
    unit: str
    is_available: bool


class Capability(Row):
    """One thing that decides what can be recorded: a kernel setting, a limit, a privilege.
    `blocks` says what its present value stands in the way of ("" when nothing), `remedy`
    what would change that."""

    __slots__ = ("knob", "value", "ok", "blocks", "remedy")
    knob: str
    value: str
    ok: bool
    blocks: str
    remedy: str


class Frame(Row):
    """One frame of a stack."""

    __slots__ = ("function", "module", "address")
    function: str
    module: str
    address: int


class ThreadStack(Row):
    """Where one thread is now. `state` is the kernel's letter (R running, S sleeping, D
    uninterruptible ...), `wait` the kernel function it waits in, `end` why the stack ended
    ("root": it is complete), `frames` the leaf first."""

    __slots__ = ("tid", "name", "state", "wait", "end", "frames")
    tid: int
    name: str
    state: str
    wait: str
    end: str
    frames: tuple[Frame, ...]
