"""A room with a real rsyslog of our own: UDP, TCP and TLS on loopback; what it understood goes to a file as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from postfix_room import free_port
from tls_room import Authority

PROGRAM = Path("/usr/sbin/rsyslogd")
PATIENCE_S = 60.0
FIELDS = {
    "facility": "syslogfacility-text",
    "severity": "syslogseverity-text",
    "version": "protocol-version",
    "hostname": "hostname",
    "app": "app-name",
    "procid": "procid",
    "msgid": "msgid",
    "data": "structured-data",
    "msg": "msg",
    "input": "inputname",
}
CONFIG = """\
global(
  workDirectory="{root}/work"
  maxMessageSize="64k"
  defaultNetstreamDriverCAFile="{ca}"
  defaultNetstreamDriverCertFile="{certificate}"
  defaultNetstreamDriverKeyFile="{key}"
)
module(load="imudp")
module(load="imtcp")
template(name="parsed" type="list" option.jsonf="on") {{
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
  {fields}
}}
ruleset(name="all") {{ action(type="omfile" file="{root}/out" template="parsed") }}
input(type="imudp" address="127.0.0.1" port="{udp}" ruleset="all" name="udp")
input(type="imtcp" address="127.0.0.1" port="{tcp}" ruleset="all" name="tcp")
input(type="imtcp" address="127.0.0.1" port="{tls}" ruleset="all" name="tls"
  streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="{auth}"{permitted})
"""


@dataclass
class Rsyslog:
    """A running rsyslog. ``mutual`` is a port of TLS where clients have to show a certificate."""

    root: Path
    authority: Authority
    ports: dict[str, int] = field(default_factory=dict)

    def messages(self, kind: str = "") -> list[dict[str, str]]:
        """Return what it has understood so far, in order; of one input, if named."""
        path = self.root / "out"
        lines = path.read_bytes().splitlines() if path.exists() else []
        found = [json.loads(each) for each in lines]
        return [each for each in found if not kind or each["input"] == kind]

    async def understood(self, count: int, kind: str = "") -> list[dict[str, str]]:
        """Wait for so many messages."""
        async with asyncio.timeout(PATIENCE_S):
            while len(found := self.messages(kind)) < count:
                await asyncio.sleep(0.02)
        return found


@contextlib.contextmanager
def running_rsyslog(*, client_name: str = "") -> Iterator[Rsyslog]:
    """Run it; with ``client_name`` TLS is for clients alone that have a certificate for that name."""
    root = Path(tempfile.mkdtemp(prefix="mailveil-rsyslog-"))
    try:
        (root / "work").mkdir()
        authority = Authority(root)
        certificate, key = authority.issue("127.0.0.1")
        ports = {name: free_port() for name in ("udp", "tcp", "tls")}
        fields = "\n  ".join(
            f'property(outname="{name}" name="{of}" format="jsonf")' for name, of in FIELDS.items()
        )
        permitted = f' permittedPeer=["{client_name}"]' if client_name else ""
        config = root / "rsyslog.conf"
        config.write_text(
            CONFIG.format(
                root=root,
                ca=authority.file,
                certificate=certificate,
                key=key,
                fields=fields,
                auth="x509/name" if client_name else "anon",
                permitted=permitted,
                **ports,
            )
        )
        with (root / "log").open("wb") as log:
            process = subprocess.Popen(
                [PROGRAM, "-n", "-f", str(config), "-i", str(root / "pid")],
                stdout=log,
                stderr=log,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
            )
            try:
                _wait(process, ports["tls"], root)
                yield Rsyslog(root, authority, ports)
            finally:
                process.terminate()
                process.wait(20)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], port: int, root: Path) -> None:
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError((root / "log").read_text("utf-8", "replace"))


@pytest.fixture(scope="module")
def rsyslog() -> Iterator[Rsyslog]:
    """A running rsyslog; without one the test is skipped by its name."""
    if not PROGRAM.exists():
        pytest.skip("rsyslog is not installed")
    with running_rsyslog() as made:
        yield made
