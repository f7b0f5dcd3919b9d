"""ONNX Runtime at its best: by IO binding, and by its own 8-bit kernels. Not here: its Model (infer/onnx_engine.py).

Both are here to be compared with; `write_int8` needs onnx, of livesnn[train].
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from livesnn.card import ModelCard
from livesnn.events.slicer import Frame
from livesnn.infer.model import Model, State, load_model, zero_state
from livesnn.infer.onnx_engine import feeds, session_options

FLOAT32 = ("onnx", "onnx_bound")
INT8 = "onnx_int8"
RANGED = 10
"""Frames from which ONNX Runtime's 8-bit kernels take the range of their currents."""

Feeds = dict[str, npt.NDArray[np.generic]]


def onnx_ways(folder: Path, frames: Sequence[Frame], *, threads: int) -> dict[str, Model]:
    """Return a model folder on ONNX Runtime in each of its ways: `FLOAT32`, and `INT8` of kernels in 8 bits.

    ``frames``: the first `RANGED` of them give the currents' range. Without onnx installed `INT8` isn't among them.

    Raises
    ------
    ModelError
        The folder has no graph that can be run.
    """
    path = folder / "model.onnx"
    onnx = load_model(folder, "onnx", threads=threads)
    ways: dict[str, Model] = dict(
        zip(FLOAT32, (onnx, BoundOnnx(path, onnx.card, threads=threads)), strict=True)
    )
    if onnx.card.network.weight_bits == 8 and find_spec("onnx") is not None:
        with tempfile.TemporaryDirectory() as scratch:
            int8 = Path(scratch) / "int8.onnx"
            write_int8(path, int8, onnx, frames[:RANGED])
            ways[INT8] = BoundOnnx(int8, onnx.card, threads=threads)
    return ways


def best_float32(engines: Mapping[str, Mapping[str, float]]) -> str:
    """Return which of ONNX Runtime's ways in float32 has the least ms_p50."""
    return min(FLOAT32, key=lambda name: engines[name]["ms_p50"])


class BoundOnnx:
    """A Model (`livesnn.infer.Model`) on ONNX Runtime's IO binding: membranes go to and fro between two fixed places.

    It takes those states alone that it gave, each until the step after the next writes over it.
    """

    engine = "onnx"

    def __init__(self, path: Path, card: ModelCard, *, threads: int) -> None:
        self.card = card
        self._session = onnxruntime.InferenceSession(
            str(path), session_options(threads), providers=["CPUExecutionProvider"]
        )
        spec = card.input
        self._frame = np.zeros((1, spec.channels, spec.height, spec.width), np.uint8)
        self._output = np.zeros((1, len(card.classes)), np.float32)
        self._states = [zero_state(card) for _ in range(2)]
        self._bindings = [self._bind(*self._states), self._bind(*reversed(self._states))]

    def initial_state(self) -> State:
        """Return the all-zero state."""
        for membrane in self._states[0]:
            membrane[...] = 0
        return self._states[0]

    def step(self, frame: Frame, state: State) -> tuple[npt.NDArray[np.float32], State]:
        """Return the output [K] and the next state."""
        turn = int(state is self._states[1])
        self._frame[0] = frame.data
        self._session.run_with_iobinding(self._bindings[turn])
        return self._output[0].copy(), self._states[1 - turn]

    def _bind(self, before: State, after: State) -> onnxruntime.IOBinding:
        binding = self._session.io_binding()
        inputs: Feeds = {"frame": self._frame}
        outputs: Feeds = {"output": self._output}
        for name, old, new in zip(self.card.states, before, after, strict=True):
            inputs[name], outputs[f"{name}.next"] = old[np.newaxis], new[np.newaxis]
        for name, array in inputs.items():
            binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        for name, array in outputs.items():
            binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        return binding


def write_int8(source: Path, target: Path, model: Model, frames: Sequence[Frame]) -> None:
    """Write a graph whose blocks' convolutions run in ONNX Runtime's 8 bits, kernels by channel.

    It isn't quite the same network: currents are rounded too, to 8 bits over the range that they have on the frames.

    Parameters
    ----------
    source, model
        The graph, and the Model of it.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    nodes = [node.name for node in onnx.load(source).graph.node if node.op_type == "Conv"]
    logging.disable(logging.WARNING)  # it asks twice for a preparation that the session does anyway
    try:
        quantize_static(
            source,
            target,
            _Reader(_inputs(model, frames)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=nodes[1:],  # without the stem's
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.disable(logging.NOTSET)


class _Reader:
    """What `quantize_static` takes its ranges from."""

    def __init__(self, inputs: Iterator[Feeds]) -> None:
        self._inputs = inputs

    def get_next(self) -> Feeds | None:
        return next(self._inputs, None)


def _inputs(model: Model, frames: Sequence[Frame]) -> Iterator[Feeds]:
    state = model.initial_state()
    for frame in frames:
        yield feeds(model.card, frame, state)
        _, state = model.step(frame, state)
