"""Publishing: what use cases need of those who bring events to destinations, as a protocol."""

from __future__ import annotations

from typing import Protocol

from mailveil.control.sharingrecords import Destination
from mailveil.ports import Publisher


class Publishers(Protocol):
    """Makes publishers of destinations."""

    async def objection(self, destination: Destination) -> str:
        """Say why nothing could ever be delivered there, ``""`` where nothing speaks against it. Sends nothing."""
        ...

    def publisher(self, destination: Destination) -> Publisher:
        """Return what brings events there. Raises ``ports.DeliveryError`` where its options cannot be used."""
        ...
