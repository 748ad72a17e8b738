"""Doubts: the points of a message's structure about which clients differ."""

from __future__ import annotations

from enum import Flag, auto

from mailveil.core.message.types import Defect


class Doubt(Flag):
    """A point of the structure about which clients differ. Each value means: answered the less usual way."""

    HEADER = auto()  # where a header ends whose lines are not all fields
    BARE_CR = auto()  # a CR alone is a line break
    BARE_LF = auto()  # an LF alone is no line break
    PREFIX = auto()  # a delimiter line may go on after the boundary
    PAST_END = auto()  # parts may follow the end delimiter
    INNER_FIRST = auto()  # a boundary that two nested multiparts share belongs to the inner one
    OUTSIDE = auto()  # preamble and epilogue are shown
    ENCODED_MESSAGE = auto()  # an encoded message is read as if it were not encoded
    SECOND_CHOICE = auto()  # of several media types and boundaries
    THIRD_CHOICE = auto()
    FOURTH_CHOICE = auto()


NO_DOUBT = Doubt(0)
CHOICES = (Doubt.SECOND_CHOICE, Doubt.THIRD_CHOICE, Doubt.FOURTH_CHOICE)
# Answers that exclude each other.
EXCLUSIVE = (
    Doubt.BARE_CR | Doubt.BARE_LF,
    Doubt.SECOND_CHOICE | Doubt.THIRD_CHOICE,
    Doubt.SECOND_CHOICE | Doubt.FOURTH_CHOICE,
    Doubt.THIRD_CHOICE | Doubt.FOURTH_CHOICE,
)
DEFECT_OF = {
    Doubt.HEADER: Defect.MALFORMED_FIELD,
    Doubt.BARE_CR: Defect.BARE_CR,
    Doubt.BARE_LF: Defect.BARE_LF,
    Doubt.PREFIX: Defect.AMBIGUOUS_BOUNDARY,
    Doubt.PAST_END: Defect.AMBIGUOUS_BOUNDARY,
    Doubt.INNER_FIRST: Defect.AMBIGUOUS_BOUNDARY,
    Doubt.SECOND_CHOICE: Defect.AMBIGUOUS_BOUNDARY,
    Doubt.THIRD_CHOICE: Defect.AMBIGUOUS_BOUNDARY,
    Doubt.FOURTH_CHOICE: Defect.AMBIGUOUS_BOUNDARY,
    Doubt.ENCODED_MESSAGE: Defect.AMBIGUOUS_TRANSFER_ENCODING,
}
