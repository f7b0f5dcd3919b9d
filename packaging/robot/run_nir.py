"""Run an exported network in snnTorch beside ONNX Runtime, on the same frames, and say how far apart they are.

pip install snntorch nirtorch          (and livesnn[train], for PyTorch)
livesnn export gestures gestures.nir --dt 0.0001
python packaging/robot/run_nir.py gestures.nir gestures recordings/arm_roll.aedat4
"""

from __future__ import annotations

import itertools
import sys

import nir
import nirtorch
import numpy as np
import snntorch
import torch
from snntorch.import_nir import (
    _nir_to_snntorch_module as as_snntorch,  # it has no public one for single nodes
)

from livesnn import load_model, open_source
from livesnn.events.slicer import frames

FRAMES = 60
DT_S = 1e-4  # snnTorch's


def integrator(node: nir.LI) -> torch.nn.Module:
    """Return what snnTorch has no reader for: neurons that never fire, as the read-out's."""
    beta = torch.tensor(1 - DT_S / node.tau, dtype=torch.float32)
    return snntorch.Leaky(
        beta, threshold=1e9, reset_mechanism="none", init_hidden=True, output=True, reset_delay=False
    )


def output_of(metadata: dict[str, np.ndarray], u: np.ndarray) -> np.ndarray:
    """Return the output of what the graph ends with: after leaky traces come a layer norm and two dense layers."""
    if metadata["readout"] != "traces":
        return u
    weight = metadata["hidden_weight"]  # of each member
    u = u.reshape(len(weight), 1, -1)
    normed = (u - u.mean(-1, keepdims=True)) / np.sqrt(u.var(-1, keepdims=True) + 1e-5)
    hidden = np.maximum(normed @ weight + metadata["hidden_bias"], 0).ravel()
    return metadata["classify_weight"] @ hidden + metadata["classify_bias"]


def main(graph_file: str, model_name: str, source_name: str) -> None:
    """Print the largest difference of the read-outs, and how often the same class is ahead."""
    graph = nir.read(graph_file)
    if not np.isclose(graph.metadata["dt"], DT_S):
        sys.exit(f"{graph_file}: a step is {graph.metadata['dt']:g} s: export it with --dt {DT_S:g}")
    nodes = (nir.Affine, nir.Linear, nir.Conv2d, nir.Flatten, nir.AvgPool2d, nir.LIF)
    known = dict.fromkeys(nodes, lambda node: as_snntorch(node, init_hidden=True))
    network = nirtorch.nir_to_torch(graph, known | {nir.LI: integrator})
    model = load_model(model_name, engine="onnx")
    state, spec, kept = model.initial_state(), model.card.input, None
    theirs, ours = [], []
    with open_source(source_name) as source, torch.no_grad():
        for frame in itertools.islice(frames(source, spec), FRAMES):
            counts = torch.tensor(np.minimum(frame.data, spec.count_max)).float()[None]  # a batch of one
            (_, membrane), kept = network(counts) if kept is None else network(counts, kept)
            output, state = model.step(frame, state)
            theirs.append(output_of(graph.metadata, membrane.numpy().ravel()))
            ours.append(output)
    apart = np.abs(np.array(theirs) - ours).max()
    alike = (np.argmax(theirs, axis=1) == np.argmax(ours, axis=1)).mean()
    print(f"{len(ours)} frames: at most {apart:.1e} apart, the same class ahead in {alike:.0%}")


if __name__ == "__main__":
    main(*sys.argv[1:])
