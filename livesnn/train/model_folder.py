"""Writes a model folder: model.safetensors, model.onnx, README.md (the card for people) and its two figures."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from livesnn.card import BY_TABLE, Accuracy, ModelCard, Split
from livesnn.files import replace_file
from livesnn.infer.model import load_model
from livesnn.infer.onnx_engine import load_graph
from livesnn.snn.checkpoint import onnx_step, weights_of
from livesnn.snn.network import SpikingNetwork
from livesnn.train.datasets.clips import Clips
from livesnn.train.evaluate import Evaluation, ModelComparison, evaluate
from livesnn.train.run_folder import logged
from livesnn.weights import GRAPH, WEIGHTS, load_weights, write_graph, write_model

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

{_confusion(measured)}

| layer | spikes per neuron and step |
|---|---|
{layers}

![Learning curve]({CURVE})
"""


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def blank_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches."""
    return Figure(figsize=(width, height), layout="constrained", dpi=110)


def _save(figure: Figure, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands for it
        figure.savefig(path)


def _plain(name: str) -> str:
    """Return a name that matplotlib shows as it is, and not as a formula."""
    return name.replace("$", r"\$")


def draw_confusion(confusion: Sequence[Sequence[int]], classes: tuple[str, ...], path: Path) -> None:
    """Draw a matrix [K, K] of counts, which stand in the cells for up to thirty classes; see `shade_confusion`."""
    counts = np.array(confusion)
    size = 2.0 + 0.42 * len(classes)
    figure = blank_figure(size + 1, size)
    axes = figure.add_subplot()
    shares = shade_confusion(axes, counts, classes)
    axes.tick_params("x", rotation=60)
    for label in axes.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    for (row, column), count in np.ndenumerate(counts):
        if count and len(classes) <= 30:
            colour = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    _save(figure, path)


def shade_confusion(axes: Axes, counts: npt.NDArray[np.int64], classes: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Draw a matrix [K, K], rows true, columns decided, shaded by each cell's share of its row; return the shares."""
    shares: npt.NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [*map(_plain, classes)]
    axes.set_xticks(range(len(classes)), names, rotation=90)
    axes.set_yticks(range(len(classes)), names)
    axes.set(xlabel="decided", ylabel="true")
    return shares


def draw_comparison(compared: ModelComparison, path: Path) -> None:
    """Draw the accuracy of two models on each class and on all clips, with their 95 % intervals."""
    rows = {"all, reset": compared.reset, "all, carried": compared.carried, **compared.by_class}
    if compared.by_recording is not None:
        rows = {"all recordings": compared.by_recording, **rows}
    figure = blank_figure(7, 1.5 + 0.4 * len(rows))
    axes = figure.add_subplot()
    places = np.arange(len(rows))
    for number, name in enumerate(compared.models):
        shares = [paired.accuracy[number] for paired in rows.values()]
        spread = np.array([(share.value - share.low, share.high - share.value) for share in shares]).T
        values = [share.value for share in shares]
        axes.barh(places + 0.4 * number - 0.2, values, 0.36, xerr=spread, capsize=3, label=_plain(name))
    axes.set_yticks(places, [f"{_plain(name)} ({paired.n:,})" for name, paired in rows.items()])
    axes.invert_yaxis()
    p = compared.reset.p
    axes.set(xlim=(0, 1.02), xlabel=f"accuracy; all clips, state reset: McNemar's p = {p:.2g}")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2)
    _save(figure, path)


def draw_learning_curve(run: Path, path: Path) -> None:
    """Draw loss, accuracies and density of a run by epoch, with the analog epochs shaded."""
    figure = blank_figure(7, 6)
    upper, middle, lower = figure.subplots(3, 1, sharex=True)
    for axes, name, label in (
        (upper, "val_accuracy_reset", "accuracy, reset"),
        (upper, "val_accuracy_carried", "accuracy, carried"),
        (middle, "val_density", "density"),
        (lower, "loss", "loss, training"),
        (lower, "val_loss", "loss, validation"),
    ):
        values = logged(run, name)
        axes.plot([epoch + 1 for epoch in values], list(values.values()), marker=".", label=label)
    end = max((epoch for epoch, analog in logged(run, "analog").items() if analog), default=None)
    for axes in (upper, middle, lower):
        if end is not None:
            axes.axvspan(0.5, end + 1.5, color="0.9", label="analog phase" if axes is upper else None)
        axes.legend(loc="best", fontsize=8)
        axes.grid(alpha=0.3)
    upper.set(ylim=(0, 1.02))
    middle.set(ylim=(0, None))
    lower.set(xlabel="epoch", xlim=(0.5, max(logged(run, "loss"), default=0) + 1.5))
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    _save(figure, path)
