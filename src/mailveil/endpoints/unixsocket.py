"""Unix socket: a listening one with its permissions, in the place of a dead one and never of a live one."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import socket
import stat
from pathlib import Path

MAX_SOCKET_PATH_BYTES = 107


def open_socket(path: Path, mode: int, group: str = "") -> socket.socket:
    """Return a listening Unix socket. Raises ``OSError``, EADDRINUSE where a live process has it.

    It is made under another name and gets its place once its permissions are right, so that nobody connects
    to it before and a socket that a dead process left behind is replaced in one step.
    """
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise OSError(
            errno.ENAMETOOLONG, f"longer than {MAX_SOCKET_PATH_BYTES} bytes, which sockets cannot be"
        )
    owner = _group_of(group)
    if _is_answered(path):
        raise OSError(errno.EADDRINUSE, "another process answers there already")
    name = path.with_name(f"{path.name[:16]}.{os.getpid()}")
    if len(os.fsencode(name)) > MAX_SOCKET_PATH_BYTES:
        name = path.with_name(f".{os.getpid()}"[: len(path.name)])
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        name.unlink(missing_ok=True)
        listening.bind(str(name))
        try:
            os.chown(name, -1, owner)
            name.chmod(mode)
            listening.listen(128)
            listening.setblocking(False)
            name.replace(path)
        except OSError:
            name.unlink(missing_ok=True)
            raise
    except OSError:
        listening.close()
        raise
    return listening


def why_no_socket(path: Path, group: str = "") -> str:
    """Say why there can be no socket in a place, ``""`` where nothing speaks against it. Changes nothing."""
    try:
        _group_of(group)
        if not path.parent.is_dir():
            return "its folder is not there"
        if path.exists() and not path.is_socket():
            return "a file that is no socket is in the way"
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _group_of(group: str) -> int:
    if not group:
        return -1
    try:
        return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise OSError(errno.EINVAL, f'there is no group "{group}"') from None


def _is_answered(path: Path) -> bool:
    """Tell whether a process listens on a socket. Raises ``OSError`` for a file of another kind."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError(errno.EEXIST, "a file that is no socket is in the way")
    except FileNotFoundError:
        return False
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except TimeoutError:
            return True  # somebody listens, and is busy
    return True


def remove_socket(path: Path, ours: os.stat_result) -> None:
    """Remove our socket, unless another process has put its own in the place by now."""
    with contextlib.suppress(OSError):
        now = path.lstat()
        if (now.st_dev, now.st_ino) == (ours.st_dev, ours.st_ino):
            path.unlink()
