"""Activities: who reconnoitres whom, read and decided about; what people say of their own people; alerts, campaigns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from mailveil.control.access import Actor, Permission
from mailveil.control.activityrecords import ActivityFile, ActivityNote, ActivityQuery
from mailveil.control.auditing import audit
from mailveil.control.failures import InvalidError, MissingError
from mailveil.control.feedback import printable
from mailveil.control.identifiers import new_identifier
from mailveil.control.records import MAX_PAGE, Cut, MessageLine, Page
from mailveil.control.room import ControlRoom
from mailveil.control.stores import ConflictError
from mailveil.control.telling import activity_event, activity_record
from mailveil.core.intelligence.types import (
    ActivityState,
    Alert,
    AnalystVerdict,
    Campaign,
    Decision,
    MarkedPerson,
    Nature,
)
from mailveil.core.observation.privacy import is_pseudonym
from mailveil.core.sharing.types import EventKind

MAX_NOTE: Final = 4_000
MAX_FUNCTION: Final = 60
MAX_ADDRESS: Final = 320  # RFC 5321 section 4.5.3.1
MAX_COUNTED: Final = 1_000  # activities that stand alike
MAX_EXPORTED: Final = 2_000  # messages of one activity


@dataclass(frozen=True, slots=True)
class ActivityDossier:
    """Everything there is about an activity but its messages: ``campaigns`` and ``alerts`` are the latest."""

    file: ActivityFile
    state: ActivityState
    notes: tuple[ActivityNote, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    alerts: tuple[Alert, ...] = ()


# --- reading ------------------------------------------------------------------------------------------------


async def activities(room: ControlRoom, actor: Actor, query: ActivityQuery, cut: Cut) -> Page[ActivityFile]:
    """Return activities of the actor's organisation, those of the highest score first unless asked otherwise."""
    actor.require(Permission.ACTIVITIES_READ)
    if query.person:
        query = replace(query, person=room.privacy.person(query.person, actor.organisation))
    return await room.activities.activities(actor.organisation, query, cut)


async def activity_counts(
    room: ControlRoom, actor: Actor, query: ActivityQuery
) -> Mapping[ActivityState | None, int]:
    """Return how many activities stand how, ``None`` for all of them; ``MAX_COUNTED`` stands for that many or more."""
    actor.require(Permission.ACTIVITIES_READ)
    if query.person:
        query = replace(query, person=room.privacy.person(query.person, actor.organisation))
    return await room.activities.states(actor.organisation, query, MAX_COUNTED)


async def waiting_to_be_studied(room: ControlRoom, actor: Actor, most: int) -> int:
    """Return how much waits to be studied, ``most`` at most: what it reveals is in no list yet."""
    actor.require(Permission.ACTIVITIES_READ)
    return await room.studies.waiting(actor.organisation, most)


async def activity(room: ControlRoom, actor: Actor, identifier: str) -> ActivityDossier:
    """Return one activity; of one that was merged into another, that other one. Raises ``MissingError``."""
    actor.require(Permission.ACTIVITIES_READ)
    file = await find_activity(room, actor, identifier)
    organisation, name = actor.organisation, file.activity.identifier
    return ActivityDossier(
        file,
        file.state(room.clock.now()),
        tuple(await room.activities.notes(organisation, name)),
        (await room.activities.campaigns(organisation, Cut(20), sender_domain=file.activity.actor)).items,
        (await room.activities.alerts(organisation, Cut(20), activity=name)).items,
    )


async def named_activity(room: ControlRoom, actor: Actor, beginning: str) -> str:
    """Return the identifier of the activity whose identifier begins so, of one that was merged the other one's.

    Raises ``MissingError``, or ``InvalidError`` where that of several does.
    """
    actor.require(Permission.ACTIVITIES_READ)
    wanted = beginning.strip().lower()
    if not wanted:
        raise MissingError("there is no such activity")
    known = await room.activities.identified(actor.organisation, wanted, MAX_PAGE)
    # One that is merged leads to another, which may begin so, too.
    names = known if wanted not in known else [wanted]
    found = dict.fromkeys([(await find_activity(room, actor, each)).activity.identifier for each in names])
    if not found:
        raise MissingError("there is no such activity")
    if len(found) > 1:
        first, second = list(found)[:2]
        raise InvalidError(
            f"Several activities begin with {wanted}, such as {first} and {second}: write more of it.",
            "activity",
        )
    return next(iter(found))


async def decided(room: ControlRoom, actor: Actor, identifier: str) -> ActivityFile:
    """Return an activity for what people decided about it, or the one it was merged into. Raises ``MissingError``."""
    actor.require(Permission.ACTIVITIES_READ)
    return await find_activity(room, actor, identifier)


async def activity_messages(
    room: ControlRoom, actor: Actor, identifier: str, cut: Cut
) -> Page[MessageLine | str]:
    """Return the messages of an activity, newest first; of one that is no longer kept, its identifier alone.

    Raises ``MissingError``.
    """
    actor.require(Permission.ACTIVITIES_READ)
    actor.require(Permission.MESSAGES_READ)
    file = await find_activity(room, actor, identifier)
    page = await room.activities.messages_of(actor.organisation, file.activity.identifier, cut)
    lines = await room.observations.lines(actor.organisation, page.items)
    return Page(tuple(lines.get(each, each) for each in page.items), page.next)


async def activities_of_messages(room: ControlRoom, actor: Actor, messages: Collection[str]) -> Sequence[str]:
    """Return the identifiers of the activities that any of some messages belongs to."""
    actor.require(Permission.ACTIVITIES_READ)
    return await room.activities.activities_of_messages(actor.organisation, messages)


async def alerts(
    room: ControlRoom, actor: Actor, cut: Cut, *, activity: str = "", since: float = 0.0
) -> Page[Alert]:
    """Return alerts, newest first."""
    actor.require(Permission.ACTIVITIES_READ)
    return await room.activities.alerts(actor.organisation, cut, activity=activity, since=since)


async def campaigns(
    room: ControlRoom, actor: Actor, cut: Cut, *, nature: Nature | None = None, sender_domain: str = ""
) -> Page[Campaign]:
    """Return campaigns, the latest first."""
    actor.require(Permission.ACTIVITIES_READ)
    return await room.activities.campaigns(
        actor.organisation, cut, nature=nature, sender_domain=sender_domain
    )


async def export_activity(room: ControlRoom, actor: Actor, identifier: str) -> dict[str, Any]:
    """Return everything that is known of an activity as a JSON object, people in clear; it is in the audit trail.

    Raises ``MissingError``.
    """
    actor.require(Permission.ACTIVITIES_READ)
    found = await activity(room, actor, identifier)
    file, name = found.file, found.file.activity.identifier
    messages: list[str] = []
    cut = Cut(MAX_PAGE)
    while len(messages) < MAX_EXPORTED:
        page = await room.activities.messages_of(actor.organisation, name, cut)
        messages += page.items
        if not page.next:
            break
        cut = replace(cut, cursor=page.next)
    await audit(room, actor, "activity.export", name)
    decided = {
        "decided_by": file.decided_by,
        "decided_at": file.decided_at,
        "acknowledged_by": file.acknowledged_by,
        "acknowledged_at": file.acknowledged_at,
        "closed_by": file.closed_by,
        "closed_at": file.closed_at,
    }
    return {
        **activity_record(file, room.clock.now()),
        **decided,
        "notes": [{"at": each.at, "by": each.by, "text": each.text} for each in found.notes],
        "alerts": [each.record() for each in found.alerts],
        "campaigns": [each.record() for each in found.campaigns],
        "messages": messages,
    }


# --- deciding -----------------------------------------------------------------------------------------------

# ``seen`` is the revision that somebody decides from: where anybody has decided anything since, ``ConflictError`` is
# raised, and nothing is written. Without it only two who change the same at the same instant are in each other's way.


async def _to_decide(room: ControlRoom, actor: Actor, identifier: str, seen: str) -> ActivityFile:
    file = await find_activity(room, actor, identifier)
    if seen and seen != file.revision:
        raise ConflictError("somebody else has decided about the activity meanwhile")
    return file


async def acknowledge_activity(
    room: ControlRoom, actor: Actor, identifier: str, *, seen: str = ""
) -> ActivityFile:
    """Say that somebody is looking at it. Raises ``MissingError`` or ``ConflictError``."""
    actor.require(Permission.ACTIVITIES_WRITE)
    file, now = await _to_decide(room, actor, identifier, seen), room.clock.now()
    if file.acknowledged_at:
        return file
    changed = replace(file, acknowledged_by=actor.name, acknowledged_at=now, changed_at=now)
    await room.activities.put_decisions(changed, before=file, as_a_whole=bool(seen))
    await audit(room, actor, "activity.acknowledge", file.activity.identifier)
    return changed


async def close_activity(room: ControlRoom, actor: Actor, identifier: str, *, seen: str = "") -> ActivityFile:
    """Close it; what comes afterwards opens it again. Raises ``MissingError`` or ``ConflictError``."""
    actor.require(Permission.ACTIVITIES_WRITE)
    file, now = await _to_decide(room, actor, identifier, seen), room.clock.now()
    if file.state(now) is ActivityState.CLOSED:
        return file
    # Mail may bear a later time than our clock shows.
    closed_at = max(now, file.activity.last_at)
    changed = replace(file, closed_by=actor.name, closed_at=closed_at, changed_at=now)
    events = [activity_event(changed, now, EventKind.ACTIVITY_CLOSED)] if file.told_state else []
    await room.activities.put_decisions(changed, events, before=file, as_a_whole=bool(seen))
    await audit(room, actor, "activity.close", file.activity.identifier)
    return changed


async def reopen_activity(
    room: ControlRoom, actor: Actor, identifier: str, *, seen: str = ""
) -> ActivityFile:
    """Open what somebody closed; where nothing came for long it stays closed by itself.

    Raises ``MissingError``, ``InvalidError`` or ``ConflictError``.
    """
    actor.require(Permission.ACTIVITIES_WRITE)
    file, now = await _to_decide(room, actor, identifier, seen), room.clock.now()
    if file.verdict is AnalystVerdict.BENIGN:
        raise InvalidError("It was dismissed as benign; take that verdict back to open it.", "verdict")
    if not file.closed_at:
        return file
    changed = replace(file, closed_by="", closed_at=0.0, changed_at=now)
    events = [activity_event(changed, now, EventKind.ACTIVITY_CHANGED)] if file.told_state else []
    await room.activities.put_decisions(changed, events, before=file, as_a_whole=bool(seen))
    await audit(room, actor, "activity.reopen", file.activity.identifier)
    return changed


async def decide_activity(
    room: ControlRoom, actor: Actor, identifier: str, verdict: AnalystVerdict, *, seen: str = ""
) -> ActivityFile:
    """Confirm that it is reconnaissance, dismiss it as benign, or take such a verdict back; scoring learns from it.

    Raises ``MissingError`` or ``ConflictError``.
    """
    actor.require(Permission.ACTIVITIES_WRITE)
    file, now = await _to_decide(room, actor, identifier, seen), room.clock.now()
    if file.verdict is verdict:
        return file
    is_open = verdict is AnalystVerdict.OPEN
    changed = replace(
        file,
        verdict=verdict,
        decided_by="" if is_open else actor.name,
        decided_at=0.0 if is_open else now,
        changed_at=now,
    )
    decision = Decision(new_identifier(now), actor.organisation, now, file.activity.identifier, verdict)
    events = [activity_event(changed, now, EventKind.ACTIVITY_DECIDED)]
    await room.activities.put_decisions(changed, events, decision, before=file, as_a_whole=bool(seen))
    await audit(
        room,
        actor,
        "activity.decide",
        file.activity.identifier,
        verdict=str(verdict),
        before=str(file.verdict),
    )
    return changed


async def note_activity(room: ControlRoom, actor: Actor, identifier: str, text: str) -> ActivityNote:
    """Write a note. Raises ``MissingError``, ``InvalidError`` or ``ConflictError``."""
    actor.require(Permission.ACTIVITIES_WRITE)
    if len(text) > MAX_NOTE:
        raise InvalidError(f"A note has at most {MAX_NOTE:,} characters.", "text")
    words = printable(text)
    if not words:
        raise InvalidError("Say something.", "text")
    file, now = await find_activity(room, actor, identifier), room.clock.now()
    name = file.activity.identifier
    note = ActivityNote(new_identifier(now), actor.organisation, name, now, actor.name, words)
    await room.activities.add_note(note)
    await audit(room, actor, "activity.note", name, note=note.identifier)
    return note


async def recompute(room: ControlRoom, actor: Actor) -> int:
    """Have everything that is kept studied again, in the order in which it was; return how many subjects that are.

    What people decided stays, and others are told of nothing twice. Until it is done activities are missing.
    """
    actor.require(Permission.ACTIVITIES_WRITE)
    count = await room.studies.begin_again(actor.organisation)
    await audit(room, actor, "activity.recompute", total=count)
    return count


# --- people -------------------------------------------------------------------------------------------------


async def marked_people(room: ControlRoom, actor: Actor) -> Sequence[MarkedPerson]:
    """Return the people whom the organisation says something of."""
    actor.require(Permission.ACTIVITIES_READ)
    return await room.activities.marked(actor.organisation)


async def mark_person(
    room: ControlRoom, actor: Actor, address: str, *, function: str = "", is_high_value: bool = False
) -> MarkedPerson:
    """Say which function somebody has, and whether they weigh more; neither: nothing any more.

    Scoring goes by it from now on. A function that others have is written as theirs is. Raises ``InvalidError`` or
    ``ConflictError``.
    """
    actor.require(Permission.ACTIVITIES_WRITE)
    address = read_address(address)
    words = read_function(function)
    name = room.privacy.person(address, actor.organisation)
    if words:
        words = await _written_as_others_are(room, actor, name, words)
    marked = MarkedPerson(name, words, is_high_value)
    await room.activities.mark(actor.organisation, marked, actor.name, room.clock.now())
    # The audit trail outlives what is kept of people, so it does not name them.
    await audit(room, actor, "person.mark", function=words, high_value=is_high_value)
    return marked


def read_address(written: str) -> str:
    """Return an address, or a pseudonym that records show, as somebody wrote it. Raises ``InvalidError``."""
    address = written.strip()
    mailbox, _, domain = address.rpartition("@")
    is_known = bool(mailbox and domain) or is_pseudonym(address.lower())
    if not is_known or len(address) > MAX_ADDRESS or any(each.isspace() for each in address):
        # A name or a group would be marked for nothing: nobody gets mail by it.
        raise InvalidError("It is no address, such as ann@example.org.", "address")
    return address


def read_function(written: str) -> str:
    """Return a function, as somebody wrote it. Raises ``InvalidError``."""
    words = " ".join(written.split())
    if len(words) > MAX_FUNCTION or not words.isprintable():
        raise InvalidError(
            f"A function has at most {MAX_FUNCTION} characters that can be printed.", "function"
        )
    return words


async def _written_as_others_are(room: ControlRoom, actor: Actor, person: str, function: str) -> str:
    """Return a function as it is written for others who have it: scoring takes them for one only then."""
    for each in await room.activities.marked(actor.organisation):
        if each.person != person and each.function.casefold() == function.casefold():
            return each.function
    return function


async def find_activity(room: ControlRoom, actor: Actor, identifier: str) -> ActivityFile:
    """Return an activity, or the one that it was merged into; rights are up to the caller. Raises ``MissingError``."""
    for _ in range(10):
        file = await room.activities.activity(actor.organisation, identifier)
        if file is None:
            break
        if not file.activity.merged_into:
            return file
        identifier = file.activity.merged_into
    raise MissingError("there is no such activity")
