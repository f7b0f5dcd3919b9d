"""What a teacher shows: a source as clips of frames. Not here: what is learned from them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec
from livesnn.events.frames import Frame, frames
from livesnn.events.labels import Label, read_labels
from livesnn.events.limited import Limited
from livesnn.events.orientation import Orientation
from livesnn.events.recording import Recording
from livesnn.events.upright import Upright
from livesnn.sources import open_source

Clip = npt.NDArray[np.uint8]
"""Frames uint8 [T, C, H, W] without a jump in time between them."""

MOVES = ((0.08, 0.0, 1.15), (-0.08, 0.0, 0.87), (0.0, 0.08, 0.87), (0.0, -0.08, 1.15))
"""Right and down in parts of the picture, and size, of the copies that are learned with a clip: nobody stands in the
same place twice."""


def read_clips(
    source: str,
    spec: InputSpec,
    *,
    seconds: float | None = None,
    label: str = "",
    orientation: Orientation | None = None,
    live: Callable[[], None] = lambda: None,
) -> list[Clip]:
    """Return a source's frames for the input ``spec``; raises LivesnnError when it can't be read.

    Parameters
    ----------
    seconds
        End after so long: of a live source from now on, by the clock.
    label
        Of a recording that has labels: only where this one holds, if it ever does, and all of that.
    live
        Called before the first event of a live source.
    """
    opened = open_source(source)
    labels: list[Label] = []
    if isinstance(opened, Recording):
        labels = [one for one in read_labels(opened.path) if one.label == label]
    elif opened.live:
        live()
    limited = Limited(opened, None if labels else seconds, threading.Event())
    with Upright(limited, orientation or Orientation()) as upright:
        stream = frames(upright, spec.slice, spec)
        if isinstance(opened, Recording) and labels:
            stream = _labelled(stream, labels, opened.labels_start)
        return clips_of(stream)


def clips_of(stream: Iterable[Frame]) -> list[Clip]:
    """Return a stream's frames as clips, a new one after each jump in time."""
    clips: list[list[Clip]] = []
    for frame in stream:
        if frame.start or not clips:
            clips.append([])
        clips[-1].append(frame.data)
    return [np.stack(clip) for clip in clips]


def _labelled(stream: Iterable[Frame], labels: list[Label], start_us: int) -> Iterator[Frame]:
    """Yield the frames that lie within a label; these count from ``start_us``. The first of each is a start."""
    parts_us = [(start_us + 1e6 * label.start, start_us + 1e6 * label.end) for label in labels]
    before_us, last = start_us, -1
    for frame in stream:
        inside = [i for i, (begin, end) in enumerate(parts_us) if begin <= before_us and frame.t <= end]
        before_us = frame.t
        if inside:
            yield replace(frame, start=frame.start or inside[0] != last)
        last = inside[0] if inside else -1


def moved(clip: Clip) -> list[Clip]:
    """Return a copy of a clip for each of `MOVES`, counts rounded up as often as their fraction says."""
    random = np.random.default_rng(0)
    height, width = clip.shape[-2:]
    copies = []
    for right, down, size in MOVES:
        across, along = (right + (1 - size) / 2) * width, (down + (1 - size) / 2) * height
        matrix = np.array([[size, 0, across], [0, size, along]])
        pictures = clip.reshape(-1, height, width).astype(np.float32)
        warped = np.stack([cv2.warpAffine(picture, matrix, (width, height)) for picture in pictures])
        rounded = np.floor(warped + random.random(warped.shape, np.float32))
        copies.append(rounded.clip(0, 255).astype(np.uint8).reshape(clip.shape))
    return copies
