"""Recipes: what start-up prints for an administrator to paste."""

from __future__ import annotations

from mailveil.config import Settings
from mailveil.config.values import Endpoint
from mailveil.ports import MailProtocol

PROXY_CONNECTIONS_OF_ONE = 10  # connections of one client at once; each is one to us
REINJECTION = Endpoint("127.0.0.1", 10026)


def reinjection_of(settings: Settings) -> Endpoint:
    """Return where Postfix takes mail back: the next hop, if that is on this machine already."""
    hop = settings.gateway.next_hop
    if hop is not None and hop.protocol is MailProtocol.SMTP and hop.port != 25:
        endpoint = Endpoint(hop.host, hop.port)
        if endpoint.is_loopback:
            return endpoint
    return REINJECTION


def mail_server_recipes(settings: Settings) -> str:
    """Return all recipes, the one to try first at the top."""
    parts = []
    if settings.milter.listen or settings.milter_socket:
        parts += [
            "# Postfix or Sendmail on this machine: as a milter (docs/milter.md)",
            postfix_milter_recipe(settings),
            *sendmail_recipe(settings).splitlines(),
            "",
            "# Or Postfix's content filter: queued twice, and slower by half",
        ]
    return "\n".join([*parts, postfix_recipe(settings)])


def milter_address(settings: Settings) -> str:
    """Return how Postfix on this machine reaches the milter; by TCP, so that chrooted daemons do too."""
    listen = settings.milter.listen
    if listen is None:
        return f"unix:{settings.milter_socket}"
    host = "127.0.0.1" if listen.is_wildcard else listen.host
    return f"inet:{Endpoint(host, listen.port)}"


def postfix_milter_recipe(settings: Settings) -> str:
    """Return the commands that make mailveil a milter of a Postfix (3.0 or newer) on this machine.

    https://www.postfix.org/MILTER_README.html: the last of ``smtpd_milters``, so that what spam filters refuse
    is never fetched from, and signatures are verified before anything changes. While mailveil does not answer,
    clients keep their mail (tempfail).
    """
    options = (
        "protocol=6, default_action=tempfail, connect_timeout=10s, command_timeout=60s, content_timeout=300s"
    )
    lines = [
        "# As root; what smtpd_milters holds already (spam filter, DKIM) stays before mailveil:",
        f'postconf -e "smtpd_milters=$(postconf -h smtpd_milters) {{ {milter_address(settings)}, {options} }}"',
        "postfix reload",
        "# By Unix socket, which is faster: postfix is often in a chroot, so the socket has to be in there:",
        "#   install -d -m 2750 -o THE_USER_OF_MAILVEIL -g postfix /var/spool/postfix/mailveil",
        '#   [milter] socket = "/var/spool/postfix/mailveil/milter.sock" in mailveil.toml',
        f"#   unix:mailveil/milter.sock in place of {milter_address(settings)}",
    ]
    return "\n".join(lines)


def sendmail_recipe(settings: Settings) -> str:
    """Return the line of a Sendmail's ``sendmail.mc``; F=T keeps mail with its sender while we do not answer."""
    listen = settings.milter.listen
    where = f"inet:{listen.port}@127.0.0.1" if listen else f"local:{settings.milter_socket}"
    return (
        "# Sendmail, in sendmail.mc behind the other filters:\n"
        f"#   INPUT_MAIL_FILTER(`mailveil', `S={where}, F=T, T=C:10s;S:60s;R:60s;E:5m')dnl"
    )


def postfix_recipe(settings: Settings) -> str:
    """Return the commands that put mailveil behind a Postfix on this machine, as its content filter.

    https://www.postfix.org/FILTER_README.html: mail from port 25 is queued, handed to us by SMTP and taken
    back on a port of its own, which filters nothing again. Connections are by TCP, so that chrooted daemons
    need nothing more; submission and local mail do not pass here at all. While mailveil does not answer,
    mail stays in Postfix's queue.
    """
    ours, back = _our_address(settings), reinjection_of(settings)
    host = f"[{ours.host}]:{ours.port}"
    lines = [
        "# 1. mailveil gives mail back to Postfix; in mailveil.toml:",
        "#      [gateway]",
        f'#      next_hop = "smtp://{back}"',
        "# 2. Postfix, as root (where postscreen has port 25, write smtpd/pass instead of smtp/inet):",
        'postconf -M mailveil/unix="mailveil unix - - n - 10 smtp"',
        "postconf -P mailveil/unix/smtp_send_xforward_command=yes",
        "postconf -P mailveil/unix/disable_mime_output_conversion=yes",
        *_reinjection_service(back),
        f"postconf -P 'smtp/inet/content_filter=mailveil:{host}'",
        "postfix reload",
        "# To take it out again: postconf -PX smtp/inet/content_filter && postfix reload",
        "# A test sent from this very machine counts as local mail: it passes untouched unless [policy]",
        "# protect_local = true.",
    ]
    return "\n".join(lines)


def postfix_proxy_recipe(settings: Settings) -> str:
    """Return the commands that put mailveil before the queue of a Postfix on this machine.

    https://www.postfix.org/SMTPD_PROXY_README.html: the sender itself is told what the next hop's Postfix says, so
    that nothing has to bounce, and every connection from outside is one to us. With speed_adjust Postfix receives
    the whole message first, so that slow senders do not hold connections of ours.
    """
    ours, back = _our_address(settings), reinjection_of(settings)
    lines = [
        "# 1. mailveil gives mail back to Postfix; in mailveil.toml:",
        "#      [gateway]",
        f'#      next_hop = "smtp://{back}"',
        "# 2. Postfix, as root (where postscreen has port 25, write smtpd/pass instead of smtp/inet):",
        *_reinjection_service(back),
        f"postconf -P 'smtp/inet/smtpd_proxy_filter={ours.host}:{ours.port}'",
        "postconf -P smtp/inet/smtpd_proxy_options=speed_adjust",
        f"postconf -P smtp/inet/smtpd_client_connection_count_limit={PROXY_CONNECTIONS_OF_ONE}",
        "postfix reload",
        "# To take it out again: postconf -PX smtp/inet/smtpd_proxy_filter && postfix reload",
    ]
    return "\n".join(lines)


def relay_recipe(settings: Settings) -> str:
    """Return the settings that put mailveil in front of any mail server, as the one that takes mail from outside.

    The mail server sees every message come from us: it has to believe us about the client where it offers XCLIENT
    or XFORWARD, and must judge nobody by our address.
    """
    server = settings.gateway.next_hop or "smtp://mail.internal.example:25"
    domains = ", ".join(f'"{each}"' for each in settings.gateway.recipient_domains) or '"example.org"'
    return "\n".join(
        [
            "# mailveil.toml, on the machine that the MX record points to:",
            "#      [gateway]",
            '#      listen = "0.0.0.0:25"',
            f'#      next_hop = "{server}"',
            f"#      recipient_domains = [{domains}]",
            '#      next_hop_tls = "must"',
            '#      tls_certificate = "/etc/letsencrypt/live/mx.example.org/fullchain.pem"',
            '#      tls_key = "/etc/letsencrypt/live/mx.example.org/privkey.pem"',
            "# The mail server takes mail from mailveil's address without SPF, greylisting or connection limits. If it",
            "# is a Postfix, it learns who the client was (with XCLIENT it judges the client, not us):",
            "#      [gateway]",
            "#      next_hop_xclient = true",
            "#      postconf -e smtpd_authorized_xclient_hosts=ADDRESS_OF_MAILVEIL",
        ]
    )


def _our_address(settings: Settings) -> Endpoint:
    listen = settings.gateway.listen
    return Endpoint("127.0.0.1", listen.port) if listen.is_wildcard else listen


def _reinjection_service(back: Endpoint) -> list[str]:
    """Return the commands for the port on which Postfix takes mail back and filters nothing again."""
    service = f"{back.host}:{back.port}/inet"
    options = {
        "content_filter": "",
        "smtpd_proxy_filter": "",
        "receive_override_options": "no_unknown_recipient_checks,no_header_body_checks,no_milters",
        "smtpd_client_restrictions": "",
        "smtpd_helo_restrictions": "",
        "smtpd_sender_restrictions": "",
        "smtpd_relay_restrictions": "permit_mynetworks,reject",
        "smtpd_recipient_restrictions": "permit_mynetworks,reject",
        "smtpd_data_restrictions": "",
        "smtpd_end_of_data_restrictions": "",
        "mynetworks": "127.0.0.0/8,[::1]/128",
        "smtpd_authorized_xforward_hosts": "127.0.0.0/8,[::1]/128",
    }
    return [
        f'postconf -M {service}="{back.host}:{back.port} inet n - n - - smtpd"',
        *(f"postconf -P '{service}/{name}={value}'" for name, value in options.items()),
    ]


def trial_command(settings: Settings, program: str) -> str:
    """Return the command that sends the message to try the gateway with."""
    listen = settings.gateway.listen
    host = "127.0.0.1" if listen.host == "0.0.0.0" else "::1" if listen.host == "::" else listen.host  # noqa: S104
    return f"{program} try --server {Endpoint(host, listen.port)}"


def is_visible_to_readers(settings: Settings) -> bool:
    """Tell whether readers' clients elsewhere could reach the copies server under its public name."""
    return settings.copies.public_url.startswith("https://")
