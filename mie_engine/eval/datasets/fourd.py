"""4DME (Li et al., IEEE TAFFC 2022), grey video: 4DME_Labelling_Micro_release v1.xlsx; <sub_ID>/<fold_name>/*.jpg."""

from .coding import Corpus

FOURD = Corpus(
    "fourd",
    {
        "subject": ("sub_ID",), "clip": ("fold_name",), "onset": ("Onset",), "apex": ("Apex",), "offset": ("Offset",),
        "emotion": ("Emotion",), "aus": ("AUs",),
    },
    "{id}/{clip}",
)  # fmt: skip
