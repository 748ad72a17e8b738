"""Observation: what was seen of one message, for one organisation. Values only; what stores, pages and sharing read."""

from mailveil.core.observation.templates import address_template, host_template, place_of_url, url_template
from mailveil.core.observation.types import (
    MAX_REFERENCES,
    Observation,
    ObservedReference,
    observation_identifier,
    observation_of,
)

__all__ = [
    "MAX_REFERENCES",
    "Observation",
    "ObservedReference",
    "address_template",
    "host_template",
    "observation_identifier",
    "observation_of",
    "place_of_url",
    "url_template",
]
