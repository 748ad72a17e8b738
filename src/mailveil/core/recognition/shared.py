"""Shared: domains that serve everybody, by which therefore nobody is known again."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Final

from mailveil.core.recognition.freemail import is_free_mail
from mailveil.core.verdicts.addresses import is_ip_address, registrable_domain
from mailveil.core.verdicts.operators import (
    ASSET_HOSTS,
    catalogue,
    operator_by_authentication,
    operator_of_host,
)

# Where anybody may put files, pages, forms and pictures, or have links shortened, or mail sent in their name.
PLATFORMS: Final = frozenset(
    {
        "123formbuilder.com", "1drv.ms", "adobe.com", "adobesign.com", "airtable.com", "akamaihd.net", "aka.ms",
        "amazon.com", "amazonaws.com", "amazonses.com", "apple.com", "asana.com", "atlassian.net",
        "avatars.githubusercontent.com", "azure.com", "azureedge.net", "backblazeb2.com", "bing.com", "bit.ly",
        "bitly.com", "blogger.com", "box.com", "buff.ly", "calendly.com", "camo.githubusercontent.com", "canva.com",
        "cdn.discordapp.com", "cloudflare.com", "cloudfront.net", "cloudinary.com", "discord.com", "discordapp.com",
        "docs.google.com", "docusign.com", "docusign.net", "drive.google.com", "dropbox.com", "dropboxusercontent.com",
        "evernote.com", "exclaimer.net", "facebook.com", "fbcdn.net", "figma.com", "firebasestorage.googleapis.com",
        "flickr.com", "fonts.googleapis.com", "forms.gle", "forms.office.com", "ggpht.com", "giphy.com", "github.com",
        "githubusercontent.com", "gitlab.com", "google-analytics.com", "google.com", "googleapis.com",
        "googleusercontent.com", "goo.gl", "gravatar.com", "gstatic.com", "hellosign.com", "i.imgur.com", "ibb.co",
        "imgix.net", "imgur.com", "instagram.com", "is.gd", "issuu.com", "jotform.com", "lh3.googleusercontent.com",
        "licdn.com", "linkedin.com", "linktr.ee", "lnkd.in", "mailanyone.net", "media.licdn.com", "medium.com",
        "microsoft.com", "microsoftonline.com", "mimecast.com", "monday.com", "notion.so", "office.com",
        "office365.com", "office.net", "onedrive.com", "onmicrosoft.com", "outlook.com", "ow.ly", "paypal.com",
        "pinterest.com", "postimg.cc", "pphosted.com", "ppe-hosted.com", "proofpoint.com", "qualtrics.com",
        "raw.githubusercontent.com", "rebrand.ly", "res.cloudinary.com", "safelinks.protection.outlook.com",
        "salesforce.com", "scribd.com", "sendspace.com", "sharefile.com", "sharepoint.com", "shopify.com", "slack.com",
        "slideshare.net", "soundcloud.com", "spotify.com", "squarespace.com", "storage.googleapis.com",
        "surveymonkey.com", "t.co", "t.me", "teams.microsoft.com", "telegram.org", "tiktok.com", "tinyurl.com",
        "trello.com", "tumblr.com", "twimg.com", "twitter.com", "typeform.com", "user-images.githubusercontent.com",
        "vimeo.com", "vk.com", "wa.me", "webex.com", "weebly.com", "wetransfer.com", "whatsapp.com", "wikimedia.org",
        "wikipedia.org", "windows.net", "wix.com", "wixstatic.com", "wordpress.com", "wp.com", "www.googleapis.com",
        "x.com", "xing.com", "yammer.com", "youtu.be", "youtube.com", "ytimg.com", "zendesk.com", "zoom.us",
    }
)  # fmt: skip


def owned_domains(domains: Iterable[str]) -> frozenset[str]:
    """Return an organisation's domains with the registrable ones that they are below, unless these serve many.

    Senders are compared by registrable domain: who receives mail at ``mail.shop.example`` owns ``shop.example``.
    """
    named = {each.strip().strip(".").lower() for each in domains} - {""}
    above = {registrable_domain(each) for each in named} - {""}
    return frozenset(named | {each for each in above if not is_shared_domain(each)})


@lru_cache(maxsize=8_192)
def is_shared_domain(domain: str) -> bool:
    """Tell whether a registrable domain serves many: free mail, platforms, vendors, public suffixes, nobody at all."""
    domain = domain.strip().strip(".").lower()
    if not domain or is_ip_address(domain):
        return not domain
    if registrable_domain(domain) != domain:
        return True  # what registries, or hosters, let anybody register below
    return domain in PLATFORMS or domain in ASSET_HOSTS or is_free_mail(domain) or _is_vendors(domain)


@lru_cache(maxsize=8_192)
def is_shared_host(host: str) -> bool:
    """Tell whether a host itself serves many; one below a shared domain that has a name of its own does not.

    Of ``*.shop.example``, which stands for hosts made for one reader each, only the domain says whose it is.
    """
    host = host.strip().strip(".").lower()
    domain = registrable_domain(host)
    if is_ip_address(host):
        return False
    if not domain or host in PLATFORMS or host in ASSET_HOSTS:
        return True
    if host in (domain, f"www.{domain}", f"*.{domain}"):
        return is_shared_domain(domain)
    return _is_vendors(host)


@lru_cache(maxsize=8_192)
def _is_vendors(name: str) -> bool:
    if operator_of_host(name) is not None or operator_by_authentication((name,)) is not None:
        return True
    return registrable_domain(name) in _vendors_domains()


@cache
def _vendors_domains() -> frozenset[str]:
    """Return the domains at which tracking that somebody sells is known to answer."""
    hosts = (shape.host for shape in catalogue().shapes if shape.host)
    return frozenset(registrable_domain(each.rpartition("*.")[2].replace("#", "1")) for each in hosts) - {""}
