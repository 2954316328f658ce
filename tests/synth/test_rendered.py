"""Rendered samples show, through the estimator, the motion that the computed ones hold."""

from dataclasses import replace

import numpy as np
from road import ASSETS

from mie_engine.synth.action_units import parse
from mie_engine.synth.faces import Face
from mie_engine.synth.features import feature_maps
from mie_engine.synth.nuisance import Nuisance
from mie_engine.synth.plan import Identity, make_plan
from mie_engine.synth.rendered import rendered_maps

STILL = Nuisance(patch_strength=0, noise_level=(0, 0))  # what the estimator brings itself


def test_rendered_maps_are_the_computed_ones_estimated():
    face = Face.load(sorted(ASSETS.glob("*.jpg"))[5])
    plan = make_plan(clips=60, seed=4, identities=(Identity(face.name, face.source_sha256),), content="features", nuisance=STILL)
    rows = plan.rows(0, 60)
    shown = np.stack([parse(units) for units in ({"AU12": 0.3}, {"AU1": 0.3, "AU2": 0.3}, {"AU4": 0.3}, {"AU12L": 0.3})] * 15)
    rows = replace(rows, apex=shown)
    computed, rendered = feature_maps(plan, face, rows)[0], rendered_maps(plan, face, rows)
    assert rendered.shape == computed.shape
    assert rendered.dtype == np.uint8
    alike = [np.corrcoef(a[..., c].ravel(), b[..., c].ravel())[0, 1] for a, b in zip(computed, rendered, strict=True) for c in (0, 1)]
    assert np.median(alike) > 0.85, np.percentile(alike, [5, 50, 95])
    assert np.percentile(alike, 10) > 0.6
    assert np.array_equal(rendered[7:9], rendered_maps(plan, face, rows.of(slice(7, 9))))


def test_sensor_noise_follows_the_level_of_the_recipe():
    face = Face.load(sorted(ASSETS.glob("*.jpg"))[5])
    identity = (Identity(face.name, face.source_sha256),)
    roughness = []
    for level in (0.0, 0.4):
        plan = make_plan(clips=30, seed=4, identities=identity, content="features", nuisance=Nuisance(noise_level=(level, level)))
        maps = rendered_maps(plan, face, plan.rows(0, 30)).astype(float)
        roughness.append(np.abs(np.diff(maps[..., :2], 2, axis=1)).mean())
    assert roughness[1] > 1.1 * roughness[0]
