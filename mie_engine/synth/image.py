"""Images of the making road: files, folders of them and patterns."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from mie_engine import limits
from mie_engine.errors import InputError
from mie_engine.runtime.files import StrPath
from mie_engine.runtime.image import SUFFIXES, is_image_name

PLAN_FILE, PREVIEW_FILE = "plan.json", "preview.png"  # of a dataset: what shows that a picture is its contact sheet


def find_images(paths: StrPath | Sequence[StrPath]) -> list[Path]:
    """List the images named by files, folders and glob patterns.

    Args:
        paths: each a file (any name), a folder (searched recursively; links to folders are not followed, contact sheets of datasets
            are left out) or a glob pattern. Folders and patterns yield names that end in SUFFIXES, in any case, and are not hidden.

    Returns:
        Paths in the order given, sorted within a folder or pattern, each once.

    Raises:
        InputError: nothing found, a name that does not exist, or more than limits.MAX_FACES files.
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    found: dict[Path, None] = {}
    for path in given:
        for image in _expand(Path(path)):
            found[image] = None
            if len(found) > limits.MAX_FACES:
                raise InputError(f"{path}: more than {limits.MAX_FACES} images; split the input")
    if not found:
        raise InputError(f"no image in {', '.join(map(str, given)) or 'an empty list'}; looked for {' '.join(SUFFIXES)}")
    return list(found)


def _expand(path: Path) -> Iterator[Path]:
    try:
        if path.is_dir():
            yield from _walk(path)
        elif os.path.lexists(path):
            yield path
        elif any(character in str(path) for character in "*?["):
            anchor = Path(path.anchor)
            yield from (match for match in sorted(anchor.glob(str(path.relative_to(anchor)))) if is_image_name(match.name))
        else:
            raise InputError(f"{path}: no such file or folder")
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r}: cannot be searched ({error})") from error


def _walk(top: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise error  # os.walk would leave the folder out without a word

    for folder, folders, names in os.walk(top, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if PLAN_FILE in names and PREVIEW_FILE in names:  # a dataset made below its faces: its contact sheet is no face
            names.remove(PREVIEW_FILE)
        yield from (Path(folder, name) for name in sorted(names) if is_image_name(name))
