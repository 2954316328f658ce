"""What is evaluated: clips with their labels and maps, always in the order of their names, whatever order a folder or sheet had."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

UNKNOWN = "unknown"  # a corpus that cannot be told
NO_CLASS = -1

Maps = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, order=True)
class Clip:
    """One labelled clip of a corpus.

    corpus: casme, casme2, samm, smic, casme3, mmew, fourd or UNKNOWN. subject: as MEGC2019 writes it (sub01, 006, s01). path: the folder
    of its frames, or a map. onset, apex, offset: frame numbers. label3: 0, 1, 2 (CLASSES) or NO_CLASS. aus: coded action units, None
    where the corpus has none. frames: images of onset and apex. where: row of the coding sheet, for messages.
    """

    corpus: str
    subject: str
    name: str
    path: Path = field(compare=False)
    emotion: str = field(compare=False)
    label3: int = field(compare=False)
    onset: int = field(default=0, compare=False)
    apex: int = field(default=0, compare=False)
    offset: int = field(default=0, compare=False)
    aus: frozenset[int] | None = field(default=None, compare=False)
    frames: tuple[Path, Path] | None = field(default=None, compare=False)
    where: str = field(default="", compare=False)

    @property
    def person(self) -> str:
        """Corpus and subject: what a fold keeps together."""
        return f"{self.corpus}/{self.subject}"


@dataclass(frozen=True, eq=False)
class Table:
    """Clips in order. maps: uint8 [N, S, S, 3] (u, v, strain), S = 0 where only labels are known; digests: SHA-256 of what each map was
    made from; notes: what was left out and why; leaks: files of a test subject found among training files."""

    clips: tuple[Clip, ...]
    maps: Maps
    digests: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        clips: Iterable[Clip],
        maps: Maps | None = None,
        digests: Iterable[str] = (),
        notes: Iterable[str] = (),
        leaks: Iterable[str] = (),
    ) -> Table:
        """Put clips, with their maps, in order."""
        listed, hashes = list(clips), list(digests)
        order = sorted(range(len(listed)), key=listed.__getitem__)
        maps = np.zeros((len(listed), 0, 0, 3), np.uint8) if maps is None else maps
        hashes = [hashes[k] for k in order] if hashes else []
        return cls(tuple(listed[k] for k in order), maps[order], tuple(hashes), tuple(notes), tuple(leaks))

    def __len__(self) -> int:
        return len(self.clips)

    def take(self, rows: Rows, *notes: str) -> Table:
        """Some of the clips."""
        picked = rows.tolist()
        digests = tuple(self.digests[k] for k in picked) if self.digests else ()
        return Table(tuple(self.clips[k] for k in picked), self.maps[rows], digests, self.notes + notes, self.leaks)
