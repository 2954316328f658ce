"""Fixtures for all tests: shared reference material and a seeded random generator."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material (faces, parity data): $MIE_SHARED, or ../shared beside the repository."""
    folder = Path(os.environ.get("MIE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"reference material not found at {folder}: parity with published data and real faces is NOT tested; set MIE_SHARED")
    return folder


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator seeded by the test's name; the seed is printed, and shown when the test fails."""
    seed = zlib.crc32(request.node.nodeid.encode())
    print(f"rng seed {seed}")
    return np.random.default_rng(seed)
