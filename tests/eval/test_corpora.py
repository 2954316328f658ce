"""Readers of the corpora: their published layouts read back, and what is wrong with a sheet said by row and column."""

import fakes
import numpy as np
import pytest
from openpyxl import Workbook

from mie_engine.errors import InputError
from mie_engine.eval import datasets
from mie_engine.eval.datasets.coding import action_units, label3
from mie_engine.eval.table import NO_CLASS

CLIPS = [
    fakes.clip(1, "EP01_01f", 10, 14, 20, "4+R7", "disgust"),
    fakes.clip(1, "EP02_02f", 46, 59, 86, "12", "happiness"),
    fakes.clip(12, "EP03_03f", 1, 5, 9, "1+2", "surprise"),
]
SUBJECTS = {"casme": "sub01", "casme2": "sub01", "samm": "001", "casme3": "spNO.1", "mmew": "S01", "fourd": "S01"}


@pytest.mark.parametrize("suffix", [".xlsx", ".xls", ".csv"])
@pytest.mark.parametrize("name", list(fakes.SHEETS))
def test_a_corpus_is_read_back(tmp_path, name, suffix):
    table = datasets.read(fakes.corpus(tmp_path / name, name, CLIPS, suffix=suffix), 0)
    assert table.notes == ()
    first, second, third = sorted(table.clips, key=lambda clip: clip.name)
    assert (first.corpus, first.subject, first.name, first.emotion) == (name, SUBJECTS[name], "EP01_01f", "disgust")
    assert (first.onset, first.apex, first.offset, first.aus) == (10, 14, 20, frozenset({4, 7}))
    assert [clip.label3 for clip in (first, second, third)] == [0, 1, 2]
    assert third.subject.endswith("12")
    for clip in table.clips:
        assert clip.path.is_dir()
        assert all(frame.is_file() and frame.parent == clip.path for frame in clip.frames)
        assert [int(frame.stem.split("_")[-1].split("-")[-1].removeprefix("img")) for frame in clip.frames] == [clip.onset, clip.apex]


def test_smic_is_labelled_by_its_folders(tmp_path):
    clips = [(1, "negative", "s1_ne_01"), (2, "positive", "s2_po_01"), (20, "surprise", "s20_sur_01")]
    table = datasets.read(fakes.smic(tmp_path / "SMIC", clips), 0)
    assert [(clip.subject, clip.label3, clip.aus) for clip in table.clips] == [("s01", 0, None), ("s02", 1, None), ("s20", 2, None)]
    assert [(clip.onset, clip.apex, clip.offset) for clip in table.clips] == [(1000, 1002, 1004)] * 3


def test_several_corpora_and_the_composites_drops(tmp_path):
    """Seeds of MEGC2019: fear, sadness, others and three named clips of CASME II, "other" of SAMM."""
    coded = [
        ("EP12_01f", "disgust", 4),
        ("EP12_02f", "disgust", 4),
        ("a", "fear", 4),
        ("b", "sadness", 4),
        ("c", "others", 4),
        ("d", "repression", 4),
    ]
    fakes.corpus(tmp_path / "CASME II", "casme2", [fakes.clip(id, name, emotion=emotion) for name, emotion, id in coded])
    fakes.corpus(tmp_path / "SAMM", "samm", [fakes.clip(6, "e", emotion="fear"), fakes.clip(6, "f", emotion="other")])
    fakes.smic(tmp_path / "smic", [(1, "surprise", "g")])
    table = datasets.read(tmp_path, 0)
    labels = {clip.name: clip.label3 for clip in table.clips}
    assert labels == {
        "EP12_01f": NO_CLASS,
        "EP12_02f": 0,
        "a": NO_CLASS,
        "b": NO_CLASS,
        "c": NO_CLASS,
        "d": 0,
        "e": 0,
        "f": NO_CLASS,
        "g": 2,
    }
    assert {clip.corpus for clip in table.clips} == {"casme2", "samm", "smic"}


@pytest.mark.parametrize(
    ("text", "aus", "left"),
    [
        ("4", {4}, []), ("4+7+L14", {4, 7, 14}, []), ("R12 + R15", {12, 15}, []), ("AU1+AU2", {1, 2}, []), ("12L", {12}, []),
        ("R14A", {14}, []), ("4B+7", {4, 7}, []), ("T28+14", {28, 14}, []), ("4(k)+7", {7}, ["4(k)"]), ("AU12(k)", set(), ["AU12(k)"]),
        ("R12 or R15", set(), ["R12 or R15"]), ("12/14+4", {4}, ["12/14"]), ("", set(), []), ("eye", set(), ["eye"]), ("1, 2", {1, 2}, []),
        ("0", set(), ["0"]), ("4++7", {4, 7}, []), ("1238", set(), ["1238"]),
    ],
)  # fmt: skip
def test_action_units(text, aus, left):
    assert action_units(text) == (frozenset(aus), left)


def test_label3():
    assert [label3(name) for name in ("disgust", "happiness", "surprise", "tense", "others")] == [0, 1, 2, NO_CLASS, NO_CLASS]
    assert label3("anger+disgust") == 0
    assert label3("positive+surprise") == NO_CLASS
    assert label3("others+positive") == 1


def read_casme2(tmp_path, *clips):
    enough = [fakes.clip(9, f"fine{k}") for k in range(20)]
    return datasets.read(fakes.corpus(tmp_path / "casme2", "casme2", [*enough, *clips]), 0)


@pytest.mark.parametrize(
    ("clip", "where"),
    [
        (fakes.clip(onset="ten"), "row 22, column OnsetFrame: 'ten'"),
        (fakes.clip(apex="-5"), "row 22, column ApexFrame: '-5'"),
        (fakes.clip(offset="1e99"), "row 22, column OffsetFrame: '1e99'"),
        (fakes.clip(offset="12.5"), "row 22, column OffsetFrame"),
        (fakes.clip(emotion="joyful"), "row 22, column Estimated Emotion: 'joyful'"),
        (fakes.clip(emotion=None), "row 22, column Estimated Emotion: ''"),
        (fakes.clip(name="../../etc"), "row 22, column Filename: '../../etc'"),
        (fakes.clip(name=".."), "row 22, column Filename"),
    ],
)
def test_a_wrong_cell_is_named_by_row_and_column(tmp_path, clip, where, monkeypatch):
    monkeypatch.setattr(fakes, "picture", lambda path, pixels=None: None)
    with pytest.raises(InputError, match="CASME2-coding") as refused:
        read_casme2(tmp_path, clip)
    assert where in str(refused.value)


def test_two_emotions_at_once(tmp_path):
    clips = [fakes.clip(1, "a", emotion="Positive/Surprise"), fakes.clip(2, "b", emotion="Negative & Repression")]
    table = datasets.read(fakes.corpus(tmp_path / "4DME", "fourd", clips), 0)
    assert [(clip.emotion, clip.label3) for clip in table.clips] == [("positive+surprise", NO_CLASS), ("negative+repression", 0)]


def test_a_subject_that_is_no_folder(tmp_path):
    place = fakes.corpus(tmp_path / "casme3", "casme3", [fakes.clip(1)], suffix=".csv")
    sheet = next(place.glob("*.csv"))
    sheet.write_text(sheet.read_text().replace("spNO.1", "../spNO.1"))
    with pytest.raises(InputError, match=r"row 2, column Subject: '../spNO.1' is not the name of a folder"):
        datasets.read(place, 0)


def test_a_subject_without_a_number(tmp_path):
    place = fakes.corpus(tmp_path / "casme2", "casme2", [fakes.clip(1)], suffix=".csv")
    sheet = next(place.glob("*.csv"))
    sheet.write_text(sheet.read_text().replace("\n1,", "\nAlice,"))
    with pytest.raises(InputError, match="row 2, column Subject: 'Alice'"):
        datasets.read(place, 0)


def test_gaps_are_counted_and_the_middle_frame_is_used(tmp_path):
    clips = [
        fakes.clip(1, "a", 10, "/", 20),
        fakes.clip(1, "b", 10, None, 30),
        fakes.clip(1, "c", 30, 25, 40),
        fakes.clip(1, "d", aus="1 or 2"),
    ]
    place = fakes.corpus(tmp_path / "casme2", "casme2", clips)
    for name, middle in (("a", 15), ("b", 20)):
        fakes.picture(place / "CASME2_RAW_selected" / "sub01" / name / f"img{middle}.jpg")
    table = datasets.read(place, 0)
    assert [clip.apex for clip in table.clips] == [15, 20, 25, 14]
    assert table.clips[3].aus == frozenset()
    sheet = place / "CASME2-coding-20140508.xlsx"
    assert table.notes == (
        f"casme2: 2 x no apex, the middle frame is used ({sheet}: row 2, ...)",
        f"casme2: 1 x apex not between onset and offset, used as it is ({sheet}: row 4)",
        f"casme2: 1 x action unit not counted ({sheet}: row 5: '1 or 2')",
    )


def test_a_few_clips_without_frames_are_left_out_and_counted(tmp_path):
    place = fakes.corpus(tmp_path / "casme2", "casme2", [fakes.clip(1, f"c{k:02d}") for k in range(20)])
    (place / "CASME2_RAW_selected" / "sub01" / "c03" / "img14.jpg").unlink()
    table = datasets.read(place, 0)
    assert len(table) == 19
    assert "1 x frames missing, clip left out" in table.notes[0]
    assert "row 5: frame 14 in" in table.notes[0]
    for k in range(5, 9):
        (place / "CASME2_RAW_selected" / "sub01" / f"c{k:02d}" / "img10.jpg").unlink()
    with pytest.raises(InputError, match=r"15 of 20 clips of casme2 can be used.*frame 14"):
        datasets.read(place, 0)


def test_several_events_of_one_recording(tmp_path):
    clips = [fakes.clip(1, "b", 10, 12, 15), fakes.clip(1, "b", 30, 33, 40), *(fakes.clip(k, "a") for k in range(2, 20))]
    table = datasets.read(fakes.corpus(tmp_path / "casme3", "casme3", clips), 0)
    assert {"b@10", "b@30"} < {clip.name for clip in table.clips}
    assert len(table) == len({clip.key for clip in table.clips}) == 20


def test_a_table_does_not_depend_on_the_order_of_its_rows(tmp_path, rng):
    clips = [fakes.clip(k % 5 + 1, f"c{k}") for k in range(12)]
    shuffled = [clips[k] for k in rng.permutation(12)]
    one = datasets.read(fakes.corpus(tmp_path / "1" / "samm", "samm", clips), 0)
    two = datasets.read(fakes.corpus(tmp_path / "2" / "samm", "samm", shuffled), 0)
    assert [clip.key for clip in one.clips] == [clip.key for clip in two.clips]


def refused(folder):
    with pytest.raises(InputError) as error:
        datasets.read(folder, 0)
    return str(error.value)


def test_sheets_that_cannot_be_used(tmp_path):
    place = fakes.corpus(tmp_path / "casme2", "casme2", [fakes.clip()])
    sheet = place / "CASME2-coding-20140508.xlsx"
    good = sheet.read_bytes()
    (place / "~$lock.xlsx").write_bytes(b"Excel's")  # ignored
    assert len(datasets.read(place, 0)) == 1
    sheet.write_bytes(good[:200])
    assert "not a readable .xlsx sheet" in refused(place)
    sheet.unlink()
    assert "none; one is needed, with Subject, Filename, OnsetFrame" in refused(place)
    (place / "coding.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    assert "not a readable .xls sheet" in refused(place)
    book = Workbook()
    book.active.append(["Subject", "Filename"])  # as CASME2-ObjectiveClasses.xlsx, which is another table
    book.save(place / "other.xlsx")
    sheet.write_bytes(good)
    assert len(datasets.read(place, 0)) == 1
    assert len(datasets.read(place, 0)) == 1  # the .xls beside it is the older copy
    (place / "copy.xlsx").write_bytes(good)
    assert "CASME2-coding-20140508.xlsx, copy.xlsx; one is needed" in refused(place)
    (place / "copy.xlsx").unlink()
    sheet.unlink()
    (place / "coding.csv").write_bytes(b"Subject\xff\xfe")
    assert "not a CSV table in UTF-8" in refused(place)
    (place / "coding.csv").write_bytes(b"")
    assert "the file is empty" in refused(place)


def test_folders_that_cannot_be_used(tmp_path):
    assert "no such folder" in refused(tmp_path / "nowhere")
    (tmp_path / "CK+").mkdir()
    assert "casme, casme2, samm, casme3, mmew, fourd, smic" in refused(tmp_path)
    for name in ("casme2", "CASME II"):
        (tmp_path / name).mkdir()
    assert "one folder each" in refused(tmp_path)
    (tmp_path / "a" / "smic").mkdir(parents=True)
    assert "no clips of SMIC" in refused(tmp_path / "a")
    fakes.smic(tmp_path / "a" / "smic", [(1, "angry", "x")])
    assert "micro" in refused(tmp_path / "a")


def test_a_bomb_in_a_sheet_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    place = fakes.corpus(tmp_path / "casme2", "casme2", [fakes.clip()])
    monkeypatch.setattr("mie_engine.limits.MAX_CSV_BYTES", 1000)
    assert "bytes unpacked, allowed are 1000" in refused(place)


def test_more_rows_than_any_corpus_has(tmp_path, monkeypatch):
    place = fakes.corpus(tmp_path / "casme2", "casme2", [fakes.clip(k, "a") for k in range(1, 9)])
    monkeypatch.setattr("mie_engine.limits.MAX_SHEET_ROWS", 5)
    assert "more than 5 rows" in refused(place)


def test_maps_of_frames_without_a_face(tmp_path):
    place = fakes.smic(tmp_path / "smic", [(1, "surprise", "a"), (2, "negative", "b")])
    with pytest.raises(InputError, match="no clip of 2 shows a face"):
        datasets.read(place, 28)
    frame = next(place.rglob("*1000.bmp"))
    frame.write_bytes(frame.read_bytes()[:60])
    with pytest.raises(InputError, match="damaged or truncated"):
        datasets.read(place, 28)
    assert np.asarray(frame.stat().st_size) == 60
