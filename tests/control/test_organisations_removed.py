"""An organisation that is removed takes the originals of its mail along, and none that others got, too.

Setup: a control room with three organisations, and originals of incoming and submitted mail.
Test: after its removal what only its people got, or sent, is gone from the disk.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from control_room import NOW, ControlRoomForTests, actor
from mailveil.adapters.originals import OriginalFacts, OriginalReader, OriginalStore
from mailveil.control.access import ANY_ORGANISATION
from mailveil.control.organisations import remove_organisation
from mailveil.core.observation import Observation, observation_identifier

MAIL = {  # whose record names it, for whom it was, which way it went
    "own": ("acme", ("a@acme.example", "b@sub.acme.example"), "inbound"),
    "shared": ("acme", ("a@acme.example", "b@other.example"), "inbound"),
    "nobody's": ("acme", ("a@acme.example", "b@elsewhere.example"), "inbound"),
    "sent": ("acme", ("x@elsewhere.example", "b@other.example"), "submitted"),
    "others": ("other", ("b@other.example",), "inbound"),
}


def test_originals_go_with_the_organisation_whose_mail_they_are(
    control_room: ControlRoomForTests, tmp_path: Path
) -> None:
    async def test() -> None:
        await control_room.organisation("acme", ["acme.example"])
        await control_room.organisation("other", ["other.example"])
        store = OriginalStore(tmp_path / "originals", b"o" * 32)
        kept = {
            name: store.keep(name.encode(), OriginalFacts(recipients=recipients))
            for name, (_, recipients, _) in MAIL.items()
        }
        records = [
            Observation(
                observation_identifier(NOW, name, organisation),
                organisation,
                NOW,
                name,
                direction=direction,
                original=kept[name],
            )
            for name, (organisation, _, direction) in MAIL.items()
        ]
        await control_room.room.observations.add(records)
        room = replace(control_room.room, originals=OriginalReader(store))
        everywhere = replace(actor(), home=ANY_ORGANISATION)
        await remove_organisation(room, everywhere, "acme", "acme")
        left = {each.identifier for each in store.list()}
        assert left == {kept[name] for name in ("shared", "nobody's", "others")}

    asyncio.run(test())
