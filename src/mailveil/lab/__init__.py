"""An internet in a box: name server, trackers, hostile and honest origins, and a record of who contacts them."""

from mailveil.lab.laboratory import Lab, token_of
from mailveil.lab.origin import Learns, Origin, OriginKind, Registry

__all__ = ["Lab", "Learns", "Origin", "OriginKind", "Registry", "token_of"]
