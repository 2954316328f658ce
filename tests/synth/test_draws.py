"""The counter-based generator: published vectors, distributions, independence of batch and column count."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mie_engine.synth.draws import Draws, Stream, between, philox, quantile_of

VECTORS = [  # Random123, kat_vectors: counter, key, output
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), VECTORS)
def test_philox_published_vectors(counter: tuple[int, ...], key: tuple[int, int], expected: tuple[int, ...]) -> None:
    words = [np.array([word], np.uint64) for word in counter]
    out = philox((words[0], words[1], words[2], words[3]), key)
    assert tuple(int(word[0]) for word in out) == expected


def test_uniform_and_normal_distributions() -> None:
    draws = Draws(seed := 5, np.arange(20_000))
    uniform = draws.uniform(Stream.ACTIVE, 3)
    assert uniform.min() > 0
    assert uniform.max() < 1
    for k in range(3):
        assert stats.kstest(uniform[:, k], "uniform").pvalue > 1e-3, f"seed {seed}, column {k}"
    assert stats.kstest(draws.normal(Stream.HEAD, 1)[:, 0], "norm").pvalue > 1e-3, f"seed {seed}"
    assert np.abs(np.corrcoef(uniform.T) - np.eye(3)).max() < 0.03, f"seed {seed}"


def test_depends_on_seed_clip_and_stream_only() -> None:
    clips = np.array([3, 0, 2**32 - 1, 99_999_999])
    all_of_them = Draws(2**63 - 1, clips).uniform(Stream.PHASE, 9)
    for k in range(len(clips)):
        assert np.array_equal(Draws(2**63 - 1, clips[k : k + 1]).uniform(Stream.PHASE, 9), all_of_them[k : k + 1])
    assert np.array_equal(Draws(2**63 - 1, clips).uniform(Stream.PHASE, 2), all_of_them[:, :2])
    assert not np.any(Draws(2**63 - 1, clips).uniform(Stream.DRIFT, 9) == all_of_them)
    assert not np.any(Draws(2**31 - 1, clips).uniform(Stream.PHASE, 9) == all_of_them)
    assert np.array_equal(Draws(1, clips).of(clips > 50).uniform(Stream.CUT, 1), Draws(1, clips).uniform(Stream.CUT, 1)[clips > 50])


def test_quantile_and_between() -> None:
    at, values = np.array([0.0, 0.5, 1.0]), np.array([1.0, 2.0, 4.0])
    assert np.allclose(quantile_of(np.array([1e-9, 0.25, 0.5, 0.75, 1 - 1e-9]), at, values), [1, 1.5, 2, 3, 4])
    assert np.array_equal(between(np.array([0.25]), (-2.0, 2.0)), [-1.0])
