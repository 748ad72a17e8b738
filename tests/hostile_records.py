"""Hostile records: every text that anybody outside can have put on record, written to break the pages that show it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console_window import OpenConsole
    from control_room import ControlRoomForTests
    from mailveil.core.observation import Observation

MARK = "data-evil"
BREAKS_OUT = (
    "\"'></title></textarea></option></select></style></script></iframe>--><script data-evil>window.evil=1;alert(1)"
    "</script><img data-evil src=x onerror=window.evil=1><svg data-evil onload=window.evil=1><math data-evil>"
    '<a data-evil href=javascript:window.evil=1>{{7*7}}${7*7}{% raw %}" onfocus=window.evil=1 autofocus data-evil '
)
RUNS = "javascript:window.evil=1//https://evil.example/"
CARRIES = "data:text/html,<script data-evil>window.evil=1</script>"
CALCULATES = "=cmd|' /C calc'!A0\r\nSet-Cookie: evil=1\r\n\r\n<b data-evil>@SUM(1+1)"
TURNS = "\u202e\u2066gpj.exe\u200b\ufeff\0\x1b[31m\ud800\ufffe\u2028" + "e" + "\u0301" * 300
ENDLESS = "W" * 10_000
TEXTS = (BREAKS_OUT, RUNS, CARRIES, CALCULATES, TURNS, ENDLESS, "//evil.example/x", "../../sign-out?a#b%00")


def hostile_mail(now: float, organisation: str = "default") -> Iterator[Observation]:
    """Give one message for each text, which stands wherever a message can have it."""
    from mailveil.core.observation import Observation, ObservedReference, observation_identifier

    for number, text in enumerate(TEXTS):
        at = now - 60 * number - 1
        reference = ObservedReference(
            url=text, template=text, host=text, domain=text, vector=text[:60], finding="tracker", action="copy",
            media=text[:60], kind="open", kinds=("open", text[:60]), score=0.98, risk="high",
            operator=" ".join(text.split()), operator_confidence=0.9, evidence=text, rule=f"rule:{text}",
            signals=(text[:60], "PIXEL_1X1"),
            reasons=(text, text),
        )  # fmt: skip
        odd = ObservedReference(
            url=text, template=text, host="", domain="", vector="img-src", finding=text[:60], action=text[:60],
            kind=text[:60], risk=text[:60], rule=text,
        )  # fmt: skip
        yield Observation(
            identifier=observation_identifier(at, f"h{number}", organisation),
            organisation=organisation, at=at, log_identifier=text, sender=text, author=text,
            author_domain="" if number % 2 else text, sender_domain=text,
            recipients=("anna@acme.example", text), subject=text, message_id=text, size_bytes=10**15,
            seconds=1e7, reply_code=250, reply=text, changed=True, risk="high", total_references=2,
            total_trackers=1, original=f"kept-{number}",
            authentication={"signed": text, "dkim": [{"domain": text}]},
            header=dict.fromkeys(("list_id", "list_unsubscribe", "mail_service", "reply_to_domain"), text),
            defects=(text, text), references=(reference, odd),
        )  # fmt: skip


async def furnish_with_hostility(made: ControlRoomForTests) -> None:
    """Write the same texts into whatever people of an organisation and readers can put on record."""
    from mailveil.control import records
    from mailveil.control.access import Role

    stores, now = made.room, made.clock.now()
    line = (await stores.observations.messages("default", records.MessageQuery(), records.Cut(1))).items[0]
    rules = []
    for number, text in enumerate(TEXTS):
        identifier = f"{int(now * 1000) - number:012x}{number:020x}"
        short, name = text[:100], f"n{number} {text[:100]}"
        rules.append(
            {
                "id": f"rule-{number}", "name": written(text, 200), "comment": written(text, 2000),
                "when": {"groups": [f"group-{number}"]}, "then": {"action": "blank"},
            }
        )  # fmt: skip
        await stores.policies.allow(
            records.AllowRecord(
                identifier, "default", text, (text, "a.example"), text, text, text, now, now + 9e5,
                revoked_by=text if number % 2 else "", revoked_at=now if number % 2 else 0.0,
            )
        )  # fmt: skip
        await stores.accounts.put_token(
            records.Token(
                identifier, "default", text, f"digest-{number}", short[:8], ("inspect", short), text, now, now + 9e5
            )
        )  # fmt: skip
        await stores.accounts.put_user(
            records.User(
                identifier, name, "default", Role.VIEWER, text, subject=text, language="en", created_at=now
            )
        )
        await stores.audit.write(
            records.AuditEntry(
                identifier, now, "default", "user", text, text[:60], text,
                {"reason": text, text[:60]: [text], "changed": {"name": text}}, short,
            )
        )  # fmt: skip
        await stores.feedback.report(
            records.Feedback(
                identifier, "default", now, records.FeedbackKind.MISSED, line.identifier, text,
                state=records.FeedbackState.REJECTED if number % 2 else records.FeedbackState.OPEN,
                closed_by=text, closed_at=now, note=text,
            )
        )  # fmt: skip
        await stores.feedback.grant(
            records.ReleaseGrant(identifier, "default", line.identifier, "kept-0", text, text, now, now + 9e5)
        )
        await stores.organisations.put(records.Organisation(f"other-{number}", text, (f"o{number}.example",)))
        await _hostile_destination(made, identifier, number, text)
        await _hostile_feed(made, identifier, number, text)
    await _hostile_activities(made)
    groups = {f"group-{number}": ["anna@acme.example"] for number in range(len(TEXTS))}
    document = {"groups": groups, "rules": rules, "comment": BREAKS_OUT}
    for version, text in enumerate(TEXTS, 1):
        await stores.policies.put(records.PolicyVersion("default", version, document, now, text, text))
    await stores.organisations.put(records.Organisation("default", BREAKS_OUT))


async def _hostile_activities(made: ControlRoomForTests) -> None:
    """Write an activity for each text, which stands wherever studying can take one from mail, and what people said."""
    from mailveil.control.activityrecords import ActivityNote
    from mailveil.control.activitystores import Studied
    from mailveil.control.records import Cut, MessageQuery
    from mailveil.core.intelligence import types

    now, store = made.clock.now(), made.room.studies
    assert store is not None
    line = (await made.room.observations.messages("default", MessageQuery(), Cut(1))).items[0]
    found, campaigns, alerts = [], [], []
    for number, text in enumerate(TEXTS):
        operator = " ".join(text.split())  # as mail has it
        probe = types.Probe(now - number, line.identifier, text, text, (text[:60],), text, text, text[:60])
        pieces = tuple(types.Infrastructure(role, f"{role} {text}", now - 9, now) for role in types.Role)
        told = types.Attribution(types.Tooling.BUILT, operator, text, text, 0.5, text, (text, text))
        found.append(
            types.Activity(
                f"{number:032x}", "default", text, now - 9, now, 0.9, text[:20],
                (types.Reason(text[:40], 1.0, text), types.Reason(text[:40], -2.0, text)),
                tuple(types.TechniqueShown(each, text) for each in types.Technique), (text,),
                ("open", text[:60]), told, pieces, (types.Target(text, now - 9, now, 1, text[:60], True),),
                (probe, probe), (probe,), 2, 2, 1 + number % 2,
            )
        )  # fmt: skip
        campaigns.append(
            types.Campaign(
                f"{number:032x}",
                "default",
                text[:250],
                text,
                now - 9,
                now,
                reasons=(text,),
                operator=operator,
                subject=text,
            )
        )
        alerts.append(
            types.Alert(
                f"{number:032x}", "default", now, list(types.AlertKind)[number % 3], f"{number:032x}",
                line.identifier, text, 0.9, text, (text,), now - 9,
            )
        )  # fmt: skip
    waiting = await store.unstudied("default", 1)
    studied = Studied(
        (),
        {},
        now,
        waiting.generation,
        activities=tuple(found),
        campaigns=tuple(campaigns),
        alerts=tuple(alerts),
    )
    await store.write("default", studied)
    for number, text in enumerate(TEXTS):
        note = ActivityNote(f"{number:032x}", "default", f"{number:032x}", now, text[:100], text)
        await made.room.activities.add_note(note)
        await made.room.activities.mark("default", types.MarkedPerson(text, text[:60], True), text[:100], now)


async def _hostile_destination(made: ControlRoomForTests, identifier: str, number: int, text: str) -> None:
    """Write a destination that is called so, and says so why it took nothing."""
    from mailveil.control.sharingrecords import DeadLetter, Destination, DestinationKind

    store, now = made.room.sharing, made.clock.now()
    assert store is not None
    kind = list(DestinationKind)[number % 6]
    destination = Destination(
        identifier, "default", text, kind, text, events=(text[:60],), options={"index": text, "ca_pem": text},
        created_by=text, problem=text, delivered_at=now,
    )  # fmt: skip
    await store.put_destination(destination)
    letter = DeadLetter(
        identifier, "default", 1, now, now, text[:30], text[:60], text, identifier=f"{number:032x}"
    )
    await store.bury(destination, letter)
    await store.put_off(replace(destination, position=1), 3, now + 60, text)


async def _hostile_feed(made: ControlRoomForTests, identifier: str, number: int, text: str) -> None:
    """Write a feed that is called so, tells so, and says so why it cannot be read."""
    from mailveil.control.feedstores import FeedOutcome
    from mailveil.control.sharingrecords import Feed, FeedKind, ImportedIndicator

    store, now = made.room.feeds, made.clock.now()
    assert store is not None
    feed = Feed(
        identifier, "default", text, list(FeedKind)[number % 2], text, {"username": text, "ca_pem": text},
        created_by=text, created_at=now,
    )  # fmt: skip
    await store.put_feed(feed)
    told = ImportedIndicator(identifier, "i", text[:20], text, 0.5, now, now + 9, text, text, text)
    await store.took(
        feed, FeedOutcome({"i": (told,)}, "", now, now + 9, {"taken": 1, f"skipped:{text[:40]}": 2})
    )
    await store.failed(feed, text, 2, now + 9)


def written(text: str, most: int) -> str:
    """Return as much of a text as a policy takes."""
    return "".join(each for each in text if each.isprintable())[:most]


def put_hostility(room: OpenConsole) -> None:
    """Fill a console's database with it."""
    room.observe(list(hostile_mail(room.made.clock.now())))
    room.run(furnish_with_hostility(room.made))
