"""Coding sheets: .xlsx or .csv with a header somewhere in its first rows -> rows of text that know where they stand."""

from __future__ import annotations

import csv
import io
import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ... import limits
from ...errors import EnvironmentProblem, InputError
from ...runtime.files import read_image_bytes

HEADER_ROWS = 30  # SAMM's header stands in row 14, below its terms of use
MISSING = frozenset({"", "/", "\\", "?", "-", "nan", "none"})


@dataclass(frozen=True)
class Row:
    """One row of a sheet. cells: column -> text, stripped; empty where the sheet has one of MISSING."""

    sheet: Path
    number: int
    cells: Mapping[str, str]

    def refuse(self, column: str, message: str) -> InputError:
        return InputError(f"{self.sheet}: row {self.number}, column {column}: {message}")

    def frame(self, column: str) -> int | None:
        """A frame number; None where the cell is empty.

        Raises:
            InputError: not a whole number that is 0 or more.
        """
        text = self.cells[column]
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (0 <= value < 2**31 and value == int(value)):
            raise self.refuse(column, f"{text[:40]!r} is not a frame number: correct the sheet.")
        return int(value)


def read(path: Path, columns: Mapping[str, tuple[str, ...]]) -> list[Row] | None:
    """Read a sheet's rows.

    Args:
        path: .xlsx or .csv.
        columns: the columns to read: name used here -> names published sheets use, compared without case, spaces and punctuation.

    Returns:
        Rows that are not empty; None where no row looks like the header.

    Raises:
        InputError: damaged, too large, or an .xls, which only old Excel files are. EnvironmentProblem: openpyxl is missing.
    """
    found: dict[str, int] = {}
    rows: list[Row] = []
    for number, cells in enumerate(_lines(path), 1):
        if number > limits.MAX_CSV_ROWS:
            raise InputError(f"{path}: more than {limits.MAX_CSV_ROWS} rows: this is not a coding sheet.")
        if not found:
            names = [_plain(cell) for cell in cells]
            found = {
                name: next(names.index(_plain(alias)) for alias in aliases if _plain(alias) in names)
                for name, aliases in columns.items()
                if any(_plain(alias) in names for alias in aliases)
            }
            if len(found) < len(columns):
                found = {}
                if number >= HEADER_ROWS:
                    return None
        elif any(cells):
            kept = {name: cells[k] if k < len(cells) else "" for name, k in found.items()}
            rows.append(Row(path, number, {name: "" if text.lower() in MISSING else text for name, text in kept.items()}))
    return rows if found else None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _lines(path: Path) -> Iterator[list[str]]:
    suffix = path.suffix.lower()
    if suffix == ".xls":
        raise InputError(f"{path}: an .xls file of old Excel, which is not read here: open it and save it as .xlsx.")
    data = read_image_bytes(path)
    if suffix == ".csv":
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as problem:
            raise InputError(f"{path}: not UTF-8 text at byte {problem.start}: save the table as UTF-8 CSV.") from problem
        try:
            for row in csv.reader(io.StringIO(text, newline="")):
                yield [cell.strip() for cell in row]
        except csv.Error as problem:
            raise InputError(f"{path}: not a valid CSV table ({problem}).") from problem
        return
    try:
        import openpyxl
    except ImportError as problem:
        raise EnvironmentProblem(f"{path}: reading .xlsx needs the package openpyxl: pip install 'mie-engine[eval]'.") from problem
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:  # a sheet is a zip: refuse bombs before they are unpacked
            size = sum(part.file_size for part in parts.infolist())
            if size > limits.MAX_CSV_BYTES:
                raise InputError(f"{path}: {size} bytes unpacked, allowed are {limits.MAX_CSV_BYTES}: this is not a coding sheet.")
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        for row in book.worksheets[0].iter_rows(values_only=True):
            yield [_text(cell) for cell in row]
    except InputError:
        raise
    except Exception as problem:  # a damaged sheet is answered with a dozen types: BadZipFile, KeyError, ParseError, ...
        raise InputError(f"{path}: not a readable .xlsx sheet ({type(problem).__name__}: {str(problem)[:80]}): save it again.") from problem


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()
