"""The model card: everything a model folder records beside its weights, to and from JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from math import prod
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from livesnn.errors import ModelError
from livesnn.json_text import decode_json

FORMAT = "livesnn-model/1"
MOST_NEURONS = 50_000_000
"""Their membranes take 200 MB, and a step makes others. A network of 64 channels on 640×480 pixels has 25 million."""

# Limits that msgspec checks in `ModelCard.from_json`.
_Size = Annotated[int, Meta(ge=1, le=4096)]
_Count = Annotated[int, Meta(ge=0, le=10**9)]
_Sizes = Annotated[tuple[_Size, ...], Meta(min_length=1)]
_Decay = Annotated[float, Meta(ge=0, le=1)]
_Leak = Annotated[float, Meta(ge=0, le=0.9999)]  # 1 in float32 would never forget
_Shape = Annotated[tuple[Annotated[int, Meta(ge=1)], ...], Meta(max_length=8)]
_SliceLength = Annotated[int, Meta(ge=1, le=10**9)]

ReadOut = Literal["membrane", "spikes", "traces"]


@dataclass(frozen=True)
class SliceRule:
    """Where one slice of events ends: after a fixed time, or after a fixed number of events: one of the two."""

    delta_t_us: _SliceLength | None = None
    n_events: _SliceLength | None = None

    def __post_init__(self) -> None:
        value = self.delta_t_us if self.n_events is None else self.n_events
        if (self.delta_t_us is None) == (self.n_events is None) or value is None or value <= 0:
            raise ModelError(
                f"a slice rule takes one positive number, delta_t_us or n_events, not "
                f"delta_t_us={self.delta_t_us}, n_events={self.n_events}"
            )

    def __str__(self) -> str:
        return f"{self.n_events:,} events" if self.delta_t_us is None else f"{self.delta_t_us / 1000:g} ms"


@dataclass(frozen=True)
class NetworkSpec:
    """The architecture (Samadzadeh et al.: Fig. 5 for the STS-ResNet, Table 1 for the ConvSNN)."""

    kind: Literal["sts_resnet", "conv_snn"] = "sts_resnet"
    widths: _Sizes = (64, 64, 64, 64)  # Channels of each of the four blocks; of a ConvSNN's two convolutions
    # Stride and number of sub-blocks of each block
    strides: _Sizes = (1, 1, 1, 1)
    sub_blocks: _Sizes = (2, 2, 2, 2)
    # The stem is a convolution with an odd kernel, and an average pool of 3×3
    stem_kernel: _Size = 7
    stem_stride: _Size = 2
    stem_pool_stride: _Size = 2
    final_pool: _Size = 3  # Side of the classifier's average pools
    hidden: _Size = 128  # Width of a ConvSNN's hidden dense layer
    norm: bool = True  # Threshold-scaled batch norm in training, folded into the convolutions at export
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.2  # Share of units dropped in training
    # Bits of the blocks' kernels, as every engine runs them. They are trained in 32.
    weight_bits: Literal[8, 32] = 32


@dataclass(frozen=True)
class InputSpec:
    """What the network is fed: uint8 [channels, height, width]."""

    width: _Size
    height: _Size
    slice: SliceRule
    kind: Literal["events", "video"] = "events"  #: the channels of events are OFF and ON
    channels: Annotated[int, Meta(ge=1, le=16)] = 2
    crop: Literal["centre"] = "centre"  #: of a sensor: the largest part in the centre that has the input's aspect
    #: Counts are clipped at ``count_max`` and multiplied by ``scale``, inside the network.
    count_max: Annotated[int, Meta(ge=1, le=255)] = 8
    scale: Annotated[float, Meta(ge=1e-6, lt=1e6)] = 1.0
    window: Annotated[int, Meta(ge=1, le=10**4)] = 10  #: frames of a window
    #: How many sensor pixels made one input pixel in training. The slicer scales the counts of other sensors to that
    #: (`livesnn.events.slicer.count_gain`). None: counts are never scaled.
    cell_pixels: Annotated[float, Meta(ge=1e-6, le=1e8)] | None = None
    #: Whether the slicer subtracts each channel's median count from a frame, which removes the flicker of a light
    without_flicker: bool = False
    #: Mean count of a pixel to which the slicer multiplies the counts of frames with few events, as in low light
    #: (`livesnn.events.slicer.lift`). None: counts are never multiplied.
    lift_to: Annotated[float, Meta(gt=0, le=255)] | None = None

    @property
    def window_s(self) -> float:
        """0 if a window has a fixed number of events."""
        return self.window * (self.slice.delta_t_us or 0) / 1e6

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


@dataclass(frozen=True)
class NeuronSpec:
    """Parameters of the LIF neuron (`livesnn.snn.lif`), which aren't learned."""

    alpha: _Decay = 0.5
    threshold: Annotated[float, Meta(ge=1e-6, lt=1e6)] = 0.5
    reset: bool = True  # Whether a spike sets the membrane to zero
    # Decay in each of the four blocks of an STS-ResNet; empty: ``alpha`` everywhere
    block_alphas: tuple[_Decay, ...] = ()

    def of(self, layer: str) -> NeuronSpec:
        """Return the parameters in a layer of `ModelCard.states`, without ``block_alphas``."""
        block = re.match(r"block(\d+)\.", layer)
        alpha = self.block_alphas[int(block[1]) - 1] if block and self.block_alphas else self.alpha
        return replace(self, alpha=alpha, block_alphas=())


@dataclass(frozen=True)
class TraceSpec:
    """A read-out that remembers (`snn.sts_resnet.TraceReadOut`)."""

    # Decay of each trace, per step
    alphas: Annotated[tuple[_Leak, ...], Meta(min_length=1, max_length=16)] = (0.37, 0.67, 0.85, 0.93, 0.97)
    members: Annotated[int, Meta(ge=1, le=64)] = 3  # Read-outs whose outputs are averaged
    width: _Size = 128  # Numbers that a member traces
    hidden: _Size = 256  # Units of a member between its traces and the classes
    mixed: bool = False  # Whether a matrix mixes the decays of each member before they are normalised

    @property
    def currents(self) -> int:
        """How many numbers all members trace."""
        return self.members * self.width

    @property
    def traces(self) -> int:
        """How many traces they make of them, one for each decay."""
        return len(self.alphas) * self.currents


@dataclass(frozen=True)
class Accuracy:
    """Fractions 0..1 over ``n`` clips; ``reset``: each clip from zero state, ``carried``: all as one stream."""

    reset: float
    carried: float
    n: int


BY_TABLE = "table"


@dataclass(frozen=True)
class Split:
    """Which clips were kept for validation, so that `livesnn eval` finds them again."""

    # What share of the clips was drawn, with which seed
    fraction: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    seed: Annotated[int, Meta(ge=0)] = 0
    # Which of the data set's published splits the training part is of; "" if it has only one. `BY_TABLE` if
    # the data's own table says what is kept; fraction and seed then mean nothing.
    protocol: str = ""
    groups: tuple[str, ...] = ()  # The persons, sessions or groups of videos that were kept whole
    # For classes that are in none of those groups: the names of each group's last clips
    clips: tuple[str, ...] = ()
    # The most windows of a recording that were used; None: all
    windows: Annotated[int, Meta(ge=1)] | None = None
    # From how many recordings the draw was made, if one by one: from others it would keep others
    drawn_from: Annotated[int, Meta(ge=1)] | None = None


@dataclass(frozen=True)
class LessonScore:
    """How well a class was learned from its last lesson."""

    # Of the lesson's windows that were held out for a test, how many were recognised, and how many there were
    right: _Count
    kept_aside: _Count
    # Of windows of what the model knew before, how many were taken for the class, and how many there were
    taken: _Count
    known: _Count
    # ``taken`` by what was performed, where known
    taken_from: dict[str, _Count] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """How much of what was held out was recognised."""
        return self.right / max(self.kept_aside, 1)


@dataclass(frozen=True)
class ModelCard:
    """Everything a model folder records beside its weights. It is enough to build the network without torch."""

    name: str
    classes: Annotated[tuple[str, ...], Meta(min_length=1)]  #: in the order of its output
    input: InputSpec
    network: NetworkSpec = NetworkSpec()
    neuron: NeuronSpec = NeuronSpec()
    #: "spikes": spike rates of the output layer. "membrane": mean membrane potentials of an output layer that never
    #: spikes. "traces": outputs of two dense layers on leaky traces of all blocks' spikes, as ``traces`` says.
    readout: ReadOut = "membrane"
    #: Layer → shape [C, H, W] or [K] of its membranes or traces, in order; the same as `layer_shapes`
    states: dict[str, _Shape] = field(default_factory=dict)
    sensor: tuple[_Size, _Size] | None = None  #: width and height of the training's cameras, if all had the same
    dataset: str = ""
    split: Split | None = None  #: None: validation has clips of its own
    accuracy: Accuracy | None = None  #: on validation clips, which chose the epoch if one was chosen
    test: Accuracy | None = None  #: on test clips, if measured
    seeds: tuple[int, ...] = ()
    density: dict[str, float] = field(default_factory=dict)  #: layer → mean spikes a neuron a step
    mean_count: float | None = None  #: of a pixel in a frame of the validation clips: what the model is used to
    saturated: float | None = None  #: share of their pixels with events that are at the maximum count or above
    temperature: Annotated[float, Meta(ge=1e-3, le=1e3)] = 1.0  #: of the probabilities, fitted on validation
    taught: dict[str, _Count] = field(default_factory=dict)  #: class → windows it was taught from, after the training
    lessons: dict[str, LessonScore] = field(default_factory=dict)  #: taught class → how well it was learned
    renamed: dict[str, str] = field(default_factory=dict)  #: class → its name in training or teaching, where another
    commit: str = ""  #: that trained it, with ``command``
    command: str = ""
    #: SHA-256 of the tensors in model.safetensors and of the graph in model.onnx. As both files carry both, neither
    #: can be exchanged unseen. "" in the cards of older models.
    weights_sha256: str = ""
    graph_sha256: str = ""
    traces: TraceSpec = TraceSpec()
    format: str = FORMAT

    def layer_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape [C, H, W] or [K] of each layer's membranes, in order, from network and input."""
        spec, widths = self.network, self.network.widths
        readout = {"readout": (self.traces.traces if self.readout == "traces" else len(self.classes),)}
        height, width = self.input.height, self.input.width
        if spec.kind == "conv_snn":
            first, second = (widths[0], height, width), (widths[1], height // 2, width // 2)
            return {"first": first, "second": second, "hidden": (spec.hidden,)} | readout
        height, width = -(-height // spec.stem_stride), -(-width // spec.stem_stride)
        shapes: dict[str, tuple[int, ...]] = {"stem": (widths[0], height, width)}
        height, width = -(-height // spec.stem_pool_stride), -(-width // spec.stem_pool_stride)
        blocks = zip(widths, spec.strides, spec.sub_blocks, strict=True)
        for block, (channels, stride, sub_blocks) in enumerate(blocks, 1):
            height, width = -(-height // stride), -(-width // stride)
            for i in range(1, sub_blocks + 1):
                layers = f"block{block}.{i}.first", f"block{block}.{i}.second"
                shapes |= dict.fromkeys(layers, (channels, height, width))
        return shapes | readout

    def read_layers(self) -> tuple[str, ...]:
        """Return the layers of an STS-ResNet that the read-out gets: the last ones of blocks 3 and 4, or of all."""
        blocks = (1, 2, 3, 4) if self.readout == "traces" else (3, 4)
        return tuple(f"block{block}.{self.network.sub_blocks[block - 1]}.second" for block in blocks)

    def pooled_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """Return the shapes [C, H, W] of these layers behind the pools; raises ModelError if a pool is larger."""
        pool, shapes = self.network.final_pool, self.layer_shapes()
        pooled = tuple(
            (channels, height // pool, width // pool)
            for channels, height, width in map(shapes.__getitem__, self.read_layers())
        )
        if not all(map(all, pooled)):
            raise ModelError(f"the classifier's pools of {pool}×{pool} are larger than what they read")
        return pooled

    def trained_with(self, sensor: tuple[int, int] | None) -> ModelCard:
        """Return the card with the training cameras' sensor, to which the counts of others are scaled."""
        spec = self.input
        if sensor is not None and spec.kind == "events" and spec.cell_pixels is None:
            spec = replace(spec, cell_pixels=spec.pixels_a_cell(*sensor))
        return replace(self, sensor=sensor, input=spec)

    def on_another_sensor(self, width: int, height: int) -> str:
        """Return a warning for a sensor of another size than the training's; "" for one of the same size."""
        if self.sensor in (None, (width, height)):
            return ""
        scaled = self.input.cell_pixels is not None and self.input.slice.delta_t_us is not None
        effect = "counts are scaled by area" if scaled else "decisions may be wrong"
        trained = "{}×{}".format(*self.sensor)
        return f"the sensor is {width}×{height}, but the model was trained with {trained}: {effect}"

    def to_json(self) -> str:
        """Return the card as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()

    @staticmethod
    def from_json(text: str | bytes, *, where: str = "the card") -> ModelCard:
        """Read a card; raises ModelError that names ``where`` and the field with a wrong value."""
        try:
            card = decode_json(text, ModelCard)
            if card.format == FORMAT:
                _check(card)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ModelError) as error:
            raise ModelError(f"{where} is not a livesnn model card ({error}): copy it again") from error
        if card.format != FORMAT:
            raise ModelError(f"{where} has format {card.format!r}, but this livesnn reads {FORMAT!r}: update livesnn")
        return card


def _check(card: ModelCard) -> None:
    """Raise ModelError for what the limits of single fields can't express."""
    wrong = [label for label in card.classes if not label.strip() or not label.isprintable()]
    if wrong or len(set(card.classes)) < len(card.classes):
        raise ModelError(f"class names must be different and printable: {list(card.classes)}")
    for named in (card.taught, card.lessons, card.renamed):
        if strange := [label for label in named if label not in card.classes]:
            raise ModelError(f"{strange[0]!r} was taught or renamed, but is none of its classes")
    network = card.network
    blocks = len(card.neuron.block_alphas)
    if blocks and (network.kind != "sts_resnet" or blocks != 4):
        raise ModelError(f"neuron.block_alphas has {blocks} entries, not one for each of four blocks")
    lengths = {"widths": 2} if network.kind == "conv_snn" else {"widths": 4, "strides": 4, "sub_blocks": 4}
    for name, length in lengths.items():
        if len(getattr(network, name)) != length:
            raise ModelError(f"network.{name} has {len(getattr(network, name))} entries, not {length}")
    if card.input.kind == "video" and card.input.without_flicker:
        raise ModelError("input.without_flicker only applies to events, but input.kind is video")
    if card.input.lift_to and card.input.slice.delta_t_us is None:
        raise ModelError("input.lift_to applies only to event frames of a fixed duration")
    if card.readout == "traces" and network.kind != "sts_resnet":
        raise ModelError(f"the readout is traces, which only an sts_resnet has, not a {network.kind}")
    if network.stem_kernel % 2 == 0:
        raise ModelError(f"network.stem_kernel is {network.stem_kernel}, not an odd number")
    for shapes in (card.layer_shapes(), card.states):
        if (neurons := sum(map(prod, shapes.values()))) > MOST_NEURONS:
            raise ModelError(f"its layers have {neurons:,} neurons, more than {MOST_NEURONS:,}")
        if empty := [name for name, shape in shapes.items() if not all(shape)]:
            raise ModelError(f"its layer {empty[0]} has no neurons: the input is too small")
