"""Observations to measure with: mail of an office over thirty days, made up, the same on every run.

Newsletters of many senders by few mail services, letters, notifications, mail to several recipients; 400 operators of
which few are met daily and most hardly ever; trackers that everybody gets, and some that one person got once.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from mailveil.core.observation import Observation, ObservedReference, observation_identifier

DAYS = 30
OPERATORS = 400
SENDERS = 3_000
PEOPLE = 500
WORDS = (
    "account", "agenda", "alert", "answer", "archive", "autumn", "balance", "booking", "budget",
    "calendar", "change", "coffee", "confirm", "contract", "course", "customer", "deadline", "delivery",
    "digest", "draft", "event", "feedback", "final", "forecast", "garden", "holiday", "invitation",
    "invoice", "launch", "lecture", "letter", "license", "market", "meeting", "member", "minutes",
    "monthly", "notice", "offer", "office", "order", "parcel", "password", "payment", "photo", "plan",
    "policy", "price", "project", "proposal", "quarter", "question", "receipt", "release", "reminder",
    "report", "request", "review", "sale", "schedule", "season", "security", "service", "shipping", "sign",
    "statement", "status", "summary", "support", "survey", "team", "ticket", "training", "travel",
    "update", "upgrade", "urgent", "vacation", "version", "visit", "webinar", "weekly", "welcome",
    "winter", "workshop",
)  # fmt: skip
RARE_WORD, FREQUENT_WORD = "zeppelin", "weekly"
RARE_HOST = "px.seldom.example"
HOT_OPERATOR, RARE_OPERATOR = "Operator 0", f"Operator {OPERATORS - 1}"
HOT_PERSON = "person0@office.example"


def _skewed(chance: random.Random, count: int) -> int:
    """Return a number below ``count``, small ones far more often, as senders and operators are met."""
    return min(count - 1, int(math.exp(chance.random() * math.log(count + 1))) - 1)


def _reference(
    chance: random.Random, host: str, *, operator: str, is_tracker: bool, action: str
) -> ObservedReference:
    token = f"{chance.getrandbits(96):024x}"
    path = f"open/{token}.gif" if is_tracker else f"img/{chance.randrange(40)}.png"
    shape = "open/*.gif" if is_tracker else "img/*.png"
    return ObservedReference(
        url=f"https://{host}/{path}",
        template=f"https://{host}/{shape}",
        host=host,
        domain=".".join(host.split(".")[-2:]),
        vector="img-src",
        finding="tracker" if is_tracker else "content",
        action=action,
        media="image",
        kind=chance.choice(("open", "open", "open", "open", "device", "location", "dwell"))
        if is_tracker
        else "",
        kinds=("open",) if is_tracker else (),
        score=0.97 if is_tracker else 0.03,
        risk="medium" if is_tracker else "none",
        operator=operator,
        operator_confidence=0.95 if operator else 0.0,
        evidence="the shape of its address" if operator else "",
        rule="level:normal",
        key=f"{chance.getrandbits(128):032x}",
        token=f"{chance.getrandbits(128):032x}",
        signals=("PIXEL_1X1", "RECIPIENT_TOKEN") if is_tracker else ("IMAGE_SIZED",),
        reasons=("It is one pixel wide and high.", "Its address has a part that only this reader got.")
        if is_tracker
        else ("It is a picture that is shown.",),
    )


def _one(chance: random.Random, number: int, at: float, organisation: str) -> Observation:
    sender = _skewed(chance, SENDERS)
    domain = f"sender{sender}.example"
    is_letter = chance.random() < 0.3
    references: list[ObservedReference] = []
    risk = "none"
    if not is_letter:
        rank = _skewed(chance, OPERATORS)
        operator = f"Operator {rank}"
        # A mail service tracks under names of its own for each customer; the hot ones for many.
        host = f"customer{sender % 40}.service{rank}.example"
        references.append(_reference(chance, host, operator=operator, is_tracker=True, action="blank"))
        if chance.random() < 0.02:
            host = f"x{chance.getrandbits(40):010x}.once.example"
            references.append(_reference(chance, host, operator="", is_tracker=True, action="blank"))
        references += [
            _reference(chance, f"cdn.{domain}", operator="", is_tracker=False, action="copy")
            for _ in range(chance.randint(2, 14))
        ]
        risk = chance.choices(("low", "medium", "high"), (30, 60, 10))[0]
    if number % 333 == 0:  # rarely, but in small samples too
        references.insert(
            0, _reference(chance, RARE_HOST, operator=RARE_OPERATOR, is_tracker=True, action="remove")
        )
    words = chance.choices(WORDS, k=chance.randint(3, 8))
    if number % 333 == 7:
        words.append(RARE_WORD)
    log_identifier = f"{chance.getrandbits(64):016x}"
    people = {_skewed(chance, PEOPLE) for _ in range(1 if chance.random() < 0.8 else chance.randint(2, 12))}
    return Observation(
        identifier=observation_identifier(at, log_identifier, organisation),
        organisation=organisation,
        at=at,
        log_identifier=log_identifier,
        sender=f"bounce-{chance.getrandbits(32):08x}@mail.{domain}",
        author=f"news@{domain}",
        author_domain=domain if chance.random() < 0.9 else "",
        sender_domain=domain,
        recipients=tuple(f"person{each}@office.example" for each in sorted(people)),
        subject=" ".join(words).capitalize(),
        message_id=f"<{chance.getrandbits(80):020x}@{domain}>",
        size_bytes=chance.randint(3_000, 120_000),
        seconds=0.05,
        reply_code=250,
        reply="2.0.0 queued",
        changed=bool(references),
        risk=risk,
        total_references=len(references),
        total_trackers=sum(each.is_tracker for each in references),
        text_characters=chance.randint(200, 9_000),
        authentication={"dkim": [{"domain": domain, "result": "pass"}], "dmarc": "pass"},
        header={} if is_letter else {"list_id": f"news.{domain}", "list_unsubscribe": f"https://{domain}/u"},
        references=tuple(references),
    )


def generated(count: int, seed: int, organisation: str, until: float) -> Iterator[Observation]:
    """Give so many observations of the thirty days before ``until``, oldest first; the same for the same values."""
    chance = random.Random(seed)
    step = DAYS * 86_400.0 / max(1, count)
    begin = until - DAYS * 86_400.0
    for number in range(count):
        yield _one(chance, number, begin + (number + chance.random()) * step, organisation)
