"""Writes a model folder: model.safetensors, model.onnx, README.md (the card for people) and its two figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from livesnn.card import BY_TABLE, Accuracy, ModelCard, Split
from livesnn.files import replace_file
from livesnn.infer.load import load_model
from livesnn.infer.onnx_engine import load_graph
from livesnn.onnx_graph import write_graph, write_model
from livesnn.snn.checkpoint import onnx_step, weights_of
from livesnn.snn.network import SpikingNetwork
from livesnn.train.datasets.clips import Clips
from livesnn.train.evaluate import Evaluation, evaluate
from livesnn.train.figures import draw_confusion, draw_learning_curve
from livesnn.weights import GRAPH, WEIGHTS, load_weights

CONFUSION, CURVE = "confusion.png", "learning-curve.png"
_TEST_TITLE = "## On the test part"
_METADATA = """---
library_name: livesnn
tags: [spiking-neural-network, event-camera]
---
"""
"""What a page begins with, so that the folder is a model card on the Hugging Face Hub as it is."""


def write_model_folder(
    net: SpikingNetwork, folder: Path, card: ModelCard, validation: Clips, run: Path, *, chosen: bool = True
) -> Evaluation:
    """Export a network, measure the exported model on validation, and record the result in its card.

    ``card`` comes with commit, command and seeds. ``run`` has the log for the learning curve. ``chosen`` says whether
    the validation clips chose the epoch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    card = replace(card, states=net.state_shapes())
    graph = onnx_step(net)
    write_graph(graph, folder / GRAPH, card)
    measured = evaluate(load_model(folder, engine="onnx"), validation)
    accuracy = Accuracy(measured.accuracy_reset, measured.accuracy_carried, measured.n)
    card = replace(card, accuracy=accuracy, density=measured.densities, mean_count=measured.mean_count)
    card = replace(card, saturated=measured.saturated, temperature=measured.temperature)
    write_model(folder, weights_of(net), graph, card)
    draw_confusion(measured.confusion, measured.classes, folder / CONFUSION)
    draw_learning_curve(run, folder / CURVE)
    page, tested = folder / "README.md", ""
    if card.test:
        tested = "".join(_text_of(page).partition(_TEST_TITLE)[1:])
    described = _describe(card, measured, chosen)
    page.write_text(f"{described}\n{tested}" if tested else described, encoding="utf-8")
    return measured


def record_test(folder: Path, measured: Evaluation) -> None:
    """Record a measurement on the test part in a model folder: in the card of both files and in README.md.

    Raises ModelError if it is no model folder with its weights.
    """
    weights, card = load_weights(folder / WEIGHTS)
    graph, page = load_graph(folder / GRAPH), folder / "README.md"
    before = _text_of(page).split(_TEST_TITLE)[0].rstrip()
    test = Accuracy(measured.accuracy_reset, measured.accuracy_carried, measured.n)
    text = f"""{before}

{_TEST_TITLE}

Measured once, after the training, by `livesnn eval --split test --to-card`.
The test clips played no part in model selection.
The accuracy is {measured.accuracy_reset:.4f} with the state reset before each clip.
With the state carried it is {measured.accuracy_carried:.4f} (n = {measured.n}).
The hidden density is {measured.density:.4f}. In the table, the state is carried.

{_confusion(measured)}
"""
    replace_file(page, text.encode())  # first, as only this is likely to fail
    write_model(folder, weights, graph, replace(card, test=test))


def _text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8", errors="replace") if page.is_file() else ""


def _confusion(measured: Evaluation) -> str:
    """Return the confusion matrix of the carried run as a table; rows are true, columns decided."""
    rows = [
        [f"**{name}**", *(str(count or "·") for count in row)]
        for name, row in zip(measured.classes, measured.confusion, strict=True)
    ]
    return markdown_table(["", *measured.classes], rows)


def _validation(split: Split | None) -> str:
    if split is None:
        return "other clips, which training never saw"
    if split.protocol == BY_TABLE:
        return "what the table of the recordings says"
    if split.clips:
        return "of classes with one group its last clips: the accuracy is too high"
    part = f"training part of {split.protocol}" if split.protocol else "training part"
    groups = "1 whole group" if len(split.groups) == 1 else f"{len(split.groups)} whole groups"
    kept = groups if split.groups else f"{split.fraction:.0%}"
    return f"{kept} of the {part}, by seed {split.seed}"


def _describe(card: ModelCard, measured: Evaluation, chosen: bool) -> str:
    spec, neuron, traces = card.input, card.neuron, card.traces
    traced = traces.traces // traces.members
    kind = {"sts_resnet": "STS-ResNet", "conv_snn": "ConvSNN"}[card.network.kind]
    widths = ", ".join(map(str, sorted(set(card.network.widths))))
    size = f"{spec.width}×{spec.height}×{spec.channels}"
    counts = f"counts up to {spec.count_max}, multiplied by {spec.scale:g}"
    slow = f" ({', '.join(f'{each:g}' for each in neuron.block_alphas)} in the blocks)" if neuron.block_alphas else ""
    reset = "reset after a spike" if neuron.reset else "no reset"
    many = "s" * (spec.cell_pixels != 1)
    covers = f"; one pixel covers {spec.cell_pixels:g} sensor pixel{many}" if spec.cell_pixels else ""
    steady = "; the flicker of lamps is removed" if spec.without_flicker else ""
    lifted = f"; in low light, counts are scaled up to a mean of {spec.lift_to:g}" if spec.lift_to else ""
    chose = "The validation clips also chose the epoch, so accuracy on them is slightly optimistic.\n\n" * chosen
    simulated = "All recordings are simulated. On real ones the model may be worse.\n\n"
    simulated *= card.dataset.endswith("-sim")
    read_out = {
        "membrane": "mean membrane potential of the output layer",
        "spikes": "spike rate of the output layer",
        "traces": f"mean of {traces.members} members, each two dense layers on {traced} leaky traces of all blocks",
    }
    layers = "\n".join(f"| {name} | {value:.3f} |" for name, value in measured.densities.items())
    return f"""{_METADATA}# {card.name}

| | |
|---|---|
| network | {kind}, {len(card.states)} layers, {widths} channels, {len(card.classes)} classes |
| trained on | `{card.dataset}` |
| input | {size}, {counts}{covers}{steady}{lifted} |
| time | frames of {spec.slice}, windows of {spec.window} frames |
| neuron | decay α {neuron.alpha:g}{slow}, threshold T {neuron.threshold:g}, {reset} |
| read-out | {read_out[card.readout]} |
| weights | {card.network.weight_bits} bits in the blocks, 32 bits elsewhere |
| validation accuracy, state reset before each clip | {measured.accuracy_reset:.4f} (n = {measured.n}) |
| validation accuracy, state carried | {measured.accuracy_carried:.4f} (n = {measured.n}) |
| probabilities | temperature {card.temperature:g}; calibration error {measured.calibration_error:.3f} without it |
| hidden density | {measured.density:.4f} spikes per hidden neuron and step |
| synaptic operations | {measured.synops_per_frame / 1e6:.2f} million per frame |
| multiplications | {measured.macs_per_frame / 1e6:.2f} million per frame |
| validation | {_validation(card.split)} |
| commit | {card.commit} |
| command of the last step | `{card.command}` |

{simulated}{chose}Confusion on validation, state carried. A row is the true class and a column the decision.

![Confusion]({CONFUSION})

| layer | spikes per neuron and step |
|---|---|
{layers}

![Learning curve]({CURVE})
"""


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)
