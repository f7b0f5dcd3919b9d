"""A person in front of a background, drawn as pictures of luminance, and the events that a DVS sensor makes of them.

Everything is drawn of one shape, the round cone: a segment with a radius at each end, shaded as if it were round,
with a texture that moves along. Shapes are painted from the farthest to the nearest. What moves besides the person is
in surroundings.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.compiled import njit
from livesnn.events.packet import Events, Resolution
from livesnn.simulate.body import IMAGE, Array, Body, Breadth, Limbs, draw_body, joints, log_uniform
from livesnn.video.dvs_pixel import DvsPixels, DvsPixelSpec, FloatImage

LAMP_SHARE = 0.1  # Share of people under a flickering lamp

FRAME_US = 4000  # Time between two pictures. In it the fastest gesture moves an edge by less than two pixels.

_BLOCK = 64  # pictures in memory at once

JITTER_US = (10.0, 300.0)
"""Mean delay of a sensor's events in µs, log-uniform: a pixel's latency jitters, and events queue for readout.
Assumed, not measured. The slowness of pixels in dim light is the low pass of `DvsPixelSpec`."""

DIM_SHARE, NOISY_SHARE, QUIET_SHARE = 1 / 3, 1 / 3, 1 / 3
"""Shares of wide sensors: in dim light, with much noise, with hardly any."""

_X0, _Y0, _R0, _X1, _Y1, _R1, _DEPTH, _LUMINANCE, _TEXTURE, _PERIOD, _PHASE = range(11)


class Scatter(NamedTuple):
    """Isolated events near moving edges: how many per event, and how many pixels away (standard deviation)."""

    share: float
    pixels: float


class Lamp(NamedTuple):
    """A flickering light: its frequency in Hz, and the share of each pixel's light that flickers, float32 [H, W]."""

    hz: float
    depth: FloatImage


Drift = tuple[Array, Array]
"""How far the background is from its place in each picture, in pixels: across [T, W], and down [T]."""

Moving = Callable[[Array], Array]  # Returns what is true at the moments [T], in s


class Surroundings(NamedTuple):
    """What moves besides the person."""

    # Return shapes [T, S, 11] in pixels of the sensor, painted behind or before the person
    behind: tuple[Moving, ...]
    before: tuple[Moving, ...]
    camera: Moving | None  # Returns how far everything is displaced, [T, 2], in pixels
    # Returns how far each column of the background is displaced besides, [T, W], in pixels
    curtain: Moving | None


@dataclass(frozen=True)
class Scene:
    """A person, the background, the sensor, the light, and the isolated events around moving edges."""

    body: Body
    background: FloatImage
    pixel: DvsPixelSpec
    resolution: Resolution
    scatter: Scatter
    lamp: Lamp | None
    around: Surroundings | None = None


def draw_pixel(rng: np.random.Generator, breadth: Breadth = "narrow") -> DvsPixelSpec:
    """Return a random sensor. The ranges include what DVS-Gesture's recordings show; wide ones, dim light as well."""
    threshold, imbalance = log_uniform(rng, 0.08, 0.25), rng.uniform(-0.09, 0.09)
    spec = DvsPixelSpec(
        threshold_on=threshold * (1 + imbalance),
        threshold_off=threshold * (1 - imbalance),
        mismatch=threshold * rng.uniform(0.02, 0.12),
        leak_hz=rng.uniform(0.0, 0.15),
        noise_hz=rng.uniform(0.02, 0.3),
        hot_fraction=rng.uniform(0.0, 0.0004),
        hot_hz=rng.uniform(10, 80),
        refractory_us=rng.uniform(200, 1500),
        cutoff_hz=1e3 / (2 * np.pi * log_uniform(rng, 0.5, 10.0)),
        dark_luminance=rng.uniform(0.02, 0.08),
    )
    return spec if breadth == "narrow" else _in_other_light(spec, rng)


def _in_other_light(spec: DvsPixelSpec, rng: np.random.Generator) -> DvsPixelSpec:
    """Return the sensor, maybe in dim light, and maybe with more noise or less.

    Real recordings in dim light have 3,000 to 5,000 events a second: contrasts hardly pass the threshold, pixels are
    slow, and the dark current takes contrast away.
    """
    if rng.random() < DIM_SHARE:
        more = log_uniform(rng, 0.12, 0.9) / (spec.threshold_on + spec.threshold_off) * 2
        spec = replace(
            spec,
            threshold_on=more * spec.threshold_on,
            threshold_off=more * spec.threshold_off,
            mismatch=more * spec.mismatch,
            cutoff_hz=1e3 / (2 * np.pi * log_uniform(rng, 1.0, 40.0)),
            dark_luminance=log_uniform(rng, 0.02, 0.3),
        )
    kind = rng.random()
    if kind < NOISY_SHARE:
        return replace(spec, noise_hz=log_uniform(rng, 0.3, 4.0))
    if kind < NOISY_SHARE + QUIET_SHARE:
        noise_hz, leak_hz = np.exp(rng.uniform(np.log(0.002), np.log(0.1), 2))
        return replace(spec, noise_hz=noise_hz, leak_hz=leak_hz)
    return spec


def draw_scene(
    rng: np.random.Generator, resolution: Resolution, lamp_share: float = LAMP_SHARE, breadth: Breadth = "narrow"
) -> Scene:
    """Return a random person in front of a random wall, seen by a random sensor, with a lamp by chance."""
    body = draw_body(rng, breadth)
    return Scene(
        body,
        _background(body.wall, resolution, rng),
        draw_pixel(rng, breadth),
        resolution,
        Scatter(rng.uniform(0.0, 0.3), min(resolution) / IMAGE * rng.uniform(4, 14)),
        _lamp(resolution, rng) if rng.random() < lamp_share else None,
    )


def _lamp(resolution: Resolution, rng: np.random.Generator) -> Lamp:
    """Return a lamp that lights the whole picture, or a part of it twice as much."""
    hz = log_uniform(rng, 0.5, 120)
    depth = log_uniform(rng, 0.02, 0.4)
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


def paint(scene: Scene, shapes: Array, canvas: FloatImage, drift: Drift | None = None) -> FloatImage:
    """Paint shapes [T, S, 11] into the first T pictures of ``canvas``; return these, luminance float32 [T, H, W]."""
    frames = canvas[: len(shapes)]
    if drift is None:
        frames[:] = scene.background
    else:
        _drifted(frames, scene.background, *drift)
    light = np.array([np.cos(scene.body.light), np.sin(scene.body.light)]) * scene.body.shading
    _paint(frames, shapes, light)
    return frames


def surrounded(scene: Scene, shapes: Array, times_us: npt.NDArray[np.int64]) -> tuple[Array, Drift | None]:
    """Return the person's shapes [T, S, 11] among all others at those times, and the background's drift, if any."""
    if scene.around is None:
        return shapes, None
    behind, before, camera, curtain = scene.around
    times_s = times_us / 1e6
    parts = [*(each(times_s) for each in behind), shapes, *(each(times_s) for each in before)]
    shapes = np.concatenate(parts, axis=1)
    if camera is None and curtain is None:
        return shapes, None
    moved = np.zeros((len(times_s), 2)) if camera is None else camera(times_s)
    shapes[:, :, [_X0, _X1]] += moved[:, :1, None]
    shapes[:, :, [_Y0, _Y1]] += moved[:, 1:, None]
    across = moved[:, :1] + np.zeros(scene.resolution.width)
    return shapes, (across if curtain is None else across + curtain(times_s), moved[:, 1])


def shapes_of(scene: Scene, limbs: Limbs) -> Array:
    """Return the round cones of the body in each picture, float64 [T, S, 11], farthest first."""
    body = scene.body
    parts = [_trunk(body, limbs), _head(body, limbs), _arms(body, limbs)]
    shapes = np.concatenate(parts if body.leg == 0 else [_legs(body, limbs), *parts], axis=1)
    order = np.argsort(shapes[:, :, _DEPTH], axis=1, kind="stable")
    return on_sensor(scene, np.take_along_axis(shapes, order[:, :, None], axis=1))


def on_sensor(scene: Scene, shapes: Array) -> Array:
    """Return shapes [T, S, 11], given on an image of 128×128, in pixels of the sensor; they are changed in place."""
    scale = min(scene.resolution) / IMAGE
    shapes[:, :, [_X0, _Y0, _R0, _X1, _Y1, _R1, _PERIOD]] *= scale
    shapes[:, :, [_X0, _X1]] += (scene.resolution.width - IMAGE * scale) / 2
    shapes[:, :, [_Y0, _Y1]] += (scene.resolution.height - IMAGE * scale) / 2
    return shapes


def _cone(start: Array, r0: float, end: Array, r1: float, depth: Array | float, body: Body, *,
          luminance: float, texture: float, phase: float) -> Array:  # fmt: skip
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
    low = 90 if body.leg == 0 else 0.75 * body.arm
    return np.stack([
        _cone(middle - 1.2 * body.head_radius * down, 0.5 * body.head_radius, middle, 0.6 * body.head_radius,
              -92, body, luminance=0.8 * body.skin, texture=0.0, phase=0.0),
        _cone(middle + chest * down, chest, middle + low * down, 0.85 * chest, -91, body, phase=0.16, **shirt),
        _cone(middle - across + 3 * down, body.arm_radius + 1, middle + across + 3 * down,
              body.arm_radius + 1, -90, body, phase=0.32, **shirt),
    ], axis=1)  # fmt: skip


def _legs(body: Body, limbs: Limbs) -> Array:
    """Return thighs and shins [T, 4, 11], behind everything else. Feet keep to the floor unless they are lifted."""
    hips = limbs.trunk[:, :2] + np.array([body.centre_x, body.shoulder_y + 0.85 * body.arm])
    floor = body.shoulder_y + 0.85 * body.arm + body.leg
    shapes: list[Array] = []
    for foot, side in enumerate((-0.45, 0.45)):
        hip = hips + np.array([side * body.half_shoulders, 0])
        sole = np.stack([hip[:, 0] + 0.3 * side * body.half_shoulders, floor - limbs.feet[:, foot]], axis=1)
        bent = np.maximum(0, body.leg - np.linalg.norm(sole - hip, axis=1))  # the knee comes forward and out
        knee = (hip + sole) / 2 + np.stack([side * np.sqrt(bent * body.leg) / 2, -0.2 * bent], axis=1)
        for start, r0, end, r1 in ((hip, 0.42, knee, 0.28), (knee, 0.28, sole, 0.2)):
            wide = body.half_shoulders
            shapes.append(_cone(start, r0 * wide, end, r1 * wide, -93, body, luminance=body.hair,
                                texture=0.25 * body.texture, phase=0.1 * len(shapes)))  # fmt: skip
    return np.stack(shapes, axis=1)


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
    for k in range(len(frames)):
        for shape in shapes[k]:
            if shape[2] != 0 or shape[5] != 0:
                _paint_cone(frames[k], shape, light[0], light[1])


@njit(nogil=True, cache=True, fastmath=True)
def _wave(turns):  # type: ignore[no-untyped-def]
    """Return a sine approximated by two parabolas, off by at most 6 %, in a tenth of the time."""
    turns -= np.floor(turns + 0.5)
    return 8.0 * turns * (1.0 - 2.0 * abs(turns))


@njit(nogil=True, cache=True, fastmath=True)
def _paint_cone(frame, shape, light_x, light_y):  # type: ignore[no-untyped-def]
    """Paint one round cone, its edge one pixel soft; one of negative radii has square ends."""
    height, width = frame.shape
    x0, y0, r0, x1, y1, r1, _, luminance, texture, period, phase = shape
    square = r0 < 0
    r0, r1 = abs(r0), abs(r1)
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
            if square:
                cover = min(cover, (0.5 - abs(along - 0.5)) * length + 0.5)
            if cover <= 0.0:
                continue
            value = luminance * (1.0 + (light_x * ex + light_y * ey) / max(radius, 0.5))
            if texture > 0.0:
                across = (px * dy - py * dx) / length
                value *= 1.0 + texture * _wave(along * length / period + phase) * _wave(
                    0.7 * across / period + 2 * phase
                )
            frame[y, x] += min(cover, 1.0) * (max(value, 0.005) - frame[y, x])


@njit(nogil=True, cache=True, fastmath=True)
def _mirrored_place(place, size):  # type: ignore[no-untyped-def]
    """Return where a place beyond the picture's edges is inside it, as if mirrors stood there."""
    period = 2.0 * (size - 1)
    place -= np.floor(place / period) * period
    return min(place, period - place)


@njit(nogil=True, cache=True, fastmath=True)
def _drifted(frames, background, across, down):  # type: ignore[no-untyped-def]
    """Fill ``frames`` [T, H, W] with the background [H, W] at other places, bilinear; it goes on mirrored outside."""
    height, width = background.shape
    for k in range(len(frames)):
        for y in range(height):
            v = _mirrored_place(y - down[k], height)
            top = min(int(v), height - 2)
            v -= top
            for x in range(width):
                u = _mirrored_place(x - across[k, x], width)
                left = min(int(u), width - 2)
                u -= left
                upper = background[top, left] + u * (background[top, left + 1] - background[top, left])
                lower = background[top + 1, left] + u * (background[top + 1, left + 1] - background[top + 1, left])
                frames[k, y, x] = upper + v * (lower - upper)


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
        shapes, drift = surrounded(scene, shapes_of(scene, first.part(0, 1)), np.zeros(1, np.int64))
        picture = paint(scene, shapes, self._canvas, drift)[0]
        self._state = self._pixels.initial_state(picture, 0, rng)
        self._jitter = rng.spawn(1)[0]  # its own generator, so that later draws stay the same
        self._late_us = log_uniform(self._jitter, *JITTER_US)

    def shoot(self, shapes: Array, times_us: npt.NDArray[np.int64]) -> Events:
        """Return the events of shapes [T, S, 11] (see `shapes_of`) at ``times_us`` [T], later than all before."""
        packets = []
        for first in range(0, len(times_us), _BLOCK):
            some = slice(first, first + _BLOCK)
            together, drift = surrounded(self._scene, shapes[some], times_us[some])
            frames = lit(self._scene, paint(self._scene, together, self._canvas, drift), times_us[some])
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
