"""ststnet: the recogniser STSTNet on 28 x 28 flow maps, all layers in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, ShapeError
from .. import require
from ..registry import Op, core, core_missing, cpu_if_simd, simd_level
from . import ref

STSTNET = Op("ststnet")

Floats = NDArray[np.float32]


class StstnetWeights:
    """Weights of a network, checked and packed once.

    Args:
        layers: arrays by their published names: conv1..3.weight [k, 3, 3, 3] and .bias [k], bn1..3.weight, .bias, .running_mean and
            .running_var [k] with k = 3, 5, 8, fc.weight [C, 400] and fc.bias [C]; a second head au.weight [A, 400], au.bias [A] may
            follow. Counters of batch norm are left out.

    Raises:
        InputError: a layer is missing, unknown, of another shape or not finite.
    """

    def __init__(self, layers: Mapping[str, NDArray[Any]]) -> None:
        self.layers = {name: np.asarray(value, np.float32) for name, value in layers.items() if not name.endswith("num_batches_tracked")}
        heads = ["fc"] + ["au"] * ("au.weight" in layers)
        outputs = [len(np.atleast_1d(self.layers.get(f"{head}.bias", 0))) for head in heads]
        expected: dict[str, tuple[int, ...]] = {}
        for i, k in enumerate((3, 5, 8), 1):
            expected |= {f"conv{i}.weight": (k, 3, 3, 3), f"conv{i}.bias": (k,)}
            expected |= {f"bn{i}.{name}": (k,) for name in ("weight", "bias", "running_mean", "running_var")}
        for head, count in zip(heads, outputs, strict=True):
            expected |= {f"{head}.weight": (count, 400), f"{head}.bias": (count,)}
        found = {name: value.shape for name, value in self.layers.items()}
        if wrong := sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)):
            had, wanted = found.get(wrong[0]), expected.get(wrong[0])
            raise InputError(f"ststnet: layer {wrong[0]} has shape {had}, expected {wanted}; {len(wrong)} layers do not fit")
        for name, value in self.layers.items():
            if not np.isfinite(value).all() or (name.endswith("running_var") and value.min() < 0):
                raise InputError(f"ststnet: layer {name} holds what a trained network cannot have: NaN, infinity or a variance below 0")
        self.outputs = sum(outputs)
        self.packed = self._pack(heads)

    def _pack(self, heads: list[str]) -> Floats:
        """See params.h."""
        w = {name: value.astype(np.float64) for name, value in self.layers.items()}

        def joined(name: str) -> NDArray[np.float64]:
            return np.concatenate([w[name.format(i)] for i in (1, 2, 3)])

        gain = joined("bn{}.weight") / np.sqrt(joined("bn{}.running_var") + ref.EPSILON)
        shift = joined("bn{}.bias") - joined("bn{}.running_mean") * gain
        sign = np.where(gain < 0, -1.0, 1.0)
        filters = (joined("conv{}.weight") * sign[:, None, None, None]).transpose(1, 2, 3, 0)
        cells = np.concatenate([w[f"{head}.weight"] for head in heads]).reshape(-1, 16, 25).transpose(0, 2, 1)
        offset = np.concatenate([w[f"{head}.bias"] for head in heads]) + (cells * shift).sum((1, 2))
        parts = (filters, joined("conv{}.bias") * sign, sign, cells * gain / 4, offset)
        return np.concatenate([part.ravel() for part in parts]).astype(np.float32)


@dataclass(frozen=True)
class StstnetCall:
    """What every backend of ststnet receives: arguments that passed the contract."""

    maps: Floats  # [N, 3, 28, 28], contiguous
    weights: StstnetWeights
    simd: str


def ststnet(maps: Floats, weights: StstnetWeights | Mapping[str, NDArray[Any]], backend: str = "auto", simd: str = "auto") -> Floats:
    """Run STSTNet on flow maps.

    Args:
        maps: float32 [N, 3, 28, 28], finite; published weights take strain, v, u of 0..255.
        weights: StstnetWeights, or their mapping (packed anew at every call).
        backend: "auto", "cuda", "triton", "cpu" or "ref"; all but "auto" run or raise.
        simd: instruction set of the cpu backend: "auto", "scalar", "avx2" or "avx512"; all but "auto" run or raise.

    Returns:
        float32 [N, C + A]: class logits, then those of the second head. Paths differ by rounding only, 1e-5 of the largest logit.

    Raises:
        ShapeError: maps of another shape or dtype. InputError: maps or weights that are not finite, or do not fit.
        UsageError: an unknown backend or instruction set. BackendError: the one asked for cannot run here.

    Source: Liong et al., FG 2019; see ref.py.
    """
    if not isinstance(maps, np.ndarray) or maps.dtype != np.float32 or maps.shape[1:] != (3, 28, 28) or maps.ndim != 4:
        require.shape("ststnet: maps", maps, "[N, 3, 28, 28]", dtype="float32", hint="min-max scale (u, v, strain) to 28 x 28 first")
        raise ShapeError(f"ststnet: maps have shape {list(maps.shape)}, expected [N, 3, 28, 28]")
    packed = weights if isinstance(weights, StstnetWeights) else StstnetWeights(weights)
    call = StstnetCall(np.ascontiguousarray(maps), packed, simd)
    logits: Floats = STSTNET.run(call, cpu_if_simd("ststnet", backend, simd))
    return logits


def _not_finite() -> InputError:
    return InputError("ststnet: maps hold NaN or infinity; check the flow that they were made of")


@STSTNET.backend("ref")
def _ststnet_ref(call: StstnetCall) -> Floats:
    if not np.isfinite(call.maps).all():
        raise _not_finite()
    return ref.ststnet(call)


@STSTNET.backend("cpu", missing=core_missing)
def _ststnet_cpu(call: StstnetCall) -> Floats:
    logits: Floats | None = core().ststnet(call.maps, call.weights.packed, call.weights.outputs, simd_level("ststnet", call.simd))
    if logits is None:
        raise _not_finite()
    return logits
