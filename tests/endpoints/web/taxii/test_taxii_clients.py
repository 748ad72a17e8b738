"""The TAXII server as OASIS's own client and library read it, over a real listener."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import requests
import stix2
from taxii2client.v21 import ApiRoot, Collection, Server, as_pages

from mailveil.control.access import Permission
from mailveil.core.sharing.stix import activity_objects
from published_room import PublishedRoom
from stix_values import ACTIVITY, AT, activity, event


def collection(
    room: PublishedRoom, address: str, name: str = "activities", organisation: str = "acme"
) -> Collection:
    """Return a collection as a client finds it from discovery on."""
    with Server(f"{address}/taxii2/", user="anything", password=room.tokens[organisation]) as server:
        (root,) = server.api_roots
        (found,) = (each for each in root.collections if each.alias == name)
        return found


def test_a_client_finds_its_way_from_discovery_to_the_collections(published_room: PublishedRoom) -> None:
    def visit(address: str) -> None:
        with Server(f"{address}/taxii2/", user="x", password=published_room.tokens["acme"]) as server:
            assert server.title == "mailveil"
            assert server.default is server.api_roots[0]
            (root,) = server.api_roots
        with root:
            assert root.url == f"{address}/taxii2/acme/"
            assert root.title == "mailveil: Acme"
            assert root.versions == ["application/taxii+json;version=2.1"]
            assert root.max_content_length > 0
            assert [each.alias for each in root.collections] == ["activities", "trackers"]
            for each in root.collections:
                each.refresh()
                assert (each.can_read, each.can_write) == (True, False)
            with pytest.raises(requests.HTTPError, match="404"):
                root.get_status("2d086da7-4bdc-4f91-900e-d77486753710")

    published_room.visited(visit)


def test_whoever_belongs_to_all_organisations_sees_all_roots(published_room: PublishedRoom) -> None:
    def visit(address: str) -> list[str]:
        with Server(f"{address}/taxii2/", user="x", password=published_room.tokens["*"]) as server:
            roots = [each.url for each in server.api_roots]
            for each in server.api_roots:
                each.close()
            return roots

    assert [each.split("/")[-2] for each in published_room.visited(visit)] == ["acme", "default", "other"]


def test_all_objects_come_in_pages_of_any_size_each_once(published_room: PublishedRoom) -> None:
    def visit(address: str) -> None:
        with collection(published_room, address) as found:
            whole = found.get_objects()["objects"]
            told = {each["id"] for each in activity_objects(ACTIVITY)}
            assert told < {each["id"] for each in whole}
            for size in (1, 7, 1000):
                pages = list(as_pages(found.get_objects, per_request=size))
                assert all(len(page["objects"]) <= size for page in pages)
                assert [each for page in pages for each in page["objects"]] == whole
            manifest = [
                each for page in as_pages(found.get_manifest, per_request=9) for each in page["objects"]
            ]
            assert [each["id"] for each in manifest] == [each["id"] for each in whole]
            assert len({each["date_added"] for each in manifest}) == len(manifest)
            for entry, each in zip(manifest, whole, strict=True):
                if "modified" in each:
                    assert entry["version"] == each["modified"]
            after = found.get_objects(added_after=manifest[9]["date_added"])["objects"]
            assert after == whole[10:]
            assert found.get_objects(added_after=manifest[-1]["date_added"]) == {"more": False}

    published_room.visited(visit)


def test_objects_are_found_by_kind_identifier_and_version(published_room: PublishedRoom) -> None:
    asyncio.run(published_room.publish("acme", event(activity(changed_at=AT + 60, last_at=AT + 50), 4)))

    def visit(address: str) -> None:
        with collection(published_room, address) as found:
            assert {each["type"] for each in found.get_objects(type="indicator,campaign")["objects"]} == {
                "indicator", "campaign",
            }  # fmt: skip
            (campaign,) = found.get_objects(type="campaign")["objects"]
            assert campaign["modified"] == "2027-01-15T08:01:00.000Z"
            assert found.get_objects(id=campaign["id"])["objects"] == [campaign]
            assert found.get_object(campaign["id"])["objects"] == [campaign]
            versions = found.object_versions(campaign["id"])["versions"]
            assert versions == ["2027-01-15T08:00:00.000Z", "2027-01-15T08:01:00.000Z"]
            for wanted, expected in (
                ("all", versions),
                ("first", versions[:1]),
                ("last", versions[1:]),
                (versions[0], versions[:1]),
                ("2027-01-15T08:00:00Z", versions[:1]),
                ("first,last", versions),
                ("2020-01-01T00:00:00.000Z", []),
            ):
                objects = found.get_object(campaign["id"], version=wanted).get("objects", [])
                assert [each["modified"] for each in objects] == expected, wanted
            assert found.get_objects(spec_version="2.0") == {"more": False}
            assert found.get_objects(spec_version="2.0,2.1", type="campaign")["objects"] == [campaign]
            with pytest.raises(requests.HTTPError, match="404"):
                found.get_object("campaign--00000000-0000-4000-8000-000000000000")
            with pytest.raises(requests.HTTPError, match="404"):
                found.object_versions("campaign--00000000-0000-4000-8000-000000000000")

    published_room.visited(visit)


def test_the_library_reads_the_collection_as_a_source(published_room: PublishedRoom) -> None:
    asyncio.run(published_room.publish("acme", event(activity(changed_at=AT + 60, last_at=AT + 50), 4)))

    def visit(address: str) -> None:
        with collection(published_room, address) as found:
            source = stix2.TAXIICollectionSource(found, allow_custom=False, items_per_page=10)
            patterns = {each.pattern for each in source.query([stix2.Filter("type", "=", "indicator")])}
            assert "[domain-name:value = 'deals-evil.example']" in patterns
            (campaign,) = source.query([stix2.Filter("type", "=", "campaign")])
            assert source.get(campaign.id) == campaign
            assert len(source.all_versions(campaign.id)) == 2
            assert source.get("campaign--00000000-0000-4000-8000-000000000000") is None

    published_room.visited(visit)


def test_nothing_can_be_written_or_deleted(published_room: PublishedRoom) -> None:
    def visit(address: str) -> None:
        with collection(published_room, address) as found:
            kind = {"Content-Type": "application/taxii+json;version=2.1"}
            auth = ("x", published_room.tokens["acme"])
            answers = (
                requests.post(found.objects_url, data=b"{}", auth=auth, headers=kind, timeout=30),
                requests.delete(f"{found.objects_url}campaign--1/", auth=auth, timeout=30),
            )
            assert [each.status_code for each in answers] == [403, 403]
            wrong = requests.post(found.objects_url, data=b"{}", auth=auth, timeout=30)
            assert wrong.status_code == 415
            for method in ("PUT", "PATCH", "POST"):
                answer = requests.request(method, f"{address}/taxii2/", auth=auth, timeout=30)
                assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")

    published_room.visited(visit)


def test_a_token_opens_its_own_organisation_and_no_other(published_room: PublishedRoom) -> None:
    def visit(address: str) -> None:
        with (
            collection(published_room, address) as ours,
            collection(published_room, address, "trackers", "other") as theirs,
        ):
            names = {each["name"] for each in theirs.get_objects(type="infrastructure")["objects"]}
            assert names == {"Tracking built at others.example"}
            for url in (
                theirs.url,
                theirs.objects_url,
                f"{address}/taxii2/other/",
                f"{address}/taxii2/other/collections/",
            ):
                auth = ("x", published_room.tokens["acme"])
                assert requests.get(url, auth=auth, timeout=30).status_code == 404
            # The identifier of another's collection opens nothing under our own root either.
            auth = ("x", published_room.tokens["acme"])
            identifier = theirs.url.rstrip("/").rpartition("/")[2]
            under = ours.url.replace(ours.id, identifier)
            assert requests.get(under, auth=auth, timeout=30).status_code == 404

    published_room.visited(visit)


def test_who_may_not_read_is_told_so_in_the_words_of_taxii(published_room: PublishedRoom) -> None:
    lacking = asyncio.run(published_room.token("acme", Permission.STATISTICS_READ))

    def visit(address: str) -> None:
        url = f"{address}/taxii2/acme/"
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer mvt_wrongwrongwrongwrong"}, 401),
            ({"Authorization": "Basic !!!"}, 401),
            ({"Authorization": f"Bearer {lacking}"}, 403),
            ({"Authorization": f"Bearer {published_room.tokens['acme']}"}, 200),
            ({"Cookie": f"session={published_room.tokens['acme']}"}, 401),
        ):
            answer = requests.get(url, headers=headers, timeout=30)
            assert answer.status_code == status, headers
            assert answer.headers["Content-Type"] == "application/taxii+json;version=2.1"
            assert "Set-Cookie" not in answer.headers
            if status != 200:
                assert answer.json()["http_status"] == str(status)
                assert answer.json()["title"]
            if status == 401:
                assert {"Bearer", "Basic"} <= set(answer.headers["WWW-Authenticate"].replace(",", "").split())

    published_room.visited(visit)


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/taxii+json;version=2.1", 200),
        ("application/taxii+json; version=2.1", 200),
        ('application/taxii+json;version="2.1"', 200),
        ("application/taxii+json", 200),
        ("text/html, */*;q=0.1", 200),
        ("application/*", 200),
        (None, 200),
        ("application/taxii+json;version=2.0", 406),
        ("application/vnd.oasis.taxii+json; version=2.0", 406),
        ("application/json", 406),
        ("*/*;q=0", 406),
    ],
)
def test_what_is_accepted_is_looked_at(
    published_room: PublishedRoom, accept: str | None, status: int
) -> None:
    def visit(address: str) -> None:
        auth = ("x", published_room.tokens["acme"])
        for path in ("", "acme/", "acme/collections/", "acme/collections/activities/objects/"):
            answer = requests.get(
                f"{address}/taxii2/{path}", auth=auth, headers={"Accept": accept}, timeout=30
            )  # type: ignore[dict-item]
            assert answer.status_code == status, path

    published_room.visited(visit)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=-1", "limit=x", "limit=1&limit=2", "next=x", "next=WyJ4Il0", "added_after=yesterday",
        "added_after=2027-13-15T08:00:00Z", "match[version]=new", "match[id]=" + ",".join(map(str, range(300))),
        "match[type]=" + "x" * 300, "match[type]=%00",
    ],
)  # fmt: skip
def test_a_question_that_cannot_be_understood_is_refused(published_room: PublishedRoom, query: str) -> None:
    def visit(address: str) -> None:
        url = f"{address}/taxii2/acme/collections/activities/objects/?{query}"
        answer = requests.get(url, auth=("x", published_room.tokens["acme"]), timeout=30)
        assert answer.status_code == 400
        assert answer.json()["http_status"] == "400"

    published_room.visited(visit)


def test_answers_say_between_when_objects_were_added(published_room: PublishedRoom) -> None:
    def visit(address: str) -> None:
        auth = ("x", published_room.tokens["acme"])
        url = f"{address}/taxii2/acme/collections/activities"
        manifest = requests.get(f"{url}/manifest/", auth=auth, timeout=30).json()["objects"]
        answer = requests.get(f"{url}/objects/?limit=4", auth=auth, timeout=30)
        assert answer.headers["X-TAXII-Date-Added-First"] == manifest[0]["date_added"]
        assert answer.headers["X-TAXII-Date-Added-Last"] == manifest[3]["date_added"]
        assert requests.head(f"{url}/objects/", auth=auth, timeout=30).status_code == 200

    published_room.visited(visit)


def test_an_answer_without_objects_has_no_empty_list_and_very_many_are_as_many_as_there_are(
    published_room: PublishedRoom,
) -> None:
    def visit(address: str) -> None:
        auth = ("x", published_room.tokens["acme"])
        url = f"{address}/taxii2/acme/collections/activities"
        for path in ("objects", "manifest"):
            answer = requests.get(f"{url}/{path}/?match[type]=malware", auth=auth, timeout=30)
            assert (answer.status_code, answer.json()) == (200, {"more": False})
        everything = requests.get(f"{url}/objects/?limit=99999999999999999999", auth=auth, timeout=30).json()
        assert everything == requests.get(f"{url}/objects/", auth=auth, timeout=30).json()
        assert everything["objects"]

    published_room.visited(visit)


def test_whoever_asks_too_often_waits(published_room: PublishedRoom) -> None:
    published_room.settings["requests_per_minute"] = 3

    def visit(address: str) -> None:
        def ask(password: str) -> Any:
            return requests.get(f"{address}/taxii2/", auth=("x", password), timeout=30)

        assert [ask(published_room.tokens["acme"]).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert int(ask(published_room.tokens["acme"]).headers["Retry-After"]) > 0
        assert [ask("mvt_wrongwrongwrongwrong").status_code for _ in range(4)][-1] == 429
        assert ask(published_room.tokens["other"]).status_code == 429  # as good as a guess from there

    published_room.visited(visit)


def test_a_database_that_is_away_is_said_to_be(published_room: PublishedRoom) -> None:
    def visit(address: str) -> None:
        auth = ("x", published_room.tokens["acme"])
        assert requests.get(f"{address}/taxii2/", auth=auth, timeout=30).status_code == 200
        published_room.control.database.refusal = "it is away"
        answer = requests.get(f"{address}/taxii2/", auth=auth, timeout=30)
        assert (answer.status_code, answer.json()["http_status"]) == (503, "503")
        assert "away" not in answer.text

    published_room.visited(visit)


def test_an_api_root_is_reached_without_discovery(published_room: PublishedRoom) -> None:
    def visit(address: str) -> None:
        with ApiRoot(f"{address}/taxii2/acme", user="x", password=published_room.tokens["acme"]) as root:
            assert {each.alias for each in root.collections} == {"activities", "trackers"}

    published_room.visited(visit)
