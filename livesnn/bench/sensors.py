"""A model of simulated gestures before cameras of other sizes: what scaling counts by area is worth."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from statistics import fmean

from livesnn.bench.transfer import wilson
from livesnn.card import InputSpec
from livesnn.errors import DataError
from livesnn.events import Events, Resolution
from livesnn.events.frames import Slicer
from livesnn.infer import Model, load_model
from livesnn.infer.pipeline import run
from livesnn.simulate.gestures import gesture_clip
from livesnn.simulate.motions import GESTURES

SENSORS = (Resolution(64, 64), Resolution(128, 128), Resolution(346, 260), Resolution(640, 480))
"""A quarter of a DVS128, it, a DAVIS346 and a DVXplorer."""


def bench_sensors(model: str, people: int) -> dict[str, object]:
    """Decide on the first window of each gesture of so many simulated people, as each of `SENSORS` sees them.

    Returns
    -------
    For each sensor its mean ``events_per_s`` and, of ``n`` decisions, which share is right with its 95 % interval
    (Wilson): with counts ``scaled`` by area, as `Slicer` does it, and ``as_they_come``.

    Raises
    ------
    DataError
        The model knows other classes, or doesn't say what its own sensor counts.
    """
    loaded = load_model(model)
    card = loaded.card
    if card.classes != GESTURES or card.input.slice.delta_t_us is None or card.input.cell_pixels is None:
        raise DataError(f"{card.name} doesn't scale counts of gestures by area: give --model gestures")
    return {f"{sensor.width}x{sensor.height}": _measured(loaded, sensor, people) for sensor in SENSORS}


def _measured(model: Model, sensor: Resolution, people: int) -> dict[str, object]:
    scaled = model.card.input
    specs = {"scaled": scaled, "as_they_come": replace(scaled, cell_pixels=None)}
    right, rates = Counter[str](), []
    seconds = (scaled.window + 1) * (scaled.slice.delta_t_us or 0) * 1e-6
    for gesture in GESTURES:
        for seed in range(people):
            events = gesture_clip(gesture, seed, seconds, use="validation", resolution=sensor)
            rates.append(len(events) / seconds)
            right.update(
                name for name, spec in specs.items() if _decided(model, events, sensor, spec) == gesture
            )
    shares = {name: (right[name] / len(rates), *wilson(right[name], len(rates))) for name in specs}
    return {"events_per_s": fmean(rates), "n": len(rates), **shares}


def _decided(model: Model, events: Events, sensor: Resolution, spec: InputSpec) -> str:
    """Return the likeliest gesture of the first whole window."""
    results = run(Slicer(spec.slice, sensor, spec).push(events), model)
    return next((GESTURES[int(result.rates.argmax())] for result in results if result.window_seen), "")
