"""Coding sheets: .xlsx, .xls or .csv with a header somewhere in its first rows -> rows of text that know where they stand."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ... import limits
from ...errors import EnvironmentProblem, InputError
from ...runtime.files import read_file

HEADER_ROWS = 30  # SAMM's header stands in row 14, below its terms of use
MISSING = frozenset({"", "/", "\\", "?", "-", "nan", "none"})


@dataclass(frozen=True)
class Row:
    """One row of a sheet: heading -> text, stripped, empty where the sheet has one of MISSING."""

    where: str
    cells: Mapping[str, str]

    def refuse(self, column: str, message: str) -> InputError:
        return InputError(f"{self.where}, column {column}: {self.cells[column][:40]!r} {message}")

    def frame(self, column: str) -> int | None:
        """A frame number; None where the cell is empty. Raises InputError: not a whole number from 0 on."""
        text = self.cells[column]
        if text and not re.fullmatch(r"\d{1,9}(\.0*)?", text):
            raise self.refuse(column, "is not a frame number: correct the sheet.")
        return int(float(text)) if text else None


def read(path: Path, headings: Sequence[str]) -> list[Row] | None:
    """Read the rows of a sheet that are not empty; None where no row has these headings (case, spaces and punctuation do not count).

    Raises:
        InputError: damaged or too large. EnvironmentProblem: openpyxl or xlrd is missing.
    """
    wanted = [_plain(name) for name in headings]
    at: list[int] = []
    rows: list[Row] = []
    for number, cells in enumerate(_lines(path), 1):
        if number > limits.MAX_SHEET_ROWS:
            raise InputError(f"{path}: more than {limits.MAX_SHEET_ROWS} rows: this is not a coding sheet.")
        if at and any(cells):
            texts = [cells[k] if k < len(cells) else "" for k in at]
            texts = ["" if text.lower() in MISSING else text for text in texts]
            rows.append(Row(f"{path}: row {number}", dict(zip(headings, texts, strict=True))))
        elif not at:
            names = [_plain(cell) for cell in cells]
            if set(wanted) <= set(names):
                at = [names.index(name) for name in wanted]
            elif number >= HEADER_ROWS:
                return None
    return rows if at else None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _lines(path: Path) -> Iterator[list[str]]:
    data = read_file(path)
    if path.suffix.lower() == ".csv":
        try:
            yield from ([cell.strip() for cell in row] for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
        except (UnicodeDecodeError, csv.Error) as problem:
            raise InputError(f"{path}: not a CSV table in UTF-8 ({problem}): save it as such.") from problem
        return
    kind = path.suffix.lower()
    try:
        yield from _xls(data) if kind == ".xls" else _xlsx(data)
    except ImportError as problem:
        raise EnvironmentProblem(f"{path}: reading {kind} needs the package {problem.name}: pip install mie-engine[eval].") from problem
    except Exception as problem:  # damage is answered with a dozen types: BadZipFile, KeyError, ParseError, XLRDError, ...
        raise InputError(
            f"{path}: not a readable {kind} sheet ({type(problem).__name__}: {str(problem)[:80]}): save it again."
        ) from problem


def _xlsx(data: bytes) -> Iterator[list[str]]:
    import openpyxl

    with zipfile.ZipFile(io.BytesIO(data)) as parts:  # refuse bombs before they are unpacked
        size = sum(part.file_size for part in parts.infolist())
    if size > limits.MAX_CSV_BYTES:
        raise ValueError(f"{size} bytes unpacked, allowed are {limits.MAX_CSV_BYTES}")
    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    # Bounded: one cell in the last corner of a sheet would else be a billion empty ones.
    for row in book.worksheets[0].iter_rows(max_row=limits.MAX_SHEET_ROWS + 1, max_col=limits.MAX_SHEET_COLUMNS, values_only=True):
        yield [_text(cell) for cell in row]


def _xls(data: bytes) -> Iterator[list[str]]:
    import xlrd

    book = xlrd.open_workbook(file_contents=data, logfile=io.StringIO(), ragged_rows=True).sheet_by_index(0)
    for number in range(min(book.nrows, limits.MAX_SHEET_ROWS + 1)):
        yield [_text(cell) for cell in book.row_values(number, end_colx=limits.MAX_SHEET_COLUMNS)]


def _text(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():  # an .xls knows no whole numbers
        return str(int(cell))
    return "" if cell is None else str(cell).strip()
