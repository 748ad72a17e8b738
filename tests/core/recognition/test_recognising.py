"""Recognising: mail of a known actor by each sign there is, and everything that must not be taken for one."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.recognition.freemail import is_free_mail
from mailveil.core.recognition.keys import actor_keys, mailbox_digest, message_keys, thread_digest
from mailveil.core.recognition.lookalike import looks_like
from mailveil.core.recognition.recognising import index_of, recognise, recognised_as
from mailveil.core.recognition.shared import is_shared_domain, is_shared_host, owned_domains
from mailveil.core.recognition.types import (
    KnownActor,
    KnownBy,
    MessageTraits,
    Watchlist,
    recognition_of,
    watchlist_of,
)

OWN = frozenset({"contoso.example", "contoso.com"})
ACTOR = KnownActor(
    activity="a1",
    actor="fabrikam-billing.com",
    first_at=1_700_000_000.0,
    last_at=1_700_100_000.0,
    score=0.8,
    sender_domains=frozenset({"fabrikam-billing.com", "contoso-invoices.com", "gmail.com", "sendgrid.net"}),
    reply_domains=frozenset({"quick-answers.net"}),
    tracker_domains=frozenset({"pixelhost-zwei.org", "cloudfront.net", "google.com"}),
    tracker_hosts=frozenset({"t.pixelhost-zwei.org", "d1abc.cloudfront.net", "fonts.gstatic.com"}),
    threads=frozenset({thread_digest("<one@fabrikam-billing.com>")}),
    mailboxes=frozenset({mailbox_digest("Jane.Doe+x@gmail.com")}),
)
INDEX = index_of(Watchlist("default", (ACTOR,), OWN))

KNOWN = [
    (MessageTraits(author_domain="fabrikam-billing.com"), KnownBy.SENDER_DOMAIN),
    (MessageTraits(author_domain="other.org", sender_domain="fabrikam-billing.com"), KnownBy.SENDER_DOMAIN),
    (
        MessageTraits(author_domain="gmail.com", mailbox=mailbox_digest("janedoe@googlemail.com")),
        KnownBy.MAILBOX,
    ),
    (MessageTraits(author_domain="other.org", reply_domain="quick-answers.net"), KnownBy.REPLY_DOMAIN),
    (MessageTraits(author_domain="other.org", reply_domain="fabrikam-billing.com"), KnownBy.REPLY_DOMAIN),
    (MessageTraits(author_domain="quick-answers.net"), KnownBy.REPLY_DOMAIN),
    (
        MessageTraits(author_domain="other.org", domains=frozenset({"pixelhost-zwei.org"})),
        KnownBy.INFRASTRUCTURE,
    ),
    (MessageTraits(author_domain="pixelhost-zwei.org"), KnownBy.INFRASTRUCTURE),
    (
        MessageTraits(author_domain="other.org", hosts=frozenset({"d1abc.cloudfront.net"})),
        KnownBy.INFRASTRUCTURE,
    ),
    (
        MessageTraits(author_domain="other.org", domains=frozenset({"fabrikam-billing.com"})),
        KnownBy.INFRASTRUCTURE,
    ),
    (MessageTraits(author_domain="other.org", threads=ACTOR.threads), KnownBy.THREAD),
    (MessageTraits(author_domain="fabrikam-billing.net"), KnownBy.LOOK_ALIKE),
    (MessageTraits(author_domain="fabrlkam.com"), KnownBy.LOOK_ALIKE),
    # It wrote from contoso-invoices.com, so what it imitates is contoso.com.
    (MessageTraits(author_domain="c0ntoso.org"), KnownBy.LOOK_ALIKE),
    # Anybody can claim to be one of ours.
    (MessageTraits(author_domain="contoso.com", reply_domain="quick-answers.net"), KnownBy.REPLY_DOMAIN),
    (MessageTraits(author_domain="contoso.com", sender_domain="fabrikam-billing.com"), KnownBy.SENDER_DOMAIN),
]
UNKNOWN = [
    MessageTraits(),
    MessageTraits(author_domain="other.org"),
    MessageTraits(author_domain="gmail.com", sender_domain="gmail.com"),
    MessageTraits(author_domain="gmail.com", mailbox=mailbox_digest("john.doe@gmail.com")),
    MessageTraits(author_domain="other.org", sender_domain="sendgrid.net"),
    MessageTraits(author_domain="other.org", domains=frozenset({"cloudfront.net", "google.com"})),
    MessageTraits(author_domain="other.org", hosts=frozenset({"fonts.gstatic.com"})),
    MessageTraits(author_domain="other.org", threads=ACTOR.threads, is_list=True),
    # Our own people forward and answer.
    MessageTraits(author_domain="contoso.com", domains=frozenset({"pixelhost-zwei.org"})),
    MessageTraits(author_domain="contoso.com", threads=ACTOR.threads, reply_domain="contoso.com"),
    MessageTraits(author_domain="contoso.example"),
]


@pytest.mark.parametrize(("traits", "known_by"), KNOWN)
def test_a_known_actor_is_recognised(traits, known_by):
    recognition = recognise(INDEX, traits)
    assert recognition is not None
    assert (recognition.activity, recognition.known_by) == ("a1", known_by)
    assert recognition.first_at == ACTOR.first_at
    assert recognition.words
    assert actor_keys(ACTOR, OWN) & message_keys(traits)


@pytest.mark.parametrize("traits", UNKNOWN)
def test_nobody_is_recognised_by_what_everybody_uses(traits):
    assert recognise(INDEX, traits) is None
    assert recognised_as(ACTOR, traits, OWN) is None


def test_the_surest_sign_and_the_surest_actor_are_told():
    traits = MessageTraits(
        author_domain="fabrikam-billing.com", threads=ACTOR.threads, domains=frozenset({"pixelhost-zwei.org"})
    )
    confirmed = replace(ACTOR, activity="a2", confirmed=True, score=0.5)
    worse = replace(ACTOR, activity="a3", score=0.9)
    both = recognise(index_of(Watchlist("default", (worse, ACTOR, confirmed), OWN)), traits)
    assert both is not None
    assert (both.activity, both.known_by, both.confirmed) == ("a2", KnownBy.SENDER_DOMAIN, True)
    by_score = recognise(index_of(Watchlist("default", (ACTOR, worse), OWN)), traits)
    assert by_score is not None
    assert by_score.activity == "a3"


FORGER = replace(
    ACTOR,
    sender_domains=frozenset({"innocent-partner.com", "contoso-invoices.com"}),
    claimed_domains=frozenset({"innocent-partner.com", "contoso-invoices.com"}),
)
INNOCENT = MessageTraits(author_domain="innocent-partner.com", sender_domain="innocent-partner.com")


def test_a_forged_sender_has_nobody_warned_of_mail_that_its_owner_proves():
    """Whoever writes in the name of a partner must not make that partner's own mail look like a spy's."""
    index = index_of(Watchlist("default", (FORGER,), OWN))
    for traits in (
        replace(INNOCENT, is_proven=True),
        replace(INNOCENT, author_domain="innocent-partner.net", is_proven=True),
        MessageTraits(author_domain="other.org", domains=frozenset({"innocent-partner.com"})),
        MessageTraits(author_domain="other.org", reply_domain="innocent-partner.com"),
        MessageTraits(author_domain="innocent-partner.net"),
    ):
        assert recognise(index, traits) is None, traits
    again = recognise(index, INNOCENT)
    assert again is not None
    assert again.words == "mail claimed to come from innocent-partner.com before, to spy on its readers"


def test_what_else_a_forger_has_still_tells_of_it():
    index = index_of(Watchlist("default", (FORGER,), OWN))
    for traits, known_by in (
        (replace(INNOCENT, is_proven=True, reply_domain="quick-answers.net"), KnownBy.REPLY_DOMAIN),
        (
            replace(INNOCENT, is_proven=True, domains=frozenset({"pixelhost-zwei.org"})),
            KnownBy.INFRASTRUCTURE,
        ),
        (MessageTraits(author_domain="c0ntoso.org", is_proven=True), KnownBy.LOOK_ALIKE),
        (MessageTraits(author_domain="contoso-invoices.com", is_proven=True), KnownBy.SENDER_DOMAIN),
    ):
        found = recognise(index, traits)
        assert found is not None, traits
        assert found.known_by == known_by
    confirmed = index_of(Watchlist("default", (replace(FORGER, confirmed=True),), OWN))
    assert recognise(confirmed, replace(INNOCENT, is_proven=True)) is not None


def test_a_message_is_compared_with_few_of_very_many_actors():
    """Actors with many domains, of an organisation with many: no pair of these is compared for each message."""
    own = frozenset(f"ourcompany{number:03d}branch.com" for number in range(40))
    actors = tuple(
        replace(
            ACTOR,
            activity=f"a{number}",
            sender_domains=frozenset(f"spy{number:03d}of{each:02d}letters.com" for each in range(20)),
            tracker_domains=frozenset({"pixelhost-zwei.org"}),
        )
        for number in range(300)
    )
    index = index_of(Watchlist("default", actors, own))
    before = looks_like.cache_info().misses
    assert recognise(index, MessageTraits(author_domain="nobody-of-them.com")) is None
    found = recognise(index, MessageTraits(author_domain="pixelhost-zwei.org"))
    assert found is not None
    assert looks_like.cache_info().misses - before < 100


def test_a_watchlist_is_written_down_and_read_again():
    watchlist = Watchlist("default", (ACTOR,), OWN, "7")
    assert watchlist_of(json.loads(json.dumps(watchlist.record()))) == watchlist


def test_a_recognition_is_written_down_and_read_again():
    recognition = recognise(INDEX, KNOWN[0][0])
    assert recognition is not None
    assert recognition_of(json.loads(json.dumps(recognition.record()))) == recognition


def test_an_empty_watchlist_recognises_nobody():
    assert recognise(index_of(Watchlist("default")), KNOWN[0][0]) is None


@pytest.mark.parametrize(
    "domain",
    ["gmail.com", "yahoo.co.uk", "hotmail.fr", "gmx.net", "outlook.com", "web.de", "proton.me", "Mail.RU"],
)
def test_free_mail(domain):
    assert is_free_mail(domain)
    assert is_shared_domain(domain)


@pytest.mark.parametrize(
    "domain", ["contoso.com", "yahoo.contoso.com", "live.support", "outlook-help.com", "com", ""]
)
def test_no_free_mail(domain):
    assert not is_free_mail(domain)


def test_what_serves_everybody_is_shared_and_a_host_below_it_is_not():
    for domain in ("sendgrid.net", "list-manage.com", "sharepoint.com", "github.io", "co.uk", "com", ""):
        assert is_shared_domain(domain), domain
    for domain in ("contoso.com", "192.0.2.1"):
        assert not is_shared_domain(domain), domain
    for host in ("sharepoint.com", "www.google.com", "*.sendgrid.net", "fonts.gstatic.com", ""):
        assert is_shared_host(host), host
    for host in ("evil.sharepoint.com", "someone.github.io", "*.contoso.com", "contoso.com", "192.0.2.1"):
        assert not is_shared_host(host), host


def test_who_receives_mail_below_a_domain_owns_it():
    assert owned_domains(["Mail.Contoso.com", "contoso.example"]) == {
        "mail.contoso.com",
        "contoso.com",
        "contoso.example",
    }
    assert owned_domains(["contoso.onmicrosoft.com", "contoso.co.uk", ""]) == {
        "contoso.onmicrosoft.com",
        "contoso.co.uk",
    }


def test_digests_stand_for_what_they_are_made_of():
    assert thread_digest("<a@b>") == thread_digest(" a@b ") != thread_digest("<a@c>")
    assert thread_digest("") == mailbox_digest("") == mailbox_digest("nobody") == ""
    assert (
        mailbox_digest("J.Doe@web.de") == mailbox_digest("j.doe+news@WEB.de") != mailbox_digest("jdoe@web.de")
    )


DOMAINS = st.sampled_from(
    [
        "fabrikam-billing.com", "fabrikam.com", "fabrikan.com", "contoso.com", "c0ntoso.net", "gmail.com",
        "other.org", "quick-answers.net", "pixelhost-zwei.org", "google.com",
    ]
)  # fmt: skip
SETS = st.frozensets(DOMAINS, max_size=3)


@given(
    st.builds(
        KnownActor,
        activity=st.just("x"),
        actor=st.just(""),
        first_at=st.just(0.0),
        last_at=st.just(0.0),
        score=st.just(0.5),
        sender_domains=SETS,
        reply_domains=SETS,
        tracker_domains=SETS,
        tracker_hosts=SETS,
        threads=st.frozensets(st.sampled_from("ab"), max_size=1),
        claimed_domains=SETS,
    ),
    st.builds(
        MessageTraits,
        author_domain=DOMAINS | st.just(""),
        sender_domain=DOMAINS | st.just(""),
        reply_domain=DOMAINS | st.just(""),
        domains=SETS,
        hosts=SETS,
        threads=st.frozensets(st.sampled_from("ab"), max_size=1),
        is_proven=st.booleans(),
    ),
)
def test_what_is_recognised_is_found_by_its_keys(actor, traits):
    if recognised_as(actor, traits, OWN):
        assert actor_keys(actor, OWN) & message_keys(traits)
        assert recognise(index_of(Watchlist("default", (actor,), OWN)), traits) is not None
