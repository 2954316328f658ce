"""Protocols: which clips count, with which labels, and who is left out together."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, UsageError
from ..models.samples import CD6ME_AUS
from ..types import CLASSES
from .table import NO_CLASS, UNKNOWN, Clip, Rows, Table

# name: (labels, what a fold leaves out, sentence)
PROTOCOLS = {
    "megc2019": ("class", "subject", "composite of CASME II, SAMM and SMIC, 3 classes, leave one subject out"),
    "mie-x": ("class", "thirds", "the composite in MiE-X's 3 folds of 24, 23 and 21 subjects"),
    "emotion": ("emotion", "subject", "one corpus, its own emotions, leave one subject out"),
    "fivefold": ("emotion", "fifths", "one corpus, its own emotions, 5 folds of subjects (MiE-X on MMEW and SAMM)"),
    "au": ("au", "subject", "one corpus, its action units, leave one subject out"),
    "cd6me": ("au", "corpus", "12 action units, leave one of six corpora out"),
}
COMPOSITE = ("casme2", "samm", "smic")
CD6ME = ("casme", "casme2", "samm", "fourd", "mmew", "casme3")  # in the order results are printed
CORPORA = (*CD6ME, "smic")
# Of every corpus: emotions and action units that are evaluated inside it. AU subsets: Varanka et al., IEEE TAFFC 15(1), 2024.
EMOTIONS = {
    "casme2": ("happiness", "surprise", "disgust", "repression", "others"),
    "samm": ("anger", "contempt", "happiness", "surprise", "others"),
    "smic": ("negative", "positive", "surprise"),
    "mmew": ("happiness", "surprise", "anger", "disgust", "fear", "sadness"),
}
AUS = {
    "casme": (1, 4, 9, 14),
    "casme2": (1, 2, 4, 7, 12, 14, 15, 17),
    "samm": (2, 4, 7, 12),
    "mmew": (1, 2, 4, 5, 7, 10, 12, 14),
    "fourd": (1, 2, 4, 6, 7, 12, 17, 45),
}
THIRDS = (24, 23, 21)  # of MiE-X's 68 subjects

# Clips, and how often each of CD6ME_AUS is coded. Source: MEB's coding sheets.
CD6ME_COUNTS = {
    "casme": (189, (23, 17, 70, 0, 1, 4, 40, 3, 9, 23, 14, 13)),
    "casme2": (256, (26, 22, 130, 2, 13, 39, 13, 16, 34, 27, 16, 25)),
    "casme3": (860, (153, 128, 274, 44, 8, 27, 50, 10, 15, 193, 6, 20)),
    "fourd": (267, (46, 54, 102, 8, 25, 89, 1, 2, 53, 4, 6, 11)),
    "mmew": (300, (50, 41, 109, 70, 10, 47, 8, 38, 37, 17, 6, 11)),
    "samm": (159, (6, 18, 23, 10, 3, 46, 5, 6, 28, 13, 4, 6)),
}


@dataclass(frozen=True, eq=False)
class Fold:
    """name: who is left out (corpus/subject, a corpus, or a number). test, train: rows of the table, in order."""

    name: str
    test: Rows
    train: Rows


@dataclass(frozen=True, eq=False)
class Task:
    """A protocol on data. label: int64 [N] positions in classes, or bool [N, A] where classes are action units ("AU1")."""

    protocol: str
    table: Table
    label: npt.NDArray[Any]
    classes: tuple[str, ...]
    folds: tuple[Fold, ...]

    @property
    def multi(self) -> bool:
        """Whether a clip can have several labels (action units)."""
        return self.label.ndim == 2

    @property
    def split_hash(self) -> str:
        """SHA-256 over the names of all clips and the fold that tests each: equal hashes are equal splits."""
        lines = [
            f"{fold.name}\t{clip.person}/{clip.name}\n" for fold in self.folds for clip in (self.table.clips[k] for k in fold.test.tolist())
        ]
        return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def label_counts() -> Table:
    """CD6ME's 2,031 clips as far as counts tell: right numbers of clips and codes, no frames. A constant answer is scored exactly."""
    clips = []
    for corpus, (n, active) in CD6ME_COUNTS.items():
        for k in range(n):
            aus = frozenset(au for au, count in zip(CD6ME_AUS, active, strict=True) if k < count)
            clips.append(Clip(corpus, "counts", f"{k:04d}", aus=aus))
    return Table.of(clips)


def check(protocol: str) -> None:
    """Raise UsageError where there is no such protocol."""
    if protocol not in PROTOCOLS:
        raise UsageError(f"protocol {protocol!r} is unknown. Known: {', '.join(PROTOCOLS)}, spot.")


def task(protocol: str, table: Table) -> Task:
    """Apply a protocol to clips.

    Raises:
        UsageError: no such protocol, or it needs one corpus. InputError: too few clips for it.
    """
    check(protocol)
    labels, leave_out, _ = PROTOCOLS[protocol]
    clips = table.clips
    corpora = sorted({clip.corpus for clip in clips})
    if labels == "class":
        keep = [clip.corpus in (*COMPOSITE, UNKNOWN) and clip.label3 != NO_CLASS for clip in clips]
        classes: tuple[str, ...] = CLASSES
    elif protocol == "cd6me":
        keep, classes = [clip.corpus in CD6ME and clip.aus is not None for clip in clips], tuple(f"AU{au}" for au in CD6ME_AUS)
    else:
        if len(corpora) != 1:
            raise UsageError(f"protocol {protocol} takes one corpus, the data hold {', '.join(corpora) or 'none'}: name one folder.")
        found = tuple(sorted({clip.emotion for clip in clips}))
        classes = EMOTIONS.get(corpora[0], found)
        keep = [clip.emotion in classes for clip in clips]
        if labels == "au":
            if corpora[0] not in AUS:
                raise UsageError(f"{corpora[0]} has no published set of action units for this protocol. Known: {', '.join(AUS)}.")
            keep, classes = [clip.aus is not None for clip in clips], tuple(f"AU{au}" for au in AUS[corpora[0]])
    rows = np.flatnonzero(keep)
    notes = [f"{len(clips) - len(rows)} clips are not part of {protocol}"] if len(rows) < len(clips) else []
    whole = COMPOSITE if labels == "class" else CD6ME if protocol == "cd6me" else ()
    if missing := [name for name in whole if name not in {clips[row].corpus for row in rows.tolist()}]:
        notes.append(f"without {', '.join(missing)} this is a part of {protocol}: do not compare it with scores of the whole")
    table = table.take(rows, *notes)
    if labels == "au":
        label: npt.NDArray[Any] = np.array([[int(au[2:]) in (clip.aus or ()) for au in classes] for clip in table.clips], bool)
    else:
        label = np.array([clip.label3 if labels == "class" else classes.index(clip.emotion) for clip in table.clips], np.int64)
    names = _fold_of(table.clips, leave_out)
    if len(set(names)) < 2:
        raise InputError(f"{protocol} leaves out {leave_out}: it needs clips of at least two, the data hold {len(set(names))}.")
    folds = []
    for name in sorted(set(names)):
        test = np.array([given == name for given in names])
        folds.append(Fold(name, np.flatnonzero(test), np.flatnonzero(~test)))
    return Task(protocol, table, label, classes, tuple(folds))


def _fold_of(clips: tuple[Clip, ...], leave_out: str) -> list[str]:
    if leave_out in ("subject", "corpus"):
        return [clip.person if leave_out == "subject" else clip.corpus for clip in clips]
    # The authors' lists are not published: subjects are shuffled by a hash of their names, so everyone gets the same folds.
    people = sorted({clip.person for clip in clips}, key=lambda person: hashlib.sha256(f"mie {person}".encode()).digest())
    shares = THIRDS if leave_out == "thirds" else (1, 1, 1, 1, 1)
    ends = np.rint(np.cumsum(shares) / sum(shares) * len(people)).astype(int)
    of = {person: str(1 + int(np.searchsorted(ends, k, side="right"))) for k, person in enumerate(people)}
    return [of[clip.person] for clip in clips]


def summary(given: Task) -> str:
    """One line: clips, subjects, labels, folds."""
    counts = given.label.sum(0) if given.multi else np.bincount(given.label, minlength=len(given.classes))
    named = ", ".join(f"{name} {count}" for name, count in zip(given.classes, counts.tolist(), strict=True))
    corpora = Counter(clip.corpus for clip in given.table.clips)
    people = len({clip.person for clip in given.table.clips})
    of = ", ".join(f"{name} {count}" for name, count in sorted(corpora.items()))
    return f"{len(given.table)} clips ({of}), {people} subjects, {len(given.folds)} folds; {named}"
