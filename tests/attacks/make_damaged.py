"""Files that are not whole, not images, or not files. Functions return {file name: bytes}, or create them in a folder."""

import os
from pathlib import Path

from make_bombs import encoded


def originals() -> dict[str, bytes]:
    return {
        "whole.jpg": encoded("JPEG"),
        "progressive.jpg": encoded("JPEG", progressive=True),
        "whole.png": encoded("PNG"),
        "whole.webp": encoded("WEBP"),
        "lossless.webp": encoded("WEBP", lossless=True),
    }


def truncated() -> dict[str, bytes]:
    """Every original, cut at 24 points from its first bytes to its last one."""
    files = {}
    for name, data in originals().items():
        stem, suffix = name.split(".")
        cuts = {1, 2, 3, 4, 8, 12, 16, 20, 24, 26, 30, len(data) - 1, *(len(data) * k // 13 for k in range(1, 13))}
        files.update({f"{stem}_{cut:05}.{suffix}": data[:cut] for cut in sorted(cuts)})
    return files


def flipped() -> dict[str, bytes]:
    """PNG and JPEG with one wrong byte in their pixels."""
    files = {}
    for name in ("whole.png", "whole.jpg"):
        data = bytearray(originals()[name])
        data[len(data) * 3 // 4] ^= 0xFF
        files[f"flipped_{name}"] = bytes(data)
    damaged = bytearray(originals()["whole.jpg"])
    middle = (damaged.index(b"\xff\xda") + len(damaged)) // 2
    damaged[middle : middle + 4] = b"\xff\xc4\x00\x05"
    return {"flipped.png": files["flipped_whole.png"], "marker_in_pixels.jpg": bytes(damaged)}


def strangers() -> dict[str, bytes]:
    """Other things under an image's name."""
    return {
        "empty.jpg": b"",
        "text.jpg": b"this is text, not a picture\n" * 20,
        "gif.png": b"GIF89a" + bytes(200),
        "tiff.jpg": b"II*\0" + bytes(200),
        "script.svg.png": b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
        "pickle.jpg": b"\x80\x04\x95" + bytes(50),
        "postscript.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n" + bytes(50),
        "only_magic.jpg": b"\xff\xd8\xff",
        "only_magic.png": b"\x89PNG\r\n\x1a\n",
        "only_magic.webp": b"RIFF\x04\0\0\0WEBP",
        "fill_bytes.jpg": b"\xff\xd8" + b"\xff" * 100_000,
        "zeros.webp": b"RIFF\xff\xff\xff\xffWEBPVP8X" + bytes(100),
        "wav.webp": b"RIFF\x24\0\0\0WAVEfmt " + bytes(30),
        "small.png": encoded("PNG", side=16),
    }


def not_files(folder: Path) -> list[Path]:
    """Names that must neither be read nor waited for."""
    pipe, loop, twin, gone = folder / "pipe.jpg", folder / "loop.jpg", folder / "twin.jpg", folder / "gone.jpg"
    os.mkfifo(pipe)
    loop.symlink_to(twin)
    twin.symlink_to(loop)
    gone.symlink_to(folder / "nothing.jpg")
    (folder / "folder.jpg").mkdir()
    (folder / "to_pipe.jpg").symlink_to(pipe)
    names = [pipe, loop, gone, folder / "folder.jpg", folder / "to_pipe.jpg", folder / "missing.jpg", folder / ("n" * 5000)]
    return [*names, Path("/dev/zero"), Path("/dev/tty"), Path("zero\0byte.jpg")]
