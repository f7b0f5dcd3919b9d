"""The simulated person: repeatable, made of rigid bones, turning the way the official data set turns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from livesnn.errors import SourceError
from livesnn.events.packet import Events, Resolution
from livesnn.events.recording import open_recording
from livesnn.simulate import motions
from livesnn.simulate.body import LEFT, RIGHT, Body, Breadth, draw_body, joints, one_of
from livesnn.simulate.everyday import MOVEMENTS, through
from livesnn.simulate.gestures import (
    CHANGE_S,
    RESOLUTION,
    Take,
    Use,
    gesture_clip,
    gesture_random,
    gesture_stream,
    performance,
)
from livesnn.simulate.motions import (
    CURTAIN,
    EVERYDAY,
    GESTURES,
    IDLE,
    NOBODY,
    NOTHING,
    OBJECTS,
    PAN,
    PEOPLE,
    SHAKE,
    TWO_PEOPLE,
    WALKING,
    mirrored,
    perform,
)
from livesnn.simulate.scene import JITTER_US, Scatter, delayed, draw_scene, paint, scattered, shapes_of, surrounded
from livesnn.simulate.sources import SimulatedPerson, open_simulation, scene_resolution, simulate_scene
from livesnn.simulate.surroundings import with_surroundings

TIMES_S = np.arange(0, 2, 0.004)
SHOULDER, ELBOW, WRIST, TIP = range(4)


def upright(seed: int = 0) -> Body:
    """Return somebody seen from very far, upright, so that the image has no perspective."""
    return replace(draw_body(np.random.default_rng(seed)), distance=1e9, roll=0.0)


def arms(gesture: str, seed: int = 0, breadth: Breadth = "narrow") -> np.ndarray:
    return joints(upright(), perform(gesture, TIMES_S, np.random.default_rng(seed), breadth))


def travel(gesture: str, arm: int) -> float:
    """Return how far a wrist moves in the image, in pixels a second, in the middle of twenty performances."""
    steps = [np.diff(arms(gesture, seed)[:, arm, WRIST, :2], axis=0) for seed in range(20)]
    return float(np.median([np.linalg.norm(step, axis=1).sum() / 2 for step in steps]))


def turning(path: np.ndarray) -> float:
    """Return the area a path [T, 2] in an image (y down) goes round: positive when it turns clockwise."""
    x, y = (path - path.mean(axis=0)).T
    return float(np.sum(x[:-1] * np.diff(y) - y[:-1] * np.diff(x)))


@pytest.mark.parametrize("gesture", [*GESTURES, *NOTHING, *EVERYDAY])
def test_bones_keep_their_lengths(gesture: str) -> None:
    body, all_joints = upright(), arms(gesture)
    for first, second, length in (
        (SHOULDER, ELBOW, body.upper_arm), (ELBOW, WRIST, body.forearm), (WRIST, TIP, body.hand),
    ):  # fmt: skip
        bones = np.linalg.norm(all_joints[:, :, second] - all_joints[:, :, first], axis=-1)
        assert bones == pytest.approx(length, rel=1e-6)


@pytest.mark.parametrize("gesture", [name for name in GESTURES if name[:5] in ("right", "left_")])
def test_a_gesture_of_one_arm_leaves_the_other_at_rest(gesture: str) -> None:
    moving, resting = (RIGHT, LEFT) if gesture.startswith("right") else (LEFT, RIGHT)
    assert travel(gesture, moving) > 8 * travel(gesture, resting)


def test_both_arms_move_in_gestures_of_both() -> None:
    idle = travel(IDLE, RIGHT)
    for gesture in ("hand_clapping", "arm_roll", "air_drums"):
        assert min(travel(gesture, arm) for arm in (RIGHT, LEFT)) > 5 * idle


def test_the_right_arm_is_on_the_left_of_the_image() -> None:
    all_joints = arms(IDLE)
    assert np.all(all_joints[:, RIGHT, SHOULDER, 0] < all_joints[:, LEFT, SHOULDER, 0])


@pytest.mark.parametrize("breadth", ["narrow", "wide"])
@pytest.mark.parametrize("seed", range(10))
def test_arms_turn_clockwise_and_counter_clockwise_as_the_person_sees_it(seed: int, breadth: Breadth) -> None:
    for side, arm in (("right", RIGHT), ("left", LEFT)):
        assert turning(arms(f"{side}_arm_counter_clockwise", seed, breadth)[:, arm, WRIST, :2]) > 0
        assert turning(arms(f"{side}_arm_clockwise", seed, breadth)[:, arm, WRIST, :2]) < 0


@pytest.mark.parametrize("gesture", [name for name in GESTURES if name.startswith("right")])
def test_the_left_arm_does_in_every_style_what_the_right_one_does_in_a_mirror(
    gesture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(motions, "_loosely", lambda wrist, *_: wrist)
    for seed in range(10):
        one, two = (
            perform(name, TIMES_S, np.random.default_rng(seed), "wide") for name in (gesture, mirrored(gesture))
        )
        assert one.wrist[:, RIGHT] == pytest.approx(two.wrist[:, LEFT], abs=0.15)  # nobody holds still


def test_wide_people_wave_less_straight_than_narrow_ones() -> None:
    def roundness(breadth: Breadth) -> float:
        found = []
        for seed in range(40):
            path = arms("right_hand_wave", seed, breadth)[:, RIGHT, WRIST, :2]
            sizes = np.linalg.svd(path - path.mean(axis=0), compute_uv=False)
            found.append(sizes[1] / sizes[0])
        return float(np.median(found))

    # Real ones: 0.2 and 0.3 (docs/experiments/real-people.md)
    assert 0.4 > roundness("wide") > 1.3 * roundness("narrow")


@pytest.mark.parametrize("movement", [*GESTURES, *EVERYDAY])
def test_no_arm_jumps(movement: str) -> None:
    for seed in range(5):
        step = np.diff(arms(movement, seed, "wide")[:, :, WRIST], axis=0)
        assert np.abs(step).max() < 20  # pixels in 4 ms


def test_more_than_half_of_what_is_no_gesture_is_hands_that_go_to_places() -> None:
    rng = np.random.default_rng(0)
    drawn = [one_of([*MOVEMENTS.values()], rng) for _ in range(2000)]
    assert 0.5 < drawn.count(MOVEMENTS["reach"]) / len(drawn) < 0.6
    assert len(set(drawn)) > 60


def test_a_path_passes_its_poses_and_rests_before_and_after() -> None:
    poses, knots_s = np.array([[0.0], [1.0], [1.0], [-2.0]]), np.array([1.0, 2.0, 3.0, 4.0])
    for stops in (True, False):
        path = through(np.linspace(0, 5, 501), knots_s, poses, stops=stops)[:, 0]
        assert path[[0, 100, 200, 250, 300, 400, 500]] == pytest.approx([0, 0, 1, 1, 1, -2, -2])
        assert np.abs(np.diff(path)).max() < 0.1


def rate(seed: int, breadth: Breadth) -> float:
    """Return the events a second of one who waves."""
    return len(gesture_clip("right_hand_wave", seed, 0.3, use="train", breadth=breadth)) / 0.3


def test_wide_people_are_seen_in_dim_light_as_well() -> None:
    assert rate(0, "wide") > 100_000
    assert rate(20, "wide") < 6000


def test_a_wide_clip_may_hold_the_way_to_the_gesture_or_back() -> None:
    ends = []
    for seed in range(30):
        limbs = performance("right_arm_clockwise", seed, 0.6, use="train", breadth="wide").limbs
        up = limbs.wrist[[0, -1], RIGHT, 1]
        ends.append(up < -0.6)
    assert 2 < np.sum(np.any(ends, axis=1)) < 15


def test_something_other_than_the_person_moves() -> None:
    still, *moving = (
        sum(events.size for seed in range(3) for events in simulate_scene(name, seed=seed, seconds=0.3))
        for name in (IDLE, OBJECTS, SHAKE, PAN, CURTAIN, TWO_PEOPLE)
    )
    assert min(moving) > 1.3 * still


def test_what_moves_around_a_person_doesnt_depend_on_how_a_stream_is_cut() -> None:
    scene = draw_scene(np.random.default_rng(3), RESOLUTION)
    scene = with_surroundings(scene, [OBJECTS, SHAKE, PAN, CURTAIN, TWO_PEOPLE], np.random.default_rng(0))
    times_us = np.arange(0, 400_000, 4000)
    person = shapes_of(scene, perform(IDLE, times_us / 1e6, np.random.default_rng(0)))
    shapes, drift = surrounded(scene, person, times_us)
    later, drifted = surrounded(scene, person[50:], times_us[50:])
    assert drift is not None
    assert drifted is not None
    np.testing.assert_allclose(shapes[50:], later)
    np.testing.assert_allclose(drift[0][50:], drifted[0])
    assert np.ptp(drift[0]) > 1


def path_of_events(events: Events) -> np.ndarray:
    """Return the mean place of the events every 50 ms, [T, 2]."""
    slices = np.split(events, np.searchsorted(events["t"], np.arange(*events["t"][[0, -1]], 50_000)))[1:]
    return np.array([[np.mean(part[axis]) for axis in "xy"] for part in slices if part.size])


def test_the_real_clip_of_class_four_turns_as_the_simulated_ones(data_dir: Path) -> None:
    recording = open_recording(data_dir / "dvs_gesture" / "05_right_arm_counter_clockwise.npz")
    real = np.concatenate([packet.events for packet in recording])
    simulated = gesture_clip("right_arm_counter_clockwise", 1, 1.45, use="test")
    assert turning(path_of_events(real)) > 0 < turning(path_of_events(simulated))


def test_no_person_of_one_use_is_one_of_another() -> None:
    uses: tuple[Use, ...] = ("train", "validation", "test", "show")
    bodies = [
        draw_scene(gesture_random(use, seed, gesture), RESOLUTION).body
        for use in uses
        for seed in range(20)
        for gesture in (*GESTURES, IDLE)
    ]
    assert len(set(bodies)) == len(bodies)


@pytest.mark.parametrize("resolution", [Resolution(128, 128), Resolution(346, 260), Resolution(64, 48)])
def test_a_clip_fills_its_time_stays_on_the_sensor_and_is_the_same_again(resolution: Resolution) -> None:
    events, again = (gesture_clip("arm_roll", 1, 0.3, use="test", resolution=resolution) for _ in range(2))
    assert np.array_equal(events, again)
    assert 0 <= events["t"][0] < 20_000
    assert 280_000 < events["t"][-1] < 300_000
    assert np.all(np.diff(events["t"]) >= 0)
    assert events["x"].max() < resolution.width
    assert events["y"].max() < resolution.height


@pytest.mark.parametrize("sensor", ["346x260", "64X48", "48×64"])
def test_a_stream_is_seen_by_the_sensor_that_was_asked_for(sensor: str) -> None:
    resolution = scene_resolution("gestures", sensor)
    assert f"{resolution.width}x{resolution.height}" == sensor.lower().replace("×", "x")
    events = np.concatenate(
        [*simulate_scene("arm_roll", seed=19, seconds=0.3, resolution=resolution)],
    )
    assert np.all(np.diff(events["t"]) >= 0)
    for axis, side in zip("xy", resolution, strict=True):
        assert 0.7 * side < events[axis].max() < side


def test_the_default_sensor_is_128_by_128_event_for_event() -> None:
    default, asked = (
        np.concatenate([*simulate_scene("idle", seed=3, seconds=0.2, resolution=resolution)])
        for resolution in (None, scene_resolution("idle", "128x128"))
    )
    np.testing.assert_array_equal(default, asked)


def test_a_sensor_that_is_none_is_an_error_that_says_which_are() -> None:
    for sensor in ("0x0", "8x128", "128x1281", "-1x5", "128", "1e3x99", "axb", "128x128x2", "٣٤x٣٤"):
        with pytest.raises(SourceError, match="give width and height from 16 to 1280, such as 346x260"):
            scene_resolution("gestures", sensor)


def test_a_digit_has_its_own_sensor() -> None:
    assert scene_resolution("digit-3", "34x34") == scene_resolution("digit-3")
    with pytest.raises(SourceError, match="digit-3 always has N-MNIST's 34x34 pixels"):
        scene_resolution("digit-3", "128x128")


def test_a_picture_shows_a_head_of_the_skin_and_hair_before_the_wall() -> None:
    scene = draw_scene(np.random.default_rng(3), RESOLUTION)
    still = perform(IDLE, TIMES_S, np.random.default_rng(0)).part(0, 1)
    picture = paint(scene, shapes_of(scene, still), np.empty((1, 128, 128), np.float32))[0]
    changed = np.argwhere(picture != scene.background)
    assert 0.1 < len(changed) / picture.size < 0.7
    assert changed[:, 0].min() < scene.body.shoulder_y - 2 * scene.body.head_radius


def test_a_stream_performs_every_gesture_once_before_one_again_and_follows_on() -> None:
    takes: list[Take] = []
    for take in gesture_stream(2, use="test", segment_s=(0.3, 0.4)):
        if len({take.segment for take in takes}) == len(GESTURES) and takes[-1].segment != take.segment:
            break
        takes.append(take)
    segments = list(dict.fromkeys(take.segment for take in takes))
    assert sorted(segment.gesture for segment in segments) == sorted(GESTURES)
    end_us = 0
    for take in takes:
        assert np.all(np.diff(take.events["t"]) >= 0)
        assert end_us < take.events["t"][0] <= take.events["t"][-1] <= take.end_us
        end_us = take.end_us
    ends_us = [0, *(segment.end_us for segment in segments)]
    changes_s = [(segment.start_us - end) / 1e6 for segment, end in zip(segments, ends_us, strict=False)]
    assert all(CHANGE_S[0] - 0.004 <= change <= CHANGE_S[1] + 0.004 for change in changes_s)
    assert end_us == segments[-1].end_us


def test_a_live_person_comes_at_their_own_pace_until_closed() -> None:
    now_s = [0.0]
    person = SimulatedPerson(1, clock=lambda: now_s[0])
    seen = []
    for packet in person:
        now_s[0] = 1e6  # late from now on: nothing has to be waited for
        seen.append(packet)
        assert packet.now_us is not None
        assert packet.events["t"].max(initial=0) <= packet.now_us
        if packet.now_us >= 500_000:
            person.close()
    assert len(seen) == 50
    assert person.counters.events == sum(packet.events.size for packet in seen) > 1000
    assert person.segments[-1].gesture in GESTURES


def test_what_cannot_be_simulated_is_an_error_that_says_what_can() -> None:
    for uri in ("simulate:", "simulate:letters", "simulate:gestures:", "simulate:digits:-1", "simulate:gestures:٣"):
        with pytest.raises(SourceError, match="give simulate:gestures"):
            open_simulation(uri)
    with pytest.raises(SourceError, match="no gesture 'salute': give one of hand_clapping"):
        gesture_clip("salute", 0, 1.0, use="train")


def test_scattered_events_are_near_what_moves_and_nothing_else_changes() -> None:
    scene = draw_scene(np.random.default_rng(3), RESOLUTION)
    scene = replace(scene, scatter=Scatter(0.25, 6.0))
    events = gesture_clip("arm_roll", 1, 0.3, use="test")
    more = scattered(events, scene.scatter, scene.resolution, np.random.default_rng(0))
    assert np.all(np.diff(more["t"]) >= 0)
    assert more["t"][-1] == events["t"][-1]
    assert len(more) / len(events) == pytest.approx(1.25, abs=0.02)
    assert set(events.tolist()) <= set(more.tolist())
    none = scattered(events, Scatter(0.0, 6.0), scene.resolution, np.random.default_rng(0))
    assert np.array_equal(none, events)


def test_delayed_events_are_the_same_ones_late_by_an_exponential_time_and_none_beyond_the_last() -> None:
    events = gesture_clip("arm_roll", 1, 0.5, use="test")
    late = delayed(events, JITTER_US[1], np.random.default_rng(0))
    assert np.all(np.diff(late["t"]) >= 0)
    assert late["t"][-1] == events["t"][-1]
    places = [np.sort(some["x"] * 1000 + some["y"] * 2 + some["p"]) for some in (events, late)]
    assert np.array_equal(*places)
    assert np.mean(late["t"] - events["t"]) == pytest.approx(JITTER_US[1], rel=0.1)
    assert delayed(events[:0], 50.0, np.random.default_rng(0)).size == 0


def test_a_lamp_flickers_over_still_things_and_nobody_is_in_an_empty_scene() -> None:
    dark, lit = (
        sum(
            len(next(gesture_stream(seed, use="test", gestures=(NOBODY,), lamp_share=share)).events)
            for seed in range(10)
        )
        for share in (0.0, 1.0)
    )
    assert lit > 3 * dark


def test_somebody_who_walks_by_crosses_the_picture() -> None:
    limbs = perform(WALKING, np.arange(0, 10, 0.02), np.random.default_rng(1))
    place = limbs.trunk[:, 0]
    assert place.min() < -64
    assert place.max() > 64
    assert np.abs(np.diff(place)).max() < 0.02 * 170


@pytest.mark.parametrize("movement", EVERYDAY)
def test_a_movement_that_no_model_knows_can_be_watched_and_written(movement: str) -> None:
    person = open_simulation(f"simulate:{movement}:2")
    assert isinstance(person, SimulatedPerson)
    first = next(iter(person))
    assert person.segments[0].gesture == movement
    (written,) = simulate_scene(movement, seed=2, seconds=0.1)
    assert written.size > 300
    np.testing.assert_array_equal(first.events, written[written["t"] < 10_000])


def test_the_page_about_recordings_names_every_scene() -> None:
    page = (Path(__file__).parents[2] / "docs" / "recordings.md").read_text(encoding="utf-8")
    assert [name for name in PEOPLE if f"`{name}`" not in page] == []
