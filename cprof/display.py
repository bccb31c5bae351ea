"""What a notebook shows of a profile, a comparison or a recording: text, a picture, and the
page, each as a MIME type of its own. The front end takes the best that it can show: the page
where scripts run, the picture in a notebook that is not trusted or on GitHub.
"""

import sys
from base64 import b64encode
from collections.abc import Callable, Collection
from html import escape

from cprof.errors import MissingPackage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PAGE_MAX = 2 << 20  # bytes of a page in a notebook's output; a larger one is pruned, and says so


def bundle(
    subject: "Any",
    text: Callable[[], str],
    picture: Callable[[], bytes],
    include: Collection[str] | None = None,
    exclude: Collection[str] | None = None,
) -> dict[str, str]:
    """The MIME bundle of `subject`, a Profile, Diff or Recording; `include` and `exclude` are
    the arguments of its `_repr_mimebundle_`. `text` and `picture` (PNG) are made when wanted.

    Never raises: what cannot be made is not there, and the others say why.
    """
    notes: list[str] = []
    made: dict[str, str] = {}

    def html() -> str:
        from cprof.page import iframe, page

        return iframe(page(subject, max_bytes=PAGE_MAX))

    def png() -> str:
        return b64encode(picture()).decode("ascii")

    include = include or _active_types()

    def is_wanted(mime: str) -> bool:
        return not (include and mime not in include) and not (exclude and mime in exclude)

    for mime, what, make in (
        ("text/html", "page", html),
        ("image/png", "picture", png),
        ("text/plain", "text", text),
    ):
        if not is_wanted(mime):
            continue
        try:
            made[mime] = make()
        except MissingPackage:
            pass  # an optional part that is not installed: there are the others
        except Exception as error:  # an output that raises would hide what was computed
            notes.append(f"[no {what} of this {type(subject).__name__.lower()}: {_reason(error)}]")
    return _with_notes(made, notes, is_wanted("text/html"))


def _active_types() -> Collection[str]:
    """What the shell shows that asks: in a terminal, text only."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    types: Collection[str] = shell.display_formatter.active_types if shell else ()
    return types


def _reason(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _with_notes(made: dict[str, str], notes: list[str], is_html_wanted: bool) -> dict[str, str]:
    if not notes:
        return made
    made["text/plain"] = "\n".join([*made.get("text/plain", "").splitlines(), *notes])
    if is_html_wanted and "text/html" not in made:
        image = made.get("image/png", "")
        picture = f'<img src="data:image/png;base64,{image}">' if image else ""
        made["text/html"] = f"<pre>{escape(made['text/plain'])}</pre>{picture}"
    return made
