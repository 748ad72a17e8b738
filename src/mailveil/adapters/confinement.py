"""Confinement: what a child process gives up before it touches hostile bytes; little is left to take."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux's prctl(2)
SET_NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS
NEW_USER_NAMESPACE = 0x10000000  # CLONE_NEWUSER of Linux's unshare(2)
NEW_NETWORK_NAMESPACE = 0x40000000  # CLONE_NEWNET
GRACE_S = 2


def die_with(parent: int) -> None:
    """Ask to be ended when the parent ends, even if it is killed while we are deep in hostile bytes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)


def leave_network() -> bool:
    """Give up the network; return whether the kernel allowed it. Only before any thread is started.

    Needs a kernel that lets its users make namespaces, or root. Where it is not allowed, ``bound`` with
    ``no_files`` keeps sockets from being opened all the same.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return any(
        library.unshare(flags) == 0
        for flags in (NEW_USER_NAMESPACE | NEW_NETWORK_NAMESPACE, NEW_NETWORK_NAMESPACE)
    )


def bound(max_bytes: int, *, no_files: bool = False) -> None:
    """Bound memory and forbid writing files, for good.

    With ``no_files`` nothing can be opened any more, neither file nor socket, and no process started:
    whatever is needed has to be loaded before.
    """
    limits = [
        (resource.RLIMIT_AS, max_bytes),
        (resource.RLIMIT_CORE, 0),  # a core would be a copy of somebody's mail
        (resource.RLIMIT_FSIZE, 0),  # nothing is ever written but answers
    ]
    if no_files:
        limits += [(resource.RLIMIT_NOFILE, 3), (resource.RLIMIT_NPROC, 0)]
    for kind, limit in limits:
        hard = resource.getrlimit(kind)[1]
        most = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (most, most))


def bound_time(timeout_s: int) -> None:
    """Bound the processor time from now on, should the parent be too busy to watch the clock."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + timeout_s + GRACE_S
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(
        resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard)
    )


def leave_files(folder: str) -> bool:
    """Make ``folder`` all of the file system that there is; return whether the kernel allowed it.

    Only after ``leave_network`` has given us a namespace in which we may, and before any thread is started.
    """
    try:
        os.chroot(folder)
        os.chdir("/")
    except OSError:
        return False
    return True
