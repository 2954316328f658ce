"""Legal images of unusual kinds, each with the picture it must turn into. Functions return {file name: (bytes, uint8 [H, W, 3])}."""

import io
import struct
import zlib

import numpy as np
from make_bombs import encoded, png_chunk
from PIL import Image

GREY = 128


def picture() -> np.ndarray:
    """Smooth, and different under every flip and turn; 40 x 64 px."""
    rows, columns = np.mgrid[0:40, 0:64]
    return np.stack([columns * 4, rows * 6, (columns + 2 * rows) * 3 // 2], axis=2).astype(np.uint8)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def over_grey(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[:, :, 3:].astype(int)
    return ((rgba[:, :, :3] * alpha + GREY * (255 - alpha) + 127) // 255).astype(np.uint8)


def lossless() -> dict[str, tuple[bytes, np.ndarray]]:
    rgb = picture()
    grey = rgb[:, :, 0]
    alpha = np.dstack([rgb, np.tile(np.arange(64, dtype=np.uint8) * 4, (40, 1))])
    palette = Image.fromarray(rgb).quantize(17)
    cut = np.asarray(palette) == 3
    opaque = np.asarray(palette.convert("RGB"))
    grey_alpha = np.dstack([grey, alpha[:, :, 3]])
    return {
        "rgb.png": (saved(Image.fromarray(rgb), "PNG"), rgb),
        "rgb.webp": (saved(Image.fromarray(rgb), "WEBP", lossless=True), rgb),
        "wrong_suffix.jpg": (saved(Image.fromarray(rgb), "PNG"), rgb),
        "grey.png": (saved(Image.fromarray(grey), "PNG"), np.dstack([grey] * 3)),
        "one_bit.png": (saved(Image.fromarray(grey > 99), "PNG"), np.dstack([(grey > 99) * np.uint8(255)] * 3)),
        "palette.png": (saved(palette, "PNG"), opaque),
        "palette_clear.png": (saved(palette, "PNG", transparency=3), np.where(cut[:, :, None], np.uint8(GREY), opaque)),
        "alpha.png": (saved(Image.fromarray(alpha), "PNG"), over_grey(alpha)),
        "alpha.webp": (saved(Image.fromarray(alpha), "WEBP", lossless=True, exact=True), over_grey(alpha)),
        "grey_alpha.png": (saved(Image.fromarray(grey_alpha, "LA"), "PNG"), over_grey(grey_alpha[:, :, [0, 0, 0, 1]])),
    }


def deep() -> dict[str, tuple[bytes, np.ndarray]]:
    """16-bit PNGs of every colour type, written by hand: Pillow cannot."""
    values = np.random.default_rng(5).integers(0, 65536, (40, 64, 4))
    values[0, :4, :3] = [[0], [128], [129], [65535]]  # rounding: 129 / 257 is nearer to 1
    files = {}
    for name, colour, channels in (("grey16", 0, [0]), ("rgb16", 2, [0, 1, 2]), ("grey_alpha16", 4, [0, 3]), ("rgba16", 6, [0, 1, 2, 3])):
        samples = values[:, :, channels]
        colours, alpha = samples[:, :, : 1 if colour in (0, 4) else 3], samples[:, :, -1:] if colour >= 4 else np.full((40, 64, 1), 65535)
        mixed = (colours * alpha + 32768 * (65535 - alpha) + 32767) // 65535
        want = np.broadcast_to((mixed * 255 + 32767) // 65535, (40, 64, 3)).astype(np.uint8)
        files[f"{name}.png"] = (png16(samples, colour), want)
    clear = values[:, :, :3].copy()
    clear[5:9, 5:9] = [1000, 2000, 3000]
    want = ((clear * 255 + 32767) // 65535).astype(np.uint8)
    want[5:9, 5:9] = GREY
    files["rgb16_clear.png"] = (png16(clear, 2, png_chunk(b"tRNS", struct.pack(">HHH", 1000, 2000, 3000))), want)
    return files


def png16(samples: np.ndarray, colour: int, extra: bytes = b"") -> bytes:
    height, width, _ = samples.shape
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in samples)
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + png_chunk(b"IDAT", zlib.compress(lines)) + png_chunk(b"IEND", b"")


def turned() -> dict[str, tuple[bytes, np.ndarray]]:
    """All eight EXIF orientations of all three formats; the stored pixels are what the camera wrote."""
    upright = picture()
    back = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright), 7: upright[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(upright, -1),
    }  # fmt: skip
    files = {}
    for orientation, stored in back.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        for kind, options in (("JPEG", {"quality": 100, "subsampling": 0}), ("PNG", {}), ("WEBP", {"lossless": True})):
            files[f"exif{orientation}.{kind.lower()}"] = (
                saved(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **options),
                upright,
            )
    return files


def close() -> dict[str, tuple[bytes, np.ndarray]]:
    """JPEGs, equal to the picture within a few levels."""
    rgb = picture()
    best = {"quality": 100, "subsampling": 0}
    plain = saved(Image.fromarray(rgb), "JPEG", **best)
    junk = b"Exif\0\0MM\0*\xff\xff\xff\xff" + bytes(range(256)) * 250
    wrong = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0"  # orientation 99
    exif = [struct.pack(">HH", 0xFFE1, len(block) + 2) + block for block in (junk, wrong)]
    return {
        "rgb.jpg": (plain, rgb),
        "grey.jpg": (saved(Image.fromarray(rgb[:, :, 1]), "JPEG", quality=100), np.dstack([rgb[:, :, 1]] * 3)),
        "cmyk.jpg": (saved(Image.fromarray(rgb).convert("CMYK"), "JPEG", **best), rgb),
        "progressive.jpg": (saved(Image.fromarray(rgb), "JPEG", progressive=True, **best), rgb),
        "trailing_bytes.jpg": (plain + bytes(5000), rgb),
        "huge_broken_exif.jpg": (plain[:2] + exif[0] + plain[2:], rgb),
        "impossible_orientation.jpg": (plain[:2] + exif[1] + plain[2:], rgb),
        "two_pictures.jpg": (saved(Image.fromarray(rgb), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 40))], **best), rgb),
    }


def animations() -> dict[str, bytes]:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green")]
    options = {"save_all": True, "append_images": frames[1:]}
    return {
        "animated.webp": saved(frames[0], "WEBP", **options),
        "animated.png": saved(frames[0], "PNG", **options),
        "still.webp": encoded("WEBP"),
    }
