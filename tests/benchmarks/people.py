"""How right a model of gestures decides on real people, and how often it names a gesture where there is none.

`python tests/benchmarks/people.py --data DIR`. Frames are made once and then kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from livesnn.bench import machine
from livesnn.card import InputSpec, ModelCard
from livesnn.cli.parser import run_script
from livesnn.console import say, write_json
from livesnn.errors import DataError, LivesnnError
from livesnn.events.denoise import DenoiseState, denoise_packets
from livesnn.events.packet import Packet, Resolution
from livesnn.events.slicer import Frame, Slicer
from livesnn.infer.decide import Decider
from livesnn.infer.load import load_model
from livesnn.infer.model import Model
from livesnn.infer.run import run_frames
from livesnn.simulate import gestures as simulated
from livesnn.simulate.gestures import RESOLUTION
from livesnn.simulate.motions import GESTURES
from livesnn.simulate.recorded import RATE_HZ, Movement, facing, load_movements, movement_of
from livesnn.simulate.scene import FRAME_US, Film, draw_scene, shapes_of
from livesnn.sources import open_events
from livesnn.train.datasets import utd_mhad
from livesnn.train.datasets.cache import cache_file, in_processes, keep
from livesnn.train.datasets.clips import Frames
from livesnn.train.datasets.recordings import label_of

OTHER = GESTURES[-1]
NAMED = frozenset(GESTURES) - {OTHER}

SCENES = (
    "aedat2/Mibblez_foam90.aedat",
    "aedat2/PyAedatTools_IMU_rotDisk.aedat",
    "aedat2/jaer_MovingDarkBox.aedat",
    "es/dvs.es",
    "evt3/from_rosbag_codecs_hd_triggers.raw",
    "hdf5/ecf_refcodec_gen4_first300k.hdf5",
)
"""Recordings in recordings/, of a window or longer, without a person: moving things, lamps and noise."""

KINDS = {3: "wave", 4: "clap", 9: "circles", 10: "circles"}
"""Of the actions of UTD-MHAD that are gestures."""

WAVES = {"wave-left-hand": "left_hand_wave", "wave-right-hand": "right_hand_wave"}
"""The actions of Bandai's motion data sets that are gestures."""

WAVES_HZ, WAVES_M = 30, 1e-3  # Pictures a second, and the unit of Bandai's joints


class Stream(NamedTuple):
    """A file all of whose frames are wanted, or a take of a file with several.

    ``open``: returns the sensor and the packets; raises LivesnnError. It must be importable by name.
    """

    path: Path
    open: Callable[[Stream], tuple[Resolution, Iterable[Packet]]]
    take: str = ""


def depth_packets(stream: Stream) -> tuple[Resolution, Iterable[Packet]]:
    """Return the events of a take of UTD-MHAD; raises LivesnnError."""
    return utd_mhad.SENSOR, [Packet(utd_mhad.take_events(stream.path))]


def filmed_packets(stream: Stream) -> tuple[Resolution, Iterable[Packet]]:
    """Return the events of a simulated person who moves as a real one did; raises LivesnnError."""
    movement = _aside(stream.path)[int(stream.take)] if stream.take.isdigit() else bandai_movement(stream)
    rng = np.random.default_rng([*stream.take.encode()])
    scene = draw_scene(rng, RESOLUTION, 0.0, "narrow")
    times_us = np.arange(FRAME_US, movement.seconds * 1e6, FRAME_US, dtype=np.int64)
    limbs = movement.limbs(times_us * 1e-6, scene.body.arm, rng)
    return RESOLUTION, [Packet(Film(scene, limbs, rng).shoot(shapes_of(scene, limbs), times_us))]


def _aside(path: Path) -> tuple[Movement, ...]:
    return load_movements(path, kept_aside=True)


def bandai_movement(stream: Stream) -> Movement:
    """Return a take of Bandai's motion data sets: joints int16 [T, 8, 3], y up, from the hips to the left hand."""
    joints = _arrays(stream.path)[stream.take].astype(float) * WAVES_M
    recorded_s = np.arange(len(joints)) / WAVES_HZ
    joints = CubicSpline(recorded_s, joints)(np.arange(0, recorded_s[-1], 1 / RATE_HZ))
    up = np.array([0.0, 1.0, 0.0])
    right, _ = facing(joints[:, 2] - joints[:, 5], up)
    return movement_of("", joints[:, 2:].reshape(-1, 2, 3, 3), joints[:, 0], right, up)


@cache
def _arrays(path: Path) -> dict[str, npt.NDArray[np.int16]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"{path} can't be read ({error}): give Bandai's waves as .npz") from error


def recorded_packets(stream: Stream) -> tuple[Resolution, Iterable[Packet]]:
    """Open a recording, or a video as its events; raises LivesnnError."""
    opened = open_events(stream.path)

    def packets() -> Iterator[Packet]:
        with closing(opened):
            yield from opened

    return opened.resolution, packets()


def stream_frames(stream: Stream, spec: InputSpec, *, denoise: bool) -> list[Frame]:
    """Return all frames of a file, from the cache if they are there; raises LivesnnError, or OSError without it."""
    cells = spec.channels * spec.height * spec.width
    stat = stream.path.stat()
    settings = (utd_mhad.VERSION, denoise, str(stream.path.resolve()), stat.st_size, stat.st_mtime_ns, spec)
    settings += (stream.take, simulated.VERSION) if stream.take else ()
    packed = cached("stream", settings, lambda: _packed(stream, spec, cells, denoise=denoise))
    data = packed[:, :cells].reshape(-1, spec.channels, spec.height, spec.width)
    facts = np.ascontiguousarray(packed[:, cells:]).view("<i8")
    return [
        Frame(t, picture, n_events, start=bool(start))
        for picture, (t, n_events, start) in zip(data, facts.tolist(), strict=True)
    ]


def _packed(stream: Stream, spec: InputSpec, cells: int, *, denoise: bool) -> Frames:
    """Return a row for each frame: its counts, and then three whole numbers, t, n_events and start."""
    resolution, packets = stream.open(stream)
    if denoise:
        packets = denoise_packets(packets, DenoiseState(resolution))
    slicer = Slicer(resolution, spec)
    found = [frame for packet in packets for frame in slicer.push(packet)]
    packed = np.empty((len(found), cells + 24), np.uint8)
    for row, frame in zip(packed, found, strict=True):
        row[:cells] = frame.data.ravel()
        row[cells:] = np.array([frame.t, frame.n_events, frame.start], "<i8").view(np.uint8)
    return packed


def _fill_cache(stream: Stream, *, spec: InputSpec, denoise: bool) -> None:
    with suppress(LivesnnError, OSError):
        stream_frames(stream, spec, denoise=denoise)


class Clip(NamedTuple):
    """A stretch of real data, run from zero state.

    Attributes
    ----------
    label
        The gesture shown; None: none of the ten.
    group
        Of a row's clips whose figures are given apart; "" if there are none.
    mirrored
        Whether its frames are mirrored.
    part
        The share of it, in its middle, whose frames are counted.
    """

    name: str
    label: str | None
    stream: Stream
    group: str = ""
    mirrored: bool = False
    part: float = 1.0


def _waves(data: Path, day: str) -> list[Clip]:
    return [clip for clip in _recorded(data / "people" / "dvs128", f"*redpob_{day}*") if clip.label]


def _walking(data: Path) -> list[Clip]:
    return [clip for clip in _recorded(data / "people" / "dvs128", "*") if clip.label is None]


def _recorded(folder: Path, pattern: str, label: bool = True) -> list[Clip]:
    return [
        Clip(path.name, label_of(path, GESTURES) if label else None, Stream(path, recorded_packets))
        for path in sorted(folder.glob(pattern))
    ]


def _scenes(data: Path) -> list[Clip]:
    paths = [data / "recordings" / name for name in SCENES]
    return [Clip(path.name, None, Stream(path, recorded_packets)) for path in paths if path.is_file()]


def _videos(data: Path) -> list[Clip]:
    """Return the first clip of each group of UCF-101."""
    return [
        Clip(path.name, None, Stream(path, recorded_packets))
        for path in sorted((data / "ucf101" / "UCF-101").glob("*/v_*_g*_c01.avi"))
    ]


def _utd_mhad(data: Path, *, gestures: bool) -> list[Clip]:
    found = []
    with suppress(DataError):  # there are none
        for take in utd_mhad.find_takes(data):
            for mirrored in (False, True) if (take.action in utd_mhad.PERFORMED) == gestures else ():
                label = take.gesture(mirrored_too=mirrored) if gestures else None
                group, part = (KINDS[take.action], utd_mhad.MIDDLE) if gestures else ("", 1.0)
                name = f"{take.path.stem}{'/mirrored' * mirrored}"
                found.append(Clip(name, label, Stream(take.path, depth_packets), group, mirrored, part))
    return found


def _waved(data: Path) -> list[Clip]:
    return [
        Clip(key, WAVES[action], stream, WAVES[action]) for action, key, stream in _bandai(data) if action in WAVES
    ]


def _raised(data: Path, *, hands: bool) -> list[Clip]:
    """Return clips of people who raise their hands, or who do something else that is no wave."""
    return [
        Clip(key, None, stream)
        for action, key, stream in _bandai(data)
        if action not in WAVES and "bye" not in action and action.startswith(("raise", "wave")) == hands
    ]


def _bandai(data: Path) -> Iterator[tuple[str, str, Stream]]:
    """Yield the action, the name and the stream of Bandai's takes."""
    path = data / "people" / "bandai_waves.npz"
    for key in sorted(_arrays(path)) if path.is_file() else ():
        yield key.split("_")[0], key, Stream(path, filmed_packets, key)


def _vicon(data: Path, *, gestures: bool) -> list[Clip]:
    """Return clips of the people of the Vicon Physical Action Data Set who train no model."""
    path = data / "people" / "vicon_physical_actions.npz"
    found = []
    for number, movement in enumerate(_aside(path) if path.is_file() else ()):
        label = movement.label if movement.label in NAMED else None
        if bool(label) == gestures:
            found.append(Clip(f"{path.stem}/{number}", label, Stream(path, filmed_packets, f"{number}"), label or ""))
    return found


ROWS: dict[str, Callable[[Path], list[Clip]]] = {
    "bright_wave": lambda data: _waves(data, "2024_06_20"),
    "dim_wave": lambda data: _waves(data, "2024_06_13"),
    "walking": _walking,
    "utd_mhad_gestures": lambda data: _utd_mhad(data, gestures=True),
    "utd_mhad_other": lambda data: _utd_mhad(data, gestures=False),
    "filmed_waves": _waved,
    "filmed_raised_hands": lambda data: _raised(data, hands=True),
    "filmed_others": lambda data: _raised(data, hands=False),
    "filmed_gestures": lambda data: _vicon(data, gestures=True),
    "filmed_actions": lambda data: _vicon(data, gestures=False),
    "dvs_gesture": lambda data: _recorded(data / "dvs_gesture", "*.npz"),
    "scenes": _scenes,
    "objects": lambda data: _recorded(data / "dvs128_objects", "*.aedat", label=False),
    "videos": _videos,
}
"""Each row of the table: how its clips are found. Those of filmed rows are simulated people who move as real ones
did: three actors of Bandai's motion data sets, and two people of the Vicon Physical Action Data Set."""


class Played(NamedTuple):
    """A clip after the model has run on it.

    ``decisions``: after each frame whose window is full. ``counts``: whether that frame lies in the part of the clip
    that counts. ``window_ends``: whether it is the last one of its window. ``frames``: of the whole clip.
    """

    clip: Clip
    decisions: list[str | None]
    counts: list[bool]
    window_ends: list[bool]
    frames: int


def cached(name: str, settings: object, make: Callable[[], Frames]) -> Frames:
    """Return the array of these ``settings`` (told apart by their repr) from the cache, or else make and keep it."""
    file = cache_file(name, settings)
    if not file.exists():
        keep(file, make())
    array: Frames = np.load(file)
    return array


def bench_people(
    data: Path,
    model: str = "gestures",
    *,
    denoise: bool = False,
    decider: Decider = Decider(),  # noqa: B008 (frozen)
) -> dict[str, object]:
    """Decide on every clip of `ROWS` in a folder, each from zero state, at every frame once its window is full.

    Returns
    -------
    Each row by name: ``clips``, their ``seconds``, and how many of the ``n`` frames that count have each decision
    (``decided``; "" is none). Of gestures, also by group: the share of clips in which the gesture was ``named`` at
    least once, and in which ``another`` one was. ``first_s`` is the median of the seconds from the start of a clip to
    its first right decision, ``right`` the share of frames (none is wrong), and ``majority`` the share of clips whose
    most frequent decision is right. Of all else:
    ``named_a_minute``, how often in a minute of stream the decision changes, from frame to frame, to one of the ten
    gestures (from "other", none or another of them), and ``windows_named``, the share of the windows, one after
    another, that end with one of them decided. ``left_out`` has clips shorter than a window and those that can't be
    read, and ``absent`` the rows for which the folder has nothing, or nothing else.

    Raises
    ------
    DataError
        There is nothing in the folder, nothing in it can be used, or the model has other classes or frames of a fixed
        number of events.
    """
    loaded = load_model(model)
    card = loaded.card
    if not NAMED & {*card.classes} or card.input.kind != "events" or card.input.slice.delta_t_us is None:
        raise DataError(f"{card.name} can't be measured on people: give --model gestures")
    rows = {name: find(data) for name, find in ROWS.items()}
    if not any(rows.values()):
        raise DataError(f"{data} has no folder people, dvs_gesture, recordings or ucf101: give --data its path")
    streams = [clip.stream for clips in rows.values() for clip in clips]
    fill = partial(_fill_cache, spec=card.input, denoise=denoise)
    in_processes(fill, [*dict.fromkeys(streams)], "making frames of people")
    measured: dict[str, object] = {}
    left_out: list[str] = []
    for name, clips in rows.items():
        if not clips:
            continue
        say(f"{name}, {len(clips)} clips")
        played = []
        for clip in clips:
            try:
                frames = _frames(clip, card, denoise=denoise)
            except LivesnnError as error:
                left_out.append(f"{clip.name}: {error}")
                continue
            played.append(_play(clip, frames, loaded, decider))
        left_out += [f"{each.clip.name}: shorter than a window" for each in played if not each.decisions]
        if usable := [each for each in played if each.decisions]:
            measured[name] = row(usable, card)
    if not measured:
        raise DataError(f"{data}: nothing in it can be used, first {left_out[0]}")
    absent = [name for name in rows if name not in measured]
    return {**measured, "left_out": left_out, "absent": absent}


def _frames(clip: Clip, card: ModelCard, *, denoise: bool) -> list[Frame]:
    frames = stream_frames(clip.stream, card.input, denoise=denoise)
    if clip.mirrored:
        frames = [replace(frame, data=np.ascontiguousarray(frame.data[..., ::-1])) for frame in frames]
    return frames


def _play(clip: Clip, frames: Sequence[Frame], model: Model, decider: Decider) -> Played:
    aside = len(frames) * (1 - clip.part) / 2
    played = Played(clip, [], [], [], len(frames))
    for number, result in enumerate(run_frames(frames, model, decider=decider)):
        if result.window_seen:
            played.decisions.append(result.decision)
            played.counts.append(aside <= number < len(frames) - aside)
            played.window_ends.append(result.window_end)
    return played


def row(played: Sequence[Played], card: ModelCard) -> dict[str, object]:
    """Return the figures of the clips of a row, all of them with labels or all without; see `bench_people`."""
    decided = Counter(
        decision or ""
        for each in played
        for decision, counts in zip(each.decisions, each.counts, strict=True)
        if counts
    )
    frame_s = (card.input.slice.delta_t_us or 0) / 1e6
    figures: dict[str, object] = {
        "clips": len(played),
        "seconds": round(frame_s * sum(each.frames for each in played), 3),
        "n": decided.total(),
    }
    if all(each.clip.label is None for each in played):
        figures |= _named(played, frame_s / 60)
    else:
        figures |= _right(played, frame_s)
        groups = sorted({each.clip.group for each in played} - {""})
        figures |= {name: _right([each for each in played if each.clip.group == name], frame_s) for name in groups}
    return figures | {"decided": dict(decided.most_common())}


def _right(played: Sequence[Played], frame_s: float) -> dict[str, object]:
    right, n, majority, another, first_s = 0, 0, 0, 0, []
    for each in played:
        label, missing = each.clip.label or "", each.frames - len(each.decisions)
        counted = [decision for decision, counts in zip(each.decisions, each.counts, strict=True) if counts]
        tally = Counter(decision for decision in counted if decision)
        right, n = right + tally[label], n + len(counted)
        majority += bool(tally) and tally.most_common(1)[0][0] == label
        another += bool(NAMED.intersection(each.decisions) - {label})
        if label in each.decisions:
            first_s.append((missing + each.decisions.index(label) + 1) * frame_s)
    return {
        "named": len(first_s) / len(played),
        "another": another / len(played),
        "first_s": round(median(first_s), 3) if first_s else None,
        "right": right / n if n else None,
        "majority": majority / len(played),
    }


def _named(played: Sequence[Played], frame_min: float) -> dict[str, object]:
    windows = [
        decision for each in played for decision, ends in zip(each.decisions, each.window_ends, strict=True) if ends
    ]
    changes = sum(name in NAMED for each in played for name, _ in groupby(each.decisions))
    return {
        "named_a_minute": changes / (frame_min * sum(each.frames for each in played)),
        "windows_named": sum(decision in NAMED for decision in windows) / len(windows),
    }


def main(
    data: Path = Path("data"),
    model: str = "gestures",
    denoise: bool = False,
    threshold: float | None = None,
    keep: float | None = None,
    smoothing: float | None = None,
    leak: float | None = None,
) -> None:
    """Measure decisions on real people, and how often a gesture is named where there is none; print JSON.

    Parameters
    ----------
    data
        Folder with people, dvs_gesture, recordings, dvs128_objects and ucf101, or some of them.
    model
        Model of gestures, by name or folder.
    denoise
        Filter noise.
    threshold
        Smallest probability that makes a decision. Default: 0.5.
    keep
        A decision stands until its probability falls below this. Default: 0.2 of --threshold.
    smoothing
        Share of the previous frame's probabilities in this frame's. Default: 0.
    leak
        How much less a frame of the window counts than the next one. Default: 0.22.
    """
    given = {"threshold": threshold, "hysteresis": keep, "smoothing": smoothing, "leak": leak}
    decider = Decider().merge({name: value for name, value in given.items() if value is not None})
    figures = bench_people(data, model, denoise=denoise, decider=decider)
    write_json({"machine": machine(), "people": figures})


if __name__ == "__main__":
    run_script(main)
