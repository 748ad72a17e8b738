"""Veiling: what we know, as a destination may be told of it. The only way from the one to the other.

A URL with a token, or a host name made for one person, *is* that person. So URLs leave as templates, hosts as their
registrable domain with everything that may be made for somebody replaced by ``*``, and even a registrable domain loses
its own label where that spells one of the people concerned. People themselves are absent, keyed pseudonyms, or in clear
where an administrator chose so. Free text is veiled word by word. Pure.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from mailveil.core.intelligence.types import (
    ONE_FUNCTION,
    Activity,
    Alert,
    AnalystVerdict,
    LearnedTracker,
    Probe,
    Reason,
    Role,
    TechniqueShown,
)
from mailveil.core.observation import PeopleKept, RecordSettings, host_template, url_template
from mailveil.core.observation.privacy import HIDDEN, Veil, is_pseudonym
from mailveil.core.sharing.entries import Entry, Standing, read_entry
from mailveil.core.sharing.stixvocabulary import organisation_uuid
from mailveil.core.sharing.types import (
    Disclosure,
    PeopleShared,
    SharedActivity,
    SharedAlert,
    SharedEvent,
    SharedInfrastructure,
    SharedProbe,
    SharedTracker,
)
from mailveil.core.verdicts.addresses import is_ip_address, registrable_domain

_LEAST_LETTERS: Final = 3  # of a function that is hidden however it is written
_TOGETHER: Final = 100  # people that one veil hides; with more of them it hides everything
_IPV6_PREFIX: Final = 48  # what one site is given; the bits below it may count recipients
_DIGEST: Final = re.compile(r"[0-9a-f]{8,128}")
_ANY_PORT: Final = re.compile(r"\A([^/?#]*//[^/?#]*):\*(?=[/?#]|\Z)")
_DOMAINS: Final = frozenset({Role.SENDER_DOMAIN, Role.REPLY_DOMAIN, Role.TRACKER_DOMAIN})
_HOSTS: Final = frozenset({Role.TRACKER_HOST, Role.CANONICAL_NAME, Role.NAME_SERVER})
_DIGESTS: Final = frozenset({Role.CERTIFICATE, Role.FINGERPRINT})


@dataclass(frozen=True, slots=True)
class Organisation:
    """Who tells: ``identifier`` goes into pseudonyms, ``name`` is what others read, ``made_at`` is when it was made."""

    identifier: str
    name: str = ""
    made_at: float = 0.0

    @property
    def uuid(self) -> str:
        """What no other organisation goes by, here or elsewhere: many are called alike, and names change."""
        return organisation_uuid(self.identifier, self.made_at)


def share(entry: Entry, disclosure: Disclosure, organisation: Organisation) -> SharedEvent:
    """Return an entry of the outbox as a destination may be told of it.

    Raises ``KeyError``, ``TypeError`` or ``ValueError`` where the record is none of ours.
    """
    told = read_entry(entry.record)
    activity = alert = tracker = None
    match told:
        case (Activity() as found, Standing() as standing):
            activity = shared_activity(found, standing, disclosure, organisation)
        case Alert():
            alert = shared_alert(told, disclosure, organisation)
        case LearnedTracker():
            tracker = shared_tracker(told, disclosure, organisation)
    return SharedEvent(
        identifier=entry.identifier,
        number=entry.number,
        at=entry.at,
        kind=entry.kind,
        organisation=organisation.name or organisation.identifier,
        traffic_light=disclosure.traffic_light,
        activity=activity,
        alert=alert,
        tracker=tracker,
        told_by=organisation.uuid,
    )


def shared_activity(
    activity: Activity, standing: Standing, disclosure: Disclosure, organisation: Organisation
) -> SharedActivity:
    """Return an activity as a destination may be told of it."""
    people = [*(each.person for each in activity.targets), *(each.person for each in activity.probes)]
    people += [each.person for each in activity.follow_ups]
    functions = {each.person: each.function for each in activity.targets if each.function}
    if activity.named_function:
        functions[HIDDEN] = activity.named_function
    veiled = Veiled(disclosure, organisation, people, functions, activity.personal_names)
    # People beyond those that are listed cannot be looked for: what only one message had may be one of theirs.
    is_whole = activity.total_people <= len(activity.targets)
    return SharedActivity(
        identifier=activity.identifier,
        organisation=organisation.name or organisation.identifier,
        actor=veiled.actor(activity.actor),
        first_at=activity.first_at,
        last_at=activity.last_at,
        changed_at=standing.changed_at,
        score=activity.score,
        risk=activity.risk,
        state=standing.state,
        verdict=standing.verdict,
        traffic_light=disclosure.traffic_light,
        reasons=tuple(Reason(each.code, each.weight, veiled.text(each.words)) for each in activity.reasons),
        techniques=tuple(
            TechniqueShown(each.technique, veiled.text(each.because)) for each in activity.techniques
        ),
        learned=tuple(veiled.text(each) for each in activity.learned),
        kinds=activity.kinds,
        tooling=activity.attribution.tooling,
        operator=activity.attribution.operator,
        fingerprint=activity.attribution.fingerprint,
        confidence=activity.attribution.confidence,
        infrastructure=_infrastructure(veiled, activity, standing, is_whole=is_whole),
        probes=tuple(_probe(veiled, each) for each in activity.probes),
        people=veiled.people(each.person for each in activity.targets),
        functions=veiled.functions(each.function for each in activity.targets),
        total_messages=activity.total_messages,
        total_probes=activity.total_probes,
        total_people=activity.total_people,
        high_value_people=sum(each.is_high_value for each in activity.targets),
        merged_into=activity.merged_into,
        told_by=organisation.uuid,
    )


def shared_alert(alert: Alert, disclosure: Disclosure, organisation: Organisation) -> SharedAlert:
    """Return an alert as a destination may be told of it."""
    functions = {HIDDEN: alert.named_function}  # of whom, an alert does not tell
    veiled = Veiled(disclosure, organisation, alert.people, functions, alert.personal_names)
    return SharedAlert(
        identifier=alert.identifier,
        at=alert.at,
        kind=alert.kind,
        activity=alert.activity,
        words=veiled.text(alert.words),
        score=alert.score,
        sender_domain=veiled.actor(alert.sender_domain),
        people=veiled.people(alert.people),
        total_people=len(alert.people),
        earlier=alert.earlier,
    )


def shared_tracker(
    tracker: LearnedTracker, disclosure: Disclosure, organisation: Organisation
) -> SharedTracker:
    """Return a learned tracker as a destination may be told of it."""
    veiled = Veiled(disclosure, organisation, tracker.people)
    return SharedTracker(
        identifier=tracker.identifier,
        template=veiled.template(tracker.template),
        host=veiled.host(tracker.host),
        domain=veiled.domain(tracker.domain),
        kinds=tracker.kinds,
        vector=tracker.vector,
        fingerprint=tracker.attribution.fingerprint,
        tooling=tracker.attribution.tooling,
        operator=tracker.attribution.operator,
        first_at=tracker.first_at,
        last_at=tracker.last_at,
        messages=tracker.messages,
    )


@dataclass(frozen=True, slots=True)
class Veiled:
    """Takes some people out of everything that is said, as a disclosure has it.

    ``functions_of`` tells the functions of people who have one: where people are not told, a function that names one of
    them is none of others' business either. ``personal_names`` are domains and mailboxes of which it was seen that they
    spell somebody, who may be forgotten by now.
    """

    disclosure: Disclosure
    organisation: Organisation
    known: Sequence[str] = ()
    functions_of: Mapping[str, str] = field(default_factory=dict)
    personal_names: Sequence[str] = ()
    _veils: tuple[Veil, ...] = field(init=False, repr=False)
    _hidden_functions: re.Pattern[str] | None = field(init=False, repr=False)
    _steps: dict[str, bool] = field(init=False, repr=False, default_factory=dict)
    _domains: dict[str, str] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        hidden = sorted({each.lower() for each in self.known if each and not is_pseudonym(each)})
        batches = [hidden[at : at + _TOGETHER] for at in range(0, len(hidden), _TOGETHER)]
        object.__setattr__(self, "_veils", tuple(Veil(batch, strict=True) for batch in batches))
        names = sorted({each for each in self.functions_of.values() if each}, key=len, reverse=True)
        is_told = self.disclosure.people is not PeopleShared.NONE
        pattern = None if is_told or not names else "|".join(map(_as_it_is_written, names))
        compiled = None if pattern is None else re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE)
        object.__setattr__(self, "_hidden_functions", compiled)

    def person(self, person: str) -> str:
        """Return what others are told of a person: nothing, a pseudonym, or the address."""
        match self.disclosure.people:
            case PeopleShared.NONE:
                return ""
            case PeopleShared.CLEAR:
                return person
        settings = RecordSettings(PeopleKept.PSEUDONYM, key=self.disclosure.key)
        return settings.person(person, self.organisation.identifier)

    def people(self, people: Iterable[str]) -> tuple[str, ...]:
        """Return what others are told of several people, each once."""
        return tuple(dict.fromkeys(filter(None, (self.person(each) for each in people))))

    def functions(self, functions: Iterable[str]) -> tuple[str, ...]:
        """Return the functions that others are told of, each once."""
        if self.disclosure.people is PeopleShared.NONE:
            return ()
        return tuple(dict.fromkeys(filter(None, functions)))

    def function_of(self, person: str) -> str:
        """Return somebody's function, as far as others are told."""
        return "" if self.disclosure.people is PeopleShared.NONE else self.functions_of.get(person, "")

    def text(self, text: str) -> str:
        """Return free text without anybody's name."""
        if self._hidden_functions is not None:
            text = self._hidden_functions.sub(HIDDEN, text).replace(f"{ONE_FUNCTION}: {HIDDEN}", ONE_FUNCTION)
        if self.personal_names:
            text = " ".join(HIDDEN if self._holds_personal(word) else word for word in text.split())
        for each in self._veils:
            text = each.text(text)
        return text

    def _holds_personal(self, word: str) -> bool:
        return any(each in word.lower() for each in self.personal_names)

    def domain(self, domain: str) -> str:
        """Return the registrable domain that a name belongs to, without its own label where that names somebody."""
        domain = domain.lower().removeprefix(f"{HIDDEN}.").strip(".")
        if not domain or is_ip_address(domain):
            return _network(domain)
        registered = registrable_domain(host_template(domain).removeprefix(f"{HIDDEN}.")) or HIDDEN
        if registered not in self._domains:
            self._domains[registered] = self._registrable(registered)
        return self._domains[registered]

    def _registrable(self, domain: str) -> str:
        if domain in self.personal_names:
            return f"{HIDDEN}.{domain.partition('.')[2]}"
        for each in self._veils:
            domain = each.registrable(domain)
        return domain

    def host(self, host: str) -> str:
        """Return a host with ``*`` for labels that may be made for somebody; of an IPv6 address its network."""
        host = host.strip("[]")
        if not host or is_ip_address(host):
            return _network(host)
        template = host_template(host)
        registered = registrable_domain(template.removeprefix(f"{HIDDEN}."))
        if not registered:
            return HIDDEN
        shown = self.domain(registered)
        below = template.removesuffix(registered).rstrip(".")
        if any(each.holds_somebody(below) or each.text(below) != below for each in self._veils):
            below = HIDDEN
        return f"{below}.{shown}" if below and not (below == HIDDEN and shown.startswith(HIDDEN)) else shown

    def template(self, template: str) -> str:
        """Return a URL's template once more as one, and without the name of anybody in its host."""
        if not template:
            return ""
        # A wildcard port is no port to whoever reads URLs.
        made = url_template(_ANY_PORT.sub(r"\1:1", template, count=1))
        scheme, found, rest = made.partition("://")
        if not found:
            return f"{scheme.partition(':')[0]}:{HIDDEN}"
        host, slash, path = rest.partition("/")
        bare = host.removesuffix(f":{HIDDEN}")
        path = "/".join(HIDDEN if self._names_somebody(each) else each for each in path.split("/"))
        if any(each.stands_in(path) for each in self._veils):
            path = HIDDEN  # spelled over several steps or parameters
        return f"{scheme}://{self.host(bare)}{host[len(bare) :]}{slash}{path}"

    def actor(self, actor: str) -> str:
        """Return what an actor goes by: a domain, or a mailbox that is nobody's of ours."""
        name, at, domain = actor.rpartition("@")
        if not at:
            return self.domain(actor)
        if actor.lower() in self.personal_names:
            name = HIDDEN
        for each in self._veils:
            name = each.address(f"{name}@{domain}").rpartition("@")[0]
        return f"{name or HIDDEN}@{self.domain(domain)}"

    def infrastructure(self, role: Role, value: str) -> str:
        """Return a piece of infrastructure as others may know it, ``""`` where nothing of it can be told."""
        if role in _DOMAINS:
            return self.actor(value)
        if role in _HOSTS:
            return self.host(value)
        if role is Role.ADDRESS:
            return _network(value)
        is_ours = role in _DIGESTS and _DIGEST.fullmatch(value) is not None
        return value if is_ours and not any(each.holds_somebody(value) for each in self._veils) else ""

    def _names_somebody(self, step: str) -> bool:
        known = self._steps.get(step)  # templates of one actor have the same steps again and again
        if known is None:
            known = any(each.holds_somebody(step) or each.text(step) != step for each in self._veils)
            self._steps[step] = known
        return known


def _infrastructure(
    veiled: Veiled, activity: Activity, standing: Standing, *, is_whole: bool
) -> tuple[SharedInfrastructure, ...]:
    """Return infrastructure, one of each: what differs between people alone is the same to others."""
    told: dict[tuple[Role, str], SharedInfrastructure] = {}
    is_confirmed = standing.verdict is AnalystVerdict.CONFIRMED
    unproven = frozenset() if is_confirmed else frozenset(activity.claimed_domains)
    for each in activity.infrastructure:
        value = veiled.infrastructure(each.role, each.value)
        if not value or value == HIDDEN or (not is_whole and each.messages < 2):
            continue
        before = told.get((each.role, value))
        told[each.role, value] = SharedInfrastructure(
            role=each.role,
            value=value,
            first_at=min(each.first_at, before.first_at) if before else each.first_at,
            last_at=max(each.last_at, before.last_at) if before else each.last_at,
            messages=each.messages + (before.messages if before else 0),
            shared=each.shared or (before is not None and before.shared),
            claimed=each.role in (Role.SENDER_DOMAIN, Role.REPLY_DOMAIN) and each.value in unproven,
        )
    return tuple(told.values())


def _probe(veiled: Veiled, probe: Probe) -> SharedProbe:
    return SharedProbe(
        at=probe.at,
        sender_domain=veiled.actor(probe.sender_domain),
        person=veiled.person(probe.person),
        function=veiled.function_of(probe.person),
        kinds=probe.kinds,
        template=veiled.template(probe.template),
        host=veiled.host(probe.host),
        domain=veiled.domain(probe.host),
        vector=probe.vector,
    )


def _as_it_is_written(function: str) -> str:
    """Return the pattern of a function; a short one, such as IT, would else be found in words of every sentence."""
    pattern = re.escape(function)
    return pattern if len(function) > _LEAST_LETTERS else f"(?-i:{pattern})"


def _network(address: str) -> str:
    """Return an IPv4 address as it is, of an IPv6 address the site's network, ``""`` where it is neither."""
    try:
        found = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return ""
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((int(found) >> 80 << 80, _IPV6_PREFIX)))
