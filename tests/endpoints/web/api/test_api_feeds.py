"""Setup: the API over two organisations. Test: feeds are made, changed and removed, each organisation's own."""

from __future__ import annotations

import asyncio

from api_room import ApiRoom
from mailveil.control.access import Permission
from mailveil.control.feedstores import FeedOutcome
from mailveil.control.sharingrecords import ImportedIndicator

ORDER = {
    "name": "CERT",
    "kind": "taxii",
    "address": "https://cert.example/taxii2/",
    "options": {"collection": "Spies"},
    "secret": "correct horse",
}


def test_a_feed_is_made_changed_and_removed(api_room: ApiRoom) -> None:
    made = api_room.ask("POST", "/feeds", json=ORDER)
    assert made.status_code == 201, made.text
    feed = made.json()
    place = f"/feeds/{feed['id']}"
    assert made.headers["Location"].endswith(place)
    assert (feed["has_secret"], feed["read_at"], feed["indicators"]) == (True, None, 0)
    assert api_room.ask("POST", "/feeds", json=ORDER).status_code == 409

    change = {**ORDER, "name": "CERT 2", "enabled": False}
    del change["secret"]
    changed = api_room.ask("PUT", place, json=change)
    assert (changed.json()["name"], changed.json()["enabled"], changed.json()["has_secret"]) == (
        "CERT 2",
        False,
        True,
    )
    elsewhere = api_room.ask("PUT", place, json={**change, "address": "https://evil.example/"})
    assert (elsewhere.status_code, elsewhere.json()["errors"][0]["name"]) == (422, "secret")
    assert api_room.ask("POST", f"{place}/read", json={"from_beginning": True}).json()["next_read_at"] is None
    everything = [api_room.ask("GET", each).text for each in ("/feeds", place)]
    assert "correct horse" not in "".join(everything)

    assert api_room.ask("DELETE", place).json() == {"removed": 1}
    assert api_room.ask("GET", place).status_code == 404
    assert place not in {f"/feeds/{each['id']}" for each in api_room.ask("GET", "/feeds").json()["items"]}


def test_feeds_and_indicators_are_the_organisations_own(api_room: ApiRoom) -> None:
    place = f"/feeds/{api_room.ask('POST', '/feeds', json=ORDER).json()['id']}"
    store = api_room.control.room.feeds
    assert store is not None

    async def told() -> None:
        (feed,) = [each for each in await store.feeds("acme") if place.endswith(each.identifier)]
        some = tuple(ImportedIndicator(feed.identifier, "e", "domain", f"spy{n}.example") for n in range(3))
        assert await store.took(feed, FeedOutcome({"e": some}, "", 1.0, 2.0))

    asyncio.run(told())
    first = api_room.ask("GET", "/indicators", params={"limit": 2}).json()
    rest = api_room.ask("GET", "/indicators", params={"limit": 2, "cursor": first["next"]}).json()
    assert [each["value"] for each in first["items"] + rest["items"]] == [f"spy{n}.example" for n in range(3)]
    assert len(api_room.ask("GET", "/indicators", params={"value": "spy1"}).json()["items"]) == 1
    for method, path in (("GET", place), ("DELETE", place), ("PUT", place)):
        body = {"json": ORDER} if method == "PUT" else {}
        assert api_room.ask(method, path, organisation="other", **body).status_code == 404
    assert api_room.ask("GET", "/indicators", organisation="other").json()["items"] == []


def test_scopes(api_room: ApiRoom) -> None:
    reader = asyncio.run(api_room.token("acme", Permission.SHARING_READ, name="reader"))
    assert api_room.ask("GET", "/feeds", token=reader).status_code == 200
    assert api_room.ask("POST", "/feeds", token=reader, json=ORDER).status_code == 403
    none = asyncio.run(api_room.token("acme", Permission.STATISTICS_READ, name="none"))
    assert api_room.ask("GET", "/indicators", token=none).status_code == 403
