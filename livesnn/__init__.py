"""Real-time event-camera recognition with a stateful spiking network.

`open_source` opens a camera, a stream or a file, and `load_model` loads a model. `frames` yields what a model is fed
from a source, and `run` what the model says after each frame. Nothing here imports torch or Qt.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from livesnn.infer.load import load_model
    from livesnn.infer.run import frames, run
    from livesnn.sources import open_source

__all__ = ["__version__", "frames", "load_model", "open_source", "run"]
__version__ = "0.1.0"

# ONNX Runtime 1.32 keeps a number that identifies this device in ~/.cache/Microsoft and sends it, unless this is set
# before it is imported, by whichever module.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_MODULES = {
    "frames": "livesnn.infer.run",
    "load_model": "livesnn.infer.load",
    "open_source": "livesnn.sources",
    "run": "livesnn.infer.run",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: the command line starts before numpy is imported."""
    if name not in _MODULES:
        raise AttributeError(f"module 'livesnn' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return [*__all__]
