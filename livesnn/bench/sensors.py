"""A model of simulated gestures before cameras of other sizes: what scaling counts by area is worth."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

import numpy as np
import numpy.typing as npt

from livesnn.bench.transfer import wilson
from livesnn.errors import DataError
from livesnn.events.packet import Events, Resolution
from livesnn.events.slicer import stack_clip
from livesnn.infer.model import Model, load_model
from livesnn.simulate.gestures import gesture_clip, gesture_pictures
from livesnn.simulate.motions import GESTURES
from livesnn.train.datasets.clips import Clips, Frames
from livesnn.train.evaluate import evaluate
from livesnn.video import emulate

SENSORS = (Resolution(64, 64), Resolution(128, 128), Resolution(346, 260), Resolution(640, 480))
"""A quarter of a DVS128, it, a DAVIS346 and a DVXplorer."""


def bench_sensors(model: str, people: int) -> dict[str, object]:
    """Decide on a window of each gesture of so many simulated people, as each of `SENSORS` sees them.

    Returns
    -------
    For each sensor, and for a "webcam" whose pictures are made events of (`Emulator`), its mean ``events_per_s`` and,
    of ``n`` clips, which share is right with its 95 % interval (Wilson): with counts ``scaled`` by area, as `Slicer`
    does it, and ``as_they_come``; each with the state reset at each clip and carried from clip to clip in a shuffled
    order.

    Raises
    ------
    DataError
        The model knows other classes, or doesn't say what its own sensor counts.
    """
    loaded = load_model(model)
    card = loaded.card
    if card.classes != GESTURES or card.input.slice.delta_t_us is None or card.input.cell_pixels is None:
        raise DataError(f"{card.name} doesn't scale counts of gestures by area: give --model gestures")
    return {
        **{f"{sensor.width}x{sensor.height}": _measured(loaded, sensor, people) for sensor in SENSORS},
        "webcam": _measured(loaded, emulate.RESOLUTION, people, filmed=True),
    }


def _measured(model: Model, sensor: Resolution, people: int, *, filmed: bool = False) -> dict[str, object]:
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
            frames[name].append(stack_clip(events, spec.slice, sensor, spec, spec.window))
    labels = np.array([GESTURES.index(gesture) for gesture, _ in performed], np.int64)
    names = tuple(f"{gesture}/{seed}" for gesture, seed in performed)
    shares = {
        name: _shares(model, Clips(np.stack(each), labels, names, GESTURES)) for name, each in frames.items()
    }
    return {"events_per_s": fmean(rates), "n": len(performed), **shares}


def _emulated(pictures: npt.NDArray[np.uint8], times_us: npt.NDArray[np.int64]) -> Events:
    """Return the events that are made of a webcam's pictures, from its second one on."""
    emulator = emulate.Emulator()
    packets = [emulator.push(picture, int(t_us)) for picture, t_us in zip(pictures, times_us, strict=True)]
    return np.concatenate(packets)


def _shares(model: Model, clips: Clips) -> dict[str, tuple[float, float, float]]:
    measured = evaluate(model, clips)
    found = {"reset": measured.accuracy_reset, "carried": measured.accuracy_carried}
    return {name: (share, *wilson(round(share * len(clips)), len(clips))) for name, share in found.items()}
