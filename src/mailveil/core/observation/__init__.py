"""Observation: what was seen of one message, for one organisation. Values only; what stores, pages and sharing read."""

from mailveil.core.observation.facts import MessageFacts, facts_from, observed, summary_of, told_anew
from mailveil.core.observation.making import Fared, Passed, make_observations, passages_of
from mailveil.core.observation.privacy import PeopleKept, RecordSettings, UrlsKept
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
    "Fared",
    "MessageFacts",
    "Observation",
    "ObservedReference",
    "Passed",
    "PeopleKept",
    "RecordSettings",
    "UrlsKept",
    "address_template",
    "facts_from",
    "host_template",
    "make_observations",
    "observation_identifier",
    "observation_of",
    "observed",
    "passages_of",
    "place_of_url",
    "summary_of",
    "told_anew",
    "url_template",
]
