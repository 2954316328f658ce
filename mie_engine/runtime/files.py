"""Files in: regular ones, of a bounded size. Files out: what is there is the old file or the new one, never half."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mie_engine.errors import EnvironmentProblem, InputError
from mie_engine.limits import MAX_IMAGE_BYTES

StrPath = str | os.PathLike[str]

TEMPORARY = ".tmp-"  # how names of unfinished files begin


@contextlib.contextmanager
def open_file(path: StrPath, most_bytes: int, advice: str = "make it smaller") -> Iterator[BinaryIO]:
    """Open a regular file for reading; never blocks on a pipe or a device.

    Raises:
        InputError: missing, unreadable, not a regular file, or larger than most_bytes.
    """

    def check(status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path}: not a regular file; name one")
        if status.st_size > most_bytes:
            raise InputError(f"{path}: {status.st_size} bytes, at most {most_bytes} are read; {advice}")

    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        check(os.stat(path))  # before opening, which on a device may already have effects
        handle = os.open(path, flags)
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise InputError(f"{str(path)!r}: cannot be read ({error})") from error
    with open(handle, "rb") as file:
        try:
            check(os.fstat(file.fileno()))  # between the two calls the name may have become a pipe
            yield file
        except OSError as error:
            raise InputError(f"{str(path)!r}: cannot be read ({error})") from error


def read_file(path: StrPath, most_bytes: int = MAX_IMAGE_BYTES) -> bytes:
    """The content of a regular file. Raises InputError: empty, or as open_file."""
    with open_file(path, most_bytes) as file:
        data = file.read(most_bytes + 1)
    if not data:
        raise InputError(f"{path}: the file is empty")
    if len(data) > most_bytes:
        raise InputError(f"{path}: more than {most_bytes} bytes; make it smaller")
    return data


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be made or written before work is done for it.

    Raises:
        EnvironmentProblem: a part of its path is no folder, or not writable.
    """
    place = next(part for part in (folder, *folder.absolute().parents) if os.path.exists(part))
    if not (os.path.isdir(place) and os.access(place, os.W_OK)):
        raise EnvironmentProblem(f"{folder}: {place} is no folder, or one without permission. Choose a folder you may write to.")


def make_folder(folder: Path) -> None:
    """Make a folder, with its parents, where there is none. Raises EnvironmentProblem."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentProblem(f"{folder}: {error.strerror}. Choose a folder you may write to.") from error


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
