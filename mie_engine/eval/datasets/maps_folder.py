"""Precomputed flow maps as the MEGC2019 field shares them: <subject>/u_test/<0|1|2>/*.png and u_train, RGB = u, v, strain.

All samples are the union of every subject's u_test. u_train is the complement for other people's programs; it is only checked.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...runtime.files import read_file
from ...types import CLASSES
from ..table import UNKNOWN, Clip, Maps, Table

_CORPORA = (("casme2", re.compile(r"sub\d{1,2}")), ("samm", re.compile(r"\d{3}")), ("smic", re.compile(r"s\d{1,2}")))


def corpus_of(subject: str) -> str:
    """Corpus of a subject of the composite by the form of its name (sub01, 006, s01); UNKNOWN where it has another."""
    return next((name for name, form in _CORPORA if form.fullmatch(subject)), UNKNOWN)


def read(folder: Path) -> Table:
    """Read all samples.

    Raises:
        InputError: a folder that is no class, a file that is no square RGB PNG of the size of the others, or one sample twice.
    """
    clips: list[Clip] = []
    maps: list[Maps] = []
    notes, leaks = [], []
    for tests in sorted(folder.glob("*/u_test")):
        subject, corpus = tests.parent.name, corpus_of(tests.parent.name)
        if corpus == UNKNOWN:
            notes.append(f"subject {subject}: its corpus cannot be told from its name, it counts in the pooled scores only")
        own = set()
        for label, path in _files(tests):
            data = read_file(path)
            digest, image, name = hashlib.sha256(data).hexdigest(), _decode(data, path), path.stem.strip()
            clips.append(Clip(corpus, subject, name, CLASSES[label], label, path=path, digest=digest))
            if maps and image.shape != maps[0].shape:
                raise InputError(f"{path}: {image.shape[0]} px a side, others have {maps[0].shape[0]}: one size for all maps.")
            if corpus_of(name.split("_")[0]) != UNKNOWN and name.split("_")[0] != subject:
                leaks.append(f"{path}: another subject's file among those of {subject}")
            own.add(digest)
            maps.append(image)
        for _, path in _files(tests.parent / "u_train"):
            if path.stem.split("_")[0] == subject or hashlib.sha256(read_file(path)).hexdigest() in own:
                leaks.append(f"{path}: a test file of {subject} in u_train")
    if not clips:
        raise InputError(f"{folder}: no maps in <subject>/u_test/<0|1|2>/*.png.")
    return Table.of(clips, np.stack(maps), notes, leaks)


def _files(folder: Path) -> Iterator[tuple[int, Path]]:
    for group in sorted(path for path in folder.glob("*") if path.is_dir()):
        if group.name not in ("0", "1", "2"):
            raise InputError(f"{group}: not a class; allowed are 0 (negative), 1 (positive), 2 (surprise).")
        yield from ((int(group.name), path) for path in sorted(group.glob("*.png")))


def _decode(data: bytes, path: Path) -> Maps:
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data), formats=["PNG"])
        if image.mode != "RGB" or image.width != image.height or not 8 <= image.width <= 512:
            raise ValueError(f"{image.width} x {image.height} px, mode {image.mode}; a flow map is square and RGB")
        return np.asarray(image)
    except Exception as problem:  # Pillow answers damage with a dozen types
        raise InputError(f"{path}: not a PNG of a flow map ({problem}).") from problem
