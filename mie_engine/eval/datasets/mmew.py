"""MMEW (Ben et al., IEEE TPAMI 2021): MMEW_Micro_Exp.xlsx; happiness/S01-01-001/15.jpg."""

from .coding import Corpus, numbered

MMEW = Corpus(
    "mmew",
    {
        "subject": ("Subject",), "clip": ("Filename",), "onset": ("OnsetFrame",), "apex": ("ApexFrame",), "offset": ("OffsetFrame",),
        "emotion": ("Estimated Emotion",), "aus": ("Action Units",),
    },
    "{emotion}/{clip}",
    numbered("S{:02d}"),
)  # fmt: skip
