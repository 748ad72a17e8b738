"""Recognising: whether a message is of an actor that was met before; asked in memory, so that no mail waits for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mailveil.core.failure import describe_failure
from mailveil.core.observation.traits import traits_of_facts
from mailveil.core.policy import Direction, Envelope, MessagePolicy, direction_of
from mailveil.core.policy.organisations import DEFAULT_ORGANISATION
from mailveil.core.recognition.types import MessageTraits, Recognition
from mailveil.core.verdicts.lists.types import Indication
from mailveil.ports import Indicators, Organisations, Protected, Watch

log = logging.getLogger("mailveil.gateway")


@dataclass(frozen=True, slots=True)
class Recognising:
    """Looks up who was met before, for each organisation apart: none learns what another knows."""

    watch: Watch | None = None
    indicators: Indicators | None = None
    organisations: Organisations | None = None

    def look(self, envelope: Envelope, protected: Protected, identifier: str) -> Mapping[str, Recognition]:
        """Return what incoming mail is recognised as, by organisation; nothing here raises."""
        if not self._may_look(envelope, protected):
            return {}
        try:
            placed = (each for each in protected.found if each.template)
            proof = envelope.authentication
            proven = "" if proof is None else proof.author_domain
            traits = traits_of_facts(protected.facts, envelope.sender, placed, proven)
            found: dict[str, Recognition] = {}
            for organisation in self.concerned(envelope):
                recognition = self._recognised(organisation, traits)
                if recognition is not None:
                    found[organisation] = recognition
                    # Its words name domains, and some actors have one for each of their readers.
                    log.info(
                        "message %s is of a known actor (%s), known by %s",
                        identifier,
                        recognition.activity or f"feed {recognition.actor}",
                        recognition.known_by,
                    )
        except Exception as error:  # a report is never a decision
            log.error("message %s is not compared with known actors: %s", identifier, describe_failure(error))
            return {}
        return found

    def indicated(self, envelope: Envelope, protected: Protected, identifier: str) -> tuple[Indication, ...]:
        """Return indicators of others that name something in incoming mail; nothing here raises.

        A message to several organisations is judged once for all of them, so that what one was told says nothing.
        """
        organisations = self.concerned(envelope)
        if self.indicators is None or len(organisations) != 1 or not self._may_look(envelope, protected):
            return ()
        try:
            found = self.indicators.look(organisations[0], (each.url for each in protected.found))
        except Exception as error:  # a report is never a decision
            log.error("message %s is not compared with indicators: %s", identifier, describe_failure(error))
            return ()
        for each in found:
            log.info("message %s refers to what the feed %s lists as an indicator", identifier, each.feed)
        return found

    def _may_look(self, envelope: Envelope, protected: Protected) -> bool:
        return direction_of(envelope) is Direction.INBOUND and protected.examined

    def _recognised(self, organisation: str, traits: MessageTraits) -> Recognition | None:
        """Return what we know ourselves, else what others told."""
        for each in (self.watch, self.indicators):
            recognition = None if each is None else each.recognise(organisation, traits)
            if recognition is not None:
                return recognition
        return None

    def concerned(self, envelope: Envelope) -> tuple[str, ...]:
        """Return the organisations of a message's recipients."""
        if self.organisations is None:
            return (DEFAULT_ORGANISATION,)
        return tuple(dict.fromkeys(map(self.organisations.of, envelope.recipients)))

    def warning(
        self,
        envelope: Envelope,
        policy: MessagePolicy | None,
        found: Mapping[str, Recognition],
        indications: tuple[Indication, ...] = (),
    ) -> MessagePolicy | None:
        """Return the policy by which a message is judged with indicators, and readers are told of a known actor.

        ``None`` where there is neither.

        Readers of several organisations share one message: they are told only where each of these knows the actor, and
        not since when, which differs.
        """
        if policy is None:
            return None
        warning = replace(policy, indications=indications) if indications else None
        if not found or not policy.recognises or policy.banner is None or policy.monitored:
            return warning
        if set(found) != set(self.concerned(envelope)):
            return warning
        told = next(iter(found.values()))
        if len(found) > 1:
            told = replace(told, activity="", first_at=0.0)
        return replace(warning or policy, recognition=told)
