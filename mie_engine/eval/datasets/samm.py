"""SAMM (Davison et al., IEEE TAFFC 2018): SAMM_Micro_FACS_Codes_v2.xlsx, header in row 14; 006/006_1_2/006_05562.jpg."""

from .coding import Corpus, numbered

SAMM = Corpus(
    "samm",
    {
        "subject": ("Subject",), "clip": ("Filename",), "onset": ("Onset Frame",), "apex": ("Apex Frame",), "offset": ("Offset Frame",),
        "emotion": ("Estimated Emotion",), "aus": ("Action Units",),
    },
    "{subject}/{clip}",
    numbered("{:03d}"),
)  # fmt: skip
