"""A folder whose plan.json (or another file of its own) is hostile: a refusal that names the file, and nothing else changes."""

import json
import os
import signal

import pytest
from road import contents, copy_faces, make, mie, options, refused, stamps

from mie_engine import limits
from mie_engine.errors import EnvironmentProblem, PlanError
from mie_engine.synth import card
from mie_engine.synth.plan import Plan


@pytest.fixture(autouse=True)
def at_most_a_minute():
    """Waiting for a pipe is a failure, not a test run that hangs."""

    def over(number, frame):
        raise TimeoutError("no answer in a minute")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return copy_faces(tmp_path_factory.mktemp("attack") / "faces")


@pytest.fixture(scope="module")
def text(faces, tmp_path_factory):
    """The plan.json of a finished dataset."""
    out = tmp_path_factory.mktemp("plan") / "out"
    make(faces, out, clips=3)
    return (out / "plan.json").read_text()


def edited(text, **changes):
    return json.dumps({**json.loads(text), **changes})


def deep(levels):
    return "[" * levels + "]" * levels


PLANS = {
    "empty": (lambda text: "", "the file is empty"),
    "not json": (lambda text: "\x7fELF\x02\x01\x01", "not valid JSON"),
    "not utf-8": (lambda text: b"\xff\xfe\xfd{", "not valid JSON"),
    "torn": (lambda text: text[: len(text) // 2], "not valid JSON"),
    "with a tail": (lambda text: text + "{}", "not valid JSON"),
    "a list": (lambda text: "[]", "version"),
    "null": (lambda text: "null", "version"),
    "deep list": (lambda text: deep(200_000), "not valid JSON"),
    "deep inside": (lambda text: text.replace('"seed":5', f'"seed":{deep(50_000)}'), "plan.json"),
    "of the next version": (lambda text: edited(text, version=2), "version 2, this program reads version 1"),
    "of version -1": (lambda text: edited(text, version=-1), "version -1"),
    "of version true": (lambda text: edited(text, version=True), "no integer `version`"),
    "of a huge version": (lambda text: text.replace('"version":1', '"version":' + "9" * 4000), "version 9999"),
    "unknown key": (lambda text: edited(text, __class__="os.system"), "unknown key '__class__'"),
    "missing key": (lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "seed"}), "lacks the key 'seed'"),
    "key twice": (lambda text: text.replace('"seed":5', '"seed":5,"seed":6'), "key appears twice"),
    "nan": (lambda text: text.replace('"noise_sigma":1.0', '"noise_sigma":NaN'), "NaN is not JSON"),
    "infinity": (lambda text: text.replace('"noise_sigma":1.0', '"noise_sigma":-Infinity'), "Infinity is not JSON"),
    "1e999": (lambda text: text.replace('"noise_sigma":1.0', '"noise_sigma":1e999'), "finite"),
    "huge seed": (lambda text: text.replace('"seed":5', '"seed":' + "9" * 4000), "seed"),
    "too many digits": (lambda text: text.replace('"seed":5', '"seed":' + "9" * 5000), "not valid JSON"),
    "huge clips": (lambda text: edited(text, clips=10**30), "clips"),
    "huge size": (lambda text: edited(text, size=2**31), "size"),
    "size as text": (lambda text: edited(text, size="64"), "size"),
    "name that leaves the folder": (lambda text: text.replace("syn000", "../../syn000"), "another dataset"),
    "name with a zero byte": (lambda text: text.replace("syn000", "syn\\u0000"), "printable"),
    "name that is a lone surrogate": (lambda text: text.replace("syn000", "\\ud800"), "printable"),
    "other tables": (lambda text: edited(text, au_table_sha256="0" * 64), "use the release that made it"),
}


@pytest.mark.parametrize("name", PLANS)
def test_hostile_plans_are_refused(faces, text, tmp_path, name):
    attack, told = PLANS[name]
    out = tmp_path / "out"
    out.mkdir()
    hostile = attack(text)
    assert hostile != text
    (out / "plan.json").write_bytes(hostile if isinstance(hostile, bytes) else hostile.encode())
    before = stamps(out)
    with pytest.raises(PlanError) as caught:
        make(faces, out, clips=3)
    assert str(out / "plan.json") in str(caught.value)
    assert told in str(caught.value)
    assert len(str(caught.value)) < 1000
    before.setdefault(".lock", None)
    assert set(stamps(out)) <= set(before), "a refused run wrote into the folder"


def as_folder(path):
    path.mkdir()


def as_loop(path):
    path.symlink_to(path.name)


def as_dangling_link(path):
    path.symlink_to("nowhere")


def as_pipe(path):
    os.mkfifo(path)


def as_device(path):
    path.symlink_to("/dev/zero")


def as_giant(path):
    with path.open("wb") as file:
        file.truncate(limits.MAX_PLAN_BYTES + 1)


@pytest.mark.parametrize("attack", [as_folder, as_loop, as_dangling_link, as_pipe, as_device, as_giant])
def test_a_plan_that_is_no_file(faces, tmp_path, attack):
    """Nothing is followed, waited for or read to its end."""
    out = tmp_path / "out"
    out.mkdir()
    attack(out / "plan.json")
    with pytest.raises(PlanError) as caught:
        make(faces, out, clips=3)
    assert str(out / "plan.json") in str(caught.value)
    assert [path.name for path in out.iterdir()] == ["plan.json"]


@pytest.mark.parametrize("attack", [as_folder, as_loop, as_dangling_link, as_pipe, as_device])
@pytest.mark.parametrize("name", ["000000.tar", "000000.parquet", "dataset.json", "README.md", "preview.png", ".tmp-x", ".lock", ".cache"])
def test_other_files_that_are_no_files(faces, text, tmp_path, monkeypatch, name, attack):
    """Made anew, or refused with the name; never followed, waited for or an internal error."""
    monkeypatch.setattr(card, "preview", lambda *_: b"sheet")
    out = tmp_path / "out"
    out.mkdir()
    (out / "plan.json").write_text(text)
    attack(out / name)
    try:
        make(faces, out, clips=3)
    except EnvironmentProblem as error:
        assert attack is as_folder or name == ".lock"
        assert str(out) in str(error)  # noqa: PT017 - some of these are made anew
        assert not (out / "dataset.json").is_file()
    else:
        assert contents(out).keys() >= {"000000.tar", "000000.parquet", "README.md", "preview.png", "dataset.json", "plan.json"}
        assert "not a regular file" not in {digest for file, digest in contents(out).items() if not file.startswith(".cache")}
        assert Plan.from_json(text).hash in (out / "dataset.json").read_text()


@pytest.mark.parametrize("name", ["of the next version", "deep list", "unknown key"])
def test_the_command_refuses_them_too(faces, text, tmp_path, name):
    attack, told = PLANS[name]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "plan.json").write_text(attack(text))
    ran = mie(tmp_path, "synth", faces, "--out", "out", *options(clips=3), "--json")
    refused(ran, 3, "plan.json", told)
    answer = json.loads(ran.stdout)
    assert (answer["error"], answer["exit_code"]) == ("PlanError", 3)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["plan.json"]
