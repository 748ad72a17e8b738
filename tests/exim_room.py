"""A room with a real Exim of our own, from Debian's package as it was unpacked: private spool, high ports."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from postfix_room import free_port

HOME = Path("/var/cache/mailveil-tests/exim")  # as deploy/install-test-packages unpacks it
BINARY = HOME / "usr/sbin/exim4"
CONFIG = HOME / "exim.conf"  # the only one that Exim runs as root with, see /etc/exim4/trusted_configs
USER = "Debian-exim"


def missing_for_exim() -> str:
    """Return what is missing to run it, or ``""``."""
    if os.geteuid() != 0:
        return "root (Exim changes user)"
    if not BINARY.exists():
        return "Exim (deploy/install-test-packages unpacks it)"
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return f"the user {USER}"
    done = subprocess.run([BINARY, "-C", "/dev/null", "-bV"], capture_output=True, check=False)
    return "" if done.returncode == 0 else done.stderr.decode(errors="replace").strip()


@dataclass(frozen=True)
class Exim:
    root: Path
    port: int
    back: int

    def letters(self) -> list[bytes]:
        """Return what was delivered locally."""
        return [each.read_bytes() for each in sorted((self.root / "box").glob("new/*"))]

    def log(self) -> str:
        path = self.root / "mainlog"
        return path.read_text(errors="replace") if path.exists() else ""

    def run_queue(self) -> None:
        """Have everything in the queue tried now."""
        subprocess.run([BINARY, "-C", CONFIG, "-qff"], check=True, capture_output=True, timeout=120)

    def queued(self) -> int:
        done = subprocess.run([BINARY, "-C", CONFIG, "-bpc"], check=True, capture_output=True, timeout=60)
        return int(done.stdout)


@contextlib.contextmanager
def exim_room(blocks: Mapping[str, str], filter_port: int, back: int) -> Iterator[Exim]:
    """Run Exim that takes mail for example.org, with the blocks of the guide at their places.

    The guide's ports become ``filter_port`` and ``back``.
    """
    root = HOME / "room"
    shutil.rmtree(root, ignore_errors=True)
    (root / "spool").mkdir(parents=True)
    shutil.chown(root, USER)
    shutil.chown(root / "spool", USER)
    port = free_port()

    def block(name: str) -> str:
        text = blocks[name].replace("10026", str(back)).replace("2525", str(filter_port))
        return text.replace("daemon_smtp_ports = 25 ", f"daemon_smtp_ports = {port} ")

    CONFIG.write_text(f"""
exim_path = {BINARY}
keep_environment =
spool_directory = {root}/spool
log_file_path = {root}/%slog
primary_hostname = mx.example.org
exim_user = {USER}
local_interfaces = 127.0.0.1
tls_advertise_hosts =
never_users =
acl_smtp_rcpt = check_rcpt
acl_smtp_data = check_data
domainlist local_domains = example.org
{block("exim-main")}
begin acl
check_rcpt:
{block("exim-acl")}
  accept domains = +local_domains
  deny message = relay not permitted
check_data:
{block("exim-data-acl")}
  accept
begin routers
{block("exim-router")}
local:
  driver = accept
  domains = +local_domains
  transport = box
begin transports
{block("exim-transport")}
box:
  driver = appendfile
  directory = {root}/box
  maildir_format
  user = {USER}
begin retry
{block("exim-retry")}
* * F,2h,1m
""")
    subprocess.run(
        [BINARY, "-C", CONFIG, "-bd", "-oP", root / "pid"], check=True, capture_output=True, timeout=60
    )
    try:
        end = time.monotonic() + 30
        while not (root / "pid").exists():
            assert time.monotonic() < end, (root / "mainlog").read_text()
            time.sleep(0.05)
        yield Exim(root, port, back)
    finally:
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.kill(int((root / "pid").read_text()), signal.SIGTERM)
