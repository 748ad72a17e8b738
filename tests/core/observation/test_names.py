"""Names: somebody's name is found in a domain or a mailbox made for them, however it is written; others' are not."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.observation.names import Names
from mailveil.core.observation.privacy import Veil
from mailveil.core.sharing.types import Disclosure
from mailveil.core.sharing.veiling import Organisation, Veiled

ANNA, JUERGEN, NUMBER = "anna.schmidt@acme.example", "jürgen.müller@acme.example", "e1048833@acme.example"
SINGLE, ROLE, CLERK = "lindqvist@acme.example", "invoices@acme.example", "jan.acmeson@acmeson-group.example"
PEOPLE = (ANNA, JUERGEN, NUMBER, SINGLE, ROLE, CLERK)


def digest(name: str, text: str) -> str:
    return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()


MADE_FOR_SOMEBODY = {
    "parts": "anna-schmidt-acme.example",
    "parts the other way round": "schmidt-anna.example",
    "parts joined the other way round": "payschmidtanna.example",
    "initial": "aschmidt.example",
    "initial behind": "schmidta-pay.example",
    "initial parted": "a-schmidt.example",
    "surname and organisation": "acme-schmidt.example",
    "surname below a platform": "schmidt.github.io",
    "below a public suffix of two labels": "anna.schmidt.co.uk",
    "mailbox of one part": "lindqvistpay.example",
    "number": "1048833-pay.example",
    "letters without marks": "juergen-mueller.example",
    "letters without dots": "mullerjurgen.example",
    "international": "xn--mller-jrgen-thbg.example",
    "backwards": "tdimhcsanna.example",
    "base32": base64.b32encode(b"anna.schmidt").decode().rstrip("=").lower() + ".example",
    "base64": base64.b64encode(b"anna.schmidt").decode().rstrip("=").lower() + ".example",
    "hexadecimal": b"anna.schmidt".hex() + ".example",
    "MD5 of the mailbox": digest("md5", "anna.schmidt") + ".example",
    "the first of an MD5": digest("md5", ANNA)[:12] + ".example",
    "SHA-1 with capitals": digest("sha1", "Anna.Schmidt@acme.example") + ".example",
    "SHA-256 in capitals": digest("sha256", ANNA.upper())[:63] + ".example",
}
HONEST = (
    "acme-invoices.example", "secure-login.example", "goldschmidtlogistics.example", "smithsonian.example",
    "acmeson-invoices.example", "deadbeefcafe.example", "pay-2026.example", "kx7q2m9v4z.example", "anna.example",
    "annapolis-bank.example", "xn--zz-zz--.example", "news.example.co.uk",
)  # fmt: skip


@pytest.mark.parametrize("form", MADE_FOR_SOMEBODY)
def test_a_domain_made_for_somebody_is_told_without_its_own_label(form: str) -> None:
    domain = MADE_FOR_SOMEBODY[form]
    veiled = Veiled(Disclosure(), Organisation("acme"), PEOPLE)
    for told in (veiled.domain(domain), veiled.host(f"open.{domain}"), veiled.actor(f"info@{domain}")):
        assert "*." in told, told
        assert domain.partition(".")[0] not in told, told
    words = veiled.text(f"{domain} probed two people")
    assert domain.partition(".")[0] not in words
    assert words.endswith("probed two people")
    assert Names(PEOPLE).stand_in(domain)


@pytest.mark.parametrize("domain", HONEST)
def test_other_domains_are_told(domain: str) -> None:
    assert not Names(PEOPLE).stand_in(domain)
    assert Veil(PEOPLE, strict=True).registrable(domain) == domain


@pytest.mark.parametrize(
    "mailbox", ["aschmidt", "schmidtanna", "anna.s.schmidt77", "1048833", "schmidt-a", "mullerj"]
)
def test_a_mailbox_made_for_somebody_is_hidden(mailbox: str) -> None:
    veiled = Veiled(Disclosure(), Organisation("acme"), PEOPLE)
    assert veiled.actor(f"{mailbox}@gmail.com") == "*@gmail.com"


def test_other_mailboxes_are_told() -> None:
    veiled = Veiled(Disclosure(), Organisation("acme"), PEOPLE)
    assert veiled.actor("ceo.office@gmail.com") == "ceo.office@gmail.com"


@given(st.lists(st.text(max_size=80), max_size=5), st.text(max_size=400))
def test_nothing_breaks_it(addresses: list[str], text: str) -> None:
    names = Names(addresses)
    assert names.stand_in(text) in (True, False)


@pytest.mark.parametrize(
    "path", ["an/na/sc/hm/id/t.gif", "s/c/h/m/i/d/t/a/n/n/a", "o.gif?an=1&na=2&sc=3&hm=4&id=5&t=6"]
)
def test_a_name_that_is_spelled_over_a_path_is_hidden(path: str) -> None:
    veiled = Veiled(Disclosure(), Organisation("acme"), PEOPLE)
    assert veiled.template(f"https://spy.example/{path}") == "https://spy.example/*"
    assert (
        veiled.template("https://spy.example/o/p/e/n.gif?a=1&u=2")
        == "https://spy.example/o/p/e/n.gif?a=*&u=*"
    )
