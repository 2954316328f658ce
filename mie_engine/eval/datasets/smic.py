"""SMIC HS (Li et al., FG 2013), labelled by its folders: s1/micro/negative/s1_ne_01/*.bmp. No apex is coded: the middle frame is used."""

from pathlib import Path

from ...errors import InputError
from ...types import CLASSES
from ..table import Clip
from .coding import Notes, frames_of, numbered


def read(folder: Path) -> tuple[list[Clip], list[str]]:
    """Clips of SMIC below a folder, and notes.

    Raises:
        InputError: none found, or one of a class that is none of CLASSES.
    """
    clips, notes = [], Notes("smic")
    for path in sorted(folder.glob("**/micro/*/*/")):
        subject, emotion = path.parents[2].name, path.parent.name.lower()
        if emotion not in CLASSES:
            raise InputError(f"{path}: {emotion!r} is not a class of SMIC. Known: {', '.join(CLASSES)}.")
        images = frames_of(path)
        if len(images) < 2:
            notes.add("fewer than two frames, clip left out", str(path))
            continue
        numbers = sorted(images)
        apex = numbers[(len(numbers) - 1) // 2] if len(numbers) > 2 else numbers[1]
        frames = (images[numbers[0]], images[apex])
        name = numbered("s{:02d}")(subject)
        clips.append(Clip("smic", name, path.name, path, emotion, CLASSES.index(emotion), numbers[0], apex, numbers[-1], None, frames))
    if not clips:
        raise InputError(f"{folder}: no clips of SMIC: expected s1/micro/negative/s1_ne_01/ with its frames.")
    return clips, notes.lines()
