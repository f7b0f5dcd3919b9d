"""How like real people the simulated ones are: `python tests/benchmarks/simulator_likeness.py` writes a report."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.bench import machine
from livesnn.card import InputSpec, SliceRule
from livesnn.cli.parser import run_script
from livesnn.console import write_json
from livesnn.errors import DataError, LivesnnError
from livesnn.events.packet import Events, Resolution
from livesnn.events.slicer import stack_clip
from livesnn.simulate.body import Array
from livesnn.simulate.gestures import RESOLUTION, VERSION, gesture_clip
from tests.benchmarks.accuracy import find_clips, label_of, read_clip

SHOWN, FRAMES = 3, 8
"""Simulated people beside each real one, and frames of each."""
LOW, HIGH = 0.02, 0.98
"""A real value is outside if its rank among the simulated ones is below or above these."""
PICTURE = InputSpec(RESOLUTION.width, RESOLUTION.height, SliceRule(delta_t_us=50_000), count_max=8)

BIN_US = 20_000
FEWEST = 50
"""Fewest events of a bin whose centre is used."""
BLOCK = 8
"""Side in pixels of the blocks, of which the quieter half is the background."""

_TITLE = "# Simulated people beside real ones"
_STATISTICS = """\
| statistic | what it is |
|---|---|
| rate_kev_s | thousands of events per second |
| rate_cv | coefficient of variation of the rate, over bins of 20 ms |
| on_share | share of ON events |
| background_hz | events per second of a pixel, in the quieter half of the blocks of 8×8 pixels |
| busiest_share | share of the events in the busiest 5 % of the pixels |
| centre_x, centre_y | mean position, in pixels |
| spread_x, spread_y | its standard deviation |
| speed_px_s | median speed of the centre of a bin, in pixels per second |
| interval_ms | median time between two events of a pixel |
| short_share | share of these times below 5 ms |
| same_polarity | share of a pixel's events with the polarity of the one before |
"""


class Compared(NamedTuple):
    """One statistic of a real clip and its rank among simulated ones."""

    real: float
    low: float
    median: float
    high: float
    rank: float

    @property
    def inside(self) -> bool:
        return LOW <= self.rank <= HIGH


def bench_simulator(clips: Path, out: Path, people: int) -> dict[str, object]:
    """Compare each real clip NN_GESTURE.npz of a folder with simulated people; write README.md and PNGs.

    Returns
    -------
    For each clip the number of statistics inside the simulator's distribution, their total, and the names of others.

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
        raise LivesnnError(f"{page} is another file's name already: give another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        compared = {name: _compare(name, path, people, out / f"{name}.png") for name, path in files.items()}
        page.write_text(_report(compared, people), encoding="utf-8")
    except OSError as error:
        raise LivesnnError(f"{out} can't be written: {error.strerror or error}: give another --out") from error
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
        gesture_clip(gesture, seed, seconds, use="validation", resolution=resolution) for seed in range(people)
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
        for column, frame in enumerate(stack_clip(events, resolution, PICTURE, FRAMES)):
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
    inside = [each.inside for found in compared.values() for each in found.values()]
    parts = [
        f"{_TITLE}\n",
        "Do the simulated people look like real ones to an event camera? "
        f"`python tests/benchmarks/simulator_likeness.py` compares each real clip with {people} people of the "
        f"simulator's validation (version {VERSION} of its events), who perform the same gesture for as long. "
        "The real clips are of DVS-Gesture (Amir et al. 2017, CC BY 4.0), one for each gesture. "
        "They guided the simulator's design, so this is no test.\n",
        "*Rank* is the share of simulated values below the real one. "
        f"A value counts as inside from {LOW} to {HIGH}. Others are bold. "
        f"Here {sum(inside)} of {len(inside)} values are inside.\n",
        _STATISTICS,
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


def fingerprint(events: Events, resolution: Resolution) -> dict[str, float]:
    """Return the `_STATISTICS` of a clip of a moving person; raises DataError if there are too few events."""
    duration_us = int(events["t"][-1] - events["t"][0]) if len(events) else 0
    if duration_us < 5 * BIN_US or len(events) < 10 * FEWEST:
        raise DataError(f"{len(events)} events in {duration_us} µs are too few to compare: take a longer clip")
    counts = np.bincount(
        events["y"].astype(np.int64) * resolution.width + events["x"], minlength=resolution.width * resolution.height
    )
    busiest = np.sort(counts)[::-1][: len(counts) // 20]
    x, y = events["x"].astype(np.float64), events["y"].astype(np.float64)
    rate = rate_over_time(events)
    return {
        "rate_kev_s": len(events) / duration_us * 1e3,
        "rate_cv": float(rate.std() / rate.mean()),
        "on_share": float(events["p"].mean()),
        "background_hz": _background_hz(counts.reshape(resolution.height, resolution.width), duration_us),
        "busiest_share": float(busiest.sum() / counts.sum()),
        "centre_x": float(x.mean()),
        "centre_y": float(y.mean()),
        "spread_x": float(x.std()),
        "spread_y": float(y.std()),
        "speed_px_s": _speed_px_s(events, x, y),
        **_intervals(events, resolution),
    }


def rate_over_time(events: Events) -> Array:
    """Return events a second, float64, of each whole bin of `BIN_US`."""
    number = (events["t"] - events["t"][0]) // BIN_US
    return np.bincount(number)[:-1] / BIN_US * 1e6


def _background_hz(counts: npt.NDArray[np.int64], duration_us: int) -> float:
    rows, columns = (size // BLOCK for size in counts.shape)
    blocks = counts[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK).sum((1, 3)).ravel()
    quiet = np.sort(blocks)[: len(blocks) // 2]
    return float(quiet.mean() / BLOCK**2 / duration_us * 1e6)


def _speed_px_s(events: Events, x: Array, y: Array) -> float:
    number = (events["t"] - events["t"][0]) // BIN_US
    count = np.bincount(number)
    centre = np.stack([np.bincount(number, each) for each in (x, y)], axis=1) / np.maximum(count, 1)[:, None]
    step = np.linalg.norm(np.diff(centre, axis=0), axis=1)
    known = (count[1:] >= FEWEST) & (count[:-1] >= FEWEST)
    return float(np.median(step[known]) / BIN_US * 1e6) if known.any() else 0.0


def _intervals(events: Events, resolution: Resolution) -> dict[str, float]:
    pixel = events["y"].astype(np.int64) * resolution.width + events["x"]
    order = np.argsort(pixel, kind="stable")  # events are in order of time
    same_pixel = np.diff(pixel[order]) == 0
    interval_ms = np.diff(events["t"][order])[same_pixel] / 1e3
    repeated = np.diff(events["p"][order].astype(np.int8))[same_pixel] == 0
    return {
        "interval_ms": float(np.median(interval_ms)),
        "short_share": float((interval_ms < 5).mean()),
        "same_polarity": float(repeated.mean()),
    }


def main(data: Path = Path("data"), out: Path = Path("simulator"), people: int = 100) -> None:
    """Compare real clips with simulated people, and print the figures as JSON.

    Parameters
    ----------
    data
        Folder of the real clips, NN_GESTURE.npz.
    out
        Folder of the report: README.md and pictures.
    people
        Number of simulated people for each gesture.
    """
    if people < 10:
        raise SystemExit(f"{people} people are too few for a distribution: give --people 10 or more")
    write_json({"machine": machine(), "simulator": bench_simulator(data, out, people)})


if __name__ == "__main__":
    run_script(main)
