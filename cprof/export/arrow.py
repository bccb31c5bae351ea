"""Arrow's IPC file ("Feather 2"): every sample with its columns, as
`Profile.__arrow_c_stream__` gives them. Holds all sample types. Needs pyarrow."""

from cprof.errors import MissingPackage
from cprof.export.files import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from cprof.profile import Profile


def write(profile: "Profile", path: str, type_index: int) -> None:
    """Write all samples of `profile`; `type_index` does not matter."""
    del type_index
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError as error:
        raise MissingPackage(
            f"an Arrow file needs pyarrow ({error})", "pip install pyarrow"
        ) from error

    def fill(file: "BinaryIO") -> None:
        stream = pyarrow.RecordBatchReader.from_stream(profile)
        with pyarrow.ipc.new_file(file, stream.schema) as out:
            for batch in stream:
                out.write_batch(batch)

    replace(path, fill)
