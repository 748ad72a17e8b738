"""Start the sealed room and hand it jobs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

ROOM = Path(__file__).with_name("room.py")


def what_is_missing() -> str:
    """Return why no room can be built here, or ``""``."""
    if not shutil.which("chromium"):
        return "chromium"
    if not shutil.which("unshare") or not shutil.which("ip"):
        return "util-linux and iproute2"
    tried = subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "the right to create network namespaces"


class SealedRoom:
    """A browser, a name server and origins that nothing from outside reaches, and that reach nothing outside."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["unshare", "-n", "-m", sys.executable, str(ROOM), shutil.which("chromium") or "chromium"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the sealed room closed with status {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def show(self, job: dict[str, Any]) -> dict[str, Any]:
        """Show one document in the browser; return the contacts that it caused.

        Without a document, arrange the origins; return the contacts since the last job.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def start(self, command: list[str], **options: Any) -> subprocess.Popen[str]:
        """Start a program inside: it sees this room's network and name server and nothing else."""
        inside = ["nsenter", "--target", str(self.process.pid), "--net", "--mount", "--wd=" + str(Path.cwd())]
        return subprocess.Popen([*inside, *command], text=True, **options)

    def __enter__(self) -> SealedRoom:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.process.stdout is not None:
            self.process.stdout.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
