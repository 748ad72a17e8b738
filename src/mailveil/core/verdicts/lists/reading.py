"""Reading lists: the text of one, in the formats that people keep, to what can be used of it. Total but for format."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any, Final

from mailveil.core.verdicts.lists.rules import NetworkRule, Skip, parse_rule
from mailveil.core.verdicts.lists.types import ListFormat, Parsed

MAX_LINES: Final = 2_000_000
MAX_FACT: Final = 300
_HEAD_LINES: Final = 60
_HOST: Final = re.compile(r"(?=.{4,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}")
_LICENCE: Final = re.compile(r"^[\s!#/*]*(?:\S+\s+)?licen[cs]e\s*[:=]\s*(.+)$", re.IGNORECASE)
_TITLE: Final = re.compile(r"^[\s!#/*]*(?:title|name)\s*:\s*(.+)$", re.IGNORECASE)
_LOCAL: Final = frozenset({"localhost", "localhost.localdomain", "local", "broadcasthost", "ip6-localhost"})
# Disconnect keeps what a page cannot do without in this category.
_NO_TRACKING: Final = frozenset({"content", "anti-fraud", "consentmanagers"})


class ListError(Exception):
    """A text is no list in a known format; the error says why."""


def detect_format(text: str) -> ListFormat:
    """Return the format of a list. Raises ``ListError``."""
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith(("{", "[")) and not start.lower().startswith(("[adblock", "[ublock", "[adguard")):
        document = _json(text)
        if isinstance(document, dict) and ("categories" in document or "entities" in document):
            return ListFormat.DISCONNECT
        return ListFormat.CNAMES
    counts: Counter[ListFormat] = Counter()
    for line in _lines(text):
        if len(counts) and sum(counts.values()) > 200:
            break
        if line.startswith("["):
            return ListFormat.ADBLOCK
        names_host = _host_of_line(line) or _is_address(line.split()[0])
        counts[ListFormat.HOSTS if names_host else ListFormat.ADBLOCK] += 1
    if not counts:
        raise ListError("there is no rule and no host name in it")
    return counts.most_common(1)[0][0]


def parse_list(text: str, kind: ListFormat) -> Parsed:
    """Return what can be used of a list, and what was skipped and why. Raises ``ListError`` for no such list."""
    if kind is ListFormat.ADBLOCK:
        parsed = _adblock(text)
    elif kind is ListFormat.HOSTS:
        parsed = _hosts(text)
    elif kind is ListFormat.DISCONNECT:
        parsed = _disconnect(_json(text))
    else:
        parsed = _cnames(text)
    if not parsed.count:
        raise ListError(f"nothing in it can be used as a list in the format {kind}")
    return parsed


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ListError(f"it is no JSON: {error}") from error


def _lines(text: str) -> Iterator[str]:
    """Return the lines that are no comments."""
    for number, whole in enumerate(text.splitlines()):
        if number >= MAX_LINES:
            raise ListError(f"it has more than {MAX_LINES:,} lines")
        line = whole.strip("\ufeff \t\x00")
        if line and not line.startswith(("!", "//", ";")) and not _is_comment(line):
            yield line


def _is_comment(line: str) -> bool:
    # "##.advert" hides an element, "#---- hosts" is a comment.
    return line.startswith("#") and not line.startswith(("##", "#@#", "#?#", "#$#"))


def _head(text: str) -> tuple[str, str]:
    """Return the title and the licence that the first comments of a list name."""
    title = licence = ""
    for line in text[:20_000].splitlines()[:_HEAD_LINES]:
        if not line.lstrip("\ufeff ").startswith(("!", "#", "//", ";")):
            continue
        if not licence and (match := _LICENCE.match(line)):
            licence = match.group(1).strip()[:MAX_FACT]
        elif not title and (match := _TITLE.match(line)):
            title = match.group(1).strip()[:MAX_FACT]
    return title, licence


def _adblock(text: str) -> Parsed:
    title, licence = _head(text)
    skipped: Counter[str] = Counter()
    rules: dict[str, NetworkRule] = {}
    exceptions: dict[str, NetworkRule] = {}
    lines: list[str] = []
    for line in _lines(text):
        if line.startswith("["):
            continue
        found = parse_rule(line)
        if isinstance(found, Skip):
            skipped[str(found)] += 1
            continue
        rule, exception = found
        (exceptions if exception else rules).setdefault(rule.text, rule)
        lines.append(line)
    return Parsed(
        ListFormat.ADBLOCK, title, licence, rules=tuple(rules.values()), exceptions=tuple(exceptions.values()),
        lines=tuple(dict.fromkeys(lines)), skipped=dict(skipped),
    )  # fmt: skip


def _host_of_line(line: str) -> str:
    """Return the host name that a line of a hosts file names, ``""`` for none."""
    words = line.split("#", 1)[0].split()
    if len(words) > 1 and _is_address(words[0]):
        words = words[1:]
    if len(words) != 1:
        return ""
    name = words[0].lower().rstrip(".").removeprefix("*.")
    return name if _HOST.fullmatch(name) and not _is_address(name) else ""


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _hosts(text: str) -> Parsed:
    title, licence = _head(text)
    skipped: Counter[str] = Counter()
    hosts: dict[str, str] = {}
    for line in _lines(text):
        if name := _host_of_line(line):
            hosts.setdefault(name, "")
        elif not any(word in _LOCAL for word in line.lower().split()):
            skipped[str(Skip.NO_NAME)] += 1
    return Parsed(ListFormat.HOSTS, title, licence, hosts=hosts, skipped=dict(skipped))


def _disconnect(document: Any) -> Parsed:
    if not isinstance(document, dict):
        raise ListError("it is no object, as Disconnect's files are")
    skipped: Counter[str] = Counter()
    hosts: dict[str, str] = {}
    for category, host, owner in _disconnect_hosts(document):
        name = host.lower().strip(".") if isinstance(host, str) else ""
        if category.lower() in _NO_TRACKING:
            skipped[str(Skip.CATEGORY)] += 1
        elif _HOST.fullmatch(name):
            hosts.setdefault(name, owner[:MAX_FACT])
        else:
            skipped[str(Skip.NO_NAME)] += 1
    licence = document.get("license", "")
    licence = licence.strip()[:MAX_FACT] if isinstance(licence, str) else ""
    return Parsed(ListFormat.DISCONNECT, "Disconnect", licence, hosts=hosts, skipped=dict(skipped))


def _disconnect_hosts(document: dict[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Return category, host and owner of everything that a file of Disconnect's names."""
    categories = document.get("categories")
    for category, services in categories.items() if isinstance(categories, dict) else ():
        for service in services if isinstance(services, list) else ():
            for owner, sites in service.items() if isinstance(service, dict) else ():
                for listed in sites.values() if isinstance(sites, dict) else ():
                    for host in listed if isinstance(listed, list) else ():
                        yield str(category), host, str(owner)
    entities = document.get("entities")
    for owner, entity in entities.items() if isinstance(entities, dict) else ():
        resources = entity.get("resources") if isinstance(entity, dict) else None
        for host in resources if isinstance(resources, list) else ():
            yield "entities", host, str(owner)


def _cnames(text: str) -> Parsed:
    title, licence = _head(text)
    start = text.lstrip("\ufeff \t\r\n")
    skipped: Counter[str] = Counter()
    hosts: dict[str, str] = {}
    cnames: dict[str, str] = {}
    if start.startswith(("{", "[")):
        for name, owner, original in _cname_records(_json(text)):
            if _HOST.fullmatch(name):
                (cnames if original else hosts).setdefault(name, owner[:MAX_FACT])
            else:
                skipped[str(Skip.NO_NAME)] += 1
    else:
        for line in _lines(text):
            name = line.lower().removeprefix("||").partition("^")[0]
            if _HOST.fullmatch(name):
                cnames.setdefault(name, "")
            else:
                skipped[str(Skip.NO_NAME)] += 1
    return Parsed(ListFormat.CNAMES, title, licence, hosts=hosts, cnames=cnames, skipped=dict(skipped))


def _cname_records(document: Any) -> Iterator[tuple[str, str, bool]]:
    """Return name, owner, and whether the name is the tracker's own rather than one that hides it."""
    if isinstance(document, dict):
        for disguised, original in document.items():
            target = original.lower().strip(".") if isinstance(original, str) else ""
            yield disguised.lower().strip("."), target, False
            if target:
                yield target, "", True
        return
    for record in document if isinstance(document, list) else ():
        domains = record.get("domains") if isinstance(record, dict) else None
        owner = str(record.get("company_name", "")) if isinstance(record, dict) else ""
        for name in domains if isinstance(domains, list) else ():
            yield str(name).lower().strip("."), owner, True
