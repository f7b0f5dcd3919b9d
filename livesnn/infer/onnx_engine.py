"""OnnxModel: one step of a network in ONNX Runtime on the CPU. The graph is made in snn/checkpoint.py.

The graph takes `frame` uint8 [1, C, H, W] and each state by name, float32 [1, *shape]. It gives `output`
float32 [1, K] and each `<state>.next`. Its metadata holds the card under "livesnn".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.events.slicer import Frame
from livesnn.infer.model import CheckedModel, FloatArray, State, check_first_step
from livesnn.onnx_graph import check_graph, graph_card, graph_hash
from livesnn.paths import models_dir
from livesnn.threads import usable_processors
from livesnn.weights import Weights, check_size

MIX = "read_out.mix"  # Name of the tensor by which a read-out's members mix their decays

# ONNX Runtime's exceptions share no base but Exception.
_LOAD_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    *(kind for kind in vars(runtime_errors).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)

_Tensor = tuple[str, tuple[int | str | None, ...]]  # ONNX type and shape


def default_threads() -> int:
    """Return half the logical processors, but one or two: the rest of livesnn needs the others."""
    return min(2, max(1, usable_processors() // 2))


class OnnxModel(CheckedModel):
    """A Model (`livesnn.infer.model`) on ONNX Runtime, to be stepped from one thread at a time."""

    engine = "onnx"

    def __init__(self, session: onnxruntime.InferenceSession, card: ModelCard) -> None:
        self.card = card
        self._session = session
        self._outputs = ["output", *(f"{state}.next" for state in card.states)]

    @classmethod
    def load(cls, path: Path, *, threads: int | None = None) -> OnnxModel:
        """Open model.onnx; raises ModelError if it is missing, damaged or not what its card says."""
        if not path.is_file():
            raise ModelError(f"{path} is missing: copy the model again, or use --engine spike")
        try:
            check_size(path)
            octets = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path} can't be read: {error.strerror}") from error
        try:
            text = graph_card(octets)
            if path.absolute().parent.parent != models_dir():  # what comes with livesnn is as sound as its code
                check_graph(octets)
            session = onnxruntime.InferenceSession(
                octets, session_options(threads), providers=["CPUExecutionProvider"]
            )
            inputs, outputs = (
                {node.name: (node.type, tuple(node.shape)) for node in nodes}
                for nodes in (session.get_inputs(), session.get_outputs())
            )
        except ModelError as error:
            raise ModelError(f"{path} can't be loaded, copy it again: {error}") from error
        except UnicodeDecodeError as error:
            raise ModelError(f"{path} can't be loaded, copy it again: a name in it isn't UTF-8") from error
        except _LOAD_ERRORS as error:
            raise ModelError(f"{path} can't be loaded, copy it again: {_reason(error)}") from error
        card = ModelCard.from_json(text, where=f"the card in {path}")
        if card.graph_sha256 not in ("", graph_hash(octets)):
            raise ModelError(f"{path} has another network than its card says: copy the model again")
        _check_tensors(inputs, outputs, card, path)
        model = cls(session, card)
        try:
            check_first_step(model, str(path))
        except _LOAD_ERRORS as error:
            raise ModelError(f"{path} can't take a step, copy it again: {_reason(error)}") from error
        return model

    def advance(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        # Plain run, not IO binding: 31 µs a call against 88 µs, measured with 17 states of [64, 8, 8]. It reads
        # the arrays in place and returns its own buffers: nothing is copied either way.
        output, *membranes = self._session.run(self._outputs, feeds(self.card, frame, state))
        return output[0], tuple(membrane[0] for membrane in membranes)


def feeds(card: ModelCard, frame: Frame, state: State) -> dict[str, npt.NDArray[np.generic]]:
    """Return the graph's inputs by name, each with its batch axis; nothing is copied."""
    membranes = zip(card.states, state, strict=True)
    return {"frame": frame.data[np.newaxis], **{name: membrane[np.newaxis] for name, membrane in membranes}}


def _reason(error: Exception) -> str:
    """Return the first sentence of ONNX Runtime's message, without error number, path and line of its source."""
    text = " ".join(str(error).split()).split(" : ", 3)[-1].rpartition(" failed:")[2]
    if "onnxruntime::" in text:
        text = text.rpartition(") ")[2]
    return text.split(". ")[0]


def session_options(threads: int | None) -> onnxruntime.SessionOptions:
    """Return all optimisations, one stream of operators, and a quiet log (errors arrive as exceptions)."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = default_threads() if threads is None else threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


def _check_tensors(
    has_inputs: dict[str, _Tensor], has_outputs: dict[str, _Tensor], card: ModelCard, path: Path
) -> None:
    """Compare the graph's inputs and outputs with the card; raise ModelError on the first that differs."""
    classes, read_out = (len(card.classes),), card.layer_shapes()["readout"]
    if [*card.states.values()][-1:] != [read_out]:
        raise ModelError(f"{path}: the last state is not the read-out's {list(read_out)}: copy the model again")
    frame = (1, card.input.channels, card.input.height, card.input.width)
    inputs: dict[str, _Tensor] = {"frame": ("tensor(uint8)", frame)}
    outputs: dict[str, _Tensor] = {"output": ("tensor(float)", (1, *classes))}
    for name, shape in card.states.items():
        inputs[name] = outputs[f"{name}.next"] = ("tensor(float)", (1, *shape))
    for kind, wanted, found in (("input", inputs, has_inputs), ("output", outputs, has_outputs)):
        for name in [*wanted, *(name for name in found if name not in wanted)]:
            if wanted.get(name) != found.get(name):
                raise ModelError(
                    f"{path}: {kind} {name!r} is {_describe(found.get(name))}, its card says "
                    f"{_describe(wanted.get(name))}: copy the model again"
                )


def _describe(tensor: _Tensor | None) -> str:
    return "absent" if tensor is None else f"{tensor[0]} {list(tensor[1])}"


def load_graph(path: Path) -> Any:
    """Return the onnx.ModelProto in a file; raises ModelError where it can't be read, or isn't one of livesnn's."""
    import onnx  # half a second

    try:
        octets = path.read_bytes()
        check_graph(octets)
    except (OSError, ModelError) as error:
        raise ModelError(f"{path} can't be loaded, copy it again: {error}") from error
    return onnx.load_from_string(octets)


def with_read_out(base: Path, weights: Weights, card: ModelCard) -> Any:
    """Return the onnx.ModelProto of a model.onnx with another read-out, which the card describes."""
    import onnx  # half a second

    model = load_graph(base)
    graph = model.graph
    values = {name: array for name, array in weights.items() if name.startswith(("read_out.", "classify."))}
    for tensor in graph.initializer:
        if (name := tensor.name.removeprefix("net.")) in values:
            array = np.ascontiguousarray(values.pop(name))
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    if MIX in values:  # nothing is mixed yet
        try:
            _mix_traces(graph, values.pop(MIX), card)
        except (LookupError, StopIteration) as error:
            raise ModelError(f"{base} isn't a graph that livesnn has exported: train the model again") from error
    if values:
        raise ModelError(f"{base} has no {' and no '.join(values)}: copy the model again")
    del graph.value_info[:]  # intermediate shapes, which nobody needs
    lengths = {"output": len(card.classes)} | dict.fromkeys(("readout", "readout.next"), *card.states["readout"])
    for tensor in (*graph.input, *graph.output):
        if tensor.name in lengths:
            tensor.type.tensor_type.shape.dim[-1].dim_value = lengths[tensor.name]
    onnx.checker.check_model(model)
    return model


def _mix_traces(graph: Any, mix: FloatArray, card: ModelCard) -> None:
    """Let a graph's members mix their decays, and give its reshapes the number of members that the card has."""
    import onnx

    spec, nodes = card.traces, list(graph.node)
    reads = {name: node for node in nodes for name in node.input}
    writes = {node.output[0]: node for node in nodes}
    normed = next(node for node in nodes if node.op_type == "LayerNormalization")
    each = writes[writes[normed.input[0]].input[0]]
    classify = writes["output"]
    member = [1, spec.members, len(spec.alphas), -1]
    shapes = [
        (reads[reads["net.read_out.project.weight"].output[0]], [1, spec.members, 1, -1]),
        (reads["readout"], member),
        (writes["readout.next"], [1, -1]),
        (each, [1, spec.members, len(spec.alphas) * spec.width]),
        (writes[classify.input[0]], [1, spec.members * spec.hidden]),
    ]
    for node, shape in shapes:
        node.input[1] = f"{node.output[0]}.shape"
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(shape, np.int64), node.input[1]))
    mixing = onnx.helper.make_node("MatMul", ["net." + MIX, each.input[0]], ["mixed"])
    graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(mix), "net." + MIX))
    each.input[0] = "mixed"
    at = next(number for number, node in enumerate(nodes) if node.output[0] == each.output[0])
    del graph.node[:]
    graph.node.extend([*nodes[:at], mixing, *nodes[at:]])
