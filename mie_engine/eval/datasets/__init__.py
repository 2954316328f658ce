"""Folders of corpora -> clips and their flow maps."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import InputError
from ..table import Clip, Table
from . import coding, frames, maps_folder, smic
from .casme import CASME
from .casme2 import CASME2
from .casme3 import CASME3
from .fourd import FOURD
from .mmew import MMEW
from .samm import SAMM

CODED = {corpus.name: corpus for corpus in (CASME, CASME2, SAMM, CASME3, MMEW, FOURD)}
NAMES = (*CODED, "smic")
_OTHER_NAMES = {"casmeii": "casme2", "casme3a": "casme3", "4dme": "fourd", "4dmicro": "fourd"}


def read(folder: Path, side: int) -> Table:
    """Read what a folder holds: maps (<subject>/u_test), one corpus (by the folder's name), or corpora in folders of their names.

    Args:
        side: of the maps to make from frames, px; 0: labels only.

    Raises:
        InputError: no such folder, nothing known in it, or as the reader of the corpus.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder: name the one that holds the data.")
    if maps_folder.is_maps_folder(folder):
        return maps_folder.read(folder)
    clips, notes = [], []
    for name, place in _corpora(folder).items():
        found, said = smic.read(place) if name == "smic" else coding.read(CODED[name], place)
        clips += found
        notes += said
    if not side:
        return Table.of(clips, notes=notes)
    return frames.table(clips, side, notes)


def _corpora(folder: Path) -> dict[str, Path]:
    if name := _known(folder.resolve().name):
        return {name: folder}
    found: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        if name := _known(path.name):
            if name in found:
                raise InputError(f"{folder}: both {found[name].name} and {path.name} look like {name}: keep one.")
            found[name] = path
    if not found:
        raise InputError(f"{folder}: neither <subject>/u_test nor a folder of a known corpus: name it {', '.join(NAMES)}.")
    return found


def _known(name: str) -> str | None:
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    plain = _OTHER_NAMES.get(plain, plain)
    return plain if plain in NAMES else None
