"""Every reason stands in the documentation, with the weight that it has."""

from __future__ import annotations

import re
from pathlib import Path

from mailveil.core.intelligence.scoring import WEIGHTS

PAGE = Path(__file__).parents[3] / "docs" / "reconnaissance.md"


def test_the_documentation_tells_every_reason_with_its_weight() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([+-][0-9.]+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert dict(rows) == {code: f"{weight.most:+.1f}" for code, weight in WEIGHTS.items()}
