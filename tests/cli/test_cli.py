"""`mie` as people and scripts meet it: what it prints where, its exit codes, and how little it imports."""

import importlib.metadata
import json
import subprocess
import sys
import tempfile

import pytest
from PIL import Image
from road import command, contents, copy_faces, environment, mie, mie_here, options, refused

import mie_engine
from mie_engine import cli
from mie_engine.synth.plan import Plan

ELSEWHERE = tempfile.gettempdir()  # not the repository, whose sources would shadow the installed package
HEAVY = {"numpy", "torch", "typer", "click", "rich", "pyarrow", "onnxruntime", "PIL", "simplejpeg", "cv2", "scipy", "ray", "triton"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    copy_faces(folder / "faces")
    return folder


@pytest.fixture(scope="module")
def made(place):
    """The first run, and its folder."""
    ran = mie(place, "synth", "faces", "--out", "first", *options())
    assert ran.returncode == 0, ran.stderr
    return ran, place / "first"


def test_synth_tells_people(made):
    ran, out = made
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("24 samples of 3 faces in first (4 of 4 shards made, ")
    assert lines[-1] == "preview: first/preview.png"
    assert Plan.from_json((out / "plan.json").read_bytes()).clips == 24


def test_progress_is_plain_lines_where_no_terminal_is(made):
    ran, _ = made
    assert "\x1b" not in ran.stdout + ran.stderr
    assert "\r" not in ran.stderr
    faces, clips = (next(line for line in ran.stderr.splitlines() if line.startswith(word)) for word in ("faces: ", "clips: "))
    assert "3 of 3" in faces
    assert "24 of 24" in clips
    assert "clips/s" in clips
    assert len(ran.stderr.splitlines()) < 20


def test_synth_tells_programs(made, place):
    _, first = made
    ran = mie(place, "synth", "faces", "--out", "second", *options(), "--json", "--workers", "2")
    assert (ran.returncode, ran.stderr) == (0, "")
    facts = json.loads(ran.stdout)
    assert facts["out"] == "second"
    assert (facts["clips"], facts["shards"], facts["shards_made"], facts["faces"], facts["skipped"]) == (24, 4, 4, 3, [])
    assert facts["plan_hash"] == json.loads((first / "dataset.json").read_text("utf-8"))["plan_hash"]
    assert facts["bytes_written"] == sum(path.stat().st_size for path in first.glob("*.tar"))
    assert contents(place / "second") == contents(first)


def test_the_same_command_again(made, place):
    _, out = made
    before = contents(out)
    ran = mie(place, "synth", "faces", "--out", "first", *options())
    assert ran.returncode == 0
    assert "everything was there already" in ran.stdout
    assert contents(out) == before


def test_plan_only_writes_nothing(place, tmp_path):
    ran = mie(place, "synth", "faces", "--plan-only", "--out", tmp_path / "out", *options(), "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert (told["plan"]["clips"], told["plan"]["seed"], told["skipped"]) == (24, 5, [])
    assert sum(told["summary"]["classes"].values()) == 24
    assert told["summary"]["rows"][0]["key"] == "000000000"
    assert Plan.from_json(json.dumps(told["plan"])).hash == told["summary"]["hash"]
    assert not (tmp_path / "out").exists()
    assert mie(place, "synth", "faces", "--plan-only", "--clips", "6").returncode == 0


def test_no_out_is_a_wrong_call(place):
    refused(mie(place, "synth", "faces"), 2, "--out is missing")


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "told"),
    [
        (["synth", "--json"], 2, "UsageError", "faces"),
        (["synth", "faces", "--out", "x", "--clips", "many", "--json"], 2, "UsageError", "--clips"),
        (["synth", "faces", "--out", "x", "--clips", "0", "--json"], 2, "RangeError", "clips is 0"),
        (["synth", "nowhere", "--out", "x", "--json"], 3, "InputError", "nowhere: no such file or folder"),
        (["synth", "faces", "--out", "first", "--clips", "9", "--json"], 3, "PlanError", "first/plan.json"),
        (["synth", "faces", "--out", "/proc/x", "--size", "64", "--clips", "6", "--json"], 4, "EnvironmentProblem", "/proc/x"),
        (["conjure", "--json"], 2, "UsageError", "conjure"),
        (["doctor", "--loud", "--json"], 2, "UsageError", "--loud"),
    ],
)
def test_errors_for_programs(made, place, arguments, code, kind, told):
    ran = mie(place, *arguments)
    refused(ran, code, told)
    answer = json.loads(ran.stdout)
    assert set(answer) == {"error", "message", "exit_code"}
    assert (answer["error"], answer["exit_code"]) == (kind, code)
    assert told in answer["message"]


def test_a_fault_of_our_own(monkeypatch, capsys):
    """Anything unforeseen shows its traceback, says whose fault it is and ends with 5."""

    def fail(**_):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(cli, "app", fail)
    assert mie_here("doctor", "--json") == 5
    told = capsys.readouterr()
    assert json.loads(told.out)["error"] == "InternalError"
    assert "Traceback" in told.err
    assert "please report it" in told.err


def test_help(place):
    for arguments in (["--help"], ["synth", "--help"], ["doctor", "--help"], ["bench", "--help"]):
        ran = mie(place, *arguments)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert f"Usage: mie{'' if len(arguments) == 1 else ' ' + arguments[0]}" in ran.stdout
    assert "synth" in mie(place, "--help").stdout
    assert "synth" in mie(place).stderr  # nothing asked: the same help, as a wrong call
    text = mie(place, "synth", "--help").stdout
    for option in ("--out", "--clips", "--seed", "--content", "--size", "--sources", "--workers", "--backend", "--plan-only", "--json"):
        assert option in text, option


def test_doctor(place):
    ran = mie(place, "doctor")
    assert (ran.returncode, ran.stderr) == (0, "")
    facts = json.loads(mie(place, "doctor", "--json").stdout)
    assert facts["engine"]["mie_engine"] == facts["engine"]["runtime"] == mie_engine.__version__
    assert facts["packages"]["numpy"] == importlib.metadata.version("numpy")
    assert facts["encoder"]["png"].startswith("pillow ")
    for op in ("op render", "op features"):
        assert facts[op]["ref"] == facts[op]["cpu"] == "available"
        assert all(reason for reason in facts[op].values())
    for title, section in facts.items():
        assert title in ran.stdout
        for value in section.values():
            assert str(value) in ran.stdout


def test_a_reader_that_goes_away(place):
    """`mie ... | head -1` is no error of ours."""
    process = subprocess.Popen(
        command("synth", "faces", "--plan-only", "--clips", "3000"),
        cwd=place, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.wait(60)
    process.stderr.close()


def imported(code):
    """Top-level packages that a new interpreter has after running some code."""
    code = f"import sys; before = set(sys.modules); {code}; print(*sorted({{name.split('.')[0] for name in set(sys.modules) - before}}))"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], cwd=ELSEWHERE, env=environment(), capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_importing_the_package_imports_next_to_nothing():
    assert not imported("import mie_engine; mie_engine.__version__; dir(mie_engine)") & HEAVY


def test_the_road_needs_no_training_and_no_terminal():
    names = imported("import mie_engine; mie_engine.synthesize, mie_engine.Face, mie_engine.render, mie_engine.Plan")
    assert "numpy" in names
    assert not names & {"torch", "typer", "click", "rich", "cv2", "scipy", "skimage", "ray", "triton", "onnxruntime"}


def test_the_command_line_shows_its_help_without_the_road():
    assert not imported("import mie_engine.cli") & (HEAVY - {"typer", "click", "rich"})


def test_several_faces_in_a_photograph_are_said(place, tmp_path):
    """The largest is used, and every run says so, also one that finds everything there."""
    left, right = (Image.open(path).convert("RGB").resize((300, 300)) for path in sorted((place / "faces").iterdir())[:2])
    crowd = Image.new("RGB", (660, 300), "white")
    crowd.paste(left, (0, 0))
    crowd.paste(right.resize((260, 260)), (380, 20))
    (tmp_path / "crowd").mkdir()
    crowd.save(tmp_path / "crowd" / "two.png")
    for _ in range(2):
        ran = mie(tmp_path, "synth", "crowd", "--out", "out", *options(clips=4))
        assert ran.returncode == 0, ran.stderr
        assert "note: two shows 2 faces, the largest is used" in ran.stdout.splitlines()
    again = json.loads(mie(tmp_path, "synth", "crowd", "--out", "out", *options(clips=4), "--json").stdout)
    assert again["notes"] == [["two", "shows 2 faces, the largest is used"]]
    assert again["shards_made"] == 0
