"""Names on the frames of a matplotlib flame graph: fitted to their room, and drawn quickly.

This imports matplotlib and numpy: `plot` imports it when something is drawn.
"""

import functools
import re
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgba
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

from cprof.names import last_part, simplify

_FONT = "DejaVu Sans"  # comes with matplotlib
_SIMPLE = re.compile("[ -~\xa1-\xac\xae-\u024f\u2026]+")  # needs no shaping, has no direction
_BELOW_MIDDLE = 0.33  # of the size: the baseline, so that most letters stand in the middle


class Ruler:
    """Widths and outlines of characters in pixels, from the font itself; each looked up once.
    `size` is in points."""

    def __init__(self, size: float, dpi: float) -> None:
        self._font = get_font(findfont(FontProperties(family=[_FONT])))
        self._size = size, dpi
        self.em = size * dpi / 72
        self._glyphs: dict[str, tuple[float, Any, Any]] = {}

    def _glyph(self, char: str) -> "tuple[float, Any, Any]":
        """Advance, vertices and codes of a path."""
        glyph = self._glyphs.get(char)
        if glyph is None:
            glyph = (self.em, (), ())  # of a character of another font: as wide as can be
            if self._font.get_char_index(ord(char)):
                self._font.set_size(*self._size)  # the font is shared
                advance = self._font.load_char(ord(char)).linearHoriAdvance / 65536
                glyph = (advance, *self._font.get_path())
            self._glyphs[char] = glyph
        return glyph

    def width(self, text: str) -> float:
        return sum(self._glyph(char)[0] for char in text)

    def fit(self, name: str, room: float) -> str:
        """`name` as it fits into `room` pixels: whole, simplified, cut, or not at all."""
        ellipsis = "\N{HORIZONTAL ELLIPSIS}"
        shortest = self.width("xx" + ellipsis)
        if room < min(shortest, self.width(name[:3])):
            return ""
        if len(name) < room and self.width(name) <= room:
            return name
        short = name
        for short in (simplify(name), last_part(simplify(name))):
            if len(short) < room and self.width(short) <= room:
                return short
        left = room - self.width(ellipsis)
        end = 0
        while end < len(short) and (left := left - self._glyph(short[end])[0]) >= 0:
            end += 1
        return short[:end] + ellipsis if end >= 2 else ""

    def outline(self, text: str) -> "Path | None":
        """The path of a text that begins at (0, 0); None where the font has nothing to draw."""
        vertices, codes, x = [], [], 0.0
        for char in text:
            advance, points, kinds = self._glyph(char)
            if len(points):
                vertices.append(np.add(points, (x, 0.0)))
                codes.append(kinds)
            x += advance
        return Path(np.concatenate(vertices), np.concatenate(codes)) if vertices else None


ruler = functools.lru_cache(maxsize=8)(Ruler)  # of a size at a resolution


class Label(Text):
    """One line of text whose left end is at (x, y), its middle in height, as a Text. On pixels
    it is drawn from outlines that all labels share: to lay a Text out and to paint it takes
    milliseconds, and a flame graph has hundreds. Elsewhere (SVG, PDF) text stays text."""

    def __init__(self, x: float, y: float, text: str, size: float, color: str) -> None:
        super().__init__(
            x, y, text, fontsize=size, fontfamily=_FONT, color=color,
            va="center_baseline", parse_math=False, clip_on=True,
        )  # fmt: skip
        self.set_in_layout(False)  # it is within its frame

    def draw(self, renderer: "Any") -> None:
        text, draws_pixels = self.get_text(), isinstance(renderer, RendererAgg)
        if not (draws_pixels and _SIMPLE.fullmatch(text)):
            super().draw(renderer)
            return
        letters = ruler(self.get_fontsize(), renderer.dpi)
        path = letters.outline(text)
        if path is None or not self.get_visible():
            return
        x, y = self.get_transform().transform(self.get_position())
        gc = renderer.new_gc()
        gc.set_linewidth(0)
        gc.set_snap(False)
        gc.set_clip_rectangle(self.get_clip_box())
        baseline = round(y - _BELOW_MIDDLE * letters.em)  # outlines are hinted for whole pixels
        place = Affine2D().translate(x, baseline)
        renderer.draw_path(gc, path, place, to_rgba(self.get_color()))
        gc.restore()
