"""A network as a graph of NIR, which other frameworks and neuromorphic chips read. Not here: ONNX (snn/export.py).

NIR: the Neuromorphic Intermediate Representation (Pedersen et al. 2024, Nature Communications 15, 8122).
"""

from __future__ import annotations

import io

import nir
import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.weights import Weights, weights_to_run

UNTIMED_DT_S = 1e-3
"""The time step of a graph whose frames are of so many events, and of no fixed time."""


def default_dt_s(card: ModelCard) -> float:
    """Return the time of a frame in seconds: what a step of the graph takes; `UNTIMED_DT_S` where it has none."""
    delta_t_us = card.input.slice.delta_t_us
    return delta_t_us / 1e6 if delta_t_us else UNTIMED_DT_S


def nir_graph(card: ModelCard, weights: Weights, dt_s: float) -> nir.NIRGraph:
    """Return the network as every engine runs it: batch norm folded, kernels of 8 bits rounded.

    One step of Euler's method of ``dt_s`` seconds is one frame, exactly: τ dv/dt = −v + R·I with τ = dt / (1 − α) and
    R = τ / dt is U[t] = α·U[t−1] + I (SPEC, Eq. 1-4). What NIR has no node for:

    - concatenation: the read-out is one affine node for each of the two taps, whose sums meet in its neurons;
    - neurons that fire and don't reset: an integrator, then a threshold;
    - scaling and clipping of counts: the scale is in the first kernel, the limit in the metadata, the caller's.

    NIR spikes above its threshold and livesnn at it, too: it is the next smaller number of 32 bits there.

    Parameters
    ----------
    weights
        As `load_weights` returns them.

    Returns
    -------
    Graph of nodes "input" [C, H, W], "output" [K], the layers' currents ("stem_conv", "block1_1_first_conv" …) and
    the layers by their names in the card, with _ for each dot. Its output are spikes or membranes, as the card's
    ``readout`` says. Metadata: "dt" (s), "count_max", "window", "readout", and the card as JSON under "livesnn".

    Raises
    ------
    ModelError
        A tensor is missing, doesn't fit, or holds what is no number.
    """
    building = _Building(card, weights_to_run(weights, card.network), dt_s)
    metadata = {
        "dt": dt_s,
        "count_max": card.input.count_max,
        "window": card.input.window,
        "readout": card.readout,
        "livesnn": card.to_json(),
    }
    try:
        scores = _conv_snn(building) if card.network.kind == "conv_snn" else _sts_resnet(building)
        building.add("output", nir.Output(np.array([len(card.classes)])), scores)
        return nir.NIRGraph(building.nodes, building.edges, metadata)
    except KeyError as error:
        raise ModelError(f"the weights lack {error}: train or copy the model again") from error
    except (ValueError, IndexError) as error:
        raise ModelError(
            f"the weights don't fit their card ({error}): train or copy the model again"
        ) from error


def nir_file(graph: nir.NIRGraph) -> bytes:
    """Return what a .nir file of the graph holds (HDF5)."""
    made = io.BytesIO()
    nir.write(made, graph)
    return made.getvalue()


class _Building:
    """Nodes and edges so far; each addition returns the name of what it adds."""

    def __init__(self, card: ModelCard, weights: Weights, dt_s: float) -> None:
        self.card, self.weights, self.dt_s = card, weights, dt_s
        spec = card.input
        self.nodes: dict[str, nir.NIRNode] = {
            "input": nir.Input(np.array([spec.channels, spec.height, spec.width]))
        }
        self.edges: list[tuple[str, str]] = []

    def add(self, name: str, node: nir.NIRNode, *before: str) -> str:
        """Add a node that reads the sum of those before it."""
        self.nodes[name] = node
        self.edges += [(each, name) for each in before]
        return name

    def conv(self, name: str, tensor: str, before: str, *, stride: int = 1, gain: float = 1.0) -> str:
        """Add a convolution "tensor.conv", padded so that its middle is on every pixel."""
        kernel = self.weights[f"{tensor}.conv.weight"] * np.float32(gain)
        half = kernel.shape[-1] // 2
        bias = self.weights[f"{tensor}.conv.bias"]
        node = nir.Conv2d(self._size(before), kernel, stride, (half, half), dilation=1, groups=1, bias=bias)
        return self.add(name, node, before)

    def pool(self, name: str, before: str, size: int, *, stride: int, padding: int = 0) -> str:
        """Add an average pool; what lies outside counts as zeros."""
        sides = (np.array([each, each]) for each in (size, stride, padding))
        node = nir.AvgPool2d(*sides)
        channels, *before_px = self._shape(before)
        after_px = [(length + 2 * padding - size) // stride + 1 for length in before_px]
        node.input_type = {"input": np.array([channels, *before_px])}
        node.output_type = {"output": np.array([channels, *after_px])}
        return self.add(name, node, before)

    def dense(self, name: str, tensor: str, before: str, part: slice, *, biased: bool = True) -> str:
        """Add the fully connected layer ``tensor``, or these columns of it, of what is before, flat."""
        flat = self.add(f"{name}_flat", nir.Flatten({"input": self._shape(before)}, start_dim=0), before)
        rows = self.weights[f"{tensor}.weight"][:, part]
        node = nir.Affine(rows, self.weights[f"{tensor}.bias"]) if biased else nir.Linear(rows)
        return self.add(name, node, flat)

    def neurons(self, layer: str, *before: str, fires: bool = True) -> str:
        """Add the neurons of a layer of the card, which read the sum of what is before."""
        neuron, name = self.card.neuron, layer.replace(".", "_")
        leaks = neuron.alpha < 1
        r = self._each(layer, 1 / (1 - neuron.alpha) if leaks else 1 / self.dt_s)
        leak = {}
        if leaks:
            leak = {"tau": self._each(layer, self.dt_s / (1 - neuron.alpha)), "v_leak": self._each(layer, 0)}
        threshold = self._each(layer, np.nextafter(np.float32(neuron.threshold), np.float32(0)))
        if fires and neuron.reset:
            kind = nir.LIF if leaks else nir.IF
            node = kind(r=r, v_threshold=threshold, v_reset=self._each(layer, 0), **leak)
            return self.add(name, node, *before)
        integrator = (nir.LI if leaks else nir.I)(r=r, **leak)
        if not fires:
            return self.add(name, integrator, *before)
        return self.add(name, nir.Threshold(threshold), self.add(f"{name}_membrane", integrator, *before))

    def _each(self, layer: str, value: float | np.floating) -> npt.NDArray[np.float32]:
        """Return a value for each neuron of a layer."""
        return np.full(self.card.states[layer], value, np.float32)

    def _shape(self, name: str) -> tuple[int, ...]:
        return tuple(int(length) for length in self.nodes[name].output_type["output"])

    def _size(self, name: str) -> tuple[int, int]:
        _, height, width = self._shape(name)
        return height, width


def _sts_resnet(building: _Building) -> str:
    """Add an STS-ResNet's nodes (snn/sts_resnet.py); returns the name of its read-out."""
    card, spec = building.card, building.card.network
    x = building.conv("stem_conv", "stem", "input", stride=spec.stem_stride, gain=card.input.scale)
    x = building.pool("stem_pool", building.neurons("stem", x), 3, stride=spec.stem_pool_stride, padding=1)
    taps = []
    for k, (stride, count) in enumerate(zip(spec.strides, spec.sub_blocks, strict=True)):
        for i in range(count):
            x = _sub_block(building, k, i, x, stride if i == 0 else 1)
        taps.append(x)
    currents, begin = [], 0
    for number, tap in enumerate(taps[-2:], start=3):
        pooled = building.pool(f"block{number}_pool", tap, spec.final_pool, stride=spec.final_pool)
        end = begin + int(np.prod(building.nodes[pooled].output_type["output"]))
        part = slice(begin, end)
        currents.append(building.dense(f"classify{number}", "classify", pooled, part, biased=begin == 0))
        begin = end
    return building.neurons("readout", *currents, fires=card.readout == "spikes")


def _sub_block(building: _Building, k: int, i: int, x: str, stride: int) -> str:
    tensor, layer = f"blocks.{k}.{i}", f"block{k + 1}.{i + 1}"
    name = layer.replace(".", "_")
    inner = building.conv(f"{name}_first_conv", f"{tensor}.first", x, stride=stride)
    outer = building.conv(
        f"{name}_second_conv", f"{tensor}.second", building.neurons(f"{layer}.first", inner)
    )
    if f"{tensor}.skip.conv.weight" in building.weights:
        x = building.conv(f"{name}_skip_conv", f"{tensor}.skip", x, stride=stride)
    return building.neurons(f"{layer}.second", outer, x)


def _conv_snn(building: _Building) -> str:
    """Add a ConvSNN's nodes (snn/conv_snn.py); returns the name of its read-out."""
    card, everything = building.card, slice(None)
    x = building.conv("first_conv", "first", "input", gain=card.input.scale)
    x = building.pool("first_pool", building.neurons("first", x), 2, stride=2)
    x = building.conv("second_conv", "second", x)
    x = building.pool("second_pool", building.neurons("second", x), 2, stride=2)
    x = building.neurons("hidden", building.dense("hidden_dense", "hidden", x, everything))
    x = building.dense("classify", "classify", x, everything)
    return building.neurons("readout", x, fires=card.readout == "spikes")
