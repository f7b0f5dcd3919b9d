"""What moves besides the person: somebody else, objects, a camera that shakes or turns, a curtain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from livesnn.simulate.body import IMAGE, Array, Random, draw_body, log_uniform, smooth_noise, to_and_fro
from livesnn.simulate.motions import CURTAIN, IDLE, OBJECTS, PAN, SHAKE, TWO_PEOPLE, WALKING, perform
from livesnn.simulate.scene import Moving, Scene, Surroundings, on_sensor, shapes_of
from livesnn.video.dvs_pixel import FloatImage

AROUND_SHARES = {OBJECTS: 0.03, SHAKE: 0.04, PAN: 0.01, CURTAIN: 0.02, TWO_PEOPLE: 0.05}
"""What may move besides the person, and around which share of all wide people it does."""

SHAKE_PIXELS, SHAKE_HZ = (0.3, 6.0), (1.0, 8.0)
"""How far a camera in a hand shakes (standard deviation, on 128 pixels), and up to which frequency; log-uniform."""

PAN_PIXELS, PAN_SPEED = (15.0, 120.0), (10.0, 150.0)
"""How far a camera turns to either side, on 128 pixels, and how fast, in pixels a second."""


def with_surroundings(scene: Scene, around: Sequence[str], rng: Random) -> Scene:
    """Return the scene with what moves besides the person, of `AROUND_SHARES`, before a background with a texture."""
    if not around:
        return scene
    scale = min(scene.resolution) / IMAGE
    objects = [_object(scene, rng) for _ in range(rng.integers(1, 4))] if OBJECTS in around else []
    behind = [each for each in objects if rng.random() < 0.5]
    people = [_passer_by(scene, rng)] if TWO_PEOPLE in around else []
    camera = _camera(around, scale, rng) if {SHAKE, PAN} & {*around} else None
    curtain = _curtain(scene.resolution.width, scale, rng) if CURTAIN in around else None
    before = tuple(each for each in objects if each not in behind)
    background = textured(scene.background, rng)
    surroundings = Surroundings((*people, *behind), before, camera, curtain)
    return replace(scene, background=background, around=surroundings)


def textured(background: FloatImage, rng: Random) -> FloatImage:
    """Return a luminance [H, W] with a random texture of several sizes, and maybe the folds of a curtain."""
    height, width = background.shape
    pattern = np.zeros(background.shape)
    for cells in (4, 11, 35):
        columns = _stretched(rng.standard_normal((cells, cells)), width)
        pattern += rng.uniform(0, 1) * _stretched(columns.T, height)
    folds = rng.uniform(0, 1.5) * (rng.random() < 0.4)
    pattern += folds * np.sin(2 * np.pi * (np.arange(width) / width * rng.uniform(3, 14) + rng.random()))
    return (background * np.exp(rng.uniform(0.08, 0.35) * pattern)).astype(np.float32)


def _stretched(values: Array, size: int) -> Array:
    place = np.linspace(0, len(values) - 1, size)
    before = np.minimum(place.astype(int), len(values) - 2)
    return values[before] + (place - before)[:, None] * (values[before + 1] - values[before])


def _wandering(rng: Random, shape: tuple[int, ...], fastest_hz: float) -> Moving:
    """Return smooth random movement, mean 0 and deviation 1, that is the same whenever it is asked for."""
    seed = int(rng.integers(2**32))
    return lambda times_s: smooth_noise(times_s, np.random.default_rng(seed), shape, fastest_hz)


def _camera(around: Sequence[str], scale: float, rng: Random) -> Moving:
    shaking = _wandering(rng, (2,), log_uniform(rng, *SHAKE_HZ))
    size = scale * log_uniform(rng, *SHAKE_PIXELS) * (SHAKE in around)
    far, speed = scale * rng.uniform(*PAN_PIXELS), scale * log_uniform(rng, *PAN_SPEED)
    panning = to_and_fro(far, speed, rng.uniform(0, 2 * np.pi))
    tilt = rng.normal(0, 0.2)
    way = np.array([np.cos(tilt), np.sin(tilt)]) * (PAN in around)
    return lambda times_s: size * shaking(times_s) + panning(times_s)[:, None] * way


def _curtain(width: int, scale: float, rng: Random) -> Moving:
    """Return waves that run through a part of the columns, swelling and fading."""
    x = np.arange(width) / scale
    size, length = scale * rng.uniform(1.5, 8), rng.uniform(12, 70)
    hz = rng.uniform(0.2, 1.5) * rng.choice([-1, 1])
    middle, half = rng.uniform(0, IMAGE), rng.uniform(20, 90)
    hung = np.clip((half - abs(x - middle)) / 10, 0, 1)
    swelling = _wandering(rng, (), 0.6)
    return lambda times_s: (
        (size * abs(swelling(times_s)))[:, None] * hung * np.sin(2 * np.pi * (x / length - hz * times_s[:, None]))
    )


def _passer_by(scene: Scene, rng: Random) -> Moving:
    other = replace(scene, body=replace(draw_body(rng, "wide"), wall=scene.body.wall))
    does, seed = WALKING if rng.random() < 0.7 else IDLE, int(rng.integers(2**32))
    return lambda times_s: shapes_of(other, perform(does, times_s, np.random.default_rng(seed)))


def _object(scene: Scene, rng: Random) -> Moving:
    """Return a ball, a bar, a box or a wheel with spokes that goes about, turns, or both."""
    kind = rng.choice(["ball", "bar", "box", "wheel"])
    size = log_uniform(rng, 4, 32)
    count = int(rng.integers(2, 9)) if kind == "wheel" else 1
    thick = size * {"ball": 1.0, "bar": rng.uniform(0.1, 0.4), "box": rng.uniform(0.4, 1.0), "wheel": 0.12}[kind]
    half = 0.0 if kind == "ball" else size
    angles = np.pi / count * np.arange(count) + rng.uniform(0, np.pi)
    looks = np.clip(scene.body.wall * np.exp(rng.normal(0, 0.7)) * np.ones(count), 0.02, 1)
    place, still = rng.uniform(0, IMAGE, 2), kind == "wheel" and rng.random() < 0.6
    wandering = _wandering(rng, (2,), rng.uniform(0.3, 2.0))
    crossing = to_and_fro(rng.uniform(20, 100), log_uniform(rng, 15, 250), rng.uniform(0, 2 * np.pi))
    heading, straight = rng.uniform(0, 2 * np.pi), rng.random() < 0.5
    far = rng.uniform(5, 35)
    spin = 2 * np.pi * log_uniform(rng, 0.1, 4.0) * rng.choice([-1, 1]) * (still or rng.random() < 0.5)
    texture, period = rng.uniform(0, 0.5), rng.uniform(3, 12)

    def shapes(times_s: Array) -> Array:
        way = np.array([np.cos(heading), np.sin(heading)])
        centre = place + (crossing(times_s)[:, None] * way if straight else far * wandering(times_s)) * (not still)
        turned = angles + spin * times_s[:, None]
        reach = half * np.stack([np.cos(turned), np.sin(turned)], axis=-1)
        made = np.empty((len(times_s), count, 11))
        made[..., 0:2], made[..., 3:5] = centre[:, None] - reach, centre[:, None] + reach
        made[..., 2] = made[..., 5] = -thick if kind == "box" else thick
        made[..., 6], made[..., 7], made[..., 8:] = 0.0, looks, (texture, period, 0.3)
        return on_sensor(scene, made)

    return shapes
