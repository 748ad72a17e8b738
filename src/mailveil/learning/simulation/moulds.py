"""Moulds: one message of a sender goes through the engine as real mail does, and is then cast again and again.

So what is on record of simulated mail is what finding, judging and recording make of a message with that markup: no
verdict is made up. Casting changes what differs between the messages of one sender: tokens, readers, subject and time;
and verdicts are revised by what mail before showed, as the judge's memory does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from mailveil.core.observation import (
    Fared,
    Observation,
    ObservedReference,
    Passed,
    RecordSettings,
    make_observations,
    observation_identifier,
    told_anew,
)
from mailveil.core.observation.facts import facts_from, observed, summary_of
from mailveil.core.policy import Envelope
from mailveil.core.protection import EngineSettings, inspect
from mailveil.core.recognition.keys import thread_digest
from mailveil.core.verdicts.behaviour import ENOUGH, revise
from mailveil.core.verdicts.sightings import Sightings
from mailveil.core.verdicts.types import Verdict
from mailveil.learning.simulation.chance import Chance
from mailveil.learning.simulation.letters import Letter, proof_of, render
from mailveil.learning.simulation.types import DAY_S

_SETTINGS: Final = EngineSettings()
_RECORDS: Final = RecordSettings()
#: How often the judge misses a tracker of a sender altogether, and takes a picture for one. Its own figures on mail
#: that it does not know are 0.2 % and 0.5 % (docs/model.md); real mail is harder than made-up markup.
MISSED: Final = 0.03
ACCUSED: Final = 0.005
#: Of how many senders' trackers the content could be fetched.
FETCHED: Final = 0.9
#: A memory that has not seen so many days yet calls no host new.
_YOUNG_DAYS: Final = 30
_NOTHING: Final = Sightings()


class Hosts:
    """On which day each host was first seen, as the judge remembers it."""

    def __init__(self, begin_at: float) -> None:
        """``begin_at`` is when the memory began."""
        self._begin_at = begin_at
        self._first: dict[str, int] = {}

    def is_new(self, host: str, at: float) -> bool:
        """Tell whether a host was never seen before today, and take note of it."""
        day = int((at - self._begin_at) // DAY_S)
        return self._first.setdefault(host, day) == day and day >= _YOUNG_DAYS


@dataclass(slots=True)
class Mould:
    """A record of one message, the verdicts of its references, and what of them is made anew each time.

    ``changing`` are the numbers of the references whose URL each message has for itself, ``named`` of those whose host
    it has. ``is_fetched`` says that their content was fetched each time.
    """

    observation: Observation
    reader: str
    marks: tuple[str, ...]
    hosts: Hosts
    verdicts: tuple[Verdict | None, ...] = ()
    changing: frozenset[int] = frozenset()
    named: frozenset[int] = frozenset()
    is_fetched: bool = True
    _readers: set[str] = field(default_factory=set)
    _of_mailing: dict[str, set[str]] = field(default_factory=dict)
    _revised: dict[tuple[int, Sightings], ObservedReference] = field(default_factory=dict)

    def cast(
        self,
        chance: Chance,
        at: float,
        readers: Sequence[str],
        subject: str,
        *,
        author: str = "",
        answers: str = "",
    ) -> Observation:
        """Return a message of this sender to ``readers``; ``answers`` is the Message-ID that it answers to."""
        seen = self.observation
        log_identifier = chance.token(16)
        references = self._references(chance, at, readers, subject)
        message_id = f"{chance.token(20)}@{seen.author.rpartition('@')[2]}"
        header = {**seen.header, "thread": thread_digest(message_id)}
        if answers:
            header["threads"] = thread_digest(answers.strip("<>"))
        return replace(
            seen,
            identifier=observation_identifier(at, log_identifier, seen.organisation),
            at=at,
            log_identifier=log_identifier,
            recipients=tuple(readers),
            author=author or seen.author,
            sender=author if author and seen.sender == seen.author else seen.sender,
            subject=subject,
            message_id=f"<{message_id}>",
            header=header,
            size_bytes=seen.size_bytes + int(chance.between(0.0, 4_000.0)),
            seconds=round(chance.between(0.01, 0.2), 6),
            text_characters=max(0, int(seen.text_characters * chance.between(0.7, 1.3))),
            total_trackers=sum(each.is_tracker for each in references),
            references=references,
        )

    def _references(
        self, chance: Chance, at: float, readers: Sequence[str], subject: str
    ) -> tuple[ObservedReference, ...]:
        if not self.observation.references:
            return ()
        who = " ".join(sorted(readers))
        self._readers.add(who)
        mailing = self._of_mailing.setdefault(subject, set())
        mailing.add(who)
        anew = [(mark, chance.like(mark)) for mark in self.marks]
        anew.append((self.reader, readers[0]))
        made = []
        for number, each in enumerate(self.observation.references):
            found = self._known(number, each, self._sightings(number, each, at, len(mailing)))
            made.append(replace(found, url=_changed(found.url, anew)) if number in self.changing else found)
        return tuple(sorted(made, key=lambda each: not each.is_tracker))

    def _sightings(self, number: int, found: ObservedReference, at: float, of_mailing: int) -> Sightings:
        is_new = self.hosts.is_new(found.host, at)
        if number not in self.changing:
            return Sightings(sharers=min(len(self._readers), ENOUGH), is_new_host=is_new)
        # Its content was fetched for those before, and was the same for all of them.
        return Sightings(
            alike=min(len(self._readers) - 1, ENOUGH) if self.is_fetched else 0,
            holders=min(of_mailing, ENOUGH),
            names=min(len(self._readers), ENOUGH) if number in self.named else 0,
            is_new_host=is_new,
        )

    def _known(self, number: int, found: ObservedReference, sightings: Sightings) -> ObservedReference:
        verdict = self.verdicts[number]
        if verdict is None:
            return found
        key = (number, sightings)
        if key not in self._revised:
            self._revised[key] = told_anew(found, revise(verdict, None, sightings))
        return self._revised[key]


def mould(
    letter: Letter, reader: str, organisation: str, chance: Chance, hosts: Hosts, *, submitted: bool = False
) -> Mould:
    """Return the mould of a sender's messages, from one to ``reader`` that goes through the engine."""
    raw = render(letter, reader, "Subject")
    envelope = Envelope(
        letter.reverse_path,
        (reader,),
        authenticated=submitted,
        login=letter.author if submitted else "",
        authentication=None if submitted else proof_of(letter),
    )
    plan = inspect(raw, _SETTINGS, envelope)
    summary = summary_of(plan)
    verdicts = {each.reference.url: each.verdict for each in plan.decisions}
    # As with the policy that every organisation begins with.
    found = tuple(
        replace(observed(record, decision.verdict), rule="level:normal")
        for record, decision in zip(summary["references"], plan.decisions, strict=True)
    )
    passed = Passed(
        0.0, "made", envelope, len(raw), 0.0, Fared(250, "2.0.0 queued"),
        found=found, facts=facts_from(summary["facts"]), message_id=summary["message_id"], subject="Subject",
        defects=tuple(summary["defects"]), changed=bool(found) and not submitted,
    )  # fmt: skip
    (seen,) = make_observations(passed, lambda _address: organisation, _RECORDS)
    erred = [_erred(each, chance) for each in seen.references]
    changing = [
        number
        for number, each in enumerate(seen.references)
        if reader in each.url or any(mark in each.url for mark in letter.marks)
    ]
    return Mould(
        replace(
            seen, references=tuple(wrong or each for wrong, each in zip(erred, seen.references, strict=True))
        ),
        reader,
        letter.marks,
        hosts,
        tuple(
            None if wrong else verdicts.get(each.url)
            for wrong, each in zip(erred, seen.references, strict=True)
        ),
        frozenset(changing),
        frozenset(
            number
            for number in changing
            if any(mark in _host_of(seen.references[number].url) for mark in letter.marks)
        ),
        is_fetched=chance.often(FETCHED),
    )


def _erred(found: ObservedReference, chance: Chance) -> ObservedReference | None:
    """Return a reference as a judge has it who errs, for all messages of a sender alike; ``None`` where it does not."""
    if found.is_tracker and chance.often(MISSED):
        return replace(found, finding="content", kind="", kinds=(), score=0.2, risk="low")
    if not found.is_tracker and chance.often(ACCUSED):
        return replace(found, finding="tracker", kind="open", kinds=("open",), score=0.6, risk="medium")
    return None


def _host_of(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _changed(url: str, anew: Sequence[tuple[str, str]]) -> str:
    for old, new in anew:
        url = url.replace(old, new)
    return url
