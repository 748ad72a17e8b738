"""The catalogue of operators: every shape is sourced and found, none of them twice."""

from __future__ import annotations

import pytest

from mailveil.core.verdicts.operators import ASSET_HOSTS, SHAPES, Shape, find_operator


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.name} {shape.host}{shape.path}")
def test_shape_is_sound_and_found(shape: Shape) -> None:
    assert shape.source.startswith("https://")
    assert shape.name.strip() == shape.name != ""
    assert 0 < shape.confidence <= 1
    assert shape.host or len(shape.path) >= 3
    assert shape.host == shape.host.lower()
    assert shape.path.startswith("/") or not shape.path
    target = f"{shape.path or '/x'}{'' if shape.also.startswith(('=', '/', '.')) else '?'}{shape.also}"
    found = find_operator(f"a.{shape.host}" if shape.host else "mail.customer.example", target)
    assert found is not None
    assert found.name == shape.name


def test_shapes_are_distinct() -> None:
    keys = [(shape.host, shape.path, shape.also) for shape in SHAPES]
    assert len(keys) == len(set(keys))
    assert len({shape.name for shape in SHAPES}) > 50


def test_host_suffix_counts_by_whole_labels() -> None:
    assert find_operator("awstrack.me", "/I0/x") is not None
    assert find_operator("x.y.awstrack.me", "/I0/x") is not None
    assert find_operator("notawstrack.me", "/I0/x") is None
    assert find_operator("awstrack.me.evil.example", "/I0/x") is None
    assert find_operator("", "") is None


def test_ordinary_pictures_have_no_operator() -> None:
    for host in ASSET_HOSTS:
        assert find_operator(host, "/css/open-sans.css") is None
    assert find_operator("cdn.example", "/images/email/logo.gif") is None
