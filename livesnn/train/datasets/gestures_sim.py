"""gestures-sim: simulated people who perform the classes of DVS-Gesture; clips are made once, then cached.

Training has wide people, the test narrow ones, and validation half of each (`Breadth`). So the test stays comparable
from one simulator to the next, while training has what real people do besides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.errors import DataError
from livesnn.events.slicer import count_gain
from livesnn.files import require_file
from livesnn.simulate.body import Breadth
from livesnn.simulate.gestures import IDLE_LAMP_SHARE, RESOLUTION, VERSION, Use, clip_frames
from livesnn.simulate.motions import (
    CURTAIN,
    EVERYDAY,
    GESTURES,
    IDLE,
    MIRRORED,
    NOBODY,
    NOTHING,
    OBJECTS,
    PAN,
    RAISING,
    SHAKE,
    TWO_PEOPLE,
    WALKING,
)
from livesnn.simulate.practice import practice_frames
from livesnn.simulate.recorded import OTHERS, load_movements
from livesnn.simulate.sources import SimulatedPerson
from livesnn.train.datasets.cache import cache_file, in_processes, keep, made_in_parts
from livesnn.train.datasets.clips import IGNORED, UNKNOWN, Clips, Frames, OnDisk, Parts, Stack, Streams, UncutStream
from livesnn.train.datasets.layout import Finding
from livesnn.train.datasets.request import DataRequest, SplitName

__all__ = ["INPUT", "MIRRORED", "PROTOCOLS", "SENSOR", "check", "load_parts", "load_split"]
SENSOR = RESOLUTION
TAKES = None
PROTOCOLS = ("",)
INPUT = InputSpec(64, 64, SliceRule(delta_t_us=50_000), count_max=8, scale=0.25, without_flicker=True, lift_to=0.3)

VALIDATION_PEOPLE, TEST_PEOPLE = 50, 100  # Clips of each class, each by another person

TEST_WINDOWS = 3
"""Windows in a test clip, which lasts 1.5 s like some cuts of DVS-Gesture; all other clips have one."""

STREAM_FRAMES = 240  # Of a training stream

STREAMS_AT_ONCE = 20  # Streams in a cache file

ANTICIPATED = 4  # Frames before a movement that are labelled as it

FORGIVEN = 3  # Frames after a movement in which any decision is right

NAME = "gestures-sim"
STREAMS = f"{NAME}-streams"
KINDS = (*EVERYDAY, *NOTHING, OTHERS)  # What people in the streams do besides the gestures

_OTHER = GESTURES.index("other")
_CLASS_OF = (*range(len(GESTURES)), *[_OTHER] * len(EVERYDAY), *[UNKNOWN] * len(NOTHING), _OTHER)
_LABELS = {name: label for label, name in enumerate((*GESTURES, *KINDS))}
_CHUNK = 200  # clips in a cache file, which an interrupted simulation may lose
_Clip = tuple[str, int]  # gesture and seed


def load_parts(request: DataRequest, before: ModelCard | None = None) -> Parts:
    """Return uncut streams of so many wide people to train on, and clips of others for validation."""
    spec = request.input
    return Parts(
        load_streams(spec, request.people, request.stretch, request.seed, request.movements),
        load_gestures(spec, VALIDATION_PEOPLE, use="validation"),
    )


def load_split(data: Path, split: SplitName, card: ModelCard) -> Clips:
    """Return a clip of each class by some people, without classes that were taught later; ignores ``data``."""
    _check_classes(card)
    people, windows = (TEST_PEOPLE, TEST_WINDOWS) if split == "test" else (VALIDATION_PEOPLE, 1)
    return replace(load_gestures(card.input, people, use=split, windows=windows), classes=card.classes)


UNCUT = {
    "idle": (IDLE, IDLE_LAMP_SHARE, 1.0, 1),
    "walking": (WALKING, 0.0, 0.2, 1),
    "noise": (NOBODY, 0.0, 0.2, 1),
    "lamp": (NOBODY, 1.0, 0.2, 1),
    **{name: (name, 0.0, 0.2, 12) for name in (OBJECTS, SHAKE, PAN, CURTAIN, TWO_PEOPLE)},
}
"""Streams without a gesture: what is simulated, the probability of a flickering lamp, the share of the time, and by
how many scenes it is divided. Each scene has one object, camera or curtain, so a few of them say little."""

SCENES_APART = 1000  # in seeds, so that other seeds show other scenes


def uncut(data: Path, split: SplitName, card: ModelCard, minutes: float, seed: int) -> Iterator[UncutStream]:
    """Yield so many minutes of one person's gestures, then each of `UNCUT` for its share."""
    _check_classes(card)
    duration_us = round(minutes * 60e6)
    performs = SimulatedPerson(seed, use=split, duration_us=duration_us, paced=False)
    yield UncutStream("gestures", performs, performs.segments, rests=False)
    for number, (name, (performed, lamp_share, part, scenes)) in enumerate(UNCUT.items(), seed + 1):
        long_us, gestures = round(part * duration_us / scenes), (performed,)
        for scene in range(scenes):
            nothing = SimulatedPerson(
                number + SCENES_APART * scene,
                use=split,
                gestures=gestures,
                duration_us=long_us,
                paced=False,
                lamp_share=lamp_share,
            )
            yield UncutStream(name, nothing, (), rests=True)


def _check_classes(card: ModelCard) -> None:
    trained = tuple(name for name in card.classes if name not in card.taught)  # taught classes come last
    if trained != GESTURES:
        raise DataError(f"{card.name} knows {', '.join(card.classes)}: choose a model of the gestures")


def check(data: Path) -> list[Finding]:
    return [Finding("complete", "simulated on the spot: no files are needed")]


def load_gestures(spec: InputSpec, people: int, *, use: Use, windows: int = 1) -> Clips:
    """Return a clip of each gesture by each of so many people; the first people don't depend on their number."""
    clips = [(name, seed) for seed in range(people) for name in GESTURES]
    labels = [GESTURES.index(name) for name, _ in clips]
    names = tuple(f"{use}/{name}/{seed}" for name, seed in clips)
    frames = made_in_parts(
        NAME,
        [clips[first : first + _CHUNK] for first in range(0, len(clips), _CHUNK)],
        lambda chunk: (*_frame_settings(spec), windows, use, VERSION, chunk),
        partial(_performed, spec=spec, use=use, windows=windows),
        f"simulating people, in parts of {_CHUNK}",
    )
    return Clips(frames, np.array(labels, np.int64), names, GESTURES)


def _performed(clips: list[_Clip], spec: InputSpec, use: Use, windows: int) -> Frames:
    return np.stack(
        [clip_frames(name, seed, spec, use, windows, breadth_of(use, seed, spec)) for name, seed in clips]
    )


def load_streams(spec: InputSpec, people: int, stretch: int, seed: int, movements: Path | None = None) -> Streams:
    """Return a stream of each of so many people who practise; ``seed`` decides which stretches are cut out.

    ``movements``: a file of what real people did, which some of them do (`load_movements`).
    """
    octets = b"" if movements is None else require_file(movements, ".npz of movements") and movements.read_bytes()
    real = hashlib.sha256(octets).hexdigest() if octets else ""
    chunks = [range(first, min(first + STREAMS_AT_ONCE, people)) for first in range(0, people, STREAMS_AT_ONCE)]
    files = [_stream_files(chunk, spec, real) for chunk in chunks]
    missing = [chunk for chunk, pair in zip(chunks, files, strict=True) if not all(map(Path.exists, pair))]
    if missing:
        in_processes(
            partial(_fill_streams, spec, movements, real),
            missing,
            f"simulating people, in parts of {STREAMS_AT_ONCE}",
        )
    frames = Stack([OnDisk(frames) for frames, _ in files])
    labels = anticipated(np.concatenate([np.load(labels) for _, labels in files]).astype(np.int64) + IGNORED)
    return Streams(frames, labels, GESTURES, stretch, seed, KINDS, _CLASS_OF)


def anticipated(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return labels [N, F] in which the last `ANTICIPATED` frames on the way to a movement count as it.

    So the network learns to recognise a gesture as early as it can. The frames before them are of hands that rise or
    fall, `RAISING`, apart from the first `FORGIVEN` ones.
    """
    early, late = labels.copy(), labels.copy()
    for _ in range(ANTICIPATED):
        before = early[:, :-1]
        early[:, :-1] = np.where(before == IGNORED, early[:, 1:], before)
    for _ in range(FORGIVEN):
        after = late[:, 1:]
        late[:, 1:] = np.where(after == IGNORED, late[:, :-1], after)
    early[(early == IGNORED) & (late == IGNORED)] = _LABELS[RAISING]
    return early


def _stream_files(seeds: range, spec: InputSpec, movements: str) -> tuple[Path, Path]:
    settings = (*_frame_settings(spec), STREAM_FRAMES, VERSION, KINDS, movements, seeds)
    return cache_file(STREAMS, settings), cache_file(f"{STREAMS}-labels", settings)


def _fill_streams(spec: InputSpec, movements: Path | None, digest: str, seeds: range) -> None:
    theirs = () if movements is None else load_movements(movements)
    frames, performed = zip(*(practice_frames(seed, spec, STREAM_FRAMES, theirs) for seed in seeds), strict=True)
    labels = [[IGNORED if name is None else _LABELS[name] for name in names] for names in performed]
    frames_file, labels_file = _stream_files(seeds, spec, digest)
    keep(frames_file, np.stack(frames))
    keep(labels_file, (np.array(labels) - IGNORED).astype(np.uint8))


def _frame_settings(spec: InputSpec) -> tuple[object, ...]:
    gain = count_gain(spec, *RESOLUTION)  # 1 for all models trained only on simulated people
    return spec.width, spec.height, spec.slice, spec.window, gain, spec.without_flicker, spec.lift_to


def breadth_of(use: Use, seed: int, spec: InputSpec) -> Breadth:
    """Return how varied a person is. In dim light, frames of so many events may take minutes: all are narrow then."""
    wide = use == "train" or (use == "validation" and seed % 2 == 1)
    return "wide" if wide and spec.slice.delta_t_us else "narrow"
