"""Video: the pictures of files, pipes, cameras and network streams, through PyAV with everything shut that a hostile file could open."""

from __future__ import annotations

import os
import re
import select
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from typing import Any

import numpy as np

from .. import limits
from ..errors import EnvironmentProblem, InputError, UsageError
from .frames import Picture, Planes

try:
    import av
except ImportError as missing:
    raise EnvironmentProblem("the av package (PyAV) is missing; pip install av") from missing

# Containers of one file each. Playlists (hls, dash, concat, sdp) would make FFmpeg open what they name.
_CONTAINERS = "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,mjpeg,yuv4mpegpipe,h264,hevc,m4v,ivf,dv,mxf,nut"
_WEB = "http,https,tls,tcp"
_PROTOCOLS = {"http": _WEB, "https": _WEB, "rtsp": "rtsp,rtp,udp,tcp", "tcp": "tcp", "udp": "udp"}
_MAX_FAILURES = 300  # damaged packets of a live stream in a row
_FAILURES = (av.FFmpegError, OSError, ValueError)


class Video:
    """One opened video stream: fps and duration_s as the container says, None where it does not or cannot be believed."""

    def __init__(self, name: str, *, timeout_s: float) -> None:
        """Open a source as open_frames describes it; raises as open_frames."""
        camera = re.fullmatch(r"(?:/dev/video)?([0-9]{1,3})", name)
        scheme, network, _ = name.partition("://")
        self.name = re.sub("//[^/@]*@", "//", name)  # passwords stay out of messages and results
        self.notes, self._live = list[str](), bool(camera or network)
        # err_detect: damaged pictures are errors, not painted over. All of this holds while FFmpeg probes, too.
        options = {"err_detect": "explode", "max_pixels": str(limits.MAX_VIDEO_PIXELS), "format_whitelist": _CONTAINERS}
        with ExitStack() as opened:
            target: Any = name
            if camera:
                target = f"/dev/video{camera[1]}"
                options |= {"format_whitelist": "v4l2,video4linux2", "protocol_whitelist": "file"}
                if not os.path.exists(target):
                    raise EnvironmentProblem(f"camera {camera[1]}: {target} does not exist; connect a camera or give a video file")
            elif network:
                if scheme.lower() not in _PROTOCOLS:
                    raise UsageError(f"{self.name}: {scheme}:// is not read; give a file, or a URL of {', '.join(_PROTOCOLS)}")
                options |= {"format_whitelist": f"{_CONTAINERS},rtsp,mpjpeg", "protocol_whitelist": _PROTOCOLS[scheme.lower()]}
            else:
                target = opened.enter_context(closing(_open_file(name, timeout_s)))
                options["protocol_whitelist"] = "none"  # FFmpeg reads the open file and has no way to another
            try:
                self._container = av.open(target, format="v4l2" if camera else None, timeout=timeout_s, options=options)
            except _FAILURES as error:
                _raise_stop(target)
                if camera:
                    raise EnvironmentProblem(f"camera {camera[1]}: cannot be used ({error})") from error
                raise self._refusal(error, timeout_s) from error
            opened.enter_context(self._container)
            streams = self._container.streams
            self._stream: Any = next((s for s in streams.video if not s.disposition & av.stream.Disposition.attached_pic), None)
            if self._stream is None or self._stream.codec_context is None:
                raise InputError(f"{self.name}: no video in it that is known here, only sound, data or a foreign code; convert it to H.264")
            self._check_size(self._stream.codec_context)
            self._stream.codec_context.options = {key: options[key] for key in ("err_detect", "max_pixels")}
            fps = float(self._stream.average_rate or self._stream.guessed_rate or 0)
            self.fps = fps if 1 / 60 <= fps <= limits.MAX_VIDEO_FPS else None
            self.duration_s: float | None = None
            if self._stream.duration:
                self.duration_s = float(self._stream.duration * self._stream.time_base)
            elif self._container.duration and len(streams) == 1:  # of several streams the longest counts
                self.duration_s = self._container.duration / av.time_base
            self._source, self._timeout_s, self.close = target, timeout_s, opened.pop_all().close

    def pictures(self) -> Iterator[Picture]:
        """The pictures in the order of display; raises InputError where the source is damaged or falls silent."""
        failures = 0
        try:
            for packet in self._container.demux(self._stream):
                try:
                    if packet.is_corrupt:
                        raise av.InvalidDataError(0, "a piece is missing")
                    for frame in packet.decode():
                        yield self._picture(frame)
                        failures = 0
                except av.InvalidDataError:  # whoever joins a broadcast has to wait for its next whole picture
                    failures += 1
                    if not self._live or failures > _MAX_FAILURES:
                        raise
                    if not self.notes:
                        self.notes.append(f"{self.name}: damaged pictures are left out")
            _raise_stop(self._source)
        except _FAILURES as error:
            _raise_stop(self._source)
            with suppress(*_FAILURES):  # what was decoded before the damage
                for frame in self._stream.codec_context.decode(None):
                    yield self._picture(frame)
            raise self._refusal(error, self._timeout_s) from error

    def _picture(self, frame: Any) -> Picture:
        if frame.is_corrupt:
            raise av.InvalidDataError(0, "a picture is damaged")
        self._check_size(frame)
        full_range = frame.format.name == "yuvj420p" or int(frame.color_range) == 2  # AVCOL_RANGE_JPEG
        planes = _planes(frame)
        turns = round(frame.rotation / 90) % 4  # telephones write what the sensor saw, and how to turn it
        if turns:
            planes = tuple(np.ascontiguousarray(np.rot90(plane, turns)) for plane in planes)
        start_s = (self._container.start_time or 0) / av.time_base
        return None if frame.time is None else frame.time - start_s, planes, full_range

    def _check_size(self, picture: Any) -> None:
        size = f"{self.name}: {picture.width} x {picture.height} px"
        if picture.width * picture.height > limits.MAX_VIDEO_PIXELS:
            raise InputError(f"{size} is more than {limits.MAX_VIDEO_PIXELS} pixels; make the video smaller")
        if min(picture.width, picture.height) < limits.MIN_IMAGE_SIDE_PX:
            raise InputError(f"{size}, each side must have at least {limits.MIN_IMAGE_SIDE_PX} px")

    def _refusal(self, error: Exception, timeout_s: float) -> InputError:
        if isinstance(error, InputError):
            return error
        if isinstance(error, (av.error.ExitError, TimeoutError)):
            return InputError(f"{self.name}: no data for {timeout_s:g} s; is the sender running?")
        reason = getattr(error, "strerror", None) or error
        if isinstance(error, (av.InvalidDataError, av.error.ArgumentError, EOFError)):
            return InputError(f"{self.name}: damaged, truncated or not a video ({reason}); convert it to mp4 again")
        return InputError(f"{self.name}: cannot be read ({reason})")


def _planes(frame: Any) -> Planes:
    """Views of 4:2:0 planes, which keep the decoder's picture alive; everything else as RGB."""
    if frame.format.name not in ("yuv420p", "yuvj420p", "nv12") or any(plane.line_size < plane.width for plane in frame.planes):
        return (frame.to_ndarray(format="rgb24"),)
    views = []
    for number, plane in enumerate(frame.planes):
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height]
        paired = frame.format.name == "nv12" and number == 1
        views.append(rows[:, : 2 * plane.width].reshape(plane.height, plane.width, 2) if paired else rows[:, : plane.width])
    return tuple(views)


def _open_file(name: str, timeout_s: float) -> Any:
    try:
        kind = os.stat(name).st_mode  # before opening, which on a device may already have effects
        if not (stat.S_ISREG(kind) or stat.S_ISFIFO(kind)):
            raise InputError(f"{name}: not a regular file; give a video file, a folder of images, a URL or the number of a camera")
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        handle = os.open(name, flags)
        kind = os.fstat(handle).st_mode  # between the two calls the name may have become something else
        if stat.S_ISREG(kind):
            return os.fdopen(handle, "rb")
        return _Pipe(handle, timeout_s)
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise InputError(f"{name!r}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _raise_stop(source: Any) -> None:
    """Raise the KeyboardInterrupt that came while PyAV waited for a pipe."""
    if isinstance(source, _Pipe) and source.stopped:
        source.stopped = False
        raise KeyboardInterrupt


class _Pipe:
    """A named pipe that ends, with one error, when nothing comes for a time."""

    def __init__(self, handle: int, timeout_s: float) -> None:
        self._handle, self._timeout_s, self._silent, self.stopped = handle, timeout_s, False, False
        self._ready = select.poll()
        self._ready.register(handle, select.POLLIN)

    def read(self, count: int) -> bytes:
        if self._silent:
            return b""
        try:
            if self._ready.poll(1000 * self._timeout_s):
                return os.read(self._handle, count)
        except KeyboardInterrupt:  # which PyAV would print and forget
            self._silent = self.stopped = True
            return b""
        self._silent = True
        raise TimeoutError

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
