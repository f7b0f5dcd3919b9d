"""Real-time event-camera recognition with a stateful spiking network. Imports neither torch nor Qt."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from livesnn.infer.model import load_model
    from livesnn.infer.run import frames, run
    from livesnn.sources import open_source

__all__ = ["__version__", "frames", "load_model", "open_source", "run"]
__version__ = "0.1.0"

# ONNX Runtime 1.32 keeps a number of this device in ~/.cache/Microsoft, to send it with what is run, unless it finds
# this when it is imported, by whichever module.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_PLACES = {
    "load_model": "livesnn.infer.model",
    "open_source": "livesnn.sources",
    "frames": "livesnn.infer.run",
    "run": "livesnn.infer.run",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: the command line has to start before numpy does."""
    if name not in _PLACES:
        raise AttributeError(f"module 'livesnn' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
