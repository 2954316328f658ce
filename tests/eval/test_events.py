"""Spotting scores from tables of events."""

import pytest

from mie_engine.errors import InputError
from mie_engine.eval import events

HEAD = "video,face,onset_frame,apex_frame,offset_frame,onset_s,apex_s,offset_s,label,score,AU4\n"


def table(path, *rows):
    path.write_text(HEAD + "".join(f"{video},0,{first},,{last},,,,{label},.9,.1\n" for video, first, last, label in rows))
    return path


def test_scores(tmp_path):
    truth = table(tmp_path / "t.csv", ("a", 10, 19, "negative"), ("a", 50, 59, "surprise"), ("b", 10, 19, "positive"), ("c", "", "", ""))
    spotted = table(
        tmp_path / "e.csv", ("a", 11, 20, "negative"), ("a", 52, 61, "uncertain"), ("c", 0, 9, "positive"), ("d", 0, 9, "positive")
    )
    got = events.score(truth, spotted)
    assert (got["videos"], got["tp"], got["fp"], got["fn"]) == (3, 2, 2, 1)
    assert got["f1"] == pytest.approx(4 / 7)
    assert got["recognition"] == 0.5
    assert got["strs"] == pytest.approx(2 / 7)
    assert got["notes"] == ["1 videos have events but no truth, such as d: all of them count as false"]
    for name in ("f1", "strs"):
        assert f"- {name}: {got[name]:.4f}" in events.markdown(got)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("video,onset_frame\n", "no column offset_frame, label"),
        ("", "empty"),
        (HEAD + "a,0,x,,9,,,,negative,,\n", "line 2, column onset_frame or offset_frame"),
        (HEAD + "a,0,9,,8,,,,negative,,\n", "line 2: frames 9 to 8"),
        (HEAD + "a,0,-1,,8,,,,negative,,\n", "frames -1 to 8"),
        (HEAD + "a,0,1,,8,,,,joy,,\n", "column label: 'joy'"),
        (HEAD + "a,0,1,,8,,,,uncertain,,\n", "column label: 'uncertain'"),  # truth does not abstain
        (HEAD + 'a,0,"1', "CSV"),
        (HEAD + "a,0,1\n", "not a whole number"),
        (HEAD + "a,0,1,,99999999999,,,,negative,,\n", "frames 1 to 99999999999"),
        (HEAD + "a,0,1,,8,,,,negative,,\n" * 2001, "more than 2000 events"),
    ],
)
def test_what_is_refused(tmp_path, text, said):
    path = tmp_path / "truth.csv"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        events.score(path, table(tmp_path / "events.csv"))
    assert str(path) in str(refused.value)
    assert said in str(refused.value)
