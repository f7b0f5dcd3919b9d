"""Real-time event-camera recognition with a stateful spiking network. Imports neither torch nor Qt."""

from livesnn.infer import load_model
from livesnn.infer.pipeline import run
from livesnn.sources import open_source

__all__ = ["__version__", "load_model", "open_source", "run"]
__version__ = "0.1.0"
