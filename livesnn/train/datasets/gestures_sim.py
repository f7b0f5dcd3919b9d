"""gestures-sim: simulated people performing DVS-Gesture's classes, one window a clip; made once, then cached."""

from __future__ import annotations

import multiprocessing
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.events.frames import Slicer
from livesnn.simulate.gestures import RESOLUTION, VERSION, Use, gesture_clip
from livesnn.simulate.motions import GESTURES, IDLE
from livesnn.train.datasets import Clips, Parts, SplitName, cached

if TYPE_CHECKING:
    from livesnn.train.config import TrainConfig

INPUT = InputSpec(64, 64, SliceRule(delta_t_us=50_000), count_max=8, scale=0.25)

MEASURED_PEOPLE = 50
"""Clips a class, each of another person, in the validation and in the test split."""

TEST_WINDOWS = 3
"""Windows of a test clip, which is as long as the cuts of DVS-Gesture at hand, 1.5 s; all others have one."""

UNKNOWN = -1
"""Label of a clip that is none of the classes: whoever trains on it teaches doubt."""

_CHUNK = 200  # clips a cache file: what an interrupted simulation may lose
_Clip = tuple[str, int]  # gesture and seed


def load_parts(config: TrainConfig) -> Parts:
    """Return ``config.people`` clips a class, others for validation, and as many people who stand idle."""
    spec = config.card(()).input
    idle = load_idle(spec, config.people, use="train")
    validation = load_gestures(spec, MEASURED_PEOPLE, use="validation")
    return Parts(load_gestures(spec, config.people, use="train"), validation, idle, len(idle), None)


def load_split(data: Path, split: SplitName, card: ModelCard) -> Clips:
    """Return clips of `MEASURED_PEOPLE` people a class; ``data`` isn't needed."""
    windows = TEST_WINDOWS if split == "test" else 1
    return load_gestures(card.input, MEASURED_PEOPLE, use=split, windows=windows)


def load_gestures(spec: InputSpec, people: int, *, use: Use, windows: int = 1) -> Clips:
    """Return a clip of each of so many people a gesture; the first ones are the same whatever their number."""
    clips = [(name, seed) for seed in range(people) for name in GESTURES]
    labels = np.array([GESTURES.index(name) for name, _ in clips], np.int64)
    return Clips(
        _frames(spec, clips, use, windows),
        labels,
        tuple(f"{use}/{name}/{seed}" for name, seed in clips),
        GESTURES,
    )


def load_idle(spec: InputSpec, people: int, *, use: Use) -> Clips:
    """Return a clip of each of so many people who stand idle, labelled `UNKNOWN`."""
    clips = [(IDLE, seed) for seed in range(people)]
    labels = np.full(people, UNKNOWN)
    return Clips(
        _frames(spec, clips, use), labels, tuple(f"{use}/{name}/{seed}" for name, seed in clips), GESTURES
    )


def clip_frames(clip: tuple[str, int], spec: InputSpec, use: Use, windows: int = 1) -> npt.NDArray[np.uint8]:
    """Return the first frames of a person, uint8 [windows · window, C, H, W]; ``clip`` is (gesture, seed)."""
    name, seed = clip
    count = windows * spec.window
    seconds = count * (spec.slice.delta_t_us or 0) * 1e-6 + 0.1  # the first event comes a little late
    while True:
        events = gesture_clip(name, seed, seconds, use=use)
        frames = Slicer(spec.slice, RESOLUTION, spec).push(events)
        if len(frames) >= count:
            return np.stack([frame.data for frame in frames[:count]])
        seconds *= 2


def _frames(spec: InputSpec, clips: list[_Clip], use: Use, windows: int = 1) -> npt.NDArray[np.uint8]:
    """Return uint8 [N, windows · window, C, H, W], what the cache lacks made by all processors."""
    chunks = [clips[first : first + _CHUNK] for first in range(0, len(clips), _CHUNK)]
    with multiprocessing.get_context("spawn").Pool(min(os.cpu_count() or 1, len(chunks))) as pool:
        return np.concatenate(
            pool.map(partial(_chunk, spec=spec, use=use, windows=windows), chunks, chunksize=1)
        )


def _chunk(clips: list[_Clip], spec: InputSpec, use: Use, windows: int) -> npt.NDArray[np.uint8]:
    settings = (spec.width, spec.height, spec.slice, spec.window, windows, use, VERSION, clips)
    return cached(
        "gestures-sim", settings, lambda: np.stack([clip_frames(clip, spec, use, windows) for clip in clips])
    )
