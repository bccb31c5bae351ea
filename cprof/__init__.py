"""cprof: where a native Linux process spends its CPU time.

import cprof
p = cprof.record(["gcc", "-O2", "-c", "big.c"])
p.top(20); p.flamegraph(); p.write("cpu.pb.gz")
"""

try:
    from cprof import _core as _core
except ImportError as error:
    raise ImportError(f"cprof's C core is not built here ({error}): pip install .") from error

from cprof.diff import Diff, compare, diff
from cprof.doctor import doctor
from cprof.errors import (
    CommandNotExecutable,
    CommandNotFound,
    CorruptProfile,
    CprofError,
    InvalidOption,
    MissingPackage,
    NoSamples,
    NoSymbols,
    PermissionDenied,
    RecordingInterrupted,
    TargetGone,
    UnsupportedEvent,
    WrongState,
)
from cprof.profile import Profile
from cprof.readers import load
from cprof.recorder import Recorder, Target, record
from cprof.recording import Recording
from cprof.stacks import dump

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """`%load_ext cprof` in IPython and Jupyter: the magics of `cprof.notebook`."""
    from cprof.notebook import Magics

    Magics(shell).register()


__all__ = [
    "CommandNotExecutable",
    "CommandNotFound",
    "CorruptProfile",
    "CprofError",
    "Diff",
    "InvalidOption",
    "MissingPackage",
    "NoSamples",
    "NoSymbols",
    "PermissionDenied",
    "Profile",
    "Recorder",
    "Recording",
    "RecordingInterrupted",
    "Target",
    "TargetGone",
    "UnsupportedEvent",
    "WrongState",
    "compare",
    "diff",
    "doctor",
    "dump",
    "load",
    "record",
]
