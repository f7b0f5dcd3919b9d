"""How like real people's movements the simulated ones are: `python tests/benchmarks/movement_likeness.py --data DIR`.

Joint positions of UTD-MHAD (Chen, Jafari, Kehtarnavaz 2015) and MSR Action3D (Li et al. 2010) are compared with those
of wide simulated people: period, amplitude, place, speed and elbow. Real people chose the simulator's ranges. None of
their paths is in it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from livesnn.cli.parser import run_script
from livesnn.simulate.body import LEFT, RIGHT, Array, draw_body, joints
from livesnn.simulate.motions import perform

SECONDS, RATE_HZ = 2.4, 30
AWAY, MARGIN_S = 0.6, 0.1
"""A real recording is measured while the wrist is at least so far from where it begins, as a share of the farthest
distance, less a margin at both ends: arms hang before and after."""
LONGEST = 1.5
"""Arm lengths from a shoulder to its wrist beyond which a skeleton is broken."""
FEWEST = 8
"""Fewest frames that are measured."""

UTD = {3: "right_hand_wave", 4: "hand_clapping", 9: "right_arm_clockwise", 10: "right_arm_counter_clockwise"}
MSR = {
    1: "right_hand_wave", 2: "right_hand_wave", 9: "right_arm_clockwise", 10: "hand_clapping",
}  # fmt: skip
"""The gesture that each action is; all others are "other". MSR's circles go either way."""
MOVEMENTS = (*UTD.values(), "other")
STATISTICS = ("period_s", "amplitude", "out", "up", "forward", "speed", "fastest", "elbow_degrees")

_FLAT = ("period_s", "amplitude", "out", "up", "speed", "fastest")  # without depth
_TITLE = "# Simulated movements beside real ones"
_STATISTICS = """\
| statistic | what it is |
|---|---|
| period_s | time after which the movement repeats, in seconds |
| amplitude | half the range (5 to 95 %) along the wrist's main direction, in arm lengths (shoulder to wrist) |
| out, up, forward | median place of the wrist, from the shoulder, in arm lengths |
| speed, fastest | median and 95th percentile of the wrist's speed, in arm lengths per second |
| elbow_degrees | median angle of the elbow |
"""


class Arm(NamedTuple):
    """A moving arm: ``wrist`` [T, 3] from the shoulder in arm lengths (out, up, forward), its elbow's angle [T]."""

    wrist: Array
    elbow_degrees: Array
    rate_hz: float


def arm_of(shoulder: Array, elbow: Array, wrist: Array, axes: Array, rate_hz: float) -> Arm:
    """Return an arm from its joints [T, 3] and the directions [3] that are out, up and forward."""
    upper, lower = elbow - shoulder, wrist - elbow
    lengths = [np.linalg.norm(bone, axis=1) for bone in (upper, lower)]
    cosine = -np.sum(upper * lower, axis=1) / np.maximum(lengths[0] * lengths[1], 1e-9)
    length = float(np.percentile(lengths[0], 90) + np.percentile(lengths[1], 90))
    degrees = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return Arm((wrist - shoulder) @ axes.T / length, degrees, rate_hz)


def measured(arm: Arm) -> dict[str, float]:
    """Return the `STATISTICS` of one arm; a period of nan where it doesn't repeat."""
    path = arm.wrist - arm.wrist.mean(axis=0)
    main = path @ np.linalg.svd(path, full_matrices=False)[2][0]
    low, high = np.percentile(main, [5, 95])
    speed = np.linalg.norm(np.diff(arm.wrist, axis=0), axis=1) * arm.rate_hz
    out, up, forward = np.median(arm.wrist, axis=0)
    return {
        "period_s": _period_s(main, arm.rate_hz),
        "amplitude": float(high - low) / 2,
        "out": float(out),
        "up": float(up),
        "forward": float(forward),
        "speed": float(np.median(speed)),
        "fastest": float(np.percentile(speed, 95)),
        "elbow_degrees": float(np.median(arm.elbow_degrees)),
    }


def _period_s(main: Array, rate_hz: float) -> float:
    """Return the lag of the first high peak of the autocorrelation after its first zero."""
    n = len(main)
    correlation = np.correlate(main, main, "full")[n - 1 :] / np.arange(n, 0, -1)
    below = np.flatnonzero(correlation < 0)
    if not below.size:
        return float("nan")
    after = correlation[below[0] : int(0.8 * n)]
    if not after.size or after.max() < 0.3 * correlation[0]:
        return float("nan")
    high = after >= 0.7 * after.max()
    end = np.flatnonzero(~high[high.argmax() :])[:1] + high.argmax()
    peak = after[: int(end[0]) if end.size else None]
    return float(below[0] + peak.argmax()) / rate_hz


def utd_arms(folder: Path) -> dict[str, list[Arm]]:
    """Return the moving arms of all recordings, by gesture."""
    from scipy.io import loadmat

    found: dict[str, list[Arm]] = {}
    for path in sorted((folder / "Skeleton").glob("a*_s*_t*_skeleton.mat")):
        skeleton = loadmat(path)["d_skel"].transpose(2, 0, 1)
        action = int(path.name.split("_")[0][1:])
        side = np.sign(np.median(skeleton[:, 8, 0] - skeleton[:, 4, 0]))
        arms = [
            arm_of(*(skeleton[:, first + k] for k in range(3)), np.diag([sign, 1.0, -1.0]), 30)
            for first, sign in ((8, side), (4, -side))
        ]
        found.setdefault(UTD.get(action, "other"), []).append(_busier(arms, action in (3, 9, 10)))
    return found


def msr_arms(file: Path) -> dict[str, list[Arm]]:
    """Return the moving arms of all recordings, by gesture; depth, in another unit, is left out."""
    found: dict[str, list[Arm]] = {}
    with np.load(file) as recordings:
        for name in recordings.files:
            skeleton = recordings[name][:, :, :3].astype(np.float64) * [1, 1, 0]
            action = int(name[1:3])
            if len(skeleton) < 15 or not np.any(skeleton):
                continue
            arms = []
            for shoulder, elbow, wrist in ((0, 7, 9), (1, 8, 10)):
                side = np.sign(np.median(skeleton[:, shoulder, 0] - skeleton[:, 1 - shoulder, 0]))
                arms.append(
                    arm_of(*(skeleton[:, k] for k in (shoulder, elbow, wrist)), np.diag([side, -1.0, 0.0]), 15)
                )
            if max(float(np.abs(arm.wrist).max()) for arm in arms) < LONGEST:
                found.setdefault(MSR.get(action, "other"), []).append(_busier(arms, False))
    return found


def _busier(arms: list[Arm], first: bool) -> Arm:
    """Return the arm that moves more, or the first, while it is away from where it begins."""
    chosen = arms[0] if first else max(arms, key=lambda arm: float(arm.wrist.std(axis=0).sum()))
    return _away(chosen, chosen.wrist[:3].mean(axis=0))


def _away(arm: Arm, rest: Array) -> Arm:
    """Return the part of a movement from the first to the last moment that the wrist is away from rest."""
    distance = np.linalg.norm(arm.wrist - rest, axis=1)
    away = np.flatnonzero(distance > AWAY * distance.max())
    margin = round(MARGIN_S * arm.rate_hz)
    part = slice(away[0] + margin, max(away[-1] + 1 - margin, away[0] + margin + FEWEST))
    return Arm(arm.wrist[part], arm.elbow_degrees[part], arm.rate_hz)


def simulated_arms(gesture: str, people: int) -> list[Arm]:
    """Return the moving arms of wide simulated people."""
    times_s = np.arange(0, SECONDS, 1 / RATE_HZ)
    found = []
    for seed in range(people):
        rng = np.random.default_rng(seed)
        body = replace(draw_body(rng, "wide"), distance=1e9, roll=0.0)
        limbs = perform(gesture, times_s, rng, "wide")
        all_joints = joints(body, limbs._replace(trunk=0 * limbs.trunk))
        arms = [
            arm_of(*(all_joints[:, arm, k] for k in range(3)), np.diag([side, -1.0, 1.0]), RATE_HZ)
            for arm, side in ((RIGHT, -1.0), (LEFT, 1.0))
        ]
        found.append(max(arms, key=lambda arm: float(arm.wrist.std(axis=0).sum())))
    return found


class Compared(NamedTuple):
    """A statistic of a movement: finite values of real and of simulated people, and the share of real ones inside."""

    movement: str
    statistic: str
    source: str
    real: Array
    simulated: Array

    @property
    def inside(self) -> float:
        """The share of real values within 96 % of the simulated ones."""
        low, high = np.percentile(self.simulated, [2, 98])
        return float(np.mean((self.real >= low) & (self.real <= high)))


def compare(data: Path, people: int) -> list[Compared]:
    """Compare each movement and statistic of both sets of recordings in a folder."""
    sources = {
        "UTD-MHAD": utd_arms(data / "UTD-MHAD"),
        "MSR Action3D": msr_arms(data / "msr_action3d_odd_subjects.npz"),
    }
    found = []
    for movement in MOVEMENTS:
        simulated = _columns(simulated_arms(movement, people))
        for source, arms in sources.items():
            real = _columns(arms.get(movement, []))
            for statistic in STATISTICS if source == "UTD-MHAD" else _FLAT:
                if real[statistic].size:
                    found.append(Compared(movement, statistic, source, real[statistic], simulated[statistic]))
    return found


def report(found: list[Compared], people: int) -> str:
    """Return the page: a table of all."""
    lines = [
        f"{_TITLE}\n",
        "Do the simulated people move like real ones? "
        f"`python tests/benchmarks/movement_likeness.py` compares {people} wide simulated people with the joint "
        "positions of UTD-MHAD and MSR Action3D.\n",
        "*Inside* is the share of real people between the simulated 2 % and 98 %. "
        "MSR Action3D measures depth in another unit, so its figures are those of the picture's plane. "
        "Its circles go either way.\n",
        "The simulator's ranges were chosen by these people, so this is no test. None of their paths is in it. "
        "Two differences come from the measurement. "
        "Real people are measured only while the wrist is away from rest, and simulated ones all the time, with "
        "their pauses. So real speeds of other movements are higher. "
        "Skeletons lag behind fast hands, so real claps look too small.\n",
        _STATISTICS,
        "![Real and simulated movements](movements.png)\n",
        "| movement | statistic | people | n | real 10 % | 50 % | 90 % | simulated 2 % | 50 % | 98 % | inside |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in found:
        values = (*np.percentile(each.real, [10, 50, 90]), *np.percentile(each.simulated, [2, 50, 98]))
        cells = " | ".join(f"{value:.2f}" for value in (*values, each.inside))
        lines.append(f"| {each.movement} | {each.statistic} | {each.source} | {len(each.real)} | {cells} |")
    return "\n".join(lines) + "\n"


def draw(found: list[Compared], path: Path) -> None:
    """Draw every real value over the simulated ones' range: a panel for each statistic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 7), layout="constrained", dpi=90)
    panels = figure.subplots(2, 4, sharey=True).ravel()
    for statistic, axes in zip(STATISTICS, panels, strict=True):
        for row, movement in enumerate(MOVEMENTS):
            chosen = [each for each in found if (each.statistic, each.movement) == (statistic, movement)]
            for each, colour, shift in zip(chosen, ("tab:orange", "tab:green"), (-0.15, 0.15), strict=False):
                low, quarter, middle, three, high = np.percentile(each.simulated, [2, 25, 50, 75, 98])
                axes.plot([low, high], [row, row], color="tab:blue", lw=2)
                axes.plot([quarter, three], [row, row], color="tab:blue", lw=8, alpha=0.4)
                axes.plot(middle, row, "|", color="black", ms=14)
                axes.plot(each.real, np.full(len(each.real), row + shift), ".", color=colour, ms=4, alpha=0.6)
        axes.set(title=statistic, yticks=range(len(MOVEMENTS)), yticklabels=MOVEMENTS)
    figure.suptitle("blue: simulated (2 to 98 %, middle half, median); orange: UTD-MHAD; green: MSR Action3D")
    figure.savefig(path)


def _columns(arms: list[Arm]) -> dict[str, Array]:
    rows = [measured(arm) for arm in arms]
    columns = {name: np.array([row[name] for row in rows]) for name in STATISTICS}
    return {name: values[np.isfinite(values)] for name, values in columns.items()}


def main(data: Path, out: Path = Path("movements"), people: int = 300) -> None:
    """Write a table and a plot of real and simulated movements.

    Parameters
    ----------
    data
        Folder with UTD-MHAD and msr_action3d_odd_subjects.npz.
    out
        Folder of the report: movements.md and movements.png.
    people
        Number of simulated people for each movement.
    """
    found = compare(data, people)
    out.mkdir(parents=True, exist_ok=True)
    (out / "movements.md").write_text(report(found, people), encoding="utf-8")
    draw(found, out / "movements.png")


if __name__ == "__main__":
    run_script(main)
