"""Examination: the engine is asked about a message, on record, and not for ever.

A message that fails again and again is delivered as inert text: never lost, never let through.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from mailveil.core.failure import describe_failure
from mailveil.core.policy import Envelope, MessagePolicy, PolicySettings, direction_of, is_protected
from mailveil.core.protection.inert import make_inert
from mailveil.core.rewrite import EmbeddedCopy
from mailveil.ports import (
    Attempt,
    AttemptRecord,
    Engine,
    EngineError,
    OriginalStore,
    Protected,
    UnavailableError,
)

log = logging.getLogger("mailveil.gateway")
UNCOUNTED = Attempt(b"")
TOO_MANY_INERT = (
    "not delivered as inert text, since too many were within the hour ([gateway] max_inert_per_hour)"
)


class UnexaminedError(Exception):
    """A message could not be examined, now: its sender keeps it. The text quotes nothing of it."""


def told_of(error: Exception) -> str:
    """Return what may be said of an error: its text only where that is known to quote nothing of a message."""
    return str(error) if isinstance(error, EngineError | UnavailableError) else describe_failure(error)


@dataclass(frozen=True, slots=True)
class Examination:
    """Has messages examined. After ``max_attempts`` failures a message becomes inert text, its original kept.

    No more than ``max_inert`` messages in an hour do: where many fail, it is we who are at fault, and mail is better
    off with its senders until we are mended. Mail of a direction that ``policy`` lets pass untouched needs no
    examination to do so.
    """

    engine: Engine
    originals: OriginalStore
    attempts: AttemptRecord | None = None
    max_attempts: int = 3
    max_inert: int = 10
    policy: PolicySettings = field(default_factory=PolicySettings)
    _under_way: set[asyncio.Task[Protected]] = field(default_factory=set)

    async def begin(self, raw: bytes) -> Attempt:
        """Put on record that a message is about to be looked into; ``examine`` or ``abandon`` ends that."""
        return await self.attempts.begin(raw) if self.attempts else UNCOUNTED

    def is_worthwhile(self, attempt: Attempt) -> bool:
        """Tell whether the message is to be looked into at all, since it has not failed too often."""
        return attempt.failures < self.max_attempts

    def abandon(self, attempt: Attempt) -> None:
        """End an attempt that came to nothing by no fault of the message."""
        self._end(attempt, failed=False)

    async def examine(
        self,
        attempt: Attempt,
        raw: bytes,
        envelope: Envelope,
        identifier: str,
        policy: MessagePolicy | None = None,
    ) -> Protected:
        """Return the message without remote references.

        Raises UnexaminedError where that fails, UnavailableError where it could not even be tried, and
        whatever the store of originals raises where an original must be kept and cannot be.
        """
        failures = attempt.failures
        if not self.is_worthwhile(attempt):
            self.abandon(attempt)
            log.warning("message %s: %d attempts to examine it have failed", identifier, failures)
        else:
            try:
                return await self._outcome(attempt, raw, envelope, policy)
            except UnavailableError:
                raise
            except Exception as error:
                failures += 1
                told = told_of(error)
                log.error(
                    "message %s: attempt %d of %d to examine it failed: %s",
                    identifier,
                    failures,
                    self.max_attempts,
                    told,
                )
                reason = f"attempt {failures} of {self.max_attempts} to examine it failed: {told}"
                if self._is_protected(envelope, policy) and (
                    failures < self.max_attempts or self.attempts is None
                ):
                    raise UnexaminedError(reason) from error
        return await self._unexamined(
            attempt, raw, envelope, policy, failures=failures, identifier=identifier
        )

    async def carry(
        self,
        raw: bytes,
        envelope: Envelope,
        copies: Mapping[str, EmbeddedCopy],
        identifier: str,
        policy: MessagePolicy | None = None,
    ) -> Protected | None:
        """Return an examined message that carries ``copies`` itself; ``None`` where that fails."""
        return await self._again(raw, envelope, copies, identifier, policy=policy, purpose="carry its copies")

    async def warn(
        self,
        protected: Protected,
        raw: bytes,
        envelope: Envelope,
        identifier: str,
        *,
        policy: MessagePolicy | None,
        warning: MessagePolicy,
    ) -> tuple[Protected, MessagePolicy | None]:
        """Return a message as ``warning`` has it, which tells of a known actor; as it was where that fails."""
        warned = await self._again(
            raw, envelope, {}, identifier, policy=warning, purpose="tell of a known actor"
        )
        return (protected, policy) if warned is None else (warned, warning)

    async def _again(
        self,
        raw: bytes,
        envelope: Envelope,
        copies: Mapping[str, EmbeddedCopy],
        identifier: str,
        *,
        policy: MessagePolicy | None,
        purpose: str,
    ) -> Protected | None:
        attempt = await self.begin(raw)
        if attempt.failures:
            # Something about it has failed before: what has been examined already is good enough.
            self.abandon(attempt)
            return None
        try:
            return await self._outcome(attempt, raw, envelope, policy, copies)
        except Exception as error:
            log.error("message %s cannot %s: %s", identifier, purpose, told_of(error))
            return None

    async def _outcome(
        self,
        attempt: Attempt,
        raw: bytes,
        envelope: Envelope,
        policy: MessagePolicy | None,
        copies: Mapping[str, EmbeddedCopy] | None = None,
    ) -> Protected:
        # A client that does not wait for the end of this must not hide how it ends.
        task = asyncio.create_task(self._examine(attempt, raw, envelope, policy, copies))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _examine(
        self,
        attempt: Attempt,
        raw: bytes,
        envelope: Envelope,
        policy: MessagePolicy | None,
        copies: Mapping[str, EmbeddedCopy] | None,
    ) -> Protected:
        failed = False
        try:
            return await self.engine.protect(raw, envelope, copies, policy)
        except UnavailableError:
            raise
        except Exception:
            failed = True
            raise
        finally:
            self._end(attempt, failed=failed)

    def _end(self, attempt: Attempt, *, failed: bool) -> None:
        if self.attempts is not None:
            self.attempts.end(attempt, failed=failed)

    def _is_protected(self, envelope: Envelope, policy: MessagePolicy | None) -> bool:
        monitored = policy is not None and policy.monitored
        return is_protected(direction_of(envelope), self.policy) and not monitored

    async def _unexamined(
        self,
        attempt: Attempt,
        raw: bytes,
        envelope: Envelope,
        policy: MessagePolicy | None,
        *,
        failures: int,
        identifier: str,
    ) -> Protected:
        """Return what is delivered instead of a message that nobody can look into."""
        if not self._is_protected(envelope, policy):
            return Protected(
                raw,
                defects=("not examined; passed untouched, as policy has it",),
                examined=False,
                monitored=policy is not None and policy.monitored,
            )
        if self.attempts is not None and not self.attempts.give_up(attempt, self.max_inert):
            log.error(
                "message %s could not be examined in %d attempts and stays with its sender (451): %d others have "
                "become inert text within the hour. Either somebody sends such messages on purpose, or mailveil itself "
                "is at fault: go back to the release before, or raise [gateway] max_inert_per_hour",
                identifier,
                failures,
                self.max_inert,
            )
            raise UnexaminedError(f"could not be examined in {failures} attempts; {TOO_MANY_INERT}")
        reason = f"could not be examined in {failures} attempts, delivered as inert text"
        name = await self.originals.keep(raw, envelope, reason)
        log.warning("message %s %s; original kept as %s", identifier, reason, name)
        inert = await asyncio.to_thread(make_inert, raw, name)
        return Protected(
            inert, defects=(f"{reason}; original kept as {name}",), examined=False, original=name
        )
