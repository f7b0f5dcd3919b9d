"""A model of a DVS: what its pixels are like, and the events that they make of frames."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.compiled import njit
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution

TIME_SHIFT, PIXEL_MASK = 24, (1 << 23) - 1  # an event as one int64: t, pixel, p; up to 8 Mpx and 6 days
_TOGETHER = 32
"""Pixels: most have no event for most of the time, and so many such are advanced in a few instructions."""

FloatImage = npt.NDArray[np.float32]
_CODED = np.arange(256) / 255
SRGB_LIGHT = np.where(_CODED <= 0.04045, _CODED / 12.92, ((_CODED + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""The luminance 0 to 1 of each code of an sRGB picture, float32 [256] (IEC 61966-2-1)."""
_AT_ONCE = 8  # frames whose logarithms are in memory: larger arrays the system takes back, and zeroes anew
LEAST_THRESHOLD = 0.01  # log units; v2e's bound against endless events of a badly matched pixel


@dataclass(frozen=True)
class DvsPixelSpec:
    """What a sensor's pixels are like. The defaults are a quiet DVS in good light."""

    # Change of log luminance (natural log, no unit, both > 0) that makes an ON or OFF event
    threshold_on: float = 0.2
    threshold_off: float = 0.2
    mismatch: float = 0.03  # Standard deviation from pixel to pixel of each threshold, log units
    leak_hz: float = 0.1  # Rate of the ON events a pixel makes by itself, because its reference drifts (Hz)
    # Mean rate of shot noise events a pixel, half ON and half OFF, whatever the light (Hz)
    noise_hz: float = 0.1
    # Share of pixels, drawn at random, that have the noise rate ``hot_hz`` in place of ``noise_hz``
    hot_fraction: float = 0.0
    hot_hz: float = 50.0
    # Time after an event in which the pixel is held in reset: it sees no change (µs)
    refractory_us: float = 500.0
    # First-order low pass before the comparators, −3 dB at this frequency (Hz); None = none
    cutoff_hz: float | None = None
    # Added to the luminance before the logarithm: the photodiode's dark current, in the caller's unit of
    # luminance, > 0
    dark_luminance: float = 0.02


class DvsState(NamedTuple):
    """All that pixels remember between two frames; every array is [H, W] and never changed in place."""

    t_us: int  # of the last frame
    level: npt.NDArray[np.float64]  # low-passed log luminance at ``t_us``
    reference: npt.NDArray[np.float64]  # that the comparators measure change from, at ``t_us``
    ready_us: npt.NDArray[np.float64]  # when the pixel leaves its refractory time
    noise_us: npt.NDArray[np.float64]  # when the next noise event falls due
    random: npt.NDArray[np.uint64]  # each pixel's own stream, so that noise doesn't depend on the cuts


class DvsPixels:
    """One sensor, with thresholds and noise rates; the state of its pixels is a `DvsState`.

    ``rng`` draws mismatch and hot pixels, here and never again.
    """

    def __init__(self, spec: DvsPixelSpec, resolution: Resolution, rng: np.random.Generator) -> None:
        shape = (resolution.height, resolution.width)
        spread = rng.standard_normal((2, *shape)) * spec.mismatch
        self.spec = spec
        self.resolution = resolution
        self._on = np.maximum(spec.threshold_on + spread[0], LEAST_THRESHOLD)
        off = np.maximum(spec.threshold_off + spread[1], LEAST_THRESHOLD)
        hot = rng.random(shape) < spec.hot_fraction
        self._noise_per_us = np.where(hot, spec.hot_hz, spec.noise_hz) * 1e-6
        self._fixed = (self._on, off, self._on * spec.leak_hz * 1e-6, self._noise_per_us)

    def initial_state(self, luminance: FloatImage, t_us: int, rng: np.random.Generator) -> DvsState:
        """Return pixels that have looked at ``luminance`` [H, W] for a long time; ``rng`` seeds their noise."""
        level = self._log(luminance[None], np.empty((1, *luminance.shape), np.float32))[0].astype(np.float64)
        random = rng.integers(0, 2**64, level.shape, np.uint64)
        with np.errstate(divide="ignore", over="ignore"):  # no noise: for ever
            wait_us = rng.standard_exponential(level.shape) / self._noise_per_us
        reference = level.copy()
        if self.spec.leak_hz > 0:  # otherwise all pixels would leak their first event at the same moment
            reference -= self._on * rng.random(level.shape)
        return DvsState(t_us, level, reference, np.full(level.shape, -inf), t_us + wait_us, random)

    def sequence(
        self, luminances: FloatImage, times_us: npt.NDArray[np.int64], state: DvsState
    ) -> tuple[Events, DvsState]:
        """Advance over frames; the level moves linearly in log luminance from each frame to the next.

        ``luminances`` is float32 [T, H, W], linear, ≥ 0, and ``times_us`` [T], rising, after ``state.t_us``; both may
        be empty. The events, after ``state.t_us`` and up to ``times_us[-1]``, are ordered by time, then by pixel.
        There are several a pixel and frame where the level moved by several thresholds. ``state`` isn't changed.
        """
        t_us = int(times_us[-1]) if len(times_us) else state.t_us
        after = DvsState(t_us, *(array.copy() for array in state[1:]))  # type: ignore[arg-type]
        fixed = tuple(array.ravel() for array in self._fixed)
        pixels = tuple(array.ravel() for array in after[1:])
        decay = inf if self.spec.cutoff_hz is None else 2e-6 * np.pi * self.spec.cutoff_hz
        logs = np.empty((_AT_ONCE, *luminances.shape[1:]), np.float32)
        times = np.append(state.t_us, times_us).astype(np.float64)
        found = [np.empty(0, np.int64)]
        for first in range(0, len(luminances), _AT_ONCE):
            some = self._log(luminances[first : first + _AT_ONCE], logs)
            frames, span = some.reshape(len(some), -1), times[first : first + len(some) + 1]
            found.append(advance(frames, span, times[0], pixels, fixed, self.spec.refractory_us, decay))
        keys = np.concatenate(found)
        keys.sort()
        events = np.empty(len(keys), EVENTS_DTYPE)
        events["t"] = state.t_us + (keys >> TIME_SHIFT)
        events["y"], events["x"] = np.divmod(keys >> 1 & PIXEL_MASK, self.resolution.width)
        events["p"] = keys & 1
        return events, after

    def _log(self, luminances: FloatImage, out: FloatImage) -> FloatImage:
        """Return the logarithms, in a part of ``out``."""
        logs = np.add(luminances, np.float32(self.spec.dark_luminance), out=out[: len(luminances)])
        return np.log(logs, out=logs)


@njit(nogil=True, cache=True)
def _uniform(random, i):  # type: ignore[no-untyped-def]
    """Draw from [0, 1) by splitmix64 (Steele et al. 2014), advancing pixel ``i``'s stream."""
    random[i] += np.uint64(0x9E3779B97F4A7C15)
    z = random[i]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.float64((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


@njit(nogil=True, cache=True)
def _exponential(random, i):  # type: ignore[no-untyped-def]
    return -np.log(1.0 - _uniform(random, i))


@njit(nogil=True, cache=True)
def _crossing(t, change, slope, on, off):  # type: ignore[no-untyped-def]
    """Return when the change since the reference reaches a threshold (inf: never), and which (+1 or −1)."""
    if slope > 0:
        return t + max(on - change, 0.0) / slope, 1
    if slope < 0:
        return t + max(off + change, 0.0) / -slope, -1
    return np.inf, 0


@njit(nogil=True, cache=True)
def _busy(keys, busy, frame, gain, t0, t1, start, state, fixed, refractory):  # type: ignore[no-untyped-def]
    """Advance the pixels ``busy`` over (t0, t1], in which a level moves in a line; append their events.

    A held pixel wakes with its reference at the level of that moment: what happened meanwhile is lost.
    """
    level, reference, ready, noise_due, random = state
    on, off, leak, noise = fixed
    for i in busy:
        target = level[i] + gain * (frame[i] - level[i])
        slope = (target - level[i]) / (t1 - t0)
        t = t0
        while True:
            if ready[i] > t:
                if ready[i] >= t1:
                    break
                t = ready[i]
                reference[i] = level[i] + slope * (t - t0)
            while noise_due[i] <= t:
                noise_due[i] += _exponential(random, i) / noise[i]
            change = level[i] + slope * (t - t0) - reference[i]
            t_event, sign = _crossing(t, change, slope + leak[i], on[i], off[i])
            if noise_due[i] <= t_event:
                t_event, sign = noise_due[i], 0
            if t_event > t1:
                reference[i] -= leak[i] * (t1 - t)
                break
            if sign == 0:
                sign = 1 if _uniform(random, i) < 0.5 else -1
            t = t_event
            reference[i] = level[i] + slope * (t - t0)
            ready[i] = t + refractory
            keys.append((np.int64(np.ceil(t - start)) << TIME_SHIFT) | (i << 1) | (sign > 0))
        level[i] = target


@njit(nogil=True, cache=True)
def advance(logs, times, start, state, fixed, refractory, decay):  # type: ignore[no-untyped-def]
    """Advance all pixels over frames [T, N] at times[1:], changing ``state`` in place; each event is one integer.

    That integer holds time since ``start``, pixel and polarity from high to low: sorting it sorts events.
    """
    level, reference, ready, noise_due, _ = state
    on, off, leak, _ = fixed
    keys = [np.int64(0) for _ in range(0)]
    busy = np.empty(level.size, np.int64)
    whole = level.size // _TOGETHER
    for k in range(len(logs)):
        t0, t1, frame = times[k], times[k + 1], logs[k]
        gain = 1.0 - np.exp(-decay * (t1 - t0))
        n = 0
        for block in range(whole):
            first, events = block * _TOGETHER, 0
            for i in range(first, first + _TOGETHER):  # without branches, a known number: eight at once
                change = level[i] + gain * (frame[i] - level[i]) - reference[i] + leak[i] * (t1 - t0)
                events += int(change <= -off[i]) + int(change >= on[i])
                events += int(ready[i] > t0) + int(noise_due[i] <= t1)
            if events == 0:
                for i in range(first, first + _TOGETHER):
                    level[i] += gain * (frame[i] - level[i])
                    reference[i] -= leak[i] * (t1 - t0)
                continue
            for i in range(first, first + _TOGETHER):
                target = level[i] + gain * (frame[i] - level[i])
                change = target - reference[i] + leak[i] * (t1 - t0)
                if -off[i] < change < on[i] and ready[i] <= t0 and noise_due[i] > t1:
                    level[i] = target
                    reference[i] -= leak[i] * (t1 - t0)
                else:
                    busy[n] = i
                    n += 1
        for i in range(whole * _TOGETHER, level.size):
            busy[n] = i
            n += 1
        _busy(keys, busy[:n], frame, gain, t0, t1, start, state, fixed, refractory)
    return np.array(keys)
