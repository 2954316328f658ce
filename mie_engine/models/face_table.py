"""Images and their action units, as a generator learns them: a folder of face crops and one CSV of AU intensities."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mie_engine.errors import InputError
from mie_engine.limits import MAX_CSV_BYTES, MAX_CSV_ROWS, MAX_SAMPLE_BYTES
from mie_engine.runtime.files import read_file
from mie_engine.runtime.image import load_rgb

from .generator import AUS

FILE_COLUMNS = ("file", "filename", "image")


@dataclass(frozen=True, eq=False)
class FaceTable:
    """images: uint8 [N, S, S, 3]. action_units: float32 [N, 17] in [0, 1], in the order of generator.AUS. sha256: of both."""

    images: NDArray[np.uint8]
    action_units: NDArray[np.float32]
    sha256: str


def read(folder: Path, side: int, progress: Callable[[int, int], None] = lambda images, size: None) -> FaceTable:
    """Read a folder.

    Args:
        folder: images, and one .csv with a column `file` (or filename, image: names within the folder) and the 17 intensities
            AU01_r..AU45_r (OpenFace, 0 to 5) or AU01..AU45 (0 to 1).
        side: images are cut to their middle square and scaled to this, px.

    Raises:
        InputError: no such table; a row, naming its line; an image that cannot be read; too many for memory.
    """
    tables = sorted(folder.glob("*.csv")) if folder.is_dir() else []
    if len(tables) != 1:
        raise InputError(f"{folder} holds {len(tables)} .csv files, expected images and one table of their action units")
    names, action_units = _rows(tables[0])
    if len(names) * side * side * 3 > MAX_SAMPLE_BYTES:
        raise InputError(f"{tables[0]}: {len(names)} images of {side} px need more than {MAX_SAMPLE_BYTES} bytes; use fewer")
    images = np.empty((len(names), side, side, 3), np.uint8)
    for k, name in enumerate(names):
        pixels = load_rgb(folder / name)
        height, width, _ = pixels.shape
        edge = min(height, width)
        top, left = (height - edge) // 2, (width - edge) // 2
        square = Image.fromarray(pixels[top : top + edge, left : left + edge])
        images[k] = np.asarray(square.resize((side, side), Image.Resampling.BICUBIC))
        progress(1, pixels.nbytes)
    digest = hashlib.sha256(images.tobytes())
    digest.update(action_units.tobytes())
    return FaceTable(images, action_units, digest.hexdigest())


def _rows(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    data = read_file(path, MAX_CSV_BYTES)
    try:
        return _parsed(path, csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True, skipinitialspace=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV ({error})") from error


def _parsed(path: Path, lines: Any) -> tuple[list[str], NDArray[np.float32]]:
    header = [name.strip() for name in next(lines, [])]
    file = next((header.index(name) for name in FILE_COLUMNS if name in header), None)
    suffix, scale = ("_r", 5.0) if "AU01_r" in header else ("", 1.0)
    columns = [f"AU{number:02d}{suffix}" for number in AUS]
    missing = [name for name in columns if name not in header]
    if file is None or missing:
        raise InputError(f"{path} lacks the columns {', '.join(missing) or 'file'}; expected file and {columns[0]} .. {columns[-1]}")
    where = [header.index(name) for name in columns]
    names: list[str] = []
    values: list[list[float]] = []
    for row in lines:
        try:
            vector = [float(row[k]) / scale for k in where]
            inside = all(0 <= value <= 1 for value in vector)
        except (ValueError, IndexError):
            inside = False
        if not inside or len(row) != len(header) or len(names) == MAX_CSV_ROWS:
            raise InputError(
                f"{path}: line {lines.line_num}: expected a file and {len(AUS)} numbers of 0 to {scale:g}, {MAX_CSV_ROWS} rows"
            )
        if Path(row[file]).is_absolute() or ".." in Path(row[file]).parts:
            raise InputError(f"{path}: line {lines.line_num}: {row[file][:80]!r} lies outside the folder")
        names.append(row[file])
        values.append(vector)
    if not names:
        raise InputError(f"{path} has no rows below its header")
    return names, np.array(values, np.float32)
