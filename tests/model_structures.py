"""Damages models: what their cards, their tensors and their graphs say (tests/mutations.py runs these cases)."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from livesnn.card import InputSpec, ModelCard, NetworkSpec, SliceRule
from livesnn.errors import LivesnnError
from livesnn.events.slicer import Frame
from livesnn.infer.load import model_folder
from livesnn.infer.model import Model
from livesnn.infer.onnx_engine import OnnxModel
from livesnn.infer.spike_engine import SpikeModel, SpikeNetwork
from livesnn.teach.lesson import RECORDINGS, recordings_of
from livesnn.teach.model import KEY, TAUGHT, taught_before
from livesnn.weights import CARD_KEY, GRAPH, WEIGHTS, Weights
from tests.structures import NUMBERS, TEXTS, Case, Random, Subject, damaged_json, maybe_broken, one_file, pick


def model_subjects() -> list[Subject]:
    small = partial(_model_files, CARD)
    return [
        Subject("card", _damaged_card, small, _read_spike),
        Subject("safetensors", _damaged_weights, small, _read_spike),
        Subject("lessons", _damaged_lessons, _lesson_files, _read_lessons),
        Subject("onnx", _damaged_graph, lambda: one_file(GRAPH, shipped_graph().SerializeToString()), _read_onnx),
    ]


CARD = ModelCard(
    "small",
    ("a", "b", "c"),
    InputSpec(20, 16, SliceRule(delta_t_us=1000)),
    NetworkSpec(widths=(16, 16, 16, 16), sub_blocks=(1, 1, 1, 1), final_pool=2, norm=False),
)
MOST_WEIGHTS = 4_000_000


def weights_of(card: ModelCard, random: Random) -> Weights:
    """Return random weights, batch norm folded in, of an STS-ResNet; beyond `MOST_WEIGHTS` they are missing."""
    spec, channels, weights = card.network, card.network.widths[0], Weights()
    left = MOST_WEIGHTS

    def convolution(name: str, inputs: int, outputs: int, kernel: int) -> None:
        nonlocal left
        left -= outputs * inputs * kernel**2
        weights[f"{name}.conv.weight"] = np.zeros(0) if left < 0 else (
            random.normal(0, 0.2, (outputs, inputs, kernel, kernel)).astype(np.float32)
        )  # fmt: skip
        weights[f"{name}.conv.bias"] = random.normal(0, 0.2, outputs).astype(np.float32)

    convolution("stem", card.input.channels, channels, spec.stem_kernel)
    for block, (width, stride, count) in enumerate(zip(spec.widths, spec.strides, spec.sub_blocks, strict=True)):
        for number in range(min(count, 50)):
            name = f"blocks.{block}.{number}"
            convolution(f"{name}.first", channels, width, 3)
            convolution(f"{name}.second", width, width, 3)
            if channels != width or (stride > 1 and number == 0):
                convolution(f"{name}.skip", channels, width, 1)
            channels = width
    ends = [shape for name, shape in card.layer_shapes().items() if name[:6] in ("block3", "block4")]
    ends = [ends[2 * spec.sub_blocks[2] - 1], ends[-1]]
    features = sum(size * (high // spec.final_pool) * (wide // spec.final_pool) for size, high, wide in ends)
    shape = (len(card.classes), features)
    weights["classify.weight"] = np.zeros(shape if features * shape[0] < MOST_WEIGHTS else 0, np.float32)
    weights["classify.bias"] = random.normal(0, 1, shape[0]).astype(np.float32)
    return weights


def _safetensors(weights: Weights, card: str) -> tuple[dict[str, Any], bytes]:
    """Return the header and the numbers of a safetensors file."""
    header: dict[str, Any] = {"__metadata__": {CARD_KEY: card}}
    octets = b""
    for name, array in weights.items():
        part = array.astype("<f4").tobytes()
        ends = [len(octets), len(octets) + len(part)]
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": ends}
        octets += part
    return header, octets


def _file(header: bytes, octets: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + octets


def _model_files(card: ModelCard) -> Case:
    whole = replace(card, states=card.layer_shapes())
    header, octets = _safetensors(weights_of(card, np.random.default_rng(0)), whole.to_json())
    return Case("whole", {WEIGHTS: _file(json.dumps(header).encode(), octets)})


def _damaged_card(random: Random) -> Case:
    """Damage a card, in half of the cases with the states and weights that such a card asks for."""
    text = damaged_json(replace(CARD, states=CARD.layer_shapes()).to_json().encode(), random)
    kind, weights = "card", weights_of(CARD, random)
    if random.random() < 0.5:
        with suppress(LivesnnError):
            card = ModelCard.from_json(_other_numbers(random))
            card = replace(card, states=card.layer_shapes())
            text, weights, kind = card.to_json().encode(), weights_of(card, random), "card and weights"
    header, octets = _safetensors(weights, text.decode("latin-1"))
    return Case(kind, {WEIGHTS: _file(json.dumps(header).encode(), octets)})


def _other_numbers(random: Random) -> bytes:
    """Return a card in which up to four numbers of the network and its input are others that may be."""
    value = json.loads(CARD.to_json())
    for _ in range(int(random.integers(1, 5))):
        part = value[pick(random, ("network", "input", "neuron"))]
        name = pick(
            random, [name for name, each in part.items() if isinstance(each, int | float | list) and each != []]
        )
        was, number = part[name], pick(random, (1, 2, 3, 4, 5, 9, 16, 17, 31, 32, 64, 128, 300, 2_048))
        if isinstance(was, list):
            was[int(random.integers(len(was)))] = number
        else:
            part[name] = not was if isinstance(was, bool) else number if isinstance(was, int) else number / 16
    value["classes"] = [str(number) for number in range(pick(random, (1, 2, 3, 15, 16, 17, 64, 1_000)))]
    return json.dumps(value).encode()


def _damaged_weights(random: Random) -> Case:
    """Damage the header of a safetensors file, or put numbers into it that aren't any."""
    card = replace(CARD, states=CARD.layer_shapes())
    kind, damaged = _damaged_tensors(*_safetensors(weights_of(CARD, random), card.to_json()), random)
    return Case(kind, {WEIGHTS: damaged})


def _damaged_tensors(header: dict[str, Any], octets: bytes, random: Random) -> tuple[str, bytes]:
    """Return what was damaged, and the file."""
    if random.random() < 0.2:
        odd = pick(random, (b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff\xff\x7f\x7f", b"\1\0\0\0"))
        at = 4 * int(random.integers(len(octets) // 4))
        return "weights", _file(json.dumps(header).encode(), octets[:at] + odd + octets[at + 4 :])
    names = [name for name in header if name != "__metadata__"]
    action, name = random.integers(6), pick(random, names)
    if action == 0:
        header[name]["dtype"] = pick(random, ("F64", "F16", "BF16", "I8", "I64", "BOOL", "F8_E4M3", "F4", "x", 0))
    elif action == 1:
        header[name]["shape"] = pick(random, ([], [0], [-1], [1 << 62, 4], header[name]["shape"][::-1], [1] * 70))
    elif action == 2:
        header[name]["data_offsets"] = [pick(random, NUMBERS[:18]), pick(random, NUMBERS[:18])]
    elif action == 3:
        header[pick(random, TEXTS[:-3])] = header.pop(name)
    elif action == 4:
        header[name], header[names[0]] = header[names[0]], header[name]
    else:
        return "header", _file(damaged_json(json.dumps(header).encode(), random), octets)
    return "tensor", maybe_broken(_file(json.dumps(header).encode(), octets), random)


TAUGHT_CARD = replace(CARD, classes=(*CARD.classes, "d"), taught={"d": 3})
TAUGHT_FEATURES = 65
LISTED = b'{"d": {"shown": ["lessons/d.aedat4", "/no/e.aedat4?stream=1"], "others": ["f.aedat4"], "denoise": true}}'


def _lesson(random: Random) -> tuple[dict[str, Any], bytes]:
    return _safetensors({f"{KEY}d": random.normal(0, 1, (3, TAUGHT_FEATURES))}, "")


def _lesson_files() -> Case:
    header, octets = _lesson(np.random.default_rng(0))
    return Case("whole", {TAUGHT: _file(json.dumps(header).encode(), octets), RECORDINGS: LISTED})


def _damaged_lessons(random: Random) -> Case:
    """Damage what a taught model keeps of its lessons, or the list of their recordings."""
    if random.random() < 0.5:
        return Case("list", _lesson_files().files | {RECORDINGS: damaged_json(LISTED, random)})
    kind, damaged = _damaged_tensors(*_lesson(random), random)
    return Case(kind, {TAUGHT: damaged, RECORDINGS: LISTED})


def _read_lessons(folder: Path) -> tuple[str, str]:
    taught_before(folder, TAUGHT_CARD, TAUGHT_FEATURES)
    there = [recordings.there for recordings in recordings_of(folder).values()]
    gone = [file for each in there for file in each.shown + each.others if not Path(file).is_file()]
    return "contradicts itself" if gone else "read", " ".join(gone)


def _read_spike(folder: Path) -> tuple[str, str]:
    network = SpikeNetwork.read(folder)
    if not network.is_compiled() and network.card.network != CARD.network:
        return "read, not compiled", ""
    return _stepped(SpikeModel(network))


def _read_onnx(folder: Path) -> tuple[str, str]:
    return _stepped(OnnxModel.load(folder / GRAPH, threads=1))


def _stepped(model: Model) -> tuple[str, str]:
    spec, state = model.card.input, model.initial_state()
    counts = np.random.default_rng(1).integers(0, 9, (spec.channels, spec.height, spec.width)).astype(np.uint8)
    for _ in range(2):
        _, state = model.step(Frame(0, counts, int(counts.sum())), state)
    return "read", ""


_GRAPHS: list[onnx.ModelProto] = []  # read once a process


def shipped_graph() -> onnx.ModelProto:
    """Return the graph of a shipped model, whose card names no hash."""
    if not _GRAPHS:
        model = onnx.load(model_folder("nmnist") / GRAPH)
        card = ModelCard.from_json(model.metadata_props[0].value)
        helper.set_model_props(model, {CARD_KEY: replace(card, graph_sha256="").to_json()})
        _GRAPHS.append(model)
    made = onnx.ModelProto()
    made.CopyFrom(_GRAPHS[0])
    return made


OPERATORS = (
    "Add", "AveragePool", "Cast", "Concat", "Conv", "Flatten", "Gemm", "Identity", "Less", "MatMul", "Min", "Mul",
    "Reshape", "Loop", "If", "Scan", "Expand", "ConstantOfShape", "Pad", "Resize", "Tile", "Einsum", "Range",
    "NonZero", "Constant", "Sum", "Transpose", "GreaterOrEqual", "SequenceInsert", "StringConcat", "ConvTranspose",
    "OneHot",
)  # fmt: skip
SIDES = (0, -1, 1, 2, 3, 9, 64, 1000, 20_000, 1 << 20, 1 << 31, 1 << 40, 1 << 62, -(1 << 62))


def _new_nodes(model: onnx.ModelProto, random: Random) -> None:
    """Put operators into the graph that read what is there, and constants of odd shapes."""
    graph = model.graph
    known = [each.name for each in (*graph.input, *graph.initializer)]
    for number in range(int(random.integers(1, 30))):
        if random.random() < 0.3:
            shape = [pick(random, (1, 1, 2, 3, 500, 3_000, 20_000)) for _ in range(random.integers(0, 5))]
            array = np.zeros(shape if np.prod(shape) < 100_000 else [1, 3], pick(random, ("f4", "i8", "u1")))
            graph.initializer.append(numpy_helper.from_array(array, f"constant{number}"))
            known.append(f"constant{number}")
        operator = pick(random, OPERATORS[: 13 if random.random() < 0.9 else None])
        reads = [pick(random, known[-12:] if random.random() < 0.7 else known) for _ in range(random.integers(1, 4))]
        options: dict[str, Any] = {}
        if operator in ("AveragePool", "Conv"):
            kernel = int(pick(random, (1, 2, 3, 7, 999, 5_000)))
            options = {"kernel_shape": [kernel] * 2, "pads": [int(pick(random, (0, 1, kernel - 1, kernel)))] * 4}
        if operator in ("Concat", "Flatten"):
            options = {"axis": int(random.integers(-2, 5))}
        if operator == "Cast":
            options = {"to": int(random.integers(0, 20))}
        graph.node.insert(number, helper.make_node(operator, reads, [f"made{number}"], **options))
        known.append(f"made{number}")
    graph.node[-1].input[0] = pick(random, (known[-1], graph.node[-1].input[0]))


def _other_node(model: onnx.ModelProto, random: Random) -> None:
    nodes = model.graph.node
    node, other = (nodes[int(random.integers(len(nodes)))] for _ in range(2))
    action = random.integers(9)
    if action == 0:
        node.op_type = pick(random, OPERATORS)
    elif action == 1:
        nodes.remove(node)
    elif action == 2:
        nodes.append(other)
    elif action == 3:
        node.input[int(random.integers(len(node.input)))] = pick(random, (*other.input, *other.output, "", "é"))
    elif action == 4:
        node.output[0] = pick(random, (*other.input, *other.output, "", "output"))
    elif action == 5:
        node.domain = pick(random, ("com.microsoft", "ai.onnx.ml", "ai.onnx", "x"))
    elif action == 6:
        node.attribute.append(helper.make_attribute("body", model.graph if random.random() < 0.1 else 3))
    elif action == 7:
        name = pick(random, ("axis", "to", "group", "auto_pad", "ceil_mode", "alpha", "transB", "x"))
        node.attribute.append(helper.make_attribute(name, pick(random, (1, 0, -1, 2.5, "SAME_UPPER", [1, 2]))))
    else:
        node.overload = "x"


def _other_attribute(model: onnx.ModelProto, random: Random) -> None:
    attribute = pick(random, [each for node in model.graph.node for each in node.attribute])
    if attribute.ints and random.random() < 0.8:
        attribute.ints[int(random.integers(len(attribute.ints)))] = pick(random, SIDES)
        if random.random() < 0.3:
            attribute.ints.append(1)
    elif random.random() < 0.5:
        attribute.i = pick(random, SIDES)
    else:
        attribute.type = int(random.integers(0, 15))


def _other_tensor(model: onnx.ModelProto, random: Random) -> None:
    tensor = pick(random, model.graph.initializer)
    action = random.integers(7)
    if action == 0 and tensor.dims:
        tensor.dims[int(random.integers(len(tensor.dims)))] = pick(random, SIDES)
    elif action == 1:
        tensor.data_type = int(random.integers(0, 25))
    elif action == 2:
        tensor.raw_data = tensor.raw_data[: int(random.integers(0, 200))]
    elif action == 3:
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=pick(random, ("model.onnx", "/dev/zero", "../x")))
    elif action == 4:
        tensor.float_data.extend([1.0] * int(random.integers(1, 9)))
    elif action == 5:
        tensor.name = pick(random, model.graph.initializer).name
    else:
        tensor.dims.append(pick(random, SIDES))


def _other_value(model: onnx.ModelProto, random: Random) -> None:
    value = pick(random, pick(random, (model.graph.input, model.graph.output, model.graph.value_info)))
    sides = value.type.tensor_type.shape.dim
    action = random.integers(5)
    if action == 0 and sides:
        side = sides[int(random.integers(len(sides)))]
        side.dim_value = pick(random, SIDES)
    elif action == 1 and sides:
        sides[0].dim_param = "N"
    elif action == 2:
        value.type.tensor_type.elem_type = int(random.integers(0, 25))
    elif action == 3:
        value.name = pick(random, model.graph.node).output[0]
    else:
        value.type.sequence_type.elem_type.tensor_type.elem_type = 1


def _other_model(model: onnx.ModelProto, random: Random) -> None:
    action = random.integers(6)
    if action == 0:
        model.opset_import[0].version = pick(random, (*range(-1, 30), 1 << 40))
    elif action == 1:
        model.ir_version = pick(random, (*range(-1, 20), 1 << 40))
    elif action == 2:
        model.functions.append(helper.make_function("x", "F", ["a"], ["b"], [], [helper.make_opsetid("", 18)]))
    elif action == 3:
        model.training_info.add()
    elif action == 4:
        model.metadata_props.append(model.metadata_props[0])
    else:
        model.graph.sparse_initializer.add()


def _other_card(model: onnx.ModelProto, random: Random) -> None:
    text = damaged_json(_GRAPHS[0].metadata_props[0].value.encode(), random)
    model.metadata_props[0].value = text.decode("latin-1")


def _damaged_graph(random: Random) -> Case:
    """Damage a graph in one to three places."""
    kinds = (_new_nodes, _other_node, _other_attribute, _other_tensor, _other_value, _other_model, _other_card)
    model, names = shipped_graph(), []
    for _ in range(int(random.integers(1, 4))):
        change = pick(random, kinds)
        names.append(change.__name__)
        change(model, random)
    return Case(" and ".join(names), {GRAPH: maybe_broken(model.SerializeToString(), random)})
