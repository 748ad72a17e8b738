"""Operators: what the open-tracking addresses of mail services look like, as data with its source.

Every shape is a fact about addresses: a host suffix, a beginning of the path, a word in path or query. Shapes
without a host are those that services use under their customers' own host names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mailveil.core.verdicts.types import Kind, Operator

# Where many of these shapes are collected in public.
SPY_PIXEL_LIST: Final = "https://gist.github.com/dhh/360f4dc7ddbce786f8e82b97cdad9d20"
BLOCKER_LIST: Final = "https://github.com/apparition47/MailTrackerBlocker"
TROCKER_LIST: Final = "https://github.com/trockerapp/trocker"
PHISHING_POT: Final = "https://github.com/rf-peixoto/phishing_pot"


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape of tracking address. Empty criteria hold for anything; all that are given must hold."""

    name: str
    source: str
    host: str = ""  # the host itself or what it ends in after a dot
    path: str = ""  # what the path begins with, or, without a host, contains
    also: str = ""  # what the path and query also contain
    confidence: float = 0.95
    kind: Kind = Kind.OPEN


SHAPES: Final = (
    Shape("Twilio SendGrid", "https://www.twilio.com/docs/sendgrid/ui/account-and-settings/tracking",
          host="sendgrid.net", path="/wf/open"),
    Shape("Twilio SendGrid", "https://www.twilio.com/docs/sendgrid/ui/account-and-settings/tracking",
          path="/wf/open", also="upn=", confidence=0.9),
    Shape("Twilio SendGrid", BLOCKER_LIST, path="/ss/o/", also="/ho.gif", confidence=0.85),
    Shape("Amazon SES", "https://docs.aws.amazon.com/ses/latest/dg/configure-custom-open-click-domains.html",
          host="awstrack.me", path="/I0/"),
    Shape("Amazon SES", "https://docs.aws.amazon.com/ses/latest/dg/configure-custom-open-click-domains.html",
          host="awstrack.me"),
    Shape("Amazon SES", PHISHING_POT, path="/CI0/01", confidence=0.85),
    Shape("Amazon SES", PHISHING_POT, path="/CI1/01", confidence=0.85),
    Shape("Mailgun",
          "https://documentation.mailgun.com/docs/mailgun/user-manual/tracking-messages/tracking-opens",
          host="mailgun.org", path="/o/"),
    Shape("Mailgun",
          "https://documentation.mailgun.com/docs/mailgun/user-manual/tracking-messages/tracking-opens",
          path="/o/eJw", confidence=0.85),
    Shape("SparkPost", "https://support.sparkpost.com/docs/tech-resources/open-pixel-location",
          path="/q/", also="~~/", confidence=0.9),
    Shape("Mailchimp", SPY_PIXEL_LIST, host="list-manage.com", path="/track/open.php"),
    Shape("Mailchimp Transactional", SPY_PIXEL_LIST, host="mandrillapp.com", path="/track/open.php"),
    Shape("HubSpot", SPY_PIXEL_LIST, host="hubspotemail.net", path="/e"),
    Shape("HubSpot", SPY_PIXEL_LIST, host="hubspotfree.net", path="/e"),
    Shape("HubSpot", TROCKER_LIST, host="t.sidekickopen01.com"),
    Shape("Salesforce Marketing Cloud", BLOCKER_LIST, path="/open.aspx", also="ffcb10-", confidence=0.95),
    Shape("Salesforce Marketing Cloud", BLOCKER_LIST, path="/open.aspx", confidence=0.7),
    Shape("Salesforce Marketing Cloud", SPY_PIXEL_LIST, host="igodigital.com"),
    Shape("Salesforce", PHISHING_POT, path="/servlet/servlet.ImageServer", also="esid=", confidence=0.9),
    Shape("Adobe Campaign", PHISHING_POT, path="/r/", also="id=h", confidence=0.7),
    Shape("Adobe Marketo Engage", SPY_PIXEL_LIST, path="/trk", also="?t=", confidence=0.5),
    Shape("Oracle Eloqua", BLOCKER_LIST, path="/e/FooterImages/FooterImage", confidence=0.9),
    Shape("Oracle Responsys", BLOCKER_LIST, path="/pub/as", also="_ri_=", confidence=0.9),
    Shape("Campaign Monitor", BLOCKER_LIST, path="/t/", also="/o.gif", confidence=0.75),
    Shape("Constant Contact", SPY_PIXEL_LIST, host="rs6.net", path="/on.jsp"),
    Shape("Constant Contact", PHISHING_POT, host="roving.com", path="/roving/sa/o.jsp"),
    Shape("ActiveCampaign", SPY_PIXEL_LIST, path="/lt.php", also="l=open", confidence=0.95),
    Shape("ActiveCampaign", PHISHING_POT, path="/Prod/link-tracker", also="l=o", confidence=0.9),
    Shape("Customer.io", PHISHING_POT, host="customeriomail.com", path="/e/o/"),
    Shape("Customer.io", PHISHING_POT, path="/e/o/eyJ", confidence=0.85),
    Shape("Iterable", PHISHING_POT, path="/e/eo", also="_t=", confidence=0.9),
    Shape("Twilio SendGrid", BLOCKER_LIST, path="/mpss/o/", confidence=0.8),
    Shape("Mailjet", SPY_PIXEL_LIST, host="mjt.lu", path="/oo/"),
    Shape("Mailjet", BLOCKER_LIST, path="/oo/", also=".gif", confidence=0.6),
    Shape("Brevo", BLOCKER_LIST, path="/tr/op/", confidence=0.85),
    Shape("Brevo", BLOCKER_LIST, path="/mk/op/", confidence=0.8),
    Shape("GetResponse", PHISHING_POT, path="/open.html", also="&mc=", confidence=0.9),
    Shape("AWeber", SPY_PIXEL_LIST, host="openrate.aweber.com"),
    Shape("Kit", SPY_PIXEL_LIST, host="convertkit-mail.com"),
    Shape("Kit", BLOCKER_LIST, host="open.convertkit-mail2.com"),
    Shape("Kit", PHISHING_POT, host="open.convertkit-mail4.com"),
    Shape("Substack", PHISHING_POT, host="eotrx.substackcdn.com", path="/open"),
    Shape("Intercom", SPY_PIXEL_LIST, host="via.intercom.io", path="/o"),
    Shape("Benchmark Email", BLOCKER_LIST, host="bmetrack.com", path="/c/o"),
    Shape("Postmark", SPY_PIXEL_LIST, host="pstmrk.it", path="/open"),
    Shape("Zoho", PHISHING_POT, host="maillist-manage.com", path="/click/", also="/open.gif"),
    Shape("Emarsys", SPY_PIXEL_LIST, host="emarsys.com", path="/e2t/o/"),
    Shape("Aurea", BLOCKER_LIST, path="/db/", also="/1.gif", confidence=0.7),
    Shape("Elastic Email", PHISHING_POT, path="/tracking/open", also="msgid=", confidence=0.85),
    Shape("Litmus", SPY_PIXEL_LIST, host="emltrk.com", kind=Kind.DWELL),
    Shape("Validity", SPY_PIXEL_LIST, host="returnpath.net"),
    Shape("Validity", BLOCKER_LIST, host="pixel.inbox.exacttarget.com"),
    Shape("LiveIntent", BLOCKER_LIST, path="/imp", also="&stpe=", confidence=0.85),
    Shape("Movable Ink", BLOCKER_LIST, path="/p/up/", also="mi_u=", kind=Kind.LOCATION),
    Shape("Yesware", TROCKER_LIST, host="t.yesware.com"),
    Shape("Mailtrack", SPY_PIXEL_LIST, host="mailtrack.io", path="/trace/"),
    Shape("Mixmax", BLOCKER_LIST, host="mixmax.com", path="/api/track/"),
    Shape("Streak", SPY_PIXEL_LIST, host="mailfoogae.appspot.com"),
    Shape("Superhuman", SPY_PIXEL_LIST, host="r.superhuman.com"),
    Shape("Boomerang", SPY_PIXEL_LIST, host="mailstat.us", path="/tr"),
    Shape("Bananatag", SPY_PIXEL_LIST, host="bl-1.com"),
    Shape("Cirrus Insight", SPY_PIXEL_LIST, host="tracking.cirrusinsight.com"),
    Shape("ContactMonkey", SPY_PIXEL_LIST, host="contactmonkey.com", path="/api/v1/tracker"),
    Shape("Close", SPY_PIXEL_LIST, host="close.com", path="/email_opened"),
    Shape("Google Analytics",
          "https://developers.google.com/analytics/devguides/collection/protocol/v1/email",
          host="google-analytics.com"),
    Shape("Google", PHISHING_POT, host="notifications.googleapis.com", path="/email/t/"),
    Shape("Meta", BLOCKER_LIST, host="facebook.com", path="/email_open_log_pic.php"),
    Shape("LinkedIn", BLOCKER_LIST, host="linkedin.com", path="/emimp/"),
    Shape("Eventbrite", BLOCKER_LIST, host="eventbrite.com", path="/emails/action/"),
    Shape("Microsoft Dynamics 365", BLOCKER_LIST, host="svc.dynamics.com", path="/t/i/"),
    Shape("MailWizz", "https://www.mailwizz.com/", path="/track-opening/", confidence=0.9),
    Shape("phpList", "https://github.com/phpList/phplist3", path="/ut.php", also="u=", confidence=0.85),
    Shape("listmonk", "https://github.com/knadh/listmonk", path="/campaign/", also="/px.png", confidence=0.9),
    Shape("Odoo", "https://github.com/odoo/odoo", path="/mail/track/", also="/blank.gif", confidence=0.9),
    Shape("CiviCRM", "https://github.com/civicrm/civicrm-core", path="/civicrm/mailing/open"),
    Shape("CiviCRM", "https://github.com/civicrm/civicrm-core", path="/extern/open.php", confidence=0.9),
    Shape("SuiteCRM", "https://github.com/salesagility/SuiteCRM",
          path="/index.php", also="entryPoint=image&identifier=", confidence=0.9),
    Shape("Gophish", "https://github.com/gophish/gophish", path="/track", also="?rid=", confidence=0.9),
)  # fmt: skip

# Hosts that hand the same fonts, icons and libraries to everybody; registrable domains or hosts.
ASSET_HOSTS: Final = frozenset(
    {
        "ajax.aspnetcdn.com", "ajax.googleapis.com", "bootstrapcdn.com", "cdnjs.cloudflare.com",
        "cloud.typography.com", "code.jquery.com", "fonts.bunny.net", "fonts.cdnfonts.com",
        "fonts.googleapis.com", "fonts.gstatic.com", "jsdelivr.net", "schema.org", "ssl.gstatic.com",
        "unpkg.com", "use.fontawesome.com", "use.typekit.net", "w.org", "www.gstatic.com", "www.w3.org",
    }
)  # fmt: skip


def _by_host() -> Mapping[str, tuple[Shape, ...]]:
    found: dict[str, tuple[Shape, ...]] = {}
    for shape in SHAPES:
        if shape.host:
            found[shape.host] = (*found.get(shape.host, ()), shape)
    return found


_BY_HOST: Final = _by_host()
_BY_PATH: Final = tuple((shape.path, shape) for shape in SHAPES if not shape.host)


def find_operator(host: str, target: str) -> Shape | None:
    """Return the shape that an address has, or ``None``.

    ``host`` is lower-case without port, ``target`` path and query as they stand. Takes a time bounded by the
    catalogue and the length of ``target``.
    """
    name = host
    while name:
        for shape in _BY_HOST.get(name, ()):
            if target.startswith(shape.path) and shape.also in target:
                return shape
        name = name.partition(".")[2]
    for path, shape in _BY_PATH:
        if path in target and shape.also in target:
            return shape
    return None


def operator_of(shape: Shape) -> Operator:
    """Return who runs a tracker of this shape."""
    return Operator(shape.name, shape.confidence)
