"""One small chart as SVG: lines over a logarithmic axis of counts."""

import html
import math
from pathlib import Path

WIDTH, HEIGHT, LEFT, TOP, PLOT = 260, 190, 56, 30, 150
_STYLE = "font: 11px sans-serif; fill: #555"


def draw(path: Path, x_name: str, panels: dict[str, dict[int, float]]) -> None:
    """Writes one panel a title, {x: y} each, side by side; y from zero, so that flat looks flat and linear says so."""
    parts = [_panel(index * WIDTH, title, x_name, points) for index, (title, points) in enumerate(panels.items())]
    size = f'width="{WIDTH * len(panels)}" height="{TOP + HEIGHT}"'
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n' + "\n".join(parts) + "\n</svg>\n")


def _panel(left: int, title: str, x_name: str, points: dict[int, float]) -> str:
    low, high = (math.log10(edge(points)) for edge in (min, max))
    most = max(points.values()) * 1.15

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - low) / (high - low or 1) * (WIDTH - LEFT - 24)
        return left + LEFT + across, TOP + PLOT * (1 - y / most)

    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in sorted(points.items())))
    bottom = TOP + PLOT
    text = [
        f'<text x="{left + LEFT}" y="16" style="{_STYLE}; font-weight: 600">{html.escape(title)}</text>',
        f'<text x="{left + LEFT}" y="{bottom + 34}" style="{_STYLE}">{html.escape(x_name)}</text>',
        f'<path d="M{left + LEFT} {TOP}V{bottom}H{left + WIDTH - 18}" fill="none" stroke="#999"/>',
        f'<polyline points="{line}" fill="none" stroke="#2a6fbb" stroke-width="2"/>',
    ]
    for x, y in sorted(points.items()):
        across, up = place(x, y)
        text.append(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3" fill="#2a6fbb"/>')
        text.append(f'<text x="{across:.1f}" y="{bottom + 16}" text-anchor="middle" style="{_STYLE}">{x:,}</text>')
        text.append(f'<text x="{across:.1f}" y="{up - 8:.1f}" text-anchor="middle" style="{_STYLE}">{y:,.3g}</text>')
    return "\n".join(text)
