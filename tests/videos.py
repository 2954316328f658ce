"""Videos as tests make them: moving pictures, written by PyAV; and faces placed where a test wants them."""

import io
from fractions import Fraction
from importlib import resources

import av
import numpy as np

from mie_engine import kernels
from mie_engine.runtime.image import load_rgb

FACES = resources.files("mie_engine") / "assets" / "faces"


def pattern(count=30, width=96, height=64):
    """Pictures that differ from one another everywhere: uint8 [T, H, W, 3]."""
    t, y, x = np.mgrid[0:count, 0:height, 0:width]
    return np.stack([2 * x + 5 * t, 3 * y + 128 - 3 * t, x + y + 4 * t], axis=3).astype(np.uint8) // 2 + 60


def encode(file, frames, *, fps=30, codec="libx264", pixels="yuv420p", container=None, times_ms=None, turn=0, **options):
    """Write RGB frames to a path or file; times_ms instead of a constant rate, turn in degrees as a telephone would."""
    with av.open(file, "w", format=container, options={key: str(value) for key, value in options.items()}) as out:
        stream = out.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], pixels
        if codec == "libx264":
            stream.options = {"crf": "12", "preset": "ultrafast"}
        if times_ms is not None:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        if turn:
            stream.set_display_rotation(turn)
        for index, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[index], Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def encoded(frames, container, **options):
    """The bytes of a video."""
    file = io.BytesIO()
    encode(file, frames, container=container, **options)
    return file.getvalue()


def y4m(width, height, frames=b""):
    """An uncompressed video: what its header claims, and `frames` as they come."""
    return f"YUV4MPEG2 W{width} H{height} F30:1 Ip C420jpeg\n".encode() + frames


def sound(file, container):
    """Half a second of silence, and no picture."""
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream("pcm_s16le" if container == "wav" else "aac", rate=16000, layout="mono")
        for _ in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), "s16", "mono")
            frame.sample_rate = 16000
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def face(name="syn010.jpg"):
    return load_rgb(FACES / name)


def placed(rgb, centre, *, side_px=300, degrees=0.0, width=640, height=480, canvas=None):
    """A square picture of side_px around `centre`, turned, on grey or on `canvas`: uint8 [H, W, 3]."""
    size = max(width, height)
    scale, angle = rgb.shape[0] / side_px, np.deg2rad(degrees)
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    middle = (rgb.shape[0] - 1) / 2
    matrix = np.array([[a, b, middle - a * centre[0] - b * centre[1]], [-b, a, middle + b * centre[0] - a * centre[1]]])
    covered = kernels.align(np.full_like(rgb, 255), matrix, size, output="rgb", border="zero")[:height, :width]
    picture = kernels.align(rgb, matrix, size, output="rgb")[:height, :width]
    behind = np.full_like(picture, 110) if canvas is None else canvas
    return np.where(covered > 127, picture, behind), matrix


def onto_canvas(points, matrix):
    """Landmarks of the picture -> pixels of the canvas."""
    return (points[:, :2] - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
