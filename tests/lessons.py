"""Clips in which something happens in one part of a small picture, and small networks that can be taught them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from livesnn.card import InputSpec, ModelCard, NetworkSpec, SliceRule, TraceSpec
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import EVENTS_DTYPE, Resolution
from livesnn.events.slicer import Frame
from livesnn.infer.load import load_model
from livesnn.infer.model import pooled_spikes
from livesnn.teach.correct import teach
from livesnn.teach.lesson import Clip
from livesnn.teach.model import EMBEDDING, Report
from tests.networks import write_network

SIDE, FRAMES = 16, 120
CARD = ModelCard(
    "corners",
    ("up", "down"),
    InputSpec(SIDE, SIDE, SliceRule(delta_t_us=10_000)),
    NetworkSpec(
        widths=(16,) * 4, strides=(1, 1, 2, 1), sub_blocks=(1,) * 4, stem_kernel=3, stem_stride=1, final_pool=2
    ),
)
Where = tuple[slice, slice]
LEFT, RIGHT, BELOW = (slice(None), slice(0, 8)), (slice(None), slice(8, 16)), (slice(8, 16), slice(None))


def clip(where: Where, *, seed: int = 0, frames: int = FRAMES) -> Clip:
    """Return events here and there in one half of the picture."""
    made = np.zeros((frames, 2, SIDE, SIDE), np.uint8)
    half = made[:, :, where[0], where[1]]
    half[:] = np.random.default_rng(seed).poisson(0.8, half.shape)
    return made


def lesson(base: Path, out: Path, name: str = "right") -> Report:
    return teach(name, [clip(RIGHT)], base, out, others=[clip(LEFT), clip(BELOW)])


def write_remembering(folder: Path) -> Path:
    """Write a network with a class "other" and an embedding, in which what two clips show has mean 0, variance 1."""
    spec = TraceSpec((0.3, 0.9), 2, 32, 96)
    card = replace(CARD, classes=("up", "other"), readout="traces", traces=spec)
    write_network(folder, card)
    model = load_model(folder, "onnx")
    state, spikes = model.initial_state(), []
    for data in np.concatenate([clip(LEFT, frames=30), clip(RIGHT, frames=30)]):
        _, state = model.step(Frame(0, data, 1), state)
        spikes.append(pooled_spikes(model.card, state))
    project = np.random.default_rng(0).normal(0, 1, (32, len(spikes[0]))).astype(np.float16)
    bias = -project.astype(np.float32) @ np.mean(spikes, axis=0)
    mix, decay, traces, seen = np.array([[1, -0.5], [0, 1]], np.float32), np.array([[0.3], [0.9]]), 0.0, []
    for each in spikes:
        traces = decay * traces + (1 - decay) * (project @ each + bias)
        seen.append(mix @ traces)
    mix /= np.std(seen)
    save_file({"project.weight": project, "project.bias": bias, "mix": mix, "rest": bias}, folder / EMBEDDING)
    return folder


def write_recording(path: Path, shown: Clip) -> Path:
    """Write each count as so many events in the middle of its frame, and an event at the beginning and the end."""
    parts = []
    for number, data in enumerate(shown):
        p, y, x = np.nonzero(data)
        events = np.zeros(len(x), EVENTS_DTYPE)
        events["t"], events["x"], events["y"], events["p"] = number * 10_000 + 5_000, x, y, p
        parts.append(events)
    ends = np.zeros(2, EVENTS_DTYPE)
    ends["t"] = 0, len(shown) * 10_000
    with Aedat4Writer(path, Resolution(SIDE, SIDE), "made") as writer:
        writer.write(np.concatenate([ends[:1], *parts, ends[1:]]))
    return path
