"""A model's card, and the engines, in words for a person. Not here: the dialog that shows them (model_dialog.py)."""

from __future__ import annotations

import numpy as np

from livesnn.app.look import style
from livesnn.card import ModelCard
from livesnn.infer.model import Engine
from livesnn.infer.operations import mean_density

ENGINES: dict[Engine, tuple[str, str]] = {  # name → what a person reads, the module it needs
    "auto": ("Automatic", ""),
    "onnx": ("ONNX Runtime", "onnxruntime"),
    "spike": ("Spike-driven", "livesnn.infer.spike_engine"),
    "torch": ("PyTorch", "torch"),
}


def engine_name(engine: str) -> str:
    """Return what a person reads of an engine; its own name of any other."""
    return next((text for name, (text, _) in ENGINES.items() if name == engine), engine)


def card_rows(card: ModelCard) -> list[tuple[str, str]]:
    """Return what a person wants to know of a model, as captions and words."""
    accuracy = card.accuracy
    of_layers = [card.density.get(name, np.nan) for name in [*card.states][:-1]]
    density = mean_density(np.array(of_layers), card)
    network = card.network
    return [
        (f"{len(card.classes)} classes", ", ".join(style.readable(name) for name in card.classes)),
        (
            "Accuracy",
            f"{accuracy.reset:.1%} with the state reset at each clip, {accuracy.carried:.1%} with it carried "
            f"({accuracy.n:,} clips)"
            if accuracy
            else "not measured",
        ),
        (
            "Spike density",
            f"{density:.1%} of the neurons in a frame" if not np.isnan(density) else "not measured",
        ),
        ("Trained on", card.dataset or "not said"),
        *([("Taught since", ", ".join(card.taught))] if card.taught else []),
        ("Input", _input_words(card)),
        ("Frames", slice_words(card)),
        (
            "Network",
            f"{network.kind}, {len(card.states)} layers, decay {card.neuron.alpha:g}, "
            f"threshold {card.neuron.threshold:g}",
        ),
    ]


def slice_words(card: ModelCard) -> str:
    """Say where a frame ends, and how many make a window."""
    rule, window = card.input.slice, card.input.window
    if rule.delta_t_us is None:
        return f"one every {rule.n_events:,} events; {window} make a window"
    window_s = window * rule.delta_t_us / 1e6
    return f"one every {rule.delta_t_us / 1000:g} ms; {window} make a window ({window_s:.2f} s)"


def _input_words(card: ModelCard) -> str:
    spec = card.input
    what = "counts of darker and brighter events" if spec.kind == "events" else "video"
    steady = ", less a flickering light's" if spec.without_flicker else ""
    return f"{spec.width} × {spec.height} × {spec.channels}, {what}{steady}, at most {spec.count_max} a pixel"
