"""A small network and a moving bar, made on the spot: what the tests of session and window play."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.weights import CARD_KEY
from tests.waiting import eventually

if TYPE_CHECKING:
    from livesnn.session.session import Session

SENSOR = Resolution(34, 34)
CARD = ModelCard(
    name="columns",
    classes=tuple(str(digit) for digit in range(10)),
    input=InputSpec(width=34, height=34, slice=SliceRule(delta_t_us=10_000), window=10),
    states={"classify": (10,)},
    dataset="none: where a bar is, left to right",
)


VIDEO_FPS, VIDEO_FRAMES = 50, 60
VIDEO_CARD = replace(
    CARD,
    input=replace(
        CARD.input,
        kind="video",
        channels=1,
        count_max=255,
        scale=1 / 255,
        slice=SliceRule(delta_t_us=20_000),
        window=5,
    ),
    sensor=None,
)


def write_model(folder: Path, card: ModelCard = CARD) -> Path:
    """Write a model folder whose ten classes are ten columns of the image: U' = 0.5·U + counts·W."""
    width, height = card.input.width, card.input.height
    columns = np.arange(width)[None, :] * 10 // width == np.arange(10)[:, None]
    channels = card.input.channels
    weights = np.repeat(columns[:, None, :], channels * height, axis=1).reshape(10, -1).T.astype(np.float32)
    real = TensorProto.FLOAT
    nodes = [
        helper.make_node("Cast", ["frame"], ["counts"], to=real),
        helper.make_node("Flatten", ["counts"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["seen"]),
        helper.make_node("Mul", ["seen", "scale"], ["drive"]),
        helper.make_node("Mul", ["classify", "half"], ["fading"]),
        helper.make_node("Add", ["fading", "drive"], ["classify.next"]),
        helper.make_node("Identity", ["classify.next"], ["output"]),
    ]
    constants = {"weights": weights, "half": np.float32(0.5), "scale": np.float32(0.05)}
    graph = helper.make_graph(
        nodes,
        "step",
        [
            helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, channels, height, width]),
            helper.make_tensor_value_info("classify", real, [1, 10]),
        ],
        [helper.make_tensor_value_info(name, real, [1, 10]) for name in ("output", "classify.next")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {CARD_KEY: card.to_json()})
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    return folder


def moving_bar(duration_us: int, *, start_us: int = 5_000_000, seed: int = 1) -> Events:
    """Return events of a bar that crosses the sensor once: ON in front, OFF behind, and some noise."""
    rng = np.random.default_rng(seed)
    steps = np.arange(0, duration_us, 1000)
    rows = np.arange(4, 30)
    t = np.repeat(steps, rows.size) + rng.integers(0, 1000, steps.size * rows.size)
    on = rng.random(t.size) < 0.5
    front = t * 30 // duration_us
    x = np.where(on, front + 3, front) + rng.integers(-1, 2, t.size)
    noise = rng.random(t.size) < 0.02
    events = np.zeros(t.size, EVENTS_DTYPE)
    events["t"] = start_us + t
    events["x"] = np.where(noise, rng.integers(0, 34, t.size), np.clip(x, 0, 33))
    events["y"] = np.tile(rows, steps.size)
    events["p"] = on
    return events[np.argsort(events["t"], kind="stable")]


def noisy_bar(duration_us: int) -> Events:
    """Return a bar that crosses once, and half as many events of noise."""
    bar = moving_bar(duration_us)
    rng = np.random.default_rng(4)
    noise = bar.copy()
    noise["x"], noise["y"] = rng.integers(0, 34, (2, bar.size))
    events = np.concatenate([bar, noise[::2]])
    return events[np.argsort(events["t"], kind="stable")]


def write_recording(path: Path, events: Events, sensor: Resolution = SENSOR) -> Path:
    """Write the events as .npz."""
    columns: dict[str, npt.NDArray[np.generic]] = {name: events[name] for name in ("t", "x", "y", "p")}
    np.savez(path, width=np.int64(sensor.width), height=np.int64(sensor.height), **columns)
    return path


def write_video(
    path: Path, images: Iterable[npt.NDArray[np.uint8]], fps: float = VIDEO_FPS, codec: str = "MJPG"
) -> Path:
    """Write BGR pictures [H, W, 3] of one size."""
    import cv2

    first, *others = images
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), fps, first.shape[1::-1])
    assert writer.isOpened()
    for image in (first, *others):
        writer.write(image)
    writer.release()
    return path


def bar_images() -> Iterable[npt.NDArray[np.uint8]]:
    """Yield pictures of a bright bar that goes from the left to the right, each another."""
    for n in range(VIDEO_FRAMES):
        image = np.zeros((64, 64, 3), np.uint8)
        image[:, n : n + 4] = 255
        yield image


def next_picture_us(session: Session) -> Callable[[], int]:
    """Return what waits for the next picture and returns its time, µs."""

    def next_us() -> int:
        shown: list[int] = []
        eventually(lambda: shown.extend(p.t_us for p in [session.pictures.take()] if p) or shown)
        return shown[-1]

    return next_us


def livesnn_threads() -> list[str]:
    """Return the names of our threads that are alive, but for those of a step, which end with the model."""
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("livesnn-")]
    return [name for name in names if not name.startswith("livesnn-spikes")]


def write_long_recording(path: Path) -> Path:
    """Write a .raw of 2 GB, nearly all of it a hole: 500 million events, which take seconds to read.

    It doesn't give the sensor's size, so all of it is read before it is played.
    """
    header = b"% evt 2.0\n% format EVT2\n% end\n"
    path.write_bytes(header + (0x80000001).to_bytes(4, "little"))
    os.truncate(path, 2 << 30)
    return path
