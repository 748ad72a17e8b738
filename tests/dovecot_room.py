"""A room with a real Dovecot of our own: LMTP on a Unix socket and by TCP, IMAP, a Maildir for each user."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from postfix_room import free_port

USERS = ("reader", "second", "third", "full")
PASSWORD = "not a secret"
FULL = "full"  # whose mailbox takes nothing: told to LMTP clients after the message, as RFC 2033 is made for
OWNER = "mail"

CONFIG = """\
base_dir = {root}/run
state_dir = {root}/state
instance_name = {root.name}
log_path = {root}/log
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_username_format = %Ln
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:{root}/mail/%n
mail_plugins = quota
mail_save_crlf = yes
maildir_very_dirty_syncs = yes
passdb {{
  driver = passwd-file
  args = username_format=%n {root}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%n {root}/users
}}
plugin {{
  quota = maildir:Mailbox
}}
service lmtp {{
  process_min_avail = 1
  unix_listener {root}/lmtp {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
service imap-login {{
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""


def missing_for_dovecot() -> str:
    """Return what is missing to run it, or ``""``."""
    for program, path in {"dovecot": "/usr/sbin/dovecot", "dovecot-lmtpd": "/usr/lib/dovecot/lmtp",
                          "dovecot-imapd": "/usr/lib/dovecot/imap"}.items():  # fmt: skip
        if not Path(path).exists():
            return program
    return "" if os.geteuid() == 0 else "root (Dovecot's processes change user)"


@dataclass(frozen=True)
class Dovecot:
    root: Path
    lmtp_port: int
    imap_port: int

    @property
    def lmtp_socket(self) -> Path:
        return self.root / "lmtp"

    def delivered(self, user: str = "reader") -> list[bytes]:
        """Return a user's messages as they lie in the Maildir, in the order of their arrival."""
        paths = [path for folder in ("new", "cur") for path in (self.root / "mail" / user / folder).glob("*")]
        return [path.read_bytes() for path in sorted(paths, key=lambda path: path.name)]

    def count(self, user: str = "reader") -> int:
        return sum(
            len(list((self.root / "mail" / user / folder).glob("*")))
            for folder in ("new", "cur")
            if (self.root / "mail" / user / folder).is_dir()
        )

    def empty(self) -> None:
        """Throw away all mail, between two runs that must not see each other's."""
        for user in USERS:
            for folder in ("new", "cur"):
                for path in (self.root / "mail" / user / folder).glob("*"):
                    path.unlink()

    def log(self) -> str:
        path = self.root / "log"
        return path.read_text() if path.exists() else ""


@contextlib.contextmanager
def dovecot_room() -> Iterator[Dovecot]:
    """Run a Dovecot that takes mail for ``USERS`` of any domain."""
    root = Path(tempfile.mkdtemp(prefix="dovecot-", dir="/var/tmp"))
    root.chmod(0o755)
    owner = pwd.getpwnam(OWNER)
    dovecot = Dovecot(root, free_port(), free_port())
    lines = [
        f"{user}:{{PLAIN}}{PASSWORD}:{owner.pw_uid}:{owner.pw_gid}::{root}/mail/{user}::"
        + ("userdb_quota_rule=*:bytes=1" if user == FULL else "userdb_quota_rule=*:bytes=0")
        for user in USERS
    ]
    (root / "users").write_text("\n".join(lines) + "\n")
    (root / "mail").mkdir()
    os.chown(root / "mail", owner.pw_uid, owner.pw_gid)
    config = root / "dovecot.conf"
    config.write_text(CONFIG.format(root=root, lmtp=dovecot.lmtp_port, imap=dovecot.imap_port))
    process = subprocess.Popen(
        ["/usr/sbin/dovecot", "-F", "-c", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        end = time.monotonic() + 60
        while not dovecot.lmtp_socket.exists():
            if process.poll() is not None:
                assert process.stderr is not None
                raise AssertionError(f"Dovecot does not start: {process.stderr.read()} {dovecot.log()}")
            assert time.monotonic() < end, dovecot.log()
            time.sleep(0.05)
        yield dovecot
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()
        shutil.rmtree(root, ignore_errors=True)
