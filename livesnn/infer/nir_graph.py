"""A network as a NIR graph, which other frameworks and neuromorphic chips read. The ONNX export is snn/checkpoint.py.

NIR is the Neuromorphic Intermediate Representation (Pedersen et al. 2024, Nature Communications 15, 8122). This needs
no torch.
"""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import nir
import numpy as np

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.onnx_graph import MOST_VALUES
from livesnn.weights import Weights, dense_layers, tensor, weights_to_run


def frame_s(card: ModelCard) -> float:
    """Return the time of a frame in seconds; raises ModelError if frames are slices of a fixed number of events."""
    delta_t_us = card.input.slice.delta_t_us
    if delta_t_us is None:
        raise ModelError(f"frames of {card.name} have a fixed number of events but no fixed time: give --dt")
    return delta_t_us / 1e6


def nir_graph(card: ModelCard, weights: Weights, dt_s: float) -> nir.NIRGraph:
    """Return the network as every engine runs it.

    One frame is exactly one step of Euler's method of ``dt_s`` seconds: τ dv/dt = −v + R·I with τ = dt / (1 − α) and
    R = τ / dt gives U[t] = α·U[t−1] + I, the neuron of `livesnn.snn.lif`. NIR has no node for three things:

    - Concatenation. The read-out has a dense node for each of its two taps, and its neurons add them up.
    - Neurons that fire but don't reset. They are an integrator and a threshold.
    - Scaling and clipping of counts. The scale is in the first kernel; the caller clips at the metadata's count_max.

    Nor has it one for the layer norm of a read-out of traces. The graph then ends with the traces, and what follows
    is in the metadata.

    NIR's neurons spike above their threshold, livesnn's also at it, so NIR's is the next smaller 32-bit float. Raises
    ModelError if a tensor is missing, doesn't fit the card, or holds NaN or infinity.

    Returns
    -------
    Graph of "input" [C, H, W], "output" [K] or [traces], and the layers by their names in the card, with _ for each
    dot. What they read has the same names with _conv, _pool, _flat, _dense or, without reset, _membrane. Metadata:
    "dt" (s), "count_max", "window", "readout", and the card as JSON under "livesnn". For traces it also has the
    arrays of y = C · max(norm(U) · H + h, 0) + c: "hidden_weight" H [members, traces of each, units], "hidden_bias"
    h, "classify_weight" C and "classify_bias" c. With "mix" M [members, decays, decays], norm(U) is norm(M · U).
    """
    graph = _Graph(card, weights_to_run(weights, card.network), dt_s)
    metadata: dict[str, Any] = {
        "dt": dt_s,
        "count_max": card.input.count_max,
        "window": card.input.window,
        "readout": card.readout,
        "livesnn": card.to_json(),
    }
    if card.readout == "traces":
        metadata |= dense_layers(graph.weights, card)
    try:
        scores = _conv_snn(graph) if card.network.kind == "conv_snn" else _sts_resnet(graph)
        graph.add("output", nir.Output(np.array(card.layer_shapes()["readout"])), scores)
        return nir.NIRGraph(graph.nodes, graph.edges, metadata=metadata)
    except (ValueError, IndexError) as error:  # from nir, if a pool is larger than what it pools
        raise ModelError(f"the card describes no network that can be built ({error}): train it again") from error


def nir_file(graph: nir.NIRGraph) -> bytes:
    """Return the graph as the bytes of a .nir file (HDF5)."""
    made = io.BytesIO()
    nir.write(made, graph)
    return made.getvalue()


class _Graph:
    """The nodes and edges so far. Each method that adds a node returns its name."""

    def __init__(self, card: ModelCard, weights: Weights, dt_s: float) -> None:
        self.card, self.weights, self.dt_s = card, weights, dt_s
        spec = card.input
        self.nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([spec.channels, spec.height, spec.width]))}
        self.edges: list[tuple[str, str]] = []

    def add(self, name: str, node: nir.NIRNode, *before: str) -> str:
        """Add a node that reads the sum of the nodes ``before``."""
        self.nodes[name] = node
        self.edges += [(each, name) for each in before]
        return name

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(int(length) for length in self.nodes[name].output_type["output"])

    def conv(
        self, name: str, where: str, before: str, outputs: int, kernel: int, *, stride: int = 1, gain: float = 1.0
    ) -> str:
        """Add the convolution "where.conv", padded so that its centre falls on every pixel."""
        inputs, *size = self.shape(before)
        weight = tensor(self.weights, f"{where}.conv.weight", (outputs, inputs, kernel, kernel))
        bias = tensor(self.weights, f"{where}.conv.bias", (outputs,))
        with np.errstate(over="ignore"):
            weight = weight * np.float32(gain)
        if not np.isfinite(weight).all():
            raise ModelError(f"{where}.conv.weight times the input's scale, {gain:g}, is infinite: train again")
        padding = (kernel // 2, kernel // 2)
        node = nir.Conv2d(tuple(size), weight, stride, padding, dilation=1, groups=1, bias=bias)
        return self.add(name, node, before)

    def pool(self, name: str, before: str, size: int, *, stride: int, padding: int = 0) -> str:
        """Add an average pool; pixels outside count as zeros."""
        node = nir.AvgPool2d(*(np.array([each, each]) for each in (size, stride, padding)))
        channels, *before_px = self.shape(before)
        after_px = [(length + 2 * padding - size) // stride + 1 for length in before_px]
        node.input_type = {"input": np.array([channels, *before_px])}
        node.output_type = {"output": np.array([channels, *after_px])}
        return self.add(name, node, before)

    def flat(self, before: str) -> str:
        """Add a node that makes a vector of another's output."""
        return self.add(f"{before}_flat", nir.Flatten({"input": self.shape(before)}, start_dim=0), before)

    def neurons(self, layer: str, *before: str, fires: bool = True) -> str:
        """Add the neurons of a layer of the card, which read the sum of the nodes ``before``."""
        each = partial(np.full, self.card.layer_shapes()[layer])
        neuron, name = self.card.neuron.of(layer), layer.replace(".", "_")
        leaks = neuron.alpha < 1
        r = each(np.float32(1 / (1 - neuron.alpha) if leaks else 1 / self.dt_s))
        zero = each(np.float32(0))
        leak = {"tau": each(np.float32(self.dt_s / (1 - neuron.alpha))), "v_leak": zero} if leaks else {}
        threshold = each(np.nextafter(np.float32(neuron.threshold), np.float32(0)))
        if fires and neuron.reset:
            kind = nir.LIF if leaks else nir.IF
            return self.add(name, kind(r=r, v_threshold=threshold, v_reset=zero, **leak), *before)
        integrator = (nir.LI if leaks else nir.I)(r=r, **leak)
        if not fires:
            return self.add(name, integrator, *before)
        return self.add(name, nir.Threshold(threshold), self.add(f"{name}_membrane", integrator, *before))


def _sts_resnet(graph: _Graph) -> str:
    """Add an STS-ResNet's nodes (snn/sts_resnet.py); returns the name of its read-out."""
    card, spec = graph.card, graph.card.network
    current = graph.conv(
        "stem_conv", "stem", "input", spec.widths[0], spec.stem_kernel, stride=spec.stem_stride, gain=card.input.scale
    )
    last = graph.pool("stem_pool", graph.neurons("stem", current), 3, stride=spec.stem_pool_stride, padding=1)
    ends = []
    for block, (stride, count) in enumerate(zip(spec.strides, spec.sub_blocks, strict=True)):
        for i in range(count):
            last = _sub_block(graph, block, i, last, stride if i == 0 else 1)
        ends.append(last)
    read = ends[-len(card.read_layers()) :]
    taps = [graph.pool(f"{end}_pool", end, spec.final_pool, stride=spec.final_pool) for end in read]
    if card.readout == "traces":
        return _traced(graph, taps)
    currents = _classified(graph, taps, "classify", len(card.classes))
    return graph.neurons("readout", *currents, fires=card.readout == "spikes")


def _sub_block(graph: _Graph, block: int, i: int, before: str, stride: int) -> str:
    where, layer = f"blocks.{block}.{i}", f"block{block + 1}.{i + 1}"
    name, width = layer.replace(".", "_"), graph.card.network.widths[block]
    current = graph.conv(f"{name}_first_conv", f"{where}.first", before, width, 3, stride=stride)
    inner = graph.neurons(f"{layer}.first", current)
    current = graph.conv(f"{name}_second_conv", f"{where}.second", inner, width, 3)
    if graph.shape(before)[0] != width or stride != 1:
        before = graph.conv(f"{name}_skip_conv", f"{where}.skip", before, width, 1, stride=stride)
    return graph.neurons(f"{layer}.second", current, before)


def _traced(graph: _Graph, taps: list[str]) -> str:
    """Add the leaky traces of a read-out: integrators that read the same current, each decay's its own copy."""
    spec = graph.card.traces
    if spec.traces * spec.currents > MOST_VALUES:
        raise ModelError(f"its {spec.traces:,} traces are too many for a NIR graph: export it as .onnx")
    currents = _classified(graph, taps, "read_out.project", spec.currents)
    number = np.arange(spec.currents).reshape(spec.members, 1, spec.width)
    copied = np.repeat(number, len(spec.alphas), axis=1).ravel()
    copies = graph.add("readout_copies", nir.Linear(np.eye(spec.currents, dtype=np.float32)[copied]), *currents)
    alphas = np.tile(np.repeat(np.array(spec.alphas, np.float32), spec.width), spec.members)
    tau, one = np.float32(graph.dt_s) / (1 - alphas), np.ones_like(alphas)
    return graph.add("readout", nir.LI(tau=tau, r=one, v_leak=np.zeros_like(alphas)), copies)


def _classified(graph: _Graph, taps: list[str], where: str, outputs: int) -> list[str]:
    """Add a dense node for each tap, with its columns of the read-out's weights. The first one has the bias."""
    lengths = [int(np.prod(graph.shape(tap))) for tap in taps]
    rows = tensor(graph.weights, f"{where}.weight", (outputs, sum(lengths)))
    bias = tensor(graph.weights, f"{where}.bias", (outputs,))
    first, *others = np.split(rows, np.cumsum(lengths)[:-1], axis=1)
    nodes = (nir.Affine(first, bias), *map(nir.Linear, others))
    return [
        graph.add(f"{tap.removesuffix('_pool')}_dense", node, graph.flat(tap))
        for tap, node in zip(taps, nodes, strict=True)
    ]


def _conv_snn(graph: _Graph) -> str:
    """Add a ConvSNN's nodes (snn/sts_resnet.py); returns the name of its read-out."""
    card, spec = graph.card, graph.card.network
    current = graph.conv("first_conv", "first", "input", spec.widths[0], 3, gain=card.input.scale)
    pooled = graph.pool("first_pool", graph.neurons("first", current), 2, stride=2)
    current = graph.conv("second_conv", "second", pooled, spec.widths[1], 3)
    pooled = graph.pool("second_pool", graph.neurons("second", current), 2, stride=2)
    hidden = graph.neurons("hidden", _dense(graph, "hidden", graph.flat(pooled), spec.hidden))
    scores = _dense(graph, "classify", hidden, len(card.classes))
    return graph.neurons("readout", scores, fires=card.readout == "spikes")


def _dense(graph: _Graph, where: str, before: str, outputs: int) -> str:
    weight = tensor(graph.weights, f"{where}.weight", (outputs, *graph.shape(before)))
    bias = tensor(graph.weights, f"{where}.bias", (outputs,))
    return graph.add(f"{where}_dense", nir.Affine(weight, bias), before)
