"""Failures: why a use case did nothing, besides a lacking permission (``access``) and a conflict (``stores``)."""

from __future__ import annotations


class MissingError(Exception):
    """What was asked for is not there, or belongs to another organisation: nobody is told which of the two."""


class InvalidError(ValueError):
    """A value that cannot be used; the text is for whoever gave it, and ``field`` names where it stood."""

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(text)
        self.field = field


class BusyError(Exception):
    """As much of this is under way as may be; the text says what, and the same can be asked again in a moment."""
