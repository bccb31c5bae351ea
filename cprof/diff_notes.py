"""What a diff says beside its numbers: assumptions, how differently well the sides were
recorded, and how small a change would have been seen."""

import math
from collections.abc import Sequence

from cprof.contrast import Contrast
from cprof.profile import Profile
from cprof.sides import Sums
from cprof.stats import normal_quantile

ALPHA, POWER = 0.05, 0.8
_VAGUE = 0.5  # of a function of 10 %: smaller changes stay unseen
_QUALITY = 0.005  # a part of the samples by which sides differ without being told
_UNEQUAL = 1.5  # times as long


def notes(
    sides: Sequence[Profile], sums: Sequence[Sums], contrasts: Sequence[Contrast], mode: str
) -> list[str]:
    """Lines of text, the most important first."""
    lines = [*assumptions(sides, sums, mode), *quality(sides)]
    return [*lines, *detectable([c.n for c in contrasts if sum(c.counts)], contrasts, mode)]


def assumptions(sides: Sequence[Profile], sums: Sequence[Sums], mode: str) -> list[str]:
    lines = []
    if not all(s.has_times for s in sums):
        which = [
            n for n, s in zip(("the base", "the new side"), sums, strict=True) if not s.has_times
        ]
        verb = "has" if len(which) == 1 else "have"
        lines.append(
            f"{' and '.join(which)} {verb} no times: samples are taken as independent of each "
            "other; as neighbours are alike, intervals are too narrow"
        )
    lines += lengths(sides[0].duration, sides[1].duration, mode)
    if _overlap(*sides):
        lines.append("the two sides overlap: samples of both count on both sides")
    return lines


def lengths(base: float, new: float, mode: str) -> list[str]:
    """What it means that the sides do not last equally long (seconds; 0: not known)."""
    if not base or not new or max(base, new) <= _UNEQUAL * min(base, new):
        return []
    means = {
        "share": "shares do not mind",
        "rate": "each is divided by its own",
        "raw": "raw sums differ by that alone",
    }[mode]
    return [f"the base lasts {base:.3g} s, the new side {new:.3g} s: {means}"]


def _overlap(base: Profile, new: Profile) -> bool:
    def origin(profile: Profile) -> tuple[object, ...]:
        run = profile._run
        return run["has_times"], run["start_mono"], run["start_unix"], run["host"]

    if origin(base) != origin(new) or not base._run["has_times"]:
        return False
    if base.span[0] >= new.span[1] or new.span[0] >= base.span[1]:
        return False
    times = [memoryview(side._core.column("time")) for side in (base, new)]
    return not set(times[0]).isdisjoint(times[1])  # nanoseconds: as good as a number of the sample


def quality(sides: Sequence[Profile]) -> list[str]:
    """How much was lost, cut short or not allowed to be seen, where that differs."""
    lines = []
    for name, words in (("lost", "samples were lost"), ("truncated", "stacks are cut short")):
        parts = [_part(side, name) for side in sides]
        if abs(parts[1] - parts[0]) > _QUALITY:
            lines.append(
                f"{100 * parts[0]:.1f} % of the base's {words}, "
                f"{100 * parts[1]:.1f} % of the new side's"
            )
    excluded = [side.quality["kernel_excluded"] for side in sides]
    if excluded[0] != excluded[1]:
        which = "the base" if excluded[0] else "the new side"
        lines.append(f"{which} has no kernel code (not allowed), the other has: its shares grow")
    events = [side.event for side in sides]
    if all(events) and events[0] != events[1]:
        lines.append(f"the base was sampled by {events[0]}, the new side by {events[1]}")
    rates = [side.quality["rate_asked"] for side in sides]
    if all(rates) and rates[0] != rates[1]:
        lines.append(f"the base was sampled at {rates[0]:g} Hz, the new side at {rates[1]:g} Hz")
    return lines


def _part(side: Profile, name: str) -> float:
    n = side.quality["samples"] + side.quality["lost"]
    return float(side.quality[name] / n) if n else 0.0


def detectable(n: Sequence[Sequence[float]], contrasts: Sequence[Contrast], mode: str) -> list[str]:
    """The minimum detectable effect, of a function with a typical design effect."""
    if not n:
        return []
    base, new = (sorted(side)[len(n) // 2] for side in zip(*n, strict=True))
    reach = normal_quantile(1 - ALPHA / 2 / len(n)) + normal_quantile(POWER)
    lines = []
    if mode == "share":
        effects = [reach * math.sqrt(p * (1 - p) * (1 / base + 1 / new)) for p in (0.1, 0.01)]
        lines.append(
            f"smallest change that is found {100 * POWER:.0f} % of the time: "
            f"{100 * effects[0]:.2g} points of a function of 10 %, "
            f"{100 * effects[1]:.2g} of one of 1 %"
        )
        is_vague = effects[0] > _VAGUE * 0.1
    else:
        whole = sum(c.base.value for c in contrasts)
        effect = reach * math.sqrt(0.1 * whole * (1 / base + 1 / new)) / (0.1 * whole)
        lines.append(
            f"smallest change that is found {100 * POWER:.0f} % of the time: "
            f"{100 * effect:.2g} % of a function with a tenth of the base"
        )
        is_vague = effect > _VAGUE
    if is_vague:
        lines.append(
            "inconclusive where it says `same`: there is too little to go by, so that may have "
            "changed as well; record longer"
        )
    return lines
