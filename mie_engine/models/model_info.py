"""The description inside every recogniser file: JSON under the key "mie_recogniser", checked before anything is believed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mie_engine.errors import InputError
from mie_engine.kernels.flow.ref_maps import KINDS
from mie_engine.limits import MAX_MODEL_AUS, MAX_MODEL_CLASSES, MAX_MODEL_INFO_BYTES, MAX_MODEL_MEMBERS, MAX_NAME_CHARS

from .recognisers import SIDES, SPECS

KEY = "mie_recogniser"


@dataclass(frozen=True)
class ModelInfo:
    """model: a name of recognisers.NAMES; classes: their names; aus: numbers of the action units of the second head; side: px.

    strain: which definition the maps hold; inputs: "maps" or "frames"; temperature: divides logits before softmax; width and members: see
    recognisers.build.
    """

    model: str
    classes: tuple[str, ...]
    aus: tuple[int, ...] = ()
    side: int = 28
    strain: str = "true"
    inputs: str = "maps"
    temperature: float = 1.0
    width: int | None = None
    members: int = 1

    @property
    def images(self) -> tuple[str, ...]:
        """Names of what the network takes."""
        return ("maps",) if self.inputs == "maps" else ("onset", "apex")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> ModelInfo:
        """Check a mapping of these fields. Raises InputError naming the field."""
        fields = {name: given[name] for name in cls.__dataclass_fields__ if name in given}
        missing, unknown = {"model", "classes"} - set(fields), set(given) - set(fields)
        if missing or unknown:
            raise InputError(f"model description lacks {sorted(missing)} and has unknown {sorted(map(str, unknown))[:5]}")
        for name in ("classes", "aus"):
            if name in fields and not isinstance(fields[name], (list, tuple)):
                raise InputError(f"model description: {name} is {_short(fields[name])}, expected a list")
            fields[name] = tuple(fields.get(name, ()))
        info = cls(**fields)
        info._check()
        return info

    @classmethod
    def parse(cls, text: str | None, source: str) -> ModelInfo:
        """Read the JSON of a file's metadata. Raises InputError."""
        if text is None:
            raise InputError(f"{source} has no {KEY!r} in its metadata; only recognisers written by this engine can be loaded")
        if len(text) > MAX_MODEL_INFO_BYTES:
            raise InputError(f"{source}: model description has {len(text)} characters, at most {MAX_MODEL_INFO_BYTES} are read")
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{source}: model description is not JSON ({error})") from error
        if not isinstance(given, dict):
            raise InputError(f"{source}: model description is {_short(given)}, expected an object")
        try:
            return cls.of(given)
        except InputError as error:
            raise InputError(f"{source}: {error}") from error

    def json(self) -> str:
        """The description as stored; options left at their defaults are left out."""
        return json.dumps({k: v for k, v in asdict(self).items() if (k, v) not in (("width", None), ("members", 1), ("temperature", 1.0))})

    def _check(self) -> None:
        def whole(value: Any, low: int, high: int) -> bool:
            return type(value) is int and low <= value <= high

        def names(values: tuple[Any, ...]) -> bool:
            return all(isinstance(v, str) and 0 < len(v) <= MAX_NAME_CHARS and v.isprintable() for v in values)

        if not isinstance(self.model, str) or self.model not in SPECS:
            raise InputError(f"model description: model is {_short(self.model)}, expected one of {', '.join(SPECS)}")
        spec = SPECS[self.model]
        sides = SIDES if self.model == "robustnet" else (spec.side,)
        checks = {
            "classes": 2 <= len(self.classes) <= MAX_MODEL_CLASSES and names(self.classes) and len(set(self.classes)) == len(self.classes),
            "aus": len(self.aus) <= MAX_MODEL_AUS and all(whole(a, 1, 99) for a in self.aus) and len(set(self.aus)) == len(self.aus),
            "side": whole(self.side, 1, 224) and self.side in sides,
            "strain": isinstance(self.strain, str) and self.strain in KINDS,
            "inputs": self.inputs == spec.inputs,
            "temperature": type(self.temperature) in (int, float) and 0.01 <= self.temperature <= 100,
            "width": self.width is None or (self.model == "robustnet" and whole(self.width, 1, 512)),
            "members": whole(self.members, 1, MAX_MODEL_MEMBERS),
        }
        for name, holds in checks.items():
            if not holds:
                raise InputError(f"model description: {name} is {_short(getattr(self, name))}, which a {self.model} cannot have")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
