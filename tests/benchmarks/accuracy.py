"""How right a model of gestures decides: on clips of real people, and on sensors of other sizes.

`python tests/benchmarks/accuracy.py transfer --data DIR` or `… sensors`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from math import sqrt
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.bench import machine
from livesnn.cli.parser import run_script
from livesnn.console import say, write_json
from livesnn.errors import DataError
from livesnn.events.filters import Orientation, orient
from livesnn.events.packet import Events, EventSource, Packet, Resolution
from livesnn.events.slicer import Slicer, stack_clip
from livesnn.infer.load import load_model
from livesnn.infer.model import Model
from livesnn.infer.run import run_frames
from livesnn.simulate.gestures import gesture_clip
from livesnn.simulate.motions import GESTURES, mirrored
from livesnn.sources import event_source, open_source
from livesnn.train.datasets.clips import Clips, Frames
from livesnn.train.evaluate import evaluate
from livesnn.video import emulate
from tests.fake_source import joined
from tests.fake_webcam import gesture_pictures

Change = Callable[[Events, Resolution], Events]
Shares = dict[str, float]

# bench_transfer
SHIFT_PX, MIRRORED = 12, "mirrored"

# bench_sensors
SENSORS = (Resolution(64, 64), Resolution(128, 128), Resolution(346, 260), Resolution(640, 480))
"""A quarter of a DVS128, a DVS128, a DAVIS346 and a DVXplorer."""


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
    share, low, high = score_interval(right, n)
    return {
        "right": right,
        "n": n,
        "share": share,
        "low": low,
        "high": high,
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


def score_interval(right: int, n: int) -> tuple[float, float, float]:
    """Return a share of ``n`` > 0 with the limits of Wilson's 95 % interval (1927, JASA 22:209)."""
    z, share = 1.959964, right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return share, middle - half, middle + half


def _shares(model: Model, clips: Clips) -> dict[str, tuple[float, float, float]]:
    measured = evaluate(model, clips)
    found = {"reset": measured.accuracy_reset, "carried": measured.accuracy_carried}
    return {name: score_interval(round(share * len(clips)), len(clips)) for name, share in found.items()}


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


if __name__ == "__main__":
    run_script({"transfer": _transfer, "sensors": _sensors}[sys.argv.pop(1)])
