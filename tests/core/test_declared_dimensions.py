"""Which dimensions a placeholder keeps, so that what it stands in for leaves no hole and no tower."""

from __future__ import annotations

import time

import pytest

from mailveil.core.protection.inspecting import declared_dimensions


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, (0, 0)),
        ({"width": "600", "height": "200"}, (600, 200)),
        ({"width": "600px", "height": " 200 "}, (600, 200)),
        ({"width": "600"}, (600, 0)),
        ({"width": "99999"}, (4096, 0)),
        ({"width": "-5", "height": "1e3"}, (0, 0)),
        ({"style": "width:600px;height:200px"}, (600, 200)),
        ({"style": "display:block; WIDTH : 33.5px !important; Height:20px"}, (33, 20)),
        ({"style": "max-width:600px; border-width: 3px; line-height: 20px"}, (0, 0)),
        ({"width": "600", "height": "300", "style": "width:100%;height:auto"}, (600, 300)),
        ({"width": "600", "style": "height:auto"}, (600, 0)),
        ({"width": "100%"}, (600, 0)),
        ({"width": "100%", "style": "height:auto"}, (600, 0)),
        ({"style": "width:100%;max-width:640px;height:auto"}, (600, 0)),
        ({"width": "100%", "height": "80"}, (0, 80)),
        ({"height": "100%"}, (0, 600)),
        ({"style": "width:calc(100% - 20px)"}, (0, 0)),
        ({"style": "width:12em"}, (600, 0)),
        ({"width": "", "height": ""}, (0, 0)),
    ],
)
def test_declared_dimensions(attributes: dict[str, str], expected: tuple[int, int]) -> None:
    assert declared_dimensions(attributes) == expected


def test_a_hostile_style_costs_nothing() -> None:
    begun = time.process_time()
    for style in ("width:" * 100_000, "width" + " " * 1_000_000, "w" * 1_000_000, "width:1" * 100_000):
        declared_dimensions({"style": style, "width": style})
    assert time.process_time() - begun < 2
