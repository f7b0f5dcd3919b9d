"""livesnn export: a graph of NIR, run by NIR's published equations, does what the engines do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import nir
import numpy as np
import numpy.typing as npt
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from livesnn.__main__ import main
from livesnn.card import InputSpec, ModelCard, NetworkSpec, NeuronSpec, SliceRule, TraceSpec
from livesnn.errors import ModelError
from livesnn.events.slicer import Frame, frames
from livesnn.infer.load import load_model, model_folder, shipped_models
from livesnn.infer.nir_graph import frame_s, nir_graph
from livesnn.paths import recordings_dir
from livesnn.sources import open_source
from livesnn.weights import Weights, load_weights, save_weights
from tests.networks import agree, write_network

pytestmark = pytest.mark.slow
release = pytest.mark.release

Array = npt.NDArray[np.float32]

SPEC = InputSpec(width=16, height=12, slice=SliceRule(delta_t_us=20_000), window=4, scale=0.5)
RESNET = NetworkSpec(
    widths=(4, 4, 6, 6),
    strides=(1, 2, 1, 1),
    sub_blocks=(1, 1, 2, 1),
    stem_stride=1,
    final_pool=2,
    stem_kernel=5,
)
CONV = NetworkSpec("conv_snn", widths=(4, 5), hidden=8)
CARD = ModelCard(name="tiny", classes=("zero", "one", "two"), input=SPEC, network=RESNET)


def patches(x: Array, size: int, stride: int, padding: int) -> Array:
    """Return [C, H', W', size, size]."""
    around = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    return sliding_window_view(around, (size, size), (1, 2))[:, ::stride, ::stride]


class Program:
    """A graph, run by Euler's method in steps of its own dt: the equations in NIR's docstrings."""

    def __init__(self, graph: nir.NIRGraph) -> None:
        self.graph, self.dt = graph, float(graph.metadata["dt"])
        self.v: dict[str, Array] = {}
        self.order: list[str] = ["input"]
        while len(self.order) < len(graph.nodes):
            ready = [
                name
                for name in graph.nodes
                if name not in self.order
                and all(before in self.order for before, after in graph.edges if after == name)
            ]
            assert ready
            self.order += ready

    def step(self, counts: npt.NDArray[np.uint8]) -> tuple[Array, dict[str, Array]]:
        """Return the output, and each layer's membranes before what fired was reset."""
        x = {"input": np.minimum(counts, self.graph.metadata["count_max"]).astype(np.float32)}
        self.before_reset: dict[str, Array] = {}
        for name in self.order[1:]:
            x[name] = self.run(name, sum(x[before] for before, after in self.graph.edges if after == name))
        return self.after_traces(x["output"]), self.before_reset

    def after_traces(self, u: Array) -> Array:
        """Return what follows the traces u of a read-out, as the metadata has it; other outputs as they are."""
        told = self.graph.metadata
        if told["readout"] != "traces":
            return u
        members = len(told["hidden_weight"])
        if "mix" in told:
            u = told["mix"] @ u.reshape(*told["mix"].shape[:2], -1)
        each = u.reshape(members, 1, -1)
        normed = (each - each.mean(-1, keepdims=True)) / np.sqrt(each.var(-1, keepdims=True) + 1e-5)
        hidden = np.maximum(normed @ told["hidden_weight"] + told["hidden_bias"], 0).ravel()
        output: Array = told["classify_weight"] @ hidden + told["classify_bias"]
        return output

    def run(self, name: str, x: Array) -> Array:
        node = self.graph.nodes[name]
        match node:
            case nir.Output():
                return x
            case nir.Conv2d():
                size, stride, padding = node.weight.shape[-1], int(node.stride[0]), int(node.padding[0])
                current = np.tensordot(node.weight, patches(x, size, stride, padding), ((1, 2, 3), (0, 3, 4)))
                return current + node.bias[:, None, None]
            case nir.AvgPool2d():
                size, stride, padding = (int(each[0]) for each in (node.kernel_size, node.stride, node.padding))
                return patches(x, size, stride, padding).mean((3, 4), dtype=np.float32)
            case nir.Flatten():
                return x.reshape(-1)
            case nir.Affine():
                return node.weight @ x + node.bias
            case nir.Linear():
                return node.weight @ x
            case nir.Threshold():
                return (x > node.threshold).astype(np.float32)
        v = self.v.get(name, np.zeros_like(x))
        if isinstance(node, nir.LIF | nir.LI):
            v = (v + self.dt / node.tau * (node.v_leak - v + node.r * x)).astype(np.float32)
        else:
            assert isinstance(node, nir.IF | nir.I)
            v = (v + self.dt * node.r * x).astype(np.float32)
        self.before_reset[name.removesuffix("_membrane")] = v
        if isinstance(node, nir.LI | nir.I):
            self.v[name] = v
            return v
        spikes = v > node.v_threshold
        self.v[name] = np.where(spikes, node.v_reset, v)
        return spikes.astype(np.float32)


def graph_of(folder: Path, dt_s: float | None = None) -> nir.NIRGraph:
    weights, card = load_weights(folder / "model.safetensors")
    return nir_graph(card, weights, frame_s(card) if dt_s is None else dt_s)


def compare(folder: Path, graph: nir.NIRGraph, counts: list[npt.NDArray[np.uint8]]) -> int:
    """Assert that both do the same, up to where a rounding flips a spike; return the steps until there."""
    model, program = load_model(folder, engine="onnx"), Program(graph)
    state, spikes = model.initial_state(), 0
    for number, frame in enumerate(counts):
        output, state = model.step(Frame(0, frame, int(frame.sum())), state)
        found, membranes = program.step(frame)
        in_order = [membranes[layer.replace(".", "_")] for layer in model.card.states]
        if not agree(list(state), in_order, model.card.neuron.threshold):
            return number
        np.testing.assert_allclose(found, output, atol=1e-4)
        spikes += sum(int((u >= model.card.neuron.threshold).sum()) for u in in_order[:-1])
    assert spikes > 100
    return len(counts)


def noise(card: ModelCard, steps: int = 25) -> list[npt.NDArray[np.uint8]]:
    spec = card.input
    random = np.random.default_rng(5)
    return [*random.poisson(0.8, (steps, spec.channels, spec.height, spec.width)).astype(np.uint8)]


@pytest.mark.parametrize(
    "name",
    [name if name in ("gestures", "nmnist") else pytest.param(name, marks=release) for name in shipped_models()],
)
def test_a_shipped_model_decides_the_same(name: str) -> None:
    card = load_weights(model_folder(name) / "model.safetensors")[1]
    counts = noise(card, 12)
    if name == "gestures":
        with open_source(recordings_dir() / "arm_roll.aedat4") as source:
            counts = [frame.data for frame in islice(frames(source, card.input), 12)]
    fixed_count = card.input.slice.n_events is not None
    graph = graph_of(model_folder(name), 0.005 if fixed_count else None)
    assert compare(model_folder(name), graph, counts) >= 3
    told = {name: graph.metadata[name] for name in ("dt", "count_max", "window", "readout")}
    delta_t_us, spec = card.input.slice.delta_t_us, card.input
    assert told == {
        "dt": 0.005 if fixed_count else (delta_t_us or 0) / 1e6,
        "count_max": spec.count_max,
        "window": spec.window,
        "readout": card.readout,
    }


@pytest.mark.parametrize(
    "card",
    [
        CARD,
        replace(CARD, readout="traces", traces=TraceSpec((0.3, 0.0, 0.9), members=2, width=10, hidden=7)),
        replace(CARD, readout="traces", traces=TraceSpec((0.3, 0.9), 2, 10, 7, mixed=True)),
        replace(CARD, neuron=NeuronSpec(block_alphas=(0.0, 0.7, 0.9, 1.0), threshold=0.7)),
        replace(CARD, neuron=NeuronSpec(alpha=0.8, reset=False), network=replace(RESNET, weight_bits=8)),
        replace(CARD, neuron=NeuronSpec(alpha=1.0, reset=False), readout="spikes"),
        replace(CARD, network=CONV, neuron=NeuronSpec(reset=False), readout="spikes"),
        replace(CARD, network=replace(RESNET, norm=False), neuron=NeuronSpec(alpha=0.0)),
    ],
)
def test_every_kind_of_network_and_neuron_is_in_the_graph(card: ModelCard, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs livesnn[train]")
    folder = write_network(tmp_path, card)
    assert compare(folder, graph_of(folder), noise(card)) >= 5


def test_traces_whose_copies_would_take_too_much_memory_are_refused() -> None:
    weights, card = load_weights(model_folder("gestures") / "model.safetensors")
    card = replace(card, traces=TraceSpec((0.5,) * 16, members=4, width=640, hidden=1))
    shapes = {
        "read_out.project.weight": (2560, weights["read_out.project.weight"].shape[1]),
        "read_out.project.bias": (2560,),
        "read_out.hidden_weight": (4, 16 * 640, 1),
        "read_out.hidden_bias": (4, 1, 1),
        "classify.weight": (len(card.classes), 4),
    }
    weights |= {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    with pytest.raises(ModelError, match=r"its 40,960 traces are too many for a NIR graph: export it as \.onnx"):
        nir_graph(card, weights, 0.05)


def test_a_membrane_at_the_threshold_spikes() -> None:
    weights, card = load_weights(model_folder("nmnist") / "model.safetensors")
    node = nir_graph(card, weights, 1e-3).nodes["stem"]
    at = np.float32(card.neuron.threshold)
    assert (at > node.v_threshold).all()
    assert not (np.nextafter(at, np.float32(0)) > node.v_threshold).any()


def test_frames_of_so_many_events_have_no_time() -> None:
    assert frame_s(CARD) == 0.02
    counted = replace(SPEC, slice=SliceRule(n_events=500))
    with pytest.raises(ModelError, match="no fixed time: give --dt"):
        frame_s(replace(CARD, input=counted))


def test_the_command_writes_a_file_that_nir_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "gestures.nir"
    assert main(["export", "gestures", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: gestures, 18 layers, 11 classes, a step is 0.05 s\n"
    graph = nir.read(out)
    assert graph.metadata["dt"] == 0.05
    card = ModelCard.from_json(graph.metadata["livesnn"])
    assert graph.nodes["stem"].tau.shape == card.states["stem"]
    again = Program(graph)
    own = Program(graph_of(model_folder("gestures")))
    for counts in noise(card, 3):
        np.testing.assert_array_equal(again.step(counts)[0], own.step(counts)[0])


def test_dt_is_of_the_graph_and_the_summary_is_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "n.nir"
    assert main(["export", "nmnist", str(out), "--dt", "0.0001", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["model"] == "nmnist"
    assert said["dt"] == 0.0001
    assert said["octets"] == out.stat().st_size
    leak = 1 - load_model("nmnist").card.neuron.alpha
    np.testing.assert_allclose(nir.read(out).nodes["stem"].tau, 0.0001 / leak, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["gestures", "{}/g.pt"], "choose a name that ends in .nir or .onnx"),
        (["gestures", "{}/none/g.nir"], "make it first"),
        (["gestures", "{}/there.nir"], "exists already: choose another name"),
        (["gestures", "{}/g.onnx", "--dt", "0.1"], "--dt is only for .nir"),
        (["gestures", "{}/g.nir", "--dt", "0"], "--dt can't be 0"),
        (["gestures", "{}/g.nir", "--dt", "nan"], "--dt can't be nan"),
        (["gesture", "{}/g.nir"], "'gesture' not found; available: cifar10-dvs, gestures, "),
    ],
)
def test_what_cannot_be_written_is_said(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.nir").write_bytes(b"mine")
    assert main(["export", *(each.format(tmp_path) for each in arguments)]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["there.nir"]
    assert (tmp_path / "there.nir").read_bytes() == b"mine"


def changed(card: ModelCard, **network: object) -> ModelCard:
    return replace(card, network=replace(card.network, **network))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            lambda w, card: ({n: a for n, a in w.items() if "1.0.first" not in n}, card),
            "1.0.first.conv.weight that the card names is missing",
        ),
        (lambda w, card: (w | {"classify.weight": w["classify.weight"][:, 64:]}, card), "classify.weight is"),
        (lambda w, card: (w | {"classify.bias": w["classify.bias"][:1]}, card), "classify.bias is"),
        (
            lambda w, card: (w | {"classify.bias": w["classify.bias"] * np.nan}, card),
            "holds NaN or infinity",
        ),
        (lambda w, card: (w, changed(card, final_pool=4000)), "classify.weight is"),
        (lambda w, card: (w, changed(card, stem_kernel=5)), "stem.conv.weight is"),
    ],
)
def test_weights_and_a_card_that_do_not_fit_are_refused(
    wrong: Callable[[Weights, ModelCard], tuple[Weights, ModelCard]],
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights, card = wrong(*load_weights(model_folder("nmnist") / "model.safetensors"))
    save_weights(weights, tmp_path / "model.safetensors", card)
    assert main(["export", str(tmp_path), str(tmp_path / "out.nir")]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"livesnn export: {tmp_path / 'model.safetensors'}: ")
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.nir").exists()


@pytest.mark.parametrize(("kept", "wanted"), [("model.onnx", "nir"), ("model.safetensors", "onnx")])
def test_a_folder_of_one_file_is_exported_to_what_it_has(
    kept: str, wanted: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(model_folder("nmnist") / kept, tmp_path)
    assert main(["export", str(tmp_path), str(tmp_path / f"out.{wanted}")]) == 1
    assert f"export to .{'onnx' if wanted == 'nir' else 'nir'}, or train" in capsys.readouterr().err
    other = "onnx" if wanted == "nir" else "nir"
    assert main(["export", str(tmp_path), str(tmp_path / f"out.{other}")]) == 0


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, octets: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main(["export", "nmnist", str(tmp_path / "n.nir")]) == 1
    assert "can't be written (No space left on device)" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]
