"""A model of simulated gestures on clips of real people: as they are, mirrored, faster, slower, moved and scaled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from math import sqrt
from pathlib import Path

import numpy as np

from livesnn.bench.real_clips import RealClip, find_clips, label_of, read_clip
from livesnn.console import say
from livesnn.errors import DataError
from livesnn.events.packet import Events, Packet, Resolution
from livesnn.events.slicer import Slicer
from livesnn.infer.model import Model, load_model
from livesnn.infer.run import run_frames
from livesnn.simulate.motions import GESTURES, mirrored

Change = Callable[[Events, Resolution], Events]
Relabel = Callable[[str], str]
SHIFT_PX = 12


def bench_transfer(clips: Path, model: str) -> dict[str, object]:
    """Decide at every frame of each clip NN_GESTURE.npz of a folder once the first window is full.

    Returns
    -------
    For each variant of the clips ``right`` of ``n`` decisions (none is wrong), the share with its 95 % interval
    (Wilson; decisions of one clip aren't independent), and by clip how often what was decided ("" is nothing);
    and which clips of that folder were left out, since their names say no gesture. What was wrong with others goes to
    stderr.

    Raises
    ------
    DataError
        There are no such clips, one is empty, or none is long enough for a decision at twice its tempo; or the model
        knows other classes.
    """
    files = find_clips(clips)
    loaded = load_model(model)
    if loaded.card.classes != GESTURES:
        raise DataError(f"{loaded.card.name} knows {', '.join(loaded.card.classes)}: give --model gestures")
    read = {path: read_clip(path) for path in files}
    for warning in (warning for clip in read.values() for warning in clip.warnings):
        say(f"livesnn bench: {warning}")
    left_out = sorted(path.name for path in clips.glob("*.npz") if path not in files)
    measured = {name: _measured(loaded, read, name, *variant) for name, variant in _variants().items()}
    return {**measured, "left_out": left_out}


def _variants() -> dict[str, tuple[Change, Relabel]]:
    """Return what is done to the events, and what a clip of a label then shows."""
    moved = {
        f"shifted by {dx}, {dy} px": (_moving(dx, dy, 1.0), _same)
        for dx, dy in ((SHIFT_PX, 0), (-SHIFT_PX, 0), (0, SHIFT_PX), (0, -SHIFT_PX))
    }
    return {
        "as recorded": (lambda events, resolution: events, _same),
        "mirrored": (_mirrored, mirrored),
        "tempo ×0.6": (_timed(0.6), _same),
        "tempo ×2": (_timed(2.0), _same),
        **moved,
        "scaled ×0.75": (_moving(0, 0, 0.75), _same),
        "scaled ×1.25": (_moving(0, 0, 1.25), _same),
    }


def _same(label: str) -> str:
    return label


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
    model: Model,
    clips: dict[Path, RealClip],
    variant: str,
    change: Change,
    becomes: Relabel,
) -> dict[str, object]:
    decided: dict[str, Counter[str]] = {}
    right = 0
    for path, (events, resolution, _) in clips.items():
        decided[path.stem] = Counter(_decisions(model, change(events, resolution), resolution))
        right += decided[path.stem][becomes(label_of(path))]
    n = sum(counts.total() for counts in decided.values())
    if n == 0:
        raise DataError(
            f"no clip is a window of {model.card.name} long, {variant}: give longer ones that stay in the picture"
        )
    low, high = wilson(right, n)
    return {
        "right": right,
        "n": n,
        "share": right / n,
        "low": low,
        "high": high,
        "decided": {name: dict(counts.most_common()) for name, counts in decided.items()},
    }


def _decisions(model: Model, events: Events, resolution: Resolution) -> Iterator[str]:
    spec = model.card.input
    for result in run_frames(Slicer(spec.slice, resolution, spec).push(Packet(events)), model):
        if result.window_seen:
            yield result.decision or ""


def wilson(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of ``n`` > 0."""
    share = right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(middle - half, 0.0), min(middle + half, 1.0)
