"""The imported lists as commands that read mail take them."""

from __future__ import annotations

from mailveil.adapters.liststore import read_lists
from mailveil.commands.terminal import complain
from mailveil.config import Settings
from mailveil.core.verdicts.lists import ImportedList


def usable_lists(settings: Settings) -> tuple[ImportedList, ...]:
    """Return the imported lists; complain about those that cannot be used."""
    lists, problems = read_lists(settings.lists_folder)
    for problem in problems:
        complain(problem)
    return lists
