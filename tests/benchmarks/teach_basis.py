"""Writes teach.safetensors of a model: how teaching makes moments of its spikes (`livesnn.teach.detector.Embedding`).

`python tests/benchmarks/teach_basis.py --model models/gestures`. Simulated people perform everyday movements and
invented ones. Principal components of the spikes become the projection, and the covariance of their traces the mix.
People who stand still give the rest. No class is learned, and no real person is seen. It takes an hour on two cores.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sparse
from people import cached
from safetensors.numpy import save_file

from livesnn.card import InputSpec
from livesnn.cli.parser import run_script
from livesnn.events.denoise import DenoiseState, denoise_packets
from livesnn.events.packet import Packet
from livesnn.events.slicer import Frame, Slicer
from livesnn.infer.load import load_model, model_folder
from livesnn.infer.model import pooled_spikes
from livesnn.simulate.body import IMAGE, Array, Limbs, Random, draw_beat, joints, log_uniform, resting
from livesnn.simulate.everyday import _FAVOURITES, _STROKES, through
from livesnn.simulate.gestures import RESOLUTION, WARM_UP_US, _is_seen, _scene, _warmed_up, clip_frames
from livesnn.simulate.motions import IDLE
from livesnn.simulate.scene import FRAME_US, LAMP_SHARE, Film, shapes_of
from livesnn.teach.model import EMBEDDING
from livesnn.train.datasets.cache import in_processes
from livesnn.train.datasets.clips import Frames

FRAMES, PEOPLE, VIEWS = 160, 4, 4
"""Frames of a stream, people who perform a movement, and views of each: as it is, mirrored, backwards, and both."""

PROJECTED_BY = range(52)  # Movements whose spikes the projection is computed of; all of them are everyday strokes
MIXED_BY = (*range(118), 119, 121, 123, 125, 127)
RESTING, RESTING_WINDOWS, BEFORE = 12, 16, 20
"""People who stand still, windows of each, and frames before they are used."""
SAMPLES, TRACED = 16, 20  # Frames of each stream that are used for either, drawn at random

COMPONENTS, SPARE, SMOOTHING = 384, 32, 0.3
"""Components that are computed, more that make these exact, and the share of their mean variance that is added to
each variance when they are whitened."""


class Movement(NamedTuple):
    """One cycle: wrist, other wrist, trunk and feet at a few moments [P, 11], and how long each step takes."""

    poses: Array
    moves: npt.NDArray[np.bool_]  # Which arms
    step_s: Array
    cycles: int  # Between two rests
    stops: bool
    pause: int  # Pose at which it pauses; -1: none
    pause_s: float
    elbow: Array
    hand: Array


def invent(seed: int) -> Movement:
    """Return an everyday stroke, or a movement that nobody has seen before, by seed."""
    rng = np.random.default_rng([777, seed])
    elbow = np.array([[0.8, -1.0, -0.3]] * 2)
    if seed < len(_STROKES):
        stroke = _STROKES[sorted(_STROKES)[seed]]
        poses = np.zeros((len(stroke.points), 11))
        poses[:, :3] = stroke.points
        both = stroke.both or bool(stroke.other)
        if both:
            poses[:, 3:6] = stroke.points if stroke.both else stroke.other
        if stroke.trunk:
            poses[:, 6:9] = np.array(stroke.trunk) * rng.uniform(0.5, 1.1)
        step_s = np.full(len(poses), log_uniform(rng, *stroke.step_s))
        cycles = int(rng.integers(2, 5)) if step_s.sum() < 0.9 else 1
        bent = elbow + rng.normal(0, 0.2, (2, 3))
        return Movement(poses, np.array([True, both]), step_s, cycles, stroke.stops, -1, 0.0, bent, np.zeros((2, 3)))
    kind = str(rng.choice(["stroke", "figure", "curve", "shake"], p=[0.45, 0.15, 0.22, 0.18]))
    drawn = kind in ("stroke", "figure")
    count = {"stroke": int(rng.integers(2, 6)), "figure": int(rng.integers(3, 7)), "curve": 10, "shake": 2}[kind]
    poses = np.zeros((count, 11))
    poses[:, :3] = _path(rng, kind, count)
    how = str(rng.choice(["one", "same", "alternate", "other"], p=[0.5, 0.24, 0.1, 0.16]))
    if how == "same":
        poses[:, 3:6] = poses[:, :3]
    if how == "alternate":
        poses[:, 3:6] = np.roll(poses[:, :3], max(1, count // 2), axis=0)
    if how == "other":
        poses[:, 3:6] = _path(rng, kind, count)
    if rng.random() < (0.35 if kind == "stroke" else 0.12):
        trunk = rng.normal(0, 1, (count, 3)) * [5, 0, 0.35]
        trunk[:, 1] = abs(rng.normal(0, 12, count)) * (rng.random() < 0.5)
        poses[:, 6:9] = trunk
    if rng.random() < 0.1:
        poses[:, 9 + rng.integers(2)] = rng.uniform(0, 30, count) * (np.arange(count) % 2)
    if rng.random() < 0.06:  # on the spot: feet alternate
        lifted = np.arange(count) % 2
        poses[:, 9], poses[:, 10] = 18 * lifted, 18 * (1 - lifted)
    shortest_s = {"stroke": (0.18, 0.7), "figure": (0.15, 0.5), "curve": (0.06, 0.22), "shake": (0.1, 0.45)}[kind]
    step_s = log_uniform(rng, *shortest_s) * (rng.uniform(0.7, 1.4, count) if drawn else np.ones(count))
    whole_s = step_s.sum()
    cycles = 1 if whole_s > 1.4 else int(np.clip(rng.integers(1, 2 + int(2.5 / whole_s)), 1, 7))
    if kind == "shake":
        cycles = max(cycles, 2)
    stops = bool(rng.random() < (0.5 if drawn else 0.0))
    pause = int(rng.integers(count)) if rng.random() < 0.25 and drawn else -1
    pause_s = rng.uniform(0.2, 0.8)
    elbow = elbow + rng.normal(0, 0.35, (2, 3))
    hand = rng.normal(0, 0.3, (2, 3)) if rng.random() < 0.5 else np.zeros((2, 3))
    return Movement(poses, np.array([True, how != "one"]), step_s, cycles, stops, pause, pause_s, elbow, hand)


def _place(rng: Random) -> Array:
    if rng.random() < 0.3:
        return _FAVOURITES[rng.integers(len(_FAVOURITES))] + rng.normal(0, 0.06, 3)
    if rng.random() < 0.5:
        return np.array([rng.uniform(-0.7, 0.5), rng.uniform(-0.6, 0.7), rng.uniform(0.35, 0.85)])
    return np.array([rng.uniform(-0.7, 0.9), rng.uniform(-1, 1), rng.uniform(-0.1, 0.95)])


def _path(rng: Random, kind: str, count: int) -> Array:
    """Return a wrist's places [count, 3]."""
    if kind == "stroke":
        path = np.stack([_place(rng) for _ in range(count)])
        if rng.random() < 0.5:
            path = path.mean(0) + rng.uniform(0.5, 0.9) * (path - path.mean(0))
        return path
    if kind == "figure":
        centre = np.array([rng.uniform(-0.45, 0.35), rng.uniform(-0.4, 0.45), rng.uniform(0.4, 0.75)])
        sides = [rng.uniform(-0.5, 0.5, count), rng.uniform(-0.5, 0.5, count), rng.uniform(-0.1, 0.1, count)]
        return centre + np.stack(sides, 1)
    centre = _place(rng) * [0.8, 0.7, 1] + [0, 0, 0.1]
    if kind == "curve":
        return centre + _curve(rng, count)
    way = rng.normal(0, 1, 3)
    way *= rng.uniform(0.06, 0.45) / np.linalg.norm(way)
    return np.stack([centre - way, centre + way])


def _curve(rng: Random, count: int) -> Array:
    """Return a closed curve of a few harmonics [count, 3]."""
    angle = 2 * np.pi * np.arange(count) / count + rng.uniform(0, 2 * np.pi)
    flat = rng.uniform(0.2, 1.0, 3) * (1 if rng.random() < 0.6 else rng.choice([1.0, 0.15], 3))
    curve = np.zeros((count, 3))
    for harmonic in range(1, rng.integers(2, 4)):
        size = rng.uniform(0.08, 0.5) / harmonic * flat
        curve += size * np.cos(harmonic * angle[:, None] + rng.uniform(0, 2 * np.pi, 3))
    return curve


def perform(movement: Movement, times_s: Array, rng: Random) -> Limbs:
    """Return the limbs of one person who performs it in takes between rests, or all the time."""
    beat = draw_beat(times_s, rng, 1.0, 2.0)
    limbs = resting(beat, rng)
    rest = np.concatenate([limbs.wrist[0, 0], limbs.wrist[0, 1], np.zeros(5)])
    size, shift = rng.uniform(0.75, 1.25), rng.normal(0, [0.06, 0.08, 0.05])
    poses = movement.poses.copy()
    for arm in (0, 1):
        columns = slice(3 * arm, 3 * arm + 3)
        if movement.moves[arm]:
            middle = poses[:, columns].mean(0)
            wrong = rng.normal(0, 0.035, (len(poses), 3))
            poses[:, columns] = middle + shift + size * (poses[:, columns] - middle) + wrong
        else:
            poses[:, columns] = rest[columns]
    poses[:, 6:9] *= rng.uniform(0.6, 1.3)
    poses[:, 9:] *= rng.uniform(0.6, 1.3)
    path = _repeated(movement, poses, rest, times_s, rng)
    limbs.wrist[:, 0], limbs.wrist[:, 1] = path[:, :3], path[:, 3:6]
    for arm in (0, 1):
        if movement.moves[arm]:
            limbs.elbow[:, arm] = movement.elbow[arm] + rng.normal(0, 0.2, 3)
            limbs.hand[:, arm] = movement.hand[arm] + rng.normal(0, 0.12, 3)
    limbs = limbs._replace(trunk=path[:, 6:9], feet=np.maximum(path[:, 9:], 0))
    steady = rng.uniform(0.1, 1.0)
    trunk = beat.sway(rng, (3,), steady, 0.9) * [rng.uniform(0.1, 0.9), rng.uniform(0.05, 0.4), 0.03]
    trunk[:, 2] += rng.uniform(-0.25, 0.25)
    return limbs._replace(
        wrist=limbs.wrist + beat.sway(rng, (2, 3), rng.uniform(0.003, 0.015)),
        trunk=limbs.trunk + trunk,
        head=beat.sway(rng, (2,), rng.uniform(0.1, 0.9)),
    )


def _repeated(movement: Movement, poses: Array, rest: Array, times_s: Array, rng: Random) -> Array:
    """Return the path [T, 11] through takes of a few cycles, or through cycles without a rest."""
    tempo = np.exp(rng.uniform(-0.25, 0.25))
    takes = rng.random() < 0.65
    rest_s = rng.uniform(0.15, 0.9) if takes else 0.0
    raise_s = log_uniform(rng, 0.22, 0.6)
    cycles = max(1, movement.cycles + int(rng.integers(-1, 2))) if movement.cycles > 1 else 1
    knots_s: list[float] = []
    path: list[Array] = []
    at_s = times_s[0] - rng.uniform(0, 2.0) - 2.5
    own = rng.uniform(0.85, 1.18, len(poses))
    while at_s < times_s[-1] + 2.0:
        if takes:
            knots_s.append(at_s)
            at_s += rest_s * rng.uniform(0.7, 1.3)
            knots_s.append(at_s)
            at_s += raise_s * rng.uniform(0.85, 1.15)
            path += [rest, rest]
        for _ in range(cycles if takes else 1):
            for i in range(len(poses)):
                wrong = np.concatenate([np.repeat(movement.moves, 3) * rng.normal(0, 0.015, 6), np.zeros(5)])
                path.append(poses[i] + wrong)
                knots_s.append(at_s)
                if i == movement.pause:
                    at_s += movement.pause_s * tempo
                    knots_s.append(at_s)
                    path.append(path[-1])
                at_s += movement.step_s[i] * tempo * own[i] * rng.uniform(0.92, 1.08)
        if takes:
            at_s += max(0.0, raise_s - movement.step_s[-1] * tempo)
    return through(times_s, np.array(knots_s), np.array(path), stops=movement.stops)


def stream(movement: int, person: int, spec: InputSpec) -> Frames:
    """Return `FRAMES` frames of somebody whose hands and head are in the picture most of the time."""
    filtered = np.random.default_rng([5, movement, person]).random() < 1 / 3
    seconds = FRAMES * (spec.slice.delta_t_us or 0) / 1e6 + 0.03
    times_us = np.arange(0, round(seconds * 1e6) + WARM_UP_US + FRAME_US, FRAME_US)
    for attempt in range(4):
        rng = np.random.default_rng([movement, person, attempt])
        limbs = perform(invent(movement), times_us / 1e6, rng)
        for _ in range(20):
            scene = _scene((), rng, RESOLUTION, LAMP_SHARE, "wide")
            wrists = joints(scene.body, Limbs(*[each[::25] for each in limbs]))[:, :, 2, :2]
            inside = ((wrists > 0) & (wrists < IMAGE)).all(-1).mean()
            if inside > 0.92 and scene.body.shoulder_y - 1.8 * scene.body.head_radius > -4:
                break
        events = Film(scene, limbs, rng).shoot(shapes_of(scene, limbs.part(1)), times_us[1:])
        if _is_seen(events.size, scene, times_us[-1] / 1e6):
            break
    packets = iter([Packet(_warmed_up(events), now_us=int(times_us[-1]))])
    slicer = Slicer(RESOLUTION, spec)
    if filtered:
        packets = denoise_packets(packets, DenoiseState(RESOLUTION))
    frames = [frame.data for packet in packets for frame in slicer.push(packet)]
    return np.stack(frames[:FRAMES])


def spikes_of(movement: int, *, folder: Path) -> Frames:
    """Return pooled spike counts of a movement, uint8 [people · views, T, F], from the cache if they are there."""
    return cached("basis-spikes", (str(folder), movement), lambda: _spikes(movement, folder))


def _spikes(movement: int, folder: Path) -> Frames:
    model = load_model(folder, "spike", threads=1)
    cells, made = model.card.network.final_pool**2, []
    for person in range(PEOPLE):
        shown = stream(movement, person, model.card.input)
        back = shown[::-1, ::-1]
        for view in (shown, shown[..., ::-1], back, back[..., ::-1]):
            state, counts = model.initial_state(), []
            for data in view:
                _, state = model.step(Frame(0, np.ascontiguousarray(data), 0), state)
                counts.append(np.rint(pooled_spikes(model.card, state) * cells).astype(np.uint8))
            made.append(np.array(counts))
    return np.array(made)


def resting_spikes(folder: Path) -> Array:
    """Return pooled spikes of people who stand still in the middle of the picture, [N, F]."""
    model, made = load_model(folder, "spike", threads=1), []
    for seed in range(RESTING):
        state, spikes = model.initial_state(), []
        for data in clip_frames(IDLE, seed, model.card.input, "train", RESTING_WINDOWS, "narrow"):
            _, state = model.step(Frame(0, data, 0), state)
            spikes.append(pooled_spikes(model.card, state))
        made += spikes[BEFORE:]
    return np.array(made)


def principal(rows: sparse.csr_matrix, components: int, rng: Random) -> tuple[Array, Array, Array]:
    """Return mean [F], components [C, F] and their variances [C] of rows [N, F] (Halko et al. 2011, SIAM Review)."""
    mean = np.asarray(rows.mean(0)).ravel()
    basis = rng.standard_normal((rows.shape[1], components + SPARE)).astype(np.float32)
    for _ in range(3):
        range_ = np.linalg.qr(rows @ basis - mean @ basis)[0]
        basis = rows.T @ range_ - np.outer(mean, range_.sum(0))
        *_, last = range_, basis
        basis = np.linalg.qr(basis)[0]
    _, sizes, found = np.linalg.svd(last.T, full_matrices=False)
    return mean, found[:components], sizes[:components] ** 2 / rows.shape[0]


def main(model: str = "gestures") -> None:
    """Simulate the people, compute the components and the mix, and write them into the model's folder.

    Parameters
    ----------
    model
        A model with a read-out of traces, by name or folder.
    """
    folder = model_folder(model).resolve()
    card = load_model(folder, "onnx").card
    spec, cells = card.traces, card.network.final_pool**2
    made = in_processes(partial(spikes_of, folder=folder), sorted({*PROJECTED_BY, *MIXED_BY}), "simulating people")
    spikes = dict(zip(sorted({*PROJECTED_BY, *MIXED_BY}), made, strict=True))
    rng = np.random.default_rng(0)
    rows = sparse.vstack(
        [
            sparse.csr_matrix(
                spikes[each][:, rng.permutation(FRAMES)[:SAMPLES]].reshape(-1, spikes[each].shape[-1])
                / np.float32(cells)
            )
            for each in PROJECTED_BY
        ]
    ).tocsr()
    mean, components, variance = principal(rows, COMPONENTS, rng)
    scale = np.sqrt(variance + SMOOTHING * variance.mean())
    project = (components / scale[:, None])[: spec.width].astype(np.float16)
    bias = -(project.astype(np.float32) @ mean)
    decay, covariance = np.array(spec.alphas)[:, None], np.zeros((len(spec.alphas),) * 2)
    rng = np.random.default_rng(0)
    for movement in MIXED_BY:
        currents = (spikes[movement] / np.float32(cells)) @ project.T.astype(np.float32) + bias
        chosen = {*rng.choice(np.arange(35, FRAMES), TRACED, replace=False).tolist()}
        traces = np.zeros((len(currents), len(spec.alphas), spec.width))
        for t in range(FRAMES):
            traces = decay * traces + (1 - decay) * currents[:, t, None]
            if t in chosen:
                covariance += np.einsum("nkd,nld->kl", traces, traces)
    count = len(MIXED_BY) * PEOPLE * VIEWS * TRACED * spec.width
    sizes, ways = np.linalg.eigh(covariance / count)
    rest = project.astype(np.float32) @ resting_spikes(folder).mean(0) + bias
    mix = (ways / np.sqrt(sizes)).T.astype(np.float32)
    arrays = {"project.weight": project, "project.bias": bias, "mix": mix, "rest": rest.astype(np.float32)}
    # safetensors writes what lies in memory, whatever the order of its axes.
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / EMBEDDING)


if __name__ == "__main__":
    run_script(main)
