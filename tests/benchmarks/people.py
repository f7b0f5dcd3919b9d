"""How right a model of gestures decides on real people, and how often it names a gesture where there is none.

`python tests/benchmarks/people.py --data DIR`. Frames are made once and then kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

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
from livesnn.simulate.motions import GESTURES
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


class Stream(NamedTuple):
    """A file all of whose frames are wanted.

    ``open``: returns the sensor and the packets; raises LivesnnError. It must be importable by name.
    """

    path: Path
    open: Callable[[Path], tuple[Resolution, Iterable[Packet]]]


def depth_packets(path: Path) -> tuple[Resolution, Iterable[Packet]]:
    """Return the events of a take of UTD-MHAD; raises LivesnnError."""
    return utd_mhad.SENSOR, [Packet(utd_mhad.take_events(path))]


def recorded_packets(path: Path) -> tuple[Resolution, Iterable[Packet]]:
    """Open a recording, or a video as its events; raises LivesnnError."""
    opened = open_events(path)

    def packets() -> Iterator[Packet]:
        with closing(opened):
            yield from opened

    return opened.resolution, packets()


def stream_frames(stream: Stream, spec: InputSpec, *, denoise: bool) -> list[Frame]:
    """Return all frames of a file, from the cache if they are there; raises LivesnnError, or OSError without it."""
    cells = spec.channels * spec.height * spec.width
    stat = stream.path.stat()
    settings = (utd_mhad.VERSION, denoise, str(stream.path.resolve()), stat.st_size, stat.st_mtime_ns, spec)
    packed = cached("stream", settings, lambda: _packed(stream, spec, cells, denoise=denoise))
    data = packed[:, :cells].reshape(-1, spec.channels, spec.height, spec.width)
    facts = np.ascontiguousarray(packed[:, cells:]).view("<i8")
    return [
        Frame(t, picture, n_events, start=bool(start))
        for picture, (t, n_events, start) in zip(data, facts.tolist(), strict=True)
    ]


def _packed(stream: Stream, spec: InputSpec, cells: int, *, denoise: bool) -> Frames:
    """Return a row for each frame: its counts, and then three whole numbers, t, n_events and start."""
    resolution, packets = stream.open(stream.path)
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
        Of a row's clips whose share is given apart; "" if there are none.
    mirrored
        Whether its frames are mirrored.
    part
        The share of it, in its middle, in which decisions count.
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


ROWS: dict[str, Callable[[Path], list[Clip]]] = {
    "bright_wave": lambda data: _waves(data, "2024_06_20"),
    "dim_wave": lambda data: _waves(data, "2024_06_13"),
    "walking": _walking,
    "utd_mhad_gestures": lambda data: _utd_mhad(data, gestures=True),
    "utd_mhad_other": lambda data: _utd_mhad(data, gestures=False),
    "dvs_gesture": lambda data: _recorded(data / "dvs_gesture", "*.npz"),
    "scenes": _scenes,
    "objects": lambda data: _recorded(data / "dvs128_objects", "*.aedat", label=False),
    "videos": _videos,
}
"""Each row of the table: how its clips are found."""


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
    (``decided``; "" is none). Of gestures: the share of these frames that is ``right`` (none is wrong), and the
    ``majority``, the share of clips whose most frequent decision is right; both also by group. Of all else:
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
        figures |= _right(played)
        groups = sorted({each.clip.group for each in played} - {""})
        figures |= {name: _right([each for each in played if each.clip.group == name]) for name in groups}
    return figures | {"decided": dict(decided.most_common())}


def _right(played: Sequence[Played]) -> dict[str, object]:
    right, n, majority = 0, 0, 0
    for each in played:
        counted = [decision for decision, counts in zip(each.decisions, each.counts, strict=True) if counts]
        tally = Counter(decision for decision in counted if decision)
        right, n = right + tally[each.clip.label or ""], n + len(counted)
        majority += bool(tally) and tally.most_common(1)[0][0] == each.clip.label
    return {"right": right / n, "majority": majority / len(played)}


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
        Folder with people/UTD-MHAD, people/dvs128, dvs_gesture, recordings, dvs128_objects and ucf101, or some of
        them.
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
