"""One HTML file that shows a profile, a comparison or a recording: `page()`.

It holds everything that it needs, and its Content-Security-Policy forbids every request. The
parts are hand-written: page.html, style.css and the .js files here, joined as they are. Names
and sources come into it as base64 only, and onto the screen as text only, so nothing that a
profile says can become markup or code.
"""

import base64
import functools
import hashlib
import html
import math
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files

from cprof.names import printable
from cprof.page.gather import PRUNED, Gathered
from cprof.page.source import NOT_HERE, source_lines
from cprof.report import plural, share, stacks_line, summary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cprof.diff import Diff
    from cprof.profile import Profile
    from cprof.recording import Recording

_SCRIPTS = (
    "data.js", "tree.js", "format.js", "color.js", "canvas.js", "table.js", "code.js",
    "text.js", "detail.js", "link.js", "app.js",
)  # fmt: skip
_SOURCE_MAX = 1 << 20  # characters of source in a page
_SMALLEST = 200  # call paths: no page is pruned further
_TRIES = 8
_TOO_MANY_TIMES = (
    "The order of time is left out: there are too many samples for it. A window has it."
)
_NUMBERS = ("delta", "low", "high", "q")  # of a row of a diff


def page(
    subject: "Profile | Diff | Recording",
    *,
    sample_type: str | None = None,
    lines: bool = True,
    timed: bool = True,
    max_bytes: int | None = None,
) -> str:
    """The page of a profile, of both sides of a diff, or of each kind of a recording.

    `sample_type` is what it shows first. `lines` reads source lines and sources (that may take
    a moment where there is much debug information), `timed` keeps the order of samples. A page
    that would be larger than `max_bytes` loses the order of time, then the sources, then the
    call paths with the least in them, and says so. Raises ValueError when `max_bytes` is not
    enough for a page of any use, or for a sample type that is not there.
    """
    kinds = _kinds(subject)
    room = None if max_bytes is None else (max_bytes - len(_join([]))) // len(kinds)
    datas = [
        _data(side, sample_type, lines, timed, room, {"kinds": list(kinds), **facts})
        for side, facts in kinds.values()
    ]
    text = _join(datas)
    if max_bytes is not None and len(text) > max_bytes:
        raise ValueError(f"max_bytes={max_bytes}: the smallest page here has {len(text)}")
    return text


def iframe(text: str, height: int = 560) -> str:
    """A page as an element of another page: what notebooks show. It works offline, and cannot
    reach what is around it."""
    return (
        f'<iframe srcdoc="{html.escape(text)}" sandbox="allow-scripts" allow="clipboard-write" '
        f'title="cprof" style="width:100%;height:{height:d}px;border:0"></iframe>'
    )


def show(text: str, path: str | None = None, *, browser: bool = True) -> tuple[str, bool]:
    """Write a page to `path` (None: a new temporary file) and open it in the user's browser.
    Returns the path, and whether a browser was started: none is where there is no screen."""
    if path is None:
        import tempfile

        descriptor, path = tempfile.mkstemp(suffix=".html", prefix="cprof-")
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        from cprof.export.files import replace

        replace(path, lambda file: file.write(text.encode()))
    has_screen = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    if not (browser and has_screen):
        return path, False
    import webbrowser
    from pathlib import Path

    return path, webbrowser.open(Path(path).resolve().as_uri())


# What is shown


def _kinds(
    subject: "Profile | Diff | Recording",
) -> "dict[str, tuple[Sequence[Profile], dict[str, Any]]]":
    """By kind: the one profile or the two sides, and what the page says of them."""
    from cprof.profile import Profile

    if isinstance(subject, Profile):
        return {"": ((subject,), _facts_of(subject))}
    if isinstance(subject, Mapping):
        return {kind: ((p,), _facts_of(p)) for kind, p in subject.items()}
    return {"": ((subject.base, subject.new), _facts_of_diff(subject))}


def _facts_of(profile: "Profile") -> "dict[str, Any]":
    start = profile.start_time
    when = f"{start:%Y-%m-%d %H:%M:%S} UTC" if start else ""
    place = " \N{MIDDLE DOT} ".join(part for part in (printable(profile.host), when) if part)
    lines = [_summary(profile), stacks_line(profile), place]
    return {
        "title": printable(profile.command) or "profile",
        "facts": [line for line in lines if line],
        "mode": "raw",
        "notes": [],
        "sides": [_side(profile)],
        "sampleType": None,
    }


def _facts_of_diff(diff: "Diff") -> "dict[str, Any]":
    names = [printable(p.command) or "profile" for p in (diff.base, diff.new)]
    base, new = names
    facts = [
        f"{side}: {name if base != new else ''} {_summary(p)}".replace("  ", " ")
        for side, name, p in zip(("base", "new"), names, (diff.base, diff.new), strict=True)
    ]
    title = base if base == new else f"{base} \N{RIGHTWARDS ARROW} {new}"
    return {
        "title": f"{title} (difference by {diff.mode})",
        "facts": facts,
        "mode": diff.mode,
        "notes": [printable(note) for note in diff.notes],
        "sides": [_side(diff.base), _side(diff.new)],
        "sampleType": diff.sample_type,
        "rows": diff.rows,
    }


def _summary(profile: "Profile") -> str:
    return f"{summary(profile)}; truncated {profile.truncated:,d}"


def _side(profile: "Profile") -> "dict[str, Any]":
    return {"totals": profile._core.totals(), "duration": profile.duration}


# Its data, as small as asked for


def _data(
    sides: "Sequence[Profile]",
    sample_type: str | None,
    lines: bool,
    timed: bool,
    room: int | None,
    facts: "dict[str, Any]",
) -> str:
    gathered = Gathered(sides, lines=lines, timed=timed)
    rows = facts.pop("rows", ())
    chosen = sample_type or facts.pop("sampleType", None)
    facts["types"] = gathered.core.sample_types
    facts["defaultType"] = sides[0]._type(chosen)
    facts["sources"] = source_lines(gathered, _SOURCE_MAX) if gathered.has_lines else {}
    facts["sourceNote"] = NOT_HERE
    text = _encode(gathered, facts, rows)
    if room is None or len(text) <= room:
        return text
    cuts = []
    if gathered.tick_ns:
        gathered.without_times()
        cuts.append("The order of time is left out, to keep this page small.")
        text = _encode(gathered, facts, rows, cuts)
    if len(text) > room and facts["sources"]:
        facts["sources"], facts["sourceNote"] = {}, "Sources are left out, to keep this page small."
        cuts.append(facts["sourceNote"])
        text = _encode(gathered, facts, rows, cuts)
    keep = gathered.n_nodes
    for _ in range(_TRIES):
        if len(text) <= room or keep <= _SMALLEST:
            break
        keep = max(int(keep * min(0.8 * room / len(text), 0.8)), _SMALLEST)
        gathered.prune(keep)
        text = _encode(gathered, facts, rows, [*cuts, _pruned_note(gathered)])
    return text


def _negative_note(gathered: Gathered) -> list[str]:
    """What is to be said of values below 0, which imported differences have."""
    types = gathered.core.sample_types
    below = [
        name for (name, _), v in zip(types, gathered.values, strict=True) if min(v, default=0) < 0
    ]
    if not below:
        return []
    names = printable(", ".join(below))
    return [f"There are negative values of {names}: sums have them, what is below 0 is not drawn."]


def _pruned_note(gathered: Gathered) -> str:
    return (
        f"To keep this page small, {plural(gathered.n_pruned, 'call path')} with at most "
        f"{share(gathered.prune_cut, len(gathered.sides))} each are drawn as {PRUNED}: "
        "their functions lack as much in the table."
    )


def _encode(
    gathered: Gathered, facts: "dict[str, Any]", rows: "Sequence[Any]", cuts: Sequence[str] = ()
) -> str:
    number = {row[:2]: i for i, row in enumerate(gathered.functions)}
    diff_rows = [
        {"key": number[row.function, row.module],
         "state": row.state, **{name: _finite(getattr(row, name)) for name in _NUMBERS}}
        for row in rows if (row.function, row.module) in number
    ]  # fmt: skip
    late = [_TOO_MANY_TIMES] if gathered.has_too_many_times else []
    notes = [*facts["notes"], *_negative_note(gathered), *late, *cuts]
    return gathered.encode({**facts, "notes": notes, "diffRows": diff_rows})


def _finite(value: float | None) -> float | None:
    """JSON has no infinity, and no NaN: the page shows None as unknown."""
    return value if value is not None and math.isfinite(value) else None


# The file


@functools.cache
def _parts() -> tuple[str, str]:
    """The page before and after its data."""
    here = files(__package__)
    style = (here / "style.css").read_text("utf-8")
    scripts = "\n".join((here / name).read_text("utf-8") for name in _SCRIPTS)
    script = f'"use strict";\n{{\n{scripts}\n}}\n'
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    text = (here / "page.html").read_text("utf-8")
    for name, value in (("@POLICY@", policy), ("@STYLE@", style), ("@SCRIPT@", script)):
        text = text.replace(name, value)
    before, after = text.split("@DATA@")
    return before, after


def _digest(text: str) -> str:
    """What a Content-Security-Policy calls an inline script or style by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _join(datas: Sequence[str]) -> str:
    before, after = _parts()
    blocks = (
        f'<script type="application/octet-stream" class="profile">{d}</script>' for d in datas
    )
    return "\n".join((before.rstrip("\n"), *blocks, after.lstrip("\n")))
