"""Messages: one incoming message into the dossier of its actor, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mailveil.core.intelligence.activities import SHOWN_SCORE, activity_from
from mailveil.core.intelligence.aim import Aim, aim_of
from mailveil.core.intelligence.alerts import with_alerts, with_follow_up_alert
from mailveil.core.intelligence.attribution import SenderFacts, attribute
from mailveil.core.intelligence.book import Book, Memo
from mailveil.core.intelligence.campaigns import campaign_key, with_campaign
from mailveil.core.intelligence.dossier import (
    MAX_LEARNED,
    in_order_of_time,
    new_dossier,
    with_follow_up,
    with_history,
    with_infrastructure,
    with_personal,
    with_probe,
    with_proof,
)
from mailveil.core.intelligence.installation import everybody
from mailveil.core.intelligence.lessons import lessons_of
from mailveil.core.intelligence.linking import (
    Ties,
    home_of,
    is_harmless,
    owners_memo,
    ties_of,
)
from mailveil.core.intelligence.memos import (
    IMITATED,
    digest,
    key,
    recall,
    with_members,
)
from mailveil.core.intelligence.scoring import Scored, score
from mailveil.core.intelligence.senders import (
    FILED_WITHIN,
    can_be_filed,
    claimed_by,
    filed_as_actor,
    indexed,
    is_established,
    is_settled,
    new_sender,
    resembled,
    resembles,
    with_message,
    with_revised,
)
from mailveil.core.intelligence.serverstudy import merge_into_one
from mailveil.core.intelligence.settings import Findings, StudySettings
from mailveil.core.intelligence.sight import Sight, Tracker, facts_at, is_nameable
from mailveil.core.intelligence.types import (
    Activity,
    Alert,
    Attribution,
    Campaign,
    InfrastructureFacts,
    LearnedTracker,
    Role,
    Tooling,
)
from mailveil.core.intelligence.usages import (
    is_own_name_server,
    is_rented,
    is_shared,
    server_usages,
    sharing_of,
    usages_of,
    with_user,
)
from mailveil.core.intelligence.withdrawing import with_given
from mailveil.core.recognition.shared import is_shared_domain
from mailveil.core.verdicts.addresses import is_ip_address

_SURE_TRACKER: Final = 0.75  # of the judge's score, from which on a tracker is one
_NAMED: Final = frozenset({Role.REPLY_DOMAIN, Role.NAME_SERVER, Role.CANONICAL_NAME})
_MAX_IMITATED: Final = 64
_LEARNED_SCORE: Final = 0.3  # from which on what an activity tracks with is worth telling others
_KNOWN_SCORE: Final = 0.3  # from which on later mail of an actor is worth writing down


@dataclass(frozen=True, slots=True)
class Found:
    """One tracker of a message: whose it is, and what about it matters.

    ``is_beside``: it stands beside one that tells its readers apart, and tells nobody apart itself.
    """

    tracker: Tracker
    attribution: Attribution
    facts: Mapping[str, float]
    is_beside: bool = False


def study_message(
    sight: Sight, book: Book, settings: StudySettings, infrastructure: Mapping[str, InfrastructureFacts]
) -> Findings:
    """Study one incoming message."""
    sender = claimed_by(sight, book)
    if not sender:
        return Findings()
    return _Message(sight, sender, book, settings, infrastructure).study()


def study_revised(
    sight: Sight,
    book: Book,
    settings: StudySettings,
    infrastructure: Mapping[str, InfrastructureFacts],
    *,
    earlier: Sight,
    counted_for: str,
) -> Findings:
    """Study a message with trackers that was studied before, as ``earlier``, and counted for a sender then."""
    sender = claimed_by(sight, book)
    if not sender:
        return Findings()
    known = recall(book, key("sender", sender)) if sender == counted_for else None
    is_counted = bool(known and known["messages"])
    message = _Message(sight, sender, book, settings, infrastructure, earlier=earlier, is_counted=is_counted)
    return message.study()


class _Message:
    """One message while it is studied."""

    def __init__(
        self,
        sight: Sight,
        sender: str,
        book: Book,
        settings: StudySettings,
        infrastructure: Mapping[str, InfrastructureFacts],
        *,
        earlier: Sight | None = None,
        is_counted: bool = False,
    ) -> None:
        """``earlier`` is as what it was studied before; ``is_counted``: as a message of this sender."""
        self.sight = sight
        self.earlier = earlier
        self.is_counted = is_counted
        self.sender = sender
        self.book = book
        self.settings = settings
        self.place = key("sender", sender)
        memo = recall(book, self.place) or new_sender(sight.at, book)
        self.memo = resembled(sight, memo, book, settings.own_domains) if can_be_filed(sender) else memo
        self.established = is_established(self.memo)
        self.may_file = can_be_filed(sender) and self.memo["messages"] <= FILED_WITHIN
        self.infrastructure = infrastructure
        self.found = _without_bystanders([self._look_at(each) for each in sight.trackers])
        private = {each.tracker.host for each in self.found if each.facts["private"]}
        bought = {each.tracker.host for each in self.found if each.attribution.tooling is Tooling.BOUGHT}
        usages = usages_of(sight, infrastructure)
        before = usages_of(earlier, infrastructure) if earlier is not None else ()
        counted = {each.key for each in before}
        self.counted = [each for each in usages if each.host not in bought and each.key not in counted]
        self.telling = [each for each in usages if not each.host or each.host in private]
        self.activities: list[Activity] = []
        self.alerts: tuple[Alert, ...] = ()
        self.learned: list[LearnedTracker] = []

    def study(self) -> Findings:
        """Write the message down, and return what is new."""
        sight, book = self.sight, self.book
        private = any(each.facts["private"] for each in self.found)
        own = self.settings.own_domains
        is_private = private or not self.found
        ties = ties_of(sight, self.sender, self.memo, self.telling, book, own=own, private=is_private)
        if self.is_counted:
            self.memo = with_revised(self.memo, sight, private=private)
        else:
            self.memo = with_message(self.memo, sight, tracked=bool(self.found), private=private)
        dossier = self._probe(ties) if self.found else self._follow_up(ties)
        # Whoever forges senders has as many of them as it likes.
        user = "" if sight.proven is False else self.sender
        for usage in self.counted:
            known = recall(book, usage.key)
            book.put(usage.key, with_user(known, user, sight.at, established=is_settled(self.memo)))
        if dossier is not None and self.found:
            self._point_at(dossier)
        book.put(self.place, indexed(self.sender, self.memo, book))
        campaign = self._campaign(dossier)
        campaigns = () if campaign is None else (campaign,)
        return Findings(tuple(self.activities), campaigns, self.alerts, tuple(self.learned))

    def _campaign(self, dossier: Memo | None) -> Campaign | None:
        if self.earlier is not None and campaign_key(self.earlier):
            return None  # it is part of one, and counted there
        attributions = [each.attribution for each in self.found]
        return with_campaign(self.sight, attributions, dossier, self.book, self.settings.alert_score)

    def _look_at(self, tracker: Tracker) -> Found:
        sight, book = self.sight, self.book
        facts = facts_at(tracker.host, self.infrastructure)
        sender = SenderFacts(sight.sender_domain, sight.signers, sight.mail_service)
        attribution = attribute(tracker.reference, sender, facts)
        domain = tracker.domain
        is_bought = attribution.tooling is Tooling.BOUGHT
        may_be_own = is_nameable(domain) and not is_shared_domain(domain)
        shared = sharing_of(recall(book, key("domain", domain)), self.sender) if may_be_own else 0.0
        if self._is_rented(tracker, facts):
            shared = 1.0
        is_own = may_be_own and not self._is_anothers(domain)
        private = 0.0
        if is_own and not is_bought and shared < 1.0:
            private = (1.0 - shared) * min(1.0, tracker.certainty / _SURE_TRACKER)
        signals = tracker.reference.signals[:100]
        has_no_name = is_ip_address(tracker.host) or "IP_HOST" in signals or "ODD_PORT" in signals
        elsewhere = domain not in (sight.sender_domain, sight.reply_domain)
        return Found(
            tracker,
            attribution,
            {
                "private": private,
                "shared": 0.0 if is_bought else shared,
                "foreign": private if elsewhere and not sight.is_free else 0.0,
                "numbers": float(has_no_name),
                "own_names": float(private > 0 and is_own_name_server(tracker, facts, sight.sender_domain)),
            },
        )

    def _is_rented(self, tracker: Tracker, facts: InfrastructureFacts) -> bool:
        aliases = (
            each for each in server_usages(tracker.host, tracker.domain, facts) if each.key[:6] == "alias "
        )
        return any(is_rented(recall(self.book, each.key), self.sender) for each in aliases)

    def _is_anothers(self, domain: str) -> bool:
        """Tell whether a domain is the organisation's, or of somebody with a history: a victim's perhaps."""
        if domain in self.settings.own_domains:
            return True
        if domain == self.sight.sender_domain or is_shared_domain(domain):
            return False
        return is_established(owners_memo(domain, self.book))

    def _probe(self, ties: Ties) -> Memo:
        sight, book, settings = self.sight, self.book, self.settings
        dossier = self._home(ties)
        if ties.carried:
            pass  # the sender has a history of its own, and only passes on what an actor made
        else:
            dossier = with_history(dossier, self.sender, self.memo, established=self.established)
        before = dossier
        dossier = with_probe(
            dossier, sight, self.sender, [(each.attribution, each.facts) for each in self.found]
        )
        if sight.sender_domain in settings.own_domains:
            dossier["claims_us"] += 1
        dossier = self._with_places(dossier, carried=ties.carried)
        dossier = with_personal(dossier, sight, self._names())
        if self.earlier is not None:
            dossier = in_order_of_time(dossier)
        dossier = with_given(dossier, before, sight)
        scored, aim = self._score(dossier)
        was_shown = dossier["shown"]
        shown = was_shown or scored.score >= SHOWN_SCORE
        dossier = {**dossier, "shown": shown, "top": max(dossier["top"], scored.score)}
        dossier, self.alerts = with_alerts(dossier, sight, scored, aim, settings)
        if was_shown and not self.alerts and (ties.carried or self.sender not in self.known_senders):
            because = "with what reports to the same place"
            dossier, self.alerts = with_follow_up_alert(dossier, sight, scored, because, self.settings)
        dossier = self._learn(dossier, scored)
        book.put(key("activity", dossier["id"]), dossier)
        if shown:
            self.activities.append(activity_from(dossier, sight.organisation, scored, aim, settings))
            for thread in dossier["threads"] if not was_shown else dossier["threads"][-1:]:
                book.put(key("thread", thread), {"activity": dossier["id"]})
        if not ties.carried:
            place = "activity" if any(each.facts["private"] for each in self.found) else "vendors"
            self.memo = {**self.memo, place: dossier["id"]}
            self._suspect(dossier)
        return dossier

    def _home(self, ties: Ties) -> Memo:
        """Return the dossier that the message belongs to; those that it ties together become one."""
        book = self.book
        found = [recall(book, key("activity", each)) for each in ties.activities]
        dossiers = [each for each in found if each is not None]
        self.known_senders: list[str] = [name for each in dossiers for name in each["senders"]]
        if not dossiers:
            self.known_senders = [self.sender]
            return new_dossier(self.sight, self.sender)
        home = dossiers[0]
        for other in dossiers[1:]:
            home = merge_into_one(home, other, book, self.activities)
        return home

    def _score(self, dossier: Memo) -> tuple[Scored, Aim]:
        aim = aim_of(dossier, self.settings, everybody(self.book))
        return score(dossier, aim, lessons_of(self.book)), aim

    def _with_places(self, dossier: Memo, *, carried: bool) -> Memo:
        """Return a dossier with what the message was carried out with."""
        sight = self.sight
        own = self.settings.own_domains
        if not carried:
            if sight.is_free and sight.mailbox:
                dossier = with_infrastructure(
                    dossier, Role.SENDER_MAILBOX, sight.mailbox, sight.at, shared=False
                )
            elif sight.sender:
                domain = sight.sender_domain
                known = dossier["partner"] or domain in own or self.established or self.sender[0] == "~"
                known = known or is_shared_domain(domain)
                dossier = with_infrastructure(dossier, Role.SENDER_DOMAIN, domain, sight.at, shared=known)
                dossier = with_proof(dossier, domain, proven=sight.proven)
        for each in self.found:
            if not is_nameable(each.tracker.domain):
                continue
            if each.is_beside:
                continue  # whose it is, it does not tell; whatever was found out about it stays
            domain, host, known = each.tracker.domain, each.tracker.host, not each.facts["private"]
            dossier = with_infrastructure(dossier, Role.TRACKER_DOMAIN, domain, sight.at, shared=known)
            if host not in (domain, ""):
                dossier = with_infrastructure(dossier, Role.TRACKER_HOST, host, sight.at, shared=known)
        for usage in self.telling:
            if usage.role is Role.TRACKER_DOMAIN or (
                usage.role is Role.REPLY_DOMAIN and (carried or sight.is_list)
            ):
                continue
            known = is_shared(recall(self.book, usage.key), self.sender)
            if usage.role in (Role.REPLY_DOMAIN, Role.NAME_SERVER):
                known = known or self._is_anothers(usage.value)
            known = known or (usage.role in _NAMED and is_shared_domain(usage.value))
            dossier = with_infrastructure(dossier, usage.role, usage.value, sight.at, shared=known)
            if usage.role is Role.REPLY_DOMAIN and self._is_imitation(usage.value):
                dossier = with_proof(dossier, usage.value, proven=True)
        return dossier

    def _is_imitation(self, domain: str) -> bool:
        """Tell whether a domain that answers go to looks like the sender's or one of ours: nobody innocent's does."""
        sight = self.sight
        imitated = {*self.settings.own_domains, *(() if sight.is_free else (sight.sender_domain,))}
        return any(resembles(domain, each) for each in imitated if each and each != domain)

    def _names(self) -> Sequence[str]:
        """Return the names that the message was carried out with; some are made for whom it is written to."""
        sight = self.sight
        trackers = (each.tracker.domain for each in self.found)
        return (
            self.sender.removeprefix("~"),
            sight.sender_domain,
            sight.reply_domain,
            *trackers,
            *sight.places,
        )

    def _point_at(self, dossier: Memo) -> None:
        """Have what is the actor's own point at its dossier, where it does not point elsewhere."""
        for usage in self.telling:
            memo = recall(self.book, usage.key)
            if memo is None or self.sight.is_list:
                continue
            if not home_of(memo["activity"], self.book):
                self.book.put(usage.key, {**memo, "activity": dossier["id"], "own": usage.strong})
        like = self.memo.get("like")
        if like and self.memo["activity"] == dossier["id"]:
            imitated = dict(recall(self.book, IMITATED) or {})
            known = imitated.get(like[0], "")
            if not home_of(known, self.book) or is_harmless(known, self.book):
                imitated.pop(like[0], None)
                imitated[like[0]] = dossier["id"]
                self.book.put(IMITATED, dict(list(imitated.items())[-_MAX_IMITATED:]))

    def _suspect(self, dossier: Memo) -> None:
        """Take its history's credit from a sender under suspicion, and have its look-alikes known."""
        if not dossier["alerted"] or dossier["partner"] or dossier["verdict"] == "benign":
            return
        if self.sight.sender_domain in self.settings.own_domains:
            return
        self.memo = {**self.memo, "suspect": True}
        if (
            self.may_file
            and not self.memo.get("filed")
            and filed_as_actor(self.sender, dossier["id"], self.book)
        ):
            self.memo["filed"] = True

    def _learn(self, dossier: Memo, scored: Scored) -> Memo:
        """Note tracking that somebody built and that is met for the first time."""
        if not dossier["shown"] or scored.score < _LEARNED_SCORE:
            return dossier
        sight = self.sight
        for each in self.found:
            tracker = each.tracker
            told = digest("learned", sight.organisation, tracker.template, tracker.vector)
            is_new = each.facts["private"] and told not in dossier["learned"]
            if not is_new or len(dossier["learned"]) >= MAX_LEARNED:
                continue
            dossier = {**dossier, "learned": [*dossier["learned"], told]}
            self.learned.append(
                LearnedTracker(
                    told, sight.organisation, tracker.template, tracker.host, tracker.domain, sight.at, sight.at,
                    tracker.kinds, tracker.vector, each.attribution, 1, sight.people,
                )
            )  # fmt: skip
        return dossier

    def _follow_up(self, ties: Ties) -> Memo | None:
        """Write down mail of a known actor that carries no tracker."""
        sight, book = self.sight, self.book
        by_thread = [
            home_of((recall(book, key("thread", each)) or {}).get("activity", ""), book)
            for each in sight.threads
        ]
        places = [_pointer(key("domain", each), self.sender, book) for each in self._strange_places()]
        by_place = [home_of(each, book) for each in places]
        reasons = (
            *((each, "writes again") for each in ties.activities if not ties.carried),
            *((each, "writes, naming a place that probes reported to") for each in by_place),
            *((each, "goes on with a conversation that a probe began") for each in by_thread),
        )
        for name, because in reasons:
            dossier = recall(book, key("activity", name)) if name else None
            if dossier is None or not self._is_of(dossier):
                continue
            dossier = with_personal(with_follow_up(dossier, sight), sight, self._names())
            scored, aim = self._score(dossier)
            if self._is_alarming(dossier, is_answer=name in by_thread):
                dossier, self.alerts = with_follow_up_alert(dossier, sight, scored, because, self.settings)
            book.put(key("activity", name), dossier)
            self.activities.append(activity_from(dossier, sight.organisation, scored, aim, self.settings))
            return dossier
        return None

    def _strange_places(self) -> Sequence[str]:
        """Return the domains that the message refers to and that are nobody's whom we know.

        A mailing that names one has rented of the same vendor: nobody comes back to one person by a mailing.
        """
        if self.established or self.sight.is_list:
            return ()
        return [
            each for each in self.sight.places if not self._is_anothers(each) and not is_shared_domain(each)
        ]

    def _is_alarming(self, dossier: Memo, *, is_answer: bool) -> bool:
        """Tell whether mail without a tracker is worth an alert: a correspondent's honest mail goes on as ever."""
        if not self.memo.get("submitted_before") and not dossier["partner"]:
            return True
        elsewhere = self.sight.reply_domain not in ("", self.sight.sender_domain)
        return elsewhere or (is_answer and not self.established)

    def _is_of(self, dossier: Memo) -> bool:
        """Tell whether mail without a tracker is worth counting to an actor."""
        if not dossier["shown"] or dossier["verdict"] == "benign" or dossier["top"] < _KNOWN_SCORE:
            return False
        if not self.established:
            return True
        # Of a correspondent, of whom one mailbox was taken over, the others go on writing honest mail.
        author = self.sight.author
        return bool(author) and with_members(dossier["authors"], (author,)) == dossier["authors"]


def _without_bystanders(found: list[Found]) -> list[Found]:
    """Return a message's trackers, those that merely stand beside others as nobody's in particular.

    Anybody can embed anybody's picture. Where one place is told which reader it is and another is not, the other may be
    an innocent's, put there so that it is blocked.
    """
    own = {each.tracker.domain for each in found if each.facts["private"]}
    telling = {
        each.tracker.domain for each in found if each.facts["private"] and "*" in each.tracker.template
    }
    if not telling or telling == own:
        return found
    nothing = {"private": 0.0, "foreign": 0.0, "own_names": 0.0}
    return [
        replace(each, facts={**each.facts, **nothing}, is_beside=True)
        if each.facts["private"] and each.tracker.domain not in telling
        else each
        for each in found
    ]


def _pointer(place: str, sender: str, book: Book) -> str:
    memo = recall(book, place)
    return "" if memo is None or is_shared(memo, sender) else str(memo["activity"])
