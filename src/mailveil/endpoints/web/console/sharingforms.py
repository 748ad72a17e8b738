"""Sharing forms: what is asked for each kind of destination, with what every choice means, and what was filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mailveil.control.failures import InvalidError
from mailveil.control.sharing import DestinationOrder
from mailveil.control.sharingrecords import DestinationKind
from mailveil.control.stores import ConflictError
from mailveil.core.sharing.types import EventKind, PeopleShared, TrafficLight

Choices = tuple[tuple[str, str], ...]
_FORMAT_WORDS = {
    "cef": "CEF: ArcSight’s Common Event Format",
    "ecs": "ECS: Elastic Common Schema",
    "ocsf": "OCSF: Open Cybersecurity Schema Framework",
    "plain": "Plain: mailveil’s own JSON",
}
PEOPLE: tuple[tuple[str, str, str], ...] = (
    (
        PeopleShared.NONE,
        "Nobody",
        "How many people, and of which functions. The best choice for whoever is outside.",
    ),
    (
        PeopleShared.PSEUDONYM,
        "Pseudonyms",
        "The same word for the same person every time. Only who has this installation’s key can tell who it is.",
    ),
    (
        PeopleShared.CLEAR,
        "Mail addresses",
        "Whoever runs that system learns who was probed. Choose it for your own SIEM alone.",
    ),
)
TRAFFIC_LIGHTS: Choices = (
    (TrafficLight.CLEAR, "TLP:CLEAR: anybody may be told"),
    (TrafficLight.GREEN, "TLP:GREEN: their community may be told"),
    (TrafficLight.AMBER, "TLP:AMBER: their organisation and its clients"),
    (TrafficLight.AMBER_STRICT, "TLP:AMBER+STRICT: their organisation alone"),
    (TrafficLight.RED, "TLP:RED: nobody but the recipients"),
)
EVENTS: Choices = (
    (EventKind.ALERT_RAISED, "an alert is raised"),
    (EventKind.ACTIVITY_OPENED, "an activity begins"),
    (EventKind.ACTIVITY_CHANGED, "an activity changes"),
    (EventKind.ACTIVITY_CLOSED, "an activity closes"),
    (EventKind.ACTIVITY_DECIDED, "an analyst decides about an activity"),
    (EventKind.TRACKER_LEARNED, "a tracker that somebody built is met for the first time"),
)
EVENT_WORDS: Mapping[str, str] = {**{str(key): words for key, words in EVENTS}, str(EventKind.TEST): "a test"}


@dataclass(frozen=True, slots=True)
class Option:
    """One more field. ``shape`` is ``line``, ``whole``, ``area``, ``flag`` or ``choice``."""

    name: str
    label: str
    hint: str = ""
    shape: str = "line"
    choices: Choices = ()


@dataclass(frozen=True, slots=True)
class KindForm:
    """What the form of a kind is like. Without ``secret`` there is none; ``address`` is the label of the address."""

    kind: DestinationKind
    title: str
    purpose: str
    address: str
    example: str
    address_hint: str = ""
    formats: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    secret: str = ""
    secret_hint: str = ""

    @property
    def places(self) -> tuple[str, ...]:
        """The names of the fields that are folded away."""
        return ("options", *(f"option-{each.name}" for each in self.options))

    @property
    def format_choices(self) -> Choices:
        """The formats to choose from, with words; the first is the default."""
        return tuple((each, _FORMAT_WORDS[each]) for each in self.formats)


CA = Option(
    "ca_pem",
    "Certificates to trust",
    "In PEM, where its certificate is signed by your own authority.",
    "area",
)
PLAIN = Option(
    "plain_http",
    "Allow http:// without encryption",
    "Everybody on the way can read what is sent, the secret included.",
    "flag",
)
_FRAMES: Choices = (("", "octet counting (RFC 5425)"), ("newline", "a newline after each"))
_DISTRIBUTION: Choices = (
    ("", "as the server has it"), ("0", "this organisation only"), ("1", "this community"),
    ("2", "connected communities"), ("3", "all communities"),
)  # fmt: skip
KIND_FORMS: Mapping[DestinationKind, KindForm] = {
    form.kind: form
    for form in (
        KindForm(
            DestinationKind.SYSLOG, "Syslog",
            "A SIEM or log collector that takes syslog (RFC 5424), in CEF, ECS or OCSF.", "Address", "tls://siem.example.org:6514",
            "udp://, tcp:// or tls:// with host and port.",
            ("cef", "ecs", "ocsf", "plain"),
            (
                Option("facility", "Facility", "Such as local0; empty: user."),
                Option("app_name", "Name of the program", "Empty: mailveil."),
                Option("framing", "Between messages", "", "choice", _FRAMES),
                Option("max_bytes", "Most bytes of a message", "Empty: what the transport allows.", "whole"),
                CA,
                Option("client_certificate_pem", "Client certificate", "In PEM, where it asks for one.", "area"),
            ),
            "Private key of the client certificate", "In PEM; only with a client certificate.",
        ),
        KindForm(
            DestinationKind.SPLUNK, "Splunk", "The HTTP Event Collector of Splunk.", "Address",
            "https://splunk.example.org:8088/services/collector/event", "", ("plain", "ecs", "ocsf", "cef"),
            (Option("index", "Index"), Option("source", "Source"), Option("sourcetype", "Source type"), CA, PLAIN),
            "Token of the collector",
        ),
        KindForm(
            DestinationKind.ELASTICSEARCH, "Elasticsearch", "An index or data stream of Elasticsearch or OpenSearch.",
            "Address", "https://elastic.example.org:9200", "", ("ecs", "ocsf", "plain"),
            (Option("index", "Index or data stream"), Option("pipeline", "Ingest pipeline"), CA, PLAIN),
            "API key", "Or user:password.",
        ),
        KindForm(
            DestinationKind.WEBHOOK, "Webhook",
            "Any program with an HTTPS address: CloudEvents, signed as Standard Webhooks has it.",
            "Address", "https://hooks.example.org/mailveil", "", ("plain", "ecs", "ocsf"), (CA, PLAIN),
            "Secret that signs", "Empty: one is made, and shown once.",
        ),
        KindForm(
            DestinationKind.MISP, "MISP", "Events of a MISP server: one for each activity.", "Address",
            "https://misp.example.org", "", (),
            (
                Option("distribution", "Distribution", "", "choice", _DISTRIBUTION),
                Option("published", "Publish events at once", "Without it, somebody there publishes them.", "flag"),
                CA, PLAIN,
            ),
            "API key",
        ),
        KindForm(
            DestinationKind.JSON_LINES, "File",
            "A file on this machine with one JSON object in a line, for a log shipper.",
            "Name of the file", "events.jsonl",
            "It is made in this organisation’s folder below [sharing] files_directory.",
            ("plain", "ecs", "ocsf"),
        ),
        KindForm(
            DestinationKind.COLLECTION, "Collections", "What our own TAXII server, MISP feed and filter lists publish.",
            "", "",
        ),
    )
}  # fmt: skip


def kind_of(text: str) -> KindForm | None:
    """Return the form of a kind that somebody can make, ``None`` for whatever else was asked for."""
    made = {str(kind): form for kind, form in KIND_FORMS.items() if kind is not DestinationKind.COLLECTION}
    return made.get(text)


def order_of(
    form: KindForm, given: Mapping[str, Sequence[str]], *, is_enabled: bool = True
) -> DestinationOrder:
    """Return what was filled in. Raises ``InvalidError`` for what is no choice at all; the rest is checked later."""

    def text(name: str) -> str:
        return next(iter(given.get(name, ())), "").strip()

    return DestinationOrder(
        name=text("name"),
        kind=form.kind,
        address=text("address"),
        format=text("format") if form.formats else "",
        events=tuple(given.get("events", ())),
        least_score=_share(text("least_score")),
        people=_one(PeopleShared, text("people") or str(PeopleShared.NONE), "people"),
        traffic_light=_one(TrafficLight, text("traffic_light") or str(TrafficLight.AMBER), "traffic_light"),
        options=options_of(form.options, given),
        secret=text("secret") or None,
        is_enabled=is_enabled,
    )


def filled_of(order: DestinationOrder) -> dict[str, Any]:
    """Return the fields of a form for what was chosen before."""
    return {
        "name": order.name,
        "address": order.address,
        "format": order.format,
        "events": tuple(order.events),
        "least_score": f"{100 * order.least_score:g}",
        "people": str(order.people),
        "traffic_light": str(order.traffic_light),
        **{f"option-{name}": value for name, value in order.options.items()},
    }


def given_of(form: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the fields of a form as they were filled in, but for secrets, to show them again."""
    found: dict[str, Any] = {
        name: values[0]
        for name, values in form.items()
        if values and name not in ("csrf", "secret", "events")
    }
    return {**found, "events": tuple(form.get("events", ()))}


def options_of(options: Sequence[Option], given: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the further settings that were filled in. Raises ``InvalidError`` for what is no number."""
    made: dict[str, Any] = {}
    for option in options:
        value = next(iter(given.get(f"option-{option.name}", ())), "").strip()
        if option.shape == "flag":
            if value:
                made[option.name] = True
        elif not value:
            continue
        elif option.shape == "whole" or option.name == "distribution":
            made[option.name] = _whole(value, option.name)
        else:
            made[option.name] = value.replace("\r\n", "\n")
    return made


def errors_of(error: InvalidError | ConflictError) -> dict[str, str]:
    """Return what is wrong by the field where it stands."""
    return {(error.field if isinstance(error, InvalidError) else "") or "name": str(error)}


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidError("Write a whole number.", f"option-{name}")
    return int(text)


def _share(text: str) -> float:
    """Return a share that was written in percent."""
    try:
        value = float(text or "0") / 100
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InvalidError("Write a number from 0 to 100.", "least_score")
    return value


def _one(kind: Any, text: str, name: str) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        raise InvalidError("Choose one of these.", name) from error
