"""Files in and out: only regular ones of a bounded size are read, and what is written is either the old file or the new one."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from mie_engine import limits
from mie_engine.errors import EnvironmentProblem, InputError

StrPath = str | os.PathLike[str]

TEMPORARY = ".tmp-"  # how names of unfinished files begin


def read_image_bytes(path: StrPath) -> bytes:
    """Read a regular file of at most limits.MAX_IMAGE_BYTES; never blocks on a pipe or a device.

    Args:
        path: the file.

    Returns:
        Its content, not empty.

    Raises:
        InputError: missing, unreadable, not a regular file, empty or too large.
    """
    allowed = limits.MAX_IMAGE_BYTES
    try:
        _check_regular(os.stat(path), path)  # before opening, which on a device may already have effects
        # Non-blocking, and checked again: between the two calls the name may have become a pipe.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(path, flags), "rb") as file:
            _check_regular(os.fstat(file.fileno()), path)
            data = file.read(allowed + 1)
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise InputError(f"{str(path)!r}: cannot be read ({error})") from error
    if not data:
        raise InputError(f"{path}: the file is empty")
    if len(data) > allowed:
        raise InputError(f"{path}: more than {allowed} bytes; make the image smaller")
    return data


def _check_regular(status: os.stat_result, path: StrPath) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: not a regular file; give an image file")
    if status.st_size > limits.MAX_IMAGE_BYTES:
        raise InputError(f"{path}: {status.st_size} bytes, at most {limits.MAX_IMAGE_BYTES} are allowed; make the image smaller")


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_file(path: Path, data: bytes) -> None:
    """Write a file so that it is either the old one or the new one, never half.

    Raises:
        EnvironmentProblem: full disk, no permission.
    """
    temporary = path.with_name(TEMPORARY + path.name)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise EnvironmentProblem(
            f"{path}: {error.strerror}. Free space or choose another folder, then run the same command again."
        ) from error
