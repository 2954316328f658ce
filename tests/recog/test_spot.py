"""The spotter on drawn displacements: what counts as a micro-expression, what does not and why, and how exactly its ends are found."""

import numpy as np
import pytest

from mie_engine import _core

BROW_R, GLABELLA, BROW_L, LID_R, LID_L, NOSE, CHEEK_R, CHEEK_L, CORNER_R, CORNER_L, LIP_U, LIP_D, CHIN = range(13)


def pulse(time_s, onset_s, apex_s, offset_s):
    """0 to 1 to 0 on ramps 3 s^2 - 2 s^3."""
    s = np.interp(time_s, [onset_s, apex_s, offset_s], [0, 1, 0])
    return s * s * (3 - 2 * s)


def recording(rng, fps=30.0, seconds=6.0, noise_px=0.012):
    time_s = np.arange(round(seconds * fps)) / fps
    return time_s, rng.normal(0, noise_px, (len(time_s), 13, 2)), np.zeros((len(time_s), 4))


def spotted(time_s, region, head):
    events, rejected = _core.spot(time_s, region.astype(np.float32), head.astype(np.float32))
    return [(time_s[a], time_s[m], time_s[b]) for a, m, b, *_ in events], rejected


@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0, 100.0, 125.0])
@pytest.mark.parametrize(("rise_s", "length_s"), [(0.07, 0.2), (0.19, 0.386), (0.3, 0.5), (0.35, 0.45)])
def test_ends_and_apex(fps, rise_s, length_s, rng):
    frame_s = 1 / fps
    for height_px in (0.6, 2.0, 6.0):
        time_s, region, head = recording(rng, fps)
        begin = 2 + rng.uniform(0, frame_s)
        region[:, BROW_L, 1] -= height_px * pulse(time_s, begin, begin + rise_s, begin + length_s)
        events, _ = spotted(time_s, region, head)
        assert len(events) == 1, (height_px, events)
        (onset, apex, offset) = events[0]
        both = min(offset, begin + length_s) - max(onset, begin)
        assert both / (max(offset, begin + length_s) - min(onset, begin)) > 0.75
        assert abs(apex - begin - rise_s) <= frame_s + 0.1 * length_s


def test_one_event_of_several_regions(rng):
    time_s, region, head = recording(rng)
    for part, height in ((CORNER_L, 3.0), (CORNER_R, 2.0), (CHEEK_L, 1.5), (BROW_L, 0.5)):
        region[:, part, 1] -= height * pulse(time_s, 2.0, 2.2 + 0.02 * part / 12, 2.4)
    assert len(spotted(time_s, region, head)[0]) == 1


def test_two_events_near_each_other(rng):
    time_s, region, head = recording(rng)
    region[:, BROW_L, 1] -= 2 * pulse(time_s, 2.0, 2.2, 2.4)
    region[:, CHIN, 1] -= 2 * pulse(time_s, 2.6, 2.8, 3.0)
    assert [round(onset, 1) for onset, *_ in spotted(time_s, region, head)[0]] == [2.0, 2.6]


def test_on_a_drift_and_at_either_end(rng):
    time_s, region, head = recording(rng, seconds=3)
    region[:, :, 0] += 0.8 * time_s[:, None]
    region[:, CORNER_L, 1] -= 2 * (pulse(time_s, 0.0, 0.2, 0.4) + pulse(time_s, 2.6, 2.75, 2.95))
    assert len(spotted(time_s, region, head)[0]) == 2


def step(time_s, at_s, length_s=0.15):
    s = np.clip((time_s - at_s) / length_s, 0, 1)
    return s * s * (3 - 2 * s)


REJECTED = {  # reason -> what moves: region, axis, course
    "blink": [(LID_L, 1, lambda t: 5 * pulse(t, 2.0, 2.1, 2.25)), (LID_R, 1, lambda t: 5 * pulse(t, 2.0, 2.1, 2.25))],
    "too_long": [(CORNER_L, 1, lambda t: 3 * pulse(t, 2.0, 2.3, 2.64))],
    "too_large": [(CHIN, 1, lambda t: 25 * pulse(t, 2.0, 2.15, 2.3))],
    "repeated": [(CHIN, 1, lambda t: 3 * np.clip(np.sin(2 * np.pi * 3 * t), 0, None) * ((t > 2) & (t < 4)))],
}


@pytest.mark.parametrize("reason", REJECTED)
@pytest.mark.parametrize("fps", [30.0, 100.0])
def test_rejected_and_counted(reason, fps, rng):
    time_s, region, head = recording(rng, fps)
    for part, axis, course in REJECTED[reason]:
        region[:, part, axis] += course(time_s)
    events, rejected = spotted(time_s, region, head)
    assert events == []
    assert rejected[reason] >= 1, rejected


@pytest.mark.parametrize(
    "course",
    [
        lambda t: 0 * t,
        lambda t: 3 * step(t, 2),
        lambda t: 3 * (step(t, 2) - step(t, 4)),  # a smile of two seconds
        lambda t: 2 * t,
        lambda t: 1.5 * np.sin(2 * np.pi * 0.4 * t),
    ],
    ids=["rest", "step", "smile", "drift", "sway"],
)
@pytest.mark.parametrize("fps", [30.0, 100.0])
def test_nothing_to_spot(course, fps, rng):
    time_s, region, head = recording(rng, fps, seconds=8)
    region[:, CORNER_L, 1] += course(time_s)
    region[:, CORNER_R, 1] += course(time_s)
    assert spotted(time_s, region, head)[0] == []


def test_a_nod_is_the_head(rng):
    time_s, region, head = recording(rng)
    nod = pulse(time_s, 2.0, 2.2, 2.4)
    head[:, 1] += 8 * nod
    region[:, NOSE, 1] += 0.9 * nod  # what a rigid fit leaves of the nose
    events, rejected = spotted(time_s, region, head)
    assert events == []
    assert rejected["head"] == 1


def test_a_blink_hides_only_what_it_pulls_along(rng):
    time_s, region, head = recording(rng)
    blink = 5 * pulse(time_s, 2.0, 2.1, 2.25)
    for lid in (LID_L, LID_R):
        region[:, lid, 1] += blink
    region[:, BROW_L, 1] += 0.15 * blink
    assert spotted(time_s, region, head)[0] == []
    region[:, CORNER_L, 1] -= 2 * pulse(time_s, 1.9, 2.15, 2.35)
    assert len(spotted(time_s, region, head)[0]) == 1


def test_speech_shakes_the_rest_of_the_face(rng):
    time_s, region, head = recording(rng)
    region[:, CHIN, 1] += 12 * np.clip(np.sin(2 * np.pi * 2.5 * time_s), 0, None)
    region[:, CHEEK_L, 1] += 1.0 * pulse(time_s, 3.0, 3.1, 3.2)
    assert spotted(time_s, region, head)[0] == []


def test_threshold_follows_the_noise(rng):
    quiet, loud = recording(rng, 100, 20, 0.012), recording(rng, 100, 20, 0.12)
    for time_s, region, _ in (quiet, loud):
        region[:, BROW_L, 1] -= 0.8 * pulse(time_s, 15.0, 15.2, 15.4)
    assert len(spotted(*quiet)[0]) == 1
    assert len(spotted(*loud)[0]) <= 1  # and no false ones in 20 s of noise ten times as loud


def test_slow_and_irregular_frames(rng):
    time_s = np.cumsum(rng.uniform(0.02, 0.06, 200))
    region = rng.normal(0, 0.012, (200, 13, 2))
    region[:, BROW_L, 1] -= 2 * pulse(time_s, 3.0, 3.2, 3.42)
    (event,) = spotted(time_s, region, np.zeros((200, 4)))[0]
    assert abs(event[0] - 3.0) < 0.09
    assert abs(event[2] - 3.42) < 0.09


def test_head_is_taken_out_of_the_flow(rng):
    """A similarity plus a motion of its own: the similarity goes into `head`, the rest into its region."""
    y, x = (np.mgrid[0:112, 0:112] + 0.5) / 112
    turn, growth = 1.2, -0.7
    u, v = 3.0 + growth * (x - 0.5) - turn * (y - 0.45), -1.0 + turn * (x - 0.5) + growth * (y - 0.45)
    own = (x > 0.60) & (x < 0.78) & (y > 0.60) & (y < 0.78)
    v = v - 4 * own
    region, head, misfit = _core.face_motion(np.stack([u, v]).astype(np.float32))
    assert np.allclose(head, [3, -1, growth * 0.47, turn * 0.47], atol=0.01)
    assert misfit < 0.01
    assert -4.01 < region[CORNER_L, 1] < -3.5  # boxes end on blocks of 8 px
    assert np.abs(region[CORNER_R]).max() < 0.01


@pytest.mark.parametrize("shape", [(2, 111, 112), (112, 112)])
def test_shapes(shape):
    with pytest.raises(ValueError, match="112"):
        _core.face_motion(np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match="T, 13, 2"):
        _core.spot(np.zeros(3), np.zeros((3, 12, 2), np.float32), np.zeros((3, 4), np.float32))
