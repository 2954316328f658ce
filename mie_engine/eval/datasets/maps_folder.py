"""Precomputed flow maps as the MEGC2019 field shares them: <subject>/u_test/<0|1|2>/*.png and u_train, 28x28, RGB = u, v, strain.

All samples are the union of every subject's u_test. u_train is the complement for other people's programs; it is only checked.
"""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...runtime.files import read_image_bytes
from ...types import CLASSES
from ..table import UNKNOWN, Clip, Maps, Table

# CASME II sub01, SAMM 006, SMIC s01 (or s1): the composite's 24, 28 and 16 subjects cannot be mixed up.
_CORPORA = (("casme2", re.compile(r"sub\d{1,2}")), ("samm", re.compile(r"\d{3}")), ("smic", re.compile(r"s\d{1,2}")))


def corpus_of(subject: str) -> str:
    """Corpus of a subject of the composite by the form of its name; UNKNOWN where it has another."""
    return next((name for name, form in _CORPORA if form.fullmatch(subject)), UNKNOWN)


def is_maps_folder(folder: Path) -> bool:
    """Whether subjects with u_test lie in a folder."""
    return any(path.is_dir() for path in folder.glob("*/u_test"))


def read(folder: Path) -> Table:
    """Read all samples.

    Raises:
        InputError: a folder that is no class, a file that is no square RGB PNG of the size of the others, or one sample twice.
    """
    clips: list[Clip] = []
    maps: list[Maps] = []
    digests: list[str] = []
    notes, leaks = [], []
    for tests in sorted(folder.glob("*/u_test")):
        subject = tests.parent.name
        corpus = corpus_of(subject)
        if corpus == UNKNOWN:
            notes.append(f"subject {subject}: its corpus cannot be told from its name, it counts in the pooled scores only")
        own = set()
        for label, path in _files(tests):
            data = read_image_bytes(path)
            image = _decode(data, path)
            if maps and image.shape != maps[0].shape:
                raise InputError(f"{path}: {image.shape[1]} x {image.shape[0]} px, others have {maps[0].shape[1]}: one size for all maps.")
            name = path.stem.strip()
            if _subject_of(name) not in (None, subject):
                leaks.append(f"{path}: a file of {_subject_of(name)} among those of {subject}")
            digests.append(hashlib.sha256(data).hexdigest())
            own.add(digests[-1])
            maps.append(image)
            clips.append(Clip(corpus, subject, name, path, CLASSES[label], label))
        trains = tests.parent / "u_train"
        if trains.is_dir():
            for _, path in _files(trains):
                if _subject_of(path.stem.strip()) == subject or hashlib.sha256(read_image_bytes(path)).hexdigest() in own:
                    leaks.append(f"{path}: a test file of {subject} in u_train")
    if not clips:
        raise InputError(f"{folder}: no maps in <subject>/u_test/<0|1|2>/*.png.")
    if len(set(clips)) < len(clips):
        twice = next(clip for k, clip in enumerate(clips) if clip in clips[:k])
        raise InputError(f"{twice.path}: sample {twice.name} is there twice: remove one.")
    return Table.of(clips, np.stack(maps), digests, notes, leaks)


def _files(folder: Path) -> list[tuple[int, Path]]:
    found = []
    for group in sorted(path for path in folder.iterdir() if path.is_dir()):
        if group.name not in ("0", "1", "2"):
            raise InputError(f"{group}: not a class; allowed are 0 (negative), 1 (positive), 2 (surprise).")
        found += [(int(group.name), path) for path in sorted(group.glob("*.png"))]
    return found


def _subject_of(name: str) -> str | None:
    """sub01_EP19_05f -> sub01; None where a name does not begin like a subject."""
    first = name.split("_")[0]
    return first if corpus_of(first) != UNKNOWN else None


def _decode(data: bytes, path: Path) -> Maps:
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data), formats=["PNG"])
        if image.mode != "RGB" or image.width != image.height or not 8 <= image.width <= 512:
            raise InputError(f"{path}: {image.width} x {image.height} px, mode {image.mode}: a flow map is square and RGB.")
        return np.asarray(image)
    except InputError:
        raise
    except Exception as problem:  # Pillow answers damage with a dozen types
        raise InputError(f"{path}: not a readable PNG ({problem}).") from problem
