"""A network of its own for one measurement: ``unshare -n -m python sealed.py MODULE QUICK`` prints JSON.

In it every public address is this machine, every name is known to a name server of ours or to nobody, and ports
are free: nothing that is measured can reach anybody or wait for anybody.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests")]

ORIGINS = "11.0.0.0/16"  # where origins live: "o-<number>" of any domain has the address of that number


class _NameServer(socketserver.BaseRequestHandler):
    """Answers with as little work as can be: what is measured shares the processors with it (RFC 1035)."""

    def handle(self) -> None:
        query, sock = self.request
        end = query.index(b"\0", 12) + 5
        label = query[13 : 13 + query[12]]
        is_address = query[end - 4 : end - 2] == b"\0\1"
        if not (label.startswith(b"o-") and label[2:].isdigit()):
            flags, answer = b"\x81\x83", b""  # no such name
        elif is_address:
            number = int(label[2:])
            address = bytes((11, 0, number // 250, number % 250 + 1))
            flags, answer = b"\x81\x80", b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + address
        else:
            flags, answer = b"\x81\x80", b""
        counts = b"\0\1\0\1" if answer else b"\0\1\0\0"
        sock.sendto(query[:2] + flags + counts + b"\0\0\0\0" + query[12:end] + answer, self.client_address)


def what_is_missing() -> str:
    """Return why there can be no network of its own, or ``""``."""
    if os.geteuid() != 0:
        return "root (for a network of its own)"
    return next((name for name in ("unshare", "ip", "mount") if not shutil.which(name)), "")


def measure(module: str, *, quick: bool) -> dict[str, Any]:
    """Run a module's ``measure`` in a network of its own; what is missing for it is said in place of figures."""
    if missing := what_is_missing():
        return {"skipped": f"needs {missing}"}
    command = ["unshare", "-n", "-m", sys.executable, __file__, module, str(int(quick))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module}: {done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _open(folder: Path) -> None:
    for command in ("ip link set lo up", f"ip route add local {ORIGINS} dev lo"):
        subprocess.run(command.split(), check=True)
    resolv = folder / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    subprocess.run(["mount", "--bind", str(resolv), "/etc/resolv.conf"], check=True)
    server = socketserver.UDPServer(("127.0.0.1", 53), _NameServer)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        _open(folder)
        print(json.dumps(importlib.import_module(sys.argv[1]).measure(folder, quick=sys.argv[2] == "1")))
