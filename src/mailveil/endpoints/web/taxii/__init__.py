"""The TAXII 2.1 server: collections of what an organisation found out, for other systems to read."""

from __future__ import annotations

from mailveil.endpoints.web.taxii.application import TAXII_PATH, Taxii

__all__ = ["TAXII_PATH", "Taxii"]
