"""Charts as inline SVG: pure functions from numbers to markup.

A chart has a title and a description for those who do not see it, takes its colours from CSS classes (s0 … s7, so that
light, dark and print are the page's business) and holds no style attribute, script or link, so a strict
content-security policy has nothing to say about it. Every name is escaped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

WIDTH, HEIGHT = 520, 280
LEFT, RIGHT, TOP, BOTTOM = 52, 92, 14, 40
COLOURS = 8
POINTS = 160


@dataclass(frozen=True)
class Line:
    """One named series; `colour` is the index of its CSS class, `dashed` tells a second family apart."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int
    dashed: bool = False


@dataclass(frozen=True)
class Mark:
    """A named point; `colour` is the index of its CSS class."""

    name: str
    x: float
    y: float
    colour: int


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element with escaped attributes and children; `_` in an attribute name stands for `-`, `class_` for class."""
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    body = Markup("").join(escape(child) for child in children)
    return Markup(f"<{name}{pairs}>{body}</{name}>")


def lines(series: Sequence[Line], *, title: str, x: str, y: str, zero: bool = False) -> Markup:
    """Lines over a shared x, each named at its end; `zero` puts 0 on the y axis and draws it."""
    points = [point for line in series for point in line.points]
    if not points:
        return Markup("")
    low_x, high_x = _range([px for px, _ in points])
    low_y, high_y = _range([py for _, py in points], margin=0.06)
    y_ticks = ticks(min(low_y, 0.0) if zero and min(py for _, py in points) < 0 else 0.0 if zero else low_y, high_y)
    frame = _Frame(low_x, high_x, y_ticks[0], y_ticks[-1])
    drawn = [_axes(frame, y_ticks, x, y)]
    if zero:
        drawn.append(tag("path", d=f"M{LEFT} {_short(frame.y(0))}H{WIDTH - RIGHT}", class_="zero"))
    for line in series:
        path = "".join(
            f"{'L' if index else 'M'}{_short(frame.x(px))} {_short(frame.y(py))}"
            for index, (px, py) in enumerate(thinned(line.points))
        )
        drawn.append(tag("path", d=path, class_=f"line s{line.colour % COLOURS}{' dashed' if line.dashed else ''}"))
    ends = _apart([frame.y(line.points[-1][1]) if line.points else HEIGHT for line in series], 14)
    for line, end in zip(series, ends, strict=True):
        label = clipped(line.name, 14)
        drawn.append(tag("text", label, x=WIDTH - RIGHT + 7, y=end + 4, class_=f"label s{line.colour % COLOURS}"))
    described = "; ".join(
        f"{line.name} from {line.points[0][1]:.3g} to {line.points[-1][1]:.3g}" for line in series if line.points
    )
    return svg(title, f"{y} over {x}: {described}", *drawn)


def areas(series: Sequence[Line], *, title: str, x: str, y: str, bounds: Sequence[Line] = ()) -> Markup:
    """Shares stacked from 0 to 1 over x. Every series has the same x values. `bounds` are shares of the same series to
    compare with: the tops of their stack are drawn as dashed lines over the areas."""
    series = [line for line in series if line.points]
    if not series:
        return Markup("")
    xs = [px for px, _ in thinned(series[0].points)]
    low_x, high_x = _range(xs)
    frame = _Frame(low_x, high_x, 0.0, 1.0)
    floor = [0.0] * len(xs)
    drawn, middles = [], []
    for line in series:
        roof = [base + py for base, (_, py) in zip(floor, thinned(line.points), strict=True)]
        forward = [f"{_short(frame.x(px))} {_short(frame.y(py))}" for px, py in zip(xs, roof, strict=True)]
        back = [f"{_short(frame.x(px))} {_short(frame.y(py))}" for px, py in zip(xs, floor, strict=True)]
        drawn.append(tag("path", d="M" + "L".join(forward + back[::-1]) + "Z", class_=f"area s{line.colour % COLOURS}"))
        middles.append(frame.y((roof[-1] + floor[-1]) / 2))
        floor = roof
    axes = _axes(frame, [0.0, 0.25, 0.5, 0.75, 1.0], x, y, percent=True)
    height = [0.0] * len(xs)
    for line in bounds[:-1]:
        height = [base + py for base, (_, py) in zip(height, thinned(line.points), strict=True)]
        corners = [f"{_short(frame.x(px))} {_short(frame.y(py))}" for px, py in zip(xs, height, strict=True)]
        axes += tag("path", d="M" + "L".join(corners), class_="line bound dashed")
    for line, middle in zip(series, _apart(middles, 14), strict=True):
        drawn.append(
            tag("text", clipped(line.name, 14), x=WIDTH - RIGHT + 7, y=middle + 4,
                class_=f"label s{line.colour % COLOURS}")
        )  # fmt: skip
    described = "; ".join(f"{line.name} from {line.points[0][1]:.0%} to {line.points[-1][1]:.0%}" for line in series)
    return svg(title, f"{y} over {x}: {described}", *drawn, axes)


def frontier(
    curve: Line, marks: Sequence[Mark], dots: Sequence[tuple[float, float]], *, limit: float, title: str, x: str, y: str
) -> Markup:
    """A trade-off: the curve of what can be had, what was measured as dots, named marks, and a limit on x."""
    xs = [*(px for px, _ in (*curve.points, *dots)), *(mark.x for mark in marks), limit]
    ys = [*(py for _, py in (*curve.points, *dots)), *(mark.y for mark in marks)]
    low_x, high_x = _range(xs, margin=0.04)
    y_ticks = ticks(*_range(ys, margin=0.06))
    frame = _Frame(low_x, high_x, y_ticks[0], y_ticks[-1])
    path = "L".join(f"{_short(frame.x(px))} {_short(frame.y(py))}" for px, py in thinned(curve.points))
    drawn = [_axes(frame, y_ticks, x, y)]
    drawn.append(tag("path", d=f"M{_short(frame.x(limit))} {TOP}V{HEIGHT - BOTTOM}", class_="line bound dashed"))
    drawn += [tag("circle", cx=frame.x(px), cy=frame.y(py), r=3, class_="run") for px, py in dots]
    drawn.append(tag("path", d="M" + path, class_=f"line s{curve.colour % COLOURS}"))
    ends = _apart([frame.y(mark.y) for mark in marks], 14)
    for mark, end in zip(marks, ends, strict=True):
        style = f"s{mark.colour % COLOURS}"
        hover = tag("title", f"{mark.name}: {mark.x:.3g}, {mark.y:.4g}")
        drawn.append(tag("circle", hover, cx=frame.x(mark.x), cy=frame.y(mark.y), r=5, class_=f"area {style}"))
        drawn.append(tag("text", clipped(mark.name, 14), x=WIDTH - RIGHT + 7, y=end + 4, class_=f"label {style}"))
    described = "; ".join(f"{mark.name} at {mark.x:.3g}, {mark.y:.4g}" for mark in marks)
    return svg(title, f"{y} over {x}, limit {limit:.3g}: {described}", *drawn)


def columns(bins: Sequence[tuple[str, int]], *, title: str, x: str, y: str) -> Markup:
    """A histogram: one column per (label, count), the count above it."""
    if not bins:
        return Markup("")
    y_ticks = ticks(0, max(count for _, count in bins) or 1)
    frame = _Frame(0, len(bins), 0, y_ticks[-1], right=16)
    step = (WIDTH - LEFT - 16) / len(bins)
    width = min(step * 0.7, 56)
    drawn = [_axes(frame, y_ticks, x, y, x_labels=False, right=16)]
    for index, (label, count) in enumerate(bins):
        middle, top = LEFT + step * (index + 0.5), frame.y(count)
        drawn.append(
            tag("rect", tag("title", f"{label}: {count:,}"), x=middle - width / 2, y=top, width=width,
                height=HEIGHT - BOTTOM - top, class_="area s0")
        )  # fmt: skip
        if count:
            drawn.append(tag("text", f"{count:,}", x=middle, y=top - 4, class_="tick middle"))
        if index % math.ceil(len(bins) / 8) == 0:
            drawn.append(tag("text", label, x=middle, y=HEIGHT - BOTTOM + 16, class_="tick middle"))
    return svg(title, "; ".join(f"{label}: {count}" for label, count in bins), *drawn)


def before_after(bins: Sequence[tuple[str, int, int]], *, title: str, x: str, y: str) -> Markup:
    """Two histograms over the same bins: (label, before, after). What was kept stands in front of what came in."""
    bins = [entry for entry in bins if entry[1] or entry[2]] if len(bins) > 40 else list(bins)
    if not any(before for _, before, _ in bins):
        return Markup("")
    y_ticks = ticks(0, max(before for _, before, _ in bins))
    frame = _Frame(0, len(bins), 0, y_ticks[-1], right=16)
    step = (WIDTH - LEFT - 16) / len(bins)
    drawn = [_axes(frame, y_ticks, x, y, x_labels=False, right=16)]
    for index, (label, before, after) in enumerate(bins):
        left = LEFT + step * index
        hover = f"{label}: {before:,} before, {after:,} after"
        for value, inset, kind in ((before, 0.06, "area before"), (after, 0.18, "area s0")):
            drawn.append(
                tag("rect", tag("title", hover), x=left + step * inset, y=frame.y(value), width=step * (1 - 2 * inset),
                    height=HEIGHT - BOTTOM - frame.y(value), class_=kind)
            )  # fmt: skip
        if index % math.ceil(len(bins) / 8) == 0:
            drawn.append(tag("text", label, x=left + step / 2, y=HEIGHT - BOTTOM + 16, class_="tick middle"))
    described = "; ".join(f"{label}: {before} before, {after} after" for label, before, after in bins)
    return svg(title, described, *drawn)


def intervals(rows: Sequence[tuple[str, str, float, float, int]], *, title: str, x: str) -> Markup:
    """Points with whiskers of ± 1.96 standard errors around a zero line, by group; a row is
    (group, name, value, error, colour)."""
    if not rows:
        return Markup("")
    bounds = [value + sign * 1.96 * error for _, _, value, error, _ in rows for sign in (-1, 1)]
    x_ticks = ticks(*_range([*bounds, 0.0], margin=0.05), wanted=4)
    groups = len({group for group, *_ in rows})
    left, height = 128, 22 * len(rows) + 32 * groups + 40
    scale = (WIDTH - left - 24) / (x_ticks[-1] - x_ticks[0])

    def place(value: float) -> float:
        return left + (value - x_ticks[0]) * scale

    drawn = []
    for tick in x_ticks:
        kind = "zero" if tick == 0 else "grid"
        drawn.append(tag("path", d=f"M{_short(place(tick))} 8V{height - 36}", class_=kind))
        drawn.append(tag("text", _tick(tick, x_ticks), x=place(tick), y=height - 20, class_="tick middle"))
    drawn.append(tag("text", x, x=left + (WIDTH - left - 24) / 2, y=height - 3, class_="axis middle"))
    previous, middle = None, -12
    for group, name, value, error, colour in rows:
        middle += 22 if group == previous else 54
        if group != previous:
            drawn.append(tag("text", clipped(group, 18), x=0, y=middle - 17, class_="label strong"))
        drawn.append(tag("text", clipped(name, 18), x=0, y=middle + 8, class_="tick"))
        previous = group
        low, high = place(value - 1.96 * error), place(value + 1.96 * error)
        mark = f"s{colour % COLOURS}"
        hover = tag("title", f"{group}, {name}: {value:+.4f} ± {error:.4f}")
        drawn.append(tag("path", d=f"M{_short(low)} {middle + 4}H{_short(high)}", class_=f"line {mark}"))
        drawn.append(tag("circle", hover, cx=place(value), cy=middle + 4, r=5, class_=f"area {mark}"))
    described = "; ".join(f"{group}, {name}: {value:+.4f} ± {error:.4f}" for group, name, value, error, _ in rows)
    return svg(title, described, *drawn, height=height)


def bar(parts: Sequence[tuple[str, float, str]], *, whole: float | None = None) -> Markup:
    """One stacked bar, stretched to its table cell: (name, value, CSS class). The cells beside it hold the numbers, so
    it is hidden from screen readers."""
    whole = whole or sum(value for _, value, _ in parts)
    drawn, x = [], 0.0
    for name, value, kind in parts:
        width = 100 * value / whole if whole else 0
        if width:
            hover = tag("title", f"{name}: {value:,.0f}")
            drawn.append(tag("rect", hover, x=x, y=0, width=width, height=10, class_=f"area {kind}"))
        x += width
    return tag("svg", *drawn, viewBox="0 0 100 10", preserveAspectRatio="none", class_="bar", aria_hidden="true")


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most POINTS points: means over equal runs of neighbours, the first and the last kept as they are."""
    if len(points) <= POINTS:
        return list(points)
    inner = points[1:-1]
    size = math.ceil(len(inner) / (POINTS - 2))
    runs = [inner[start : start + size] for start in range(0, len(inner), size)]
    means = [(sum(px for px, _ in run) / len(run), sum(py for _, py in run) / len(run)) for run in runs]
    return [points[0], *means, points[-1]]


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round values (1, 2, 2.5 or 5 times a power of ten apart) that enclose [low, high], about `wanted` of them."""
    raw = (high - low) / max(wanted - 1, 1)
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def clipped(name: str, length: int) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"


def svg(
    title: str, description: str, *children: Markup, width: int = WIDTH, height: int = HEIGHT, kind: str = "chart"
) -> Markup:
    """A picture with its title and description for those who do not see it."""
    return tag(
        "svg", tag("title", title), tag("desc", description), *children,
        viewBox=f"0 0 {width} {height}", role="img", aria_label=title, class_=kind,
    )  # fmt: skip


@dataclass(frozen=True)
class _Frame:
    """The mapping from data to the plot's rectangle."""

    low_x: float
    high_x: float
    low_y: float
    high_y: float
    right: float = RIGHT

    def x(self, value: float) -> float:
        return LEFT + (value - self.low_x) / (self.high_x - self.low_x) * (WIDTH - LEFT - self.right)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.low_y) / (self.high_y - self.low_y) * (HEIGHT - TOP - BOTTOM)


def _axes(
    frame: _Frame, y_ticks: list[float], x: str, y: str, *, percent: bool = False, x_labels: bool = True,
    right: float = RIGHT,
) -> Markup:  # fmt: skip
    drawn = []
    for tick in y_ticks:
        at = frame.y(tick)
        shown = f"{tick:.0%}" if percent else _tick(tick, y_ticks)
        drawn.append(tag("path", d=f"M{LEFT} {_short(at)}H{_short(WIDTH - right)}", class_="grid"))
        drawn.append(tag("text", shown, x=LEFT - 7, y=at + 4, class_="tick end"))
    if x_labels:
        x_ticks = ticks(frame.low_x, frame.high_x, 4)
        for tick in x_ticks:
            if frame.low_x <= tick <= frame.high_x:
                drawn.append(
                    tag("text", _tick(tick, x_ticks), x=frame.x(tick), y=HEIGHT - BOTTOM + 16, class_="tick middle")
                )
    middle = LEFT + (WIDTH - LEFT - right) / 2
    drawn.append(tag("text", f"{y}, over {x}" if x_labels else x, x=middle, y=HEIGHT - 5, class_="axis middle"))
    return Markup("").join(drawn)


def _range(values: Sequence[float], margin: float = 0.0) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        low, high = low - (abs(low) or 1) * 0.1, high + (abs(high) or 1) * 0.1
    pad = (high - low) * margin
    return low - pad, high + pad


def _apart(wanted: list[float], gap: float) -> list[float]:
    """Positions as near to the wanted ones as a gap between neighbours and the plot's edges allow."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed = [wanted[index] for index in order]
    for left, right in pairwise(range(len(placed))):
        placed[right] = max(placed[right], placed[left] + gap)
    overflow = placed[-1] - (HEIGHT - BOTTOM) if placed else 0
    if overflow > 0:
        placed[-1] -= overflow
        for index in range(len(placed) - 2, -1, -1):
            placed[index] = min(placed[index], placed[index + 1] - gap)
    result = [0.0] * len(wanted)
    for index, value in zip(order, placed, strict=True):
        result[index] = value
    return result


def _tick(value: float, all_ticks: list[float]) -> str:
    step = min((right - left for left, right in pairwise(all_ticks)), default=1.0)
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) + (1 if f"{step:e}".startswith("2.5") else 0)
    return f"{value:,.{digits}f}".replace("-", "−")


def _short(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
