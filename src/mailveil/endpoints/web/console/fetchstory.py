"""Fetch story: what one fetch showed, hop by hop, in words. Values of cookies are left out; their names tell enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from mailveil.core.verdicts.evidence import BodyFacts, FetchOutcome, Hop, NameAnswer
from mailveil.endpoints.web.console.wording import OUTCOME_WORDS, in_bytes, in_time
from mailveil.ports import PastFetch

MAX_COOKIES = 8
_GOOD = frozenset({FetchOutcome.FETCHED, FetchOutcome.KNOWN})
#: Header fields that tell something about whoever answered, and what they are called.
_TELLING = {
    "server": "server",
    "via": "via",
    "x-powered-by": "made with",
    "content-type": "type",
    "cache-control": "may be kept",
    "expires": "expires",
    "etag": "version tag",
    "last-modified": "last changed",
    "accept-ch": "asks which device it is",
    "critical-ch": "insists on which device it is",
    "x-cache": "cache",
}


@dataclass(frozen=True, slots=True)
class StoryStep:
    """One request of a fetch: ``facts`` are pairs of what and how."""

    url: str
    answer: str
    is_bad: bool
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Story:
    """One fetch: ``end`` is how it came out, ``ending`` what is known of what it brought."""

    at: float
    steps: tuple[StoryStep, ...]
    end: str
    is_good: bool
    ending: tuple[tuple[str, str], ...]
    summary: str


def story_of(fetch: PastFetch) -> Story:
    """Return a fetch in words."""
    evidence = fetch.evidence
    is_good = evidence.outcome in _GOOD
    end = OUTCOME_WORDS.get(evidence.outcome, str(evidence.outcome))
    ending = []
    if evidence.detail:
        ending.append(("because", evidence.detail))
    ending += _body_facts(evidence.body)
    ending.append(("went out by", evidence.exit or "this machine itself"))
    ending.append(("took", in_time(evidence.seconds)))
    if fetch.is_as_of_delivery:
        ending.append(
            ("as of delivery", "its origin changes this picture with time; the copy shows it as it was")
        )
    count = len(evidence.hops)
    summary = f"{end}, {count} request{'' if count == 1 else 's'}, {in_time(evidence.seconds)}"
    return Story(fetch.at, tuple(_step(each) for each in evidence.hops), end, is_good, tuple(ending), summary)


def _step(hop: Hop) -> StoryStep:
    facts: list[tuple[str, str]] = []
    if hop.name is not None:
        facts += _name_facts(hop.name)
    if hop.address:
        facts.append(
            ("connected to", hop.address + (f" in {in_time(hop.connect_s)}" if hop.connect_s else ""))
        )
    fields = dict(reversed(hop.fields))
    if "location" in fields:
        facts.append(("leads on to", fields["location"]))
    facts += [(words, fields[name]) for name, words in _TELLING.items() if name in fields]
    facts += _cookie_facts(hop.fields)
    if hop.sent_bytes or hop.received_bytes:
        facts.append(("traffic", f"{in_bytes(hop.sent_bytes)} out, {in_bytes(hop.received_bytes)} in"))
    facts.append(("took", in_time(hop.seconds)))
    return StoryStep(hop.url, _answer(hop), not hop.status or hop.status >= 400, tuple(facts))


def _answer(hop: Hop) -> str:
    if not hop.status:
        return "no answer"
    try:
        words = f"{hop.status} {HTTPStatus(hop.status).phrase}"
    except ValueError:
        words = str(hop.status)
    return f"{words}, HTTP/{hop.http}" if hop.http else words


def _name_facts(name: NameAnswer) -> list[tuple[str, str]]:
    facts = []
    if name.aliases:
        facts.append(("is an alias for", " → ".join(name.aliases)))
    if name.addresses:
        shown = ", ".join(name.addresses[:6])
        facts.append(("addresses", shown + (" …" if len(name.addresses) > 6 else "")))
    if name.records:
        facts.append(("kept by name servers for", in_time(min(each.ttl_s for each in name.records))))
    if name.servers:
        facts.append(("name servers", ", ".join(name.servers[:4])))
    if name.defect:
        facts.append(
            ("name", {"nxdomain": "does not exist", "nodata": "has no address"}.get(name.defect, name.defect))
        )
    return facts


def _cookie_facts(fields: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the cookies that an answer sets: their names and how long they would last, never their values."""
    cookies = []
    for field, value in fields:
        if field != "set-cookie":
            continue
        pair, *attributes = value.split(";")
        given = {key.strip().lower(): rest for key, _, rest in (each.partition("=") for each in attributes)}
        lasting = _lifetime(given)
        cookies.append(pair.partition("=")[0].strip() + (f" ({lasting})" if lasting else ""))
    if not cookies:
        return []
    more = f" and {len(cookies) - MAX_COOKIES} more" if len(cookies) > MAX_COOKIES else ""
    return [("would leave cookies", ", ".join(cookies[:MAX_COOKIES]) + more)]


def _lifetime(attributes: dict[str, str]) -> str:
    if "max-age" in attributes:
        text = attributes["max-age"].strip()
        return f"for {in_time(int(text))}" if text.isascii() and text.isdigit() and len(text) < 12 else ""
    return f"until {attributes['expires'].strip()}" if attributes.get("expires") else ""


def _body_facts(body: BodyFacts) -> list[tuple[str, str]]:
    facts = []
    if body.size_bytes:
        facts.append(("brought", in_bytes(body.size_bytes) + ("" if body.complete else ", not all of it")))
    if body.width and body.height:
        facts.append(("picture", f"{body.width} × {body.height} pixels"))
    if body.sniffed_type:
        said = f", though it says {body.declared_type}" if _differs(body) else ""
        facts.append(("is", body.sniffed_type + said))
    if body.is_silent:
        facts.append(("sound", "nothing can be heard in it"))
    if len(body.profile) > 1:
        begin, end = body.profile[0][0], body.profile[-1][0]
        facts.append(("came in", f"{len(body.profile)} pieces over {in_time(max(0.0, end - begin))}"))
    return facts


def _differs(body: BodyFacts) -> bool:
    declared = body.declared_type.partition(";")[0].strip().lower()
    return bool(declared) and declared != body.sniffed_type
