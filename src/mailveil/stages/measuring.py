"""Measuring: what is told of messages while they pass, to whoever counts. No persons, no hosts, no content."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from enum import StrEnum
from typing import Protocol

from mailveil.core.observation import Passed

#: What the message that is being worked on is called in logs and traces, ``""`` outside of one.
under_way: ContextVar[str] = ContextVar("under_way", default="")


class Stage(StrEnum):
    """What a message goes through. Values are permanent: they are labels of metrics."""

    AUTHENTICATE = "authenticate"
    EXAMINE = "examine"
    EMBED = "embed"
    RESERVE = "reserve"
    SEAL = "seal"
    DELIVER = "deliver"


class Instruments(Protocol):
    """Who counts. Nothing here raises or waits."""

    def message(self, identifier: str) -> AbstractContextManager[None]:
        """Surround everything that is done for a message."""
        ...

    def stage(self, stage: Stage) -> AbstractContextManager[None]:
        """Surround one stage of it."""
        ...

    def passed(self, passed: Passed) -> None:
        """Take note of how it ended."""
        ...

    def fetched(self, outcome: str, seconds: float) -> None:
        """Take note of a download that is over."""
        ...


class NoInstruments:
    """Nobody counts."""

    @contextlib.contextmanager
    def message(self, identifier: str) -> Iterator[None]:
        """Name the message for the logs."""
        token = under_way.set(identifier)
        try:
            yield
        finally:
            under_way.reset(token)

    def stage(self, stage: Stage) -> AbstractContextManager[None]:
        """Do nothing."""
        del stage
        return contextlib.nullcontext()

    def passed(self, passed: Passed) -> None:
        """Do nothing."""

    def fetched(self, outcome: str, seconds: float) -> None:
        """Do nothing."""
