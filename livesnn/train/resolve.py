"""The two recipes: what `livesnn train --recipe` sets, and every flag can change; what is decided by the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from livesnn.errors import TrainError
from livesnn.train.configuration import NETWORKS, STILL, NetworkName, TrainConfig, fast_precision, flag
from livesnn.train.datasets import Name, data_set

RecipeName = Literal["best", "paper"]

_PAPER = TrainConfig(
    recipe="paper",
    epochs=100,
    batch=100,
    learning_rate=1e-3,
    optimizer="adam",
    loss="mse",
    readout="spikes",
    reset=False,
    surrogate_width=1 / 6,
    norm=False,
    analog_ceiling=float("inf"),
    dropout=0.2,
    rate_weight=0.0,
    gradient_clip=0.0,
    precision="32-true",
    burn_in=0,
    augmentation=STILL,
    weight_bits=32,
)
RECIPES = {"best": TrainConfig(), "paper": _PAPER}
"""For STS-ResNet; see `recipe`."""

_PAPER_OF: dict[str, dict[str, Any]] = {
    "conv_snn": {"batch": 20, "learning_rate": 5e-4, "dropout": 0.0},
    "conv_lstm": {"loss": "bce", "dropout": 0.0},
    "cnn": {"dropout": 0.0},
    "cnn_lstm": {"dropout": 0.0},
    "c3d": {"dropout": 0.0},
    "cifar10-dvs": {
        "optimizer": "sgd", "learning_rate": 5e-4, "loss": "bce", "batch": 10, "alpha": 0.8,
    },
}  # fmt: skip
"""Where the paper (Sec. 5.3) sets something else for a network or a data set."""


def recipe(name: RecipeName, network: NetworkName, dataset: Name) -> TrainConfig:
    """Return the recipe for a network on a data set: the defaults of all other flags."""
    changed: dict[str, Any] = {"network": network, "dataset": dataset, "width": NETWORKS[network].width}
    if name == "paper":
        changed |= _PAPER_OF.get(network, {}) | _PAPER_OF.get(dataset, {})
    elif network == "conv_snn":
        changed |= {
            "reset": False,
            "dropout": 0.0,
        }  # as the paper has it: the architecture's, not the recipe's
    return replace(RECIPES[name], **changed)


def completed(config: TrainConfig) -> TrainConfig:
    """Return it with what data set and network decide; raises TrainError for what doesn't go together."""
    window, known = data_set(config.dataset).INPUT.window, data_set(config.dataset).PROTOCOLS
    config.mirrored(())
    if config.burn_in % window:
        raise TrainError(f"--burn-in {config.burn_in} isn't whole windows: give a multiple of {window}")
    if config.protocol and config.protocol not in known:
        hint = f"give one of {', '.join(known)}" if known != ("",) else "leave it out"
        raise TrainError(f"{config.dataset} has no --protocol {config.protocol!r}: {hint}")
    if config.cell_pixels and config.input.slice.delta_t_us is None:
        raise TrainError(
            "--cell-pixels scales frames of a fixed time, and these are of --n-events: leave it out"
        )
    half = config.epochs // 2 if config.recipe == "paper" else min(3, config.epochs // 2)
    usual = 0 if config.init else half  # what is begun with spikes has no use for epochs without
    analog = usual if config.analog_epochs is None else config.analog_epochs
    if config.average_epochs > config.epochs - analog:
        raise TrainError(
            f"--average-epochs {config.average_epochs} are more than {config.epochs - analog} that spike: give fewer"
        )
    precision = fast_precision() if config.precision == "auto" else config.precision
    filled = replace(config, protocol=config.protocol or known[0], analog_epochs=analog, precision=precision)
    kind = NETWORKS[config.network]
    if config.init and not kind.spiking:
        raise TrainError(f"--network {config.network} starts from scratch: leave --init out")
    default = recipe(config.recipe, config.network, config.dataset)
    if given := [name for name in kind.refused if getattr(config, name) != getattr(default, name)]:
        raise TrainError(f"{flag(given[0])} means nothing to {config.network}: leave it out")
    return filled if kind.spiking else replace(filled, analog_epochs=0, burn_in=0, rate_weight=0.0)
