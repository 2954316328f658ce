"""What is evaluated: clips with their labels and maps, in the order of their names, whatever order a folder or sheet had."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import InputError

UNKNOWN = "unknown"  # a corpus that cannot be told
NO_CLASS = -1

Maps = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.intp]
Progress = Callable[[str, int, int], None]  # what is counted, how many there are, how many more are done


def quiet(what: str, total: int, done: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Clip:
    """One labelled clip.

    corpus: casme, casme2, samm, smic, casme3, mmew, fourd or UNKNOWN. subject: as MEGC2019 writes it (sub01, 006, s01). label3: position
    in CLASSES or NO_CLASS. aus: coded action units, None where the corpus has none. onset, apex, offset: frame numbers. path: folder of
    its frames, or its map. frames: images of onset and apex. digest: SHA-256 of the files its map is made from. where: row of the sheet.
    """

    corpus: str
    subject: str
    name: str
    emotion: str = ""
    label3: int = NO_CLASS
    aus: frozenset[int] | None = None
    onset: int = 0
    apex: int = 0
    offset: int = 0
    path: Path = Path()
    frames: tuple[Path, Path] | None = None
    digest: str = ""
    where: str = ""

    @property
    def person(self) -> str:
        """Corpus and subject: what a fold keeps together."""
        return f"{self.corpus}/{self.subject}"

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells clips apart."""
        return self.corpus, self.subject, self.name


@dataclass(frozen=True, eq=False)
class Table:
    """clips by key. maps: uint8 [N, S, S, 3] (u, v, strain) or, for frame networks, [N, 2, S, S, 3]; S = 0 where only labels are known.
    notes: what was left out and why. leaks: test files found among training files."""

    clips: tuple[Clip, ...]
    maps: Maps
    notes: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()

    @classmethod
    def of(cls, clips: Iterable[Clip], maps: Maps | None = None, notes: Iterable[str] = (), leaks: Iterable[str] = ()) -> Table:
        """Put clips, with their maps, in order. Raises InputError: two of one name."""
        listed = list(clips)
        order = sorted(range(len(listed)), key=lambda k: listed[k].key)
        for a, b in pairwise(order):
            if listed[a].key == listed[b].key:
                raise InputError(f"{listed[a].path} and {listed[b].path}: {'/'.join(listed[a].key)} is there twice, remove one.")
        maps = np.zeros((len(listed), 0, 0, 3), np.uint8) if maps is None else maps
        return cls(tuple(listed[k] for k in order), maps[order], tuple(notes), tuple(leaks))

    def __len__(self) -> int:
        return len(self.clips)

    def take(self, rows: Rows, *notes: str) -> Table:
        """Some of the clips, given by rows in growing order."""
        return Table(tuple(self.clips[k] for k in rows.tolist()), self.maps[rows], self.notes + notes, self.leaks)
