"""What can be sampled, and the defaults of a recording."""

from cprof import _core
from cprof.rows import Event

FREQ_CHILD = 997  # Hz of CPU time; prime, so that it does not march in step with the target
FREQ_ATTACH = 99
ATTACH_SECONDS = 10.0
STACK_BYTES_MAX = 65528
STACKS = ("auto", "exact", "dump")
UNWINDERS = ("auto", "table", "libunwind", "fp")


def known() -> list[Event]:
    """All events known by name, with their units, and whether this machine has them."""
    return [Event(*entry) for entry in _core.events()]
