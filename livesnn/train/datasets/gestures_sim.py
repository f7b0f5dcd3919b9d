"""gestures-sim: simulated people performing DVS-Gesture's classes, one window a clip; made once, then cached."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, SliceRule
from livesnn.events.frames import stack_clip
from livesnn.simulate.gestures import RESOLUTION, VERSION, Use, gesture_clip
from livesnn.simulate.motions import GESTURES, IDLE
from livesnn.train.datasets import Clips

UNKNOWN = -1
"""Label of a clip that is none of the classes: whoever trains on it teaches doubt."""

MEASURED_PEOPLE = 50
"""Clips a class, each of another person, in the validation and in the test split."""

_CHUNK = 200  # clips a cache file: what an interrupted simulation may lose


def load_gestures(input_spec: InputSpec, clips_per_class: int, *, use: Use, cache: Path) -> Clips:
    """Return ``clips_per_class`` clips of each of the eleven gestures, each of another person.

    Made by all processors where the cache doesn't have them; the first clips are the same whatever their number.
    """
    seeds = [(name, seed) for seed in range(clips_per_class) for name in GESTURES]
    frames = _cached(input_spec, seeds, use, cache)
    labels = np.array([GESTURES.index(name) for name, _ in seeds], np.int64)
    return Clips(frames, labels, tuple(f"{use}/{name}/{seed}" for name, seed in seeds), GESTURES)


def load_idle(input_spec: InputSpec, clips: int, *, use: Use, cache: Path) -> Clips:
    """Return clips of people who stand idle, labelled `UNKNOWN`."""
    seeds = [(IDLE, seed) for seed in range(clips)]
    names = tuple(f"{use}/{name}/{seed}" for name, seed in seeds)
    return Clips(_cached(input_spec, seeds, use, cache), np.full(clips, UNKNOWN), names, GESTURES)


def clip_frames(name: str, seed: int, input_spec: InputSpec, use: Use) -> npt.NDArray[np.uint8]:
    """Return one clip, uint8 [window, C, H, W]."""
    seconds = _seconds(input_spec.slice, input_spec.window)
    events = gesture_clip(name, seed, seconds, use=use)
    return stack_clip(events, input_spec.slice, RESOLUTION, input_spec, input_spec.window)


def _seconds(rule: SliceRule, window: int) -> float:
    """Return how long a clip must be to have a window; with fixed count a guess for 15 kev/s."""
    length_s = (rule.delta_t_us or 0) * 1e-6 or (rule.n_events or 0) / 15e3
    return length_s * (window + 1)  # the first event comes a little after the start


def _cached(
    input_spec: InputSpec, seeds: list[tuple[str, int]], use: Use, cache: Path
) -> npt.NDArray[np.uint8]:
    """Return uint8 [N, window, C, H, W], in the order of ``seeds``."""
    key = _key(input_spec, use)
    chunks = [seeds[first : first + _CHUNK] for first in range(0, len(seeds), _CHUNK)]
    files = [cache / f"gestures-sim-{key}-{_hash(chunk)}.npy" for chunk in chunks]
    missing = [(chunk, file) for chunk, file in zip(chunks, files, strict=True) if not file.exists()]
    if missing:
        cache.mkdir(parents=True, exist_ok=True)
        for _ in _in_parallel(partial(_make, input_spec=input_spec, use=use), missing):
            pass
    return np.concatenate([np.load(file) for file in files])


def _in_parallel(make: partial[None], missing: list[tuple[list[tuple[str, int]], Path]]) -> Iterator[None]:
    workers = min(os.cpu_count() or 1, len(missing))
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(make, missing)


def _make(job: tuple[list[tuple[str, int]], Path], input_spec: InputSpec, use: Use) -> None:
    """Simulate one chunk into its file."""
    seeds, file = job
    partly = file.with_suffix(f".{os.getpid()}.npy")
    np.save(partly, np.stack([clip_frames(name, seed, input_spec, use) for name, seed in seeds]))
    partly.replace(file)


def _key(input_spec: InputSpec, use: Use) -> str:
    """Return a name for what decides a clip beside its seed."""
    return _hash((input_spec.width, input_spec.height, input_spec.slice, input_spec.window, use, VERSION))


def _hash(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]
