"""Simulated gestures: short clips, their frames, webcam pictures, and streams of one gesture after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec
from livesnn.errors import DataError, SourceError
from livesnn.events.denoise import DenoiseState, denoise_packets
from livesnn.events.packet import Events, Packet, Resolution
from livesnn.events.slicer import Slicer
from livesnn.simulate.body import Array, Breadth, Limbs, Random
from livesnn.simulate.motions import (
    CURTAIN,
    EVERYDAY,
    GESTURES,
    IDLE,
    NOTHING,
    OBJECTS,
    PAN,
    PEOPLE,
    SHAKE,
    TWO_PEOPLE,
    names_like,
    perform,
)
from livesnn.simulate.scene import (
    FRAME_US,
    LAMP_SHARE,
    Film,
    Scene,
    draw_scene,
    lit,
    paint,
    shapes_of,
    surrounded,
)
from livesnn.simulate.surroundings import Kind, textured, with_surroundings

RESOLUTION = Resolution(128, 128)

VERSION = 6
"""Version of the simulated events. Raise it with every change of them, so that stale caches are not used."""

WARM_UP_US = 20_000
"""Cut off at the beginning: pixels that have just seen their first picture respond too evenly."""

CHANGE_S = (0.35, 0.8)
"""How long a person takes from one gesture to the next."""

TAKE_FRAMES = 25
"""Pictures in a take, 0.1 s. Simulating them takes a tenth of that, so a live stream doesn't stutter."""

IDLE_LAMP_SHARE = 0.4
"""Share of idle people under a flickering lamp, which must not be taken for a gesture."""

POSE_S = (0.3, 2.0)
"""How long idle people keep a pose. Short, since models decide wrongly on the change from one pose to the next."""

PARTLY_SHARE, PARTLY = 0.25, (0.6, 1.0)
"""Share of wide clips of a gesture that begin or end while the arms come from rest, or go back to it; and the share
of such a clip in which the gesture is performed."""

WAY_S = (0.2, 0.7)
"""How long that way takes."""

FEWEST_EV_S, FEWEST_SHARE, ATTEMPTS = 800.0, 0.1, 4
"""A clip of a wide person needs so many events a second besides the sensor's noise, and at least this share of the
noise. Otherwise another person is drawn, at most so many in all. Where nobody could see a gesture, a network would
learn to guess."""

DENOISED_SHARE = 1 / 3
"""Share of wide clips whose events have passed the noise filter."""

AROUND: dict[str, Kind] = {
    OBJECTS: "objects", SHAKE: "shake", PAN: "pan", CURTAIN: "curtain", TWO_PEOPLE: "passer_by",
}  # fmt: skip
"""What moves besides the person in scenes without a gesture."""

AROUND_SHARES: dict[Kind, float] = {
    "objects": 0.03, "shake": 0.04, "pan": 0.01, "curtain": 0.02, "passer_by": 0.05,
}  # fmt: skip
"""Shares of all wide people around whom it moves."""

TEXTURED_SHARE = 0.4
"""Share of wide people before a background with a texture."""

LONGEST_S = 60.0
"""The longest clip that is simulated."""

FPS = 30.0
EXPOSURE_US = 16_000
NOISE = 1.0
"""Standard deviation of the noise of a webcam's pixel, of 255."""

_BRIGHT = 0.8  # the exposure brings the 95th percentile of a picture to this share of full scale

Use = Literal["train", "validation", "test", "show"]
"""What a person is for. The people of one use are never those of another, whatever their seeds."""

_USES: dict[Use, int] = {"train": 0, "test": 1, "show": 2, "validation": 3}


class Segment(NamedTuple):
    """A part of a stream in which one gesture is performed, in µs. The change to it comes before."""

    gesture: str
    start_us: int
    end_us: int


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

    Parameters
    ----------
    gesture
        One of `motions.PEOPLE`.
    seed
        Seed of the body, the background, the sensor and the movement.
    """
    for attempt in range(ATTEMPTS):
        scene, limbs, times_us, rng = performance(
            gesture, seed, seconds, use=use, resolution=resolution, breadth=breadth, attempt=attempt
        )
        events = Film(scene, limbs, rng).shoot(shapes_of(scene, limbs.part(1)), times_us[1:])
        if breadth == "narrow" or _is_seen(events, scene, times_us[-1] / 1e6):
            break
    events = events[events["t"] >= WARM_UP_US]
    events["t"] -= WARM_UP_US
    return events[events["t"] < round(seconds * 1e6)]


def _is_seen(events: Events, scene: Scene, seconds: float) -> bool:
    """Whether enough of the events are of something that moves."""
    pixel = scene.pixel
    noise_hz = pixel.noise_hz + pixel.leak_hz + pixel.hot_fraction * pixel.hot_hz
    noise_ev_s = noise_hz * scene.resolution.width * scene.resolution.height
    return len(events) / seconds - noise_ev_s > max(FEWEST_EV_S, FEWEST_SHARE * noise_ev_s)


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
    scene = _scene((gesture,), rng, resolution, LAMP_SHARE, breadth)
    times_us = np.arange(0, round(seconds * 1e6) + WARM_UP_US + FRAME_US, FRAME_US)
    limbs = perform(gesture, times_us / 1e6, rng, breadth)
    if breadth == "wide" and gesture in GESTURES[:-1] and rng.random() < PARTLY_SHARE:
        limbs = _partly(limbs, times_us / 1e6, rng)
    return Performance(scene, limbs, times_us, rng)


def _scene(
    gestures: tuple[str, ...], rng: Random, resolution: Resolution, lamp_share: float, breadth: Breadth
) -> Scene:
    """Return a random scene, with what moves in it besides the person."""
    scene = draw_scene(rng, resolution, lamp_share, breadth)
    kinds = [AROUND[name] for name in gestures if name in AROUND]
    if breadth == "wide":
        kinds += [kind for kind, share in AROUND_SHARES.items() if rng.random() < share]
        if rng.random() < TEXTURED_SHARE:
            scene = replace(scene, background=textured(scene.background, rng))
    return with_surroundings(scene, tuple(kinds), rng)


def _partly(limbs: Limbs, times_s: Array, rng: Random) -> Limbs:
    """Return limbs that come to the gesture from rest, or go back to rest from it."""
    rest = perform(IDLE, times_s, rng)
    change_s, end_s = rng.uniform(*WAY_S), (1 - rng.uniform(*PARTLY)) * times_s[-1]
    share = np.clip((times_s - end_s) / change_s + 1, 0, 1)
    share = share * share * (3 - 2 * share)
    return rest.blended(limbs, share if rng.random() < 0.5 else share[::-1])


def gesture_random(use: Use, seed: int, gesture: str | None = None, attempt: int = 0) -> np.random.Generator:
    """Return the generator of a clip of one gesture, or of a stream (None). It draws the person first.

    A later ``attempt`` at the same clip has another one.
    """
    names = (
        *GESTURES,
        None,
        *NOTHING[:3],
        *EVERYDAY,
        *NOTHING[3:],
    )  # new ones last: old people stay the same
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
    """Yield one person's events for ever, 0.1 s at a time: each gesture and the change to it, in random order.

    Each gesture comes once before any comes again. ``lamp_share`` is the probability of a flickering lamp.
    """
    rng = gesture_random(use, seed)
    scene = _scene(gestures if len(gestures) == 1 else (), rng, resolution, lamp_share, breadth)
    film, before = None, None
    now_us = 0
    for gesture in _rounds(gestures, rng):
        change_us, held_us = (_steps(rng.uniform(*span)) for span in (CHANGE_S, segment_s))
        after_us = _steps(CHANGE_S[1])  # the next change starts where this gesture would have gone on
        times_us = np.arange(now_us, now_us + change_us + held_us + after_us, FRAME_US) + FRAME_US
        limbs = perform(gesture, times_us / 1e6, rng, breadth)
        if film is None or before is None:
            film, before = Film(scene, limbs, rng), limbs
        limbs = _changed(before, limbs, change_us // FRAME_US)
        end = (change_us + held_us) // FRAME_US
        segment = Segment(gesture, now_us + change_us, now_us + change_us + held_us)
        shapes = shapes_of(scene, limbs.part(0, end))
        for first in range(0, end, TAKE_FRAMES):
            last = min(first + TAKE_FRAMES, end)
            events = film.shoot(shapes[first:last], times_us[first:last])
            yield Take(events, segment, int(times_us[last - 1]))
        before, now_us = limbs.part(end), segment.end_us


def _rounds(gestures: tuple[str, ...], rng: np.random.Generator) -> Iterator[str]:
    while True:
        for index in rng.permutation(len(gestures)):
            yield gestures[index]


def _steps(seconds: float) -> int:
    """Return the time in µs, rounded to whole pictures."""
    return round(seconds * 1e6 / FRAME_US) * FRAME_US


def _changed(before: Limbs, limbs: Limbs, steps: int) -> Limbs:
    """Return ``limbs`` whose first ``steps`` poses come smoothly from ``before``."""
    share = np.linspace(0.0, 1.0, steps)
    blend = before.part(0, steps).blended(limbs.part(0, steps), share * share * (3 - 2 * share))
    return Limbs(*[np.concatenate(parts) for parts in zip(blend, limbs.part(steps), strict=True)])


def gesture_pictures(
    gesture: str, seed: int, seconds: float, *, use: Use
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return what a webcam films of the person of `gesture_clip`: grey pictures uint8 [T, 128, 128, 3], times in µs.

    `FPS` pictures a second, exposed for `EXPOSURE_US` from its time on, with noise, coded as sRGB (IEC 61966-2-1).
    """
    scene, limbs, times_us, rng = performance(gesture, seed, seconds, use=use)
    canvas = np.empty((len(times_us), *scene.background.shape), np.float32)
    shapes, drift = surrounded(scene, shapes_of(scene, limbs), times_us)
    light = lit(scene, paint(scene, shapes, canvas, drift), times_us)
    light *= _BRIGHT / np.percentile(light[0], 95)
    taken_us = np.arange(0, times_us[-1] - EXPOSURE_US, 1e6 / FPS).astype(np.int64)
    exposed = EXPOSURE_US // FRAME_US
    shown = np.stack([light[first : first + exposed].mean(0) for first in taken_us // FRAME_US]).clip(0, 1)
    coded = np.where(shown <= 0.0031308, 12.92 * shown, 1.055 * shown ** (1 / 2.4) - 0.055)
    noisy = 255 * coded + rng.normal(0, NOISE, coded.shape)
    grey = np.rint(noisy).clip(0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1), taken_us


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
        slicer = Slicer(spec.slice, RESOLUTION, spec)
        frames = [frame for packet in packets for frame in slicer.push(packet)]
        if len(frames) >= count:
            return np.stack([frame.data for frame in frames[:count]])
        seconds *= 2
    raise DataError(
        f"{count} frames of {spec.slice} take more than {LONGEST_S:g} s of {name}: give shorter slices"
    )


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
    events = np.concatenate(packets)
    events = events[events["t"] >= WARM_UP_US]
    events["t"] -= WARM_UP_US
    return events
