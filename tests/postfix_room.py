"""A room with a real Postfix of our own: private folders, high ports, Debian's master.cf with its chroots."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SHIPPED = Path("/usr/share/postfix/master.cf.dist"), Path("/etc/postfix/master.cf.proto")


def missing_for_postfix() -> str:
    """Return what is missing to run it, or ``""``."""
    if not shutil.which("postfix"):
        return "postfix"
    if os.geteuid() != 0:
        return "root (Postfix's daemons change user)"
    return "" if any(path.exists() for path in SHIPPED) else "Postfix's master.cf.proto"


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Postfix:
    config: Path
    port: int

    def run(self, *command: str) -> str:
        if command[0] == "postfix" and command[-1] == "reload":
            self.reload()
            return ""
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def paste(self, recipe: str) -> None:
        """Do what an administrator does with a recipe, for this instance in place of the system's."""
        script = recipe.replace("postconf ", f"postconf -c {self.config} ")
        script = script.replace("postfix reload", f"postfix -c {self.config} reload")
        script = script.replace("smtp/inet/", f"127.0.0.1:{self.port}/inet/")
        self.run("sh", "-euc", script)

    def reload(self) -> None:
        """Have the configuration read anew, as often as it takes: on a busy machine the last time may not be over."""
        command = ("postfix", "-c", str(self.config), "reload")
        end = time.monotonic() + 60
        while subprocess.run(command, capture_output=True, check=False, timeout=60).returncode:
            assert time.monotonic() < end, self.log()[-2000:]
            time.sleep(0.5)

    def log(self) -> str:
        path = self.config / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def flush(self) -> None:
        """Have the queue tried now."""
        self.run("postqueue", "-c", str(self.config), "-f")

    def queued(self) -> int:
        """Return how many messages are in the queue."""
        lines = self.run("postqueue", "-c", str(self.config), "-j").splitlines()
        return sum(1 for line in lines if line.startswith("{"))


@contextlib.contextmanager
def postfix_room(relay_port: int = 0, *, transport: str = "", **more: object) -> Iterator[Postfix]:
    """Run Postfix that takes mail for example.org and passes it on to ``relay_port``, or by ``transport``.

    ``more`` are further settings of main.cf.
    """
    root = Path(tempfile.mkdtemp(prefix="postfix-", dir="/var/tmp"))
    root.chmod(0o755)
    port = free_port()
    master = next(path for path in SHIPPED if path.exists()).read_text()
    lines = [line for line in master.splitlines() if line and not line.startswith("#")]
    assert lines[0].startswith("smtp      inet")
    lines[0] = lines[0].replace("smtp ", f"127.0.0.1:{port} ", 1)
    lines.append("postlog unix-dgram n - n - 1 postlogd")
    (root / "master.cf").write_text("\n".join(dict.fromkeys(lines)) + "\n")
    settings = {
        "compatibility_level": "3.6",
        "queue_directory": root / "queue",
        "data_directory": root / "data",
        "maillog_file": root / "log",
        "maillog_file_prefixes": root,
        "inet_interfaces": "127.0.0.1",
        "inet_protocols": "ipv4",
        "myhostname": "mx.example.org",
        "mydestination": "",
        "relay_domains": "example.org",
        "relay_transport": transport or f"smtp:[127.0.0.1]:{relay_port}",
        # What goes elsewhere, such as a report of a failure, stays in the room.
        "default_transport": "discard:" if transport else f"smtp:[127.0.0.1]:{relay_port}",
        "relayhost": "" if transport else f"[127.0.0.1]:{relay_port}",
        "alias_maps": "",
        "smtpd_relay_restrictions": "permit_auth_destination,reject",
        "mynetworks": "192.0.2.0/24",
        "smtp_tls_security_level": "none",
        "smtpd_authorized_xclient_hosts": "127.0.0.1",
        "in_flow_delay": "0",
        **more,
    }
    (root / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
    (root / "queue").mkdir(mode=0o755)
    (root / "data").mkdir(mode=0o700)
    shutil.chown(root / "data", "postfix")
    postfix = Postfix(root, port)
    if transport.startswith("lmtp:unix:"):  # a socket outside of Debian's chroot
        postfix.run("postconf", "-c", str(root), "-F", "lmtp/unix/chroot=n")
    try:
        postfix.run("postfix", "-c", str(root), "start")
        yield postfix
    finally:
        subprocess.run(["postfix", "-c", str(root), "stop"], capture_output=True, check=False, timeout=60)
        shutil.rmtree(root, ignore_errors=True)
