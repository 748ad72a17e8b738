"""A part with more references than a message may hold is never passed on half searched."""

import pytest

from mailveil.core.message.parse import parse_message
from mailveil.core.message.types import Limits
from mailveil.core.references.search import SearchSettings, find_references


@pytest.mark.parametrize(("images", "is_unexamined"), [(20, False), (21, True), (22, True), (200, True)])
def test_a_part_beyond_the_limit_is_named(images: int, is_unexamined: bool) -> None:
    raw = b"Content-Type: text/html\r\n\r\n" + b"<img src=http://a.example/x>\r\n" * images
    result = find_references(parse_message(raw), SearchSettings(limits=Limits(max_references=20)))
    assert bool(result.unexamined) is is_unexamined
