"""Units and their conversion, with the names and the factors that pprof knows
(github.com/google/pprof internal/measurement), so that `-unit=ms` and `-tagfocus=bytes=1kb:2mb`
mean here what they mean there."""

_BYTES = (
    ("B", 1.0, ("b", "byte")),
    ("kB", 2.0**10, ("kb", "kbyte", "kilobyte")),
    ("MB", 2.0**20, ("mb", "mbyte", "megabyte")),
    ("GB", 2.0**30, ("gb", "gbyte", "gigabyte")),
    ("TB", 2.0**40, ("tb", "tbyte", "terabyte")),
    ("PB", 2.0**50, ("pb", "pbyte", "petabyte")),
)
_TIME = (
    ("ns", 1.0, ("ns", "nanosecond")),
    ("us", 1e3, ("μs", "us", "microsecond")),
    ("ms", 1e6, ("ms", "millisecond")),
    ("s", 1e9, ("s", "sec", "second")),
    ("hrs", 3600e9, ("hour", "hr")),
)
_FAMILIES = ((_BYTES, "B", 1.0), (_TIME, "s", 1e9))  # units, and the one that stands in
AUTO = ("minimum", "auto")  # the unit that fits the value
_PLAIN = ("count", "sample", "unit", *AUTO)  # not worth a word


def _find(
    family: tuple[tuple[str, float, tuple[str, ...]], ...], unit: str
) -> tuple[str, float] | None:
    unit = unit.lower()
    if len(unit) > 2:
        unit = unit.removesuffix("s")
    return next(((name, factor) for name, factor, words in family if unit in words), None)


def is_unit(word: str) -> bool:
    """Whether `word` is a unit that values can be shown in."""
    return word in _PLAIN or any(_find(family, word) for family, _, _ in _FAMILIES)


def is_convertible(unit: str, to: str) -> bool:
    """Whether values in `unit` can be shown in `to`."""
    return to in AUTO or to == unit or any(
        _find(family, unit) and _find(family, to) for family, _, _ in _FAMILIES
    )  # fmt: skip


def scale(value: int, unit: str, to: str = "auto") -> tuple[float, str]:
    """`value` in the unit `to`, and the name of that unit ("" where it goes without saying)."""
    if value < 0:
        number, name = scale(-value, unit, to)
        return -number, name
    for family, default, default_factor in _FAMILIES:
        known = _find(family, unit)
        if known is None:
            continue
        base = value * known[1]
        wanted = None if to in AUTO else _find(family, to)
        if to in AUTO:
            fitting = [(name, f) for name, f, _ in family if base / f >= 1.0]
            wanted = max(fitting, key=lambda u: u[1]) if fitting else None
        name, factor = wanted or (default, default_factor)
        return base / factor, name
    return float(value), "" if to in _PLAIN else to


def label(value: int, unit: str, to: str = "auto") -> str:
    """`value` as pprof writes it: "1.50kB", "20ms", "7"."""
    number, name = scale(value, unit, to)
    text = f"{number:.2f}".removesuffix(".00")
    return "0" if text in ("0", "-0") else text + name
