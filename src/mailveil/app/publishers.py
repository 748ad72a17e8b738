"""Publishers: makes what brings events to a destination, by its kind and format."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from mailveil.adapters.outgoing import OutgoingClient, OutgoingError
from mailveil.adapters.publishing.calls import Caller, trust_in
from mailveil.adapters.publishing.collections import CollectionPublisher
from mailveil.adapters.publishing.elasticsearch import ElasticsearchPublisher, authorization
from mailveil.adapters.publishing.jsonlines import JsonLinesPublisher
from mailveil.adapters.publishing.misp import MispPublisher
from mailveil.adapters.publishing.splunk import SplunkPublisher
from mailveil.adapters.publishing.syslog import SyslogPlace, SyslogPublisher, tls_context
from mailveil.adapters.publishing.webhook import WebhookPublisher
from mailveil.config import Settings
from mailveil.control.destinationchecks import FACILITIES, RULES, syslog_place
from mailveil.control.sharedobjects import SharedObjectStore
from mailveil.control.sharingrecords import Destination, DestinationKind
from mailveil.control.webhookkeys import parse_webhook_keys
from mailveil.core.sharing.cef import encode_cef
from mailveil.core.sharing.ecs import encode_ecs
from mailveil.core.sharing.headlines import PRODUCT
from mailveil.core.sharing.ocsf import encode_ocsf
from mailveil.core.sharing.plain import encode_plain, to_json
from mailveil.core.sharing.syslog import SyslogHeader
from mailveil.core.sharing.types import SharedEvent
from mailveil.ports import Clock, DeliveryError, Publisher, host_of

Encoder = Callable[[SharedEvent], Any]
ENCODERS: Final[Mapping[str, Encoder]] = {
    "plain": encode_plain,
    "ecs": encode_ecs,
    "ocsf": encode_ocsf,
    "cef": encode_cef,
}


class PublisherMaker:
    """Makes publishers (``control.publishing.Publishers``)."""

    def __init__(self, settings: Settings, clock: Clock, shared: SharedObjectStore | None = None) -> None:
        """``shared`` is where collections of our own TAXII server are kept."""
        self._networks = settings.sharing.networks
        self._files = settings.sharing_files
        self._hostname = settings.hostname
        self._clock = clock
        self._shared = shared

    async def objection(self, destination: Destination) -> str:
        """Say why nothing could ever be delivered there, ``""`` where nothing speaks against it."""
        try:
            publisher = self.publisher(destination)
        except DeliveryError as error:
            return str(error)
        await publisher.close()
        host = _host(destination)
        if not host:
            return ""
        try:
            await self._client().resolve(host, 0)
        except OutgoingError as error:
            return str(error) if error.is_permanent else ""  # a name may be resolved later
        return ""

    def publisher(self, destination: Destination) -> Publisher:
        """Return what brings events there. Raises ``DeliveryError`` where its options cannot be used."""
        try:
            return self._made(destination)
        except ssl.SSLError as error:
            raise DeliveryError("the certificates or the key cannot be read as PEM") from error
        except ValueError as error:
            raise DeliveryError("what is stored of the destination cannot be used; set it anew") from error

    def _made(self, destination: Destination) -> Publisher:
        match destination.kind:
            case DestinationKind.COLLECTION if self._shared is not None:
                return CollectionPublisher(self._shared, destination.organisation)
            case DestinationKind.JSON_LINES:
                return JsonLinesPublisher(self._path(destination), _encoder(destination))
            case DestinationKind.WEBHOOK:
                keys = parse_webhook_keys(destination.secret)
                caller = self._caller(destination)
                return WebhookPublisher(caller, destination.address, keys, self._clock, _encoder(destination))
            case DestinationKind.MISP:
                caller = self._caller(destination, {"Authorization": destination.secret})
                options = destination.options
                return MispPublisher(
                    caller,
                    destination.address,
                    published=options.get("published") is True,
                    distribution=options.get("distribution"),
                )
            case DestinationKind.SYSLOG:
                return self._syslog(destination)
            case DestinationKind.SPLUNK:
                return self._splunk(destination)
            case DestinationKind.ELASTICSEARCH:
                return ElasticsearchPublisher(
                    self._caller(destination, authorization(destination.secret)),
                    destination.address,
                    destination.organisation,
                    _encoder(destination),
                    index=destination.options.get("index", ""),
                    pipeline=destination.options.get("pipeline", ""),
                )
        raise DeliveryError(f"nothing is delivered to {destination.kind} from this process")

    def _splunk(self, destination: Destination) -> Publisher:
        options = destination.options
        metadata = {
            "host": self._hostname,
            "source": options.get("source", PRODUCT),
            "sourcetype": options.get("sourcetype", "mailveil:event"),
            "index": options.get("index", ""),
        }
        channel = str(uuid5(NAMESPACE_URL, f"urn:mailveil:destination:{destination.identifier}"))
        caller = self._caller(destination, {"Authorization": f"Splunk {destination.secret}"})
        return SplunkPublisher(caller, destination.address, channel, metadata, _encoder(destination))

    def _syslog(self, destination: Destination) -> Publisher:
        options = destination.options
        transport, host, port = syslog_place(destination.address)
        tls = None
        if transport == "tls":
            certificate = options.get("client_certificate_pem", "")
            tls = tls_context(options.get("ca_pem", ""), certificate, destination.secret)
        place = SyslogPlace(
            transport,
            host,
            port,
            tls,
            is_counted=options.get("framing", "octet-counting") == "octet-counting",
            max_bytes=options.get("max_bytes", 0),
        )
        header = SyslogHeader(
            FACILITIES.index(options.get("facility", "local0")),
            self._hostname,
            options.get("app_name", PRODUCT),
        )
        return SyslogPublisher(self._client(), place, header, _text_encoder(destination))

    def _caller(self, destination: Destination, headers: Mapping[str, str] | None = None) -> Caller:
        trust = trust_in(destination.options.get("ca_pem", ""))
        return Caller(self._client(), trust, headers or {})

    def _client(self) -> OutgoingClient:
        return OutgoingClient(self._networks)

    def _path(self, destination: Destination) -> Path:
        """Return the file of a destination, in its organisation's folder: both were checked to be plain names."""
        return self._files / destination.organisation / destination.address


def _encoder(destination: Destination) -> Encoder:
    return ENCODERS[destination.format or RULES[destination.kind].formats[0]]


def _text_encoder(destination: Destination) -> Callable[[SharedEvent], str]:
    encode = _encoder(destination)

    def text(event: SharedEvent) -> str:
        made = encode(event)
        return made if isinstance(made, str) else to_json(made)

    return text


def _host(destination: Destination) -> str:
    if destination.kind is DestinationKind.SYSLOG:
        return syslog_place(destination.address)[1]
    return host_of(destination.address) if RULES[destination.kind].is_web else ""
