"""Bytes of a JPEG, PNG or WebP file to uint8 RGB: sizes are checked before decoding, damage is refused rather than painted over."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from mie_engine import limits
from mie_engine.errors import InputError

if TYPE_CHECKING:
    from PIL import Image as PillowImage

BACKGROUND = 0.5  # behind transparent pixels: mid-grey, equally far from light and dark hair

_PNG = b"\x89PNG\r\n\x1a\n"
_BLOCK_PX = 1 << 20  # pixels converted at a time: keeps the 32-bit intermediates small


def decode_rgb(data: bytes, name: str) -> np.ndarray[Any, Any]:
    """Decode the content of a JPEG, PNG or WebP file, told apart by its first bytes.

    Args:
        data: the file's content.
        name: what errors call it.

    Returns:
        uint8 [H, W, 3] RGB, upright.

    Raises:
        InputError: another format, too large, truncated, damaged, or an animation.
    """
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _decode_jpeg(data, name)
        if data.startswith(_PNG):
            return _decode_png(data, name)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _decode_webp(data, name)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # decoders answer damage with a dozen types: OSError, SyntaxError, struct.error, IndexError, ...
        raise InputError(f"{name}: damaged or truncated ({error}); save the image again") from error
    raise InputError(f"{name}: not a JPEG, PNG or WebP image (it starts with {data[:8]!r}); convert it to one of these")


def check_size(width: int, height: int, name: str) -> None:
    """Refuse sizes outside limits.MIN_IMAGE_SIDE_PX and limits.MAX_IMAGE_PIXELS with an InputError."""
    if width * height > limits.MAX_IMAGE_PIXELS:
        raise InputError(f"{name}: {width} x {height} px is more than {limits.MAX_IMAGE_PIXELS} pixels; make the image smaller")
    if min(width, height) < limits.MIN_IMAGE_SIDE_PX:
        raise InputError(f"{name}: {width} x {height} px, each side must have at least {limits.MIN_IMAGE_SIDE_PX} px")


def to_rgb8(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Bring samples to uint8 RGB: transparency over the background, 16 bits scaled to 8 and rounded.

    Args:
        pixels: uint8 or uint16 [H, W, 1 | 3 | 4].

    Returns:
        uint8 [H, W, 3], C-contiguous; the argument itself where nothing had to change.
    """
    height, width, channels = pixels.shape
    if pixels.dtype == np.uint8 and channels == 3:
        return np.ascontiguousarray(pixels)
    peak = 255 if pixels.dtype.itemsize == 1 else 65535
    behind = np.uint32(round(BACKGROUND * peak))
    result = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BLOCK_PX // width)
    for top in range(0, height, rows):
        block = pixels[top : top + rows].astype(np.uint32)
        if channels == 4:  # at most peak * peak + peak / 2, which 32 bits hold
            alpha = block[:, :, 3:]
            block = (block[:, :, :3] * alpha + behind * (peak - alpha) + peak // 2) // peak
        result[top : top + rows] = block if peak == 255 else (block * 255 + peak // 2) // peak
    return result


def _open(data: bytes, kind: str) -> PillowImage.Image:
    from PIL import Image

    return Image.open(BytesIO(data), formats=[kind])


def _orientation(exif: bytes) -> int:
    """EXIF orientation, 1..8; 1 where the block does not say or cannot be read, for it says nothing about the pixels."""
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, first)
        for at in range(first + 2, first + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(order + "HH", block, at)
            if tag == 0x0112 and kind in (3, 4):  # SHORT, or LONG as some write
                return int(struct.unpack_from(order + ("H" if kind == 3 else "I"), block, at + 8)[0])
    except struct.error:
        return 1
    return 1


def _upright(pixels: np.ndarray[Any, Any], exif: bytes | None) -> np.ndarray[Any, Any]:
    orientation = _orientation(exif) if exif else 1
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _samples(image: PillowImage.Image) -> np.ndarray[Any, Any]:
    """8-bit samples [H, W, 3] or, with transparency of any kind, [H, W, 4]."""
    clear = image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if clear else "RGB"))


def _decode_jpeg(data: bytes, name: str) -> np.ndarray[Any, Any]:
    import simplejpeg

    height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    check_size(width, height, name)
    scans = data.count(b"\xff\xda")
    if scans > limits.MAX_JPEG_SCANS:  # each costs a pass over the whole image, however few its bytes
        raise InputError(f"{name}: a JPEG of {scans} scans, at most {limits.MAX_JPEG_SCANS} are allowed; save the image again")
    exif = _jpeg_exif(data, name)
    if colours in ("CMYK", "YCCK"):  # Pillow knows Adobe's inverted inks
        image = _open(data, "JPEG")
        if image.size != (width, height):
            raise InputError(f"{name}: a JPEG with two sizes; save the image again")
        return _upright(np.asarray(image.convert("RGB")), exif)
    # Strict, which Pillow is not: data that ends early or does not parse is an error, not a grey patch.
    return _upright(simplejpeg.decode_jpeg(data, "RGB", strict=True), exif)


def _jpeg_exif(data: bytes, name: str) -> bytes | None:
    at = 2
    for _ in range(limits.MAX_CHUNKS):
        marker, size = struct.unpack_from(">HH", data, at)
        if marker == 0xFFFF:  # a fill byte
            at += 1
        elif marker == 0xFFDA or marker < 0xFFC0:  # pixels begin; or not a marker, which the decoder judges
            return None
        elif marker == 0xFFE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            return data[at + 4 : at + 2 + size]
        else:
            at += 2 + size
    raise InputError(f"{name}: more than {limits.MAX_CHUNKS} JPEG segments; save the image again")


def _decode_png(data: bytes, name: str) -> np.ndarray[Any, Any]:
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    check_size(width, height, name)
    chunks = _png_chunks(data, name)
    kinds = [kind for kind, _ in chunks]
    if kinds[0] != b"IHDR" or kinds.count(b"IHDR") != 1:
        raise InputError(f"{name}: a PNG with a misplaced header; save the image again")
    if b"acTL" in kinds:
        raise InputError(f"{name}: an animation; save one frame as an image")
    samples = _png16_samples(data, colour) if depth == 16 else _samples(_open(data, "PNG"))
    exif = dict(chunks).get(b"eXIf")
    return _upright(to_rgb8(samples), None if exif is None else bytes(exif))


def _png_chunks(data: bytes, name: str) -> list[tuple[bytes, memoryview]]:
    """Kind and content of every chunk; checks lengths and checksums, which the decoder leaves unchecked for pixels."""
    chunks: list[tuple[bytes, memoryview]] = []
    at = len(_PNG)
    while not chunks or chunks[-1][0] != b"IEND":
        if len(chunks) >= limits.MAX_CHUNKS:
            raise InputError(f"{name}: more than {limits.MAX_CHUNKS} PNG chunks; save the image again")
        size, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + size
        (checksum,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(memoryview(data)[at + 4 : end]) != checksum:
            raise ValueError(f"wrong checksum in the {kind!r} chunk at byte {at}")
        chunks.append((kind, memoryview(data)[at + 8 : end]))
        at = end + 4
    return chunks


def _png16_samples(data: bytes, colour: int) -> np.ndarray[Any, Any]:
    """uint16 [H, W, 1 | 3 | 4]: Pillow reads 16-bit colour as 8 bits, so high and low bytes are read one after the other."""

    def read(raw: str, mode: str | None = None) -> np.ndarray[Any, Any]:
        image: Any = _open(data, "PNG")
        image.tile = [image.tile[0]._replace(args=raw)]
        if mode:
            image._mode = mode
        return np.asarray(image)

    if colour == 0:
        samples: np.ndarray[Any, Any] = read("I;16B").astype(np.uint16)[:, :, None]
    elif colour == 4:  # four bytes a pixel: grey high and low, alpha high and low
        samples = np.ascontiguousarray(read("RGBA", "RGBA")).view(">u2").astype(np.uint16)[:, :, [0, 0, 0, 1]]
    else:
        channels = "RGB" if colour == 2 else "RGBA"
        samples = read(f"{channels};16B").astype(np.uint16) << 8
        samples |= read(f"{channels};16L")
    clear: Any = _open(data, "PNG").info.get("transparency")  # the one colour that is transparent
    if clear is not None and colour in (0, 2):
        alpha = np.where((samples != np.asarray(clear, np.uint16)).any(axis=2, keepdims=True), 65535, 0).astype(np.uint16)
        samples = np.concatenate([np.broadcast_to(samples, (*samples.shape[:2], 3)), alpha], axis=2)
    return samples


def _decode_webp(data: bytes, name: str) -> np.ndarray[Any, Any]:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise InputError(f"{name}: an unknown kind of WebP ({kind!r}); save the image again")
    check_size(width, height, name)  # before Pillow sees it: Pillow allocates the canvas when it opens the file
    if kind == b"VP8X" and data[20] & 2:
        raise InputError(f"{name}: an animation; save one frame as an image")
    if int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise InputError(f"{name}: truncated, the file should be longer; save the image again")
    image = _open(data, "WEBP")
    if image.size != (width, height):
        raise InputError(f"{name}: a WebP with two sizes; save the image again")
    return _upright(to_rgb8(_samples(image)), image.info.get("exif"))
