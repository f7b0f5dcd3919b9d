"""How right a model of gestures decides: on clips of real people, on sensors of other sizes, on taught movements.

`python tests/benchmarks/accuracy.py transfer --data DIR`, `… sensors` or `… teach`.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import astuple, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.bench import machine
from livesnn.card import InputSpec
from livesnn.cli.parser import run_script
from livesnn.console import say, write_json
from livesnn.errors import DataError
from livesnn.events.filters import Orientation, orient
from livesnn.events.packet import Events, EventSource, Packet, Resolution
from livesnn.events.slicer import Frame, Slicer, stack_clip
from livesnn.infer.load import load_model
from livesnn.infer.model import Model
from livesnn.infer.run import run_frames
from livesnn.simulate.gestures import RESOLUTION, Segment, gesture_clip, gesture_stream
from livesnn.simulate.motions import GESTURES, IDLE, TEACHABLE, mirrored
from livesnn.sources import event_source, open_source
from livesnn.teach.correct import teach
from livesnn.teach.lesson import Take, clips_of
from livesnn.train.compare import score_interval
from livesnn.train.datasets.clips import Clips, Frames
from livesnn.train.evaluate import evaluate
from livesnn.video import emulate
from tests.fake_source import joined
from tests.webcam_pictures import gesture_pictures

Change = Callable[[Events, Resolution], Events]
Shares = dict[str, float]

# bench_transfer
SHIFT_PX, MIRRORED = 12, "mirrored"

# bench_sensors
SENSORS = (Resolution(64, 64), Resolution(128, 128), Resolution(346, 260), Resolution(640, 480))
"""A quarter of a DVS128, a DVS128, a DAVIS346 and a DVXplorer."""

# bench_teach
STILL_S, TAUGHT_S, ASKED_S = 2.0, 10.0, 20.0
OTHERS = 2
"""Other people who perform the taught movement."""

SHORT_S, SHORTS_S = 4.0, 40.0
"""How long a short performance or a rest takes, and all of them; they come in random order."""

WAYS_S = {"one way": (60.0, 60.0), "changing": (3.0, 6.0)}
"""How long a person keeps one way of moving (how far, how fast, with which arm)."""


def bench_transfer(data: Path, model: str) -> dict[str, object]:
    """Decide on each clip NN_GESTURE.npz of a folder, at every frame once the first window is full.

    Returns
    -------
    For each variant of the clips: ``right`` of ``n`` decisions (no decision counts as wrong), ``share`` with its 95 %
    interval (Wilson; decisions of one clip aren't independent), and ``decided``, the number of each decision by clip
    ("" is none). ``left_out`` lists clips whose names contain no gesture. Warnings about clips go to stderr.

    Raises
    ------
    DataError
        There are no such clips, one is empty, none is long enough for a decision at twice its speed, or the model has
        other classes.
    """
    files = find_clips(data)
    loaded = load_model(model)
    if loaded.card.classes != GESTURES:
        raise DataError(f"{loaded.card.name} knows {', '.join(loaded.card.classes)}: give --model gestures")
    read = {path: read_clip(path) for path in files}
    for warning in (warning for clip in read.values() for warning in clip.warnings):
        say(f"{warning}")
    left_out = sorted(path.name for path in data.glob("*.npz") if path not in files)
    measured = {name: _on_clips(loaded, read, name, change) for name, change in _variants().items()}
    return {**measured, "left_out": left_out}


def _variants() -> dict[str, Change]:
    """Return the changes to the events by name."""
    shifts = ((SHIFT_PX, 0), (-SHIFT_PX, 0), (0, SHIFT_PX), (0, -SHIFT_PX))
    return {
        "as recorded": lambda events, resolution: events,
        MIRRORED: partial(orient, orientation=Orientation(mirrored=True)),
        "tempo ×0.6": _timed(0.6),
        "tempo ×2": _timed(2.0),
        **{f"shifted by {dx}, {dy} px": _moving(dx, dy, 1.0) for dx, dy in shifts},
        "scaled ×0.75": _moving(0, 0, 0.75),
        "scaled ×1.25": _moving(0, 0, 1.25),
    }


def _timed(tempo: float) -> Change:
    def timed(events: Events, resolution: Resolution) -> Events:
        changed = events.copy()
        changed["t"] = np.rint((events["t"] - events["t"][0]) / tempo)
        return changed

    return timed


def _moving(dx: int, dy: int, scale: float) -> Change:
    """Return a change that scales about the middle, then moves. Events outside the picture are dropped."""

    def moving(events: Events, resolution: Resolution) -> Events:
        middle = np.array([resolution.width - 1, resolution.height - 1]) / 2
        x = np.rint((events["x"] - middle[0]) * scale + middle[0] + dx).astype(np.int64)
        y = np.rint((events["y"] - middle[1]) * scale + middle[1] + dy).astype(np.int64)
        inside = (x >= 0) & (x < resolution.width) & (y >= 0) & (y < resolution.height)
        changed = events[inside]
        changed["x"], changed["y"] = x[inside], y[inside]
        return changed

    return moving


def _on_clips(model: Model, clips: dict[Path, RealClip], variant: str, change: Change) -> dict[str, object]:
    decided: dict[str, Counter[str]] = {}
    right = 0
    for path, (events, resolution, _) in clips.items():
        decided[path.stem] = Counter(_decisions(model, change(events, resolution), resolution))
        label = label_of(path)
        right += decided[path.stem][mirrored(label) if variant == MIRRORED else label]
    n = sum(counts.total() for counts in decided.values())
    if n == 0:
        raise DataError(
            f"no clip is as long as a window of {model.card.name} ({variant}): give longer clips inside the picture"
        )
    share = score_interval(right, n)
    return {
        "right": right,
        "n": n,
        "share": share.value,
        "low": share.low,
        "high": share.high,
        "decided": {name: dict(counts.most_common()) for name, counts in decided.items()},
    }


def _decisions(model: Model, events: Events, resolution: Resolution) -> Iterator[str]:
    spec = model.card.input
    for result in run_frames(Slicer(resolution, spec).push(Packet(events)), model):
        if result.window_seen:
            yield result.decision or ""


def find_clips(folder: Path) -> list[Path]:
    """Return the clips whose names contain a gesture, sorted; raises DataError if there are none."""
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: give --data a folder with clips NN_GESTURE.npz")
    files = [path for path in sorted(folder.glob("*.npz")) if label_of(path) in GESTURES]
    if not files:
        raise DataError(f"no clips NN_GESTURE.npz in {folder}: give --data a folder with some of {GESTURES[0]} …")
    return files


def label_of(path: Path) -> str:
    """Return the gesture in a clip's name, after its number, or "" without a number."""
    number, _, label = path.stem.partition("_")
    return label if number.isdigit() else ""


class RealClip(NamedTuple):
    """All events of a clip, its sensor, and warnings."""

    events: Events
    resolution: Resolution
    warnings: tuple[str, ...]


def read_clip(path: Path) -> RealClip:
    """Return a clip; raises DataError if it has no events."""
    with closing(event_source(open_source(path))) as source:
        events = joined(source)
        if not events.size:
            raise DataError(f"{path} has no events: remove it from the folder")
        return RealClip(events, source.resolution, tuple(_warnings(path, source)))


def _warnings(path: Path, source: EventSource) -> Iterator[str]:
    yield from (f"{path.name}: {warning}" for warning in source.warnings)
    counted = source.counters
    if counted.out_of_order:
        yield f"{path.name}: {counted.out_of_order:,} events out of order were sorted"
    if counted.out_of_bounds:
        yield f"{path.name}: {counted.out_of_bounds:,} events outside the sensor were dropped"


def bench_sensors(model: str, people: int, sensors: Sequence[Resolution] = SENSORS) -> dict[str, object]:
    """Decide on one window of each gesture of ``people`` simulated people, as each of the ``sensors`` sees them.

    Returns
    -------
    For each sensor, and for a "webcam" whose pictures are turned into events (`Emulator`): its mean ``events_per_s``,
    and the right share of ``n`` clips with its 95 % interval (Wilson). Counts are ``scaled`` by area, as `Slicer`
    does it, or taken ``as_they_come``. The state is ``reset`` at each clip, or ``carried`` from clip to clip in
    random order.

    Raises
    ------
    DataError
        The model has other classes, or its card doesn't give its sensor's pixels per cell.
    """
    loaded = load_model(model)
    card = loaded.card
    if card.classes != GESTURES or card.input.slice.delta_t_us is None or card.input.cell_pixels is None:
        raise DataError(f"{card.name} can't be measured on other sensors: give --model gestures")
    return {
        **{f"{sensor.width}x{sensor.height}": _on_sensor(loaded, sensor, people) for sensor in sensors},
        "webcam": _on_sensor(loaded, emulate.RESOLUTION, people, filmed=True),
    }


def _on_sensor(model: Model, sensor: Resolution, people: int, *, filmed: bool = False) -> dict[str, object]:
    scaled = model.card.input
    specs = {"scaled": scaled, "as_they_come": replace(scaled, cell_pixels=None)}
    frames: dict[str, list[Frames]] = {name: [] for name in specs}
    seconds = (scaled.window + 1) * (scaled.slice.delta_t_us or 0) * 1e-6
    performed = [(gesture, seed) for gesture in GESTURES for seed in range(people)]
    rates = []
    for gesture, seed in performed:
        if filmed:
            events = _emulated(*gesture_pictures(gesture, seed, seconds, use="validation"))
        else:
            events = gesture_clip(gesture, seed, seconds, use="validation", resolution=sensor)
        rates.append(len(events) / seconds)
        for name, spec in specs.items():
            frames[name].append(stack_clip(events, sensor, spec, spec.window))
    labels = np.array([GESTURES.index(gesture) for gesture, _ in performed], np.int64)
    names = tuple(f"{gesture}/{seed}" for gesture, seed in performed)
    shares = {name: _shares(model, Clips(np.stack(each), labels, names, GESTURES)) for name, each in frames.items()}
    return {"events_per_s": fmean(rates), "n": len(performed), **shares}


def _emulated(pictures: npt.NDArray[np.uint8], times_us: npt.NDArray[np.int64]) -> Events:
    """Return the events emulated from a webcam's pictures, from its second one on."""
    emulator = emulate.Emulator()
    packets = [emulator.push(picture, int(t_us)) for picture, t_us in zip(pictures, times_us, strict=True)]
    return np.concatenate(packets)


def _shares(model: Model, clips: Clips) -> dict[str, tuple[float, float, float]]:
    measured = evaluate(model, clips)
    found = {"reset": measured.accuracy_reset, "carried": measured.accuracy_carried}
    return {name: astuple(score_interval(round(share * len(clips)), len(clips))) for name, share in found.items()}


def bench_teach(model: str, repeats: int) -> dict[str, object]:
    """Teach a model each movement of `TEACHABLE` with ten seconds of each of ``repeats`` people, one lesson per pair.

    Returns
    -------
    For people who keep one way of moving and for people who change it, by movement and for all: the number n of
    lessons, and shares of the windows decided afterwards, as mean, least ("from") and largest ("to") over lessons.
    ``same``: right, of the person who taught the movement, later. ``others``: right, of other people. ``gestures``:
    mistaken for the movement, of the same person's ten gestures and standing idle. ``known``: mistaken for it, of
    other people's movements that the model knew before. Shares of frames: ``short``, of short performances among
    rests, right; ``rest``, of the rests, mistaken for the movement. ``stays_s``: median time that its name stays
    after such a performance, of the lessons after which it was named.
    """
    return {way: _lessons(model, repeats, way) for way in WAYS_S}


def _lessons(model: str, people: int, way: str) -> dict[str, object]:
    lessons: dict[str, list[Shares]] = {movement: [] for movement in TEACHABLE}
    for movement in TEACHABLE:
        for seed in range(people):
            say(f"{movement} ({way}), person {seed + 1} of {people}")
            lessons[movement].append(_lesson(model, movement, seed, WAYS_S[way]))
    everything = [lesson for of_one in lessons.values() for lesson in of_one]
    return {**{movement: _summary(of_one) for movement, of_one in lessons.items()}, "all": _summary(everything)}


def _lesson(model: str, movement: str, seed: int, way_s: tuple[float, float]) -> Shares:
    with tempfile.TemporaryDirectory() as folder:
        spec = load_model(model, "onnx").card.input
        shown = list(_stream(spec, seed, (movement,), TAUGHT_S + ASKED_S, way_s))
        taught = round(len(shown) * TAUGHT_S / (TAUGHT_S + ASKED_S))
        (still,) = clips_of(_stream(spec, seed, (IDLE,), STILL_S, way_s))
        takes = [Take(clip, still) for clip in clips_of(shown[:taught])]
        lesson = teach(movement, takes, model, Path(folder) / "taught")
        knowing = load_model(lesson.folder, "onnx")
        gestures = _stream(spec, seed, (*GESTURES[:-1], IDLE), 2 * ASKED_S, WAYS_S["changing"])
        others = [_stream(spec, 1000 + seed * OTHERS + i, (movement,), ASKED_S / 2, way_s) for i in range(OTHERS)]
        return {
            "same": _share(knowing, shown[taught:], movement),
            "others": float(np.mean([_share(knowing, other, movement) for other in others])),
            "gestures": _share(knowing, gestures, movement),
            "known": lesson.taken / lesson.known,
        } | _between_rests(knowing, seed, movement)


def _between_rests(model: Model, seed: int, movement: str) -> Shares:
    slicer = Slicer(RESOLUTION, model.card.input)
    frames: list[Frame] = []
    segments: list[Segment] = []
    for take in gesture_stream(seed, use="show", gestures=(movement, IDLE), segment_s=(SHORT_S, SHORT_S)):
        frames += slicer.push(Packet(take.events, now_us=take.end_us))
        segments += [take.segment] * (take.segment not in segments[-1:])
        if take.end_us > SHORTS_S * 1e6:
            break
    results = [result for result in run_frames(frames, model) if result.carried >= model.card.input.window]
    named = np.array([result.decision == movement for result in results])
    ends_us = np.array([result.t for result in results])

    def share(gesture: str) -> float:
        within = [
            (each.start_us < ends_us) & (ends_us <= each.end_us) for each in segments if each.gesture == gesture
        ]
        return float(named[np.any(within, axis=0)].mean())

    stays_us = []
    for one, following in pairwise(segments):
        later = ends_us > one.end_us
        if (one.gesture, following.gesture) == (movement, IDLE) and later.any() and named[later][0]:
            still = named[later] & (ends_us[later] <= following.end_us)
            stays_us.append(ends_us[later][len(still) - 1 if still.all() else np.argmin(still)] - one.end_us)
    stays_s = float(np.median(stays_us)) * 1e-6 if stays_us else float("nan")
    return {"short": share(movement), "rest": share(IDLE), "stays_s": stays_s}


def _stream(
    spec: InputSpec, seed: int, movements: tuple[str, ...], seconds: float, way_s: tuple[float, float]
) -> Iterator[Frame]:
    """Yield the frames of one person's movements, one after another."""
    slicer = Slicer(RESOLUTION, spec)
    for take in gesture_stream(seed, use="show", gestures=movements, segment_s=way_s):
        yield from slicer.push(Packet(take.events))
        if take.end_us >= seconds * 1e6:
            break


def _share(model: Model, stream: Iterator[Frame] | list[Frame], movement: str) -> float:
    """Return the share of a stream's windows that are decided as ``movement``."""
    decisions = [result.decision for result in run_frames(stream, model) if result.window_end]
    return decisions.count(movement) / len(decisions)


def _summary(lessons: list[Shares]) -> dict[str, object]:
    of_all = {name: [lesson[name] for lesson in lessons] for name in lessons[0]}
    found = {name: [value for value in values if value == value] for name, values in of_all.items()}  # without nan
    return {"n": len(lessons)} | {
        name: {"mean": fmean(v), "from": min(v), "to": max(v)} for name, v in found.items() if v
    }


def _transfer(data: Path = Path("data"), model: str = "gestures") -> None:
    """Measure the accuracy on clips of real people: as recorded, mirrored, faster, slower, moved and scaled.

    Parameters
    ----------
    data
        Folder of the clips, named NN_GESTURE.npz, such as 01_hand_clapping.npz.
    model
        Model of gestures, by name or folder.
    """
    write_json({"machine": machine(), "transfer": bench_transfer(data, model)})


def _sensors(model: str = "gestures", people: int = 100) -> None:
    """Measure the accuracy on simulated people, seen by sensors of several sizes and by a webcam.

    Parameters
    ----------
    model
        Model of gestures, by name or folder.
    people
        Number of simulated people for each gesture.
    """
    write_json({"machine": machine(), "sensors": bench_sensors(model, people)})


def _teach(model: str = "gestures", repeats: int = 5) -> None:
    """Teach a model new movements from simulated people, and measure what it then decides.

    Parameters
    ----------
    model
        Model of gestures, by name or folder.
    repeats
        Number of simulated people who teach each movement.
    """
    write_json({"machine": machine(), "teach": bench_teach(model, repeats)})


if __name__ == "__main__":
    run_script({"transfer": _transfer, "sensors": _sensors, "teach": _teach}[sys.argv.pop(1)])
