"""``kill -9`` under load, in a network of its own: run as ``unshare -n -m python killing.py ARRANGEMENT SEED``.

Ten senders give a real Postfix one message after the other, each with a picture of its own and one that all
share, while mailveil is killed at random moments and started again. Prints one JSON object of what became of
them. The origins live on an address that counts as public, which in here leads nowhere else.
"""

from __future__ import annotations

import base64
import json
import random
import re
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from dnslib import QTYPE, RR, A, DNSRecord

from dovecot_room import dovecot_room
from interop import arrangements
from interop.arrangements import until
from mailveil.adapters.copystore import SqliteCopyStore, StoreSettings
from sender_room import HangupError, Sender

PUBLIC = "8.8.8.8"
SENDERS = 10
KILLS = 5
AT_LEAST = 200
AT_MOST = 400
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
SHARED = "/shared/logo.gif"
IMPATIENT = (  # Postfix would leave a filter that does not answer alone for a minute
    "minimal_backoff_time=1s",
    "maximal_backoff_time=1s",
    "queue_run_delay=1s",
    "transport_retry_time=1s",
)
SETTINGS = {
    "copies": {"mode": "hosted", "public_url": "http://copies.test"},
    "fetch": {"enabled": True, "delay_s": 1, "timeout_s": 10},
    "workers": {"processes": 1},
}
CONTACTS: Counter[str] = Counter()


class NameServer(socketserver.BaseRequestHandler):
    """Knows every name, and leads it to the origin."""

    def handle(self) -> None:
        data, sock = self.request
        with suppress(Exception):  # a malformed query is not this server's business
            query = DNSRecord.parse(data)
            answer = query.reply()
            if query.q.qtype == QTYPE.A:
                answer.add_answer(RR(str(query.q.qname), QTYPE.A, rdata=A(PUBLIC), ttl=1))
            sock.sendto(answer.pack(), self.client_address)


class Origin(BaseHTTPRequestHandler):
    """Counts every contact, and takes its time now and then, so that a kill finds a fetch under way."""

    def do_GET(self) -> None:
        CONTACTS[f"{self.headers.get('Host')}{self.path}"] += 1
        if random.random() < 0.3:
            time.sleep(random.random())
        self.send_response(200)
        self.send_header("Content-Type", "image/gif")
        self.send_header("Content-Length", str(len(PIXEL)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(PIXEL)

    def log_message(self, *args: object) -> None:
        """Keep quiet: the log that counts is CONTACTS."""


class Origins(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A fetcher that is killed hangs up."""


def open_network() -> None:
    """Bring the room's network up with a name server and origins in it."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", f"{PUBLIC}/32", "dev", "lo"], check=True)
    with tempfile.NamedTemporaryFile("w", suffix="resolv.conf", delete=False) as resolv:
        resolv.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    subprocess.run(["mount", "--bind", resolv.name, "/etc/resolv.conf"], check=True)
    Path(resolv.name).unlink()  # what is mounted stays
    for server in (
        socketserver.ThreadingUDPServer(("127.0.0.1", 53), NameServer),
        Origins((PUBLIC, 80), Origin),
    ):
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()


def url_of(number: int) -> str:
    return f"t{number % 25}.tracker{number % 25}.example/open/{number}.gif"


def letter(number: int) -> bytes:
    """Return message ``number``: some size, a picture of its own, and one that all have."""
    filling = "".join(f"<p>paragraph {each} of message {number}</p>\r\n" for each in range(10 + number % 150))
    return (
        f"From: news@sender.example\r\nTo: reader@example.org\r\nSubject: {number}\r\n"
        f"Message-ID: <load-{number}@sender.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n"
        f'{filling}<img src="http://{url_of(number)}" width="1" height="1">\r\n'
        f'<img src="http://img.tracker.example{SHARED}">\r\n'
    ).encode()


class Load:
    """Ten senders at once; each message is sent until it is acknowledged, as a mail server does."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.enough = threading.Event()
        self.lock = threading.Lock()
        self.next = 0
        self.acknowledged: set[int] = set()
        self.unsure: set[int] = set()  # sent in full at least once without a positive reply
        self.refusals: Counter[str] = Counter()
        self.threads = [threading.Thread(target=self._send_all) for _ in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def _take(self) -> int | None:
        with self.lock:
            if self.next >= AT_MOST or (self.enough.is_set() and self.next >= AT_LEAST):
                return None
            self.next += 1
            return self.next

    def _send_all(self) -> None:
        sender: Sender | None = None
        while (number := self._take()) is not None:
            while number not in self.acknowledged:
                try:
                    sender = sender or Sender(self.port)
                    reply = sender.send("news@sender.example", ("reader@example.org",), letter(number))[-1]
                except (HangupError, OSError) as error:
                    self._note(number, "hang-up", sent_all=getattr(error, "after_data", False))
                    sender = None
                    time.sleep(0.1)
                    continue
                if reply.startswith("250"):
                    self.acknowledged.add(number)
                    time.sleep(random.uniform(0, 0.6))
                    continue
                assert reply.startswith("4"), reply
                self._note(number, reply[:9], sent_all=sender.sent_all)
                # Postfix does without a milter that it has lost for the rest of the session: begin another.
                sender.close()
                sender = None
                time.sleep(0.2)
        if sender is not None:
            sender.close()

    def _note(self, number: int, reply: str, *, sent_all: bool) -> None:
        with self.lock:
            self.refusals[reply] += 1
            if sent_all:
                self.unsure.add(number)

    def finish(self) -> None:
        self.enough.set()
        for thread in self.threads:
            thread.join()


def maybe_twice(log: str) -> set[int]:
    """Return the messages of which Postfix itself says that they may be sent more than once."""
    names = dict(re.findall(r"([0-9A-F]+): message-id=<load-(\d+)@", log))
    queue_ids = re.findall(
        r" ([0-9A-F]+): to=<[^\n]*while sending end of data -- message may be sent more", log
    )
    return {int(names[each]) for each in queue_ids if each in names}


def run(name: str) -> dict[str, object]:
    """Load one arrangement, kill mailveil under it, and return what became of the messages."""
    begun = time.monotonic()
    with dovecot_room() as dovecot, getattr(arrangements, name)(dovecot, SETTINGS, bare=False) as path:
        mailveil, postfix = path.mailveil, path.postfix
        postfix.run("postconf", "-c", str(postfix.config), "-e", *IMPATIENT)
        postfix.run("postfix", "-c", str(postfix.config), "reload")
        load = Load(path.port)
        moments = []
        for _ in range(KILLS):
            # Only once mail flows again, else every kill but the first would find nothing to kill.
            mark = dovecot.count() + random.randint(1, 25)
            until(lambda mark=mark: dovecot.count() >= mark, mailveil.log)
            time.sleep(random.uniform(0, 0.3))
            mailveil.kill()
            moments.append([load.next, len(load.acknowledged), dovecot.count()])
            time.sleep(random.uniform(0, 0.3))
            mailveil.start()
            postfix.flush()
        load.finish()

        def is_through() -> bool:
            if left := postfix.queued():
                postfix.flush()
                time.sleep(0.5)
            return not left

        until(is_through, lambda: postfix.log()[-3000:] + mailveil.log()[-3000:])
        counts = until_fetched(mailveil.root / "state" / "copies")
        arrived: Counter[int] = Counter()
        loud = 0
        for raw in dovecot.delivered():
            arrived[int(raw.partition(b"Message-ID: <load-")[2].partition(b"@")[0])] += 1
            loud += b"tracker" in raw
        log = postfix.log()
    excused = maybe_twice(log) | (set() if name == "content_filter" else load.unsure)
    doubled = {number for number, count in arrived.items() if count > 1}
    return {
        "sent": load.next,
        "acknowledged": len(load.acknowledged),
        "lost": sorted(load.acknowledged - set(arrived)),
        "doubled": sorted(doubled),
        "doubled_without_excuse": sorted(doubled - excused),
        "loud": loud,
        "contacts": sum(CONTACTS.values()),
        "asked_twice": sorted(url for url, count in CONTACTS.items() if count > 1),
        "copies": counts,
        "moments": moments,
        "refusals": load.refusals,
        "seconds": round(time.monotonic() - begun),
    }


def until_fetched(directory: Path) -> dict[str, int]:
    """Wait until nothing is left to fetch; return how many fetches ended how."""
    import asyncio

    store = SqliteCopyStore(StoreSettings(directory))
    counts: dict[str, int] = {}

    def is_done() -> bool:
        counts.update(asyncio.run(store.counts()))
        return not counts["released"] and not counts["attempted"]

    try:
        until(is_done, lambda: counts)
    finally:
        store.close()
    return counts


if __name__ == "__main__":
    random.seed(int(sys.argv[2]))
    open_network()
    print(json.dumps(run(sys.argv[1])))
