"""A model of simulated gestures on clips of real people: as they are, mirrored, faster, slower, moved and scaled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from math import sqrt
from pathlib import Path

import numpy as np

from livesnn.errors import DataError
from livesnn.events import Events, Resolution
from livesnn.events.frames import Slicer
from livesnn.infer import Model, load_model
from livesnn.infer.pipeline import run
from livesnn.simulate.motions import GESTURES, MIRRORED
from livesnn.sources import open_source

Change = Callable[[Events, Resolution], Events]
SHIFT_PX = 12


def bench_transfer(clips: Path, model: str) -> dict[str, object]:
    """Decide at every frame of each clip NN_GESTURE.npz of a folder once the first window is full.

    Returns
    -------
    For each variant of the clips ``right`` of ``n`` decisions (none is wrong), the share with its 95 % interval
    (Wilson; decisions of one clip aren't independent), and by clip how often what was decided ("" is nothing);
    and which clips of that folder were left out, since their names say no gesture.

    Raises
    ------
    DataError
        There are no such clips, one is empty, or none is long enough for a decision at twice its tempo; or the model
        knows other classes.
    """
    files = [path for path in sorted(clips.glob("*.npz")) if _label(path) in GESTURES]
    if not files:
        raise DataError(f"no clips NN_GESTURE.npz in {clips}: give --data a folder with some")
    loaded = load_model(model)
    if loaded.card.classes != GESTURES:
        raise DataError(f"{loaded.card.name} knows {', '.join(loaded.card.classes)}: give --model gestures")
    events = {path.stem: _read(path) for path in files}
    left_out = sorted(path.name for path in clips.glob("*.npz") if path not in files)
    measured = {name: _measured(loaded, events, name, change) for name, change in _variants().items()}
    return {**measured, "left_out": left_out}


def _label(path: Path) -> str:
    """Return the gesture that a clip's name says, after its number."""
    number, _, label = path.stem.partition("_")
    return label if number.isdigit() else ""


def _read(path: Path) -> tuple[Events, Resolution]:
    with open_source(path) as source:
        packets = list(source)
        if not packets:
            raise DataError(f"{path} holds no events: leave it out")
        return np.concatenate(packets), source.resolution


def _variants() -> dict[str, Change]:
    moved = {
        f"shifted by {dx}, {dy} px": _moving(dx, dy, 1.0)
        for dx, dy in ((SHIFT_PX, 0), (-SHIFT_PX, 0), (0, SHIFT_PX), (0, -SHIFT_PX))
    }
    return {
        "as recorded": lambda events, resolution: events,
        "mirrored": _mirrored,
        "tempo ×0.6": _timed(0.6),
        "tempo ×2": _timed(2.0),
        **moved,
        "scaled ×0.75": _moving(0, 0, 0.75),
        "scaled ×1.25": _moving(0, 0, 1.25),
    }


def _mirrored(events: Events, resolution: Resolution) -> Events:
    turned = events.copy()
    turned["x"] = resolution.width - 1 - events["x"]
    return turned


def _timed(tempo: float) -> Change:
    def timed(events: Events, resolution: Resolution) -> Events:
        changed = events.copy()
        changed["t"] = np.rint((events["t"] - events["t"][0]) / tempo)
        return changed

    return timed


def _moving(dx: int, dy: int, scale: float) -> Change:
    """Return a change that scales about the middle, then moves; what leaves the picture is lost."""

    def moving(events: Events, resolution: Resolution) -> Events:
        middle = np.array([resolution.width - 1, resolution.height - 1]) / 2
        x = np.rint((events["x"] - middle[0]) * scale + middle[0] + dx).astype(np.int64)
        y = np.rint((events["y"] - middle[1]) * scale + middle[1] + dy).astype(np.int64)
        inside = (x >= 0) & (x < resolution.width) & (y >= 0) & (y < resolution.height)
        changed = events[inside]
        changed["x"], changed["y"] = x[inside], y[inside]
        return changed

    return moving


def _measured(
    model: Model, clips: dict[str, tuple[Events, Resolution]], variant: str, change: Change
) -> dict[str, object]:
    decided: dict[str, Counter[str]] = {}
    right = 0
    for name, (events, resolution) in clips.items():
        label = name.partition("_")[2]
        decided[name] = Counter(_decisions(model, change(events, resolution), resolution))
        right += decided[name][_mirror(label) if variant == "mirrored" else label]
    n = sum(counts.total() for counts in decided.values())
    if n == 0:
        raise DataError(f"no clip is a window of {model.card.name} long, {variant}: give longer ones")
    low, high = wilson(right, n)
    return {
        "right": right,
        "n": n,
        "share": right / n,
        "low": low,
        "high": high,
        "decided": {name: dict(counts.most_common()) for name, counts in decided.items()},
    }


def _mirror(label: str) -> str:
    back = {there: here for here, there in MIRRORED.items()}
    return MIRRORED.get(label, back.get(label, label))


def _decisions(model: Model, events: Events, resolution: Resolution) -> Iterator[str]:
    spec = model.card.input
    for result in run(Slicer(spec.slice, resolution, spec).push(events), model):
        if result.window_seen:
            yield result.decision or ""


def wilson(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of ``n`` > 0."""
    share = right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(middle - half, 0.0), min(middle + half, 1.0)
