"""Corpora as tests need them: the published layouts and headings, invented clips of invented people."""

import csv
from pathlib import Path

import numpy as np
import xlwt
from openpyxl import Workbook
from PIL import Image

CASME2_HEAD = ["Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units", "Estimated Emotion"]
SHEETS = {
    "casme": (
        "CASME-coded.xlsx",
        ["Subject", "Filename", None, "OnsetF", "ApexF1", "ApexF2", "OffsetF", None, "Onset", "Total", "AU", "Emotion"],
        lambda c: [c["id"], c["clip"], None, c["onset"], c["apex"], "\\", c["offset"], None, 150.0, 316.7, c["aus"], c["emotion"]],
        "CASME_raw/sub{id:02d}/{clip}/reg_{clip}-{frame:05d}.jpg",
    ),
    "casme2": (
        "CASME2-coding-20140508.xlsx",
        CASME2_HEAD,
        lambda c: [c["id"], c["clip"], None, c["onset"], c["apex"], c["offset"], None, c["aus"], c["emotion"]],
        "CASME2_RAW_selected/sub{id:02d}/{clip}/img{frame}.jpg",
    ),
    "samm": (
        "SAMM_Micro_FACS_Codes_v2.xlsx",
        [
            "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro", "Action Units",
            "Estimated Emotion",
        ],
        lambda c: [f"{c['id']:03d}", c["clip"], 1, c["onset"], c["apex"], c["offset"], 60, "1/2", c["aus"], c["emotion"].capitalize()],
        "SAMM/{id:03d}/{clip}/{id:03d}_{frame:05d}.jpg",
    ),
    "casme3": (
        "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
        ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion"],
        lambda c: [f"spNO.{c['id']}", c["clip"], c["onset"], c["apex"], c["offset"], c["aus"], "III", c["emotion"]],
        "ME_A/spNO.{id}/{clip}/color/{frame}.jpg",
    ),
    "mmew": (
        "MMEW_Micro_Exp.xlsx",
        ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion", "remarks"],
        lambda c: [c["id"], c["clip"], c["onset"], c["apex"], c["offset"], c["aus"], c["emotion"], None],
        "Micro_Expression/{emotion}/{clip}/{frame}.jpg",
    ),
    "fourd": (
        "4DME_Labelling_Micro_release v1.xlsx",
        ["sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs", "Length", "eye blink"],
        lambda c: [f"S{c['id']:02d}", c["clip"], c["emotion"], c["onset"], c["apex"], c["offset"], c["aus"], 20, 0],
        "gray_micro/S{id:02d}/{clip}/{frame:04d}.jpg",
    ),
}  # fmt: skip


def clip(id=1, name="EP01_01f", onset=10, apex=14, offset=20, aus="4", emotion="disgust"):
    return {"id": id, "clip": name, "onset": onset, "apex": apex, "offset": offset, "aus": aus, "emotion": emotion}


def corpus(folder: Path, name: str, clips, image=None, suffix=".xlsx") -> Path:
    """A corpus of these clips with its sheet. image: (clip, frame) -> uint8 [H, W, 3]; by default noise, which is no face."""
    folder.mkdir(parents=True, exist_ok=True)
    sheet, head, row, pattern = SHEETS[name]
    lines = [[None]] * 13 if name == "samm" else []
    lines = [*([["Terms of use"]] if name == "samm" else []), *lines[1:], head, *(row(c) for c in clips)]
    if suffix == ".csv":
        with open(folder / (Path(sheet).stem + ".csv"), "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["" if cell is None else cell for cell in line] for line in lines])
    elif suffix == ".xls":
        old = xlwt.Workbook()
        cells = old.add_sheet("1")
        for k, line in enumerate(lines):
            for j, cell in enumerate(line):
                if cell is not None:
                    cells.write(k, j, cell)
        old.save(str(folder / (Path(sheet).stem + ".xls")))
    else:
        book = Workbook()
        for line in lines:
            book.active.append(line)
        book.save(folder / sheet)
    for c in clips:
        for frame in {c["onset"], c["apex"], c["offset"]} - {None, "/"}:
            picture(folder / pattern.format(frame=frame, **c), None if image is None else image(c, frame))
    return folder


def smic(folder: Path, clips, image=None, frames=5, suffix=".bmp") -> Path:
    """SMIC of these clips: (subject number, class, clip)."""
    for id, emotion, name in clips:
        for k in range(frames):
            path = folder / "SMIC_all_cropped" / "HS" / f"s{id}" / "micro" / emotion / name / f"reg_image{1000 + k}{suffix}"
            picture(path, None if image is None else image(clip(id, name, emotion=emotion), k))
    return folder


def picture(path: Path, pixels=None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8) if pixels is None else pixels).save(path, quality=95)


def composite(folder: Path, subjects=("sub01", "sub02", "006", "007", "s01", "s02"), per_class=2, seed=0, train=True) -> Path:
    """Maps as the MEGC2019 field shares them. A class is a bright bar: what any network can learn, and nobody without training."""
    rng = np.random.default_rng(seed)
    maps = {}
    for subject in subjects:
        for label in range(3):
            for k in range(per_class):
                image = rng.integers(0, 60, (28, 28, 3), np.uint8)
                image[9 * label + 2 : 9 * label + 7] += 150
                maps[subject, label, f"{subject}_{subject}_{label}_{k} "] = image  # the blank before .png is the field's
    for left_out in subjects:
        for (subject, label, name), image in maps.items():
            part = "u_test" if subject == left_out else "u_train"
            if train or part == "u_test":
                picture(folder / left_out / part / str(label) / f"{name}.png", image)
    return folder
