"""A corpus -> clips, from its coding sheet or, for SMIC, from the names of its folders; and notes on what was left out or guessed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ...errors import InputError
from ...types import CLASSES
from ..table import NO_CLASS, Clip
from . import sheet
from .corpora import FIELDS, Corpus, numbered

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
EMOTIONS = {
    name: name for name in ("happiness", "surprise", "disgust", "anger", "sadness", "fear", "contempt", "repression", "tense", "others")
} | {"happy": "happiness", "angry": "anger", "sad": "sadness", "other": "others", "positive": "positive", "negative": "negative"}
_LABEL3 = {"positive": 1, "happiness": 1, "surprise": 2} | dict.fromkeys(
    ("negative", "disgust", "anger", "sadness", "fear", "contempt", "repression"), 0
)
# AU12, R12, 12L, 14B (intensity), T28 (top), L2; (k) marks a code that 4DME's coders were not sure of.
_AU = re.compile(r"(?:AU|AD)?\s*[LRTBU]?\s*([1-9]\d?)\s*[A-E]?\s*[LR]?(\(k\))?", re.IGNORECASE)


class Notes(dict[str, list[str]]):
    """What was left out or guessed -> where."""

    def add(self, kind: str, where: str) -> None:
        self.setdefault(kind, []).append(where)

    def lines(self) -> list[str]:
        return [f"{len(cases)} x {kind} ({cases[0]}{', ...' if cases[1:] else ''})" for kind, cases in self.items()]


def label3(emotion: str) -> int:
    """MEGC2019 class of an emotion; NO_CLASS for tense, others, and several emotions at once ("positive+surprise") of other classes."""
    found = {_LABEL3[part] for part in emotion.split("+") if part in _LABEL3}
    return found.pop() if len(found) == 1 else NO_CLASS


def action_units(text: str) -> tuple[frozenset[int], list[str]]:
    """Parse a sheet's action units: "R12 + R15", "AU4+AU7", "4B", "1+2+L20".

    Returns:
        Their numbers without side and intensity; and what is not counted: codes marked (k), alternatives between which the coders did
        not decide ("12 or 14", "12/14"), and what is no code.
    """
    found, left = set(), []
    for token in filter(None, (part.strip() for part in re.split(r"[+,;&]", text))):
        code = _AU.fullmatch(token)
        if code and not code[2]:
            found.add(int(code[1]))
        else:
            left.append(token)
    return frozenset(found), left


def read(corpus: Corpus, folder: Path) -> tuple[list[Clip], list[str]]:
    """Clips of a corpus, and notes.

    Args:
        folder: holds the coding sheet, and the frames somewhere in the two levels below it.

    Raises:
        InputError: no sheet or two, a cell that cannot be read, or more than a tenth of the clips without their frames.
    """
    notes = Notes()
    clips = list(_coded(corpus, _sheet(corpus, folder), notes))
    repeated = Counter(clip.key for clip in clips)
    # Corpora come as raw, selected and cropped frames in folders of any name: the one that has most of a few clips is the root.
    roots = [folder, *(path for pattern in ("*/", "*/*/") for path in sorted(folder.glob(pattern)) if path.is_dir())]
    few = clips[:: len(clips) // 10 + 1]
    root = max(roots, key=lambda path: sum((path / clip.path).is_dir() for clip in few))
    kept: dict[tuple[str, str, str], Clip] = {}
    for clip in clips:
        name = f"{clip.name}@{clip.onset}" if repeated[clip.key] > 1 else clip.name
        images = frames_of(root / clip.path)
        missing = [number for number in (clip.onset, clip.apex) if number not in images]
        if missing:
            notes.add("frames missing, clip left out", f"{clip.where}: frame {missing[0]} in {root / clip.path}")
            continue
        clip = replace(clip, name=name, path=root / clip.path, frames=(images[clip.onset], images[clip.apex]))
        if kept.setdefault(clip.key, clip) is not clip:
            notes.add("the same clip and onset again, left out", clip.where)
    if len(kept) < 0.9 * len(clips) or not kept:
        raise InputError(f"{folder}: {len(kept)} of {len(clips)} clips of {corpus.name} can be used. {' '.join(notes.lines())}".strip())
    return list(kept.values()), notes.lines()


def read_smic(folder: Path) -> tuple[list[Clip], list[str]]:
    """Clips of SMIC HS (Li et al., FG 2013): s1/micro/negative/s1_ne_01/*.bmp. No apex is coded: the middle frame is used.

    Raises:
        InputError: none found, or a folder that is no class or no subject.
    """
    clips, notes = [], Notes()
    paths = sorted(path for path in folder.glob("**/micro/*/*/") if path.is_dir())
    for path in [path for path in paths if "HS" in path.parts] or paths:  # VIS and NIR show the same clips
        subject, emotion = path.parents[2].name, path.parent.name.lower()
        if emotion not in CLASSES or not re.search(r"\d", subject):
            raise InputError(f"{path}: expected <s1..s20>/micro/<{'|'.join(CLASSES)}>/<clip>.")
        images = frames_of(path)
        numbers = sorted(images)
        if len(numbers) < 2:
            notes.add("fewer than two frames, clip left out", str(path))
            continue
        onset, apex, offset = numbers[0], numbers[max(1, (len(numbers) - 1) // 2)], numbers[-1]
        clip = Clip("smic", numbered("s{:02d}")(subject), path.name, emotion, CLASSES.index(emotion), None, onset, apex, offset, path)
        clips.append(replace(clip, frames=(images[onset], images[apex]), where=str(path)))
    if not clips:
        raise InputError(f"{folder}: no clips of SMIC: expected s1/micro/negative/s1_ne_01/ with its frames.")
    return clips, notes.lines()


def frames_of(folder: Path) -> dict[int, Path]:
    """Images of a folder by the last number in their names (img46.jpg, 006_05562.jpg, EP01_12-073.jpg)."""
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        digits = re.findall(r"\d+", path.stem)
        if digits and path.suffix.lower() in SUFFIXES:
            found.setdefault(int(digits[-1]), path)
    return found


def _sheet(corpus: Corpus, folder: Path) -> list[sheet.Row]:
    paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in (".xlsx", ".csv", ".xls") and path.name[0] not in ".~"]
    newer = [path for path in paths if path.suffix.lower() != ".xls"]
    found = {path.name: rows for path in newer or paths if (rows := sheet.read(path, corpus.headings)) is not None}
    if len(found) != 1:
        wanted = ", ".join(corpus.headings)
        raise InputError(f"{folder}: coding sheets of {corpus.name}: {', '.join(found) or 'none'}; one is needed, with {wanted}.")
    return next(iter(found.values()))


def _coded(corpus: Corpus, rows: list[sheet.Row], notes: Notes) -> Iterator[Clip]:
    of = dict(zip(FIELDS, corpus.headings, strict=True))
    for row in rows:
        identity, clip, coded = (row.cells[of[name]] for name in ("subject", "clip", "emotion"))
        onset, apex, offset = (row.frame(of[name]) if identity and clip else None for name in ("onset", "apex", "offset"))
        if onset is None or (apex is None and offset is None):
            notes.add("no subject, clip, onset, or neither apex nor offset, row left out", row.where)
            continue
        if apex is None:
            apex = (onset + (offset or 0)) // 2
            notes.add("no apex, the middle frame is used", row.where)
        offset = apex if offset is None else offset
        if not onset < apex <= offset:
            notes.add("apex not between onset and offset, used as it is", row.where)
        parts = [part.lower() for part in re.split(r"[^A-Za-z]+", coded) if part]
        if not parts or not set(parts) <= set(EMOTIONS):
            raise row.refuse(of["emotion"], f"is not an emotion. Known: {', '.join(EMOTIONS)}.")
        emotion = "+".join(sorted({EMOTIONS[part] for part in parts}))
        try:
            subject = corpus.subject(identity)
        except ValueError:
            raise row.refuse(of["subject"], "is not a subject's number.") from None
        for name, text in (("subject", identity), ("clip", clip), ("emotion", coded if "{emotion}" in corpus.folder else "")):
            if re.search(r"[/\\]|^\.+$", text):
                raise row.refuse(of[name], "is not the name of a folder.")
        aus, left = action_units(row.cells[of["aus"]])
        for token in left:
            notes.add("action unit not counted", f"{row.where}: {token[:20]!r}")
        inside = emotion not in corpus.outside and (subject, clip) not in corpus.dropped
        path = Path(corpus.folder.format(subject=subject, id=identity, clip=clip, emotion=coded.lower()))
        label = label3(emotion) if inside else NO_CLASS
        yield Clip(corpus.name, subject, clip, emotion, label, aus, onset, apex, offset, path, where=row.where)
