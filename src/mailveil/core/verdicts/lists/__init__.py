"""Lists: what organisations import of public block lists, and which of them name an address."""

from mailveil.core.verdicts.lists.matching import NO_LISTS, Lists, kind_of, lists_of
from mailveil.core.verdicts.lists.reading import ListError, detect_format, parse_list
from mailveil.core.verdicts.lists.types import ImportedList, Listed, ListFormat, Parsed

__all__ = [
    "NO_LISTS",
    "ImportedList",
    "ListError",
    "ListFormat",
    "Listed",
    "Lists",
    "Parsed",
    "detect_format",
    "kind_of",
    "lists_of",
    "parse_list",
]
