"""A training's flags: what each may be, and how they are written. Not here: which a network takes (networks.py)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

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
