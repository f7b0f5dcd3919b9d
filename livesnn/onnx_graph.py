"""The graph in a model folder, model.onnx: its card, its hash, and the check that it is as livesnn exports it.

The engine that runs it is infer/onnx_engine.py; it is exported by snn/checkpoint.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.files import replace_file
from livesnn.untrusted import HEADER_BYTES
from livesnn.weights import CARD_KEY, GRAPH, WEIGHTS, Weights, save_weights, weights_hash

MOST_NODES = 2_000  # and as many constants; an STS-ResNet of twice the paper's depth has 300
MOST_VALUES = 100_000_000
"""Numbers that a step may hold at a time, 400 MB: a network of 64 channels on 640×480 pixels holds 60 million."""
MOST_MACS = 20_000_000_000
"""Multiplications of a step, 1 to 2 s: that network has 12 billion. A number that is written counts as ten."""
_MOST_FIELDS = 100_000

_OPSETS, _DOMAINS = range(13, 26), ("", "ai.onnx")  # in which the operators are the same
OPERATORS = frozenset({
    "Add", "AveragePool", "Cast", "Concat", "Conv", "Flatten", "Gemm", "GreaterOrEqual", "Identity",
    "LayerNormalization", "Less", "MatMul", "Min", "Mul", "Relu", "Reshape", "Transpose",
})  # fmt: skip
"""Operators that an exported network has. Their cost follows from shapes: no frame makes a step longer."""
_ATTRIBUTES = {
    "auto_pad": b"NOTSET", "ceil_mode": 0, "dilations": [1, 1], "group": 1, "stash_type": 1, "to": 1, "transA": 0,
}  # fmt: skip
"""Attributes with the only value that exports have; those that may have any are `_FREE`."""
_FREE = (
    "allowzero", "alpha", "axis", "beta", "count_include_pad", "epsilon", "kernel_shape", "pads", "perm", "strides",
    "transB",
)  # fmt: skip
_BYTES = {1: 4, 2: 1, 7: 8}  # of float32, uint8 and int64

_GRAPH_FIELD, _PROPERTY_FIELD = 7, 14  # of a ModelProto, by their numbers in onnx.proto
_CONSTANT_FIELD, _RAW_FIELD = 5, 9  # of a GraphProto and of a TensorProto


def write_graph(model: Any, path: Path, card: ModelCard) -> None:
    """Write an onnx.ModelProto with the card and its own hash as its only metadata, whole or not at all.

    The exporter's notes on each node, such as the place in its source, are left out: they name paths of this machine.
    Raises ModelError where `check_graph` doesn't let the network in again.
    """
    import onnx  # half a second

    graph = model.graph
    values = (*graph.initializer, *graph.value_info, *graph.input, *graph.output)
    for noted in (model, graph, *graph.node, *values):
        noted.ClearField("doc_string")
        noted.ClearField("metadata_props")
    octets = model.SerializeToString()
    check_graph(octets)
    card = replace(card, graph_sha256=graph_hash(octets))
    onnx.helper.set_model_props(model, {CARD_KEY: card.to_json()})
    replace_file(path, model.SerializeToString())


def write_model(folder: Path, weights: Weights, graph: Any, card: ModelCard) -> None:
    """Write both files of a model folder with one card, which binds them to each other."""
    write_graph(graph, folder / GRAPH, replace(card, weights_sha256=weights_hash(weights)))
    save_weights(weights, folder / WEIGHTS, replace(card, graph_sha256=graph_hash((folder / GRAPH).read_bytes())))


def graph_hash(model: bytes) -> str:
    """Return the SHA-256 of a serialized onnx.ModelProto without its metadata; raises ModelError if it is none."""
    digest = hashlib.sha256()
    for number, _, octets in _fields(memoryview(model), iter(range(_MOST_FIELDS))):
        if number != _PROPERTY_FIELD:
            digest.update(octets)
    return digest.hexdigest()


def graph_card(model: bytes) -> str:
    """Return the card's text in the metadata of a serialized onnx.ModelProto; raises ModelError without just one."""
    left = iter(range(_MOST_FIELDS))
    entries = [content for number, content, _ in _fields(memoryview(model), left) if number == _PROPERTY_FIELD]
    texts = []
    for entry in entries:
        parts = {number: bytes(content) for number, content, _ in _fields(entry, left)}
        if parts.get(1) == CARD_KEY.encode():
            texts.append(parts.get(2, b""))
    if len(texts) != 1:
        raise ModelError(f"it holds {len(texts) or 'no'} livesnn cards: it wasn't exported by livesnn")
    try:
        return texts[0].decode()
    except UnicodeDecodeError as error:
        raise ModelError("its card isn't UTF-8") from error


def check_graph(octets: bytes) -> None:
    """Raise ModelError where a serialized onnx.ModelProto isn't a network as livesnn exports it.

    A step holds at most `MOST_VALUES` numbers at a time, and takes at most `MOST_MACS` multiplications. Each operator
    reads something that isn't constant: ONNX Runtime would run it at load.
    """
    import onnx  # 0.2 s
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    if _structure_bytes(octets) > HEADER_BYTES:  # each of its objects would take 100 bytes
        raise ModelError("it has more operators, or longer names, than any network of livesnn's")
    try:
        model = onnx.load_from_string(octets)
        _check_parts(model)
        _check_cost(_with_shapes(model).graph)
    except (DecodeError, UnicodeDecodeError) as error:
        raise ModelError("it isn't an ONNX model") from error
    except (onnx.shape_inference.InferenceError, LookupError, ValueError, TypeError) as error:
        raise ModelError("the shapes of what its operators read don't fit") from error


def _structure_bytes(model: bytes) -> int:
    """Return how many octets aren't weights; raises ModelError where it has very many fields."""
    left, weights = iter(range(_MOST_FIELDS)), 0
    for number, graph, _ in _fields(memoryview(model), left):
        for inner, constant, _ in _fields(graph, left) if number == _GRAPH_FIELD else ():
            if inner == _CONSTANT_FIELD:
                weights += sum(len(content) for each, content, _ in _fields(constant, left) if each == _RAW_FIELD)
    return len(model) - weights


def _check_parts(model: Any) -> None:
    """Raise ModelError for an operator, an attribute, a constant or another part that exports don't have."""
    graph = model.graph
    versions = [each.version for each in model.opset_import if each.domain in _DOMAINS]
    if len(versions) != 1 or versions[0] not in _OPSETS:
        raise ModelError("it has operators of another version than exports have")
    if model.functions or model.training_info or graph.sparse_initializer:
        raise ModelError("it has functions or other parts that no export has")
    if not 0 < len(graph.node) <= MOST_NODES or len(graph.initializer) > MOST_NODES:
        raise ModelError(
            f"it has {len(graph.node):,} operators and {len(graph.initializer):,} constants, not 1 to {MOST_NODES:,}"
        )
    constants = {each.name for each in graph.initializer}
    there = constants | {each.name for each in graph.input}
    if len(there) < len(graph.initializer) + len(graph.input):
        raise ModelError("two of its tensors have the same name")
    for node in graph.node:
        if node.op_type not in OPERATORS or node.domain not in _DOMAINS or len(node.output) != 1:
            raise ModelError(f"it has the operator {node.op_type[:40]!r}, which no export has")
        if node.output[0] in there or not there >= set(node.input) or constants >= set(node.input):
            raise ModelError(f"its operator {node.op_type} reads or writes what no export does")
        there.add(node.output[0])
        _check_attributes(node)
    for constant in graph.initializer:
        if constant.external_data or constant.data_location or constant.data_type not in _BYTES:
            raise ModelError("its weights aren't in it, or are of a kind that no export has")
        if min(constant.dims, default=1) < 1 or prod(constant.dims) * _BYTES[constant.data_type] != len(
            constant.raw_data
        ):
            raise ModelError("it has weights of another size than it says")


def _check_attributes(node: Any) -> None:
    import onnx

    for attribute in node.attribute:
        name, kinds = attribute.name, onnx.AttributeProto
        if attribute.type not in (kinds.FLOAT, kinds.INT, kinds.INTS, kinds.STRING):
            raise ModelError(f"its attribute {name[:40]!r} hasn't one value")
        value = onnx.helper.get_attribute_value(attribute)
        if name not in _FREE and value != _ATTRIBUTES.get(name):
            raise ModelError(f"it has an attribute {name[:40]!r} as no export has")
        least = {"kernel_shape": 1, "strides": 1, "pads": 0}.get(name)
        if least is not None and (len(value) not in (2, 4) or not least <= min(value) <= max(value) < 1 << 20):
            raise ModelError(f"its operator {node.op_type} doesn't fit what it reads")


def _with_shapes(model: Any) -> Any:
    """Return a graph with the shape of each tensor, without its weights."""
    import onnx

    for each in model.graph.input:
        if any(dim.dim_value < 1 for dim in each.type.tensor_type.shape.dim):
            raise ModelError("it has an input of a size that no export has")
    del model.graph.value_info[:]
    for constant in model.graph.initializer:
        if len(constant.raw_data) > 1024:  # not the shape that a Reshape reads
            constant.ClearField("raw_data")
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def _check_cost(graph: Any) -> None:
    """Raise ModelError where a step takes too much memory or time."""
    shapes = {each.name: tuple(each.dims) for each in graph.initializer}
    for each in (*graph.input, *graph.value_info, *graph.output):
        shapes[each.name] = tuple(dim.dim_value for dim in each.type.tensor_type.shape.dim)
    last_read = {name: number for number, node in enumerate(graph.node) for name in node.input}
    always = {each.name for each in (*graph.initializer, *graph.input, *graph.output)}
    held, macs = sum(prod(shapes[each.name]) for each in graph.input), 0
    for number, node in enumerate(graph.node):
        written = shapes[node.output[0]]
        if min(written, default=1) < 1:
            raise ModelError(f"its operator {node.op_type} doesn't fit what it reads")
        held, macs = held + prod(written), macs + _macs(node, written, shapes)
        if held > MOST_VALUES or macs > MOST_MACS:
            raise ModelError("a step of it takes more memory or time than any network of livesnn's")
        unread = {name for name in (*node.input, *node.output) if last_read.get(name, number) == number}
        held -= sum(prod(shapes[name]) for name in unread - always)


def _macs(node: Any, written: tuple[int, ...], shapes: dict[str, tuple[int, ...]]) -> int:
    """Return the multiplications of an operator, or what takes as long."""
    if node.op_type in ("MatMul", "Gemm"):
        return prod(written) * shapes[node.input[0]][-1]
    if node.op_type == "Conv":
        return prod(written) * prod(shapes[node.input[1]][1:])
    if node.op_type == "AveragePool":
        return prod(written) * prod(next(each.ints for each in node.attribute if each.name == "kernel_shape"))
    return 10 * prod(written)


def _fields(message: memoryview, left: Iterator[int]) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Yield the fields of a message of protocol buffers: the number, what it holds, and all octets of each.

    A field begins with a key, number · 8 + kind. Then comes a number (kind 0), a length and so many octets (2), or 8
    or 4 octets (1 and 5). Raises ModelError where that isn't so, or where none are ``left``.
    """
    at = 0
    while at < len(message):
        if next(left, None) is None:
            raise ModelError("it has more parts than any network of livesnn's")
        first = at
        key, at = _varint(message, at)
        start = at
        if key & 7 in (0, 2):
            value, at = _varint(message, at)
            if key & 7 == 2:
                start, at = at, at + value
        else:
            at += {1: 8, 5: 4}.get(key & 7, len(message) + 1)
        if at > len(message):
            raise ModelError("it isn't an ONNX model")
        yield key >> 3, message[start:at], message[first:at]


def _varint(octets: memoryview, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, lowest first, and where it ends; raises ModelError beyond 64 bits."""
    number = 0
    for shift in range(0, 70, 7):
        octet = octets[at] if at < len(octets) else 0
        number |= (octet & 0x7F) << shift
        at += 1
        if octet < 0x80:
            return number, at
    raise ModelError("it isn't an ONNX model")
