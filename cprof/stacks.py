"""Where every thread of a process is right now: `cprof.dump` and its text."""

from collections.abc import Iterable

from cprof import _core
from cprof.errors import translated
from cprof.names import printable
from cprof.rows import Frame, ThreadStack

_STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "uninterruptible",
    "T": "stopped",
    "t": "traced",
    "Z": "zombie",
    "X": "dead",
    "I": "idle",
}


class ThreadStacks(list[ThreadStack]):
    """One entry for each thread; shows itself as text."""

    def __str__(self) -> str:
        return "\n\n".join(_text(stack) for stack in self)

    __repr__ = __str__


def dump(pid: int) -> ThreadStacks:
    """The stack of every thread of `pid`, each stopped for the moment that takes.

    Raises TargetGone, PermissionDenied.
    """
    with translated():
        entries = _core.dump(pid)
    return ThreadStacks(
        ThreadStack(*entry[:5], tuple(Frame(*frame) for frame in entry[5])) for entry in entries
    )


def _text(stack: ThreadStack) -> str:
    state = _STATES.get(stack.state, stack.state)
    wait = f" in {stack.wait}" if stack.wait not in ("", "0") else ""
    lines = [f'thread {stack.tid} "{printable(stack.name)}": {state}{printable(wait)}']
    lines += _frames(stack.frames)
    if stack.end not in ("root", "kernel"):
        lines.append(f"      [the stack goes on: {stack.end}]")
    return "\n".join(lines)


def _frames(frames: Iterable[Frame]) -> list[str]:
    return [
        f"  #{i:<3d}{printable(frame.function)}"
        + (f" ({printable(frame.module)})" if frame.module else "")
        for i, frame in enumerate(frames)
    ]
