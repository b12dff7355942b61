"""Small charts as SVG, drawn on the server: no script and no style attribute; every point has a title."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from rerank_airflow.ui.render import number

WIDTH, HEIGHT = 360, 132
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 8, 20  # around the plot
TICKS = 3  # steps of the scale, about

Scale = Callable[[float], float]  # value → place in the drawing


@dataclass(frozen=True)
class Line:
    """One series: a value for each run, None if the run has no value."""

    name: str
    values: Sequence[float | None]
    style: str = "a"  # a, b: how it is drawn
    digits: int = 1
    unit: str = ""


@dataclass(frozen=True)
class Band:
    """An area between two series."""

    name: str
    low: Sequence[float | None]
    high: Sequence[float | None]


def ticks(low: float, high: float) -> list[float]:
    """Round numbers that cover low to high."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    raw = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)
    first = math.floor(low / step)
    count = math.ceil(high / step) - first
    return [(first + number) * step for number in range(count + 1)]


def lines(
    title: str,
    series: Sequence[Line],
    *,
    labels: Sequence[str],
    marked: Sequence[bool] = (),
    band: Band | None = None,
    from_zero: bool = True,
    limit: float | None = None,
    nothing: str = "no run has recorded it yet",
) -> Markup:
    """A line chart over runs. `labels` name the runs, `marked` runs (degraded) get a stripe, `limit` is a broken line.

    If no run has a value, the text `nothing` is shown instead.
    """
    values = [value for line in series for value in line.values if value is not None]
    if band is not None:
        values += [value for value in (*band.low, *band.high) if value is not None]
    if not values:
        return Markup('<p class="none">{}</p>').format(nothing)
    low = min(0.0, *values) if from_zero else min(values)
    scale = ticks(low, max(values) if limit is None else max(limit, *values))
    low, high = scale[0], scale[-1]
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    count = len(labels)

    def x(place: float) -> float:
        return LEFT + (wide / 2 if count == 1 else wide * place / (count - 1))

    def y(value: float) -> float:
        return TOP + tall * (1 - (value - low) / (high - low))

    drawn: list[Markup] = []
    for value in scale:
        drawn.append(_tag("line", "grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y(value), y2=y(value)))
        drawn.append(_text(_short(value), "tick end", LEFT - 6, y(value) + 3.5))
    if limit is not None:
        drawn.append(_tag("line", "limit", x1=LEFT, x2=WIDTH - RIGHT, y1=y(limit), y2=y(limit)))
    for place, mark in enumerate(marked):
        if mark:
            drawn.append(
                _tag("rect", "degraded", x=x(place) - 2, y=TOP, width=4, height=tall, title="degraded")
            )
    drawn.append(_text(labels[0], "tick", LEFT, HEIGHT - 5))
    if count > 1:
        drawn.append(_text(labels[-1], "tick end", WIDTH - RIGHT, HEIGHT - 5))
    if band is not None:
        drawn.append(_band(band, x, y))
    for line in series:
        drawn.extend(_line(line, labels, x, y))
    latest = "; ".join(f"{line.name} {_last(line)}" for line in series)
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, f"{title}: latest {latest}", Markup("").join(drawn)
    )


def spark(values: Sequence[float | None]) -> Markup:
    """A line as small as a word."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return Markup("")
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    step = 100 / max(1, len(values) - 1)
    points = " ".join(
        f"{place * step:.1f},{20 - 16 * (value - low) / span:.1f}"
        for place, value in enumerate(values)
        if value is not None
    )
    return Markup(
        '<svg class="spark" viewBox="-2 0 104 24" role="img" aria-label="from {} to {}">'
        '<polyline class="line a" points="{}"/></svg>'
    ).format(f"{known[0]:+.2f}", f"{known[-1]:+.2f}", points)


def bars(counts: Sequence[int], *, low: float, high: float) -> Markup:
    """A histogram as small as a word, from `low` to `high`, with its middle marked."""
    if not any(counts):
        return Markup("")
    most = max(counts)
    wide = 100 / len(counts)
    step = (high - low) / len(counts)
    drawn = [_tag("line", "grid", x1=50, x2=50, y1=0, y2=24)]
    for place, count in enumerate(counts):
        if count:
            tall = max(1.5, 22 * count / most)
            drawn.append(
                _tag(
                    "rect",
                    "bin",
                    x=place * wide + 0.5,
                    y=24 - tall,
                    width=wide - 1,
                    height=tall,
                    title=f"{low + place * step:+.0f} to {low + (place + 1) * step:+.0f}: {count}",
                )
            )
    return Markup('<svg class="spark" viewBox="0 0 100 24" role="img" aria-label="{}">{}</svg>').format(
        f"{sum(counts)} logits from {low:+.0f} to {high:+.0f}", Markup("").join(drawn)
    )


def stack(parts: Sequence[tuple[str, int, str]]) -> Markup:
    """One bar, cut into parts (name, count, style); empty if all counts are zero."""
    total = sum(count for _, count, _ in parts)
    if not total:
        return Markup("")
    drawn, at = [], 0.0
    for name, count, style in parts:
        wide = 100 * count / total
        if count:
            drawn.append(
                _tag("rect", f"part {style}", x=at, y=0, width=wide, height=8, title=f"{name}: {count}")
            )
        at += wide
    label = ", ".join(f"{name} {count}" for name, count, _ in parts if count)
    return Markup(
        '<svg class="stack" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(label, Markup("").join(drawn))


def _line(line: Line, labels: Sequence[str], x: Scale, y: Scale) -> list[Markup]:
    drawn = []
    for run in _unbroken(line.values):
        points = " ".join(f"{x(place):.1f},{y(value):.1f}" for place, value in run)
        drawn.append(Markup('<polyline class="line {}" points="{}"/>').format(line.style, points))
    for place, value in enumerate(line.values):
        if value is not None:
            title = f"{labels[place]}: {line.name} {number(value, line.digits)}{line.unit}"
            drawn.append(_tag("circle", f"dot {line.style}", cx=x(place), cy=y(value), r=2, title=title))
    return drawn


def _band(band: Band, x: Scale, y: Scale) -> Markup:
    known = [
        (place, low, high)
        for place, (low, high) in enumerate(zip(band.low, band.high, strict=True))
        if low is not None and high is not None
    ]
    there = [f"{x(place):.1f},{y(high):.1f}" for place, _, high in known]
    back = [f"{x(place):.1f},{y(low):.1f}" for place, low, _ in reversed(known)]
    return Markup('<polygon class="band" points="{}"><title>{}</title></polygon>').format(
        " ".join(there + back), band.name
    )


def _unbroken(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    runs: list[list[tuple[int, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((place, value))
    return [run for run in runs if len(run) > 1]


def _last(line: Line) -> str:
    known = [value for value in line.values if value is not None]
    return f"{number(known[-1], line.digits)}{line.unit}" if known else "unknown"


def _short(value: float) -> str:
    size, unit = next(
        ((size, unit) for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if abs(value) >= size), (1.0, "")
    )
    tiny = 1e-9 <= abs(value) < 0.01
    return f"{value:.1g}" if tiny else f"{value / size:g}{unit}".replace("-", "−")


def _text(text: str, style: str, x: float, y: float) -> Markup:
    return Markup('<text class="{}" x="{}" y="{}">{}</text>').format(style, f"{x:.1f}", f"{y:.1f}", text)


def _tag(name: str, style: str, *, title: str | None = None, **numbers: float) -> Markup:
    attributes = Markup("").join(
        Markup(' {}="{}"').format(key, f"{value:.2f}".rstrip("0").rstrip("."))
        for key, value in numbers.items()
    )
    inside = Markup("<title>{}</title>").format(title) if title else Markup("")
    return Markup('<{0} class="{1}"{2}>{3}</{0}>').format(Markup(escape(name)), style, attributes, inside)
