"""Simulated gestures: short clips of people, streams without an end, and the frames of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec
from livesnn.errors import DataError, SourceError
from livesnn.events.denoise import DenoiseState, denoise_packets
from livesnn.events.packet import Events, Packet, Resolution
from livesnn.events.slicer import Slicer
from livesnn.simulate.body import Array, Breadth, Limbs, Random, swung
from livesnn.simulate.motions import (
    EVERYDAY,
    GESTURES,
    IDLE,
    NOTHING,
    PEOPLE,
    names_like,
    perform,
)
from livesnn.simulate.scene import FRAME_US, LAMP_SHARE, Film, Scene, draw_scene, shapes_of
from livesnn.simulate.surroundings import AROUND_SHARES, textured, with_surroundings

RESOLUTION = Resolution(128, 128)

VERSION = 11
"""Version of the simulated events. Raise it with every change of them, so that stale caches are not used."""

WARM_UP_US = 20_000
"""Cut off at the beginning: pixels that have just seen their first picture respond too evenly."""

CHANGE_S = (0.35, 0.8)  # How long a person takes from one gesture to the next

TAKE_FRAMES = 25
"""Pictures in a take, 0.1 s. Simulating them takes a tenth of that, so a live stream doesn't stutter."""

IDLE_LAMP_SHARE = 0.4  # Share of idle people under a flickering lamp, which must not be taken for a gesture

POSE_S = (0.3, 2.0)
"""How long idle people keep a pose. Short, since models decide wrongly on the change from one pose to the next."""

FEWEST_EV_S, FEWEST_SHARE, ATTEMPTS = 800.0, 0.1, 4
"""A clip of a wide person needs so many events a second besides the sensor's noise, and at least this share of the
noise. Otherwise another person is drawn, at most so many in all. Where nobody could see a gesture, a network would
learn to guess."""

DENOISED_SHARE = 1 / 3  # Share of wide clips whose events have passed the noise filter

TEXTURED_SHARE = 0.4  # Share of wide people before a background with a texture

LONGEST_S = 60.0  # The longest clip that is simulated

Use = Literal["train", "validation", "test", "show"]
"""What a person is for. The people of one use are never those of another, whatever their seeds."""

_USES: dict[Use, int] = {"train": 0, "test": 1, "show": 2, "validation": 3}


class Segment(NamedTuple):
    """A part of a stream in which one gesture is performed, in µs. The change to it comes before."""

    gesture: str
    start_us: int
    end_us: int


class Turn(NamedTuple):
    """What a person performs next, how many seconds the change to it takes, and how long it then lasts."""

    gesture: str
    change_s: float
    held_s: float
    performed: Callable[[Array], Limbs] | None = None  # the limbs [T] at times in s [T]; None: as everybody does
    early: float | None = None  # how joints turn on the way (`Limbs.turned`); None: hands go straight


class Take(NamedTuple):
    """A piece of a stream: the events up to ``end_us``, and the segment to which they belong."""

    events: Events
    segment: Segment
    end_us: int


def gesture_clip(
    gesture: str,
    seed: int,
    seconds: float,
    *,
    use: Use,
    resolution: Resolution = RESOLUTION,
    breadth: Breadth = "narrow",
) -> Events:
    """Return the events of one person performing one gesture, from time 0.

    ``gesture`` is one of `motions.PEOPLE`. ``seed`` draws the body, the background, the sensor and the movement.
    """
    for attempt in range(ATTEMPTS):
        scene, limbs, times_us, rng = performance(
            gesture, seed, seconds, use=use, resolution=resolution, breadth=breadth, attempt=attempt
        )
        events = Film(scene, limbs, rng).shoot(shapes_of(scene, limbs.part(1)), times_us[1:])
        if breadth == "narrow" or is_seen(events.size, scene, times_us[-1] / 1e6):
            break
    events = _warmed_up(events)
    return events[events["t"] < round(seconds * 1e6)]


def _warmed_up(events: Events) -> Events:
    events = events[events["t"] >= WARM_UP_US]
    events["t"] -= WARM_UP_US
    return events


def is_seen(events: int, scene: Scene, seconds: float) -> bool:
    """Whether enough of so many events are of something that moves."""
    pixel = scene.pixel
    noise_hz = pixel.noise_hz + pixel.leak_hz + pixel.hot_fraction * pixel.hot_hz
    noise_ev_s = noise_hz * scene.resolution.width * scene.resolution.height
    return events / seconds - noise_ev_s > max(FEWEST_EV_S, FEWEST_SHARE * noise_ev_s)


class Performance(NamedTuple):
    """One person performing one gesture: poses at ``times_us`` [T], `FRAME_US` apart; ``rng`` draws the rest."""

    scene: Scene
    limbs: Limbs
    times_us: npt.NDArray[np.int64]
    rng: np.random.Generator


def performance(
    gesture: str,
    seed: int,
    seconds: float,
    *,
    use: Use,
    resolution: Resolution = RESOLUTION,
    breadth: Breadth = "narrow",
    attempt: int = 0,
) -> Performance:
    """Return what `gesture_clip` films; raises SourceError for an unknown gesture."""
    if gesture not in PEOPLE:
        raise SourceError(f"no gesture {gesture!r}: give one of {names_like(gesture)}")
    rng = gesture_random(use, seed, gesture, attempt)
    scene = person_scene((gesture,), rng, resolution, LAMP_SHARE, breadth)
    times_us = np.arange(0, round(seconds * 1e6) + WARM_UP_US + FRAME_US, FRAME_US)
    limbs = perform(gesture, times_us / 1e6, rng, breadth)
    return Performance(scene, limbs, times_us, rng)


def person_scene(
    gestures: tuple[str, ...], rng: Random, resolution: Resolution, lamp_share: float, breadth: Breadth
) -> Scene:
    """Return a random scene, with what moves in it besides the person."""
    scene = draw_scene(rng, resolution, lamp_share, breadth)
    around = [name for name in gestures if name in AROUND_SHARES]
    if breadth == "wide":
        around += [name for name, share in AROUND_SHARES.items() if rng.random() < share]
        if rng.random() < TEXTURED_SHARE:
            scene = replace(scene, background=textured(scene.background, rng))
    return with_surroundings(scene, around, rng)


def gesture_random(use: Use, seed: int, gesture: str | None = None, attempt: int = 0) -> np.random.Generator:
    """Return the generator of a clip of one gesture, or of a stream (None). It draws the person first.

    A later ``attempt`` at the same clip has another one.
    """
    # New names come last, so that old people stay the same
    names = (*GESTURES, None, *NOTHING[:3], *EVERYDAY, *NOTHING[3:])
    return np.random.default_rng([_USES[use], seed, names.index(gesture), *[attempt] * (attempt > 0)])


def gesture_stream(
    seed: int,
    *,
    use: Use,
    gestures: tuple[str, ...] = GESTURES,
    segment_s: tuple[float, float] = (3.0, 6.0),
    lamp_share: float = LAMP_SHARE,
    resolution: Resolution = RESOLUTION,
    breadth: Breadth = "narrow",
) -> Iterator[Take]:
    """Return one person's events for ever, 0.1 s at a time: each gesture and the change to it, in random order.

    Each gesture comes once before any comes again. ``lamp_share`` is the probability of a flickering lamp.
    """
    rng = gesture_random(use, seed)
    scene = person_scene(gestures if len(gestures) == 1 else (), rng, resolution, lamp_share, breadth)
    return takes(scene, rounds(gestures, segment_s, rng), rng, breadth)


def takes(
    scene: Scene, turns: Iterator[Turn], rng: Random, breadth: Breadth, longest_change_s: float = CHANGE_S[1]
) -> Iterator[Take]:
    """Yield what happens in a scene, 0.1 s at a time."""
    film, before = None, None
    now_us = 0
    for gesture, change_s, held_s, performed, early in turns:
        change_us, held_us = _steps(change_s), _steps(held_s)
        after_us = _steps(longest_change_s)  # the next change starts where this gesture would have gone on
        times_us = np.arange(now_us, now_us + change_us + held_us + after_us, FRAME_US) + FRAME_US
        limbs = perform(gesture, times_us / 1e6, rng, breadth) if performed is None else performed(times_us / 1e6)
        if film is None or before is None:
            film, before = Film(scene, limbs, rng), limbs
        bend = swung(rng) if breadth == "wide" else None
        limbs = _changed(before, limbs, change_us // FRAME_US, bend, early)
        end = (change_us + held_us) // FRAME_US
        segment = Segment(gesture, now_us + change_us, now_us + change_us + held_us)
        shapes = shapes_of(scene, limbs.part(0, end))
        for first in range(0, end, TAKE_FRAMES):
            last = min(first + TAKE_FRAMES, end)
            events = film.shoot(shapes[first:last], times_us[first:last])
            yield Take(events, segment, int(times_us[last - 1]))
        before, now_us = limbs.part(end), segment.end_us


def rounds(gestures: tuple[str, ...], segment_s: tuple[float, float], rng: Random) -> Iterator[Turn]:
    while True:
        for index in rng.permutation(len(gestures)):
            yield Turn(gestures[index], rng.uniform(*CHANGE_S), rng.uniform(*segment_s))


def _steps(seconds: float) -> int:
    """Return the time in µs, rounded to whole pictures."""
    return round(seconds * 1e6 / FRAME_US) * FRAME_US


def _changed(before: Limbs, limbs: Limbs, steps: int, bend: Array | None, early: float | None) -> Limbs:
    """Return ``limbs`` whose first ``steps`` poses come from ``before``: straight, on a ``bend``, or by joints."""
    share = np.linspace(0.0, 1.0, steps)
    share, old, new = share * share * (3 - 2 * share), before.part(0, steps), limbs.part(0, steps)
    blend = old.blended(new, share, bend) if early is None else old.turned(new, share, early)
    return Limbs(*[np.concatenate(parts) for parts in zip(blend, limbs.part(steps), strict=True)])


def clip_frames(
    name: str, seed: int, spec: InputSpec, use: Use, windows: int = 1, breadth: Breadth = "narrow"
) -> npt.NDArray[np.uint8]:
    """Return the first frames of a person, uint8 [windows · window, C, H, W]; raises DataError if they take too long.

    ``name``: one of `motions.PEOPLE`.
    """
    count = windows * spec.window
    seconds = count * (spec.slice.delta_t_us or 0) * 1e-6 + 0.1  # the first event comes a little late
    chance = gesture_random(use, seed, name).spawn(1)[0].random()
    while seconds < LONGEST_S:
        clip = nothing_clip if name in NOTHING else gesture_clip
        packet = Packet(clip(name, seed, seconds, use=use, breadth=breadth), now_us=round(seconds * 1e6))
        packets = iter((packet,))
        if breadth == "wide" and chance < DENOISED_SHARE:
            packets = denoise_packets(packets, DenoiseState(RESOLUTION))
        slicer = Slicer(RESOLUTION, spec)
        frames = [frame for packet in packets for frame in slicer.push(packet)]
        if len(frames) >= count:
            return np.stack([frame.data for frame in frames[:count]])
        seconds *= 2
    raise DataError(f"{count} frames of {spec.slice} take more than {LONGEST_S:g} s of {name}: give shorter slices")


def nothing_clip(name: str, seed: int, seconds: float, *, use: Use, breadth: Breadth = "narrow") -> Events:
    """Return the events of a person who performs nothing. An idle person changes pose often."""
    packets = []
    kept_s = POSE_S if name == IDLE else (LONGEST_S, LONGEST_S)
    stream = gesture_stream(
        seed, use=use, gestures=(name,), segment_s=kept_s, lamp_share=IDLE_LAMP_SHARE, breadth=breadth
    )
    for take in stream:
        packets.append(take.events)
        if take.end_us >= seconds * 1e6 + WARM_UP_US:
            break
    return _warmed_up(np.concatenate(packets))
