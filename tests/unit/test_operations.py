"""Parameters, MACs and synops of every network of the tables, against counts by hand."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs livesnn[train]")

import torch

from livesnn.paper.run import Operations, count_operations
from livesnn.train.configuration import Configuration, NetworkName
from livesnn.train.network import build
from tests.trees import configured

CLASSES = tuple("ab")
WIDTH, HEAD = 3, 128
FLAT = WIDTH * 7 * 7


def config_of(network: NetworkName, **changes: object) -> Configuration:
    return configured(recipe="paper", network=network, dataset="mnist-seq1", width=WIDTH, compile=False, **changes)


def operations(network: NetworkName, frames: torch.Tensor, **changes: object) -> Operations:
    torch.manual_seed(0)
    return count_operations(build(config_of(network, **changes), CLASSES), frames)


def full(clips: int = 2) -> torch.Tensor:
    return torch.full((clips, 10, 1, 28, 28), 200, dtype=torch.uint8)


HEAD_MACS = HEAD * 2
MACS = {
    "cnn": 784 * 9 * 10 * WIDTH + 196 * 9 * WIDTH**2 + FLAT * HEAD + HEAD_MACS,
    "cnn_lstm": 10 * (784 * 9 * WIDTH + 196 * 9 * WIDTH**2 + (FLAT + 256) * 4 * 256 + 256 * 2),
    # nine steps have a hidden state to convolve
    "conv_lstm": 10 * (784 * 9 * 4 * WIDTH + 196 * 9 * 4 * WIDTH**2 + FLAT * HEAD + HEAD_MACS)
    + 9 * (784 + 196) * 9 * 4 * WIDTH**2,
    "c3d": 7840 * 27 * WIDTH + 1960 * 27 * WIDTH**2 + 5 * FLAT * HEAD + HEAD_MACS,
    "conv_snn": 10 * (784 * 9 * WIDTH + 196 * 9 * WIDTH**2 + FLAT * HEAD + HEAD_MACS),
}
CONVOLUTIONS = 9 * WIDTH + WIDTH + 9 * WIDTH**2 + WIDTH
HEAD_PARAMETERS = HEAD + HEAD * 2 + 2
PARAMETERS = {
    "cnn": 90 * WIDTH + WIDTH + 9 * WIDTH**2 + WIDTH + FLAT * HEAD + HEAD_PARAMETERS,
    "cnn_lstm": CONVOLUTIONS + (FLAT + 256 + 2) * 4 * 256 + 256 * 2 + 2,
    "conv_lstm": 4 * (9 * WIDTH + 2 * WIDTH + 3 * 9 * WIDTH**2) + FLAT * HEAD + HEAD_PARAMETERS,
    "c3d": 27 * WIDTH + WIDTH + 27 * WIDTH**2 + WIDTH + 5 * FLAT * HEAD + HEAD_PARAMETERS,
    "conv_snn": CONVOLUTIONS + FLAT * HEAD + HEAD_PARAMETERS,
}  # fmt: skip


@pytest.mark.parametrize("network", MACS)
def test_parameters_and_macs_of_a_clip_are_those_counted_by_hand(network: NetworkName) -> None:
    counted = operations(network, full())
    assert counted.parameters == PARAMETERS[network]
    assert counted.macs == MACS[network]
    assert 0 < counted.synops <= counted.macs


def test_the_stem_and_blocks_of_sts_resnet_are_counted() -> None:
    counted = operations("sts_resnet", full())
    stem, block = 14 * 14 * 49 * WIDTH, 7 * 7 * 9 * WIDTH**2
    assert counted.macs == 10 * (stem + 16 * block + 2 * WIDTH * 4 * 2)


def taps(size: int) -> int:
    """Return how often the pixels of a line are read by a kernel of 3 that is padded."""
    return 3 * size - 2


def test_a_pixel_that_is_zero_costs_nothing() -> None:
    dark = operations("cnn", torch.zeros(1, 10, 1, 28, 28, dtype=torch.uint8))
    lit = full(1)
    lit[:, 5:] = 0
    more = operations("cnn", lit)
    assert more.macs == dark.macs
    first = 5 * taps(28) ** 2 * WIDTH
    assert first <= more.synops < first + more.macs / 2


def test_silent_neurons_cost_nothing_beyond_the_first_layer() -> None:
    faint = torch.zeros(1, 10, 1, 28, 28, dtype=torch.uint8)
    faint[:, :, :, 10, 10] = 1  # reaches no threshold
    assert operations("conv_snn", faint, threshold=50.0).synops == 10 * 9 * WIDTH


def test_an_lstm_pays_for_its_hidden_state_from_the_second_step_on() -> None:
    net = build(config_of("cnn_lstm"), CLASSES)
    for layer in (net.first, net.second):
        torch.nn.init.zeros_(layer.conv.bias)
    dark = count_operations(net, torch.zeros(1, 10, 1, 28, 28, dtype=torch.uint8))
    assert dark.synops == 9 * 256 * 4 * 256 + 10 * 256 * 2
