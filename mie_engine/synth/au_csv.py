"""Action units from a table the user measured: OpenFace FeatureExtraction (17 intensities, 0-5) or py-feat (AU01.., 0-1)."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
import numpy.typing as npt

from .. import limits
from ..errors import InputError, RangeError
from ..runtime.files import open_file
from ..types import CLASSES
from .action_units import AU_NUMBERS, AU_OF_UNIT, OPENFACE_AUS
from .draws import Draws, Floats, Stream, between
from .sources import EMOTIONS, LABEL3, MACRO_CUT, Index, Motion

GROUP_COLUMNS = ("sequence", "video", "filename")
LABEL_COLUMNS = ("emotion", "label")
UNRENDERED_AUS = frozenset({11})  # py-feat writes it; the engine has no geometry for it

_COLUMN = re.compile(r"AU0*([1-9][0-9]?)(_r)?", re.IGNORECASE)
_CLASSES = {"negative": 0, "positive": 1, "0": 0, "1": 1, "2": 2}


@dataclass(frozen=True)
class AuTable:
    """A checked table of labelled AU sequences (a sequence of one row is an apex reached from rest).

    intensity: float64 [rows, K], 0 to 1, sequence by sequence. aus: the K action units. first, length: int [S] rows of each sequence.
    label3: int8 [S]; emotion: [S] position in EMOTIONS, -1 where the label names only a class.
    """

    name: str
    sha256: str
    scale: float
    aus: tuple[int, ...]
    intensity: Floats
    first: Index
    length: Index
    label3: npt.NDArray[np.int8]
    emotion: Index

    def motion(self, draws: Draws, klass: Index, turn: Index, balance: int) -> tuple[Motion, Index, Index]:
        """Entry `turn` (cyclic) of each clip's class: onset = first row, apex = row floor(p rows), p ~ U(.25, .5), as MiE-X.

        Args:
            klass: [N] label3 (balance 3) or position in EMOTIONS (balance 7).
            turn: [N] how often the class came before.

        Returns:
            motion, label3 [N], emotion [N] (-1: only the class is known). Two rows are taken as annotated (onset, apex).

        Raises:
            InputError: a wanted class has no sequence here.
        """
        of_class = self.label3 if balance == 3 else self.emotion
        entry = np.zeros(len(klass), np.intp)
        for k in np.unique(klass):
            pool = np.flatnonzero(of_class == k)
            if not len(pool):
                what = f"label3 {k} ({CLASSES[k]})" if balance == 3 else f"emotion {EMOTIONS[k]}"
                raise InputError(f"{self.name}: no row of {what}, which the plan asks for: add one or leave out the au_csv source.")
            entry[klass == k] = pool[turn[klass == k] % len(pool)]
        first, length = self.first[entry], self.length[entry]
        part = between(draws.uniform(Stream.CUT, 1)[:, 0], MACRO_CUT)
        step = np.where(length > 1, np.maximum((part * length).astype(np.intp), 1), 0)
        onset = np.where((length > 1)[:, None], self._units(first), 0.0)
        cut = np.where(length > 2, part, 1.0)
        motion = Motion(onset, self._units(first + step), np.full(len(klass), "", "<U1"), cut)
        return motion, self.label3[entry].astype(np.intp), self.emotion[entry]

    def _units(self, row: Index) -> Floats:
        per_au = np.zeros((len(row), len(AU_NUMBERS)))
        per_au[:, [AU_NUMBERS.index(number) for number in self.aus]] = self.intensity[row]
        return per_au[:, AU_OF_UNIT]


def read(path: str | Path, scale: float | None = None) -> AuTable:
    """Read a CSV of AU intensities, one row per frame.

    Args:
        path: a regular file with a header: AU01_r..AU45_r (OpenFace, all 17) or AU01.. (py-feat); `emotion` or `label` (an emotion name,
            negative/positive/surprise or 0/1/2); optional `sequence`, `video` or `filename` groups rows into sequences, in file order.
        scale: intensity that means 1; by default 5 for `_r` columns and 1 for the others.

    Raises:
        InputError: anything wrong with the file, naming file, line and column.
        RangeError: scale is not a positive number.
    """
    path = Path(path)
    if scale is not None and not 0 < scale <= 1e6:
        raise RangeError(f"csv scale is {scale}, allowed is above 0 to 1e6: give the intensity that means full strength, such as 5.")
    try:
        with open_file(path, limits.MAX_CSV_BYTES, "split the table") as file:
            sha256 = _digest(file)
            file.seek(0)
            return _Reader(path, sha256, scale).table(io.TextIOWrapper(file, "utf-8-sig", newline=""))
    except UnicodeDecodeError as problem:
        raise InputError(f"{path}: not UTF-8 text at byte {problem.start}: save the table as UTF-8 CSV.") from problem


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


class _Reader:
    def __init__(self, path: Path, sha256: str, scale: float | None) -> None:
        self.path, self.sha256, self.scale = path, sha256, scale or 0.0
        self.line = 0

    def refuse(self, message: str) -> InputError:
        return InputError(f"{self.path}: line {self.line}: {message}")

    def lines(self, text: IO[str]) -> Iterator[str]:
        # A bounded readline: a file without line breaks must not become one 256 MB string.
        while line := text.readline(limits.MAX_CSV_LINE_CHARS + 1):
            self.line += 1
            if len(line) > limits.MAX_CSV_LINE_CHARS:
                raise self.refuse(f"longer than {limits.MAX_CSV_LINE_CHARS} characters: this is not a table of action units.")
            if "\0" in line:
                raise self.refuse("holds a NUL byte: this is not a text table.")
            yield line

    def table(self, text: IO[str]) -> AuTable:
        rows = csv.reader(self.lines(text), strict=True, skipinitialspace=True)
        try:
            header = [name.strip() for name in next(rows, [])]
            if not header:
                raise InputError(f"{self.path}: empty: expected a header with AU columns and one row per frame.")
            columns = self.columns(header)
            group, label = self.named(header, GROUP_COLUMNS), self.named(header, LABEL_COLUMNS)
            if label < 0:
                raise self.refuse("no column `emotion` or `label`: add one, clips need a label.")
            return self.body(rows, header, columns, group, label)
        except csv.Error as problem:
            raise self.refuse(f"{problem}: not a valid CSV row.") from problem

    def columns(self, header: list[str]) -> dict[int, int]:
        """AU number -> column, of those that are rendered."""
        if len(set(header)) != len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise self.refuse(f"column {twice[:40]!r} appears twice: name each column once.")
        matches = [(k, match) for k, name in enumerate(header) if (match := _COLUMN.fullmatch(name))]
        openface = any(match[2] for _, match in matches)
        numbers = {int(match[1]): k for k, match in matches if bool(match[2]) == openface}
        if not numbers:
            raise self.refuse("no AU columns: expected AU01_r..AU45_r (OpenFace) or AU01.. (py-feat).")
        missing = [f"AU{n:02d}_r" for n in OPENFACE_AUS if n not in numbers] if openface else []
        if missing:
            raise self.refuse(f"missing column {', '.join(missing)}: OpenFace writes 17 intensities, run it with -aus.")
        unknown = [header[k] for n, k in numbers.items() if n not in AU_NUMBERS and n not in UNRENDERED_AUS]
        if unknown:
            raise self.refuse(f"column {unknown[0]}: no such action unit here. Known: {', '.join(map(str, AU_NUMBERS))}.")
        self.scale = self.scale or (5.0 if openface else 1.0)
        return {n: k for n, k in numbers.items() if n in AU_NUMBERS}

    def named(self, header: list[str], names: tuple[str, ...]) -> int:
        lower = [name.lower() for name in header]
        return next((lower.index(name) for name in names if name in lower), -1)

    def body(self, rows: Iterator[list[str]], header: list[str], columns: dict[int, int], group: int, label: int) -> AuTable:
        where = list(columns.values())
        values, sequence_of_row = array("d"), array("q")
        ids: dict[str, int] = {}
        labels: list[tuple[int, int]] = []
        for row in rows:
            if not row:
                continue  # a blank line, as at the end of many files
            if len(row) != len(header):
                raise self.refuse(f"{len(row)} fields, the header has {len(header)}: every row needs one value per column.")
            if len(sequence_of_row) == limits.MAX_CSV_ROWS:
                raise self.refuse(f"more than {limits.MAX_CSV_ROWS} rows: split the table.")
            values.extend(self.number(row[k], header[k]) for k in where)
            known = self.label(row[label], header[label])
            name = row[group].strip() if group >= 0 else str(len(ids))
            sequence = ids.setdefault(name, len(ids))
            if sequence == len(labels):
                labels.append(known)
            elif labels[sequence] != known:
                raise self.refuse(
                    f"column {header[label]}: {row[label][:40]!r} differs from earlier rows of {name[:40]!r}: one label each."
                )
            sequence_of_row.append(sequence)
        if not labels:
            raise self.refuse("no rows below the header: expected one row per frame.")
        order = np.argsort(np.array(sequence_of_row), kind="stable")
        length = np.bincount(np.array(sequence_of_row)).astype(np.intp)
        return AuTable(
            name=self.path.name,
            sha256=self.sha256,
            scale=self.scale,
            aus=tuple(columns),
            intensity=np.array(values).reshape(-1, len(where))[order] / self.scale,
            first=np.cumsum(length) - length,
            length=length,
            label3=np.array([klass for klass, _ in labels], np.int8),
            emotion=np.array([emotion for _, emotion in labels], np.intp),
        )

    def number(self, text: str, column: str) -> float:
        try:
            value = float(text) if "_" not in text else float("nan")
        except ValueError:
            value = float("nan")
        if not 0 <= value <= self.scale:
            raise self.refuse(
                f"column {column}: {text.strip()[:20]!r}, allowed is 0 to {self.scale:g}: "
                "drop frames without a face, and give --csv-scale if the table uses another scale."
            )
        return value

    def label(self, text: str, column: str) -> tuple[int, int]:
        name = text.strip().lower()
        if name in EMOTIONS:
            emotion = EMOTIONS.index(name)
            return int(LABEL3[emotion]), emotion
        if name not in _CLASSES:
            allowed = f"{', '.join(EMOTIONS)}, negative, positive, or 0, 1, 2 for negative, positive, surprise"
            raise self.refuse(f"column {column}: {text[:40]!r}, allowed are {allowed}.")
        klass = _CLASSES[name]
        return klass, EMOTIONS.index("surprise") if klass == 2 else -1
