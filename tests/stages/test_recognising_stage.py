"""Recognising: what the log says of mail of a known actor names no domain or mailbox: some are made for people."""

import pytest

from mailveil.core.policy import Envelope
from mailveil.core.recognition.types import KnownBy, MessageTraits, Recognition
from mailveil.ports import Protected
from mailveil.stages.recognising import Recognising

PERSONAL = "anna-schmidt-acme.example"


class Watcher:
    def recognise(self, organisation: str, traits: MessageTraits) -> Recognition | None:
        words = f"mail came from {PERSONAL} before, to spy on its readers"
        return Recognition("019abc", PERSONAL, KnownBy.SENDER_DOMAIN, PERSONAL, 1.0, words)


def test_the_log_says_by_what_and_not_by_which_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "mailveil")
    stage = Recognising(Watcher())
    found = stage.look(Envelope(f"x@{PERSONAL}", ("bob@acme.example",)), Protected(b""), "id-1")
    assert found["default"].words.startswith("mail came from"), "records tell it in full"
    (line,) = [each.getMessage() for each in caplog.records]
    assert line == "message id-1 is of a known actor (019abc), known by sender-domain"
