"""One step of a model beside other frameworks: `python tests/benchmarks/step_peers.py`, or `make peers`.

The same network runs on ONNX Runtime's own 8-bit kernels, with torch.compile and in OpenVINO, SpikingJelly, snnTorch
and Norse, as far as they are installed. `make peers` installs them in an environment of their own.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import torch

from livesnn.bench import EngineName, machine
from livesnn.bench.step import THREADS, BoundOnnx, bench_step, inputs_of
from livesnn.card import ModelCard
from livesnn.cli.parser import run_script
from livesnn.console import write_json
from livesnn.errors import LivesnnError
from livesnn.events.slicer import Frame
from livesnn.infer.load import load_model, model_folder, read_card
from livesnn.infer.model import Model, State, zero_state
from livesnn.infer.onnx_engine import feeds, load_graph
from livesnn.snn.checkpoint import load_network, without_norm
from livesnn.snn.lif import Surrogate
from livesnn.weights import load_weights, weights_to_run
from tests.benchmarks.peer_networks import build_peer, load_ours

FloatArray = npt.NDArray[np.float32]


def build_peers(folder: Path, *, threads: int) -> Iterator[tuple[str, Model | str]]:
    """Yield each peer's name, and the model in it, or the reason why it is left out.

    This sets torch's threads for the whole process.
    """
    torch.set_num_threads(threads)
    for name, (package, build) in BUILDERS.items():
        if find_spec(package) is None:
            yield name, f"not installed: pip install {package}"
            continue
        try:
            yield name, build(folder, threads)
        except (ImportError, LivesnnError) as error:
            yield name, str(error)


class CompiledModel:
    """Our own network in PyTorch, its step compiled by torch.compile with frozen weights."""

    engine = "torch-compile"

    def __init__(self, folder: Path, threads: int) -> None:
        if shutil.which("c++") is None:
            raise LivesnnError("torch.compile needs a C++ compiler: install one")
        self._net = without_norm(load_network(folder / "model.safetensors")).eval()
        self.card = self._net.card
        self._step = torch.compile(self._net.step, fullgraph=True, dynamic=False, options={"freezing": True})

    def initial_state(self) -> State:
        return zero_state(self.card)

    @torch.no_grad()
    def step(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        membranes = tuple(torch.from_numpy(membrane[np.newaxis]) for membrane in state)
        output, after = self._step(torch.tensor(frame.data[np.newaxis]), membranes)
        return output[0].numpy(), tuple(membrane[0].numpy() for membrane in after)


class OpenVinoModel:
    """The exported graph in OpenVINO, in 32 bits like ours, with the hint for low latency.

    Two requests alternate, so that one's outputs are the other's inputs. Nothing is copied, and a state is valid for
    one more step only.
    """

    engine = "openvino"

    def __init__(self, folder: Path, threads: int) -> None:
        import openvino

        _, self.card = load_weights(folder / "model.safetensors")
        hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        compiled = openvino.Core().compile_model(str(folder / "model.onnx"), "CPU", hints)
        self._requests = [compiled.create_infer_request() for _ in range(2)]
        self._outputs = [compiled.output(name) for name in ("output", *(f"{s}.next" for s in self.card.states))]

    def initial_state(self) -> State:
        return zero_state(self.card)

    def step(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        """Return the output [K] and the next state, valid until the step after the next."""
        self._requests.reverse()
        results = self._requests[0].infer(feeds(self.card, frame, state), share_inputs=True, share_outputs=True)
        output, *membranes = (results[port] for port in self._outputs)
        return output[0], tuple(membrane[0] for membrane in membranes)


class FrameworkModel:
    """The network in a framework, with batch norm folded like ours. The framework holds the state."""

    def __init__(self, folder: Path, threads: int, *, engine: str) -> None:
        self.engine = engine
        weights, card = load_weights(folder / "model.safetensors")
        self.card: ModelCard = card
        folded = replace(card, network=replace(card.network, norm=False))
        self._net = build_peer(engine, folded, Surrogate()).eval()
        load_ours(self._net, weights_to_run(weights, card.network))

    def initial_state(self) -> State:
        """Set the framework's state to zero; return an empty one."""
        self._net.clear()
        return ()

    @torch.no_grad()
    def step(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        scaled = self._net.scale_input(torch.tensor(frame.data[np.newaxis, np.newaxis]))
        return self._net.advance(scaled[0])[0].numpy(), ()


RANGED = 10  # Frames from which ONNX Runtime's 8-bit kernels take the range of their currents


def int8_model(folder: Path, source: str, *, threads: int) -> Model:
    """Return the model with its blocks' convolutions in ONNX Runtime's own 8 bits, with a scale per channel.

    It isn't quite the same network: currents too are rounded to 8 bits, over their range on the first frames.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    onnx = load_model(folder, "onnx", threads=threads)

    def calibration() -> Iterator[dict[str, npt.NDArray[np.generic]]]:
        state = onnx.initial_state()
        for frame in inputs_of(onnx.card, source, RANGED):
            yield feeds(onnx.card, frame, state)
            _, state = onnx.step(frame, state)

    inputs = calibration()
    nodes = [node.name for node in load_graph(folder / "model.onnx").graph.node if node.op_type == "Conv"]
    logging.disable(logging.WARNING)  # it recommends preprocessing, which the session does anyway
    with tempfile.TemporaryDirectory() as scratch:
        quantize_static(
            folder / "model.onnx",
            Path(scratch) / "int8.onnx",
            SimpleNamespace(get_next=lambda: next(inputs, None)),  # a CalibrationDataReader
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=nodes[1:],  # without the stem's
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        logging.disable(logging.NOTSET)
        return BoundOnnx(Path(scratch) / "int8.onnx", onnx.card, threads=threads)


FRAMEWORKS = ("spikingjelly", "snntorch", "norse")
BUILDERS: dict[str, tuple[str, Callable[[Path, int], Model]]] = {
    "torch-compile": ("torch", CompiledModel),
    "openvino": ("openvino", OpenVinoModel),
    **{
        f"{name}{layout}": (name, partial(FrameworkModel, engine=f"{name}{layout}"))
        for name in FRAMEWORKS
        for layout in ("", "-channels-last")
    },
}
"""By name: the package that is needed, and the model's class; frameworks in both memory layouts of PyTorch."""


def bench_step_peers(
    model: str, repeats: int, source: str = "", engines: tuple[EngineName, ...] = ()
) -> dict[str, object]:
    """Return the figures of `bench_step`, peers among them, and peers_left_out."""
    peers: dict[str, Model] = {}
    left_out: dict[str, str] = {}
    for name, peer in build_peers(model_folder(model), threads=THREADS):
        if isinstance(peer, str):
            left_out[name] = peer
        else:
            peers[name] = peer
    if read_card(model).network.weight_bits == 8:
        peers["onnx-int8"] = int8_model(model_folder(model), source, threads=THREADS)
    return bench_step(model, repeats, source, engines=engines, peers=peers) | {"peers_left_out": left_out}


def main(model: str = "gestures", repeats: int = 5, source: str = "", engines: tuple[EngineName, ...] = ()) -> None:
    """Time one step of a model on each engine and in each framework, and print the figures as JSON.

    Parameters
    ----------
    model
        Name of a model, or a model folder.
    repeats
        Runs of each.
    source
        Recording whose frames are used. Default: a moving blob.
    engines
        Engines to time. Default: all that are installed and can run the model.
    """
    write_json({"machine": machine(), "step": bench_step_peers(model, repeats, source, engines)})


if __name__ == "__main__":
    run_script(main)
