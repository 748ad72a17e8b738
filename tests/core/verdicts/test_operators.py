"""The catalogue of operators as it ships.

Setup: the data files of the catalogue.
Test: every fact has a source, every shape is hit by its example and by no honest address, and names, signatures,
name servers and header fields lead to their operator.
"""

from __future__ import annotations

import json
import re
from importlib import resources

import pytest

from mailveil.core.verdicts import operators
from mailveil.core.verdicts.addresses import take_apart
from mailveil.core.verdicts.operators import (
    ASSET_HOSTS,
    Facet,
    Shape,
    catalogue,
    find_operator,
    operator_by_authentication,
    operator_by_cname,
    operator_by_fields,
    operator_by_nameserver,
    operator_of,
    operator_of_host,
)

SHAPES = catalogue().shapes
ENTRIES = catalogue().entries

# What honest newsletters load: logos, pictures of content networks and mail services, fonts, resized, signed and
# personalised pictures, spacers, cache busters. No service's counter among them.
HONEST = (
    "https://www.example.com/images/logo.png",
    "https://cdn.example.com/mail/2024/05/header@2x.jpg",
    "https://static.example.com/newsletter/spacer.gif",
    "https://static.example.com/email/open-house/hero.jpg",
    "https://www.example.com/img/tracking-shoes/blue.png",
    "https://www.example.com/track/1500m/final.jpg",
    "https://www.example.com/email/newsletter_header_top.gif",
    "https://www.example.com/t/shirts/blue.jpg",
    "https://www.example.com/o/outlet/banner.gif",
    "https://www.example.com/q/quiz/1.png",
    "https://www.example.com/campaign/summer/px.png",
    "https://www.example.com/open/day/2024/image.gif",
    "https://www.example.com/links/about/team/press",
    "https://fonts.googleapis.com/css2?family=Open+Sans:wght@400;700",
    "https://fonts.gstatic.com/s/roboto/v30/KFOmCnqEu92Fr1Mu4mxK.woff2",
    "https://mcusercontent.com/1f2e3d4c5b6a79880f1e2d3c4/images/9a8b7c6d-1111-2222-3333-444455556666.png",
    "https://gallery.mailchimp.com/1f2e3d4c5b6a79880f1e2d3c4/images/header.jpg",
    "https://cdn-images.mailchimp.com/icons/social-block-v2/color-facebook-48.png",
    "https://d3k81ch9hvuctc.cloudfront.net/company/Ab12Cd/images/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0.png",
    "https://img.stat-pulse-pictures.example/logo.png",
    "https://marketing-image-production.s3.amazonaws.com/uploads/0f1e2d3c4b5a69788796a5b4c3d2e1f0.png",
    "https://i.ytimg.com/vi/dQw4w9WgXcQ/hqdefault.jpg",
    "https://images.unsplash.com/photo-1500000000000-0123456789ab?auto=format&fit=crop&w=1200&q=80",
    "https://lh3.googleusercontent.com/a-/AOh14Gg1234567890abcdef=s96-c",
    "https://ci3.googleusercontent.com/proxy/abcdefghijklmnop=s0-d-e1-ft",
    "https://res.cloudinary.com/demo/image/upload/c_fill,w_600/v1700000000/sample.jpg",
    "https://ik.imagekit.io/demo/tr:w-600,h-300/banner.jpg",
    "https://images.example-cdn.com/resize?url=https%3A%2F%2Fshop.example%2Fa.jpg&w=600&h=400&sig=0f1e2d3c4b5a6978",
    "https://bucket.s3.eu-west-1.amazonaws.com/mail/hero.png?X-Amz-Signature=0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "https://d1a2b3c4d5e6f7.cloudfront.net/p.jpg?Expires=1700000000&Signature=Ab12~Cd34&Key-Pair-Id=APKA1234",
    "https://cdn.shopify.com/s/files/1/0000/0001/products/shoe_600x.jpg?v=1700000000",
    "https://coupons.example.com/render/barcode/4006381333931.png",
    "https://www.facebook.com/images/email/logo.png",
    "https://static.xx.fbcdn.net/rsrc.php/v3/y4/r/abc123.png",
    "https://static.licdn.com/sc/p/com.linkedin.email/logo.png",
    "https://www.linkedin.com/in/somebody",
    "https://github.githubassets.com/images/email/global/wordmark.png",
    "https://github.com/example/project/raw/main/logo.png",
    "https://www.dropbox.com/static/images/emails/logo.png",
    "https://www.google.com/images/branding/product/1x/gsa_512dp.png",
    "https://www.gstatic.com/images/icons/material/system/1x/x.png",
    "https://m.media-amazon.com/images/G/01/outbound/logo._CB1234_.png",
    "https://www.amazon.com/images/I/71abcdef.jpg",
    "https://www.paypalobjects.com/digitalassets/c/logo.png",
    "https://abs.twimg.com/emails/logo.png",
    "https://pbs.twimg.com/profile_images/123/abc_normal.jpg",
    "https://assets.nflxext.com/us/email/gem/nflx.png",
    "https://www.hubspot.com/hubfs/logo.png",
    "https://f.hubspotusercontent10.net/hubfs/123456/hero.jpg",
    "https://image.e.example.com/lib/fe9157707064/m/1/header.jpg",
    "https://files.constantcontact.com/0f1e2d3c001/4b5a6978-8796-a5b4-c3d2-e1f00f1e2d3c.jpg",
    "https://imgssl.constantcontact.com/letters/images/sys/S.gif",
    "https://eocampaign1.com/web-assets/logo.png",
    "https://userimg-assets.customeriomail.com/images/client-env-1/logo.png",
    "https://braze-images.com/appboy/communication/assets/image_assets/images/0f1e2d3c/original.png",
    "https://cdn.braze.eu/appboy/communication/assets/image_assets/images/0f1e/original.jpg",
    "https://substackcdn.com/image/fetch/w_1100,c_limit,f_jpg/https%3A%2F%2Fbucket.example%2F1.png",
    "https://media.beehiiv.com/cdn-cgi/image/fit=scale-down,width=800/uploads/asset/file/0f1e/logo.png",
    "https://embed.filekitcdn.com/e/abc/def/email",
    "https://secure.gravatar.com/avatar/0f1e2d3c4b5a69788796a5b4c3d2e1f0?s=50&d=mm",
    "https://i0.wp.com/example.wordpress.com/2024/05/photo.jpg?w=600",
    "https://s0.wp.com/i/email/logo.png",
    "https://s3.amazonaws.com/appforest_uf/f1700000000x123456789/logo.png",
    "https://www.salesforce.com/content/dam/web/logo.svg",
    "https://shop.my.salesforce.com/servlet/servlet.ImageServer?id=015000000000abc&oid=00D000000000abc",
    "https://image.mail.example.com/lib/11/spacer.gif",
    "https://ui.benchmarkemail.com/images/editor/socialicons/fb_btn.png",
    "https://trello-members.example/e/about.png",
    "https://www.odoo.example/web/image/123/logo.png",
    "https://erp.example/mass_mailing/static/src/img/snippets_options/blank.gif",
    "https://www.sncf.example/campaigns/summer/hero.jpg",
    "https://crm.example.com/?entryPoint=LogoImage&id=5f3e50a5f37da9fb0",
    "https://cdn.mcauto-images-production.sendgrid.net/0f1e2d3c4b5a6978/0f1e2d3c-4b5a-6978/600x200.png",
)


def shapes_of(url: str) -> Shape | None:
    place = take_apart(url)
    return find_operator(place.host, place.target)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.name} {shape}")
def test_example_has_its_shape(shape: Shape) -> None:
    found = shapes_of(shape.example)
    assert found is not None
    assert found.name == shape.name
    assert re.search(r"@(?!shop\.example)", shape.example) is None, "an example holds nobody's address"


@pytest.mark.parametrize("url", HONEST)
def test_honest_address_has_no_shape(url: str) -> None:
    found = shapes_of(url)
    assert found is None, f"{found}"


def test_asset_hosts_have_no_shape() -> None:
    for host in ASSET_HOSTS:
        assert find_operator(host, "/css/open-sans.css") is None


def test_shapes_are_distinct() -> None:
    keys = [(shape.host, shape.path.text, shape.query, shape.has) for shape in SHAPES]
    assert len(keys) == len(set(keys))


def test_catalogue_is_large_and_sourced() -> None:
    assert len(ENTRIES) >= 300
    sourced = {shape.name for shape in SHAPES if shape.verified}
    sourced |= {entry.name for entry in ENTRIES if any(f.verified for fs in entry.facts.values() for f in fs)}
    assert len(sourced) >= 300
    for entry in ENTRIES:
        assert not entry.parent or entry.owner
        assert not entry.owner or entry.owner_source is not None, entry.name
    assert {entry.category for entry in ENTRIES} == set(operators.Category)


def test_most_examples_come_from_elsewhere() -> None:
    apart = [
        shape
        for shape in SHAPES
        if shape.example_source is not None
        and (
            shape.example_source is not shape.source
            or shape.example_source.key in ("observed", "phishing-pot")
        )
    ]
    assert len(apart) >= 0.85 * len(SHAPES)


def test_every_source_is_used_and_said() -> None:
    folder = resources.files("mailveil.core.verdicts.operators")
    used = "".join(
        each.read_text("utf-8")
        for each in folder.iterdir()
        if each.name.endswith(".json") and each.name != "sources.json"
    )
    for key, source in catalogue().sources.items():
        assert f'"{key}"' in used, key
        assert source.address.startswith(("https://", "http://"))


def test_files_are_in_order() -> None:
    """One operator after the other by name, so that a new one has one place."""
    for each in resources.files("mailveil.core.verdicts.operators").iterdir():
        if each.name.endswith(".json") and each.name != "sources.json":
            names = [record["name"].lower() for record in json.loads(each.read_text("utf-8"))]
            assert names == sorted(names), each.name


def test_host_suffix_counts_by_whole_labels() -> None:
    assert find_operator("awstrack.me", "/I0/x") is not None
    assert find_operator("x.y.awstrack.me", "/I0/x") is not None
    assert find_operator("notawstrack.me", "/I0/x") is None
    assert find_operator("awstrack.me.evil.example", "/I0/x") is None
    assert find_operator("", "") is None


def test_number_in_host_stands_for_any_number() -> None:
    for number in (1, 20, 999):
        found = find_operator(f"shop.cmail{number}.com", "/t/i-o-abcdef-ghijklm/o.gif")
        assert found is not None
        assert found.name == "Campaign Monitor"
    assert find_operator("shop.cmail.com", "/t/any/o.gif") is None
    assert find_operator("shop.cmail7.com.example", "/t/any/o.gif") is None


def test_operator_says_what_it_was_known_by() -> None:
    shape = find_operator("shop.us5.list-manage.com", "/track/open.php?u=1&id=2&e=3")
    assert shape is not None
    operator = operator_of(shape)
    assert operator.name == "Mailchimp"
    assert operator.owner == "Intuit"
    assert operator.category == "mail-service"
    assert operator.verified
    assert "list-manage.com/track/open.php" in operator.evidence
    assert operator.source.startswith("https://github.com/")


def test_alias_leads_to_its_operator() -> None:
    found = operator_by_cname(["links.shop.example", "alias.cdn.example", "eu.spgo.io."])
    assert found is not None
    assert (found.name, found.verified) == ("SparkPost", True)
    assert found.evidence == "the host is an alias for eu.spgo.io"
    marketo = operator_by_cname(["mkto-sj300123.com"])
    assert marketo is not None
    assert marketo.name == "Adobe Marketo Engage"
    assert operator_by_cname(["www.shop.example", "evilspgo.io"]) is None
    assert operator_by_cname([]) is None


def test_unverified_fact_is_less_sure() -> None:
    found = operator_by_cname(["open.sleadtrack.com"])
    assert found is not None
    assert not found.verified
    assert found.confidence <= 0.5
    assert found.source == ""


def test_signature_and_bounce_lead_to_the_mail_service() -> None:
    found = operator_by_authentication(["shop.example", "mail7.atl51.rsgsv.net"])
    assert found is not None
    assert (found.name, found.owner) == ("Mailchimp", "Intuit")
    assert operator_by_authentication(["shop.example"]) is None


def test_header_field_leads_to_the_mail_service() -> None:
    found = operator_by_fields({"from": "a@shop.example", "x-sg-eid": "abc"})
    assert found is not None
    assert found.name == "Twilio SendGrid"
    assert operator_by_fields({"x-mailer": "MailChimp Mailer - **CIDabc**"}) is not None
    assert operator_by_fields({"x-mailer": "Outlook"}) is None
    assert operator_by_fields({}) is None


def test_host_belongs_to_its_operator() -> None:
    found = operator_of_host("img.list-manage.com")
    assert found is not None
    assert found.name == "Mailchimp"
    assert operator_of_host("shop.example") is None
    assert operator_by_nameserver(["ns1.shop.example"]) is None


@pytest.mark.parametrize("facet", [Facet.HOSTS, Facet.CNAMES, Facet.SIGNERS])
def test_every_name_is_found(facet: Facet) -> None:
    asked = {
        Facet.HOSTS: operator_of_host,
        Facet.CNAMES: lambda name: operator_by_cname([name]),
        Facet.SIGNERS: lambda name: operator_by_authentication([name]),
    }[facet]
    for entry in ENTRIES:
        for fact in entry.facts.get(facet, ()):
            found = asked(fact.value.replace("#", "7").replace("-*", "-abc"))
            assert found is not None
            assert found.name == entry.name


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("a." * 5000 + "example", "/a/b?c=1"),
        ("-1" * 120 + ".example", "/a/b?c=1"),
        ("x" * 300, "/" * 100_000),
        ("shop.example", "/a" * 50_000 + "?" + "upn=" * 10_000),
        ("shop.example", "/" + "open-" * 20_000),
        ("shop.example", "/op/" * 25_000),
    ],
)
def test_hostile_address_is_answered(host: str, target: str) -> None:
    assert find_operator(host, target) is None
