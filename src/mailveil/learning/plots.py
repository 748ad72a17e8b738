"""Plots: curves as SVG that stands within a page, without any library and without anything to load."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Final

_WIDTH: Final = 420
_HEIGHT: Final = 300
_LEFT: Final = 52
_BOTTOM: Final = 40
_TOP: Final = 30
_RIGHT: Final = 14

Points = Sequence[tuple[float, float]]


def line_plot(
    title: str,
    axes: tuple[str, str],
    points: Points,
    *,
    marks: Sequence[tuple[str, float, float]] = (),
    logarithmic: bool = False,
    diagonal: bool = False,
) -> str:
    """Return a plot of a line over [0, 1] by [0, 1], with named marks; ``logarithmic`` starts x at 0.0001."""
    across = _logarithm if logarithmic else _plain
    pieces = [
        (
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img"'
            f' xmlns="http://www.w3.org/2000/svg"><title>{escape(title)}</title>'
        ),
        f'<text x="{_LEFT}" y="18" class="title">{escape(title)}</text>',
    ]
    pieces += _grid(axes, across, logarithmic=logarithmic)
    if diagonal:
        pieces.append(f'<path class="diagonal" d="{_path([(0, 0), (1, 1)], across)}"/>')
    pieces.append(f'<path class="line" d="{_path(points, across)}"/>')
    for name, x, y in marks:
        pieces.append(
            f'<circle class="mark" cx="{across(x):.1f}" cy="{_up(y):.1f}" r="3.5"/>'
            f'<text class="small" x="{across(x) + 6:.1f}" y="{_up(y) + 4:.1f}">{escape(name)}</text>'
        )
    return "".join([*pieces, "</svg>"])


def _plain(x: float) -> float:
    return _LEFT + x * (_WIDTH - _LEFT - _RIGHT)


def _logarithm(x: float) -> float:
    return _LEFT + (math.log10(max(x, 1e-4)) + 4) / 4 * (_WIDTH - _LEFT - _RIGHT)


def _up(y: float) -> float:
    return _HEIGHT - _BOTTOM - y * (_HEIGHT - _BOTTOM - _TOP)


def _path(points: Points, across: Callable[[float], float]) -> str:
    return "M" + "L".join(f"{across(x):.1f},{_up(y):.1f}" for x, y in points)


def _grid(axes: tuple[str, str], across: Callable[[float], float], *, logarithmic: bool) -> list[str]:
    columns = (1e-4, 1e-3, 1e-2, 1e-1, 1.0) if logarithmic else (0.0, 0.25, 0.5, 0.75, 1.0)
    pieces = [
        f'<path class="grid" d="M{across(x):.1f},{_up(0):.1f}V{_up(1):.1f}"/>'
        f'<text class="small" text-anchor="middle" x="{across(x):.1f}" y="{_up(0) + 14:.1f}">{x:g}</text>'
        for x in columns
    ]
    pieces += [
        f'<path class="grid" d="M{_LEFT},{_up(y):.1f}H{_WIDTH - _RIGHT}"/>'
        f'<text class="small" text-anchor="end" x="{_LEFT - 6}" y="{_up(y) + 4:.1f}">{y:g}</text>'
        for y in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    pieces.append(
        f'<text class="small" text-anchor="middle" x="{middle}" y="{_HEIGHT - 6}">{escape(axes[0])}</text>'
        f'<text class="small" text-anchor="middle" transform="translate(12 {_up(0.5):.1f}) rotate(-90)">'
        f"{escape(axes[1])}</text>"
    )
    return pieces
