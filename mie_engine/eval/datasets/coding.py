"""A corpus with a coding sheet -> clips. What a corpus does differently stands in its own file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import InputError
from ..table import NO_CLASS, Clip
from . import sheet

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
EMOTIONS = {
    "happiness": "happiness", "happy": "happiness", "positive": "positive", "surprise": "surprise", "disgust": "disgust", "anger": "anger",
    "angry": "anger", "sadness": "sadness", "sad": "sadness", "fear": "fear", "contempt": "contempt", "repression": "repression",
    "tense": "tense", "negative": "negative", "others": "others", "other": "others",
}  # fmt: skip
_LABEL3 = {"positive": 1, "happiness": 1, "surprise": 2} | dict.fromkeys(
    ("negative", "disgust", "anger", "sadness", "fear", "contempt", "repression"), 0
)
# AU12, R12, 12L, 14B (intensity), T28 (top), L2; (k) marks a code that 4DME's coders were not sure of.
_AU = re.compile(r"(?:AU|AD)?\s*[LRTBU]?\s*([1-9]\d?)\s*[A-E]?\s*[LR]?(\(k\))?", re.IGNORECASE)


@dataclass(frozen=True)
class Corpus:
    """How a corpus lays out its frames and sheet.

    columns: subject, clip, onset, apex, offset, emotion, aus -> headings. subject: text of the sheet -> the name MEGC2019 uses.
    folder: a clip's folder below the root of the frames, from {subject} (that name), {id} (text of the sheet), {clip} and {emotion}.
    outside: emotions that the composite leaves out of this corpus although they have a class.
    """

    name: str
    columns: Mapping[str, tuple[str, ...]]
    folder: str
    subject: Callable[[str], str] = str
    outside: frozenset[str] = frozenset()
    dropped: frozenset[tuple[str, str]] = frozenset()  # (subject, clip) outside the composite


class Notes:
    """Counts what was left out or guessed, with the first case of each kind."""

    def __init__(self, corpus: str) -> None:
        self.corpus = corpus
        self.cases: dict[str, list[str]] = {}

    def add(self, kind: str, where: str) -> None:
        self.cases.setdefault(kind, []).append(where)

    def lines(self) -> list[str]:
        return [f"{self.corpus}: {len(cases)} x {kind} ({cases[0]}{', ...' if cases[1:] else ''})" for kind, cases in self.cases.items()]


def numbered(pattern: str) -> Callable[[str], str]:
    """Subject names of a corpus that counts its subjects: "1", "sub1" or "sub01" -> pattern of 1."""

    def name(text: str) -> str:
        digits = re.search(r"\d+", text)
        if not digits:
            raise ValueError(text)
        return pattern.format(int(digits[0]))

    return name


def label3(emotion: str) -> int:
    """MEGC2019 class of an emotion, NO_CLASS for tense and others, and for several emotions at once of different classes."""
    found = {_LABEL3[part] for part in emotion.split("+") if part in _LABEL3}
    return found.pop() if len(found) == 1 else NO_CLASS


def action_units(text: str) -> tuple[frozenset[int], list[str]]:
    """Parse a sheet's AU text: "R12 + R15", "AU4+AU7", "4B", "1+2+L20".

    Returns:
        AU numbers, sides and intensities dropped; and what was not counted: codes marked (k), alternatives ("12 or 14", "12/14") of
        which the coders could not say which it was, and what is no code.
    """
    found, left = set(), []
    for token in re.split(r"[+,;&]", text):
        code = _AU.fullmatch(token.strip())
        if code and not code[2]:
            found.add(int(code[1]))
        elif token.strip():
            left.append(token.strip())
    return frozenset(found), left


def read(corpus: Corpus, folder: Path) -> tuple[list[Clip], list[str]]:
    """Clips of a corpus, and notes on what its sheet lacks.

    Args:
        folder: holds the coding sheet, and the frames somewhere in the two levels below it.

    Raises:
        InputError: no sheet, two sheets, a cell that cannot be read, or more than a tenth of the clips without frames.
    """
    rows = _rows(corpus, folder)
    notes = Notes(corpus.name)
    clips = list(_clips(corpus, rows, notes))
    repeated = Counter((clip.subject, clip.name) for clip in clips)
    clips = [replace(clip, name=f"{clip.name}@{clip.onset}") if repeated[clip.subject, clip.name] > 1 else clip for clip in clips]
    root = _root(clips, folder)
    kept: dict[Clip, Clip] = {}
    for clip in clips:
        clip = replace(clip, path=root / clip.path)
        images = frames_of(clip.path)
        missing = [number for number in (clip.onset, clip.apex) if number not in images]
        if missing:
            notes.add("frames missing, clip left out", f"{clip.where}: frame {missing[0]} in {clip.path}")
        elif clip in kept:
            notes.add("the same clip and onset twice, the first is used", clip.where)
        else:
            kept[clip] = replace(clip, frames=(images[clip.onset], images[clip.apex]))
    if len(kept) < 0.9 * len(clips) or not kept:
        raise InputError(f"{folder}: {len(kept)} of {len(clips)} clips of {corpus.name} can be used. {' '.join(notes.lines())}".strip())
    return list(kept.values()), notes.lines()


def frames_of(folder: Path) -> dict[int, Path]:
    """Images of a folder by the last number in their names (img46.jpg, 006_05562.jpg, EP01_12-073.jpg)."""
    found: dict[int, Path] = {}
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            digits = re.findall(r"\d+", path.stem)
            if digits and path.suffix.lower() in SUFFIXES:
                found.setdefault(int(digits[-1]), path)
    return found


def _rows(corpus: Corpus, folder: Path) -> list[sheet.Row]:
    paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in (".xlsx", ".csv", ".xls") and path.is_file()]
    paths = [path for path in paths if path.name[0] not in ".~"]  # Excel's lock files
    newer = [path for path in paths if path.suffix.lower() != ".xls"]
    found = [(path, rows) for path in newer or paths if (rows := sheet.read(path, corpus.columns)) is not None]
    wanted = ", ".join(aliases[0] for aliases in corpus.columns.values())
    if len(found) != 1:
        names = ", ".join(path.name for path, _ in found) or "none"
        raise InputError(f"{folder}: coding sheets of {corpus.name} found: {names}; there must be one, with the columns {wanted}.")
    return found[0][1]


def _clips(corpus: Corpus, rows: list[sheet.Row], notes: Notes) -> Iterator[Clip]:
    for row in rows:
        where = f"row {row.number}"
        cells = row.cells
        onset = row.frame("onset") if cells["subject"] and cells["clip"] else None
        if onset is None:
            notes.add("no subject, clip or onset, row left out", where)
            continue
        offset = row.frame("offset")
        apex = row.frame("apex")
        if apex is None and offset is None:
            notes.add("neither apex nor offset, row left out", where)
            continue
        if apex is None:
            assert offset is not None
            apex = (onset + offset) // 2
            notes.add("no apex, the middle frame is used", where)
        offset = apex if offset is None else offset
        if not onset < apex <= offset:
            notes.add("apex not between onset and offset, used as it is", where)
        parts = [part.lower() for part in re.split(r"[^A-Za-z]+", cells["emotion"]) if part]
        unknown = [part for part in parts if part not in EMOTIONS]
        if unknown or not parts:
            raise row.refuse("emotion", f"{cells['emotion'][:40]!r} is not an emotion. Known: {', '.join(EMOTIONS)}.")
        emotion = "+".join(sorted({EMOTIONS[part] for part in parts}))
        try:
            subject = corpus.subject(cells["subject"])
        except ValueError:
            raise row.refuse("subject", f"{cells['subject'][:40]!r} has no number.") from None
        aus, left = action_units(cells["aus"])
        for token in left:
            notes.add("action unit not counted", f"{where}: {token[:20]!r}")
        names = {"subject": subject, "id": cells["subject"], "clip": cells["clip"], "emotion": cells["emotion"].lower()}
        if any("/" in text or "\\" in text or text == ".." for text in names.values()):
            raise row.refuse("clip", f"{cells['clip'][:40]!r} is not the name of a folder.")
        composite = emotion not in corpus.outside and (subject, cells["clip"]) not in corpus.dropped
        yield Clip(
            corpus.name, subject, cells["clip"], Path(corpus.folder.format(**names)), emotion,
            label3(emotion) if composite else NO_CLASS, onset, apex, offset, aus, where=where,
        )  # fmt: skip


def _root(clips: list[Clip], folder: Path) -> Path:
    """The folder below which most of the first clips lie: corpora come as raw, selected and cropped frames in folders of any name."""
    levels = [folder, *(p for pattern in ("*/", "*/*/") for p in sorted(folder.glob(pattern)) if p.is_dir())]
    few = clips[:: max(1, len(clips) // 10)]
    return max(levels, key=lambda root: sum((root / clip.path).is_dir() for clip in few))
