"""A person in front of a background, drawn as pictures of luminance, and the events that a DVS sensor makes of them.

Everything is drawn of one shape, the round cone: a segment with a radius at each end, shaded as if it were round,
with a texture that moves along. Shapes are painted from the farthest to the nearest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from livesnn.events.packet import Events, Resolution
from livesnn.simulate.body import IMAGE, Array, Body, Limbs, draw_body, joints
from livesnn.video.dvs_pixel import DvsPixels, DvsPixelSpec, FloatImage

LAMP_SHARE = 0.1
"""Share of people under a flickering lamp."""

FRAME_US = 4000
"""Time between two pictures. In it the fastest gesture moves an edge by less than two pixels."""

_BLOCK = 64  # pictures in memory at once

JITTER_US = (10.0, 300.0)
"""Mean delay of a sensor's events in µs, log-uniform: a pixel's latency jitters, and events queue for readout.
Assumed, not measured. The slowness of pixels in dim light is the low pass of `DvsPixelSpec`."""

_X0, _Y0, _R0, _X1, _Y1, _R1, _DEPTH, _LUMINANCE, _TEXTURE, _PERIOD, _PHASE = range(11)


class Scatter(NamedTuple):
    """Isolated events near moving edges: how many per event, and how many pixels away (standard deviation)."""

    share: float
    pixels: float


class Lamp(NamedTuple):
    """A flickering light: its frequency in Hz, and the share of each pixel's light that flickers, float32 [H, W]."""

    hz: float
    depth: FloatImage


@dataclass(frozen=True)
class Scene:
    """A person, the background, the sensor, the light, and the isolated events around moving edges."""

    body: Body
    background: FloatImage
    pixel: DvsPixelSpec
    resolution: Resolution
    scatter: Scatter
    lamp: Lamp | None


def draw_pixel(rng: np.random.Generator) -> DvsPixelSpec:
    """Return a random sensor. The ranges include what DVS-Gesture's recordings show."""
    threshold, imbalance = np.exp(rng.uniform(np.log(0.08), np.log(0.25))), rng.uniform(-0.09, 0.09)
    return DvsPixelSpec(
        threshold_on=threshold * (1 + imbalance),
        threshold_off=threshold * (1 - imbalance),
        mismatch=threshold * rng.uniform(0.02, 0.12),
        leak_hz=rng.uniform(0.0, 0.15),
        noise_hz=rng.uniform(0.02, 0.3),
        hot_fraction=rng.uniform(0.0, 0.0004),
        hot_hz=rng.uniform(10, 80),
        refractory_us=rng.uniform(200, 1500),
        cutoff_hz=1e3 / (2 * np.pi * np.exp(rng.uniform(np.log(0.5), np.log(10.0)))),
        dark_luminance=rng.uniform(0.02, 0.08),
    )


def draw_scene(rng: np.random.Generator, resolution: Resolution, lamp_share: float = LAMP_SHARE) -> Scene:
    """Return a random person in front of a random wall, seen by a random sensor, with a lamp by chance."""
    body = draw_body(rng)
    return Scene(
        body,
        _background(body.wall, resolution, rng),
        draw_pixel(rng),
        resolution,
        Scatter(rng.uniform(0.0, 0.3), min(resolution) / IMAGE * rng.uniform(4, 14)),
        _lamp(resolution, rng) if rng.random() < lamp_share else None,
    )


def _lamp(resolution: Resolution, rng: np.random.Generator) -> Lamp:
    """Return a lamp that lights the whole picture, or a part of it twice as much."""
    hz = float(np.exp(rng.uniform(np.log(0.5), np.log(120))))
    depth = np.exp(rng.uniform(np.log(0.02), np.log(0.4)))
    rows, columns = np.mgrid[: resolution.height, : resolution.width] / max(resolution)
    away = np.hypot(rows - rng.uniform(0, 1), columns - rng.uniform(0, 1))
    lit = (away < rng.uniform(0.03, 0.4)) * 2.0 if rng.random() < 0.6 else np.ones(away.shape)
    return Lamp(hz, (depth * lit).astype(np.float32))


def _background(wall: float, resolution: Resolution, rng: np.random.Generator) -> FloatImage:
    """Return a still background, luminance float32 [H, W]: a wall with a gradient and a few rectangles."""
    rows, columns = np.mgrid[: resolution.height, : resolution.width] / max(resolution)
    slope = rng.uniform(-0.4, 0.4, 2)
    image = wall * (1 + slope[0] * (columns - 0.5) + slope[1] * (rows - 0.5))
    for _ in range(rng.integers(0, 6)):
        left, top = rng.uniform(-0.2, 1, 2)
        width, height = rng.uniform(0.05, 0.5, 2)
        inside = (abs(columns - left) < width / 2) & (abs(rows - top) < height / 2)
        image = np.where(inside, image * rng.uniform(0.7, 1.3), image)
    return image.astype(np.float32)


def paint(scene: Scene, shapes: Array, canvas: FloatImage) -> FloatImage:
    """Paint shapes [T, S, 11] into the first T pictures of ``canvas``; return these, luminance float32 [T, H, W]."""
    frames = canvas[: len(shapes)]
    frames[:] = scene.background
    light = np.array([np.cos(scene.body.light), np.sin(scene.body.light)]) * scene.body.shading
    _paint(frames, shapes, light)
    return frames


def shapes_of(scene: Scene, limbs: Limbs) -> Array:
    """Return the round cones of the body in each picture, float64 [T, S, 11], farthest first."""
    body = scene.body
    shapes = np.concatenate([_trunk(body, limbs), _head(body, limbs), _arms(body, limbs)], axis=1)
    order = np.argsort(shapes[:, :, _DEPTH], axis=1, kind="stable")
    shapes = np.take_along_axis(shapes, order[:, :, None], axis=1)
    scale = min(scene.resolution) / IMAGE
    shapes[:, :, [_X0, _Y0, _R0, _X1, _Y1, _R1, _PERIOD]] *= scale
    shapes[:, :, [_X0, _X1]] += (scene.resolution.width - IMAGE * scale) / 2
    shapes[:, :, [_Y0, _Y1]] += (scene.resolution.height - IMAGE * scale) / 2
    return shapes


def _cone(start: Array, r0: float, end: Array, r1: float, depth: Array | float, body: Body, *,
          luminance: float, texture: float, phase: float) -> Array:  # fmt: skip
    """Return one shape [T, 11] between two points [T, 2]."""
    shape = np.empty((len(start), 11))
    shape[:, _X0], shape[:, _Y0], shape[:, _R0] = start[:, 0], start[:, 1], r0
    shape[:, _X1], shape[:, _Y1], shape[:, _R1] = end[:, 0], end[:, 1], r1
    shape[:, _DEPTH], shape[:, _LUMINANCE] = depth, luminance
    shape[:, _TEXTURE], shape[:, _PERIOD], shape[:, _PHASE] = texture, body.texture_period, phase
    return shape


def _trunk(body: Body, limbs: Limbs) -> Array:
    """Return shoulders, chest and neck [T, 3, 11], behind everything else."""
    middle = limbs.trunk[:, :2] + [body.centre_x, body.shoulder_y]
    across = np.cos(limbs.trunk[:, 2:]) * [body.half_shoulders, body.half_shoulders * np.sin(body.roll)]
    down = np.array([0.0, 1.0])
    shirt = {"luminance": body.shirt, "texture": 0.25 * body.texture}
    chest = 0.92 * body.half_shoulders
    return np.stack([
        _cone(middle - 1.2 * body.head_radius * down, 0.5 * body.head_radius, middle, 0.6 * body.head_radius,
              -92, body, luminance=0.8 * body.skin, texture=0.0, phase=0.0),
        _cone(middle + chest * down, chest, middle + 90 * down, 0.85 * chest, -91, body, phase=0.16, **shirt),
        _cone(middle - across + 3 * down, body.arm_radius + 1, middle + across + 3 * down,
              body.arm_radius + 1, -90, body, phase=0.32, **shirt),
    ], axis=1)  # fmt: skip


def _head(body: Body, limbs: Limbs) -> Array:
    """Return hair, face, eyes and mouth [T, 5, 11]."""
    r = body.head_radius
    place = limbs.trunk[:, :2] + limbs.head + [body.centre_x, body.shoulder_y - 2.1 * r]
    turn = np.stack([0.35 * r * np.sin(3 * limbs.trunk[:, 2]), np.zeros(len(place))], axis=1)

    def part(dx0: float, dy0: float, r0: float, dx1: float, dy1: float, r1: float, depth: float,
             luminance: float, *, face: bool = True) -> Array:  # fmt: skip
        at = place + (turn if face else 0)
        start, end = at + np.array([dx0, dy0]) * r, at + np.array([dx1, dy1]) * r
        return _cone(start, r0 * r, end, r1 * r, depth, body, luminance=luminance, texture=0.0, phase=0.0)

    dark = 0.55 * body.skin
    return np.stack([
        part(0, -0.3, 1.0, 0, 0.2, 0.95, -80, body.hair, face=False),
        part(0, -0.05, 0.85, 0, 0.5, 0.72, -79, body.skin),
        part(-0.42, -0.05, 0.1, -0.2, -0.05, 0.1, -78, dark),
        part(0.2, -0.05, 0.1, 0.42, -0.05, 0.1, -78, dark),
        part(-0.25, 0.62, 0.08, 0.25, 0.62, 0.08, -78, dark),
    ], axis=1)  # fmt: skip


def _arms(body: Body, limbs: Limbs) -> Array:
    """Return upper arm, forearm, sleeve over it, palm and fingers of both arms [T, 14, 11]."""
    all_joints = joints(body, limbs)
    covered = np.clip((body.sleeve * body.arm - body.upper_arm) / body.forearm, 0.0, 1.0)
    shirt = {"luminance": 1.15 * body.shirt, "texture": body.texture}
    skin = {"luminance": body.skin, "texture": 0.7 * body.texture}
    elbow_radius = (body.arm_radius + body.wrist_radius) / 2
    wide, thick = body.palm * body.hand, body.finger * body.hand
    shapes: list[Array] = []
    for arm in (0, 1):
        shoulder, elbow, wrist, tip = (all_joints[:, arm, k] for k in range(4))
        cuff = elbow + covered * (wrist - elbow)
        palm = 0.62 * wrist + 0.38 * tip
        spread = 0.3 * (tip - wrist)[:, [1, 0, 2]] * [-1, 1, 0]  # of the fingers, across the hand
        bare_upper = body.sleeve * body.arm < 0.9 * body.upper_arm
        for start, r0, end, r1, look in (
            (shoulder, body.arm_radius, elbow, elbow_radius, skin if bare_upper else shirt),
            (elbow, elbow_radius, wrist, body.wrist_radius, skin),
            (elbow, 1.12 * elbow_radius, cuff, 1.3 * body.wrist_radius, shirt),
            (palm, wide, palm, wide, skin),
            (palm, thick, tip - spread, 0.45 * thick, skin),
            (palm, thick, tip, 0.45 * thick, skin),
            (palm, thick, tip + spread, 0.45 * thick, skin),
        ):
            depth = (start[:, 2] + end[:, 2]) / 2 + (0.1 if start is palm else 0.0)
            radius = 0.0 if end is cuff and covered == 0 else 1.0
            shapes.append(_cone(start[:, :2], radius * r0, end[:, :2], radius * r1, depth, body,
                                phase=0.37 * len(shapes), **look))  # fmt: skip
    stacked = np.stack(shapes, axis=1)
    nearer = body.distance / np.maximum(body.distance - stacked[:, :, _DEPTH], 0.3 * body.distance)
    stacked[:, :, [_R0, _R1]] *= nearer[:, :, None]
    return stacked


@njit(nogil=True, cache=True, fastmath=True)
def _paint(frames, shapes, light):  # type: ignore[no-untyped-def]
    """Paint round cones [T, S, 11] over ``frames`` [T, H, W], in place."""
    for k in range(len(frames)):
        for shape in shapes[k]:
            if shape[2] > 0 or shape[5] > 0:
                _paint_cone(frames[k], shape, light[0], light[1])


@njit(nogil=True, cache=True, fastmath=True)
def _wave(turns):  # type: ignore[no-untyped-def]
    """Return a sine approximated by two parabolas, off by at most 6 %, in a tenth of the time."""
    turns -= np.floor(turns + 0.5)
    return 8.0 * turns * (1.0 - 2.0 * abs(turns))


@njit(nogil=True, cache=True, fastmath=True)
def _paint_cone(frame, shape, light_x, light_y):  # type: ignore[no-untyped-def]
    """Paint one round cone, its edge one pixel soft."""
    height, width = frame.shape
    x0, y0, r0, x1, y1, r1, _, luminance, texture, period, phase = shape
    dx, dy = x1 - x0, y1 - y0
    length2 = max(dx * dx + dy * dy, 1e-6)
    length = np.sqrt(length2)
    left = max(int(min(x0 - r0, x1 - r1)) - 1, 0)
    right = min(int(max(x0 + r0, x1 + r1)) + 2, width)
    top = max(int(min(y0 - r0, y1 - r1)) - 1, 0)
    bottom = min(int(max(y0 + r0, y1 + r1)) + 2, height)
    for y in range(top, bottom):
        for x in range(left, right):
            px, py = x - x0, y - y0
            along = (px * dx + py * dy) / length2
            part = min(max(along, 0.0), 1.0)
            ex, ey = px - part * dx, py - part * dy
            radius = r0 + part * (r1 - r0)
            away = np.sqrt(ex * ex + ey * ey)
            cover = radius - away + 0.5
            if cover <= 0.0:
                continue
            value = luminance * (1.0 + (light_x * ex + light_y * ey) / max(radius, 0.5))
            if texture > 0.0:
                across = (px * dy - py * dx) / length
                value *= 1.0 + texture * _wave(along * length / period + phase) * _wave(
                    0.7 * across / period + 2 * phase
                )
            frame[y, x] += min(cover, 1.0) * (max(value, 0.005) - frame[y, x])


class Film:
    """A scene seen by its sensor from time 0 on. Use it from one thread only.

    ``first``: the pose at time 0; only its first moment is used. ``rng`` draws the sensor's mismatch and seeds its
    noise.
    """

    def __init__(self, scene: Scene, first: Limbs, rng: np.random.Generator) -> None:
        self._scene, self._random = scene, rng
        self._pixels = DvsPixels(scene.pixel, scene.resolution, rng)
        # One buffer for all pictures: allocating anew would double the time, as the system zeroes fresh memory.
        self._canvas = np.empty((_BLOCK, *scene.background.shape), np.float32)
        picture = paint(scene, shapes_of(scene, first.part(0, 1)), self._canvas)[0]
        self._state = self._pixels.initial_state(picture, 0, rng)
        self._jitter = rng.spawn(1)[0]  # its own generator, so that later draws stay the same
        self._late_us = float(np.exp(self._jitter.uniform(*np.log(JITTER_US))))

    def shoot(self, shapes: Array, times_us: npt.NDArray[np.int64]) -> Events:
        """Return the events of shapes [T, S, 11] (see `shapes_of`) at ``times_us`` [T], later than all before."""
        packets = []
        for first in range(0, len(times_us), _BLOCK):
            some = slice(first, first + _BLOCK)
            frames = lit(self._scene, paint(self._scene, shapes[some], self._canvas), times_us[some])
            packet, self._state = self._pixels.sequence(frames, times_us[some], self._state)
            packets.append(packet)
        events = np.concatenate(packets)
        events = scattered(events, self._scene.scatter, self._scene.resolution, self._random)
        return delayed(events, self._late_us, self._jitter)


def delayed(events: Events, late_us: float, rng: np.random.Generator) -> Events:
    """Return ``events`` delayed by exponentially distributed times of mean ``late_us``, sorted again.

    None is delayed beyond the last event, so that filming can go on. Two events of a pixel may swap, which a sensor
    doesn't do. It is rare, since they are a refractory time apart.
    """
    late = events.copy()
    late["t"] = np.minimum(late["t"] + rng.exponential(late_us, len(late)).astype(np.int64), events["t"][-1:])
    return late[np.argsort(late["t"], kind="stable")]


def scattered(events: Events, scatter: Scatter, sensor: Resolution, rng: np.random.Generator) -> Events:
    """Return ``events`` and, for a share of them, one more event nearby, of random polarity, up to 2 ms later.

    In DVS-Gesture's clips 24 to 34 % of the events are isolated: no neighbour had an event in the last 5 ms. Within
    30 pixels of moving edges a pixel has five to fifteen times as many of them as elsewhere. Sensor noise is even.
    """
    more = events[rng.random(len(events)) < scatter.share]
    away = np.rint(rng.normal(0, scatter.pixels, (2, len(more)))).astype(np.int64)
    x, y = more["x"] + away[0], more["y"] + away[1]
    more["t"] = np.minimum(more["t"] + rng.integers(0, 2000, len(more)), events["t"][-1:])
    more["p"] = rng.random(len(more)) < 0.5
    inside = (x >= 0) & (x < sensor.width) & (y >= 0) & (y < sensor.height)
    more = more[inside]
    more["x"], more["y"] = x[inside], y[inside]
    both = np.concatenate([events, more])
    return both[np.argsort(both["t"], kind="stable")]


def lit(scene: Scene, frames: FloatImage, times_us: npt.NDArray[np.int64]) -> FloatImage:
    """Return pictures float32 [T, H, W] as the scene's lamp lights them at those times."""
    if scene.lamp is None:
        return frames
    swing = np.sin(2 * np.pi * scene.lamp.hz * times_us / 1e6).astype(np.float32)
    return frames * (1 + scene.lamp.depth * swing[:, None, None])
