"""TrainConfig: one frozen dataclass that is the flags, and the JSON beside the checkpoint. Not here: the recipes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from llvmlite import binding

from livesnn.card import InputSpec, ModelCard, NetworkSpec, NeuronSpec, SliceRule
from livesnn.errors import TrainError
from livesnn.train.datasets import Name, data_set, mirrored_labels

OF_MODEL = ("widths", "strides", "sub_blocks", "final_pool", "norm", "alpha", "threshold", "reset", "readout")
"""What a model has, and a training that starts from it."""

_WORDS = {2: "two", 4: "four"}


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training."""

    dataset: Name = "nmnist"
    """Which data set; gestures-sim is simulated on the spot, folder is one of your own (see --data)."""
    data: Path = Path("data")
    """Folder of the data set, in its official layout (see the README). folder: <class>/<session>/FILE, or a table
    FILE.csv of file,start,end,label,session with times in seconds."""
    recipe: Literal["best", "paper"] = "best"
    """"best": what measures best on validation. "paper": the paper's own loss, optimiser and read-out."""
    network: NetworkName = "sts_resnet"
    """sts_resnet and conv_snn spike and make a model. The others are ANNs to compare with, trained the same way but
    for what spikes need; they make none. cnn sees a window's frames at once, as channels."""
    name: str = ""
    """Name of the model and of its run folder; default: the data set's, the recipe's or network's, and the seed."""
    out: Path = Path("runs")
    """Where run folders go: checkpoints, log, and the finished model."""
    runs: int = 1
    """Trainings, of this seed and the ones after it, each with a run folder of its own; mean and deviation of all."""
    epochs: int = 40
    """Epochs in all."""
    average_epochs: int = 1
    """The model has the mean weights of so many of the last epochs, its batch norms measured anew; 1: those of the
    best one on validation."""
    analog_epochs: int | None = None
    """The first of them in phase 1 of the hybrid method (no spikes); 0 trains with STBP alone. Default: half of them,
    by the best recipe at most 3; with --init none."""
    analog_slope: float = -0.01
    """f(U) = slope·U below the threshold in phase 1: −β as the paper prints it."""
    analog_ceiling: float = 1.0
    """Upper bound of f in phase 1, the output a spike has; inf as the paper has it."""
    optimizer_at_switch: Literal["keep", "restart"] = "keep"
    """Whether the optimiser goes on with its averages when phase 2 begins, or forgets them."""
    surrogate: Literal["gaussian", "rectangle"] = "gaussian"
    """What stands for the step's derivative."""
    surrogate_width: float = 0.3
    """Standard deviation of the Gaussian, half width of the rectangle. The paper's recipe: 1/6."""
    surrogate_peak: float = 0.977
    """Its value at the threshold."""
    batch: int = 50
    """Clips a step."""
    learning_rate: float = 2e-3
    """Peak of the schedule."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """AdamW decays weights by 1e-2 and follows a cosine after a warm-up of 5 %; Adam, and SGD of momentum 0.9, are
    constant."""
    loss: Literal["cross-entropy", "mse", "bce"] = "cross-entropy"
    """On the mean output of the window; MSE and binary cross-entropy against one-hot and --teacher's."""
    balance: Literal["weights", "logits", "none"] = "weights"
    """How classes of more or fewer clips count alike in the cross-entropy: by weights a clip of many counts less; by
    logits as much as any, and in training each output has the logarithm of its class's share added (logit
    adjustment, Menon et al. 2021)."""
    unknown_weight: float = 1.0
    """What a clip of none of the classes (people who perform nothing, gestures-sim) counts in it, a clip of one 1."""
    readout: Literal["membrane", "spikes"] = "membrane"
    """What the output layer gives: membranes, or the paper's spike rates."""
    reset: bool = True
    """Whether a spike sets the membrane to zero."""
    alpha: float = 0.5
    """Decay of the membranes a step."""
    threshold: float = 0.5
    """Firing threshold."""
    width: int = 64
    """Channels of every block or convolution; conv_snn: 48, ANNs: 256, as the paper has them."""
    widths: tuple[int, ...] = ()
    """Channels of each of the four blocks, or of the two convolutions; default: --width."""
    strides: tuple[int, ...] = (1, 1, 1, 1)
    """Stride of each of the four blocks: 2 halves the picture there."""
    sub_blocks: tuple[int, ...] = (2, 2, 2, 2)
    """Pairs of convolutions of the four blocks: the network's depth (18 layers as it is)."""
    final_pool: int = 3
    """Side of the average pool before the classifier; as large as the map there: what is seen counts, not where."""
    weight_bits: Literal[8, 32] = 8
    """Of the blocks' kernels in the model that is made, for every engine alike; it is trained in 32."""
    norm: bool = True
    """Threshold-scaled batch norm, folded into the convolutions at export."""
    measured_norms: bool = True
    """Take its statistics on training clips as they are before each validation; else moving averages over batches."""
    dropout: float = 0.1
    """After each sub-block, one mask a window."""
    rate_target: float = 0.08
    """Mean outputs of a layer above this are penalised."""
    rate_weight: float = 1.0
    """How strongly; 0 lets the network fire as it likes."""
    burn_in: int = 20
    """Up to this many unscored frames run before the window, whole clips of others, so that the state isn't zero. The
    best epoch is chosen by the accuracy of clips from zero state and of a stream; with 0 by that of clips alone."""
    from_zero: float = 0.25
    """Share of clips that start from zero state in a batch with such frames too, as every stream does once."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Ranges of event augmentation; all zero turns it off."""
    simulated: int = 0
    """Simulated recordings (MNIST digits in saccades through the pixel model) mixed into each epoch."""
    simulated_pool: int = 20_000
    """How many of them are made, once; each epoch draws from these."""
    mnist: Path = Path("data/mnist/mnist.npz")
    """MNIST itself, for simulated recordings."""
    people: int = 1000
    """Simulated people a gesture, one clip each; three times as many of "other", and as many who do nothing
    (gestures-sim)."""
    digits: int = 60_000
    """At most so many of MNIST's training digits, the first ones; validation's stay as they are (mnist-…)."""
    protocol: str = ""
    """Which of a data set's published splits: split1, split2, split3 (UCF-101, HMDB51); 90/10, 70/30 (CIFAR10-DVS).
    Default: the first."""
    only: tuple[str, ...] = ()
    """These classes alone (ucf101, hmdb51); default: all that have a folder."""
    windows: int | None = None
    """Most windows of a recording, evenly spread over it; default: all (cifar10-dvs: 3)."""
    delta_t_us: int | None = None
    """Time of one frame, µs; default: the data set's INPUT."""
    n_events: int | None = None
    """Events of one frame, in place of its time."""
    cell_pixels: float | None = None
    """Pixels of a sensor that make one of the input: to that counts are scaled by area, where cameras differ.
    Default: what the model of --init is used to; else counts are as they come."""
    light_flicker: Literal["keep", "remove"] | None = None
    """What a flickering light adds to all of a frame. Default: as --init's model has it, else as the data set."""
    validation: float = 0.1
    """Fraction of the training part kept for validation, by seed."""
    seed: int = 0
    """Of the split, the weights, the order and the augmentation. The split stays that of --init's model where that
    was trained on the same data set."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient; 0: no limit."""
    precision: Literal["auto", Precision] = "auto"
    """bf16 halves the time of an epoch where the GPU or processor multiplies it (AMX, AVX512-BF16), and takes ten
    times as long elsewhere: auto takes it where it does. Spikes are exact in it."""
    compile: bool = True
    """Compile the neuron's two directions: half the time of an epoch for a minute at the start. A processor needs a
    C++ compiler for it; its convolutions skip what doesn't spike, too (packaging/training)."""
    devices: int = 1
    """Processors or GPUs of this machine to share each batch between (DDP)."""
    num_nodes: int = 1
    """Machines to share it between; start the same command on each, by torchrun or SLURM."""
    init: Path | None = None
    """Model to start from, a shipped one's name or a folder; classes it doesn't know start afresh. Its network,
    neuron and read-out are as it has them, where no flag names another value than the recipe's."""
    teacher: Path | None = None
    """Run folder of a finished training on the same clips: what its network makes of each is learned, too. One
    of --network resnet18_stacked sees a window's frames at once."""
    teacher_share: float = 0.7
    """How much of the targets is its; the rest is the label's."""
    resume: bool = False
    """Go on from the run folder's last epoch."""

    def __post_init__(self) -> None:
        _check_limits(self)
        blocks = NETWORKS[self.network].blocks
        for name, count in (("widths", blocks), ("strides", 4), ("sub_blocks", 4)):
            values = getattr(self, name)
            default = name == "widths" and not values
            if not default and not (len(values) == count and all(1 <= value <= 4096 for value in values)):
                raise TrainError(
                    f"{flag(name)} takes {_WORDS[count]} numbers from 1 to 4096, one a block of the network"
                )
        self._check_sharing()
        if self.teacher_share != TrainConfig.teacher_share and not self.teacher:
            raise TrainError("--teacher-share is of a --teacher: give one, or leave it out")
        if self.balance == "logits" and self.loss != "cross-entropy":
            raise TrainError(f"--balance logits is of the cross-entropy: leave it or --loss {self.loss} out")
        if self.delta_t_us and self.n_events:
            raise TrainError("--delta-t-us and --n-events can't both end a frame: leave one out")
        if not re.fullmatch(r"[\w.-]{0,100}", self.name) or self.name in (".", ".."):
            raise TrainError(
                f"--name {self.name!r} can't name a folder: use letters, digits, '-', '_' and '.'"
            )
        if self.analog_epochs is not None and self.analog_epochs >= self.epochs:
            raise TrainError(
                f"--analog-epochs {self.analog_epochs} leaves none of --epochs {self.epochs} to spike: "
                "give fewer of the one or more of the other"
            )

    def _check_sharing(self) -> None:
        workers = self.devices * self.num_nodes
        if self.batch % workers:
            raise TrainError(
                f"--batch {self.batch} can't be shared by {workers} devices: give a multiple of {workers}"
            )
        if self.teacher and self.runs > 1 and self.dataset.startswith(OF_SOME_SETS["validation"]):
            raise TrainError(
                "--runs of other seeds have other clips than the --teacher: give --runs 1, and a --seed each"
            )
        if workers > 1 and self.runs > 1:
            raise TrainError("--runs can't be shared between devices: give --runs 1, and a --seed each")

    @property
    def zero_share(self) -> float:
        """Return the share of clips that start from zero state: all, where none burns in."""
        return self.from_zero if self.burn_in else 1.0

    @property
    def averaged(self) -> range:
        """Return which epochs, from 1, the model has the mean weights of; none where the best one makes it."""
        first = self.epochs - self.average_epochs + 1
        return range(first, self.epochs + 1) if self.average_epochs > 1 else range(0)

    def mirrored(self, classes: tuple[str, ...]) -> list[int] | None:
        """Return each class's label in a mirror, where clips are mirrored; raises DataError where they can't be."""
        return mirrored_labels(self.dataset, classes) if self.augmentation.mirror else None

    @property
    def run_name(self) -> str:
        """Return the run's name, given or made."""
        return self.name or f"{self.base_name}-{self.seed}"

    @property
    def base_name(self) -> str:
        """Return what the runs of all seeds have in common."""
        network = "" if self.network == "sts_resnet" else self.network
        recipe = self.recipe if not network or self.recipe != "best" else ""
        return self.name or "-".join(part for part in (self.dataset, network, recipe) if part)

    @property
    def input(self) -> InputSpec:
        """Return what the network is fed: what the data set has, but for what is said here."""
        spec = data_set(self.dataset).INPUT
        if self.delta_t_us or self.n_events:
            spec = replace(spec, slice=SliceRule(self.delta_t_us, self.n_events))
        if self.cell_pixels:
            spec = replace(spec, cell_pixels=self.cell_pixels)
        if self.light_flicker:
            spec = replace(spec, without_flicker=self.light_flicker == "remove")
        return spec

    def card(self, classes: tuple[str, ...]) -> ModelCard:
        """Return the card of the network to be trained."""
        return ModelCard(
            name=self.run_name,
            classes=classes,
            input=self.input,
            network=self._spec(),
            neuron=NeuronSpec(self.alpha, self.threshold, self.reset),
            readout=self.readout,
            sensor=data_set(self.dataset).SENSOR,
            dataset=self.dataset,
        )

    def _spec(self) -> NetworkSpec:
        """Return the architecture; an ANN's two convolutions and hidden layer are described as ConvSNN's are."""
        widths = self.widths or (self.width,) * NETWORKS[self.network].blocks
        if self.network != "sts_resnet":
            return NetworkSpec("conv_snn", widths, norm=self.norm, dropout=self.dropout)
        return NetworkSpec(
            widths=widths,
            strides=self.strides,
            sub_blocks=self.sub_blocks,
            final_pool=self.final_pool,
            norm=self.norm,
            dropout=self.dropout,
            weight_bits=self.weight_bits,
        )


def _check_limits(config: TrainConfig) -> None:
    """Raise TrainError on a number out of its range, and on a flag of other data sets than the one given."""
    for name, (low, high) in RANGES.items():
        value = getattr(config, name)
        if value is not None and not low <= value <= high:
            raise TrainError(f"{flag(name)} is {value}: give a number from {low:g} to {high:g}")
    if config.simulated > config.simulated_pool:
        raise TrainError(
            f"--simulated {config.simulated} are more than --simulated-pool {config.simulated_pool} has: give a "
            "larger one"
        )
    for name, sets in OF_SOME_SETS.items():
        given = getattr(config, name) != TrainConfig.__dataclass_fields__[name].default
        if given and not config.dataset.startswith(sets):
            raise TrainError(f"{flag(name)} is of {', '.join(sets)}, not of {config.dataset}: leave it out")


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a clip of the training: ranges drawn from uniformly, once a clip; 0 turns one off."""

    shift_pixels: float = 2.0
    """Moved by up to so many pixels of the input, either way and along either side."""
    rotate_degrees: float = 10.0
    """Turned by up to so many degrees, either way."""
    scale: float = 0.1
    """Larger or smaller by up to this fraction, along either side."""
    shear: float = 0.1
    """Sheared by up to this fraction of the picture's width."""
    drop: float = 0.2
    """Up to this fraction of the events, or of a video's brightness, is taken away."""
    gain: float = 0.0
    """Each channel, a video's colours or the events' polarities, brighter or darker by up to this fraction."""
    mirror: float = 0.0
    """Share of clips that are mirrored left to right, and labelled as what they then show."""

    def __post_init__(self) -> None:
        largest = {
            "shift_pixels": 1e3,
            "rotate_degrees": 360,
            "scale": 0.99,
            "shear": 10,
            "drop": 1,
            "gain": 1,
            "mirror": 1,
        }
        for name, high in largest.items():
            if not 0 <= getattr(self, name) <= high:
                flag = f"--augmentation.{name.replace('_', '-')}"
                raise TrainError(f"{flag} is {getattr(self, name)}: give a number from 0 to {high:g}")


STILL = Augmentation(0, 0, 0, 0, 0)
"""Nothing is moved, nothing dropped."""


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


Precision = Literal["bf16-mixed", "32-true"]


def fast_precision() -> Precision:
    """Return "bf16-mixed" where the GPU, or else the processor (Intel's, AMD's), multiplies bf16, else "32-true".

    Without such instructions torch goes through bf16 number by number: a step of STS-ResNet took eleven times as
    long as in float32 on an AMD EPYC of AVX2 alone (`livesnn bench train`: 1.8 and 20.3 samples/s).
    """
    import torch  # takes seconds, and flags are made of what is here

    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    features = binding.get_host_cpu_features()
    return "bf16-mixed" if features.get("avx512bf16") or features.get("amx-bf16") else "32-true"


RANGES = {
    "epochs": (1, 1_000_000),
    "average_epochs": (1, 1000),
    "analog_epochs": (0, 1_000_000),
    "analog_slope": (-10, 10),
    "analog_ceiling": (1e-3, float("inf")),
    "batch": (1, 1_000_000),
    "learning_rate": (1e-9, 10),
    "alpha": (0, 1),
    "threshold": (1e-3, 1e3),
    "width": (1, 4096),
    "final_pool": (1, 4096),
    "dropout": (0, 0.95),
    "unknown_weight": (0, 1e3),
    "rate_target": (0, 1),
    "rate_weight": (0, 1e6),
    "burn_in": (0, 10_000),
    "from_zero": (0, 1),
    "teacher_share": (0.01, 1),
    "simulated": (0, 1_000_000),
    "simulated_pool": (1, 59_000),
    "people": (1, 1_000_000),
    "digits": (10, 60_000),
    "windows": (1, 100_000),
    "runs": (1, 1000),
    "devices": (1, 1024),
    "num_nodes": (1, 100_000),
    "delta_t_us": (1, 10_000_000),
    "n_events": (1, 10_000_000),
    "cell_pixels": (1e-3, 1e7),
    "validation": (0.01, 0.9),
    "seed": (0, 2**31),
    "gradient_clip": (0, 1e9),
    "surrogate_width": (1e-3, 1e3),
    "surrogate_peak": (1e-3, 1e3),
}
"""Lowest and highest of each number, both allowed."""

_EVENT_SETS = ("nmnist", "dvs-gesture", "cifar10-dvs", "gestures-sim", "folder")
OF_SOME_SETS = {
    "people": ("gestures-sim",),
    "unknown_weight": ("gestures-sim",),
    "simulated": ("nmnist",),
    "simulated_pool": ("nmnist",),
    "digits": ("mnist-",),
    "only": ("ucf101", "hmdb51"),
    "n_events": _EVENT_SETS,
    "cell_pixels": _EVENT_SETS,
    "light_flicker": _EVENT_SETS,
    "delta_t_us": (*_EVENT_SETS, "ucf101", "hmdb51"),
    "windows": ("ucf101", "hmdb51", "cifar10-dvs", "dvs-gesture", "folder"),
    "validation": ("nmnist", "dvs-gesture", "cifar10-dvs", "ucf101", "hmdb51", "folder", "mnist-"),
}
"""Options that mean something for some data sets alone, by how their names begin."""


def flag(name: str) -> str:
    """Return a field of `TrainConfig` as it is given on the command line."""
    return f"--{name.replace('_', '-')}"


def as_flags(values: Mapping[str, object], before: str = "") -> dict[str, str]:
    """Return fields of `TrainConfig` as flags, by name: "--alpha 0.5", "--no-compile"; None isn't given."""
    flags: dict[str, str] = {}
    for name, value in msgspec.to_builtins(dict(values), enc_hook=str).items():
        dashed = before + name.replace("_", "-")
        if isinstance(value, dict):
            flags |= as_flags(value, f"{dashed}.")
        elif isinstance(value, bool):
            flags[f"--{dashed}"] = f"--{dashed}" if value else f"--no-{dashed}"
        elif isinstance(value, list | tuple):
            flags[f"--{dashed}"] = " ".join([f"--{dashed}", *map(str, value)])
        elif value is not None:
            flags[f"--{dashed}"] = f"--{dashed} {value}"
    return flags
