"""The plan: exact balance, independence of chunks, stable hash, strict JSON, flat memory."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tracemalloc
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mie_engine import limits
from mie_engine.errors import PlanError, RangeError, UsageError
from mie_engine.synth.describe import describe
from mie_engine.synth.plan import CONTENTS, AuCsv, Drift, Encoder, Identity, NegativeWeights, Plan, make_plan
from mie_engine.synth.rows import Rows
from mie_engine.synth.sources import EMOTIONS

SEED = 7
FACES = tuple(Identity(f"face{k:03d}", f"{k:064x}") for k in range(10))


def made(clips: int = 900, content: str = "clip", **fields: Any) -> Plan:
    return make_plan(clips=clips, seed=fields.pop("seed", SEED), identities=fields.pop("identities", FACES), content=content, **fields)


def same(a: Rows, b: Rows) -> bool:
    return all(np.array_equal(getattr(a, field.name), getattr(b, field.name)) for field in dataclasses.fields(Rows))


def joined(parts: list[Rows]) -> Rows:
    return Rows(**{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in dataclasses.fields(Rows)})


# ---- assignment


@pytest.mark.parametrize("balance", [3, 7])
@pytest.mark.parametrize("clips", [1, 9, 100, 901, 2100])
def test_class_and_source_counts_differ_by_at_most_one(balance: int, clips: int) -> None:
    rows = made(clips, balance=balance).rows(0, clips)
    klass = rows.label3 if balance == 3 else rows.label7
    counts = [int(np.sum((klass == k) & (rows.source == name))) for k in range(balance) for name in ("expert", "micro", "macro")]
    assert max(counts) - min(counts) <= 1
    assert sum(counts) == clips


def test_mie_x_design_is_exactly_full() -> None:
    """45,000 = 5,000 identities x 3 classes x 3 sources, one clip in every cell."""
    faces = tuple(Identity(f"id{k}", f"{k:064x}") for k in range(5000))
    rows = made(45_000, identities=faces).rows(0, 45_000)
    names = np.array(["expert", "micro", "macro"])
    cell = (rows.identity * 3 + rows.label3) * 3 + np.argmax(rows.source[:, None] == names, axis=1)
    assert np.array_equal(np.sort(cell), np.arange(45_000))


@pytest.mark.parametrize(("clips", "faces"), [(100, 7), (5, 10), (10, 10), (11, 10)])
def test_identities_share_the_clips_evenly(clips: int, faces: int) -> None:
    plan = made(clips, identities=tuple(Identity(f"f{k}", f"{k:064x}") for k in range(faces)))
    counts = np.bincount(plan.rows(0, clips).identity, minlength=faces)
    assert counts.max() - counts.min() <= 1
    assert describe(plan)["clips_per_identity"] == {"min": counts.min(), "max": counts.max()}


def test_labels() -> None:
    for balance in (3, 7):
        rows = made(3000, balance=balance, negative_weights=NegativeWeights(repression=2.0)).rows(0, 3000)
        for emotion, klass, label3, label7 in zip(rows.emotion, rows.source, rows.label3, rows.label7, strict=True):
            assert label3 == {"happiness": 1, "surprise": 2}.get(emotion, 0)
            assert label7 == (EMOTIONS.index(emotion) if emotion != "repression" else -1)
            assert emotion != "repression" or klass == "micro"
        assert ("repression" in rows.emotion) == (balance == 3)


def test_negative_emotions_follow_their_weights() -> None:
    from scipy import stats

    rows = made(30_000).rows(0, 30_000)
    negative = rows.emotion[rows.label3 == 0]
    assert stats.chisquare([np.sum(negative == name) for name in EMOTIONS[2:7]]).pvalue > 1e-4, SEED
    assert not np.any(negative == "repression")
    rows = made(30_000, "features").rows(0, 30_000)
    negative = rows.emotion[rows.label3 == 0]
    counts = np.array([np.sum(negative == name) for name in ("disgust", "sadness", "fear", "anger", "contempt", "repression")])
    weights = np.array([3, 1, 1, 2, 0.5, 1])
    assert stats.chisquare(counts, weights / weights.sum() * counts.sum()).pvalue > 1e-4, (SEED, counts)
    not_forced = rows.emotion != "repression"
    assert stats.binomtest(int(np.sum(rows.source[not_forced] == "micro")), int(not_forced.sum()), 0.7).pvalue > 1e-4, SEED
    assert np.all(rows.source[~not_forced] == "micro")
    assert np.unique(rows.label3, return_counts=True)[1].tolist() == [10_000] * 3


def test_keys_sort_and_grow() -> None:
    plan = made(100_000_000)
    assert plan.rows(0, 2).key.tolist() == ["000000000", "000000001"]
    assert plan.rows(99_999_998, 100_000_000).key.tolist() == ["099999998", "099999999"]


# ---- purity


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("cuts", [(50,), (1, 2, 99), (33, 34, 35, 36)])
def test_rows_do_not_depend_on_chunks(content: str, cuts: tuple[int, ...]) -> None:
    plan = made(1000, content)
    edges = (0, *cuts, 100)
    assert same(plan.rows(0, 100), joined([plan.rows(a, b) for a, b in pairwise(edges)]))
    assert len(plan.rows(5, 5)) == 0


def test_frames_and_size_do_not_change_what_is_shown() -> None:
    a, b = made(50).rows(0, 50), made(50, frames=60, size=512).rows(0, 50)
    assert np.array_equal(a.apex, b.apex)
    assert np.array_equal(a.duration_s, b.duration_s)
    assert not np.array_equal(a.apex, made(50, seed=SEED + 1).rows(0, 50).apex)


def test_shards_cover_every_clip_once() -> None:
    plan = made(1000, shard_clips=300)
    ranges = [plan.shard_range(shard) for shard in range(plan.shard_count)]
    assert ranges == [(0, 300), (300, 600), (600, 900), (900, 1000)]
    for shard in (-1, 4):
        with pytest.raises(RangeError, match="the plan has 0 to 3"):
            plan.shard_range(shard)
    for start, stop in ((-1, 5), (5, 4), (0, 1001)):
        with pytest.raises(RangeError, match="the plan has clips 0 to 1000"):
            plan.rows(start, stop)


def test_a_hundred_million_clips_in_flat_memory() -> None:
    tracemalloc.start()
    plan = made(limits.MAX_CLIPS)
    plan.rows(limits.MAX_CLIPS - 512, limits.MAX_CLIPS)
    described = describe(plan)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert sum(described["classes"].values()) == sum(described["sources"].values()) == limits.MAX_CLIPS
    assert json.loads(json.dumps(described)) == described
    assert len(plan.to_json()) < 5000


# ---- hash and JSON

GOLDEN_HASH = "63ed59ef0a2cd1ef4cd9728e1264fee74a6753cea5cd1c23c0efe0bb01e9cea3"
GOLDEN_ROWS = "f496dcac18d33fc2e83595b3b48fbd7cbe9cba7c9af0656219101aa182998593"


def test_hash_and_rows_are_stable() -> None:
    """A changed value here means: datasets begun with an older release can no longer be finished. Raise PLAN_VERSION then."""
    plan = made(1000)
    assert plan.hash == GOLDEN_HASH
    digest = hashlib.sha256()
    for content in CONTENTS:
        rows = made(1000, content).rows(0, 200)
        for field in dataclasses.fields(Rows):
            value = getattr(rows, field.name)
            digest.update("\n".join(value).encode() if value.dtype.kind == "U" else value.astype("<f8").tobytes())
    assert digest.hexdigest() == GOLDEN_ROWS


@given(
    clips=st.integers(1, limits.MAX_CLIPS),
    seed=st.integers(0, limits.MAX_SEED),
    noise=st.floats(0, limits.MAX_NOISE_LEVELS),
    drift=st.floats(0, 8),
    names=st.lists(st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=20), min_size=1, max_size=4),
    content=st.sampled_from(CONTENTS),
)
@settings(deadline=None, max_examples=60)
def test_json_round_trip(clips: int, seed: int, noise: float, drift: float, names: list[str], content: str) -> None:
    plan = make_plan(
        clips=clips,
        seed=seed,
        identities=tuple(Identity(name, "0" * 64) for name in names),
        content=content,
        noise_sigma=noise,
        drift=Drift(translation_px=drift),
    )
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.hash == plan.hash
    assert Plan.from_json(plan.to_json().encode()).to_json() == plan.to_json()
    assert Plan.from_json(json.dumps(json.loads(plan.to_json()), indent=2)).hash == plan.hash


def test_equal_values_hash_alike() -> None:
    assert made(noise_sigma=2).hash == made(noise_sigma=2.0).hash == made(noise_sigma=np.float32(2)).hash
    assert made(phase=-0.0).hash == made(phase=0.0).hash
    assert made(size=np.int64(256)).hash == made().hash
    assert made(clips=901).hash != made().hash
    assert made(encoder=Encoder(library="mie jpeg 2")).hash != made().hash


def edited(**changes: Any) -> str:
    return json.dumps({**json.loads(made().to_json()), **changes})


def without(key: str) -> str:
    return json.dumps({k: v for k, v in json.loads(made().to_json()).items() if k != key})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("null", "no integer `version`"),
        ("[]", "no integer `version`"),
        ("{}", "no integer `version`"),
        (b"\xff\xfe\x00", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"version":1,"version":1}', "appears twice"),
        ('{"version":NaN}', "NaN is not JSON"),
        ('{"version":-Infinity}', "-Infinity is not JSON"),
        ('{"version":1' + "0" * 5000 + "}", "not valid JSON"),
        (edited(version=2), "version 2, this program reads version 1: finish"),
        (edited(version=True), "no integer `version`"),
        (edited(version="1"), "no integer `version`"),
        (edited(extra=1), "unknown key 'extra'"),
        (without("seed"), "lacks the key 'seed'"),
        (edited(seed=-1), "Plan.seed is -1"),
        (edited(seed=1.0), "expected an integer"),
        (edited(seed=True), "expected an integer"),
        (edited(seed=2**63), "Plan.seed"),
        (edited(clips=0), "Plan.clips is 0, allowed is 1 to 100000000"),
        (edited(clips=10**400), "Plan.clips"),
        (edited(clips="900"), "Plan.clips is '900'"),
        (edited(clips=None), "Plan.clips is None"),
        (edited(noise_sigma=10**400), "finite"),
        (edited(noise_sigma="1"), "expected a number"),
        (edited(noise_sigma=True), "expected a number"),
        (edited(content="movie"), "allowed are clip, pair, features"),
        (edited(content=["clip"]), "expected str"),
        (edited(sources="expert"), "expected a list"),
        (edited(sources=[]), "at least one"),
        (edited(sources=["expert", "expert"]), "each once"),
        (edited(sources=["expert", 3]), "Plan.sources"),
        (edited(sources=["oracle"]), "allowed are expert, micro, macro, au_csv"),
        (edited(sources=["au_csv"]), "belong together"),
        (edited(balance=5), "allowed are 3, 7"),
        (edited(identities=[]), "0 entries"),
        (edited(identities={}), "expected a list"),
        (edited(identities=[1]), "expected an object"),
        (edited(identities=[{"face_count": 1, "name": "a"}]), "lacks the key 'sha256'"),
        (edited(identities=[{"face_count": 1, "name": "a", "sha256": "0" * 63}]), "64 lower-case hex"),
        (edited(identities=[{"face_count": 1, "name": "", "sha256": "0" * 64}]), "1 to 255 characters"),
        (edited(identities=[{"face_count": 1, "name": "a\nb", "sha256": "0" * 64}]), "printable"),
        (edited(identities=[{"face_count": 1, "name": "\ud800", "sha256": "0" * 64}]), "printable"),
        (edited(other_side=[0.5, 0.2]), "lower limit first"),
        (edited(other_side=[0.5]), "1 entries, expected 2"),
        (edited(other_side=[0, 9]), "allowed is 0 to 1"),
        (edited(nuisance={}), "plan.nuisance lacks the key"),
        (edited(nuisance=None), "expected an object"),
        (edited(drift={"translation_px": 1}), "plan.drift lacks"),
        (edited(au_table_sha256="0" * 64), "use the release that made it"),
        (edited(au_csv={"name": "a.csv", "sha256": "0" * 64, "scale": 5}), "belong together"),
        (edited(frames=2.5), "expected an integer"),
        (edited(reject_empty=1), "expected bool"),
    ],
)
def test_hostile_json_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Plan.from_json(text)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(key=st.sampled_from(sorted(json.loads(made().to_json()))), value=JSON_VALUES)
@settings(deadline=None, max_examples=400)
def test_any_value_in_any_field_is_a_plan_or_refused(key: str, value: Any) -> None:
    try:
        plan = Plan.from_json(edited(**{key: value}))
    except PlanError:
        return
    assert Plan.from_json(plan.to_json()) == plan


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_mutated_text_is_a_plan_or_refused(data: st.DataObject) -> None:
    text = bytearray(made().to_json().encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        Plan.from_json(bytes(text))
    except PlanError:
        return


def test_oversized_text_is_refused_unread() -> None:
    class Huge(str):
        def __len__(self) -> int:
            return limits.MAX_PLAN_BYTES + 1

    with pytest.raises(PlanError, match="this is not a plan"):
        Plan.from_json(Huge("{}"))


# ---- construction


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"clips": 0}, RangeError, "allowed is 1"),
        ({"seed": -1}, RangeError, "Plan.seed"),
        ({"content": "pair", "frames": 16}, UsageError, "use frames=2"),
        ({"content": "features", "sources": ("macro",)}, UsageError, "name these two"),
        ({"identities": ()}, RangeError, "0 entries"),
        ({"identities": (1,)}, UsageError, "expected Identity"),
        ({"version": 2}, UsageError, "makes version 1"),
        ({"size": 31}, RangeError, "allowed is 32"),
        ({"frames": 1}, RangeError, "allowed is 2"),
        ({"noise_sigma": float("nan")}, RangeError, "finite"),
    ],
)
def test_refuses_plans_that_cannot_be(fields: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        made(**fields)


def test_weights_and_tables_are_checked() -> None:
    with pytest.raises(RangeError, match="all zero"):
        NegativeWeights(0, 0, 0, 0, 0, 1)
    table = AuCsv("a.csv", "0" * 64, 5.0)
    plan = made(sources=("au_csv",), au_csv=table)
    assert Plan.from_json(plan.to_json()) == plan
    with pytest.raises(PlanError, match="give that table"):
        plan.rows(0, 1)
    with pytest.raises(UsageError, match="64 lower-case hex"):
        AuCsv("a.csv", "A" * 64, 5.0)


@pytest.mark.parametrize("content", CONTENTS)
def test_describe(content: str) -> None:
    plan = made(1000, content)
    told = describe(plan, limit=4)
    rows = plan.rows(0, 1000)
    assert told["hash"] == plan.hash
    assert list(told["classes"].values()) == np.bincount(rows.label3).tolist()
    assert told["sources"] == {name: int(np.sum(rows.source == name)) for name in plan.sources}
    assert sum(told["emotions"].values()) == told["counted_clips"] == 1000
    assert [row["key"] for row in told["rows"]] == rows.key[:4].tolist()
    assert json.loads(json.dumps(told)) == told
    assert len(describe(made(3), limit=10)["rows"]) == 3
