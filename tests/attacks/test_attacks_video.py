"""Hostile and broken sources of frames: a typed error that names the source, or frames and a note; quickly, in bounded memory."""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import make_bombs
import numpy as np
import pytest
from PIL import Image
from videos import encoded, pattern, y4m

from mie_engine.errors import InputError, MieError
from mie_engine.recog.frames import open_frames

pytestmark = pytest.mark.filterwarnings("error")

CONTAINERS = {
    "v.mp4": {"container": "mp4"},
    "v.mkv": {"container": "matroska"},
    "v.avi": {"container": "avi", "codec": "mpeg4"},
    "v.ts": {"container": "mpegts"},
    "v.webm": {"container": "webm", "codec": "libvpx"},
    "v.mjpeg": {"container": "mjpeg", "codec": "mjpeg", "pixels": "yuvj420p"},
    "v.gif": {"container": "gif", "codec": "gif", "pixels": "rgb8"},
}


@pytest.fixture(scope="module")
def whole():
    return {name: encoded(pattern(40), **options) for name, options in CONTAINERS.items()}


def read(path, content=None, timeout_s=0.5):
    """(frames, notes or the refusal) of a source; neither slow nor with an error of another kind."""
    if content is not None:
        path.write_bytes(content)
    start, count, previous = time.monotonic(), 0, -np.inf
    try:
        with open_frames(path, timeout_s=timeout_s) as frames:
            for frame in frames:
                assert frame.time_s > previous
                previous, count = frame.time_s, count + 1
        outcome = " ".join(frames.notes)
        assert count
    except MieError as error:
        assert isinstance(error, InputError)  # noqa: PT017 - many of these are read
        assert str(path) in str(error)  # noqa: PT017
        count, outcome = 0, str(error)
    assert time.monotonic() - start < 5
    return count, outcome


def refused(path, content=None, **options):
    count, outcome = read(path, content, **options)
    assert count == 0, outcome
    return outcome


@pytest.mark.parametrize("name", CONTAINERS)
def test_cut_at_every_place(whole, tmp_path, name):
    data, said = whole[name], 0
    for cut in sorted({1, 7, 8, 9, 16, 40, 100, *(len(data) * k // 17 for k in range(1, 17)), len(data) - 1}):
        count, outcome = read(tmp_path / name, data[:cut])
        assert count <= 40
        said += count == 0 or outcome != ""
    print(f"{name}: {said} of the cuts noticed")
    assert said >= 7


@pytest.mark.parametrize("name", CONTAINERS)
def test_wrong_bytes(whole, tmp_path, name, rng):
    data = np.frombuffer(whole[name], np.uint8)
    for _ in range(40):
        broken = data.copy()
        at = rng.integers(0, len(broken) - 64)
        broken[at : at + rng.integers(1, 64)] = rng.integers(0, 256)
        read(tmp_path / name, broken.tobytes())
    for keep in (16, 64, 300):  # a good beginning, then noise
        read(tmp_path / name, data[:keep].tobytes() + rng.bytes(20_000))


def test_strangers(tmp_path, rng):
    picture = tmp_path / "picture.png"
    Image.fromarray(pattern(1)[0]).save(picture)
    strangers = {
        "text.mp4": b"this is text, not a film\n" * 1000,
        "empty.mp4": b"",
        "noise.mp4": rng.bytes(100_000),
        "zeros.avi": bytes(100_000),
        "script.mp4": b"#!/bin/sh\nrm -rf /\n",
        "picture.mp4": picture.read_bytes(),
        "pickle.mkv": b"\x80\x04\x95" + bytes(500),
        "subtitles.mp4": b"1\n00:00:01,000 --> 00:00:02,000\nhello\n" * 50,
        "page.mp4": b"<html><video src='v.mp4'></html>" * 100,
        "zip.mp4": b"PK\x03\x04" + bytes(3000),
    }
    for name, content in strangers.items():
        assert "not a video" in refused(tmp_path / name, content)
    assert "not a video" in refused(picture)


@contextmanager
def server(answer):
    """An HTTP server on loopback; yields its address and the paths it was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            answer(self)

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}", asked
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def test_playlists_open_nothing(whole, tmp_path):
    """A file that names other files or addresses is refused, under every name, and nothing is asked for."""
    (tmp_path / "v.ts").write_bytes(whole["v.ts"])
    with server(lambda request: request.send_error(404)) as (address, asked):
        playlists = {
            "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{address}/v.ts\n#EXT-X-ENDLIST\n",
            "hls_file": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{tmp_path}/v.ts\n#EXT-X-ENDLIST\n",
            "concat": f"ffconcat version 1.0\nfile '{tmp_path}/v.ts'\n",
            "concat_url": f"ffconcat version 1.0\nfile '{address}/v.ts'\n",
            "dash": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet><Representation>'
            f"<BaseURL>{address}/v.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>",
            "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5000 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
            "asx": f'<asx version="3.0"><entry><ref href="{address}/v.ts"/></entry></asx>',
            "rtsp_redirect": f"RTSP\r\n{address}/v.ts",
        }
        for kind, text in playlists.items():
            for suffix in ("m3u8", "mp4", "ffconcat", "mpd", "sdp"):
                assert "not a video" in refused(tmp_path / f"{kind}.{suffix}", text.encode())
        hidden = f"concat:{tmp_path}/v.ts", f"subfile,,start,0,end,0,,:{tmp_path}/v.ts", f"async:{tmp_path}/v.ts", "lavfi:color"
        for name in hidden:  # FFmpeg's own names for other things are names of files here
            with pytest.raises(InputError, match="No such file"):
                open_frames(name)
    assert asked == []


def test_absurd_sizes(tmp_path, whole):
    frame = b"FRAME\n"
    for width, height in ((65_000, 65_000), (8192, 4321), (2**31 - 1, 2), (16, 16), (31, 4000), (1, 1), (0, 0)):
        refused(tmp_path / "v.y4m", y4m(width, height, frame + bytes(5000)))
    assert read(tmp_path / "v.y4m", y4m(64, 64, (frame + bytes(64 * 96)) * 3))[0] == 3
    mjpeg = whole["v.mjpeg"]
    count, outcome = read(tmp_path / "v.mjpeg", mjpeg + make_bombs.resized_jpeg(65_500, 65_500) + mjpeg)
    assert 30 <= count <= 40
    assert "cut short" in outcome


def test_bombs_leave_memory_flat(tmp_path, whole):
    (tmp_path / "a.y4m").write_bytes(y4m(65_000, 65_000, b"FRAME\n" + bytes(5000)))
    (tmp_path / "b.mjpeg").write_bytes(whole["v.mjpeg"] + make_bombs.resized_jpeg(65_500, 65_500))
    gif = bytearray(whole["v.gif"])
    gif[6:10] = b"\xff\xff\xff\xff"
    (tmp_path / "c.gif").write_bytes(gif)
    png = make_bombs.png(30_000, 30_000)
    (tmp_path / "d.avi").write_bytes(whole["v.avi"].replace(b"FMP4", b"MPNG") + png)
    code = """
import sys
from pathlib import Path
from mie_engine.errors import InputError
from mie_engine.recog.frames import open_frames
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        print(path.name, len(list(open_frames(path))))
    except InputError as error:
        print(error)
status = Path("/proc/self/status").read_text().splitlines()
peak = int(next(line for line in status if line.startswith("VmHWM")).split()[1])
assert peak < 400_000, peak
"""
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    print(ran.stdout)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("\n") == 4


def test_names_that_must_not_be_read(tmp_path):
    loop, gone = tmp_path / "loop.mp4", tmp_path / "gone.mp4"
    loop.symlink_to(loop)
    gone.symlink_to(tmp_path / "nothing")
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(tmp_path / "socket.mp4"))
    for path in (loop, gone, tmp_path / "socket.mp4", tmp_path / "missing.mp4", "/dev/zero", "/dev/tty", tmp_path / ("n" * 5000)):
        refused(path)
    bound.close()
    with pytest.raises(InputError, match="cannot be read"):
        open_frames("zero\0byte.mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(whole, tmp_path):
    path = tmp_path / "v.mp4"
    path.write_bytes(whole["v.mp4"])
    path.chmod(0)
    assert "cannot be read" in refused(path)


def test_pipes_that_deliver_nothing_or_stop(whole, tmp_path):
    pipe = tmp_path / "pipe.mkv"
    os.mkfifo(pipe)
    assert "no data for 0.5 s" in refused(pipe)
    writer = os.open(pipe, os.O_RDWR)  # keeps the pipe open without an end
    assert "no data for 0.5 s" in refused(pipe)
    threading.Thread(target=os.write, args=(writer, whole["v.mkv"][: len(whole["v.mkv"]) * 3 // 4])).start()
    count, outcome = read(pipe)
    os.close(writer)
    assert 10 <= count < 40
    assert "no data for 0.5 s" in outcome


def test_addresses(whole, tmp_path):
    """Served whole, served slowly, refused, redirected to a file, and never answered."""

    def answer(request):
        if request.path == "/file":
            request.send_response(302)
            request.send_header("Location", f"file://{tmp_path}/v.ts")
            request.end_headers()
        elif request.path == "/missing":
            request.send_error(404)
        else:
            data = b"#EXTM3U\n#EXTINF:1,\nv.ts\n#EXT-X-ENDLIST\n" if request.path == "/list.m3u8" else whole["v.ts"]
            request.send_response(200)
            request.send_header("Content-Length", str(len(data)))
            request.end_headers()
            request.wfile.write(data[: len(data) // 2] if request.path == "/stalls.ts" else data)
            if request.path == "/stalls.ts":
                time.sleep(3)

    (tmp_path / "v.ts").write_bytes(whole["v.ts"])
    with server(answer) as (address, asked):
        assert read(f"{address}/v.ts", timeout_s=3) == (40, "")
        assert "cannot be read" in refused(f"{address}/missing")
        assert "cannot be read" in refused(f"{address}/file") or "not a video" in refused(f"{address}/file")
        assert "not a video" in refused(f"{address}/list.m3u8")
        count, outcome = read(f"{address}/stalls.ts")
        assert "no data for 0.5 s" in outcome, (count, outcome)
        assert set(asked) == {"/v.ts", "/missing", "/file", "/list.m3u8", "/stalls.ts"}
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        for scheme in ("http", "tcp", "https", "rtsp"):
            refused(f"{scheme}://{place}/v.mp4")
        refused(f"udp://127.0.0.1:{silent.getsockname()[1]}")
    refused(f"http://{place}/closed")
    with pytest.raises(InputError) as caught:
        open_frames(f"http://me:secret@{place}/v.mp4")
    assert "secret" not in str(caught.value)
