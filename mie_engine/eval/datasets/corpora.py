"""The corpora with a published coding sheet: their headings, their folders, and what the MEGC2019 composite leaves out of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

FIELDS = ("subject", "clip", "onset", "apex", "offset", "emotion", "aus")


@dataclass(frozen=True)
class Corpus:
    """headings: of FIELDS. folder: a clip's, below the root of the frames, from {subject} (as MEGC2019 names it), {id} (as the sheet
    does), {clip} and {emotion}. subject: {id} -> {subject}. outside: emotions, dropped: (subject, clip) outside the composite."""

    name: str
    headings: tuple[str, ...]
    folder: str
    subject: Callable[[str], str] = str
    outside: frozenset[str] = frozenset()
    dropped: frozenset[tuple[str, str]] = frozenset()


def numbered(pattern: str) -> Callable[[str], str]:
    """Subject names of a corpus that counts its subjects: "1", "sub1" or "sub01" -> pattern of 1. Raises ValueError: no number."""

    def name(text: str) -> str:
        digits = re.search(r"\d+", text)
        return pattern.format(int(digits[0] if digits else text))

    return name


CODED = {
    corpus.name: corpus
    for corpus in (
        # Yan et al., FG 2013: CASME-coded-20190721.xls, sub01/EP01_12/*.jpg
        Corpus("casme", ("Subject", "Filename", "OnsetF", "ApexF1", "OffsetF", "Emotion", "AU"), "{subject}/{clip}", numbered("sub{:02d}")),
        # Yan et al., PLoS ONE 2014: CASME2-coding-*.xlsx, sub01/EP02_01f/img46.jpg
        Corpus(
            "casme2",
            ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Estimated Emotion", "Action Units"),
            "{subject}/{clip}",
            numbered("sub{:02d}"),
            frozenset({"fear", "sadness"}),
            frozenset({("sub04", "EP12_01f"), ("sub05", "EP12_03f"), ("sub24", "EP02_07")}),
        ),
        # Davison et al., IEEE TAFFC 2018: SAMM_Micro_FACS_Codes_v2.xlsx, header in row 14, 006/006_1_2/006_05562.jpg
        Corpus(
            "samm",
            ("Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame", "Estimated Emotion", "Action Units"),
            "{subject}/{clip}",
            numbered("{:03d}"),
        ),
        # Li et al., IEEE TPAMI 2022, part A: cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx, spNO.1/b/color/166.jpg, several events a clip
        Corpus("casme3", ("Subject", "Filename", "Onset", "Apex", "Offset", "emotion", "AU"), "{id}/{clip}/color"),
        # Ben et al., IEEE TPAMI 2021: MMEW_Micro_Exp.xlsx, happiness/S01-01-001/15.jpg
        Corpus(
            "mmew",
            ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Estimated Emotion", "Action Units"),
            "{emotion}/{clip}",
            numbered("S{:02d}"),
        ),
        # Li et al., IEEE TAFFC 2022, grey video: 4DME_Labelling_Micro_release v1.xlsx, <sub_ID>/<fold_name>/*.jpg
        Corpus("fourd", ("sub_ID", "fold_name", "Onset", "Apex", "Offset", "Emotion", "AUs"), "{id}/{clip}"),
    )
}
