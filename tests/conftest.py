"""Fixtures that every test may use."""

import os
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared material (faces with known landmarks, meshes), which does not come with the source."""
    folder = Path(os.environ.get("MIE_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    if not folder.is_dir():
        pytest.skip(f"no shared material in {folder} (set MIE_SHARED): comparison with the reference data was not tested")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(20240607)
