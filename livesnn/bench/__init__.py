"""`livesnn bench`: what this machine does with livesnn. Studies and other libraries are in tests/benchmarks/."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Literal

EngineName = Literal["onnx", "spike", "torch"]
PACKAGES = ("numpy", "numba", "onnxruntime", "torch", "lightning", "PySide6-Essentials", "dv-processing")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the number n, median, min and max of measurements; raises ValueError if there are none."""
    return {"n": len(values), "median": float(median(values)), "min": float(min(values)), "max": float(max(values))}


def machine() -> dict[str, object]:
    """Return the machine that figures hold for: processor, cores, system and versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "versions": {"python": platform.python_version()} | installed_versions(PACKAGES),
    }


def installed_versions(packages: Sequence[str]) -> dict[str, str | None]:
    """Return the version of each package; None where it isn't installed."""
    found: dict[str, str | None] = dict.fromkeys(packages)
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _processor() -> str:
    with suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
