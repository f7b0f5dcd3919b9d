"""The paper's printed tables, the cells that repeat them, and the training that each cell is."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from livesnn.errors import LivesnnError
from livesnn.train.configuration import (
    NETWORKS,
    NO_AUGMENTATION,
    Augmentation,
    Configuration,
    NetworkName,
    RecipeName,
    as_flags,
    recipe,
)
from livesnn.train.datasets.request import VIDEOS, Name, SplitName
from livesnn.train.resolve import resolve


class Method(NamedTuple):
    """A row: a network, and the fields of `Configuration` that it gets with any recipe.

    ``configuration`` is its size as the paper prints it.
    """

    label: str
    network: NetworkName
    settings: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    configuration: str = ""


METHODS: dict[str, Method] = {
    "cnn": Method("CNN", "cnn", configuration="256-256"),
    "cnn_lstm": Method("CNN+LSTM", "cnn_lstm", configuration="256-256, LSTM 256"),
    "conv_lstm": Method("ConvLSTM", "conv_lstm", configuration="256-256"),
    "c3d": Method("C3D", "c3d", configuration="256-256"),
    "conv_snn": Method("ConvSNN", "conv_snn", configuration="48-48"),
    "sts_resnet": Method("STS-ResNet", "sts_resnet", configuration="18 layers"),
    "resnet18": Method("ResNet-18 (ANN, from scratch)", "resnet18", configuration="18 layers"),
}

TABLE1: dict[NetworkName, tuple[float, ...]] = {  # Percent, in the order of `TABLE1_COLUMNS`.
    "cnn": (99, 98.89, 98.2, 98.8, 98.27, 20.1),
    "cnn_lstm": (96.84, 67.74, 98.93, 98.96, 94.88, 91.2),
    "conv_lstm": (99, 99.11, 98.9, 30.0, 97.43, 40.7),
    "c3d": (99.03, 98.49, 98.32, 99.17, 97.73, 64.0),
    "conv_snn": (99.4, 98.6, 98.4, 99.36, 98.8, 89.5),
    "sts_resnet": (99.7, 99.26, 99.2, 99.43, 99.1, 92.7),
}

TABLE1_COLUMNS = ("MNIST", "Seq 1", "Seq 2", "Seq 3", "Seq 4", "Seq 5")


class Published(NamedTuple):
    """A row of the paper's Table 2. ``network`` is ours where we have it."""

    model: str
    dataset: str
    percent: float
    network: NetworkName | None = None


TABLE2 = (  # The numbers in brackets are the paper's references.
    Published("SPA [23]", "N-MNIST", 96.3),
    Published("SpiNNaker [28]", "N-MNIST", 98.5),
    Published("STBP tested in [28]", "N-MNIST", 97.92),
    Published("Natural ConvSNN [4]", "N-MNIST", 99.42),
    Published("NeuNorm [49]", "N-MNIST", 99.53),
    Published("STS-ResNet", "N-MNIST", 99.6, "sts_resnet"),
    Published("CNN [2]", "DVS-Gesture", 94.59),
    Published("pointnet++ [45]", "DVS-Gesture", 95.32),
    Published("STS-ResNet", "DVS-Gesture", 96.7, "sts_resnet"),
    Published("HAT [36]", "CIFAR10-DVS", 52.4),
    Published("Natural ConvSNN [4]", "CIFAR10-DVS", 60.3),
    Published("NeuNorm [49]", "CIFAR10-DVS", 60.5),
    Published("SPA [23]", "CIFAR10-DVS", 67.8),
    Published("STS-ResNet", "CIFAR10-DVS", 69.2, "sts_resnet"),
    Published("ResNet18 (ANN, from scratch) [11]", "UCF-101", 42.4, "resnet18"),
    Published("STS-ResNet", "UCF-101", 42.1, "sts_resnet"),
    Published("ResNet18 (ANN, from scratch) [11]", "HMDB51", 17.1, "resnet18"),
    Published("STS-ResNet", "HMDB51", 21.5, "sts_resnet"),
)

EPOCHS, SEEDS, DIGITS = 100, 10, 60_000
"""The paper trains for at least 100 epochs, ten times, on all of MNIST."""


TableName = Literal["table1", "table2", "fig7"]
BudgetName = Literal["small", "cpu", "paper"]
BUDGETS: tuple[BudgetName, ...] = get_args(BudgetName)  # From the smallest to the largest

UCF6 = ("Archery", "BasketballDunk", "HorseRace", "PlayingPiano", "PlayingViolin", "Surfing")
SEQ5 = "the paper leaves its task open, and this is one reading of it. The paper's figure may be of another"


class Column(NamedTuple):
    """A data set of a table."""

    label: str
    beside: str  # The column or data set of the paper that it stands beside
    dataset: Name
    note: str = ""  # How it differs from the paper's
    split: SplitName = "test"
    # Number of training and validation clips, if the column takes only a part of a data set
    clips: int | None = None
    by_window: bool = False  # A decision counts per window, not per recording
    folder: str = ""  # Folder in --data of a data set that has no name of its own
    # Fields of `Configuration` that the best recipe gets
    settings: dict[str, Any] = {}  # noqa: RUF012 (never changed)


_NMNIST = Column(
    "N-MNIST, 1,000 recordings", "N-MNIST", "nmnist",
    note="the first 1,000 of 60,000 training recordings. The accuracy is on a tenth of them, which also chose the "
    "epoch",
    split="validation", clips=1000,
)  # fmt: skip
_OBJECTS = Column(
    "objects before a DVS128", "CIFAR10-DVS", "folder",
    note="six kinds in seven recordings, with models/objects/labels.csv beside them. The accuracy is on half seconds "
    "at the end of each",
    clips=329, by_window=True, folder="dvs128_objects",
    settings={
        "batch": 20, "burn_in": 10, "final_pool": 16,
        "augmentation": Augmentation(rotate_degrees=180.0, shift_pixels=6.0, scale=0.15),
    },
)  # fmt: skip
_VIDEO = {
    "windows": 3, "batch": 16, "validation": 0.2, "burn_in": 0,
    "augmentation": Augmentation(mirror=0.5, gain=0.3, scale=0.3, shift_pixels=8.0, drop=0.5),
}  # fmt: skip
_VIDEO_BLOCKS = {  # For STS-ResNet. Windows start from zero state, since an ANN has no state to carry.
    "analog_epochs": 1, "alpha": 0.8, "widths": (64, 128, 128, 128), "strides": (1, 2, 1, 1),
    "sub_blocks": (1, 1, 1, 1), "final_pool": 8,
}  # fmt: skip
_TEN_LAYERS = "STS-ResNet has ten layers and starts from zero state"

COLUMNS: dict[TableName, dict[str, Column]] = {
    "table1": {
        "mnist": Column("MNIST", "MNIST", "mnist-still"),
        "seq1": Column("Seq 1", "Seq 1", "mnist-seq1"),
        "seq2": Column("Seq 2", "Seq 2", "mnist-seq2"),
        "seq3": Column("Seq 3", "Seq 3", "mnist-seq3"),
        "seq4": Column("Seq 4", "Seq 4", "mnist-seq4"),
        "seq5-total": Column("Seq 5, total", "Seq 5", "mnist-seq5-total", SEQ5),
        "seq5-sorted": Column("Seq 5, sorted", "Seq 5", "mnist-seq5-sorted", SEQ5),
    },
    "table2": {
        "nmnist": Column("N-MNIST", "N-MNIST", "nmnist"),
        "nmnist-1000": _NMNIST._replace(settings={"simulated": 900}),
        "dvs-gesture": Column("DVS-Gesture", "DVS-Gesture", "dvs-gesture"),
        "cifar10-dvs": Column("CIFAR10-DVS", "CIFAR10-DVS", "cifar10-dvs"),
        "ucf101": Column("UCF-101", "UCF-101", "ucf101", _TEN_LAYERS, settings=_VIDEO),
        "ucf6": Column(
            "UCF-6", "UCF-101", "ucf101", split="validation", settings=_VIDEO | {"only": UCF6},
            note="six of UCF-101's 101 classes. The accuracy is on groups kept for validation, which also chose the "
            "epoch. " + _TEN_LAYERS,
        ),
        "hmdb51": Column("HMDB51", "HMDB51", "hmdb51", _TEN_LAYERS, settings=_VIDEO),
    },
    "fig7": {"nmnist-1000": _NMNIST, "objects": _OBJECTS},
}  # fmt: skip

ROWS: dict[TableName, dict[str, Method]] = {
    "table1": {name: METHODS[name] for name in TABLE1} | {
        "cnn_small": Method("CNN 143-143", "cnn", {"widths": (143, 143)}),
        "cnn_lstm_small": Method("CNN+LSTM 36-36", "cnn_lstm", {"widths": (36, 36)}),
    },
    "table2": METHODS,
    "fig7": {
        "hybrid": Method("hybrid (5 analog epochs)", "sts_resnet", {"analog_epochs": 5}),
        "stbp": Method("STBP alone", "sts_resnet", {"analog_epochs": 0}),
        "no_reset": Method("hybrid, reset off", "sts_resnet", {"analog_epochs": 5, "reset": False}),
    },
}  # fmt: skip
"""Table 1's small ANNs take as many operations as ConvSNN: 47.1 and 46.1 million a clip of Seq 2, against 47.1."""

_SMALL = {
    "epochs": 2, "batch": 10, "width": 8, "compile": False, "precision": "32-true", "burn_in": 0,
    "measured_norms": False,
}  # fmt: skip
_SEQUENCES = {"augmentation": NO_AUGMENTATION, "burn_in": 0}
"""No augmentation, which 60,000 digits in few epochs don't need. No burn-in: each clip starts from zero state."""
_CPU: dict[str, dict[str, Any] | None] = {
    "conv_snn": {"epochs": 4, "analog_epochs": 1},
    "cnn": {"epochs": 2},
    "cnn_lstm": {"epochs": 2, "digits": 20_000},
    "sts_resnet": {"epochs": 3, "analog_epochs": 1, "dropout": 0.0},
    "conv_lstm": None,
    "c3d": None,
    "cnn_small": {"epochs": 2},
    "cnn_lstm_small": {"epochs": 2},
}
"""What one core trains of an MNIST column in one to four hours. None: too slow, only a step is timed (not on Seq 4).

One analog epoch keeps the method hybrid. The recipe's three would be half of so short a training, which learns faster
with fewer. No dropout: so few epochs don't overfit.
"""
_OTHERWISE = {
    ("conv_snn", "mnist"): {"epochs": 8},
    ("conv_snn", "seq4"): {"epochs": 8},
    ("sts_resnet", "mnist"): {"epochs": 6},
    ("sts_resnet", "seq1"): {"epochs": 4},
    ("sts_resnet", "seq2"): {"epochs": 4},
    ("sts_resnet", "seq4"): {"epochs": 8},
    ("sts_resnet", "seq5-total"): {"epochs": 6, "digits": 10_000},
    ("sts_resnet", "seq5-sorted"): {"epochs": 6, "digits": 10_000},
    ("cnn_lstm", "seq1"): {"digits": 10_000},
    ("cnn_lstm", "seq3"): {"digits": 10_000},
    ("cnn_lstm", "seq5-total"): {"digits": 10_000},
    ("cnn_lstm", "seq5-sorted"): {"digits": 10_000},
    ("conv_lstm", "seq4"): {"epochs": 2, "digits": 2_000},
    ("c3d", "seq4"): {"epochs": 2, "digits": 5_000},
}
"""MNIST and Seq 4 have half as many clips. Seq 5 can't be compared closely with the paper. CNN+LSTM takes twice as
long as the rest."""
_CPU_EPOCHS = {"nmnist-1000": 40, "fig7": 20}
"""Epochs of the other columns or figures; 16 where nothing is given."""
_TRIES = 3  # Trainings of each cell of Figure 7


class Cell(NamedTuple):
    """One cell of a table, with its budget and recipe."""

    table: TableName
    method: str
    column: str
    budget: BudgetName = "cpu"
    recipe: RecipeName = "best"

    @property
    def name(self) -> str:
        return "-".join(self)

    @property
    def data_column(self) -> Column:
        return COLUMNS[self.table][self.column]

    @property
    def row(self) -> Method:
        return ROWS[self.table][self.method]

    @property
    def seeds(self) -> int:
        return max(SEEDS if self.budget == "paper" else 1, _TRIES if self.table == "fig7" else 1)

    @property
    def out_of_reach(self) -> bool:
        """Whether its budget is too small for a training."""
        reduced = (self.method, self.column) in _OTHERWISE
        return self._sequences and self.budget == "cpu" and _CPU[self.method] is None and not reduced

    @property
    def _sequences(self) -> bool:
        return self.data_column.dataset.startswith("mnist-")

    def settings(self) -> dict[str, Any]:
        """Return the fields of `Configuration` that differ from those of the recipe."""
        default = self._default()
        changed = self._column_settings() | self._budget_settings() | self.row.settings
        refused = NETWORKS[self.row.network].refused
        return {
            name: value for name, value in changed.items() if getattr(default, name) != value and name not in refused
        }

    def _column_settings(self) -> dict[str, Any]:
        if self.recipe == "paper":
            return {"only": UCF6} if self.column == "ucf6" else {}
        if self._sequences:
            return _SEQUENCES
        blocks = _VIDEO_BLOCKS if self.data_column.dataset in VIDEOS and self.row.network == "sts_resnet" else {}
        return self.data_column.settings | blocks

    def _budget_settings(self) -> dict[str, Any]:
        if self.budget == "paper":
            return {"epochs": EPOCHS}
        if self.budget == "small":
            epochs = {"epochs": 6} if self.table == "fig7" else {}
            return _SMALL | epochs | ({"digits": 40} if self._sequences else {})
        if self._sequences:
            return (_CPU[self.method] or {}) | _OTHERWISE.get((self.method, self.column), {})
        return {"epochs": _CPU_EPOCHS.get(self.table, _CPU_EPOCHS.get(self.column, 16))}

    def config(self, seed: int, data: Path, runs: Path) -> Configuration:
        return resolve({**self._given(data), "seed": seed, "out": runs, "name": f"{self.name}-{seed}"})

    def _given(self, data: Path) -> dict[str, Any]:
        changed = self.settings()
        if "simulated" in changed:
            changed["mnist"] = inner if (inner := data / "mnist").is_dir() else data
        names = {"recipe": self.recipe, "network": self.row.network, "dataset": self.data_column.dataset}
        return {**names, **changed, "data": data / self.data_column.folder}

    def command(self, seeds: int) -> str:
        recipe = ["--recipe", self.recipe] * (self.recipe != "best")
        more = ["--seeds", str(seeds)] * (seeds != self.seeds)
        cell = ["--cell", f"{self.method}:{self.column}", "--budget", self.budget]
        return shlex.join(["livesnn", "tables", self.table, *cell, *recipe, *more, "--data", "DIR"])

    def trainings(self, seeds: int) -> tuple[str, ...]:
        """Return the `livesnn train` command of each training."""
        now, before = as_flags(self._given(Path("DIR"))), as_flags(vars(self._default()))
        chosen = f"--recipe {self.recipe} --network {self.row.network} --dataset {self.data_column.dataset}"
        changed = " ".join(flag for name, flag in now.items() if before.get(name) != flag)
        return tuple(f"livesnn train {chosen} {changed} --seed {seed}" for seed in range(seeds))

    def _default(self) -> Configuration:
        return recipe(self.recipe, self.row.network, self.data_column.dataset)


def cells(table: TableName, budget: BudgetName, recipe: RecipeName, named: tuple[str, ...] = ()) -> list[Cell]:
    """Return the cells of a table, or those ``named`` METHOD:COLUMN; raises LivesnnError for an unknown one."""
    rows, columns = ROWS[table], COLUMNS[table]
    found = []
    for name in dict.fromkeys(named or _default_cells(table)):
        method, _, column = name.partition(":")
        if method not in rows or column not in columns:
            raise LivesnnError(
                f"{table} has no cell {name!r}: give METHOD:COLUMN. METHOD is one of {', '.join(rows)}. COLUMN "
                f"is one of {', '.join(columns)}"
            )
        found.append(Cell(table, method, column, budget, recipe))
    return found


def _default_cells(table: TableName) -> tuple[str, ...]:
    columns = COLUMNS[table]
    if table == "table2":
        return tuple(
            f"{published.network}:{name}"
            for published in TABLE2
            for name, column in columns.items()
            if published.network and column.beside == published.dataset
        )
    rows = {"table1": tuple(TABLE1), "fig7": ("hybrid", "stbp")}[table]
    return tuple(f"{row}:{column}" for row in rows for column in columns)
