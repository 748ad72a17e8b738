"""Setup: ten senders, a real Postfix, the real ``mailveil serve`` and a real Dovecot, and origins that count.

Test: mailveil is killed (``kill -9``) at random moments under load. Every message that Postfix acknowledged arrives,
none unprotected; none arrives twice but where an acknowledgement was lost after the message had been taken, which
SMTP cannot know about (RFC 1047); and no origin sees a URL twice.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dovecot_room import missing_for_dovecot
from postfix_room import missing_for_postfix

KILLING = Path(__file__).with_name("killing.py")


def what_is_missing() -> str:
    if missing := missing_for_postfix() or missing_for_dovecot():
        return missing
    if not shutil.which("unshare") or not shutil.which("ip"):
        return "util-linux and iproute2"
    tried = subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "the right to create network namespaces"


MISSING = what_is_missing()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs {MISSING}")


def killed_under_load(arrangement: str) -> dict[str, Any]:
    seed = random.randrange(1 << 30)
    command = ["unshare", "-n", "-m", sys.executable, str(KILLING), arrangement, str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"seed {seed}: {done.stderr[-6000:]}"
    result: dict[str, Any] = json.loads(done.stdout)
    print(seed, result)
    return result


@pytest.mark.parametrize("arrangement", ["milter", "content_filter", "proxy_filter"])
def test_nothing_is_lost_doubled_or_fetched_twice_whenever_we_are_killed(arrangement: str) -> None:
    result = killed_under_load(arrangement)
    assert result["acknowledged"] == result["sent"] >= 200
    assert result["lost"] == []
    assert result["doubled_without_excuse"] == []
    assert result["doubled"] == [] or arrangement != "milter", "there Postfix itself has the message in hand"
    assert result["loud"] == 0
    assert result["asked_twice"] == []
    assert result["contacts"] > 50, "the origins are asked, so the counting counts"
    assert result["copies"]["stored"] > 50
