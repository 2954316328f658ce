"""Small files whose headers promise more than any machine should decode. Each function returns {file name: bytes}."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, extra: bytes = b"", pixels: bytes = b"") -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + png_chunk(b"IDAT", zlib.compress(pixels)) + png_chunk(b"IEND", b"")


def encoded(kind: str, side: int = 64, **options) -> bytes:
    file = io.BytesIO()
    ramp = np.mgrid[0:side, 0:side].sum(axis=0).astype(np.uint8)
    Image.fromarray(np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=2)).save(file, kind, **options)
    return file.getvalue()


def resized_jpeg(width: int, height: int) -> bytes:
    data = bytearray(encoded("JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2) for kind, content in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def vp8x(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    return b"VP8X", bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def headers() -> dict[str, bytes]:
    """Headers of up to four billion pixels on files of a kilobyte."""
    lossy, lossless = bytearray(encoded("WEBP")), bytearray(encoded("WEBP", lossless=True))
    lossy[26:30] = struct.pack("<HH", 16383, 16383)
    lossless[21:25] = struct.pack("<I", 16383 | 16383 << 14)
    return {
        "gigapixel.png": png(32768, 32768),
        "largest.png": png(2**31 - 1, 2**31 - 1),
        "just_over.png": png(7072, 7071),
        "line.png": png(2**31 - 1, 1),
        "gigapixel.jpg": resized_jpeg(32768, 32768),
        "largest.jpg": resized_jpeg(65500, 65500),
        "gigapixel.webp": riff(vp8x(32768, 32768), (b"VP8 ", bytes(lossy[20:]))),
        "largest.webp": riff(vp8x(1 << 24, 255)),
        "lossy.webp": bytes(lossy),
        "lossless.webp": bytes(lossless),
    }


def contents() -> dict[str, bytes]:
    """Modest sizes, immodest content."""
    zeros = zlib.compress(bytes(100 << 20), 9)
    jpeg = encoded("JPEG", progressive=True)
    scan = jpeg[jpeg.index(b"\xff\xda") : -2]
    small = png(64, 64, pixels=bytes(64 * 193))
    big_header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 32768, 32768, 8, 2, 0, 0, 0))
    return {
        "text_bomb.png": png(64, 64, png_chunk(b"zTXt", b"Comment\0\0" + zeros)),
        "profile_bomb.png": png(64, 64, png_chunk(b"iCCP", b"icc\0\0" + zeros)),
        "two_headers.png": small[:33] + big_header + small[33:],
        "many_chunks.png": small[:33] + png_chunk(b"tEXt", b"a\0b") * 200_000 + small[33:],
        "many_scans.jpg": jpeg[:-2] + scan * 3000 + b"\xff\xd9",
        "many_segments.jpg": jpeg[:2] + b"\xff\xfe\x00\x02" * 500_000 + jpeg[2:],
        "frame_beyond_canvas.webp": riff(vp8x(64, 64), (b"VP8 ", headers()["lossy.webp"][20:])),
    }


def surplus() -> dict[str, bytes]:
    """More pixel data than the header asks for: the surplus is never unpacked, the picture is black."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    zeros = zlib.compress(bytes(100 << 20), 9)
    return {"surplus.png": b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zeros) + png_chunk(b"IEND", b"")}
