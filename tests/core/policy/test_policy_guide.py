"""The guide to policies: every example in it can be copied, and what it says of levels and words is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mailveil.core.policy import Action, CopyMode, parse_policy
from mailveil.core.policy.document import PolicyDocument
from mailveil.core.policy.rules import CONDITION_NAMES, Banner, Effect, Level
from mailveil.core.policy.types import Direction
from mailveil.core.verdicts.types import Finding, Kind

GUIDE = (Path(__file__).parents[3] / "docs" / "policy.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)


def test_the_guide_has_examples() -> None:
    assert len(EXAMPLES) >= 7


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.strip().splitlines()[0])
def test_an_example_can_be_copied(example: str) -> None:
    document = parse_policy(example)
    assert isinstance(document, PolicyDocument)
    assert document.rules


def test_every_word_of_a_policy_is_in_the_guide() -> None:
    words = [*CONDITION_NAMES, *Effect, *Level, *Action, *Banner, *Direction, *Kind, *Finding]
    words += [CopyMode.HOSTED, CopyMode.EMBEDDED, "expires_at", "enabled", "comment"]
    missing = [str(word) for word in words if f"`{word}`" not in GUIDE and f"`{word} " not in GUIDE]
    assert not missing
