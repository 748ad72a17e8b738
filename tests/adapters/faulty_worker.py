"""A worker whose engine fails at messages that say so; started by test_workers in place of the real one."""

import contextlib
import os
import re
import signal
import time
from pathlib import Path

from mailveil.adapters import worker

honest = worker._protect


def protect(job, raw, settings):
    if b"Subject: CRASH" in raw:
        os.kill(os.getpid(), signal.SIGSEGV)
    if (once := re.search(rb"Subject: ONCE (.*)", raw)) and not Path(os.fsdecode(once[1])).exists():
        Path(os.fsdecode(once[1])).touch()
        os._exit(7)
    if b"Subject: SLEEP" in raw:
        time.sleep(60)
    if b"Subject: SPIN" in raw:
        while True:
            pass
    if b"Subject: GREEDY" in raw:
        bytearray(1 << 40)
    if b"Subject: CHATTER" in raw:
        with contextlib.suppress(OSError):  # nor may it write to files
            os.write(1, b"text that is no answer")
    if b"Subject: LIE" in raw:
        return {"ok": True}, b""
    if b"Subject: BUG" in raw:
        raise ValueError("quotes the message: " + raw.decode())
    return honest(job, raw, settings)


worker._protect = protect
worker.main()
