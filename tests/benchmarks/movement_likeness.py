"""How like real people's movements the simulated ones are: `python tests/benchmarks/movement_likeness.py --data DIR`.

Joint positions of UTD-MHAD (Chen, Jafari, Kehtarnavaz 2015) and MSR Action3D (Li et al. 2010) are compared with those
of wide simulated people: period, amplitude, place, speed and elbow. Real people choose the simulator's ranges; none
of their paths is in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tyro

from livesnn.simulate.body import LEFT, RIGHT, draw_body, joints
from livesnn.simulate.motions import perform

Array = npt.NDArray[np.float64]

PEOPLE = 300
"""Simulated people of each movement."""
SECONDS, RATE_HZ = 2.4, 30
AWAY, MARGIN_S = 0.6, 0.1
"""A real recording is measured while the wrist is at least so far from where it begins, as a share of the farthest
distance, less a margin at both ends: arms hang before and after."""
FEWEST = 8
"""Fewest frames that are measured."""

UTD = {3: "right_hand_wave", 4: "hand_clapping", 9: "right_arm_clockwise", 10: "right_arm_counter_clockwise"}
MSR = {
    1: "right_hand_wave", 2: "right_hand_wave", 9: "right_arm_clockwise", 10: "hand_clapping",
}  # fmt: skip
"""The gesture that each action is; all others are "other". MSR's circles go either way."""
STATISTICS = ("period_s", "amplitude", "out", "up", "forward", "speed", "fastest", "elbow_degrees")


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
                    arm_of(
                        *(skeleton[:, k] for k in (shoulder, elbow, wrist)), np.diag([side, -1.0, 0.0]), 15
                    )
                )
            found.setdefault(MSR.get(action, "other"), []).append(_busier(arms, False))
    return found


def _busier(arms: list[Arm], first: bool) -> Arm:
    """Return the arm that moves more, or the first, while it is away from where it begins."""
    chosen = arms[0] if first else max(arms, key=lambda arm: float(arm.wrist.std(axis=0).sum()))
    distance = np.linalg.norm(chosen.wrist - chosen.wrist[:3].mean(axis=0), axis=1)
    away = np.flatnonzero(distance > AWAY * distance.max())
    margin = round(MARGIN_S * chosen.rate_hz)
    part = slice(away[0] + margin, max(away[-1] + 1 - margin, away[0] + margin + FEWEST))
    return Arm(chosen.wrist[part], chosen.elbow_degrees[part], chosen.rate_hz)


def simulated_arms(gesture: str) -> list[Arm]:
    """Return the moving arms of wide simulated people."""
    times_s = np.arange(0, SECONDS, 1 / RATE_HZ)
    found = []
    for seed in range(PEOPLE):
        rng = np.random.default_rng(seed)
        body = draw_body(rng, "wide")
        limbs = perform(gesture, times_s, rng, "wide")
        all_joints = joints(_far(body), limbs._replace(trunk=0 * limbs.trunk))
        arms = [
            arm_of(*(all_joints[:, arm, k] for k in range(3)), np.diag([side, -1.0, 1.0]), RATE_HZ)
            for arm, side in ((RIGHT, -1.0), (LEFT, 1.0))
        ]
        found.append(max(arms, key=lambda arm: float(arm.wrist.std(axis=0).sum())))
    return found


def _far(body):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(body, distance=1e9, roll=0.0)


def main(data: Path, out: Path = Path("movements")) -> None:
    """Write a table and a plot of real and simulated movements.

    Parameters
    ----------
    data
        Folder with UTD-MHAD and msr_action3d_odd_subjects.npz.
    out
        Folder of the report: movements.md and movements.png.
    """
    real = {
        "UTD-MHAD": utd_arms(data / "UTD-MHAD"),
        "MSR Action3D": msr_arms(data / "msr_action3d_odd_subjects.npz"),
    }
    gestures = (
        "right_hand_wave",
        "hand_clapping",
        "right_arm_clockwise",
        "right_arm_counter_clockwise",
        "other",
    )
    simulated = {name: _columns(simulated_arms(name)) for name in gestures}
    out.mkdir(parents=True, exist_ok=True)
    lines = [
        "| movement | statistic | people | real 10 % | median | 90 % | simulated 2 % | median | 98 % | inside |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    for name in gestures:
        for source, found in real.items():
            if name not in found:
                continue
            columns = _columns(found[name])
            for statistic in STATISTICS:
                values = columns[statistic][np.isfinite(columns[statistic])]
                there = simulated[name][statistic][np.isfinite(simulated[name][statistic])]
                if source == "MSR Action3D" and statistic in ("forward", "elbow_degrees"):
                    continue
                if not values.size:
                    continue
                ours = np.percentile(there, [2, 50, 98])
                inside = float(np.mean((values >= ours[0]) & (values <= ours[2])))
                cells = [f"{value:.2f}" for value in (*np.percentile(values, [10, 50, 90]), *ours, inside)]
                lines.append(f"| {name} | {statistic} | {source} | " + " | ".join(cells) + " |")
    text = "\n".join(lines)
    (out / "movements.md").write_text(text + "\n", encoding="utf-8")
    print(text)


def _columns(arms: list[Arm]) -> dict[str, Array]:
    rows = [measured(arm) for arm in arms]
    return {name: np.array([row[name] for row in rows]) for name in STATISTICS}


if __name__ == "__main__":
    tyro.cli(main)
