"""A room with the real ``mailveil serve``: a process, a configuration file and a storage directory of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mailveil.config import Settings, load
from postfix_room import free_port

Table = Mapping[str, Mapping[str, Any]]


@dataclass
class Mailveil:
    """One instance, which may be killed and started again as often as a test likes."""

    root: Path
    port: int
    ports: tuple[int, ...]  # that answer once it is there
    role: str = ""  # the only one that it has; "" for all
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def config(self) -> Path:
        return self.root / "mailveil.toml"

    @property
    def settings(self) -> Settings:
        return load(self.config, environment={})

    def start(self) -> None:
        """Start it and wait until every door answers."""
        command = [sys.executable, "-P", "-m", "mailveil", "--config", str(self.config), "serve"]
        command += ["--role", self.role] if self.role else []
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILVEIL_")}
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=kept, start_new_session=True)
        end = time.monotonic() + 120
        for port in self.ports:
            while not answers(port):
                assert self.process.poll() is None, self.log()
                assert time.monotonic() < end, self.log()
                time.sleep(0.03)

    def kill(self) -> None:
        """End it as a power cut would: ``kill -9``; its workers go with it by themselves."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it as systemd does."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.kill()

    def log(self) -> str:
        path = self.root / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def clean(self, raw: bytes) -> bytes:
        """Return what ``mailveil clean`` makes of a message with the same settings."""
        command = [sys.executable, "-P", "-m", "mailveil", "--config", str(self.config), "clean"]
        done = subprocess.run(command, input=raw, capture_output=True, check=True, timeout=120)
        return done.stdout

    def clean_all(self, messages: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return what ``mailveil clean`` makes of many messages, in one run."""
        with tempfile.TemporaryDirectory() as name:
            before, after = Path(name) / "before", Path(name) / "after"
            before.mkdir()
            for key, raw in messages.items():
                (before / f"{key}.eml").write_bytes(raw)
            command = [sys.executable, "-P", "-m", "mailveil", "--config", str(self.config), "clean"]
            subprocess.run(
                [*command, str(before), "-o", str(after)], capture_output=True, check=True, timeout=300
            )
            return {key: (after / f"{key}.eml").read_bytes() for key in messages}


def answers(port: int) -> bool:
    """Tell whether somebody listens there."""
    with contextlib.suppress(OSError), contextlib.closing(socket.create_connection(("127.0.0.1", port), 5)):
        return True
    return False


@contextlib.contextmanager
def mailveil_room(table: Table, *, doors: tuple[int, ...] = (), started: bool = True) -> Iterator[Mailveil]:
    """Run ``mailveil serve`` with a configuration file of ``table`` on ports of its own.

    ``doors`` are the ports of ``table`` that have to answer besides the SMTP gateway's.
    """
    root = Path(tempfile.mkdtemp(prefix="mailveil-", dir="/var/tmp"))
    port = free_port()
    whole: dict[str, dict[str, Any]] = {
        "gateway": {"listen": f"127.0.0.1:{port}", "hostname": "gate.example"},
        "milter": {"listen": ""},
        "copies": {"listen": f"127.0.0.1:{free_port()}"},
        "console": {"listen": f"127.0.0.1:{free_port()}"},
        "fetch": {"enabled": False},
        "storage": {"directory": str(root / "state")},
    }
    for area, values in table.items():
        whole.setdefault(area, {}).update(values)
    mailveil = Mailveil(root, port, (port, *doors))
    # A JSON string, number, truth value or list of strings is written alike in TOML.
    mailveil.config.write_text(
        "".join(
            f"[{area}]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
            for area, values in whole.items()
        )
    )
    try:
        if started:
            mailveil.start()
        yield mailveil
    finally:
        if mailveil.process is not None:
            mailveil.stop()
        shutil.rmtree(root, ignore_errors=True)
