"""Runs that are killed or asked to stop at any moment: run again, the bytes are those of a run that nobody disturbed."""

import os
import random
import signal
import time

import pytest
from road import contents, copy_faces, end, mie, options, refused, start

FACES = 4
RUN = {"clips": 240, "size": 96, "frames": 12, "shard_clips": 16}  # 15 shards
MOST_RUNS = 8  # per kill: a run that ends by itself is none
SEED = 20260


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(folder with `faces`, contents of an undisturbed dataset, seconds that it took)."""
    folder = tmp_path_factory.mktemp("kill")
    copy_faces(folder / "faces", FACES)
    begun = time.monotonic()
    ran = mie(folder, *arguments("whole"))
    assert ran.returncode == 0, ran.stderr
    return folder, contents(folder / "whole"), time.monotonic() - begun


def arguments(out, **changed):
    return ["synth", "faces", "--out", str(out), *options(**{**RUN, **changed}), "--workers", "2"]


def final(found):
    """Without what a killed run may leave: its temporary files and crops."""
    return {name: digest for name, digest in found.items() if not name.startswith((".tmp-", ".cache/"))}


def wait_for(condition, process, seconds=90.0):
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.002)


@pytest.mark.parametrize(("kills", "seed"), [(6, SEED), pytest.param(30, SEED + 1, marks=pytest.mark.slow)])
def test_killed_at_random_moments(whole, tmp_path, kills, seed):
    folder, wanted, seconds = whole
    rng = random.Random(seed)
    moments, done, out = [], 0, 0
    for _ in range(kills * MOST_RUNS):
        if done == kills:
            break
        moment = rng.uniform(0.1, seconds)
        process = start(folder, *arguments(tmp_path / f"out{out}"))
        time.sleep(moment)
        code, _, error = end(process, signal.SIGKILL)
        there = contents(tmp_path / f"out{out}") if (tmp_path / f"out{out}").exists() else {}
        told = f"seed {seed}, kills after {moments} s, then {moment:.3f} s"
        assert code in (0, -signal.SIGKILL), f"{told}: {error}"
        if code == 0:  # it was done before the moment came
            assert there == wanted, told
            out += 1
            continue
        moments.append(round(moment, 3))
        done += 1
        assert final(there).items() <= wanted.items(), f"{told}: a file with a final name is not the final file"
    print(f"seed {seed}: killed after {moments} s, {out} datasets were finished in between")
    assert done == kills, f"seed {seed}: only {done} of {kills} runs were still at work when their moment came"
    ran = mie(folder, *arguments(tmp_path / f"out{out}"))
    assert ran.returncode == 0, ran.stderr
    assert contents(tmp_path / f"out{out}") == wanted, f"seed {seed}, kills after {moments} s"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_asked_to_stop(whole, tmp_path, number):
    folder, _, _ = whole
    out = tmp_path / "out"
    process = start(folder, *arguments(out, clips=2400), "--json")
    wait_for((out / "000001.tar").exists, process)
    code, told, error = end(process, number)
    assert code == 130, error
    assert "run the same command again to finish" in error
    assert "Traceback" not in error
    assert '"exit_code": 130' in told
    names = set(contents(out))
    assert not [name for name in names if ".tmp-" in name]
    assert "dataset.json" not in names
    assert all(f"{name[:6]}.parquet" in names for name in names if name.endswith(".tar"))


def test_asked_to_stop_then_finished(whole, tmp_path):
    folder, wanted, _ = whole
    out = tmp_path / "out"
    process = start(folder, *arguments(out))
    wait_for((out / "000000.tar").exists, process)
    code, _, error = end(process, signal.SIGINT)
    assert code in (0, 130), error
    ran = mie(folder, *arguments(out), "--json")
    assert ran.returncode == 0, ran.stderr
    assert contents(out) == wanted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_asked_to_stop_while_looking_at_faces(whole, tmp_path, number):
    folder, _, _ = whole
    for k in range(60):
        (tmp_path / "many" / str(k)).mkdir(parents=True)
        (tmp_path / "many" / str(k) / "face.jpg").write_bytes((folder / "faces" / "syn000.jpg").read_bytes() + bytes([k]))
    process = start(tmp_path, "synth", "many", *arguments("out")[2:-2], "--workers", "1")
    wait_for(lambda: any((tmp_path / "out" / ".cache").glob("*.npz")), process)
    code, _, error = end(process, number)
    assert code == 130, error
    assert "run the same command again" in error
    assert "Traceback" not in error
    assert not (tmp_path / "out" / "plan.json").exists()


def test_what_a_killed_run_leaves(whole, tmp_path):
    folder, wanted, _ = whole
    out = tmp_path / "out"
    out.mkdir()
    process = start(folder, *arguments(out))
    wait_for((out / "000002.tar").exists, process)
    end(process, signal.SIGKILL)
    index = (out / "000001.parquet").read_bytes()
    (out / "000001.parquet").write_bytes(index[:-40])  # torn, as after a power cut
    (out / ".tmp-0000-000009.tar").write_bytes(b"half a shard")
    (out / ".tmp-dataset.json").symlink_to(folder / "faces")
    (out / ".lock").write_text("4194304")  # a stale lock binds nobody: the system let go of it with the process
    ran = mie(folder, *arguments(out), "--json")
    assert ran.returncode == 0, ran.stderr
    assert contents(out) == wanted
    assert len(list((folder / "faces").iterdir())) == FACES


def test_two_runs_at_once(whole, tmp_path):
    folder, _, _ = whole
    out = tmp_path / "out"
    first = start(folder, *arguments(out, clips=2400))
    wait_for((out / "000000.tar").exists, first)
    first.send_signal(signal.SIGSTOP)
    os.waitpid(first.pid, os.WUNTRACED)  # every thread has stopped
    try:
        before = contents(out)
        refused(mie(folder, *arguments(out, clips=2400)), 4, str(out), "another run is writing there")
        assert contents(out) == before
    finally:
        first.send_signal(signal.SIGCONT)
        end(first, signal.SIGKILL)
