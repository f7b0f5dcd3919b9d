"""A training's configuration: its flags, their defaults and ranges, and which network takes which of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from functools import cache
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_type_hints

import msgspec
from llvmlite import binding

from livesnn.card import InputSpec, ModelCard, NetworkSpec, NeuronSpec, ReadOut, SliceRule, TraceSpec
from livesnn.console import sayable
from livesnn.errors import TrainError
from livesnn.train.datasets.registry import data_set, mirrored_labels
from livesnn.train.datasets.request import EVENTS, VIDEOS, DataRequest, Name, OnlyFor, Range

RecipeName = Literal["best", "paper"]
Precision = Literal["bf16-mixed", "32-true"]
NetworkName = Literal["sts_resnet", "conv_snn", "cnn", "cnn_lstm", "conv_lstm", "c3d", "resnet18"]

_BLOCK_FIELDS = ("stem_stride", "stem_pool_stride", "strides", "sub_blocks", "final_pool", "weight_bits")
_SPIKE_FIELDS = (
    "analog_epochs", "analog_slope", "analog_ceiling", "surrogate", "surrogate_width",
    "surrogate_peak", "readout", "reset", "alpha", "block_alphas", "threshold", *_BLOCK_FIELDS,
)  # fmt: skip


class NetworkKind(NamedTuple):
    """What a network takes."""

    spiking: bool = False  # Whether it has a state and makes a model folder
    blocks: int = 2  # How many numbers --widths takes
    width: int = 256  # The paper's number of channels, which --width has when it is left out
    # Fields of `Configuration` that have no effect on it and are refused. Other fields may have no effect
    # either, but a pair of commands may share them.
    refused: tuple[str, ...] = _SPIKE_FIELDS


NETWORKS: dict[NetworkName, NetworkKind] = {
    "sts_resnet": NetworkKind(spiking=True, blocks=4, width=64, refused=()),
    "conv_snn": NetworkKind(spiking=True, width=48, refused=(*_BLOCK_FIELDS, "dropout")),
    "cnn": NetworkKind(),
    "cnn_lstm": NetworkKind(),
    "conv_lstm": NetworkKind(),
    "c3d": NetworkKind(),
    "resnet18": NetworkKind(blocks=4, width=64, refused=(*_SPIKE_FIELDS, "width", "widths", "norm", "dropout")),
}

MODEL_FIELDS = (
    "widths", "stem_stride", "stem_pool_stride", "strides", "sub_blocks", "final_pool", "norm", "alpha",
    "block_alphas", "threshold", "reset", "readout",
)  # fmt: skip
"""Fields that a training takes from the model it starts from."""


def _check_ranges(flags: object, prefix: str = "") -> None:
    for each, mark in _marks(type(flags)):  # type: ignore[arg-type]
        value = getattr(flags, each.name)
        if value is not None and isinstance(mark, Range) and not mark.low <= value <= mark.high:
            name = flag(prefix + each.name)
            raise TrainError(f"{name} is {value}: give a number from {mark.low:g} to {mark.high:g}")


@cache
def _marks(kind: type[Any]) -> list[tuple[Field[Any], object]]:
    """Return each mark of a dataclass, such as a `Range`, with the field that it is on."""
    hints = get_type_hints(kind, include_extras=True)
    return [(each, mark) for each in fields(kind) for mark in getattr(hints[each.name], "__metadata__", ())]


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a training clip, drawn uniformly once for each clip; 0 turns one off."""

    shift_pixels: Annotated[float, Range(0, 1e3)] = 2.0
    """Largest shift along either side, in pixels of the input."""
    rotate_degrees: Annotated[float, Range(0, 360)] = 10.0
    """Largest rotation either way, in degrees."""
    scale: Annotated[float, Range(0, 0.99)] = 0.1
    """Largest change of size along either side, as a fraction."""
    shear: Annotated[float, Range(0, 10)] = 0.1
    """Largest shear, as a fraction of the picture's width."""
    drop: Annotated[float, Range(0, 1)] = 0.2
    """Largest fraction of the events, or of a video's brightness, that is removed."""
    gain: Annotated[float, Range(0, 1)] = 0.0
    """Largest change of each channel (a video's colours, the events' polarities), as a fraction."""
    mirror: Annotated[float, Range(0, 1)] = 0.0
    """Share of the clips that are mirrored left to right, with the label of what they then show."""

    def __post_init__(self) -> None:
        _check_ranges(self, "augmentation.")


NO_AUGMENTATION = Augmentation(0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Configuration(DataRequest):
    """Everything that decides a training. Its fields are the flags of `livesnn train`, its JSON is config.json.

    The defaults here are those of the best recipe for STS-ResNet; `recipe` has those of all others. What the data set
    must know is in `DataRequest`.
    """

    dataset: Name = "nmnist"
    """Data set to train on. gestures-sim is simulated. folder means your own recordings (see --data)."""
    recipe: RecipeName = "best"
    """Values of the flags that you leave out. best did best on validation. paper has the paper's loss, optimiser and
    read-out."""
    network: NetworkName = "sts_resnet"
    """Network to train. sts_resnet and conv_snn spike and make a model. The others are ordinary networks to compare
    with."""
    name: str = ""
    """Name of the model and its run folder. Default: made from the data set, the recipe or network, and the seed."""
    out: Path = Path("runs")
    """Folder for run folders, which hold the checkpoints, the log and the finished model."""
    runs: Annotated[int, Range(1, 1000)] = 1
    """Number of training runs, with this seed and the following ones. Their mean and standard deviation are
    printed."""
    epochs: Annotated[int, Range(1, 1_000_000)] = 40
    """Number of epochs."""
    average_epochs: Annotated[int, Range(1, 1000)] = 1
    """Make the model from the mean weights of this many last epochs, with new batch-norm statistics. 1 takes the
    epoch that is best on validation."""
    analog_epochs: Annotated[int, Range(0, 1_000_000)] = 3
    """Epochs in phase 1 of the hybrid method, without spikes. 0 trains with spikes (STBP) only. Default: half of the
    epochs, at most 3 with the best recipe, and 0 with --init."""
    analog_slope: Annotated[float, Range(-10, 10)] = -0.01
    """Slope of the activation below the threshold in phase 1, −β in the paper."""
    analog_ceiling: Annotated[float, Range(1e-3, inf)] = 1.0
    """Largest output of the activation in phase 1. 1 is the output of a spike. The paper has no limit (inf)."""
    surrogate: Literal["gaussian", "rectangle"] = "gaussian"
    """Surrogate for the derivative of the step function."""
    surrogate_width: Annotated[float, Range(1e-3, 1e3)] = 0.3
    """Standard deviation of the Gaussian, or half the width of the rectangle."""
    surrogate_peak: Annotated[float, Range(1e-3, 1e3)] = 0.977
    """Value of the surrogate at the threshold."""
    batch: Annotated[int, Range(1, 1_000_000)] = 50
    """Clips in a batch."""
    learning_rate: Annotated[float, Range(1e-9, 10)] = 2e-3
    """Peak learning rate."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """Optimiser. adamw decays the weights by 1e-2, warms up for 5 % of the steps and then follows a cosine. adam and
    sgd (momentum 0.9) keep the learning rate."""
    loss: Literal["cross-entropy", "mse", "bce"] = "cross-entropy"
    """Loss of the window's mean output."""
    balance: Literal["weights", "logits", "none"] = "weights"
    """How to balance classes with different numbers of clips in the cross-entropy. weights gives clips of large
    classes less weight. logits adds the logarithm of the class's share to its output while training."""
    unknown_weight: Annotated[float, Range(0, 1e3), OnlyFor(("gestures-sim",))] = 1.0
    """Weight of a clip without a class (a simulated person doing nothing). A clip with a class has weight 1."""
    kinds_weight: Annotated[float, Range(0, 1e3), OnlyFor(("gestures-sim",))] = 0.0
    """Weight of a second loss, which separates all kinds of movement of the simulated people. Outputs that aren't a
    class are left out of the finished model."""
    readout: ReadOut = "membrane"
    """Output: the last layer's membrane potentials, its spikes as in the paper, or two dense layers on leaky traces
    of all blocks' spikes, which remember the last second or two."""
    members: Annotated[int, Range(1, 64)] = 1
    """Read-outs of traces whose outputs are averaged."""
    traced: Annotated[int, Range(1, 4096)] = 64
    """Numbers that a read-out of traces remembers, each with five decays."""
    hidden: Annotated[int, Range(1, 4096)] = 128
    """Units of a read-out of traces between the traces and the classes."""
    reset: bool = True
    """Set a membrane potential to zero after a spike."""
    alpha: Annotated[float, Range(0, 1)] = 0.5
    """Factor by which a membrane potential decays in a step."""
    block_alphas: tuple[float, ...] = ()
    """Decay factor of each of the four blocks. A factor near 1 remembers more frames. Default: --alpha for all."""
    threshold: Annotated[float, Range(1e-3, 1e3)] = 0.5
    """Membrane potential at which a neuron spikes."""
    width: Annotated[int, Range(1, 4096)] = 64
    """Channels of every block or convolution."""
    widths: tuple[int, ...] = ()
    """Channels of each of the four blocks, or of the two convolutions. Default: --width for all."""
    stem_stride: Annotated[int, Range(1, 4096)] = 2
    """Stride of the first convolution. 1 suits small pictures."""
    stem_pool_stride: Annotated[int, Range(1, 4096)] = 2
    """Stride of the average pool after it. 1 suits small pictures."""
    strides: tuple[int, ...] = (1, 1, 1, 1)
    """Stride of each of the four blocks. 2 halves the width and height of the maps."""
    sub_blocks: tuple[int, ...] = (2, 2, 2, 2)
    """Number of sub-blocks (pairs of convolutions) in each of the four blocks. 2 2 2 2 makes 18 layers."""
    final_pool: Annotated[int, Range(1, 4096)] = 3
    """Side of the average pool before the classifier. A pool as large as the map makes the position irrelevant."""
    weight_bits: Literal[8, 32] = 8
    """Bits of the blocks' weights in the finished model, on every engine. Training always uses 32."""
    norm: bool = True
    """Use threshold-scaled batch norm, which the export folds into the convolutions."""
    measured_norms: bool = True
    """Measure batch-norm statistics on unaugmented clips before each validation, instead of moving averages."""
    dropout: Annotated[float, Range(0, 0.95)] = 0.1
    """Dropout after each sub-block, with one mask a window."""
    rate_target: Annotated[float, Range(0, 1)] = 0.08
    """Highest mean firing rate of a layer that isn't penalised."""
    rate_weight: Annotated[float, Range(0, 1e6)] = 1.0
    """Weight of the firing-rate penalty. 0 turns it off."""
    burn_in: Annotated[int, Range(0, 10_000)] = 20
    """Largest number of unscored frames that run before the scored ones, so that their state isn't zero. Give a
    multiple of the window's frames. gestures-sim uses the frames before. Other data sets use other clips. With 0 the
    best epoch is chosen on clips only, otherwise on clips and a stream."""
    from_zero: Annotated[float, Range(0, 1)] = 0.25
    """Share of the clips that start from zero state despite --burn-in."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Random changes of the training clips."""
    delta_t_us: Annotated[int | None, Range(1, 10_000_000), OnlyFor((*EVENTS, *VIDEOS))] = None
    """Duration of a frame in µs. Default: the data set's."""
    n_events: Annotated[int | None, Range(1, 10_000_000), OnlyFor(EVENTS)] = None
    """Number of events in a frame, instead of a duration."""
    side: Annotated[int | None, Range(8, 1024), OnlyFor(EVENTS)] = None
    """Width and height of the input in pixels. Default: as in the model of --init, or the data set's."""
    cell_pixels: Annotated[float | None, Range(1e-3, 1e7), OnlyFor(EVENTS)] = None
    """Number of sensor pixels that make one pixel of the input. Counts of other cameras are scaled to it. Default:
    as in the model of --init, or no scaling."""
    light_flicker: Annotated[Literal["keep", "remove"] | None, OnlyFor(EVENTS)] = None
    """Whether to remove what a flickering light adds to a frame. Default: as in the model of --init or the data
    set."""
    lift_to: Annotated[float | None, Range(0, 255), OnlyFor(EVENTS)] = None
    """Mean count per pixel up to which frames with few events are scaled, as in low light. 0 turns this off.
    Default: as in the model of --init or the data set."""
    gradient_clip: Annotated[float, Range(0, 1e9)] = 1.0
    """Largest norm of the gradient. 0 sets no limit."""
    precision: Literal["auto", Precision] = "auto"
    """Number format. auto uses bf16 where the GPU or processor supports it (AMX, AVX512-BF16), which halves the time,
    and float32 elsewhere."""
    compile: bool = True
    """Compile the neuron. This takes a minute at the start and halves the time of an epoch. On a processor it needs a
    C++ compiler."""
    devices: Annotated[int, Range(1, 1024)] = 1
    """GPUs or processes on this machine that share each batch (DDP)."""
    num_nodes: Annotated[int, Range(1, 100_000)] = 1
    """Machines that share each batch. Start the same command on each, with torchrun or SLURM."""
    init: Path | None = None
    """Model to start from, by name or folder. Its network, neuron and read-out are kept unless a flag changes them.
    Classes that it doesn't know start with random weights."""
    freeze: Annotated[bool, OnlyFor(("gestures-sim",))] = False
    """Train only the read-out. The rest stays as in the model of --init, whose spikes are computed once."""
    resume: bool = False
    """Continue from the run folder's last epoch."""

    def __post_init__(self) -> None:
        _check_ranges(self)
        for fault in self._faults():
            raise TrainError(fault)

    def _faults(self) -> Iterator[str]:
        for each, mark in _marks(type(self)):  # type: ignore[arg-type]
            given = getattr(self, each.name) != each.default
            if given and isinstance(mark, OnlyFor) and not self.dataset.startswith(mark.sets):
                sets = ", ".join(mark.sets)
                yield f"{flag(each.name)} only applies to {sets}, not to {self.dataset}: leave it out"
        blocks = NETWORKS[self.network].blocks
        for name, count, low, high in (
            ("widths", blocks, 1, 4096), ("strides", 4, 1, 4096), ("sub_blocks", 4, 1, 64), ("block_alphas", 4, 0, 1),
        ):  # fmt: skip
            values, left_out = getattr(self, name), getattr(Configuration, name)
            if values != left_out and (len(values) != count or not all(low <= value <= high for value in values)):
                words = "two" if count == 2 else "four"
                yield f"{flag(name)} takes {words} numbers from {low} to {high}, one for each block of the network"
        workers = self.devices * self.num_nodes
        if self.batch % workers:
            yield f"--batch {self.batch} can't be shared by {workers} devices: give a multiple of {workers}"
        if workers > 1 and self.runs > 1:
            yield "--runs can't be shared between devices: give --runs 1, and a --seed for each"
        if self.readout == "traces" and self.network != "sts_resnet":
            yield f"--readout traces needs --network sts_resnet, not {self.network}"
        if self.freeze and not (self.init and self.readout == "traces"):
            yield "--freeze needs a model and a read-out: add --init MODEL --readout traces"
        if self.balance == "logits" and self.loss != "cross-entropy":
            yield f"--balance logits needs --loss cross-entropy, not {self.loss}: leave one of them out"
        if self.delta_t_us and self.n_events:
            yield "--delta-t-us and --n-events exclude each other: leave one out"
        if not re.fullmatch(r"[\w.-]{0,100}", self.name) or self.name in (".", ".."):
            yield f"--name {self.name!r} isn't a valid folder name: use letters, digits, '-', '_' and '.'"
        paths = (self.data, self.out, self.mnist, self.init)
        if odd := [path for path in paths if path and str(path) != sayable(str(path))]:
            yield f"{odd[0]} isn't UTF-8, so it can't be recorded: rename that folder, or choose another"
        if self.analog_epochs >= self.epochs:
            yield (
                f"--analog-epochs {self.analog_epochs} leaves none of --epochs {self.epochs} to spike: "
                "give fewer analog epochs or more epochs"
            )

    @property
    def zero_share(self) -> float:
        """Share of the clips that start from zero state: all of them without a burn-in."""
        return self.from_zero if self.burn_in else 1.0

    @property
    def averaged(self) -> range:
        """Epochs, counted from 1, whose mean weights make the model; empty if the best epoch makes it."""
        first = self.epochs - self.average_epochs + 1
        return range(first, self.epochs + 1) if self.average_epochs > 1 else range(0)

    def mirrored(self, classes: tuple[str, ...]) -> list[int] | None:
        """Return the label of each class in a mirror; None if no clip is mirrored.

        Raises DataError if a mirrored clip of this data set may be of no class.
        """
        return mirrored_labels(self.dataset, classes) if self.augmentation.mirror else None

    @property
    def run(self) -> Path:
        return self.out / self.run_name

    @property
    def run_name(self) -> str:
        return self.name or f"{self.base_name}-{self.seed}"

    @property
    def base_name(self) -> str:
        """The part of the name that the runs of all seeds share."""
        network = "" if self.network == "sts_resnet" else self.network
        recipe = self.recipe if not network or self.recipe != "best" else ""
        return self.name or "-".join(part for part in (self.dataset, network, recipe) if part)

    @property
    def input(self) -> InputSpec:
        spec = data_set(self.dataset).INPUT
        if self.delta_t_us or self.n_events:
            lift_to = spec.lift_to if self.delta_t_us else None  # frames of so many events need none
            spec = replace(spec, slice=SliceRule(self.delta_t_us, self.n_events), lift_to=lift_to)
        if self.side:
            spec = replace(spec, width=self.side, height=self.side)
        if self.cell_pixels:
            spec = replace(spec, cell_pixels=self.cell_pixels)
        if self.light_flicker:
            spec = replace(spec, without_flicker=self.light_flicker == "remove")
        if self.lift_to is not None:
            spec = replace(spec, lift_to=self.lift_to or None)
        return spec

    def card(self, classes: tuple[str, ...]) -> ModelCard:
        """Return the card of the network to train; that of an ANN is described like ConvSNN's."""
        widths = self.widths or (self.width,) * NETWORKS[self.network].blocks
        more: dict[str, Any] = {"kind": "conv_snn"}
        if self.network == "sts_resnet":
            more = {name: getattr(self, name) for name in _BLOCK_FIELDS}
        return ModelCard(
            name=self.run_name,
            classes=classes,
            input=self.input,
            network=NetworkSpec(widths=widths, norm=self.norm, dropout=self.dropout, **more),
            neuron=NeuronSpec(self.alpha, self.threshold, self.reset, self.block_alphas),
            readout=self.readout,
            traces=TraceSpec(members=self.members, width=self.traced, hidden=self.hidden),
            sensor=data_set(self.dataset).SENSOR,
            dataset=self.dataset,
        )


Given = Mapping[str, Any]
"""Fields of `Configuration` that somebody gave, by name; what isn't in it was left out."""

RECIPES = get_args(RecipeName)

_PAPER: Given = {
    "epochs": 100,
    "batch": 100,
    "learning_rate": 1e-3,
    "optimizer": "adam",
    "loss": "mse",
    "readout": "spikes",
    "reset": False,
    "surrogate_width": 1 / 6,
    "norm": False,
    "analog_ceiling": inf,
    "dropout": 0.2,
    "rate_weight": 0.0,
    "gradient_clip": 0.0,
    "precision": "32-true",
    "burn_in": 0,
    "augmentation": NO_AUGMENTATION,
    "weight_bits": 32,
}
_CIFAR10_DVS: Given = {"optimizer": "sgd", "learning_rate": 5e-4, "loss": "bce", "batch": 10, "alpha": 0.8}
_PAPER_FOR: dict[str, Given] = {
    "conv_snn": {"batch": 20, "learning_rate": 5e-4, "dropout": 0.0},
    "conv_lstm": {"loss": "bce", "dropout": 0.0},
    "cnn": {"dropout": 0.0},
    "cnn_lstm": {"dropout": 0.0},
    "c3d": {"dropout": 0.0},
    "cifar10-dvs": _CIFAR10_DVS,
    "cifar10-dvs-sim": _CIFAR10_DVS,
}
"""Where the paper (Section 5.3) has other values for a network or a data set."""


def recipe(name: RecipeName, network: NetworkName, dataset: Name) -> Configuration:
    """Return the recipe for a network and a data set: the values of flags that are left out."""
    values: dict[str, Any] = {
        "recipe": name, "network": network, "dataset": dataset, "width": NETWORKS[network].width,
    }  # fmt: skip
    if name == "paper":
        values |= {**_PAPER, **_PAPER_FOR.get(network, {}), **_PAPER_FOR.get(dataset, {})}
    elif network == "conv_snn":
        values |= {"reset": False, "dropout": 0.0}  # the paper's architecture, whatever the recipe
    return Configuration(**values)


def flag(name: str) -> str:
    """Return a field of `Configuration` as it is given on the command line."""
    return f"--{name.replace('_', '-')}"


def as_flags(values: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Return fields of `Configuration` as flags by name, like "--alpha 0.5" or "--no-compile"; None has no flag."""
    flags: dict[str, str] = {}
    for name, value in msgspec.to_builtins(dict(values), enc_hook=str).items():
        dashed = prefix + name.replace("_", "-")
        if isinstance(value, dict):
            flags |= as_flags(value, f"{dashed}.")
        elif isinstance(value, bool):
            flags[f"--{dashed}"] = f"--{dashed}" if value else f"--no-{dashed}"
        elif isinstance(value, list | tuple):
            flags[f"--{dashed}"] = " ".join([f"--{dashed}", *map(str, value)])
        elif value is not None:
            flags[f"--{dashed}"] = f"--{dashed} {value}"
    return flags


def fast_precision() -> Precision:
    """Return "bf16-mixed" where the GPU, or else the processor, has instructions for bf16, and "32-true" elsewhere.

    Without such instructions torch computes bf16 one number at a time. On an AMD EPYC with only AVX2 a step of
    STS-ResNet took eleven times as long as in float32 (tests/benchmarks/train_peers.py: 1.8 and 20.3 samples/s).
    """
    import torch  # takes seconds, and the command line needs the flags at once

    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    features = binding.get_host_cpu_features()
    return "bf16-mixed" if features.get("avx512bf16") or features.get("amx-bf16") else "32-true"
