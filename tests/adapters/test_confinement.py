"""What confinement takes away is gone for good, and that includes the network."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest


def confined(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a child that has confined itself as the sandbox does."""
    whole = f"""
import os, socket, sys
from mailveil.adapters.confinement import bound, bound_time, die_with, leave_network
left = leave_network()
die_with({os.getpid()})
"""
    return subprocess.run(
        [sys.executable, "-c", whole + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    "attempt",
    [
        "open('/etc/passwd')",
        "socket.socket()",
        "open('/tmp/mailveil-must-not-exist', 'w')",
        "bytearray(1 << 30)",
    ],
)
def test_nothing_can_be_opened_or_hoarded(attempt: str) -> None:
    done = confined(f"""
        bound(256 << 20, no_files=True)
        try:
            {attempt}
        except (OSError, MemoryError) as error:
            print(type(error).__name__)
    """)
    assert done.stdout.strip() in ("OSError", "MemoryError"), done.stderr


def test_without_a_network_nobody_is_reached() -> None:
    done = confined("""
        if not left:
            print("unavailable")
        else:
            try:
                socket.create_connection(("127.0.0.1", 9), 1)
            except OSError as error:
                print(os.strerror(error.errno))
    """)
    if done.stdout.strip() == "unavailable":
        pytest.skip("the kernel lets nobody leave the network here")
    assert done.stdout.strip() == "Network is unreachable", done.stderr


def test_an_endless_loop_is_ended() -> None:
    done = confined("""
        bound_time(-1)
        while True:
            pass
    """)
    assert done.returncode == -24, "SIGXCPU"
