"""Recognising: whether a message is of an actor that was met before; asked in memory, so that no mail waits for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mailveil.core.failure import describe_failure
from mailveil.core.observation.traits import traits_of_facts
from mailveil.core.policy import Direction, Envelope, MessagePolicy, direction_of
from mailveil.core.policy.organisations import DEFAULT_ORGANISATION
from mailveil.core.recognition.types import Recognition
from mailveil.ports import Organisations, Protected, Watch

log = logging.getLogger("mailveil.gateway")


@dataclass(frozen=True, slots=True)
class Recognising:
    """Looks up who was met before, for each organisation apart: none learns what another knows."""

    watch: Watch | None = None
    organisations: Organisations | None = None

    def look(self, envelope: Envelope, protected: Protected, identifier: str) -> Mapping[str, Recognition]:
        """Return what incoming mail is recognised as, by organisation; nothing here raises."""
        if self.watch is None or direction_of(envelope) is not Direction.INBOUND or not protected.examined:
            return {}
        try:
            placed = (each for each in protected.found if each.template)
            traits = traits_of_facts(protected.facts, envelope.sender, placed)
            found: dict[str, Recognition] = {}
            for organisation in self.concerned(envelope):
                recognition = self.watch.recognise(organisation, traits)
                if recognition is not None:
                    found[organisation] = recognition
                    log.info(
                        "message %s is of a known actor (%s): %s",
                        identifier,
                        recognition.activity or recognition.actor,
                        recognition.words,
                    )
        except Exception as error:  # a report is never a decision
            log.error("message %s is not compared with known actors: %s", identifier, describe_failure(error))
            return {}
        return found

    def concerned(self, envelope: Envelope) -> tuple[str, ...]:
        """Return the organisations of a message's recipients."""
        if self.organisations is None:
            return (DEFAULT_ORGANISATION,)
        return tuple(dict.fromkeys(map(self.organisations.of, envelope.recipients)))

    def warning(
        self, envelope: Envelope, policy: MessagePolicy | None, found: Mapping[str, Recognition]
    ) -> MessagePolicy | None:
        """Return the policy by which readers are told of a known actor; ``None`` where they are not.

        Readers of several organisations share one message: they are told only where each of these knows the actor, and
        not since when, which differs.
        """
        if not found or policy is None or not policy.recognises or policy.banner is None or policy.monitored:
            return None
        if set(found) != set(self.concerned(envelope)):
            return None
        told = next(iter(found.values()))
        if len(found) > 1:
            told = replace(told, activity="", first_at=0.0)
        return replace(policy, recognition=told)
