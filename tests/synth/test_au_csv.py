"""AU tables: what is read from OpenFace and py-feat files, and every refusal with file, line and column."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from mie_engine import limits
from mie_engine.errors import InputError, PlanError, RangeError
from mie_engine.synth import au_csv
from mie_engine.synth.action_units import OPENFACE_AUS, UNIT_INDEX
from mie_engine.synth.describe import describe
from mie_engine.synth.plan import AuCsv, Identity, Plan, make_plan

FACES = (Identity("face", "0" * 64),)
OPENFACE = ", ".join(["frame", "confidence", *(f"AU{n:02d}_r" for n in OPENFACE_AUS), "AU28_c", "sequence", "emotion"])


def openface_row(level: float, sequence: str, emotion: str, frame: int = 1) -> str:
    return ", ".join([str(frame), "0.98", *[f"{level:.3f}"] * 17, "1.00", sequence, emotion])


def written(folder: Path, *lines: str, name: str = "aus.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def plan_of(table: au_csv.AuTable, clips: int = 60, **fields: Any) -> Plan:
    named = AuCsv(table.name, table.sha256, table.scale)
    return make_plan(clips=clips, seed=1, identities=FACES, sources=fields.pop("sources", ("au_csv",)), au_csv=named, **fields)


def ramps(folder: Path, frames: int = 100) -> Path:
    lines = [openface_row(5 * f / frames, emotion, emotion, f) for f in range(frames) for emotion in ("happiness", "surprise", "fear")]
    return written(folder, OPENFACE, *lines)


def test_openface_sequences(tmp_path: Path) -> None:
    table = au_csv.read(ramps(tmp_path))
    assert (table.scale, table.aus) == (5.0, OPENFACE_AUS)
    assert len(table.first) == 3
    assert table.length.tolist() == [100] * 3
    assert table.label3.tolist() == [1, 2, 0]
    rows = plan_of(table, 3000).rows(0, 3000, table)
    assert not rows.onset.any()  # the first frame of every ramp is rest
    assert rows.apex[:, UNIT_INDEX["AU12L"]].tolist() == rows.apex[:, UNIT_INDEX["AU12R"]].tolist()
    frame = np.round(rows.apex[:, UNIT_INDEX["AU25"]] * 100).astype(int)
    assert np.array_equal(frame, np.floor(rows.cut * 100 + 1e-9))
    assert stats.kstest(rows.cut, "uniform", (0.25, 0.25)).pvalue > 1e-4
    assert stats.chisquare(np.bincount(frame, minlength=50)[25:50]).pvalue > 1e-4
    assert rows.emotion[:3].tolist() == ["fear", "happiness", "surprise"]
    assert np.array_equal(rows.label7[:3], [4, 0, 1])


def test_pools_are_drawn_in_turn(tmp_path: Path) -> None:
    lines = [f"{k / 10},{label}" for k, label in enumerate(("positive", "positive", "0", "negative", "anger", "surprise", "2"))]
    table = au_csv.read(written(tmp_path, "AU12,label", *lines))
    rows = plan_of(table).rows(0, 60, table)
    level = rows.apex[:, UNIT_INDEX["AU12L"]]
    for label3, pool in ((0, (0.2, 0.3, 0.4)), (1, (0.0, 0.1)), (2, (0.5, 0.6))):
        assert np.allclose(level[rows.label3 == label3], np.resize(pool, 20))
    assert set(rows.emotion) == {"", "anger", "surprise"}
    assert np.array_equal(rows.label7 == -1, rows.emotion == "")
    assert not rows.onset.any()
    assert np.all(rows.cut == 1)


def test_mixes_with_other_sources_and_balance_7(tmp_path: Path) -> None:
    emotions = ("happiness", "surprise", "disgust", "sadness", "fear", "anger", "contempt")
    table = au_csv.read(written(tmp_path, "AU4,emotion", *(f"0.{k + 1},{emotion}" for k, emotion in enumerate(emotions))))
    plan = plan_of(table, 140, sources=("expert", "au_csv"), balance=7)
    rows = plan.rows(0, 140, table)
    chosen = rows.source == "au_csv"
    assert chosen.sum() == 70
    assert np.array_equal(np.bincount(rows.label7), [20] * 7)
    assert np.allclose(rows.apex[chosen, UNIT_INDEX["AU4L"]], (rows.label7[chosen] + 1) / 10)
    assert describe(plan, table=table)["sources"] == {"expert": 70, "au_csv": 70}
    parts = [plan.rows(a, b, table).apex for a, b in ((0, 3), (3, 90), (90, 140))]
    assert np.array_equal(np.concatenate(parts), rows.apex)


def test_two_rows_are_onset_and_apex(tmp_path: Path) -> None:
    lines = ["0.1,v,positive", "0.4,v,positive", "0.2,w,negative", "0.3,w,negative", "0,x,2", "1,x,2"]
    table = au_csv.read(written(tmp_path, "AU06,video,label", *lines))
    rows = plan_of(table).rows(0, 3, table)
    assert rows.onset[:, UNIT_INDEX["AU6L"]].tolist() == [0.2, 0.1, 0.0]
    assert rows.apex[:, UNIT_INDEX["AU6L"]].tolist() == [0.3, 0.4, 1.0]


def test_pyfeat_scale_byte_order_mark_and_blank_lines(tmp_path: Path) -> None:
    lines = ("FaceScore,AU01,AU11,AU43,filename,emotion", "0.9,50,3,100,a.jpg,Fear", "", '0.9,0,0,0,"b, c.jpg",fear')
    table = au_csv.read(written(tmp_path, *lines, encoding="utf-8-sig"), scale=100)
    assert (table.aus, table.scale) == ((1, 43), 100)
    assert table.first.tolist() == [0, 1]
    assert table.intensity.tolist() == [[0.5, 1.0], [0.0, 0.0]]
    assert np.array_equal(au_csv.read(written(tmp_path, "AU01,label", "0.5,0")).intensity, [[0.5]])


def test_rows_of_a_sequence_may_be_interleaved(tmp_path: Path) -> None:
    table = au_csv.read(written(tmp_path, "AU1,sequence,label", "0.1,a,0", "0.5,b,1", "0.2,a,0", "0.6,b,1"))
    assert table.intensity[:, 0].tolist() == [0.1, 0.2, 0.5, 0.6]
    assert table.first.tolist() == [0, 2]


GOOD = openface_row(1, "s", "fear")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "line 1: no AU columns|empty"),
        (["frame,emotion", "1,fear"], "line 1: no AU columns"),
        (["AU01_r,emotion", "1,fear"], "line 1: missing column AU02_r, AU04_r"),
        ([OPENFACE.replace(", emotion", "")], "line 1: no column `emotion` or `label`"),
        ([OPENFACE], "no rows below the header"),
        (["AU01,AU01,emotion"], "'AU01' appears twice"),
        (["AU01,AU99,emotion", "1,1,fear"], "column AU99: no such action unit"),
        ([OPENFACE, GOOD, GOOD + ", extra"], "line 3: 22 fields, the header has 21|line 3: 23 fields, the header has 22"),
        ([OPENFACE, GOOD, "1, 2"], "line 3: 2 fields"),
        ([OPENFACE, openface_row(5.001, "s", "fear")], "line 2: column AU01_r: '5.001', allowed is 0 to 5"),
        ([OPENFACE, openface_row(-0.5, "s", "fear")], "line 2: column AU01_r: '-0.500'"),
        ([OPENFACE, openface_row(float("nan"), "s", "fear")], "column AU01_r: 'nan'"),
        ([OPENFACE, openface_row(float("inf"), "s", "fear")], "column AU01_r: 'inf'"),
        (["AU01,label", ",0"], "line 2: column AU01: ''"),
        (["AU01,label", "much,0"], "line 2: column AU01: 'much'"),
        (["AU01,label", "0_1,0"], "line 2: column AU01: '0_1'"),
        (["AU01,label", "1.2,0"], "allowed is 0 to 1: .*--csv-scale"),
        (["AU01,label", "1,9"], "column label: '9', allowed are happiness"),
        (["AU01,label", "1,"], "column label: ''"),
        (["AU01,emotion,video", "1,fear,a", "1,anger,a"], "line 3: column emotion: 'anger' differs from earlier rows of 'a'"),
        (["AU01,label", '1,"0'], "line 2"),
        (["AU01,label", "1,\0"], "line 2: holds a NUL byte"),
        (["AU01,label", "1," + "x" * 70_000], "line 2: longer than 65536 characters"),
    ],
)
def test_refuses_with_file_line_and_column(tmp_path: Path, lines: list[str], message: str) -> None:
    path = written(tmp_path, *lines)
    with pytest.raises(InputError, match=message) as caught:
        au_csv.read(path)
    assert str(path) in str(caught.value)


def test_refuses_what_is_not_a_text_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "binary.csv").write_bytes(bytes(range(128, 256)))
    os.mkfifo(tmp_path / "fifo.csv")
    for name, message in (
        ("empty.csv", "empty: expected a header"),
        ("binary.csv", "not UTF-8"),
        ("fifo.csv", "not a regular file"),
        ("absent.csv", "No such file"),
        ("", "not a regular file"),
    ):
        with pytest.raises(InputError, match=message):
            au_csv.read(tmp_path / name)
    with open(tmp_path / "huge.csv", "wb") as file:
        file.truncate(limits.MAX_CSV_BYTES + 1)
    with pytest.raises(InputError, match="split the table"):
        au_csv.read(tmp_path / "huge.csv")
    monkeypatch.setattr(limits, "MAX_CSV_ROWS", 3)
    with pytest.raises(InputError, match="line 5: more than 3 rows"):
        au_csv.read(written(tmp_path, "AU01,label", *["1,0"] * 4))
    for scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(RangeError, match="csv scale"):
            au_csv.read(tmp_path / "empty.csv", scale=scale)


def test_a_class_without_rows_is_refused(tmp_path: Path) -> None:
    table = au_csv.read(written(tmp_path, "AU01,label", "1,0", "1,1"))
    with pytest.raises(InputError, match=r"aus.csv: no row of label3 2 \(surprise\)"):
        plan_of(table).rows(0, 9, table)
    table = au_csv.read(written(tmp_path, "AU01,label", "1,0", "1,1", "1,2"))
    with pytest.raises(InputError, match="no row of emotion happiness"):
        plan_of(table, balance=7).rows(0, 9, table)


def test_another_table_is_refused(tmp_path: Path) -> None:
    first = au_csv.read(written(tmp_path, "AU01,label", "1,0", "1,1", "1,2"))
    second = au_csv.read(written(tmp_path, "AU01,label", "0,0", "1,1", "1,2"))
    with pytest.raises(PlanError, match="not the table the plan was made with"):
        plan_of(first).rows(0, 1, second)


@given(st.text(alphabet='AU0124,"\n\r\t ._remotinlbfa-5e', max_size=200))
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_table_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "any.csv"
    path.write_text(text, encoding="utf-8", newline="")
    try:
        table = au_csv.read(path)
    except InputError:
        return
    assert np.isfinite(table.intensity).all()


@pytest.mark.slow
def test_speed(tmp_path: Path) -> None:
    path = written(tmp_path, OPENFACE, *[openface_row(1, f"s{k // 50}", "fear") for k in range(100_000)])
    started = time.process_time()
    assert len(au_csv.read(path).intensity) == 100_000
    assert time.process_time() - started < 3
