"""CASME II (Yan et al., PLoS ONE 2014): CASME2-coding-*.xlsx; sub01/EP02_01f/img46.jpg."""

from .coding import Corpus, numbered

CASME2 = Corpus(
    "casme2",
    {
        "subject": ("Subject",), "clip": ("Filename",), "onset": ("OnsetFrame",), "apex": ("ApexFrame", "ApexFrame1"),
        "offset": ("OffsetFrame",), "emotion": ("Estimated Emotion",), "aus": ("Action Units",),
    },
    "{subject}/{clip}",
    numbered("sub{:02d}"),
    outside=frozenset({"fear", "sadness"}),
    dropped=frozenset({("sub04", "EP12_01f"), ("sub05", "EP12_03f"), ("sub24", "EP02_07")}),
)  # fmt: skip
