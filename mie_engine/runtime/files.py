"""Files out: what is there is the old file or the new one, never half."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from mie_engine.errors import EnvironmentProblem

TEMPORARY = ".tmp-"  # how names of unfinished files begin


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be made or written before work is done for it.

    Raises:
        EnvironmentProblem: a part of its path is no folder, or not writable.
    """
    place = next(part for part in (folder, *folder.absolute().parents) if os.path.exists(part))
    if not (os.path.isdir(place) and os.access(place, os.W_OK)):
        raise EnvironmentProblem(f"{folder}: {place} is no folder, or one without permission. Choose a folder you may write to.")


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
