"""The model card: everything a model folder records beside its weights, to and from JSON.

Enough to build the network without torch. Not here: the weights (weights.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from livesnn.errors import ModelError

FORMAT = "livesnn-model/1"


@dataclass(frozen=True)
class SliceRule:
    """Where one slice of events ends: after a fixed time, or after a fixed number of events.

    Exactly one of the two is set. Both are causal: a slice never needs a later event.
    """

    delta_t_us: int | None = None
    n_events: int | None = None

    def __post_init__(self) -> None:
        value = self.delta_t_us if self.n_events is None else self.n_events
        if (self.delta_t_us is None) == (self.n_events is None) or value is None or value <= 0:
            raise ModelError(
                f"a slice rule takes one positive number, delta_t_us or n_events, not "
                f"delta_t_us={self.delta_t_us}, n_events={self.n_events}"
            )


@dataclass(frozen=True)
class NetworkSpec:
    """The architecture (SPEC, STS-ResNet and ConvSNN).

    ``kind`` "sts_resnet": one width, stride and number of sub-blocks for each of the four blocks, and a stem
    of ``stem_kernel`` / ``stem_stride`` followed by an average pool 3×3 of ``stem_pool_stride``.
    ``kind`` "conv_snn": ``widths`` are the two convolutions', ``hidden`` the fully connected layer's.
    """

    kind: Literal["sts_resnet", "conv_snn"] = "sts_resnet"
    widths: tuple[int, ...] = (64, 64, 64, 64)
    strides: tuple[int, ...] = (1, 1, 1, 1)
    sub_blocks: tuple[int, ...] = (2, 2, 2, 2)
    stem_kernel: int = 7
    stem_stride: int = 2
    stem_pool_stride: int = 2
    final_pool: int = 3
    hidden: int = 128
    norm: bool = True  # threshold-scaled batch norm in training, folded into the convolutions at export
    dropout: float = 0.2


@dataclass(frozen=True)
class InputSpec:
    """What the network is fed: uint8 [channels, height, width], counts clipped at ``count_max``, times ``scale``."""

    width: int
    height: int
    slice: SliceRule
    kind: Literal["events", "video"] = "events"
    channels: int = 2
    crop: Literal["centre"] = "centre"
    count_max: int = 8
    scale: float = 1.0
    window: int = 10


@dataclass(frozen=True)
class NeuronSpec:
    """LIF parameters of SPEC, Eq. 1-5: decay, threshold, and whether a spike resets the membrane."""

    alpha: float = 0.5
    threshold: float = 0.5
    reset: bool = True


@dataclass(frozen=True)
class Accuracy:
    """Fractions 0..1 over ``n`` clips; ``reset``: each from zero state, ``carried``: as one stream."""

    reset: float
    carried: float
    n: int


@dataclass(frozen=True)
class Split:
    """How validation clips were kept from the training: a fraction, by seed. `livesnn eval` finds them again."""

    fraction: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class ModelCard:
    """Everything a model folder records beside its weights."""

    name: str
    classes: tuple[str, ...]
    input: InputSpec
    network: NetworkSpec = NetworkSpec()
    neuron: NeuronSpec = NeuronSpec()
    readout: Literal["spikes", "membrane"] = "membrane"
    states: dict[str, tuple[int, ...]] = field(
        default_factory=dict
    )  # layer → shape [C, H, W] or [K], in order
    dataset: str = ""
    split: Split = Split()
    accuracy: Accuracy | None = None
    seeds: tuple[int, ...] = ()
    density: dict[str, float] = field(default_factory=dict)  # layer → mean spikes a neuron a step
    commit: str = ""
    command: str = ""
    format: str = FORMAT

    def to_json(self) -> str:
        """Return the card as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()

    @staticmethod
    def from_json(text: str | bytes, *, where: str = "the card") -> ModelCard:
        """Read a card back; raises ModelError that names the field when it doesn't fit."""
        try:
            card = msgspec.json.decode(text, type=ModelCard)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ModelError(f"{where} is not a livesnn model card: {error}") from error
        if card.format != FORMAT:
            raise ModelError(
                f"{where} has format {card.format!r}, this livesnn reads {FORMAT!r}: update livesnn"
            )
        return card
