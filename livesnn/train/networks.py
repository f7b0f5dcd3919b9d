"""The list of networks that can be trained, and what each takes. Not here: the networks (snn/, baselines/)."""

from __future__ import annotations

from typing import Literal, NamedTuple

NetworkName = Literal[
    "sts_resnet", "conv_snn", "cnn", "cnn_lstm", "conv_lstm", "c3d", "resnet18", "resnet18_stacked"
]

_OF_BLOCKS = ("strides", "sub_blocks", "final_pool", "weight_bits")
_OF_SPIKES = (
    "analog_epochs", "analog_slope", "analog_ceiling", "optimizer_at_switch", "surrogate", "surrogate_width",
    "surrogate_peak", "readout", "reset", "alpha", "threshold", *_OF_BLOCKS,
)  # fmt: skip


class Kind(NamedTuple):
    """One network: ``spiking`` ones have a state and make a model folder.

    ``blocks``: how many numbers --widths takes. ``width``: the paper's channels, the default of --width.
    ``refused``: fields of `TrainConfig` that mean nothing to it, and so may not be given. Others do nothing either,
    but a pair of commands may share them.
    """

    spiking: bool = False
    blocks: int = 2
    width: int = 256
    refused: tuple[str, ...] = _OF_SPIKES


_RESNET = Kind(blocks=4, width=64, refused=(*_OF_SPIKES, "width", "widths", "norm", "dropout"))
NETWORKS: dict[NetworkName, Kind] = {
    "sts_resnet": Kind(spiking=True, blocks=4, width=64, refused=()),
    "conv_snn": Kind(spiking=True, width=48, refused=(*_OF_BLOCKS, "dropout")),
    "cnn": Kind(),
    "cnn_lstm": Kind(),
    "conv_lstm": Kind(),
    "c3d": Kind(),
    "resnet18": _RESNET,
    "resnet18_stacked": _RESNET,
}
