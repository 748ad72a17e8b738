"""New files: written whole or not at all, with the mode, owner and time of the file that they stand for."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def new_file(path: Path, like: os.stat_result | None) -> Iterator[BinaryIO]:
    """Open a file beside ``path`` that takes its place once the block ends well. Raises OSError.

    It has mode, owner and time of ``like``; without that, it is its owner's alone.
    """
    descriptor, name = tempfile.mkstemp(prefix=".mailveil-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            if like is not None:
                _resemble(file.fileno(), like)
        os.replace(name, path)  # noqa: PTH105 - the name is text already
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _resemble(descriptor: int, like: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.fchown(descriptor, like.st_uid, like.st_gid)
    os.fchmod(descriptor, like.st_mode & 0o777)
    os.utime(descriptor, ns=(like.st_atime_ns, like.st_mtime_ns))


def write_file(path: Path, content: bytes, like: os.stat_result | None) -> None:
    """Write a file whole or not at all. Raises OSError."""
    with new_file(path, like) as file:
        file.write(content)


def copy_file(source: Path, path: Path) -> None:
    """Copy a file byte for byte, whole or not at all. Raises OSError."""
    with source.open("rb") as original, new_file(path, os.fstat(original.fileno())) as file:
        shutil.copyfileobj(original, file, 1024 * 1024)


def make_folder(path: Path, like: os.stat_result) -> None:
    """Make a folder with mode and owner of another, unless it is there. Raises OSError."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    if os.geteuid() == 0:
        os.chown(path, like.st_uid, like.st_gid)
    path.chmod((like.st_mode & 0o777) | 0o700)
