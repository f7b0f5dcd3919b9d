"""What a sensor makes of a scene: pictures, light and the DVS pixel. Not here: what is drawn (scene.py)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from livesnn.events.packet import Events
from livesnn.simulate.body import Array, Limbs
from livesnn.simulate.scene import Scene, paint, shapes_of
from livesnn.video.dvs_pixel import DvsPixels, FloatImage

FRAME_US = 4000
"""Between two pictures: an edge of the fastest gesture moves by less than two pixels."""

_BLOCK = 64  # pictures in memory at once

JITTER_US = (10.0, 300.0)
"""How late a sensor's events are at the mean, µs, log-uniform: a pixel's latency jitters, and events wait for each
other on the way out. Assumed, not measured; slow pixels in dim light are the low pass of `DvsPixelSpec`."""


class Film:
    """A scene seen by its sensor from time 0 on; of one thread alone.

    Parameters
    ----------
    scene
        What is seen.
    first
        Pose at time 0; only its first is used.
    rng
        Draws the sensor's mismatch and seeds its noise.
    """

    def __init__(self, scene: Scene, first: Limbs, rng: np.random.Generator) -> None:
        self._scene, self._random = scene, rng
        self._pixels = DvsPixels(scene.pixel, scene.resolution, rng)
        # The same memory for all pictures: what is new each time, the system zeroes first, for twice the time.
        self._canvas = np.empty((_BLOCK, *scene.background.shape), np.float32)
        picture = paint(scene, shapes_of(scene, first.part(0, 1)), self._canvas)[0]
        self._state = self._pixels.initial_state(picture, 0, rng)
        self._jitter = rng.spawn(1)[0]  # a stream of its own: whatever is drawn later stays the same
        self._late_us = float(np.exp(self._jitter.uniform(*np.log(JITTER_US))))

    def shoot(self, shapes: Array, times_us: npt.NDArray[np.int64]) -> Events:
        """Return the events of the `shapes_of` poses [T, S, 11] at ``times_us`` [T], later than all before."""
        packets = []
        for first in range(0, len(times_us), _BLOCK):
            some = slice(first, first + _BLOCK)
            frames = lit(self._scene, paint(self._scene, shapes[some], self._canvas), times_us[some])
            packet, self._state = self._pixels.sequence(frames, times_us[some], self._state)
            packets.append(packet)
        events = scattered(np.concatenate(packets), self._scene, self._random)
        return delayed(events, self._late_us, self._jitter)


def delayed(events: Events, late_us: float, rng: np.random.Generator) -> Events:
    """Return ``events``, each late by a random time of exponential distribution, mean ``late_us``, in order again.

    None is later than the last one was: they are all there when the film goes on. Two of one pixel may change places,
    which in a sensor they don't: they are a refractory time apart, of which that is rare.
    """
    late = events.copy()
    late["t"] = np.minimum(late["t"] + rng.exponential(late_us, len(late)).astype(np.int64), events["t"][-1:])
    return late[np.argsort(late["t"], kind="stable")]


def scattered(events: Events, scene: Scene, rng: np.random.Generator) -> Events:
    """Return ``events`` and, for a share of them, another one of any polarity somewhere near, up to 2 ms later.

    In the real clips at hand 24 to 34 % of the events are alone (no event of a neighbour in the last 5 ms), five to
    fifteen times as many a pixel within 30 pixels of what moves as far from it: noise of the sensor isn't.
    """
    more = events[rng.random(len(events)) < scene.scatter.share]
    away = np.rint(rng.normal(0, scene.scatter.pixels, (2, len(more)))).astype(np.int64)
    x, y = more["x"] + away[0], more["y"] + away[1]
    more["t"] = np.minimum(more["t"] + rng.integers(0, 2000, len(more)), events["t"][-1:])
    more["p"] = rng.random(len(more)) < 0.5
    inside = (x >= 0) & (x < scene.resolution.width) & (y >= 0) & (y < scene.resolution.height)
    more = more[inside]
    more["x"], more["y"] = x[inside], y[inside]
    both = np.concatenate([events, more])
    return both[np.argsort(both["t"], kind="stable")]


def lit(scene: Scene, frames: FloatImage, times_us: npt.NDArray[np.int64]) -> FloatImage:
    """Return pictures float32 [T, H, W] in the light of those times."""
    if scene.lamp is None:
        return frames
    swing = np.sin(2 * np.pi * scene.lamp.hz * times_us / 1e6).astype(np.float32)
    return frames * (1 + scene.lamp.depth * swing[:, None, None])
