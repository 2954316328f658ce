"""Records that cross the layers: what the engine found, in the field's units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CLASSES = ("negative", "positive", "surprise")  # of the MEGC2019 composite, in the order of its label numbers 0, 1, 2
ABSTAIN = "uncertain"  # the label of an event whose evidence is too low for a class


@dataclass(frozen=True)
class Event:
    """One spotted micro-expression.

    Frames count from 0; times are the video's own timestamps in seconds. label is one of CLASSES, or ABSTAIN. score is the probability
    of the best class, 0 to 1. scores: every class with its probability. au: every action unit ("AU12") with its evidence, 0 to 1.
    face counts the faces of the video from 0 in the order of appearance.
    """

    face: int
    onset_frame: int
    apex_frame: int
    offset_frame: int
    onset_s: float
    apex_s: float
    offset_s: float
    label: str
    score: float
    scores: Mapping[str, float]
    au: Mapping[str, float]
