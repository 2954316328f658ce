"""The making road as tests drive it: a few shipped faces, `mie` as a process of its own, what a folder holds."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import mie_engine
from mie_engine import cli
from mie_engine.synth import synthesize

ASSETS = Path(mie_engine.__file__).parent / "assets" / "faces"
SMALL = {"clips": 24, "size": 64, "frames": 3, "shard_clips": 7, "seed": 5}  # 4 shards, the last of 3 clips; faces end inside shards


def copy_faces(folder, count=3):
    """A new folder with some of the shipped faces."""
    folder.mkdir(parents=True)
    for face in sorted(ASSETS.glob("*.jpg"))[:count]:
        shutil.copy(face, folder)
    return folder


def make(faces, out, **options):
    """A small dataset, made in this process."""
    return synthesize(faces, out, **{**SMALL, "workers": 1, **options})


def options(**changed):
    """SMALL as arguments of `mie synth`."""
    chosen = {**SMALL, **changed}
    return [text for name, value in chosen.items() if value is not None for text in (f"--{name.replace('_', '-')}", str(value))]


def command(*arguments):
    """The command line of `mie` with these arguments."""
    return [sys.executable, "-m", "mie_engine", *map(str, arguments)]


def environment():
    """This process's, in which any folder can be the current one."""
    paths = [str(Path(mie_engine.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def mie(cwd, *arguments, **options):
    """Run `mie` to its end. Returns the finished process with its output as text."""
    return subprocess.run(command(*arguments), cwd=cwd, env=environment(), capture_output=True, text=True, timeout=120, **options)


def mie_here(*arguments):
    """Run `mie` in this process. Returns its exit code; output goes where this process's goes."""
    before, argv = signal.getsignal(signal.SIGTERM), sys.argv
    sys.argv = ["mie", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as over:
        return over.code
    finally:
        sys.argv = argv
        signal.signal(signal.SIGTERM, before)


def start(cwd, *arguments, **options):
    """Start `mie`; the caller ends it."""
    return subprocess.Popen(
        command(*arguments), cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def end(process, number=signal.SIGKILL):
    """Signal a process and wait for it. Returns its exit code and output."""
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    return process.returncode, out, error


def contents(folder):
    """{relative name: sha256} of every file in a folder but the lock, which stays; links and odd files by their kind."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name == ".lock" or (path.is_dir() and not path.is_symlink()):
            continue
        regular = path.is_file() and not path.is_symlink()
        found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest() if regular else "not a regular file"
    return found


def stamps(folder):
    """{relative name: time of the last change, inode} of everything in a folder."""
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*")}


def refused(ran, code, *words):
    """Assert that `mie` ended with an exit code and one sentence that names `words`, not with a traceback. Returns its stderr."""
    assert ran.returncode == code, f"exit code {ran.returncode}, expected {code}: {ran.stderr}"
    assert "Traceback" not in ran.stderr
    for word in words:
        assert word in ran.stderr, f"{word!r} is not in {ran.stderr!r}"
    return ran.stderr
