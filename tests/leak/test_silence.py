"""Silence, proved at the origin: the original message makes a contact, the cleaned one makes none.

Setup: a real Chromium in a network namespace whose only name server and only web origins are a trap that logs
every look-up and every connection. Test: each corpus message is opened as a webmail client shows it, and as
Outlook would read it (conditional comments true, VML drawn); it is scrolled, hovered over and printed, in light
and dark. The cleaned message goes first, so that no name is cached when its turn comes.
"""

from __future__ import annotations

import pytest

from corpus_cases import Case, cases
from leak.reader import Document, as_outlook_reads, documents
from leak.sealed_room import SealedRoom
from mailveil.core.protection import CopyMode, finish, inspect

# A signed message with nothing but links keeps its signature, and so the look-up of its links' names.
CASES = [case for case in cases() if documents(case.raw) and not case.settings_table.get("link_names_stay")]


def _contacts(room: SealedRoom, found: list[Document], case: Case, **options: object) -> list[str]:
    contacts: list[str] = []
    for document in found:
        for dark in (False, True) if "dark" in case.name else (False,):
            job = document.job(
                case.name, dark=dark, scripts=case.settings_table.get("scripts", True), wait_ms=120, **options
            )
            contacts += [
                f"{contact['kind']} {contact['host']}{contact['path']}"
                for contact in room.show(job)["contacts"]
            ]
    return contacts


def _what_is_wrong(room: SealedRoom, case: Case) -> str:
    """Carry out the proof for one case; return what failed, or ``""``."""
    cleaned = documents(finish(inspect(case.raw, case.settings(), case.envelope)).raw)
    original = documents(case.raw)
    if contacts := _contacts(room, cleaned, case):
        return f"the cleaned message contacts {contacts}"
    outlook = [as_outlook_reads(document) for document in original]
    differs = any(a.body != b.body for a, b in zip(outlook, original, strict=True))
    if case.settings_table.get("outlook") or differs:
        read_again = [as_outlook_reads(document) for document in cleaned]
        if contacts := _contacts(room, read_again, case, gestures=[]):
            return f"the cleaned message, as Outlook reads it, contacts {contacts}"
        if case.settings_table.get("outlook") and not _contacts(room, outlook, case, gestures=[]):
            return "the trap does not catch the original as Outlook reads it"
    if not case.silent_already and not _contacts(room, original, case):
        return "the trap does not catch the original"
    return ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cleaned_message_contacts_nobody(room: SealedRoom, case: Case) -> None:
    wrong = _what_is_wrong(room, case)
    if wrong:
        # One browser shows all messages: a name cached, or an icon asked for late, by an earlier page would count
        # against this one. The whole proof is carried out again in a room that has seen nothing; a real leak leaks
        # there as well.
        with SealedRoom() as unused:
            wrong = _what_is_wrong(unused, case)
    assert not wrong


def test_hosted_copies_are_the_only_contacts(room: SealedRoom) -> None:
    """A message with hosted copies talks to the copies server (which the room counts as ours) and nobody else."""
    case = next(case for case in CASES if "picture-source" in case.name)
    outcome = finish(inspect(case.raw, case.settings(CopyMode.HOSTED), case.envelope))
    assert b"https://copies.test/c/" in outcome.raw
    assert _contacts(room, documents(outcome.raw), case) == []
