"""The message to try the gateway with: an ordinary newsletter, full of what such newsletters carry."""

from __future__ import annotations

import quopri
import re
import secrets
from email.utils import formatdate
from importlib import resources

from mailveil.adapters.nexthop import NextHopSettings, SmtpNextHop
from mailveil.config.values import Endpoint
from mailveil.core.policy import Envelope
from mailveil.ports import Reply

SENDER = "bounce-7f3a91@newsletter.example"
RECIPIENT = "reader@example.org"
ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")
HEADER = """\
From: "Harbour & Hill" <news@newsletter.example>
To: Reader <{recipient}>
Subject: =?utf-8?Q?Your_August_picks_are_here_=E2=98=80?=
Date: {date}
Message-ID: <{identifier}@newsletter.example>
List-Unsubscribe: <https://click.newsletter.example/u/{identifier}>
Disposition-Notification-To: receipts@newsletter.example
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="=_trial"
"""


def trial_message(identifier: str, date: str, recipient: str = RECIPIENT) -> bytes:
    """Return the message, written to ``recipient``. All its hosts are reserved names (RFC 2606) that lead nowhere."""
    files = resources.files("mailveil.app")
    lines = [HEADER.format(identifier=identifier, date=date, recipient=recipient)]
    for name, media_type in (("trial.txt", "text/plain"), ("trial.html", "text/html")):
        body = files.joinpath(name).read_text("utf-8").replace("IDENTIFIER", identifier)
        lines += [
            "--=_trial",
            f"Content-Type: {media_type}; charset=utf-8",
            "Content-Transfer-Encoding: quoted-printable",
            "",
            quopri.encodestring(body.encode()).decode("ascii"),
        ]
    return "\n".join([*lines, "--=_trial--", ""]).replace("\n", "\r\n").encode("ascii")


async def send_trial(server: Endpoint, recipient: str = "") -> Reply:
    """Send the message to ``recipient`` through the mail server at ``server`` and return its reply.

    Raises ``ValueError`` where ``recipient`` is no address in plain letters.
    """
    recipient = recipient or RECIPIENT
    if not ADDRESS.fullmatch(recipient):
        raise ValueError(f"{recipient!r} is no address such as {RECIPIENT}")
    settings = NextHopSettings(server.host, server.port, "localhost", timeout_s=120, final_timeout_s=120)
    hop = SmtpNextHop(settings)
    raw = trial_message(secrets.token_hex(8), formatdate(localtime=True), recipient)
    try:
        transaction, reply = await hop.begin(Envelope(sender=SENDER), len(raw))
        if transaction is None:
            return reply
        reply = await transaction.recipient(recipient)
        if reply.is_positive:
            reply = await transaction.deliver(raw)
        transaction.close()
        return reply
    finally:
        await hop.close()
