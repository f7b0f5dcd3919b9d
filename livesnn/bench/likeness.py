"""Simulated people beside real ones: Markdown and pictures. Not here: the statistics (fingerprint.py)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from livesnn.bench.fingerprint import BIN_US, fingerprint, rate_over_time
from livesnn.bench.real_clips import find_clips, label_of, read_clip
from livesnn.card import InputSpec, SliceRule
from livesnn.errors import DataError, LivesnnError
from livesnn.events.packet import Events, Resolution
from livesnn.events.slicer import stack_clip
from livesnn.simulate.gestures import RESOLUTION, VERSION, gesture_clip

SHOWN, FRAMES = 3, 8
"""Simulated people beside each real one, and frames of each."""
LOW, HIGH = 0.02, 0.98
"""A real value below or above these shares of the simulated ones lies outside."""
PICTURE = InputSpec(RESOLUTION.width, RESOLUTION.height, SliceRule(delta_t_us=50_000), count_max=8)


_TITLE = "# Simulated people beside real ones"


class Compared(NamedTuple):
    """One statistic of a real clip, among those of simulated ones."""

    real: float
    low: float
    median: float
    high: float
    rank: float

    @property
    def inside(self) -> bool:
        """Whether the real value lies in the simulator's distribution."""
        return LOW <= self.rank <= HIGH


def bench_simulator(clips: Path, out: Path, people: int) -> dict[str, object]:
    """Compare each real clip NN_GESTURE.npz in a folder with so many simulated people; write README.md and PNGs.

    Returns
    -------
    For each clip how many statistics lie inside the simulator's distribution, of how many, and the names of others.

    Raises
    ------
    DataError
        There are no such clips, several of one gesture, or too few events in one.
    LivesnnError
        The report can't be written, or there is another README.md.
    """
    found = find_clips(clips)
    files = {label_of(path): path for path in found}
    if len(files) < len(found):
        raise DataError(f"{clips} has several clips of one gesture: give a folder with one of each")
    page = out / "README.md"
    if page.exists() and not page.read_text(encoding="utf-8", errors="replace").startswith(_TITLE):
        raise LivesnnError(f"{page} is something else's: give another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        compared = {name: _compare(name, path, people, out / f"{name}.png") for name, path in files.items()}
        page.write_text(_report(compared, people), encoding="utf-8")
    except OSError as error:
        raise LivesnnError(
            f"{out} can't be written: {error.strerror or error}: give another --out"
        ) from error
    return {
        name: {
            "inside": sum(each.inside for each in found.values()),
            "of": len(found),
            "outside": [key for key, each in found.items() if not each.inside],
        }
        for name, found in compared.items()
    }


def _compare(gesture: str, path: Path, people: int, picture: Path) -> dict[str, Compared]:
    events, resolution, _ = read_clip(path)
    seconds = float(events["t"][-1] - events["t"][0]) / 1e6
    simulated = [
        gesture_clip(gesture, seed, seconds, use="validation", resolution=resolution)
        for seed in range(people)
    ]
    draw(gesture, events, simulated[:SHOWN], resolution, picture)
    real = fingerprint(events, resolution)
    others = [fingerprint(each, resolution) for each in simulated]
    found = {}
    for name, value in real.items():
        values = np.array([other[name] for other in others])
        low, median, high = np.percentile(values, [10, 50, 90])
        found[name] = Compared(value, float(low), float(median), float(high), float((values < value).mean()))
    return found


def draw(gesture: str, real: Events, simulated: list[Events], resolution: Resolution, path: Path) -> None:
    """Draw the event rate over time, and frames of 50 ms of the real clip above those of the simulated ones."""
    from matplotlib.figure import Figure

    rows = [("real", real), *((f"simulated {k}", each) for k, each in enumerate(simulated))]
    figure = Figure(figsize=(1.2 * FRAMES, 1.3 * len(rows) + 2), layout="constrained", dpi=100)
    grid = figure.add_gridspec(len(rows) + 1, FRAMES, height_ratios=(2, *[1.3] * len(rows)))
    axes = figure.add_subplot(grid[0, :])
    for name, events in rows:
        rate = rate_over_time(events) / 1e3
        axes.plot(np.arange(len(rate)) * BIN_US / 1e6, rate, label=name, lw=2 if name == "real" else 1)
    axes.set(xlabel="s", ylabel="kev/s", title=gesture)
    axes.legend(fontsize=7, ncols=len(rows))
    for row, (name, events) in enumerate(rows, 1):
        for column, frame in enumerate(stack_clip(events, PICTURE.slice, resolution, PICTURE, FRAMES)):
            cell = figure.add_subplot(grid[row, column])
            cell.imshow(_coloured(frame))
            cell.set(xticks=[], yticks=[], ylabel="" if column else name)
    figure.savefig(path)


def _coloured(frame: np.ndarray) -> np.ndarray:
    """Return float [H, W, 3] of a frame uint8 [2, H, W]: ON orange, OFF blue, as in the window."""
    share = np.minimum(frame / 3, 1)[..., None]
    orange, blue = np.array([1.0, 0.6, 0.1]), np.array([0.25, 0.5, 1.0])
    return np.clip(share[1] * orange + share[0] * blue, 0, 1)


def _report(compared: dict[str, dict[str, Compared]], people: int) -> str:
    parts = [
        f"{_TITLE}\n",
        f"`livesnn bench simulator`: each real clip, and {people} people of the simulator's validation (version "
        f"{VERSION} of its events) performing the same gesture for as long. *Rank*: the share of simulated values "
        f"below the real one; bold where that is below {LOW} or above {HIGH}. "
        "The real clips are of DVS-Gesture (Amir et al. 2017, CC BY 4.0).\n",
    ]
    for gesture, found in compared.items():
        parts += [f"## {gesture}\n", f"![Event rate and frames of {gesture}]({gesture}.png)\n"]
        parts += ["| | real | simulated: 10 % | median | 90 % | rank |", "|---|---|---|---|---|---|"]
        for name, each in found.items():
            rank = f"{each.rank:.2f}" if each.inside else f"**{each.rank:.2f}**"
            parts.append(
                f"| {name} | {each.real:.3g} | {each.low:.3g} | {each.median:.3g} | {each.high:.3g} | {rank} |"
            )
        parts.append("")
    return "\n".join(parts)
