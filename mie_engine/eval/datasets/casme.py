"""CASME (Yan et al., FG 2013): CASME-coded-20190721.xls, saved as .xlsx; sub01/EP01_12/*.jpg."""

from .coding import Corpus, numbered

CASME = Corpus(
    "casme",
    {
        "subject": ("Subject",), "clip": ("Filename",), "onset": ("OnsetF",), "apex": ("ApexF1",), "offset": ("OffsetF",),
        "emotion": ("Emotion",), "aus": ("AU",),
    },
    "{subject}/{clip}",
    numbered("sub{:02d}"),
)  # fmt: skip
