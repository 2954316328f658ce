"""CAS(ME)^3 part A (Li et al., IEEE TPAMI 2022): cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx;
spNO.1/b/color/166.jpg, several events a clip.
"""

from .coding import Corpus

CASME3 = Corpus(
    "casme3",
    {
        "subject": ("Subject",), "clip": ("Filename",), "onset": ("Onset",), "apex": ("Apex",), "offset": ("Offset",),
        "emotion": ("emotion",), "aus": ("AU",),
    },
    "{id}/{clip}/color",
)  # fmt: skip
