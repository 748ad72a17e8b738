"""A sealed room: a browser, a DNS server and web origins in a network namespace of their own.

Run as ``unshare -n -m python room.py``; reads one JSON job a line and answers one JSON line each. Whatever the
browser asks for, by name or by connection, is logged: that log, kept at the origin, is the proof of silence.

The origins live on a public address (which in here leads nowhere else), so that a fetcher which rightly refuses
private ones can be let into the room; the reader's own pages live on the loopback address.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from dnslib import QTYPE, RR, A, DNSRecord
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import sync_playwright

READER = "reader.test"
LOOPBACK = "127.0.0.1"
PUBLIC = "8.8.8.8"
OWN_HOSTS = frozenset({READER, "copies.test"})
TRAPPED = (".example", ".test", ".invalid", ".example.com", ".example.org", ".example.net")
QUIET_S = 0.12
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


class Log:
    """Contacts in order of arrival."""

    def __init__(self) -> None:
        self.contacts: list[dict[str, str]] = []
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.origins: dict[str, tuple[str, bytes]] = {}
        self.lock = threading.Lock()

    def add(self, kind: str, host: str, path: str = "") -> None:
        host = host.rstrip(".").lower()
        if host in OWN_HOSTS or not (host.endswith(TRAPPED) or host[:1].isdigit()):
            return
        with self.lock:
            self.contacts.append({"kind": kind, "host": host, "path": path})

    def take(self) -> list[dict[str, str]]:
        with self.lock:
            taken, self.contacts = self.contacts, []
        return taken


LOG = Log()


class NameServer(socketserver.BaseRequestHandler):
    """Answers the reader's own names with the loopback address and every other with the origins'."""

    def handle(self) -> None:
        data, sock = self.request
        with contextlib.suppress(Exception):  # a malformed query is not this server's business
            query = DNSRecord.parse(data)
            name = str(query.q.qname)
            LOG.add("dns", name)
            answer = query.reply()
            if query.q.qtype == QTYPE.A:
                address = LOOPBACK if name.rstrip(".").lower() in OWN_HOSTS else PUBLIC
                answer.add_answer(RR(name, QTYPE.A, rdata=A(address), ttl=1))
            sock.sendto(answer.pack(), self.client_address)


class Origin(BaseHTTPRequestHandler):
    """Serves the reader's pages under their own name and a pixel, or what a job says, under any other."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        host = (self.headers.get("Host") or "").partition(":")[0].lower()
        path = self.path
        length = int(self.headers.get("Content-Length") or 0)
        if length:
            self.rfile.read(length)
        LOG.add("http", host or "127.0.0.1", path)
        if host in OWN_HOSTS:
            media_type, body = LOG.pages.get(path, ("text/plain", b""))
        else:
            media_type, body = LOG.origins.get(host + path, _guess(path))
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

    do_POST = do_HEAD = do_OPTIONS = do_PUT = do_GET  # noqa: N815 - the library's names

    def log_message(self, *args: object) -> None:
        """Keep quiet: the log that counts is the room's."""


def _guess(path: str) -> tuple[str, bytes]:
    path = path.partition("?")[0]
    if path.endswith(".css"):
        return "text/css", b"p{color:green}"
    if path.endswith((".html", ".htm", "/")):
        return "text/html", b"<p>frame</p>"
    if path.endswith(".js"):
        return "text/javascript", b"void 0"
    if path.endswith(".svg"):
        return "image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
    return "image/gif", PIXEL


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "trap")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = folder / "trap.pem", folder / "trap.key"
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_path, key_path


class TlsOrigin(ThreadingHTTPServer):
    """The same origin behind TLS; the server name of a hello is a contact already."""

    def __init__(self, address: tuple[str, int], folder: Path) -> None:
        super().__init__(address, Origin)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*_certificate(folder))
        context.sni_callback = lambda _socket, name, _context: LOG.add("tls", name or "127.0.0.1")
        self.context = context

    def finish_request(self, request: socket.socket, client_address: object) -> None:
        request.settimeout(5)
        with contextlib.suppress(OSError):
            wrapped = self.context.wrap_socket(request, server_side=True)
            self.RequestHandlerClass(wrapped, client_address, self)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that hangs up early is no fault."""


class PlainOrigin(ThreadingHTTPServer):
    """The origin on plain HTTP."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that hangs up early is no fault."""


def start_servers(folder: Path) -> None:
    """Listen for DNS, HTTP and HTTPS on the room's addresses, and make its resolver ask here."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", f"{PUBLIC}/32", "dev", "lo"], check=True)
    resolv = folder / "resolv.conf"
    resolv.write_text(f"nameserver {LOOPBACK}\noptions timeout:1 attempts:1\n")
    subprocess.run(["mount", "--bind", str(resolv), "/etc/resolv.conf"], check=True)
    servers: list[socketserver.BaseServer] = [
        socketserver.ThreadingUDPServer((LOOPBACK, 53), NameServer),
        PlainOrigin(("", 80), Origin),
        TlsOrigin(("", 443), folder),
    ]
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()


def _late_contacts() -> list[dict[str, str]]:
    """Return all contacts of a page, having waited until no more come: icons and look-ups may outlive it."""
    found: list[dict[str, str]] = []
    for _ in range(20):
        time.sleep(QUIET_S)
        late = LOG.take()
        found += late
        if not late:
            break
    return found


BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--ignore-certificate-errors",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,OptimizationHints,MediaRouter",
]


def _arrange(job: dict) -> dict:
    """Have the origins answer what a job says; return the contacts that there were since the last job."""
    LOG.origins = {
        place: (media_type, base64.b64decode(data))
        for place, (media_type, data) in job.get("origins", {}).items()
    }
    return {"contacts": LOG.take()}


def _open(context: object, job: dict, serial: int) -> dict:
    prefix = f"/m{serial}"
    body = base64.b64decode(job["body"])
    for name, (media_type, data) in job.get("related", {}).items():
        address = f"{prefix}/related/{abs(hash(name))}"
        LOG.pages[address] = (media_type, base64.b64decode(data))
        body = body.replace(b"cid:" + name.encode(), f"http://{READER}{address}".encode())
    LOG.pages[prefix + "/"] = (job.get("media_type", "text/html; charset=utf-8"), body)
    LOG.origins = {
        place: (media_type, base64.b64decode(data))
        for place, (media_type, data) in job.get("origins", {}).items()
    }
    for place, (media_type, data) in job.get("copies", {}).items():
        LOG.pages[place] = (media_type, base64.b64decode(data))
    LOG.take()
    result: dict = {"name": job.get("name", "")}
    page = context.new_page()  # type: ignore[attr-defined]
    try:
        page.set_default_timeout(8000)
        if not job.get("scripts", True):
            session = context.new_cdp_session(page)  # type: ignore[attr-defined]
            session.send("Emulation.setScriptExecutionDisabled", {"value": True})
        page.set_viewport_size({"width": job.get("width", 800), "height": 900})
        page.emulate_media(color_scheme="dark" if job.get("dark") else "light", media="screen")
        with contextlib.suppress(BrowserError):
            page.goto(f"http://{READER}{prefix}/", wait_until="load", timeout=job.get("load_ms", 6000))
        gestures = job.get("gestures", ["scroll", "hover", "print"])
        with contextlib.suppress(BrowserError):
            if "scroll" in gestures:
                page.mouse.wheel(0, 20000)
                page.wait_for_timeout(50)
                page.mouse.wheel(0, -20000)
            if "hover" in gestures:
                for element in page.query_selector_all("a, img, p, div, td, .hover")[:12]:
                    with contextlib.suppress(BrowserError):
                        element.hover(timeout=200, force=True)
            if "print" in gestures:
                page.emulate_media(media="print")
                page.wait_for_timeout(50)
                page.pdf()
                page.emulate_media(media="screen")
        page.wait_for_timeout(job.get("wait_ms", 150))
        if job.get("pictures"):
            result["pictures"] = page.evaluate(
                "[...document.images].map(i => ({source: i.currentSrc, width: i.naturalWidth, alt: i.alt}))"
            )
        if job.get("screenshot"):
            with contextlib.suppress(BrowserError):
                page.screenshot(path=job["screenshot"], full_page=True, timeout=8000)
    finally:
        page.close()
    result["contacts"] = _late_contacts()
    return result


def main() -> None:
    """Serve jobs from standard input until it ends."""
    with tempfile.TemporaryDirectory() as name:
        start_servers(Path(name))
        with sync_playwright() as playwright:
            # Only a profile of its own (no incognito window) predicts: dns-prefetch and preconnect happen.
            context = playwright.chromium.launch_persistent_context(
                str(Path(name) / "profile"),
                executable_path=sys.argv[1],
                args=BROWSER_FLAGS,
                ignore_default_args=["--disable-background-networking"],
                accept_downloads=False,
            )
            print(json.dumps({"ready": True}), flush=True)
            for serial, line in enumerate(sys.stdin):
                job = json.loads(line)
                done = _open(context, job, serial) if "body" in job else _arrange(job)
                print(json.dumps(done), flush=True)
            context.close()


if __name__ == "__main__":
    main()
