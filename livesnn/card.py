"""The model card: everything a model folder records beside its weights, to and from JSON.

Enough to build the network without torch. Not here: the weights (weights.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from livesnn.errors import ModelError

FORMAT = "livesnn-model/1"

# What a card may say; msgspec checks it in `ModelCard.from_json`.
_Size = Annotated[int, Meta(ge=1, le=4096)]
_Sizes = Annotated[tuple[_Size, ...], Meta(min_length=1)]
_SliceLength = Annotated[int, Meta(ge=1, le=10**9)]


@dataclass(frozen=True)
class SliceRule:
    """Where one slice of events ends: after a fixed time, or after a fixed number of events.

    Exactly one of the two is set. Both are causal: a slice never needs a later event.
    """

    delta_t_us: _SliceLength | None = None
    n_events: _SliceLength | None = None

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
    widths: _Sizes = (64, 64, 64, 64)
    strides: _Sizes = (1, 1, 1, 1)
    sub_blocks: _Sizes = (2, 2, 2, 2)
    stem_kernel: _Size = 7  # odd
    stem_stride: _Size = 2
    stem_pool_stride: _Size = 2
    final_pool: _Size = 3
    hidden: _Size = 128
    norm: bool = True  # threshold-scaled batch norm in training, folded into the convolutions at export
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.2
    weight_bits: Literal[8, 32] = 32  # of the blocks' kernels, as every engine runs them; trained in 32


@dataclass(frozen=True)
class InputSpec:
    """What the network is fed: uint8 [channels, height, width], counts clipped at ``count_max``, times ``scale``.

    ``cell_pixels``: how many of the sensor's pixels made one of the input where the model was trained. With fixed Δt
    a sensor with more of them counts as many times more events, so counts are scaled by area; None: as they come.
    ``without_flicker``: each channel's median count is taken from a frame of events, and with it the flicker of a
    light (`livesnn.events.slicer`).
    """

    width: _Size
    height: _Size
    slice: SliceRule
    kind: Literal["events", "video"] = "events"
    channels: Annotated[int, Meta(ge=1, le=16)] = 2
    crop: Literal["centre"] = "centre"
    count_max: Annotated[int, Meta(ge=1, le=255)] = 8
    scale: Annotated[float, Meta(ge=1e-6, lt=1e6)] = 1.0
    window: Annotated[int, Meta(ge=1, le=10**4)] = 10
    cell_pixels: Annotated[float, Meta(ge=1e-6, le=1e8)] | None = None
    without_flicker: bool = False

    def cropped(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of the largest part of a picture or sensor that has the input's aspect."""
        return (
            min(width, max(1, height * self.width // self.height)),
            min(height, max(1, width * self.height // self.width)),
        )

    def pixels_a_cell(self, width: int, height: int) -> float:
        """Return how many pixels of a sensor make one of the input."""
        crop_width, crop_height = self.cropped(width, height)
        return crop_width * crop_height / (self.width * self.height)

    def gain(self, width: int, height: int) -> float:
        """Return what a sensor's counts are multiplied by."""
        if self.cell_pixels is None or self.slice.delta_t_us is None:
            return 1.0
        return self.cell_pixels / self.pixels_a_cell(width, height)


@dataclass(frozen=True)
class NeuronSpec:
    """LIF parameters of SPEC, Eq. 1-5, of all layers alike, not learned: decay, threshold, whether a spike resets."""

    alpha: Annotated[float, Meta(ge=0, le=1)] = 0.5
    threshold: Annotated[float, Meta(ge=1e-6, lt=1e6)] = 0.5
    reset: bool = True


@dataclass(frozen=True)
class Accuracy:
    """Fractions 0..1 over ``n`` clips; ``reset``: each from zero state, ``carried``: as one stream."""

    reset: float
    carried: float
    n: int


BY_TABLE = "table"


@dataclass(frozen=True)
class Split:
    """How validation clips were kept from the training: a fraction, by seed. `livesnn eval` finds them again.

    ``protocol``: which of the data set's published splits the training part is of; "" where it has one alone;
    `BY_TABLE` where the data's own table says what is kept, and fraction and seed mean nothing.
    ``groups``: the persons, sessions or groups of videos that were kept whole; ``clips``: of classes without one of
    those, the names of each group's last clips. What was kept stays kept when recordings come or go. ``windows``:
    most of a recording that were used; None: all. ``drawn_from``: how many recordings, where they were drawn one by
    one: of others the same draw would keep others.
    """

    fraction: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    seed: Annotated[int, Meta(ge=0)] = 0
    protocol: str = ""
    groups: tuple[str, ...] = ()
    clips: tuple[str, ...] = ()
    windows: Annotated[int, Meta(ge=1)] | None = None
    drawn_from: Annotated[int, Meta(ge=1)] | None = None


@dataclass(frozen=True)
class ModelCard:
    """Everything a model folder records beside its weights."""

    name: str
    classes: Annotated[tuple[str, ...], Meta(min_length=1)]
    input: InputSpec
    network: NetworkSpec = NetworkSpec()
    neuron: NeuronSpec = NeuronSpec()
    readout: Literal["spikes", "membrane"] = "membrane"
    states: dict[str, tuple[Annotated[int, Meta(ge=1)], ...]] = field(
        default_factory=dict
    )  # layer → shape [C, H, W] or [K], in order
    sensor: tuple[_Size, _Size] | None = (
        None  # width, height of the cameras it was trained with, where all had one
    )
    dataset: str = ""
    split: Split | None = None  # None: validation consists of clips of its own
    accuracy: Accuracy | None = None  # on validation, which chose the epoch, if one was chosen
    test: Accuracy | None = None  # on the test part, where it has been measured and kept
    seeds: tuple[int, ...] = ()
    density: dict[str, float] = field(default_factory=dict)  # layer → mean spikes a neuron a step
    mean_count: float | None = None  # of a pixel and frame of the validation clips: what the model is used to
    saturated: float | None = None  # share of their pixels with events at the maximum count or above
    temperature: Annotated[float, Meta(ge=1e-3, le=1e3)] = 1.0  # of the probabilities, fitted on validation
    taught: dict[str, int] = field(
        default_factory=dict
    )  # class → windows it was learned from, after the training
    commit: str = ""
    command: str = ""
    format: str = FORMAT

    def trained_with(self, sensor: tuple[int, int] | None) -> ModelCard:
        """Return the card with the sensor of the training's cameras, to which others' counts are scaled."""
        spec = self.input
        if sensor is not None and spec.kind == "events" and spec.cell_pixels is None:
            spec = replace(spec, cell_pixels=spec.pixels_a_cell(*sensor))
        return replace(self, sensor=sensor, input=spec)

    def on_another_sensor(self, width: int, height: int) -> str:
        """Return what is to be known where a camera's sensor isn't of the training's size; "" where it is."""
        if self.sensor in (None, (width, height)):
            return ""
        scaled = self.input.cell_pixels is not None and self.input.slice.delta_t_us is not None
        effect = "counts are scaled by area" if scaled else "it may never have seen the like"
        trained = "{}×{}".format(*self.sensor)
        return f"the sensor is {width}×{height}, the model was trained with {trained}: {effect}"

    def to_json(self) -> str:
        """Return the card as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()

    @staticmethod
    def from_json(text: str | bytes, *, where: str = "the card") -> ModelCard:
        """Read a card back; raises ModelError that names the file and the field when a value doesn't hold."""
        try:
            card = msgspec.json.decode(text, type=ModelCard)
            if card.format == FORMAT:
                _check(card)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ModelError) as error:
            raise ModelError(f"{where} is not a livesnn model card: {error}") from error
        if card.format != FORMAT:
            raise ModelError(
                f"{where} has format {card.format!r}, this livesnn reads {FORMAT!r}: update livesnn"
            )
        return card


def _check(card: ModelCard) -> None:
    """Raise ModelError on what one field's limits can't say."""
    wrong = [label for label in card.classes if not label.strip() or not label.isprintable()]
    if wrong or len(set(card.classes)) < len(card.classes):
        raise ModelError(f"classes are not different, printable names: {list(card.classes)}")
    network = card.network
    lengths = {"widths": 2} if network.kind == "conv_snn" else {"widths": 4, "strides": 4, "sub_blocks": 4}
    for name, length in lengths.items():
        if len(getattr(network, name)) != length:
            raise ModelError(f"network.{name} has {len(getattr(network, name))} entries, not {length}")
    if card.input.kind == "video" and card.input.without_flicker:
        raise ModelError("input.without_flicker is of events, and input.kind is video")
    if network.stem_kernel % 2 == 0:
        raise ModelError(f"network.stem_kernel is {network.stem_kernel}, not an odd number")
