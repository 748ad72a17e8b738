"""CloudEvents: an event in the JSON format of CloudEvents 1.0, as webhooks carry it. Pure and total."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from mailveil.core.sharing.types import SharedEvent
from mailveil.core.sharing.wording import line, timestamp

MEDIA_TYPE: Final = "application/cloudevents+json; charset=UTF-8"
SPEC: Final = "1.0"
TYPE_PREFIX: Final = "org.mailveil."


def encode_cloudevent(event: SharedEvent, data: Any) -> dict[str, Any]:
    """Return an event that carries ``data``.

    ``source`` and ``id`` together are unique (section 3.1): the source is the organisation that tells.
    """
    subject = next(
        (each.identifier for each in (event.activity, event.alert, event.tracker) if each is not None), ""
    )
    made: dict[str, Any] = {
        "specversion": SPEC,
        "id": line(event.identifier) or str(event.number),
        "source": f"urn:mailveil:{quote(line(event.organisation), safe='') or '-'}",
        "type": f"{TYPE_PREFIX}{event.kind}",
        "time": timestamp(event.at),
        "datacontenttype": "application/json",
        "tlp": str(event.traffic_light),  # names of extensions are small letters and digits (section 3.1)
        "sequence": f"{event.number:020}",  # in the order of its text, as the extension "sequence" has it
        "data": data,
    }
    if shown := line(subject):
        made["subject"] = shown
    return made
