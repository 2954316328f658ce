"""The plan: everything that decides a dataset, in one small frozen record; clip i is a pure function of (plan, i)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from .. import limits
from ..errors import PlanError, RangeError, UsageError
from .nuisance import Nuisance
from .record import LATER, Between, OneOf, from_plain, parse_json, settle, to_json
from .rows import Rows, draw_rows
from .sources import table_sha256

if TYPE_CHECKING:
    from .au_csv import AuTable

PLAN_VERSION = 1
CONTENTS = ("clip", "pair", "features")
SOURCES = ("expert", "micro", "macro", "au_csv")

Name = Annotated[str, Between(1, limits.MAX_NAME_CHARS)]
Weight = Annotated[float, Between(0, 1000)]


@dataclass(frozen=True)
class Identity:
    """One face: its name, the sha256 of the file or array it was loaded from, and how many faces that shows (the largest is used)."""

    name: Name
    sha256: str
    face_count: Annotated[int, Between(1, limits.MAX_FACES_PER_IMAGE)] = 1

    def __post_init__(self) -> None:
        settle(self)
        _require_printable("Identity.name", self.name)
        _require_sha256("Identity.sha256", self.sha256)


@dataclass(frozen=True)
class AuCsv:
    """The user's AU table behind the source `au_csv`."""

    name: Name
    sha256: str
    scale: Annotated[float, Between(1e-6, 1e6)]

    def __post_init__(self) -> None:
        settle(self)
        _require_printable("AuCsv.name", self.name)
        _require_sha256("AuCsv.sha256", self.sha256)


@dataclass(frozen=True)
class Encoder:
    """How frames are written; `library` names the encoder and its version, because it decides the bytes."""

    format: Annotated[str, OneOf(("jpeg", "png"))] = "jpeg"
    quality: Annotated[int, Between(1, 100)] = 95
    library: Annotated[str, Between(0, limits.MAX_NAME_CHARS)] = "mie jpeg"

    def __post_init__(self) -> None:
        settle(self)
        _require_printable("Encoder.library", self.library)


@dataclass(frozen=True)
class Network:
    """The generator behind the expressions: sha256 of its file and the library that runs it, which together decide the bytes."""

    name: Annotated[str, OneOf(("ganimation",))]
    sha256: str
    library: Annotated[str, Between(1, limits.MAX_NAME_CHARS)]

    def __post_init__(self) -> None:
        settle(self)
        _require_printable("Network.library", self.library)
        _require_sha256("Network.sha256", self.sha256)


@dataclass(frozen=True)
class Drift:
    """Largest rigid head drift over a clip: px of the frame, radians, natural log of scale."""

    translation_px: Annotated[float, Between(0, 8)] = 0.4
    roll_rad: Annotated[float, Between(0, 0.2)] = 0.002
    log_scale: Annotated[float, Between(0, 0.1)] = 0.0015

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True)
class NegativeWeights:
    """How often each emotion stands for the class negative; repression is known to the micro statistics only."""

    disgust: Weight = 1.0
    sadness: Weight = 1.0
    fear: Weight = 1.0
    anger: Weight = 1.0
    contempt: Weight = 1.0
    repression: Weight = 0.0

    def __post_init__(self) -> None:
        settle(self)
        if self.disgust + self.sadness + self.fear + self.anger + self.contempt < 1e-6:
            raise RangeError("NegativeWeights: the weights other than repression are all zero: raise at least one.")


RECIPE_WEIGHTS = NegativeWeights(disgust=3.0, sadness=1.0, fear=1.0, anger=2.0, contempt=0.5, repression=1.0)


@dataclass(frozen=True)
class Plan:
    """Everything that decides a dataset. Make one with `make_plan`; read one with `Plan.from_json`.

    Clips walk over the identities in order (identity of clip i = i * P // N) and cycle through class x source, so the counts of any
    two combinations differ by at most one, and N = P * classes * sources * k fills every cell k times.

    Raises:
        UsageError, RangeError: a field of the wrong type, outside its limits, or at odds with another.
    """

    clips: Annotated[int, Between(1, limits.MAX_CLIPS)]
    seed: Annotated[int, Between(0, limits.MAX_SEED)]
    identities: tuple[Identity, ...]
    content: Annotated[str, OneOf(CONTENTS)] = "clip"
    size: Annotated[int, Between(limits.MIN_SIZE_PX, limits.MAX_SIZE_PX)] = 256
    frames: Annotated[int, Between(limits.MIN_FRAMES, limits.MAX_FRAMES)] = 16
    sources: Annotated[tuple[str, ...], OneOf(SOURCES)] = ("expert", "micro", "macro")
    balance: Annotated[int, OneOf((3, 7))] = 3
    negative_weights: NegativeWeights = field(default_factory=NegativeWeights)
    reject_empty: bool = True  # the published fear rule activates nothing in 1 of 16 draws; True draws those again
    other_side: Annotated[tuple[float, float], Between(0, 1)] = (0.0, 0.25)  # level of the weaker side of a one-sided expression
    phase: Annotated[float, Between(0, 0.25)] = 0.08  # an AU's half-way time leads or lags by up to this fraction of its ramp
    residual: Annotated[float, Between(0, 0.5)] = 0.05  # motion still left in the last frame, at most
    drift: Drift = field(default_factory=Drift)
    noise_sigma: Annotated[float, Between(0, limits.MAX_NOISE_LEVELS)] = 1.0  # sensor noise, 8-bit levels
    nuisance: Nuisance = field(default_factory=Nuisance)
    encoder: Encoder = field(default_factory=Encoder)
    au_csv: AuCsv | None = None
    au_table_sha256: str = field(default_factory=table_sha256)
    shard_clips: Annotated[int, Between(1, limits.MAX_SHARD_CLIPS)] = 512
    version: int = PLAN_VERSION
    generator: Network | None = field(default=None, metadata=LATER)  # None: the warp renderer

    def __post_init__(self) -> None:
        settle(self)
        if not 1 <= len(self.identities) <= limits.MAX_FACES:
            raise RangeError(f"Plan.identities has {len(self.identities)} entries, allowed are 1 to {limits.MAX_FACES}.")
        if not self.sources or len(set(self.sources)) != len(self.sources):
            raise UsageError(f"Plan.sources is {list(self.sources)}: name at least one of {', '.join(SOURCES)}, each once.")
        if self.content != "clip" and self.frames != 2:
            raise UsageError(f"Plan.frames is {self.frames}, but content {self.content!r} is onset and apex: use frames=2.")
        if self.content == "features" and set(self.sources) != {"expert", "micro"}:
            raise UsageError("Plan.sources: content 'features' draws from expert and micro (see nuisance.prior_share): name these two.")
        if self.content == "features" and self.generator is not None:
            raise UsageError("Plan.generator: content 'features' is computed from the warp's own flow: ask for pair or clip.")
        if ("au_csv" in self.sources) != (self.au_csv is not None):
            raise UsageError("Plan.au_csv: the source 'au_csv' and its table belong together: give both or neither.")
        if self.version != PLAN_VERSION:
            raise UsageError(f"Plan.version is {self.version}, this program makes version {PLAN_VERSION}.")
        if self.au_table_sha256 != table_sha256():
            raise UsageError("Plan.au_table_sha256: the plan was made with other action-unit tables: use the release that made it.")

    def to_json(self) -> str:
        """Canonical JSON: the same plan always gives the same text."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """Read a plan as `to_json` wrote it.

        Raises:
            PlanError: not a plan, another version, an unknown or missing key, a wrong type or value.
        """
        if len(text) > limits.MAX_PLAN_BYTES:
            raise PlanError(f"plan of {len(text)} bytes, allowed are {limits.MAX_PLAN_BYTES}: this is not a plan.")
        value = parse_json(text)
        version = value.get("version") if isinstance(value, dict) else None
        if type(version) is not int:
            raise PlanError("no integer `version` in the plan: use a plan as it was written.")
        if version != PLAN_VERSION:
            raise PlanError(
                f"the plan is version {str(version)[:20]}, this program reads version {PLAN_VERSION}: "
                "finish the dataset with the release that began it, or make a new one in an empty folder."
            )
        return from_plain(cls, value)

    @cached_property
    def hash(self) -> str:
        """sha256 of the canonical JSON, in hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def noise_key(self) -> int:
        """First word of every noise key of the dataset; the second is the clip."""
        return int(self.hash[:8], 16)

    @property
    def shard_count(self) -> int:
        """Number of shards; all but the last hold `shard_clips` clips."""
        return -(-self.clips // self.shard_clips)

    def shard_range(self, shard: int) -> tuple[int, int]:
        """First clip and one past the last clip of a shard.

        Raises:
            RangeError: no such shard.
        """
        if not 0 <= shard < self.shard_count:
            raise RangeError(f"shard is {shard}, the plan has 0 to {self.shard_count - 1}.")
        return shard * self.shard_clips, min((shard + 1) * self.shard_clips, self.clips)

    def rows(self, start: int, stop: int, table: AuTable | None = None) -> Rows:
        """What clips start to stop - 1 show (see rows.Rows); memory grows with stop - start only.

        Args:
            table: the AU table of the source `au_csv`, read from the file the plan names.

        Raises:
            RangeError: not 0 <= start <= stop <= clips.
            PlanError: the table is missing or is another file than the plan names.
        """
        if not 0 <= start <= stop <= self.clips:
            raise RangeError(f"rows {start} to {stop} asked, the plan has clips 0 to {self.clips}.")
        if self.au_csv is not None:
            if table is None:
                raise PlanError(f"the plan draws action units from {self.au_csv.name}: give that table.")
            if (table.sha256, table.scale) != (self.au_csv.sha256, self.au_csv.scale):
                raise PlanError(f"{table.name} is not the table the plan was made with ({self.au_csv.name}): give the same file and scale.")
        return draw_rows(self, np.arange(start, stop, dtype=np.int64), table)


def make_plan(*, clips: int, seed: int, identities: tuple[Identity, ...], content: str = "clip", **fields: Any) -> Plan:
    """Make a plan with the defaults of its content: pair and features have two frames, features the weights and sources of its recipe.

    Args:
        clips: 1 to limits.MAX_CLIPS.
        seed: 0 to limits.MAX_SEED.
        identities: the faces, in order.
        content: "clip" (onset to offset), "pair" (onset, apex) or "features" (28x28 flow maps).
        **fields: any other field of Plan.

    Raises:
        UsageError, RangeError: see Plan.
    """
    defaults: dict[str, dict[str, Any]] = {
        "pair": {"frames": 2},
        "features": {"frames": 2, "sources": ("expert", "micro"), "negative_weights": RECIPE_WEIGHTS},
    }
    return Plan(clips=clips, seed=seed, identities=identities, content=content, **{**defaults.get(content, {}), **fields})


def _require_printable(where: str, text: str) -> None:
    if not all(character.isprintable() for character in text):  # also refuses lone surrogates, which no file could hold
        raise UsageError(f"{where} is {text[:40]!r}: use printable characters only, rename the file.")


def _require_sha256(where: str, text: str) -> None:
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise UsageError(f"{where} is {text[:70]!r}, expected 64 lower-case hex digits.")
