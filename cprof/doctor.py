"""What this machine allows, knob by knob, and what would change it; as data and as text."""

from collections.abc import Iterable

from cprof import _core
from cprof.names import printable
from cprof.rows import Capability


class Capabilities(list[Capability]):
    """All knobs; shows itself as a table. `can_record` is the verdict."""

    @property
    def can_record(self) -> bool:
        """Whether recording works at all: an event opens, and the process asked about can
        be recorded. What else is not ok only makes the result poorer."""
        return not any(self._stops(row) for row in self)

    @staticmethod
    def _stops(row: Capability) -> bool:
        is_decisive = row.knob == "event task-clock" or row.knob.startswith("process ")
        return is_decisive and not row.ok

    def __str__(self) -> str:
        knobs = max((len(row.knob) for row in self), default=0)
        lines = []
        for row in self:
            mark = "ok" if row.ok else "BLOCKS" if self._stops(row) else "limits"
            lines.append(f"{mark:6}  {row.knob.ljust(knobs)}  {printable(row.value)}")
            if row.ok:
                continue
            lines.append(f"{'':10}in the way of: {row.blocks}")
            if row.remedy:
                lines.append(f"{'':10}remedy: {row.remedy}")
        lines.append("recording works" if self.can_record else "recording is not possible")
        return "\n".join(lines)

    __repr__ = __str__


def doctor(pid: int | None = None) -> Capabilities:
    """Everything that decides what can be recorded here (of `pid`, if given). `print()` it."""
    return _capabilities(_core.probe(pid or 0))


def _capabilities(entries: Iterable[tuple[str, str, bool, str, str]]) -> Capabilities:
    return Capabilities(Capability(*entry) for entry in entries)
