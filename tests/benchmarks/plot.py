"""Small multiples of curves on logarithmic axes, as SVG text: readable on a light and on a dark page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, COLUMNS = 300, 220, 3
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 30, 34  # margins of a panel

STYLE = """
  text { font: 11px system-ui, sans-serif; fill: #444 }
  .title { font-weight: 600; fill: #111 }
  .grid { stroke: #ddd; stroke-width: 1 }
  .curve { fill: none; stroke-width: 2; stroke-linejoin: round }
  .c0 { stroke: #8a8a8a } .c1 { stroke: #c2620e } .c2 { stroke: #1f6feb; stroke-width: 3 }
  .c3 { stroke: #111; stroke-dasharray: 4 3 }
  .dot { fill: #1f6feb; stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #b8b8b8 } .title { fill: #f0f0f0 } .grid { stroke: #3a3a3a }
    .c0 { stroke: #9a9a9a } .c1 { stroke: #f0963c } .c2 { stroke: #58a6ff } .c3 { stroke: #f0f0f0 }
    .dot { fill: #58a6ff }
  }
"""


@dataclass(frozen=True)
class Curve:
    """A named line through (x, y) points, both above 0. The third of a panel is the one it is about."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    title: str
    curves: Sequence[Curve]


def svg(panels: Sequence[Panel], x: str, y: str) -> str:
    """The drawing: panels in rows of three, one legend above, one pair of axis names below."""
    rows = math.ceil(len(panels) / COLUMNS)
    width, height = WIDTH * COLUMNS, HEIGHT * rows + 60
    body = [_legend([curve.name for curve in panels[0].curves])]
    for i, panel in enumerate(panels):
        corner = f"translate({i % COLUMNS * WIDTH},{30 + i // COLUMNS * HEIGHT})"
        body.append(f'<g transform="{corner}">{_panel(panel)}</g>')
    body.append(f'<text x="{width / 2}" y="{height - 10}" text-anchor="middle">{escape(x)} → · ↑ {escape(y)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(y)} against {escape(x)}">\n<style>{STYLE}</style>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _legend(names: Sequence[str]) -> str:
    items = []
    for i, name in enumerate(names):
        at = LEFT + i * 120
        items.append(f'<line class="curve c{i}" x1="{at}" y1="16" x2="{at + 26}" y2="16"/>')
        items.append(f'<text x="{at + 32}" y="20">{escape(name)}</text>')
    return "".join(items)


def _panel(panel: Panel) -> str:
    xs = [x for curve in panel.curves for x, _ in curve.points]
    ys = [y for curve in panel.curves for _, y in curve.points]
    across = _Axis(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    up = _Axis(min(ys), max(ys), HEIGHT - BOTTOM, TOP)
    parts = [f'<text class="title" x="{LEFT}" y="{TOP - 12}">{escape(panel.title)}</text>']
    for tick in across.ticks():
        at = across.at(tick)
        parts.append(f'<line class="grid" x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{tick:g}</text>')
    for tick in up.ticks():
        at = up.at(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{at:.1f}" x2="{WIDTH - RIGHT}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for i, curve in enumerate(panel.curves):
        line = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in curve.points)
        parts.append(f'<polyline class="curve c{i}" points="{line}"><title>{escape(curve.name)}</title></polyline>')
    for x, y in panel.curves[2].points:
        parts.append(f'<circle class="dot" cx="{across.at(x):.1f}" cy="{up.at(y):.1f}" r="3.5"/>')
    return "".join(parts)


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    start: float  # the pixel of `low`
    end: float  # the pixel of `high`

    def at(self, value: float) -> float:
        return self.start + (self.end - self.start) * math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self) -> list[float]:
        """1, 2, 5 and their tens within the axis, or more of them where those are too few."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
            ticks = [m * 10.0**d for d in decades for m in steps if self.low <= m * 10.0**d <= self.high]
            if len(ticks) > 2:
                break
        return ticks
