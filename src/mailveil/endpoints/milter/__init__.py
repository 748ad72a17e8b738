"""Milter door: mail servers hand over messages while they receive them, and take back what changed.

``wire`` is the protocol's bytes, ``fieldchanges`` what differs between two headers, ``dialogue`` one connection
as a state machine, and only ``server`` does any I/O.
"""

from mailveil.endpoints.milter.server import MilterDoor, MilterSettings, StrangersError, check_listener

__all__ = ["MilterDoor", "MilterSettings", "StrangersError", "check_listener"]
