"""The definition of jpeg: DCT and quantisation in NumPy integers, bits one symbol after the other. Slow, obvious, right.

Source: ITU-T T.81, baseline sequential, Huffman tables and quantisation of Annex K, quality scaled as the Independent JPEG Group does; the
DCT is that of Loeffler, Ligtenberg and Moschytz (ICASSP 1989) with libjpeg's 13-bit constants and rounding ("islow").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .op import JpegCall

Integers = NDArray[np.int64]

MCU = 16  # luma px a side of a 4:2:0 unit
ROUND_BITS = 13, 2  # fraction of the DCT's constants; extra fraction of its row pass
C = {name: round(value * 2 ** ROUND_BITS[0]) for name, value in (
    ("0.298", 0.298631336), ("0.390", 0.390180644), ("0.541", 0.541196100), ("0.765", 0.765366865), ("0.899", 0.899976223),
    ("1.175", 1.175875602), ("1.501", 1.501321110), ("1.847", 1.847759065), ("1.961", 1.961570560), ("2.053", 2.053119869),
    ("2.562", 2.562915447), ("3.072", 3.072711026),
)}  # fmt: skip


def _zigzag() -> list[int]:
    """Natural index of every coefficient: diagonals, odd ones downwards."""
    cells = [(y, x) for y in range(8) for x in range(8)]
    cells.sort(key=lambda c: (c[0] + c[1], c[0] if (c[0] + c[1]) % 2 else c[1]))
    return [8 * y + x for y, x in cells]


ZIGZAG = _zigzag()


def _words(text: str) -> Integers:
    return np.array([int(word) for word in text.split()])


STEPS = (  # quantisation at quality 50, luma and chroma, zigzag order
    _words(
        "16 11 12 14 12 10 16 14 13 14 18 17 16 19 24 40 26 24 22 22 24 49 35 37 29 40 58 51 61 60 57 51 56 55 64 72 "
        "92 78 64 68 87 69 55 56 80 109 81 87 95 98 103 104 103 62 77 113 121 112 100 120 92 101 103 99"
    ),
    _words("17 18 18 24 21 24 47 26 26 47 99 66 56 66 99" + " 99" * 49),
)
# Codes of each length 1..16, then the symbols (run << 4 | category) in the order of their codes
DC_TABLES = tuple(
    (bytes.fromhex(counts), bytes(range(12))) for counts in ("00010501010101010100000000000000", "00030101010101010101010000000000")
)
AC_TABLES = (
    (
        bytes.fromhex("0002010303020403050504040000017d"),
        bytes.fromhex(
            "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a34353637"
            "38393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3"
            "a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
        ),
    ),
    (
        bytes.fromhex("00020102040403040705040400010277"),
        bytes.fromhex(
            "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a3536"
            "3738393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999a"
            "a2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
        ),
    ),
)


def steps(table: int, quality: int) -> Integers:
    """Quantisation steps 1..255 of a quality 1..100, zigzag order."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    scaled: Integers = np.clip((STEPS[table] * percent + 50) // 100, 1, 255)
    return scaled


def codes(table: tuple[bytes, bytes]) -> dict[int, tuple[int, int]]:
    """Symbol -> (code, length): codes of one length are consecutive, the next length goes on at twice the value."""
    counts, symbols = table
    found, code, each = {}, 0, iter(symbols)
    for length, count in enumerate(counts, 1):
        for _ in range(count):
            found[next(each)] = code, length
            code += 1
        code *= 2
    return found


def dct_line(v: Integers, is_row: bool) -> Integers:
    """Eight values along the last axis, int64 [..., 8]; rows keep two bits more, columns drop them."""
    sums, differences = v[..., :4] + v[..., :3:-1], v[..., :4] - v[..., :3:-1]
    t0, t1, t2, t3 = np.moveaxis(sums, -1, 0)
    t7, t6, t5, t4 = np.moveaxis(differences, -1, 0)
    t10, t13, t11, t12 = t0 + t3, t0 - t3, t1 + t2, t1 - t2
    even = (t12 + t13) * C["0.541"]
    z1, z2, z3, z4 = t4 + t7, t5 + t6, t4 + t6, t5 + t7
    z5 = (z3 + z4) * C["1.175"]
    z1, z2, z3, z4 = -z1 * C["0.899"], -z2 * C["2.562"], z5 - z3 * C["1.961"], z5 - z4 * C["0.390"]
    scaled = {
        1: t7 * C["1.501"] + z1 + z4,
        2: even + t13 * C["0.765"],
        3: t6 * C["3.072"] + z2 + z3,
        5: t5 * C["2.053"] + z2 + z4,
        6: even - t12 * C["1.847"],
        7: t4 * C["0.298"] + z1 + z3,
    }
    bits, extra = ROUND_BITS
    out = np.empty_like(v)
    for i, value in ((0, t10 + t11), (4, t10 - t11)):
        out[..., i] = value << extra if is_row else (value + (1 << extra >> 1)) >> extra
    shift = bits - extra if is_row else bits + extra
    for i, value in scaled.items():
        out[..., i] = (value + (1 << (shift - 1))) >> shift
    return out


def coefficients(plane: NDArray[np.uint8], step: Integers) -> Integers:
    """Plane of whole blocks uint8 [8 R, 8 C] -> quantised coefficients [R, C, 64], zigzag order; halves are rounded away from zero."""
    height, width = plane.shape
    blocks = plane.astype(np.int64).reshape(height // 8, 8, width // 8, 8).swapaxes(1, 2) - 128
    rows = dct_line(blocks, True)
    both = dct_line(rows.swapaxes(-1, -2), False).swapaxes(-1, -2)
    x = both.reshape(*both.shape[:2], 64)[..., ZIGZAG]
    quantised: Integers = np.sign(x) * ((np.abs(x) + 4 * step) // (8 * step))
    return quantised


def symbols(block: Integers) -> Iterator[tuple[int, int]]:
    """AC symbols (run << 4 | category) and values of a block: runs of 16 zeros as ZRL, zeros at the end as EOB."""
    run = 0
    last = int(np.flatnonzero(block)[-1]) if block.any() else 0
    for value in block[1 : last + 1].tolist():
        if value == 0:
            run += 1
            continue
        while run > 15:
            yield 0xF0, 0
            run -= 16
        yield run << 4 | abs(value).bit_length(), value
        run = 0
    if last < 63:
        yield 0, 0


class BitWriter:
    """Bits, first one first, to bytes; 0xff is followed by 0."""

    def __init__(self) -> None:
        self.bits: list[str] = []

    def put(self, code: tuple[int, int], value: int) -> None:
        """A code and the value's own bits: as many as its category, negative ones less 1."""
        category = abs(value).bit_length()
        self.bits.append(f"{code[0]:0{code[1]}b}")
        if category:
            self.bits.append(f"{value if value > 0 else value + 2**category - 1:0{category}b}")

    def finish(self) -> bytes:
        """All bytes, the last one filled with ones."""
        text = "".join(self.bits)
        text += "1" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


def header(height: int, width: int, quality: int) -> bytes:
    """SOI, JFIF 1.01, tables, frame and scan headers."""

    def segment(marker: int, content: bytes) -> bytes:
        return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content

    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    parts = [b"\xff\xd8", segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")]
    parts += [segment(0xDB, bytes((table, *steps(table, quality).tolist()))) for table in (0, 1)]
    parts.append(segment(0xC0, b"\x08" + size + bytes.fromhex("03 01 22 00 02 11 01 03 11 01")))
    for i in (0, 1):
        parts += [segment(0xC4, bytes((kind << 4 | i,)) + table[i][0] + table[i][1]) for kind, table in ((0, DC_TABLES), (1, AC_TABLES))]
    parts.append(segment(0xDA, bytes.fromhex("03 01 00 02 11 03 11 00 3f 00")))
    return b"".join(parts)


def encode_frame(frame: NDArray[np.uint8], height: int, width: int, quality: int) -> bytes:
    """One yuv420 frame uint8 [bytes] -> a file."""
    shapes = (height, width), ((height + 1) // 2, (width + 1) // 2), ((height + 1) // 2, (width + 1) // 2)
    unit_rows, unit_columns = -(-height // MCU), -(-width // MCU)
    planes, first = [], 0
    for p, (rows, columns) in enumerate(shapes):
        side = MCU if p == 0 else MCU // 2
        plane = frame[first : first + rows * columns].reshape(rows, columns)
        whole = np.pad(plane, ((0, unit_rows * side - rows), (0, unit_columns * side - columns)), "edge")
        planes.append(coefficients(whole, steps(min(p, 1), quality)))
        first += rows * columns

    # Blocks of luma wholly outside the image repeat the DC of the one coded before them, and are zero else
    writer, dc = BitWriter(), [0, 0, 0]
    dc_codes, ac_codes = [codes(table) for table in DC_TABLES], [codes(table) for table in AC_TABLES]
    for unit in range(unit_rows * unit_columns):
        y, x = divmod(unit, unit_columns)
        for p, row, column in (
            (0, 2 * y, 2 * x),
            (0, 2 * y, 2 * x + 1),
            (0, 2 * y + 1, 2 * x),
            (0, 2 * y + 1, 2 * x + 1),
            (1, y, x),
            (2, y, x),
        ):
            block = planes[p][row, column]
            if p == 0 and (8 * row >= height or 8 * column >= width):
                block = np.zeros_like(block)
                block[0] = dc[0]
            table, difference = min(p, 1), int(block[0]) - dc[p]
            dc[p] = int(block[0])
            writer.put(dc_codes[table][abs(difference).bit_length()], difference)
            for symbol, value in symbols(block):
                writer.put(ac_codes[table][symbol], value)
    return header(height, width, quality) + writer.finish() + b"\xff\xd9"


def encode_jpeg(call: JpegCall) -> list[bytes]:
    """Every frame of a checked call."""
    return [encode_frame(frame, *call.size, call.quality) for frame in call.frames]
