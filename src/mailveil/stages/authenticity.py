"""Authenticity: who sent a message, found out before it is changed, and a seal on it once it was."""

from __future__ import annotations

import logging
from dataclasses import replace

from mailveil.core.authentication import SealRefusedError
from mailveil.core.failure import describe_failure
from mailveil.core.policy import Direction, Envelope, direction_of
from mailveil.ports import Authenticator, Sealer

log = logging.getLogger("mailveil.gateway")


async def authenticated(authenticator: Authenticator | None, envelope: Envelope, raw: bytes) -> Envelope:
    """Return the envelope with what is known of the author; only mail from outside is looked into."""
    if authenticator is None or direction_of(envelope) is not Direction.INBOUND:
        return envelope
    return replace(envelope, authentication=await authenticator.authenticate(raw))


async def sealed(
    sealer: Sealer | None, raw: bytes, envelope: Envelope, identifier: str
) -> tuple[bytes, tuple[str, ...]]:
    """Return a changed message with a seal, or without: mail is never held up for want of one.

    With it comes what an administrator is told about the seal; nothing where none was wanted.
    """
    if sealer is None or envelope.authentication is None:
        return raw, ()
    try:
        return await sealer.seal(raw, envelope.authentication), ("sealed",)
    except SealRefusedError as error:
        log.info("message %s goes on without a seal: %s", identifier, error)
        return raw, (f"not sealed: {error}",)
    except Exception as error:
        log.error("message %s goes on without a seal: %s", identifier, describe_failure(error))
        return raw, ("not sealed: our own failure",)
