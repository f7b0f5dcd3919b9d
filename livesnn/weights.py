"""Weights on disk (safetensors, ONNX), batch norm folded into convolutions, and kernels in 8 bits; without torch."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import zip_longest
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from livesnn.card import ModelCard, NetworkSpec
from livesnn.errors import ModelError, reason_of
from livesnn.files import replace_file

Weights = dict[str, npt.NDArray[np.float32]]
"""Arrays by parameter name: "blocks.0.1.first.conv.weight", [out, in, kh, kw]."""

Rounded = tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]
"""A kernel [O, C, k, k] in 8 bits, and the scale [O] of each output channel."""

WEIGHTS, GRAPH = "model.safetensors", "model.onnx"  # The files of a model folder

CARD_KEY = "livesnn"
_KINDS = ("F16", "F32", "F64")  # numpy has others only if some other package adds them
BATCH_NORM_EPSILON = 1e-5
STEM_POOL_PIXELS = 9
"""Pixels under a window of the stem's pool: how often one channel may spike in what the pool's readers get."""
POOL_READERS = ("blocks.0.0.first.conv.weight", "blocks.0.0.skip.conv.weight")


def load_weights(path: Path) -> tuple[Weights, ModelCard]:
    """Read a model.safetensors: the trainable weights, and the card in its metadata.

    Raises ModelError if the file is missing, damaged, or carries no card; or its weights aren't the card's.
    """
    with _opened(path) as file:
        weights = {name: _read(file, name, path) for name in file.keys()}  # noqa: SIM118
        card = _card(file, path)
    if card.weights_sha256 not in ("", _weights_hash(weights)):
        raise ModelError(f"{path} has other weights than its card says: copy the model again")
    with np.errstate(over="ignore"):  # of float64, whose infinity `fold_batch_norm` names
        return {name: array.astype(np.float32, copy=False) for name, array in weights.items()}, card


def load_tensors(path: Path) -> Weights:
    """Read a safetensors file of a model folder that has no card; raises ModelError if it is missing or damaged."""
    with _opened(path, "copy the model again") as file:
        kept = {name: _read(file, name, path) for name in file.keys()}  # noqa: SIM118
    for name, array in kept.items():
        if not np.isfinite(array).all():
            raise ModelError(f"{path}: {name} holds NaN or infinity: copy the model again")
    return {name: array.astype(np.float32, copy=False) for name, array in kept.items()}


def load_card(path: Path) -> ModelCard:
    """Read the card in a model.safetensors, and no weights; raises ModelError as `load_weights` does."""
    with _opened(path) as file:
        return _card(file, path)


@contextmanager
def _opened(path: Path, again: str = "train the model again, or use --engine onnx") -> Iterator[Any]:
    if not path.is_file():
        raise ModelError(f"{path} is missing: {again}")
    try:
        path.open("rb").close()  # safetensors' message wouldn't say why it can't be read
        check_size(path)
        with safe_open(path, framework="numpy") as file:
            yield file
    except OSError as error:
        raise ModelError(f"{path} can't be read: {reason_of(error)}") from error
    except SafetensorError as error:
        raise ModelError(f"{path} can't be read as safetensors ({reason_of(error)}): copy the model again") from error


def check_size(path: Path) -> None:
    """Raise ModelError if a file of a model folder is larger than any of livesnn's."""
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ModelError(f"{path} has {size:,} bytes, more than any livesnn model: copy it again")


def _card(file: Any, path: Path) -> ModelCard:
    text = (file.metadata() or {}).get(CARD_KEY)
    if text is None:
        raise ModelError(f"{path} carries no model card: it wasn't written by livesnn")
    card = ModelCard.from_json(text, where=f"the card in {path}")
    shapes = card.layer_shapes()
    for said, true in zip_longest(card.states.items(), shapes.items()) if card.states else ():
        if said != true:
            raise ModelError(
                f"{path}: the card gives {_layer(said)}, but its network has {_layer(true)}: copy the model again"
            )
    return replace(card, states=shapes)


def _layer(state: tuple[str, tuple[int, ...]] | None) -> str:
    return "no more layers" if state is None else f"the layer {state[0]!r} {list(state[1])}"


def _read(file: Any, name: str, path: Path) -> npt.NDArray[np.float32]:
    """Return a tensor of an open file."""
    if not name.isprintable():
        raise ModelError(f"{path} has a tensor {name[:40]!r}, which no model has: copy the model again")
    if (kind := file.get_slice(name).get_dtype()) not in _KINDS:
        raise ModelError(f"{path}: {name} has the data type {kind}, which isn't supported: save it as float32")
    return cast("npt.NDArray[np.float32]", file.get_tensor(name))


def save_weights(weights: Weights, path: Path, card: ModelCard) -> None:
    """Write a model.safetensors, whole or not at all, with these weights' hash in its card."""
    card = replace(card, weights_sha256=_weights_hash(weights))
    contiguous = {name: np.ascontiguousarray(array) for name, array in weights.items()}
    replace_file(path, save(contiguous, {CARD_KEY: card.to_json()}))


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
    write_graph(graph, folder / GRAPH, replace(card, weights_sha256=_weights_hash(weights)))
    save_weights(weights, folder / WEIGHTS, replace(card, graph_sha256=graph_hash((folder / GRAPH).read_bytes())))


def _weights_hash(weights: Weights) -> str:
    """Return the SHA-256 of tensors, whatever their order in a file."""
    digest = hashlib.sha256()
    for name, array in sorted(weights.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


MOST_BYTES = 1 << 28  # 65 million weights
MOST_NODES = 2_000  # and as many constants; an STS-ResNet of twice the paper's depth has 300
MOST_VALUES = 100_000_000
"""Numbers that a step may hold at a time, 400 MB: a network of 64 channels on 640×480 pixels holds 60 million."""
MOST_MACS = 20_000_000_000
"""Multiplications of a step, 1 to 2 s: that network has 12 billion."""
_MOST_FIELDS = 300_000

# Kinds of fields of protocol buffers: a number, octets behind their length, four octets; and numbers in either way.
_NUMBER, _OCTETS, _FOUR, _NUMBERS = 0, 2, 5, 8
# The fields that exports have, by their numbers in onnx.proto; ONNX Runtime gets no others. Among those are loops,
# functions and other files, which it follows without end.
_MODEL = {1: _NUMBER, **dict.fromkeys((2, 3, 4, 6, 7, 8, 14), _OCTETS), 5: _NUMBER}
_GRAPH = dict.fromkeys((1, 2, 5, 10, 11, 12, 13, 16), _OCTETS)
_NODE = dict.fromkeys((1, 2, 3, 4, 5, 6, 7, 9), _OCTETS)
_ATTRIBUTE = {1: _OCTETS, 2: _FOUR, 3: _NUMBER, 4: _OCTETS, 8: _NUMBERS, 20: _NUMBER}
_TENSOR = {1: _NUMBERS, 2: _NUMBER, **dict.fromkeys((8, 9, 12, 13, 16), _OCTETS), 14: _NUMBER}
_OPSET = {1: _OCTETS, 2: _NUMBER}
_PROPERTY, _VALUE = dict.fromkeys((1, 2), _OCTETS), dict.fromkeys((1, 2, 3, 4), _OCTETS)
_BYTES = {1: 4, 2: 1, 7: 8}  # of float32, uint8 and int64
_OPSETS, _DOMAINS = range(13, 26), ("", "ai.onnx")  # in which the operators are the same

_ELEMENTWISE = ("Add", "Cast", "GreaterOrEqual", "Identity", "LayerNormalization", "Less", "Min", "Mul", "Relu")
_SET = {
    "auto_pad": b"NOTSET", "ceil_mode": 0, "dilations": [1, 1], "group": 1, "stash_type": 1, "to": 1, "transA": 0,
}  # fmt: skip
_FREE = (
    "allowzero", "alpha", "axis", "beta", "count_include_pad", "epsilon", "kernel_shape", "pads", "perm", "strides",
    "transB",
)  # fmt: skip

Shape = tuple[int, ...]
_Found = dict[int, list[Any]]
_Attributes = dict[str, Any]


def graph_hash(model: bytes) -> str:
    """Return the SHA-256 of a serialized onnx.ModelProto without its metadata; raises ModelError if it is none."""
    digest = hashlib.sha256()
    for number, _, _, octets in _fields(memoryview(model)):
        if number != 14:
            digest.update(octets)
    return digest.hexdigest()


def graph_card(model: bytes) -> str:
    """Return the card's text in the metadata of a serialized onnx.ModelProto; raises ModelError without just one."""
    read = _Reader()
    entries = [read.fields(entry, _PROPERTY) for entry in read.fields(memoryview(model), _MODEL)[14]]
    texts = [_text(entry, 2) for entry in entries if _text(entry, 1) == CARD_KEY]
    if len(texts) != 1:
        raise ModelError(f"it holds {len(texts) or 'no'} livesnn cards: it wasn't exported by livesnn")
    return texts[0]


def check_graph(model: bytes) -> None:
    """Raise ModelError where a serialized onnx.ModelProto isn't a network as livesnn exports it.

    A step holds at most `MOST_VALUES` numbers at a time, and takes at most `MOST_MACS` multiplications. Each operator
    reads something that isn't constant: ONNX Runtime would run it at load.
    """
    read = _Reader()
    found = read.fields(memoryview(model), _MODEL)
    opsets = [read.fields(each, _OPSET) for each in found[8]]
    versions = [_one(each, 2) for each in opsets if _text(each, 1) in _DOMAINS]
    if len(versions) != 1 or versions[0] not in _OPSETS:
        raise ModelError("it has operators of another version than exports have")
    graph = read.fields(_one(found, 7), _GRAPH)
    if not 0 < len(graph[1]) <= MOST_NODES or len(graph[5]) > MOST_NODES:
        raise ModelError(
            f"it has {len(graph[1]):,} operators and {len(graph[5]):,} constants, not 1 to {MOST_NODES:,}"
        )
    nodes = [_node(read, octets) for octets in graph[1]]
    inputs = dict(_input(read, octets) for octets in graph[11])
    constants = dict(_constant(read, octets) for octets in graph[5])
    shapes = inputs | {name: shape for name, (shape, _) in constants.items()}
    if len(shapes) < len(graph[11]) + len(graph[5]):
        raise ModelError("two of its tensors have the same name")
    last_read = {name: number for number, node in enumerate(nodes) for name in node.reads}
    always = {*shapes, *(_text(read.fields(each, _VALUE), 1) for each in graph[12])}
    held, macs = sum(map(prod, inputs.values())), 0
    for number, node in enumerate(nodes):
        if node.writes in shapes or not shapes.keys() >= set(node.reads) or constants.keys() >= set(node.reads):
            raise ModelError(f"its operator {node.operator} reads or writes what no export does")
        shape, work = _result(node, [shapes[name] for name in node.reads], constants)
        shapes[node.writes] = shape
        held, macs = held + prod(shape), macs + work
        if held > MOST_VALUES or macs > MOST_MACS:
            raise ModelError("a step of it takes more memory or time than any network of livesnn's")
        unread = {name for name in (*node.reads, node.writes) if last_read.get(name, number) == number}
        held -= sum(prod(shapes[name]) for name in unread if name not in always)


class _Node(NamedTuple):
    operator: str
    reads: list[str]
    writes: str
    attributes: _Attributes


def _node(read: _Reader, octets: memoryview) -> _Node:
    found = read.fields(octets, _NODE)
    operator, writes = _text(found, 4), [_decoded(name) for name in found[2]]
    if operator not in OPERATORS or _text(found, 7) not in _DOMAINS or len(writes) != 1:
        raise ModelError(f"it has the operator {operator[:40]!r}, which no export has")
    attributes: _Attributes = {}
    for each in found[5]:
        attribute = read.fields(each, _ATTRIBUTE)
        name, values = _text(attribute, 1), [key for key in (2, 3, 4, 8) if key in attribute]
        if len(values) != 1 or name in attributes:
            raise ModelError(f"its attribute {name[:40]!r} hasn't one value")
        value = attribute[8] if values == [8] else _one(attribute, values[0])
        attributes[name] = bytes(value) if values == [4] else value
        if name not in _FREE and attributes[name] != _SET.get(name):
            raise ModelError(f"it has an attribute {name[:40]!r} as no export has")
    return _Node(operator, [_decoded(name) for name in found[1]], writes[0], attributes)


def _input(read: _Reader, octets: memoryview) -> tuple[str, Shape]:
    """Return an input's name and shape."""
    found = read.fields(octets, _VALUE)
    tensor = read.fields(_one(read.fields(_one(found, 2), {1: _OCTETS}), 1), {1: _NUMBER, 2: _OCTETS})
    sides = [read.fields(each, {1: _NUMBER}) for each in read.fields(_one(tensor, 2), {1: _OCTETS})[1]]
    shape = tuple(_one(side, 1) for side in sides)
    if min(shape, default=1) < 1:
        raise ModelError("it has an input of a size that no export has")
    return _text(found, 1), shape


def _constant(read: _Reader, octets: memoryview) -> tuple[str, tuple[Shape, memoryview]]:
    """Return a tensor's name, shape and octets."""
    found = read.fields(octets, _TENSOR)
    shape, kind = tuple(found[1]), _one(found, 2)
    if found[13] or _one(found, 14, 0) != 0 or kind not in _BYTES or min(shape, default=1) < 1:
        raise ModelError("its weights aren't in it, or are of a kind that no export has")
    if prod(shape) * _BYTES[kind] != len(content := _one(found, 9)):
        raise ModelError("it has weights of another size than it says")
    return _text(found, 8), (shape, content)


def _result(node: _Node, inputs: list[Shape], constants: dict[str, tuple[Shape, memoryview]]) -> tuple[Shape, int]:
    """Return the shape of what an operator writes, and its multiplications."""
    try:
        if node.operator in _ELEMENTWISE:
            return np.broadcast_shapes(*inputs), 0
        if node.operator == "Reshape":
            return _reshaped(inputs[0], np.frombuffer(constants[node.reads[1]][1], "<i8").tolist()), 0
        return _SHAPES[node.operator](inputs, node.attributes)
    except (LookupError, TypeError, ValueError) as error:
        raise ModelError(f"its operator {node.operator} doesn't fit what it reads") from error


def _reshaped(shape: Shape, asked: list[int]) -> Shape:
    if -1 in asked:
        at, others = asked.index(-1), -prod(asked)
        asked[at] = prod(shape) // others if others > 0 else 0
    if prod(asked) != prod(shape) or min(asked, default=1) < 1:
        raise ValueError
    return tuple(asked)


def _joined(inputs: list[Shape], attributes: _Attributes) -> tuple[Shape, int]:
    (first, *_), axis = inputs, attributes["axis"]
    axis += len(first) if axis < 0 else 0
    if len({(*shape[:axis], None, *shape[axis + 1 :]) for shape in inputs}) > 1:
        raise ValueError
    return (*first[:axis], sum(shape[axis] for shape in inputs), *first[axis + 1 :]), 0


def _flat(inputs: list[Shape], attributes: _Attributes) -> tuple[Shape, int]:
    (shape,), axis = inputs, attributes.get("axis", 1)
    return (prod(shape[:axis]), prod(shape[axis:])), 0


def _product(inputs: list[Shape], attributes: _Attributes) -> tuple[Shape, int]:
    (*batch, rows, inner), other, *bias = inputs
    *more, also_inner, columns = other if not attributes.get("transB") else (*other[:-2], *other[:-3:-1])
    shape = (*np.broadcast_shapes(tuple(batch), tuple(more)), rows, columns)
    if inner != also_inner or any(np.broadcast_shapes(shape, each) != shape for each in bias):
        raise ValueError
    return shape, prod(shape) * inner


def _convolved(inputs: list[Shape], attributes: _Attributes) -> tuple[Shape, int]:
    (batch, channels, *sides), *weights = inputs
    kernel = tuple(attributes.get("kernel_shape", weights and weights[0][2:]))
    outputs, each_reads = channels, 1
    if weights:
        outputs, each_reads, *own = weights[0]
        if each_reads != channels or tuple(own) != kernel or any(bias != (outputs,) for bias in weights[1:]):
            raise ValueError
    pads, strides = attributes.get("pads", [0] * 4), attributes.get("strides", [1] * 2)
    if not len(sides) == len(kernel) == len(strides) == len(pads) // 2 == 2:
        raise ValueError
    padded = [side + pads[axis] + pads[axis + 2] - kernel[axis] for axis, side in enumerate(sides)]
    within = all(0 <= pad < kernel[axis % 2] for axis, pad in enumerate(pads))
    if not within or min(padded) < 0 or min(*kernel, *strides) < 1:
        raise ValueError
    shape = (batch, outputs, *(room // stride + 1 for room, stride in zip(padded, strides, strict=True)))
    return shape, prod(shape) * each_reads * prod(kernel)


def _transposed(inputs: list[Shape], attributes: _Attributes) -> tuple[Shape, int]:
    (shape,), order = inputs, attributes["perm"]
    if sorted(order) != [*range(len(shape))]:
        raise ValueError
    return tuple(shape[axis] for axis in order), 0


_SHAPES: dict[str, Callable[[list[Shape], _Attributes], tuple[Shape, int]]] = {
    "AveragePool": _convolved, "Concat": _joined, "Conv": _convolved, "Flatten": _flat, "Gemm": _product,
    "MatMul": _product, "Transpose": _transposed,
}  # fmt: skip
OPERATORS = frozenset((*_ELEMENTWISE, "Reshape", *_SHAPES))
"""Operators of ONNX that an exported network has."""


class _Reader:
    """Reads messages of protocol buffers, `_MOST_FIELDS` fields in all."""

    def __init__(self) -> None:
        self._left = _MOST_FIELDS

    def fields(self, message: memoryview, kinds: dict[int, int]) -> _Found:
        """Return the contents of a message's fields by number; raises ModelError where one is of no known kind."""
        found: _Found = defaultdict(list)
        for number, kind, content, _ in _fields(message):
            wanted = kinds.get(number)
            self._left -= 1
            if self._left < 0 or kind not in ((_NUMBER, _OCTETS) if wanted == _NUMBERS else (wanted,)):
                raise ModelError(f"it has a field {number} that no export has, or too many fields")
            packed = kind == _OCTETS and wanted == _NUMBERS
            found[number] += self._numbers(content) if packed else [content]
        return found

    def _numbers(self, octets: memoryview) -> Iterator[int]:
        at = 0
        while at < len(octets):
            number, at = _varint(octets, at)
            self._left -= 1
            if self._left < 0:
                raise ModelError("it has too many numbers")
            yield _signed(number)


def _one(found: _Found, number: int, default: Any = None) -> Any:
    """Return the content of a field that is there once, or the default without."""
    contents = found.get(number, [] if default is None else [default])
    if len(contents) != 1:
        raise ModelError(f"it has {len(contents)} fields {number} where an export has one")
    return contents[0]


def _text(found: _Found, number: int) -> str:
    return _decoded(_one(found, number, b""))


def _decoded(octets: memoryview) -> str:
    try:
        return bytes(octets).decode()
    except UnicodeDecodeError as error:
        raise ModelError("a name in it isn't UTF-8") from error


def _fields(message: memoryview) -> Iterator[tuple[int, int, Any, memoryview]]:
    """Yield the fields of a message of protocol buffers: the number, the kind, the content, and all octets of each.

    A field begins with a key, number · 8 + kind. Then comes a number, which is the content, a length and so many
    octets, or 8 or 4 octets (kinds 1 and 5). Raises ModelError where that isn't so.
    """
    at = 0
    while at < len(message):
        first = at
        key, at = _varint(message, at)
        number, kind, start, value = key >> 3, key & 7, at, 0
        if kind in (_NUMBER, _OCTETS):
            value, at = _varint(message, at)
        if kind == _OCTETS:
            start, at = at, at + value
        elif kind in (1, _FOUR):
            at += 8 if kind == 1 else 4
        if kind not in (_NUMBER, 1, _OCTETS, _FOUR) or at > len(message):
            raise ModelError("it isn't an ONNX model")
        yield number, kind, _signed(value) if kind == _NUMBER else message[start:at], message[first:at]


def _signed(number: int) -> int:
    number &= (1 << 64) - 1
    return number - (1 << 64) if number >> 63 else number


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


def tensor(weights: Weights, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return a tensor of the shape that a card asks for; raises ModelError that names it if it's missing or unfit."""
    if name not in weights:
        raise ModelError(f"the tensor {name} that the card names is missing: copy the model again")
    if weights[name].shape != shape:
        raise ModelError(f"{name} is {weights[name].shape}, not {shape} as the card says: copy the model again")
    return weights[name]


def dense_layers(weights: Weights, card: ModelCard) -> Weights:
    """Return what follows the traces U of a card's read-out: y = C · max(H · norm(M · U) + h, 0) + c.

    With M members, K decays and widths D and H: "mix" [M, K, K] where the card says so, "hidden_weight" [M, K·D, H],
    "hidden_bias" [M, 1, H], "classify_weight" [classes, M·H] and "classify_bias" [classes].
    Raises ModelError as `tensor` does.
    """
    spec, classes, decays = card.traces, len(card.classes), len(card.traces.alphas)
    traced = decays * spec.width
    shapes: dict[str, tuple[int, ...]] = {
        **({"read_out.mix": (spec.members, decays, decays)} if spec.mixed else {}),
        "read_out.hidden_weight": (spec.members, traced, spec.hidden),
        "read_out.hidden_bias": (spec.members, 1, spec.hidden),
        "classify.weight": (classes, spec.members * spec.hidden),
        "classify.bias": (classes,),
    }
    return {
        name.removeprefix("read_out.").replace(".", "_"): tensor(weights, name, shape)
        for name, shape in shapes.items()
    }


def weights_to_run(weights: Weights, network: NetworkSpec) -> Weights:
    """Return what every engine runs: batch norm folded, and the blocks' kernels rounded if the card says 8 bits.

    Raises ModelError that names a tensor which is missing, doesn't fit, or holds NaN or infinity.
    """
    folded = fold_batch_norm(weights)
    rounded = rounded_kernels(folded, network)
    return folded | {name: kernel * scale[:, None, None, None] for name, (kernel, scale) in rounded.items()}


def rounded_kernels(folded: Weights, network: NetworkSpec) -> dict[str, Rounded]:
    """Return the kernels that run in 8 bits, by name: all of the blocks', or none."""
    if network.weight_bits != 8:
        return {}
    names = [name for name in folded if name.startswith("blocks.") and name.endswith(".conv.weight")]
    return {name: quantize(folded[name], times=STEM_POOL_PIXELS if name in POOL_READERS else 1) for name in names}


def quantize(kernel: npt.NDArray[np.float32], *, times: int = 1) -> Rounded:
    """Return a kernel [O, C, k, k] in 8 bits, -127..127, and the scale float32 [O] of each output channel.

    kernel ≈ rounded · scale, symmetric about zero. An output channel's scale follows from its largest weight. It is
    larger if the sum of the channel's weights wouldn't fit into 16 bits otherwise, so that sums never overflow. An
    input may count several ``times``; then the sum of one row of the kernel so many times has to fit.
    """
    sizes = np.abs(kernel)
    together = sizes.sum((1, 2, 3)) if times == 1 else times * sizes.sum((1, 3)).max(1)
    most = np.iinfo(np.int16).max
    # Rounding adds at most a half to each weight, and at most doubles it.
    room = max(most - times * sizes[0].size // 2, most // 2)
    least = np.maximum(sizes.max((1, 2, 3)) / np.float32(127), together / np.float32(room))
    scale = np.where(least > 0, least, np.float32(1)).astype(np.float32)
    return np.rint(kernel / scale[:, None, None, None]).astype(np.int8), scale


def fold_batch_norm(weights: Weights) -> Weights:
    """Return the weights of the same network without batch norm: each "<layer>.norm" goes into "<layer>.conv".

    w' = w · γ/√(σ²+ε),  b' = β − μ · γ/√(σ²+ε)  (Jacob et al. 2018), computed in float64.
    Raises ModelError that names a tensor which is missing, doesn't fit, or holds NaN or infinity.
    """
    folded = {name: array for name, array in weights.items() if ".norm." not in name}
    for name in [name for name in weights if name.endswith(".norm.weight")]:
        layer = name.removesuffix(".norm.weight")
        parts = [f"{layer}.norm.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
        for needed in (*parts, f"{layer}.conv.weight"):
            if needed not in weights:
                raise ModelError(f"the tensor {needed} is missing: train or copy the model again")
            if weights[needed].shape[:1] != weights[name].shape:
                raise ModelError(
                    f"{needed} is {weights[needed].shape}, but {name} is {weights[name].shape}: copy the model again"
                )
        gamma, beta, mean, variance = (weights[part].astype(np.float64) for part in parts)
        with np.errstate(invalid="ignore"):  # of a variance below 0, whose NaN raises below
            gain = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
        kernel = weights[f"{layer}.conv.weight"]
        folded[f"{layer}.conv.weight"] = (kernel * gain[:, None, None, None]).astype(np.float32)
        folded[f"{layer}.conv.bias"] = (beta - mean * gain).astype(np.float32)
    for name, array in folded.items():
        if not np.isfinite(array).all():
            raise ModelError(f"{name} holds NaN or infinity: its weights are damaged, train again")
    return folded
