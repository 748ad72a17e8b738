"""What the browser tests share: one sealed room, or a word about why there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from leak.sealed_room import SealedRoom, what_is_missing


@pytest.fixture(scope="module")  # a fresh profile for each module: browsers keep icons and names
def room() -> Iterator[SealedRoom]:
    missing = what_is_missing()
    if missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the sealed room needs {missing}")
        pytest.skip(f"the sealed room needs {missing}")
    with SealedRoom() as opened:
        yield opened
