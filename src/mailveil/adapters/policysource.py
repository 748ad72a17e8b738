"""Policy source: all organisations' rules in memory, read anew when they change, and kept on disk.

A database that is away changes no policy and delays no mail: the last rules that were read go on, also after a restart.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

from mailveil.adapters.newfiles import write_file
from mailveil.control.allowing import read_entries
from mailveil.control.records import Organisation
from mailveil.control.stores import OrganisationStore, PolicyStore
from mailveil.core.failure import describe_failure
from mailveil.core.policy import (
    BannerSettings,
    CopyMode,
    Envelope,
    MessagePolicy,
    OrganisationPolicy,
    PolicyDocumentError,
    PolicySnapshot,
    document_of,
    message_policy,
    recipient_profile,
    snapshot_of,
)
from mailveil.core.policy.organisations import organisation_of_address
from mailveil.ports import UnavailableError

log = logging.getLogger("mailveil.policy")

LOOK_EVERY_S: Final = 2.0
PATIENCE_AT_START_S: Final = 5.0


class PolicySource:
    """The rules of all organisations, and whose each address is (``ports.Policies``, ``ports.Organisations``).

    ``path`` is where the last ones are kept, for this process's user alone. ``banner`` is what the installation adds
    to every banner, ``modes`` are the ways in which it can carry copies.
    """

    def __init__(
        self,
        organisations: OrganisationStore,
        policies: PolicyStore,
        path: Path,
        *,
        banner: BannerSettings | None = None,
        modes: frozenset[CopyMode] = frozenset(),
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._organisations = organisations
        self._policies = policies
        self._path = path
        self._banner = banner
        self._modes = modes
        self._look_every_s = look_every_s
        self._snapshot = PolicySnapshot()
        self._stamp: str | None = None
        self._is_away = False
        self._task: asyncio.Task[None] | None = None

    @property
    def snapshot(self) -> PolicySnapshot:
        """The rules as they are now."""
        return self._snapshot

    def for_message(self, envelope: Envelope, now: float) -> MessagePolicy:
        """Return what the rules come down to for one message."""
        return message_policy(self._snapshot, envelope, now, self._banner, self._modes)

    def of(self, address: str) -> str:
        """Return the organisation of an address (``ports.Organisations``)."""
        return organisation_of_address(address, self._snapshot.domains)

    def profile(self, recipient: str) -> str:
        """Return a key that is the same for recipients to whom the same rules can apply."""
        return recipient_profile(self._snapshot, recipient)

    async def start(self, patience_s: float = PATIENCE_AT_START_S) -> None:
        """Take up the rules that were kept, look briefly for newer ones, and go on looking."""
        await asyncio.to_thread(self._recall)
        try:
            async with asyncio.timeout(patience_s):
                await self._refresh_anyhow()
        except TimeoutError:
            self._note_away("it did not answer in time")
        self._task = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """End looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def refresh(self) -> bool:
        """Take up what has changed; False where the database could not tell, and the rules stay as they are."""
        try:
            stamp = await self._policies.stamp()
            if stamp != self._stamp:
                # What changes while this reads has another stamp, and is read the next time.
                snapshot = await self._read()
                if snapshot != self._snapshot:
                    self._snapshot = snapshot
                    log.info("policy is in force; organisations: %d", len(snapshot.organisations))
                    await asyncio.to_thread(self._keep, snapshot)
                self._stamp = stamp
        except UnavailableError as error:
            self._note_away(str(error))
            return False
        if self._is_away:
            self._is_away = False
            log.warning("rules can be read again")
        return True

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._look_every_s)
            await self._refresh_anyhow()

    async def _refresh_anyhow(self) -> None:
        try:
            await self.refresh()
        except Exception as error:  # whatever it is, mail goes on by the rules that are there
            self._note_away(describe_failure(error))

    def _note_away(self, reason: str) -> None:
        if not self._is_away:
            log.warning("rules cannot be read (%s): mail goes on by the last ones that were", reason)
        self._is_away = True

    async def _read(self) -> PolicySnapshot:
        found = [await self._read_one(each) for each in await self._organisations.organisations()]
        return PolicySnapshot(tuple(found))

    async def _read_one(self, organisation: Organisation) -> OrganisationPolicy:
        own = OrganisationPolicy(
            organisation.identifier, organisation.name, organisation.language, organisation.domains
        )
        known = {each.identifier: each for each in self._snapshot.organisations}
        before = known.get(organisation.identifier, own)
        try:
            version = await self._policies.current(organisation.identifier)
            allowed = await read_entries(self._policies, organisation.identifier)
        except UnavailableError:
            raise
        except Exception as error:  # what one organisation has there keeps no other from its own rules
            log.error("the policy of %s cannot be read: %s", organisation.identifier, describe_failure(error))
            return replace(own, document=before.document, allowed=before.allowed)
        if version is None:
            return replace(own, allowed=allowed)
        try:
            return replace(own, document=document_of(version.document), allowed=allowed)
        except PolicyDocumentError as error:
            # Written by another version of this program: the rules that were understood last go on.
            log.error(
                "version %d of the policy of %s is not understood: %s",
                version.version,
                organisation.identifier,
                error.problems[0],
            )
            return replace(own, document=before.document, allowed=allowed)

    def _recall(self) -> None:
        try:
            self._snapshot = snapshot_of(json.loads(self._path.read_text("utf-8")))
        except FileNotFoundError:
            return
        except Exception as error:  # whatever stands there, mail is not kept up by it
            log.warning("the rules kept in %s cannot be used: %s", self._path, describe_failure(error))

    def _keep(self, snapshot: PolicySnapshot) -> None:
        try:
            write_file(self._path, json.dumps(snapshot.record()).encode(), None)
        except OSError as error:
            log.warning("rules cannot be kept in %s for a restart: %s", self._path, error.strerror)
