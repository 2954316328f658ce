"""Folders of corpora -> clips and their flow maps."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import InputError
from ..table import Progress, Table, quiet
from . import coding, frames, maps_folder
from .corpora import CODED

NAMES = (*CODED, "smic")
_OTHER_NAMES = {"casmeii": "casme2", "casme3a": "casme3", "4dme": "fourd", "4dmicro": "fourd"}


def read(folder: Path, side: int, inputs: str = "maps", progress: Progress = quiet) -> Table:
    """Read what a folder holds: maps (<subject>/u_test), one corpus (by the folder's name), or corpora in folders of their names.

    Args:
        side: of what is made from frames, px; 0: labels only. inputs: "maps", or "frames" (onset and apex).

    Raises:
        InputError: no such folder, nothing known in it, or as the reader of the corpus.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder: name the one that holds the data.")
    if any(path.is_dir() for path in folder.glob("*/u_test")):
        if inputs != "maps":
            raise InputError(f"{folder} holds flow maps, the network takes {inputs}: choose a network of maps.")
        table = maps_folder.read(folder)
        if side not in (0, table.maps.shape[1]):
            raise InputError(f"{folder} holds maps of {table.maps.shape[1]} px, the network takes {side}: choose one of that size.")
        return table
    clips, notes = [], []
    places = [folder] if _known(folder.resolve().name) else sorted(path for path in folder.iterdir() if path.is_dir() and _known(path.name))
    names = [_known(place.resolve().name) for place in places]
    if not names or len(set(names)) < len(names):
        raise InputError(f"{folder}: neither <subject>/u_test nor one folder each of known corpora: name them {', '.join(NAMES)}.")
    for name, place in zip(names, places, strict=True):
        found, said = coding.read_smic(place) if name == "smic" else coding.read(CODED[str(name)], place)
        clips += found
        notes += [f"{name}: {line}" for line in said]
    return frames.table(clips, side, inputs, notes, progress) if side else Table.of(clips, notes=notes)


def _known(name: str) -> str | None:
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    plain = _OTHER_NAMES.get(plain, plain)
    return plain if plain in NAMES else None
